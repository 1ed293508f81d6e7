"""Kernel dependence in JAX.

A map of the floors, each built on those above it:

- `kerneldep.kernels`: what similarity is, and bandwidth rules.
- `kerneldep.features`: explicit feature maps.
- `kerneldep.dependence`: HSIC and CKA on samples, with pluggable estimators (`hsic`, `cka`, `Unbiased`, …, also here).
- `kerneldep.objectives`: self-supervised losses under one interface.
- `kerneldep.analysis`: the claims of the theory as functions, and probes of representations.
"""

from . import analysis, dependence, features, kernels, objectives
from .dependence import Biased, RandomFourier, Unbiased, cka, hsic

__version__ = "0.1.0"

__all__ = [
    "Biased",
    "RandomFourier",
    "Unbiased",
    "analysis",
    "cka",
    "dependence",
    "features",
    "hsic",
    "kernels",
    "objectives",
]
