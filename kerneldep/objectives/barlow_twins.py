"""Barlow Twins: the cross-correlation of two views is the identity (Zbontar et al. 2021)."""

import itertools
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .base import AbstractStatelessObjective, Outputs, online_views
from .correlation import squares, standardise


@eqx.filter_jit
def barlow_twins_terms(views: Float[Array, "M B d"], epsilon: float = 1e-5) -> tuple[Scalar, Scalar]:
    """The two terms of Barlow Twins, Σ_i(1 − C_ii)² and Σ_{i≠j} C²_ij, means over pairs of views (see `BarlowTwins`).

    Time Bd·min(B, d), memory min(B, d)² a pair of views.

    Args:
        views: representations [M, B, d].
        epsilon: ε, added to the variance of each coordinate.
    """
    standard = [standardise(view, epsilon) for view in views]
    on, off = [], []
    for one, other in itertools.combinations(standard, 2):
        diagonal, off_diagonal = squares(one, other)
        on.append(((1 - diagonal) ** 2).sum())
        off.append(off_diagonal)
    return jnp.stack(on).mean(), jnp.stack(off).mean()


class BarlowTwins(AbstractStatelessObjective):
    """L = Σ_i(1 − C_ii)² + λ Σ_{i≠j} C²_ij, C the cross-correlation of two views (Zbontar et al. 2021).

    C_ij = (1/B) Σ_b ẑ_bi ẑ′_bj, with each coordinate of a view standardised over the batch: less its mean, divided by
    √(biased variance + ε), as the affine-free batch norm of the authors' code does. With M > 2 views, the mean over
    all pairs of views. A coordinate that is constant in a view has C_ii = 0, and at ε = 0 derivative 0.

    Defaults: λ = 5e-3 is the paper's; the authors' code has 0.0051, ε = 1e-5 (of batch norm), and d = 8192. Their best
    run multiplies the loss by 0.024 (`--scale-loss`), which matters with their optimiser only. λ matters, and d: the
    second sum has d − 1 times the terms of the first.

    In the lens of dependence, with the linear kernel on standardised views: Σ_i C_ii = E_pos ẑ·ẑ′ is dependence on
    identity (E ẑ = 0, so that dep = E_pos), and Σ_ij C²_ij = HSIC(Ẑ, Ẑ′), the V-statistic across views, the
    regulariser. At λ = 1, L = ‖C − I‖²_F = d − 2 E_pos ẑ·ẑ′ + HSIC(Ẑ, Ẑ′): the spectral contrastive loss but for a
    constant, with HSIC(Z, Z) taken across views (kerneldep's reading; Tsai et al. 2021 relate the loss to HSIC
    otherwise, with −1 as the target off the diagonal). λ < 1 leaves of the regulariser mostly the part Σ C²_ii.

    `terms`: "on_diagonal", "off_diagonal".

    Args:
        off_diagonal: λ ≥ 0.
        epsilon: ε ≥ 0.
        num_views: M.
    """

    off_diagonal: float = eqx.field(static=True, converter=float, default=5e-3)
    epsilon: float = eqx.field(static=True, converter=float, default=1e-5)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not (self.off_diagonal >= 0 and self.epsilon >= 0):
            raise ValueError(
                f"BarlowTwins.off_diagonal is {self.off_diagonal} and epsilon is {self.epsilon}: neither can be "
                "negative."
            )

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        on_diagonal, off_diagonal = barlow_twins_terms(online_views(outputs), self.epsilon)
        terms = {"on_diagonal": on_diagonal, "off_diagonal": off_diagonal}
        return on_diagonal + self.off_diagonal * off_diagonal, terms, state
