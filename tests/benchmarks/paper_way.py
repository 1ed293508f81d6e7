"""SSL-HSIC's random features as its authors compute them, re-implemented for comparison (Li et al. 2021).

Cosines of random phase, whose amplitudes come from a table of their density. Amplitudes, directions and phases have
keys of their own here; in the authors' code the last two share one.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import gammaln, kve, logsumexp

TABLE, LARGEST = 10_000, 100.0


def amplitudes(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Norms r of the inverse multiquadric's frequencies (c = 1) and their probabilities ∝ r^ν K_ν(r), ν = (d − 1)/2."""
    order = (dim - 1) / 2
    r = np.linspace(1e-12, LARGEST, TABLE)
    with np.errstate(over="ignore", invalid="ignore"):
        density = np.log(kve(order, r)) - r + order * np.log(r)
    # Where K_ν overflows, near 0, its limit.
    density = np.where(np.isfinite(density), density, (order - 1) * np.log(2) + gammaln(order))
    return r, np.exp(density - logsumexp(density))


def features(views: Any, scale: float, table: tuple[Any, Any], num: int, key: Any) -> Any:
    """√(2/D) cos(ωᵀz/c + b), [M, B, D]."""
    key_amplitude, key_direction, key_phase = jax.random.split(key, 3)
    norms = jax.random.choice(key_amplitude, table[0], shape=(num, 1), p=table[1])
    directions = jax.random.normal(key_direction, (num, views.shape[-1]))
    directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True) * norms
    phases = 2 * jnp.pi * jax.random.uniform(key_phase, (num,))
    angles = jnp.matmul(views / scale, directions.T, precision=jax.lax.Precision.HIGHEST) + phases[None, None, :]
    return (2 / num) ** 0.5 * jnp.cos(angles)


def terms(views: Any, scale: float, table: tuple[Any, Any], num: int, key: Any) -> tuple[Any, Any]:
    """dep (the published estimate, its constant 1/(M − 1) included) and HSIC(Z, Z), D features in each of two draws.

    The first draw serves both terms.
    """
    num_views, batch, _ = views.shape
    n = num_views * batch
    first, second = (features(views, scale, table, num, one) for one in jax.random.split(key))
    sums = first.sum(0)
    dependence = (sums**2).sum() / (n * (num_views - 1)) - (sums.sum(0) ** 2).sum() / n**2 - 1 / (num_views - 1)
    first, second = (one - one.mean((0, 1), keepdims=True) for one in (first, second))
    cross = jnp.einsum("mbi,mbj->ij", first, second, precision=jax.lax.Precision.HIGHEST)
    return dependence, (cross**2).sum() / n**2
