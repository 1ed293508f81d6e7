"""The product, over coordinates, of a kernel of numbers."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .base import AbstractKernel, Stationarity


class PerCoordinate(AbstractKernel):
    """k(x, x′) = Π_a k_a(x_a, x′_a): one kernel of numbers, with the same or its own parameters for every coordinate.

    Characteristic where the k_a are. Of Gaussians it is the Gaussian itself (with lengths of their own,
    `AutomaticRelevance`); of Laplace kernels, the L1 Laplace; of Matérn kernels, one that is not radial.

    Args:
        kernel: one kernel for all coordinates; or d kernels that differ in their parameters' values only, one a
            coordinate, which are stacked and evaluated together.

    Raises:
        ValueError: if the kernels are of different kinds, or as many as no coordinate.

    Example:
        >>> from kerneldep.kernels import Laplace
        >>> float(PerCoordinate(Laplace(2.0))([0.0, 0.0], [1.0, 3.0]))  # e^{−(1 + 3)/2}
        0.13534
        >>> kernel = PerCoordinate([Laplace(1.0), Laplace(3.0)])
        >>> float(kernel([0.0, 0.0], [1.0, 3.0]))  # e^{−(1/1 + 3/3)}
        0.13534
    """

    kernel: AbstractKernel
    dim: int | None = eqx.field(static=True)

    def __init__(self, kernel: AbstractKernel | Sequence[AbstractKernel]) -> None:
        """Stack the kernels if there are several."""
        if isinstance(kernel, AbstractKernel):
            self.kernel, self.dim = kernel, None
            return
        parts = [eqx.partition(one, eqx.is_array) for one in kernel]
        if not parts or any(not eqx.tree_equal(rest, parts[0][1]) for _, rest in parts):
            raise ValueError(
                "PerCoordinate needs one kernel, or one a coordinate that differ in the values of their parameters "
                f"only: {[type(one).__name__ for one in kernel]} was given. Others multiply by k1 * k2."
            )
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(arrays for arrays, _ in parts))
        self.kernel = eqx.combine(stacked, parts[0][1])
        self.dim = len(kernel)

    @property
    def stationarity(self) -> Stationarity:
        """Strict if the kernel is; terms u(x) + u(x′) do not survive a product."""
        return "strict" if self.kernel.stationarity == "strict" else "none"

    def each(self, function: Any, *arguments: Any, axis: int = 0) -> Any:
        """`function(k_a, …)` for every coordinate a, which is one axis of the arguments and the result."""
        arrays, rest = eqx.partition(self.kernel, eqx.is_array)

        def one(arrays: Any, *arguments: Any) -> Any:
            return function(eqx.combine(arrays, rest), *arguments)

        axes = (None if self.dim is None else 0, *(axis,) * len(arguments))
        return jax.vmap(one, in_axes=axes, out_axes=axis)(arrays, *arguments)

    def _require(self, dim: int) -> None:
        if self.dim not in (None, dim):
            raise ValueError(f"PerCoordinate has {self.dim} kernels, the samples {dim} coordinates.")

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Scalar:
        """k(x, y) for two points."""
        x, y = _check.as_point(x, "x"), _check.as_point(y, "y")
        self._require(len(x))
        return self.each(lambda kernel, a, b: kernel(a, b), x, y).prod()

    def prepare(self, x: Float[Array, "n d"]) -> Any:
        """The kernel's preparation of every column; leaves [n, d, …]."""
        self._require(x.shape[1])
        return self.each(lambda kernel, column: kernel.prepare(column[:, None]), x, axis=1)

    def pairwise(self, px: Any, py: Any) -> Float[Array, "n m"]:
        """A tile of the Gram matrix, coordinate after coordinate.

        Its derivative needs the product of all coordinates before each: in blocks of ⌈√d⌉, recomputed one at a time, no
        more than 2√d tiles are held.
        """
        dim = jax.tree.leaves(px)[0].shape[1]
        size = math.isqrt(dim - 1) + 1
        blocks = -(-dim // size)

        def split(leaf: Array, axis: int) -> Array:
            leaf = jnp.moveaxis(leaf, axis, 0)
            padded = jnp.pad(leaf, [(0, blocks * size - dim)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")
            return padded.reshape(blocks, size, *leaf.shape[1:])

        arrays, rest = eqx.partition(self.kernel, eqx.is_array)
        stacked, shared = (None, arrays) if self.dim is None else (arrays, None)

        def gram(stacked: Any, qx: Any, qy: Any) -> Array:
            return eqx.combine(stacked if shared is None else shared, rest).pairwise(qx, qy)

        @jax.checkpoint
        def one(product: Array, each: Any) -> tuple[Array, None]:
            real, *arguments = each
            return product * jnp.where(real, gram(*arguments), 1), None

        @jax.checkpoint
        def block(product: Array, each: Any) -> tuple[Array, None]:
            return jax.lax.scan(one, product, each)

        points = jax.tree.map(lambda leaf: split(leaf, 1), (px, py))
        real = jnp.arange(blocks * size).reshape(blocks, size) < dim
        each = (real, jax.tree.map(lambda leaf: split(leaf, 0), stacked), *points)
        shape = jax.eval_shape(gram, *jax.tree.map(lambda leaf: leaf[0, 0], each[1:]))
        return jax.lax.scan(block, jnp.ones(shape.shape, shape.dtype), each)[0]

    def diagonal(self, x: ArrayLike) -> Float[Array, " n"]:
        """Product of the diagonals."""
        x = _check.as_samples(x, "x")
        self._require(x.shape[1])
        return self.each(lambda kernel, column: kernel.diagonal(column), x, axis=1).prod(1)
