"""Which columns of x depend on y: a measure for each, and the alignments of all pairs for HSIC Lasso."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from .. import _check
from .._check import ArrayLike
from ..features import one_hot
from ..kernels import AbstractKernel, Gaussian, Label, Linear
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from .cka import alignment
from .estimator import AbstractEstimator, Triple
from .exact import Biased, Unbiased
from .tiled import side

STACK = 2**22
"""The most numbers a stack of tiles, one a column, holds in `column_alignment`."""


def hsic_ranking(
    x: ArrayLike,
    y: ArrayLike,
    kernel: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: AbstractEstimator = Unbiased(),  # noqa: B008 (immutable, holds no array)
    normalised: bool = True,
    key: Key[Array, ""] | None = None,
) -> Float[Array, " d"]:
    """How much y depends on each column of x alone: CKA(x_a, y) or HSIC(x_a, y) for a = 1, …, d.

    Columns are taken one after another by one compiled program, in the memory of a single `hsic`; each sees marginal
    dependence only, so that copies of one column rank alike (see `column_alignment` and HSIC Lasso).

    Args:
        x: n samples, [n, d].
        y: their partners, [n] or [n, e].
        kernel: k, on single columns; by default a Gaussian at each column's own median bandwidth.
        kernel_y: l; by default a Gaussian at y's median bandwidth. `Label()` for classes.
        estimator: of HSIC.
        normalised: CKA, comparable between columns, instead of HSIC, which grows with a column's entropy too.
        key: a JAX key, needed where the estimator is random.

    Returns:
        [d], in x's order; `jnp.argsort(-…)` ranks. 0 for constant columns.

    Raises:
        TypeError, ValueError: as `hsic`.

    Source: Song et al. (2012), who select features by HSIC.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> hsic_ranking(x, np.cos(3 * x[:, 1])).round(2).tolist()
        [0.0, 0.13, 0.0]
    """
    if not isinstance(estimator, AbstractEstimator):
        raise TypeError(f"estimator is {estimator!r}: an estimator such as Unbiased() is needed.")
    x, y, kernel_y = _checked(x, y, kernel, kernel_y, estimator.min_samples, type(estimator).__name__)
    keys = None
    if estimator.random:
        key = _check.random_key(key, f"the estimator {type(estimator).__name__}")
        keys = jax.random.split(key, x.shape[1])
        if isinstance(kernel_y, Label):  # its features need concrete labels, which they are only here
            y, kernel_y = one_hot(kernel_y, y)(y), Linear()
    return _ranking(estimator, x, y, kernel, kernel_y, keys, normalised)


@eqx.filter_jit
def _ranking(
    estimator: AbstractEstimator,
    x: Float[Array, "n d"],
    y: Float[Array, "n e"],
    kernel: AbstractKernel | None,
    kernel_y: AbstractKernel,
    keys: Key[Array, " d"] | None,
    normalised: bool,
) -> Float[Array, " d"]:
    def one(arguments: tuple[Array, Array | None]) -> Array | Triple:
        column, key = arguments
        column = column[:, None]
        k = Gaussian(median_distance(column)) if kernel is None else kernel
        prepared = estimator.prepare(k, kernel_y, column, y, key=key)
        return estimator.triple(prepared) if normalised else estimator.statistic(prepared)

    # Checkpointed, so that of each column the backward pass keeps the column alone.
    found = jax.lax.map(jax.checkpoint(one), (x.T, keys))
    return alignment(found) if isinstance(found, Triple) else found


def column_alignment(
    x: ArrayLike, y: ArrayLike, kernel: AbstractKernel | None = None, kernel_y: AbstractKernel | None = None
) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    """The biased CKA of all pairs of columns of x, and of each column with y, from one pass over tiles.

    With K̄ = HKH/‖HKH‖_F these are tr(K̄_a K̄_b) and tr(K̄_a L̄): all that HSIC Lasso,
    min_{α ≥ 0} ½‖L̄ − Σ_a α_a K̄_a‖²_F + λ‖α‖₁, needs of the data. A tile of all d Gram matrices is multiplied by
    itself: time n²d²/2, memory nd + d² and 2²² numbers.

    Args:
        x: n ≥ 2 samples, [n, d].
        y: their partners, [n] or [n, e].
        kernel: k, on single columns; by default a Gaussian at each column's own median bandwidth.
        kernel_y: l; by default a Gaussian at y's median bandwidth.

    Returns:
        CKA(x_a, x_b) [d, d], and CKA(x_a, y) [d]. 0 for constant columns.

    Raises:
        TypeError, ValueError: as `hsic`.

    Source: Yamada et al. (2014).
    """
    x, y, kernel_y = _checked(x, y, kernel, kernel_y, Biased.min_samples, "column_alignment")
    size = max(int((STACK / (x.shape[1] + 1)) ** 0.5), 1)
    return _alignment(x, y, kernel, kernel_y, size)


@eqx.filter_jit
def _alignment(
    x: Float[Array, "n d"], y: Float[Array, "n e"], kernel: AbstractKernel | None, kernel_y: AbstractKernel, tile: int
) -> tuple[Float[Array, "d d"], Float[Array, " d"]]:
    n = len(x)
    tiles = -(-n // tile)
    size = -(-n // tiles)

    def prepare(column: Array) -> Any:
        return side(Gaussian(median_distance(column[:, None])) if kernel is None else kernel, column[:, None])

    columns, target = jax.lax.map(prepare, x.T), side(kernel_y, y)  # every leaf of `columns` has leading axis d

    def take(one: Any, i: Int[Array, " t"]) -> Any:
        return jax.tree.map(lambda leaf: leaf[i], one.points)

    def gram(one: Any, i: Array, j: Array) -> Array:
        return one.kernel.pairwise(take(one, i), take(one, j)) - one.shift

    @jax.checkpoint
    def visit(sides: Any, i: Array, j: Array) -> tuple[Array, Array, Array]:
        columns, target = sides
        row, column = i * size + jnp.arange(size), j * size + jnp.arange(size)
        # Padding takes the last sample again and is masked.
        at = tuple(jnp.minimum(index, n - 1) for index in (row, column))
        keep = (row[:, None] < n) & (column[None, :] < n)
        grams = [jax.vmap(lambda one: gram(one, *at))(columns), gram(target, *at)[None]]
        stack = jnp.where(keep[None], jnp.concatenate(grams), 0)
        mirror = jnp.where(i == j, 0, 1)  # an off-diagonal tile stands for its mirror image too
        flat = stack.reshape(len(stack), -1)
        products = (1 + mirror) * jnp.matmul(flat, flat.T, precision=jax.lax.Precision.HIGHEST)
        return products, stack.sum(2), mirror * stack.sum(1)

    def step(totals: Any, indices: Any) -> tuple[Any, None]:
        products, rows = totals
        more, of_rows, of_columns = visit((columns, target), *indices)
        return (products + more, rows.at[:, indices[0]].add(of_rows).at[:, indices[1]].add(of_columns)), None

    width, dtype = x.shape[1] + 1, jnp.promote_types(columns.shift.dtype, target.shift.dtype)
    start = (jnp.zeros((width, width), dtype), jnp.zeros((width, tiles, size), dtype))
    upper = tuple(jnp.asarray(index) for index in np.triu_indices(tiles))
    (products, rows), _ = jax.lax.scan(step, start, upper)
    rows = rows.reshape(width, -1)[:, :n]
    totals = rows.sum(1, keepdims=True)
    # tr(KHLH) = Σ K∘L − AB/n² − (2/n) Σ(a_i − ā)(b_i − b̄), as for one pair in `biased_statistic`.
    rows = rows - totals / n
    comoments = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    traces = products - (totals / n) * (totals.T / n) - 2 / n * comoments
    self_traces = jnp.diag(traces)
    found = alignment(Triple(traces, *jnp.broadcast_arrays(self_traces[:, None], self_traces[None, :])))
    return found[:-1, :-1], found[:-1, -1]


def _checked(
    x: ArrayLike,
    y: ArrayLike,
    kernel: AbstractKernel | None,
    kernel_y: AbstractKernel | None,
    min_samples: int,
    why: str,
) -> tuple[Float[Array, "n d"], Float[Array, "n e"], AbstractKernel]:
    guard = _check.Guard()
    for name, one in (("kernel", kernel), ("kernel_y", kernel_y)):
        if one is not None:
            check_parameters(one, name, guard)
    centred = [one is None or one.stationarity != "none" for one in (kernel, kernel_y)]
    x = _check.as_samples(x, "x", guard, centred=centred[0])
    y = _check.as_samples(y, "y", guard, centred=centred[1])
    _check.same_length(x, y, min_samples, why)
    x = guard.on(x)
    return x, y, Gaussian(median_distance(y)) if kernel_y is None else kernel_y
