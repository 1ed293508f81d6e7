"""InfoNCE, with each of its denominators under its own name."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from ..dependence.tiled import map_rows
from ..kernels import Linear
from .base import AbstractStatelessObjective, Outputs, unit_views
from .positives import positive_product

Denominator = Literal["nt_xent", "in_batch", "population"]


@eqx.filter_jit
def infonce_terms(
    views: Float[Array, "M B d"], temperature: float, denominator: Denominator = "nt_xent"
) -> tuple[Scalar, Scalar]:
    """The two terms of InfoNCE on unit vectors: E_pos s/τ and the log-denominator (see `InfoNCE`).

    Rows of scores are held a tile at a time, forward and backward.
    """
    num_views, batch, dim = views.shape
    z = views.reshape(-1, dim)

    def log_denominator(scores: Float[Array, "t n"], index: Int[Array, " t"]) -> Float[Array, " t"]:
        scores = scores / temperature
        if denominator == "population":
            return jax.nn.logsumexp(scores, axis=1) - jnp.log(len(z))
        if denominator == "nt_xent":
            others = jnp.arange(len(z))[None, :] != index[:, None]
            return jax.nn.logsumexp(scores, axis=1, where=others)
        by_view = jax.nn.logsumexp(scores.reshape(-1, num_views, batch), axis=2)
        other_views = jnp.arange(num_views)[None, :] != (index // batch)[:, None]
        return jnp.where(other_views, by_view, 0).sum(1) / (num_views - 1)

    return positive_product(views, views) / temperature, map_rows(log_denominator, Linear(), z).mean()


class InfoNCE(AbstractStatelessObjective):
    """L = −E_pos s/τ + E log Σ e^{s/τ}, s the cosine similarity (van den Oord et al. 2018; SimCLR, Chen et al. 2020).

    E_pos is over pairs of different views of one image, all M(M − 1) of them. What the sum runs over has names:

    - "nt_xent" (SimCLR's NT-Xent): the MB − 1 other views of the batch, the positive among them.
    - "in_batch": the B images in each other view (B candidates, one of them the positive), averaged over views.
    - "population": the *mean* over all MB views, the anchor itself included: the plug-in of log E exp k, the form in
      which L + dep ≥ 0 and the bounds of `kerneldep.analysis.infonce_hsic` hold. It lacks the log of the number of
      candidates that the others carry.

    In the lens of dependence, τL ≈ −dep_cos + (1/2τ)E Var: dependence on identity with the cosine kernel, and as
    regulariser the variance of similarities, which lowering τ weighs more.

    `terms`: "alignment" = E_pos s, "log_denominator", "dep" = E_pos s/τ − E s/τ with the mean over all pairs.

    Args:
        temperature: τ > 0; 0.2 is usual on CIFAR.
        denominator: as above.
        num_views: M.
    """

    temperature: float = eqx.field(static=True, converter=float, default=0.2)
    denominator: Denominator = eqx.field(static=True, default="nt_xent")
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"InfoNCE.temperature is {self.temperature}: it must be positive.")
        if self.denominator not in get_args(Denominator):
            raise ValueError(f"InfoNCE.denominator is {self.denominator!r}: one of {get_args(Denominator)} is needed.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = unit_views(outputs, self.target)
        positive, log_denominator = infonce_terms(views, self.temperature, self.denominator)
        mean = views.mean((0, 1))
        terms = {
            "alignment": positive * self.temperature,
            "log_denominator": log_denominator,
            "dep": positive - mean @ mean / self.temperature,
        }
        return log_denominator - positive, terms, state
