"""The digits of float32: exact HSIC against the same function in float64, on the same numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.exact_hsic import BANDWIDTH, GAMMA, u_statistic
from tests.benchmarks.way import Way, data, measured

NOTE = """
The U-statistic in float32 less that of `kerneldep` in float64, relative to √(HSIC(X,X)·HSIC(Y,Y)), x and y [n, 10] of
dependent (0.3) and of independent (0) samples. n = 100,000 is a run of its own, `--only digits_100k`.
"""


def own(coupling: float) -> Callable[[int], Callable[[], Any]]:
    """HSIC(X,Y), HSIC(X,X), HSIC(Y,Y) in JAX's default float, one pass."""

    def setup(n: int) -> Callable[[], Any]:
        import equinox as eqx
        import jax.numpy as jnp

        import kerneldep as kd

        x, y = map(jnp.asarray, numbers(n, coupling))
        kernel, estimator = kd.kernels.Gaussian(BANDWIDTH), kd.Unbiased()
        triple = eqx.filter_jit(estimator.triple)
        return lambda: list(triple(estimator.prepare(kernel, kernel, x, y, key=None)))

    return setup


def dense(coupling: float) -> Callable[[int], Callable[[], Any]]:
    """The obvious JAX."""

    def setup(n: int) -> Callable[[], Any]:
        import jax
        import jax.numpy as jnp

        x, y = map(jnp.asarray, numbers(n, coupling))

        def gram(z: Any) -> Any:
            squared = (z * z).sum(1)
            return jnp.exp(-GAMMA * (squared[:, None] + squared[None, :] - 2 * z @ z.T)) * (1 - jnp.eye(n))

        return lambda: [jax.jit(lambda x, y: u_statistic(gram(x), gram(y)))(x, y)]

    return setup


def numbers(n: int, coupling: float) -> tuple[np.ndarray, np.ndarray]:
    """The same float32 numbers in either precision."""
    import jax

    return data(n, coupling=coupling, dtype="float64" if jax.config.read("jax_enable_x64") else "float32")


SIZES = (4_000, 100_000)
WAYS = {
    f"{name}, coupling {coupling}": Way(setup(coupling), SIZES, dtype=dtype, repeats=0)
    for coupling in (0.3, 0.0)
    for name, setup, dtype in (
        ("float64", own, "float64"),
        ("kerneldep", own, "float32"),
        ("dense JAX, jitted", dense, "float32"),
    )
}


def tables(peers: str | None, n: int = 4_000) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One table."""
    del peers  # there are none
    names = ("kerneldep", "dense JAX, jitted") if n <= 4_000 else ("kerneldep",)
    yield "digits" if n <= 4_000 else f"digits_{n // 1_000}k", list(errors(n, names))


def errors(n: int, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The relative error of each way."""
    for coupling in (0.3, 0.0):
        exact = measured("digits", f"float64, coupling {coupling}", WAYS[f"float64, coupling {coupling}"], n, None)
        xy, xx, yy = exact["value"]
        for name in names:
            way = f"{name}, coupling {coupling}"
            row = measured("digits", way, WAYS[way], n, None)
            yield {
                "n": n,
                "coupling": coupling,
                "way": name,
                "float64": xy,
                "float32": row["value"][0],
                "relative_error": abs(row["value"][0] - xy) / (xx * yy) ** 0.5,
                "seconds_float64": exact["first_s"],
                "seconds_float32": row["first_s"],
            }
