"""Explicit feature maps φ with k(x, x′) ≈ φ(x)ᵀφ(x′): linear-time stand-ins for Gram matrices.

- `base`: `AbstractFeatureMap`, a function of samples [n, d] → [n, D].
- `random_fourier`: `random_fourier(kernel, dim, num_features, key=key)`, exact samplers, orthogonal variant.
- `one_hot`: `one_hot(kernel, labels)`, the exact map of the label kernel.
"""

from .base import AbstractFeatureMap
from .one_hot import OneHot, one_hot
from .random_fourier import random_fourier

__all__ = ["AbstractFeatureMap", "OneHot", "one_hot", "random_fourier"]
