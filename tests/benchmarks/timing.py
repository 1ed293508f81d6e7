"""How a time is taken: compile apart, then the median of repeats, each waiting for the device."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def timed(function: Callable[..., Any], *arguments: Any, repeats: int = 5) -> dict[str, float]:
    """Seconds of the first call (compilation included) and of later ones: median, fastest, slowest."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    first, times = time.perf_counter() - start, []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return {"first_s": first, "median_s": float(np.median(times)), "min_s": min(times), "max_s": max(times)}
