"""HSIC and its derivatives with every kernel, against the references; what every estimator satisfies."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence.exact import biased_statistic, sides, unbiased_statistic
from kerneldep.dependence.feature_based import FeatureSide
from kerneldep.dependence.tiled import gram_sums, side
from kerneldep.kernels import Cosine, Gaussian, Label, Linear, Matern

from ..derivatives import assert_derivatives, compiled, difference, direction_like, flat
from ..oracles import hsic as oracle
from ..oracles import kernels as kernel_oracle
from ..registry import CROSSED, ESTIMATORS, EXACT, KERNELS, KernelCase
from . import reference

N, DIM = 9, 3
SHARES = (0.4, 0.6)
estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
crossed = pytest.mark.parametrize("estimator", CROSSED, ids=str)
exact = pytest.mark.parametrize("estimator", EXACT, ids=str)


def partner(n: int = N) -> np.ndarray:
    """y [n, 2]."""
    return np.random.default_rng([n, 11]).normal(size=(n, 2))


def matern(y: np.ndarray) -> np.ndarray:
    return kernel_oracle.gram(functools.partial(kernel_oracle.matern, length_scale=1.3, smoothness=2.5), y, y)


class Subject:
    """HSIC of (x, y) with a kernel and a Matérn as a function of parameters and data.

    Biased and unbiased are made of the same sums; of 0.4·biased + 0.6·unbiased one compilation gives the derivatives.
    """

    def __init__(self, case: KernelCase):
        self.case = case

    @functools.cached_property
    def parts(self):
        parameters, static = eqx.partition((self.case.make(DIM), Matern(1.3)), eqx.is_inexact_array)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters), static

    def values(self, at):
        parameters, x, y = at
        x = jnp.round(x) if self.case.categories else x
        sums = gram_sums(kd.Biased().prepare(*eqx.combine(parameters, self.parts[1]), x, y), ((0, 1),))
        values = jnp.stack([biased_statistic(sums, 0, (0, 1)), unbiased_statistic(sums, 0, (0, 1))])
        return jnp.asarray(SHARES) @ values, values

    @functools.cached_property
    def value_and_gradient(self):
        return jax.jit(jax.value_and_grad(self.values, has_aux=True))

    def at(self, **options):
        return self.parts[0], jnp.asarray(self.case.samples(N, DIM, seed=4, **options)), jnp.asarray(partner())

    def gram(self, x: np.ndarray) -> np.ndarray:
        return kernel_oracle.gram(self.case.reference(self.case.make(DIM)), x, x)


# Of module scope: the tests of one subject follow each other and share its compilation.
@pytest.fixture(scope="module", params=KERNELS, ids=str)
def subject(request):
    return Subject(request.param)


@pytest.mark.parametrize("ties", [False, True])
def test_values_are_the_references(subject, ties, x64):
    _, x, _ = at = subject.at(ties=ties)
    (_, values), _ = subject.value_and_gradient(at)
    k, l = subject.gram(np.asarray(x)), matern(partner())
    np.testing.assert_allclose(values, [oracle.hsic_biased(k, l), oracle.hsic_unbiased(k, l)], rtol=1e-10, atol=1e-14)


def test_gradients_are_the_references_and_the_differences(subject, x64):
    """To the data by ∂HSIC/∂K of the reference; to y and the parameters of both kernels by differences."""
    parameters, x, y = at = subject.at(ties=False)
    gradient = subject.value_and_gradient(at)[1]
    k, l = subject.gram(np.asarray(x)), matern(partner())
    if not subject.case.categories:
        by_k = SHARES[0] * oracle.hsic_biased_gradient(k, l) + SHARES[1] * oracle.hsic_unbiased_gradient(k, l)
        move = np.asarray(direction_like(x, 8))
        slope = (by_k * difference(subject.gram, np.asarray(x), move)).sum()
        atol = 1e-9 * np.linalg.norm(gradient[1]) * np.linalg.norm(move)  # the differences' own error
        np.testing.assert_allclose((np.asarray(gradient[1]) * move).sum(), slope, rtol=0, atol=atol)
    direction = direction_like((parameters, y), 9)
    found = flat((gradient[0], gradient[2])) @ flat(direction)
    slope = difference(lambda p: subject.value_and_gradient((p[0], x, p[1]))[0][0], (parameters, y), direction)
    scale = np.linalg.norm(flat((gradient[0], gradient[2]))) * np.linalg.norm(flat(direction))
    np.testing.assert_allclose(found, slope, rtol=0, atol=1e-9 * scale)


def test_derivatives_are_finite_at_collapse(subject, x64):
    """Constant data, on one side and on both: HSIC is 0, and no derivative is NaN."""
    parameters, x, y = subject.at()
    for collapsed in (
        (parameters, jnp.zeros_like(x), y),
        (parameters, jnp.ones_like(x), y),
        (parameters, x, jnp.zeros_like(y)),
        (parameters, jnp.ones_like(x), jnp.ones_like(y)),
    ):
        (_, values), gradient = subject.value_and_gradient(collapsed)
        np.testing.assert_allclose(values, 0, rtol=0, atol=1e-14)
        assert np.isfinite(flat(gradient)).all()


@pytest.mark.parametrize("name", ["gaussian", "matern_32", "laplace_l1", "nested", "user"])
def test_forward_mode_and_hessian_products(name, x64):
    (case,) = (case for case in KERNELS if case.name == name)
    subject = Subject(case)
    assert_derivatives(compiled(lambda at: subject.values(at)[0]), subject.at(ties=False))


@pytest.mark.parametrize("name", ["laplace_l2", "deep", "user", "label"])
@exact
def test_the_public_function_is_the_reference(estimator, name, x64):
    (case,) = (case for case in KERNELS if case.name == name)
    x, y, kernel = case.samples(N, DIM, seed=4), partner(), case.make(DIM)
    value = kd.hsic(x, y, kernel, Matern(1.3), estimator=estimator.estimator)
    assert value.shape == ()
    assert value.dtype == np.float64
    expected = estimator.of_grams(kernel_oracle.gram(case.reference(kernel), x, x), matern(y))
    np.testing.assert_allclose(value, expected, rtol=1e-10)


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


@pytest.mark.parametrize(("name", "n"), [("gaussian", 4), ("gaussian", 5), ("laplace_l1", 9), ("deep", 9)])
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


# What every estimator satisfies. One shape, one pair of kernels and strongly typed parameters, as the default kernels
# have: then these tests share their compilations.


def sample(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Dependent data, multiples of 2⁻¹⁰: float32 holds them exactly also near 10⁴."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 3))
    y = np.sin(2 * x) + 0.3 * rng.normal(size=(n, 3))
    return np.round(x * 2**10) / 2**10, np.round(y * 2**10) / 2**10


def gaussian(bandwidth: float) -> Gaussian:
    return Gaussian(jnp.asarray(bandwidth, float))


def measure(case, x, y, *, default: bool = False, swap: bool = False, seed: int = 0):
    kernels = (None, None) if default else (gaussian(0.7), gaussian(1.2))
    return kd.hsic(x, y, *(kernels[::-1] if swap else kernels), estimator=case.estimator, key=case.key(seed))


@pytest.mark.parametrize("default", [False, True])
@estimators
def test_order_of_the_samples_does_not_matter(estimator, default, x64):
    x, y = sample()
    order = np.random.default_rng(0).permutation(len(x))
    value, moved = (measure(estimator, a, b, default=default) for a, b in ((x, y), (x[order], y[order])))
    assert np.isclose(moved, value, rtol=1e-11) == estimator.exchangeable


@exact
def test_variables_can_be_swapped(estimator, x64):
    x, y = sample()
    np.testing.assert_allclose(measure(estimator, y, x, swap=True), measure(estimator, x, y), rtol=1e-12)


@crossed
def test_permuted_is_the_statistic_of_permuted_data(estimator, x64):
    x, y = (jnp.asarray(a) for a in sample())
    order = jnp.asarray(np.random.default_rng(1).permutation(len(x)))
    prepared = estimator.estimator.prepare(gaussian(0.7), gaussian(1.2), x, y, key=estimator.key())
    permuted = eqx.filter_jit(estimator.estimator.permuted)(prepared, order)
    np.testing.assert_allclose(permuted, measure(estimator, x, y[order]), rtol=1e-11)
    assert abs(permuted - measure(estimator, x, y)) > 1e-5


@crossed
def test_jit_and_vmap_with_everything_inside(estimator):
    """A batch of two, default bandwidths and all checks included, compiled."""
    x, y = (np.stack([a, a[::-1] * 0.5]).astype(np.float32) for a in sample())
    y[1] = np.roll(y[1], 3, axis=0)
    together = jax.jit(jax.vmap(lambda x, y: measure(estimator, x, y, default=True)))(x, y)
    for index, value in enumerate(together):
        np.testing.assert_allclose(value, measure(estimator, x[index], y[index], default=True), rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("default", [False, True])
@estimators
def test_constant_data_give_zero(estimator, default):
    x, y = (a.astype(np.float32) for a in sample())
    for constant in (np.zeros_like(x), np.full_like(x, 1e4)):
        # A sum of squares of features' rounding, of order eps².
        assert abs(measure(estimator, constant, y, default=default)) < 1e-12
        assert abs(measure(estimator, x, constant, default=default)) < 1e-12


@pytest.mark.parametrize("default", [False, True])
@crossed
def test_an_offset_changes_nothing(estimator, default):
    """Near 10⁴ in float32; near 10⁸ in float64 that is narrowed because x64 is off."""
    x, y = sample()
    value = measure(estimator, x.astype(np.float32), y.astype(np.float32), default=default)
    moved = measure(estimator, (x + 10_000).astype(np.float32), (y - 10_000).astype(np.float32), default=default)
    np.testing.assert_allclose(moved, value, rtol=2e-6)
    np.testing.assert_allclose(measure(estimator, x + 1e8, y - 1e8, default=default), value, rtol=2e-6)


@estimators
def test_biased_estimates_are_not_negative_and_unbiased_ones_are_centred(estimator):
    """Forty independent samples."""
    x, y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 40, 12, 1)), jnp.float32)
    prepare, statistic = estimator.estimator.prepare, estimator.estimator.statistic

    def value(x, y, key):
        return statistic(prepare(gaussian(1.0), gaussian(1.0), x, y, key=key))

    keys = jax.random.split(jax.random.key(0), 40)
    values = jax.jit(lambda *at: jax.lax.map(lambda one: value(*one), at))(x, y, keys)
    if estimator.unbiased:
        assert (values < 0).any()
        assert abs(values.mean()) < 4 * values.std() / 40**0.5
    else:
        assert (values >= 0).all()


@crossed
def test_gradients_reach_data_and_parameters(estimator, x64):
    parameters, static = eqx.partition((2.0 * Gaussian(0.7), Matern(1.2)), eqx.is_inexact_array)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters)
    prepare, statistic = estimator.estimator.prepare, estimator.estimator.statistic

    @jax.jit
    @jax.value_and_grad
    def evaluate(at):
        return statistic(prepare(*eqx.combine(at[0], static), at[1], at[2], key=estimator.key()))

    at = (parameters, *(jnp.asarray(a) for a in sample()))
    direction = direction_like(at)
    value, gradient = evaluate(at)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    slope = difference(lambda point: evaluate(point)[0], at, direction)
    np.testing.assert_allclose(flat(gradient) @ flat(direction), slope, rtol=0, atol=1e-9 * scale)
    # HSIC is linear in a factor.
    np.testing.assert_allclose(gradient[0][0].factor, value / 2, rtol=1e-11)
    # Collapse.
    gradient = evaluate((parameters, jnp.zeros_like(at[1]), at[2]))[1]
    assert np.isfinite(flat(gradient)).all()


@exact
def test_sums_over_finite_features_are_those_over_tiles(estimator, x64):
    """Value, gradients, CKA and permutation where n is large beside the dimensions."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 2)) + 3
    y = np.concatenate([x[:, :1] ** 2, rng.normal(size=(40, 1))], axis=1)
    at = (0.5 * Linear() + Cosine() * 2.0, Linear(), jnp.asarray(x), jnp.asarray(y))
    k, l = (np.asarray(kernel.gram(a)) for kernel, a in zip(at[:2], (x, y), strict=True))
    prepared = estimator.estimator.prepare(*at)
    assert isinstance(prepared[0], FeatureSide)
    np.testing.assert_allclose(
        kd.hsic(x, y, *at[:2], estimator=estimator.estimator), estimator.of_grams(k, l), rtol=1e-9
    )
    value = kd.cka(x, y, *at[:2], estimator=estimator.estimator)
    np.testing.assert_allclose(value, oracle.cka(k, l, estimator.of_grams), rtol=1e-9)
    order = rng.permutation(40)
    permuted = estimator.estimator.permuted(prepared, jnp.asarray(order))
    np.testing.assert_allclose(permuted, estimator.of_grams(k, l[order][:, order]), rtol=1e-9)
    by_features = eqx.filter_grad(lambda at: estimator.estimator.statistic(estimator.estimator.prepare(*at)))(at)
    by_tiles = eqx.filter_grad(lambda at: estimator.estimator.statistic(sides(*at)))(at)
    for a, b in zip(jax.tree.leaves(by_features), jax.tree.leaves(by_tiles), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_label_gradient_is_linear_in_same_less_different(x64):
    x, labels = sample()[0], np.arange(12) % 3

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
