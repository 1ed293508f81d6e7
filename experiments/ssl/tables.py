"""What several runs say together: labels that tell them apart, and accuracies with their deviation over seeds."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.ssl.runs import Run

ROWS = {"raw": "raw pixels", "untrained": "untrained encoder", "trained": "trained"}
PROBES = {
    "knn": "k-NN",
    "knn_weighted_20": "weighted k-NN, k = 20",
    "knn_weighted_200": "weighted k-NN, k = 200",
    "linear": "linear",
    "linear_sgd": "linear, SGD",
}
PLAIN = ("knn", "linear")  # what margins over the baselines are given for
NOT_CHOICES = ("seed", "preset", "objective.name")
BEFORE_TRAINING = ("data.num_train", "augment.size", "model.encoder", "model.patch", "model.stride", "model.widths",
                   "model.blocks", "model.eval_size")  # fmt: skip
Accuracies = dict[str, list[float]]


class Row(NamedTuple):
    """What accuracies are of."""

    label: str
    split: str
    kind: str  # of `ROWS`
    scope: tuple[str, str]  # data, and preset or encoder: what a row shares with its baselines


def labels(runs: Sequence[Run]) -> dict[str, str]:
    """A label for each run by its name, the same for all its seeds: the objective and what else differs.

    That is the preset where there are several, or else each choice in which runs of one objective differ, such as
    "ssl_hsic, gamma 1".
    """
    configs = {run.name: dict(_flat(json.loads((run.folder / "config.json").read_text()))) for run in runs}
    several = len({config["preset"] for config in configs.values()}) > 1
    base = {
        name: f"{config['objective.name']}, {config['preset']}" if several else config["objective.name"]
        for name, config in configs.items()
    }
    found = {}
    for name, config in configs.items():
        group = [configs[other] for other in configs if base[other] == base[name]]
        keys = sorted({key for one in group for key in one} - set(NOT_CHOICES))
        differing = [key for key in keys if len({json.dumps(one.get(key)) for one in group}) > 1]
        parts = [f"{key.rsplit('.', 1)[-1].replace('_', ' ')} {_shown(config.get(key))}" for key in differing]
        found[name] = ", ".join([base[name], *parts])
    return found


def table(runs: Sequence[Run]) -> list[list[str]]:
    """A header, then rows (representation, split, an accuracy in per cent for each probe), ordered by accuracy."""
    groups = _groups(runs)
    present = {probe for accuracies in groups.values() for probe in accuracies}
    probes = [probe for probe in PROBES if probe in present] + sorted(present - set(PROBES))
    order = sorted(groups, key=lambda row: (row.split, np.mean([np.mean(groups[row][probe]) for probe in PLAIN])))
    header = ["representation", "images", *(f"{_probe(probe)} %" for probe in probes)]
    return [
        header,
        *([row.label, row.split, *(mean_deviation(groups[row].get(probe, [])) for probe in probes)] for row in order),
    ]


def margins(runs: Sequence[Run]) -> list[str]:
    """By how many points each objective is above the better of the two baselines, for each split, mean over seeds."""
    means = {row: np.array([np.mean(one[probe]) for probe in PLAIN]) for row, one in _groups(runs).items()}
    lines = []
    for row, accuracy in sorted(means.items()):
        if row.kind == "trained":
            baselines = [
                one
                for other, one in means.items()
                if other.kind != "trained" and (other.split, other.scope) == (row.split, row.scope)
            ]
            knn, linear = accuracy - np.max(baselines, axis=0)
            better = f"{knn:+.1f} points k-NN, {linear:+.1f} linear above the better baseline"
            lines.append(f"{row.label}, {row.split}: {better}")
    return lines


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def print_table(runs: Sequence[Run]) -> None:
    """The table and the margins in plain text."""
    header, *rows = table(runs)
    print(markdown(header, rows))
    print("\n".join(margins(runs)))


def mean_deviation(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation (of the sample, n − 1) where there are several values."""
    if not len(values):
        return "–"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def _groups(runs: Sequence[Run]) -> dict[Row, Accuracies]:
    """Accuracies in per cent, one a seed, by row, then probe.

    The baselines do not depend on the objective; raw pixels not on the seed either. Encoders of different presets that
    have not been trained are different ones, and so are those of one preset some of whose choices were changed.
    """
    found: dict[Row, dict[Any, dict[str, float]]] = defaultdict(dict)
    names = labels(runs)
    presets = _baselines(runs)
    several = len(set(presets.values())) > 1
    for run in runs:
        summary = run.summary
        seed = int(run.name.rsplit("-seed", 1)[1].split("-")[0])
        for split, accuracies in summary["accuracy"].items():
            for kind, accuracy in accuracies.items():
                label = names[run.name] if kind == "trained" else ROWS[kind]
                if several and kind != "trained":
                    label += f", {presets[run.name]}"
                once = 0 if kind == "raw" else seed
                row = Row(f"{label} ({summary['data']})", split, kind, (summary["data"], presets[run.name]))
                found[row][once] = {k: 100 * v for k, v in accuracy.items()}
    return {
        key: {probe: [one[probe] for one in seeds.values() if probe in one] for probe in _union(seeds.values())}
        for key, seeds in found.items()
    }


def _baselines(runs: Sequence[Run]) -> dict[str, str]:
    """What to call the baselines of each run, by its name: the preset, and what else differs before training."""
    configs = {run.name: dict(_flat(json.loads((run.folder / "config.json").read_text()))) for run in runs}
    found = {}
    for run in runs:
        preset = run.name.split("-", 1)[1].rsplit("-seed", 1)[0]
        group = [configs[one.name] for one in runs if one.name.split("-", 1)[1].rsplit("-seed", 1)[0] == preset]
        differing = [key for key in BEFORE_TRAINING if len({json.dumps(one.get(key)) for one in group}) > 1]
        parts = [
            f"{key.rsplit('.', 1)[-1].replace('_', ' ')} {_shown(configs[run.name].get(key))}" for key in differing
        ]
        found[run.name] = ", ".join([preset, *parts])
    return found


def _probe(name: str) -> str:
    """A probe as a table's header calls it; "linear_1%" is "linear from 1 % of the labels"."""
    share = name.removeprefix("linear_").removesuffix("%")
    return f"linear from {share} % of the labels," if name.endswith("%") else PROBES.get(name, name)


def _union(dictionaries: Any) -> list[str]:
    return list(dict.fromkeys(key for one in dictionaries for key in one))


def _flat(tables: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(value: Any) -> str:
    if value is None:
        return "by default"
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
