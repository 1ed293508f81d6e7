"""A way to compute something: measured in a process of its own, in this environment or in the peers'.

    python -m tests.benchmarks.way TOPIC WAY N REPEATS

prints one line of JSON: seconds, peak memory over imports and data, and the value.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.timing import forget_peak, peak_memory, timed

ROOT = pathlib.Path(__file__).parent.parent.parent
OWN = "kerneldep"
LIMIT_S = 10.0
"""No further repeat is begun after so many seconds of them."""


class Way(NamedTuple):
    """One way to compute a topic's quantity.

    Attributes:
        setup: imports what it needs, makes the data of n samples and returns the call to be timed.
        sizes: n.
        peer: whether it runs in the peers' environment.
        dtype: of the computation. Float64 turns JAX's x64 on.
        repeats: calls after the first.
        remark: for the table.
    """

    setup: Callable[[int], Callable[[], Any]]
    sizes: tuple[int, ...]
    peer: bool = False
    dtype: str = "float32"
    repeats: int = 5
    remark: str = ""


def data(n: int, dim: int = 10, coupling: float = 0.3, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """x, y [n, dim], standard normal and coupling · x + noise: the same numbers in every process."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, dim), np.float32)
    return x.astype(dtype), (coupling * x + rng.standard_normal((n, dim), np.float32)).astype(dtype)


def measured(topic: str, name: str, way: Way, n: int, peers: str | None) -> dict[str, Any]:
    """A row of a topic's table; where the process fails, its last words stand in the remark."""
    print(f"{topic}: {name}, n = {n:,}", file=sys.stderr, flush=True)
    python = peers if way.peer and peers else sys.executable
    command = [python, "-m", "tests.benchmarks.way", topic, name, str(n), str(way.repeats)]
    environment = os.environ | ({"JAX_ENABLE_X64": "1"} if way.dtype == "float64" else {})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    row: dict[str, Any] = {"n": n, "way": name, "dtype": way.dtype}
    if done.returncode:
        words = [line for line in done.stderr.splitlines() if "Error" in line] or [f"exit {done.returncode}"]
        print(done.stderr[-2000:], file=sys.stderr)
        return row | {"remark": f"failed: {words[-1][:100]}"}
    return row | json.loads(done.stdout.splitlines()[-1]) | {"remark": way.remark}


def rows(topic: str, ways: dict[str, Way], peers: str | None, reference: str = OWN) -> Iterator[dict[str, Any]]:
    """A row for each size and way, with its time over that of the reference way at the same size.

    Args:
        topic: the module that has the ways.
        ways: by name.
        peers: the interpreter of the peers' environment; without one their rows are left out.
        reference: the way that others are compared with.
    """
    for n in sorted({n for way in ways.values() for n in way.sizes}):
        here = {name: way for name, way in ways.items() if n in way.sizes and (peers or not way.peer)}
        found = [measured(topic, name, way, n, peers) for name, way in here.items()]
        own = next((row.get("median_s") for row in found if row["way"] == reference), None)
        for row in found:
            seconds = row.get("median_s")
            yield row | {"over_kerneldep": seconds / own if seconds and own else None}


def main() -> None:
    """Measure one way and print it."""
    topic, name, n, repeats = sys.argv[1:]
    way: Way = importlib.import_module(f"tests.benchmarks.{topic}").WAYS[name]
    call = way.setup(int(n))
    forget_peak()
    before, last = peak_memory(), {}

    def keep() -> Any:
        last["value"] = call()
        return last["value"]

    seconds = timed(keep, repeats=int(repeats), limit_s=LIMIT_S)
    print(json.dumps({**seconds, "peak_mb": peak_memory() - before, "value": plain(last["value"])}))


def plain(value: Any) -> Any:
    """A value as JSON takes it; of a structure of arrays (a gradient) the norm."""
    if isinstance(value, dict):
        return {key: float(part) for key, part in value.items()}
    if isinstance(value, list):
        return [float(part) for part in value]
    if not isinstance(value, tuple):
        return float(value)
    import jax

    return float(sum((leaf**2).sum() for leaf in jax.tree.leaves(value)) ** 0.5)


if __name__ == "__main__":
    main()
