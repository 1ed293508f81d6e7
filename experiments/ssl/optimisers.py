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
    """The optimiser by name; only matrices and convolutions decay and are adapted by LARS, not scales and shifts.

    LARS is momentum on layers' gradients g, decay included, each times min(c‖w‖/‖g‖/η, 1), so that a layer moves by
    at most the rate η times its gradient and a share c of its norm; without the minimum it is that of You et al.
    (2017). Published recipes for CIFAR-10 have both bounds.
    """

    def weights(parameters: Any) -> Any:
        return jax.tree.map(lambda p: p.ndim > 1, parameters)

    if config.name == "adamw":
        return optax.adamw(schedule, weight_decay=config.weight_decay, mask=weights)
    if config.name == "lars":
        return optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask=weights),
            optax.masked(_bounded_by_trust(config.trust_coefficient, schedule), weights),
            optax.trace(config.momentum),
            optax.scale_by_learning_rate(schedule),
        )
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=weights),
        optax.sgd(schedule, momentum=config.momentum, nesterov=True),
    )


def _bounded_by_trust(coefficient: float, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Gradients g of weights w times min(`coefficient`·‖w‖/‖g‖/η, 1), where η is the step's learning rate."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        rate = schedule(state.count)

        def bounded(g: Array, w: Array) -> Array:
            longest, step = coefficient * jnp.linalg.norm(w), rate * jnp.linalg.norm(g)
            return jnp.where((longest > 0) & (step > longest), longest / jnp.maximum(step, 1e-30), 1.0) * g

        return jax.tree.map(bounded, updates, params), optax.ScaleByScheduleState(state.count + 1)

    return optax.GradientTransformation(lambda params: optax.ScaleByScheduleState(jnp.zeros((), jnp.int32)), update)


def target_decay(config: TrainingConfig, steps: int) -> Callable[[Int[Array, ""]], Scalar | float]:
    """The moving average's decay at a step: constant, or 1 − (1 − `ema_decay`)·(1 + cos(π·step/steps))/2.

    The cosine, which ends at 1, is that of Grill et al. (2020).
    """
    if config.ema_schedule == "constant":
        return lambda step: config.ema_decay
    return lambda step: 1 - (1 - config.ema_decay) * (1 + jnp.cos(jnp.pi * step / steps)) / 2
