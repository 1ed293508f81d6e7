"""The block test: a normal limit, in time linear in n."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Key

from .._check import ArrayLike
from ..dependence.block import Block
from ..dependence.hsic import checked
from ..kernels import AbstractKernel
from .arguments import as_level, generator, is_constant, refuse_infinite, refuse_traced
from .result import TestResult


def block_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    estimator: Block | None = None,
    alpha: float = 0.05,
    key: Key[Array, ""],
) -> TestResult:
    """Tests whether x and y are independent, by Student's t of the U-statistics of m = ⌊n/b⌋ disjoint blocks.

    t = η̄/(s/√m), with the blocks' mean η̄ and standard deviation s; p from the t distribution with m − 1 degrees of
    freedom. Each η has mean HSIC and, under independence, a skewed law: the level tends to α as m grows. The samples
    are shuffled first. Larger blocks have more power, the null spread of η̄ being of order 1/√(nb), and cost more; with
    fewer than ten of them Student's t takes it back.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        estimator: `Block(b)` with at least 4 blocks; by default b = √n, and at least 4.
        alpha: the level that `result.rejected` is about.
        key: a JAX key, for the shuffle.

    Returns:
        A `TestResult` whose statistic is η̄. Time n·b·(d + e)/2, memory b².

    Raises:
        TypeError: bad samples, kernels, estimator or key; traced arguments.
        ValueError: bad samples, fewer than 4 blocks; alpha outside (0, 1).

    Warns:
        UserWarning: x or y is constant (p = 1).

    Source: Zaremba, Gretton and Blaschko (2013), for two samples; Zhang et al. (2018), with the normal law.

    Example:
        >>> import jax
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 2000))
        >>> statistic, p_value = block_test(x, x**2 + noise, key=jax.random.key(0))
        >>> p_value < 1e-3
        True
    """
    alpha = as_level(alpha)
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y)
    random = generator(key, "a block test")
    if estimator is not None and not isinstance(estimator, Block):
        raise TypeError(f"estimator is {estimator!r}: Block(size) is needed.")
    kernel_x, kernel_y, x, y, _ = checked(x, y, kernel_x, kernel_y, Block(4), None)
    n = len(x)
    estimator = Block(max(4, int(np.sqrt(n)))) if estimator is None else estimator
    count = n // estimator.size
    if count < 4:
        raise ValueError(f"{estimator} makes {count} blocks of n = {n} samples: a block test needs 4 or more.")
    method = "Block test of independence"
    settings: dict[str, Any] = {"estimator": str(estimator), "blocks": count}
    if is_constant(x=x, y=y):
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    order = random.permutation(n)
    blocks, rounding = _blocks(estimator, kernel_x, kernel_y, x[order], y[order])
    refuse_infinite(float(np.sum(blocks)))
    blocks = np.where(np.abs(blocks) > rounding, blocks, 0).astype(float)
    error = blocks.std(ddof=1) / np.sqrt(count)
    p_value = float(scipy.special.stdtr(count - 1, -blocks.mean() / error)) if error > 0 else 1.0
    return TestResult(float(blocks.mean()), p_value, method, n, alpha, settings)


@eqx.filter_jit
def _blocks(
    estimator: Block, kernel_x: AbstractKernel, kernel_y: AbstractKernel, x: Array, y: Array
) -> tuple[Array, Array]:
    """The estimate of each block, and how large one of constant data may come out."""
    both = estimator.prepare(kernel_x, kernel_y, x, y)
    sizes = [jnp.abs(one.diagonal).mean() for one in both]
    return estimator.blocks(both), 8 * jnp.finfo(x.dtype).eps * sizes[0] * sizes[1]
