"""The estimator with Nyström features, linear in n, for any kernel."""

import equinox as eqx
from jaxtyping import Array, Float, Key

from .. import _check
from ..features import nystrom
from ..features.landmarks import Sampling, check_sampling, landmark_indices
from ..kernels import AbstractKernel
from .feature_based import AbstractFeatureBased, FeatureDraws


class Nystrom(AbstractFeatureBased):
    """‖ΦᵀHΨ‖²_F/n² with Nyström features Φ = K_nm K_mm^{−½} of m landmarks among the samples (Zhang et al. 2018).

    Works with any kernel, a user's included. K̂ = ΦΦᵀ ⪯ K, so the V-statistic is never above that of K: its error is a
    bias downwards, at most [tr(H(K − K̂)H)·λ_max(L) + tr(H(L − L̂)H)·λ_max(K)]/n², which falls as fast as K's eigenvalues
    do, and is 0 (but for the jitter) when m = n. The U-statistic, of K̂'s own off-diagonal entries, has no sign of
    error. The variance due to the choice of landmarks falls likewise. Time nm(d + m) and m³, memory m².

    Args:
        num_landmarks: m; n if there are fewer samples.
        sampling: "uniform", "leverage" or "kmeans++", see `kerneldep.features.choose_landmarks`.
        unbiased: the U- instead of the V-statistic.
    """

    num_landmarks: int = eqx.field(static=True, converter=_check.as_index, default=256)
    sampling: Sampling = eqx.field(static=True, default="uniform")
    unbiased: bool = eqx.field(static=True, default=False)  # pyright: ignore[reportIncompatibleMethodOverride]

    def __check_init__(self) -> None:
        if not isinstance(self.num_landmarks, int) or self.num_landmarks < 1:
            raise ValueError(f"Nystrom.num_landmarks is {self.num_landmarks!r}: a positive integer is needed.")
        check_sampling(self.sampling, "Nystrom.sampling")

    @property
    def num_features(self) -> int:
        """D = m."""
        return self.num_landmarks

    def draw(self, kernel: AbstractKernel, x: Float[Array, "n d"], key: Key[Array, ""]) -> FeatureDraws:
        """One map, from landmarks among the samples."""
        if self.num_landmarks >= len(x):
            return FeatureDraws((nystrom(kernel, x),))
        return FeatureDraws((nystrom(kernel, x[landmark_indices(kernel, x, self.num_landmarks, key, self.sampling)]),))
