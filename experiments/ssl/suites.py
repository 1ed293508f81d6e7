"""Lists of runs that belong together, trained one after the other and recorded as they finish."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from experiments.ssl import records
from experiments.ssl.config import Config, load_preset
from experiments.ssl.log import TrainingDiverged
from experiments.ssl.runs import Run, find_or_train

# Of the encoder of b3, the sweeps and the table of collapses; that of cpu-quick, from which they take all else but the
# size and the number of batches, is narrower, so that its pair of runs takes minutes.
STUDY_WIDTHS = (64, 128)
SIX = ("ssl_hsic", "infonce", "byol", "vicreg", "barlow_twins", "corinfomax")


@dataclass(frozen=True)
class Suite:
    """Objectives under one preset, each with every seed."""

    preset: str
    objectives: tuple[str, ...] = ("ssl_hsic", "infonce")
    seeds: tuple[int, ...] = (0,)
    model: Mapping[str, Any] = field(default_factory=dict)  # what it changes in the preset's part of that name
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)

    def configs(self) -> list[Config]:
        """Its runs, all objectives with the first seed before those with the second."""
        found = [load_preset(self.preset, objective, seed) for seed in self.seeds for objective in self.objectives]
        return [
            replace(
                one,
                model=replace(one.model, **self.model),
                training=replace(one.training, **self.training),
                evaluation=replace(one.evaluation, **self.evaluation),
            )
            for one in found
        ]


SUITES = {
    "quick": Suite("cpu-quick"),
    "quick-3-seeds": Suite("cpu-quick", seeds=(0, 1, 2)),
    "b3": Suite(
        "cpu-quick",
        (*SIX, "simsiam"),
        model={"widths": STUDY_WIDTHS},
        training={"epochs": 10, "batch_size": 128},
        evaluation={"every": 39},
    ),
    "cpu-15min": Suite("cpu-15min", SIX),
    "cpu-hour": Suite("cpu-hour", ("ssl_hsic",)),
}


def run_suite(name: str, *, force: bool = False, record: bool = False) -> list[Run]:
    """Trains the runs of a suite that are not finished yet; with `record`, remakes the record after each.

    A run whose loss stops being finite is left out, with a message.

    Args:
        name: of `SUITES`.
        force: whether to train all of them again.
        record: whether to copy their small files to `experiments/records/<name>/`.
    """
    done: list[Run] = []
    for config in SUITES[name].configs():
        try:
            done.append(find_or_train(config, force=force))
        except TrainingDiverged as error:
            print(f"Left out: {error}")
            continue
        if record:
            records.record(name, done)
    return done
