"""Log-determinants of covariance matrices, of whatever rank and in single precision."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

FLOOR = 8.0


def log_determinant(covariance: Float[Array, "d d"], ridge: float) -> Scalar:
    """Log det(C + εI) by Cholesky, ε = max(`ridge`, 8·u·‖C‖_F) with u the float's spacing at 1 (1.2e-7, 2.2e-16).

    The second is a floor below which rounding makes a rank-deficient C indefinite, and the factorisation fails: that
    was seen for 0.5·u·‖C‖_F, never for 1 (float32, d = 16 to 512; ranks from 1, duplicated, offset and badly scaled
    coordinates). No gradient flows through it, so that the gradient is (C + εI)⁻¹.

    Args:
        covariance: C [d, d], positive semi-definite up to rounding.
        ridge: at least this much is added to each eigenvalue.
    """
    floor = FLOOR * jnp.finfo(covariance.dtype).eps * jnp.linalg.norm(jax.lax.stop_gradient(covariance))
    shifted = covariance + jnp.maximum(ridge, floor) * jnp.eye(len(covariance), dtype=covariance.dtype)
    return 2 * jnp.log(jnp.diagonal(jnp.linalg.cholesky(shifted))).sum()


def second_moment(x: Float[Array, "n d"]) -> Float[Array, "d d"]:
    """XᵀX/n; of centred samples the covariance."""
    return jnp.matmul(x.T, x, precision=jax.lax.Precision.HIGHEST) / len(x)
