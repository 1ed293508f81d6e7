"""Hyper-parameters of bounds, refused by name where they are given and not where they are used."""

import math
from typing import Any

from .._check import as_number


def as_alpha(alpha: Any) -> float:
    """The weight of `interpolated`."""
    return as_number(alpha, "alpha", lambda a: 0 <= a <= 1, "a number in [0, 1]")


def as_clip(clip: Any) -> float:
    """The bound on scores of `smile`."""
    return as_number(clip, "clip", lambda c: c > 0, "a positive number")


def as_decay(decay: Any) -> float:
    """The share that a running mean keeps, of `mine`."""
    return as_number(decay, "decay", lambda d: 0 <= d < 1, "a number in [0, 1)")


def as_constant_baseline(log_baseline: Any) -> float:
    """A `log_baseline` that is part of a bound's name, and so one number."""
    needed = "one finite number (for one a column call the bound's function)"
    return as_number(log_baseline, "log_baseline", math.isfinite, needed)
