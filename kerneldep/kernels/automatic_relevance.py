"""A kernel with a length scale for every coordinate."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity, parameter
from .tiles import center


class AutomaticRelevance(AbstractKernel):
    """k(x/ℓ, x′/ℓ) with a length scale ℓ_a for every coordinate: automatic relevance determination (Neal 1996).

    A coordinate whose trained ℓ_a is long is irrelevant. With a radial kernel, leave that kernel's own length at 1:
    only the products of both matter.

    Args:
        kernel: the kernel of the scaled points.
        length_scales: ℓ [d], positive, ℓ_a in the unit of x_a; gradients reach them.

    Example:
        >>> from kerneldep.kernels import Gaussian
        >>> kernel = AutomaticRelevance(Gaussian(1.0), [2.0, 1000.0])
        >>> float(kernel([0.0, 0.0], [2.0, 1.0]))  # e^{−½}: the second coordinate hardly counts
        0.60653
    """

    positive: ClassVar[tuple[str, ...]] = ("length_scales",)
    per_coordinate: ClassVar[tuple[str, ...]] = ("length_scales",)
    kernel: AbstractKernel
    length_scales: Float[Array, " d"] = eqx.field(converter=parameter)

    @property
    def stationarity(self) -> Stationarity:
        """That of the kernel."""
        return self.kernel.stationarity

    def scaled(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """x/ℓ, coordinate by coordinate.

        Raises:
            ValueError: if x and ℓ differ in dimension.
        """
        if x.shape[-1] != len(self.length_scales):
            raise ValueError(
                f"AutomaticRelevance has {len(self.length_scales)} length scales, "
                f"the samples {x.shape[-1]} coordinates."
            )
        # Behind the barrier equal points stay equal: divided anew for every pair, they would not (see `exact_unit`).
        return jax.lax.optimization_barrier(x / self.length_scales.reshape((1,) * (x.ndim - 1) + (-1,)))

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        x, y = _check.as_point(x, "x"), _check.as_point(y, "y")
        if self.stationarity == "strict":  # scaling the difference alone keeps its digits
            x, y = x - y, jnp.zeros_like(y)
        return self.kernel(self.scaled(x), self.scaled(y))

    def prepare(self, x: Float[Array, "n d"]) -> Any:
        """The kernel's preparation of the scaled samples, centred first where that changes nothing but digits."""
        return self.kernel.prepare(self.scaled(x - center(x) if self.stationarity == "strict" else x))

    def pairwise(self, px: Any, py: Any) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        return self.kernel.pairwise(px, py)

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """The diagonal on the scaled samples."""
        return self.kernel.diagonal(self.scaled(_check.as_samples(x, "x")))
