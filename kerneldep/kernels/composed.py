"""Kernels made of kernels: sum, product, positive multiple, and a kernel on a network's features."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity, parameter


class Sum(AbstractKernel):
    """k₁ + k₂; written `k1 + k2`."""

    first: AbstractKernel
    second: AbstractKernel

    @property
    def stationarity(self) -> Stationarity:
        """The weaker of the two."""
        both = {self.first.stationarity, self.second.stationarity}
        return "none" if "none" in both else "intrinsic" if "intrinsic" in both else "strict"

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        return self.first(x, y) + self.second(x, y)

    def prepare(self, x: Float[Array, "n d"]) -> tuple[Any, Any]:
        """Both preparations."""
        return self.first.prepare(x), self.second.prepare(x)

    def pairwise(self, px: tuple[Any, Any], py: tuple[Any, Any]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.first.pairwise(px[0], py[0]) + self.second.pairwise(px[1], py[1])

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """Sum of the diagonals."""
        return self.first.diagonal(x) + self.second.diagonal(x)


class Product(AbstractKernel):
    """k₁ · k₂; written `k1 * k2`."""

    first: AbstractKernel
    second: AbstractKernel

    @property
    def stationarity(self) -> Stationarity:
        """Strict if both are; terms u(x) + u(x′) do not survive a product."""
        return "strict" if self.first.stationarity == self.second.stationarity == "strict" else "none"

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        return self.first(x, y) * self.second(x, y)

    def prepare(self, x: Float[Array, "n d"]) -> tuple[Any, Any]:
        """Both preparations."""
        return self.first.prepare(x), self.second.prepare(x)

    def pairwise(self, px: tuple[Any, Any], py: tuple[Any, Any]) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.first.pairwise(px[0], py[0]) * self.second.pairwise(px[1], py[1])

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """Product of the diagonals."""
        return self.first.diagonal(x) * self.second.diagonal(x)


class Scaled(AbstractKernel):
    """a · k with a > 0; written `a * k`."""

    positive: ClassVar[tuple[str, ...]] = ("factor",)
    kernel: AbstractKernel
    factor: Float[Array, ""] = eqx.field(converter=parameter)

    @property
    def stationarity(self) -> Stationarity:
        """That of the kernel."""
        return self.kernel.stationarity

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        return self.factor * self.kernel(x, y)

    def prepare(self, x: Float[Array, "n d"]) -> Any:
        """The kernel's own preparation."""
        return self.kernel.prepare(x)

    def pairwise(self, px: Any, py: Any) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.factor * self.kernel.pairwise(px, py)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """The diagonal, scaled."""
        return self.factor * self.kernel.diagonal(x)


class Deep(AbstractKernel):
    """k(g(x), g(x′)) with a network g: a deep kernel (Wilson et al. 2016). The network runs n times, not n².

    Args:
        network: maps one point [d] to one feature vector [m]; any Equinox module, whose weights are then trained
            through the kernel.
        kernel: the kernel on features.
    """

    network: Callable[[Array], Array]
    kernel: AbstractKernel

    def _features(self, x: Float[Array, "n d"]) -> Float[Array, "n m"]:
        return jax.vmap(self.network)(x)

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        return self.kernel(self.network(_check.as_point(x, "x")), self.network(_check.as_point(y, "y")))

    def prepare(self, x: Float[Array, "n d"]) -> Any:
        """The kernel's preparation of the network's features."""
        return self.kernel.prepare(self._features(x))

    def pairwise(self, px: Any, py: Any) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.kernel.pairwise(px, py)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """The diagonal on the features."""
        return self.kernel.diagonal(self._features(_check.as_samples(x, "x")))
