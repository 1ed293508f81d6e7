"""Correlated Gaussians: mutual information, exact critic and population HSIC in closed form."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from ... import _check
from ..._check import ArrayLike
from .base import AbstractDensityTask, paired_samples


class CorrelatedGaussian(AbstractDensityTask):
    """Standard normal X and Y in ℝ^d with Corr(X_a, Y_a) = ρ and all other coordinates independent.

    I(X; Y) = −(d/2)·log(1 − ρ²), so that ρ = √(1 − e^{−2I/d}).

    Args:
        information: I ≥ 0 in nats.
        dim: d.

    Example:
        >>> task = CorrelatedGaussian(2.0, dim=20)
        >>> x, y = task.sample(jax.random.key(0), 1024)
        >>> scores = task.critic(x, y)  # [1024, 1024]
        >>> float(scores.diagonal().mean())  # its mean over the joint law is I
        2.0
    """

    information: float = eqx.field(converter=float, static=True)
    dim: int = eqx.field(converter=_check.as_index, static=True, default=1)

    def __check_init__(self) -> None:
        if not (self.information >= 0 and math.isfinite(self.information)):
            raise ValueError(f"information is {self.information}: a finite number of nats ≥ 0 is needed.")
        _check.as_count(self.dim, "dim", 1)

    @classmethod
    def with_correlation(cls, correlation: float, dim: int = 1) -> "CorrelatedGaussian":
        """The task of a given 0 ≤ ρ < 1."""
        correlation = _check.as_number(correlation, "correlation", lambda rho: 0 <= rho < 1, "0 ≤ ρ < 1")
        return cls(-0.5 * _check.as_count(dim, "dim", 1) * math.log1p(-(correlation**2)), dim)

    @property
    def name(self) -> str:
        """For example "gaussian-20d"."""
        return f"gaussian-{self.dim}d"

    @property
    def mutual_information(self) -> float:
        """I, in nats."""
        return self.information

    @property
    def correlation(self) -> float:
        """ρ = √(1 − e^{−2I/d}) of each pair of coordinates."""
        return math.sqrt(-math.expm1(-2 * self.information / self.dim))

    @property
    def conditional_variance(self) -> float:
        """1 − ρ² = e^{−2I/d}, with all its digits also for ρ near 1."""
        return math.exp(-2 * self.information / self.dim)

    @property
    def ratio_variance(self) -> float:
        """Var r = e^{2I} − 1 of the density ratio r = p(x, y)/(p(x)p(y)) under p(x)p(y).

        By E_prod r² = Σ_k ρ^{2k} = 1/(1 − ρ²) in each coordinate (Mehler's expansion). The product term of NWJ at its
        best critic is a mean of r: over n independent pairs its variance is (e^{2I} − 1)/n.
        """
        return math.expm1(2 * self.information)

    def draw(self, key: Key[Array, ""], n: int) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        """Y = ρX + √(1 − ρ²)·ε."""
        x, noise = jax.random.normal(key, (2, n, self.dim))
        return x, self.correlation * x + math.sqrt(self.conditional_variance) * noise

    def critic(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """Log p(y_j | x_i)/p(y_j) = I + [ρ·x_iᵀy_j − ρ²(‖x_i‖² + ‖y_j‖²)/2]/(1 − ρ²); cost of a matrix product.

        Rounding is divided by 1 − ρ² = e^{−2I/d}: in float32 some 10⁻³ nats at I/d = 3 (d = 20); use float64 beyond 4.
        """
        return _gaussian_critic(self, *paired_samples(x, y, self.dim, self.dim))

    def hsic(self, bandwidth_x: ArrayLike = 1.0, bandwidth_y: ArrayLike = 1.0) -> Scalar:
        """Population HSIC with Gaussian kernels (see `gaussian_hsic`)."""
        return gaussian_hsic(self.correlation, bandwidth_x, bandwidth_y, dim=self.dim)


@eqx.filter_jit
def _gaussian_critic(task: CorrelatedGaussian, x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    rho, left = task.correlation, task.conditional_variance
    inner = jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
    halves = [0.5 * rho**2 * (points**2).sum(1) for points in (x, y)]
    return task.information + (rho * inner - halves[0][:, None] - halves[1][None, :]) / left


def gaussian_hsic(
    correlation: ArrayLike, bandwidth_x: ArrayLike = 1.0, bandwidth_y: ArrayLike = 1.0, *, dim: int = 1
) -> Scalar:
    """Population HSIC of correlated Gaussians with Gaussian kernels, in closed form.

    X and Y are as in `CorrelatedGaussian`, of correlation ρ in each of d pairs of coordinates; the kernels are
    exp(−r²/(2σ²)) with σ_x and σ_y. Each expectation of HSIC is of exp(−quadratic), one determinant a coordinate:

        HSIC = c^d [(1 − 4q)^{−d/2} − 2(1 − q)^{−d/2} + 1],
        q = ρ²/((σ_x² + 2)(σ_y² + 2)), c² = σ_x²σ_y²/((σ_x² + 2)(σ_y² + 2)).

    Args:
        correlation: −1 ≤ ρ ≤ 1; only ρ² matters.
        bandwidth_x: σ_x > 0.
        bandwidth_y: σ_y > 0.
        dim: d.

    Returns:
        A scalar, differentiable in ρ and both bandwidths, with all its digits also where ρ is small.

    Raises:
        ValueError: if an argument is out of its range (a RuntimeError at run time if it is traced).

    Example:
        >>> float(gaussian_hsic(0.5))
        0.0107633
    """
    guard = _check.Guard()
    rho, wide_x, wide_y = (jnp.asarray(value, float) for value in (correlation, bandwidth_x, bandwidth_y))
    guard.require((jnp.abs(rho) <= 1).all(), "correlation must lie in [−1, 1].")
    for value, name in ((wide_x, "bandwidth_x"), (wide_y, "bandwidth_y")):
        guard.require(((value > 0) & jnp.isfinite(value)).all(), f"{name} must be positive and finite.")
    half = 0.5 * _check.as_count(dim, "dim", 1)
    rho = guard.on(rho)
    # c² = s_x·s_y and 4q = ρ²·t_x·t_y with s = σ²/(σ² + 2), t = 1 − s, from log(σ²/2): no square overflows or vanishes.
    of_x, of_y = (2 * jnp.log(wide) - math.log(2) for wide in (wide_x, wide_y))
    log_c_squared = jax.nn.log_sigmoid(of_x) + jax.nn.log_sigmoid(of_y)
    s_x, s_y, t_x, t_y = (jax.nn.sigmoid(value) for value in (of_x, of_y, -of_x, -of_y))
    four_q = rho**2 * t_x * t_y
    # 1 − 4q near 0 is a sum of positive parts, never below 1 − t_x·t_y, which as a logarithm cannot vanish.
    left = (1 - rho) * (1 + rho) + rho**2 * (s_x + t_x * s_y)
    seen = left > jnp.finfo(left.dtype).tiny
    least = jnp.logaddexp(jax.nn.log_sigmoid(of_x), jax.nn.log_sigmoid(-of_x) + jax.nn.log_sigmoid(of_y))
    near_one = jnp.where(seen, jnp.log(jnp.where(seen, left, 1)), least)
    small = four_q < 0.5
    log_joint = -half * jnp.where(small, jnp.log1p(-jnp.where(small, four_q, 0)), near_one)
    log_crossed = -half * jnp.log1p(-0.25 * four_q)
    # e^J − 2e^C + 1 with e^J taken out, since J has no limit, and d·log c + J ≤ 0.
    rest = -jnp.expm1(-log_joint) + 2 * jnp.exp(log_crossed - log_joint) * jnp.expm1(-log_crossed)
    return jnp.exp(half * log_c_squared + log_joint) * rest
