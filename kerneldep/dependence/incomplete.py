"""An incomplete U-statistic: the mean over few of the 4-samples, linear in n."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from ..kernels import AbstractKernel
from .estimator import AbstractEstimator, Triple, above_rounding
from .exact import sides
from .tiled import Side, matched


class Incomplete(AbstractEstimator):
    """The mean of the core h(i, j, q, r) = ¼(k_ij + k_qr − k_iq − k_jr)(l_ij + l_qr − l_iq − l_jr) over few 4-samples.

    For t = 1, …, R it takes all n 4-samples j = i + s, q = i + a, r = i + s + a (mod n) with s = 2t − 1 and a = 4t: two
    diagonals of each Gram matrix, and no two samples are together in more than a few of the R (for the idea see Schrab
    et al. 2022). Its mean is HSIC; its variance is of order 1/n, and falls to about the U-statistic's as R grows.
    Shuffle data that are ordered. Time nR(d + e), memory n(d + e).

    Args:
        num_offsets: R ≥ 1; at most ⌊n/6⌋ are used.
    """

    min_samples: ClassVar[int] = 6

    num_offsets: int = eqx.field(static=True, converter=_check.as_index, default=64)

    def __check_init__(self) -> None:
        if not isinstance(self.num_offsets, int) or self.num_offsets < 1:
            raise ValueError(f"Incomplete.num_offsets is {self.num_offsets!r}: a positive integer is needed.")

    def prepare(
        self,
        kernel_x: AbstractKernel,
        kernel_y: AbstractKernel,
        x: Float[Array, "n d"],
        y: Float[Array, "n e"],
        *,
        key: Key[Array, ""] | None = None,
    ) -> tuple[Side, Side]:
        """Both variables."""
        return sides(kernel_x, kernel_y, x, y)

    def statistic(self, prepared: tuple[Side, Side]) -> Scalar:
        """HSIC(X, Y)."""
        return self._mean(prepared, lambda k, l: k * l)

    def triple(self, prepared: tuple[Side, Side]) -> Triple:
        """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y)."""
        xy, *own = self._mean(prepared, lambda k, l: (k * l, k * k, l * l))
        return Triple(
            xy, *(above_rounding(one, abs(of.diagonal).mean()) for one, of in zip(own, prepared, strict=True))
        )

    def _mean(self, prepared: tuple[Side, Side], function: Any) -> Any:
        """Mean over the 4-samples of a function of ½(k_ij + k_qr − k_iq − k_jr) and the same of l."""
        kernels, points = zip(*((one.kernel, one.points) for one in prepared), strict=True)
        count = min(self.num_offsets, len(prepared[0].diagonal) // 6)

        @eqx.filter_checkpoint
        def cores(kernels: Any, points: Any, s: Array, a: Array) -> Any:
            halves = []
            for kernel, i in zip(kernels, points, strict=True):
                near, far = (matched(kernel, i, _ahead(i, by)) for by in (s, a))
                # Differences first: they are small where the entries are not.
                halves.append(0.5 * ((near - far) + (_ahead(near, a) - _ahead(far, s))))
            return jax.tree.map(lambda values: values.mean(), function(*halves))

        means = jax.lax.map(lambda t: cores(kernels, points, 2 * t - 1, 4 * t), jnp.arange(1, count + 1))
        return jax.tree.map(lambda values: values.mean(), means)


def _ahead(points: Any, by: Array) -> Any:
    return jax.tree.map(lambda leaf: jnp.roll(leaf, -by, axis=0), points)
