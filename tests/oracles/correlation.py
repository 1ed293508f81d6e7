"""Losses on correlations of features, and CDSSL: Barlow Twins, VICReg, W-MSE.

Views are [M, B, d] in float64, as plain loops. The functions at the end are references of `tests.objectives.cases`.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .hsic import hsic_biased
from .kernels import gaussian


def standardise(view: np.ndarray, epsilon: float) -> np.ndarray:
    """Columns less their mean, over √(biased variance + ε); 0 for a constant column at ε = 0."""
    n, d = view.shape
    result = np.zeros((n, d))
    for j in range(d):
        mean = sum(view[:, j]) / n
        variance = sum((one - mean) ** 2 for one in view[:, j]) / n + epsilon
        if variance > 0:
            result[:, j] = (view[:, j] - mean) / math.sqrt(variance)
    return result


def correlation(one: np.ndarray, other: np.ndarray, epsilon: float = 0.0) -> np.ndarray:
    """C_ij = (1/n) Σ_b ẑ_bi ẑ′_bj of two views [n, d]."""
    a, b = standardise(one, epsilon), standardise(other, epsilon)
    n, d = a.shape
    return np.array([[sum(a[k, i] * b[k, j] for k in range(n)) / n for j in range(d)] for i in range(d)])


def off_diagonal_squares(matrix: np.ndarray) -> float:
    """Σ_{i≠j} A²_ij."""
    return sum(matrix[i, j] ** 2 for i in range(len(matrix)) for j in range(len(matrix)) if i != j)


def barlow(one: np.ndarray, other: np.ndarray, weight: float, epsilon: float = 0.0) -> float:
    """Σ_i(1 − C_ii)² + λΣ_{i≠j}C²_ij of two views."""
    c = correlation(one, other, epsilon)
    return sum((1 - c[i, i]) ** 2 for i in range(len(c))) + weight * off_diagonal_squares(c)


def over_pairs(views: np.ndarray, loss: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """The mean of a two-view loss over unordered pairs of views."""
    return float(np.mean([loss(views[a], views[b]) for a, b in itertools.combinations(range(len(views)), 2)]))


def vicreg(
    one: np.ndarray, other: np.ndarray, weights: tuple[float, float, float], convention: str, deviation: float
) -> float:
    """VICReg of two views, ε = 1e-4."""
    n, d = one.shape
    invariance = sum(((one[i] - other[i]) ** 2).sum() for i in range(n)) / n
    variance = covariance = 0.0
    for view in (one, other):
        matrix = np.cov(view.T)
        variance += sum(max(0.0, deviation - math.sqrt(matrix[i, i] + 1e-4)) for i in range(d)) / d
        covariance += off_diagonal_squares(matrix) / d
    if convention == "official":
        invariance, variance = invariance / d, variance / 2
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


def whiten(x: np.ndarray, epsilon: float) -> np.ndarray:
    """L⁻¹(x − mean) with LLᵀ = Σ + ε·tr(Σ)·I."""
    covariance = np.cov(x.T)
    factor = np.linalg.cholesky(covariance + epsilon * np.trace(covariance) * np.eye(x.shape[1]))
    return (x - x.mean(0)) @ np.linalg.inv(factor).T


def w_mse(views: np.ndarray, normalised: bool, together: bool, epsilon: float) -> float:
    """W-MSE of one batch whitened as a whole."""
    m, n, d = views.shape
    white = whiten(views.reshape(-1, d), epsilon).reshape(m, n, d) if together else [whiten(z, epsilon) for z in views]
    white = np.stack(list(white))

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        if normalised:
            one, other = _unit(one), _unit(other)
        return float(np.mean([((a - b) ** 2).sum() for a, b in zip(one, other, strict=True)])) / (
            1 if normalised else d
        )

    return over_pairs(white, distance)


def hsic_of_rows(one: np.ndarray, other: np.ndarray, bandwidth: float | None) -> float:
    """The V-statistic of rows L2-normalised, with Gaussian kernels of bandwidth √(p/2) or the one given."""
    sigma = math.sqrt(one.shape[1] / 2) if bandwidth is None else bandwidth
    grams = [np.array([[gaussian(x, y, sigma) for y in rows] for x in rows]) for rows in (_unit(one), _unit(other))]
    return hsic_biased(*grams)


def cdssl(
    one: np.ndarray,
    other: np.ndarray,
    weights: tuple[float, ...],
    order: np.ndarray,
    weight: float,
    bandwidth: float | None,
    sign: int,
    trace: bool,
) -> float:
    """CDSSL of two views; weights of cross- and auto-correlation, then dependence, each of samples and features."""
    total = 0.0
    for which, (x, y) in enumerate([(one, other), (one.T, other.T)]):
        auto = sum(off_diagonal_squares(correlation(z, z)) for z in (x, y))
        dependence = hsic_of_rows(x, y, bandwidth)
        if which == 1:
            dependence -= (hsic_of_rows(x, y[order], bandwidth) + hsic_of_rows(x[order], y, bandwidth)) / 2
        own = sum(hsic_of_rows(z, z, bandwidth) for z in (x, y))
        scale = len(x) ** 2 if trace else 1
        total += weights[which] * barlow(x, y, weight) + weights[2 + which] * auto
        total += scale * (-weights[4 + which] * dependence + sign * weights[6 + which] * own)
    return total


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def barlow_twins_reference(weight: float, epsilon: float = 1e-5) -> Callable[[Any, Any], float]:
    """Of `BarlowTwins`."""
    return lambda found, key: over_pairs(found.projections, lambda a, b: barlow(a, b, weight, epsilon))


def vicreg_reference(
    weights: tuple[float, float, float] = (25.0, 25.0, 1.0), convention: str = "official", deviation: float = 1.0
) -> Callable[[Any, Any], float]:
    """Of `VICReg`."""
    return lambda found, key: over_pairs(found.projections, lambda a, b: vicreg(a, b, weights, convention, deviation))


def w_mse_reference(
    normalised: bool = True, together: bool = False, epsilon: float = 1e-6
) -> Callable[[Any, Any], float]:
    """Of `WMSE` without a size."""
    return lambda found, key: w_mse(found.projections, normalised, together, epsilon)


def cdssl_reference(
    weights: tuple[float, ...],
    weight: float = 0.05,
    bandwidth: float | None = None,
    sign: int = -1,
    trace: bool = True,
) -> Callable[[Any, Any], float]:
    """Of `CDSSL`; the permutation is the one that it draws."""

    def reference(found: Any, key: Any) -> float:
        order = np.asarray(jax.random.permutation(key, found.projections.shape[2]))
        return over_pairs(found.projections, lambda a, b: cdssl(a, b, weights, order, weight, bandwidth, sign, trace))

    return reference
