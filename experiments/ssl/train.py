"""Self-supervised training: one jitted call runs several steps, data stay on the device as uint8."""

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key, UInt8

from experiments.ssl import augment
from experiments.ssl.checkpoints import Checkpoints, Interrupted, Metrics, Signals, caught
from experiments.ssl.config import AugmentConfig, Config, OptimiserConfig, TrainingConfig
from experiments.ssl.devices import Devices, is_first, jit_long_program
from experiments.ssl.log import Log, bar
from experiments.ssl.models import Network
from experiments.ssl.optimisers import learning_rate_schedule, make_optimiser, target_decay


class State(eqx.Module):
    """All that changes from step to step."""

    network: Network
    objective: Any
    target: Any  # (encoder, projector), an exponential moving average; None unless the objective wants it
    objective_state: Any
    optimiser_state: Any
    step: Int[Array, ""]


Observe = Callable[[State], dict[str, float]]


class Trained(NamedTuple):
    """What training returns: the network as it started, as it ended, and what was measured at each step by name."""

    untrained: Network
    network: Network
    objective: Any
    metrics: Metrics
    observations: Metrics  # what `observe` returned, by name, with "step"; empty without it
    progress: dict[str, Any]  # "step", "seconds", "cpu_seconds" of all processes, "starts": the steps these began at


def train(
    config: Config,
    objective: Any,
    images: UInt8[np.ndarray, "n h w 3"],
    labels: Int[np.ndarray, " n"] | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    observe: Observe | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
) -> Trained:
    """Trains a network.

    Args:
        config: The run.
        objective: An objective of `kerneldep.objectives`.
        images: The training images.
        labels: Their classes, for objectives that are supervised.
        checkpoints: Where to continue from and to write to, every `checkpoint_every` steps, at the end, and at SIGINT
            and SIGTERM; None for neither.
        observe: Called with the state at the start and every `evaluation.every` steps; the numbers are kept.
        devices: To spread each batch over; by default all.
        progress: Whether to show a progress bar.

    Returns:
        The networks before and after, and the metrics.

    Raises:
        TrainingDiverged: If the loss stops being finite.
        Interrupted: After a signal, once the call under way is done and its checkpoint written.
    """
    over = Devices(tuple(jax.devices() if devices is None else devices))
    batch_size = config.training.batch_size
    over.check(batch_size)
    _, objective_key, order_key, step_key = jax.random.split(jax.random.key(config.seed), 4)
    calls, steps = num_calls(config, len(images))
    total = calls * steps
    schedule = learning_rate_schedule(config.optimiser, total, batch_size)
    optimiser = make_optimiser(config.optimiser, schedule)
    run_steps = make_run_steps(config.augment, config.optimiser, config.training, total, over)

    untrained = untrained_network(config, predictor=objective.predictor)
    # The state's buffers are donated to the first call, so it must not share them with these two.
    network, objective = jax.tree.map(_copy, (untrained, objective))
    state = initial_state(network, objective, optimiser, config, key=objective_key)
    log = Log(config, steps * batch_size)
    if checkpoints is not None and (found := checkpoints.latest(state)) is not None:
        state = found.state
        log.resume(found.metrics, found.observations, found.progress)
    first = log.start() // steps
    order = np.asarray(batch_order(len(images), total, batch_size, key=order_key)).reshape(calls, steps, -1)
    data = over.place((jnp.asarray(images), None if labels is None else jnp.asarray(labels)))
    state, run_key = over.place(state), np.asarray(jax.random.key_data(step_key))
    if observe is not None and config.evaluation.every and not first:
        log.observed(0, observe(over.fetch(state)))

    with (
        caught() if checkpoints is not None else nullcontext(Signals()) as signals,
        bar(total, first * steps, config.name, progress and is_first()) as shown,
    ):
        for call in range(first, calls):
            begun, done = time.perf_counter(), (call + 1) * steps
            state, terms = run_steps((data, order[call], run_key), state)
            log.append(terms, np.arange(call * steps, done), schedule, begun)
            shown.set_postfix_str(log.last(), refresh=False)
            shown.update(steps)
            if observe is not None and _due(config.evaluation.every, call, calls, steps):
                log.observed(done, observe(over.fetch(state)))
            stop = over.agree(signals.number)
            if checkpoints is not None and (stop or _due(config.training.checkpoint_every, call, calls, steps)):
                if is_first():
                    checkpoints.write(state, log.joined(), log.observations(), log.progress(done))
                if stop:
                    raise Interrupted(stop, f"{config.name}: stopped at step {done} of {total}; run again to go on.")
    network, objective = over.fetch((state.network, state.objective))
    return Trained(untrained, network, objective, log.joined(), log.observations(), log.progress(total))


def untrained_network(config: Config, *, predictor: bool = False) -> Network:
    """The network before the first step; its encoder is the same with and without a predictor."""
    network_key = jax.random.split(jax.random.key(config.seed), 4)[0]
    return Network(config.model, predictor=predictor, key=network_key)


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


@functools.lru_cache(maxsize=8)
def make_run_steps(
    views_of: AugmentConfig, optimising: OptimiserConfig, training: TrainingConfig, total: int, over: Devices
) -> Callable[..., tuple[State, dict[str, Array]]]:
    """One jitted function that runs as many steps as it is given batches, and returns each step's loss and terms.

    Runs in one process that differ in seeds alone share it, and compile once.
    """
    optimiser = make_optimiser(optimising, learning_rate_schedule(optimising, total, training.batch_size))
    decay_at = target_decay(training, total)

    def loss(trained: Any, fixed: Any, state: State, images: Array, labels: Any, key: Key[Array, ""]) -> Any:
        network, objective = eqx.combine(trained, fixed)
        view_key, objective_key = jax.random.split(key)
        views = augment.views(images, objective.num_views, views_of, key=view_key)
        outputs = forward(network, state.target, views, objective.target, labels, over)
        value, terms, objective_state = objective(outputs, state.objective_state, key=objective_key)
        return value, (terms, objective_state)

    def one_step(state: State, data: Any, batch: Array, key: Key[Array, ""]) -> tuple[State, dict[str, Array]]:
        trained, fixed = _split(state.network, state.objective)
        key = jax.random.fold_in(key, state.step)
        images, labels = jax.tree.map(lambda leaf: over.spread(leaf[batch]), data)
        (value, (terms, objective_state)), gradient = jax.value_and_grad(loss, has_aux=True)(
            trained, fixed, state, images, labels, key
        )
        updates, optimiser_state = optimiser.update(gradient, state.optimiser_state, trained)
        updated: Any = optax.apply_updates(trained, updates)
        network, objective = eqx.combine(updated, fixed)
        target = state.target
        if target is not None:
            online, decay = (network.encoder, network.projector), decay_at(state.step)
            target = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, target, online)
        metrics = {"loss": value, **terms}
        state = State(network, objective, target, objective_state, optimiser_state, state.step + 1)
        return over.replicate((state, metrics))

    def run_steps(given: tuple[Any, Array, Array], state: State) -> tuple[State, dict[str, Array]]:
        data, batches, key = given
        dynamic, static = eqx.partition(state, eqx.is_array)

        def body(dynamic: Any, batch: Array) -> tuple[Any, dict[str, Array]]:
            state, metrics = one_step(eqx.combine(dynamic, static), data, batch, jax.random.wrap_key_data(key))
            return eqx.filter(state, eqx.is_array), metrics

        dynamic, metrics = jax.lax.scan(body, dynamic, batches)
        return eqx.combine(dynamic, static), metrics

    return jit_long_program(run_steps, donate="all-except-first")


def forward(network: Network, target: Any, views: Array, kind: str, labels: Any, over: Devices) -> Any:
    """The network's `Outputs` [M, B, d] for views [M, B, size, size, 3]; batch statistics are over all views."""
    from kerneldep.objectives import Outputs

    num_views, batch = views.shape[:2]

    def apart(x: Array) -> Array:
        return x.reshape(num_views, batch, -1)

    flat = over.spread(views.reshape(-1, *views.shape[2:]))
    projections = network.projector(network.encoder(flat)[0])[0]
    predictions = None if network.predictor is None else apart(network.predictor(projections)[0])
    targets = None
    if kind == "ema":
        encoder, projector = target
        targets = jax.lax.stop_gradient(apart(projector(encoder(flat)[0])[0]))
    elif kind == "stop_gradient":
        targets = jax.lax.stop_gradient(apart(projections))
    return Outputs(apart(projections), predictions, targets, apart(views), labels)


def _split(network: Network, objective: Any) -> tuple[Any, Any]:
    """Trained leaves and the rest of (network, objective)."""
    wanted = (jax.tree.map(eqx.is_inexact_array, network), objective.trainable())
    return eqx.partition((network, objective), wanted)


def _copy(leaf: Any) -> Any:
    return jnp.array(leaf) if eqx.is_array(leaf) else leaf


def _due(every: int, call: int, calls: int, steps: int) -> bool:
    """Whether something done every so many steps, rounded down to whole calls, or at the end, is due after a call."""
    return every > 0 and (call + 1 == calls or (call + 1) % max(1, every // steps) == 0)
