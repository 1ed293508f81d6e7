"""Constrained covariance: the largest singular value of C_XY, and the functions that attain it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel
from ..kernels.base import check_parameters
from ..kernels.tiles import center
from .exact import Biased
from .hsic import checked_sides
from .leading import Operator, SingularPair, dot, singular_pair
from .tiled import TILE, Side, map_rows

HELD = 2048
"""Gram matrices up to this side are kept; products with larger ones compute them again, rows at a time."""


def coco(
    x: ArrayLike, y: ArrayLike, kernel_x: AbstractKernel | None = None, kernel_y: AbstractKernel | None = None
) -> Scalar:
    """Constrained covariance: the largest singular value of C_XY.

    COCO = max Cov_n(f(X), g(Y)) over functions f, g of unit norm in the two RKHSs, = √λ_max(HKH·HLH)/n with λ_max the
    largest eigenvalue. With characteristic kernels its population value is 0 iff X and Y are independent.

    Args:
        x: n ≥ 2 samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k, positive semi-definite; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.

    Returns:
        A scalar in the unit of √(k·l), at most √HSIC (biased); 0 for constant data. The gradient is exact where the
        largest singular value is simple (see `singular_pair`); second derivatives are wrong. Time: mostly 12 to 50
        products with each Gram matrix, n² each (0.4 s at n = 2,000 on two cores); memory n, beyond n = 2,048, below
        which the Gram matrices are kept.

    Raises:
        TypeError, ValueError: as `hsic`.

    Source: Gretton, Smola et al. (2005), "Kernel constrained covariance for dependence measurement".

    Example:
        >>> from kerneldep.kernels import Linear
        >>> float(coco([0.0, 1.0, 2.0], [0.0, 2.0, 4.0], Linear(), Linear()))  # the covariance itself
        1.333333
    """
    return _pair(*checked_sides(x, y, kernel_x, kernel_y, Biased())).value


class Witnesses(eqx.Module):
    """The functions f and g that attain COCO: where they are large with one sign, dependence shows.

    Both have unit RKHS norm and, less the constant that makes their mean over the samples 0, are what `witness_x` and
    `witness_y` give. Cov_n(f(X), g(Y)) = `value`. Signs: f is positive at the sample where |f| is largest, and the
    covariance is positive. They are functions of fixed data: no gradient flows to samples, only to `points`.

    Attributes:
        value: COCO.
    """

    value: Scalar
    _f: "Witness"
    _g: "Witness"

    def witness_x(self, points: ArrayLike) -> Float[Array, " m"]:
        """F at points [m] or [m, d], less its mean over the samples x. Time n(n + m), memory a tile."""
        return self._f.at(points)

    def witness_y(self, points: ArrayLike) -> Float[Array, " m"]:
        """G at points [m] or [m, e], less its mean over the samples y. Time n(n + m), memory a tile."""
        return self._g.at(points)


class Witness(eqx.Module):
    """A function Σ_i w_i k(x_i, ·), weights summing to 0, of samples about an origin: an offset costs no digits."""

    kernel: AbstractKernel
    samples: Float[Array, "n d"]
    origin: Float[Array, "1 d"] | None
    weights: Float[Array, " n"]

    @classmethod
    def create(cls, kernel: AbstractKernel, values: ArrayLike, weights: Float[Array, " n"]) -> "Witness":
        """The function of samples that have been checked; where a translation changes it they stay where they are."""
        samples = _check.as_samples(values, "samples")
        origin = None if kernel.stationarity == "none" else center(samples)
        return cls(kernel, _check.samples_about(values, "samples", origin), origin, jax.lax.stop_gradient(weights))

    def at(self, points: ArrayLike) -> Float[Array, " m"]:
        """Its values at points [m] or [m, d], less its mean over the samples."""
        guard = _check.Guard()
        check_parameters(self.kernel, "the kernel", guard)
        at = _check.samples_about(points, "points", self.origin, guard)
        if at.shape[1] != self.samples.shape[1]:
            raise ValueError(f"points has dimension {at.shape[1]}: {self.samples.shape[1]} is needed.")
        return _evaluate(self.kernel, self.samples, self.weights, guard.on(at))


def coco_witnesses(
    x: ArrayLike, y: ArrayLike, kernel_x: AbstractKernel | None = None, kernel_y: AbstractKernel | None = None
) -> Witnesses:
    """`coco` and the functions that attain it, to be plotted.

    f = Σ_i a_i k(x_i, ·) and g = Σ_i b_i l(y_i, ·) with weights that sum to 0.

    Args:
        x: as in `coco`.
        y: as in `coco`.
        kernel_x: as in `coco`.
        kernel_y: as in `coco`.

    Raises:
        TypeError, ValueError: as `hsic`.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 50)
        >>> found = coco_witnesses(x, x**2)
        >>> outer, inner = found.witness_x([1.0, 0.0])
        >>> bool(outer * inner < 0)  # f follows x², not x
        True
    """
    of_x, of_y = checked_sides(x, y, kernel_x, kernel_y, Biased())
    pair = _pair(of_x, of_y)
    sign = jnp.where(pair.f[jnp.argmax(jnp.abs(pair.f))] < 0, -1, 1).astype(pair.f.dtype)
    f = Witness.create(of_x.kernel, x, sign * _centred(pair.alpha))
    return Witnesses(pair.value, f, Witness.create(of_y.kernel, y, sign * _centred(pair.beta)))


@eqx.filter_jit
def _pair(of_x: Side, of_y: Side) -> SingularPair:
    n = len(of_x.diagonal)
    dtype = jnp.result_type(of_x.shift, of_y.shift)
    apply_x, apply_y = (_centred_products(of.in_units()) for of in (of_x, of_y))
    value, alpha, beta, f, g = singular_pair(apply_x, apply_y, n, dtype)
    # With k = u·k′, the function of unit norm that α′ gives in k′ is √u times as large in k, and α′ = √u·α.
    of_f, of_g = jnp.sqrt(of_x.unit), jnp.sqrt(of_y.unit)
    return SingularPair(of_f * of_g * value / n, alpha / of_f, beta / of_g, of_f * f, of_g * g)


def _centred_products(side: Side) -> Operator:
    """V ↦ HKHv."""
    n = len(side.diagonal)
    if n <= HELD:
        gram = side.kernel.pairwise(side.points, side.points) - side.shift
        return eqx.Partial(_held_products, gram)
    return eqx.Partial(_tiled_products, side)


def _held_products(gram: Float[Array, "n n"], v: Float[Array, " n"]) -> Float[Array, " n"]:
    return _centred(dot(gram, _centred(v)))


def _tiled_products(side: Side, v: Float[Array, " n"]) -> Float[Array, " n"]:
    v = _centred(v)
    return _centred(map_rows(lambda rows, _: dot(rows - side.shift, v), side.kernel, side.points, TILE))


def _centred(v: Float[Array, " n"]) -> Float[Array, " n"]:
    return v - v.mean()


@eqx.filter_jit
def _evaluate(
    kernel: AbstractKernel, x: Float[Array, "n d"], weights: Float[Array, " n"], points: Float[Array, "m d"]
) -> Float[Array, " m"]:
    n = len(x)
    # Prepared together, so that data-dependent choices agree.
    prepared = kernel.prepare(jnp.concatenate([x, points]))
    samples = jax.tree.map(lambda leaf: leaf[:n], prepared)
    total = n + len(points)
    blocks = -(-total // max(TILE * TILE // n, 1))
    size = -(-total // blocks)
    # Beyond the end the last row is taken again, and dropped below.
    indices = jnp.minimum(jnp.arange(blocks * size), total - 1).reshape(blocks, size)

    def evaluate(some: Int[Array, " t"]) -> Array:
        return dot(kernel.pairwise(jax.tree.map(lambda leaf: leaf[some], prepared), samples), weights)

    values = jax.lax.map(evaluate, indices).reshape(-1)[:total]
    return values[n:] - values[:n].mean()
