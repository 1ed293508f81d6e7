"""Kernels of the dot product xᵀx′: linear, polynomial, cosine."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity, parameter


def _products(px: Float[Array, "n d"], py: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return jnp.matmul(px, py.T, precision=jax.lax.Precision.HIGHEST)


def normalise(x: Float[Array, "*shape d"]) -> Float[Array, "*shape d"]:
    """x/‖x‖, and 0 with derivative 0 for x = 0."""
    # Scaled by the largest entry first, so that the square neither overflows nor vanishes.
    largest = jax.lax.stop_gradient(jnp.abs(x).max(-1, keepdims=True))
    x = x / jnp.where(largest > 0, largest, 1)
    squared = (x**2).sum(-1, keepdims=True)
    return x * jnp.where(squared > 0, jax.lax.rsqrt(jnp.where(squared > 0, squared, 1)), 0)


class Linear(AbstractKernel):
    """k(x, x′) = xᵀx′. HSIC with it sees linear dependence only: the squared Frobenius norm of the cross-covariance."""

    @property
    def stationarity(self) -> Stationarity:
        """A translation adds only terms u(x) + u(x′)."""
        return "intrinsic"

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        return _check.as_point(x, "x") @ _check.as_point(y, "y")

    def pairwise(self, px: Float[Array, "n d"], py: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return _products(px, py)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """‖x_i‖²."""
        return (_check.as_samples(x, "x") ** 2).sum(1)


class Polynomial(AbstractKernel):
    """k(x, x′) = (a xᵀx′ + c)^p.

    Args:
        degree: p, an integer ≥ 1.
        scale: a > 0.
        offset: c; the kernel is positive definite for c ≥ 0.
    """

    positive: ClassVar[tuple[str, ...]] = ("scale",)
    degree: int = eqx.field(static=True, default=2)
    scale: Float[Array, ""] = eqx.field(converter=parameter, default=1.0)
    offset: Float[Array, ""] = eqx.field(converter=parameter, default=1.0)

    def __check_init__(self) -> None:
        if not isinstance(self.degree, int) or self.degree < 1:
            raise ValueError(f"Polynomial.degree is {self.degree!r}: an integer ≥ 1 is needed.")

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        return (self.scale * (_check.as_point(x, "x") @ _check.as_point(y, "y")) + self.offset) ** self.degree

    def pairwise(self, px: Float[Array, "n d"], py: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return (self.scale * _products(px, py) + self.offset) ** self.degree

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """(a‖x_i‖² + c)^p."""
        return (self.scale * (_check.as_samples(x, "x") ** 2).sum(1) + self.offset) ** self.degree


class Cosine(AbstractKernel):
    """k(x, x′) = xᵀx′ / (‖x‖‖x′‖), and 0 if one of them is 0. Divided by a temperature it is InfoNCE's critic."""

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        return normalise(_check.as_point(x, "x")) @ normalise(_check.as_point(y, "y"))

    def prepare(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Samples on the unit sphere."""
        return normalise(x)

    def pairwise(self, px: Float[Array, "n d"], py: Float[Array, "m d"]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return _products(px, py)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """1, and 0 where x_i = 0."""
        x = _check.as_samples(x, "x")
        return (x != 0).any(1).astype(x.dtype)
