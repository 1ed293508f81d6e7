"""Measures of dependence on samples.

- `hsic`: `hsic(x, y)`, the entry point; `cka`: `cka(x, y)`.
- Estimators, given to either: `exact` (`Biased`, `Unbiased`) and `random_fourier` (`RandomFourier`); `estimator` says
  what one is.
- `tiled`: the reduction over Gram tiles behind the exact ones; `feature_sums`: the pass over samples behind the others.
"""

from .cka import cka
from .estimator import AbstractEstimator, Triple
from .exact import Biased, Unbiased
from .hsic import hsic
from .random_fourier import RandomFourier

__all__ = ["AbstractEstimator", "Biased", "RandomFourier", "Triple", "Unbiased", "cka", "hsic"]
