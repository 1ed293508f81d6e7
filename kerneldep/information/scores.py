"""Matrices of scores f(x_i, y_j) [K, K]: their check, and means over the pairs that a batch has and those it makes up.

Rows are x_i, columns y_j. The diagonal holds K draws of the joint law, the rest K(K − 1) draws of the product of the
marginals (independent only where they share no index).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .. import _check
from .._check import ArrayLike


def as_scores(scores: ArrayLike) -> Float[Array, "K K"]:
    """`scores` as a square floating-point matrix.

    Off the diagonal −∞ is a score like others: a pair that cannot be. Values are checked where they are concrete;
    under `jit` they are not, so that training steps hold no run-time check.

    Raises:
        TypeError: complex or non-numeric input.
        ValueError: no square matrix, K = 1, NaN, +∞, or −∞ on the diagonal.
    """
    array = _check.as_real(scores, "scores")
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"scores has shape {array.shape}: a square matrix [K, K] of f(x_i, y_j) is needed.")
    if len(array) < 2:
        raise ValueError(f"scores has K = {len(array)} pair(s): without K ≥ 2 there is no pair of unrelated x and y.")
    checked = _check.as_float(array, "scores")
    guard = _check.Guard()
    guard.require((checked < jnp.inf).all(), "scores holds NaN or +∞.")
    ruled_out = "scores holds −∞ on the diagonal: the critic rules out a pair that was observed."
    guard.require(jnp.isfinite(jnp.diagonal(checked)).all(), ruled_out)
    return checked


def joint_mean(scores: Float[Array, "K K"]) -> Scalar:
    """Mean of f over the K pairs observed, the diagonal."""
    return jnp.diagonal(scores).mean()


def product_mean(scores: Float[Array, "K K"]) -> Scalar:
    """Mean of f over the K(K − 1) pairs off the diagonal."""
    num = len(scores)
    return jnp.where(observed(num), 0, scores).sum() / (num * (num - 1.0))


def log_product_mean_exp(scores: Float[Array, "K K"]) -> Scalar:
    """Logarithm of the mean of e^f over the K(K − 1) pairs off the diagonal."""
    num = len(scores)
    return log_sum_exp(without_observed(scores)) - jnp.log(num * (num - 1.0))


def log_sum_exp(values: Float[Array, "n m"], axis: int | None = None) -> Array:
    """Logarithm of Σ e^v; where every v is −∞, −∞ with derivative 0 instead of NaN."""
    possible = (values != -jnp.inf).any(axis, keepdims=True)
    total = jax.nn.logsumexp(jnp.where(possible, values, 0), axis)
    return jnp.where(possible.squeeze(axis), total, -jnp.inf)


def without_observed(scores: Float[Array, "K K"]) -> Float[Array, "K K"]:
    """The scores with −∞ on the diagonal, so that e^f vanishes there, and its derivative."""
    return jnp.where(observed(len(scores)), -jnp.inf, scores)


def observed(num: int) -> Bool[Array, "K K"]:
    """Where the K observed pairs are: the diagonal."""
    return jnp.eye(num, dtype=bool)
