"""Run the benchmarks and write their tables: `python -m tests.benchmarks [--record]`."""

import argparse
import os
import pathlib
import platform

import jax
import pandas as pd

from tests.benchmarks import convolution, exact_hsic

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table."""
    cells = [
        [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.to_numpy().tolist()
    ]
    lines = [list(table.columns), ["---"] * len(table.columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--record", action="store_true", help="update the committed tables")
    arguments = parser.parse_args()
    folder = HERE / "records" if arguments.record else ROOT / "results" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}, jax {jax.__version__}"
    times = pd.DataFrame(exact_hsic.rows())
    pivot = times.pivot(index="n", columns="way", values="median_s")
    ratio = (pivot["dense, jitted"] / pivot["kerneldep.hsic"]).dropna()
    peaks = pd.DataFrame(
        {"n": n, "what": what, "peak_mb_over_import": exact_hsic.memory(n, what)}
        for n in (5_000, 20_000)
        for what in ("value", "gradient")
    )
    tables = {
        "exact_hsic_time": times,
        "exact_hsic_digits": pd.DataFrame(exact_hsic.digits()),
        "exact_hsic_memory": peaks,
        "convolution": pd.DataFrame(convolution.rows()),
    }
    text = [
        "# Benchmarks\n",
        f"Made by `python -m tests.benchmarks --record` on: {machine}, float32, d = {exact_hsic.DIM}. "
        "`first_s` includes compilation; the rest are medians and extremes of 5 calls, `block_until_ready`. "
        "`floor_s` is n² exponentials (two Gaussians, each pair once) at the rate measured on a tile in the cache.\n",
        "Times of the dense version over those of `kerneldep.hsic`, in one process: "
        + ", ".join(f"{value:.1f} at n = {n:,}" for n, value in ratio.items())
        + ".\n",
    ]
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.4g")
        text += [f"## {name}\n", markdown(table) + "\n"]
    (folder / "README.md").write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
