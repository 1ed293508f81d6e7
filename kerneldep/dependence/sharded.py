"""The same sums over samples that are spread over devices, of one machine or of many.

The devices stand in a ring, as the tiles of one device do: each keeps its samples, and meets those of the device s
places ahead, for s up to half the ring, so that every pair of samples is visited once. What travels is n/P samples a
step, and back their row sums.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PyTree

from .._check import Guard, is_traced
from .feature_sums import Features, FeatureSums, approximate_centers, moments_about
from .feature_sums import feature_sums as features_on_one_device
from .tiled import TILE, GramSums, Side, meet, ring
from .tiled import gram_sums as on_one_device


def samples_over(mesh: Mesh) -> PartitionSpec:
    """The leading axis spread over all devices, whatever the mesh's axes."""
    return PartitionSpec(mesh.axis_names)


def spread(leaf: Array, mesh: Mesh) -> Array:
    """Samples [n, …] padded (with the last) to a multiple of the number of devices, and spread over them."""
    padded = jnp.pad(leaf, [(0, -len(leaf) % mesh.size)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
    return jax.lax.with_sharding_constraint(padded, NamedSharding(mesh, samples_over(mesh)))


def placed(array: Array, mesh: Mesh) -> Array:
    """Concrete samples made global: spread over the mesh if they divide evenly, else copied to every device."""
    if is_traced(array) or len(array.sharding.device_set) == mesh.size:
        return array  # a compiled program's, or the caller has placed them
    even = len(array) % mesh.size == 0
    return jax.device_put(array, NamedSharding(mesh, samples_over(mesh) if even else PartitionSpec()))


def placed_samples(samples: Sequence[Array], mesh: Mesh | None, guard: Guard) -> tuple[Array, ...]:
    """The samples of a public call on the devices of a mesh (None for one), with the guard's run-time check.

    Raises:
        TypeError: if the mesh is none.
    """
    first, *others = samples
    if mesh is None:
        return guard.on(first), *others
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh is {mesh!r}: a jax.sharding.Mesh is needed, such as jax.make_mesh((8,), ('samples',)).")
    first, *others = (placed(one, mesh) for one in samples)
    # The check moves what it is attached to onto one device: here a number.
    return first + guard.on(jnp.zeros((), first.dtype)), *others


def gram_sums(sides: tuple[Side, ...], groups: tuple[tuple[int, ...], ...], tile: int = TILE) -> GramSums:
    """`tiled.gram_sums`, on one device or spread over those of the first side's mesh.

    Args:
        sides: the variables, with n samples each.
        groups: which Σ K_a ∘ K_b (∘ …) to gather.
        tile: largest side of a tile.
    """
    mesh, n = sides[0].mesh, len(sides[0].diagonal)
    if mesh is None or mesh.size == 1:
        return on_one_device(sides, groups, tile)
    bare, leaves = zip(*(_without_points(one) for one in sides), strict=True)
    parameters, static = eqx.partition(bare, eqx.is_array)
    index = jnp.arange(n + -n % mesh.size)
    index = jnp.where(index < n, index, -1)

    def on_each(parameters: Any, leaves: Any, index: Int[Array, " n"]) -> tuple[Any, Any]:
        sides = tuple(
            eqx.tree_at(lambda one: one.points, one, of, is_leaf=lambda node: node is None)
            for one, of in zip(eqx.combine(parameters, static), leaves, strict=True)
        )
        return _around_the_ring(sides, groups, index, Circle(mesh.axis_names, mesh.size), tile)

    samples, everywhere = samples_over(mesh), PartitionSpec()
    products, rows = jax.shard_map(
        on_each, mesh=mesh, in_specs=(everywhere, samples, samples), out_specs=(everywhere, samples), check_vma=False
    )(parameters, jax.tree.map(lambda leaf: spread(leaf, mesh), leaves), spread(index, mesh))
    return GramSums(tuple(products), tuple(row[:n] for row in rows), tuple(one.diagonal - one.shift for one in sides))


def feature_sums(features: Features, samples: PyTree[Array], mesh: Mesh | None) -> tuple[FeatureSums, ...]:
    """`feature_sums.feature_sums`, on one device or spread over those of a mesh, each with its share of the samples.

    Args:
        features: maps a tile of the samples to pairs (φ [t, D], ψ [t, E]); a pytree (`eqx.Partial`) if there is a mesh.
        samples: pytree of arrays with leading axis n.
        mesh: the devices; None for one.
    """
    if mesh is None or mesh.size == 1:
        return features_on_one_device(features, samples)
    n = len(jax.tree.leaves(samples)[0])
    share = -(-n // mesh.size)
    centers = approximate_centers(features, samples)
    parameters, static = eqx.partition((features, centers), eqx.is_array)

    def on_each(parameters: Any, samples: Any) -> Any:
        features, centers = eqx.combine(parameters, static)
        count = jnp.clip(n - jax.lax.axis_index(mesh.axis_names) * share, 0, share)
        return jax.lax.psum(moments_about(centers, features, samples, count=count), mesh.axis_names)

    everywhere = PartitionSpec()
    moments = jax.shard_map(
        on_each, mesh=mesh, in_specs=(everywhere, samples_over(mesh)), out_specs=everywhere, check_vma=False
    )(parameters, jax.tree.map(lambda leaf: spread(leaf, mesh), samples))
    return tuple(FeatureSums(*both) for both in zip(centers, moments, strict=True))


def _without_points(one: Side) -> tuple[Side, PyTree[Array]]:
    """A side that holds what every device needs, and the samples."""
    return Side(one.kernel, None, jnp.zeros(0, one.diagonal.dtype), one.shift), one.points


class Circle(NamedTuple):
    """The devices, as seen from one of them."""

    axes: tuple[str, ...]
    size: int

    def fetched(self, tree: Any, ahead: Array) -> Any:
        """What the device `ahead` places on holds: moves by powers of two, since a move's length must be static."""
        for bit in range((self.size - 1).bit_length()):
            pairs = [((i + 2**bit) % self.size, i) for i in range(self.size)]
            moved = jax.lax.ppermute(tree, self.axes, pairs)
            tree = jax.tree.map(functools.partial(jnp.where, (ahead >> bit) & 1 == 1), moved, tree)
        return tree


def _around_the_ring(
    sides: Sequence[Side], groups: tuple[tuple[int, ...], ...], index: Int[Array, " n"], circle: Circle, tile: int
) -> tuple[Any, Any]:
    """One device's part: products summed over all devices, rows of its own samples."""
    own = ring(sides, index, tile)
    tiles = len(own.numbers)
    half = jnp.arange(tiles // 2 + 1)
    within = meet(sides, groups, own, own, half)
    total = _Sums(within.products, jax.tree.map(jnp.add, within.rows, within.columns))

    def with_device(ahead: Array, offsets: Array, weights: Array) -> "_Sums":
        visitor = circle.fetched(own, ahead)
        found = meet(sides, groups, own, visitor, offsets, weights)
        back = circle.fetched(found.columns, circle.size - ahead)  # to where the visitor came from
        return _Sums(found.products, jax.tree.map(jnp.add, found.rows, back))

    def step(total: "_Sums", ahead: Array) -> tuple["_Sums", None]:
        found = jax.checkpoint(with_device)(ahead, jnp.arange(tiles), jnp.ones(tiles))
        return jax.tree.map(jnp.add, total, found), None

    total, _ = jax.lax.scan(step, total, jnp.arange(1, (circle.size + 1) // 2))
    if circle.size % 2 == 0:
        # Opposite devices meet each other: tiles at offset s of one are at −s of the other. Each takes half of the
        # offsets, and the first of the two those at 0.
        first = jax.lax.axis_index(circle.axes) < circle.size // 2
        weights = jnp.where((half == 0) & ~first, 0.0, 1.0)
        found = jax.checkpoint(with_device)(jnp.asarray(circle.size // 2), half, weights)
        total = jax.tree.map(jnp.add, total, found)
    products = [jax.lax.psum(product.sum(), circle.axes) for product in total.products]
    return products, [row.reshape(-1)[: len(index)] for row in total.rows]


class _Sums(eqx.Module):
    products: list[Array]
    rows: list[Array]
