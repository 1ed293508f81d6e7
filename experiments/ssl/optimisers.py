"""Optimisers and the schedules of the learning rate and of the target network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Scalar

from experiments.ssl.config import OptimiserConfig, TrainingConfig

REFERENCE_BATCH = 256


def learning_rate_schedule(config: OptimiserConfig, steps: int, batch_size: int = REFERENCE_BATCH) -> optax.Schedule:
    """Linear warm-up from 0, then a half cosine down to 0.

    The peak is `learning_rate`, times batch_size/256 with `linear_scaling`.
    """
    peak = config.learning_rate * (batch_size / REFERENCE_BATCH if config.linear_scaling else 1)
    warmup = max(1, round(config.warmup * steps))
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup, max(steps, warmup + 1))


def make_optimiser(config: OptimiserConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser by name; only matrices and convolutions decay and are adapted by LARS, not scales and shifts."""

    def weights(parameters: Any) -> Any:
        return jax.tree.map(lambda p: p.ndim > 1, parameters)

    if config.name == "adamw":
        return optax.adamw(schedule, weight_decay=config.weight_decay, mask=weights)
    if config.name == "lars":
        return optax.lars(
            schedule,
            weight_decay=config.weight_decay,
            weight_decay_mask=weights,
            trust_coefficient=config.trust_coefficient,
            trust_ratio_mask=weights,
            momentum=config.momentum,
        )
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=weights),
        optax.sgd(schedule, momentum=config.momentum, nesterov=True),
    )


def target_decay(config: TrainingConfig, steps: int) -> Callable[[Int[Array, ""]], Scalar | float]:
    """The moving average's decay at a step: constant, or 1 − (1 − `ema_decay`)·(1 + cos(π·step/steps))/2.

    The cosine, which ends at 1, is that of Grill et al. (2020).
    """
    if config.ema_schedule == "constant":
        return lambda step: config.ema_decay
    return lambda step: 1 - (1 - config.ema_decay) * (1 + jnp.cos(jnp.pi * step / steps)) / 2
