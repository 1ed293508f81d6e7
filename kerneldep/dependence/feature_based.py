"""Estimators on explicit features: HSIC of K = ΦΦᵀ and L = ΨΨᵀ, linear in n."""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, Scalar

from ..features import AbstractFeatureMap
from ..features.random_fourier import Concatenated, side_by_side
from ..kernels import AbstractKernel
from ..kernels.tiles import center, exact_unit
from .estimator import AbstractEstimator, Triple, above_rounding
from .feature_sums import FeatureSums, biased_feature_statistic, unbiased_feature_statistic
from .sharded import feature_sums


class FeatureDraws(eqx.Module):
    """The features of one variable: two independent random maps of its kernel, or one that is not random."""

    maps: tuple[AbstractFeatureMap, ...]

    @property
    def num_features(self) -> int:
        """D, of all maps together."""
        return sum(one.num_features for one in self.maps)

    def features(self, x: Float[Array, "t d"]) -> Float[Array, "t D"]:
        """All maps side by side."""
        return side_by_side(self.maps)(x)

    def halves(self, x: Float[Array, "t d"]) -> tuple[Array, Array]:
        """Two independent feature matrices of the same kernel, for its self-dependence."""
        first = self.maps[0](x)
        return first, first if len(self.maps) == 1 else self.maps[1](x)


class FeatureSide(eqx.Module):
    """One variable: its samples and their features."""

    x: Float[Array, "n d"]
    draws: FeatureDraws
    mesh: Mesh | None = eqx.field(static=True, default=None)
    """The devices its samples are spread over (see `sharded`)."""

    def on(self, mesh: Mesh) -> "FeatureSide":
        """The same, spread over the devices of a mesh."""
        return FeatureSide(self.x, self.draws, mesh)

    @property
    def unit(self) -> Scalar:
        """A power of two near ‖φ‖², 1 if that is 0."""
        some = self.draws.features(self.x[:: -(-len(self.x) // 64)])
        size = (some**2).sum(1).mean()
        return exact_unit(jnp.where(size > 0, size, 1), size.dtype)

    def in_units(self) -> "FeatureSide":
        """The same of k / `unit`, with ‖φ‖² near 1: squares then neither overflow nor vanish."""
        maps = tuple(Concatenated((one,), (1 / self.unit,)) for one in self.draws.maps)
        return FeatureSide(self.x, FeatureDraws(maps), self.mesh)

    def permuted(self, permutation: Int[Array, " n"]) -> "FeatureSide":
        """The same samples in another order."""
        return FeatureSide(self.x[permutation], self.draws, self.mesh)


class AbstractFeatureBased(AbstractEstimator):
    """The V- or U-statistic of explicit features, from one pass over the samples.

    Time nD² and what the features cost, memory D² and a tile of features.
    """

    min_samples: ClassVar[int] = 4
    random: ClassVar[bool] = True

    @property
    @abc.abstractmethod
    def unbiased(self) -> bool:
        """Whether it is the U-statistic; a field of the estimators."""

    @abc.abstractmethod
    def draw(self, kernel: AbstractKernel, x: Float[Array, "n d"], key: Key[Array, ""]) -> FeatureDraws:
        """Features of a kernel for samples that lie about the origin where the kernel lets them be moved."""

    def prepare(
        self,
        kernel_x: AbstractKernel,
        kernel_y: AbstractKernel,
        x: Float[Array, "n d"],
        y: Float[Array, "n e"],
        *,
        key: Key[Array, ""] | None,
    ) -> tuple[FeatureSide, FeatureSide]:
        """Samples and features of both variables."""
        assert key is not None  # the public functions check it
        key_x, key_y = jax.random.split(key)
        x, y = _centred(kernel_x, x), _centred(kernel_y, y)
        return FeatureSide(x, self.draw(kernel_x, x, key_x)), FeatureSide(y, self.draw(kernel_y, y, key_y))

    def statistic(self, prepared: tuple[FeatureSide, FeatureSide]) -> Scalar:
        """The estimate of HSIC(X, Y)."""
        return feature_estimate(prepared, self.unbiased)

    def triple(self, prepared: tuple[FeatureSide, FeatureSide]) -> Triple:
        """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y)."""
        return feature_triple(prepared, self.unbiased)


def feature_side(kernel: AbstractKernel, x: Float[Array, "n d"], draws: FeatureDraws) -> FeatureSide:
    """Samples with features that do not depend on them."""
    return FeatureSide(_centred(kernel, x), draws)


@eqx.filter_jit
def _centred(kernel: AbstractKernel, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    return x - center(x) if kernel.stationarity != "none" else x  # phases ωᵀx of small x keep their digits


Pairs = tuple[tuple[Array, Array], ...]


def joint_pair(of_x: FeatureDraws, of_y: FeatureDraws, samples: tuple[Array, Array]) -> Pairs:
    """The pair of feature matrices whose HSIC is that of (X, Y)."""
    return ((of_x.features(samples[0]), of_y.features(samples[1])),)


def feature_pairs(of_x: FeatureDraws, of_y: FeatureDraws, samples: tuple[Array, Array]) -> Pairs:
    """Those whose HSICs are those of (X, Y), (X, X) and (Y, Y)."""
    return *joint_pair(of_x, of_y, samples), of_x.halves(samples[0]), of_y.halves(samples[1])


def _sums(pairs: Callable[..., Pairs], prepared: tuple[FeatureSide, FeatureSide]) -> tuple[FeatureSums, ...]:
    of_x, of_y = prepared
    return feature_sums(eqx.Partial(pairs, of_x.draws, of_y.draws), (of_x.x, of_y.x), of_x.mesh)


def feature_statistic(sums: FeatureSums, unbiased: bool) -> Scalar:
    """The U- or the V-statistic."""
    return (unbiased_feature_statistic if unbiased else biased_feature_statistic)(sums)


def feature_estimate(prepared: tuple[FeatureSide, FeatureSide], unbiased: bool) -> Scalar:
    """HSIC(X, Y) of the features."""
    (sums,) = _sums(joint_pair, prepared)
    return feature_statistic(sums, unbiased)


def feature_triple(prepared: tuple[FeatureSide, FeatureSide], unbiased: bool) -> Triple:
    """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y) of the features."""
    return triple_of(_sums(feature_pairs, prepared), unbiased)


def triple_of(sums: tuple[FeatureSums, ...], unbiased: bool) -> Triple:
    """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y) from the sums of `feature_pairs`."""
    xy, *own = (feature_statistic(one, unbiased) for one in sums)
    sizes = [one.moments.p / one.moments.n + (one.centers[0] ** 2).sum() for one in sums[1:]]
    return Triple(xy, *map(above_rounding, own, sizes))
