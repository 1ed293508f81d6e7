"""SFRIK: views agree, and their law is pushed to the uniform one on the sphere (Zheng et al. 2023)."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from ..dependence.tiled import map_rows
from ..kernels import Linear
from .base import AbstractStatelessObjective, Outputs, unit_views


def rotation_invariant(cosines: Float[Array, "*shape"], dim: int, coefficients: Sequence[float]) -> Array:
    """ψ(t) = Σ_{l≥1} b_l P_l(t), a positive definite kernel of unit vectors in dimension d ≥ 2 if all b_l ≥ 0.

    P_l is the Legendre polynomial of dimension d (Gegenbauer's, with P_l(1) = 1), by its recurrence
    (l + d − 2) P_{l+1} = (2l + d − 2) t P_l − l P_{l−1}. Its mean over the uniform law on the sphere is 0 for l ≥ 1.
    """
    before, now = jnp.ones_like(cosines), cosines
    total = jnp.zeros_like(cosines)
    for degree, coefficient in enumerate(coefficients, 1):
        total = total + coefficient * now
        after = ((2 * degree + dim - 2) * cosines * now - degree * before) / (degree + dim - 2)
        before, now = now, after
    return total


@eqx.filter_jit
def sfrik_terms(
    views: Float[Array, "M B d"], coefficients: tuple[float, ...] = (1.0, 40.0, 40.0)
) -> tuple[Scalar, Scalar]:
    """The two terms of SFRIK on unit vectors: E_pos‖z − z⁺‖², and MMD² to the uniform law on the sphere.

    MMD² = E ψ(z·z′), since ψ has no constant and mean 0 over the sphere; the V-statistic of each view (pairs of an
    image with itself among them), averaged over views. Time MB²d; rows of similarities are held a tile at a time,
    forward and backward.

    Raises:
        ValueError: d = 1.
    """
    num_views, _, dim = views.shape
    if dim < 2:
        raise ValueError("SFRIK has views of dimension 1: at least 2 is needed.")

    def mean_of_row(cosines: Float[Array, "t n"], index: Int[Array, " t"]) -> Float[Array, " t"]:
        return rotation_invariant(cosines, dim, coefficients).mean(1)

    discrepancies = [map_rows(mean_of_row, Linear(), view).mean() for view in views]
    # The mean over pairs of different views is 2M/(M − 1) times the mean squared deviation from their centre.
    deviation = ((views - views.mean(0, keepdims=True)) ** 2).sum(2).mean()
    return 2 * num_views / (num_views - 1) * deviation, jnp.stack(discrepancies).mean()


class SFRIK(AbstractStatelessObjective):
    """L = w·E_pos‖z − z⁺‖² + MMD²(Z, uniform) with a rotation-invariant kernel (Zheng et al. 2023).

    On unit vectors, MMD² = E ψ(z·z′) with ψ = Σ_{l=1}^{L} b_l P_l (`rotation_invariant`), truncated at order L. E_pos
    is over pairs of different views, all of them; MMD² is that of one view, averaged over views.

    Defaults: b = (1, 40, 40) is what the authors' repository trains with. It averages squares over d as well, with
    weight 4000 at d = 8192 and 40000 at d = 32768: of the squared distance that is w = 0.49 and 1.22; here w = 0.49. w
    and the ratio of b₂ to b₁ matter.

    In the lens of dependence: E_pos‖z − z⁺‖² = 2(1 − E_pos cos) is the alignment part with the linear kernel, and
    E ψ(z·z′) is the other part of dep = E_pos k − E E k, with ψ for k. With ψ(t) = 2wt both have the linear kernel, and
    the loss is 2w(1 − dep), the second mean within views (kerneldep's): no regulariser but what dep holds. That is in
    the orders l ≥ 2: the second adds b₂ d/(d − 1)·‖E zzᵀ − I/d‖²_F, like HSIC(Z, Z) with the linear kernel.

    `terms`: "alignment" (the squared distance), "mmd".

    Args:
        weight: w ≥ 0.
        coefficients: b₁, …, b_L ≥ 0, not all 0.
        num_views: M.
    """

    weight: float = eqx.field(static=True, converter=float, default=4000 / 8192)
    coefficients: tuple[float, ...] = eqx.field(static=True, default=(1.0, 40.0, 40.0))
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"SFRIK.weight is {self.weight}: it cannot be negative.")
        if not any(self.coefficients) or not all(one >= 0 for one in self.coefficients):
            raise ValueError(f"SFRIK.coefficients are {self.coefficients}: none negative and not all 0 is needed.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        alignment, mmd = sfrik_terms(unit_views(outputs, self.target), self.coefficients)
        return self.weight * alignment + mmd, {"alignment": alignment, "mmd": mmd}, state
