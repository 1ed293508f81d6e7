"""How a time is taken: the first call apart, then the median of repeats, each waiting for the device. No imports of
JAX: the peers' environment has none."""

import contextlib
import pathlib
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def timed(
    function: Callable[..., Any], *arguments: Any, repeats: int = 5, limit_s: float = float("inf")
) -> dict[str, float]:
    """Seconds of the first call (compilation included) and of later ones: median, fastest, slowest.

    Args:
        function: what to call.
        arguments: with what.
        repeats: calls after the first.
        limit_s: no further call is begun after so many seconds of repeats. Without repeats the first call stands for
            the others.
    """
    wait = sys.modules["jax"].block_until_ready if "jax" in sys.modules else lambda value: value

    def once() -> float:
        start = time.perf_counter()
        wait(function(*arguments))
        return time.perf_counter() - start

    first, times = once(), []
    while len(times) < repeats and sum(times) < limit_s:
        times.append(once())
    calls, times = len(times), times or [first]
    return {
        "first_s": first,
        "median_s": float(np.median(times)),
        "min_s": min(times),
        "max_s": max(times),
        "calls": calls,
    }


def peak_memory() -> float:
    """This process's own peak resident memory in MB (Linux; getrusage's would include the parent's)."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 2**10


def forget_peak() -> None:
    """Let the peak be what is resident now, where the kernel allows it."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")
