"""Alignment and uniformity: positives close, the others spread over the sphere."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from ..dependence.tiled import map_rows
from ..kernels import Linear
from .base import AbstractStatelessObjective, Outputs, unit_views
from .positives import positive_product


@eqx.filter_jit
def alignment_uniformity_terms(
    views: Float[Array, "M B d"], exponent: float = 2.0, sharpness: float = 2.0
) -> tuple[Scalar, Scalar]:
    """E_pos‖z − z⁺‖^α and log E e^{−t‖z − z′‖²}, the latter of each view apart and averaged.

    Args:
        views: representations [M, B, d], used as they are.
        exponent: α.
        sharpness: t.

    Returns:
        Alignment, over pairs of different views; uniformity in nats, over pairs of different images within a view. Rows
        of similarities are held a tile at a time, forward and backward.
    """
    num_views, batch, _ = views.shape
    first, second = (views[pairs] for pairs in np.triu_indices(num_views, 1))
    squared = ((first - second) ** 2).sum(-1)
    apart = squared > 0
    alignment = jnp.where(apart, jnp.where(apart, squared, 1) ** (exponent / 2), 0).mean()

    def log_mean(z: Float[Array, "B d"]) -> Scalar:
        norms = (z**2).sum(1)

        def log_sum(products: Float[Array, "t n"], index: Int[Array, " t"]) -> Float[Array, " t"]:
            others = jnp.arange(batch)[None, :] != index[:, None]
            squared = norms[index][:, None] + norms[None, :] - 2 * products
            return jax.nn.logsumexp(-sharpness * squared, axis=1, where=others)

        return jax.nn.logsumexp(map_rows(log_sum, Linear(), z)) - math.log(batch * (batch - 1))

    return alignment, jax.lax.map(log_mean, views).mean()


class AlignmentUniformity(AbstractStatelessObjective):
    """L = E_pos‖z − z⁺‖^α + λ·log E e^{−t‖z − z′‖²}, with Z the L2-normalised outputs (Wang and Isola 2020).

    E_pos is over pairs of different views of one image; the second mean over pairs of different images within one view,
    and its logarithm averaged over the views, as in the authors' example code, whose α = 2, t = 2 and λ = 1 are the
    defaults here. t and λ matter most.

    In the lens of dependence (kerneldep's, α = 2): ‖z − z⁺‖² = 2 − 2s with s the cosine similarity, so alignment is
    2(1 − E_pos s), and λ·uniformity = 2λt(E s − 1) + 2λt²·Var s + O(λt³). With λ = 1/t the two make
    −2(E_pos s − E s) + 2t·Var s: dependence on identity with the cosine kernel, and as regulariser the variance of
    similarities, HSIC(Z, Z) + 2 Var_Z(E_Z′ s). It is then 2τ times InfoNCE at τ = 1/(2t), but for the logarithm taken
    after the mean over anchors. The default λ = 1 at t = 2 counts E s, that is ‖E Z‖², twice.

    `terms`: "alignment", "uniformity" (nats), "dep" = E_pos s − ‖E Z‖² of the cosine kernel.

    Args:
        exponent: α > 0.
        sharpness: t > 0.
        weight: λ ≥ 0 of uniformity.
        num_views: M.
    """

    exponent: float = eqx.field(static=True, converter=float, default=2.0)
    sharpness: float = eqx.field(static=True, converter=float, default=2.0)
    weight: float = eqx.field(static=True, converter=float, default=1.0)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        for name in ("exponent", "sharpness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"AlignmentUniformity.{name} is {getattr(self, name)}: it must be positive.")
        if not self.weight >= 0:
            raise ValueError(f"AlignmentUniformity.weight is {self.weight}: it cannot be negative.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = unit_views(outputs, self.target)
        alignment, uniformity = alignment_uniformity_terms(views, self.exponent, self.sharpness)
        mean = views.mean((0, 1))
        dependence = positive_product(views, views) - mean @ mean
        terms = {"alignment": alignment, "uniformity": uniformity, "dep": dependence}
        return alignment + self.weight * uniformity, terms, state
