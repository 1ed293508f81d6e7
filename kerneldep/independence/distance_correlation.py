"""Tests of independence by distance correlation."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float, Int, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.distance_covariance import distance_correlation_squared, in_units, paired_samples
from ..dependence.exact import AbstractExact, Unbiased
from ..dependence.univariate import distance_sums
from ..kernels import Distance
from .arguments import as_level, generator, is_constant, refuse_traced, warn_if_unreachable
from .gram_sums import Implementation, chosen
from .permutations import Uniform
from .permuted import Permuted, permuted_estimate, sampled, under
from .result import TestResult

MIN_SAMPLES_T = 6
"""Of four samples R is 1 or −1."""
SORTED_FROM = 5000
"""From this n on univariate samples are sorted for each permutation, instead of both Gram matrices held."""


def distance_correlation_test(
    x: ArrayLike,
    y: ArrayLike,
    *,
    exponent: float = 1.0,
    method: Literal["permutation", "t", "chi_squared"] = "permutation",
    estimator: AbstractExact = Unbiased(),  # noqa: B008 (immutable, holds no array)
    num_permutations: int = 1000,
    alpha: float = 0.05,
    implementation: Implementation = "auto",
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether x and y are independent, by their squared distance correlation R.

    - "permutation": p = (1 + #{R_π ≥ R})/(1 + P), exact for every n, as in `permutation_test`.
    - "t": with the bias-corrected R, t = √(v − 1) R/√(1 − R²), v = n(n − 3)/2, and p from Student's t with v − 1
      degrees of freedom. That is its law at independence as both *dimensions* grow. In few dimensions the tail of R is
      heavier, and too many true hypotheses are rejected, the more the smaller α is.
    - "chi_squared": with the bias-corrected R, p = P(χ²₁ ≥ nR + 1). At small α that tail lies above R's limiting one in
      any dimension: near α for two variables, conservative in many dimensions.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        exponent: e in (0, 2], of the distances; at 2 only linear dependence is seen.
        method: where p comes from. The last two need no key and take one estimate.
        estimator: `Unbiased()`, with which R is the bias-corrected one, or, for permutations only, `Biased()`.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        implementation: of the permutations of Gram matrices, as in `permutation_test`.
        key: a JAX key, needed for permutations.

    Returns:
        A `TestResult` whose statistic is R. Permutations cost n²/2 products each, or n log n where both samples are
        univariate, exponent = 1 and n ≥ 5,000; the others a distance correlation.

    Raises:
        TypeError: bad samples, estimator or key; traced arguments.
        ValueError: bad samples, another method, e out of range; num_permutations < 1, alpha outside (0, 1); `Biased()`
            without permutations.
        ImportError: implementation="numba" without it.

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Székely, Rizzo and Bakirov (2007); Székely and Rizzo (2013), "The distance correlation t-test of
    independence in high dimension"; Shen, Panda and Vogelstein (2022), "The chi-square test of distance correlation".

    Example:
        >>> import jax, numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
        >>> y = x**2 + noise
        >>> distance_correlation_test(x, y, key=jax.random.key(0)).p_value < 0.01
        True
        >>> distance_correlation_test(x, y, method="chi_squared").p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    refuse_traced(x=x, y=y)
    if method not in ("permutation", "t", "chi_squared"):
        raise ValueError(f"method is {method!r}: 'permutation', 't' or 'chi_squared' is needed.")
    chosen(implementation)
    kernel = Distance(float(exponent))
    random = generator(key, "a permutation test") if method == "permutation" else None
    samples = paired_samples({"x": x, "y": y}, estimator, None)
    if method != "permutation" and not isinstance(estimator, Unbiased):
        raise ValueError(f"method={method!r} is about the bias-corrected distance correlation: Unbiased() is needed.")
    n = len(samples[0])
    names = {"permutation": "permutation test", "t": "t-test", "chi_squared": "chi-squared test"}
    title = f"Distance correlation {names[method]} of independence"
    settings: dict[str, Any] = {"measure": f"squared distance correlation, {estimator}"}
    if is_constant(x=samples[0], y=samples[1]):
        return TestResult(0.0, 1.0, title, n, alpha, settings)
    if random is not None:
        settings["permutations"] = num_permutations
        smallest = max(1 / (1 + num_permutations), 1 / Uniform().count(n))
        warn_if_unreachable(smallest, alpha, f"n = {n} and {num_permutations} permutations")
        permuted, scale = _covariances(samples, kernel, estimator, implementation)
        if not scale > 0 or np.isinf(
            permuted.rounding
        ):  # all distances are equal: whatever stands beside whatever, R = 0
            return TestResult(0.0, 1.0, title, n, alpha, settings, np.zeros(num_permutations))
        null, p_value = sampled(permuted, num_permutations, random)
        return TestResult(permuted.observed / scale, p_value, title, n, alpha, settings, null / scale)
    correlation = float(distance_correlation_squared(x, y, exponent=kernel.exponent, estimator=estimator))
    if method == "t":
        if n < MIN_SAMPLES_T:
            raise ValueError(f"x and y hold n = {n} samples: a t-test needs n ≥ {MIN_SAMPLES_T}.")
        v = n * (n - 3) / 2
        settings["degrees of freedom"] = v - 1
        t = np.sqrt(v - 1) * correlation / np.sqrt(max(1 - correlation**2, np.finfo(float).tiny))
        return TestResult(correlation, float(scipy.special.stdtr(v - 1, -t)), title, n, alpha, settings)
    p_value = float(scipy.special.chdtrc(1, max(n * correlation + 1, 0)))
    return TestResult(correlation, p_value, title, n, alpha, settings)


class _Covariances(NamedTuple):
    """¼ dCov²(X, πY), and √(dCov²(X, X) · dCov²(Y, Y))/4, which no permutation changes."""

    permuted: Permuted
    scale: float


def _covariances(
    samples: tuple[Array, ...], kernel: Distance, estimator: AbstractExact, implementation: Implementation
) -> _Covariances:
    x, y = (in_units(values)[0] for values in samples)
    if kernel.exponent == 1 and x.shape[1] == y.shape[1] == 1 and len(x) >= SORTED_FROM:
        with jax.enable_x64(True):
            return _of_sorted(x[:, 0].astype(jnp.float64), y[:, 0].astype(jnp.float64), estimator)
    prepared = estimator.prepare(kernel, kernel, x, y, key=None)
    triple = _triple(estimator, prepared)
    scale = float(np.sqrt(float(triple.xx) * float(triple.yy)))
    return _Covariances(permuted_estimate(estimator, prepared, len(x), Uniform(), implementation), scale)


def _of_sorted(x: Float[Array, " n"], y: Float[Array, " n"], estimator: AbstractExact) -> _Covariances:
    def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
        with jax.enable_x64(True):
            return np.asarray(_sorted_covariances(x, y, jnp.asarray(some), estimator))

    own = [float(_sorted_covariance(one, one, estimator, (0, 0))) for one in (x, y)]
    scale = float(np.sqrt(own[0] * own[1]))
    (observed,) = evaluate(np.arange(len(x), dtype=np.int32)[None])
    rounding = 64 * float(np.finfo(float).eps) * len(x) * scale
    return _Covariances(
        Permuted(float(observed), rounding, under(Uniform(), evaluate, len(x))),
        scale,
    )


@eqx.filter_jit
def _sorted_covariance(
    x: Float[Array, " n"], y: Float[Array, " n"], estimator: AbstractExact, pair: tuple[int, int]
) -> Float[Array, ""]:
    return estimator.from_sums(distance_sums((x, y), (pair,)), 0, pair)


@eqx.filter_jit
def _sorted_covariances(
    x: Float[Array, " n"], y: Float[Array, " n"], permutations: Int[Array, "t n"], estimator: AbstractExact
) -> Float[Array, " t"]:
    return jax.lax.map(lambda one: _sorted_covariance(x, y[one], estimator, (0, 1)), permutations)


@eqx.filter_jit
def _triple(estimator: AbstractExact, prepared: Any) -> Any:
    return estimator.triple(prepared)
