"""Centred kernel alignment."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Cosine, Gaussian, Laplace, Linear, Polynomial

from ..derivatives import difference, direction_like, flat
from ..oracles import hsic as oracle
from ..registry import ESTIMATORS, EXACT

estimators = pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
exact = pytest.mark.parametrize("estimator", EXACT, ids=str)


def sample(n: int = 12):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    return x, np.sin(2 * x) + 0.3 * rng.normal(size=(n, 3))


@exact
def test_is_the_reference(estimator, x64):
    x, y = sample()
    for kernels in ((Gaussian(0.7), Laplace(1.2)), (Linear(), Cosine())):
        value = kd.cka(x, y, *kernels, estimator=estimator.estimator)
        grams = (np.asarray(kernel.gram(a)) for kernel, a in zip(kernels, (x, y), strict=True))
        np.testing.assert_allclose(value, oracle.cka(*grams, estimator.of_grams), rtol=1e-10)


@exact
def test_of_a_similarity_is_one(estimator):
    """Linear CKA does not see rotation, shift or isotropic scale (Kornblith et al. 2019)."""
    x = sample()[0].astype(np.float32)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
    value = kd.cka(x, 3 * x @ rotation + 7, Linear(), Linear(), estimator=estimator.estimator)
    np.testing.assert_allclose(value, 1, rtol=2e-6)  # of sums of 144 products
    np.testing.assert_allclose(kd.cka(x, 5 * x - 2, estimator=estimator.estimator), 1, rtol=2e-6)


def test_biased_lies_between_zero_and_one():
    x, y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 50, 6, 2)), jnp.float32)
    values = jax.jit(jax.vmap(lambda x, y: kd.cka(x, y, Gaussian(1.0), Laplace(1.0), estimator=kd.Biased())))(x, y)
    assert ((values > 0) & (values <= 1 + 1e-6)).all()
    assert values.std() > 0.01


def test_a_factor_of_a_kernel_does_not_matter():
    x, y = sample()
    value = kd.cka(x, y, Gaussian(0.7), Laplace(1.2))
    np.testing.assert_allclose(kd.cka(x, y, 1e12 * Gaussian(0.7), 1e-12 * Laplace(1.2)), value, rtol=2e-6)


@estimators
def test_constant_data_give_zero(estimator):
    x, y = (a.astype(np.float32) for a in sample())
    for constant in (np.zeros_like(x), np.full_like(x, 1e4)):
        assert kd.cka(constant, y, estimator=estimator.estimator, key=estimator.key()) == 0
        assert kd.cka(y, constant, estimator=estimator.estimator, key=estimator.key()) == 0
        assert kd.cka(constant, constant, estimator=estimator.estimator, key=estimator.key()) == 0


@pytest.mark.parametrize("estimator", [*EXACT, ESTIMATORS[-1]], ids=str)
def test_gradients(estimator, x64):
    x, y = (jnp.asarray(a) for a in sample())
    kernels = tuple(Gaussian(jnp.asarray(b)) for b in (0.7, 1.2))

    @jax.jit
    @jax.value_and_grad
    def evaluate(at):
        return kd.cka(at[1], at[2], *at[0], estimator=estimator.estimator, key=estimator.key())

    at = (kernels, x, y)
    direction = direction_like(at)
    gradient = evaluate(at)[1]
    slope = difference(lambda point: evaluate(point)[0], at, direction)
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    np.testing.assert_allclose(flat(gradient) @ flat(direction), slope, rtol=0, atol=1e-8 * scale)  # of a quotient
    gradient = evaluate((kernels, jnp.zeros_like(x), y))[1]
    assert np.isfinite(flat(gradient)).all()


def test_random_features_are_close():
    x, y = sample(60)
    for unbiased in (False, True):
        estimator = kd.RandomFourier(512, orthogonal=True, unbiased=unbiased)
        value = kd.cka(x, y, Gaussian(1.5), Gaussian(1.5), estimator=estimator, key=jax.random.key(0))
        exact = kd.cka(x, y, Gaussian(1.5), Gaussian(1.5), estimator=kd.Unbiased() if unbiased else kd.Biased())
        np.testing.assert_allclose(value, exact, rtol=0, atol=3 / 512**0.5)


def test_same_checks_as_hsic(unhooked):
    x, y = sample()
    with pytest.raises(ValueError, match="x has 12, y has 11"):
        kd.cka(x, y[1:])
    with pytest.raises(ValueError, match="y holds NaN"):
        kd.cka(x, y * np.nan)
    with pytest.raises(TypeError, match="estimator is 3: an estimator"):
        kd.cka(x, y, estimator=3)
    compiled = eqx.filter_jit(lambda x, y: kd.cka(x, y))
    with pytest.raises(RuntimeError, match="y holds NaN"):
        jax.block_until_ready(compiled(x, y * np.nan))


@pytest.mark.parametrize("scale", [1e-10, 1e9])
@pytest.mark.parametrize(
    "estimator", [kd.Biased(), kd.Block(10), kd.RandomFourier(8)], ids=lambda one: type(one).__name__
)
def test_the_unit_of_a_kernel_does_not_matter(estimator, scale):
    """Where HSIC itself leaves float32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    y = x + rng.normal(size=40)

    def value(x):
        return kd.cka(
            x, y, Linear(), Linear(), estimator=estimator, key=jax.random.key(0) if estimator.random else None
        )

    np.testing.assert_allclose(value(scale * x), value(x), rtol=1e-5)


@pytest.mark.parametrize(
    "estimator", [kd.Biased(), kd.Unbiased(), kd.Incomplete(4)], ids=lambda one: type(one).__name__
)
def test_rounding_of_constant_data_is_no_dependence(estimator):
    y = np.random.default_rng(0).normal(size=40)
    for constant in (3.3, 0.7):
        assert kd.cka(np.full(40, constant), y, Polynomial(2), estimator=estimator) == 0


def test_overflow_is_not_independence():
    x = np.random.default_rng(0).normal(size=40)
    assert np.isnan(kd.cka(1e8 * x, x, Polynomial(5), Linear()))
