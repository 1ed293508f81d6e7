"""Crossings of two lists: some of them at every change, all of them with `-m slow`."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def thorough(values: Iterable[Any], quick: Callable[[Any], bool]) -> list[Any]:
    """The parameters of a test, tuples where it has several, those that are not `quick` marked as slow."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=() if quick(value) else pytest.mark.slow)
        for value in values
    ]
