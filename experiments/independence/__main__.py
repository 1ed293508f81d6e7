"""Simulate, and write a table: `python -m experiments.independence level|power [--repeats R] [--record]`.

Tables go to `results/independence/`, with `--record` to `experiments/records/independence/`, where notebook 10 reads
them.
"""

import argparse
import datetime
import pathlib

import pandas as pd

from experiments.independence import level, power
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
    parser.add_argument("--workers", type=int, help="processes, by default one a core")
    parser.add_argument("--record", action="store_true", help="update the committed table")
    arguments = parser.parse_args()
    repeats = arguments.repeats or REPEATS[arguments.study]
    folder = ROOT / ("experiments/records/independence" if arguments.record else "results/independence")
    workers = arguments.workers
    found = (
        level.rows(repeats, workers) if arguments.study == "level" else power.rows(repeats, arguments.peers, workers)
    )
    done = []
    for row in found:
        done.append(row)
        table = pd.DataFrame(done).to_csv(index=False, float_format="%.5g", lineterminator="\n")
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{arguments.study}.csv", lambda path, table=table: path.write_text(table, encoding="utf-8"))
        print(", ".join(str(value) for value in row.values()), flush=True)
    print(f"{len(done)} rows, {datetime.date.today().isoformat()}: {folder / arguments.study}.csv")


if __name__ == "__main__":
    main()
