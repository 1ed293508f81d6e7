"""Contrastive and predictive losses from views [M, B, d], pair by pair; used as they are unless said to be normalised.

`<method>_reference` gives a loss of `tests.objectives.cases.Arrays`, from what of them the method looks at.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import analysis
from .hsic import centring, hsic_biased
from .ssl import log_sum_exp

Reference = Callable[[Any, Any], float]


def unit(views: np.ndarray) -> np.ndarray:
    """z/‖z‖."""
    return views / np.linalg.norm(views, axis=-1, keepdims=True)


def positives(first: np.ndarray, second: np.ndarray) -> list[float]:
    """x_pi · y_qi for every image i and ordered pair p ≠ q of views."""
    m, b, _ = first.shape
    return [float(first[p, i] @ second[q, i]) for p, q in itertools.permutations(range(m), 2) for i in range(b)]


def negatives(views: np.ndarray, same_view: bool) -> list[float]:
    """z_pi · z_qj for every two images i ≠ j and ordered pair of views, p = q among them or not."""
    m, b, _ = views.shape
    pairs = [(p, q) for p in range(m) for q in range(m) if same_view or p != q]
    return [float(views[p, i] @ views[q, j]) for p, q in pairs for i, j in itertools.permutations(range(b), 2)]


def dcl(views: np.ndarray, temperature: float) -> float:
    """Mean over anchors of log Σ e^{s/τ} over views of other images, less the mean of s⁺/τ, of unit vectors."""
    m, b, _ = views.shape
    logs = []
    for p, i in itertools.product(range(m), range(b)):
        scores = [float(views[p, i] @ views[q, j]) / temperature for q in range(m) for j in range(b) if j != i]
        logs.append(log_sum_exp(scores))
    return float(np.mean(logs)) - float(np.mean(positives(views, views))) / temperature


def spectral_in_batch(views: np.ndarray) -> float:
    """−2 E z·z⁺ + E (z·z⁻)², z⁻ another image in another view (HaoChen et al., 2021)."""
    squares = np.square(negatives(views, same_view=False))
    return float(squares.mean()) - 2 * float(np.mean(positives(views, views)))


def spectral_population(views: np.ndarray) -> float:
    """The same with (z·z′)² over all ordered pairs of views, each with itself included."""
    z = views.reshape(-1, views.shape[-1])
    squares = [float(a @ b) ** 2 for a in z for b in z]
    return float(np.mean(squares)) - 2 * float(np.mean(positives(views, views)))


def shortened(views: np.ndarray, max_squared_norm: float) -> np.ndarray:
    """Vectors longer than √μ scaled to √μ, one by one."""
    limit = math.sqrt(max_squared_norm)
    return np.array([[z * min(1.0, limit / np.linalg.norm(z)) for z in view] for view in views])


def nhsic(gram_x: np.ndarray, gram_y: np.ndarray, ridge: float) -> float:
    """tr(R_x R_y) with the one-sided R = KH(KH + nεI)^{−1} (Ma, Lewis and Kleijn, 2020)."""
    n = len(gram_x)

    def shrinkage(gram: np.ndarray) -> np.ndarray:
        right = gram @ centring(n)
        return right @ np.linalg.inv(right + n * ridge * np.eye(n))

    return float(np.trace(shrinkage(gram_x) @ shrinkage(gram_y)))


def wide_gaussian(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gram matrix of exp(−‖x − x′‖²/(2σ²d)), pair by pair."""
    return np.array([[math.exp(-float((a - b) @ (a - b)) / (2 * sigma**2 * len(a))) for b in x] for a in x])


def hsic_bottleneck_reference(beta: float, sigma: float, num_classes: int, ridge: float | None) -> Reference:
    """HSIC(Z, X) − β·HSIC(Z, Y), normalised with a ridge and the V-statistic without; Y as one-hot vectors."""

    def measure(a: np.ndarray, b: np.ndarray) -> float:
        return hsic_biased(a, b) if ridge is None else nhsic(a, b, ridge)

    def reference(found: Any, key: Any) -> float:
        one_hot = np.array([np.eye(num_classes)[label] for _ in found.projections for label in found.labels])
        samples = (found.projections.reshape(-1, found.projections.shape[-1]), found.inputs.reshape(len(one_hot), -1))
        of_z, of_x, of_y = (wide_gaussian(one, sigma) for one in (*samples, one_hot))
        return measure(of_z, of_x) - beta * measure(of_z, of_y)

    return reference


def dcl_reference(temperature: float) -> Reference:
    """DCL of L2-normalised projections."""
    return lambda found, key: dcl(unit(found.projections), temperature)


def spectral_reference(max_squared_norm: float) -> Reference:
    """The authors' version: shortened features, loss divided by μ."""
    return lambda found, key: spectral_in_batch(shortened(found.projections, max_squared_norm)) / max_squared_norm


def spectral_population_reference(found: Any, key: Any) -> float:
    """The formula with plug-in expectations, of features as they are."""
    return spectral_population(found.projections)


def alignment_uniformity_reference(exponent: float, sharpness: float, weight: float) -> Reference:
    """E‖z − z⁺‖^α + λ log E e^{−t‖z − z′‖²} of L2-normalised projections (Wang and Isola, 2020)."""

    def reference(found: Any, key: Any) -> float:
        views = unit(found.projections)
        return analysis.alignment(views, exponent) + weight * analysis.uniformity(views, sharpness)

    return reference


def byol_reference(found: Any, key: Any) -> float:
    """Mean over ordered pairs of views of ‖q/‖q‖ − z′/‖z′‖‖² (Grill et al., 2020)."""
    q, z = unit(found.predictions), unit(found.targets)
    m, b, _ = q.shape
    pairs = [(p, r, i) for p, r in itertools.permutations(range(m), 2) for i in range(b)]
    return float(np.mean([((q[p, i] - z[r, i]) ** 2).sum() for p, r, i in pairs]))


def simsiam_reference(found: Any, key: Any) -> float:
    """Minus the mean cosine of predictions and targets of different views (Chen and He, 2021)."""
    return -float(np.mean(positives(unit(found.predictions), unit(found.targets))))
