"""Views of real images under the encoders of the quick run: what the figures of the theory are drawn from."""

import functools

import numpy as np

from experiments.ssl import runs
from experiments.ssl.config import load_preset

TRAINED = {"InfoNCE": "infonce", "SSL-HSIC": "ssl_hsic"}


@functools.cache
def _runs(fast: bool) -> dict[str, runs.Run]:
    preset = "smoke" if fast else "cpu-quick"
    return {name: runs.find_or_train(load_preset(preset, objective)) for name, objective in TRAINED.items()}


def encoded_views(fast: bool) -> dict[str, np.ndarray]:
    """Unit-norm projections [M, B, d] of augmented held-out images, by encoder: untrained and trained.

    With `fast`, of scikit-learn's digits under a run of a few steps.
    """
    found = {name: run.views() for name, run in _runs(fast).items()}
    untrained = found["SSL-HSIC"]["projections_untrained"]
    return {"untrained": untrained, **{name: views["projections"] for name, views in found.items()}}


def encoders(fast: bool) -> str:
    """A text that changes when the encoders do."""
    return " ".join(run.name for run in _runs(fast).values())


def source(fast: bool) -> str:
    """Where the views come from, for the gallery and the notebook."""
    num_views, num_images, dim = encoded_views(fast)["untrained"].shape
    data = _runs(fast)["SSL-HSIC"].summary["data"]
    return (
        f"Views: {num_views} augmented views each of {num_images} held-out images of {data}, "
        f"as unit vectors in {dim} dimensions, under the encoder of the quick run before and after training (seed 0)."
    )
