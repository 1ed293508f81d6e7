"""BYOL: predict the target network's view of an image from another view of it."""

from typing import Literal

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, Scalar

from ..kernels.dot_product import normalise
from .base import AbstractStatelessObjective, Outputs, online_views, target_views
from .positives import positive_product


@eqx.filter_jit
def byol_terms(predictions: Float[Array, "M B d"], targets: Float[Array, "M B d"]) -> tuple[Scalar, Scalar]:
    """E_pos cos(q, z′) and the product of the mean unit vectors E q/‖q‖ · E z′/‖z′‖ (see `BYOL`).

    Args:
        predictions: q [M, B, d], of any norm.
        targets: z′ [M, B, d], of any norm; their gradient is stopped.
    """
    q, z = normalise(predictions), normalise(jax.lax.stop_gradient(targets))
    return positive_product(q, z), q.mean((0, 1)) @ z.mean((0, 1))


class BYOL(AbstractStatelessObjective):
    """L = E_pos‖q/‖q‖ − z′/‖z′‖‖² = 2 − 2 E_pos cos(q, z′), gradient stopped in z′ (Grill et al. 2020).

    q is the online network's prediction of one view, z′ the target network's projection of another view of the image.
    The mean is over all M(M − 1) ordered pairs of different views; the authors' code adds up the two directions of two
    views, which is twice that. No hyper-parameter of its own: predictor, decay of the target's moving average and batch
    normalisation belong to the network.

    In the lens of dependence, with an identity predictor and the target network the online one, L = 2(1 − E_pos k) for
    the cosine kernel, and dep = 1 − L/2 − ‖E Z‖² with Z of unit norm. So lowering L raises the dependence on identity
    only while ‖E Z‖² stays where it is: there is no regulariser in the loss, and full collapse minimises it.

    `terms`: "alignment" = E_pos cos(q, z′); "dep" = E_pos cos(q, z′) − E q · E z′ of unit vectors, which is dep itself
    where q = z = z′.

    Args:
        num_views: M.
    """

    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=True)
    target: Literal["ema"] = eqx.field(static=True, default="ema")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        alignment, of_means = byol_terms(online_views(outputs), target_views(outputs, self.target))
        return 2 - 2 * alignment, {"alignment": alignment, "dep": alignment - of_means}, state
