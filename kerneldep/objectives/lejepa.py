"""LeJEPA: views agree, and their law is pushed to an isotropic Gaussian (Balestriero and LeCun 2025)."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike, Float, Key, Scalar

from .. import _check
from ..features.trigonometric import cos_sin_turns
from .base import AbstractStatelessObjective, Outputs, online_views


def random_slices(key: Key[Array, ""], dim: int, num_slices: int, dtype: DTypeLike = float) -> Float[Array, "d S"]:
    """Unit vectors, independent and uniform on the sphere, as columns."""
    directions = jax.random.normal(key, (dim, num_slices), dtype)
    return directions / jnp.linalg.norm(directions, axis=0, keepdims=True)


@eqx.filter_jit
def sigreg(
    views: Float[Array, "M B d"],
    *,
    num_slices: int = 256,
    num_knots: int = 17,
    limit: float = 3.0,
    key: Key[Array, ""] | None,
) -> Scalar:
    """SIGReg: how far random one-dimensional slices of each view's law are from N(0, 1).

    B ∫ |φ_B(t) − e^{−t²/2}|² e^{−t²/2} dt over [−T, T], with φ_B the empirical characteristic function of a slice aᵀz,
    ‖a‖ = 1 (the statistic of Epps and Pulley 1983 against N(0, 1)), averaged over slices and views. By the trapezoidal
    rule; the integrand is even, so that knots are on [0, T] only. Up to the cut at T, which leaves out less than
    0.007B at T = 3, and the quadrature it is B√(2π)·MMD² of the slice and N(0, 1), the V-statistic with kernel
    e^{−(x − y)²/2}.

    Args:
        views: representations [M, B, d].
        num_slices: S, the same slices for each view.
        num_knots: K, at t = 0, T/(K − 1), …, T.
        limit: T.
        key: of the slices.

    Returns:
        A scalar; its expectation is of order 1 for Gaussian views, and it grows like B for others. Time MBSK, memory
        MBS: one knot is held at a time, forward and backward.
    """
    slices = random_slices(_check.random_key(key, "SIGReg"), views.shape[2], num_slices, views.dtype)
    projected = jnp.matmul(views, slices, precision=jax.lax.Precision.HIGHEST)
    step = limit / (num_knots - 1)
    # At t = 0 both characteristic functions are 1: that knot adds nothing.
    knots = jnp.linspace(step, limit, num_knots - 1, dtype=views.dtype)
    gaussian = jnp.exp(-0.5 * knots**2)
    weights = gaussian * jnp.full_like(knots, 2 * step).at[-1].set(step)

    @jax.checkpoint
    def squared_error(projected: Float[Array, "M B S"], t: Scalar, expected: Scalar) -> Scalar:
        cosine, sine = cos_sin_turns(t / (2 * jnp.pi) * projected)
        return ((cosine.mean(1) - expected) ** 2 + sine.mean(1) ** 2).mean()

    errors = jax.lax.map(lambda at: squared_error(projected, *at), (knots, gaussian))
    return views.shape[1] * (weights @ errors)


@eqx.filter_jit
def lejepa_terms(
    views: Float[Array, "M B d"],
    *,
    num_slices: int = 256,
    num_knots: int = 17,
    limit: float = 3.0,
    key: Key[Array, ""] | None,
) -> tuple[Scalar, Scalar]:
    """The two terms of LeJEPA: the mean (over d too) of (z − mean over views)², and `sigreg`."""
    invariance = ((views - views.mean(0, keepdims=True)) ** 2).mean()
    return invariance, sigreg(views, num_slices=num_slices, num_knots=num_knots, limit=limit, key=key)


class LeJEPA(AbstractStatelessObjective):
    """L = (1 − λ)·mean (z − mean over views)² + λ·SIGReg (Balestriero and LeCun 2025); z is not normalised.

    The public sources differ. These defaults are those of the minimal example in the authors' repository: 256 slices,
    17 knots on [0, 3] (33 on [−3, 3]), λ = 0.02; elsewhere there one finds 1024 slices, and 17 knots on [−5, 5] and
    λ = 0.05 are also quoted. λ matters most, and with the batch, since SIGReg carries the factor B. All M views are
    treated alike: there is no distinction of global and local crops.

    In the lens of dependence: with the linear kernel the first term is (1 − 1/M)(E‖z‖² − E_pos z·z⁺)/d, the alignment
    part of dependence on identity. The regulariser is a sliced MMD² to N(0, I) with a Gaussian kernel of bandwidth 1.
    It fixes the mean and the scale as well as the shape, where HSIC(Z, Z) has no target law.

    `terms`: "invariance", "sigreg".

    Args:
        weight: λ in [0, 1].
        num_slices: drawn afresh at each step.
        num_knots: of the trapezoidal rule on [0, `limit`], at least 2.
        limit: T > 0.
        num_views: M.
    """

    weight: float = eqx.field(static=True, converter=float, default=0.02)
    num_slices: int = eqx.field(static=True, default=256)
    num_knots: int = eqx.field(static=True, default=17)
    limit: float = eqx.field(static=True, converter=float, default=3.0)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"LeJEPA.weight is {self.weight}: a number from 0 to 1 is needed.")
        if self.num_slices < 1 or self.num_knots < 2:
            raise ValueError(
                f"LeJEPA has {self.num_slices} slices (num_slices) and {self.num_knots} knots (num_knots): "
                "at least 1 and 2 are needed."
            )
        if not self.limit > 0:
            raise ValueError(f"LeJEPA.limit is {self.limit}: it must be positive.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        invariance, regulariser = lejepa_terms(
            online_views(outputs), num_slices=self.num_slices, num_knots=self.num_knots, limit=self.limit, key=key
        )
        loss = (1 - self.weight) * invariance + self.weight * regulariser
        return loss, {"invariance": invariance, "sigreg": regulariser}, state
