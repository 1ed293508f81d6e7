"""SimSiam: BYOL with the network itself, gradient stopped, as the target."""

from typing import Literal

import equinox as eqx
from jaxtyping import Array, Key, Scalar

from .base import AbstractStatelessObjective, Outputs, online_views, target_views
from .byol import byol_terms


class SimSiam(AbstractStatelessObjective):
    """L = −E_pos cos(p, sg z), p the prediction of one view, z the projection of another (Chen and He 2021).

    The mean is over all M(M − 1) ordered pairs of different views, of two views ½ of either direction as in the
    authors' code. It is BYOL's loss, L_BYOL = 2 + 2L, with the network itself as the target; no hyper-parameter of its
    own.

    In the lens of dependence, with an identity predictor, dep = −L − ‖E Z‖² with the cosine kernel: as in `BYOL` there
    is no regulariser, and collapse, the minimum, is avoided by predictor and stop-gradient alone.

    `terms`: "alignment" = −L; "dep" = E_pos cos(p, z) − E p · E z of unit vectors.

    Args:
        num_views: M.
    """

    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=True)
    target: Literal["stop_gradient"] = eqx.field(static=True, default="stop_gradient")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        alignment, of_means = byol_terms(online_views(outputs), target_views(outputs, self.target))
        return -alignment, {"alignment": alignment, "dep": alignment - of_means}, state
