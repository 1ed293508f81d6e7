"""HSIC and its derivatives with every kernel, against the references; what every estimator satisfies."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence.tiled import gram_sums, side
from kerneldep.kernels import Gaussian, Label, Linear, Matern

from ..derivatives import assert_derivatives, compiled, difference, direction_like, flat
from ..oracles import hsic as oracle
from ..oracles import kernels as kernel_oracle
from ..registry import ESTIMATORS, EXACT, KERNELS, KernelCase
from . import reference

N, DIM = 9, 3
SHARES = {"biased": 0.4, "unbiased": 0.6}
estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
exact = pytest.mark.parametrize("estimator", EXACT, ids=str)


def partner(n: int = N) -> np.ndarray:
    """y [n, 2]."""
    return np.random.default_rng([n, 11]).normal(size=(n, 2))


def matern(y: np.ndarray) -> np.ndarray:
    return kernel_oracle.gram(functools.partial(kernel_oracle.matern, length_scale=1.3, smoothness=2.5), y, y)


class Subject:
    """0.4·biased + 0.6·unbiased of (x, y) with a kernel and a Matérn, as a function of parameters and data."""

    def __init__(self, case: KernelCase):
        self.case = case

    @functools.cached_property
    def parts(self):
        parameters, static = eqx.partition((self.case.make(DIM), Matern(1.3)), eqx.is_inexact_array)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters), static

    def function(self, at):
        parameters, x, y = at
        x = jnp.round(x) if self.case.categories else x
        kernels = eqx.combine(parameters, self.parts[1])
        parts = [SHARES[e.name] * e.estimator.statistic(e.estimator.prepare(*kernels, x, y)) for e in EXACT]
        return sum(parts)

    @functools.cached_property
    def value_and_gradient(self):
        return jax.jit(jax.value_and_grad(self.function))

    @functools.cached_property
    def derivatives(self):
        return compiled(self.function)

    def at(self, **options):
        return self.parts[0], jnp.asarray(self.case.samples(N, DIM, seed=4, **options)), jnp.asarray(partner())

    def gram(self, x: np.ndarray) -> np.ndarray:
        return kernel_oracle.gram(self.case.reference(self.case.make(DIM)), x, x)


@pytest.fixture(scope="module", params=KERNELS, ids=str)
def subject(request):
    return Subject(request.param)


def test_values_are_the_references(subject, x64):
    kernel, (_, x, y) = subject.case.make(DIM), subject.at()
    k, l = subject.gram(np.asarray(x)), matern(partner())
    for case in EXACT:
        value = kd.hsic(x, y, kernel, Matern(1.3), estimator=case.estimator)
        assert value.shape == ()
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, case.of_grams(k, l), rtol=1e-10, atol=1e-14)


def test_gradients_are_the_references_and_the_differences(subject, x64):
    """To the data by ∂HSIC/∂K of the reference; to the parameters of both kernels and y by differences."""
    parameters, x, y = at = subject.at(ties=False)
    value, gradient = subject.value_and_gradient(at)
    k, l = subject.gram(np.asarray(x)), matern(partner())
    expected = sum(SHARES[case.name] * case.of_grams(k, l) for case in EXACT)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    if not subject.case.categories:
        by_k = SHARES["biased"] * oracle.hsic_biased_gradient(k, l)
        by_k += SHARES["unbiased"] * oracle.hsic_unbiased_gradient(k, l)
        move = np.asarray(direction_like(x, 8))
        slope = (by_k * difference(subject.gram, np.asarray(x), move)).sum()
        atol = 1e-9 * np.linalg.norm(gradient[1]) * np.linalg.norm(move)  # the differences' own error
        np.testing.assert_allclose((np.asarray(gradient[1]) * move).sum(), slope, rtol=0, atol=atol)
    direction = direction_like((parameters, y), 9)
    found = flat((gradient[0], gradient[2])) @ flat(direction)
    slope = difference(lambda p: subject.value_and_gradient((p[0], x, p[1]))[0], (parameters, y), direction)
    scale = np.linalg.norm(flat((gradient[0], gradient[2]))) * np.linalg.norm(flat(direction))
    np.testing.assert_allclose(found, slope, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["gaussian", "matern_32", "laplace_l1", "nested", "user", "label_offset"])
def test_forward_mode_and_hessian_products(name, x64):
    (case,) = (case for case in KERNELS if case.name == name)
    subject = Subject(case)
    assert_derivatives(subject.derivatives, subject.at(ties=False))


def test_derivatives_are_finite_at_collapse(subject):
    """In float32: constant data, and a kernel's own ties."""
    parameters, static = eqx.partition((subject.case.make(DIM), Matern(1.3)), eqx.is_inexact_array)

    @jax.jit
    def gradient(parameters, x, y):
        def function(parameters, x, y):
            return kd.Unbiased().statistic(kd.Unbiased().prepare(*eqx.combine(parameters, static), x, y))

        return jax.value_and_grad(function, argnums=(0, 1, 2))(parameters, x, y)

    y = jnp.asarray(partner(), jnp.float32)
    for x in (jnp.zeros((N, DIM)), jnp.ones((N, DIM)), jnp.asarray(subject.case.samples(N, DIM), jnp.float32)):
        for other in (y, jnp.zeros_like(y)):
            value, slopes = gradient(parameters, x, other)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, slopes)))


def test_the_u_statistic_is_the_mean_over_all_4_tuples(x64):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    k, l = np.asarray(Gaussian(0.9).gram(x)), np.asarray(Matern(1.1).gram(y))
    value = kd.hsic(x, y, Gaussian(0.9), Matern(1.1))
    np.testing.assert_allclose(value, oracle.hsic_unbiased_enumerated(k, l), rtol=1e-10)
    np.testing.assert_allclose(value, oracle.hsic_core_enumerated(k, l), rtol=1e-10)
    value = kd.hsic(x, y, Gaussian(0.9), Matern(1.1), estimator=kd.Biased())
    np.testing.assert_allclose(value, oracle.hsic_biased_loops(k, l), rtol=1e-10)


@exact
def test_smallest_samples(estimator, x64):
    n = estimator.estimator.min_samples
    x, y = np.random.default_rng(0).normal(size=(2, n))
    value = kd.hsic(x, y, Gaussian(1.0), Linear(), estimator=estimator.estimator)
    expected = estimator.of_grams(np.asarray(Gaussian(1.0).gram(x)), np.asarray(Linear().gram(y)))
    np.testing.assert_allclose(value, expected, rtol=1e-10)


@pytest.mark.parametrize("n", [4, 5, 8, 9, 13])
@pytest.mark.parametrize("name", ["gaussian", "deep"])
def test_many_tiles_are_one(name, n, x64):
    """Tiles of at most 4: whole ones, one sample over, more than one row of them."""
    (case,) = (case for case in KERNELS if case.name == name)
    parameters, static = eqx.partition((case.make(DIM), Matern(1.3)), eqx.is_inexact_array)
    at = (parameters, jnp.asarray(np.random.default_rng(n).normal(size=(n, DIM))), jnp.asarray(partner(n)))

    def measures(tile):
        def function(at):
            kernels = eqx.combine(at[0], static)
            sums = gram_sums((side(kernels[0], at[1]), side(kernels[1], at[2])), ((0, 1), (0, 0)), tile=tile)
            # A function of all there is; tanh, so that no part of a row is worth the same as another.
            rows = [(jnp.arange(n) * jnp.tanh(row)).sum() for row in sums.rows + sums.diagonals]
            return sum(sums.products) + sum(rows)

        return jax.jit(jax.value_and_grad(function))(at)

    for few, one in zip(jax.tree.leaves(measures(4)), jax.tree.leaves(measures(1024)), strict=True):
        np.testing.assert_allclose(few, one, rtol=1e-11, atol=1e-11)


# What every estimator satisfies.


def sample(n: int = 12, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 3))
    return x.astype(dtype), (np.sin(2 * x[:, :2]) + 0.3 * rng.normal(size=(n, 2))).astype(dtype)


def measure(case, x, y, kernel_x=None, kernel_y=None, seed=0):
    return kd.hsic(x, y, kernel_x, kernel_y, estimator=case.estimator, key=case.key(seed))


@estimators
def test_order_of_the_samples_does_not_matter(estimator, x64):
    x, y = sample(dtype="float64")
    order = np.random.default_rng(0).permutation(len(x))
    for kernels in ((None, None), (Gaussian(0.7), Linear())):
        value, moved = measure(estimator, x, y, *kernels), measure(estimator, x[order], y[order], *kernels)
        np.testing.assert_allclose(moved, value, rtol=1e-11)


@exact
def test_variables_can_be_swapped(estimator, x64):
    x, y = sample(dtype="float64")
    value = measure(estimator, x, y, Gaussian(0.7), Matern(1.2))
    np.testing.assert_allclose(measure(estimator, y, x, Matern(1.2), Gaussian(0.7)), value, rtol=1e-12)


@estimators
def test_permuted_is_the_statistic_of_permuted_data(estimator, x64):
    x, y = (jnp.asarray(a) for a in sample(dtype="float64"))
    order = jnp.asarray(np.random.default_rng(1).permutation(len(x)))

    @jax.jit
    def both(key):
        prepared = estimator.estimator.prepare(Gaussian(0.7), Matern(1.2), x, y, key=key)
        return estimator.estimator.permuted(prepared, order), estimator.estimator.statistic(prepared)

    permuted, plain = both(jax.random.key(0))
    np.testing.assert_allclose(permuted, measure(estimator, x, y[order], Gaussian(0.7), Matern(1.2)), rtol=1e-11)
    np.testing.assert_allclose(plain, measure(estimator, x, y, Gaussian(0.7), Matern(1.2)), rtol=1e-11)
    assert abs(permuted - plain) > 1e-4


@estimators
def test_jit_is_eager_with_everything_inside(estimator):
    x, y = sample()
    inside = eqx.filter_jit(lambda x, y, key: kd.hsic(x, y, estimator=estimator.estimator, key=key))
    np.testing.assert_allclose(inside(x, y, estimator.key()), measure(estimator, x, y), rtol=2e-6, atol=1e-8)


@estimators
def test_vmap_over_a_batch(estimator):
    x, y = sample(24)
    batch = jnp.asarray(x.reshape(2, 12, 3)), jnp.asarray(y.reshape(2, 12, 2))
    together = jax.jit(jax.vmap(lambda x, y: measure(estimator, x, y)))(*batch)
    for index, value in enumerate(together):
        # The median bandwidth, and sums in another order.
        np.testing.assert_allclose(value, measure(estimator, batch[0][index], batch[1][index]), rtol=1e-5, atol=1e-8)


@estimators
def test_constant_data_give_zero_and_no_nan(estimator):
    x, y = sample()
    for constant in (np.zeros_like(x), np.full_like(x, 1e4)):
        assert abs(measure(estimator, constant, y)) < 1e-7
        assert abs(measure(estimator, y, constant)) < 1e-7
    slope = jax.jit(jax.grad(lambda x: measure(estimator, x, y, Gaussian(1.0))))(jnp.zeros_like(x))
    assert np.isfinite(slope).all()


@estimators
def test_an_offset_changes_nothing(estimator):
    """Data that float32 holds exactly, near 0 and near 10⁴; float64 data near 10⁸ while x64 is off."""
    x, y = (np.round(a.astype(float) * 2**10) / 2**10 for a in sample())
    for kernels in ((Gaussian(0.7), Matern(1.2)), (None, None), (Linear(), Linear())):
        value = measure(estimator, x.astype(np.float32), y.astype(np.float32), *kernels)
        moved = measure(estimator, (x + 10_000).astype(np.float32), (y - 10_000).astype(np.float32), *kernels)
        np.testing.assert_allclose(moved, value, rtol=2e-6)
        np.testing.assert_allclose(measure(estimator, x + 1e8, y - 1e8, *kernels), value, rtol=2e-6)


@estimators
def test_biased_estimates_are_not_negative_and_unbiased_ones_are(estimator):
    rng = np.random.default_rng(0)
    x, y = (
        jnp.asarray(rng.normal(size=(40, 12, 1)), jnp.float32),
        jnp.asarray(rng.normal(size=(40, 12, 1)), jnp.float32),
    )
    values = jax.jit(jax.vmap(lambda x, y: measure(estimator, x, y, Gaussian(1.0), Gaussian(1.0))))(x, y)
    if "unbiased" in estimator.name:
        assert (values < 0).any()
        assert abs(values.mean()) < 4 * values.std() / 40**0.5  # independent: HSIC is 0
    else:
        assert (values >= 0).all()


@estimators
def test_gradients_reach_data_and_parameters(estimator, x64):
    x, y = (jnp.asarray(a) for a in sample(dtype="float64"))
    parameters, static = eqx.partition((2.0 * Gaussian(0.7), Matern(1.2)), eqx.is_inexact_array)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters)

    def function(at):
        kernels = eqx.combine(at[0], static)
        prepared = estimator.estimator.prepare(*kernels, at[1], at[2], key=estimator.key())
        return estimator.estimator.statistic(prepared)

    found = assert_derivatives(compiled(function), (parameters, x, y))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(found.gradient))
    # HSIC is linear in a factor.
    np.testing.assert_allclose(found.gradient[0][0].factor, found.value / 2, rtol=1e-12)


def test_label_gradient_is_linear_in_same_less_different(x64):
    x, labels = sample(dtype="float64")[0], np.arange(12) % 3

    def value(same, different):
        return kd.hsic(x, labels, Gaussian(1.0), Label(same, different))

    same, different = jax.grad(value, argnums=(0, 1))(2.0, 0.5)
    np.testing.assert_allclose(same, -different, rtol=1e-12)
    np.testing.assert_allclose(1.5 * same, value(2.0, 0.5), rtol=1e-12)


def test_the_fast_reference_is_the_textbook_one():
    rng = np.random.default_rng(0)
    k, l = (np.exp(-((a[:, None] - a[None]) ** 2)) for a in rng.normal(size=(2, 9)))
    np.testing.assert_allclose(reference.biased(k, l), oracle.hsic_biased(k, l), rtol=1e-12)
    np.testing.assert_allclose(reference.unbiased(k, l), oracle.hsic_unbiased(k, l), rtol=1e-12)
