"""Exact HSIC under permutations: both Gram matrices once, then a sum a permutation."""

import functools
import importlib.util
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..dependence.tiled import Side

Implementation = Literal["auto", "numba", "xla"]


@eqx.filter_jit
def centred_gram(one: Side, unbiased: bool) -> Float[Array, "n n"]:
    """A of HSIC = c Σ A∘B, whose rows sum to 0.

    V-statistic: HKH, and c = 1/n². U-statistic: zero on the diagonal, off it k_ij − (a_i + a_j)/(n−2) + S/((n−1)(n−2))
    with a = K̃1 and S = 1ᵀa (Székely and Rizzo 2014), and c = 1/(n(n−3)).
    """
    n = len(one.diagonal)
    gram = one.kernel.pairwise(one.points, one.points) - one.shift
    if unbiased:
        keep = ~jnp.eye(n, dtype=bool)
        rows = jnp.where(keep, gram, 0).sum(1)
        mean = rows.mean()  # rows are centred first: large sums lose digits
        rest = (rows - mean) / (n - 2)
        return jnp.where(keep, gram - mean / (n - 1) - rest[:, None] - rest[None, :], 0)
    # With the diagonal from the kernel itself: a distance of a point to itself may be rounded.
    gram = jnp.where(jnp.eye(n, dtype=bool), (one.diagonal - one.shift)[:, None], gram)
    rows = gram.mean(1)
    return gram - rows[:, None] - (rows - rows.mean())[None, :]


def permuted_sums(
    a: Float[Array, "k n n"],
    b: Float[Array, "l n n"],
    permutations: Int[np.ndarray, "t n"],
    implementation: Implementation = "auto",
) -> Float[np.ndarray, "t k l"]:
    """Σ_ij A_ij B_{π(i)π(j)} of symmetric matrices, for each permutation.

    Args:
        a: one or several matrices.
        b: likewise; these are permuted.
        permutations: one a row.
        implementation: "numba", a compiled loop on CPUs (extra `fast`); "xla"; "auto", the first where it can be had.

    Raises:
        ImportError: "numba" where it is not installed.
    """
    if chosen(implementation) == "numba":
        from . import compiled

        return compiled.permuted_sums(np.asarray(a), np.asarray(b), permutations)
    return np.asarray(_by_gathers(a, b, jnp.asarray(permutations)))


def chosen(implementation: Implementation) -> Literal["numba", "xla"]:
    """What "auto" stands for here.

    Raises:
        ValueError: anything but the three names.
        ImportError: "numba" where it is not installed.
    """
    if implementation not in ("auto", "numba", "xla"):
        raise ValueError(f"implementation is {implementation!r}: 'auto', 'numba' or 'xla' is needed.")
    if implementation == "numba" and not _numba_installed():
        raise ImportError("implementation='numba' needs numba: pip install 'kerneldep[fast]'.")
    if implementation == "auto":
        return "numba" if jax.default_backend() == "cpu" and _numba_installed() else "xla"
    return implementation


@functools.cache
def _numba_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


@jax.jit
def _by_gathers(a: Float[Array, "k n n"], b: Float[Array, "l n n"], permutations: Int[Array, "t n"]) -> Array:
    def one(permutation: Int[Array, " n"]) -> Float[Array, "k l"]:
        rows = b.at[:, permutation].get(mode="promise_in_bounds")
        permuted = jnp.take(rows, permutation, axis=2, mode="clip")
        return jnp.einsum("kij,lij->ikl", a, permuted, precision=jax.lax.Precision.HIGHEST).sum(0)

    return jax.lax.map(one, permutations)
