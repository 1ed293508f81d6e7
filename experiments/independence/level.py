"""How often each test rejects independent data: `python -m experiments.independence level [--repeats R] [--record]`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.stats

from experiments.independence.battery import ASYMPTOTIC, EXACT, key
from experiments.independence.samples import NULLS

SIZES = (20, 50, 100, 200, 500)
LEVELS = (0.01, 0.05)
TOLERANCES = {20: 0.05, 50: 0.03, 100: 0.02, 200: 0.02, 500: 0.02}
"""How far from 5 % an asymptotic test may reject at n, beyond the binomial band; at 1 % a third of it."""


def rows(repeats: int, sizes: tuple[int, ...] = SIZES) -> Iterator[dict[str, Any]]:
    """A row for each test, law, n and level: the share of rejections and what it may be."""
    for number, (law, draw) in enumerate(NULLS.items()):
        for n in sizes:
            p_values = {name: np.empty(repeats) for name in EXACT | ASYMPTOTIC}
            for repeat in range(repeats):
                x, y = draw(n, np.random.default_rng([number, n, repeat]))
                for name, test in (EXACT | ASYMPTOTIC).items():
                    p_values[name][repeat] = test(x, y, key(number, n, repeat))
            for name, found in p_values.items():
                for level in LEVELS:
                    yield {"test": name, "law": law, "n": n, "repeats": repeats, "level": level} | judged(
                        name, n, level, found
                    )


def judged(name: str, n: int, level: float, p_values: np.ndarray) -> dict[str, Any]:
    """The share of p ≤ level; the two-sided 99.9 % binomial band about what is allowed; whether it is inside."""
    spread = 0.0 if name in EXACT else TOLERANCES[n] * (1 if level == 0.05 else 1 / 3)
    counts = len(p_values)
    low = scipy.stats.binom.ppf(5e-4, counts, max(level - spread, 0)) / counts
    high = scipy.stats.binom.ppf(1 - 5e-4, counts, level + spread) / counts
    share = float(np.mean(p_values <= level))
    return {"rejected": share, "low": low, "high": high, "held": low <= share <= high}
