"""Make the figures: `python -m paper_figures [--only NAME] [--fast] [--force] [--record]`."""

import argparse
import pathlib
import shutil
import time

from paper_figures import figures
from paper_figures.encoded_views import source
from paper_figures.gallery import write_gallery

RECORDED = pathlib.Path(__file__).with_name("gallery")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m paper_figures", description=__doc__)
    parser.add_argument("--only", choices=figures.NAMES, action="append", help="this figure alone (may be repeated)")
    parser.add_argument("--fast", action="store_true", help="small versions on digits, for tests")
    parser.add_argument("--force", action="store_true", help="make them again even if nothing changed")
    parser.add_argument("--record", action="store_true", help="update the committed figures")
    arguments = parser.parse_args()
    folder = figures.ROOT / "results" / ("figures-fast" if arguments.fast else "figures")
    captions = {}
    for name in figures.NAMES:
        wanted = arguments.only is None or name in arguments.only
        if not wanted and not (folder / f"{name}.json").exists():
            continue
        start = time.perf_counter()
        captions[name], made = figures.make(name, folder, fast=arguments.fast, force=arguments.force and wanted)
        print(f"{name}: {f'made in {time.perf_counter() - start:.1f} s' if made else 'up to date'}", flush=True)
    page = write_gallery(captions, folder, intro=source(arguments.fast))
    if arguments.record:
        shutil.copytree(folder, RECORDED, dirs_exist_ok=True)
    print(f"gallery: {page}")


if __name__ == "__main__":
    main()
