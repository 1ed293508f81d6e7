"""How good a frozen encoder's features are: k-NN and linear accuracy, beside two baselines.

The baselines are the pixels of the images at the size of a view and the features of the same encoder before training.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt8

from experiments.data import ImageData
from experiments.ssl import augment
from experiments.ssl.config import Config
from experiments.ssl.models import Encoder, Network, Statistics
from kerneldep.analysis.probes import fit_linear_probe, knn_accuracy

NUM_CALIBRATION = 2_000  # training images whose moments become the fixed batch-norm statistics
BATCH = 500
FIGURE_VIEWS, FIGURE_IMAGES = 4, 500

Accuracies = dict[str, dict[str, float]]


class Split(NamedTuple):
    """Images and their labels."""

    images: UInt8[np.ndarray, "n h w 3"]
    labels: Int32[np.ndarray, " n"]


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
    return {name: both[name] for name in ("train", *config.data.probe)}


def evaluate(untrained: Network, network: Network, images: dict[str, Split], config: Config) -> dict[str, Accuracies]:
    """Accuracies by split, representation ("raw", "untrained", "trained") and probe ("knn", "linear")."""
    train = images["train"]
    results: dict[str, Accuracies] = {name: {} for name in images if name != "train"}
    for kind in ("raw", "untrained", "trained"):
        size = config.model.eval_size
        if kind == "raw":
            represent, size = raw_pixels, config.augment.size
        else:
            encoder = (untrained if kind == "untrained" else network).encoder
            represent = FrozenEncoder(encoder, calibrate(encoder, jnp.asarray(train.images[:NUM_CALIBRATION]), size))
        known = represent(train.images, size)
        linear = fit_linear_probe(known, train.labels)
        for name, accuracies in results.items():
            new, labels = represent(images[name].images, size), images[name].labels
            accuracies[kind] = {
                "knn": float(knn_accuracy(known, train.labels, new, labels)),
                "linear": float(linear.accuracy(new, labels)),
            }
    return results


class FrozenEncoder(NamedTuple):
    """An encoder with fixed batch-norm statistics: a deterministic function of each image."""

    encoder: Encoder
    statistics: Statistics

    def __call__(self, images: UInt8[np.ndarray, "n h w 3"], size: int) -> Float[np.ndarray, "n d"]:
        """Features of whole images resized to `size`."""
        parts = [
            np.asarray(_features(self.encoder, self.statistics, jnp.asarray(images[i : i + BATCH]), size))
            for i in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts)


def raw_pixels(images: UInt8[np.ndarray, "n h w 3"], size: int) -> Float[np.ndarray, "n p"]:
    """The normalised pixels of whole images resized to `size`, one vector an image."""
    parts = [augment.center_view(jnp.asarray(images[i : i + BATCH]), size) for i in range(0, len(images), BATCH)]
    return np.concatenate([np.asarray(part).reshape(len(part), -1) for part in parts])


@eqx.filter_jit
def calibrate(encoder: Encoder, images: UInt8[Array, "n h w 3"], size: int) -> Statistics:
    """The batch-norm moments of whole images, all as one batch."""
    return encoder(augment.center_view(images, size))[1]


@eqx.filter_jit
def _features(encoder: Encoder, statistics: Statistics, images: Array, size: int) -> Array:
    return encoder(augment.center_view(images, size), statistics)[0]


def figure_views(untrained: Network, network: Network, split: Split, config: Config) -> dict[str, np.ndarray]:
    """Representations of augmented views of images outside the training set, for figures.

    Returns:
        float32 arrays [4, 500, d] with unit norms (fewer images where there are fewer): "projections" and "features" of
        the trained network, the same with the ending "_untrained", and "labels" [500]. Batch norm takes the statistics
        of all these views together, as in training.
    """
    images = jnp.asarray(split.images[:FIGURE_IMAGES])
    views = augment.views(images, FIGURE_VIEWS, config.augment, key=jax.random.key(config.seed))
    arrays = {"labels": np.asarray(split.labels[:FIGURE_IMAGES])}
    for ending, one in (("", network), ("_untrained", untrained)):
        for name, z in zip(("features", "projections"), _represent_views(one, views), strict=True):
            arrays[name + ending] = np.asarray(z, np.float32)
    return arrays


@eqx.filter_jit
def _represent_views(network: Network, views: Array) -> tuple[Array, Array]:
    features, _ = network.encoder(views.reshape(-1, *views.shape[2:]))
    projections, _ = network.projector(features)
    return tuple(_unit(z).reshape(*views.shape[:2], -1) for z in (features, projections))  # pyright: ignore[reportReturnType]


def _unit(z: Array) -> Array:
    return z / jnp.maximum(jnp.linalg.norm(z, axis=-1, keepdims=True), 1e-12)
