"""What this machine can do at best, measured in the same run as the times: the floors."""

import functools
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp

from tests.benchmarks.timing import timed

OWN = ("kerneldep", "jax", "jaxlib", "numpy", "scipy", "scikit-learn")
PEERS = ("hyppo", "dcor", "causal-learn", "scikit-learn", "pykeops", "numba", "numpy", "scipy")
TILE = 1024


def rate(function: Any, operations: float, times: int = 20) -> float:
    """Operations a second of a function of a [1024, 1024] tile, applied to its own result again and again."""
    tile = jnp.linspace(0.0, 1.0, TILE * TILE).reshape(TILE, TILE)
    many = jax.jit(lambda tile: jax.lax.fori_loop(0, times, lambda _, t: function(t), tile))
    return times * operations / timed(many, tile)["min_s"]


@functools.cache
def exponential_rate() -> float:
    """Exponentials a second on a tile in the cache, on all cores: what no exact Gaussian HSIC can exceed."""
    return rate(lambda tile: jnp.exp(-tile), TILE**2)


@functools.cache
def cosine_rate() -> float:
    """Cosines a second, likewise."""
    return rate(jnp.cos, TILE**2)


@functools.cache
def product_rate() -> float:
    """Floating-point operations a second of a float32 matrix product, likewise."""
    return rate(lambda tile: jnp.matmul(tile, tile, precision=jax.lax.Precision.HIGHEST) / TILE, 2 * TILE**3)


def description() -> str:
    """The machine, without its name."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {processor()}, {jax.devices()[0].device_kind} backend"


def processor() -> str:
    """The processor's model name, where Linux tells it."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def environment(peers: str | None) -> dict[str, str]:
    """The machine, the rates if they were measured in this process, and the packages with their versions."""
    found = {"Machine": description(), "kerneldep's environment": _listed((name, version(name)) for name in OWN)}
    for what, measure in RATES.items():
        if measure.cache_info().currsize:
            found[what] = f"{measure() / 1e9:.3g}·10⁹ a second"
    if peers:
        script = f"import importlib.metadata as m, json; print(json.dumps([(p, m.version(p)) for p in {PEERS}]))"
        done = subprocess.run([peers, "-c", script], capture_output=True, text=True, check=True)
        found["The peers' environment"] = _listed(json.loads(done.stdout))
    return found


def _listed(versions: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions)


RATES = {
    "Exponentials, float32, all cores": exponential_rate,
    "Cosines, float32, all cores": cosine_rate,
    "Operations of matrix products, float32, all cores": product_rate,
}
