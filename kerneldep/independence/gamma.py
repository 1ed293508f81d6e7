"""The gamma test: the null distribution's mean and variance in closed form, no permutation drawn."""

import functools
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import scipy.special
from jaxtyping import Array, Key, Scalar

from .._check import ArrayLike
from ..dependence.exact import Biased, sides
from ..dependence.feature_based import AbstractFeatureBased, FeatureSide
from ..dependence.feature_sums import feature_sums, means, recentred
from ..dependence.hsic import checked
from ..dependence.tiled import gram_sums, map_rows
from ..kernels import AbstractKernel
from .arguments import as_level, is_constant, refuse_infinite, refuse_traced
from .gram_sums import centring
from .result import TestResult

MIN_SAMPLES = 6


class CentredMoments(NamedTuple):
    """Of a centred Gram matrix A = HKH: tr A, ‖A‖²_F and Σ A_ii²."""

    trace: Any
    squares: Any
    diagonal_squares: Any


def gamma_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: Biased | AbstractFeatureBased = Biased(),  # noqa: B008 (immutable, holds no array)
    moments: Literal["permutation", "gretton"] = "permutation",
    alpha: float = 0.05,
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether x and y are independent, with a gamma law fitted to the null distribution of the V-statistic.

    With A = HKH and B = HLH, T = tr(AB) has over all n! permutations of y the mean tr A tr B/(n − 1) and the variance

    2 α(A) α(B)/((n − 1)²(n + 1)(n − 2)) + β(A) β(B)/((n + 1) n (n − 1)(n − 2)(n − 3)),
    α(A) = (n − 1)‖A‖² − tr²A,  β(A) = n(n + 1) Σ A_ii² − (n − 1)(tr²A + 2‖A‖²):

    exact for the data at hand, from the same pass over the tiles as T. The gamma law with these two moments is an
    approximation; its tail is not: the level is near α, not below it (see `Returns`). Of columns that are nearly
    constant, as indicators of a few samples, its small p-values are several times too small: take `permutation_test`.

    Args:
        x: n ≥ 6 samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        estimator: `Biased()`; or `RandomFourier(D)` or `Nystrom(m)` (not their unbiased forms), with which n may be in
            the millions.
        moments: "permutation", the exact ones above; or "gretton", those of Gretton et al. (2008), which are right to
            order 1/n and take a second pass over the tiles.
        alpha: the level that `result.rejected` is about.
        key: a JAX key, needed where the estimator is random.

    Returns:
        A `TestResult` whose statistic is HSIC (V-statistic). Time of three exact HSICs, memory n; with features n D²
        and D². How far levels are from α: `python -m experiments.independence level` in the repository.

    Raises:
        TypeError: bad samples, kernels or key; traced arguments.
        ValueError: bad samples, fewer than 6; alpha outside (0, 1); another estimator, or other moments, than above.

    Warns:
        UserWarning: x or y is constant (p = 1).

    Source: Gretton et al. (2008), the gamma law; Kazi-Aoual, Hitier, Sabatier and Lebreton (1995), the moments over
    permutations.

    Example:
        >>> import numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
        >>> statistic, p_value = gamma_test(x, x**2 + noise)
        >>> p_value < 1e-3
        True
    """
    alpha = as_level(alpha)
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y)
    if moments not in ("permutation", "gretton"):
        raise ValueError(f"moments is {moments!r}: 'permutation' or 'gretton' is needed.")
    if not isinstance(estimator, Biased | AbstractFeatureBased) or estimator.unbiased:
        raise ValueError(f"estimator is {estimator!r}: a V-statistic is needed, of Biased() or of features.")
    if moments == "gretton" and not isinstance(estimator, Biased):
        raise ValueError(f"moments='gretton' needs the estimator Biased(), not {estimator!r}.")
    kernel_x, kernel_y, x, y, key = checked(x, y, kernel_x, kernel_y, estimator, key)
    n = len(x)
    if n < MIN_SAMPLES:
        raise ValueError(f"x and y hold n = {n} samples: a gamma test needs n ≥ {MIN_SAMPLES}.")
    method = "Gamma test of independence"
    settings: dict[str, Any] = {"estimator": str(estimator), "moments": moments}
    if is_constant(x=x, y=y):
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    gretton = moments == "gretton"
    prepared = (sides if gretton else functools.partial(estimator.prepare, key=key))(kernel_x, kernel_y, x, y)
    if gretton:
        unit, total, mean, variance = jax.tree.map(float, _gretton(prepared))
    else:
        unit, total, a, b = jax.tree.map(float, _sums(prepared))
        mean, variance = permutation_moments(a, b, n)
    refuse_infinite(unit, total, mean, variance)
    p_value = (
        float(scipy.special.gammaincc(mean**2 / variance, max(total, 0) * mean / variance)) if variance > 0 else 1.0
    )
    return TestResult(unit * total / n**2, p_value, method, n, alpha, settings)


def permutation_moments(a: CentredMoments, b: CentredMoments, n: int) -> tuple[float, float]:
    """Mean and variance of tr(A·πBπᵀ) over all n! permutations π, for centred symmetric A and B."""

    def parts(of: CentredMoments) -> tuple[Any, Any]:
        squared = of.trace**2
        alpha = (n - 1) * of.squares - squared
        beta = n * (n + 1) * of.diagonal_squares - (n - 1) * (squared + 2 * of.squares)
        return alpha, beta

    (alpha_a, beta_a), (alpha_b, beta_b) = parts(a), parts(b)
    mean = a.trace * b.trace / (n - 1)
    variance = 2 * alpha_a * alpha_b / ((n - 1) ** 2 * (n + 1) * (n - 2))
    variance += beta_a * beta_b / ((n + 1.0) * n * (n - 1) * (n - 2) * (n - 3))
    return float(mean), float(variance)


Sums = tuple[Scalar, Scalar, CentredMoments, CentredMoments]


@eqx.filter_jit
def _sums(prepared: tuple[Any, Any]) -> Sums:
    """The unit of all that follows; T; and the moments of A and B."""
    unit = prepared[0].unit * prepared[1].unit
    of_x, of_y = (one.in_units() for one in prepared)
    if isinstance(of_x, FeatureSide):
        return unit, *_feature_sums(of_x, of_y)
    pairs = ((0, 1), (0, 0), (1, 1))
    sums = gram_sums((of_x, of_y), pairs)
    n = float(len(sums.rows[0]))
    products = [Biased().from_sums(sums, which, pair) * n**2 for which, pair in enumerate(pairs)]
    diagonals = []
    for off, diagonal in zip(sums.rows, sums.diagonals, strict=True):
        rows = off + diagonal
        mean = rows.mean()
        diagonals.append(diagonal - 2 * (rows - mean) / n - mean / n)  # A_ii = k_ii − 2 r_i/n + S/n²
    a, b = (
        CentredMoments(diagonal.sum(), squares, (diagonal**2).sum())
        for diagonal, squares in zip(diagonals, products[1:], strict=True)
    )
    return unit, products[0], a, b


def _feature_sums(of_x: FeatureSide, of_y: FeatureSide) -> tuple[Scalar, CentredMoments, CentredMoments]:
    """The same of K = ΦΦᵀ and L = ΨΨᵀ: Σ A_ii² is Σ p² of p = ‖φ‖², which the U-statistic needs too."""

    def pairs(maps: tuple[Any, Any], samples: tuple[Array, Array]) -> tuple[tuple[Array, Array], ...]:
        phi, psi = (one.features(part) for one, part in zip(maps, samples, strict=True))
        return (phi, psi), (phi, phi), (psi, psi)

    found = feature_sums(eqx.Partial(pairs, (of_x.draws, of_y.draws)), (of_x.x, of_y.x))
    xy, xx, yy = (recentred(sums, means(sums)).moments for sums in found)
    a, b = (CentredMoments(own.p, (own.cross**2).sum(), own.pq) for own in (xx, yy))
    return (xy.cross**2).sum(), a, b


@eqx.filter_jit
def _gretton(prepared: tuple[Any, Any]) -> tuple[Scalar, Scalar, Scalar, Scalar]:
    """The unit of what follows, T, and n² times the mean and n⁴ times the variance of HSIC by Gretton et al. (2008).

    Mean (1 + μ_x μ_y − μ_x − μ_y)/n for kernels with k(x, x) = 1, μ the means off the diagonal; in general
    (k̄ − μ_x)(l̄ − μ_y)/n with the mean diagonals. Variance 2(n − 4)(n − 5)/(n(n − 1)(n − 2)(n − 3)) times the mean of
    (A∘B)² off the diagonal.
    """
    unit = prepared[0].unit * prepared[1].unit
    sides = prepared[0].in_units(), prepared[1].in_units()
    sums = gram_sums(sides, ((0, 1),))
    n = float(len(sums.rows[0]))
    total = Biased().from_sums(sums, 0, (0, 1)) * n**2
    gaps = [of.mean() - off.sum() / (n * (n - 1)) for off, of in zip(sums.rows, sums.diagonals, strict=True)]
    of_x, of_y = (centring(one, False, off) for one, off in zip(sides, sums.rows, strict=True))

    def of_rows(k: Array, l: Array, indices: Array) -> Array:
        keep = indices[:, None] != jnp.arange(len(sums.rows[0]))[None, :]
        return jnp.where(keep, (of_x(k, indices) * of_y(l, indices)) ** 2, 0).sum(1)

    squares = map_rows(of_rows, tuple(one.kernel for one in sides), tuple(one.points for one in sides))
    variance = 2 * (n - 4) * (n - 5) / (n * (n - 1) * (n - 2) * (n - 3)) * squares.sum() / (n * (n - 1))
    return unit, total, gaps[0] * gaps[1] / n * n**2, variance * n**4
