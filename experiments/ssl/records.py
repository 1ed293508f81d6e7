"""What several runs say together: a table, curves, and the committed record of a suite."""

import csv
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.ssl.runs import ROOT, Run, write

RECORDS = ROOT / "experiments" / "records"
ROWS = {"raw": "raw pixels", "untrained": "untrained encoder", "trained": "trained"}
THINNING = 5  # a record keeps the metrics of every fifth step
PNG_METADATA = {"Software": None}  # without the version of matplotlib, so that the same curves are the same bytes

Row = tuple[str, str, str, str]


Groups = dict[tuple[str, str], dict[str, tuple[float, float]]]


def _groups(runs: Sequence[Run]) -> Groups:
    """k-NN and linear accuracy in per cent by (representation, split), then seed.

    The baselines do not depend on the objective; raw pixels not on the seed either.
    """
    groups: Groups = defaultdict(dict)
    for run in runs:
        summary = run.summary
        for split, accuracies in summary["accuracy"].items():
            for kind, accuracy in accuracies.items():
                objective, seed = summary["name"].split("-")[0], summary["name"].split("-seed")[1].split("-")[0]
                label = objective if kind == "trained" else ROWS[kind]
                pair = (100 * accuracy["knn"], 100 * accuracy["linear"])
                groups[f"{label} ({summary['data']})", split]["" if kind == "raw" else seed] = pair
    return groups


def table(runs: Sequence[Run]) -> list[Row]:
    """Rows (representation, split, k-NN, linear): mean ± standard deviation over seeds, in per cent."""
    groups = _groups(runs)
    order = sorted(groups, key=lambda key: (key[1], np.mean([pair[0] for pair in groups[key].values()])))
    rows = []
    for key in order:
        knn, linear = zip(*groups[key].values(), strict=True)
        rows.append((*key, _mean_deviation(knn), _mean_deviation(linear)))
    return rows


def margins(runs: Sequence[Run]) -> list[str]:
    """By how many points each objective is above the better of the two baselines, for each split, mean over seeds."""
    means = {key: np.mean(list(pairs.values()), axis=0) for key, pairs in _groups(runs).items()}
    lines = []
    for (label, split), accuracy in sorted(means.items()):
        if label.startswith(tuple(ROWS.values())):
            continue
        data = label[label.rindex(" (") :]
        baselines = [means[ROWS[kind] + data, split] for kind in ("raw", "untrained")]
        knn, linear = accuracy - np.max(baselines, axis=0)
        lines.append(f"{label}, {split}: {knn:+.1f} points k-NN, {linear:+.1f} linear above the better baseline")
    return lines


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def print_table(runs: Sequence[Run]) -> None:
    """The table and the margins in plain text."""
    print(markdown(HEADER, table(runs)))
    print("\n".join(margins(runs)))


HEADER = ("representation", "images", "k-NN %", "linear %")


def record(name: str, runs: Sequence[Run]) -> Path:
    """Copies the small files of runs to `experiments/records/<name>/`, with curves and a README."""
    folder = RECORDS / name
    for run in runs:
        kept = folder / run.name
        kept.mkdir(parents=True, exist_ok=True)
        for file in ("config.json", "summary.json"):
            write(kept / file, lambda path, source=run.folder / file: shutil.copyfile(source, path))
        header, *steps = (run.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
        write_lines(kept / "metrics.csv", [header, *steps[::THINNING]])
    kept_names = {run.name for run in runs}
    for old in folder.iterdir():
        if old.is_dir() and old.name not in kept_names:
            shutil.rmtree(old)
    write(folder / "curves.png", lambda path: _draw_curves(runs, path))
    write_lines(folder / "README.md", _readme(name, runs).splitlines())
    return folder


def _readme(name: str, runs: Sequence[Run]) -> str:
    summaries = [run.summary for run in runs]
    first = summaries[0]
    seconds = np.mean([s["train_seconds"] + s["evaluate_seconds"] for s in summaries])
    cpu_seconds = np.mean([s["cpu_seconds"] for s in summaries])
    versions = ", ".join(f"{package} {version}" for package, version in first["versions"].items())
    return "\n".join(
        [
            f"# Record `{name}`",
            "",
            f"`python -m experiments.ssl suite {name} --record` made this: {len(runs)} runs on "
            f"{first['num_train']:,} images of {first['data']} without labels, {seconds:.0f} s a run on average, "
            f"{cpu_seconds:.0f} s of all processor cores together ({first['device']}), "
            f"commit {' and '.join(sorted({s['commit'] or 'unknown' for s in summaries}))}.",
            "",
            "Accuracy in per cent, mean ± standard deviation over seeds; both probes are fitted on the same "
            f"{first['num_train']:,} images. `heldout` are training images that no run trains on, by which all choices "
            "were made; `test` are the test images.",
            "",
            markdown(HEADER, table(runs)),
            "",
            *(f"- {line}" for line in margins(runs)),
            "",
            "![Loss of every run](curves.png)",
            "",
            f"Versions: {versions}.",
            "",
        ]
    )


def _mean_deviation(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"


def _draw_curves(runs: Sequence[Run], path: Path) -> None:
    from matplotlib.figure import Figure

    by_objective: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_objective[run.name.split("-")[0]].append(run)
    figure = Figure(figsize=(4 * len(by_objective), 2.8), layout="constrained")
    for axes, (objective, group) in zip(
        figure.subplots(1, len(by_objective), squeeze=False)[0], by_objective.items(), strict=True
    ):
        for run in group:
            metrics = run.metrics()
            axes.plot(metrics["step"], metrics["loss"], linewidth=0.8, label=run.name.split("-")[-2])
        axes.set(title=objective, xlabel="step", ylabel="loss")
        axes.legend(frameon=False)
    figure.savefig(path, dpi=110, metadata=PNG_METADATA, format="png")


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
