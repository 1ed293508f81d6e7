"""The heart: sums over Gram matrices that never hold more than a tile of them.

HSIC and its relatives need of K and L only sums: of K∘L, of rows, of diagonals. One scan over the tiles of the upper
triangle gathers them. Each tile is under `jax.checkpoint`, so that the backward pass recomputes it, and sums are added
outside of it, so that no step stores them: plain autodiff then gives gradients to data and to every kernel parameter,
forward mode and Hessian products in O(n · tile) memory.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ..kernels import AbstractKernel
from ..kernels.tiles import center

TILE = 1024
"""Largest side of a tile. On a CPU a tile of 4 MB is fastest: smaller ones cost steps, larger ones leave the cache."""

SHIFT_SAMPLES = 128


class Side(eqx.Module):
    """One variable: its kernel and prepared samples, ready for tiles."""

    kernel: AbstractKernel
    points: PyTree[Array]
    diagonal: Float[Array, " n"]
    shift: Float[Array, ""]

    def permuted(self, permutation: Int[Array, " n"]) -> "Side":
        """The same samples in another order."""
        points, diagonal = jax.tree.map(lambda leaf: leaf[permutation], (self.points, self.diagonal))
        return Side(self.kernel, points, diagonal, self.shift)


class GramSums(eqx.Module):
    """Sums over n × n Gram matrices K₁, …, K_m, each less its own constant `shift`.

    HSIC does not change when a constant is taken from K; subtracting its approximate mean before summing is what keeps
    the digits of float32 (at n = 4,000, a thousandfold).

    Attributes:
        products: Σ_{i≠j} K_a ∘ K_b for each pair (a, b) asked for.
        rows: Σ_{j≠i} K_ij for each matrix.
        diagonals: K_ii for each matrix.
    """

    products: tuple[Float[Array, ""], ...]
    rows: tuple[Float[Array, " n"], ...]
    diagonals: tuple[Float[Array, " n"], ...]


def side(kernel: AbstractKernel, x: Float[Array, "n d"]) -> Side:
    """Prepare one variable; data are centred where HSIC does not depend on it."""
    if kernel.stationarity != "none":
        x = x - center(x)
    prepared = kernel.prepare(x)
    some = jax.tree.map(lambda leaf: leaf[:: -(-len(x) // SHIFT_SAMPLES)], prepared)
    block = kernel.pairwise(some, some)
    one = block[0, -1]  # less one entry first: of constant data all is then exactly 0
    shift = one + jnp.where(jnp.eye(len(block), dtype=bool), 0, block - one).sum() / max(block.size - len(block), 1)
    return Side(kernel, prepared, kernel.diagonal(x), jax.lax.stop_gradient(shift))


def gram_sums(sides: tuple[Side, ...], pairs: tuple[tuple[int, int], ...], tile: int = TILE) -> GramSums:
    """Sums over the Gram matrices of several variables, each pair of samples visited once.

    Args:
        sides: the variables, with n samples each.
        pairs: which Σ K_a ∘ K_b to gather.
        tile: largest side of a tile.

    Cost: n²/2 kernel evaluations a variable, memory n·m + tile²·m.
    """
    n = len(sides[0].diagonal)
    tiles = -(-n // tile)
    size = -(-n // tiles)  # as even as can be: little padding

    def split(leaf: Array) -> Array:
        # Padding repeats the last sample: a valid point for any kernel. Its pairs are masked below.
        padded = jnp.pad(leaf, [(0, tiles * size - n)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
        return padded.reshape(tiles, size, *leaf.shape[1:])

    split_points = tuple(jax.tree.map(split, one.points) for one in sides)
    kernels = tuple(one.kernel for one in sides)
    shifts = tuple(one.shift for one in sides)

    @eqx.filter_checkpoint  # kernels may hold functions: a network's activation
    def visit(arguments: Any, i: Array, j: Array) -> tuple[Any, Any, Any]:
        kernels, split_points = arguments
        row = i * size + jnp.arange(size)[:, None]
        column = j * size + jnp.arange(size)[None, :]
        keep = (row < n) & (column < n) & (row != column)
        mirror = jnp.where(i == j, 0, 1)  # an off-diagonal tile stands for its mirror image too
        grams = []
        for kernel, points, shift in zip(kernels, split_points, shifts, strict=True):
            px, py = (jax.tree.map(lambda leaf, index=index: leaf[index], points) for index in (i, j))
            grams.append(jnp.where(keep, kernel.pairwise(px, py) - shift, 0))
        products = [((1 + mirror) * grams[a] * grams[b]).sum(1) for a, b in pairs]
        return products, [gram.sum(1) for gram in grams], [mirror * gram.sum(0) for gram in grams]

    def step(totals: Any, indices: Any) -> tuple[Any, None]:
        products, rows = totals
        i, j = indices
        more_products, more_rows, more_columns = visit((kernels, split_points), i, j)
        products = [total + more for total, more in zip(products, more_products, strict=True)]
        rows = [total.at[i].add(r).at[j].add(c) for total, r, c in zip(rows, more_rows, more_columns, strict=True)]
        return (products, rows), None

    dtypes = [one.shift.dtype for one in sides]  # a double-precision parameter widens single-precision data
    start = (
        [jnp.zeros(size, jnp.promote_types(dtypes[a], dtypes[b])) for a, b in pairs],
        [jnp.zeros((tiles, size), dtype) for dtype in dtypes],
    )
    upper = tuple(jnp.asarray(index) for index in np.triu_indices(tiles))
    (products, rows), _ = jax.lax.scan(step, start, upper)
    return GramSums(
        tuple(product.sum() for product in products),
        tuple(row.reshape(-1)[:n] for row in rows),
        tuple(one.diagonal - one.shift for one in sides),
    )


def map_rows(
    function: Any, kernel: AbstractKernel, points: PyTree[Array], tile: int = TILE
) -> PyTree[Float[Array, " n ..."]]:
    """A function of the Gram matrix's rows, [t, n] and their indices [t] at a time, for results that need whole rows.

    Args:
        function: maps rows [t, n] and their indices [t] to a pytree with leading axis t.
        kernel: the kernel.
        points: what `kernel.prepare` made of the n samples.
        tile: n · t is kept at tile² or less.
    """
    n = len(jax.tree.leaves(points)[0])
    tiles = -(-n // max(tile * tile // n, 1))
    size = -(-n // tiles)

    @jax.checkpoint
    def visit(points: Any, indices: Int[Array, " t"]) -> Any:
        return function(kernel.pairwise(jax.tree.map(lambda leaf: leaf[indices], points), points), indices)

    # Beyond the end the last row is taken again, and dropped below.
    indices = jnp.minimum(jnp.arange(tiles * size), n - 1).reshape(tiles, size)
    mapped = jax.lax.map(lambda some: visit(points, some), indices)
    return jax.tree.map(lambda leaf: leaf.reshape(tiles * size, *leaf.shape[2:])[:n], mapped)
