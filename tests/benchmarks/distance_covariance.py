"""Distance covariance and correlation: multivariate over all pairs, univariate in O(n log n)."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.way import Way, data, rows

MULTI, UNI, SPLIT = 5_000, 100_000, 55_000

NOTE = f"""
Multivariate: x and y [{MULTI:,}, 10], the squared distance covariance (V-statistic), except that hyppo gives the
squared bias-corrected correlation, three sums over the same matrices. Univariate: x and y [n], where sorting replaces
pairs. dcor computes in float64. hyppo's fast algorithm forms n⁴ as a 64-bit integer, which overflows above
n = 55,108: its value at n = {UNI:,} is shown as it returns it, beside kerneldep's in float64.
"""


def arrays(n: int) -> tuple[Any, Any]:
    """x and y for JAX: ten columns up to 5,000 samples, one above."""
    import jax
    import jax.numpy as jnp

    x, y = samples(n, "float64" if jax.config.jax_enable_x64 else "float32")  # pyright: ignore[reportAttributeAccessIssue]
    return jax.block_until_ready((jnp.asarray(x), jnp.asarray(y)))


def samples(n: int, dtype: str) -> tuple[Any, Any]:
    """x and y: ten columns up to 5,000 samples, one above."""
    if n <= MULTI:
        return data(n, dtype=dtype)
    x, y = data(n, dim=1, dtype=dtype)
    return x[:, 0], y[:, 0]


def kerneldep(measure: str) -> Callable[[int], Callable[[], Any]]:
    """A measure of kerneldep."""

    def setup(n: int) -> Callable[[], Any]:
        import kerneldep as kd

        x, y = arrays(n)
        if measure == "covariance":
            return lambda: kd.distance_covariance_squared(x, y)
        return lambda: kd.distance_correlation_squared(x, y, estimator=kd.Unbiased())

    return setup


def dense_jax(n: int) -> Callable[[], Any]:
    """The obvious JAX: both distance matrices, doubly centred, jitted."""
    import jax
    import jax.numpy as jnp

    x, y = arrays(n)

    def centred(z: Any) -> Any:
        squared = (z * z).sum(1)
        distances = jnp.sqrt(jnp.maximum(squared[:, None] + squared[None, :] - 2 * z @ z.T, 0))
        means = distances.mean(1)
        return distances - means[:, None] - means[None, :] + means.mean()

    function = jax.jit(lambda x, y: (centred(x) * centred(y)).mean())
    return lambda: function(x, y)


def dcor(function: str, **options: str) -> Callable[[int], Callable[[], Any]]:
    """A function of dcor."""

    def setup(n: int) -> Callable[[], Any]:
        import dcor as package

        x, y = samples(n, "float64")
        return lambda: getattr(package, function)(x, y, **options)

    return setup


def hyppo(n: int) -> Callable[[], Any]:
    """hyppo's Dcorr; in one dimension with the fast algorithm that its test uses."""
    from hyppo.independence import Dcorr

    x, y = samples(n, "float64")
    if n <= MULTI:
        return lambda: Dcorr().statistic(x, y)
    test = Dcorr()
    test.is_fast = True
    return lambda: test.statistic(x[:, None], y[:, None])


COVARIANCE = {
    "kerneldep": Way(kerneldep("covariance"), (MULTI, UNI)),
    "kerneldep, float64": Way(kerneldep("covariance"), (MULTI, UNI), dtype="float64"),
    "dense JAX, jitted": Way(dense_jax, (MULTI,)),
    "dcor": Way(dcor("distance_covariance_sqr"), (MULTI,), peer=True, dtype="float64"),
    "dcor, AVL tree": Way(dcor("distance_covariance_sqr", method="avl"), (UNI,), peer=True, dtype="float64"),
    "dcor, merge sort": Way(dcor("distance_covariance_sqr", method="mergesort"), (UNI,), peer=True, dtype="float64"),
}
CORRELATION = {
    "kerneldep correlation": Way(kerneldep("correlation"), (MULTI, SPLIT, UNI)),
    "kerneldep correlation, float64": Way(kerneldep("correlation"), (MULTI, SPLIT, UNI), dtype="float64"),
    "dcor correlation": Way(
        dcor("u_distance_correlation_sqr"), (MULTI, SPLIT, UNI), peer=True, dtype="float64", remark="default method"
    ),
    "hyppo correlation": Way(
        hyppo, (MULTI, SPLIT, UNI), peer=True, dtype="float64", remark="n⁴ overflows above n = 55,108"
    ),
}
WAYS = COVARIANCE | CORRELATION


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Covariances, then bias-corrected correlations."""
    yield "distance_covariance", list(rows("distance_covariance", COVARIANCE, peers))
    yield "distance_correlation", list(rows("distance_covariance", CORRELATION, peers, "kerneldep correlation"))
