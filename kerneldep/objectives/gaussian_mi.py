"""Gaussian MI: mutual information of two views from their covariances alone."""

import itertools
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .base import AbstractStatelessObjective, Outputs, online_views
from .correlation import standardise
from .log_determinant import log_determinant, second_moment


@eqx.filter_jit
def gaussian_mi_terms(views: Float[Array, "M B d"], epsilon: float = 1e-4) -> tuple[Scalar, Scalar]:
    """Marginal and joint ½·log det(C + εI), so that the information is twice the first less the second, in nats.

    C is a view's covariance [d, d] in the first, averaged over views; of two views' coordinates together [2d, 2d] in
    the second, averaged over pairs of different views. The terms are Gaussian entropies up to constants that cancel.
    With n images the plug-in exceeds I by about d²/(2n) on Gaussians, and needs n > 2d: else the joint covariance is
    singular, and the value says more of ε than of the views.

    Args:
        views: representations [M, B, d], as they are; centred here.
        epsilon: ε, in the units of a variance; see `log_determinant` for its floor.
    """
    centred = views - views.mean(1, keepdims=True)
    marginal = sum(log_determinant(second_moment(view), epsilon) for view in centred) / len(views)
    pairs = list(itertools.combinations(centred, 2))
    both = (jnp.concatenate(pair, axis=1) for pair in pairs)
    joint = sum(log_determinant(second_moment(one), epsilon) for one in both) / len(pairs)
    return jnp.asarray(marginal / 2), jnp.asarray(joint / 2)


class GaussianMI(AbstractStatelessObjective):
    """L = −½[log det C₁₁ + log det C₂₂ − log det C], each C + εI: minus the mutual information of Gaussians, in nats.

    C₁₁, C₂₂ are the covariances of the two views' outputs, C that of both together. The value is I(Z; Z′) if (Z, Z′)
    is jointly Gaussian; since I is invariant, it is also I(X; X′) of any X, X′ that homeomorphisms of each map to such
    Z, Z′. Outputs are standardised first, each coordinate of each view, which leaves I as it is and makes ε relative
    to unit variance: else the value would grow with the outputs' scale alone. For views that coincide ε caps the
    value, at (d/2)·log((1 + ε)²/(ε(2 + ε))) for uncorrelated coordinates. With M > 2 views the value is averaged over
    pairs of different views (kerneldep's).

    Chang, Liu, Guo & Wen (2024, "Explicit Mutual Information Maximization for Self-Supervised Learning") derive a loss
    from this formula; their supplement confirms the formula and its invariance. The loss they train with could not be
    confirmed, nor its ε and normalisation: the standardisation and ε here are kerneldep's.

    In the lens of dependence the value is −½Σ log(1 − ρ_c²) over canonical correlations ρ_c of the two views, to
    lowest order ½‖C₁₁^{−½}C₁₂C₂₂^{−½}‖²_F: dependence of one view on the other, through which they depend on identity,
    with the linear kernel *after whitening* (NOCCO). The marginal terms, which ask for spread in all directions, are
    the regulariser, as in CorInfoMax.

    `terms`: "information" in nats, "marginal" and "joint" = ½·log det, of which it is 2·marginal − joint.

    Args:
        epsilon: ε > 0. It matters for views that nearly coincide: a canonical correlation counts up to 1 − ρ_c ≈ ε.
        num_views: M.
    """

    epsilon: float = eqx.field(static=True, converter=float, default=1e-4)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(f"GaussianMI.epsilon is {self.epsilon}: it must be positive.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        marginal, joint = gaussian_mi_terms(jax.vmap(standardise)(online_views(outputs)), self.epsilon)
        information = 2 * marginal - joint
        return -information, {"information": information, "marginal": marginal, "joint": joint}, state
