"""First and second derivatives of Gram matrices, to data and parameters, also where points coincide."""

import functools

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
DIMENSIONS = {"gaussian": (1, 3, 20), "laplace_l1": (1, 3, 20), "matern_12": (1, 3, 20), "distance": (1, 3, 20)}


class Subject:
    """Σ w_ij k(x_i, x_j) as a function of parameters and data, with all its derivatives from one compilation."""

    def __init__(self, case: KernelCase, dim: int):
        self.case, self.dim = case, dim

    @functools.cached_property
    def parts(self):
        # Python numbers are weakly typed; a shifted parameter is not, and would be compiled for anew.
        parameters, static = eqx.partition(self.case.make(self.dim), eqx.is_inexact_array)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters), static

    @property
    def parameters(self):
        return self.parts[0]

    @functools.cached_property
    def derivatives(self):
        def function(at):
            parameters, x = at
            x = jnp.round(x) if self.case.categories else x
            return (jnp.asarray(WEIGHTS) * dense_gram(eqx.combine(parameters, self.parts[1]), x)).sum()

        return compiled(function)


# Of module scope, so that the tests of one subject follow each other and share its compilation.
@pytest.fixture(
    scope="module",
    params=[(case, dim) for case in KERNELS for dim in DIMENSIONS.get(case.name, (3,))],
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def subject(request):
    return Subject(*request.param)


def test_derivatives_are_right(subject, x64):
    x = jnp.asarray(subject.case.samples(N, subject.dim, seed=3, ties=False))
    assert_derivatives(subject.derivatives, (subject.parameters, x))


def test_the_gradient_at_ties_is_the_symmetric_one(subject, x64):
    """A kernel with a kink has the gradient 0 there, as the symmetric difference does."""
    x = subject.case.samples(N, subject.dim, seed=3)
    if subject.case.name in ("cosine", "nested"):  # no limit at 0; any finite number would do there, see below
        x[5] = 1
    direction = (jax.tree.map(jnp.zeros_like, subject.parameters), direction_like(jnp.asarray(x), 5))
    at = (subject.parameters, jnp.asarray(x))
    expected = difference(lambda point: subject.derivatives(point, direction).value, at, direction, step=1e-4)
    gradient = subject.derivatives(at, direction).gradient
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    # The step is ten times shorter, the rounding ten times larger: kinks leave odd powers of the step.
    np.testing.assert_allclose(flat(gradient) @ flat(direction), expected, rtol=0, atol=1e-8 * scale)


def test_derivatives_are_finite_at_collapse(subject, x64):
    """Every pair a tie, every vector zero."""
    for x in (np.zeros((N, subject.dim)), np.full((N, subject.dim), 0.3)):
        at = (subject.parameters, jnp.asarray(x))
        found = subject.derivatives(at, direction_like(at))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize(
    ("case", "dim"),
    [
        (case, dim)
        for case in KERNELS
        if case.curvature is not None
        for dim in ((1, 3, 20) if case.name in {"gaussian", "matern_32", "matern_52"} else (3,))
    ],
    ids=str,
)
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


def test_cosine_has_gradient_zero_at_zero():
    x = jnp.array([[0.0, 0.0], [1.0, 2.0]])
    gradient = jax.grad(lambda x: dense_gram(kernels.Cosine(), x).sum())(x)
    np.testing.assert_array_equal(gradient[0], 0)


def test_integer_parameters_can_be_trained():
    gradient = jax.grad(lambda kernel: kernel.gram(np.array([0.0, 1.0])).sum())(kernels.Polynomial(2, 1, 1))
    # Σ (a·x_i·x_j + c)², x = (0, 1): three pairs of product 0, one of product 1
    assert float(gradient.scale) == 2 * (1 + 1)
    assert float(gradient.offset) == 3 * 2 * 1 + 2 * (1 + 1)
