"""JMI: mutual information of the views by Donsker–Varadhan, maximised through all of them at once."""

import itertools
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Scalar

from ..information import AbstractCritic
from .base import AbstractObjective, Outputs, unit_views
from .donsker_varadhan import Critic, check_critic, critic_trainable, donsker_varadhan_terms


@eqx.filter_jit
def jmi_terms(views: Float[Array, "M B d"], critic: Critic) -> tuple[Scalar, Scalar]:
    """E_joint T and log E_prod e^T, averaged over pairs of different views; see `donsker_varadhan_terms`."""
    terms = [donsker_varadhan_terms(*pair, critic) for pair in itertools.combinations(views, 2)]
    joint, product = (jnp.stack(part).mean() for part in zip(*terms, strict=True))
    return joint, product


class JMI(AbstractObjective):
    """L = −I_DV, I_DV = E_joint T(z, z′) − log E_prod e^{T(z, z′)} on L2-normalised outputs, differentiated jointly.

    The joint mean is over two different views of one image, the product mean over views of two *different* images of
    the batch, i ≠ j: B(B − 1) pairs, averaged over pairs of views outside the logarithm. The supremum over T in
    I = sup_T I_DV (Donsker & Varadhan 1983) is left to training the critic with the network; from one batch the value
    is neither a lower nor an upper bound (`kerneldep.information.donsker_varadhan`).

    Sabby, Sui, Wu, Cresswell & Wu (2025, "Self-Supervised Representation Learning as Mutual Information Maximization")
    name two ways to maximise this bound: joint (JMI), here, where both views are differentiated in each step, and
    self-distillation (SDMI), where one is held fixed and they take turns. That, and the bound, is what the abstract
    and summaries confirm; their critic, temperature and sampling of the product could not be confirmed, and the
    cosine with τ = 0.2 is kerneldep's choice.

    With T = cos/τ the loss is decoupled contrastive learning with the logarithm outside the mean over anchors, not
    inside: −I_DV ≥ L − log(B − 1), with L = −E s⁺/τ + E_i log Σ_{j≠i} e^{s_ij/τ}, by Jensen's inequality, with
    equality iff every anchor has the same sum (`DCL` sums over both views' negatives, not the other's alone). InfoNCE
    has, besides, the positive in the sum. The value is at most B/((B − 1)τ), reached by views that coincide at a
    regular simplex.

    In the lens of dependence with k = cos/τ, −I_DV = −(E_pos k − E_off k) + ½Var_off k + O(τ⁻³): dependence on
    identity, and as regulariser the variance of k over all pairs of different images. In the population that is
    HSIC(Z, Z) + 2Var_Z(E_Z′ k): mean similarities that differ weigh twice as much as in InfoNCE's E Var, which is
    HSIC(Z, Z) + Var_Z(E_Z′ k) [kerneldep's].

    `terms`: "information" = I_DV in nats, "joint" = E_joint T, "log_product" = log E_prod e^T.

    Args:
        temperature: τ > 0 of the cosine critic; nothing if a critic is given.
        critic: T, any critic of `kerneldep.information`, trained with the network (`trainable`); it sees unit vectors,
            in both orders. It needs memory B², the default, None for cos/τ, only B.
        num_views: M.
    """

    temperature: float = eqx.field(static=True, converter=float, default=0.2)
    critic: AbstractCritic | None = None
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        check_critic("JMI", self.temperature, self.critic)

    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> None:
        """No state."""

    def trainable(self) -> PyTree[bool]:
        """What of the critic is."""
        return critic_trainable(self)

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        views = unit_views(outputs, self.target)
        joint, product = jmi_terms(views, self.temperature if self.critic is None else self.critic)
        return product - joint, {"information": joint - product, "joint": joint, "log_product": product}, state
