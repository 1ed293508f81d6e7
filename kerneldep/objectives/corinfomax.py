"""CorInfoMax: a log-determinant of running covariances against collapse (Ozsoy et al. 2022)."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .base import AbstractObjective, Outputs, nothing_trainable, unit_views
from .log_determinant import log_determinant, second_moment


class RunningMoments(NamedTuple):
    """μ_v [M, d] and R_v [M, d, d] of each view, over the batches so far."""

    mean: Float[Array, "M d"]
    covariance: Float[Array, "M d d"]


@eqx.filter_jit
def corinfomax_terms(
    views: Float[Array, "M B d"], moments: RunningMoments, forgetting: float = 0.01, epsilon: float = 1e-8
) -> tuple[Scalar, Scalar, RunningMoments]:
    """MSE, log-determinant and the new moments of CorInfoMax (see there); the views are not normalised here.

    μ_v ← λμ_v + (1 − λ)·mean_i z_i, then R_v ← λR_v + (1 − λ)(1/B)Σ_i (z_i − μ_v)(z_i − μ_v)ᵀ with the new μ_v.
    Gradients flow through both into the batch, and none into the old moments.

    Args:
        views: representations [M, B, d].
        moments: μ_v and R_v of the batches before.
        forgetting: λ, the weight of the old moments.
        epsilon: ε.

    Returns:
        (1/(Bd))Σ_i ‖z_pi − z_qi‖² averaged over pairs of different views; (1/d)·log det(R_v + εI) averaged over views;
        the new moments, in the precision of the old ones.
    """
    num_views, batch, dim = views.shape
    deviations = views - views.mean(0, keepdims=True)
    mse = 2 * (deviations**2).sum() / ((num_views - 1) * batch * dim)
    old = jax.lax.stop_gradient(moments)
    mean = forgetting * old.mean + (1 - forgetting) * views.mean(1)
    current = jnp.stack([second_moment(one) for one in views - mean[:, None]])
    covariance = forgetting * old.covariance + (1 - forgetting) * current
    # One matrix at a time: a batched factorisation of larger ones can hang on few cores.
    log_det = sum(log_determinant(one, epsilon) for one in covariance) / (num_views * dim)
    new = RunningMoments(mean.astype(old.mean.dtype), covariance.astype(old.covariance.dtype))
    return mse, jnp.asarray(log_det), new


class CorInfoMax(AbstractObjective):
    """L = α·MSE(z₁, z₂) − (1/d)Σ_v log det(R_v + εI) on L2-normalised outputs (Ozsoy et al. 2022).

    The MSE is the mean over images and coordinates; R_v is a running covariance of view v, see `corinfomax_terms`.
    With M > 2 views (kerneldep's) the first term is averaged over pairs of different views and the second is twice its
    mean over views.

    In the lens of dependence with the linear kernel, the MSE is (2/d)(1 − E_pos k): dependence on identity for
    ‖E Z‖² held fixed. The log-determinant is the regulariser. For a covariance Σ near (t/d)I of trace t it is
    −(1/d)log det Σ = log(d/t) + (d/2t²)(HSIC(Z, Z) − t²/d) to second order [kerneldep's], HSIC(Z, Z) = ‖Σ‖²_F; unlike
    that it is unbounded at collapse of even one direction, where only ε and the past batches' λR_v hold it.

    The published code keeps the moments in float64. Here they are in JAX's default float, float64 with
    `jax_enable_x64`; in float32 ε is raised to 8·u·‖R_v‖_F where rounding asks for that (`log_determinant`): about
    1.2e-7 for R_v = I/d with d = 64, still 10⁻⁵ of an eigenvalue. Where B ≤ d a batch's covariance is singular: the
    eigenvalues left over are about λ/d if the batches before fill them in, and fall to ε where none did.

    `terms`: "mse", "log_determinant" = (1/d)·log det(R_v + εI), mean over views.

    Args:
        alpha: α ≥ 0, what matters most. The published runs have 250 on CIFAR-10 (d = 64), 1000 on CIFAR-100 (d = 128),
            500 on Tiny ImageNet and ImageNet-100, 2000 on ImageNet.
        forgetting: λ in [0, 1), the weight of the past: 0.01, and 0.1 on Tiny ImageNet and ImageNet, in the published
            runs. They have one for μ and one for R, always equal.
        epsilon: ε > 0; 1e-8 in the published runs.
        num_views: M.
    """

    alpha: float = eqx.field(static=True, converter=float, default=250.0)
    forgetting: float = eqx.field(static=True, converter=float, default=0.01)
    epsilon: float = eqx.field(static=True, converter=float, default=1e-8)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if not self.alpha >= 0:
            raise ValueError(f"CorInfoMax.alpha is {self.alpha}: it cannot be negative.")
        if not 0 <= self.forgetting < 1:
            raise ValueError(f"CorInfoMax.forgetting is {self.forgetting}: 0 ≤ λ < 1 is needed, λ the past's weight.")
        if not self.epsilon > 0:
            raise ValueError(f"CorInfoMax.epsilon is {self.epsilon}: it must be positive.")

    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> RunningMoments:
        """μ_v = 0 and R_v = I, as published."""
        return RunningMoments(
            jnp.zeros((self.num_views, dim)), jnp.broadcast_to(jnp.eye(dim), (self.num_views, dim, dim))
        )

    def trainable(self) -> PyTree[bool]:
        """Nothing."""
        return nothing_trainable(self)

    def __call__(
        self, outputs: Outputs, state: RunningMoments, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], RunningMoments]:
        """Loss, terms, the moments with this batch.

        Raises:
            ValueError: outputs of another number of views or dimension than the state.
        """
        views = unit_views(outputs, self.target)
        if state.mean.shape != (views.shape[0], views.shape[2]):
            raise ValueError(
                f"state.mean has shape {state.mean.shape}, outputs hold {views.shape[0]} views of dimension "
                f"{views.shape[2]}: init(dim) of an objective with num_views={views.shape[0]} is needed."
            )
        mse, log_det, state = corinfomax_terms(views, state, self.forgetting, self.epsilon)
        return self.alpha * mse - 2 * log_det, {"mse": mse, "log_determinant": log_det}, state
