"""Objectives by name."""

from typing import Any

from .base import AbstractObjective
from .infonce import InfoNCE
from .ssl_hsic import SSLHSIC

_OBJECTIVES: dict[str, type[AbstractObjective]] = {
    "ssl_hsic": SSLHSIC,
    "infonce": InfoNCE,
}


def objective_names() -> tuple[str, ...]:
    """The names that `get_objective` takes."""
    return tuple(_OBJECTIVES)


def get_objective(name: str, **parameters: Any) -> AbstractObjective:
    """The objective of a name: `get_objective("infonce", temperature=0.1)` is `InfoNCE(temperature=0.1)`.

    Args:
        name: one of `objective_names()`.
        parameters: its constructor's; each has a default.

    Raises:
        ValueError: an unknown name.
        TypeError: an unknown parameter.
    """
    if name not in _OBJECTIVES:
        raise ValueError(f"There is no objective {name!r}; there are {', '.join(_OBJECTIVES)}.")
    return _OBJECTIVES[name](**parameters)
