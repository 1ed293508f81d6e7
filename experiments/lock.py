"""Training never overlaps a benchmark, and no run is trained twice at once: locks on files."""

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


def machine(use: Literal["training", "benchmark"], folder: Path) -> contextlib.AbstractContextManager[None]:
    """Holds the machine: any number of trainings at once, or one benchmark alone; waits while that is not possible.

    The lock goes with the process that holds it, however that ends.

    Args:
        use: what for.
        folder: where the lock's file is, the same for all that must not overlap.
    """
    return _held(folder / FILE, use == "benchmark", f"{use} by process {os.getpid()}", "Waiting for the machine")


def one_run(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Holds a run's folder alone: who asks for a run that another process trains waits for it."""
    owner = f"trained by process {os.getpid()}"
    return _held(folder.with_name(f".{folder.name}.lock"), True, owner, f"Waiting for {folder.name}")


@contextlib.contextmanager
def _held(path: Path, alone: bool, owner: str, message: str) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        kind, waiting = fcntl.LOCK_EX if alone else fcntl.LOCK_SH, False
        while True:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    waiting = True
                    print(f"{message}: {path.read_text(encoding='utf-8').strip() or 'in use'}.", flush=True)
                time.sleep(POLL_S)
        file.truncate(0)  # in append mode what follows is written at the end, which is now the start
        file.write(f"{owner}\n")
        file.flush()
        yield
