"""Exact HSIC under permutations: both Gram matrices once, then a sum a permutation."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..dependence.tiled import Side

Implementation = Literal["auto", "numba", "xla"]


Rows = Callable[[Float[Array, "t n"], Int[Array, " t"]], Float[Array, "t n"]]
"""Makes of rows of a Gram matrix, given with their indices, those of another."""


def centring(one: Side, unbiased: bool, sums: Float[Array, " n"]) -> Rows:
    """Makes of rows of K those of A in HSIC = c Σ A∘B, which sum to 0.

    V-statistic: HKH, and c = 1/n². U-statistic: zero on the diagonal, off it k_ij − (a_i + a_j)/(n−2) + S/((n−1)(n−2))
    with a = K̃1 and S = 1ᵀa (Székely and Rizzo 2014), and c = 1/(n(n−3)).

    Args:
        one: the variable.
        unbiased: which of the two.
        sums: of K's rows off the diagonal, each entry less `one.shift`, as `gram_sums` gives them.
    """
    n = len(sums)
    diagonal = one.diagonal - one.shift  # from the kernel itself: a distance of a point to itself may be rounded
    sums = sums if unbiased else sums + diagonal
    mean = sums.mean()  # taken out first: large sums lose digits
    constant, rest = (mean / (n - 1), (sums - mean) / (n - 2)) if unbiased else (mean / n, (sums - mean) / n)

    def centred(rows: Float[Array, "t n"], indices: Int[Array, " t"]) -> Float[Array, "t n"]:
        own = indices[:, None] == jnp.arange(n)[None, :]
        entries = rows - one.shift if unbiased else jnp.where(own, diagonal[indices][:, None], rows - one.shift)
        entries = entries - constant - rest[indices][:, None] - rest[None, :]
        return jnp.where(own, 0, entries) if unbiased else entries

    return centred


@eqx.filter_jit
def centred_gram(one: Side, unbiased: bool) -> Float[Array, "n n"]:
    """The whole of A (see `centring`)."""
    n = len(one.diagonal)
    gram = one.kernel.pairwise(one.points, one.points)
    sums = jnp.where(jnp.eye(n, dtype=bool), 0, gram - one.shift).sum(1)
    return centring(one, unbiased, sums)(gram, jnp.arange(n))


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
