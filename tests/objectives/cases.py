"""The one list of objectives: an item added here is put through every invariant of `test_objectives`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from kerneldep.features import random_fourier
from kerneldep.kernels import Gaussian, InverseMultiquadric
from kerneldep.objectives import SSLHSIC, AbstractObjective, InfoNCE, Outputs

from ..oracles import kernels as oracle
from ..oracles import ssl

IMAGES, DIM, INPUT_DIM, CLASSES = 8, 4, 3, 3


class Arrays(NamedTuple):
    """What a network might put out, in float64 and of no particular norm: a reference takes what it needs of it."""

    projections: np.ndarray
    predictions: np.ndarray
    targets: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray


Reference = Callable[[Arrays, Key[Array, ""]], float]


@dataclass(frozen=True)
class Case:
    """One objective.

    Attributes:
        name: for test ids.
        make: the objective, made in the test's lane.
        reference: its loss from the initial state, by plain NumPy loops of the oracles. The key is for methods that
            draw features or slices: the reference makes the same draw, and all else by itself.
        supervised: whether it needs `inputs` and `labels`.
    """

    name: str
    make: Callable[[], AbstractObjective]
    reference: Reference
    supervised: bool = False

    def __str__(self) -> str:
        return self.name


def arrays(objective: AbstractObjective, seed: int = 0, images: int = IMAGES, dim: int = DIM) -> Arrays:
    """Views scattered about one centre an image."""
    rng = np.random.default_rng(seed)
    shape = (objective.num_views, images, dim)
    centers = rng.normal(size=(1, images, dim))
    projections, predictions, targets = (centers + 0.5 * rng.normal(size=shape) for _ in range(3))
    inputs = rng.normal(size=(objective.num_views, images, INPUT_DIM))
    return Arrays(projections, predictions, targets, inputs, np.arange(images) % CLASSES)


def outputs_of(case: Case, objective: AbstractObjective, found: Arrays, dtype: Any = None) -> Outputs:
    """Outputs with everything the objective asks for, and nothing else."""
    views = [jnp.asarray(one, dtype) for one in found[:4]]
    return Outputs(
        views[0],
        views[1] if objective.predictor else None,
        views[2] if objective.target != "none" else None,
        views[3] if case.supervised else None,
        jnp.asarray(found.labels, jnp.int32) if case.supervised else None,
    )


def _unit(views: np.ndarray) -> np.ndarray:
    return views / np.linalg.norm(views, axis=-1, keepdims=True)


def _imq(x: np.ndarray, y: np.ndarray) -> float:
    return oracle.inverse_multiquadric(x, y, 0.5)


def _ssl_hsic(dep: Callable[[np.ndarray], float], kernel: Callable = _imq, with_target: bool = False) -> Reference:
    def reference(found: Arrays, key: Key[Array, ""]) -> float:
        views = np.concatenate([found.predictions, found.targets]) if with_target else found.projections
        gram = ssl.view_gram(_unit(views), kernel)
        return ssl.ssl_hsic_loss(dep(gram), ssl.self_hsic(gram), 3.0)

    return reference


def _ssl_hsic_features(found: Arrays, key: Key[Array, ""]) -> float:
    m, b, d = found.projections.shape
    z = _unit(found.projections)
    first, second = (
        np.asarray(random_fourier(InverseMultiquadric(0.5), d, 32, key=half)(jnp.asarray(z.reshape(-1, d))))
        for half in jax.random.split(key)
    )
    both = np.concatenate([first, second], axis=1) / math.sqrt(2)
    dep = ssl.dep_paper((both @ both.T).reshape(m, b, m, b))
    cross = (first - first.mean(0)).T @ (second - second.mean(0)) / len(first)
    return ssl.ssl_hsic_loss(dep, float((cross**2).sum()), 3.0)


def _infonce(loss: Callable[[np.ndarray], float]) -> Reference:
    return lambda found, key: loss(ssl.view_gram(_unit(found.projections), oracle.cosine))


def _population(gram: np.ndarray) -> float:
    # The oracle's positives include p = q.
    include, exclude = (ssl.positive_mean(gram, include_self=flag) / 0.2 for flag in (True, False))
    return ssl.infonce_population(gram, 0.2) + include - exclude


CASES = (
    Case("ssl_hsic", SSLHSIC, _ssl_hsic(lambda gram: ssl.dep_unbiased(gram, math.inf))),
    Case("ssl_hsic-features", lambda: SSLHSIC(estimate="paper", num_features=64), _ssl_hsic_features),
    Case(
        "ssl_hsic-population",
        lambda: SSLHSIC(estimate="population", kernel=Gaussian(1.0), num_views=3),
        _ssl_hsic(ssl.dep_population, lambda x, y: oracle.gaussian(x, y, 1.0)),
    ),
    Case(
        "ssl_hsic-target-learned",
        lambda: SSLHSIC(target="ema", learn_scale=True, num_images=50),
        _ssl_hsic(lambda gram: ssl.dep_unbiased(gram, 50), with_target=True),
    ),
    Case("infonce-nt_xent", InfoNCE, _infonce(lambda gram: ssl.nt_xent(gram, 0.2))),
    Case(
        "infonce-in_batch",
        lambda: InfoNCE(denominator="in_batch"),
        _infonce(lambda gram: ssl.infonce_in_batch(gram, 0.2)),
    ),
    Case("infonce-population", lambda: InfoNCE(denominator="population", num_views=3), _infonce(_population)),
)
