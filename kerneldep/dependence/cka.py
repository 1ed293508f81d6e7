"""Centred kernel alignment: HSIC as a correlation."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Key, Scalar

from .._check import ArrayLike
from ..kernels import AbstractKernel
from .estimator import AbstractEstimator, Triple
from .exact import Unbiased
from .hsic import prepared


def cka(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: AbstractEstimator = Unbiased(),  # noqa: B008 (immutable, holds no array)
    key: Key[Array, ""] | None = None,
    mesh: Mesh | None = None,
) -> Scalar:
    """Centred kernel alignment HSIC(X, Y) / √(HSIC(X, X) · HSIC(Y, Y)), all three from one pass.

    With `Biased()` it lies in [0, 1]; with `Unbiased()` it has no upward bias in small samples and can be negative.
    For the CKA of Kornblith et al. give `Linear()` twice and `Biased()`.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        estimator: of the three HSICs.
        key: a JAX key, needed where the estimator is random.
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar without unit; 0 where a self-dependence is not positive (constant data), for which CKA is undefined.

    Raises:
        TypeError, ValueError: as `hsic`.

    Source: Kornblith et al. (2019); Cortes, Mohri and Rostamizadeh (2012).

    Example:
        >>> import numpy as np
        >>> from kerneldep.kernels import Linear
        >>> x = np.random.default_rng(0).normal(size=(100, 3))
        >>> float(cka(x, 2 * x + 1, Linear(), Linear()))
        1.0
    """
    return _alignment(estimator, prepared(x, y, kernel_x, kernel_y, estimator, key, mesh))


@eqx.filter_jit
def _alignment(estimator: AbstractEstimator, prepared: Any) -> Scalar:
    return alignment(estimator.triple(tuple(one.in_units() for one in prepared)))


def alignment(parts: Triple) -> Array:
    """HSIC(X, Y) / √(HSIC(X, X) · HSIC(Y, Y)); 0 where a self-dependence is not positive, NaN where one overflowed."""
    xy, xx, yy = parts
    # Roots apart: the product of two small HSICs can underflow.
    undefined = (xx <= 0) | (yy <= 0)
    norm = jnp.sqrt(jnp.where(undefined, 1, xx)) * jnp.sqrt(jnp.where(undefined, 1, yy))
    return jnp.where(undefined, 0, jnp.where(jnp.isfinite(norm), xy / norm, jnp.nan))
