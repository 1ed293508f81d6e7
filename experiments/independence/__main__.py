"""Simulate, and write a table: `python -m experiments.independence level|power [--repeats R] [--record]`.

Tables go to `results/independence/`, with `--record` to `experiments/records/independence/`, where notebook 10 reads
them.
"""

import argparse
import datetime
import pathlib

import numpy as np
import pandas as pd

from experiments.independence import level, power
from experiments.independence.samples import SHAPES
from experiments.ssl.runs import write

ROOT = pathlib.Path(__file__).parent.parent.parent
REPEATS = {"level": 1000, "power": 200}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.independence", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("study", choices=REPEATS)
    parser.add_argument("--repeats", type=int, help="draws of each law; by default 1000 for levels, 200 for power")
    parser.add_argument("--peers", help="interpreter of an environment with tests/benchmarks/peers.lock, for power")
    parser.add_argument("--only", help="a family of tests, or a shape: only its rows of the table are made anew")
    parser.add_argument("--workers", type=int, help="processes, by default one a core")
    parser.add_argument("--record", action="store_true", help="update the committed table")
    arguments = parser.parse_args()
    repeats = arguments.repeats or REPEATS[arguments.study]
    path = ROOT / ("experiments/records" if arguments.record else "results") / f"independence/{arguments.study}.csv"
    only, workers = arguments.only, arguments.workers
    if arguments.study == "level":
        group, groups, found = "family", list(level.FAMILIES), level.rows(repeats, only, workers)
    else:
        group, groups, found = "shape", list(SHAPES), power.rows(repeats, arguments.peers, only, workers)
    if only is not None and only not in groups:
        parser.error(f"--only {only}: one of {', '.join(groups)} is needed.")
    table = pd.read_csv(path) if only is not None and path.exists() else pd.DataFrame({group: []})
    others = table[table[group] != only]
    done = []
    for row in found:
        done.append(row)
        table = pd.concat([others, pd.DataFrame(done)]) if len(others) else pd.DataFrame(done)
        table = table.iloc[np.argsort([groups.index(name) for name in table[group]], kind="stable")]
        text = table.to_csv(index=False, float_format="%.5g", lineterminator="\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))
        print(", ".join(str(value) for value in row.values()), flush=True)
    print(f"{len(done)} rows, {datetime.date.today().isoformat()}: {path}")


if __name__ == "__main__":
    main()
