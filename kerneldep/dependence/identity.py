"""Dependence on identity: HSIC between a view's representation Z and the image Y it came from, in closed form."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Scalar

from .. import _check
from ..kernels import AbstractKernel
from ..kernels.base import check_parameters
from .tiled import Side, gram_sums, side

Estimate = Literal["unbiased", "paper", "population"]


def positive_dependence(
    views: ArrayLike, kernel: AbstractKernel, *, estimate: Estimate = "unbiased", num_images: int | None = None
) -> Scalar:
    """Dep = E_pos k(Z, Z′) − E k(Z, Z′): how much more alike two views of one image are than two views at large.

    With Y the identity of one of N equally likely images and a label kernel with Δl = l₁ − l₀,
    HSIC(Z, Y) = (Δl/N) · dep (Li et al. 2021, section 3.1). Every estimate is linear in k, takes each of the (BM)²
    pairs once and holds a tile of them.

    Args:
        views: representations [M, B, d] of M ≥ 2 views of B images.
        kernel: k.
        estimate: With Ê_pos the mean over p ≠ q of one image, Ê_off over different images, Ê_all over all (BM)² pairs:

            - "unbiased": Ê_pos − [Ê_pos/N + (1 − 1/N)Ê_off]. Its mean is dep when the B images are distinct, drawn
              without replacement from N, and their views are independent.
            - "paper": Ê_pos − Ê_all, the batch estimate of Li et al. (2021), less the factor Δl/N; biased by
              order 1/B.
            - "population": the views are the whole population (N = B, M equally likely views of each): E_pos then
              includes p = q. It is B times the plug-in tr(KHLH)/n² with Δl = 1.
        num_images: N of the unbiased estimate; None for N → ∞.

    Returns:
        A scalar in the unit of k.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values, an unknown estimate, N < B.
    """
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    checked = _check.as_views(views, "views", guard)
    check_estimate(estimate, num_images, checked.shape[1])
    return _positive_dependence(guard.on(checked), kernel, estimate, num_images)


@eqx.filter_jit
def _positive_dependence(
    views: Float[Array, "M B d"], kernel: AbstractKernel, estimate: Estimate, num_images: int | None
) -> Scalar:
    one = side(kernel, views.reshape(-1, views.shape[-1]))
    (rows,) = gram_sums((one,), ()).rows
    sums = IdentitySums(same_sum(one, views.shape[0]), (one.diagonal - one.shift).sum(), rows.sum())
    return sums.dependence(views.shape[0], views.shape[1], estimate, num_images)


def identity_hsic(dependence: ArrayLike, num_images: int, delta: float = 1.0) -> Array:
    """HSIC(Z, Y) = (Δl/N) · dep, for a label kernel with Δl = `delta` on N = `num_images` equally likely images."""
    return delta / num_images * jnp.asarray(dependence)


def check_estimate(estimate: str, num_images: int | None, batch: int) -> None:
    """Raise unless the estimate is known and N is at least B."""
    if estimate not in get_args(Estimate):
        raise ValueError(f"estimate is {estimate!r}: one of {', '.join(map(repr, get_args(Estimate)))} is needed.")
    if num_images is not None and num_images < batch:
        raise ValueError(f"num_images is {num_images}: it cannot be less than the B = {batch} images of the batch.")


class IdentitySums(eqx.Module):
    """Sums over all pairs of B × M views that determine dep; a constant taken from k everywhere changes nothing.

    Attributes:
        same: Σ k over ordered pairs p ≠ q of one image.
        diagonal: Σ k(z, z).
        others: Σ k over ordered pairs of distinct views, same image or not.
    """

    same: Scalar
    diagonal: Scalar
    others: Scalar

    def dependence(self, views: int, batch: int, estimate: Estimate, num_images: int | None) -> Scalar:
        """Dep from the sums (see `positive_dependence`)."""
        n = float(views * batch)
        positive = self.same / (n * (views - 1))
        if estimate == "unbiased":
            off = (self.others - self.same) / (n * (n - views))
            return (positive - off) * (1.0 if num_images is None else 1 - 1 / num_images)
        everything = (self.others + self.diagonal) / n**2
        if estimate == "paper":
            return positive - everything
        return (self.same + self.diagonal) / (n * views) - everything


def same_sum(one: Side, views: int) -> Scalar:
    """Σ (k − shift) over ordered pairs p ≠ q of views of one image, for samples ordered [M, B]."""
    by_image = jax.tree.map(lambda leaf: leaf.reshape(views, -1, *leaf.shape[1:]).swapaxes(0, 1), one.points)
    grams = jax.vmap(one.kernel.pairwise)(by_image, by_image) - one.shift
    return jnp.where(jnp.eye(views, dtype=bool)[None], 0, grams).sum()


def feature_identity_sums(features: Float[Array, "n D"], views: int) -> IdentitySums:
    """The sums for k = φᵀφ, linear in the number of samples, ordered [M, B]."""
    by_image = features.reshape(views, -1, features.shape[1]).sum(0)
    diagonal = (features**2).sum()
    return IdentitySums((by_image**2).sum() - diagonal, diagonal, (features.sum(0) ** 2).sum() - diagonal)
