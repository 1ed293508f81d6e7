"""Why not mutual information itself: one value of it, many qualities of representation (M1, M2 of the theory).

Two-class populations of positives with the same information I(Z; Y) = log 2: interleaved numbers, and labellings of the
points of a lattice. `mi_pathology` puts beside it what does differ: dependence, InfoNCE with weak critics, and what a
linear or a nearest-neighbour learner gets from few labels. The point is that of Li et al. (2021), figure 2; the
populations and the closed forms are kerneldep's.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.identity import identity_hsic, positive_dependence
from ..information.tasks import LabelledPopulation
from ..kernels import AbstractKernel, Cosine, Gaussian, InverseMultiquadric
from ..kernels.base import check_parameters
from .probes import fit_linear_probe

PENALTY = 1e-2

EXACT = "exact"


class MIPathology(eqx.Module):
    """What `mi_pathology` finds of a population; information and bounds in nats.

    All but `linear` are exact expectations over the population; `linear` is a mean over random draws of labels.

    Attributes:
        mutual_information: I(Z; Y) of a point and its class.
        positive_information: I(Z; Z′) of two positives, which InfoNCE bounds from below.
        dependence: dep = E_pos k − E k.
        hsic: HSIC(Z, Y) = dep/C, with a label kernel of 1 and 0 on the C classes.
        infonce: by critic k, max over s of E_pos sk − E_Z log E_Z′ e^{sk}: what −L_InfoNCE reaches at the best
            temperature 1/s, with infinitely many negatives. "exact" is the best of all critics.
        inverse_temperature: by critic, the s of that maximum.
        linear: accuracy of a linear probe fitted to few labels.
        linear_error: standard error of `linear` over draws.
        linear_all: accuracy of a linear probe fitted to all points, on them.
        nearest: accuracy of one nearest neighbour from few labels.
    """

    mutual_information: float
    positive_information: float
    dependence: Scalar
    hsic: Array
    infonce: dict[str, float]
    inverse_temperature: dict[str, float]
    linear: float
    linear_error: float
    linear_all: float
    nearest: float


def mi_pathology(
    population: LabelledPopulation,
    kernel: AbstractKernel | None = None,
    *,
    critics: Mapping[str, AbstractKernel] | None = None,
    num_labels: int = 16,
    num_draws: int = 20,
    key: Key[Array, ""],
) -> MIPathology:
    """Mutual information of a population of positives, beside all that it does not tell.

    Labels are those of `num_labels` points drawn with replacement; the probes are tested on the whole population.

    Args:
        population: points with equally large classes.
        kernel: k of dep and HSIC; by default the inverse multiquadric with c = 1.
        critics: kernels k for InfoNCE critics sk; by default the cosine, a Gaussian with σ = 1 and one with σ = ¼.
        num_labels: how many labels learners get.
        num_draws: how many draws of labels the linear probe is averaged over.
        key: a JAX key for those draws.

    Returns:
        An `MIPathology`. Time n² for each of some 20 evaluations a critic, n² log n for neighbours; memory n².

    Raises:
        TypeError: something that is no `LabelledPopulation`, no kernel or no mapping to kernels.
        ValueError: unequal classes, fewer than one label or two draws, a missing key, a critic named "exact".

    Example:
        >>> fine = mi_pathology(stripes(16), critics={"cosine": Cosine()}, num_draws=2, key=jax.random.key(0))
        >>> fine.mutual_information, float(fine.dependence), fine.infonce["cosine"]  # two stripes: dep = 0.0919
        (0.6931, 0.0009, 0.0000)
    """
    if not isinstance(population, LabelledPopulation):
        raise TypeError(f"population is {type(population).__name__}: a LabelledPopulation is needed.")
    num_labels, num_draws = _check.as_count(num_labels, "num_labels"), _check.as_count(num_draws, "num_draws", 2)
    key = _check.random_key(key, "the draw of labels")
    kernel = InverseMultiquadric(1.0) if kernel is None else kernel
    critics = default_critics() if critics is None else critics
    if not isinstance(critics, Mapping):
        raise TypeError(f"critics is {critics!r}: a mapping of names to kernels is needed.")
    if EXACT in critics:
        raise ValueError(f"A critic is named {EXACT!r}, which is the best of all critics.")
    for name, critic in critics.items():
        check_parameters(critic, f"critics[{name!r}]", _check.Guard())
    dependence = positive_dependence(population.views, kernel, estimate="population")
    reached = {name: best_infonce(population.views, critic) for name, critic in critics.items()}
    linear = _few_label_accuracies(population, num_labels, num_draws, key)
    points, classes = population.points, population.classes
    return MIPathology(
        mutual_information=population.mutual_information,
        positive_information=population.positive_information,
        dependence=dependence,
        hsic=identity_hsic(dependence, population.num_classes),
        infonce={name: value for name, (value, _) in reached.items()} | {EXACT: exact_infonce(population)},
        inverse_temperature={name: scale for name, (_, scale) in reached.items()},
        linear=float(linear.mean()),
        linear_error=float(linear.std(ddof=1) / num_draws**0.5),
        linear_all=float(fit_linear_probe(points, classes, penalties=(PENALTY,)).accuracy(points, classes)),
        nearest=nearest_accuracy(points, classes, num_labels),
    )


def default_critics() -> dict[str, AbstractKernel]:
    """Three critics of falling smoothness."""
    return {"cosine": Cosine(), "wide Gaussian": Gaussian(1.0), "narrow Gaussian": Gaussian(0.25)}


def best_infonce(views: ArrayLike, kernel: AbstractKernel, *, largest: float = 100.0) -> tuple[float, float]:
    """Max over 0 ≤ s ≤ `largest` of E_pos sk − E_Z log E_Z′ e^{sk}, and the s where it is.

    For s = 1/τ it is −L_InfoNCE of `infonce_hsic` at temperature τ: a lower bound on the information of positives. It
    is concave in s, 0 at s = 0, and has slope dep there: a critic with dep ≤ 0 reaches nothing.

    Args:
        views: the population [M, B, d].
        kernel: k; its Gram matrix, n² for n = MB, is held.
        largest: where the search ends.

    Returns:
        The value in nats, and s. Both are numbers: not for use under `jit`.

    Raises:
        TypeError: something that is no kernel, or traced.
        ValueError: M = 1 or B = 1, NaN or infinite values, `largest` not positive and finite, a Gram matrix that
            overflows.
    """
    from scipy.optimize import brentq
    from scipy.special import logsumexp, softmax

    if _check.is_traced(views, kernel):
        raise TypeError(
            "views or kernel are traced: best_infonce returns numbers; call it outside of jit, grad and vmap."
        )
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    views, limit = _check.as_views(views, "views", guard), _check.as_positive(largest, "largest")
    num_views, batch, dim = views.shape
    gram = np.asarray(kernel.gram(views.reshape(-1, dim)), dtype=float)
    unit = np.abs(gram).max()
    if not np.isfinite(unit):
        raise ValueError(f"The Gram matrix overflows {views.dtype}: rescale the views or the kernel.")
    if unit == 0:
        return 0.0, 0.0
    gram, limit = gram / unit, limit * unit  # s is sought in units of 1/max |k|
    of_positives = np.einsum("piqi->", gram.reshape(num_views, batch, num_views, batch)) / (num_views**2 * batch)

    def slope(scale: float) -> float:
        return float(of_positives - (softmax(scale * gram, axis=1) * gram).sum(1).mean())

    if slope(0.0) <= 1e-9:  # rounding aside
        return 0.0, 0.0
    high = min(1.0, limit)
    while high < limit and slope(high) >= 0:
        high = min(2 * high, limit)
    best: Any = limit if slope(high) >= 0 else brentq(slope, 0.0, high, xtol=1e-9 * high)
    scale = float(best)
    value = scale * of_positives - (logsumexp(scale * gram, axis=1) - np.log(len(gram))).mean()
    return float(value), scale / unit


def exact_infonce(population: LabelledPopulation) -> float:
    """E_pos f − E_Z log E_Z′ e^f at the best critic f = log p(z, z′)/(p(z)p(z′)), enumerated.

    It is I(Z; Z′): the second term is 0.
    """
    points, index = np.unique(population.points, axis=0, return_inverse=True)
    joint = np.zeros((len(points), population.num_classes))
    np.add.at(joint, (index.reshape(-1), population.classes), 1 / len(population.classes))
    share = joint.sum(1)
    pairs = joint / joint.sum(0) @ joint.T  # p(z, z′) = Σ_y p(z, y)p(z′, y)/p(y)
    ratio = pairs / np.outer(share, share)
    critic = np.log(np.where(pairs > 0, ratio, 1))
    return float((pairs * critic).sum() - share @ np.log(ratio @ share))


def nearest_accuracy(points: ArrayLike, classes: ArrayLike, num_labels: int) -> float:
    """Expected accuracy of one nearest neighbour from L labels drawn with replacement, in closed form.

    No label is among the r nearest points of z, itself included, with probability (1 − r/n)^L; so the nearest label
    lies at the points of ranks a + 1, …, b with probability (1 − a/n)^L − (1 − b/n)^L, shared by those at one distance.
    Averaged over z in the population. Distances are Euclidean, unlike those of `knn_accuracy`, which compares
    directions.

    Args:
        points: [n] or [n, d].
        classes: integers [n].
        num_labels: L ≥ 1.

    Returns:
        An accuracy. Time n²(d + log n), memory n².

    Raises:
        ValueError: NaN or infinite points, classes that are not one integer a point, or L < 1.
    """
    num_labels = _check.as_count(num_labels, "num_labels")
    points, classes = np.asarray(_check.as_real(points, "points"), dtype=float), np.asarray(classes)
    if points.ndim not in (1, 2) or not points.size or not np.isfinite(points).all():
        raise ValueError(
            f"points, of shape {points.shape}, must be [n] or [n, d], n ≥ 1, without NaN or infinite values."
        )
    n = len(points)
    points = points.reshape(n, -1)
    if classes.shape != (n,) or classes.dtype.kind not in "biu":
        raise ValueError(f"{n} points, classes {classes.dtype} {classes.shape}: one integer a point is needed.")
    squares = sum(((x[:, None] - x[None, :]) ** 2 for x in points.T), np.zeros((n, n)))
    order = squares.argsort(1, kind="stable")
    sorted_squares = np.take_along_axis(squares, order, 1)
    rank = np.arange(n)[None, :]
    apart = np.diff(sorted_squares, axis=1) > 1e-9 * sorted_squares[:, 1:]  # equal distances may round apart
    edge = np.ones((n, 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, apart]), rank, 0), axis=1)
    last = np.where(np.hstack([apart, edge]), rank + 1, n)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    weights = ((1 - first / n) ** num_labels - (1 - last / n) ** num_labels) / (last - first)
    return float((weights * (classes[order] == classes[:, None])).sum(1).mean())


def _few_label_accuracies(
    population: LabelledPopulation, num_labels: int, num_draws: int, key: Key[Array, ""]
) -> Float[np.ndarray, " draws"]:
    draws = np.asarray(jax.random.randint(key, (num_draws, num_labels), 0, len(population.points)))
    points, classes = population.points, population.classes
    probes = (fit_linear_probe(points[draw], classes[draw], penalties=(PENALTY,)) for draw in draws)
    return np.array([float(probe.accuracy(points, classes)) for probe in probes])


# The populations. Those on the lattice have the very same points: the law of Z is the same, and with it HSIC(Z, Z), the
# range of k and the whole gap L_InfoNCE + dep; at a fixed kernel critic they differ in InfoNCE by dep alone.


def stripes(count: int, side: int = 16) -> LabelledPopulation:
    """A lattice on [−2, 2]² in `count` upright stripes of alternating class; 2 are two halves."""
    column, _ = _cells(count, side)
    return _on_lattice(column % 2, side, f"{count} stripes")


def checkerboard(count: int, side: int = 16) -> LabelledPopulation:
    """A lattice on [−2, 2]² in `count` × `count` fields of alternating class; 2 × 2 is exclusive or."""
    column, row = _cells(count, side)
    return _on_lattice((column + row) % 2, side, f"{count} × {count} checkerboard")


def blobs(gap: float = 3.0, side: int = 16) -> LabelledPopulation:
    """The halves of `stripes(2)`, moved apart by `gap`: an injective map of Z, but another law."""
    halves = stripes(2, side)
    moved = halves.points + 0.5 * gap * np.sign(halves.points) * np.array([[1.0, 0.0]])
    return LabelledPopulation(moved, halves.classes, "two blobs")


def scrambled(population: LabelledPopulation, key: Key[Array, ""]) -> LabelledPopulation:
    """The population under a random bijection of its points: same law of Z, same information, no geometry (M2).

    For distinct points and C classes, dep has mean (C − 1)(1 − k̄)/n over bijections, with k̄ the mean of k over pairs
    of different points and k(z, z) = 1: it vanishes as the population grows.
    """
    order = np.asarray(jax.random.permutation(_check.random_key(key, "scrambling"), len(population.points)))
    return LabelledPopulation(population.points[order], population.classes, f"{population.name}, scrambled")


def same_information(side: int = 16, *, key: Key[Array, ""]) -> tuple[LabelledPopulation, ...]:
    """Two-class populations in the plane with I(Z; Y) = I(Z; Z′) = log 2, from easy to hopeless."""
    return (
        blobs(side=side),
        stripes(2, side),
        checkerboard(2, side),
        stripes(4, side),
        checkerboard(4, side),
        scrambled(stripes(2, side), key),
    )


def _cells(count: int, side: int) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    if count < 2 or count % 2 or side % count:
        raise ValueError(f"count = {count} and side = {side}: an even count that divides the side is needed.")
    column, row = np.indices((side, side)).reshape(2, -1) * count // side
    return column, row


def _on_lattice(classes: Int[np.ndarray, " n"], side: int, name: str) -> LabelledPopulation:
    places = 4 * (np.indices((side, side)).reshape(2, -1).T + 0.5) / side - 2
    return LabelledPopulation(places, classes, name)
