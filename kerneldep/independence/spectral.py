"""The spectral test: the limiting null distribution itself, from the eigenvalues of both Gram matrices."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float

from .._check import ArrayLike
from ..dependence.exact import Biased
from ..dependence.hsic import checked_sides
from ..kernels import AbstractKernel
from .arguments import as_level, is_constant, refuse_infinite, refuse_traced
from .gram_sums import centred_gram
from .result import TestResult

SMALL = 1e-6
"""Weights below this share of the largest are replaced by their sum: they have a mean, and next to no variance."""


def spectral_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    alpha: float = 0.05,
) -> TestResult:
    """Tests whether x and y are independent, by the law of Σ_ij λ_i μ_j ζ²_ij with standard normal ζ.

    That is the limit of n·HSIC (V-statistic) under independence, λ and μ the eigenvalues of the centred kernels, here
    of HKH/n and HLH/n. They are scaled so that the mean is that over all permutations, n/(n − 1) times as large. The
    tail of the weighted sum is computed by a saddle-point approximation, so that no key is needed: p = 0.05 is met to
    0.2 % of itself for ten equal weights, to 4 % of itself (0.048 for 0.050) for weights that fall as those of Gaussian
    kernels do. In small samples the estimated eigenvalues make the level smaller or larger than α (see `Returns`).
    Of columns that are nearly constant, as indicators of a few samples, small p-values are wrong by orders of
    magnitude: take `permutation_test`.

    Args:
        x: n ≥ 6 samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        alpha: the level that `result.rejected` is about.

    Returns:
        A `TestResult` whose statistic is HSIC (V-statistic). Time of two symmetric eigenvalue problems of size n,
        memory n². How far levels are from α: `python -m experiments.independence level` in the repository.

    Raises:
        TypeError: bad samples or kernels; traced arguments.
        ValueError: bad samples, fewer than 6; alpha outside (0, 1).

    Warns:
        UserWarning: x or y is constant (p = 1).

    Source: Gretton, Fukumizu, Harchaoui and Sriperumbudur (2009), the spectrum of Gram matrices; Zhang et al. (2011),
    for independence; Kuonen (1999), the saddle point in the form of
    Barndorff-Nielsen (1990).

    Example:
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
        >>> statistic, p_value = spectral_test(x, x**2 + noise)
        >>> p_value < 1e-3
        True
    """
    alpha = as_level(alpha)
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y)
    both = checked_sides(x, y, kernel_x, kernel_y, Biased())
    n = len(both[0].diagonal)
    if n < 6:
        raise ValueError(f"x and y hold n = {n} samples: a spectral test needs n ≥ 6.")
    method = "Spectral test of independence"
    settings: dict[str, Any] = {}
    if is_constant(x=np.asarray(x), y=np.asarray(y)):
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    unit = float(both[0].unit) * float(both[1].unit)
    refuse_infinite(unit)
    grams = [np.asarray(centred_gram(one.in_units(), False), float) for one in both]
    statistic = float((grams[0] * grams[1]).sum()) / n**2
    refuse_infinite(statistic)
    of_x, of_y = (_eigenvalues(gram) / n for gram in grams)
    if not (of_x.size and of_y.size):  # kernels that tell no samples apart
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    weights = np.outer(of_x, of_y).ravel() * n / (n - 1)
    settings["eigenvalues"] = f"{len(of_x)} × {len(of_y)}"
    p_value = weighted_chi_squared_tail(n * statistic, weights)
    return TestResult(unit * statistic, p_value, method, n, alpha, settings)


def _eigenvalues(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " r"]:
    values = scipy.linalg.eigvalsh(gram)
    return values[values > SMALL * values[-1]]


def weighted_chi_squared_tail(value: float, weights: Float[np.ndarray, " r"]) -> float:
    """P(Σ w_i ζ²_i ≥ value) for standard normal ζ_i and w_i ≥ 0, by a saddle point (Kuonen 1999).

    With K(t) = −½ Σ log(1 − 2 w_i t), K′(t̂) = value, r = sign(t̂) √(2(t̂·value − K(t̂))) and v = t̂ √K″(t̂):
    1 − Φ(r + log(v/r)/r) (Barndorff-Nielsen 1990).
    """
    unit = weights.max()
    weights, value = weights / unit, value / unit
    large = weights > SMALL
    value -= weights[~large].sum()
    if value <= 0:
        return 1.0
    weights, counts = _grouped(weights[large])

    def slope(t: float) -> float:
        return float((counts * weights / (1 - 2 * weights * t)).sum()) - value

    # K′ − value is negative at `low`, where each term of K′ is below value/r, and positive at `high`, where the largest
    # alone, 1/(1 − 2t), is 2·value or the mean is above value.
    low, high = -counts.sum() / (2 * value), 0.5 - 0.25 / max(value, 1) if slope(0.0) < 0 else 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    t = (low + high) / 2
    rest = 1 - 2 * weights * t
    cumulant, curvature = -0.5 * (counts * np.log(rest)).sum(), 2 * (counts * (weights / rest) ** 2).sum()
    if abs(t) * np.sqrt(curvature) < 1e-3:  # the limit at the mean, where both r and v are 0
        variance = 2 * (counts * weights**2).sum()
        skewness = 8 * (counts * weights**3).sum() / variance**1.5
        deviation = (value - (counts * weights).sum()) / np.sqrt(variance)
        return float(scipy.special.ndtr(-skewness / 6 - deviation))
    r = np.sign(t) * np.sqrt(2 * max(t * value - cumulant, 0))
    v = t * np.sqrt(curvature)
    return float(scipy.special.ndtr(-r - np.log(v / r) / r))


def _grouped(weights: Float[np.ndarray, " r"]) -> tuple[np.ndarray, np.ndarray]:
    """Weights within 1 % of each other by their mean, and how many each stands for: the law is the same to 1e-5."""
    group = np.floor(-100 * np.log(weights)).astype(int)
    counts = np.bincount(group)
    sums = np.bincount(group, weights)
    return sums[counts > 0] / counts[counts > 0], counts[counts > 0]
