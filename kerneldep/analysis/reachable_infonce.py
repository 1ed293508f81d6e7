"""How much InfoNCE can show: the ceiling set by the number of candidates, the temperature and the dimension."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _check
from .._check import ArrayLike

NODES = 256


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
        Nats, in the shape of `temperature`.

    Raises:
        ValueError: K < 2, d < 1, τ that is not positive and finite.

    Example:
        >>> [round(float(reachable_infonce(1024, t)), 2) for t in (0.1, 0.2, 0.5)]
        [6.89, 4.87, 2.0]
        >>> round(float(reachable_infonce(1024, 0.1, dim=8)), 2)
        5.56
    """
    candidates = _count(num_candidates, "num_candidates", 2)
    guard = _check.Guard()
    tau = _check.as_float(_check.as_real(temperature, "temperature"), "temperature")
    guard.require(((tau > 0) & jnp.isfinite(tau)).all(), "temperature must be positive and finite.")
    tau = guard.on(tau)
    # log(1 + (K − 1)e^{−a}) as a softplus: nothing overflows.
    simplex = math.log(candidates) - jax.nn.softplus(math.log(candidates - 1) - candidates / (candidates - 1) / tau)
    if dim is None or _count(dim, "dim", 1) >= candidates - 1:
        return simplex
    return jnp.minimum(simplex, uniform_ceiling(tau, int(dim)))


def uniform_ceiling(temperature: Float[Array, "*shape"], dim: int) -> Float[Array, "*shape"]:
    """−log E e^{(s−1)/τ}, s the cosine of two points uniform on the sphere of ℝ^d.

    In closed form 1/τ − log ₀F₁(; d/2; 1/4τ²), by quadrature over the angle in logarithms, to about 10⁻⁶ relatively in
    float32 and 10⁻¹¹ in float64 for τ ≥ 0.01 and d ≤ 2048.
    """
    drop, log_weight = (jnp.asarray(values, temperature.dtype) for values in _cosine_law(dim))
    exponents = log_weight[None, :] - drop[None, :] / temperature.reshape(-1, 1)
    return -jax.nn.logsumexp(exponents, axis=1).reshape(temperature.shape)


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


def _count(value: Any, name: str, least: int) -> int:
    value = _check.as_index(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}: an integer ≥ {least} is needed.")
    return value
