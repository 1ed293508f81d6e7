"""The largest singular value of a covariance operator, from products with Gram matrices alone.

With centred Gram matrices A = ΦΦᵀ and B = ΨΨᵀ the singular functions f = Φᵀα and g = Ψᵀβ of ΦᵀΨ have duals with β ∝ Aα
and α ∝ Bβ: α is the leading eigenvector of BA, which is self-adjoint in the inner product αᵀAα′.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

Operator = Callable[[Float[Array, " n"]], Float[Array, " n"]]
"""v ↦ Av, a pytree (`equinox.Partial`) whose leaves are all that it depends on."""

STEPS = 12
"""Dimension of the Krylov space between restarts."""

RESTARTS = 16


class SingularPair(NamedTuple):
    """The leading singular value σ = αᵀABβ of the functions f = Φᵀα, g = Ψᵀβ of unit norm, αᵀAα = βᵀBβ = 1.

    Where an operator is 0 (constant data) all is 0.
    """

    value: Scalar
    alpha: Float[Array, " n"]
    beta: Float[Array, " n"]
    f: Float[Array, " n"]
    """Aα: the function f at the samples."""
    g: Float[Array, " n"]


def singular_pair(apply_a: Operator, apply_b: Operator, n: int, dtype: Any) -> SingularPair:
    """The leading singular pair of A^{½}B^{½} for symmetric positive semi-definite A and B.

    The duals are found in Krylov spaces of 12 dimensions, restarted until the residual of f is eps^{¾} or the value no
    longer grows, at most 16 times: some 200 products with each matrix. No gradient flows through them: at the optimum
    of σ = αᵀABβ/√(αᵀAα · βᵀBβ) none is due (envelope theorem), and the gradient with α and β held is exact where the
    largest singular value is simple. Where it is not, it is the gradient of one of those that tie. Second derivatives
    are wrong: they would need those of α and β.

    Args:
        apply_a: v ↦ Av.
        apply_b: v ↦ Bv.
        n: length of v.
        dtype: of v; the wider of both matrices'.
    """
    alpha = leading_eigenvector(_held(apply_a), _held(apply_b), n, dtype)
    f = apply_a(alpha)
    beta = jax.lax.stop_gradient(f)
    g = apply_b(beta)
    norms = dot(alpha, f), dot(beta, g)
    defined = (norms[0] > 0) & (norms[1] > 0)
    scale_f, scale_g = (jnp.where(defined, jax.lax.rsqrt(jnp.where(defined, norm, 1)), 0) for norm in norms)
    return SingularPair(scale_f * scale_g * dot(f, g), scale_f * alpha, scale_g * beta, scale_f * f, scale_g * g)


def leading_eigenvector(apply_a: Operator, apply_b: Operator, n: int, dtype: Any) -> Float[Array, " n"]:
    """The leading eigenvector of BA; 0 if BA = 0."""
    steps, eps = min(n, STEPS), float(jnp.finfo(dtype).eps)

    def expand(j: Array, state: Any) -> Any:
        # Rows: orthonormal directions v that span BA's Krylov space, Av and BAv. Where the space is exhausted rounding
        # makes up a direction, which does no harm.
        following, v, av, bav = state
        for _ in range(2):  # twice is enough
            following = following - dot(dot(v, following), v)
        squared = dot(following, following)
        direction = following * jnp.where(squared > 0, jax.lax.rsqrt(jnp.where(squared > 0, squared, 1)), 0)
        image = apply_a(direction).astype(dtype)
        following = apply_b(image).astype(dtype)
        return following, v.at[j].set(direction), av.at[j].set(image), bav.at[j].set(following)

    def cycle(state: Any) -> Any:
        start, previous, _, count = state
        empty = jnp.zeros((steps, n), dtype)
        _, v, av, bav = jax.lax.fori_loop(0, steps, expand, (start, empty, empty, empty))
        # Largest quotient of cᵀ(VᵀABAV)c and cᵀ(VᵀAV)c, where the latter can be told from rounding.
        squares, axes = _eigh(dot(v, av.T))
        visible = squares > eps**0.75 * squares[-1]
        axes = axes * jnp.where(visible, jax.lax.rsqrt(jnp.where(visible, squares, 1)), 0)[None, :]
        values, vectors = _eigh(dot(dot(axes.T, dot(av, bav.T)), axes))
        value, weights = values[-1], dot(axes, vectors[:, -1])
        found = dot(weights, bav) / jnp.where(value > 0, value, 1)
        expected = dot(weights, av)
        residual = apply_a(found) - expected
        close = dot(residual, residual) <= eps**1.5 * dot(expected, expected)
        return found, value, close | (value - previous <= eps * value), count + 1

    # A start that no eigenvector of data is orthogonal to: fixed, without any pattern.
    start = jnp.sin(jnp.arange(1, n + 1, dtype=dtype) ** 2)
    state = (start, jnp.zeros((), dtype), jnp.zeros((), bool), 0)
    found, *_ = jax.lax.while_loop(lambda state: ~state[2] & (state[3] < RESTARTS), cycle, state)
    return found


def _held(tree: Any) -> Any:
    """The same without gradients: the loop is then not differentiated at all."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, tree)


def _eigh(matrix: Float[Array, "m m"]) -> tuple[Float[Array, " m"], Float[Array, "m m"]]:
    return jnp.linalg.eigh((matrix + matrix.T) / 2)


def dot(a: Array, b: Array) -> Array:
    """A matrix product in full precision."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
