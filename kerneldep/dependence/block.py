"""The mean of exact estimates over blocks of samples: linear in n, with a standard error."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from ..kernels import AbstractKernel
from .estimator import AbstractEstimator, Triple
from .exact import Unbiased, sides
from .tiled import Side

_UNBIASED = Unbiased()


class Block(AbstractEstimator):
    """The mean of the U-statistic over ⌊n/b⌋ disjoint blocks of b consecutive samples (Zhang et al. 2018).

    Its mean is HSIC; its variance, n/b times smaller than one block's, is known from the blocks themselves (see
    `hsic_variance`), and it is asymptotically normal as n/b → ∞, also under independence. Samples left over are not
    used: shuffle data that are ordered. Time n·b·(d + e), memory b². Given to `cka` it is minibatch CKA: the three
    HSICs are averaged over blocks before the ratio is taken (Nguyen, Raghu and Kornblith 2021).

    Args:
        size: b ≥ 4.
    """

    size: int = eqx.field(static=True, converter=_check.as_index, default=256)

    def __check_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 4:
            raise ValueError(f"Block.size is {self.size!r}: an integer of 4 or more is needed.")

    @property
    def min_samples(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One block."""
        return self.size

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
        return self.blocks(prepared).mean()

    def blocks(self, prepared: tuple[Side, Side]) -> Float[Array, " blocks"]:
        """The estimate of each block."""
        return self._each(_UNBIASED.statistic, prepared)

    def triple(self, prepared: tuple[Side, Side]) -> Triple:
        """HSIC(X, Y), HSIC(X, X), HSIC(Y, Y)."""
        return jax.tree.map(lambda values: values.mean(), self._each(_UNBIASED.triple, prepared))

    def _each(self, function: Any, prepared: tuple[Side, Side]) -> Any:
        count = len(prepared[0].diagonal) // self.size

        def cut(leaf: Array) -> Array:
            return leaf[: count * self.size].reshape(count, self.size, *leaf.shape[1:])

        def block(leaves: Any) -> Any:
            sides = zip(prepared, leaves, strict=True)
            return function(tuple(Side(one.kernel, points, diagonal, one.shift) for one, (points, diagonal) in sides))

        return jax.lax.map(block, jax.tree.map(cut, tuple((one.points, one.diagonal) for one in prepared)))
