"""HSIC of explicit features in one pass over the samples: time nD², memory D²."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

TILE = 2048
"""Samples whose features are held at a time."""

SHIFT_SAMPLES = 256


class FeatureSums(eqx.Module):
    """Sums over samples of features φ, ψ (each less a constant) that determine HSIC with K = ΦΦᵀ, L = ΨΨᵀ.

    With p = ‖φ‖², q = ‖ψ‖². The V-statistic needs the first three, the U-statistic all.
    """

    cross: Float[Array, "D E"]
    phi: Float[Array, " D"]
    psi: Float[Array, " E"]
    phi_q: Float[Array, " D"]
    psi_p: Float[Array, " E"]
    p: Scalar
    q: Scalar
    pq: Scalar


def feature_sums(
    features: Callable[[Any], tuple[tuple[Array, Array], ...]], samples: Any, tile: int = TILE
) -> tuple[FeatureSums, ...]:
    """`FeatureSums` of each pair of feature matrices that `features` makes of a tile of samples.

    Args:
        features: maps a tile of the samples to pairs (φ [t, D], ψ [t, E]).
        samples: pytree of arrays with leading axis n.
        tile: samples a tile. The backward pass computes a tile's features again instead of keeping them.
    """
    n = len(jax.tree.leaves(samples)[0])
    tiles = -(-n // tile)
    size = -(-n // tiles)

    def split(leaf: Array) -> Array:
        padded = jnp.pad(leaf, [(0, tiles * size - n)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
        return padded.reshape(tiles, size, *leaf.shape[1:])

    # Centring changes HSIC by nothing and its rounding by much; an approximate mean is as good as the mean.
    some = features(jax.tree.map(lambda leaf: leaf[:: -(-n // SHIFT_SAMPLES)], samples))
    shifts = jax.lax.stop_gradient(jax.tree.map(lambda values: values.mean(0, keepdims=True), some))

    @jax.checkpoint
    def visit(part: Any, start: Array) -> tuple[FeatureSums, ...]:
        keep = (start + jnp.arange(size) < n)[:, None]
        centred = jax.tree.map(lambda values, shift: jnp.where(keep, values - shift, 0), features(part), shifts)
        return tuple(_sums(phi, psi) for phi, psi in centred)

    def step(total: Any, arguments: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, visit(*arguments)), None

    parts = (jax.tree.map(split, samples), jnp.arange(tiles) * size)
    shapes = jax.eval_shape(visit, *jax.tree.map(lambda leaf: leaf[0], parts))
    total, _ = jax.lax.scan(step, jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes), parts)
    return total


def _sums(phi: Float[Array, "t D"], psi: Float[Array, "t E"]) -> FeatureSums:
    p, q = (phi**2).sum(1), (psi**2).sum(1)
    cross = jnp.matmul(phi.T, psi, precision=jax.lax.Precision.HIGHEST)
    return FeatureSums(cross, phi.sum(0), psi.sum(0), q @ phi, p @ psi, p.sum(), q.sum(), (p * q).sum())


def biased_feature_statistic(sums: FeatureSums, n: float) -> Scalar:
    """‖ΦᵀHΨ‖²_F / n², the V-statistic of the feature Grams."""
    return ((sums.cross - jnp.outer(sums.phi, sums.psi) / n) ** 2).sum() / n**2


def unbiased_feature_statistic(sums: FeatureSums, n: float) -> Scalar:
    """The U-statistic of the feature Grams at the same cost.

    With features centred exactly, the row sums of the zero-diagonal Grams are −p_i = −‖φ_i‖² and −q_i = −‖ψ_i‖², and it
    becomes [‖ΦᵀHΨ‖²_F − n/(n−2)·Σ p_i q_i + Σp·Σq/((n−1)(n−2))] / (n(n−3)).
    """
    # Move from the approximate centre to the exact one.
    mean_phi, mean_psi = sums.phi / n, sums.psi / n
    norm_phi, norm_psi = mean_phi @ mean_phi, mean_psi @ mean_psi
    p, q = sums.p - n * norm_phi, sums.q - n * norm_psi
    # Σ (p_i − 2φ_i·φ̄ + ‖φ̄‖²)(q_i − 2ψ_i·ψ̄ + ‖ψ̄‖²)
    pq = (
        sums.pq
        - 2 * (mean_phi @ sums.phi_q + mean_psi @ sums.psi_p)
        + 4 * mean_phi @ sums.cross @ mean_psi
        + norm_phi * (sums.q - 2 * n * norm_psi)
        + norm_psi * (sums.p - 2 * n * norm_phi)
        + n * norm_phi * norm_psi
    )
    frobenius = ((sums.cross - jnp.outer(sums.phi, sums.psi) / n) ** 2).sum()
    return (frobenius - n / (n - 2) * pq + p * q / ((n - 1) * (n - 2))) / (n * (n - 3))
