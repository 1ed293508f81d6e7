"""Runs on disk: find one by its configuration, or train it; and what other code reads from it."""

import contextlib
import csv
import json
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

from experiments import data
from experiments.lock import machine, one_run
from experiments.ssl import diagnostics, evaluate
from experiments.ssl.checkpoints import Checkpoints, Metrics
from experiments.ssl.config import Config, config_hash, from_dict, to_dict
from experiments.ssl.devices import is_first, wait_for_all
from experiments.ssl.flops import speed
from experiments.ssl.log import TrainingDiverged
from experiments.ssl.models import Encoder
from experiments.ssl.objectives import SUPERVISED, make_objective
from experiments.ssl.train import train, untrained_network
from kerneldep.analysis import covariance_eigenvalues, participation_ratio

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "runs"
MEASURED = 20  # seconds of training from which on a run compares its rate with the device's
FORMAT = 1  # of a run's files; raised when they change, so that older ones are redone


@dataclass(frozen=True)
class Run:
    """A finished run's folder."""

    folder: Path

    @property
    def name(self) -> str:
        """`<objective>-<preset>-seed<k>-<hash8>`."""
        return self.folder.name

    @property
    def summary(self) -> dict[str, Any]:
        """Accuracies, times, versions, device."""
        return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))

    def config(self) -> Config:
        """All its choices."""
        return from_dict(json.loads((self.folder / "config.json").read_text(encoding="utf-8")))

    def views(self) -> dict[str, np.ndarray]:
        """Representations of views [4, 500, d]; see `evaluate.figure_views`."""
        with np.load(self.folder / "views.npz") as arrays:
            return dict(arrays)

    def encoder(self) -> Encoder:
        """The trained encoder; `features.frozen` makes it a function of images."""
        with jax.enable_x64(False):
            like = eqx.filter_eval_shape(untrained_network, self.config()).encoder
            return eqx.tree_deserialise_leaves(self.folder / "encoder.eqx", like)

    def metrics(self) -> dict[str, np.ndarray]:
        """Loss, terms and speed of every step, by name."""
        return _read_csv(self.folder / "metrics.csv")

    def observations(self) -> dict[str, np.ndarray]:
        """What was measured along training every `evaluation.every` steps, by name; empty if nothing was."""
        path = self.folder / "observations.csv"
        return _read_csv(path) if path.exists() else {}


def find_or_train(config: Config, *, force: bool = False, resume: bool = True, progress: bool = True) -> Run:
    """The run of this configuration, trained now unless its folder in `results/runs` is complete.

    Args:
        config: The run; with `data.name = "auto"` it becomes that of the data set there is.
        force: Whether to train even so, from the start.
        resume: Whether to go on from the last checkpoint of an interrupted run, if there is one.
        progress: Whether to show a progress bar.
    """
    images, config = _resolve(config)
    run = Run(RESULTS / config.name)
    if not force and _complete(run):
        print(f"Reusing {shown(run.folder)}")
        return run
    # One configuration is one run, whatever precision its caller works in.
    together = jax.process_count() > 1
    with (
        machine("training", RESULTS.parent),
        contextlib.nullcontext() if together else one_run(run.folder),
        jax.enable_x64(False),
    ):
        if not force and _complete(run):
            return run  # another process has trained it meanwhile
        return _carry_out(run, images, config, resume and not force, progress)


def _carry_out(run: Run, images: data.ImageData, config: Config, resume: bool, progress: bool) -> Run:
    """Train, evaluate, and write the run's folder, the summary last."""
    commit = _commit()  # of the code that trains, whatever the working tree becomes meanwhile
    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(run.folder / "checkpoints", config_hash(config))
    splits = evaluate.splits(images, config)
    if is_first():
        (run.folder / "summary.json").unlink(missing_ok=True)
        write(run.folder / "config.json", lambda path: _write_json(path, to_dict(config)))
        if not resume:
            checkpoints.remove()
    wait_for_all()  # none looks for checkpoints that the first is removing

    known = splits["train"].images, splits["train"].labels if config.objective.name in SUPERVISED else None
    try:
        objective = make_objective(config.objective)
        observe = diagnostics.observer(splits, config) if config.evaluation.every else None
        trained = train(config, objective, *known, checkpoints=checkpoints, observe=observe, progress=progress)
    except TrainingDiverged as error:
        metrics = error.metrics
        write(run.folder / "metrics.csv", lambda path: _write_csv(path, metrics))
        raise
    if not is_first():
        return run  # the first process evaluates and writes
    started, cpu_started = time.perf_counter(), time.process_time()
    rate = float(np.median(trained.metrics["images_per_second"]))
    accuracies = evaluate.evaluate(trained.untrained, trained.network, splits, config)
    views = evaluate.figure_views(trained.untrained, trained.network, splits[config.data.probe[-1]], config)
    summary = {
        "format": FORMAT,
        "name": config.name,
        "data": images.name,
        "num_train": len(splits["train"].images),
        "accuracy": accuracies,
        "final": {name: float(values[-1]) for name, values in trained.metrics.items()},
        "effective_rank": {  # (tr Σ)²/‖Σ‖²_F, the one that SSL-HSIC's loss near collapse depends on
            name: float(participation_ratio(covariance_eigenvalues(views[key].reshape(-1, views[key].shape[-1]))))
            for name, key in (("trained", "projections"), ("untrained", "projections_untrained"))
        },
        "num_parameters": sum(p.size for p in jax.tree.leaves(eqx.filter(trained.network.encoder, eqx.is_array))),
        "resumed_at": trained.progress["starts"][1:],  # steps
        "train_seconds": round(trained.progress["seconds"], 2),
        # Of all threads: on a busy machine it says what the run costs better than the time on the wall.
        "cpu_seconds": round(trained.progress["cpu_seconds"] + time.process_time() - cpu_started, 1),
        "evaluate_seconds": round(time.perf_counter() - started, 2),
        "images_per_second": rate,
        **speed(config, objective, rate, measure=trained.progress["seconds"] > MEASURED),
        **_environment(),
        "commit": commit,
    }
    write(run.folder / "metrics.csv", lambda path: _write_csv(path, trained.metrics))
    if trained.observations:
        write(run.folder / "observations.csv", lambda path: _write_csv(path, trained.observations))
    write(run.folder / "encoder.eqx", lambda path: eqx.tree_serialise_leaves(path, trained.network.encoder))
    write(run.folder / "views.npz", lambda path: write_npz(path, views))
    write(run.folder / "summary.json", lambda path: _write_json(path, summary))  # it marks completion
    checkpoints.remove()
    return run


def load_run(run: str | Config) -> Run:
    """A finished run by its folder's name or its configuration; never trains.

    Raises:
        FileNotFoundError: If there is none.
    """
    name = run if isinstance(run, str) else resolved(run).name
    found = Run(RESULTS / name)
    if not _complete(found):
        raise FileNotFoundError(f"There is no finished run {name}: `python -m experiments.ssl train` makes one.")
    return found


def resolved(config: Config) -> Config:
    """The configuration with the name of the data set there is, for "auto"."""
    return _resolve(config)[1]


def all_runs() -> list[Run]:
    """Every finished run in `results/runs`."""
    found = [Run(path.parent) for path in sorted(RESULTS.glob("*/summary.json"))]
    return [run for run in found if _complete(run)]


def write(path: Path, writer: Callable[[Path], object]) -> None:
    """Writes beside the file, then moves: a reader sees the old file or the whole new one."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    writer(temporary)
    os.replace(temporary, path)


def _resolve(config: Config) -> tuple[data.ImageData, Config]:
    """The images, and the configuration with their name, so that a run's hash tells CIFAR-10 from the digits."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = data.load(config.data.name)
    for warning in caught:
        print(warning.message)
    return images, replace(config, data=replace(config.data, name=images.name))


def _complete(run: Run) -> bool:
    return (run.folder / "summary.json").exists() and run.summary.get("format") == FORMAT


def _environment() -> dict[str, Any]:
    from importlib.metadata import version

    packages = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "machine": _machine(),
    }


def _machine() -> str:
    """Processor or accelerator and number of cores, without the machine's name."""
    device, processor = jax.devices()[0], platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = f"{os.cpu_count()} cores, {processor}"
    return cores if device.platform == "cpu" else f"{jax.device_count()} × {device.device_kind}; {cores}"


def _commit() -> str | None:
    """The commit that is checked out, with "-dirty" if the code is not as it was committed."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    try:
        commit = git("rev-parse", "HEAD").stdout.strip()
        # Records do not count: a suite changes them under way.
        changed = git("diff", "--quiet", "HEAD", "--", "kerneldep", "experiments", ":!experiments/records").returncode
    except OSError:
        return None
    return f"{commit}-dirty" if commit and changed else commit or None


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Compressed arrays by name."""
    with path.open("wb") as file:  # given a path, NumPy would add an ending
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _write_csv(path: Path, metrics: Metrics) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(metrics)
        rows.writerows([f"{value:.6g}" for value in row] for row in zip(*metrics.values(), strict=True))


def _read_csv(path: Path) -> dict[str, np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    columns = zip(*rows[1:], strict=True)
    return {name: np.asarray(column, float) for name, column in zip(rows[0], columns, strict=True)}


def shown(path: Path) -> str:
    """The path from the repository's root, if it is there."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
