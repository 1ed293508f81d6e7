"""The committed record of runs: their small files, a table over seeds, curves, and how they were made."""

import csv
import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.ssl.runs import ROOT, Run, write
from experiments.ssl.tables import labels, margins, markdown, table

__all__ = ["RECORDS", "draw_curves", "markdown", "record", "save_png", "write_lines", "write_rows"]

RECORDS = ROOT / "experiments" / "records"
LONGEST = 250  # rows that a record keeps of a run's metrics
THINNING = 5  # at least, of a longer one: it keeps the metrics of every fifth step
PNG_METADATA = {"Software": None}  # without the version of matplotlib, so that the same curves are the same bytes


def record(name: str, runs: Sequence[Run], command: str | None = None) -> Path:
    """Copies the small files of runs to `experiments/records/<name>/`, with curves and a README.

    Args:
        name: of the record.
        runs: finished ones, of any presets and objectives.
        command: what makes them, by default the suite of that name.
    """
    folder = RECORDS / name
    for run in runs:
        keep(run, folder / run.name)
    kept_names = {run.name for run in runs}
    for old in folder.iterdir():
        if old.is_dir() and old.name not in kept_names:
            shutil.rmtree(old)
    kept = [Run(folder / run.name) for run in runs]  # what the figure shows is in the record
    write(folder / "curves.png", lambda path: draw_curves(kept, path))
    command = command or f"python -m experiments.ssl suite {name} --record"
    write_lines(folder / "README.md", _readme(name, runs, command))
    return folder


def keep(run: Run, folder: Path) -> None:
    """A run's configuration, summary, thinned metrics, and what was observed along its training."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "summary.json", "observations.csv"):
        if (run.folder / file).exists():
            write(folder / file, lambda path, source=run.folder / file: shutil.copyfile(source, path))
    header, *steps = (run.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    every = max(THINNING, -(-len(steps) // LONGEST)) if len(steps) > LONGEST else 1
    write_lines(folder / "metrics.csv", [header, *steps[::every]])


def _readme(name: str, runs: Sequence[Run], command: str) -> list[str]:
    summaries = [run.summary for run in runs]
    header, *rows = table(runs)
    sizes = " and ".join(sorted({f"{one['num_train']:,} images of {one['data']}" for one in summaries}))
    seconds = np.mean([one["train_seconds"] + one["evaluate_seconds"] for one in summaries])
    cpu_seconds = np.mean([one["cpu_seconds"] for one in summaries])
    machines = " and ".join(sorted({one.get("machine", one["device"]) for one in summaries}))
    plural = "s" if len(runs) > 1 else ""
    seeds = sorted({json.loads((run.folder / "config.json").read_text(encoding="utf-8"))["seed"] for run in runs})
    resumed = [run.name for run, one in zip(runs, summaries, strict=True) if one.get("resumed_at")]
    versions = sorted({", ".join(f"{package} {v}" for package, v in one["versions"].items()) for one in summaries})
    thinned = "`metrics.csv` of each run is thinned; `observations.csv`, where there is one, is whole."
    return [
        f"# Record `{name}`",
        "",
        f"`{command}` made this: {len(runs)} run{plural} on {sizes} without labels, "
        f"seed {', '.join(map(str, seeds))}, {seconds:.0f} s a run on average, {cpu_seconds:.0f} s of all processor "
        f"cores together ({machines}), "
        f"commit {' and '.join(sorted({one['commit'] or 'unknown' for one in summaries}))}.",
        *([f"Stopped and resumed: {', '.join(resumed)}."] if resumed else []),
        "",
        "Accuracy in per cent, mean ± standard deviation over seeds where there are several; all probes are fitted on "
        "the images that the encoder learned from. `heldout` are training images that no run trains on, by which all "
        "choices were made; `test` are the test images.",
        "",
        markdown(header, rows),
        "",
        *(f"- {line}" for line in [*margins(runs), *_speeds(runs)]),
        "",
        "![Loss of every run](curves.png)",
        "",
        f"Versions: {'; '.join(versions)}. {thinned}",
    ]


def _speeds(runs: Sequence[Run]) -> list[str]:
    """How fast runs were that compared themselves with their device."""
    names, lines = labels(runs), []
    for run in runs:
        one = run.summary
        if "share_of_matmul" in one:
            precision = run.config().model.compute_dtype
            lines.append(
                f"{names[run.name]}, {run.name.split('-')[-2]}: {one['train_seconds']:.0f} s of training and "
                f"{one['evaluate_seconds']:.0f} s of evaluation; {one['images_per_second']:,.0f} images/s, "
                f"{one['flops_per_image'] / 1e9:.3g} GFLOP each: {one['flops_per_second'] / 1e9:,.0f} GFLOP/s, "
                f"{one['share_of_matmul']:.1%} of the device's own rate of matrix products in {precision} after the run"
            )
    return lines


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """The loss of every run, a panel for each label."""
    from matplotlib.figure import Figure

    names, by_label = labels(runs), defaultdict[str, list[Run]](list)
    for run in runs:
        by_label[names[run.name]].append(run)
    columns = min(len(by_label), 4)
    lines = -(-len(by_label) // columns)
    figure = Figure(figsize=(4 * columns, 2.8 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, (label, group) in zip(panels, by_label.items(), strict=False):
        for run in group:
            metrics = run.metrics()
            axes.plot(metrics["step"], metrics["loss"], linewidth=0.8, label=run.name.split("-")[-2])
        axes.set(title=label, xlabel="step", ylabel="loss")
        axes.legend(frameon=False)
    for axes in panels[len(by_label) :]:
        axes.remove()
    save_png(figure, path)


def save_png(figure: object, path: Path) -> None:
    """The same figure, the same bytes."""
    figure.savefig(path, dpi=110, metadata=PNG_METADATA, format="png")  # pyright: ignore[reportAttributeAccessIssue]


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """A text file, whole or not at all."""
    text = "\n".join(lines) + "\n"
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_rows(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A CSV file, whole or not at all."""

    def writer(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(header)
            out.writerows(rows)

    write(path, writer)
