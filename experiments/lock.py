"""Training never overlaps a benchmark: both take a lock on one file, trainings together and benchmarks alone."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

try:
    import fcntl
except ImportError:  # Windows: without a lock
    fcntl = None

FILE = "machine.lock"
POLL_S = 0.2


@contextlib.contextmanager
def machine(use: Literal["training", "benchmark"], folder: Path) -> Iterator[None]:
    """Holds the machine: any number of trainings at once, or one benchmark alone; waits while that is not possible.

    The lock goes with the process that holds it, however that ends.

    Args:
        use: what for.
        folder: where the lock's file is, the same for all that must not overlap.
    """
    if fcntl is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    with path.open("a+", encoding="utf-8") as file:
        kind, waiting = fcntl.LOCK_SH if use == "training" else fcntl.LOCK_EX, False
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    waiting = True
                    print(
                        f"Waiting for the machine: {path.read_text(encoding='utf-8').strip() or 'in use'}.", flush=True
                    )
                time.sleep(POLL_S)
        file.truncate(0)  # in append mode what follows is written at the end, which is now the start
        file.write(f"{use} by process {os.getpid()}\n")
        file.flush()
        yield
