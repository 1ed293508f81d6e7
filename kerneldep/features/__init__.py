"""Explicit feature maps φ with k(x, x′) ≈ φ(x)ᵀφ(x′): linear-time stand-ins for Gram matrices.

- `base`: `AbstractFeatureMap`, a function of samples [n, d] → [n, D].
- `random_fourier`: `random_fourier(kernel, dim, num_features, key=key)`, exact samplers, orthogonal and
  quasi-Monte-Carlo variants; `quasi`: the latter's points and frequencies; `trigonometric`: cosine and sine in turns.
- `nystrom`: `nystrom(kernel, landmarks)` for any kernel; `landmarks`: `choose_landmarks(kernel, x, num, key=key)`.
- `one_hot`: `one_hot(kernel, labels)`, the exact map of the label kernel.
"""

from .base import AbstractFeatureMap
from .landmarks import choose_landmarks
from .nystrom import Nystrom, nystrom
from .one_hot import OneHot, one_hot
from .random_fourier import random_fourier

__all__ = ["AbstractFeatureMap", "Nystrom", "OneHot", "choose_landmarks", "nystrom", "one_hot", "random_fourier"]
