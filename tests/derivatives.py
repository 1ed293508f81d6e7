"""Derivatives of all orders from one compilation, and finite differences to hold them against."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Derivatives(NamedTuple):
    """A function's value and gradient, and their derivatives along one direction (forward mode, over reverse)."""

    value: Any
    gradient: Any
    tangent: Any
    second: Any


def compiled(function: Callable[[Any], Any]) -> Callable[[Any, Any], Derivatives]:
    """`Derivatives` of a scalar function of a pytree, at a point along a direction; one compilation for all."""

    @jax.jit
    def evaluate(at: Any, direction: Any) -> Derivatives:
        (value, gradient), (tangent, second) = jax.jvp(jax.value_and_grad(function), (at,), (direction,))
        return Derivatives(value, gradient, tangent, second)

    return evaluate


def direction_like(tree: Any, seed: int = 0) -> Any:
    """A random direction."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), tree)


def difference(function: Callable[[Any], Any], at: Any, direction: Any, step: float = 1e-3) -> Any:
    """[8(f(h) − f(−h)) − (f(2h) − f(−2h))]/12h: in float64 with h = 10⁻³ good to about 10⁻¹¹ of f's scale."""
    shifted = {k: function(jax.tree.map(lambda a, d, k=k: a + k * step * d, at, direction)) for k in (-2, -1, 1, 2)}
    return jax.tree.map(
        lambda a, b, c, d: (8 * (c - b) - (d - a)) / (12 * step), *(shifted[k] for k in sorted(shifted))
    )


def flat(tree: Any) -> np.ndarray:
    """All numbers of a pytree as one vector."""
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def assert_derivatives(
    evaluate: Callable[[Any, Any], Derivatives], at: Any, *, seed: int = 0, second: bool = True, rtol: float = 1e-9
) -> Derivatives:
    """Gradient, forward mode and (if asked) Hessian product of `compiled` derivatives agree with finite differences.

    The default tolerance is what the differences themselves are good for (see `difference`), times ten or a hundred
    for functions whose fifth derivative is larger than their first.
    """
    direction = direction_like(at, seed)
    found = evaluate(at, direction)
    around = difference(lambda point: evaluate(point, direction)[:2], at, direction)
    scale = np.linalg.norm(flat(found.gradient)) * np.linalg.norm(flat(direction))
    assert scale > 0
    np.testing.assert_allclose(found.tangent, around[0], rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(flat(found.gradient) @ flat(direction), found.tangent, rtol=0, atol=1e-12 * scale)
    if second:
        size = np.linalg.norm(flat(around[1])) + scale
        np.testing.assert_allclose(flat(found.second), flat(around[1]), rtol=0, atol=rtol * size)
    return found
