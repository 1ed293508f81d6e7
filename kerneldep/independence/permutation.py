"""The permutation test of independence, with any statistic."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.estimator import AbstractEstimator
from ..dependence.exact import Unbiased
from ..dependence.hsic import checked
from ..kernels import AbstractKernel
from .arguments import as_level, generator, is_constant, refuse_traced, warn_if_unreachable
from .gram_sums import Implementation, chosen
from .permutations import AbstractPermutations, Uniform
from .permuted import permuted_callable, permuted_estimate, sampled
from .result import TestResult


def permutation_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: AbstractEstimator | None = None,
    statistic: Callable[[Any, Any], Any] | None = None,
    num_permutations: int = 1000,
    permutations: AbstractPermutations = Uniform(),  # noqa: B008 (immutable, holds no array)
    stop_after: int | None = None,
    alpha: float = 0.05,
    implementation: Implementation = "auto",
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether x and y are independent: p = (1 + #{T_π ≥ T})/(1 + P) over P random permutations π of y.

    The level is exact for every n, kernel and statistic: P(p ≤ α) ≤ α where the samples are independent of each other
    and x of y, with equality where there are no ties and α(P + 1) is whole. Values that differ by less than rounding
    count as ties; of a function of your own, by less than eight units in the last place, so that one in which large
    terms cancel is better computed in float64. What depends on the data through x and y apart, as the default
    bandwidths, changes nothing in that; `permutations` other than the default assume less (see there).

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        estimator: of HSIC, the statistic; by default `Unbiased()`. `RandomFourier(64)` and the like for large n.
        statistic: another statistic in its place, a function of samples x [n, d] and y [n, e], large for dependent
            ones: `kd.cka`, `kd.nocco`, one of your own, in JAX or NumPy. It is compiled if it can be traced.
        num_permutations: P.
        permutations: which ones: `Uniform()` for independent samples, `WithinStrata(labels)`, `WholeBlocks(num_blocks)`
            (with features the cheap way for n in the millions), `CircularShifts()` for series.
        stop_after: h: stop at the h-th T_π ≥ T, the m-th drawn, with p = h/m (Besag and Clifford 1991): valid too, and
            quick where nothing is to be found; with h = 20 p is known to about a quarter of itself.
        alpha: the level that `result.rejected` is about.
        implementation: of exact estimators: "numba", a compiled loop (extra `fast`, on CPUs), "xla", or "auto", the
            first where it can be had. Both give the same p-value.
        key: a JAX key.

    Returns:
        A `TestResult`, with the values under permutation as `null`. Exact estimators hold both Gram matrices up to n =
        16,384 in float32, n²/2 products a permutation; features cost n D² a
        permutation, with `WholeBlocks(s)` s D² after s n D² once; all else a statistic a permutation.

    Raises:
        TypeError: bad samples, kernels, estimator or key; traced arguments.
        ValueError: bad samples; num_permutations or stop_after < 1, alpha outside (0, 1); both a statistic and
            kernels or an estimator; a statistic that is not finite, of the data or under a permutation.
        ImportError: implementation="numba" without it.

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Gretton et al. (2008); the added 1 as in Phipson and Smyth (2010).

    Example:
        >>> import jax, numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 100))
        >>> statistic, p_value = permutation_test(x, x**2 + noise, key=jax.random.key(0))
        >>> p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    stop_after = None if stop_after is None else _check.as_count(stop_after, "stop_after")
    if not isinstance(permutations, AbstractPermutations):
        raise TypeError(f"permutations is {permutations!r}: Uniform() or another AbstractPermutations is needed.")
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y)
    chosen(implementation)
    for_estimator, for_permutations = jax.random.split(_check.random_key(key, "a permutation test"))
    random = generator(for_permutations, "a permutation test")
    if statistic is not None:
        if not callable(statistic):
            raise TypeError(f"statistic is {statistic!r}: a function of x and y, such as kd.cka, is needed.")
        if not (kernel_x is None and kernel_y is None and estimator is None):
            raise ValueError("statistic is a function of x and y alone: give it its kernels, and no estimator here.")
        x, y = _pair(x, y)
        name = getattr(statistic, "__name__", type(statistic).__name__)
    else:
        estimator = Unbiased() if estimator is None else estimator
        kernel_x, kernel_y, x, y, _ = checked(x, y, kernel_x, kernel_y, estimator, for_estimator)
        name = str(estimator)
    settings: dict[str, Any] = {"measure": name, "permutations": num_permutations}
    if not isinstance(permutations, Uniform):
        settings["scheme"] = type(permutations).__name__
    method = "Permutation test of independence"
    if is_constant(x=x, y=y):
        return TestResult(0.0, 1.0, method, len(x), alpha, settings)
    permutations.draw(len(x), 1, np.random.default_rng(0))  # raises where the set does not fit n, before any warning
    smallest = max(1 / (1 + num_permutations), 1 / permutations.count(len(x)))
    warn_if_unreachable(smallest, alpha, f"n = {len(x)} and {num_permutations} permutations")
    if statistic is not None:
        permuted = permuted_callable(statistic, x, y, permutations)
    else:
        assert estimator is not None  # filled in above
        assert kernel_x is not None
        assert kernel_y is not None
        prepared = estimator.prepare(kernel_x, kernel_y, x, y, key=for_estimator)
        permuted = permuted_estimate(estimator, prepared, len(x), permutations, implementation)
    null, p_value = sampled(permuted, num_permutations, random, stop_after)
    if len(null) < num_permutations:
        settings["permutations"] = f"{len(null):,} of {num_permutations:,}, stopped after {stop_after} at or above"
    return TestResult(permuted.observed, p_value, method, len(x), alpha, settings, null)


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    guard = _check.Guard()
    samples = _check.as_samples(x, "x", guard), _check.as_samples(y, "y", guard)
    _check.same_length(*samples, 2, "a permutation test")
    return samples
