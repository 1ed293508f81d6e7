"""How good a frozen encoder's features are: k-NN and linear accuracy, beside two baselines.

The baselines are the pixels of the images at the size of a view and the features of the same encoder before training.
Each accuracy is computed once, when training has ended; along training `diagnostics` looks at held-out images alone.
"""

import functools
import hashlib

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Int32, Int64

from experiments.ssl.config import Config
from experiments.ssl.features import FrozenEncoder, Split, draw_views, frozen, raw_pixels, represent_views, splits
from experiments.ssl.linear_sgd import fit_sgd_probe
from experiments.ssl.models import Encoder, Network
from kerneldep.analysis.probes import fit_linear_probe, nearest_neighbours

__all__ = ["Split", "evaluate", "figure_views", "labelled_rows", "splits"]

FIGURE_VIEWS, FIGURE_IMAGES = 4, 500
NEIGHBOURS = 20
KNN_TEMPERATURE = 0.07
WEIGHTED_NEIGHBOURS = (20, 200)  # published k-NN accuracies have one or the other

Accuracies = dict[str, dict[str, float]]


def evaluate(untrained: Network, network: Network, images: dict[str, Split], config: Config) -> dict[str, Accuracies]:
    """Accuracies by split, representation ("raw", "untrained", "trained") and probe.

    Probes: "knn", the vote of the 20 nearest by cosine; "linear", full-batch logistic regression; "linear_1%" and so
    on, the same from that share of the labels, for each of `label_shares`. Of the trained encoder also
    "knn_weighted_20" and "knn_weighted_200", votes with weights e^{cos/0.07}; and, if `sgd_epochs`, "linear_sgd" (see
    `linear_sgd.fit_sgd_probe`).
    """
    results: dict[str, Accuracies] = {name: {} for name in images if name != "train"}
    for kind, encoder in {"raw": None, "untrained": untrained.encoder, "trained": network.encoder}.items():
        if kind == "trained":
            found = _accuracies(images, encoder, config, trained=True)
        else:  # runs of one seed share them: those of a suite or a sweep compute them once
            digest = _digest(images, encoder, config)
            if digest not in _BASELINES:
                _BASELINES[digest] = _accuracies(images, encoder, config, trained=False)
            found = _BASELINES[digest]
        for name, accuracies in results.items():
            accuracies[kind] = dict(found[name])
    return results


_BASELINES: dict[str, Accuracies] = {}


def _accuracies(images: dict[str, Split], encoder: Encoder | None, config: Config, *, trained: bool) -> Accuracies:
    """Accuracies by split and probe, of an encoder's features or, without one, of pixels."""
    if encoder is None:
        represent = functools.partial(raw_pixels, size=config.augment.size)
    else:
        represent = frozen(encoder, images["train"], config)
    features = {name: represent(split.images) for name, split in images.items()}
    labels = {name: split.labels for name, split in images.items()}
    known, classes = features["train"], labels["train"]
    fitted = {"linear": fit_linear_probe(known, classes)}
    for share in config.evaluation.label_shares if encoder is not None else ():
        rows = labelled_rows(classes, share)
        fitted[f"linear_{share:.0%}"] = fit_linear_probe(known[rows], classes[rows])
    if trained and isinstance(represent, FrozenEncoder) and config.evaluation.sgd_epochs:
        fitted["linear_sgd"] = fit_sgd_probe(represent, images["train"], known, config)
    found: Accuracies = {}
    for name in features.keys() - {"train"}:
        k = min(max(WEIGHTED_NEIGHBOURS) if trained else NEIGHBOURS, len(known))
        neighbours, answers = nearest_neighbours(known, classes, features[name], k), labels[name]
        votes = {"knn": neighbours.accuracy(answers, min(NEIGHBOURS, k))}
        for most in WEIGHTED_NEIGHBOURS if trained else ():
            weighted = neighbours.accuracy(answers, min(most, k), temperature=KNN_TEMPERATURE)
            votes[f"knn_weighted_{most}"] = weighted
        linear = {probe: one.accuracy(features[name], labels[name]) for probe, one in fitted.items()}
        found[name] = {probe: float(accuracy) for probe, accuracy in (votes | linear).items()}
    return found


def _digest(images: dict[str, Split], encoder: Encoder | None, config: Config) -> str:
    """Of all that the accuracies of an encoder before training depend on."""
    size = config.augment.size if encoder is None else config.model.eval_size
    digest = hashlib.sha256(f"{list(images)} {size} {config.evaluation} {encoder}".encode())
    for array in (*jax.tree.leaves(eqx.filter(encoder, eqx.is_array)), *jax.tree.leaves(images)):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def labelled_rows(labels: Int32[np.ndarray, " n"], share: float) -> Int64[np.ndarray, " m"]:
    """Which labels a probe with few of them sees: a share of each class, at least two images, always the same draw."""
    random = np.random.default_rng(0)
    classes = [random.permutation(np.flatnonzero(labels == c)) for c in np.unique(labels)]
    return random.permutation(np.concatenate([rows[: max(2, round(share * len(rows)))] for rows in classes]))


def figure_views(untrained: Network, network: Network, split: Split, config: Config) -> dict[str, np.ndarray]:
    """Representations of augmented views of images outside the training set, for figures.

    Returns:
        float32 arrays [4, 500, d] with unit norms (fewer images where there are fewer): "projections" and "features" of
        the trained network, the same with the ending "_untrained", and "labels" [500]. Batch norm takes the statistics
        of all these views together, as in training.
    """
    views = draw_views(split.images[:FIGURE_IMAGES], FIGURE_VIEWS, config.augment, config.seed)
    arrays = {"labels": np.asarray(split.labels[:FIGURE_IMAGES])}
    for ending, one in (("", network), ("_untrained", untrained)):
        for name, z in zip(("features", "projections"), represent_views(one, views), strict=True):
            arrays[name + ending] = np.asarray(z, np.float32)
    return arrays
