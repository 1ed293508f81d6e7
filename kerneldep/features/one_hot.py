"""The exact feature map of the label kernel."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .. import _check
from .._check import ArrayLike
from ..kernels import Label
from ..kernels.tiles import safe_sqrt
from .base import AbstractFeatureMap


class OneHot(AbstractFeatureMap):
    """√Δl · one-hot(label), and a constant √l₀ where l₀ > 0, so that φ(y)ᵀφ(y′) is the label kernel.

    A label that is not in the code book has an all-zero one-hot part.
    """

    kernel: Label
    codes: Float[Array, "C d"]

    @property
    def num_features(self) -> int:
        """Number of distinct labels, plus one for the constant."""
        return len(self.codes) + 1

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of labels [n, d]."""
        same = Label().pairwise(x, self.codes)
        scale = jnp.sqrt(self.kernel.same - self.kernel.different)
        constant = jnp.full((len(x), 1), safe_sqrt(self.kernel.different), x.dtype)
        return jnp.concatenate([scale * same, constant], axis=1)


def one_hot(kernel: Label, labels: ArrayLike) -> OneHot:
    """The exact map of the label kernel on the labels given.

    Args:
        kernel: `Label(same, different)` with same > different ≥ 0.
        labels: [n] or [n, d]; the distinct rows become the code book.

    Raises:
        TypeError: if the labels are traced: their number, and with it D, must be known.
        ValueError: if the kernel has no real feature map of this form.
    """
    if _check.is_traced(labels):
        raise TypeError("one_hot needs concrete labels: under jit the number of distinct ones is not known.")
    if not _check.is_traced(kernel) and not float(kernel.same) > float(kernel.different) >= 0:
        raise ValueError(f"Label(same={kernel.same}, different={kernel.different}): same > different ≥ 0 is needed.")
    samples = _check.as_samples(labels, "labels")
    return OneHot(kernel, jnp.asarray(np.unique(np.asarray(samples), axis=0)))
