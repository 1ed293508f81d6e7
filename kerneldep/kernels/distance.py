"""The kernel behind distance covariance and energy distance."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity
from .tiles import Points, points, safe_sqrt, squared_distances


class Distance(AbstractKernel):
    """k(x, x′) = ½(‖x‖^e + ‖x′‖^e − ‖x − x′‖^e), the covariance of fractional Brownian motion.

    With it on both sides, distance covariance is dCov² = 4·HSIC, biased with the V-statistic and unbiased with the
    U-statistic (Sejdinovic et al. 2013). HSIC does not depend on the origin the norms are taken from.

    Args:
        exponent: e in (0, 2]; below 2 the measure sees every dependence (e = 2 is the linear kernel).
    """

    exponent: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if not 0 < self.exponent <= 2:
            raise ValueError(f"Distance.exponent is {self.exponent!r}: it must lie in (0, 2].")

    @property
    def stationarity(self) -> Stationarity:
        """A translation changes only terms u(x) + u(x′)."""
        return "intrinsic"

    def _power(self, s: Array) -> Array:
        """s^{e/2} with derivative 0 at 0 (for e < 2)."""
        if self.exponent == 2:
            return s
        if self.exponent == 1:
            return safe_sqrt(s)
        return jnp.where(s > 0, jnp.where(s > 0, s, 1) ** (self.exponent / 2), 0)

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        x, y = _check.as_point(x, "x"), _check.as_point(y, "y")
        return 0.5 * (self._power((x**2).sum()) + self._power((y**2).sum()) - self._power(((x - y) ** 2).sum()))

    def prepare(self, x: Float[Array, "n d"]) -> Points:
        """Samples and their squared norms."""
        return points(x)

    def pairwise(self, px: Points, py: Points) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        norms = self._power(px.norms)[:, None] + self._power(py.norms)[None, :]
        return 0.5 * (norms - self._power(squared_distances(px, py, rough=True)))

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """‖x_i‖^e."""
        return self._power((_check.as_samples(x, "x") ** 2).sum(1))
