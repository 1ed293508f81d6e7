"""Exact HSIC: the tiled reduction beside the obvious dense JAX, with the floor and the digits.

    python -m tests.benchmarks.exact_hsic memory N {value,gradient}

prints the peak memory of one call in a process of its own, in MB over what the imports took.
"""

import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import kerneldep as kd
from tests.benchmarks.timing import timed

DIM = 10


def data(n: int, coupling: float = 0.3) -> tuple[jax.Array, jax.Array, kd.kernels.Gaussian]:
    """x, y [n, 10] and a Gaussian near the median bandwidth."""
    key_x, key_y = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (n, DIM))
    return x, coupling * x + jax.random.normal(key_y, (n, DIM)), kd.kernels.Gaussian(4.4)


@jax.jit
def dense(x: jax.Array, y: jax.Array, bandwidth: jax.Array) -> jax.Array:
    """The obvious way: both Gram matrices, the U-statistic."""

    def gram(z: jax.Array) -> jax.Array:
        squared = (z * z).sum(1)
        distances = squared[:, None] + squared[None, :] - 2 * z @ z.T
        return jnp.exp(-distances / (2 * bandwidth**2)) * (1 - jnp.eye(len(z)))

    n = float(len(x))
    k, l = gram(x), gram(y)
    a, b = k.sum(1), l.sum(1)
    return ((k * l).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b)) / (n * (n - 3))


def exponential_rate() -> float:
    """Exponentials a second on a tile in the cache, on all cores: what no exact Gaussian HSIC can exceed."""
    tile = jnp.linspace(0.0, 1.0, 1024 * 1024).reshape(1024, 1024)

    @jax.jit
    def many(tile: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 20, lambda _, t: jnp.exp(-t), tile)

    return 20 * tile.size / timed(many, tile)["min_s"]


def rows(sizes: tuple[int, ...] = (1_000, 4_000, 8_000, 20_000)) -> Iterator[dict[str, Any]]:
    """A table row for each size and way."""
    rate = exponential_rate()
    gradient = jax.jit(jax.grad(lambda x, y, k: kd.hsic(x, y, k, k), argnums=(0, 1, 2)))
    for n in sizes:
        x, y, kernel = data(n)
        floor = n**2 / rate  # two kernels, each pair once
        ways: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "kerneldep.hsic": (lambda x, y, k: kd.hsic(x, y, k, k), (x, y, kernel)),
            "its gradient (x, y, bandwidth)": (gradient, (x, y, kernel)),
        }
        if n <= 8_000:
            ways["dense, jitted"] = (dense, (x, y, kernel.bandwidth))
        for way, (function, arguments) in ways.items():
            yield {"n": n, "way": way, **timed(function, *arguments), "floor_s": floor}


def digits(n: int = 4_000) -> Iterator[dict[str, Any]]:
    """float32 against float64, relative to √(HSIC(X,X)HSIC(Y,Y)), for dependent and independent data."""
    for coupling in (0.3, 0.0):
        x, y, kernel = data(n, coupling)
        values = {"kerneldep.hsic": float(kd.hsic(x, y, kernel, kernel)), "dense, jitted": float(dense(x, y, 4.4))}
        with jax.enable_x64(True):
            x64, y64, k64 = np.asarray(x, np.float64), np.asarray(y, np.float64), kd.kernels.Gaussian(4.4)
            exact = float(kd.hsic(x64, y64, k64, k64))
            scale = float(jnp.sqrt(kd.hsic(x64, x64, k64, k64) * kd.hsic(y64, y64, k64, k64)))
        for way, value in values.items():
            yield {"n": n, "coupling": coupling, "way": way, "relative_error": abs(value - exact) / scale}


def memory(n: int, what: str) -> float:
    """Peak memory of a call in a process of its own, MB over the imports."""
    command = [sys.executable, "-m", "tests.benchmarks.exact_hsic", "memory", str(n), what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak() -> float:
    """This process's own peak resident memory so far in MB (Linux; getrusage's would include the parent's)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 2**10


def _measure_memory(n: int, what: str) -> None:
    jnp.zeros(1).block_until_ready()  # the backend counts among the imports
    before = _peak()
    x, y, kernel = data(n)

    def value(x: jax.Array) -> jax.Array:
        return kd.hsic(x, y, kernel, kernel)

    jax.block_until_ready((value if what == "value" else jax.jit(jax.grad(value)))(x))
    print(_peak() - before)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "memory":
        raise SystemExit(__doc__)
    _measure_memory(int(sys.argv[2]), sys.argv[3])
