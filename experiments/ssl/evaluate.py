"""How good a frozen encoder's features are: k-NN and linear accuracy, beside two baselines.

The baselines are the pixels of the images at the size of a view and the features of the same encoder before training.
Each accuracy is computed once, when training has ended; along training `diagnostics` looks at held-out images alone.
"""

import functools
import hashlib

import numpy as np
from jaxtyping import Int32, Int64

from experiments.ssl.config import Config
from experiments.ssl.features import FrozenEncoder, Split, draw_views, frozen, raw_pixels, represent_views, splits
from experiments.ssl.linear_sgd import fit_sgd_probe
from experiments.ssl.models import Network
from kerneldep.analysis.probes import LinearProbe, fit_linear_probe, knn_accuracy

__all__ = ["Split", "evaluate", "figure_views", "labelled_rows", "splits"]

FIGURE_VIEWS, FIGURE_IMAGES = 4, 500
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
    for kind in ("raw", "untrained", "trained"):
        if kind == "raw":
            represent = functools.partial(raw_pixels, size=config.augment.size)
        else:
            represent = frozen((untrained if kind == "untrained" else network).encoder, images["train"], config)
        features = {name: represent(split.images) for name, split in images.items()}
        shares = config.evaluation.label_shares if kind != "raw" else ()
        probes: dict[str, LinearProbe] = {}
        if isinstance(represent, FrozenEncoder) and config.evaluation.sgd_epochs and kind == "trained":
            probes["linear_sgd"] = fit_sgd_probe(represent, images["train"], features["train"], config)
        labels = {name: split.labels for name, split in images.items()}
        if kind == "trained":
            found = _accuracies(features, labels, shares, WEIGHTED_NEIGHBOURS, probes)
        else:  # runs of one seed share them: those of a suite or a sweep compute them once
            digest = _digest(features, labels, shares)
            if digest not in _BASELINES:
                _BASELINES[digest] = _accuracies(features, labels, shares, (), probes)
            found = _BASELINES[digest]
        for name, accuracies in results.items():
            accuracies[kind] = dict(found[name])
    return results


_BASELINES: dict[str, Accuracies] = {}


def _accuracies(
    features: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    shares: tuple[float, ...],
    weighted: tuple[int, ...],
    probes: dict[str, LinearProbe],
) -> Accuracies:
    """Accuracies by split and probe, of all probes and those that are fitted already."""
    known, classes = features["train"], labels["train"]
    fitted = {"linear": fit_linear_probe(known, classes)}
    for share in shares:
        rows = labelled_rows(classes, share)
        fitted[f"linear_{share:.0%}"] = fit_linear_probe(known[rows], classes[rows])
    fitted |= probes
    found: Accuracies = {}
    for name in features.keys() - {"train"}:
        neighbours = functools.partial(knn_accuracy, known, classes, features[name], labels[name])
        votes = {"knn": neighbours()}
        for k in weighted:
            votes[f"knn_weighted_{k}"] = neighbours(min(k, len(known)), temperature=KNN_TEMPERATURE)
        linear = {probe: one.accuracy(features[name], labels[name]) for probe, one in fitted.items()}
        found[name] = {probe: float(accuracy) for probe, accuracy in (votes | linear).items()}
    return found


def _digest(features: dict[str, np.ndarray], labels: dict[str, np.ndarray], shares: tuple[float, ...]) -> str:
    digest = hashlib.sha256(repr((shares, [(name, one.shape) for name, one in features.items()])).encode())
    for one in (*features.values(), *labels.values()):
        digest.update(np.ascontiguousarray(one).data)
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
