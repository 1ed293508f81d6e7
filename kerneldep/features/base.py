"""What a feature map is."""

import abc

import equinox as eqx
from jaxtyping import Array, Float


class AbstractFeatureMap(eqx.Module):
    """φ: samples [n, d] → features [n, D], with k(x, x′) equal or close to φ(x)ᵀφ(x′)."""

    @property
    @abc.abstractmethod
    def num_features(self) -> int:
        """D, the number of columns."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples, one a row."""
