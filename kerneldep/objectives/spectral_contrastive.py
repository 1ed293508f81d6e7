"""The spectral contrastive loss: dependence and self-dependence with the linear kernel, linear in the batch."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Scalar

from ..kernels.dot_product import normalise
from .base import AbstractStatelessObjective, Outputs, online_views

Negatives = Literal["in_batch", "population"]


@eqx.filter_jit
def spectral_contrastive_terms(
    views: Float[Array, "M B d"], negatives: Negatives = "in_batch"
) -> tuple[Scalar, Scalar]:
    """E_pos z·z⁺ and E (z·z⁻)², the two terms of the spectral contrastive loss (see `SpectralContrastive`).

    Args:
        views: representations [M, B, d], used as they are.
        negatives: "in_batch": different images in different views; "population": all (MB)² pairs.

    Returns:
        Both means, in time linear in B where B > d. No [B, B] matrix is held then, and no [d, d] one otherwise.
    """
    num_views, batch, dim = views.shape
    first, second = (views[pairs] for pairs in np.triu_indices(num_views, 1))
    positives = (first * second).sum(-1)
    if negatives == "population":
        z = views.reshape(-1, dim)
        return positives.mean(), _squared_products(z, z) / float(num_views * batch) ** 2
    total = jax.vmap(_squared_products)(first, second) - (positives**2).sum(1)
    return positives.mean(), total.mean() / (batch * (batch - 1.0))


def _squared_products(x: Float[Array, "n d"], y: Float[Array, "n d"]) -> Scalar:
    """Σ_ij (x_i·y_j)² = tr(XᵀX YᵀY), by whichever of the matrices [d, d] and [n, n] is smaller."""
    highest = jax.lax.Precision.HIGHEST
    if len(x) > x.shape[1]:
        return (jnp.matmul(x.T, x, precision=highest) * jnp.matmul(y.T, y, precision=highest)).sum()
    return (jnp.matmul(x, y.T, precision=highest) ** 2).sum()


def shortened(views: Float[Array, "M B d"], max_squared_norm: float) -> Float[Array, "M B d"]:
    """Vectors with ‖z‖² > μ scaled to ‖z‖² = μ, others as they are."""
    beyond = (views**2).sum(-1, keepdims=True) > max_squared_norm
    return jnp.where(beyond, max_squared_norm**0.5 * normalise(views), views)


class SpectralContrastive(AbstractStatelessObjective):
    """L = −2 E_pos z·z⁺ + E (z·z⁻)² (HaoChen et al. 2021), on features that are not normalised.

    E_pos is over pairs of different views of one image. What a negative is has names:

    - "in_batch", as in the authors' code: another image in another view; B(B − 1) pairs for each pair of views.
    - "population": all (MB)² pairs, the anchor and its positives among them: the plug-in of two independent draws.

    The authors' code shortens features with ‖z‖² above a μ to ‖z‖² = μ, leaves shorter ones, and divides the loss by μ
    (1 on CIFAR-10, 10 on ImageNet); so does this. The formula's own loss is that with `max_squared_norm=None`.

    In the lens of dependence, with k = zᵀz′, m = E Z and Σ = Cov Z, the population form is (kerneldep's)

        L = −2 dep + HSIC(Z, Z) + 2mᵀΣm + ‖m‖⁴ − 2‖m‖²,

    exactly −2 dep + HSIC(Z, Z) for centred features: SSL-HSIC with the linear kernel, but without the root, so that the
    loss is not homogeneous in the kernel's amplitude and itself decides how long features are, up to √μ.

    `terms`: "alignment" = E_pos z·z⁺, "repulsion" = E (z·z⁻)², "dep" = E_pos z·z⁺ − ‖m‖², of features as shortened and
    before the division by μ.

    Args:
        negatives: as above.
        max_squared_norm: μ > 0, or None for features of any length.
        num_views: M; means are over all pairs of different views.
    """

    negatives: Negatives = eqx.field(static=True, default="in_batch")
    max_squared_norm: float | None = eqx.field(static=True, default=1.0)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if self.negatives not in get_args(Negatives):
            raise ValueError(
                f"SpectralContrastive.negatives is {self.negatives!r}: one of {get_args(Negatives)} is needed."
            )
        if self.max_squared_norm is not None and not 0 < self.max_squared_norm < float("inf"):
            raise ValueError(
                f"SpectralContrastive.max_squared_norm is {self.max_squared_norm}: a positive number or None is needed."
            )

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = online_views(outputs)
        if self.max_squared_norm is not None:
            views = shortened(views, self.max_squared_norm)
        alignment, repulsion = spectral_contrastive_terms(views, self.negatives)
        mean = views.mean((0, 1))
        terms = {"alignment": alignment, "repulsion": repulsion, "dep": alignment - mean @ mean}
        return (repulsion - 2 * alignment) / (self.max_squared_norm or 1.0), terms, state
