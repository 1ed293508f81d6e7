"""Finished runs that nobody trained, for tests of what is made of them."""

import json
from pathlib import Path

import numpy as np

from experiments.ssl.config import Config, to_dict
from experiments.ssl.runs import FORMAT, Run

PROBES = {"knn": 0.0, "knn_weighted_20": 0.01, "linear": 0.05, "linear_1%": -0.1}


def made_up_run(
    results: Path, config: Config, trained: float, *, untrained: float = 0.3, observed: bool = False
) -> Run:
    """A run's folder, with a k-NN accuracy of `trained`."""
    run = Run(results / config.name)
    run.folder.mkdir(parents=True)
    bases = {"raw": 0.25, "untrained": untrained, "trained": trained}
    accuracy = {kind: {probe: base + more for probe, more in PROBES.items()} for kind, base in bases.items()}
    summary = {
        "format": FORMAT,
        "name": config.name,
        "data": "digits",
        "num_train": 1234,
        "accuracy": {split: accuracy for split in config.data.probe},
        "effective_rank": {"trained": 5.0, "untrained": 4.0},
        "train_seconds": 10.0,
        "evaluate_seconds": 2.0,
        "cpu_seconds": 20.0,
        "versions": {"python": "3.11", "jax": "0.10"},
        "device": "cpu",
        "machine": "2 cores",
        "commit": "abc",
    }
    (run.folder / "config.json").write_text(json.dumps(to_dict(config)))
    (run.folder / "summary.json").write_text(json.dumps(summary))
    steps = np.arange(2000)
    rows = [f"{step},{trained / (1 + step):.6g},{trained:.6g}" for step in steps]
    (run.folder / "metrics.csv").write_text("\n".join(["step,loss,dep", *rows]) + "\n")
    if observed:
        header = "step,knn,dep,effective_rank,gap_0.5,half_variance_0.5"
        lines = [f"{step},{trained + step / 1e5:.6g},{step / 2000:.6g},3,0.4,0.5" for step in steps[::500]]
        (run.folder / "observations.csv").write_text("\n".join([header, *lines]) + "\n")
    return run
