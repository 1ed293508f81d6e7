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
from typing import Any

import numpy as np

from experiments.independence.samples import SHAPES

ROOT = pathlib.Path(__file__).parent.parent.parent
OWN = ("permutation", "distance, permutation", "aggregated", "power-optimised", "InfoNCE critic", "NWJ critic")
LEVEL = 0.05


def draws(shape: str, strength: float, repeats: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same for all tests."""
    law, n, strengths = SHAPES[shape]
    cell = [list(SHAPES).index(shape), strengths.index(strength)]
    return [law(n, strength, np.random.default_rng([*cell, repeat])) for repeat in range(repeats)]


def rows(repeats: int, peers: str | None) -> Iterator[dict[str, Any]]:
    """A row for each test, shape and strength: the share of rejections at 5 %, and its standard error."""
    from experiments.independence.battery import EXACT, LEARNED, key

    tests = {name: test for name, test in (EXACT | LEARNED).items() if name in OWN}
    for number, (shape, (_, n, strengths)) in enumerate(SHAPES.items()):
        for strength in strengths:
            pairs = draws(shape, strength, repeats)
            found = {
                name: [test(x, y, key(number, repeat)) for repeat, (x, y) in enumerate(pairs)]
                for name, test in tests.items()
            }
            if peers:
                found |= _of_peers(peers, pairs)
            for name, p_values in found.items():
                share = float(np.mean(np.array(p_values) <= LEVEL))
                error = np.sqrt(share * (1 - share) / len(p_values))
                yield {"test": name, "shape": shape, "n": n, "strength": strength, "repeats": len(p_values),
                       "power": share, "standard_error": error}  # fmt: skip


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
