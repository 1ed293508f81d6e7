"""Runs beside each other: a table of accuracies over seeds, and one figure."""

import fnmatch
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.ssl import records, runs
from experiments.ssl.runs import Run, write
from experiments.ssl.tables import PLAIN, PROBES, labels, margins, markdown, table

CURVES = {
    "knn": "held-out k-NN",
    "dep": "dep, cosine kernel",
    "effective_rank": "effective rank",
    "gap_0.5": "InfoNCE + dep at τ = 0.5, and ½E Var",
}


def find(patterns: Sequence[str]) -> list[Run]:
    """Finished runs whose folder's name is, begins with, or matches (`*`, `?`) one of the patterns.

    Those in `results/runs`, and the records of those that are not there.

    Raises:
        ValueError: If a pattern fits no run.
    """
    recorded = [Run(path.parent) for path in sorted(records.RECORDS.glob("*/*/summary.json"))]
    known = {run.name: run for run in [*recorded, *runs.all_runs()]}
    found: dict[str, Run] = {}
    for pattern in patterns:
        fitting = [name for name in known if name.startswith(pattern) or fnmatch.fnmatch(name, pattern)]
        if not fitting:
            raise ValueError(f"No finished run fits {pattern!r}; there are {', '.join(sorted(known)) or 'none'}.")
        found |= {name: known[name] for name in fitting}
    return list(found.values())


def compare(patterns: Sequence[str], folder: Path | None = None) -> Path:
    """Writes README.md, table.csv and figure.png of the runs that fit; by default to `results/comparisons/<hash>/`."""
    found = find(patterns)
    if folder is None:
        digest = hashlib.sha256(" ".join(sorted(run.name for run in found)).encode()).hexdigest()[:8]
        folder = runs.RESULTS.parent / "comparisons" / digest
    folder.mkdir(parents=True, exist_ok=True)
    header, *rows = table(found)
    records.write_rows(folder / "table.csv", header, rows)
    write(folder / "figure.png", lambda path: records.save_png(draw(found), path))
    names = labels(found)
    lines = [
        "# Comparison",
        "",
        "Accuracy in per cent, mean ± standard deviation over seeds where there are several.",
        "",
    ]
    lines += [markdown(header, rows), "", *(f"- {line}" for line in margins(found)), ""]
    lines += ["![Accuracies, and quantities along training](figure.png)", "", "Runs:", ""]
    records.write_lines(folder / "README.md", [*lines, *(f"- {names[run.name]}: `{run.name}`" for run in found)])
    return folder


def draw(found: Sequence[Run]) -> Any:
    """Accuracies on the last split probed; of runs that were observed also, by step, k-NN, dep, effective rank and gap.

    Dashed beside InfoNCE's gap at τ = 0.5 is its expansion, ½E Var.
    """
    from matplotlib.figure import Figure

    groups: dict[str, list[Run]] = defaultdict(list)
    names = labels(found)
    for run in found:
        groups[names[run.name]].append(run)
    observed = {label: [one for run in group if (one := run.observations())] for label, group in groups.items()}
    shown = [name for name in CURVES if any(name in one for group in observed.values() for one in group)]
    panels = ["accuracy", *shown]
    figure = Figure(figsize=(3.6 * len(panels), 3.4), layout="constrained")
    first, *others = figure.subplots(1, len(panels), squeeze=False)[0]
    for offset, (probe, marker) in zip((-0.12, 0.12), zip(PLAIN, "so", strict=True), strict=True):
        values = [[100 * _last_split(run)["trained"][probe] for run in group] for group in groups.values()]
        deviations = [np.std(one, ddof=1) if len(one) > 1 else 0 for one in values]
        at = np.arange(len(groups)) + offset
        first.errorbar(
            [np.mean(one) for one in values], at, xerr=deviations, fmt=marker, capsize=3, label=PROBES[probe]
        )
    first.set_yticks(range(len(groups)), list(groups))
    first.invert_yaxis()
    first.set(xlabel="accuracy %")
    first.legend(frameon=False)
    for axes, name in zip(others, shown, strict=True):
        for index, (label, group) in enumerate(observed.items()):
            for number, one in enumerate(group):
                axes.plot(one["step"], one[name], color=f"C{index}", linewidth=1, label=None if number else label)
                if name.startswith("gap"):
                    expansion = one[name.replace("gap", "half_variance")]
                    axes.plot(one["step"], expansion, color=f"C{index}", linewidth=1, linestyle="--")
        axes.set(xlabel="step", ylabel=CURVES[name])
    if others:
        others[0].legend(frameon=False, fontsize="small")
    return figure


def _last_split(run: Run) -> dict[str, dict[str, float]]:
    return list(run.summary["accuracy"].values())[-1]
