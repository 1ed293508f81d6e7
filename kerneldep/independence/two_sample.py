"""The two-sample test: MMD², with all permutations of the pooled sample as one matrix product."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float, Int, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.exact import AbstractExact, Unbiased
from ..dependence.mmd import two_samples
from ..dependence.tiled import Side, gram_sums, map_rows, side
from ..kernels import AbstractKernel, Gaussian
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from .arguments import as_level, generator, is_constant, refuse_traced, warn_if_unreachable
from .gram_sums import centring
from .permutations import Uniform
from .permuted import Permuted, sampled, under
from .result import TestResult


def two_sample_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel: AbstractKernel | None = None,
    *,
    estimator: AbstractExact = Unbiased(),  # noqa: B008 (immutable, holds no array)
    num_permutations: int = 1000,
    alpha: float = 0.05,
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether two samples are of one law: p = (1 + #{T_π ≥ T})/(1 + P) with T = MMD² and P permutations π.

    A permutation deals the N = n + m pooled samples anew, n to x and m to y. With the pooled Gram matrix centred to A,
    whose rows sum to 0 (see `centred_gram`), T = c wᵀAw for weights w = m/N on x and −n/N on y: all permutations are
    the one product Σ_i W_ip (AW)_ip, W [N, P]. With `Biased()` c = (N/nm)²; with `Unbiased()`
    1/(n(n − 1)) + 1/(m(m − 1)) + 2/(nm), A with diagonal 0. The level is exact for every n, m and kernel, as in
    `permutation_test`; the default bandwidth, the same for all permutations, changes nothing in that.

    Args:
        x: n samples, [n] or [n, d].
        y: m samples, [m] or [m, d].
        kernel: k; by default a Gaussian at the median bandwidth of both samples pooled.
        estimator: of MMD²: `Unbiased()` (n, m ≥ 2) or `Biased()`.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        key: a JAX key.

    Returns:
        A `TestResult` whose statistic is `mmd_squared` and whose n is N, with the values under permutation as `null`.
        Time N²(P + d), memory N·P and a tile of rows.

    Raises:
        TypeError: bad samples, kernel, estimator or key; traced arguments.
        ValueError: bad samples, unequal dimensions, too few; num_permutations < 1, alpha outside (0, 1).

    Warns:
        UserWarning: all samples are the same (p = 1); no p-value can be as small as alpha.

    Source: Gretton et al. (2012), "A kernel two-sample test"; the added 1 as in Phipson and Smyth (2010).

    Example:
        >>> import jax
        >>> rng = np.random.default_rng(0)
        >>> statistic, p_value = two_sample_test(rng.normal(size=80), rng.laplace(size=120) + 1, key=jax.random.key(0))
        >>> p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    refuse_traced(x=x, y=y, kernel=kernel)
    random = generator(key, "a two-sample test")
    guard = _check.Guard()
    if kernel is not None:
        check_parameters(kernel, "kernel", guard)
    x, y = two_samples(x, y, guard, estimator, centred=kernel is None or kernel.stationarity != "none")
    pooled = jnp.concatenate([x, y])
    method = "Two-sample test"
    settings: dict[str, Any] = {
        "estimator": str(estimator),
        "samples": f"{len(x):,} and {len(y):,}",
        "permutations": num_permutations,
    }
    if is_constant(**{"the pooled sample": pooled}):
        return TestResult(0.0, 1.0, method, len(pooled), alpha, settings)
    # Where n = m, exchanging the samples changes nothing.
    count = scipy.special.comb(len(pooled), len(x)) / (2 if len(x) == len(y) else 1)
    why = f"n = {len(x)}, m = {len(y)} and {num_permutations} permutations"
    warn_if_unreachable(max(1 / (1 + num_permutations), 1 / count), alpha, why)
    kernel = Gaussian(median_distance(pooled)) if kernel is None else kernel
    permuted = _permuted_mmd(eqx.filter_jit(side)(kernel, pooled), len(x), isinstance(estimator, Unbiased))
    null, p_value = sampled(permuted, num_permutations, random)
    return TestResult(permuted.observed, p_value, method, len(pooled), alpha, settings, null)


def _permuted_mmd(pooled: Side, n: int, unbiased: bool) -> Permuted:
    unit, in_units = float(pooled.unit), pooled.in_units()
    total = len(pooled.diagonal)
    m = total - n
    factor = unit * (1 / (n * (n - 1)) + 1 / (m * (m - 1)) + 2 / (n * m) if unbiased else (total / (n * m)) ** 2)

    def sums(some: Int[np.ndarray, "t N"]) -> tuple[Array, Array]:
        weights = (np.where(some < n, m, -n).T / total).astype(pooled.diagonal.dtype)
        return _weighted_sums(in_units, jnp.asarray(weights), unbiased)

    def evaluate(some: Int[np.ndarray, "t N"]) -> np.ndarray:
        return factor * np.asarray(sums(some)[0]).astype(float)

    observed, size = sums(np.arange(total, dtype=np.int32)[None])
    # |wᵀAw| ≤ ‖A‖ ‖w‖², by Cauchy–Schwarz.
    rounding = 8 * float(jnp.finfo(size.dtype).eps) * factor * float(size) * n * m / total
    return Permuted(factor * float(observed[0]), rounding, under(Uniform(), evaluate, total))


@eqx.filter_jit
def _weighted_sums(
    one: Side, weights: Float[Array, "N P"], unbiased: bool
) -> tuple[Float[Array, " P"], Float[Array, ""]]:
    """Σ_ij w_i A_ij w_j for each column of weights, which sum to 0; and ‖A‖, Frobenius."""
    (sums,) = gram_sums((one,), ()).rows
    centred = centring(one, unbiased, sums)

    def of_rows(rows: Float[Array, "t N"], indices: Int[Array, " t"]) -> tuple[Array, Array]:
        own = centred(rows, indices)
        product = jnp.matmul(own, weights, precision=jax.lax.Precision.HIGHEST)
        return weights[indices] * product, (own**2).sum(1)

    values, squares = map_rows(of_rows, one.kernel, one.points)
    return values.sum(0), jnp.sqrt(squares.sum())
