"""What an estimator of HSIC is."""

import abc
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from ..kernels import AbstractKernel


class Triple(NamedTuple):
    """HSIC(X,Y) and the two self-dependences, from one pass: what CKA needs."""

    xy: Scalar
    xx: Scalar
    yy: Scalar


class AbstractEstimator(eqx.Module):
    """Estimates HSIC(X, Y) = ‖C_XY‖² from n paired samples.

    `prepare` does what depends on each sample alone; everything else (a statistic, CKA, a permutation test) reuses
    what it returns. Estimators are given valid arrays: public functions check their input first.
    """

    min_samples: ClassVar[int]
    """The smallest n for which the estimator is defined."""

    random: ClassVar[bool] = False
    """Whether `prepare` needs a key."""

    @abc.abstractmethod
    def prepare(
        self,
        kernel_x: AbstractKernel,
        kernel_y: AbstractKernel,
        x: Float[Array, "n d"],
        y: Float[Array, "n e"],
        *,
        key: Key[Array, ""] | None,
    ) -> PyTree:
        """A pair, of x and of y, each with `permuted`, `on` (a mesh), `unit`, `in_units`: `Side` or `FeatureSide`."""

    @abc.abstractmethod
    def statistic(self, prepared: PyTree) -> Scalar:
        """The estimate of HSIC(X, Y)."""

    @abc.abstractmethod
    def triple(self, prepared: PyTree) -> Triple:
        """The estimates of HSIC(X, Y), HSIC(X, X) and HSIC(Y, Y)."""

    def permuted(self, prepared: PyTree, permutation: Int[Array, " n"]) -> Scalar:
        """The estimate of HSIC(X, Y) with y permuted, for tests."""
        of_x, of_y = prepared
        return self.statistic((of_x, of_y.permuted(permutation)))


def above_rounding(self_dependence: Scalar, size: Scalar) -> Scalar:
    """HSIC(X, X), and 0 where rounding of kernel values of a given size would leave as much: of constant data."""
    rounding = 8 * float(jnp.finfo(self_dependence.dtype).eps) * size
    noise = jax.lax.stop_gradient(jnp.sqrt(jnp.maximum(self_dependence, 0)) <= rounding)
    return jnp.where(noise, 0, self_dependence)
