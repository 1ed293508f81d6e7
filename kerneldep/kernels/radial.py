"""Kernels of the distance r = ‖x − x′‖: Gaussian, Laplace, Matérn, inverse multiquadric, rational quadratic.

A radial kernel here supplies its length, its profile as a function of s = (r/length)², and the law of its random
frequencies. Data are centred and divided by the length once (`prepare`); squared distances of a tile then come from
`squared_distances`.
"""

import abc
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity, parameter
from .tiles import Points, center, exact_unit, points, safe_abs, safe_sqrt, squared_distances, sum_over_coordinates


class AbstractRadialKernel(AbstractKernel):
    """A kernel of the distance: k(x, x′) = profile(s) with s = (‖x − x′‖ / length)²."""

    @abc.abstractmethod
    def length(self) -> Scalar:
        """The distance that scales the data."""

    @abc.abstractmethod
    def profile(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The kernel in terms of the scaled squared distance s ≥ 0; 1 at s = 0."""

    @abc.abstractmethod
    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """Random factors a of the frequencies ω = a·g, g ~ N(0, I), for which k(x, x′) is E cos(ωᵀ(x − x′))."""

    @property
    def rough(self) -> bool:
        """Whether the profile has a root at s = 0, so that rounding of small distances shows."""
        return False

    @property
    def stationarity(self) -> Stationarity:
        """A function of x − x′ alone."""
        return "strict"

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        difference = (_check.as_point(x, "x") - _check.as_point(y, "y")) / self.length()
        return self.profile((difference**2).sum())

    def prepare(self, x: Float[Array, "n d"]) -> Points:
        """Centred samples in about units of the length, and their squared norms."""
        return points((x - center(x)) / exact_unit(self.length(), x.dtype))

    def pairwise(self, px: Points, py: Points) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        scale = (exact_unit(self.length(), px.values.dtype) / self.length()) ** 2
        return self.profile(scale * squared_distances(px, py, rough=self.rough))

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """1 for every sample."""
        x = _check.as_samples(x, "x")
        return jnp.ones(len(x), x.dtype)


class Gaussian(AbstractRadialKernel):
    """k(x, x′) = exp(−r² / (2σ²)).

    Frequencies: N(0, I/σ²).

    Args:
        bandwidth: σ > 0, in the unit of x. See `median_bandwidth`.

    Example:
        >>> float(Gaussian(bandwidth=2.0)([0.0, 0.0], [2.0, 0.0]))
        0.6065306
    """

    positive: ClassVar[tuple[str, ...]] = ("bandwidth",)
    bandwidth: Float[Array, ""] = eqx.field(converter=parameter)

    def length(self) -> Scalar:
        """σ."""
        return self.bandwidth

    def profile(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """e^{−s/2}."""
        return jnp.exp(-0.5 * s)

    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """1/σ."""
        return jnp.ones((num, 1)) / self.bandwidth


class Laplace(AbstractKernel):
    """k(x, x′) = exp(−‖x − x′‖ / ℓ) with the L2 or the L1 norm.

    Frequencies: multivariate Cauchy of scale 1/ℓ (L2), product of Cauchy laws (L1).

    Args:
        length_scale: ℓ > 0, in the unit of x.
        norm: "l2" (then it is Matérn ½) or "l1".
    """

    positive: ClassVar[tuple[str, ...]] = ("length_scale",)
    length_scale: Float[Array, ""] = eqx.field(converter=parameter)
    norm: Literal["l2", "l1"] = eqx.field(static=True, default="l2")

    def __check_init__(self) -> None:
        if self.norm not in ("l2", "l1"):
            raise ValueError(f"Laplace.norm is {self.norm!r}: 'l2' or 'l1'.")

    @property
    def stationarity(self) -> Stationarity:
        """A function of x − x′ alone."""
        return "strict"

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """The kernel of two points [d]."""
        difference = (_check.as_point(x, "x") - _check.as_point(y, "y")) / self.length_scale
        return jnp.exp(-(safe_abs(difference).sum() if self.norm == "l1" else safe_sqrt((difference**2).sum())))

    def prepare(self, x: Float[Array, "n d"]) -> Points:
        """Centred samples in about units of ℓ."""
        return points((x - center(x)) / exact_unit(self.length_scale, x.dtype))

    def pairwise(self, px: Points, py: Points) -> Float[Array, "n m"]:
        """A tile of the Gram matrix."""
        scale = exact_unit(self.length_scale, px.values.dtype) / self.length_scale
        if self.norm == "l1":
            return jnp.exp(-scale * sum_over_coordinates(safe_abs, px.values, py.values))
        return jnp.exp(-scale * safe_sqrt(squared_distances(px, py, rough=True)))

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """1 for every sample."""
        x = _check.as_samples(x, "x")
        return jnp.ones(len(x), x.dtype)

    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """1/(ℓ|h|), h ~ N(0, 1): one h a frequency for L2, one a coordinate for L1."""
        return 1 / (self.length_scale * jnp.abs(jax.random.normal(key, (num, 1 if self.norm == "l2" else dim))))


class InverseMultiquadric(AbstractRadialKernel):
    """k(x, x′) = c / √(c² + r²), the kernel of SSL-HSIC.

    Frequencies: ω = ξ g / c with ξ ~ N(0, 1), g ~ N(0, I), since the kernel is a Gamma(½) scale mixture of Gaussians
    and √(2s), s ~ Gamma(½), is |N(0, 1)|. This exact sampler of any dimension replaces the tabulated Bessel-function
    amplitudes of Li et al. (2021).

    Args:
        scale: c > 0, in the unit of x.
    """

    positive: ClassVar[tuple[str, ...]] = ("scale",)
    scale: Float[Array, ""] = eqx.field(converter=parameter)

    def length(self) -> Scalar:
        """The scale c."""
        return self.scale

    def profile(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """(1 + s)^{−½}."""
        return jax.lax.rsqrt(1 + s)

    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """ξ/c, ξ ~ N(0, 1)."""
        return jax.random.normal(key, (num, 1)) / self.scale


class RationalQuadratic(AbstractRadialKernel):
    """k(x, x′) = (1 + r²/c²)^{−β}, also called general inverse multiquadric.

    The form (1 + r²/(2αℓ²))^{−α} of other libraries is β = α, c² = 2αℓ². Frequencies: √(2s)/c · g, s ~ Gamma(β, 1).

    Args:
        scale: c > 0, in the unit of x.
        exponent: β > 0.
    """

    positive: ClassVar[tuple[str, ...]] = ("scale", "exponent")
    scale: Float[Array, ""] = eqx.field(converter=parameter)
    exponent: Float[Array, ""] = eqx.field(converter=parameter, default=1.0)

    def length(self) -> Scalar:
        """The scale c."""
        return self.scale

    def profile(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """(1 + s)^{−β}."""
        return jnp.exp(-self.exponent * jnp.log1p(s))

    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """√(2s)/c, s ~ Gamma(β, 1)."""
        return jnp.sqrt(2 * jax.random.gamma(key, self.exponent, (num, 1))) / self.scale


class Matern(AbstractRadialKernel):
    """Matérn kernel of smoothness ν = ½, 3/2 or 5/2, with t = √(2ν) r/ℓ.

    ν = ½: e^{−t}; ν = 3/2: (1 + t)e^{−t}; ν = 5/2: (1 + t + t²/3)e^{−t}. Frequencies: multivariate t with 2ν degrees of
    freedom, scale 1/ℓ.

    Args:
        length_scale: ℓ > 0, in the unit of x.
        smoothness: ν.
    """

    positive: ClassVar[tuple[str, ...]] = ("length_scale",)
    length_scale: Float[Array, ""] = eqx.field(converter=parameter)
    smoothness: float = eqx.field(static=True, default=2.5)

    def __check_init__(self) -> None:
        if self.smoothness not in (0.5, 1.5, 2.5):
            raise ValueError(f"Matern.smoothness is {self.smoothness}: 0.5, 1.5 and 2.5 have closed forms.")

    @property
    def rough(self) -> bool:
        """Only ν = ½ has a root at r = 0."""
        return self.smoothness == 0.5

    def length(self) -> Scalar:
        """ℓ/√(2ν)."""
        return self.length_scale / (2 * self.smoothness) ** 0.5

    def profile(self, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The kernel in s = t²."""
        return {0.5: _matern_12, 1.5: _matern_32, 2.5: _matern_52}[self.smoothness](s)

    def frequency_scale(self, key: Key[Array, ""], num: int, dim: int) -> Float[Array, "num #dim"]:
        """√(2ν/χ²)/ℓ, χ² with 2ν degrees of freedom."""
        return jnp.sqrt(self.smoothness / jax.random.gamma(key, self.smoothness, (num, 1))) / self.length_scale


# In s = t² the Matérn profiles are smooth enough that their derivative at s = 0 is finite, but autodiff through the
# root does not see it and gives 0 at ties, and with it a wrong Hessian: so the derivatives are written out.


def _matern_12(s: Array) -> Array:
    return jnp.exp(-safe_sqrt(s))


@jax.custom_jvp
def _matern_32(s: Array) -> Array:
    t = safe_sqrt(s)
    return (1 + t) * jnp.exp(-t)


@_matern_32.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (s,), (ds,) = primals, tangents
    return _matern_32(s), -0.5 * _matern_12(s) * ds


@jax.custom_jvp
def _matern_52(s: Array) -> Array:
    t = safe_sqrt(s)
    return (1 + t + s / 3) * jnp.exp(-t)


@_matern_52.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (s,), (ds,) = primals, tangents
    return _matern_52(s), -_matern_32(s) / 6 * ds
