"""The maximum mean discrepancy of two samples, and the energy distance, which is one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel, Distance, Gaussian, Linear
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from ..kernels.tiles import center, unit_of
from .exact import AbstractExact, Biased, Unbiased
from .sharded import gram_sums, placed_samples
from .tiled import Side, side
from .univariate import weighted_distance


def mmd_squared(
    x: ArrayLike,
    y: ArrayLike,
    kernel: AbstractKernel | None = None,
    *,
    estimator: AbstractExact = Unbiased(),  # noqa: B008 (immutable, holds no array)
    mesh: Mesh | None = None,
) -> Scalar:
    """The squared maximum mean discrepancy of two laws, from samples that need be neither paired nor equally many.

    MMD²(P, Q) = ‖E_P φ − E_Q φ‖² = E k(X,X′) − 2 E k(X,Y) + E k(Y,Y′). With a characteristic kernel it is 0 iff P = Q.

    Args:
        x: n samples of P, [n] or [n, d].
        y: m samples of Q, [m] or [m, d].
        kernel: k; by default a Gaussian at the median bandwidth of both samples pooled.
        estimator: `Unbiased()`, a U-statistic in each sample (n, m ≥ 2; can be negative), or `Biased()`, the
            V-statistic (never negative but for rounding).
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar in the unit of k. Time (n + m)²d/2, memory n + m and a tile.

    Raises:
        TypeError: complex or non-numeric data, something that is no kernel, another estimator.
        ValueError: unequal dimensions, too few samples, wrong rank, empty, NaN or infinite data, a kernel parameter
            that is not positive. Under `jit` conditions on values raise a RuntimeError at run time instead.

    Source: Gretton et al. (2012), lemma 6.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=500)
        >>> float(mmd_squared(x, rng.normal(size=400) + 1))
        0.1887
        >>> abs(float(mmd_squared(x, rng.normal(size=400)))) < 5e-3
        True
    """
    guard = _check.Guard()
    if kernel is not None:
        check_parameters(kernel, "kernel", guard)
    x, y = two_samples(x, y, guard, estimator, centred=kernel is None or kernel.stationarity != "none")
    x, y = placed_samples((x, y), mesh, guard)
    return _mmd_squared(x, y, kernel, isinstance(estimator, Unbiased), mesh)


def energy_distance(
    x: ArrayLike,
    y: ArrayLike,
    *,
    exponent: float = 1.0,
    estimator: AbstractExact = Unbiased(),  # noqa: B008
    mesh: Mesh | None = None,
) -> Scalar:
    """The energy distance of two laws, 2·MMD² with the distance kernel.

    2 E‖X − Y‖^e − E‖X − X′‖^e − E‖Y − Y′‖^e, for 0 < e < 2 zero iff the laws are equal. In one dimension with e = 1 it
    is 2 ∫ (F − G)², the square of what `scipy.stats.energy_distance` returns (with `Biased()`).

    Args:
        x: n samples, [n] or [n, d].
        y: m samples, [m] or [m, d].
        exponent: e in (0, 2].
        estimator: `Unbiased()` (n, m ≥ 2) or `Biased()`, as in `mmd_squared`.
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar in the unit of the data to the power e. Time (n + m)²d/2, or (n + m) log(n + m) in one
        dimension with e = 1.

    Raises:
        TypeError, ValueError: as `mmd_squared`.

    Source: Székely and Rizzo (2013); Sejdinovic et al. (2013).

    Example:
        >>> float(energy_distance([0.0, 1.0], [2.0, 3.0], estimator=Biased()))
        3.0
    """
    guard = _check.Guard()
    kernel = Distance(float(exponent))
    x, y = two_samples(x, y, guard, estimator, centred=True)
    x, y = placed_samples((x, y), mesh, guard)
    return _energy_distance(x, y, kernel, isinstance(estimator, Unbiased), mesh)


def two_samples(
    x: ArrayLike, y: ArrayLike, guard: _check.Guard, estimator: AbstractExact, *, centred: bool
) -> tuple[Float[Array, "n d"], Float[Array, "m d"]]:
    """Both samples checked, and if `centred` moved by one and the same vector."""
    if not isinstance(estimator, (Biased, Unbiased)):
        raise TypeError(f"estimator is {estimator!r}: Biased() or Unbiased() is needed.")
    rows = []
    for values, name in ((x, "x"), (y, "y")):
        array = _check.as_real(values, name)
        if array.ndim not in (1, 2) or 0 in array.shape:
            _check.as_samples(array, name)  # says what is wrong with it
        if isinstance(array, jax.Array):  # integers of JAX would wrap when joined with others
            array = _check.as_float(array, name)
        rows.append(array.reshape(len(array), -1))
    (n, d), (m, e) = (array.shape for array in rows)
    if d != e:
        raise ValueError(f"x has dimension {d}, y has {e}: samples of one space are needed.")
    if isinstance(estimator, Unbiased) and min(n, m) < 2:
        raise ValueError(f"x has n = {n} samples, y has {m}: Unbiased needs at least 2 of each.")
    pooled = (jnp if any(isinstance(array, jax.Array) for array in rows) else np).concatenate(rows)
    samples = _check.as_samples(pooled, "x or y", guard, centred=centred)
    return samples[:n], samples[n:]


@eqx.filter_jit
def _mmd_squared(
    x: Float[Array, "n d"], y: Float[Array, "m d"], kernel: AbstractKernel | None, unbiased: bool, mesh: Mesh | None
) -> Scalar:
    """Σ_ij w_ij k(z_i, z_j) over the pooled sample z, in one pass.

    The weights 1/n², −1/(nm), 1/m² (unbiased: 1/(n(n−1)), −1/(nm), 1/(m(m−1)) and 0 on the diagonal) are a Gram matrix
    too, of points with two coordinates. They sum to 0, so that a constant may be taken from k.
    """
    z = jnp.concatenate([x, y])
    kernel = Gaussian(median_distance(z)) if kernel is None else kernel
    n, m = float(len(x)), float(len(y))
    if unbiased:
        first = (m / (n - 1)) ** 0.5
        corners = [[first, 0.0], [-1 / first, ((n + m - 1) / (m * (m - 1))) ** 0.5]]
    else:
        corners = [[(m / n) ** 0.5, 0.0], [-((n / m) ** 0.5), 0.0]]
    of_x, of_y = jnp.asarray(corners, z.dtype)
    points = jnp.where((jnp.arange(len(z)) < len(x))[:, None], of_x[None, :], of_y[None, :])
    linear = Linear()
    weights = Side(linear, linear.prepare(points), (points**2).sum(1), jnp.zeros((), z.dtype))
    sums = gram_sums((side(kernel, z, mesh), weights), ((0, 1),))
    diagonal = 0.0 if unbiased else (sums.diagonals[0] * sums.diagonals[1]).sum()
    return (sums.products[0] + diagonal) / (n * m)


@eqx.filter_jit
def _energy_distance(
    x: Float[Array, "n d"], y: Float[Array, "m d"], kernel: Distance, unbiased: bool, mesh: Mesh | None
) -> Scalar:
    z = jnp.concatenate([x, y])
    z = z - center(z)
    unit = unit_of(z)
    z = z / unit
    n, m = len(x), len(y)
    if z.shape[1] > 1 or kernel.exponent != 1:
        return unit**kernel.exponent * 2 * _mmd_squared(z[:n], z[n:], kernel, unbiased, mesh)
    of_x = jnp.where(jnp.arange(n + m) < n, 1 / n, 0.0).astype(z.dtype)
    of_y = jnp.where(jnp.arange(n + m) < n, 0.0, 1 / m).astype(z.dtype)
    energy = -weighted_distance(z[:, 0], of_x - of_y)
    if unbiased:
        within_x, within_y = weighted_distance(z[:, 0], of_x), weighted_distance(z[:, 0], of_y)
        energy = energy - within_x / (n - 1) - within_y / (m - 1)
    return unit * energy
