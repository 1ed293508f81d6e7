"""The kernel of categories: labels, image identities, clusters."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, parameter
from .tiles import sum_over_coordinates


class Label(AbstractKernel):
    """k(y, y′) = `same` if y = y′ (in every coordinate), else `different`.

    Positive semi-definite on N labels iff same ≥ different and same + (N − 1)·different ≥ 0. HSIC depends only on
    Δl = same − different, in which it is linear (Li et al. 2021).

    Args:
        same: l₁.
        different: l₀.
    """

    same: Float[Array, ""] = eqx.field(converter=parameter, default=1.0)
    different: Float[Array, ""] = eqx.field(converter=parameter, default=0.0)

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two labels."""
        return jnp.where((_check.as_point(x, "x") == _check.as_point(y, "y")).all(), self.same, self.different)

    def pairwise(self, px: Float[Array, "n d"], py: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""

        def differs(difference: Array) -> Any:
            return (difference != 0).astype(px.dtype)

        mismatches = sum_over_coordinates(differs, px, py)
        return self.different + (self.same - self.different) * (mismatches == 0).astype(px.dtype)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """`same` for every sample."""
        x = _check.as_samples(x, "x")
        return jnp.full(len(x), self.same, x.dtype)
