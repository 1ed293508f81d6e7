"""How fast a preset trains on this machine: some epochs of the real thing, without evaluation or files."""

from dataclasses import replace

import jax
import numpy as np

from experiments import data
from experiments.lock import machine
from experiments.ssl import runs
from experiments.ssl.config import Config
from experiments.ssl.features import splits
from experiments.ssl.flops import speed
from experiments.ssl.objectives import SUPERVISED, make_objective
from experiments.ssl.train import num_calls, train


def throughput(config: Config, epochs: int = 5, *, progress: bool = True) -> dict[str, float]:
    """Trains for some epochs, and returns "images_per_second" and what `flops.speed` makes of it.

    The rate is the median over the jitted calls but the first, which compiles; each includes its views and the wait for
    the device. The device's rate of matrix products is timed afterwards.

    Raises:
        ValueError: If that is one call alone.
    """
    with machine("training", runs.RESULTS.parent), jax.enable_x64(False):
        known = splits(data.load(config.data.name), config)["train"]
        config = replace(config, training=replace(config.training, epochs=epochs))
        calls, steps = num_calls(config, len(known.images))
        if calls < 2:
            raise ValueError(f"{epochs} epochs are one jitted call of {steps} steps, which compiles: take more.")
        objective = make_objective(config.objective)
        labels = known.labels if config.objective.name in SUPERVISED else None
        trained = train(config, objective, known.images, labels, progress=progress)
        rate = float(np.median(trained.metrics["images_per_second"][steps:]))
        return {"images_per_second": rate, **speed(config, objective, rate, measure=True)}
