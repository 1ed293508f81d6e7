"""The tables of a folder as one page."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pandas as pd

from tests.benchmarks import (
    agreement,
    alignment,
    convolution,
    defaults,
    digits,
    distance_covariance,
    exact_hsic,
    feature_hsic,
    independence,
    objectives,
)
from tests.benchmarks.way import OWN

SECTIONS = {
    "Exact HSIC": (exact_hsic, ("exact_hsic", "exact_hsic_growth")),
    "Without options": (defaults, ("defaults",)),
    "Random features and Nyström": (feature_hsic, ("random_fourier", "nystrom", "feature_errors")),
    "Distance covariance": (distance_covariance, ("distance_covariance", "distance_correlation")),
    "CKA of layers": (alignment, ("cka",)),
    "Digits of float32": (digits, ("digits", "digits_100k")),
    "Agreement with other packages": (agreement, ("agreement",)),
    "Convolution": (convolution, ("convolution",)),
    "Independence tests": (independence, ("permutation_tests", "closed_form_tests", "large_tests")),
    "Objectives": (objectives, ("objectives", "ssl_hsic", "ssl_hsic_crossover", "ssl_hsic_variance")),
}
"""Of the page: the module whose NOTE says what was measured, and its tables."""

HEAD = """# Benchmarks

`python -m tests.benchmarks --peers PYTHON --record` makes these tables, PYTHON being the interpreter of an environment
with the packages of [`peers.lock`](../peers.lock) (`python -m venv`, then `pip install -r`; KeOps needs a C++
compiler); `--only digits_100k` makes the table that takes minutes by itself.

{environment}

How: each row of the tables of times is a process of its own, one after another, on the same numbers. It imports what
it needs and makes the data; then `first_s` is the first call (compilation included), `median_s`, `min_s` and `max_s`
are of the `calls` that follow (5, fewer once they took 10 s together), and `peak_mb` is how far resident memory rose
above imports and data, compilation included. `value` is what was computed (of a gradient, its norm), `over_kerneldep`
the median time over that of kerneldep in the same run: above 1, kerneldep is faster. Where a package computes in
float64 only, `dtype` says so. Times of one machine mean little on another; the ratios say more.

The rates above are measured in the run of exact HSIC; the floors below rest on them. When each topic was run, and the
load average (runnable processes) just before:

{runs}

Where kerneldep is not first: {slower}
"""


def readme(folder: pathlib.Path) -> str:
    """The page: text, and the tables that the folder has."""
    tables = {path.stem: pd.read_csv(path, keep_default_na=False) for path in sorted(folder.glob("*.csv"))}
    environment = tables["environment"].to_dict("records")
    text = [
        HEAD.format(
            environment="\n".join(f"- {row['what']}: {row['which']}" for row in environment),
            runs=markdown(tables["runs"]),
            slower="; ".join(slower(tables)) or "nowhere in these tables.",
        )
    ]
    for title, (module, names) in SECTIONS.items():
        present = [name for name in names if name in tables]
        if present:
            text.append(f"## {title}\n{module.NOTE}")
            text += [f"`{name}.csv`\n\n{markdown(tables[name])}\n" for name in present]
    return "\n".join(text)


def slower(tables: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Each way of others that took less time than kerneldep's."""
    for name, table in tables.items():
        if "over_kerneldep" not in table:
            continue
        for row in table.to_dict("records"):
            ratio = pd.to_numeric(row["over_kerneldep"], errors="coerce")
            if ratio < 1 and not str(row["way"]).startswith(OWN):
                yield f"{name}, {row['way']}, n = {row['n']:,} ({ratio:.2f} of kerneldep's time)"


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table; numbers to three digits, values and whole numbers in full."""
    lines = [list(table.columns), ["---"] * len(table.columns)]
    lines += [[_cell(value, name) for name, value in row.items()] for row in table.to_dict("records")]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: Any, column: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if column in ("n", "largest_n", "below", "above", "crossover"):
        return f"{int(number):,}"
    return f"{number:.{6 if column in ('value', 'kerneldep', 'other', 'float32', 'float64') else 3}g}"
