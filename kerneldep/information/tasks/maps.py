"""Injective maps of samples: what they leave unchanged is the mutual information.

Coordinate-wise and increasing: `cube`, `normal_cdf`, `asinh`, `half_cube`, `wiggle`, `bimodal`. Others: `swiss_roll`
of a line into the plane, and `IntervalExchange`, which scrambles. All take samples [n, d]; those of tasks are standard
normal in each coordinate.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, Int, Key

from ... import _check

WEIGHT, LOW, HIGH = 0.3, -2.0, 2.0
"""The law that `bimodal` makes: 0.3·N(−2, 1) + 0.7·N(2, 1)."""


def cube(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """x³: heavy tails, and density without bound at 0."""
    return x**3


def normal_cdf(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Φ(x): uniform on (0, 1)."""
    return ndtr(x)


def asinh(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Log(x + √(x² + 1)): shortens tails."""
    return jnp.arcsinh(x)


def half_cube(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """x√|x|: lengthens tails."""
    size = jnp.abs(x)
    positive = size > 0
    return jnp.where(positive, x * jnp.sqrt(jnp.where(positive, size, 1)), 0)


def wiggle(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """X + ½sin(3x/2): its slope goes up and down between ¼ and 7/4."""
    return x + 0.5 * jnp.sin(1.5 * x)


def bimodal(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """F⁻¹(Φ(x)) with F the distribution function of 0.3·N(−2, 1) + 0.7·N(2, 1): of a standard normal, that mixture.

    An increasing map, so that information is that of the Gaussian pair exactly; that of a two-component mixture in the
    plane would have no closed form. Solved by bisection between x − 2 and x + 2, the quantiles of the components.
    """
    side = jnp.where(x > 0, -1, 1)  # the tail on x's side is the one that keeps its digits

    def tail(z: Float[Array, "n d"]) -> Float[Array, "n d"]:
        return WEIGHT * ndtr(side * (z - LOW)) + (1 - WEIGHT) * ndtr(side * (z - HIGH))

    target = ndtr(-jnp.abs(x))

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        above = side * (tail(middle) - target) > 0
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = jax.lax.fori_loop(0, jnp.finfo(x.dtype).nmant + 3, halve, (x + LOW, x + HIGH))
    return 0.5 * (low + high)


def swiss_roll(x: Float[Array, "n 1"]) -> Float[Array, "n 2"]:
    """(t cos t, t sin t)/(9π/2) with t = (3π/2)(1 + 2Φ(x)): a spiral in the unit disc, one and a half turns long."""
    t = 1.5 * jnp.pi * (1 + 2 * ndtr(x))
    return t * jnp.concatenate([jnp.cos(t), jnp.sin(t)], axis=1) / (4.5 * jnp.pi)


class IntervalExchange(eqx.Module):
    """Cuts (0, 1) into K equal intervals and puts them in another order: u ↦ (π(⌊Ku⌋) + Ku − ⌊Ku⌋)/K.

    A bijection that keeps the uniform law, and with it every mutual information. What it destroys, as K grows, is
    nearness: HSIC with a fixed kernel falls to 0 (M2 of the theory).

    Args:
        order: π, a permutation of 0, …, K − 1.
    """

    order: Int[Array, " K"] = eqx.field(converter=jnp.asarray)

    def __check_init__(self) -> None:
        if not _check.is_traced(self.order) and not np.array_equal(np.sort(self.order), np.arange(len(self.order))):
            raise ValueError("IntervalExchange.order must hold each of 0, …, K − 1 once.")

    @classmethod
    def random(cls, key: Key[Array, ""], num_intervals: int) -> "IntervalExchange":
        """An order drawn at random."""
        num_intervals = _check.as_count(num_intervals, "num_intervals", 1)
        return cls(jax.random.permutation(_check.random_key(key, "IntervalExchange.random"), num_intervals))

    def __call__(self, u: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Every coordinate of u, in (0, 1), by itself."""
        scaled = u * len(self.order)
        cell = jnp.clip(jnp.floor(scaled), 0, len(self.order) - 1).astype(int)
        return (self.order[cell] + (scaled - cell)) / len(self.order)
