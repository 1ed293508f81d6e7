"""A statistic and its values under permutations of y, by whichever way is quickest for what an estimator prepared."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Scalar

from ..dependence.estimator import AbstractEstimator
from ..dependence.exact import AbstractExact
from ..dependence.feature_based import AbstractFeatureBased, FeatureSide
from ..dependence.tiled import Side
from .arguments import refuse_infinite
from .gram_sums import Implementation, centred_gram, permuted_sums
from .permutations import AbstractPermutations, WholeBlocks, permutation_p_value

Draw = Callable[[int, np.random.Generator], Float[np.ndarray, " num"]]

GRAM_BYTES = 2**30
"""Largest Gram matrix that is held; from some n on tiles are computed again for every permutation."""

FEATURE_BYTES = 2**31
"""Largest feature matrix that is held, and largest table of products of blocks."""

LOOK_AFTER = 100
"""With early stopping, permutations drawn between looks."""

PERMUTATION_ENTRIES = 2**24
"""Permutations are drawn and evaluated so many entries at a time."""


class Permuted(NamedTuple):
    """A statistic to be tested.

    Attributes:
        observed: its value.
        rounding: values closer than this are ties.
        draw: values under so many random permutations.
    """

    observed: float
    rounding: float
    draw: Draw


def permuted_estimate(
    estimator: AbstractEstimator,
    prepared: Any,
    n: int,
    permutations: AbstractPermutations,
    implementation: Implementation = "auto",
) -> Permuted:
    """HSIC by any estimator, from what it prepared of n samples of x and y."""
    unit = float(prepared[0].unit) * float(prepared[1].unit)
    refuse_infinite(unit)
    of_x, of_y = in_units = tuple(one.in_units() for one in prepared)
    if isinstance(estimator, AbstractExact | AbstractFeatureBased) and _features_fit(of_x, of_y):
        found = _of_features(of_x, of_y, estimator.unbiased, permutations)
    elif isinstance(estimator, AbstractExact) and _grams_fit(of_x):
        found = _of_grams(of_x, of_y, estimator.unbiased, permutations, implementation)
    else:
        found = _of_any(estimator, in_units, n, permutations)
    return Permuted(float(unit * found.observed), unit * found.rounding, lambda *how: unit * found.draw(*how))


def _features_fit(of_x: Any, of_y: Any) -> bool:
    if not isinstance(of_x, FeatureSide):
        return False
    entries = len(of_x.x) * max(of_x.draws.num_features, of_y.draws.num_features)
    return entries * of_x.x.dtype.itemsize <= FEATURE_BYTES


def _grams_fit(of_x: Any) -> bool:
    return isinstance(of_x, Side) and of_x.diagonal.size**2 * of_x.diagonal.dtype.itemsize <= GRAM_BYTES


def _of_grams(
    of_x: Side, of_y: Side, unbiased: bool, permutations: AbstractPermutations, implementation: Implementation
) -> Permuted:
    """Sums c Σ A∘πBπᵀ, both Gram matrices centred once: n²/2 products a permutation."""
    n = len(of_x.diagonal)
    a, b = centred_gram(of_x, unbiased), centred_gram(of_y, unbiased)
    factor = 1 / (n * (n - 3)) if unbiased else 1 / n**2

    def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
        return factor * permuted_sums(a[None], b[None], some, implementation)[:, 0, 0].astype(float)

    (observed,) = evaluate(np.arange(n, dtype=np.int32)[None])
    size = factor * float(_frobenius(a) * _frobenius(b))  # |statistic| ≤ size, by Cauchy–Schwarz
    empty = _is_rounding(a, of_x) or _is_rounding(b, of_y)  # as of distances that are all equal: then all are ties
    rounding = float("inf") if empty else _rounding(a.dtype, size)
    return Permuted(observed, rounding, under(permutations, evaluate, n))


def _is_rounding(centred: Float[Array, "n n"], one: Side) -> bool:
    """Whether nothing is left of a Gram matrix once it is centred."""
    largest = 4 * len(centred) * float(jnp.finfo(centred.dtype).eps)
    return bool(_frobenius(centred) <= largest * (jnp.abs(one.diagonal).mean() + jnp.abs(one.shift)))


def _of_features(of_x: FeatureSide, of_y: FeatureSide, unbiased: bool, permutations: AbstractPermutations) -> Permuted:
    """‖ΦᵀHπΨ‖² from a product of feature matrices a permutation, or of s² products of blocks once."""
    phi, psi = _extended(of_x), _extended(of_y)
    n = len(phi)

    def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
        return np.asarray(_from_features(phi, psi, jnp.asarray(some), unbiased)).astype(float)

    (observed,) = evaluate(np.arange(n, dtype=np.int32)[None])
    rounding = _rounding(phi.dtype, float(_terms(phi, psi)) / n**2)
    if isinstance(permutations, WholeBlocks):
        blocks = permutations.num_blocks
        if blocks**2 * phi.shape[1] * psi.shape[1] * phi.dtype.itemsize <= FEATURE_BYTES:
            rest, table = _block_products(phi, psi, blocks)

            def draw(num: int, generator: np.random.Generator) -> np.ndarray:
                orders = permutations.orders(n, num, generator)
                moved = _from_blocks(rest, table, jnp.asarray(orders), jnp.ones((), phi.dtype) * n, unbiased)
                return np.asarray(moved).astype(float)

            return Permuted(observed, rounding, draw)
    return Permuted(observed, rounding, under(permutations, evaluate, n))


def _of_any(estimator: AbstractEstimator, prepared: Any, n: int, permutations: AbstractPermutations) -> Permuted:
    """The estimator's own `permuted`, which costs an estimate a permutation and no more memory than one."""
    one_by_one = eqx.filter_jit(
        lambda estimator, prepared, some: jax.lax.map(lambda one: estimator.permuted(prepared, one), some)
    )

    def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
        return np.asarray(one_by_one(estimator, prepared, jnp.asarray(some))).astype(float)

    (observed,) = evaluate(np.arange(n, dtype=np.int32)[None])
    size = float(np.prod([_size(one) for one in prepared]))
    return Permuted(observed, _rounding(_dtype(prepared[0]), size), under(permutations, evaluate, n))


def permuted_callable(
    statistic: Callable[[Any, Any], Any], x: Any, y: Any, permutations: AbstractPermutations
) -> Permuted:
    """Any function of x and y: compiled where it can be traced, called with NumPy arrays where not."""
    n = len(x)
    many = jax.jit(lambda some: jax.lax.map(lambda one: jnp.asarray(statistic(x, y[one])), some))
    if _can_be_traced(many, jax.ShapeDtypeStruct((1, n), jnp.int32)):

        def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
            return np.asarray(many(jnp.asarray(some)))
    else:

        def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
            return np.array([statistic(np.array(x), np.array(y)[one]) for one in some])

    value = evaluate(np.arange(n, dtype=np.int32)[None])  # as the others are computed, so that ties are ties
    if value.shape != (1,) or value.dtype.kind not in "biuf" or not np.isfinite(value).all():
        raise ValueError(f"statistic(x, y) is {value[0]}: one finite number is needed.")
    observed = float(value[0])
    return Permuted(observed, _rounding(jnp.asarray(x).dtype, abs(observed)), under(permutations, evaluate, n))


def _can_be_traced(function: Callable[..., Any], *arguments: jax.ShapeDtypeStruct) -> bool:
    """Whether JAX can trace it: what looks at values, as NumPy, SciPy and our own checks do, refuses tracers.

    By one of these errors: JAX's are kinds of `TypeError` and `IndexError`. One of another origin comes again, and out,
    when the function is called with numbers.
    """
    try:
        jax.eval_shape(function, *arguments)
    except (TypeError, IndexError, ValueError, AttributeError):
        return False
    return True


def under(permutations: AbstractPermutations, evaluate: Callable[[Any], np.ndarray], n: int) -> Draw:
    """Evaluates a statistic of n samples under random permutations (see `in_parts`)."""
    return in_parts(evaluate, functools.partial(permutations.draw, n), n)


def in_parts(evaluate: Callable[[Any], np.ndarray], draw: Callable[[int, np.random.Generator], Any], n: int) -> Draw:
    """Evaluates a statistic under random permutations, or whatever else is drawn, a limited number at a time.

    Args:
        evaluate: the values under some of them, with as many rows.
        draw: so many of them.
        n: how many numbers one of them holds.
    """

    def values(num: int, generator: np.random.Generator) -> np.ndarray:
        parts = np.array_split(np.arange(num), -(-num * n // PERMUTATION_ENTRIES))
        return np.concatenate([evaluate(draw(len(part), generator)) for part in parts])

    return values


def sampled(
    permuted: Permuted, num: int, random: np.random.Generator, stop_after: int | None = None
) -> tuple[np.ndarray, float]:
    """Values under so many permutations, or as many as it takes to stop (see `permutation_test`), and the p-value."""
    refuse_infinite(permuted.observed)
    null = np.empty(0)
    while len(null) < num:
        left = num - len(null)
        null = np.concatenate([null, permuted.draw(left if stop_after is None else min(left, LOOK_AFTER), random)])
        if stop_after is not None and (null >= permuted.observed - permuted.rounding).sum() >= stop_after:
            break
    if not np.isfinite(null).all():
        share = 1 - np.isfinite(null).mean()
        raise ValueError(f"statistic is not finite under {share:.0%} of the permutations: a finite number is needed.")
    return null, permutation_p_value(permuted.observed, null, permuted.rounding, stop_after)


def _rounding(dtype: Any, size: float) -> float:
    """What sums of terms of a given size may differ by that are equal but for their order."""
    return 8 * float(jnp.finfo(dtype).eps) * size


def _dtype(one: Any) -> Any:
    return (one.diagonal if isinstance(one, Side) else one.x).dtype


def _size(one: Any) -> float:
    """Of a kernel's values."""
    if isinstance(one, Side):
        return float(jnp.abs(one.diagonal).mean())
    some = one.draws.features(one.x[:256])
    return float((some**2).sum(1).mean())


@jax.jit
def _terms(phi: Float[Array, "n D1"], psi: Float[Array, "n E1"]) -> Scalar:
    """What rounding in n²T is relative to: of C = ΦᵀΨ by ‖Φ‖‖Ψ‖, hence of ‖C‖² by ‖C‖‖Φ‖‖Ψ‖; and Σ p q.

    A bound by Cauchy–Schwarz, ‖ΦᵀΦ‖‖ΨᵀΨ‖, is √n times as large, and beyond the spread of T in large samples.
    """
    features = phi[:, :-1], psi[:, :-1]
    product = _frobenius(jnp.matmul(features[0].T, features[1], precision=jax.lax.Precision.HIGHEST))
    return product * _frobenius(features[0]) * _frobenius(features[1]) + phi[:, -1] @ psi[:, -1]


@jax.jit
def _frobenius(matrix: Array) -> Scalar:
    return jnp.sqrt((matrix**2).sum())


@eqx.filter_jit
def _extended(side: FeatureSide) -> Float[Array, "n D1"]:
    """Centred features, and beside them p = ‖φ‖², which the U-statistic needs."""
    features = side.draws.features(side.x)
    centred = features - features.mean(0)[None, :]
    return jnp.concatenate([centred, (centred**2).sum(1, keepdims=True)], axis=1)


def _from_products(products: Float[Array, "D1 E1"], sum_p: Scalar, sum_q: Scalar, n: Array, unbiased: bool) -> Scalar:
    """The V- or U-statistic from Σ(φ_i, p_i)(ψ_π(i), q_π(i))ᵀ (see `unbiased_feature_statistic`)."""
    squares = (products[:-1, :-1] ** 2).sum()
    if not unbiased:
        return squares / n**2
    diagonal = products[-1, -1]
    return (squares - n / (n - 2) * diagonal + sum_p * sum_q / ((n - 1) * (n - 2))) / (n * (n - 3))


@eqx.filter_jit
def _from_features(
    phi: Float[Array, "n D1"], psi: Float[Array, "n E1"], permutations: Int[Array, "t n"], unbiased: bool
) -> Float[Array, " t"]:
    n = jnp.asarray(float(len(phi)), phi.dtype)
    sums = phi[:, -1].sum(), psi[:, -1].sum()

    def one(permutation: Int[Array, " n"]) -> Scalar:
        moved = psi.at[permutation].get(mode="promise_in_bounds")
        return _from_products(_product(phi.T, moved), *sums, n, unbiased)

    return jax.lax.map(one, permutations)


class _Rest(NamedTuple):
    """What no order of the blocks changes."""

    products: Float[Array, "D1 E1"]
    sum_p: Scalar
    sum_q: Scalar


@eqx.filter_jit
def _block_products(
    phi: Float[Array, "n D1"], psi: Float[Array, "n E1"], blocks: int
) -> tuple[_Rest, Float[Array, "s s D1 E1"]]:
    """Φ_bᵀΨ_c of all pairs of blocks, as one matrix product; and the product of the samples left over."""
    size = len(phi) // blocks

    def laid(features: Array) -> Float[Array, "size s·D1"]:
        cut = features[: blocks * size].reshape(blocks, size, -1)
        return cut.transpose(1, 0, 2).reshape(size, -1)

    table = _product(laid(phi).T, laid(psi)).reshape(blocks, phi.shape[1], blocks, psi.shape[1])
    left_phi, left_psi = phi[blocks * size :], psi[blocks * size :]
    rest = _Rest(_product(left_phi.T, left_psi), phi[:, -1].sum(), psi[:, -1].sum())
    return rest, table.transpose(0, 2, 1, 3)


@eqx.filter_jit
def _from_blocks(
    rest: _Rest, table: Float[Array, "s s D1 E1"], orders: Int[Array, "t s"], n: Array, unbiased: bool
) -> Float[Array, " t"]:
    def one(order: Int[Array, " s"]) -> Scalar:
        products = rest.products + table[jnp.arange(len(order)), order].sum(0)
        return _from_products(products, rest.sum_p, rest.sum_q, n, unbiased)

    return jax.lax.map(one, orders)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
