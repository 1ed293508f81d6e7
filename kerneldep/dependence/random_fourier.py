"""The estimator with random Fourier features, linear in n."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, Scalar

from ..features import AbstractFeatureMap, one_hot, random_fourier
from ..kernels import AbstractKernel, Label
from ..kernels.tiles import center
from .estimator import AbstractEstimator, Triple
from .feature_sums import FeatureSums, biased_feature_statistic, feature_sums, unbiased_feature_statistic


class FeatureSide(eqx.Module):
    """One variable: its samples and two independent feature maps, or one exact map."""

    x: Float[Array, "n d"]
    maps: tuple[AbstractFeatureMap, ...]

    def features(self, x: Float[Array, "t d"]) -> Float[Array, "t D"]:
        """Both draws side by side."""
        return jnp.concatenate([part(x) for part in self.maps], axis=1) / len(self.maps) ** 0.5

    def halves(self, x: Float[Array, "t d"]) -> tuple[Array, Array]:
        """Two independent feature matrices of the same kernel."""
        return self.maps[0](x), self.maps[-1](x)


class RandomFourier(AbstractEstimator):
    """‖Φ_xᵀHΦ_y‖²_F/n² with independent random Fourier features for x and y (Zhang et al. 2018).

    Given the samples, its mean is the V-statistic (or with `unbiased` the U-statistic, at the same cost), its standard
    deviation of order D^{−½}. Self-dependence (for CKA) is ‖Φ₁ᵀHΦ₂‖²_F/n² of two independent draws of D/2 features: one
    draw used twice would be biased upwards by order 1/D. Kernels with exact features (linear, cosine; label on concrete
    labels) use those. Time nD(d + D), memory D² and a tile of features.

    Args:
        num_features: D, a multiple of 4 (cosines and sines, two draws).
        orthogonal: orthogonal frequencies, of lower variance.
        unbiased: the U- instead of the V-statistic.
    """

    min_samples: ClassVar[int] = 4
    random: ClassVar[bool] = True

    num_features: int = eqx.field(static=True, default=512)
    orthogonal: bool = eqx.field(static=True, default=False)
    unbiased: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if not isinstance(self.num_features, int) or self.num_features < 4 or self.num_features % 4:
            raise ValueError(
                f"RandomFourier.num_features is {self.num_features!r}: a positive multiple of 4 is needed."
            )

    def prepare(
        self,
        kernel_x: AbstractKernel,
        kernel_y: AbstractKernel,
        x: Float[Array, "n d"],
        y: Float[Array, "n e"],
        *,
        key: Key[Array, ""] | None,
    ) -> tuple[FeatureSide, FeatureSide]:
        """Feature maps of both variables."""
        assert key is not None  # the public functions check it
        key_x, key_y = jax.random.split(key)
        return self._side(kernel_x, x, key_x), self._side(kernel_y, y, key_y)

    def _side(self, kernel: AbstractKernel, x: Float[Array, "n d"], key: Key[Array, ""]) -> FeatureSide:
        if isinstance(kernel, Label):
            return FeatureSide(x, (one_hot(kernel, x),))
        return self._drawn(kernel, x, key)

    @eqx.filter_jit
    def _drawn(self, kernel: AbstractKernel, x: Float[Array, "n d"], key: Key[Array, ""]) -> FeatureSide:
        if kernel.stationarity != "none":
            x = x - center(x)  # phases ωᵀx of small x keep their digits
        half = self.num_features // 2
        draws = [
            random_fourier(kernel, x.shape[1], half, key=subkey, orthogonal=self.orthogonal)
            for subkey in jax.random.split(key)
        ]
        return FeatureSide(x, tuple(draws))

    def statistic(self, prepared: tuple[FeatureSide, FeatureSide]) -> Scalar:
        """The estimate of HSIC(X, Y)."""
        of_x, of_y = prepared
        (sums,) = feature_sums(lambda tile: ((of_x.features(tile[0]), of_y.features(tile[1])),), (of_x.x, of_y.x))
        return self._finish(sums, len(of_x.x))

    def triple(self, prepared: tuple[FeatureSide, FeatureSide]) -> Triple:
        """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y)."""
        of_x, of_y = prepared

        def features(tile: tuple[Array, Array]) -> tuple[tuple[Array, Array], ...]:
            x, y = tile
            return (of_x.features(x), of_y.features(y)), of_x.halves(x), of_y.halves(y)

        return Triple(*(self._finish(sums, len(of_x.x)) for sums in feature_sums(features, (of_x.x, of_y.x))))

    def permuted(self, prepared: tuple[FeatureSide, FeatureSide], permutation: Int[Array, " n"]) -> Scalar:
        """The estimate with y permuted."""
        of_x, of_y = prepared
        return self.statistic((of_x, FeatureSide(of_y.x[permutation], of_y.maps)))

    def _finish(self, sums: FeatureSums, n: int) -> Scalar:
        return (unbiased_feature_statistic if self.unbiased else biased_feature_statistic)(sums, float(n))
