"""Make the figures: `python -m paper_figures [--only NAME] [--fast] [--force] [--record] [--check]`."""

import argparse
import pathlib
import shutil
import time

import jax
import pandas as pd

from experiments.quick import quick_compilation
from paper_figures import figures
from paper_figures.encoded_views import source
from paper_figures.gallery import write_gallery

HERE = pathlib.Path(__file__).parent
RECORDED, EXPECTED = HERE / "gallery", HERE / "fast"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__)
    parser.add_argument("--only", choices=figures.NAMES, action="append", help="this figure alone (may be repeated)")
    parser.add_argument("--fast", action="store_true", help="small versions on digits, for tests")
    parser.add_argument("--force", action="store_true", help="make them again even if nothing changed")
    parser.add_argument("--record", action="store_true", help="update the committed figures (with --fast, tables)")
    parser.add_argument("--check", action="store_true", help="compare the fast tables with the committed ones")
    arguments = parser.parse_args()
    if arguments.check and not arguments.fast:
        parser.error("--check compares the tables of --fast")
    if arguments.fast:
        quick_compilation()
        jax.config.update("jax_disable_most_optimizations", True)  # JAX is imported: it has read its variable
    folder = figures.ROOT / "results" / ("figures-fast" if arguments.fast else "figures")
    names = [name for name in figures.NAMES if arguments.only is None or name in arguments.only]
    for name in names:
        start = time.perf_counter()
        _, made = figures.make(name, folder, fast=arguments.fast, force=arguments.force)
        print(f"{name}: {f'made in {time.perf_counter() - start:.1f} s' if made else 'up to date'}", flush=True)
    intro = source(arguments.fast)
    page = write_gallery(figures.captions(folder), folder, intro=intro)
    if arguments.record and arguments.fast:
        for name in names:
            shutil.copyfile(folder / f"{name}.csv", EXPECTED / f"{name}.csv")
    elif arguments.record:
        for path in (path for name in names for path in folder.glob(f"{name}.*")):
            shutil.copyfile(path, RECORDED / path.name)
        write_gallery(figures.captions(RECORDED), RECORDED, intro=intro)
    if arguments.check:
        wrong = {name: figures.difference(name, *_tables(name, folder)) for name in names}
        for name, text in wrong.items():
            print(f"{name}: {text or 'as recorded'}")
        if any(wrong.values()):
            raise SystemExit("Numbers of figures have changed: mend it, or record them with --fast --record.")
    print(f"gallery: {page}")


def _tables(name: str, folder: pathlib.Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(folder / f"{name}.csv"), pd.read_csv(EXPECTED / f"{name}.csv")


if __name__ == "__main__":
    main()
