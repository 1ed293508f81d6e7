"""SDMI: mutual information of two views by Donsker–Varadhan, maximised through one of them at a time."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from ..information import AbstractCritic
from .base import AbstractObjective, Outputs, unit_views
from .donsker_varadhan import Critic, check_critic, critic_trainable, donsker_varadhan_terms


@eqx.filter_jit
def sdmi_terms(views: Float[Array, "2 B d"], step: Int[Array, ""], critic: Critic) -> tuple[Scalar, Scalar]:
    """E_joint T and log E_prod e^T of two views, with the gradient of view `step` mod 2 alone.

    The values do not depend on the step; see `donsker_varadhan_terms`.
    """
    learns = jnp.arange(2)[:, None, None] == step % 2
    first, second = jnp.where(learns, views, jax.lax.stop_gradient(views))
    return donsker_varadhan_terms(first, second, critic)


class SDMI(AbstractObjective):
    """L = −I_DV, I_DV = E_joint T(z, z′) − log E_prod e^{T(z, z′)}, differentiated through one view a step.

    The value is that of `JMI` with two views, which see for the bound, the critic, the sampling of pairs, the source
    (Sabby et al. 2025) and what of it could be confirmed, and the lens. The state is the number of steps taken: in
    steps 0, 2, 4, … the outputs of view 0 get a gradient and those of view 1 are fixed, in steps 1, 3, 5, … the other
    way round. A critic is trained in every step.

    The alternation is of outputs: both views come from one network, which moves in every step, by the gradient
    through one of the views. For fixed outputs the gradients of two consecutive steps sum to JMI's. So with views
    drawn alike, the network's gradient in SDMI is in expectation half of JMI's [kerneldep's]; what sets
    self-distillation apart are networks that differ, by a predictor or a moving average, as in BYOL. The published
    account has two encoders that take turns.

    `terms`: "information" = I_DV in nats, "joint" = E_joint T, "log_product" = log E_prod e^T, "learning_view".

    Args:
        temperature: τ > 0 of the cosine critic; nothing if a critic is given.
        critic: T, as in `JMI`.
        num_views: 2, what the alternation is between.
    """

    temperature: float = eqx.field(static=True, converter=float, default=0.2)
    critic: AbstractCritic | None = None
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        check_critic("SDMI", self.temperature, self.critic)
        if self.num_views != 2:
            raise ValueError(f"SDMI.num_views is {self.num_views}: it alternates between 2.")

    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> Int[Array, ""]:
        """No step taken."""
        return jnp.zeros((), jnp.int32)

    def trainable(self) -> PyTree[bool]:
        """What of the critic is."""
        return critic_trainable(self)

    def __call__(
        self, outputs: Outputs, state: Int[Array, ""], *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], Int[Array, ""]]:
        """Loss, terms, the number of steps with this one.

        Raises:
            ValueError: outputs of another number of views than 2.
        """
        views = unit_views(outputs, self.target)
        if len(views) != 2:
            raise ValueError(f"outputs hold {len(views)} views: SDMI alternates between 2.")
        joint, product = sdmi_terms(views, state, self.temperature if self.critic is None else self.critic)
        terms = {"information": joint - product, "joint": joint, "log_product": product, "learning_view": state % 2}
        return product - joint, terms, state + 1
