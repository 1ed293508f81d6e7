"""Distance covariance, distance correlation and its partial version."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import Distance
from ..kernels.tiles import center, unit_of
from .cka import alignment
from .estimator import Triple
from .exact import AbstractExact, Biased, Unbiased
from .sharded import gram_sums, placed_samples
from .tiled import side
from .univariate import distance_sums

Pairs = tuple[tuple[int, int], ...]


def distance_covariance_squared(
    x: ArrayLike,
    y: ArrayLike,
    *,
    exponent: float = 1.0,
    estimator: AbstractExact = Biased(),  # noqa: B008 (immutable, holds no array)
    mesh: Mesh | None = None,
) -> Scalar:
    """The squared distance covariance of paired samples, 4·HSIC with the distance kernel.

    dCov² = E‖X−X′‖^e‖Y−Y′‖^e − 2 E‖X−X′‖^e‖Y−Y″‖^e + E‖X−X′‖^e · E‖Y−Y′‖^e. For 0 < e < 2 it is 0 iff X and Y are
    independent (of laws with finite moments of order e).

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, d′].
        exponent: e in (0, 2]; at 2 only linear dependence is seen.
        estimator: `Biased()` (V-statistic, n ≥ 2) or `Unbiased()` (U-statistic, n ≥ 4; can be negative).
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar in the units of x and y, each to the power e. Time n²(d + d′)/2, memory n and a tile; n log n and n
        where x and y are both univariate and e = 1.

    Raises:
        TypeError: complex or non-numeric data, an estimator that is not exact.
        ValueError: unequal or too few samples, wrong rank, empty, NaN or infinite data, e out of range.

    Source: Székely, Rizzo and Bakirov (2007); Székely and Rizzo (2014), unbiased; Sejdinovic et al. (2013), as HSIC.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=1000)
        >>> float(distance_covariance_squared(x, x**2))
        0.1247
    """
    samples = paired_samples({"x": x, "y": y}, estimator, mesh)
    return _in_full(_covariance, samples, float(exponent), mesh, estimator)


def distance_correlation_squared(
    x: ArrayLike,
    y: ArrayLike,
    *,
    exponent: float = 1.0,
    estimator: AbstractExact = Biased(),  # noqa: B008
    mesh: Mesh | None = None,
) -> Scalar:
    """The squared distance correlation dCov²(X, Y) / √(dCov²(X, X) · dCov²(Y, Y)), all three from one pass.

    With `Biased()` it lies in [0, 1] and tends to 1 for independent data of high dimension; with `Unbiased()` it is the
    bias-corrected one, which can be negative.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, d′].
        exponent: e in (0, 2].
        estimator: of the three covariances.
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar without unit; 0 where x or y is constant. Cost as `distance_covariance_squared`.

    Raises:
        TypeError, ValueError: as `distance_covariance_squared`.

    Source: Székely, Rizzo and Bakirov (2007); Székely and Rizzo (2014), bias-corrected.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=1000)
        >>> float(distance_correlation_squared(x, 2 * x + 1)), float(distance_correlation_squared(x, x**2))
        (1.0, 0.29)
    """
    samples = paired_samples({"x": x, "y": y}, estimator, mesh)
    return _in_full(_correlation, samples, float(exponent), mesh, estimator)


def partial_distance_correlation(
    x: ArrayLike, y: ArrayLike, z: ArrayLike, *, exponent: float = 1.0, mesh: Mesh | None = None
) -> Scalar:
    """The distance correlation of X and Y with Z taken out of both.

    (R_xy − R_xz R_yz) / √((1 − R_xz²)(1 − R_yz²)) with the bias-corrected R = `distance_correlation_squared(…,
    estimator=Unbiased())`: the cosine between X's and Y's centred distances, each less its projection on Z's. In
    general it is not 0 for X and Y that are independent given Z.

    Args:
        x: n ≥ 4 samples, [n] or [n, d].
        y: their partners, [n] or [n, d′].
        z: their partners, [n] or [n, d″].
        exponent: e in (0, 2].
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar in [−1, 1]; 0 where it is undefined (x or y constant, or its distances those of z but for scale). One
        pass, cost as `distance_covariance_squared`.

    Raises:
        TypeError, ValueError: as `distance_covariance_squared`.

    Source: Székely and Rizzo (2014).

    Example:
        >>> import numpy as np
        >>> z, u, v = np.random.default_rng(0).normal(size=(3, 1000))
        >>> float(distance_correlation_squared(z + u, z + v)), float(partial_distance_correlation(z + u, z + v, z))
        (0.186, 0.022)
    """
    samples = paired_samples({"x": x, "y": y, "z": z}, Unbiased(), mesh)
    return _in_full(_partial, samples, float(exponent), mesh)


def paired_samples(
    samples: dict[str, ArrayLike], estimator: AbstractExact, mesh: Mesh | None
) -> tuple[Float[Array, "n _"], ...]:
    """Paired samples, checked."""
    if not isinstance(estimator, AbstractExact):
        raise TypeError(f"estimator is {estimator!r}: Biased() or Unbiased() is needed.")
    guard = _check.Guard()
    x, *others = (_check.as_samples(values, name, guard, centred=True) for name, values in samples.items())
    if len({len(x), *map(len, others)}) > 1:
        sizes = ", ".join(f"{name} has {len(values)}" for name, values in zip(samples, (x, *others), strict=True))
        raise ValueError(f"{', '.join(samples)} are paired samples: {sizes}.")
    if len(x) < estimator.min_samples:
        why = f"{type(estimator).__name__} needs n ≥ {estimator.min_samples}"
        raise ValueError(f"{', '.join(samples)} hold n = {len(x)} samples: {why}.")
    return placed_samples((x, *others), mesh, guard)


def _in_full(
    function: Callable[..., Scalar],
    samples: tuple[Array, ...],
    exponent: float,
    mesh: Mesh | None,
    *estimator: Any,
) -> Scalar:
    """The function of concrete univariate samples in double precision, which costs no more time there.

    Its sums over sorted data lose digits of float32 where one sample lies far from the others. Under `jit` and `grad`
    the precision is that of the data.
    """
    if exponent != 1 or any(x.shape[1] > 1 for x in samples) or _check.is_traced(*samples):
        return function(samples, exponent, mesh, *estimator)
    dtype = jnp.result_type(*samples)
    with jax.enable_x64(True):
        return function(tuple(x.astype(jnp.float64) for x in samples), exponent, mesh, *estimator).astype(dtype)


@eqx.filter_jit
def _covariance(samples: tuple[Array, ...], exponent: float, mesh: Mesh | None, estimator: AbstractExact) -> Scalar:
    scaled, units = zip(*map(in_units, samples), strict=True)
    (value,) = _estimates(scaled, ((0, 1),), exponent, mesh, estimator)
    return value * units[0] ** exponent * units[1] ** exponent


@eqx.filter_jit
def _correlation(samples: tuple[Array, ...], exponent: float, mesh: Mesh | None, estimator: AbstractExact) -> Scalar:
    scaled, _ = zip(*map(in_units, samples), strict=True)
    return alignment(Triple(*_estimates(scaled, ((0, 1), (0, 0), (1, 1)), exponent, mesh, estimator)))


@eqx.filter_jit
def _partial(samples: tuple[Array, ...], exponent: float, mesh: Mesh | None) -> Scalar:
    scaled, _ = zip(*map(in_units, samples), strict=True)
    pairs = ((0, 1), (0, 2), (1, 2), (0, 0), (1, 1), (2, 2))
    xy, xz, yz, xx, yy, zz = _estimates(scaled, pairs, exponent, mesh, Unbiased())
    r_xy, r_xz, r_yz = (alignment(Triple(*parts)) for parts in ((xy, xx, yy), (xz, xx, zz), (yz, yy, zz)))
    # What is left of a variance less than its rounding is nothing.
    rounding = 64 * float(jnp.finfo(r_xy.dtype).eps)
    left_x, left_y = (jnp.where(left > rounding, left, 0) for left in (1 - r_xz**2, 1 - r_yz**2))
    return alignment(Triple(r_xy - r_xz * r_yz, left_x, left_y))


def _estimates(
    scaled: tuple[Float[Array, "n _"], ...], pairs: Pairs, exponent: float, mesh: Mesh | None, estimator: AbstractExact
) -> tuple[Scalar, ...]:
    """dCov² of each pair of variables."""
    if exponent == 1 and all(x.shape[1] == 1 for x in scaled):
        sums = distance_sums(tuple(x[:, 0] for x in scaled), pairs)
    else:
        sums = gram_sums(tuple(side(Distance(exponent), x, mesh) for x in scaled), pairs)
    return tuple(4 * estimator.from_sums(sums, which, pair) for which, pair in enumerate(pairs))


def in_units(x: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Scalar]:
    """Samples centred and divided by `unit_of` them."""
    x = x - center(x)
    unit = unit_of(x)
    return x / unit, unit
