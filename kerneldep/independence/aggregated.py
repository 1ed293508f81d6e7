"""The aggregated test: many kernels at once, at the level of one test."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.exact import Biased, Unbiased
from ..dependence.incomplete import Incomplete
from ..dependence.tiled import side
from ..kernels import AbstractKernel, Gaussian, bandwidth_grid
from ..kernels.base import check_parameters
from .arguments import as_level, generator, is_constant, refuse_infinite, refuse_traced, warn_if_unreachable
from .chosen import Chosen
from .gram_sums import Implementation, centred_gram, chosen, permuted_sums
from .permutations import Uniform
from .permuted import in_parts
from .result import TestResult
from .sign_flips import flipped_means, most_offsets, paired_cores, random_signs

LARGEST_DENSE = 2000
"""Up to this n every pair of samples is used by default, above it an incomplete U-statistic."""

CORES = 10**7
"""Offsets times n of that one by default, so that its time does not grow with n while there are 50 offsets."""

Kernels = AbstractKernel | Sequence[AbstractKernel] | None


def aggregated_test(
    x: ArrayLike,
    y: ArrayLike,
    kernels_x: Kernels = None,
    kernels_y: Kernels = None,
    *,
    weights: ArrayLike | None = None,
    estimator: Unbiased | Biased | Incomplete | None = None,
    num_permutations: int = 500,
    alpha: float = 0.05,
    implementation: Implementation = "auto",
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether x and y are independent with every pair of kernels (k, l), and corrects for having so many.

    With T_kl,0 the estimate of HSIC by a pair, T_kl,t those under P permutations, the same for all pairs, and
    p_kl,t = #{s: T_kl,s ≥ T_kl,t}/(1 + P) each one's rank among all 1 + P, the statistic is the smallest weighted
    p-value u_t = min_kl p_kl,t/w_kl, and p = #{t: u_t ≤ u_0}/(1 + P). Under independence the 1 + P columns are
    exchangeable, hence P(p ≤ α) ≤ α for every n, any kernels and weights; many pairs cost power only as far as they
    differ. Of equal u_t the one further out counts as smaller, in standard deviations of its pair's T.

    HSICAgg rejects where p_kl ≤ w_kl u_α for some pair, and finds u_α, the largest u at which at most a share α of a
    second set of permutations would be rejected, by bisection. That is the α-quantile of u_t. Here one set serves both,
    the data among it: the level is exact and not up to the second set's error, for half of the permutations, and a
    p-value comes with it [kerneldep's form].

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernels_x: several k (or one); by default Gaussians at ¼, ½, 1, 2 and 4 times x's own median bandwidth: the wide
            ones find smooth dependence, the narrow ones oscillating. HSICAgg's code has the same multiples in
            exp(−r²/b²), which is narrower by √2. Kernels of one class are compiled once.
        kernels_y: several l, likewise of y; all pairs are tested, 25 by default.
        weights: w [k, l], positive; only their ratios matter. Uniform by default.
        estimator: `Unbiased()`, `Biased()`, or `Incomplete(R)`, linear in n; by default the first up to n = 2,000 and
            above `Incomplete(R)` with R = 10⁷/n, at least 50, in about the same time for all n up to 2·10⁵.
            `Incomplete` here pairs i with i + ⌊n/2⌋, takes R diagonals of the pairs' products, at most a quarter of n,
            and permutes by exchanging y within pairs, which only turns signs: a wild bootstrap, but exact. It tells at
            most what `Unbiased` does of half of the samples. By default the samples are shuffled first; a given
            `Incomplete(R)` takes them as they come: shuffle data that are ordered.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        implementation: of the exact estimators: "numba" (extra `fast`), "xla" or "auto".
        key: a JAX key.

    Returns:
        A `TestResult` with u_0 as statistic, weights scaled to a mean of 1, and small for dependent samples: with
        uniform weights the smallest p-value. `null` holds u_t of the permutations; `settings["best pair"]` the kernels
        of the smallest (`.parts`), whose own uncorrected p-value is `settings["its own p-value"]`. With m_x + m_y
        kernels, m_x m_y pairs: time P m_x m_y n²/2, memory (m_x + m_y) n²; `Incomplete` P m_x m_y n R/2 and
        (m_x + m_y) n R/2.

    Raises:
        TypeError: bad samples, kernels or key; traced arguments; an estimator that is none of the three.
        ValueError: bad samples; num_permutations < 1, alpha outside (0, 1); no kernels; weights of another shape or not
            positive.
        ImportError: implementation="numba" without it.

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Albert et al. (2022); Schrab et al. (2022), whose HSICAggInc is the incomplete form.

    Example:
        >>> import jax, numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 200))
        >>> result = aggregated_test(x, np.sin(6 * x) + 0.3 * noise, key=jax.random.key(0))
        >>> result.p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    if not isinstance(estimator, Unbiased | Biased | Incomplete | None):
        raise TypeError(f"estimator is {estimator!r}: Unbiased(), Biased() or Incomplete(num_offsets) is needed.")
    refuse_traced(x=x, y=y, kernels_x=kernels_x, kernels_y=kernels_y, weights=weights)
    chosen(implementation)
    random = generator(key, "an aggregated test")
    guard = _check.Guard()
    kernels_x, kernels_y = _as_kernels(kernels_x, "x", guard), _as_kernels(kernels_y, "y", guard)
    x, y = _as_samples(x, "x", kernels_x, guard), _as_samples(y, "y", kernels_y, guard)
    by_default = estimator is None
    if estimator is None:
        estimator = Unbiased() if len(x) <= LARGEST_DENSE else Incomplete(max(CORES // len(x), 50))
    _check.same_length(x, y, estimator.min_samples, f"an aggregated test with {type(estimator).__name__}")
    if isinstance(estimator, Incomplete):
        if by_default:  # pairs are of samples some way apart, where data in order may repeat
            order = random.permutation(len(x))
            x, y = x[order], y[order]
        estimator = Incomplete(min(estimator.num_offsets, most_offsets(len(x))))
    constant = is_constant(x=x, y=y)
    kernels_x, kernels_y = _or_grid(kernels_x, x), _or_grid(kernels_y, y)
    ratios = _as_weights(weights, (len(kernels_x), len(kernels_y)))
    method = "Aggregated test of independence"
    settings: dict[str, Any] = {
        "measure": f"smallest p-value of {ratios.size} kernel pairs, {estimator}",
        "permutations": num_permutations,
    }
    if constant:
        return TestResult(1.0, 1.0, method, len(x), alpha, settings)
    # All signs turned change nothing.
    rarest = 0.5 ** (len(x) // 2 - 1) if isinstance(estimator, Incomplete) else 1 / Uniform().count(len(x))
    smallest = max(1 / (1 + num_permutations), rarest)
    warn_if_unreachable(smallest, alpha, f"n = {len(x)} and {num_permutations} permutations")
    if isinstance(estimator, Incomplete):
        sampled = _under_exchanges(kernels_x, kernels_y, x, y, estimator.num_offsets, num_permutations, random)
    else:
        unbiased = estimator.unbiased
        sampled = _under_permutations(kernels_x, kernels_y, x, y, unbiased, num_permutations, implementation, random)
    refuse_infinite(*sampled[0][0])
    found = smallest_p_value(*sampled, ratios.reshape(-1))
    a, b = divmod(found.best, len(kernels_y))
    settings["best pair"] = Chosen((kernels_x[a], kernels_y[b]))
    settings["its own p-value"] = found.best_p_value
    return TestResult(float(found.smallest[0]), found.p_value, method, len(x), alpha, settings, found.smallest[1:])


class Aggregate(NamedTuple):
    """One test out of many.

    Attributes:
        p_value: of all together.
        smallest: u_t of the data and of each permutation.
        best: which test had the data's smallest weighted p-value.
        best_p_value: that p-value, neither weighted nor corrected.
    """

    p_value: float
    smallest: Float[np.ndarray, " t"]
    best: int
    best_p_value: float


def smallest_p_value(
    values: Float[np.ndarray, "t m"], rounding: Float[np.ndarray, " m"], weights: Float[np.ndarray, " m"]
) -> Aggregate:
    """The rank of the first row's smallest weighted p-value among the rows' own (see `aggregated_test`).

    Any function that treats all rows alike would give a valid p-value; differences by rounding count against rejection.

    Args:
        values: statistics of m tests, of the data in the first row, under the same permutations in the others.
        rounding: of each test: values closer than this are ties.
        weights: of each test.
    """
    rows = len(values)
    ranks = [rows - np.searchsorted(np.sort(one), one - close) for one, close in zip(values.T, rounding, strict=True)]
    p_values = np.stack(ranks, 1) / rows
    weighted = p_values / weights
    smallest = weighted.min(1)
    attained = weighted <= smallest[:, None] * (1 + 1e-9)
    deviation = values.std(0)
    unit = np.where(deviation > rounding, deviation, np.inf)
    outlying = np.where(attained, (values - values.mean(0)) / unit, -np.inf)
    best = outlying.argmax(1)
    outlying, close = outlying.max(1), (rounding / unit)[best]
    ahead = smallest < smallest[0] * (1 - 1e-9)
    tied = ~ahead & (smallest <= smallest[0] * (1 + 1e-9))
    exceeding = ahead | (tied & (outlying + close >= outlying[0] - close[0]))
    return Aggregate(float(exceeding.mean()), smallest, int(best[0]), float(p_values[0, best[0]]))


Sampled = tuple[Float[np.ndarray, "t m"], Float[np.ndarray, " m"]]
"""Statistics of the data and under permutations, for each pair of kernels in its own unit; and their rounding."""


def _under_permutations(
    kernels_x: list[AbstractKernel],
    kernels_y: list[AbstractKernel],
    x: Float[Array, "n d"],
    y: Float[Array, "n e"],
    unbiased: bool,
    num: int,
    implementation: Implementation,
    random: np.random.Generator,
) -> Sampled:
    """HSIC from all pairs of samples: both collections of Gram matrices once, then a sum a pair and permutation."""
    n = len(x)
    a, b = (
        jnp.stack([_centred_gram(kernel, samples, unbiased) for kernel in kernels])
        for kernels, samples in ((kernels_x, x), (kernels_y, y))
    )
    factor = 1 / (n * (n - 3)) if unbiased else 1 / n**2
    evaluate = functools.partial(permuted_sums, a, b, implementation=implementation)
    values = [evaluate(np.arange(n, dtype=np.int32)[None])]
    values.append(in_parts(evaluate, functools.partial(Uniform().draw, n), n)(num, random))
    size = np.sqrt(np.multiply.outer(_squares(a), _squares(b)))
    return factor * _flat(values), factor * _rounding(a, size)


def _under_exchanges(
    kernels_x: list[AbstractKernel],
    kernels_y: list[AbstractKernel],
    x: Float[Array, "n d"],
    y: Float[Array, "n e"],
    num_offsets: int,
    num: int,
    random: np.random.Generator,
) -> Sampled:
    """HSIC from some pairs of pairs of samples, under exchanges of y within pairs (see `sign_flips`)."""
    half = len(x) // 2
    of_x, of_y = (
        jnp.stack([paired_cores(kernel, samples, num_offsets) for kernel in kernels])
        for kernels, samples in ((kernels_x, x), (kernels_y, y))
    )

    def evaluate(signs: Int8[np.ndarray, "N t"]) -> np.ndarray:
        return np.asarray(flipped_means(of_x, of_y, jnp.asarray(signs)))

    values = [evaluate(np.ones((half, 1), np.int8))]
    values.append(in_parts(evaluate, functools.partial(random_signs, half), -(-half // 4))(num, random))
    size = np.sqrt(np.multiply.outer(_squares(of_x), _squares(of_y))) / (num_offsets * half)
    return _flat(values), _rounding(of_x, size)


@eqx.filter_jit
def _centred_gram(kernel: AbstractKernel, x: Float[Array, "n d"], unbiased: bool) -> Float[Array, "n n"]:
    """Compiled once for all kernels of a class; in units of the kernel, so that no product overflows or vanishes."""
    return centred_gram(side(kernel, x).in_units(), unbiased)


def _squares(stacked: Float[Array, "k a b"]) -> Float[np.ndarray, " k"]:
    return np.asarray((stacked**2).sum((1, 2)), float)


def _rounding(stacked: Array, size: Float[np.ndarray, "k l"]) -> Float[np.ndarray, " m"]:
    """Of sums of products, none above `size` by Cauchy–Schwarz."""
    return 8 * float(jnp.finfo(stacked.dtype).eps) * size.reshape(-1)


def _flat(values: list[Any]) -> Float[np.ndarray, "t m"]:
    joined = np.concatenate([np.asarray(part, float) for part in values])
    return joined.reshape(len(joined), -1)


def _as_kernels(kernels: Kernels, name: str, guard: _check.Guard) -> list[AbstractKernel] | None:
    if kernels is None:
        return None
    several = [kernels] if isinstance(kernels, AbstractKernel) else list(kernels)
    if not several:
        raise ValueError(f"kernels_{name} is empty: at least one kernel is needed.")
    for number, kernel in enumerate(several):
        check_parameters(kernel, f"kernels_{name}[{number}]", guard)
    return several


def _as_samples(
    values: ArrayLike, name: str, kernels: list[AbstractKernel] | None, guard: _check.Guard
) -> Float[Array, "n d"]:
    centred = kernels is None or all(kernel.stationarity != "none" for kernel in kernels)
    return _check.as_samples(values, name, guard, centred=centred)


def _or_grid(kernels: list[AbstractKernel] | None, x: Float[Array, "n d"]) -> list[AbstractKernel]:
    return [Gaussian(bandwidth) for bandwidth in np.asarray(bandwidth_grid(x))] if kernels is None else kernels


def _as_weights(weights: ArrayLike | None, shape: tuple[int, int]) -> Float[np.ndarray, "k l"]:
    if weights is None:
        return np.ones(shape)
    array = np.asarray(_check.as_real(weights, "weights"), float)
    if array.shape != shape:
        raise ValueError(f"weights has shape {array.shape}: one a pair of kernels, {list(shape)}, is needed.")
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError("weights holds values that are not positive and finite.")
    return array / array.mean()
