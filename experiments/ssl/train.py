"""Self-supervised training: one jitted call runs several steps, data stay on the device as uint8."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key, Scalar, UInt8

from experiments.ssl import augment
from experiments.ssl.config import Config, OptimiserConfig
from experiments.ssl.models import Network

Metrics = dict[str, np.ndarray]


class TrainingDiverged(RuntimeError):
    """The loss is not finite; the message says where, and `metrics` holds all steps so far."""

    def __init__(self, message: str, metrics: Metrics) -> None:
        super().__init__(message)
        self.metrics = metrics


class State(eqx.Module):
    """All that changes from step to step."""

    network: Network
    objective: Any
    target: Any  # (encoder, projector), an exponential moving average; None unless the objective wants it
    objective_state: Any
    optimiser_state: Any
    step: Int[Array, ""]


class Trained(NamedTuple):
    """What training returns: the network as it started, as it ended, and every step's metrics by name."""

    untrained: Network
    network: Network
    objective: Any
    metrics: Metrics


def train(config: Config, objective: Any, images: UInt8[np.ndarray, "n h w 3"], *, progress: bool = True) -> Trained:
    """Trains a network on images without labels.

    Args:
        config: The run.
        objective: An objective of `kerneldep.objectives`.
        images: The training images.
        progress: Whether to show a progress bar.

    Returns:
        The networks before and after, and the metrics.

    Raises:
        TrainingDiverged: If the loss stops being finite.
    """
    training = config.training
    network_key, objective_key, order_key, step_key = jax.random.split(jax.random.key(config.seed), 4)
    calls, steps = num_calls(config, len(images))
    schedule = learning_rate_schedule(config.optimiser, calls * steps)
    optimiser = make_optimiser(config.optimiser, schedule)

    untrained = Network(config.model, predictor=objective.predictor, key=network_key)
    # The state's buffers are donated to the first call, so it must not share them with `untrained`.
    state = initial_state(jax.tree.map(_copy, untrained), objective, optimiser, config, key=objective_key)
    order = batch_order(len(images), calls * steps, training.batch_size, key=order_key).reshape(calls, steps, -1)
    run_steps = make_run_steps(config, optimiser)
    device_images = jax.device_put(images)

    logged: list[Metrics] = []
    started = time.perf_counter()
    with _bar(calls * steps, config.name, progress) as bar:
        for call in range(calls):
            begun = time.perf_counter()
            state, terms = run_steps((device_images, order[call], step_key), state)
            record = {name: np.asarray(values) for name, values in terms.items()}
            now = time.perf_counter()
            speed = steps * training.batch_size / (now - begun)
            taken = np.arange(call * steps, (call + 1) * steps)
            record |= {
                "step": taken,
                "learning_rate": np.asarray(schedule(taken)),
                "images_per_second": np.full(steps, speed),
                "seconds": np.full(steps, now - started),
            }
            logged.append(record)
            bar.set_postfix_str(f"loss {record['loss'][-1]:.4f}, {speed:.0f} images/s", refresh=False)
            bar.update(steps)
            _check_finite(logged, config)
    return Trained(untrained, state.network, state.objective, _joined(logged))


def num_calls(config: Config, num_images: int) -> tuple[int, int]:
    """How many jitted calls, and how many steps each: `epochs`, rounded up to whole calls."""
    per_epoch = num_images // config.training.batch_size
    if per_epoch == 0:
        raise ValueError(f"{num_images} images do not fill a batch of {config.training.batch_size}.")
    total = config.training.epochs * per_epoch
    steps = min(config.training.steps_per_call, total)
    return -(-total // steps), steps


def batch_order(num_images: int, steps: int, batch_size: int, *, key: Key[Array, ""]) -> Int[Array, "steps batch"]:
    """Which images each step sees: a new permutation an epoch, its incomplete last batch dropped."""
    per_epoch = num_images // batch_size
    keys = jax.random.split(key, -(-steps // per_epoch))
    epochs = jax.lax.map(lambda k: jax.random.permutation(k, num_images)[: per_epoch * batch_size], keys)
    return epochs.reshape(-1, batch_size)[:steps]


def learning_rate_schedule(config: OptimiserConfig, steps: int) -> optax.Schedule:
    """Linear warm-up from 0, then a half cosine down to 0."""
    warmup = max(1, round(config.warmup * steps))
    return optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, max(steps, warmup + 1))


def make_optimiser(config: OptimiserConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser by name; only matrices and convolutions decay, not scales and shifts."""

    def decays(parameters: Any) -> Any:
        return jax.tree.map(lambda p: p.ndim > 1, parameters)

    if config.name == "adamw":
        return optax.adamw(schedule, weight_decay=config.weight_decay, mask=decays)
    return optax.chain(
        optax.add_decayed_weights(config.weight_decay, mask=decays), optax.sgd(schedule, momentum=0.9, nesterov=True)
    )


def initial_state(
    network: Network, objective: Any, optimiser: optax.GradientTransformation, config: Config, *, key: Key[Array, ""]
) -> State:
    """The state before the first step."""
    return State(
        network=network,
        objective=objective,
        target=jax.tree.map(_copy, (network.encoder, network.projector)) if objective.target == "ema" else None,
        objective_state=objective.init(config.model.projector_dim, key=key),
        optimiser_state=optimiser.init(_split(network, objective)[0]),
        step=jnp.zeros((), jnp.int32),
    )


def make_run_steps(
    config: Config, optimiser: optax.GradientTransformation
) -> Callable[..., tuple[State, dict[str, Array]]]:
    """One jitted function that runs as many steps as it is given batches, and returns each step's loss and terms."""

    def loss(trained: Any, fixed: Any, state: State, images: Array, key: Key[Array, ""]) -> tuple[Scalar, Any]:
        network, objective = eqx.combine(trained, fixed)
        view_key, objective_key = jax.random.split(key)
        views = augment.views(images, objective.num_views, config.augment, key=view_key)
        outputs = forward(network, state.target, views, objective.target)
        value, terms, objective_state = objective(outputs, state.objective_state, key=objective_key)
        return value, (terms, objective_state)

    def one_step(state: State, images: Array, batch: Array, key: Key[Array, ""]) -> tuple[State, dict[str, Array]]:
        trained, fixed = _split(state.network, state.objective)
        key = jax.random.fold_in(key, state.step)
        (value, (terms, objective_state)), gradient = jax.value_and_grad(loss, has_aux=True)(
            trained, fixed, state, images[batch], key
        )
        updates, optimiser_state = optimiser.update(gradient, state.optimiser_state, trained)
        updated: Any = optax.apply_updates(trained, updates)
        network, objective = eqx.combine(updated, fixed)
        target = state.target
        if target is not None:
            online, decay = (network.encoder, network.projector), config.training.ema_decay
            target = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, target, online)
        metrics = {"loss": value, **terms}
        return State(network, objective, target, objective_state, optimiser_state, state.step + 1), metrics

    @eqx.filter_jit(donate="all-except-first")
    def run_steps(data: tuple[Array, Array, Key[Array, ""]], state: State) -> tuple[State, dict[str, Array]]:
        images, batches, key = data
        dynamic, static = eqx.partition(state, eqx.is_array)

        def body(dynamic: Any, batch: Array) -> tuple[Any, dict[str, Array]]:
            state, metrics = one_step(eqx.combine(dynamic, static), images, batch, key)
            return eqx.filter(state, eqx.is_array), metrics

        dynamic, metrics = jax.lax.scan(body, dynamic, batches)
        return eqx.combine(dynamic, static), metrics

    return run_steps


def forward(network: Network, target: Any, views: Array, kind: str) -> Any:
    """The network's `Outputs` [M, B, d] for views [M, B, size, size, 3]; batch statistics are over all views."""
    from kerneldep.objectives import Outputs

    num_views, batch = views.shape[:2]

    def apart(x: Array) -> Array:
        return x.reshape(num_views, batch, -1)

    flat = views.reshape(-1, *views.shape[2:])
    projections = network.projector(network.encoder(flat)[0])[0]
    predictions = None if network.predictor is None else apart(network.predictor(projections)[0])
    targets = None
    if kind == "ema":
        encoder, projector = target
        targets = jax.lax.stop_gradient(apart(projector(encoder(flat)[0])[0]))
    elif kind == "stop_gradient":
        targets = jax.lax.stop_gradient(apart(projections))
    return Outputs(apart(projections), predictions, targets)


def _split(network: Network, objective: Any) -> tuple[Any, Any]:
    """Trained leaves and the rest of (network, objective)."""
    wanted = (jax.tree.map(eqx.is_inexact_array, network), objective.trainable())
    return eqx.partition((network, objective), wanted)


def _copy(leaf: Any) -> Any:
    return jnp.array(leaf) if eqx.is_array(leaf) else leaf


def _joined(records: list[Metrics]) -> Metrics:
    return {name: np.concatenate([record[name] for record in records]) for name in ("step", *_names(records))}


def _names(records: list[Metrics]) -> list[str]:
    return [name for name in records[0] if name != "step"]


def _check_finite(records: list[Metrics], config: Config) -> None:
    finite = np.isfinite(records[-1]["loss"])
    if finite.all():
        return
    at, metrics = int(np.argmin(finite)), _joined(records)
    step = int(records[-1]["step"][at])
    before = f"the loss before it {metrics['loss'][step - 1]:.4g}" if step else "it is the first step"
    terms = ", ".join(f"{name} {records[-1][name][at]:.4g}" for name in _names(records))
    raise TrainingDiverged(f"{config.name}: step {step} has a loss that is not finite ({before}): {terms}.", metrics)


def _bar(total: int, name: str, show: bool) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, desc=name, unit="step", disable=not show, dynamic_ncols=True)
