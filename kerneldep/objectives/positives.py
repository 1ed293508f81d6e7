"""Positive pairs: different views of one image."""

from jaxtyping import Array, Float, Scalar


def positive_product(first: Float[Array, "M B d"], second: Float[Array, "M B d"]) -> Scalar:
    """E_pos of the dot product: the mean of x_pi · y_qi over images i and all M(M − 1) ordered pairs p ≠ q of views."""
    num_views, batch, _ = first.shape
    total = (first.sum(0) * second.sum(0)).sum() - (first * second).sum()
    return total / (num_views * (num_views - 1) * batch)
