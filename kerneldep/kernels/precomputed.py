"""A Gram matrix as a kernel of indices: for strings, graphs and whatever else is no array."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, parameter

ASYMMETRY = 1e-4
"""How far K may be from its transpose, relative to its largest entry."""


class Precomputed(AbstractKernel):
    """k(i, j) = K_ij for samples i, j = 0, …, N − 1 of which only the Gram matrix K is known.

    The samples given to a measure are indices: `kd.hsic(k.indices, y, k)`; permutations and subsets of them are
    permutations and subsets of the objects. K takes N² numbers; nothing beyond it is n × n. Gradients reach K. That K
    is positive semi-definite is not checked (it would take N³ steps); HSIC with one that is not can be negative.

    Args:
        gram: K [N, N], symmetric.

    Raises:
        ValueError: if K is not square, not finite or not symmetric. Samples that are no indices of it raise a
            RuntimeError in a measure, which is compiled, and a ValueError outside.

    Example:
        Strings, with the number of letters that two words share:

        >>> import kerneldep as kd
        >>> words = ["kernel", "corner", "tunnel", "stone", "alloy", "papaya"]
        >>> k = Precomputed.from_callable(lambda a, b: len(set(a) & set(b)), words)
        >>> int(k(0, 1)), k.gram(k.indices).shape  # "kernel" and "corner" share e, n, r
        (3, (6, 6))
        >>> float(kd.hsic(k.indices, [0, 0, 0, 0, 1, 1], k, kd.kernels.Label()))  # with the vowel e or without
        0.48889
    """

    values: Float[Array, "N N"] = eqx.field(converter=parameter)

    def __check_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[0] != self.values.shape[1] or not self.values.size:
            raise ValueError(f"Precomputed: the Gram matrix has shape {self.values.shape}: [N, N] is needed.")
        if not _check.is_traced(self.values):
            largest = jnp.abs(self.values).max()
            if not bool(jnp.abs(self.values - self.values.T).max() <= ASYMMETRY * largest):
                raise ValueError("Precomputed: the Gram matrix is not symmetric.")

    @classmethod
    def from_callable(cls, function: Callable[[Any, Any], float], objects: Sequence[Any]) -> "Precomputed":
        """The Gram matrix of any objects from a Python function of two of them.

        Args:
            function: symmetric, returns a number; called N(N + 1)/2 times, and once more for every object next to
                another, to see that it is symmetric.
            objects: strings, graphs, …; sample i is `objects[i]`.

        Raises:
            ValueError: if the function is not symmetric or returns something that is no finite number.
        """
        size = len(objects)
        gram = np.empty((size, size))
        for i, first in enumerate(objects):
            for j in range(i, size):
                gram[i, j] = gram[j, i] = function(first, objects[j])
            if i and not np.isclose(gram[i - 1, i], function(first, objects[i - 1]), rtol=ASYMMETRY, equal_nan=True):
                raise ValueError(
                    f"The function is not symmetric: it differs for objects ({i - 1}, {i}) and ({i}, {i - 1})."
                )
        if not np.isfinite(gram).all():
            i, j = np.argwhere(~np.isfinite(gram))[0]
            raise ValueError(f"The function is {gram[i, j]} for objects {i} and {j}: a finite number is needed.")
        return cls(gram)

    @property
    def indices(self) -> Int[Array, " N"]:
        """0, …, N − 1: all samples, to be given to a measure."""
        return jnp.arange(len(self.values))

    def _positions(self, x: Float[Array, "n d"]) -> Int[Array, " n"]:
        """Samples as integers."""
        size = len(self.values)
        if x.shape[1] != 1:
            raise ValueError(f"Precomputed: the samples are indices [n], not points of {x.shape[1]} coordinates.")
        positions = jnp.rint(jax.lax.stop_gradient(x[:, 0]))
        guard = _check.Guard()
        guard.require(
            ((positions == x[:, 0]) & (positions >= 0) & (positions < size)).all(),
            f"Precomputed: the samples must be indices, whole numbers from 0 to {size - 1}.",
        )
        return guard.on(positions).astype(int)

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """K_xy for two indices."""
        i, j = (self._positions(_check.as_point(index, name)[None])[0] for index, name in ((x, "x"), (y, "y")))
        return self.values[i, j]

    def prepare(self, x: Float[Array, "n d"]) -> Int[Array, " n"]:
        """Indices as integers."""
        return self._positions(x)

    def pairwise(self, px: Int[Array, " n"], py: Int[Array, " m"]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.values[px[:, None], py[None, :]]

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """K_ii."""
        i = self._positions(_check.as_samples(x, "x"))
        return self.values[i, i]
