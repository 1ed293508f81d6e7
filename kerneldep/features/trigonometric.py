"""Cosine and sine of an angle given in turns."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Chebyshev fits in r² of cos πr and of sin(πr)/r on |r| ≤ ½, lowest power first; errors below 7e-9.
COSINE = (1.0, -4.93480214, 4.05870916, -1.335212, 0.234937314, -0.0243963243)
SINE = (3.14159265, -5.16771008, 2.55007752, -0.598291286, 0.0776576603)


@jax.custom_jvp
def cos_sin_turns(turns: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """The cosine and the sine of 2πt, to float32's last digit for any t.

    In turns the range is reduced exactly, t − ⌊t⌉, where in radians it takes many digits of π; what is left are two
    short polynomials, which vectorise: on a CPU several times faster than `jnp.cos` and `jnp.sin`. In double precision
    it is these two, after the reduction.
    """
    whole = jnp.round(2 * turns)
    r = 2 * turns - whole
    sign = 1 - 2 * (whole - 2 * jnp.floor(whole / 2))
    if turns.dtype != jnp.float32:
        return sign * jnp.cos(jnp.pi * r), sign * jnp.sin(jnp.pi * r)
    return sign * _polynomial(COSINE, r * r), sign * r * _polynomial(SINE, r * r)


@cos_sin_turns.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (turns,), (change,) = primals, tangents
    cosine, sine = cos_sin_turns(turns)
    change = 2 * jnp.pi * change
    return (cosine, sine), (-sine * change, cosine * change)


def _polynomial(coefficients: tuple[float, ...], z: Array) -> Array:
    value = jnp.full_like(z, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * z + coefficient
    return value
