"""Cells of a study on all cores: one process a core, each on one thread."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Cell = TypeVar("Cell")
Found = TypeVar("Found")


def in_order(function: Callable[[Cell], Found], cells: Sequence[Cell], workers: int | None = None) -> Iterator[Found]:
    """function(cell) of each cell, in the order of the cells; `workers` is by default the number of cores."""
    workers = workers or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")  # JAX must not be forked
    free = context.Queue()
    for core in range(workers):
        free.put(core)
    with concurrent.futures.ProcessPoolExecutor(workers, context, _on_one_core, (free,)) as pool:
        yield from pool.map(function, cells)


def _on_one_core(free: "multiprocessing.Queue[int]") -> None:
    """Before JAX starts its threads, of which it would take one a core."""
    core = free.get()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core % len(os.sched_getaffinity(0))]})
