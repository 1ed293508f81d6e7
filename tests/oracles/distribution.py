"""Losses that push the law of a representation to a target law: LeJEPA, kernel VICReg, SFRIK.

Views are [M, B, d] in float64, as plain loops. The functions at the end are references of `tests.objectives.cases`.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .kernels import Kernel, gaussian


def sigreg(views: np.ndarray, slices: np.ndarray, num_knots: int, limit: float) -> float:
    """N∫|ECF(t) − e^{−t²/2}|²e^{−t²/2}dt of each view and slice [d, S], by 2K − 1 knots on [−T, T]; their mean."""
    knots = np.linspace(-limit, limit, 2 * num_knots - 1)
    values = []
    for view in views:
        for direction in slices.T:
            x = view @ direction
            integrand = []
            for t in knots:
                empirical = np.exp(1j * t * x).mean()
                integrand.append(abs(empirical - math.exp(-(t**2) / 2)) ** 2 * math.exp(-(t**2) / 2))
            step = knots[1] - knots[0]
            integral = step * (sum(integrand) - 0.5 * (integrand[0] + integrand[-1]))
            values.append(len(x) * integral)
    return float(np.mean(values))


def sigreg_by_mmd(views: np.ndarray, slices: np.ndarray) -> float:
    """N√(2π)·MMD² (V-statistic, kernel e^{−(x−y)²/2}) to N(0, 1) in closed form, its mean over views and slices."""
    values = []
    for view in views:
        for direction in slices.T:
            x = view @ direction
            within = np.mean([math.exp(-((a - b) ** 2) / 2) for a in x for b in x])
            across = np.mean([math.exp(-(a**2) / 4) / math.sqrt(2) for a in x])
            values.append(len(x) * math.sqrt(2 * math.pi) * (within - 2 * across + 1 / math.sqrt(3)))
    return float(np.mean(values))


def view_invariance(views: np.ndarray) -> float:
    """Mean over views, images and coordinates of (z − mean over views)²."""
    center = sum(views) / len(views)
    return float(np.mean([(view - center) ** 2 for view in views]))


def kernel_vicreg(
    views: np.ndarray,
    kernel: Kernel,
    weights: tuple[float, float, float],
    deviation: float = 1.0,
    epsilon: float = 1e-4,
) -> float:
    """Kernel VICReg, the mean of its two-view loss over unordered pairs of views."""
    m, n, _ = views.shape
    h = np.eye(n) - np.ones((n, n)) / n

    def gram(a: int, b: int) -> np.ndarray:
        return np.array([[kernel(x, y) for y in views[b]] for x in views[a]])

    losses = []
    for a, b in itertools.combinations(range(m), 2):
        invariance = np.trace(gram(a, a) + gram(b, b) - 2 * gram(a, b)) / n
        variance = covariance = 0.0
        for view in (a, b):
            centred = h @ gram(view, view) @ h / n
            spectrum = np.maximum(np.linalg.eigvalsh(centred), 0)
            variance += sum(max(0.0, deviation - math.sqrt(one + epsilon)) for one in spectrum) / n
            covariance += sum(centred[i, j] ** 2 for i in range(n) for j in range(n) if i != j)
        losses.append(weights[0] * invariance + weights[1] * variance + weights[2] * covariance)
    return float(np.mean(losses))


def legendre(degree: int, dim: int, t: float) -> float:
    """P_l(t) in dimension d, P_l(1) = 1, by its explicit sum (Müller 1966).

    l! Γ((d−1)/2) Σ_k (−¼)^k (1−t²)^k t^{l−2k} / (k! (l−2k)! Γ(k + (d−1)/2)).
    """
    half = (dim - 1) / 2
    total = 0.0
    for k in range(degree // 2 + 1):
        total += (
            (-0.25) ** k
            * (1 - t**2) ** k
            * t ** (degree - 2 * k)
            / (math.factorial(k) * math.factorial(degree - 2 * k) * math.gamma(k + half))
        )
    return math.factorial(degree) * math.gamma(half) * total


def sfrik(views: np.ndarray, weight: float, coefficients: tuple[float, ...]) -> float:
    """w·E_pos‖z − z⁺‖² + mean over views of E ψ(z·z′), all pairs of a view, for unit vectors."""
    m, n, d = views.shape
    squares = [((views[a, i] - views[b, i]) ** 2).sum() for a in range(m) for b in range(m) if a != b for i in range(n)]
    kernel = []
    for view in views:
        for x, y in itertools.product(view, view):
            kernel.append(sum(b * legendre(degree, d, float(x @ y)) for degree, b in enumerate(coefficients, 1)))
    return float(weight * np.mean(squares) + np.mean(kernel))


def _unit(views: np.ndarray) -> np.ndarray:
    return views / np.linalg.norm(views, axis=-1, keepdims=True)


def slices_of(key: Any, dim: int, num_slices: int) -> np.ndarray:
    """The draw that SIGReg makes: standard normal columns, normalised here."""
    directions = np.asarray(jax.random.normal(key, (dim, num_slices)), np.float64)
    return directions / np.linalg.norm(directions, axis=0)


def lejepa_reference(weight: float, num_slices: int, num_knots: int, limit: float) -> Callable[[Any, Any], float]:
    """Of `LeJEPA`."""

    def reference(found: Any, key: Any) -> float:
        views = found.projections
        regulariser = sigreg(views, slices_of(key, views.shape[2], num_slices), num_knots, limit)
        return (1 - weight) * view_invariance(views) + weight * regulariser

    return reference


def kernel_vicreg_reference(
    kernel: Kernel = lambda x, y: gaussian(x, y, 1.0), deviation: float = 1.0, normalised: bool = True
) -> Callable[[Any, Any], float]:
    """Of `KernelVICReg` with its default weights."""

    def reference(found: Any, key: Any) -> float:
        views = _unit(found.projections) if normalised else found.projections
        return kernel_vicreg(views, kernel, (25.0, 25.0, 1.0), deviation)

    return reference


def sfrik_reference(weight: float, coefficients: tuple[float, ...]) -> Callable[[Any, Any], float]:
    """Of `SFRIK`."""
    return lambda found, key: sfrik(_unit(found.projections), weight, coefficients)
