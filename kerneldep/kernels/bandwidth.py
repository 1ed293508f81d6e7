"""Rules that choose a kernel's bandwidth from data."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from .tiles import center, exact_unit, points, squared_distances

EXACT = 2000


def median_bandwidth(x: ArrayLike) -> Scalar:
    """The median heuristic: the median Euclidean distance of pairs of distinct samples.

    median { ‖x_i − x_j‖ : i < j }, a mean of the two middle ones when their number is even; itself, not its square,
    to be used as σ in exp(−r²/(2σ²)). Exact up to n = 2,000; above, over the 2,000 or fewer samples
    x[0], x[s], x[2s], … with s = ⌈n/2,000⌉ (deterministic: shuffle data that are periodic in their order). If the
    median is 0, as for discrete data, the mean of the non-zero distances; if all are 0 (constant data, one sample), 1.
    No gradient flows through it.

    Args:
        x: samples, [n] or [n, d].

    Returns:
        A positive scalar in the unit of x.

    Raises:
        ValueError: if x is empty or holds NaN or infinite values.

    Source: Gretton et al. (2012), "A kernel two-sample test", section 8.

    Example:
        >>> float(median_bandwidth([0.0, 1.0, 3.0]))
        2.0
    """
    guard = _check.Guard()
    return median_distance(guard.on(_check.as_samples(x, "x", guard, centred=True)))


def bandwidth_grid(x: ArrayLike, num: int = 5, factor: float = 2.0) -> Float[Array, " num"]:
    """A geometric grid of bandwidths about the median: σ_k = factor^{k − (num−1)/2} · median, k = 0, …, num − 1.

    With the defaults ¼, ½, 1, 2 and 4 times `median_bandwidth`, powers of two as in aggregated tests (Schrab et al.
    2023); for those, and for the choice of a kernel. An even `num` leaves the median itself out. No gradient flows
    through it.

    Args:
        x: samples, [n] or [n, d].
        num: how many.
        factor: ratio of neighbours, above 1.

    Returns:
        Bandwidths [num], ascending, in the unit of x.

    Raises:
        ValueError: if num < 1 or factor ≤ 1; for x as `median_bandwidth`.

    Example:
        >>> bandwidth_grid([0.0, 1.0, 3.0], num=3).tolist()
        [1.0, 2.0, 4.0]
    """
    if not isinstance(num, int) or num < 1:
        raise ValueError(f"num is {num!r}: an integer ≥ 1 is needed.")
    if not 1 < factor < float("inf"):
        raise ValueError(f"factor is {factor!r}: a finite number above 1 is needed.")
    median = median_bandwidth(x)
    return median * jnp.asarray([factor ** (k - (num - 1) / 2) for k in range(num)], median.dtype)


@jax.jit
def median_distance(x: Float[Array, "n d"]) -> Scalar:
    """`median_bandwidth` without its checks."""
    x = jax.lax.stop_gradient(x[:: -(-len(x) // EXACT)])
    n = len(x)
    if n == 1:
        return jnp.ones((), x.dtype)
    x = x - center(x)
    # In about units of the largest coordinate squares neither overflow nor vanish.
    unit = jnp.abs(x).max()
    unit = exact_unit(jnp.where(unit > 0, unit, 1), x.dtype)
    total = n * (n - 1) // 2
    count, mean = _of_numbers(x[:, 0] / unit) if x.shape[1] == 1 else _of_points(x / unit)
    lower = _order_statistic(count, (total - 1) // 2, x.dtype)
    upper = lower if total % 2 else _order_statistic(count, total // 2, x.dtype)
    median = 0.5 * (lower + upper)
    return unit * jnp.where(median > 0, median, jnp.where(mean > 0, mean, 1))


Count = Callable[[Int[Array, ""]], Int[Array, ""]]
"""How many pairs are at a distance of at most a number, given by its bit pattern."""


def _of_points(x: Float[Array, "n d"]) -> tuple[Count, Scalar]:
    """`Count` of all pairs of points, and the mean of their non-zero distances."""
    prepared = points(x)
    distances = jnp.sqrt(squared_distances(prepared, prepared, rough=True))
    pairs = jnp.arange(len(x))[:, None] < jnp.arange(len(x))[None, :]
    codes = _bits(distances)
    positive = (pairs & (distances > 0)).sum()
    mean = jnp.where(pairs, distances, 0).sum() / jnp.maximum(positive, 1)
    return lambda code: (pairs & (codes <= code)).sum(), mean


def _of_numbers(x: Float[Array, " n"]) -> tuple[Count, Scalar]:
    """The same on a line, without the pairs: of sorted numbers those within a distance follow each other."""
    x, n = jnp.sort(x), len(x)
    first = jnp.arange(n)

    def count(code: Int[Array, ""]) -> Int[Array, ""]:
        def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds  # the last partner of each is among these
            middle = (low + high + 1) // 2
            within = _bits(x[middle] - x) <= code
            return jnp.where(within, middle, low), jnp.where(within, high, middle - 1)

        last, _ = jax.lax.fori_loop(0, n.bit_length(), halve, (first, jnp.full_like(first, n - 1)))
        return (last - first).sum()

    positive = n * (n - 1) // 2 - count(_bits(jnp.zeros((), x.dtype)))
    mean = ((2 * first - (n - 1)).astype(x.dtype) * x).sum() / jnp.maximum(positive, 1)  # Σ_{i<j} x_j − x_i
    return count, jnp.where(positive > 0, mean, 0)


def _bits(values: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """Bit patterns, in which non-negative floats are ordered like integers."""
    return jax.lax.bitcast_convert_type(values, {4: jnp.int32, 8: jnp.int64}[values.dtype.itemsize])


def _order_statistic(count: Count, rank: int, dtype: jnp.dtype) -> Scalar:
    """The distance of a given rank (from 0) among the pairs.

    By bisection on its bit pattern: 31 or 63 counts, ten times faster than XLA's sort on a CPU.
    """
    bits = _bits(jnp.zeros((), dtype)).dtype

    def halve(_: Any, bounds: tuple[Int[Array, ""], Int[Array, ""]]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = count(middle) > rank
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    start = (jnp.zeros((), bits), jnp.asarray(jnp.iinfo(bits).max, bits))
    found, _ = jax.lax.fori_loop(0, 8 * dtype.itemsize - 1, halve, start)
    return jax.lax.bitcast_convert_type(found, dtype)
