"""Frequencies from scrambled Sobol' points: quasi-Monte-Carlo random features (Avron et al. 2016)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ..kernels import (
    AbstractKernel,
    AbstractRadialKernel,
    AutomaticRelevance,
    Gaussian,
    InverseMultiquadric,
    Laplace,
    Matern,
    PerCoordinate,
    Product,
)

BITS = 23
"""Binary digits of a coordinate. With half a step added they, and 1 less them, are exact in float32 and never 0."""

MAX_DIM = 21_201
"""Coordinates for which direction numbers are known (Joe and Kuo 2008)."""


def scrambled_sobol(key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num dim"]:
    """The first `num` Sobol' points, scrambled: each is uniform on (0, 1)^dim, together they fill it evenly.

    Random linear scrambling (Matoušek 1998): a random lower triangular matrix mod 2 on the digits of each coordinate,
    then a random digital shift. Uniform up to the grid of 2⁻²³. Most even where `num` is a power of two. The points
    themselves are constants of a compiled program, so that only the scrambling depends on the key.

    Raises:
        ValueError: in more than 21,201 dimensions.
    """
    if dim > MAX_DIM:
        raise ValueError(f"Quasi-Monte-Carlo points have {dim} coordinates: Sobol' numbers exist for {MAX_DIM:,}.")
    from scipy.stats import qmc  # takes a while to import, and is needed here only

    digits = max((num - 1).bit_length(), 1)  # of the first 2ᵏ points only k are not 0
    points = qmc.Sobol(dim, scramble=False).random_base2(digits)[:num]
    integers = np.asarray(points * 2**digits, dtype=np.uint32)
    key_matrix, key_shift = jax.random.split(key)
    # Digits from the most significant on: [num, dim, digits] → [num, dim, BITS].
    places = np.arange(digits - 1, -1, -1, dtype=np.uint32)
    bits = ((jnp.asarray(integers)[:, :, None] >> places[None, None, :]) & 1).astype(jnp.int32)
    below = jax.random.bernoulli(key_matrix, shape=(dim, BITS, digits)) & jnp.tri(BITS, digits, -1, dtype=bool)[None]
    matrix = (below | jnp.eye(BITS, digits, dtype=bool)[None]).astype(jnp.int32)
    shift = jax.random.bernoulli(key_shift, shape=(1, dim, BITS)).astype(jnp.int32)
    scrambled = (jnp.einsum("nds,drs->ndr", bits, matrix) + shift) % 2
    values = (scrambled << np.arange(BITS - 1, -1, -1, dtype=np.int32)[None, None, :]).sum(-1)
    return (values.astype(float) + 0.5) / 2**BITS


def num_coordinates(kernel: AbstractKernel, dim: int) -> int:
    """Coordinates a point needs: one a dimension, and those of the random scale."""
    match kernel:
        case Product():
            return num_coordinates(kernel.first, dim) + num_coordinates(kernel.second, dim)
        case AutomaticRelevance():
            return num_coordinates(kernel.kernel, dim)
        case PerCoordinate():
            return dim * num_coordinates(kernel.kernel, 1)
        case InverseMultiquadric():
            return dim + 1
        case Laplace():
            return dim + (kernel.norm == "l2")
        case Matern():
            return dim + round(2 * kernel.smoothness)
        case _:
            return dim


def quasi_frequencies(
    kernel: AbstractKernel, dim: int, points: Float[Array, "num c"], key: Key[Array, ""]
) -> Float[Array, "num dim"]:
    """Frequencies ω [num, dim] of a stationary kernel by inverse distribution functions of uniform points.

    The random scale of a mixture of Gaussians takes coordinates of its own, as a function of normal variates: ξ of the
    inverse multiquadric, 1/|h| of the L2 Laplace, (2ν/Σh²)^½ with 2ν of them for Matérn. Where that is unknown
    (rational quadratic, a kernel of your own) it is drawn plainly with `key`.
    """
    if isinstance(kernel, Product):
        key_first, key_second = jax.random.split(key)
        cut = num_coordinates(kernel.first, dim)
        first = quasi_frequencies(kernel.first, dim, points[:, :cut], key_first)
        return first + quasi_frequencies(kernel.second, dim, points[:, cut:], key_second)
    if isinstance(kernel, AutomaticRelevance):
        return kernel.scaled(quasi_frequencies(kernel.kernel, dim, points, key))
    if isinstance(kernel, PerCoordinate):
        blocks = points.reshape(len(points), dim, -1).swapaxes(0, 1)
        keys = jax.random.split(key, dim)
        return kernel.each(lambda one, u, subkey: quasi_frequencies(one, 1, u, subkey)[:, 0], blocks, keys).T
    if isinstance(kernel, Laplace) and kernel.norm == "l1":  # Cauchy variates, without cancellation near 0 and 1
        outer = jnp.minimum(points, 1 - points)
        return jnp.sign(points - 0.5) / (kernel.length_scale * jnp.tan(jnp.pi * outer))
    normal = jax.scipy.special.ndtri(points)
    directions, scales = normal[:, :dim], normal[:, dim:]
    match kernel:
        case Gaussian():
            return directions / kernel.bandwidth
        case InverseMultiquadric():
            return directions * scales / kernel.scale
        case Laplace():
            return directions / (jnp.abs(scales) * kernel.length_scale)
        case Matern():
            spread = jnp.sqrt(2 * kernel.smoothness / (scales**2).sum(1, keepdims=True))
            return directions * spread / kernel.length_scale
        case AbstractRadialKernel():
            return directions * kernel.frequency_scale(key, len(points), dim)
        case _:
            raise TypeError(f"{type(kernel).__name__} has no sampler of random frequencies.")
