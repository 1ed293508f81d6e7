"""The features of a finished run, for other programs."""

from pathlib import Path

import jax
import numpy as np

from experiments import data
from experiments.ssl import runs
from experiments.ssl.compare import find
from experiments.ssl.features import frozen, splits


def export(run: str) -> Path:
    """Writes `features.npz` into the folder of a run: "train_features" [n, d], "train_labels" [n], and so on.

    Whole images, in the order of the data set, in float32: those the encoder learned from, and those of each split that
    the run probes, with batch-norm statistics as in its evaluation.

    Args:
        run: The folder's name in `results/runs`, or its beginning if no other begins so.
    """
    found = [one for one in find([run]) if (one.folder / "encoder.eqx").exists()]
    if len(found) != 1:
        raise SystemExit(f"{run!r} fits {len(found)} runs whose encoder is kept: give the name of one in results/runs.")
    config = found[0].config()
    with jax.enable_x64(False):
        images = splits(data.load(config.data.name), config)
        represent = frozen(found[0].encoder(), images["train"], config)
        arrays: dict[str, np.ndarray] = {}
        for name, split in images.items():
            arrays[f"{name}_features"], arrays[f"{name}_labels"] = represent(split.images), split.labels
    path = found[0].folder / "features.npz"
    runs.write(path, lambda temporary: runs.write_npz(temporary, arrays))
    return path
