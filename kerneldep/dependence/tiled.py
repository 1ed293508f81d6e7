"""The heart: sums over Gram matrices that never hold more than a tile of them.

HSIC and its relatives need of K and L only sums: of K∘L, of rows, of diagonals. The samples are cut into an odd number
of tiles, laid in a ring; tile i meets tile i + s for every offset s up to half the ring, so that each pair of tiles
meets once. What one meeting computes is under `jax.checkpoint`, so that the backward pass recomputes it, and sums are
added outside of it, so that no step stores them: plain autodiff then gives gradients to data and to every kernel
parameter, forward mode and Hessian products in O(n · tile) memory. A ring rather than a list of index pairs, because
the cotangent of an indexed tile is an array as long as the data, and that of a scanned one a tile.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree, Scalar

from ..kernels import AbstractKernel, Scaled
from ..kernels.tiles import center, exact_unit

TILE = 768
"""Largest side of a tile. On a CPU tiles of 2 MB are fastest: smaller ones cost steps, larger ones leave the cache."""

SHIFT_SAMPLES = 128


class Side(eqx.Module):
    """One variable: its kernel and prepared samples, ready for tiles."""

    kernel: AbstractKernel
    points: PyTree[Array]
    diagonal: Float[Array, " n"]
    shift: Float[Array, ""]
    mesh: Mesh | None = eqx.field(static=True, default=None)
    """The devices its samples are spread over (see `sharded`)."""

    def on(self, mesh: Mesh) -> "Side":
        """The same, spread over the devices of a mesh."""
        return Side(self.kernel, self.points, self.diagonal, self.shift, mesh)

    @property
    def unit(self) -> Scalar:
        """A power of two near the kernel's values, 1 if they are 0."""
        size = jnp.abs(self.diagonal).mean()
        return exact_unit(jnp.where(size > 0, size, 1), size.dtype)

    def in_units(self) -> "Side":
        """The same of k / `unit`, with values near 1: squares then neither overflow nor vanish."""
        factor = 1 / self.unit
        kernel = Scaled(self.kernel, factor)
        return Side(kernel, self.points, self.diagonal * factor, self.shift * factor, self.mesh)

    def permuted(self, permutation: Int[Array, " n"]) -> "Side":
        """The same samples in another order."""
        points, diagonal = jax.tree.map(lambda leaf: leaf[permutation], (self.points, self.diagonal))
        return Side(self.kernel, points, diagonal, self.shift, self.mesh)


class GramSums(eqx.Module):
    """Sums over n × n Gram matrices K₁, …, K_m, each less its own constant `shift`.

    HSIC does not change when a constant is taken from K; subtracting its approximate mean before summing is what keeps
    the digits of float32 (at n = 4,000, a thousandfold).

    Attributes:
        products: Σ_{i≠j} K_a ∘ K_b (∘ …) for each group (a, b, …) asked for.
        rows: Σ_{j≠i} K_ij for each matrix.
        diagonals: K_ii for each matrix.
    """

    products: tuple[Float[Array, ""], ...]
    rows: tuple[Float[Array, " n"], ...]
    diagonals: tuple[Float[Array, " n"], ...]


def side(kernel: AbstractKernel, x: Float[Array, "n d"], mesh: Mesh | None = None) -> Side:
    """Prepare one variable; data are centred where HSIC does not depend on it."""
    if kernel.stationarity != "none":
        x = x - center(x)
    prepared = kernel.prepare(x)
    some = jax.tree.map(lambda leaf: leaf[:: -(-len(x) // SHIFT_SAMPLES)], prepared)
    block = kernel.pairwise(some, some)
    one = block[0, -1]  # less one entry first: of constant data all is then exactly 0
    shift = one + jnp.where(jnp.eye(len(block), dtype=bool), 0, block - one).sum() / max(block.size - len(block), 1)
    return Side(kernel, prepared, kernel.diagonal(x), jax.lax.stop_gradient(shift), mesh)


class Ring(NamedTuple):
    """Samples of all variables cut into tiles: leaves [tiles, size, …]."""

    points: tuple[PyTree[Array], ...]
    numbers: Int[Array, "tiles size"]
    """Which sample it is; −1 for padding."""

    def turned(self, offset: Int[Array, ""]) -> "Ring":
        """The ring with tile i + offset at place i."""
        return jax.tree.map(lambda leaf: jnp.roll(leaf, -offset, axis=0), self)


def ring(sides: Sequence[Side], index: Int[Array, " n"], tile: int) -> Ring:
    """Cut samples into an odd number of tiles, as even as can be: little padding."""
    n = len(index)
    tiles = -(-n // tile)
    tiles += 1 - tiles % 2
    size = -(-n // tiles)

    def cut(leaf: Array) -> Array:
        # Padding repeats the last sample: a valid point for any kernel. Its pairs are masked.
        padded = jnp.pad(leaf, [(0, tiles * size - n)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
        return padded.reshape(tiles, size, *leaf.shape[1:])

    padded = jnp.pad(index, (0, tiles * size - n), constant_values=-1)
    return Ring(tuple(jax.tree.map(cut, one.points) for one in sides), padded.reshape(tiles, size))


def gram_sums(sides: tuple[Side, ...], groups: tuple[tuple[int, ...], ...], tile: int = TILE) -> GramSums:
    """Sums over the Gram matrices of several variables, each pair of samples visited once.

    Args:
        sides: the variables, with n samples each.
        groups: which Σ K_a ∘ K_b (∘ …) to gather.
        tile: largest side of a tile.

    Cost: n²/2 kernel evaluations a variable, memory n·m + tile²·m.
    """
    n = len(sides[0].diagonal)
    samples = ring(sides, jnp.arange(n), tile)
    products, rows, columns = meet(sides, groups, samples, samples, jnp.arange(len(samples.numbers) // 2 + 1))
    return GramSums(
        tuple(product.sum() for product in products),
        tuple((row + column).reshape(-1)[:n] for row, column in zip(rows, columns, strict=True)),
        tuple(one.diagonal - one.shift for one in sides),
    )


class Meeting(NamedTuple):
    """What tiles of rows and tiles of columns have in common, by tile: leaves [tiles, size]."""

    products: list[Float[Array, "tiles size"]]
    rows: list[Float[Array, "tiles size"]]
    columns: list[Float[Array, "tiles size"]]


def meet(
    sides: Sequence[Side],
    groups: Sequence[tuple[int, ...]],
    rows: Ring,
    columns: Ring,
    offsets: Int[Array, " steps"],
    weight: Any = None,
) -> Meeting:
    """Tile i of the rows with tile i + s of the columns, for every i and every offset s.

    Products count twice: a pair stands for its mirror image too, whose row sums are the column sums here. Where rows
    and columns are the same samples and the offset is 0, a tile is its own mirror image and counts once.

    Args:
        sides: kernels and shifts of the variables.
        groups: which products to gather.
        rows: tiles of samples.
        columns: as many tiles of the same size.
        offsets: the offsets s.
        weight: a factor of each offset's sums; by default ½ for offset 0 and 1 for the others, right for a half ring
            of the same samples.
    """
    kernels = tuple(one.kernel for one in sides)
    shifts = tuple(one.shift for one in sides)
    weights = jnp.where(offsets == 0, 0.5, 1.0) if weight is None else weight

    @eqx.filter_checkpoint  # kernels may hold functions: a network's activation
    def visit(kernels: Any, shifts: Any, row: Any, column: Any) -> tuple[list[Array], list[Array], list[Array]]:
        i, j = row.numbers[:, None], column.numbers[None, :]
        keep = (i >= 0) & (j >= 0) & (i != j)
        grams = [
            jnp.where(keep, kernel.pairwise(px, py) - shift, 0)
            for kernel, shift, px, py in zip(kernels, shifts, row.points, column.points, strict=True)
        ]
        products = []
        for group in groups:
            product = grams[group[0]]
            for a in group[1:]:
                product = product * grams[a]
            products.append(product.sum(1))
        return products, [gram.sum(1) for gram in grams], [gram.sum(0) for gram in grams]

    # Of this one only the turning is recomputed: what it scans is checkpointed already.
    @eqx.filter_checkpoint
    def around(kernels: Any, shifts: Any, rows: Ring, columns: Ring, offset: Array, weight: Array) -> Meeting:
        def next_tile(carry: None, tiles: Any) -> tuple[None, Any]:
            return carry, visit(kernels, shifts, *tiles)

        _, (products, of_rows, of_columns) = jax.lax.scan(next_tile, None, (rows, columns.turned(offset)))
        scale = [[weight.astype(leaf.dtype) * leaf for leaf in part] for part in (products, of_rows, of_columns)]
        return Meeting([2 * leaf for leaf in scale[0]], scale[1], [jnp.roll(leaf, offset, axis=0) for leaf in scale[2]])

    def step(total: Meeting, arguments: tuple[Array, Array]) -> tuple[Meeting, None]:
        return jax.tree.map(jnp.add, total, around(kernels, shifts, rows, columns, *arguments)), None

    shape = rows.numbers.shape
    dtypes = [one.shift.dtype for one in sides]  # a double-precision parameter widens single-precision data
    grams = [jnp.zeros(shape, dtype) for dtype in dtypes]
    start = Meeting([jnp.zeros(shape, jnp.result_type(*(dtypes[a] for a in group))) for group in groups], grams, grams)
    total, _ = jax.lax.scan(step, start, (offsets, weights))
    return total


def map_rows(
    function: Any,
    kernel: AbstractKernel | tuple[AbstractKernel, ...],
    points: PyTree[Array],
    tile: int = TILE,
) -> PyTree[Float[Array, " n ..."]]:
    """A function of a Gram matrix's rows, [t, n] and their indices [t] at a time, for results that need whole rows.

    Args:
        function: maps rows [t, n] and their indices [t] to a pytree with leading axis t.
        kernel: the kernel; or several, and then the function takes rows of each.
        points: what `kernel.prepare` made of the n samples; with several kernels a tuple of that.
        tile: n · t is kept at tile² or less.
    """
    kernels, points = (kernel, points) if isinstance(kernel, tuple) else ((kernel,), (points,))
    n = len(jax.tree.leaves(points)[0])
    tiles = -(-n // max(tile * tile // n, 1))
    size = -(-n // tiles)

    @eqx.filter_checkpoint
    def visit(kernels: Any, points: Any, indices: Int[Array, " t"]) -> Any:
        some = jax.tree.map(lambda leaf: leaf[indices], points)
        rows = [one.pairwise(*pair) for one, *pair in zip(kernels, some, points, strict=True)]
        return function(*rows, indices)

    # Beyond the end the last row is taken again, and dropped below.
    indices = jnp.minimum(jnp.arange(tiles * size), n - 1).reshape(tiles, size)
    mapped = jax.lax.map(lambda some: visit(kernels, points, some), indices)
    return jax.tree.map(lambda leaf: leaf.reshape(tiles * size, *leaf.shape[2:])[:n], mapped)


def matched(kernel: AbstractKernel, px: PyTree[Array], py: PyTree[Array]) -> Float[Array, " n"]:
    """k(x_i, y_i) from prepared samples: a diagonal of a Gram matrix without the matrix."""

    def one(a: Any, b: Any) -> Array:
        return kernel.pairwise(*jax.tree.map(lambda leaf: leaf[None], (a, b)))[0, 0]

    return jax.vmap(one)(px, py)
