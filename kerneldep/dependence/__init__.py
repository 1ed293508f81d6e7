"""Measures of dependence on samples.

- `hsic`: `hsic(x, y)`, the entry point; `cka`: `cka(x, y)`.
- Estimators, given to either: `exact` (`Biased`, `Unbiased`); `block` (`Block`) and `incomplete` (`Incomplete`);
  `random_fourier` (`RandomFourier`) and `nystrom`
  (`Nystrom`), both `feature_based`; `estimator` says what one is.
- `mmd`: `mmd_squared(x, y)` and `energy_distance(x, y)` of two samples that are not paired.
- `distance_covariance`: `distance_covariance_squared(x, y)`, `distance_correlation_squared(x, y)`,
  `partial_distance_correlation(x, y, z)`; `univariate`: its sums in O(n log n).
- `dhsic`: `dhsic((x, y, z))` of several variables. `conditional`: `conditional_hsic(x, y, z)` given z.
- `coco`: `coco(x, y)` and `coco_witnesses(x, y)`; `canonical`: `kcc(x, y)`, `nocco(x, y)`; `leading`: the singular
  value behind them.
- `ranking`: `hsic_ranking(x, y)` of the columns of x, one by one; `column_alignment(x, y)` of all pairs of them.
- `identity`: `positive_dependence(views, kernel)`, HSIC with the identity of images in closed form.
- `streaming`: `hsic_stream(batches)` and `HSICState`, one pass over data of any length.
- `variance`: `hsic_variance(x, y)`, the square of a standard error.
- `sharded`: the sums over samples spread over devices, behind `mesh=`.
- `tiled`: the reduction over Gram tiles behind the exact ones; `feature_sums`: the pass over samples behind the others.
"""

from .block import Block
from .canonical import kcc, nocco
from .cka import cka
from .coco import Witnesses, coco, coco_witnesses
from .conditional import conditional_hsic
from .dhsic import dhsic
from .distance_covariance import (
    distance_correlation_squared,
    distance_covariance_squared,
    partial_distance_correlation,
)
from .estimator import AbstractEstimator, Triple
from .exact import Biased, Unbiased
from .hsic import hsic
from .identity import identity_hsic, positive_dependence
from .incomplete import Incomplete
from .mmd import energy_distance, mmd_squared
from .nystrom import Nystrom
from .random_fourier import RandomFourier
from .ranking import column_alignment, hsic_ranking
from .streaming import HSICState, batches_of, hsic_stream
from .variance import hsic_variance

__all__ = [
    "AbstractEstimator",
    "Biased",
    "Block",
    "HSICState",
    "Incomplete",
    "Nystrom",
    "RandomFourier",
    "Triple",
    "Unbiased",
    "Witnesses",
    "batches_of",
    "cka",
    "coco",
    "coco_witnesses",
    "column_alignment",
    "conditional_hsic",
    "dhsic",
    "distance_correlation_squared",
    "distance_covariance_squared",
    "energy_distance",
    "hsic",
    "hsic_ranking",
    "hsic_stream",
    "hsic_variance",
    "identity_hsic",
    "kcc",
    "mmd_squared",
    "nocco",
    "partial_distance_correlation",
    "positive_dependence",
]
