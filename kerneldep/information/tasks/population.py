"""Finite populations of labelled points, where every expectation is a sum."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ... import _check
from ..._check import ArrayLike
from .base import AbstractDensityTask, paired_samples


class _Support(NamedTuple):
    """Distinct points [u, d], and the probabilities [u, C] of point and class."""

    points: np.ndarray
    joint: np.ndarray


def information_of_table(joint: np.ndarray) -> float:
    """Mutual information, in nats, of a table of joint probabilities."""
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / product[seen])).sum())


def _points(values: ArrayLike) -> np.ndarray:
    array = np.asarray(_check.as_real(values, "points"), dtype=float)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"points has shape {array.shape}: [n] or [n, d] is needed, none of them 0.")
    if not np.isfinite(array).all():
        raise ValueError("points holds NaN or infinite values.")
    return array.reshape(len(array), -1)


def _classes(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"classes is {array.dtype} {array.shape}: a vector [n] of integers is needed.")
    codes = np.unique(array)
    if not np.array_equal(codes, np.arange(len(codes))):
        raise ValueError(f"classes must be 0, …, C − 1, each of them used: {codes[:5].tolist()}… were given.")
    return array


class LabelledPopulation(AbstractDensityTask):
    """N equally likely points Z, each with a class: X is the point, Y its class.

    Where no point has two classes, I(Z; Y) is the entropy of the classes, log C for C equally large ones: however the
    classes lie, next to each other or mixed up.

    As a population of positives (two independent draws Z, Z′ of one class, as two views are of one image), its classes
    are the identities of `kerneldep.dependence.positive_dependence` and `kerneldep.analysis.infonce_hsic`: hand them
    `views`. The points are NumPy arrays, counted before any compilation: close over a population inside `jit`.

    Args:
        points: [n] or [n, d].
        classes: integers [n], 0, …, C − 1.
        label: its name.
    """

    points: Float[np.ndarray, "n d"] = eqx.field(converter=_points)
    classes: Int[np.ndarray, " n"] = eqx.field(converter=_classes)
    label: str = eqx.field(static=True, default="population")

    def __check_init__(self) -> None:
        if len(self.points) != len(self.classes):
            raise ValueError(f"{len(self.points)} points and {len(self.classes)} classes: one a point is needed.")

    @property
    def name(self) -> str:
        """As given."""
        return self.label

    @property
    def num_classes(self) -> int:
        """C."""
        return int(self.classes.max()) + 1

    @property
    def mutual_information(self) -> float:
        """I(Z; Y) in nats, by counting."""
        return information_of_table(self._support.joint)

    @property
    def positive_information(self) -> float:
        """I(Z; Z′) ≤ I(Z; Y) in nats, of two independent draws of one class; what InfoNCE's best critic reaches."""
        joint = self._support.joint
        return information_of_table(joint / joint.sum(0) @ joint.T)

    @property
    def views(self) -> Float[np.ndarray, "M C d"]:
        """The points [M, C, d] with the class as image, for functions of views; a class of one point has it twice.

        Raises:
            ValueError: if there are not two or more equally large classes.
        """
        sizes = np.bincount(self.classes)
        if (sizes != sizes[0]).any() or len(sizes) < 2:
            raise ValueError(f"classes have {sizes.tolist()} points: two or more equally large classes are needed.")
        order = np.argsort(self.classes, kind="stable")
        by_class = self.points[order].reshape(len(sizes), -1, self.points.shape[1])
        return np.repeat(by_class, 2 if sizes[0] == 1 else 1, axis=1).swapaxes(0, 1)

    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n d"], Float[Array, "n 1"]]:
        """Points with replacement, and their classes as numbers."""
        index = jax.random.randint(key, (n,), 0, len(self.points))
        points, classes = (jnp.asarray(values, float)[index] for values in (self.points, self.classes))
        return points, classes[:, None]

    def critic(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """Log p(y_j | x_i)/p(y_j), from counts; each x_i is taken to be the nearest point of the population.

        Args:
            x: points [n, d].
            y: classes [m, 1] as numbers.
        """
        x, y = paired_samples(x, y, self.points.shape[1], 1)
        guard = _check.Guard()
        codes = y[:, 0].round().astype(int)
        known = (codes == y[:, 0]) & (codes >= 0) & (codes < self.num_classes)
        guard.require(known.all(), f"y must hold classes 0, …, {self.num_classes - 1}.")
        points, joint = self._support
        with np.errstate(divide="ignore"):
            table = np.log(joint) - np.log(joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True))
        support = jnp.asarray(points, x.dtype)
        nearest = ((guard.on(x)[:, None] - support[None, :]) ** 2).sum(-1).argmin(1)
        return jnp.asarray(table, x.dtype)[nearest[:, None], codes[None, :]]

    @property
    def _support(self) -> "_Support":
        points, index = np.unique(self.points, axis=0, return_inverse=True)
        joint = np.zeros((len(points), self.num_classes))
        np.add.at(joint, (index.reshape(-1), self.classes), 1 / len(self.classes))
        return _Support(points, joint)


def interleaved(levels: int) -> LabelledPopulation:
    """Even numbers 0, 2, …, 2m of one class and odd numbers 1, 3, …, 2m + 1 of the other (M1 of the theory).

    I(Z; Y) = log 2 for every m, while dependence with a kernel of fixed scale falls as m grows: neighbours are of the
    other class.

    Args:
        levels: m ≥ 0.
    """
    levels = _check.as_count(levels, "levels", 0)
    numbers = np.arange(2 * levels + 2)
    return LabelledPopulation(numbers, numbers % 2, f"interleaved-{levels}")
