"""Kernel dependence in JAX.

A map of the floors, each built on those above it:

- `kerneldep.kernels`: what similarity is, and bandwidth rules.
- `kerneldep.features`: explicit feature maps.
- `kerneldep.dependence`: HSIC and its relatives on samples, with pluggable estimators (`hsic`, `cka`, `dhsic`,
  `mmd_squared`, `distance_covariance_squared`, …, `Unbiased`, `Block`, `RandomFourier`, …, also here).
- `kerneldep.information`: mutual information: bounds, critics, nearest neighbours, distributions of known value.
- `kerneldep.independence`: tests: from a measure to a p-value.
- `kerneldep.objectives`: self-supervised losses under one interface.
- `kerneldep.analysis`: the claims of the theory as functions, and probes of representations.
"""

from . import analysis, dependence, features, independence, information, kernels, objectives
from .dependence import (
    Biased,
    Block,
    Incomplete,
    Nystrom,
    RandomFourier,
    Unbiased,
    cka,
    coco,
    coco_witnesses,
    conditional_hsic,
    dhsic,
    distance_correlation_squared,
    distance_covariance_squared,
    energy_distance,
    hsic,
    hsic_stream,
    hsic_variance,
    kcc,
    mmd_squared,
    nocco,
)

__version__ = "0.1.0"

__all__ = [
    "Biased",
    "Block",
    "Incomplete",
    "Nystrom",
    "RandomFourier",
    "Unbiased",
    "analysis",
    "cka",
    "coco",
    "coco_witnesses",
    "conditional_hsic",
    "dependence",
    "dhsic",
    "distance_correlation_squared",
    "distance_covariance_squared",
    "energy_distance",
    "features",
    "hsic",
    "hsic_stream",
    "hsic_variance",
    "independence",
    "information",
    "kcc",
    "kernels",
    "mmd_squared",
    "nocco",
    "objectives",
]
