"""MMD and energy distance: what the list of measures does not see, and what they are equal to."""

import itertools

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy_distance

import kerneldep as kd
from kerneldep.kernels import Cosine, Deep, Distance, Gaussian, Laplace, median_bandwidth

from ..oracles import distance as distance_oracle
from ..oracles import hsic as oracle


def first(point):
    return point[:2]


def second(point):
    return point[2:]


def test_hsic_is_mmd_of_the_joint_law_and_the_product(x64):
    """On the n paired points against all n² pairs, with the product kernel."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2))
    y = np.sin(2 * x[:, :1]) + 0.1 * rng.normal(size=(6, 1))
    joint = np.concatenate([x, y], axis=1)
    product = np.asarray([[*a, *b] for a, b in itertools.product(x, y)])
    k, l = Gaussian(0.8), Laplace(1.3)
    mmd = kd.mmd_squared(joint, product, Deep(first, k) * Deep(second, l), estimator=kd.Biased())
    np.testing.assert_allclose(mmd, kd.hsic(x, y, k, l, estimator=kd.Biased()), rtol=1e-12)


def test_unequal_numbers_of_samples(x64):
    """By default with the pooled median bandwidth; also with a kernel that is not stationary."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 2)), 2 * rng.normal(size=(9, 2)) + 1

    def grams(k):
        return k.gram(x), k.gram(x, y), k.gram(y)

    default = Gaussian(median_bandwidth(np.concatenate([x, y])))
    np.testing.assert_allclose(kd.mmd_squared(x, y), oracle.mmd_squared_unbiased(*grams(default)), rtol=1e-12)
    value = kd.mmd_squared(x, y, Cosine(), estimator=kd.Biased())
    np.testing.assert_allclose(value, oracle.mmd_squared_biased(*grams(Cosine())), rtol=1e-12)


def test_float32_over_several_tiles():
    """Nearly equal laws, 10⁴ from the origin: an error of 10⁻⁶, where k lies in [0, 1] and MMD² is 2·10⁻⁵."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 3)) + 1e4 for n in (1_500, 1_100))
    k_xx, k_xy, k_yy = (np.exp(-cdist(a, b, "sqeuclidean") / 2) for a, b in ((x, x), (x, y), (y, y)))
    expected = (k_xx.sum() - 1_500) / (1_500 * 1_499) - 2 * k_xy.mean() + (k_yy.sum() - 1_100) / (1_100 * 1_099)
    np.testing.assert_allclose(kd.mmd_squared(x, y, Gaussian(1.0)), expected, rtol=0, atol=1e-6)


def test_sorted_energy_distance(x64):
    """Against the pairs; the gradient against the pairs' with 0 between tied samples."""
    rng = np.random.default_rng(0)
    function = jax.jit(jax.value_and_grad(kd.energy_distance, (0, 1)))
    for x, y in (
        (rng.normal(size=30), rng.normal(size=20) + 1),
        (rng.integers(0, 4, 30).astype(float), rng.integers(1, 5, 20).astype(float)),
    ):
        value, (by_x, by_y) = function(x, y)
        expected = distance_oracle.energy_distance(x[:, None], y[:, None], unbiased=True)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        across = np.sign(x[:, None] - y)
        within_x, within_y = (np.sign(a[:, None] - a).sum(1) / (len(a) - 1) for a in (x, y))
        np.testing.assert_allclose(by_x, 2 / len(x) * (across.mean(1) - within_x), atol=1e-14)
        np.testing.assert_allclose(by_y, 2 / len(y) * (-across.mean(0) - within_y), atol=1e-14)


def test_energy_distance_is_scipys_squared_and_twice_mmd(x64):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=20)
    value = kd.energy_distance(x, y, estimator=kd.Biased())
    np.testing.assert_allclose(value, scipy_energy_distance(x, y) ** 2, rtol=1e-12)
    np.testing.assert_allclose(value, 2 * kd.mmd_squared(x, y, Distance(), estimator=kd.Biased()), rtol=1e-12)
    value = kd.energy_distance(x, y, exponent=1.5)
    expected = distance_oracle.energy_distance(x[:, None], y[:, None], 1.5, unbiased=True)
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_a_hundred_thousand_samples_in_float32():
    """n² overflows int32; two grids a step of ½ apart, whose F − G is 1/n half of the time."""
    n = 100_000
    value = kd.energy_distance(np.arange(n), np.arange(n) + 0.5, estimator=kd.Biased())
    np.testing.assert_allclose(value, 2 * n * 0.5 / n**2, rtol=1e-4)
    value = kd.energy_distance(np.arange(n), np.arange(n) + n, estimator=kd.Biased())
    np.testing.assert_allclose(value, 2 * n - 2 * (n**2 - 1) / (3 * n), rtol=1e-6)


def test_wrong_input_is_explained():
    x = np.zeros((5, 2))
    with pytest.raises(ValueError, match="x has dimension 2, y has 3"):
        kd.mmd_squared(x, np.zeros((5, 3)))
    with pytest.raises(ValueError, match="x has n = 5 samples, y has 1: Unbiased needs at least 2"):
        kd.mmd_squared(x, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        kd.energy_distance(x, np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match=r"y has shape \(2, 2, 2\)"):
        kd.mmd_squared(x, np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="exponent"):
        kd.energy_distance(x, x, exponent=3.0)


def test_another_estimator_is_refused(unhooked):
    with pytest.raises(TypeError, match=r"Biased\(\) or Unbiased\(\)"):
        kd.mmd_squared(np.zeros(5), np.zeros(5), estimator=kd.RandomFourier())  # pyright: ignore
