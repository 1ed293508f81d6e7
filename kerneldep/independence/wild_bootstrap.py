"""The wild bootstrap: a test of independence of two time series."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.exact import Biased
from ..dependence.hsic import checked_sides
from ..dependence.tiled import Side, gram_sums, map_rows
from ..kernels import AbstractKernel
from .arguments import as_level, generator, is_constant, refuse_infinite, refuse_traced, warn_if_unreachable
from .gram_sums import centring
from .permuted import Permuted, in_parts, sampled
from .result import TestResult

MEMORY = 20.0
"""The longest by default, and the fewest times it fits the series."""


def wild_bootstrap_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    memory: float | None = None,
    centred: bool = False,
    num_bootstraps: int = 1000,
    alpha: float = 0.05,
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether two stationary series are independent: p = (1 + #{V_w ≥ V})/(1 + P) over P wild bootstraps of HSIC.

    V = Σ (A∘B)/n², A = HKH and B = HLH, is the V-statistic, and V_w = n⁻² Σ_st w_s w_t (A∘B)_st, with the process
    w_t = e^{−1/l} w_{t−1} + √(1 − e^{−2/l}) ε_t of standard normal ε and w_1: as long as its memory l is long beside
    that of x_t and y_t, and short beside n, V_w has the law that V has at independence. All P of them are one matrix
    product, Σ W∘((A∘B)W). The level is right in the limit only (l and n/l growing).

    Args:
        x: n ≥ 6 consecutive values of a series, [n] or [n, d].
        y: those of the other at the same times, [n] or [n, e].
        kernel_x: k; by default a Gaussian at x's own median bandwidth.
        kernel_y: l; likewise of y.
        memory: l, in steps. By default 20, that of the authors' code, from n = 400 on and n/20 below [kerneldep's
            rule]. The process decorrelates to 1/e in l steps: n/l should be large, and l above the steps in which x and
            y forget their past.
        centred: whether its mean is taken from w, the other of the authors' two bootstraps and the default of their
            code. What is left spreads less: more power, and in short series too many rejections.
        num_bootstraps: P.
        alpha: the level that `result.rejected` is about.
        key: a JAX key.

    Returns:
        A `TestResult` whose statistic is HSIC (V-statistic), with V_w as `null`. Time n²(d + e + P), memory n·P up to
        2²⁴ entries and a tile.

    Raises:
        TypeError: bad samples, kernels or key; traced arguments.
        ValueError: bad samples, fewer than 6; memory not positive, num_bootstraps < 1, alpha outside (0, 1).

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Chwialkowski, Sejdinovic and Gretton (2014), "A wild bootstrap for degenerate kernel tests".

    Example:
        >>> import jax, numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 400))
        >>> y = np.r_[0, x[:-1] ** 2] + noise  # depends on the past
        >>> wild_bootstrap_test(x[:-1], y[1:], key=jax.random.key(0)).p_value < 0.01
        True
    """
    alpha, num_bootstraps = as_level(alpha), _check.as_count(num_bootstraps, "num_bootstraps")
    memory = None if memory is None else _check.as_positive(memory, "memory")
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y)
    random = generator(key, "a wild bootstrap")
    both = checked_sides(x, y, kernel_x, kernel_y, Biased())
    n = len(both[0].diagonal)
    if n < 6:
        raise ValueError(f"x and y hold n = {n} samples: a wild bootstrap needs n ≥ 6.")
    memory = min(MEMORY, n / MEMORY) if memory is None else memory
    method = "Wild bootstrap test of independence of series"
    settings: dict[str, Any] = {"memory": memory, "bootstraps": num_bootstraps, "process centred": centred}
    if is_constant(x=np.asarray(x), y=np.asarray(y)):
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    warn_if_unreachable(1 / (1 + num_bootstraps), alpha, f"{num_bootstraps} bootstraps")
    unit = float(both[0].unit) * float(both[1].unit)
    refuse_infinite(unit)
    in_units = both[0].in_units(), both[1].in_units()

    def draw(num: int, random: np.random.Generator) -> Float[np.ndarray, "n num"]:
        process = processes(n, num, memory, random)
        return process - process.mean(0) if centred else process

    def evaluate(weights: Float[np.ndarray, "n t"]) -> np.ndarray:
        return unit * np.asarray(_forms(in_units, jnp.asarray(weights, both[0].diagonal.dtype)), float)

    (observed,) = evaluate(np.ones((n, 1)))
    null, p_value = sampled(Permuted(float(observed), 0.0, in_parts(evaluate, draw, n)), num_bootstraps, random)
    return TestResult(float(observed), p_value, method, n, alpha, settings, null)


def processes(n: int, num: int, memory: float, generator: np.random.Generator) -> Float[np.ndarray, "n num"]:
    """Stationary Gaussian processes of unit variance with correlation e^{−|s − t|/l}, a column each."""
    noise = generator.normal(size=(n, num))
    noise[1:] *= np.sqrt(-np.expm1(-2 / memory))
    from scipy.signal import lfilter  # slow to import

    return np.asarray(lfilter([1.0], [1.0, -np.exp(-1 / memory)], noise, axis=0))


@eqx.filter_jit
def _forms(sides: tuple[Side, Side], weights: Float[Array, "n t"]) -> Float[Array, " t"]:
    """Σ w∘((A∘B)w)/n² for each column w."""
    sums = gram_sums(sides, ())
    of_x, of_y = (centring(one, False, off) for one, off in zip(sides, sums.rows, strict=True))

    def of_rows(k: Array, l: Array, indices: Array) -> Array:
        product = of_x(k, indices) * of_y(l, indices)
        return weights[indices] * jnp.matmul(product, weights, precision=jax.lax.Precision.HIGHEST)

    kernels, points = tuple(one.kernel for one in sides), tuple(one.points for one in sides)
    return map_rows(of_rows, kernels, points).sum(0) / float(len(weights)) ** 2
