"""The test of joint independence of several variables."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.dhsic import checked_variables, dhsic
from ..kernels import AbstractKernel
from ..kernels.base import dense_gram
from ..kernels.tiles import exact_unit
from .arguments import as_level, generator, refuse_traced, warn_if_unreachable, warn_of_constants
from .permutations import Uniform
from .permuted import GRAM_BYTES, Permuted, in_parts, sampled
from .result import TestResult


def joint_test(
    variables: Sequence[ArrayLike],
    kernels: Sequence[AbstractKernel | None] | None = None,
    *,
    num_permutations: int = 1000,
    alpha: float = 0.05,
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether d variables are jointly independent, by dHSIC with all but the first permuted, each on its own.

    p = (1 + #{T_π ≥ T})/(1 + P) over P draws π = (π_2, …, π_d) of independent permutations. They form a group, under
    which the law of the data does not change at joint independence: P(p ≤ α) ≤ α for every n and all kernels.

    Args:
        variables: d ≥ 2 samples of n ≥ 2 each, [n] or [n, d_j]; rows belong together.
        kernels: one a variable, None for a Gaussian at its own median bandwidth; by default all of them.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        key: a JAX key.

    Returns:
        A `TestResult` whose statistic is dHSIC, with its values under permutation as `null`. All Gram matrices are held
        up to 1 GiB, and (d − 1)n² entries gathered a permutation; above that every permutation costs a dHSIC.

    Raises:
        TypeError: bad samples, kernels or key; traced arguments.
        ValueError: fewer than two variables, another number of kernels, bad samples; num_permutations < 1, alpha
            outside (0, 1).

    Warns:
        UserWarning: a variable is constant (of the others it says nothing; with fewer than two of them p = 1); no
            p-value can be as small as alpha.

    Source: Pfister, Bühlmann, Schölkopf and Peters (2018).

    Example:
        >>> import jax, numpy as np
        >>> x, y = np.random.default_rng(0).choice([-1, 1], size=(2, 100))  # x, y and xy are pairwise independent
        >>> joint_test((x, y, x * y), num_permutations=200, key=jax.random.key(0)).p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    refuse_traced(variables=variables, kernels=kernels)
    random = generator(key, "a joint test")
    filled, samples = checked_variables(variables, kernels)
    n, d = len(samples[0]), len(samples)
    method = "Permutation test of joint independence"
    settings: dict[str, Any] = {"variables": d, "measure": "dHSIC", "permutations": num_permutations}
    constant = [bool((x == x[:1]).all()) for x in samples]
    if any(constant):
        warn_of_constants([f"variables[{j}]" for j, one in enumerate(constant) if one], d - sum(constant) >= 2)
    if d - sum(constant) < 2:
        return TestResult(0.0, 1.0, method, n, alpha, settings)
    smallest = max(1 / (1 + num_permutations), (1 / Uniform().count(n)) ** (d - sum(constant) - 1))
    warn_if_unreachable(smallest, alpha, f"n = {n} and {num_permutations} permutations")
    if d * n**2 * samples[0].dtype.itemsize <= GRAM_BYTES:
        grams = _Grams.of(filled, samples)
        rounding = float(grams.rounding)

        def evaluate(some: Int[np.ndarray, "t d1 n"]) -> np.ndarray:
            return float(grams.unit) * np.asarray(_permuted(grams, jnp.asarray(some)), float)
    else:
        rounding = 8 * float(jnp.finfo(samples[0].dtype).eps) * float(_size(filled, samples))

        def evaluate(some: Int[np.ndarray, "t d1 n"]) -> np.ndarray:
            moved = ((samples[0], *(x[p] for x, p in zip(samples[1:], one, strict=True))) for one in some)
            return np.array([float(dhsic(one, filled)) for one in moved])

    def draw(num: int, random: np.random.Generator) -> Int[np.ndarray, "num d1 n"]:
        return Uniform().draw(n, num * (d - 1), random).reshape(num, d - 1, n)

    (observed,) = evaluate(np.tile(np.arange(n, dtype=np.int32), (1, d - 1, 1)))
    permuted = Permuted(float(observed), rounding, in_parts(evaluate, draw, n * (d - 1)))
    null, p_value = sampled(permuted, num_permutations, random)
    return TestResult(permuted.observed, p_value, method, n, alpha, settings, null)


class _Grams(eqx.Module):
    """All Gram matrices, each in its own unit and less a constant."""

    grams: Float[Array, "d n n"]
    constants: Float[Array, " d"]
    rows: Float[Array, "d n"]
    """Means of rows."""
    unit: Scalar
    """Product of the kernels' units."""
    rounding: Scalar
    """Values closer than this are ties."""

    @staticmethod
    @eqx.filter_jit
    def of(kernels: tuple[AbstractKernel, ...], samples: tuple[Array, ...]) -> "_Grams":
        grams, constants, units = [], [], []
        for kernel, x in zip(kernels, samples, strict=True):
            gram = dense_gram(kernel, x)
            # With the diagonal from the kernel itself: a distance of a point to itself may be rounded.
            gram = jnp.where(jnp.eye(len(x), dtype=bool), kernel.diagonal(x)[:, None], gram)
            size = jnp.abs(gram).max()
            units.append(exact_unit(jnp.where(size > 0, size, 1), gram.dtype))
            gram = gram / units[-1]
            constants.append(gram.mean())
            grams.append(gram - constants[-1])
        stacked, unit = jnp.stack(grams), jnp.prod(jnp.stack(units))
        spread = list(jnp.sqrt((stacked**2).mean((1, 2))))
        rounding = 8 * float(jnp.finfo(stacked.dtype).eps) * _order_two(spread, list(jnp.abs(jnp.stack(constants))))
        return _Grams(stacked, jnp.stack(constants), stacked.mean(2), unit, unit * rounding)


@eqx.filter_jit
def _permuted(grams: _Grams, permutations: Int[Array, "t d1 n"]) -> Float[Array, " t"]:
    """The statistic with variables 2, …, d permuted.

    With K_j = K′_j + c_j the products expand over subsets of the variables; those of fewer than two contribute
    exactly 0 and are left out, which is where digits would be lost.
    """
    constants = list(grams.constants)
    product = _order_two(list(grams.rows.mean(1)), constants)

    def one(some: Int[Array, "d1 n"]) -> Scalar:
        moved, rows = [grams.grams[0]], [grams.rows[0]]
        for permutation, gram, row in zip(some, grams.grams[1:], grams.rows[1:], strict=True):
            of_rows = gram.at[permutation].get(mode="promise_in_bounds")
            moved.append(jnp.take(of_rows, permutation, axis=1, mode="clip"))
            rows.append(row[permutation])
        return _order_two(moved, constants).mean(1).mean() - 2 * _order_two(rows, constants).mean() + product

    return jax.lax.map(one, permutations)


def _order_two(values: list[Array], constants: list[Array]) -> Array:
    """Π (v_j + c_j) − Π c_j − Σ_j v_j Π_{i≠j} c_i, the terms with two v or more, one variable after the other."""
    zeroth, first, more = constants[0], values[0], jnp.zeros_like(values[0])
    for value, constant in zip(values[1:], constants[1:], strict=True):
        more = more * (value + constant) + first * value
        first = first * constant + zeroth * value
        zeroth = zeroth * constant
    return more


@eqx.filter_jit
def _size(kernels: tuple[AbstractKernel, ...], samples: tuple[Array, ...]) -> Scalar:
    """Of the kernels' product."""
    return jnp.prod(jnp.stack([jnp.abs(kernel.diagonal(x)).mean() for kernel, x in zip(kernels, samples, strict=True)]))
