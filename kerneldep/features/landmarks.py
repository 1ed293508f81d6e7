"""Which samples serve as landmarks of Nyström features."""

from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel
from ..kernels.base import check_parameters

Sampling = Literal["uniform", "leverage", "kmeans++"]

TILE = 2048
"""Samples whose kernel with the pilot sample is held at a time."""


def check_sampling(sampling: Any, owner: str) -> None:
    """Require one of the ways to choose landmarks."""
    if sampling not in get_args(Sampling):
        raise ValueError(f"{owner} is {sampling!r}: one of {get_args(Sampling)} is needed.")


def choose_landmarks(
    kernel: AbstractKernel, x: ArrayLike, num: int, *, key: Key[Array, ""], sampling: Sampling = "uniform"
) -> Float[Array, "num d"]:
    """Samples to serve as landmarks, without replacement; in time linear in n.

    - "uniform": any, with equal chances.
    - "leverage": with chances proportional to approximate ridge leverage scores, which favour samples that others do
      not represent: ℓ_i = (k_ii − k_iS (K_SS + λp/n)⁻¹ k_Si)/λ, from a uniform pilot sample S of p = `num` samples and
      with λ = (2/num)·Σ_{i > num/2} σ_i(K), the rank-num/2 tail of the pilot's eigenvalues times n/p. This is one level
      of the recursion of Musco and Musco (2017), whose weights do not matter here, as features
      depend on the landmarks' span only. Time n·num² + num³.
    - "kmeans++": the first uniform, each further with chances proportional to its squared distance
      k(x, x) − 2k(x, c) + k(c, c) from the nearest landmark in feature space (Arthur and Vassilvitskii 2007; for
      Nyström, Oglic and Gärtner 2017). Time n·num·d, in `num` passes.

    Args:
        kernel: the kernel to be approximated.
        x: samples, [n] or [n, d].
        num: m ≤ n; under `jit` a static number.
        key: the randomness.
        sampling: one of the above.

    Returns:
        Landmarks [num, d], rows of x. Gradients reach x through the rows; which are chosen has none.

    Raises:
        ValueError: if there are fewer than `num` samples, or `sampling` is none of the above.
    """
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    samples = _check.as_samples(x, "x", guard)
    check_sampling(sampling, "sampling")
    if not isinstance(num, int) or not 1 <= num <= len(samples):
        raise ValueError(f"num is {num!r}: a number of landmarks from 1 to n = {len(samples)} is needed.")
    _check.random_key(key, "choose_landmarks")
    samples = guard.on(samples)
    return samples[landmark_indices(kernel, samples, num, key, sampling)]


@eqx.filter_jit
def landmark_indices(
    kernel: AbstractKernel, x: Float[Array, "n d"], num: int, key: Key[Array, ""], sampling: Sampling
) -> Int[Array, " num"]:
    """`choose_landmarks` without its checks: which samples."""
    arrays, rest = eqx.partition(kernel, eqx.is_array)
    kernel, x = eqx.combine(jax.lax.stop_gradient(arrays), rest), jax.lax.stop_gradient(x)
    if sampling == "uniform":
        return jax.random.choice(key, len(x), (num,), replace=False)
    return (_by_leverage if sampling == "leverage" else _by_distance)(kernel, x, num, key)


def _by_leverage(kernel: AbstractKernel, x: Float[Array, "n d"], num: int, key: Key[Array, ""]) -> Int[Array, " num"]:
    key_pilot, key_draw = jax.random.split(key)
    n = len(x)
    points = kernel.prepare(x)
    some = jax.random.choice(key_pilot, n, (num,), replace=False)
    pilot = jax.tree.map(lambda leaf: leaf[some], points)
    gram = kernel.pairwise(pilot, pilot)
    spectrum = jnp.maximum(jnp.linalg.eigvalsh(gram), 0)  # ascending
    floor = num * jnp.finfo(gram.dtype).eps * spectrum[-1]  # of a kernel of low rank the tail is rounding
    ridge = jnp.maximum(spectrum[: num - num // 2].sum() / max(num // 2, 1), floor)  # λp/n
    ridge = jnp.where(ridge > 0, ridge, 1)
    scores = unexplained(kernel, points, kernel.diagonal(x), pilot, ridge)
    # The largest of log p + Gumbel noise are a draw without replacement.
    chances = jnp.log(jnp.maximum(scores, jnp.finfo(scores.dtype).tiny))
    return jax.lax.top_k(chances + jax.random.gumbel(key_draw, (n,), scores.dtype), num)[1]


def unexplained(
    kernel: AbstractKernel, points: Any, diagonal: Float[Array, " n"], pilot: Any, ridge: Float[Array, ""]
) -> Float[Array, " n"]:
    """k_ii − k_iS (K_SS + ridge·I)⁻¹ k_Si of prepared samples and a pilot sample S of them, a tile at a time."""
    gram = kernel.pairwise(pilot, pilot)
    root = jnp.linalg.cholesky(gram + ridge * jnp.eye(len(gram), dtype=gram.dtype))

    def explained(part: Any) -> Array:
        return (jax.scipy.linalg.solve_triangular(root, kernel.pairwise(pilot, part), lower=True) ** 2).sum(0)

    n = len(diagonal)
    tiles = -(-n // TILE)
    size = -(-n // tiles)
    indices = jnp.minimum(jnp.arange(tiles * size), n - 1).reshape(tiles, size)
    along = jax.lax.map(lambda some: explained(jax.tree.map(lambda leaf: leaf[some], points)), indices)
    return jnp.maximum(diagonal - along.reshape(-1)[:n], 0)


def _by_distance(kernel: AbstractKernel, x: Float[Array, "n d"], num: int, key: Key[Array, ""]) -> Int[Array, " num"]:
    key_first, key_rest = jax.random.split(key)
    n = len(x)
    points, diagonal = kernel.prepare(x), kernel.diagonal(x)

    def distances_from(chosen: Int[Array, ""]) -> Float[Array, " n"]:
        one = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, chosen, 1), points)
        return jnp.maximum(diagonal - 2 * kernel.pairwise(points, one)[:, 0] + diagonal[chosen], 0)

    def step(carry: tuple[Array, Array], level: Array) -> tuple[tuple[Array, Array], Array]:
        nearest, free = carry
        weights = jnp.where(free, nearest, 0)
        weights = jnp.where(weights.sum() > 0, weights, free.astype(weights.dtype))  # all equal to a landmark
        cumulative = jnp.cumsum(weights)
        chosen = jnp.searchsorted(cumulative, (1 - level) * cumulative[-1])  # of (0, Σ]
        return (jnp.minimum(nearest, distances_from(chosen)), free.at[chosen].set(False)), chosen

    first = jax.random.randint(key_first, (), 0, n)
    start = distances_from(first), jnp.ones(n, bool).at[first].set(False)
    _, others = jax.lax.scan(step, start, jax.random.uniform(key_rest, (num - 1,), diagonal.dtype))
    return jnp.concatenate([first[None], others])
