"""Ways to convolve on this machine: the choice of the encoder's convolution (`experiments/ssl/layers.py`)."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from experiments.ssl.layers import convolve
from tests.benchmarks.timing import timed

NOTE = """
Rates of a 3 × 3 convolution's gradient in both inputs, batches of 512, three calls: why the encoder convolves as it
does on a CPU.
"""

SHAPES = ((16, 32, 32), (16, 64, 64), (8, 64, 64), (8, 128, 128), (4, 128, 256))
BATCH = 512


def library(x: jax.Array, weight: jax.Array) -> jax.Array:
    """XLA's convolution."""
    return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def shifted(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Nine matrix products of shifted images."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moves = [(i, j) for i in range(3) for j in range(3)]
    return sum(padded[:, i : i + height, j : j + width] @ weight[i, j] for i, j in moves)  # pyright: ignore[reportReturnType]


def looped(function: Any) -> Any:
    """The gradient as one step of a `lax.scan`, as in a training loop of several steps a call."""

    def gradient(x: jax.Array, weight: jax.Array) -> Any:
        step = jax.grad(lambda x, w: (function(x, w) ** 2).sum(), argnums=(0, 1))
        (x, weight), _ = jax.lax.scan(lambda carry, _: (step(*carry), None), (x, weight), length=1)
        return x, weight

    return gradient


WAYS = {
    "XLA convolution": library,
    "one product of patches": lambda x, weight: convolve(x, weight, 1),
    "nine shifted products": shifted,
}


def rows() -> Iterator[dict[str, Any]]:
    """Rate of a 3 × 3 convolution's gradient in both inputs: three times the forward operations over the time."""
    for size, inputs, outputs in SHAPES:
        x = jax.random.normal(jax.random.key(0), (BATCH, size, size, inputs))
        weight = jax.random.normal(jax.random.key(1), (3, 3, inputs, outputs))
        operations = 3 * 2 * BATCH * size**2 * 9 * inputs * outputs
        gradients = {
            way: jax.grad(lambda x, w, f=function: (f(x, w) ** 2).sum(), argnums=(0, 1))
            for way, function in WAYS.items()
        }
        if (size, inputs) == (8, 64):
            gradients |= {f"{way}, inside lax.scan": looped(function) for way, function in WAYS.items()}
        for way, gradient in gradients.items():
            seconds = timed(jax.jit(gradient), x, weight, repeats=3)
            yield {
                "image": f"{size} × {size}",
                "channels": f"{inputs} → {outputs}",
                "way": way,
                "gflop_per_s": operations / seconds["min_s"] / 1e9,
                "median_s": seconds["median_s"],
            }


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One table."""
    del peers  # there are none
    yield "convolution", list(rows())
