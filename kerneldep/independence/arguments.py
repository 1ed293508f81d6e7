"""What all tests ask of their arguments."""

import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _check
from .._check import ArrayLike


def as_level(alpha: Any) -> float:
    """The level α in (0, 1)."""
    return _check.as_number(alpha, "alpha", lambda number: 0 < number < 1, "a number between 0 and 1")


def refuse_traced(**arguments: Any) -> None:
    """Tests decide, draw and loop outside of compiled code: they take numbers, not tracers.

    Raises:
        TypeError: naming the argument.
    """
    for name, value in arguments.items():
        if _check.is_traced(value):
            raise TypeError(
                f"{name} is traced: a test is not for jit, grad or vmap; the measure behind it, such as hsic, is."
            )


def generator(key: Any, why: str) -> np.random.Generator:
    """A NumPy generator that a JAX key seeds: permutations are drawn ten times as fast as by sorting on a device.

    Raises:
        TypeError, ValueError: as `_check.random_key`.
    """
    key = _check.random_key(key, why)
    refuse_traced(key=key)
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return np.random.default_rng(np.asarray(jax.random.key_data(key) if typed else key))


def is_constant(**samples: ArrayLike) -> bool:
    """Whether one of the samples is constant, with a warning that names it."""
    arrays = {name: np.asarray(values) for name, values in samples.items()}
    names = [name for name, array in arrays.items() if (array == array[:1]).all()]
    if names:
        warn_of_constants(names, False)
    return bool(names)


def refuse_infinite(*values: float) -> None:
    """Of finite samples a kernel may still give infinite values, as high powers of large numbers.

    Raises:
        ValueError: a statistic is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("the statistic is not finite: a kernel overflows or gives NaN on these samples; rescale them.")


def warn_of_constants(names: list[str], others: bool) -> None:
    """Warn of samples that are constant; `others`: whether there is something left to test."""
    what = "independent of all others, which are tested without" if others else "nothing can be tested, p = 1"
    _warn(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} constant: {what}.")


def warn_if_unreachable(smallest: float, alpha: float, why: str) -> None:
    """Warn where no p-value, or by luck of the draws hardly one, can be as small as α."""
    if smallest > alpha:
        _warn(f"Hardly a p-value below {smallest:.3g} is possible with {why}: the level α = {alpha:g} is out of reach.")


def _warn(message: str) -> None:
    # At the line that called the library, through however many of its functions.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in ("kerneldep", "jaxtyping"):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
