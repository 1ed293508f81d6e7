"""BYOL in the small, whole and with parts taken away: views of digits that it was not trained on, step by step.

All randomness is NumPy's and drawn beforehand, and what a run has of BYOL is traced: one small program to compile.
"""

import functools
import hashlib
import inspect
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from experiments import data

SIDE, DIM, VIEWS, BATCH = 8, 32, 16, 128
SIZES = {"encoder": (SIDE**2, 128, 64), "projector": (64, 128, DIM), "predictor": (DIM, 64, DIM)}


class Variant(NamedTuple):
    """What a run has of BYOL."""

    predictor: float = 1.0
    stop_gradient: float = 1.0
    decay: float = 0.99  # of the target network; 0: it is the network itself
    norm: float = 1.0  # batch norm of hidden layers
    output_norm: float = 0.0  # batch norm of the projections, before they are L2-normalised


VARIANTS = {
    "BYOL": Variant(),
    "with output norm": Variant(output_norm=1.0),
    "no target network": Variant(decay=0.0),
    "no batch norm": Variant(norm=0.0),
    "no predictor": Variant(predictor=0.0),
    "output norm alone": Variant(predictor=0.0, stop_gradient=0.0, decay=0.0, output_norm=1.0),
}


def training() -> str:
    """A text that changes when the training does."""
    return hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode()).hexdigest()[:16]


@functools.cache
def trained_views(fast: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Unit-norm projections of views of test images along the training of each variant.

    Returns:
        The steps [S], and the projections [seeds, S, M = 4, B, d] by variant, in double precision. Batch norm takes the
        statistics of all these views together, as in training.
    """
    images = data.load("digits")
    last, seeds, num_test = (64, 1, 100) if fast else (1000, 3, 200)
    steps = np.unique([0, *np.geomspace(1, last, 10 if fast else 26).round()]).astype(np.int32)
    train = random_crops(np.random.default_rng(0), images.train_images, VIEWS)
    test = random_crops(np.random.default_rng(1), images.test_images[:num_test], 4)
    found: dict[str, Any] = {name: [] for name in VARIANTS}
    with jax.enable_x64(False):
        for name, variant in VARIANTS.items():
            for seed in range(seeds):
                rng = np.random.default_rng(2 + seed)
                state, path = initial_state(rng), []
                which = rng.integers(train.shape[1], size=(last, BATCH), dtype=np.int32)
                first, apart = rng.integers([[VIEWS], [VIEWS - 1]], size=(last, 2, BATCH)).swapaxes(0, 1)
                pair = np.stack([first, (first + 1 + apart) % VIEWS], axis=1).astype(np.int32)  # different views
                for stop in steps:
                    state, projections = advance(variant, state, stop, (train, test), (which, pair))
                    path.append(np.asarray(projections, np.float64))
                found[name].append(path)
    return steps, {name: np.asarray(paths) for name, paths in found.items()}


def random_crops(rng: np.random.Generator, images: np.ndarray, num_views: int) -> np.ndarray:
    """Random rectangles of 0.4 to 1 of each image's area, stretched to the whole, in another contrast: [M, B, pixels].

    Of grey images [B, 32, 32, 3], as they were scanned: at 8 × 8.
    """
    small = images[:, 2::4, 2::4, 0].astype(np.float32) / 255
    shape = (num_views, len(images))
    area, stretch = rng.uniform(0.4, 1, shape), np.exp(rng.uniform(-0.15, 0.15, shape))

    def weights(extent: np.ndarray) -> np.ndarray:
        """Linear interpolation [M, B, pixels out, pixels in] of an interval that long, as a share of the side."""
        start = rng.uniform(0, 1, shape) * (1 - extent)
        at = SIDE * (start[..., None] + extent[..., None] * (np.arange(SIDE) + 0.5) / SIDE) - 0.5
        found = np.maximum(1 - np.abs(at[..., None] - np.arange(SIDE)), 0)
        return found / found.sum(-1, keepdims=True)

    sides = (np.minimum(np.sqrt(area) * by, 1) for by in (stretch, 1 / stretch))
    views = np.einsum("mbij,bjk,mblk->mbil", weights(next(sides)), small, weights(next(sides)), optimize=True)
    views = 4 * (views * rng.uniform(0.6, 1.4, (*shape, 1, 1)) - 0.5)
    return views.reshape(*shape, -1).astype(np.float32)


class State(NamedTuple):
    """All that changes from step to step."""

    online: Any
    target: Any
    optimiser: Any
    step: Any


def optimiser() -> optax.GradientTransformation:
    """The same for all."""
    return optax.adamw(1e-3, weight_decay=1e-4)


def initial_state(rng: np.random.Generator) -> State:
    """Random weights, the target network's the same."""
    weights = {
        name: (
            jnp.asarray(rng.normal(size=(inputs, hidden)) * (2 / inputs) ** 0.5, jnp.float32),
            jnp.asarray(rng.normal(size=(hidden, outputs)) * (1 / hidden) ** 0.5, jnp.float32),
            jnp.zeros(outputs),
        )
        for name, (inputs, hidden, outputs) in SIZES.items()
    }
    return State(weights, weights, optimiser().init(weights), jnp.zeros((), jnp.int32))


def standardised(x: Array, wanted: Any) -> Array:
    """Batch norm without scale and shift, if wanted."""
    return jnp.where(wanted > 0, (x - x.mean(0)[None]) * jax.lax.rsqrt(x.var(0) + 1e-5)[None], x)


def head(weights: Any, x: Array, variant: Variant) -> Array:
    """Linear, batch norm, ReLU, linear."""
    first, second, shift = weights
    return jax.nn.relu(standardised(x @ first, variant.norm)) @ second + shift[None]


def project(weights: Any, views: Array, variant: Variant) -> Array:
    """Projections [MB, d] of views [M, B, pixels], not L2-normalised."""
    encoded = head(weights["encoder"], views.reshape(-1, views.shape[-1]), variant)
    features = jax.nn.relu(standardised(encoded, variant.norm))
    return standardised(head(weights["projector"], features, variant), variant.output_norm)


def unit(x: Array, views: Array) -> Array:
    """L2-normalised and [M, B, d], as the views are."""
    return (x * jax.lax.rsqrt((x**2).sum(-1, keepdims=True) + 1e-12)).reshape(*views.shape[:2], -1)


def byol_loss(online: Any, target: Any, views: Array, variant: Variant) -> Array:
    """E‖q(z₁) − z₂′‖² of two views, symmetrised; without a target network z₂′ is z₂."""
    projections = project(online, views, variant)
    predictions = jnp.where(variant.predictor > 0, head(online["predictor"], projections, variant), projections)
    targets = jnp.where(variant.decay > 0, project(target, views, variant), projections)
    targets = jnp.where(variant.stop_gradient > 0, jax.lax.stop_gradient(targets), targets)
    return ((unit(predictions, views) - unit(targets, views)[::-1]) ** 2).sum(-1).mean()


@jax.jit
def advance(
    variant: Variant, state: State, stop: Any, views: tuple[Array, Array], order: tuple[Array, Array]
) -> tuple[State, Array]:
    """Trains until step `stop`; the state then, and the unit projections of the test views."""
    train, test = views

    def step(count: Array, state: State) -> State:
        images, pair = (jax.lax.dynamic_index_in_dim(one, count, keepdims=False) for one in order)
        slope = jax.grad(byol_loss)(state.online, state.target, train[pair, images[None, :]], variant)
        updates, memory = optimiser().update(slope, state.optimiser, state.online)
        online = optax.apply_updates(state.online, updates)
        target = jax.tree.map(lambda old, new: variant.decay * old + (1 - variant.decay) * new, state.target, online)
        return State(online, target, memory, count + 1)

    state = jax.lax.fori_loop(state.step, stop, step, state)
    return state, unit(project(state.online, test, variant), test)
