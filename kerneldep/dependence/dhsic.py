"""Joint independence of several variables: dHSIC."""

import functools
import itertools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel, Gaussian
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters
from .sharded import gram_sums, placed_samples
from .tiled import Side, side

EXPANDED = 5
"""Up to so many variables dHSIC is expanded over subsets of them, of which there are 2^d."""


def dhsic(
    variables: Sequence[ArrayLike],
    kernels: Sequence[AbstractKernel | None] | None = None,
    *,
    mesh: Mesh | None = None,
) -> Scalar:
    """d-variable HSIC: the squared distance of the joint law's embedding from that of the product of its margins.

    dHSIC = ‖Ê ⊗φ_j − ⊗Êφ_j‖² = n⁻²Σ_ii′ Π_j K_j + Π_j n⁻²1ᵀK_j1 − 2n⁻¹ Σ_i Π_j n⁻¹(K_j1)_i, the V-statistic. With
    characteristic kernels its population value is 0 iff the variables are jointly independent, which is more than
    pairwise. For d = 2 it is `hsic` with `Biased()`.

    Args:
        variables: d ≥ 2 samples of n ≥ 2 each, [n] or [n, d_j]; rows belong together.
        kernels: one a variable, None for a Gaussian at its own median bandwidth; by default all of them. For d > 2 it
            matters that K is not centred: a constant added to a kernel adds the dependence among the others.
        mesh: devices to spread the samples over, as in `hsic`.

    Returns:
        A scalar in the unit of the kernels' product, never negative but for rounding; of order 1/n at independence.
        Time n²Σd_j/2, memory n. In float32 digits are kept for d ≤ 5 as for HSIC: at n = 2,000 errors below 10⁻⁵ of
        the value, also of independent samples. For more variables rounding is relative to the kernels' product, 10⁻⁸
        to 2·10⁻⁷ for kernels with k(x, x) = 1. Gradients reach all variables and kernel parameters.

    Raises:
        TypeError: non-numeric data, or something that is no kernel.
        ValueError: fewer than two variables, another number of kernels, unequal or too few samples, wrong rank, NaN or
            infinite data. Under `jit` conditions on values raise a RuntimeError at run time instead.

    Source: Pfister, Bühlmann, Schölkopf and Peters (2018), "Kernel-based tests for joint independence".

    Example:
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).choice([-1, 1], size=(2, 400))  # x, y and xy are pairwise independent
        >>> float(dhsic((x, y, x * y))) > 20 * float(dhsic((x, y)))
        True
    """
    return _statistic(*checked_variables(variables, kernels, mesh), mesh)


def checked_variables(
    variables: Sequence[ArrayLike],
    kernels: Sequence[AbstractKernel | None] | None,
    mesh: Mesh | None = None,
) -> tuple[tuple[AbstractKernel, ...], tuple[Float[Array, "n _"], ...]]:
    """Kernels and samples of a public call, checked, with default kernels filled in."""
    if hasattr(variables, "shape") or isinstance(variables, dict):
        raise TypeError("variables is one array or table: pass a sequence of samples, such as (x, y, z).")
    variables = tuple(variables)
    given = (None,) * len(variables) if kernels is None else tuple(kernels)
    if len(variables) < 2:
        raise ValueError(f"variables holds {len(variables)} sample(s): joint dependence needs at least two.")
    if len(given) != len(variables):
        raise ValueError(f"kernels holds {len(given)}, for {len(variables)} variables: one each is needed.")
    guard = _check.Guard()
    samples = []
    for j, (values, kernel) in enumerate(zip(variables, given, strict=True)):
        if kernel is not None:
            check_parameters(kernel, f"kernels[{j}]", guard)
        centred = kernel is None or _may_be_moved(kernel, len(variables))
        samples.append(_check.as_samples(values, f"variables[{j}]", guard, centred=centred))
    lengths = [len(x) for x in samples]
    if len(set(lengths)) > 1 or lengths[0] < 2:
        raise ValueError(f"variables are n ≥ 2 paired samples: they hold {', '.join(map(str, lengths))}.")
    samples = placed_samples(samples, mesh, guard)
    filled = tuple(
        Gaussian(median_distance(x)) if kernel is None else kernel for kernel, x in zip(given, samples, strict=True)
    )
    return filled, tuple(samples)


def _may_be_moved(kernel: AbstractKernel, num_variables: int) -> bool:
    """Whether dHSIC does not change under a translation: terms u(x) + u(x′) are removed for d = 2 only."""
    return kernel.stationarity == "strict" or (num_variables == 2 and kernel.stationarity == "intrinsic")


def _side(kernel: AbstractKernel, x: Float[Array, "n d"], num_variables: int, mesh: Mesh | None) -> Side:
    moved = side(kernel, x, mesh)
    if kernel.stationarity == "none" or _may_be_moved(kernel, num_variables):
        return moved
    # K differs by terms u_i + u_j from that of centred data, and its mean by that of 2u.
    diagonal = kernel.diagonal(x)
    shift = moved.shift + jax.lax.stop_gradient((diagonal - moved.diagonal).mean())
    return Side(kernel, kernel.prepare(x), diagonal, shift, mesh)


@eqx.filter_jit
def _statistic(kernels: tuple[AbstractKernel, ...], samples: tuple[Array, ...], mesh: Mesh | None) -> Scalar:
    # With K = K′ + c the products expand over subsets S of the variables: dHSIC(K) = Σ_S Π_{j∉S} c_j · dHSIC_S(K′).
    # The empty set and single variables contribute exactly 0, which is where digits would be lost: what is left are
    # differences of small numbers.
    sides = tuple(_side(kernel, x, len(kernels), mesh) for kernel, x in zip(kernels, samples, strict=True))
    everything = tuple(range(len(sides)))
    if len(sides) <= EXPANDED:
        groups = tuple(group for size in everything[1:] for group in itertools.combinations(everything, size + 1))
    else:
        sides = tuple(eqx.tree_at(lambda one: one.shift, one, jnp.zeros_like(one.shift)) for one in sides)
        groups = (everything,)
    sums = gram_sums(sides, groups)
    n = float(len(samples[0]))
    rows = [(row + diagonal) / n for row, diagonal in zip(sums.rows, sums.diagonals, strict=True)]
    total = jnp.zeros((), sums.products[-1].dtype)
    for group, product in zip(groups, sums.products, strict=True):
        joint = (product + _product([sums.diagonals[j] for j in group]).sum()) / n**2
        cross = _product([rows[j] for j in group]).mean()
        constant = math.prod([sides[j].shift for j in everything if j not in group])
        total = total + constant * (joint - 2 * cross + _product([rows[j].mean() for j in group]))
    return total


def _product(factors: list[Array]) -> Array:
    return functools.reduce(jnp.multiply, factors)
