"""Multivariate Student t: dependent even without correlation."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key
from scipy.special import digamma, gammaln

from ... import _check
from ..._check import ArrayLike
from .base import AbstractDensityTask, paired_samples


class StudentT(AbstractDensityTask):
    """(X, Y) = g/√(s/ν): g as in `CorrelatedGaussian` (correlation ρ, d pairs), s ~ χ²_ν shared by all coordinates.

    I(X; Y) = −(d/2)·log(1 − ρ²) + c(ν, d, d): the Gaussian's, and a correction for the shared scale that does not
    depend on ρ (see `student_correction`), so that I > 0 also at ρ = 0.

    P(|X_a| > r) falls as r^{−ν}: of draws in float32 a share of some 10^{−39ν} is infinite, at ν = 0.1 one in 10⁴.

    Args:
        dof: ν > 0.
        correlation: −1 < ρ < 1, of the Gaussian g.
        dim: d.
    """

    dof: float = eqx.field(converter=float, static=True)
    correlation: float = eqx.field(converter=float, static=True, default=0.0)
    dim: int = eqx.field(converter=_check.as_index, static=True, default=1)

    def __check_init__(self) -> None:
        if not (self.dof > 0 and math.isfinite(self.dof)):
            raise ValueError(f"dof is {self.dof}: a positive number is needed.")
        if not -1 < self.correlation < 1:
            raise ValueError(f"correlation is {self.correlation}: −1 < ρ < 1 is needed.")
        _check.as_count(self.dim, "dim", 1)

    @property
    def name(self) -> str:
        """For example "student-3dof-2d"."""
        return f"student-{self.dof:g}dof-{self.dim}d"

    @property
    def mutual_information(self) -> float:
        """In nats."""
        gaussian = -0.5 * self.dim * math.log1p(-(self.correlation**2))
        return gaussian + student_correction(self.dof, self.dim, self.dim)

    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        """A Gaussian pair over one χ each."""
        key_normal, key_scale = jax.random.split(key)
        x, noise = jax.random.normal(key_normal, (2, n, self.dim))
        # The logarithm, since for small ν a χ² vanishes long before its root does.
        log_square = jax.random.loggamma(key_scale, self.dof / 2, (n, 1)) - math.log(self.dof / 2)
        scale = jnp.exp(-0.5 * log_square)
        return scale * x, scale * (self.correlation * x + math.sqrt(1 - self.correlation**2) * noise)

    def critic(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """Log p(x_i, y_j)/(p(x_i)p(y_j)); cost of a matrix product."""
        return _student_critic(self, *paired_samples(x, y, self.dim, self.dim))


@eqx.filter_jit
def _student_critic(task: StudentT, x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    dof, rho, dim = task.dof, task.correlation, task.dim
    # Points far out are measured in units of their own, powers of two, a pair in the larger one: no square overflows.
    (x, unit_x), (y, unit_y) = _in_units(x, dof), _in_units(y, dof)
    unit_y = unit_y.T
    unit = jnp.maximum(unit_x, unit_y)
    of_x, of_y = unit_x / unit, unit_y / unit
    inner = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    square_x, square_y = (x**2).sum(1)[:, None], (y**2).sum(1)[None, :]
    both = of_x**2 * square_x + of_y**2 * square_y
    # The matrix product may round below what there is where x and y nearly coincide and |ρ| is near 1.
    squared = jnp.maximum(both - 2 * rho * (of_x * of_y) * inner, (1 - abs(rho)) * both)
    log_joint = _log1p_square(squared / (1 - rho**2) / dof, unit)
    log_margins = _log1p_square(square_x / dof, unit_x) + _log1p_square(square_y / dof, unit_y)
    constant = gammaln(dof / 2 + dim) + gammaln(dof / 2) - 2 * gammaln((dof + dim) / 2)
    constant -= 0.5 * dim * math.log1p(-(rho**2))
    return float(constant) + 0.5 * (dof + dim) * log_margins - (0.5 * dof + dim) * log_joint


def _in_units(x: Float[Array, "n d"], dof: float) -> tuple[Float[Array, "n d"], Float[Array, "n 1"]]:
    """Points in units of their size, if that is above 1 and √ν, and the units."""
    size = jnp.maximum(jnp.abs(x).max(1, keepdims=True) / max(math.sqrt(dof), 1.0), 1)
    unit = jnp.ldexp(jnp.ones_like(size), jnp.frexp(size)[1] - 1)
    return x / unit, unit


def _log1p_square(squared: Float[Array, "n m"], unit: Float[Array, "n m"]) -> Float[Array, "n m"]:
    """Log(1 + s·u²) of a square s in units u ≥ 1."""
    return jnp.log1p(squared - (1 - 1 / unit / unit)) + 2 * jnp.log(unit)


def student_correction(dof: float, dim_x: int, dim_y: int) -> float:
    """I(X; Y) of a multivariate Student t with uncorrelated X and Y: what their shared scale tells.

    c(ν, d_x, d_y) = η(d_x) + η(d_y) − η(d_x + d_y), with h_k = ½k·log(νπ) + η(k) the entropy of k coordinates and
    η(k) = log Γ(ν/2) − log Γ((ν + k)/2) + ½(ν + k)[ψ((ν + k)/2) − ψ(ν/2)]. It falls to 0 as ν → ∞.

    Source: Arellano-Valle et al. (2013) for the entropy.
    """

    def entropy(dim: int) -> float:
        half = (dof + dim) / 2
        return float(gammaln(dof / 2) - gammaln(half) + half * (digamma(half) - digamma(dof / 2)))

    return entropy(dim_x) + entropy(dim_y) - entropy(dim_x + dim_y)
