"""The entry point: HSIC of two samples, with any estimator."""

from typing import Any

import equinox as eqx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel, Gaussian
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from .estimator import AbstractEstimator
from .exact import Unbiased, sides
from .sharded import placed_samples
from .tiled import Side


def hsic(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: AbstractEstimator = Unbiased(),  # noqa: B008 (immutable, holds no array)
    key: Key[Array, ""] | None = None,
    mesh: Mesh | None = None,
) -> Scalar:
    """The Hilbert–Schmidt independence criterion of paired samples.

    HSIC(X, Y) = ‖C_XY‖²_HS = E k(X,X′)l(Y,Y′) − 2 E k(X,X′)l(Y,Y″) + E k(X,X′) · E l(Y,Y′). With characteristic kernels
    it is 0 iff X and Y are independent.

    Args:
        x: n samples, [n] or [n, d]; array, list or data frame; Booleans and integers count as numbers.
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; by default a Gaussian at y's own median bandwidth.
        estimator: exact, `Unbiased()` (n ≥ 4) or `Biased()` (n ≥ 2); linear in n, `Block(size)`,
            `Incomplete(num_offsets)`, `RandomFourier(num_features)` or `Nystrom(num_landmarks)`.
        key: a JAX key, needed where the estimator is random.
        mesh: devices to spread the samples over, all its axes together; of several machines too, where x and y are
            global arrays (see `sharded`). The value is that of one device, to rounding.

    Returns:
        A scalar in the unit of k times that of l. Constant data give 0. No estimator holds an n × n matrix, in value
        or derivative; gradients reach x, y and the parameters of both kernels (a default bandwidth is held fixed).

    Raises:
        TypeError: complex or non-numeric data, or something that is no kernel.
        ValueError: unequal or too few samples, wrong rank, empty, NaN or infinite data, a kernel parameter that is not
            positive, a missing key. Under `jit` conditions on values raise a RuntimeError at run time instead.

    Source: Gretton et al. (2005), eq. 9; Song et al. (2012).

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=500)
        >>> float(hsic(x, x**2 + 0.1 * rng.normal(size=500)))
        0.02780
        >>> abs(float(hsic(x, rng.normal(size=500)))) < 1e-3
        True
    """
    return _statistic(estimator, prepared(x, y, kernel_x, kernel_y, estimator, key, mesh))


def prepared(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None,
    kernel_y: AbstractKernel | None,
    estimator: AbstractEstimator,
    key: Key[Array, ""] | None,
    mesh: Mesh | None = None,
) -> PyTree:
    """What the estimator makes of two paired samples, checked, with default kernels filled in."""
    kernel_x, kernel_y, x, y, key = checked(x, y, kernel_x, kernel_y, estimator, key, mesh)
    both = estimator.prepare(kernel_x, kernel_y, x, y, key=key)
    return both if mesh is None else tuple(one.on(mesh) for one in both)


def checked_sides(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None,
    kernel_y: AbstractKernel | None,
    estimator: AbstractEstimator,
) -> tuple[Side, Side]:
    """Both variables of a public call, checked, ready for tiles, for measures that need more than an estimate."""
    kernel_x, kernel_y, x, y, _ = checked(x, y, kernel_x, kernel_y, estimator, None)
    return sides(kernel_x, kernel_y, x, y)


def checked(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None,
    kernel_y: AbstractKernel | None,
    estimator: AbstractEstimator,
    key: Key[Array, ""] | None,
    mesh: Mesh | None = None,
) -> tuple[AbstractKernel, AbstractKernel, Float[Array, "n d"], Float[Array, "n e"], Key[Array, ""] | None]:
    """Kernels, samples and key of a public call, checked, with default kernels filled in."""
    if not isinstance(estimator, AbstractEstimator):
        raise TypeError(f"estimator is {estimator!r}: an estimator such as Unbiased() is needed.")
    guard = _check.Guard()
    x = _samples(x, "x", kernel_x, guard)
    y = _samples(y, "y", kernel_y, guard)
    _check.same_length(x, y, estimator.min_samples, type(estimator).__name__)
    if estimator.random:
        key = _check.random_key(key, f"the estimator {type(estimator).__name__}")
    x, y = placed_samples((x, y), mesh, guard)
    kernel_x = Gaussian(median_distance(x)) if kernel_x is None else kernel_x
    kernel_y = Gaussian(median_distance(y)) if kernel_y is None else kernel_y
    return kernel_x, kernel_y, x, y, key


def _samples(values: ArrayLike, name: str, kernel: AbstractKernel | None, guard: _check.Guard) -> Float[Array, "n d"]:
    if kernel is not None:
        check_parameters(kernel, f"kernel_{name}", guard)
    return _check.as_samples(values, name, guard, centred=kernel is None or kernel.stationarity != "none")


# Estimators are prepared outside: concrete labels then stay concrete, as their one-hot features need.


@eqx.filter_jit
def _statistic(estimator: AbstractEstimator, prepared: Any) -> Scalar:
    return estimator.statistic(prepared)
