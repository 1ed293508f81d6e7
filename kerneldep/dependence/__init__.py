"""Measures of dependence on samples.

- `hsic`: `hsic(x, y)`, the entry point; `cka`: `cka(x, y)`.
- Estimators, given to either: `exact` (`Biased`, `Unbiased`) and `random_fourier` (`RandomFourier`); `estimator` says
  what one is.
- `identity`: `positive_dependence(views, kernel)`, HSIC with the identity of images in closed form.
- `tiled`: the reduction over Gram tiles behind the exact ones; `feature_sums`: the pass over samples behind the others.
"""

from .cka import cka
from .estimator import AbstractEstimator, Triple
from .exact import Biased, Unbiased
from .hsic import hsic
from .identity import identity_hsic, positive_dependence
from .random_fourier import RandomFourier

__all__ = [
    "AbstractEstimator",
    "Biased",
    "RandomFourier",
    "Triple",
    "Unbiased",
    "cka",
    "hsic",
    "identity_hsic",
    "positive_dependence",
]
