"""Execute the notebooks: `python -m notebooks [--fast] [--force] [--record] [--jobs N] [NAME …]`.

The percent script `NN_topic.py` is the source of each. Executed notebooks go to `results/notebooks/`, as HTML too; with
`--record` also beside their sources, with fixed cell ids, so that the same run gives the same file.
"""

import argparse
import copy
import functools
import hashlib
import json
import os
import pathlib
import time
from concurrent.futures import ThreadPoolExecutor

import jupytext
import nbformat
from nbclient import NotebookClient

from experiments.quick import quick_compilation
from notebooks.pages import page
from paper_figures.figures import write

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
LIMIT = 500_000
"""Bytes that an executed notebook may take in the repository."""


def execute(source: pathlib.Path, *, fast: bool) -> nbformat.NotebookNode:
    """Run a percent script as a notebook, in the notebooks' folder."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["KERNELDEP_FAST"] = "1" if fast else ""
    # The interpreter that runs this, whatever kernels are registered.
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "kerneldep", "language": "python"}
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # wall-clock times
    notebook.metadata.pop("widgets", None)
    return notebook


def fingerprint(source: pathlib.Path, fast: bool) -> str:
    """A hash of the sources a notebook's output depends on."""
    digest = hashlib.sha256(str(fast).encode())
    folders = ("kerneldep", "paper_figures", "experiments/ssl")
    for path in [source, *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="notebooks to execute, e.g. 01_infonce_vs_hsic (all by default)")
    parser.add_argument("--fast", action="store_true", help="small versions on digits, for tests")
    parser.add_argument("--force", action="store_true", help="execute even if nothing changed")
    parser.add_argument("--record", action="store_true", help="update the committed notebooks")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks at a time; 1 where times are to be shown")
    arguments = parser.parse_args()
    if arguments.fast:
        quick_compilation()
    folder = ROOT / "results" / ("notebooks-fast" if arguments.fast else "notebooks")
    sources = [one for one in sorted(HERE.glob("[0-9][0-9]_*.py")) if one.stem in (arguments.names or [one.stem])]
    with ThreadPoolExecutor(arguments.jobs) as jobs:
        make = functools.partial(update, folder=folder, fast=arguments.fast, force=arguments.force)
        for source, notebook in zip(sources, jobs.map(make, sources), strict=True):
            if arguments.record and notebook is not None:
                text = nbformat.writes(notebook) + "\n"
                if len(text.encode()) > LIMIT:
                    raise SystemExit(f"{source.stem}: {len(text.encode()):,} bytes, more than {LIMIT:,}")
                write(source.with_suffix(".ipynb"), text.encode())


def update(source: pathlib.Path, *, folder: pathlib.Path, fast: bool, force: bool) -> nbformat.NotebookNode | None:
    """Execute a notebook into a folder; None where it was up to date there."""
    target, current = folder / f"{source.stem}.ipynb", fingerprint(source, fast)
    done = json.loads(target.read_text())["metadata"].get("fingerprint") if target.exists() else None
    if not force and done == current:
        print(f"{source.stem}: up to date")
        return None
    start = time.perf_counter()
    notebook = execute(source, fast=fast)
    write(target.with_suffix(".html"), page(notebook, source.stem).encode())
    stamped = copy.deepcopy(notebook)
    stamped.metadata["fingerprint"] = current
    write(target, nbformat.writes(stamped).encode())
    print(f"{source.stem}: executed in {time.perf_counter() - start:.1f} s, {target.relative_to(ROOT)}", flush=True)
    return notebook


if __name__ == "__main__":
    main()
