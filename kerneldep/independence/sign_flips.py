"""Incomplete HSIC under exchanges of y within pairs of samples: random signs, and matrix products for all of them.

Sample i is paired with i + N, N = ⌊n/2⌋. With the differences Δφ_i = φ(x_i) − φ(x_{i+N}) and Δψ_i of y,
¼⟨Δφ_i, Δφ_j⟩⟨Δψ_i, Δψ_j⟩ has mean HSIC for i ≠ j, and exchanging y_i with y_{i+N} turns the sign of Δψ_i. So a
permutation of y that exchanges within pairs costs a product with ε_i ε_j, and no kernel is evaluated again. These
exchanges are a group: tests with them are exact for every n, not only in the limit as other wild bootstraps.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int8

from ..dependence.tiled import matched, side
from ..kernels import AbstractKernel

TILE = 256
"""Pairs of samples a matrix product: with a thousand columns of signs they stay in the cache."""


def most_offsets(n: int) -> int:
    """How many offsets there are: of N samples on a ring each meets every other once."""
    return (n // 2 - 1) // 2


@eqx.filter_jit
def paired_cores(kernel: AbstractKernel, x: Float[Array, "n d"], num_offsets: int) -> Float[Array, "R N"]:
    """½⟨Δφ_i, Δφ_j⟩ = ½(k_ij − k_{i,j+N} − k_{i+N,j} + k_{i+N,j+N}) for j = i + s (mod N), s = 1, …, R.

    In units of the kernel, as in `Side.in_units`.
    """
    one = side(kernel, x).in_units()
    half = len(x) // 2
    near, far = (jax.tree.map(lambda leaf, a=a: leaf[a : a + half], one.points) for a in (0, half))

    def at(s: Array) -> Float[Array, " N"]:
        def k(a: Any, b: Any) -> Float[Array, " N"]:
            return matched(one.kernel, a, jax.tree.map(lambda leaf: jnp.roll(leaf, -s, axis=0), b))

        # Differences first: they are small where the entries are not.
        return 0.5 * ((k(near, near) - k(near, far)) - (k(far, near) - k(far, far)))

    return jax.lax.map(at, jnp.arange(1, num_offsets + 1))


def random_signs(half: int, num: int, generator: np.random.Generator) -> Int8[np.ndarray, "N num"]:
    """Independent ±1, from random bits."""
    bytes_needed = -(-half * num // 8)
    bits = np.unpackbits(np.frombuffer(generator.bytes(bytes_needed), np.uint8), count=half * num)
    return (2 * bits.astype(np.int8) - 1).reshape(half, num)


@jax.jit
def flipped_means(
    of_x: Float[Array, "k R N"], of_y: Float[Array, "l R N"], signs: Int8[Array, "N t"]
) -> Float[Array, "t k l"]:
    """Σ_si ε_i ε_{i+s} X_si Y_si / (RN) for every pair of cores and every column of signs ε."""
    num, offsets, half = of_x.shape
    tiles = -(-half // TILE)
    # Around the ring; and zeros that fill the last tile.
    signs = jnp.concatenate([signs, signs[:offsets]])
    signs = jnp.pad(signs, ((0, tiles * TILE - half), (0, 0)))
    of_x, of_y = (jnp.pad(cores, ((0, 0), (0, 0), (0, tiles * TILE - half))) for cores in (of_x, of_y))

    def tile(total: Array, start: Array) -> tuple[Array, None]:
        some = jax.lax.dynamic_slice_in_dim(signs, start, TILE + offsets).astype(of_x.dtype)

        def at(s: Array, total: Array) -> Array:
            x, y = (jax.lax.dynamic_slice(cores, (0, s - 1, start), (len(cores), 1, TILE)) for cores in (of_x, of_y))
            both = (x.reshape(num, 1, TILE) * y.reshape(1, -1, TILE)).reshape(-1, TILE)
            products = some[:TILE] * jax.lax.dynamic_slice_in_dim(some, s, TILE)
            return total + jnp.matmul(both, products, precision=jax.lax.Precision.HIGHEST)

        return jax.lax.fori_loop(1, offsets + 1, at, total), None

    total, _ = jax.lax.scan(tile, jnp.zeros((num * len(of_y), signs.shape[1]), of_x.dtype), TILE * jnp.arange(tiles))
    return total.T.reshape(-1, num, len(of_y)) / (float(offsets) * half)
