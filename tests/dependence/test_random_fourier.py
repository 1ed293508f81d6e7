"""The random-feature estimator is the statistic of its own features' Gram matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence.feature_sums import biased_feature_statistic, feature_sums, unbiased_feature_statistic
from kerneldep.kernels import Cosine, Deep, Distance, Gaussian, InverseMultiquadric, Label, Linear, Polynomial

from ..oracles import hsic as oracle
from ..registry import RANDOM, network
from ..thorough import thorough

KERNELS = {
    "gaussian": lambda: (Gaussian(0.7), InverseMultiquadric(1.2)),
    "sum, deep": lambda: (Gaussian(0.7) + 0.5 * Cosine(), Deep(network(3), Gaussian(1.0))),
    "label": lambda: (Gaussian(0.7), Label(2.0, 0.5)),
}


def sample(kernel=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(14, 3))
    y = np.sin(2 * x) + 0.3 * rng.normal(size=(14, 3))
    return x, (y[:, 0] > 0) + (y[:, 1] > 1).astype(int) if isinstance(kernel, Label) else y


@pytest.mark.parametrize(
    ("estimator", "name"),
    thorough(
        [
            (case, name)
            for case in RANDOM
            if case.name in ("fourier", "fourier_unbiased", "nystrom")
            for name in KERNELS
        ],
        lambda pair: pair[0].name == "fourier" or pair[1] == "label",
    ),
    ids=str,
)
def test_value_is_that_of_the_feature_grams(estimator, name, x64):
    kernels = KERNELS[name]()
    x, y = (jnp.asarray(a, float).reshape(14, -1) for a in sample(kernels[1]))
    prepared = estimator.estimator.prepare(*kernels, x, y, key=estimator.key())
    phi, psi = (np.asarray(one.draws.features(one.x)) for one in prepared)
    expected = estimator.of_grams(phi @ phi.T, psi @ psi.T)
    value = kd.hsic(*sample(kernels[1]), *kernels, estimator=estimator.estimator, key=estimator.key())
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    # Self-dependences are between independent halves, except where features are exact.
    xy, xx, yy = estimator.estimator.triple(prepared)
    np.testing.assert_allclose(xy, expected, rtol=1e-10)
    for found, one in ((xx, prepared[0]), (yy, prepared[1])):
        first, second = (np.asarray(half) for half in one.draws.halves(one.x))
        np.testing.assert_allclose(found, estimator.of_grams(first @ first.T, second @ second.T), rtol=1e-10)
        assert np.allclose(first, second) == (len(one.draws.maps) == 1)


@pytest.mark.parametrize("tile", [4, 7, 13, 2048])
def test_tiles_of_samples(tile, x64):
    """Whole tiles, one over, one short."""
    rng = np.random.default_rng(1)
    phi, psi = jnp.asarray(rng.normal(size=(14, 3)) + 5), jnp.asarray(rng.normal(size=(14, 4)))

    @jax.jit
    @jax.value_and_grad
    def measure(samples):
        (sums,) = feature_sums(lambda part: (part,), samples, tile=tile)
        return biased_feature_statistic(sums) + unbiased_feature_statistic(sums)

    value, gradient = measure((phi, psi))
    k, l = np.asarray(phi @ phi.T), np.asarray(psi @ psi.T)
    np.testing.assert_allclose(value, oracle.hsic_biased(k, l) + oracle.hsic_unbiased(k, l), rtol=1e-10)
    # ∂HSIC/∂φ = 2·(∂HSIC/∂K)φ
    by_k = oracle.hsic_biased_gradient(k, l) + oracle.hsic_unbiased_gradient(k, l)
    np.testing.assert_allclose(gradient[0], 2 * by_k @ np.asarray(phi), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("unbiased", [False, True])
def test_converges_to_the_exact_estimate(unbiased):
    """The error falls like D^{−½}, and its mean is 0."""
    x, y = (jnp.asarray(a, jnp.float32) for a in sample())
    kernels = Gaussian(0.7), InverseMultiquadric(1.2)
    exact = float(kd.hsic(x, y, *kernels, estimator=kd.Unbiased() if unbiased else kd.Biased()))

    def errors(num_features):
        estimator = kd.RandomFourier(num_features, unbiased=unbiased)
        one = jax.vmap(lambda key: estimator.statistic(estimator.prepare(*kernels, x, y, key=key)))
        return np.asarray(jax.jit(one)(jax.random.split(jax.random.key(0), 400))) - exact

    few, many = errors(16), errors(256)
    for some in (few, many):
        assert abs(some.mean()) < 4 * some.std() / 400**0.5
    assert 3.2 < few.std() / many.std() < 5  # 4, and a deviation of 400 draws is good to 5 %


def test_orthogonal_features_are_better():
    x, y = (jnp.asarray(a, jnp.float32) for a in sample())

    def deviation(orthogonal):
        estimator = kd.RandomFourier(24, orthogonal=orthogonal)
        one = jax.vmap(lambda key: estimator.statistic(estimator.prepare(Gaussian(2.0), Gaussian(2.0), x, y, key=key)))
        return np.asarray(jax.jit(one)(jax.random.split(jax.random.key(0), 300))).std()

    assert deviation(True) < 0.8 * deviation(False)


def test_exact_features_make_an_exact_estimate():
    x, y = (a.astype(np.float32) for a in sample())
    estimator = kd.RandomFourier(4)
    for kernels in ((Linear(), Linear()), (Cosine(), 2.0 * Linear())):
        value = kd.hsic(x, y, *kernels, estimator=estimator, key=jax.random.key(0))
        np.testing.assert_allclose(value, kd.hsic(x, y, *kernels, estimator=kd.Biased()), rtol=1e-5)  # f32 of 14² sums
    labels = sample(Label())[1]
    value = kd.cka(labels, labels, Label(), Label(3.0, 1.0), estimator=estimator, key=jax.random.key(0))
    np.testing.assert_allclose(value, 1, rtol=1e-6)


def test_the_key_decides():
    x, y = sample()
    values = [float(kd.hsic(x, y, estimator=kd.RandomFourier(16), key=jax.random.key(seed))) for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_x_and_y_are_drawn_independently():
    estimator = kd.RandomFourier(16)
    x = jnp.asarray(sample()[0])
    one, other = estimator.prepare(Gaussian(1.0), Gaussian(1.0), x, x, key=jax.random.key(0))
    frequencies = [part.frequencies for side in (one, other) for part in side.draws.maps]
    assert len(np.unique(np.round(np.concatenate(frequencies), 5))) == 4 * 4 * 3


def test_bad_arguments(unhooked):
    for number in (0, 2, 6, -4, 4.0, None):
        with pytest.raises(ValueError, match=r"RandomFourier.num_features is .*: a positive multiple of 4"):
            kd.RandomFourier(number)
    with pytest.raises(ValueError, match="orthogonal and quasi are two ways"):
        kd.RandomFourier(16, orthogonal=True, quasi=True)
    x, y = sample()
    with pytest.raises(ValueError, match="key is missing: the estimator RandomFourier is random"):
        kd.hsic(x, y, estimator=kd.RandomFourier(16))
    with pytest.raises(ValueError, match="key is missing"):
        kd.cka(x, y, estimator=kd.RandomFourier(16))
    for kernel in (Polynomial(), Distance(), Gaussian(1.0) + Label()):
        with pytest.raises(TypeError, match="no sampler of random frequencies"):
            kd.hsic(x, y, kernel, estimator=kd.RandomFourier(16), key=jax.random.key(0))
    with pytest.raises(TypeError, match="one_hot needs concrete labels"):
        jax.jit(lambda y: kd.hsic(x, y, Gaussian(1.0), Label(), estimator=kd.RandomFourier(16), key=jax.random.key(0)))(
            y[:, 0]
        )
