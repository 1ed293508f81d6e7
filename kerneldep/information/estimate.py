"""Estimates of mutual information by training a critic and evaluating a bound on pairs it has not seen."""

import contextlib
import functools
import importlib.util
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels.tiles import center
from .bounds import Bound, Kind, get_bound
from .critics import Separable, Standardised, trainable

Critic = Callable[[Array, Array], Array]
Pairs = tuple[Float[Array, "n d"], Float[Array, "n e"]]
Batches = tuple[Float[Array, "m K d"], Float[Array, "m K e"]]

STEPS_PER_CHECK = 100
"""Training steps in one compiled call, after which the critic is judged on the validation pairs."""


class TrainingCurve(NamedTuple):
    """How training went.

    Attributes:
        objective: what is maximised, on each step's batch [steps].
        step: the steps after which the critic was judged [checks].
        validation: the mean objective on the validation pairs then [checks].
    """

    objective: np.ndarray
    step: np.ndarray
    validation: np.ndarray

    @property
    def best_step(self) -> int:
        """The step whose critic was kept; 0 without training."""
        return int(self.step[np.nanargmax(self.validation)]) if len(self.validation) else 0


class MIEstimate(eqx.Module):
    """What `estimate_mi` finds.

    Attributes:
        estimate: the bound's mean over batches of held-out pairs, in nats.
        standard_error: of that mean over batches, in nats; it does not know of the critic's imperfection, nor, for
            bounds with heavy tails, of what was not drawn.
        bound: the bound.
        batch_size: K.
        critic: with the highest validation objective; it takes the data as they were given.
        curve: how training went.
    """

    estimate: Scalar
    standard_error: Scalar
    bound: Bound = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    critic: Critic
    curve: TrainingCurve

    @property
    def kind(self) -> Kind:
        """What the estimate is on average, for this critic: an upper bound with a trained critic is "neither"."""
        return "neither" if self.bound.kind == "upper" and len(self.curve.objective) else self.bound.kind

    @property
    def ceiling(self) -> float:
        """The largest value the bound can take with batches of K, ∞ if there is none, in nats."""
        return self.bound.ceiling(self.batch_size)

    @property
    def near_ceiling(self) -> bool:
        """Whether the estimate is within 5 % of the ceiling: I may be far above it."""
        return self.bound.near_ceiling(float(self.estimate), self.batch_size)

    def __repr__(self) -> str:
        side = {"lower": "lower bound", "upper": "upper bound", "neither": "neither a lower nor an upper bound"}[
            self.kind
        ]
        ceiling = f", ceiling {self.ceiling:.3f}" if math.isfinite(self.ceiling) else ""
        warning = " (near: I may be far above)" if self.near_ceiling else ""
        value = f"{float(self.estimate):.3f} ± {float(self.standard_error):.3f} nats"
        return f"MIEstimate({value}; {self.bound.name}, {side}, K = {self.batch_size}{ceiling}{warning})"


def estimate_mi(
    x: ArrayLike,
    y: ArrayLike,
    bound: str | Bound = "infonce",
    critic: Critic | None = None,
    *,
    key: Key[Array, ""],
    batch_size: int = 64,
    num_steps: int = 2000,
    learning_rate: float = 1e-3,
    optimiser: Any = None,
    held_out: float = 0.2,
    validation: float = 0.1,
    progress: bool = False,
) -> MIEstimate:
    """I(X; Y) by a variational bound with a trained critic.

    The pairs are split at random into three. On the first the critic is trained to maximise the bound's objective; on
    the second it is judged about every 100 steps, and the best is kept; on the third, untouched until then, the kept
    critic is evaluated once, in disjoint batches of K. So choosing the best does not raise the estimate, and a lower
    bound stays one in expectation.

    Args:
        x: samples [n] or [n, d].
        y: samples [n] or [n, e], paired with x.
        bound: one of `BOUNDS`, or `get_bound(name, ...)` for other hyper-parameters than the default.
        critic: any critic, given the data as they are, or with `num_steps=0` any function of two samples, such as the
            exact critic of `tasks`; None for `Separable` on standardised columns, to which location and scale of the
            data do not matter.
        key: the randomness of the split, the batches and the default critic.
        batch_size: K, in training and in evaluation. InfoNCE cannot exceed log K.
        num_steps: training steps, rounded up to whole compiled calls; 0 evaluates the critic as it is, on all pairs.
        learning_rate: of Adam at first, falling to 0 along a half cosine; gradients are clipped to norm 1.
        optimiser: another optax optimiser in its place.
        held_out: share of the pairs to evaluate on; at least two batches.
        validation: share of the pairs to choose the best critic on; at least one batch.
        progress: show a bar (needs tqdm).

    Returns:
        An `MIEstimate`.

    Raises:
        ImportError: training without optax, or `progress` without tqdm.
        TypeError: x, y or key of another type; a bound, critic or optimiser that is none; traced data.
        ValueError: bad samples, unpaired ones, too few for three splits, an unknown bound, shares outside (0, 1), a
            number out of its range.
        FloatingPointError: the objective is never finite on the validation pairs, or the estimate is NaN.

    Example:
        >>> x = jax.random.normal(jax.random.key(0), (1000, 1))
        >>> found = estimate_mi(x, x**2, key=jax.random.key(1), batch_size=32, num_steps=100)
        >>> found.kind, bool(0.5 < found.estimate < found.ceiling)
        ('lower', True)
    """
    key_split, key_order, key_critic = jax.random.split(_check.random_key(key, "estimate_mi"), 3)
    bound = _as_bound(bound)
    if _check.is_traced(x, y):
        raise TypeError("estimate_mi trains on concrete samples: call it outside jit, grad and vmap.")
    guard = _check.Guard()
    pairs = _check.as_samples(x, "x", guard), _check.as_samples(y, "y", guard)
    _check.same_length(*pairs, 1, "estimate_mi")
    batch_size, num_steps = _check.as_count(batch_size, "batch_size", 2), _check.as_count(num_steps, "num_steps", 0)
    learning_rate = _check.as_positive(learning_rate, "learning_rate")
    if not (optimiser is None or (callable(getattr(optimiser, "init", None)) and hasattr(optimiser, "update"))):
        raise TypeError(f"optimiser is {optimiser!r}: one of optax, such as optax.adam(1e-3), is needed.")
    if critic is None and not num_steps:
        raise ValueError("num_steps is 0: the default critic has to be trained; pass a critic to evaluate it as it is.")
    origins = None
    if critic is None:  # in doubles an offset costs no digits; a critic given is one of the data as they are
        origins = center(pairs[0]), center(pairs[1])
        pairs = _check.samples_about(x, "x", origins[0]), _check.samples_about(y, "y", origins[1])
    split = _split(key_split, pairs, batch_size, held_out, validation if num_steps else None)
    if critic is None:
        dims = pairs[0].shape[1], pairs[1].shape[1]
        critic = Standardised(Separable(*dims, key=key_critic), *split.train)
    elif not callable(critic) or isinstance(critic, type):
        raise TypeError(f"critic is {critic!r}: a critic from kerneldep.information, or a function, is needed.")
    elif num_steps and not jax.tree.leaves(eqx.filter(critic, trainable(critic))):
        raise ValueError("critic has nothing to train: pass num_steps=0 to evaluate it as it is.")
    curve = TrainingCurve(*(np.zeros(0) for _ in TrainingCurve._fields))
    if num_steps:
        optimiser = _default_optimiser(learning_rate, num_steps) if optimiser is None else optimiser
        critic, curve = _train(critic, bound, split, optimiser, batch_size, num_steps, key_order, progress)
    values = np.asarray(_evaluate(critic, bound, split.held_out), np.float64)
    if np.isnan(values).any():
        raise FloatingPointError(f"{bound.name} is NaN on held-out pairs: the critic's scores are not finite.")
    if origins is not None:
        critic = _about(critic, origins)
    error = values.std(ddof=1) / math.sqrt(len(values)) if np.isfinite(values).all() else math.inf
    dtype = pairs[0].dtype
    return MIEstimate(jnp.asarray(values.mean(), dtype), jnp.asarray(error, dtype), bound, batch_size, critic, curve)


def _about(critic: Any, origins: tuple[Array, Array]) -> Standardised:
    """The critic of the data as they are, of one of data less their origins."""
    moments = tuple(own.about(at) for own, at in zip((critic.moments_x, critic.moments_y), origins, strict=True))
    return eqx.tree_at(lambda one: (one.moments_x, one.moments_y), critic, moments)


class _Split(NamedTuple):
    train: Pairs
    validation: Batches
    held_out: Batches


def _split(key: Key[Array, ""], pairs: Pairs, size: int, held_out: float, validation: float | None) -> _Split:
    """Disjoint pairs to train on, to choose by, and to evaluate on; without a validation share, all to evaluate on."""
    num = len(pairs[0])
    held_out = _check.as_number(held_out, "held_out", lambda share: 0 < share < 1, "a share in (0, 1)")
    if validation is not None:
        validation = _check.as_number(validation, "validation", lambda share: 0 < share < 1, "a share in (0, 1)")
    if validation is not None and not validation < 1 - held_out:
        raise ValueError(f"held_out is {held_out}, validation {validation}: shares with a sum below 1 are needed.")
    num_held_out = num // size if validation is None else max(2, math.floor(held_out * num / size))
    num_validation = 0 if validation is None else max(1, math.floor(validation * num / size))
    used = (num_held_out + num_validation) * size
    if num_held_out < 2 or (validation is not None and num - used < size):
        parts = "two to evaluate on" + ("" if validation is None else ", one to choose by, one to train on")
        raise ValueError(f"x and y hold {num} pairs, too few for batches of {size}: {parts}.")
    order = _host_generator(key).permutation(num)
    sides = [np.asarray(side) for side in pairs]

    def take(index: np.ndarray) -> Any:
        return tuple(jnp.asarray(side[index]) for side in sides)

    cut = num_held_out * size
    held_out_index, validation_index = order[:cut].reshape(-1, size), order[cut:used].reshape(-1, size)
    return _Split(take(order[used:]), take(validation_index), take(held_out_index))


def _train(
    critic: Critic,
    bound: Bound,
    split: _Split,
    optimiser: Any,
    size: int,
    num_steps: int,
    key: Key[Array, ""],
    progress: bool,
) -> tuple[Critic, TrainingCurve]:
    """The critic that was best on the validation pairs."""
    calls = -(-num_steps // STEPS_PER_CHECK)
    steps = -(-num_steps // calls)
    order = _batch_order(key, len(split.train[0]), calls * steps, size).reshape(calls, steps, size)
    optimiser_state = optimiser.init(eqx.filter(critic, trainable(critic)))
    x, y = split.train
    state = _first_state(critic, bound, (x[order[0, 0]], y[order[0, 0]]))
    best, best_value = critic, -math.inf
    objectives, validations = [], []
    with _bar(calls * steps, bound.name, progress) as bar:
        for indices in order:
            critic, optimiser_state, state, objective, value = _run_steps(
                critic, optimiser_state, state, split.train, split.validation, jnp.asarray(indices), optimiser, bound
            )
            objectives.append(np.asarray(objective))
            validations.append(float(value))
            if validations[-1] > best_value:
                best, best_value = critic, validations[-1]
            if bar is not None:
                bar.set_postfix_str(f"validation {validations[-1]:.3f}", refresh=False)
                bar.update(steps)
    if not math.isfinite(best_value):
        raise FloatingPointError(f"{bound.name} was never finite on the validation pairs: lower the learning rate.")
    checked = steps * np.arange(1, calls + 1)
    return best, TrainingCurve(np.concatenate(objectives), checked, np.array(validations))


@eqx.filter_jit
def _first_state(critic: Critic, bound: Bound, batch: Pairs) -> PyTree:
    """The state that a bound's objective has after one batch, None if it has none."""
    return bound.objective(critic(*batch), None)[1]


@eqx.filter_jit
def _run_steps(
    critic: Critic,
    optimiser_state: PyTree,
    state: PyTree,
    train: Pairs,
    validation: Batches,
    indices: Int[Array, "steps K"],
    optimiser: Any,
    bound: Bound,
) -> tuple[Critic, PyTree, PyTree, Float[Array, " steps"], Scalar]:
    """Some steps of training, and the mean objective on the validation pairs after them."""
    weights, rest = eqx.partition(critic, trainable(critic))

    def loss(weights: PyTree, state: PyTree, index: Int[Array, " K"]) -> tuple[Scalar, PyTree]:
        scores = eqx.combine(weights, rest)(train[0][index], train[1][index])
        objective, state = bound.objective(scores, state)
        return -objective, state

    def step(carry: PyTree, index: Int[Array, " K"]) -> tuple[PyTree, Scalar]:
        weights, optimiser_state, state = carry
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(weights, state, index)
        updates, optimiser_state = optimiser.update(gradient, optimiser_state, weights)
        return (eqx.apply_updates(weights, updates), optimiser_state, state), -value

    (weights, optimiser_state, state), objective = jax.lax.scan(step, (weights, optimiser_state, state), indices)
    trained = eqx.combine(weights, rest)
    judged = jax.lax.map(lambda batch: bound.objective(trained(*batch), None)[0], validation)
    return trained, optimiser_state, state, objective, judged.mean()


@eqx.filter_jit
def _evaluate(critic: Critic, bound: Bound, batches: Batches) -> Float[Array, " m"]:
    """The bound on each batch."""
    return jax.lax.map(lambda batch: bound.value(critic(*batch)), batches)


def _batch_order(key: Key[Array, ""], num: int, steps: int, size: int) -> Int[np.ndarray, "steps K"]:
    """Which pairs each step sees: a new permutation an epoch, its incomplete last batch dropped."""
    generator, per_epoch = _host_generator(key), num // size
    epochs = [generator.permutation(num)[: per_epoch * size] for _ in range(-(-steps // per_epoch))]
    return np.concatenate(epochs).reshape(-1, size)[:steps]


def _host_generator(key: Key[Array, ""]) -> np.random.Generator:
    """NumPy's generator seeded with the key: permutations need not be compiled."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def _as_bound(bound: Any) -> Bound:
    if isinstance(bound, str):
        return get_bound(bound)
    if not isinstance(bound, Bound):
        raise TypeError(f"bound is {bound!r}: a name, or get_bound(name, ...), is needed.")
    return bound


@functools.lru_cache(maxsize=32)  # one object for one schedule, so that compiled training is found again
def _default_optimiser(learning_rate: float, num_steps: int) -> Any:
    if importlib.util.find_spec("optax") is None:
        raise ImportError("estimate_mi trains with optax: pip install 'kerneldep[train]'; num_steps=0 needs none.")
    import optax

    # A batch that draws the tail of e^f can have an infinite gradient, which clipping makes NaN: it then counts as 0.
    schedule = optax.cosine_decay_schedule(learning_rate, num_steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.zero_nans(), optax.adam(schedule))


def _bar(total: int, name: str, progress: bool) -> Any:
    if not progress:
        return contextlib.nullcontext()
    if importlib.util.find_spec("tqdm") is None:
        raise ImportError("progress=True needs tqdm: pip install 'kerneldep[train]'.")
    from tqdm import tqdm

    return tqdm(total=total, desc=name, unit="step")
