"""Decoupled contrastive learning: NT-Xent without the positive in its sum."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from ..dependence.tiled import map_rows
from ..kernels import Linear
from .base import AbstractStatelessObjective, Outputs, unit_views
from .positives import positive_product


@eqx.filter_jit
def dcl_terms(views: Float[Array, "M B d"], temperature: float) -> tuple[Scalar, Scalar]:
    """The two terms of DCL on unit vectors: E_pos s/τ and the log-sum over negatives (see `DCL`).

    Rows of scores are held a tile at a time, forward and backward.
    """
    num_views, batch, dim = views.shape
    z = views.reshape(-1, dim)

    def log_negatives(scores: Float[Array, "t n"], index: Int[Array, " t"]) -> Float[Array, " t"]:
        other_images = (jnp.arange(num_views * batch) % batch)[None, :] != (index % batch)[:, None]
        return jax.nn.logsumexp(scores / temperature, axis=1, where=other_images)

    return positive_product(views, views) / temperature, map_rows(log_negatives, Linear(), z).mean()


class DCL(AbstractStatelessObjective):
    """L = −E_pos s/τ + E log Σ e^{s/τ} over negatives alone, s the cosine similarity (Yeh et al. 2022).

    E_pos is over pairs of different views of one image, all M(M − 1) of them; the sum over the K = M(B − 1) views of
    other images, 2B − 2 of two views: NT-Xent's without the positive. So the pull on a positive pair does not weaken as
    it comes close, which matters in small batches, and the loss can be negative. It is the mean over all MB anchors;
    code that adds up the directions of two views gives twice that. The paper's variant with a weighted positive term is
    not here.

    In the lens of dependence (kerneldep's), τ(L − log K) → −(Ê_pos − Ê_off) as τ → ∞: minus the *unbiased* estimate of
    dep with the cosine kernel, N → ∞ (the positive in NT-Xent's sum biases it). The regulariser is, to second order,
    half the variance over negatives of s/τ: τ weighs it as in `InfoNCE`.

    `terms`: "alignment" = E_pos s, "log_negatives", "dep" = E_pos s/τ − E s/τ with the mean over all pairs.

    Args:
        temperature: τ > 0, which matters most; 0.1 as in public implementations (lightly); the paper's own values were
            not confirmed.
        num_views: M.
    """

    temperature: float = eqx.field(static=True, converter=float, default=0.1)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"DCL.temperature is {self.temperature}: it must be positive.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = unit_views(outputs, self.target)
        positive, log_negatives = dcl_terms(views, self.temperature)
        mean = views.mean((0, 1))
        terms = {
            "alignment": positive * self.temperature,
            "log_negatives": log_negatives,
            "dep": positive - mean @ mean / self.temperature,
        }
        return log_negatives - positive, terms, state
