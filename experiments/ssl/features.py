"""From images to features: the splits of a run, frozen encoders, raw pixels, and the views that figures look at."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt8

from experiments.data import ImageData
from experiments.ssl import augment
from experiments.ssl.config import AugmentConfig, Config
from experiments.ssl.devices import jit_long_program
from experiments.ssl.models import Encoder, Network, Statistics

NUM_CALIBRATION = 2_000  # training images whose moments become the fixed batch-norm statistics
BATCH = 125  # on a CPU larger ones leave its caches


class Split(NamedTuple):
    """Images and their labels."""

    images: UInt8[np.ndarray, "n h w 3"]
    labels: Int32[np.ndarray, " n"]

    def first(self, count: int) -> "Split":
        """The first images."""
        return Split(self.images[:count], self.labels[:count])


def splits(data: ImageData, config: Config) -> dict[str, Split]:
    """The images of a run: "train", and of "heldout" and "test" those it probes.

    "heldout" are the last training images, at most a fifth of them, and never used in training.
    """
    total = len(data.train_images)
    num_heldout = min(config.data.num_heldout, total // 5)
    num_train = min(config.data.num_train, total - num_heldout)
    both = {
        "train": Split(data.train_images[:num_train], data.train_labels[:num_train]),
        "heldout": Split(data.train_images[total - num_heldout :], data.train_labels[total - num_heldout :]),
        "test": Split(data.test_images, data.test_labels),
    }
    for name in config.data.probe:
        if not len(both[name].images):
            raise ValueError(
                f"No {name} images are left to probe: say how many with --data.num-{name} (and train on fewer)."
            )
    return {name: both[name] for name in ("train", *config.data.probe)}


class FrozenEncoder(NamedTuple):
    """An encoder with fixed batch-norm statistics: a deterministic function of each image."""

    encoder: Encoder
    statistics: Statistics
    size: int

    def __call__(self, images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n d"]:
        """Features of whole images resized to `size`."""
        parts = [
            np.asarray(_features(self.encoder, self.statistics, jnp.asarray(images[i : i + BATCH]), self.size))
            for i in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts)


def frozen(encoder: Encoder, train: Split, config: Config) -> FrozenEncoder:
    """The encoder as evaluation sees it: its batch-norm statistics are those of whole training images."""
    size = config.model.eval_size
    return FrozenEncoder(encoder, calibrate(encoder, jnp.asarray(train.images[:NUM_CALIBRATION]), size), size)


def raw_pixels(images: UInt8[np.ndarray, "n h w 3"], size: int) -> Float[np.ndarray, "n p"]:
    """The normalised pixels of whole images resized to `size`, one vector an image."""
    parts = [_whole(jnp.asarray(images[i : i + BATCH]), size) for i in range(0, len(images), BATCH)]
    return np.concatenate([np.asarray(part).reshape(len(part), -1) for part in parts])


_whole = jax.jit(augment.center_view, static_argnames="size")


@eqx.filter_jit
def calibrate(encoder: Encoder, images: UInt8[Array, "n h w 3"], size: int) -> Statistics:
    """The batch-norm moments of whole images, all as one batch."""
    return encoder(augment.center_view(images, size))[1]


@eqx.filter_jit
def _features(encoder: Encoder, statistics: Statistics, images: Array, size: int) -> Array:
    return encoder(augment.center_view(images, size), statistics)[0]


def draw_views(
    images: UInt8[np.ndarray, "B h w 3"], num_views: int, config: AugmentConfig, seed: int
) -> Float[Array, "M B s s 3"]:
    """Random views of a few images, the same for the same seed."""
    return jit_long_program(augment.views)(jnp.asarray(images), num_views, config, key=jax.random.key(seed))


@eqx.filter_jit
def represent_views(
    network: Network, views: Float[Array, "M B s s 3"]
) -> tuple[Float[Array, "M B d"], Float[Array, "M B e"]]:
    """Unit-norm features and projections; batch norm takes the statistics of all these views, as in training."""
    features, _ = network.encoder(views.reshape(-1, *views.shape[2:]))
    projections, _ = network.projector(features)

    def unit(z: Array) -> Array:
        z = z.astype(jnp.float32)
        z = z / jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
        return z.reshape(*views.shape[:2], -1)

    return unit(features), unit(projections)
