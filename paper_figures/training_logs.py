"""What was logged along the training of several objectives: recorded runs on CIFAR-10, or small ones on digits."""

import functools
import hashlib
import pathlib

import jax
import numpy as np
import pandas as pd

from experiments import data
from experiments.ssl.diagnostics import representation_diagnostics
from kerneldep.analysis import knn_accuracy
from paper_figures.byol_training import trained_views, training
from paper_figures.figures import ROOT

RECORD = ROOT / "experiments" / "records" / "b3"


@functools.cache
def training_logs(fast: bool) -> dict[str, pd.DataFrame]:
    """Diagnostics by step, a table for each run.

    The columns are those of `experiments.ssl.diagnostics`. With `fast`, of BYOL whole and in parts on digits, which
    another figure trains anyway.
    """
    return _small() if fast else {path.parent.name.split("-")[0]: pd.read_csv(path) for path in _recorded()}


def logs_hash(fast: bool) -> str:
    """A text that changes when the record's numbers do, or the training that stands in for it."""
    if fast:
        return training()
    return hashlib.sha256(b"".join(path.read_bytes() for path in _recorded())).hexdigest()[:16]


def _recorded() -> list[pathlib.Path]:
    found = sorted(RECORD.glob("*/observations.csv"))
    if not found:
        raise FileNotFoundError("There is no record of it: `python -m experiments.ssl suite b3 --record` makes one.")
    return found


def _small() -> dict[str, pd.DataFrame]:
    steps, found = trained_views(True)
    labels = data.load("digits").test_labels[: next(iter(found.values())).shape[3]]
    half = len(labels) // 2
    tables = {}
    with jax.enable_x64(False):
        for variant, seeds in found.items():
            rows = []
            for step, z in zip(steps, np.asarray(seeds[0], np.float32), strict=True):
                accuracy = knn_accuracy(z[0, :half], labels[:half], z[0, half:], labels[half:], k=5)
                rows.append({"step": step, **representation_diagnostics(z[:2]), "knn": float(accuracy)})
            tables[variant] = pd.DataFrame(rows)
    return tables
