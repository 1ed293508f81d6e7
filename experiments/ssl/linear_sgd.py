"""Linear evaluation by SGD on augmented views of a frozen encoder, the protocol of most published numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, Scalar

from experiments.ssl import augment
from experiments.ssl.config import AugmentConfig, Config
from experiments.ssl.features import FrozenEncoder, Split
from kerneldep.analysis.probes import LinearProbe

BATCH, LEARNING_RATE = 256, 0.1
MIN_AREA = 0.08


def fit_sgd_probe(
    encoder: FrozenEncoder, train: Split, features: Float[np.ndarray, "n d"], config: Config
) -> LinearProbe:
    """A linear classifier on random crops and flips: SGD with momentum 0.9 and a cosine schedule, no weight decay.

    Crops have an area of at least 8 % of the image and the size of training's views; the encoder keeps the batch-norm
    statistics of whole images. Features are standardised by the moments of those of whole images, so that one learning
    rate, 0.1 for batches of 256, suits every encoder; published protocols standardise seldom and tune the rate
    instead. Images that do not fill the last batch of an epoch are left out of that epoch.

    Args:
        encoder: the frozen encoder.
        train: images and labels.
        features: of the whole training images, for the moments.
        config: the run: `evaluation.sgd_epochs`, the size of views, the seed.
    """
    mean, deviation = features.mean(0, keepdims=True), features.std(0, keepdims=True)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    batch = min(BATCH, len(train.images))
    steps, epochs = len(train.images) // batch, config.evaluation.sgd_epochs
    crops = AugmentConfig(size=config.augment.size, min_area=MIN_AREA, jitter=0.0, grey=0.0)
    optimiser = optax.sgd(optax.cosine_decay_schedule(LEARNING_RATE, max(1, steps * epochs)), momentum=0.9)

    def loss(weights: Array, x: Array, labels: Array) -> Scalar:
        logits = x @ weights[:-1] + weights[-1:]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @eqx.filter_jit
    def one_epoch(
        encoder: FrozenEncoder,
        data: tuple[Array, Array],
        moments: tuple[Array, Array],
        state: tuple,
        key: Key[Array, ""],
    ) -> tuple:
        images, labels = data
        order_key, view_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(images))[: steps * batch].reshape(steps, batch)

        def step(state: tuple, now: tuple[Array, Array]) -> tuple[tuple, None]:
            weights, memory = state
            rows, key = now
            views = augment.views(images[rows], 1, crops, key=key)[0]
            x = (encoder.encoder(views, encoder.statistics)[0] - moments[0]) * moments[1]
            updates, memory = optimiser.update(jax.grad(loss)(weights, x, labels[rows]), memory)
            return (optax.apply_updates(weights, updates), memory), None

        return jax.lax.scan(step, state, (order, jax.random.split(view_key, steps)))[0]

    weights = jnp.zeros((features.shape[1] + 1, int(train.labels.max()) + 1))
    state = (weights, optimiser.init(weights))
    data = (jnp.asarray(train.images), jnp.asarray(train.labels))
    moments = (jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32))
    for key in jax.random.split(jax.random.key(config.seed), epochs):
        state = one_epoch(encoder, data, moments, state, key)
    return LinearProbe(jnp.asarray(mean), jnp.asarray(scale), np.asarray(state[0]))
