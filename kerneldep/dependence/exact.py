"""The exact estimators: the V-statistic and the U-statistic over all pairs of samples."""

import abc
from typing import Any, ClassVar

import equinox as eqx
from jaxtyping import Array, Float, Key, Scalar

from ..features.random_fourier import finite_features
from ..kernels import AbstractKernel
from .estimator import AbstractEstimator, Triple, above_rounding
from .feature_based import FeatureDraws, FeatureSide, feature_estimate, feature_side, feature_triple
from .sharded import gram_sums
from .tiled import GramSums, Side, side

Prepared = tuple[Any, Any]
"""Two `Side`, or two `FeatureSide`."""


class AbstractExact(AbstractEstimator):
    """An estimator that is a formula in the sums over both Gram matrices.

    Linear and cosine kernels, and weighted sums of them, have as many features as the data have dimensions. Where both
    kernels are such and n is large beside d and e, sums over features give the same in time n(d² + de + e²).
    """

    unbiased: ClassVar[bool]

    @abc.abstractmethod
    def from_sums(self, sums: GramSums, which: int, pair: tuple[int, int]) -> Scalar:
        """The estimate from Σ K_a ∘ K_b, `sums.products[which]`, and the row sums of the pair (a, b)."""

    def prepare(
        self,
        kernel_x: AbstractKernel,
        kernel_y: AbstractKernel,
        x: Float[Array, "n d"],
        y: Float[Array, "n e"],
        *,
        key: Key[Array, ""] | None = None,
    ) -> Prepared:
        """Both variables, ready for tiles, or with their finite features where those cost less."""
        d, e = x.shape[1], y.shape[1]
        if d**2 + d * e + e**2 < len(x) * (d + e) // 2:
            of_x, of_y = finite_features(kernel_x, d), finite_features(kernel_y, e)
            if of_x is not None and of_y is not None:
                return (
                    feature_side(kernel_x, x, FeatureDraws((of_x,))),
                    feature_side(kernel_y, y, FeatureDraws((of_y,))),
                )
        return sides(kernel_x, kernel_y, x, y)

    def statistic(self, prepared: Prepared) -> Scalar:
        """HSIC(X, Y)."""
        if isinstance(prepared[0], FeatureSide):
            return feature_estimate(prepared, self.unbiased)
        return self.from_sums(gram_sums(prepared, ((0, 1),)), 0, (0, 1))

    def triple(self, prepared: Prepared) -> Triple:
        """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y) from one pass over the tiles."""
        if isinstance(prepared[0], FeatureSide):
            return feature_triple(prepared, self.unbiased)
        pairs = ((0, 1), (0, 0), (1, 1))
        sums = gram_sums(prepared, pairs)
        xy, *own = (self.from_sums(sums, which, pair) for which, pair in enumerate(pairs))
        return Triple(
            xy, *(above_rounding(one, abs(of.diagonal).mean()) for one, of in zip(own, prepared, strict=True))
        )


@eqx.filter_jit
def sides(
    kernel_x: AbstractKernel, kernel_y: AbstractKernel, x: Float[Array, "n d"], y: Float[Array, "n e"]
) -> tuple[Side, Side]:
    """Both variables, ready for tiles."""
    return side(kernel_x, x), side(kernel_y, y)


class Biased(AbstractExact):
    """The V-statistic tr(KHLH)/n² (Gretton et al. 2005; their normaliser is (n − 1)²).

    Never negative but for rounding; at independence its mean is of order 1/n instead of 0. Time n²(d + e)/2, memory n.
    Defined from n = 2.
    """

    min_samples: ClassVar[int] = 2
    unbiased: ClassVar[bool] = False

    def from_sums(self, sums: GramSums, which: int, pair: tuple[int, int]) -> Scalar:
        """The V-statistic."""
        return biased_statistic(sums, which, pair)


class Unbiased(AbstractExact):
    """The U-statistic (Song et al. 2012), with zero-diagonal Gram matrices K̃ and L̃.

    [tr(K̃L̃) + 1ᵀK̃1·1ᵀL̃1/((n−1)(n−2)) − 2/(n−2)·1ᵀK̃L̃1] / (n(n−3)). Its mean is HSIC; it can be negative.
    Time n²(d + e)/2, memory n. Defined from n = 4.
    """

    min_samples: ClassVar[int] = 4
    unbiased: ClassVar[bool] = True

    def from_sums(self, sums: GramSums, which: int, pair: tuple[int, int]) -> Scalar:
        """The U-statistic."""
        return unbiased_statistic(sums, which, pair)


# Both formulas are written as a covariance of Gram entries less a covariance of row sums, which loses fewer digits
# than the textbook form: Σ kl − A·B/N is small where Σ kl alone is not. Sizes are floats: a Python int n² can
# overflow int32.


def biased_statistic(sums: GramSums, which: int, pair: tuple[int, int]) -> Scalar:
    """[tr(KL) − AB/n² − (2/n) Σ(a_i − ā)(b_i − b̄)] / n² with full row sums a, b and totals A, B."""
    (row_a, row_b), (diagonal_a, diagonal_b) = ([of[index] for index in pair] for of in (sums.rows, sums.diagonals))
    n = float(len(row_a))
    a, b = row_a + diagonal_a, row_b + diagonal_b
    trace = sums.products[which] + (diagonal_a * diagonal_b).sum()
    return (trace - a.sum() * b.sum() / n**2 - 2 / n * _comoment(a, b)) / n**2


def unbiased_statistic(sums: GramSums, which: int, pair: tuple[int, int]) -> Scalar:
    """[tr(K̃L̃) − AB/(n(n−1)) − 2/(n−2) Σ(a_i − ā)(b_i − b̄)] / (n(n−3)) with off-diagonal row sums."""
    a, b = (sums.rows[index] for index in pair)
    n = float(len(a))
    covariance = sums.products[which] - a.sum() * b.sum() / (n * (n - 1))
    return (covariance - 2 / (n - 2) * _comoment(a, b)) / (n * (n - 3))


def _comoment(a: Float[Array, " n"], b: Float[Array, " n"]) -> Scalar:
    return ((a - a.mean()) * (b - b.mean())).sum()
