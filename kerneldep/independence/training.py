"""Training what a test then uses: any criterion of pairs, maximised over kernels or a critic by optax."""

import functools
import importlib.util
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Scalar

from ..information.critics import trainable
from ..kernels import AbstractKernel

Criterion = Callable[[Any, Array, Array], Scalar]
"""(model, x, y) ↦ what is to be large."""
Pairs = tuple[Float[Array, "n d"], Float[Array, "n e"]]
OtherPairs = tuple[Float[Array, "m d"], Float[Array, "m e"]]

CHECKS = 10
"""How often in training the model is judged, and the best kept."""

JUDGED = 500
"""Most pairs to judge by."""


class Trained(NamedTuple):
    """The best model, and its criterion on the pairs to judge by, where it started and where it ended up."""

    model: Any
    first: float
    best: float


def maximise(
    criterion: Criterion,
    model: Any,
    train: Pairs,
    judge: OtherPairs,
    optimiser: Any,
    num_steps: int,
    batch_size: int,
    generator: np.random.Generator,
) -> Trained:
    """The model at the check with the largest criterion, the start among them; training ends where it is not finite.

    Positive parameters of kernels are trained as logarithms; a kernel's other own parameters and what a critic declares
    fixed are not trained; weights of networks are as they are.

    Args:
        criterion: one and the same function in every call, so that compiled training is found again.
        model: kernels or a critic.
        train: pairs to train on.
        judge: pairs to judge by.
        optimiser: of optax.
        num_steps: steps.
        batch_size: pairs a step; all of them if there are no more.
        generator: draws the batches.
    """
    judge = judge[0][:JUDGED], judge[1][:JUDGED]
    best, first = model, float(judged(criterion, model, *judge))
    best_value = first if math.isfinite(first) else -math.inf
    calls = min(CHECKS, num_steps)
    steps = -(-num_steps // max(calls, 1))
    order = _batches(generator, len(train[0]), calls * steps, batch_size)
    free = eqx.filter(_freed(model), jax.tree.map(lambda how: how != "fixed", _trained_as(model)))
    state = optimiser.init(free)
    for call in range(calls):
        some = jnp.asarray(order[call * steps : (call + 1) * steps])
        model, state, value = _run(criterion, model, state, train, judge, some, optimiser)
        if not math.isfinite(value):
            break
        if value > best_value:
            best, best_value = model, float(value)
    return Trained(best, first, best_value)


@eqx.filter_jit
def judged(criterion: Criterion, model: Any, x: Float[Array, "n d"], y: Float[Array, "n e"]) -> Scalar:
    """The criterion, compiled."""
    return criterion(model, x, y)


def num_trained(model: Any) -> tuple[int, int]:
    """Numbers trained: as logarithms, and as they are."""
    leaves = zip(jax.tree.leaves(model), jax.tree.leaves(_trained_as(model)), strict=True)
    sizes = [(leaf.size, how) for leaf, how in leaves if how != "fixed"]
    return sum(size for size, how in sizes if how == "log"), sum(size for size, how in sizes if how == "plain")


@functools.lru_cache(maxsize=32)  # one object for one schedule, so that compiled training is found again
def default_optimiser(learning_rate: float, num_steps: int) -> Any:
    """Adam with gradients clipped to norm 1 and a rate that falls to 0 along half a cosine.

    Raises:
        ImportError: without optax.
    """
    if importlib.util.find_spec("optax") is None:
        raise ImportError("power_optimised_test trains with optax: pip install 'kerneldep[train]'.")
    import optax

    schedule = optax.cosine_decay_schedule(learning_rate, num_steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.zero_nans(), optax.adam(schedule))


@eqx.filter_jit
def _run(
    criterion: Criterion,
    model: Any,
    state: PyTree,
    train: Pairs,
    judge: OtherPairs,
    batches: Int[Array, "steps K"],
    optimiser: Any,
) -> tuple[Any, PyTree, Scalar]:
    """Some steps, and the criterion after them."""
    marks = _trained_as(model)
    free, rest = eqx.partition(_freed(model), jax.tree.map(lambda how: how != "fixed", marks))

    def loss(free: Any, batch: Int[Array, " K"]) -> Scalar:
        return -criterion(_bound(eqx.combine(free, rest), marks), train[0][batch], train[1][batch])

    def step(carry: Any, batch: Int[Array, " K"]) -> tuple[Any, None]:
        free, state = carry
        updates, state = optimiser.update(jax.grad(loss)(free, batch), state, free)
        return (eqx.apply_updates(free, updates), state), None

    (free, state), _ = jax.lax.scan(step, (free, state), batches)
    model = _bound(eqx.combine(free, rest), marks)
    return model, state, criterion(model, *judge)


def _batches(generator: np.random.Generator, num: int, steps: int, size: int) -> Int[np.ndarray, "steps K"]:
    """Which pairs each step sees: a new permutation an epoch, its incomplete last batch dropped."""
    size = min(size, num)
    epochs = [generator.permutation(num)[: num // size * size] for _ in range(-(-steps // (num // size)))]
    return np.concatenate([np.zeros(0, int), *epochs]).reshape(-1, size)[:steps].astype(np.int32)


def _trained_as(model: Any) -> Any:
    """The model's shape with "log", "plain" or "fixed" at every leaf."""
    if isinstance(model, tuple):
        return tuple(_trained_as(part) for part in model)
    if not isinstance(model, AbstractKernel):
        return jax.tree.map(lambda yes: "plain" if yes else "fixed", trainable(model))

    def child(node: Any) -> bool:
        return isinstance(node, eqx.Module) and node is not model

    marks: Any = jax.tree.map(lambda node: _trained_as(node) if child(node) else "fixed", model, is_leaf=child)
    for name in model.positive:
        marks = eqx.tree_at(lambda node, name=name: getattr(node, name), marks, "log")
    return marks


def _freed(model: Any) -> Any:
    return jax.tree.map(lambda leaf, how: jnp.log(leaf) if how == "log" else leaf, model, _trained_as(model))


def _bound(free: Any, marks: Any) -> Any:
    return jax.tree.map(lambda leaf, how: jnp.exp(leaf) if how == "log" else leaf, free, marks)
