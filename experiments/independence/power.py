"""How often each test rejects dependent data: `python -m experiments.independence power [--peers PYTHON] …`.

Peers run in an environment of their own, on the same draws.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from experiments.independence.samples import SHAPES
from experiments.independence.workers import in_order

ROOT = pathlib.Path(__file__).parent.parent.parent
OWN = (
    "permutation", "distance, permutation", "distance, V-statistic", "aggregated", "power-optimised", "InfoNCE critic",
    "NWJ critic",
)  # fmt: skip
LEVEL = 0.05


def draws(shape: str, strength: float, repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same for all tests."""
    law, n, strengths = SHAPES[shape]
    cell = [list(SHAPES).index(shape), strengths.index(strength)]
    return [law(n, strength, np.random.default_rng([*cell, repeat])) for repeat in range(repeats)]


class Cell(NamedTuple):
    """What one worker does at a time."""

    shape: str
    strength: float
    repeats: int
    peers: str | None


def rows(
    repeats: int, peers: str | None, shape: str | None = None, workers: int | None = None
) -> Iterator[dict[str, Any]]:
    """A row for each test and strength of one shape or of all: the share of rejections at 5 %, its standard error."""
    names = SHAPES if shape is None else [shape]
    cells = [Cell(name, strength, repeats, peers) for name in names for strength in SHAPES[name][2]]
    for cell, p_values in zip(cells, in_order(p_values_of, cells, workers), strict=True):
        for test, found in p_values.items():
            share = float(np.mean(np.array(found) <= LEVEL))
            error = np.sqrt(share * (1 - share) / len(found))
            yield {"test": test, "shape": cell.shape, "n": SHAPES[cell.shape][1], "strength": cell.strength,
                   "repeats": len(found), "power": share, "standard_error": error}  # fmt: skip


def p_values_of(cell: Cell) -> dict[str, list[float]]:
    """Of every test, critics on the first half of the draws only: each trains a network."""
    from experiments.independence import battery

    pairs = draws(cell.shape, cell.strength, cell.repeats)
    number = list(SHAPES).index(cell.shape)
    found = {}
    for name, test in (battery.EXACT | battery.V_STATISTICS | battery.LEARNED | battery.CRITICS).items():
        if name in OWN:
            some = pairs[: cell.repeats // 2] if name in battery.CRITICS else pairs
            found[name] = [test(x, y, key=battery.key(number, repeat)) for repeat, (x, y) in enumerate(some)]
    return found | (_of_peers(cell.peers, pairs) if cell.peers else {})


def _of_peers(python: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "draws.npz")
        np.savez(path, x=[x for x, _ in pairs], y=[y for _, y in pairs])
        command = [python, "-m", "experiments.independence.peers", path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        raise RuntimeError("The peers' process failed.")
    return json.loads(done.stdout.splitlines()[-1])
