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
    dim: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        if not (self.information >= 0 and math.isfinite(self.information)):
            raise ValueError(f"information is {self.information}: a finite number of nats ≥ 0 is needed.")
        if self.dim < 1:
            raise ValueError(f"dim is {self.dim}: at least 1 is needed.")

    @classmethod
    def with_correlation(cls, correlation: float, dim: int = 1) -> "CorrelatedGaussian":
        """The task of a given 0 ≤ ρ < 1."""
        if not 0 <= correlation < 1:
            raise ValueError(f"correlation is {correlation}: 0 ≤ ρ < 1 is needed.")
        return cls(-0.5 * dim * math.log1p(-(correlation**2)), dim)

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
    if dim < 1:
        raise ValueError(f"dim is {dim}: at least 1 is needed.")
    rho = guard.on(rho)
    # 2/(σ² + 2) of each kernel: no square overflows.
    log_c = -0.5 * (jnp.log1p(2 / wide_x**2) + jnp.log1p(2 / wide_y**2))
    q = rho**2 / ((wide_x**2 + 2) * (wide_y**2 + 2))
    joint, crossed = (jnp.expm1(-0.5 * dim * jnp.log1p(-factor * q)) for factor in (4, 1))
    return jnp.exp(dim * log_c) * (joint - 2 * crossed)
