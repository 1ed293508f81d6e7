"""HSIC of explicit features in one pass over the samples: time nD², memory D²."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree, Scalar

TILE = 2048
"""Samples whose features are held at a time."""

SHIFT_SAMPLES = 256

Features = Callable[[Any], tuple[tuple[Array, Array], ...]]
"""Maps a tile of samples to pairs of feature matrices (φ [t, D], ψ [t, E])."""

Centers = tuple[Array, Array]
"""One for φ [D], one for ψ [E]."""


class Moments(eqx.Module):
    """Sums over n samples of features φ, ψ less a constant; p = ‖φ‖², q = ‖ψ‖². They add where the constant is one.

    The V-statistic needs n, φ, ψ and cross, the U-statistic all.
    """

    n: Scalar
    phi: Float[Array, " D"]
    psi: Float[Array, " E"]
    cross: Float[Array, "D E"]
    p: Scalar
    q: Scalar
    phi_q: Float[Array, " D"]
    psi_p: Float[Array, " E"]
    pq: Scalar


class FeatureSums(eqx.Module):
    """`Moments` about stated centres, which determine HSIC with K = ΦΦᵀ, L = ΨΨᵀ.

    HSIC does not depend on the centres, its rounding does: best they are near the means. Moments of several parts of a
    sample about the same centres add, on one device or (`jax.lax.psum` of `moments`) over several.
    """

    centers: Centers
    moments: Moments


def approximate_centers(features: Features, samples: PyTree[Array]) -> tuple[Centers, ...]:
    """The mean features of at most 256 evenly strided samples. No gradient flows through them, since none is due."""
    n = len(jax.tree.leaves(samples)[0])
    some = features(jax.tree.map(lambda leaf: leaf[:: -(-n // SHIFT_SAMPLES)], samples))
    return jax.lax.stop_gradient(jax.tree.map(lambda values: values.mean(0), some))


def moments_about(
    centers: tuple[Centers, ...],
    features: Features,
    samples: PyTree[Array],
    *,
    count: Int[Array, ""] | int | None = None,
    tile: int = TILE,
) -> tuple[Moments, ...]:
    """`Moments` of each pair of feature matrices, about given centres, a tile of samples at a time.

    Args:
        centers: one for each pair.
        features: makes the pairs of a tile of the samples.
        samples: pytree of arrays with leading axis n.
        count: how many of the samples count, from the first; the others are padding. All by default.
        tile: samples a tile. The backward pass computes a tile's features again instead of keeping them.
    """
    n = len(jax.tree.leaves(samples)[0])
    count = n if count is None else count
    tiles = -(-n // tile)
    size = -(-n // tiles)

    def split(leaf: Array) -> Array:
        padded = jnp.pad(leaf, [(0, tiles * size - n)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
        return padded.reshape(tiles, size, *leaf.shape[1:])

    @jax.checkpoint
    def visit(part: Any, start: Array) -> tuple[Moments, ...]:
        keep = (start + jnp.arange(size) < count)[:, None]
        centred = jax.tree.map(lambda values, at: jnp.where(keep, values - at[None, :], 0), features(part), centers)
        return tuple(_moments(phi, psi, keep) for phi, psi in centred)

    def step(total: Any, arguments: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, visit(*arguments)), None

    parts = (jax.tree.map(split, samples), jnp.arange(tiles) * size)
    shapes = jax.eval_shape(visit, *jax.tree.map(lambda leaf: leaf[0], parts))
    total, _ = jax.lax.scan(step, jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes), parts)
    return total


def _moments(phi: Float[Array, "t D"], psi: Float[Array, "t E"], keep: Array) -> Moments:
    p, q = (phi**2).sum(1), (psi**2).sum(1)
    cross = jnp.matmul(phi.T, psi, precision=jax.lax.Precision.HIGHEST)
    n = keep.sum().astype(p.dtype)
    return Moments(n, phi.sum(0), psi.sum(0), cross, p.sum(), q.sum(), q @ phi, p @ psi, (p * q).sum())


def feature_sums(features: Features, samples: PyTree[Array], tile: int = TILE) -> tuple[FeatureSums, ...]:
    """`FeatureSums` of each pair of feature matrices that `features` makes of a tile of samples.

    Args:
        features: maps a tile of the samples to pairs (φ [t, D], ψ [t, E]).
        samples: pytree of arrays with leading axis n.
        tile: samples a tile.
    """
    centers = approximate_centers(features, samples)
    moments = moments_about(centers, features, samples, tile=tile)
    return tuple(FeatureSums(*both) for both in zip(centers, moments, strict=True))


def change_of_moments(moments: Moments, by: Centers) -> Moments:
    """What is added to moments when their centres move by (δ, ε): φ_i becomes φ_i − δ, and ψ_i becomes ψ_i − ε."""
    m, (delta, epsilon) = moments, by
    d2, e2 = delta @ delta, epsilon @ epsilon
    d_phi, e_psi = delta @ m.phi, epsilon @ m.psi
    phi_epsilon, delta_psi = m.cross @ epsilon, delta @ m.cross  # Σφ(ψ·ε), Σψ(φ·δ)
    # p becomes p − 2φ·δ + δ², and q likewise; the sums of products follow term by term.
    return Moments(
        n=jnp.zeros_like(m.n),
        phi=-m.n * delta,
        psi=-m.n * epsilon,
        cross=m.n * jnp.outer(delta, epsilon) - jnp.outer(m.phi, epsilon) - jnp.outer(delta, m.psi),
        p=m.n * d2 - 2 * d_phi,
        q=m.n * e2 - 2 * e_psi,
        phi_q=-2 * phi_epsilon + e2 * m.phi - (m.q - 2 * e_psi + m.n * e2) * delta,
        psi_p=-2 * delta_psi + d2 * m.psi - (m.p - 2 * d_phi + m.n * d2) * epsilon,
        pq=-2 * (delta @ m.phi_q + epsilon @ m.psi_p)
        + 4 * delta @ phi_epsilon
        + d2 * (m.q - 2 * e_psi)
        + e2 * (m.p - 2 * d_phi)
        + m.n * d2 * e2,
    )


def recentred(sums: FeatureSums, centers: Centers) -> FeatureSums:
    """The same sums about other centres."""
    by = jax.tree.map(jnp.subtract, centers, sums.centers)
    return FeatureSums(centers, jax.tree.map(jnp.add, sums.moments, change_of_moments(sums.moments, by)))


def means(sums: FeatureSums) -> Centers:
    """The exact means, about which Σφ = Σψ = 0; of no samples, the centres."""
    some = jnp.maximum(sums.moments.n, 1)
    of_phi, of_psi = sums.centers
    return of_phi + sums.moments.phi / some, of_psi + sums.moments.psi / some


def biased_feature_statistic(sums: FeatureSums) -> Scalar:
    """‖ΦᵀHΨ‖²_F / n², the V-statistic of the feature Grams."""
    m = sums.moments
    return ((m.cross - jnp.outer(m.phi, m.psi) / m.n) ** 2).sum() / m.n**2


def unbiased_feature_statistic(sums: FeatureSums) -> Scalar:
    """The U-statistic of the feature Grams at the same cost.

    With features centred exactly, the row sums of the zero-diagonal Grams are −p_i = −‖φ_i‖² and −q_i = −‖ψ_i‖², and it
    becomes [‖ΦᵀHΨ‖²_F − n/(n−2)·Σ p_i q_i + Σp·Σq/((n−1)(n−2))] / (n(n−3)).
    """
    n, by = sums.moments.n, (sums.moments.phi / sums.moments.n, sums.moments.psi / sums.moments.n)
    m = jax.tree.map(jnp.add, sums.moments, change_of_moments(sums.moments, by))
    return ((m.cross**2).sum() - n / (n - 2) * m.pq + m.p * m.q / ((n - 1) * (n - 2))) / (n * (n - 3))
