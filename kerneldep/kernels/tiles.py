"""Distances of a tile of points, with the digits and the derivatives right."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

UNROLLED = 16
"""Up to this dimension coordinate differences are summed one by one, which loses no digits."""

VISIBLE = 1000.0
"""Squared norm, in units of the length, from which a matrix product's rounding of distances shows (float32: 10⁻⁴)."""


class Points(NamedTuple):
    """Prepared samples: their coordinates and squared norms."""

    values: Float[Array, "n d"]
    norms: Float[Array, " n"]


def points(values: Float[Array, "n d"]) -> Points:
    """Prepare centred, scaled samples."""
    return Points(values, (values**2).sum(1))


def center(x: Float[Array, "n d"]) -> Float[Array, "1 d"]:
    """A point amid the data: the coordinate-wise median of at most 64 evenly strided samples.

    Distances do not depend on it, their digits do: after subtracting it an offset of the data costs nothing, and, a
    median, it is not drawn away by outliers. No gradient flows through it, since none is due.
    """
    return jax.lax.stop_gradient(jnp.median(x[:: -(-len(x) // 64)], axis=0, keepdims=True))


def exact_unit(length: Scalar, dtype: jnp.dtype) -> Scalar:
    """The power of two next below a length, to divide data by: that rounds nothing.

    Divided by the length itself, equal points can differ: XLA scales each anew for every pair, and contracts that and
    the subtraction to a·r − (b·r), whose inner product is rounded and whose outer is not.
    """
    length = jax.lax.stop_gradient(length)
    return (length / (2 * jnp.frexp(length)[0])).astype(dtype)


def unit_of(x: Float[Array, "n d"]) -> Scalar:
    """A power of two near the size of centred data, in which products of distances neither overflow nor vanish.

    The median of coordinates of some samples: among the largest, distances within a cluster would look like rounding.
    """
    sizes = jnp.abs(x)
    largest, typical = sizes.max(), jnp.median(sizes[:: -(-len(x) // 64)])
    size = jnp.where(typical > 1e-12 * largest, typical, largest)
    return exact_unit(jnp.where(size > 0, size, 1), x.dtype)


def safe_sqrt(s: Array) -> Array:
    """√s with derivative 0, instead of infinity, at s = 0."""
    return jnp.where(s > 0, jnp.sqrt(jnp.where(s > 0, s, 1)), 0)


def safe_abs(x: Array) -> Array:
    """|x| with derivative 0, instead of JAX's 1, at x = 0."""
    return x * jnp.sign(x)


def sum_over_coordinates(
    function: Callable[[Array], Array], x: Float[Array, "n d"], y: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """Σ_k function(x_ik − y_jk), never holding more than an [n, m] array at a time."""

    def add(total: Array, block: tuple[Array, Array]) -> Array:
        for a, b in zip(*map(_copied, block), strict=True):
            total = total + function(a[:, None] - b[None, :])
        return total

    x, y = x.T, y.T
    whole = len(x) // UNROLLED * UNROLLED
    total = add(jnp.zeros((x.shape[1], y.shape[1]), x.dtype), (x[whole:], y[whole:]))
    if whole:
        blocks = tuple(a[:whole].reshape(-1, UNROLLED, a.shape[1]) for a in (x, y))
        body = jax.checkpoint(add)
        total, _ = jax.lax.scan(lambda carry, block: (body(carry, block), None), total, blocks)
    return total


def _copied(rows: Float[Array, "k n"]) -> Float[Array, "k n"]:
    """The same rows, by a product with the identity, which XLA does not fuse into what reads them.

    It would read a coordinate from the points [n, k], its values k apart, which no CPU does several at a time. (It also
    takes out any barrier before it fuses.)
    """
    largest = jnp.finfo(rows.dtype).max  # 0·∞ is no number
    identity = jnp.eye(len(rows), dtype=rows.dtype)
    return jnp.matmul(identity, jnp.clip(rows, -largest, largest), precision=jax.lax.Precision.HIGHEST)


def squared_distances(px: Points, py: Points, *, rough: bool = False) -> Float[Array, "n m"]:
    """‖x_i − y_j‖² of prepared points.

    One matrix product where its rounding (about eps·(‖x‖² + ‖y‖²)) cannot be seen; coordinate differences in few
    dimensions, or where some point of the tile lies so far out that it could. With `rough`, for kernels that take a
    root, what rounding leaves of a distance between equal points is set to 0. Its derivatives are those of the
    polynomial also where the value is set: a smooth kernel's Hessian at ties needs the second.
    """
    if px.values.shape[1] <= (UNROLLED if rough else 2):
        return _differences(px, py)
    return _product_or_differences(px, py, rough)


def _differences(px: Points, py: Points) -> Float[Array, "n m"]:
    # A finite maximum keeps profiles such as (1 + t)e^{−t} from becoming ∞·0.
    return jnp.minimum(sum_over_coordinates(jnp.square, px.values, py.values), jnp.finfo(px.values.dtype).max)


def _product(px: Points, py: Points) -> Float[Array, "n m"]:
    """‖x‖² + ‖y‖² − 2x·y as the one product of (−2x, ‖x‖², 1) and (y, 1, ‖y‖²), and so its derivatives."""
    one = jnp.ones((), px.values.dtype)
    left = jnp.concatenate([-2 * px.values, px.norms[:, None], jnp.broadcast_to(one, (len(px.norms), 1))], axis=1)
    right = jnp.concatenate([py.values, jnp.broadcast_to(one, (len(py.norms), 1)), py.norms[:, None]], axis=1)
    return jnp.matmul(left, right.T, precision=jax.lax.Precision.HIGHEST)


def _visible(px: Points, py: Points) -> Array:
    """Whether the product's rounding could show in this tile."""
    farthest = jnp.stack([px.norms.max(), py.norms.max()])
    return (farthest.min() > VISIBLE) | jnp.isinf(farthest.max())


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _product_or_differences(px: Points, py: Points, rough: bool) -> Float[Array, "n m"]:
    def product(px: Points, py: Points) -> Array:
        scale = px.norms[:, None] + py.norms[None, :]
        squared = scale - 2 * jnp.matmul(px.values, py.values.T, precision=jax.lax.Precision.HIGHEST)
        if not rough:
            return jnp.maximum(squared, 0)
        rounding = 8 * jnp.finfo(squared.dtype).eps * (px.norms[:, None] + py.norms[None, :])
        return jnp.where(squared > rounding, squared, 0)

    return jax.lax.cond(_visible(px, py), _differences, product, px, py)


# Differentiated as the product whichever is taken: the backward pass then keeps the points and not, for both branches,
# arrays of the tile's size. In float32 a derivative between two points a distance r apart and R from the centre is good
# to about eps·R/r. (A choice by `cond` here could not be transposed under vmap: JAX stops gradients in its branches.)


@_product_or_differences.defjvp
def _(rough: bool, primals: Any, tangents: Any) -> tuple[Array, Array]:
    return _product_or_differences(*primals, rough), jax.jvp(jax.checkpoint(_product), primals, tangents)[1]
