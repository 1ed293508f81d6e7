"""What training measures as it goes, and shows."""

import sys
import time
from typing import Any

import numpy as np
import optax
from jaxtyping import Array

from experiments.ssl.checkpoints import Metrics
from experiments.ssl.config import Config


class TrainingDiverged(RuntimeError):
    """The loss is not finite; the message says where, and `metrics` holds all steps so far."""

    def __init__(self, message: str, metrics: Metrics) -> None:
        super().__init__(message)
        self.metrics = metrics


class Log:
    """What was measured so far, by this process and those before it."""

    def __init__(self, config: Config, images_per_call: int) -> None:
        self.config, self.images_per_call = config, images_per_call
        self.records: list[Metrics] = []
        self.observed_rows: list[Metrics] = []
        self.before = {"step": 0, "seconds": 0.0, "cpu_seconds": 0.0, "starts": []}
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def resume(self, metrics: Metrics, observations: Metrics, progress: dict[str, Any]) -> None:
        """Takes over from a checkpoint."""
        self.records = [metrics] if metrics else []
        self.observed_rows = [observations] if observations else []
        self.before = progress

    def start(self) -> int:
        """The step at which this process begins."""
        return self.before["step"]

    def append(self, terms: dict[str, Array], taken: np.ndarray, schedule: optax.Schedule, begun: float) -> None:
        """One call's steps; raises `TrainingDiverged`."""
        record = {name: np.asarray(values) for name, values in terms.items()}  # waits for the device
        now = time.perf_counter()
        record |= {
            "step": taken,
            "learning_rate": np.asarray(schedule(taken)),
            "images_per_second": np.full(len(taken), self.images_per_call / (now - begun)),
            "seconds": np.full(len(taken), self.progress(0)["seconds"]),
        }
        self.records.append(record)
        _check_finite(record, self)

    def observed(self, step: int, numbers: dict[str, float]) -> None:
        """A row of observations."""
        self.observed_rows.append({name: np.asarray([value]) for name, value in {"step": step, **numbers}.items()})

    def last(self) -> str:
        """For the progress bar."""
        record = self.records[-1]
        return f"loss {record['loss'][-1]:.4f}, {record['images_per_second'][-1]:.0f} images/s"

    def joined(self) -> Metrics:
        """All steps' metrics, by name."""
        return _joined(self.records)

    def observations(self) -> Metrics:
        """All observations, by name."""
        return _joined(self.observed_rows)

    def progress(self, step: int) -> dict[str, Any]:
        """How far the run is, over all processes that worked on it."""
        return {
            "step": step,
            "seconds": self.before["seconds"] + time.perf_counter() - self.started,
            "cpu_seconds": self.before["cpu_seconds"] + time.process_time() - self.cpu_started,
            "starts": [*self.before["starts"], self.before["step"]],
        }


def _joined(records: list[Metrics]) -> Metrics:
    if not records:
        return {}
    return {name: np.concatenate([record[name] for record in records]) for name in ("step", *_names(records[0]))}


def _names(record: Metrics) -> list[str]:
    return [name for name in record if name != "step"]


def _check_finite(record: Metrics, log: Log) -> None:
    finite = np.isfinite(record["loss"])
    if finite.all():
        return
    at, metrics = int(np.argmin(finite)), log.joined()
    step = int(record["step"][at])
    before = f"the loss before it {metrics['loss'][step - 1]:.4g}" if step else "it is the first step"
    terms = ", ".join(f"{name} {record[name][at]:.4g}" for name in _names(record))
    raise TrainingDiverged(
        f"{log.config.name}: step {step} has a loss that is not finite ({before}): {terms}. "
        "The same command goes on from the last checkpoint, and on one machine to the same end; --force starts anew.",
        metrics,
    )


def bar(total: int, initial: int, name: str, show: bool) -> Any:
    """A progress bar, or lines of text where tqdm is not installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _Lines(total, initial, name, show)
    return tqdm(total=total, initial=initial, desc=name, unit="step", disable=not show, dynamic_ncols=True)


class _Lines:
    """A line every ten seconds, where tqdm is not installed."""

    def __init__(self, total: int, done: int, name: str, show: bool) -> None:
        self.total, self.done, self.name, self.show = total, done, name, show
        self.text, self.shown = "", time.perf_counter()

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool = False) -> None:
        self.text = text

    def update(self, steps: int) -> None:
        self.done += steps
        if self.show and (self.done >= self.total or time.perf_counter() - self.shown > 10):
            self.shown = time.perf_counter()
            print(f"{self.name}: step {self.done} of {self.total}, {self.text}", file=sys.stderr, flush=True)
