"""InfoNCE is HSIC with another regulariser: the decomposition, the expansion and the bounds (Li et al. 2021)."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.identity import IdentitySums, same_sum
from ..dependence.tiled import map_rows, side
from ..kernels import AbstractKernel, Cosine, Scaled
from ..kernels.base import check_parameters

Estimate = Literal["population", "sample"]


class InfoNCEHSIC(eqx.Module):
    """What `infonce_hsic` finds. All are scalars (arrays after `vmap`), in nats where the kernel is InfoNCE's critic.

    Attributes:
        dependence: dep = E_pos k − E k = (N/Δl)·HSIC(Z, Y).
        self_dependence: HSIC(Z, Z), the V-statistic of the distribution of Z.
        mean_variance: E_Z Var_Z′ k(Z, Z′) = HSIC(Z, Z) + Var_Z E_Z′ k (I3), so at least HSIC(Z, Z).
        infonce: L = −E_pos k + E_Z log E_Z′ e^k, with the population denominator.
        gap: L + dep = E Λ, Λ(z) = log E e^{k(z,Z′) − E k(z,Z′)} ≥ 0 (I1).
        range: R = max k − min k over the support.
        lower_hsic: γ_R·HSIC(Z, Z), the lower end of the sandwich (I4).
        lower_variance: γ_R·E Var.
        upper_log: log(1 + β·E Var).
        upper_hoeffding: R²/8.
        expansion_error_bound: E R(Z)³/(36√3) ≥ |gap − ½E Var|, R(z) the range of k(z, ·) (kerneldep's).
    """

    dependence: Scalar
    self_dependence: Scalar
    mean_variance: Scalar
    infonce: Scalar
    gap: Scalar
    range: Scalar
    lower_hsic: Scalar
    lower_variance: Scalar
    upper_log: Scalar
    upper_hoeffding: Scalar
    expansion_error_bound: Scalar

    @property
    def half_variance(self) -> Array:
        """½ E Var, the second-order expansion of the gap (I2): good for small R, not at usual temperatures."""
        return 0.5 * self.mean_variance

    @property
    def expansion(self) -> Array:
        """−dep + ½E Var, the second-order expansion of L (I2).

        With k = cos/τ, τ times it is −dep_cos + (1/2τ)E Var_cos (I5), off from τL by at most τ·`expansion_error_bound`
        = E R_cos(Z)³/(36√3 τ²).
        """
        return self.half_variance - self.dependence

    @property
    def equivalent_gamma(self) -> Array:
        """The γ at which SSL-HSIC's −dep + γ√HSIC(Z, Z), with this kernel, equals L: gap/√HSIC(Z, Z) (kerneldep's).

        Where the expansion holds and the mean similarity is constant it is ½√HSIC(Z, Z), and equal *gradients* need
        twice that, γ = √HSIC(Z, Z) = √HSIC_cos/τ: inversely proportional to the temperature. 0 at collapse.
        """
        some = self.self_dependence > 0
        return jnp.where(some, self.gap / jnp.sqrt(jnp.where(some, self.self_dependence, 1)), 0)

    @property
    def lower(self) -> Array:
        """The sharper lower bound on the gap."""
        return self.lower_variance

    @property
    def upper(self) -> Array:
        """The sharper upper bound on the gap."""
        return jnp.minimum(self.upper_log, self.upper_hoeffding)


def infonce_hsic(
    views: ArrayLike,
    temperature: ArrayLike = 0.5,
    *,
    kernel: AbstractKernel | None = None,
    estimate: Estimate = "population",
) -> InfoNCEHSIC:
    """InfoNCE beside dep, its regulariser and the bounds between them, on given representations.

    The decomposition is exact: L_InfoNCE = −dep + E Λ(Z) with Λ(z) = log E exp(k(z, Z′) − E k(z, Z′)) ≥ 0. For a small
    range of k, Λ ≈ ½Var k, so L ≈ −dep + ½E Var; for any bounded k

        γ_R·HSIC(Z, Z) ≤ γ_R·E Var ≤ L + dep ≤ min{ log(1 + β·E Var), R²/8 },

    α = (e^{−R} − 1 + R)/R², β = (e^R − 1 − R)/R², γ_R = 4·log(1 + αR²/4)/R² (the sandwich is kerneldep's; the paper has
    its small-variance version). It holds because one distribution of Z′, the MB views equally likely and the anchor
    among them, serves the denominator and every expectation.

    The error of the expansion is a third cumulant: with K(t) = log E e^{tU}, U = k(z, Z′) − E k(z, Z′), Taylor's
    theorem leaves Λ − ½Var = K‴(t)/6 for some t in [0, 1]. K‴(t) is the third central moment of a tilted law of U, and
    no law on an interval of length R has one beyond R³/(6√3): the extreme ones of given mean have two points.

    Args:
        views: representations [M, B, d].
        temperature: τ > 0 of the default kernel cos/τ; then τL ≈ −dep_cos + (1/2τ)E Var_cos (I5).
        kernel: any bounded kernel k instead of cos/τ (then `temperature` is ignored).
        estimate: "population": the views are the whole population, M equally likely views of each of B images, and
            E_pos includes p = q. "sample": E_pos is over different views only, unbiased for a larger population; the
            gap and the bounds are those of the sampled views either way.

    Returns:
        An `InfoNCEHSIC`. Time (MB)²d; rows of the Gram matrix are held a tile at a time.

    Raises:
        TypeError: something that is no kernel, or no temperature.
        ValueError: M = 1 or B = 1, NaN or infinite values, τ ≤ 0, an unknown estimate, a range of k whose cube
            overflows.

    Example:
        >>> views = jax.random.normal(jax.random.key(0), (2, 50, 8))
        >>> found = infonce_hsic(views, temperature=0.5)
        >>> bool(found.lower <= found.gap <= found.upper)
        True
    """
    if estimate not in get_args(Estimate):
        raise ValueError(f"estimate is {estimate!r}: one of {get_args(Estimate)} is needed.")
    guard = _check.Guard()
    checked = _check.as_views(views, "views", guard)
    if kernel is None:
        tau = _check.as_scalar(temperature, "temperature", checked.dtype, guard)
        guard.require(tau > 0, "temperature must be positive.")
        kernel = Scaled(Cosine(), 1 / tau)
    check_parameters(kernel, "kernel", guard)
    found, late = _infonce_hsic(guard.on(checked), kernel, estimate), _check.Guard()
    leaves, structure = jax.tree.flatten(found)
    values = jnp.stack(leaves)
    late.require(
        jnp.isfinite(values).all(),
        "The range of k is so large that its cube overflows: scale k down, or raise the temperature.",
    )
    return jax.tree.unflatten(structure, list(late.on(values)))


@eqx.filter_jit
def _infonce_hsic(views: Float[Array, "M B d"], kernel: AbstractKernel, estimate: Estimate) -> InfoNCEHSIC:
    num_views, batch, dim = views.shape
    one = side(kernel, views.reshape(-1, dim))
    n = num_views * batch

    def of_rows(rows: Float[Array, "t n"], _: Int[Array, " t"]) -> tuple[Array, ...]:
        mean = rows.mean(1, keepdims=True)
        centred = rows - mean
        # Λ = log(1 + E[e^u − 1 − u]) since E u = 0: no digit is lost where u is small. Large u are shifted first.
        top = centred.max(1)
        small = jnp.log1p(exponential_remainder(jnp.minimum(centred, 1)).mean(1))
        large = jax.nn.logsumexp(centred, axis=1) - jnp.log(n)
        cumulant = jnp.where(top <= 1, small, large)
        return mean[:, 0] - one.shift, (centred**2).mean(1), cumulant, rows.max(1), rows.min(1)

    mean, variance, cumulant, high, low = map_rows(of_rows, kernel, one.points)
    diagonal = (one.diagonal - one.shift).sum()
    sums = IdentitySums(same_sum(one, num_views), diagonal, n * mean.sum() - diagonal)
    dependence = sums.dependence(num_views, batch, "population" if estimate == "population" else "paper", None)
    mean_variance = variance.mean()
    self_dependence = jnp.maximum(mean_variance - mean.var(), 0)
    spread, gap = high.max() - low.min(), cumulant.mean()
    lower = lower_factor(spread)
    return InfoNCEHSIC(
        dependence=dependence,
        self_dependence=self_dependence,
        mean_variance=mean_variance,
        infonce=gap - dependence,
        gap=gap,
        range=spread,
        lower_hsic=lower * self_dependence,
        lower_variance=lower * mean_variance,
        upper_log=log_upper_bound(spread, mean_variance),
        upper_hoeffding=spread**2 / 8,
        expansion_error_bound=((high - low) ** 3).mean() / (36 * 3**0.5),
    )


def remainder_ratio(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """(e^x − 1 − x)/x², ½ at 0, by its series for |x| < ½, where the quotient loses digits."""
    near = jnp.abs(x) < 0.5
    small, safe = jnp.where(near, x, 0), jnp.where(near, 1, x)
    series = jnp.ones_like(x)
    for term in range(14, 2, -1):
        series = 1 + small / term * series
    return jnp.where(near, 0.5 * series, (jnp.expm1(safe) - safe) / safe**2)


def exponential_remainder(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """e^x − 1 − x with all its digits."""
    return x**2 * remainder_ratio(x)


def lower_factor(spread: Scalar) -> Scalar:
    """γ_R = 4·log(1 + αR²/4)/R², α = (e^{−R} − 1 + R)/R²; ½ at R = 0."""
    alpha = remainder_ratio(-spread)
    quarter = alpha * spread**2 / 4
    positive = quarter > 0
    ratio = jnp.where(positive, jnp.log1p(quarter) / jnp.where(positive, quarter, 1), 1)
    return alpha * ratio


def log_upper_bound(spread: Scalar, mean_variance: Scalar) -> Scalar:
    """log(1 + β·v), β = (e^R − 1 − R)/R², in logarithms where e^R is large."""
    wide = spread > 1
    safe = jnp.where(wide, spread, 1)
    log_beta = safe + jnp.log1p(-(1 + safe) * jnp.exp(-safe)) - 2 * jnp.log(safe)
    some = mean_variance > 0
    in_logs = jnp.logaddexp(0.0, log_beta + jnp.log(jnp.where(some, mean_variance, 1)))
    direct = jnp.log1p(remainder_ratio(jnp.minimum(spread, 1)) * mean_variance)
    return jnp.where(wide & some, in_logs, direct)
