"""Run the benchmarks and write their tables: `python -m tests.benchmarks [--peers PYTHON] [--only NAME] [--record]`."""

import argparse
import datetime
import os
import pathlib
import time
from collections.abc import Callable

import pandas as pd

from experiments.lock import machine
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
from tests.benchmarks.machine import environment
from tests.benchmarks.report import readme

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

TOPICS: dict[str, Callable] = {
    "exact_hsic": exact_hsic.tables,
    "defaults": defaults.tables,
    "feature_hsic": feature_hsic.tables,
    "distance_covariance": distance_covariance.tables,
    "alignment": alignment.tables,
    "digits": digits.tables,
    "agreement": agreement.tables,
    "convolution": convolution.tables,
    "objectives": objectives.tables,
    "independence": independence.tables,
    "digits_100k": lambda peers: digits.tables(peers, 100_000),
}
APART = ("digits_100k",)
"""What takes minutes: only when asked for."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--peers", help="interpreter of an environment with peers.lock; without it, no peers")
    parser.add_argument("--only", choices=TOPICS, nargs="+", help="these topics; the other tables stay as they are")
    parser.add_argument("--record", action="store_true", help="update the committed tables")
    arguments = parser.parse_args()
    folder = HERE / "records" if arguments.record else ROOT / "results" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for topic in arguments.only or [topic for topic in TOPICS if topic not in APART]:
        with machine("benchmark", ROOT / "results"):
            load, start = os.getloadavg()[0], time.perf_counter()
            for name, rows in TOPICS[topic](arguments.peers):
                pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False, float_format="%.7g")
        run = {
            "topic": topic,
            "date": datetime.date.today().isoformat(),
            "load_average_before": round(load, 2),
            "minutes": round((time.perf_counter() - start) / 60, 1),
            "peers": "yes" if arguments.peers else "no",
        }
        note(folder / "runs.csv", pd.DataFrame([run]))
    note(folder / "environment.csv", pd.DataFrame(environment(arguments.peers).items(), columns=["what", "which"]))
    text = readme(folder)
    (folder / "README.md").write_text(text)
    print(text)


def note(path: pathlib.Path, rows: pd.DataFrame) -> None:
    """Put rows into a table in place of those with the same first entry."""
    key = rows.columns[0]
    if path.exists():
        before = pd.read_csv(path)
        rows = pd.concat([before[~before[key].isin(rows[key])], rows])
    rows.to_csv(path, index=False)


if __name__ == "__main__":
    main()
