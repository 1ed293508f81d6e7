"""SSL-HSIC's choices one at a time, in short runs scored on held-out training images; a table and a figure each."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.ssl import records
from experiments.ssl.config import Config, ObjectiveConfig, load_preset
from experiments.ssl.log import TrainingDiverged
from experiments.ssl.runs import Run, find_or_train, resolved, write
from experiments.ssl.suites import STUDY_WIDTHS
from experiments.ssl.tables import markdown, mean_deviation

QUICK = "cpu-quick"
EPOCHS, BATCH = 6, 128
HELDOUT = 5_000  # where the preset holds none out
HEADER = (
    "value",
    "seed",
    "knn",
    "linear",
    "untrained_knn",
    "untrained_linear",
    "loss",
    "dep",
    "hsic_zz",
    "rank",
    "run",
    "images",
    "commit",
)
SUMMARY = ("k-NN %", "linear %", "loss", "dep", "HSIC(Z, Z)", "participation ratio")


@dataclass(frozen=True)
class Point:
    """One value: what it changes from the preset. An objective's parameters are changed one by one."""

    value: str
    parameters: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """Points along one axis, each with every seed."""

    axis: str
    points: tuple[Point, ...]
    scale: Literal["linear", "log", "category"] = "category"
    objective: str = "ssl_hsic"
    seeds: tuple[int, ...] = (0,)
    note: str = ""

    def configs(self, preset: str = QUICK) -> list[tuple[Point, Config]]:
        """Its runs, all points with the first seed before those with the second."""
        return [(point, self._config(preset, point, seed)) for seed in self.seeds for point in self.points]

    def _config(self, preset: str, point: Point, seed: int) -> Config:
        base = load_preset(preset, self.objective, seed)
        heldout = base.data.num_heldout or HELDOUT
        widths = {"widths": STUDY_WIDTHS} if preset == QUICK else {}
        return replace(
            base,
            preset=f"sweep-{preset}",
            objective=ObjectiveConfig(self.objective, base.objective.parameters | point.parameters),
            data=replace(base.data, probe=("heldout",), num_heldout=heldout),
            model=replace(base.model, **(widths | point.model)),
            training=replace(base.training, **({"epochs": EPOCHS, "batch_size": BATCH} | point.training)),
        )


def _values(name: str, values: Sequence[float | str]) -> tuple[Point, ...]:
    return tuple(Point(f"{value:g}" if isinstance(value, float | int) else value, {name: value}) for value in values)


def _kernel(name: str, scale: float) -> Point:
    parameters = {"scale": scale} if name == "inverse_multiquadric" else {"kernel": name, "scale": scale}
    return Point(f"{'IMQ' if name == 'inverse_multiquadric' else name} {scale:g}", parameters)


THREE = (0, 1, 2)
SWEEPS = {
    "gamma": Sweep(
        "γ", _values("gamma", (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)), "linear", seeds=THREE,
        note="γ = 0 is the loss without HSIC(Z, Z).",
    ),
    "batch": Sweep(
        "batch size",
        tuple(Point(str(size), training={"batch_size": size}) for size in (64, 128, 256, 512, 1024, 2048)),
        "log", seeds=THREE,
        note="The same epochs and learning rate for all, so a larger batch takes fewer steps.",
    ),
    "target": Sweep(
        "target", (Point("none"), *_values("target", ("stop_gradient", "ema"))), seeds=THREE,
        note="With a target there is a predictor, and targets count as further views.",
    ),
    "kernel": Sweep(
        "kernel and length scale",
        (
            Point("linear", {"kernel": "linear", "scale": None}),
            *(_kernel(name, scale) for name in ("gaussian", "laplace", "inverse_multiquadric") for scale in (0.5, 1.0)),
        ),
        note="γ = 3 for all, though it means another thing for every length scale; so does dep for every kernel. "
        "IMQ: inverse multiquadric.",
    ),
    "features": Sweep(
        "random features", (*_values("num_features", (32, 64, 128, 256, 512, 1024, 2048)), Point("exact")),
        note="Drawn afresh at each step.",
    ),
    "regulariser": Sweep(
        "γ and projector norm",
        tuple(
            Point(f"γ = {gamma:g}, {'with' if norm else 'no'} norm", {"gamma": gamma}, model={"projector_norm": norm})
            for norm in (True, False)
            for gamma in (0.0, 3.0)
        ),
        note="With and without HSIC(Z, Z), with and without the batch norm that ends the projector.",
    ),
    "estimate": Sweep(
        "estimate of dep", (Point("unbiased"), *_values("estimate", ("paper", "population"))),
        note="population: the plug-in estimate, whose pairs of a view with itself raise dep and HSIC(Z, Z).",
    ),
    "scale": Sweep(
        "scale c", (*_values("scale", (0.25, 0.5, 1.0, 2.0)), Point("learned from 0.5", {"learn_scale": True})),
    ),
    "temperature": Sweep(
        "τ", _values("temperature", (0.05, 0.1, 0.2, 0.5, 1.0)), "log", objective="infonce",
        note="InfoNCE, NT-Xent's denominator. Its kernel is the cosine over τ, and dep with it: compare τ · dep.",
    ),
}  # fmt: skip


def run_sweep(name: str, *, preset: str = QUICK, force: bool = False) -> list[dict[str, str]]:
    """Trains the runs that are not finished yet; after each remakes table, figure and README.

    They are in `experiments/records/sweeps/<name>/`, or `<name>-<preset>/` if that is not the quick one. A run whose
    loss stops being finite has a row without numbers. Runs with a row in the table are not trained again, unless
    `force`, on another machine neither.
    """
    sweep, rows = SWEEPS[name], []
    folder = records.RECORDS / "sweeps" / (name if preset == QUICK else f"{name}-{preset}")
    folder.mkdir(parents=True, exist_ok=True)
    recorded = {} if force else _recorded(folder.parent)
    configs = [(point, resolved(config)) for point, config in sweep.configs(preset)]
    for number, (point, config) in enumerate(configs, 1):
        row = recorded.get(config.name)
        rows.append((row or _trained(config, force)) | {"value": point.value, "seed": str(config.seed)})
        if row is None or number == len(configs):
            table = [[row.get(column, "") for column in HEADER] for row in rows]
            records.write_rows(folder / "table.csv", HEADER, table)
            write(folder / "figure.png", lambda path: draw(sweep, rows).savefig(path, **_PNG))
            records.write_lines(folder / "README.md", _readme(name, preset, sweep, rows))
    return rows


def _recorded(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of all tables by run: sweeps share some."""
    found = {}
    for path in sorted(folder.glob("*/table.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[row["run"]] = {column: text for column, text in row.items() if text}
    return found


def _trained(config: Config, force: bool) -> dict[str, str]:
    try:
        return measured(find_or_train(config, force=force))
    except TrainingDiverged as error:
        print(error)
        return {"run": f"{config.name} diverged"}


_PNG: dict[str, Any] = {"dpi": 110, "metadata": records.PNG_METADATA, "format": "png"}


def measured(run: Run) -> dict[str, str]:
    """Held-out accuracies in per cent, and the ends of the curves (means over the last five steps)."""
    summary, metrics = run.summary, run.metrics()
    accuracy = summary["accuracy"]["heldout"]
    numbers = {
        "knn": 100 * accuracy["trained"]["knn"],
        "linear": 100 * accuracy["trained"]["linear"],
        "untrained_knn": 100 * accuracy["untrained"]["knn"],
        "untrained_linear": 100 * accuracy["untrained"]["linear"],
        **{name: metrics[name][-5:].mean() for name in ("loss", "dep", "hsic_zz") if name in metrics},
        "rank": summary["effective_rank"]["trained"],
    }
    made = {
        "run": run.name,
        "images": f"{summary['num_train']:,} images of {summary['data']}",
        "commit": summary["commit"] or "unknown",
    }
    return {name: f"{value:.5g}" for name, value in numbers.items()} | made


def by_value(rows: Sequence[dict[str, str]], column: str) -> dict[str, list[float]]:
    """The numbers of a column, those of all seeds by value; an empty list where there are none."""
    values = dict.fromkeys(row["value"] for row in rows)
    return {value: [float(r[column]) for r in rows if r["value"] == value and r.get(column)] for value in values}


def plot(axes: Any, sweep: Sweep, rows: Sequence[dict[str, str]], column: str, look: str, **line: Any) -> None:
    """A column of the table over the sweep's axis: means, with standard deviations where there are several seeds."""
    found = by_value(rows, column)
    values, category = list(found), sweep.scale == "category"
    there = [i for i, numbers in enumerate(found.values()) if numbers]
    at = np.arange(len(values)) if category else np.array([float(value) for value in values])
    means = [np.mean(found[values[i]]) for i in there]
    deviations = [np.std(found[values[i]], ddof=1) if len(found[values[i]]) > 1 else np.nan for i in there]
    joined = "" if category else "-"
    axes.errorbar(at[there], means, deviations, fmt=look, linestyle=joined, capsize=3, linewidth=1, **line)
    if category:
        axes.set_xticks(at, values, rotation=30, ha="right", rotation_mode="anchor", fontsize="small")
        axes.set_xlim(-0.5, len(values) - 0.5)
    elif sweep.scale == "log":
        axes.set_xscale("log")
        axes.set_xticks(at, values)
        axes.minorticks_off()
    axes.set_xlabel(sweep.axis)


def plot_accuracy(axes: Any, sweep: Sweep, rows: Sequence[dict[str, str]]) -> None:
    """Linear and k-NN accuracy, and those of the untrained encoder as dotted lines."""
    for column, look, label in (("linear", "C0o", "linear"), ("knn", "C1s", "k-NN")):
        plot(axes, sweep, rows, column, look, label=label)
        untrained = [float(row[f"untrained_{column}"]) for row in rows if f"untrained_{column}" in row]
        if untrained:
            axes.axhline(np.mean(untrained), color=look[:2], linestyle=":", linewidth=1)


def draw(sweep: Sweep, rows: Sequence[dict[str, str]]) -> Any:
    """Accuracy, participation ratio and dep."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    accuracy, rank, dep = figure.subplots(1, 3)
    plot_accuracy(accuracy, sweep, rows)
    accuracy.set(ylabel="held-out accuracy %", title="dotted: untrained encoder")
    accuracy.legend(frameon=False)
    plot(rank, sweep, rows, "rank", "C2^")
    rank.set(ylabel="participation ratio of projections")
    plot(dep, sweep, rows, "dep", "C3v")
    dep.set(ylabel="dep, mean of the last steps")
    return figure


def _readme(name: str, preset: str, sweep: Sweep, rows: Sequence[dict[str, str]]) -> list[str]:
    columns = dict(zip(("knn", "linear", "loss", "dep", "hsic_zz", "rank"), SUMMARY, strict=True))
    digits = {"knn": 1, "linear": 1, "loss": 3, "dep": 3, "hsic_zz": 4, "rank": 1}
    numbers = {column: by_value(rows, column) for column in columns}
    table = [
        [value, *(mean_deviation(numbers[column][value], digits[column]) for column in columns)]
        for value in numbers["knn"]
    ]
    option = "" if preset == QUICK else f" --preset {preset}"
    lines = [f"# Sweep `{name}`", "", f"`python -m experiments.ssl sweep {name}{option}` made this."]
    missing = len(sweep.points) * len(sweep.seeds) - len(rows)
    trained = [row for row in rows if "knn" in row]
    if trained:
        seeds = len({row["seed"] for row in rows})
        several = f"up to {seeds}" if missing else str(seeds)
        lines[-1] += (
            f" {len(trained)} runs of {EPOCHS} epochs on {' and '.join(sorted({row['images'] for row in trained}))}, "
            f"in batches of {BATCH} unless swept, else as the preset {preset}, scored on held-out training images; "
            f"{'one seed' if seeds == 1 else f'{several} seeds, mean ± standard deviation'}; "
            f"commit {' and '.join(sorted({row['commit'] for row in trained}))}."
        )
    if missing:
        lines += ["", f"{missing} runs are not made yet: the same command goes on."]
    if sweep.note:
        lines += ["", sweep.note]
    diverged = [f"{row['value']} (seed {row['seed']})" for row in rows if "knn" not in row]
    if diverged:
        lines += ["", f"The loss stopped being finite: {', '.join(diverged)}."]
    lines += ["", markdown((sweep.axis, *SUMMARY), table), "", "![The sweep](figure.png)", ""]
    return [
        *lines,
        "`table.csv` has every run; its `rank` is the participation ratio (tr Σ)²/‖Σ‖²_F of held-out unit projections.",
    ]
