"""Rules that choose a kernel's bandwidth from data."""

from collections.abc import Callable
from typing import Any, NamedTuple

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
    distances = _of_numbers(x[:, 0] / unit) if x.shape[1] == 1 else _of_points(x / unit)
    lower, count = _order_statistic(distances, (total - 1) // 2, x.dtype)
    upper = jnp.where(count > total // 2, lower, distances.above(lower))
    median, mean = 0.5 * (lower + upper), distances.mean
    return unit * jnp.where(median > 0, median, jnp.where(mean > 0, mean, 1))


class _Distances(NamedTuple):
    """Of all pairs of distinct samples."""

    at_most: Callable[[Scalar], Int[Array, ""]]
    """How many are at most a number."""
    above: Callable[[Scalar], Scalar]
    """The least above a number."""
    mean: Scalar
    """Of the non-zero ones."""


def _of_points(x: Float[Array, "n d"]) -> _Distances:
    """By a matrix of half as many rows: each also holds what is right of the diagonal in its mirror image's."""
    prepared, n = points(x), len(x)
    distances = jnp.sqrt(squared_distances(prepared, prepared, rough=True))
    row, column = jnp.arange(-(-n // 2))[:, None], jnp.arange(n)[None, :]
    folded = jnp.where(column > row, distances[: len(row)], distances[::-1, ::-1][: len(row)])
    once = (column > row) | ((column < row) & (row < n - 1 - row))  # the middle one of an odd number is its own image
    folded = jnp.where(once, folded, jnp.inf)

    def count(bound: Scalar) -> Int[Array, ""]:
        return (folded <= bound).sum(0).sum()  # first into a row: no CPU adds several entries to one sum at once

    positive = n * (n - 1) // 2 - count(jnp.zeros((), x.dtype))
    mean = jnp.where(once, folded, 0).sum() / jnp.maximum(positive, 1)
    return _Distances(count, lambda bound: jnp.where(folded > bound, folded, jnp.inf).min(), mean)


def _of_numbers(x: Float[Array, " n"]) -> _Distances:
    """On a line, without the pairs: of sorted numbers those within a distance follow each other."""
    x, n = jnp.sort(x), len(x)
    first = jnp.arange(n)

    def last(bound: Scalar) -> Int[Array, " n"]:
        def halve(_: Any, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bounds  # the last partner of each is among these
            middle = (low + high + 1) // 2
            within = x[middle] - x <= bound
            return jnp.where(within, middle, low), jnp.where(within, high, middle - 1)

        return jax.lax.fori_loop(0, n.bit_length(), halve, (first, jnp.full_like(first, n - 1)))[0]

    def count(bound: Scalar) -> Int[Array, ""]:
        return (last(bound) - first).sum()

    def above(bound: Scalar) -> Scalar:
        after = last(bound) + 1
        return jnp.where(after < n, x[jnp.minimum(after, n - 1)] - x, jnp.inf).min()

    positive = n * (n - 1) // 2 - count(jnp.zeros((), x.dtype))
    mean = ((2 * first - (n - 1)).astype(x.dtype) * x).sum() / jnp.maximum(positive, 1)  # Σ_{i<j} x_j − x_i
    return _Distances(count, above, jnp.where(positive > 0, mean, 0))


def _order_statistic(distances: _Distances, rank: int, dtype: jnp.dtype) -> tuple[Scalar, Int[Array, ""]]:
    """The distance of a given rank (from 0) among the pairs, and how many are at most as large.

    By bisection on bit patterns, in which non-negative floats are ordered like integers: 31 or 63 counts, far faster
    than XLA's sort on a CPU.
    """
    bits = {4: jnp.int32, 8: jnp.int64}[dtype.itemsize]

    def value(code: Int[Array, ""]) -> Scalar:
        return jax.lax.bitcast_convert_type(code, dtype)

    def halve(_: Any, bounds: tuple[Int[Array, ""], Int[Array, ""]]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        enough = distances.at_most(value(middle)) > rank
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    start = (jnp.zeros((), bits), jax.lax.bitcast_convert_type(jnp.asarray(jnp.inf, dtype), bits))
    found = value(jax.lax.fori_loop(0, 8 * dtype.itemsize - 1, halve, start)[0])
    return found, distances.at_most(found)
