"""Standardised coordinates, and sums over a matrix of covariances without forming the larger of its two forms."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


def standardise(x: Float[Array, "n d"], epsilon: float = 0.0) -> Float[Array, "n d"]:
    """Columns (x − mean)/√(var + ε), with the biased variance Σ(x − mean)²/n.

    At ε = 0 a constant column gives 0 with derivative 0.
    """
    x = centre_columns(x)
    # Scaled by the largest entry first, so that the square neither overflows nor vanishes.
    largest = jnp.maximum(jax.lax.stop_gradient(jnp.abs(x).max(0, keepdims=True)), epsilon**0.5)
    scale = jnp.where(largest > 0, largest, 1)
    x = x / scale
    variance = (x**2).mean(0, keepdims=True) + (epsilon**0.5 / scale) ** 2
    return x * jnp.where(variance > 0, jax.lax.rsqrt(jnp.where(variance > 0, variance, 1)), 0)


def centre_columns(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Columns less their means; a constant one gives exactly 0, and an offset costs no digits."""
    x = x - jax.lax.stop_gradient(x[:1])
    return x - x.mean(0, keepdims=True)


def squares(x: Float[Array, "n d"], y: Float[Array, "n d"]) -> tuple[Float[Array, " d"], Scalar]:
    """The diagonal of A = XᵀY/n and Σ_{i≠j} A²_ij.

    From A [d, d], or, where that is the larger, from Gram matrices: ΣA²_ij = Σ(XXᵀ ∘ YYᵀ)/n². Time and memory
    nd·min(n, d) and min(n, d)².
    """
    n, d = x.shape
    diagonal = (x * y).mean(0)
    if d <= n:
        products = jnp.matmul(x.T, y, precision=jax.lax.Precision.HIGHEST) / n
        return diagonal, jnp.where(jnp.eye(d, dtype=bool), 0, products**2).sum()
    gram_x, gram_y = (jnp.matmul(one, one.T, precision=jax.lax.Precision.HIGHEST) / n for one in (x, y))
    return diagonal, (gram_x * gram_y).sum() - (diagonal**2).sum()
