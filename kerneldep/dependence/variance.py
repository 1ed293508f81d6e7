"""Standard errors of HSIC estimates."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .._check import ArrayLike
from ..kernels import AbstractKernel
from .block import Block
from .exact import Unbiased
from .hsic import checked_sides
from .tiled import Side, gram_sums, map_rows


def hsic_variance(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: Unbiased | Block = Unbiased(),  # noqa: B008 (immutable, holds no array)
) -> Scalar:
    """The estimated sampling variance of an HSIC estimate; its root is the standard error.

    For `Unbiased()`: 16/n · Var h₁, with h₁(i) the mean of the U-statistic's core over all 4-samples that hold i, the
    first term of the variance in 1/n; in small samples it errs upwards. It describes dependent data: under independence
    h₁ is constant, the statistic is of order 1/n instead of n^{−½} and not normal (use a test there). For `Block(b)`:
    the blocks' variance over their number, right in both cases.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth (whose own variation is not counted).
        kernel_y: l; likewise of y.
        estimator: `Unbiased()` or `Block(size)` with at least two blocks.

    Returns:
        A scalar, in the unit of HSIC squared. Time 3/2 n²(d + e) for the first, memory n.

    Raises:
        TypeError, ValueError: as `hsic`; or for another estimator.

    Source: Song et al. (2012); for blocks Zhang et al. (2018).

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=500)
        >>> float(hsic_variance(x, x**2 + 0.1 * rng.normal(size=500)) ** 0.5)
        0.0019
    """
    if not isinstance(estimator, Unbiased | Block):
        raise TypeError(f"estimator is {estimator!r}: a variance is known for Unbiased() and Block(size).")
    both = checked_sides(x, y, kernel_x, kernel_y, estimator)
    n = len(both[0].diagonal)
    if isinstance(estimator, Unbiased) and n < 8:
        raise ValueError(f"x and y hold n = {n} samples: a variance needs n ≥ 8.")
    if isinstance(estimator, Block) and n < 2 * estimator.size:
        raise ValueError(f"Block({estimator.size}) makes fewer than two blocks of {n} samples.")
    return _variance(estimator, both)


@eqx.filter_jit
def _variance(estimator: Unbiased | Block, sides: tuple[Side, Side]) -> Scalar:
    if isinstance(estimator, Block):
        blocks = estimator.blocks(sides)
        return blocks.var(ddof=1) / len(blocks)
    projections = projected_cores(sides)
    return 16 / len(projections) * projections.var()


def projected_cores(sides: tuple[Side, Side]) -> Float[Array, " n"]:
    """h₁(i): the mean of the core over the (n−1)(n−2)(n−3) ordered triples beside i. Their mean is the U-statistic.

    With a = K̃1, b = L̃1 and T = tr(K̃L̃), A = 1ᵀa, B = 1ᵀb (Song et al. 2012):
    [(n−2)²(K̃∘L̃)1 + (n−2)(T − K̃b − L̃a) − n a∘b + A b + B a − aᵀb] / (2(n−1)(n−2)(n−3)).
    """
    sums = gram_sums(sides, ((0, 1),))
    a, b = sums.rows
    n = float(len(a))
    # Row sums are centred: h₁ does not depend on terms u_i + u_j, and products of large sums lose digits.
    mean_a, mean_b = a.mean(), b.mean()

    def of_rows(k: Any, l: Any, indices: Array) -> tuple[Array, Array, Array]:
        keep = indices[:, None] != jnp.arange(len(a))[None, :]
        k = jnp.where(keep, k - sides[0].shift, 0)
        l = jnp.where(keep, l - sides[1].shift, 0)
        return (k * l).sum(1), (k * (b - mean_b)[None, :]).sum(1), (l * (a - mean_a)[None, :]).sum(1)

    kl, kb, la = map_rows(of_rows, tuple(one.kernel for one in sides), tuple(one.points for one in sides))
    kb, la = kb + mean_b * a, la + mean_a * b
    trace, total_a, total_b, both = sums.products[0], a.sum(), b.sum(), (a * b).sum()
    h = (n - 2) ** 2 * kl - n * a * b + (n - 2) * (trace - kb - la) + total_b * a + total_a * b - both
    return h / (2 * (n - 1) * (n - 2) * (n - 3))
