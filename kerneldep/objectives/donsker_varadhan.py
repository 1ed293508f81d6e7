"""The two terms of Donsker–Varadhan's bound between two batches of outputs, beneath SDMI and JMI."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, Scalar

from ..dependence.tiled import TILE
from ..information import AbstractCritic, trainable
from ..information.scores import joint_mean, log_product_mean_exp
from .base import nothing_trainable

Critic = AbstractCritic | float | Float[Array, ""]
"""T itself, or the temperature τ of T(z, z′) = zᵀz′/τ."""


def donsker_varadhan_terms(
    first: Float[Array, "B d"], second: Float[Array, "B d"], critic: Critic
) -> tuple[Scalar, Scalar]:
    """E_joint T over the pairs (i, i), and log E_prod e^T over the B(B − 1) pairs i ≠ j.

    Args:
        first: outputs [B, d] for one view of each image, T's first argument.
        second: those for another view, its second.
        critic: T, in memory B², and then both terms are averaged over T(z, z′) and T(z′, z); or a temperature τ for
            T(z, z′) = zᵀz′/τ, of which a tile of rows is held at a time, forward and backward.
    """
    if isinstance(critic, AbstractCritic):
        one, other = critic(first, second), critic(second, first)
        return (joint_mean(one) + joint_mean(other)) / 2, (log_product_mean_exp(one) + log_product_mean_exp(other)) / 2
    num, rows = len(first), jnp.arange(len(first))

    @jax.checkpoint
    def log_sum(arguments: tuple[Float[Array, " d"], Int[Array, ""]]) -> Scalar:
        row, index = arguments
        scores = jnp.matmul(second, row, precision=jax.lax.Precision.HIGHEST) / critic
        return jax.nn.logsumexp(scores, where=rows != index)

    sums = jax.lax.map(log_sum, (first, rows), batch_size=min(num, max(TILE * TILE // num, 1)))
    return (first * second).sum() / (num * critic), jax.nn.logsumexp(sums) - jnp.log(num * (num - 1.0))


def check_critic(name: str, temperature: float, critic: Any) -> None:
    """Raises a ValueError that names the objective unless τ > 0 and the critic is one, or None."""
    if not temperature > 0:
        raise ValueError(f"{name}.temperature is {temperature}: it must be positive.")
    if not (critic is None or isinstance(critic, AbstractCritic)):
        raise ValueError(f"{name}.critic is {critic!r}: None or a critic of kerneldep.information is needed.")


def critic_trainable(objective: Any) -> PyTree[bool]:
    """The filter of an objective of which only `critic`, if there is one, is trained."""
    nothing = nothing_trainable(objective)
    if objective.critic is None:
        return nothing
    return eqx.tree_at(lambda one: one.critic, nothing, trainable(objective.critic))
