"""First and second derivatives of Gram matrices, to data and parameters, also where points coincide."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep import kernels
from kerneldep.kernels.base import dense_gram

from ..derivatives import assert_derivatives, compiled, difference, direction_like, flat
from ..registry import KERNELS, KernelCase

N = 7
WEIGHTS = np.random.default_rng(1).normal(size=(N, N))


def weighted_sum(case: KernelCase, dim: int):
    """Σ w_ij k(x_i, x_j) as a function of (parameters, x), and the parameters."""
    parameters, static = eqx.partition(case.make(dim), eqx.is_inexact_array)
    # Python numbers are weakly typed; a shifted parameter is not, and would be compiled for anew.
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters)

    def function(at):
        return (jnp.asarray(WEIGHTS) * dense_gram(eqx.combine(at[0], static), at[1])).sum()

    return function, parameters


@pytest.mark.parametrize("case", KERNELS, ids=str)
def test_derivatives_are_right(case, x64):
    function, parameters = weighted_sum(case, 3)
    x = case.samples(N, 3, seed=3, ties=False)
    if case.categories:  # piecewise constant in the data, so only parameters can be moved
        assert_derivatives(lambda p: function((p, jnp.asarray(x))), parameters)
    else:
        assert_derivatives(function, (parameters, jnp.asarray(x)))


@pytest.mark.parametrize("dim", [1, 20])
@pytest.mark.parametrize("name", ["gaussian", "laplace_l1", "matern_12", "matern_52", "distance"])
def test_derivatives_are_right_in_other_dimensions(name, dim, x64):
    (case,) = (case for case in KERNELS if case.name == name)
    function, parameters = weighted_sum(case, dim)
    assert_derivatives(function, (parameters, jnp.asarray(case.samples(N, dim, seed=3, ties=False))))


@pytest.mark.parametrize("dim", [1, 3, 20])
@pytest.mark.parametrize("case", [case for case in KERNELS if not case.categories], ids=str)
def test_gradients_at_ties_and_at_zero_are_the_symmetric_ones(case, dim, x64):
    """A kernel with a kink has the gradient 0 there, as the symmetric difference does."""
    if dim != 3 and (case.smooth or case.name == "cosine"):
        dim = {1: 2, 20: 17}[dim]
    function, parameters = weighted_sum(case, dim)
    x = case.samples(N, dim, seed=3)
    if case.name in ("cosine", "nested"):  # no limit at 0: any finite number would do there, see below
        x[5] = 1
    at = (parameters, jnp.asarray(x))
    gradient = jax.jit(jax.grad(function))
    direction = direction_like(at, 5)
    expected = difference(jax.jit(function), at, direction)
    scale = np.linalg.norm(flat(gradient(at))) * np.linalg.norm(flat(direction))
    # |x|^{3/2} and Matérn's |x|³ at a tie are no polynomials: the differences leave O(h^{3/2}), O(h³)·curvature.
    np.testing.assert_allclose(flat(gradient(at)) @ flat(direction), expected, rtol=0, atol=1e-8 * scale)


@pytest.mark.parametrize("dim", [1, 3, 20])
@pytest.mark.parametrize("case", [case for case in KERNELS if case.curvature is not None], ids=str)
def test_hessians_at_ties(case, dim, x64):
    """∂²k(x, x′)/∂x_a∂x_b at x = x′ is −curvature·δ_ab; the matrix product and the masks must not lose it."""
    kernel, point = case.make(dim), jnp.asarray(case.samples(N, dim)[0])

    @jax.jit
    def column(x):  # of the Hessian of one entry of the Gram matrix, among other points
        def entry(moved):
            return dense_gram(kernel, jnp.stack([x, moved, x + 1, x - 2]))[0, 1]

        tangent = jnp.zeros(dim).at[0].set(1.0)
        return jax.jvp(jax.grad(entry), (x,), (tangent,))[1]

    expected = np.zeros(dim)
    expected[0] = -case.curvature
    np.testing.assert_allclose(column(point), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", KERNELS, ids=str)
def test_derivatives_are_finite_for_constant_and_zero_data(case, dtype):
    """Every pair a tie, every vector zero: collapse."""
    function, parameters = weighted_sum(case, 3)
    evaluate = compiled(lambda at: function(at).astype(dtype))
    for x in (jnp.zeros((N, 3), dtype), jnp.full((N, 3), 0.3, dtype)):
        at = (parameters, x)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(evaluate(at, direction_like(at))))


def test_cosine_has_gradient_zero_at_zero():
    x = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    gradient = jax.grad(lambda x: dense_gram(kernels.Cosine(), x).sum())(x)
    np.testing.assert_array_equal(gradient[0], 0)


def test_integer_parameters_can_be_trained():
    gradient = jax.grad(lambda kernel: kernel.gram(np.array([0.0, 1.0])).sum())(kernels.Polynomial(2, 1, 1))
    # Σ (a·x_i·x_j + c)², x = (0, 1): three pairs of product 0, one of product 1
    assert float(gradient.scale) == 2 * (1 + 1)
    assert float(gradient.offset) == 3 * 2 * 1 + 2 * (1 + 1)
