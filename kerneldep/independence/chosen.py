"""What a test chose among kernels or trained: to be read in its result, and to be used again."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from ..kernels import AbstractKernel


class Chosen(NamedTuple):
    """Kernels or a critic that a test chose; prints as their names and parameters.

    Attributes:
        parts: the kernels of x and of y, or the critic.
    """

    parts: tuple[Any, ...]

    def __str__(self) -> str:
        return ", ".join(described(part) for part in self.parts)


def described(module: Any) -> str:
    """Class and parameters: `Gaussian(bandwidth=0.42)`; long arrays by shape, networks by their number of weights."""
    if not isinstance(module, AbstractKernel):
        weights = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array)))
        return f"{getattr(module, '__name__', type(module).__name__)}({weights:,} parameters)"
    return f"{type(module).__name__}({', '.join(f'{name}={_value(value)}' for name, value in vars(module).items())})"


def _value(value: Any) -> str:
    if eqx.is_array(value):
        numbers = np.asarray(value)
        if numbers.size > 8:
            return f"[{' × '.join(map(str, numbers.shape))}]"
        shown = [f"{number:.4g}" for number in numbers.reshape(-1).tolist()]
        return shown[0] if not numbers.ndim else f"[{', '.join(shown)}]"
    return described(value) if isinstance(value, eqx.Module) or callable(value) else str(value)
