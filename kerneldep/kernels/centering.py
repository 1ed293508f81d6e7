"""Centring of Gram matrices: HKH."""

import jax
from jaxtyping import Array, Float

from .. import _check
from .._check import ArrayLike


def center_gram(gram: ArrayLike) -> Float[Array, "n n"]:
    """The Gram matrix of centred features: HKH with H = I − 11ᵀ/n, without a matrix product.

    Its rows and columns sum to 0. HKH does not change under K_ij → K_ij + u_i + v_j.

    Args:
        gram: K, [n, n].

    Returns:
        HKH, [n, n]. Time and memory n². A constant K gives exactly 0.

    Raises:
        ValueError: if K is not square, or holds NaN or infinite values.

    Example:
        >>> center_gram([[2.0, 1.0], [1.0, 4.0]]).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    guard = _check.Guard()
    matrix = _check.as_samples(gram, "gram", guard)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"gram has shape {matrix.shape}: a square matrix [n, n] is needed.")
    return centered(guard.on(matrix))


def centered(gram: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`center_gram` without its checks."""
    gram = gram - jax.lax.stop_gradient(gram[0, -1])  # a constant cancels exactly
    gram = gram - gram.mean(1, keepdims=True)
    return gram - gram.mean(0, keepdims=True)
