"""How much InfoNCE can show: the ceiling set by the number of candidates, the temperature and the dimension."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _check
from .._check import ArrayLike

NODES = 256

QUADRATURE = 2048
"""The largest dimension for quadrature: beyond it the law of the cosine is narrow beside the nodes' spacing."""


def reachable_infonce(num_candidates: int, temperature: ArrayLike, dim: int | None = None) -> Float[Array, "*shape"]:
    """The largest log K − L_K of InfoNCE with one positive and K − 1 negatives, for unit vectors (I6).

    L_K = E −log(e^{s⁺/τ}/Σ_j e^{s_j/τ}) over a batch of K images, each image the others' negative. Its log K − L_K, the
    estimate of mutual information, is at most log K, and less than that because cosines are bounded:

        log K − L_K ≤ log K − log(1 + (K − 1)e^{−K/((K−1)τ)}).

    By convexity the loss is at least that of the mean difference s_j − s⁺, and Σ_ij (s_ij − s_ii) ≥ −K² for any unit
    vectors, with equality for a centred regular simplex whose positives coincide. That needs d ≥ K − 1: then the
    ceiling is reached. For d < K − 1 it is an upper bound only, and there is another, for every K (kerneldep's; Wang
    and Isola (2020) have its limit K → ∞): where positives coincide

        log K − L_K ≤ −log E e^{(s − 1)/τ}, s the cosine of two independent points uniform on the sphere.

    For a law μ of unit vectors and U(x) = E_μ e^{(x·Y − 1)/τ}, c its value for the uniform law: ρ = μ/U has
    c·ρ(1)² ≤ ∫∫ e^{(x·y − 1)/τ} dρ dρ ≤ ∫ U dμ/U² = ρ(1), so that ∫ c/U dμ ≤ 1 and ∫ log(U/c) dμ ≥ 1 − ∫ c/U dμ ≥ 0. No
    number of negatives passes it: at τ = 0.2 and d = 128 it is 4.90 nats, with log K = 11.09 for K = 65,536. (Positives
    that differ were not found to pass it either, in a numerical search over few points; that is not proved.)

    Args:
        num_candidates: K ≥ 2.
        temperature: τ > 0, any shape.
        dim: d ≥ 1, the dimension of the representation; None for d ≥ K − 1. With d < K − 1 the result is the lesser of
            the two bounds.

    Returns:
        Nats, in the shape of `temperature`: relatively to 10⁻⁶ in float32 and 10⁻¹¹ in float64, for τ ≥ 0.001.

    Raises:
        ValueError: K < 2, d < 1, τ that is not positive and finite.

    Example:
        >>> [round(float(reachable_infonce(1024, t)), 2) for t in (0.1, 0.2, 0.5)]
        [6.89, 4.87, 2.0]
        >>> round(float(reachable_infonce(1024, 0.1, dim=8)), 2)
        5.56
    """
    candidates = _check.as_count(num_candidates, "num_candidates", 2)
    guard = _check.Guard()
    tau = _check.as_float(_check.as_real(temperature, "temperature"), "temperature")
    guard.require(((tau > 0) & jnp.isfinite(tau)).all(), "temperature must be positive and finite.")
    tau = guard.on(tau)
    drop = candidates / (candidates - 1) / tau
    # log(1 + (K − 1)e^{−a}) as a softplus: nothing overflows. For small a the difference of logarithms loses digits.
    large = math.log(candidates) - jax.nn.softplus(math.log(candidates - 1) - drop)
    small = -jnp.log1p((1 - 1 / candidates) * jnp.expm1(-jnp.minimum(drop, 1)))
    simplex = jnp.where(drop > 1, large, small)
    if dim is None or _check.as_count(dim, "dim") >= candidates - 1:
        return simplex
    return jnp.minimum(simplex, uniform_ceiling(tau, int(dim)))


def uniform_ceiling(temperature: Float[Array, "*shape"], dim: int) -> Float[Array, "*shape"]:
    """−log E e^{(s−1)/τ}, s the cosine of two points uniform on the sphere of ℝ^d.

    In closed form 1/τ − log ₀F₁(; d/2; 1/4τ²) with ₀F₁ = Γ(ν + 1)(2τ)^ν I_ν(1/τ), ν = d/2 − 1. Up to d = 2048 by
    quadrature over the angle, beyond by Debye's expansion of I_ν for large ν, uniform in τ.
    """
    if dim > QUADRATURE:
        return _debye(temperature, dim / 2 - 1)
    drop, log_weight = (jnp.asarray(values, temperature.dtype)[None, :] for values in _cosine_law(dim))
    scale = 1 / temperature.reshape(-1, 1)
    narrow = jax.nn.logsumexp(log_weight - drop * scale, axis=1)
    wide = jnp.log1p((jnp.exp(log_weight) * jnp.expm1(-drop * jnp.minimum(scale, 1))).sum(1))  # its weights sum to 1
    return -jnp.where(scale[:, 0] > 1, narrow, wide).reshape(temperature.shape)


def _debye(temperature: Float[Array, "*shape"], order: float) -> Float[Array, "*shape"]:
    """The same for large order ν, arranged so that nothing cancels: relatively good to some ν⁻⁴.

    With z = 1/(τν) and r = √(1 + z²) − 1, Stirling's series for Γ is Debye's at z = 0: the ratio of their sums is left.
    """
    z = 1 / (temperature * order)
    root = jnp.sqrt(1 + z**2)
    r = z / (1 + root) * z
    leading = order * (2 * z / (1 + z + root) + jnp.log1p(r / 2)) + 0.5 * jnp.log(root)
    at_zero, there = (_debye_sum(p, order) for p in (jnp.ones_like(root), 1 / root))
    return leading - jnp.log1p((there - at_zero) / (1 + at_zero))


def _debye_sum(p: Float[Array, "*shape"], order: float) -> Float[Array, "*shape"]:
    """Σ u_k(p)/ν^k for k = 1, 2, 3, the polynomials of Debye's expansion."""
    first = p * (3 - 5 * p**2) / 24
    second = p**2 * (81 - 462 * p**2 + 385 * p**4) / 1152
    third = p**3 * (30375 - 369603 * p**2 + 765765 * p**4 - 425425 * p**6) / 414720
    return (first + (second + third / order) / order) / order


@functools.lru_cache(maxsize=32)
def _cosine_law(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """1 − cos θ at quadrature nodes and the logarithms of their weights, which sum to 1; θ has density ∝ sin^{d−2}."""
    if dim == 1:
        return np.array([0.0, 2.0]), np.log([0.5, 0.5])
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    angle = np.pi / 2 * (1 + nodes)
    log_weight = (dim - 2) * np.log(np.sin(angle)) + np.log(weights)
    largest = log_weight.max()
    return 2 * np.sin(angle / 2) ** 2, log_weight - largest - np.log(np.exp(log_weight - largest).sum())
