"""Digits: float32 against dense float64, many samples, and numbers of any size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import kerneldep as kd
from kerneldep.kernels import Distance, Gaussian, InverseMultiquadric, Label, Laplace, Linear, Matern, median_bandwidth

from ..oracles import hsic as oracle
from ..registry import ESTIMATORS, EXACT
from . import reference

N = 4_000
EXACT_REFERENCE = {"biased": reference.biased, "unbiased": reference.unbiased}
DENSE = {
    "gaussian": (lambda: Gaussian(1.5), lambda r: np.exp(-(r**2) / (2 * 1.5**2))),
    "laplace": (lambda: Laplace(2.0), lambda r: np.exp(-r / 2)),
    "inverse_multiquadric": (lambda: InverseMultiquadric(0.7), lambda r: 0.7 / np.sqrt(0.7**2 + r**2)),
}


@pytest.mark.parametrize("strength", [1.0, 0.1, 0.0])
@pytest.mark.parametrize("name", DENSE)
def test_float32_at_four_thousand_samples(name, strength):
    """The error is 10⁻⁶ of √(HSIC(X,X)·HSIC(Y,Y)), also where HSIC itself is nearly 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3))
    y = (strength * x + rng.normal(size=(N, 3))).astype(np.float32)
    x = x.astype(np.float32)
    make, function = DENSE[name]
    k, l = (function(cdist(a, a)) for a in (x.astype(float), y.astype(float)))
    for case in EXACT:
        of_grams = EXACT_REFERENCE[case.name]
        scale = (of_grams(k, k) * of_grams(l, l)) ** 0.5
        value = kd.hsic(x, y, make(), make(), estimator=case.estimator)
        assert abs(float(value) - of_grams(k, l)) < 1e-6 * scale


def test_fifty_thousand_samples():
    """n² = 2.5·10⁹ overflows int32. With label kernels HSIC is that of the table of counts."""
    n = 50_000
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, n)
    y = np.where(rng.random(n) < 0.3, x, rng.integers(0, 4, n))
    table = np.histogram2d(x, y, bins=(3, 4), range=((0, 3), (0, 4)))[0] / n
    expected = oracle.hsic_population(table, np.eye(3), np.eye(4))
    value = kd.hsic(x, y, Label(), Label(), estimator=kd.Biased())
    np.testing.assert_allclose(value, expected, rtol=1e-5)  # counts of 2.5·10⁹ ones in float32, over 49² tiles


@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_the_unit_does_not_matter(estimator, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3)).astype(np.float32)
    y = np.sin(2 * x)
    scaled = (x.astype(float) * scale).astype(np.float32)
    values = [kd.hsic(a, y, estimator=estimator.estimator, key=estimator.key()) for a in (x, scaled)]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)  # 10³⁰ is no float32: the data differ in the last digit


@pytest.mark.parametrize(
    "kernel", [lambda: None, lambda: Gaussian(1.0), lambda: Laplace(1.0), lambda: Matern(1.0), lambda: Matern(1.0, 1.5)]
)
@pytest.mark.parametrize("outlier", [1e8, 1e25])
def test_an_outlier_spoils_nothing_but_itself(kernel, outlier):
    """One wild value in float32, whose square may overflow: the rest keep their dependence."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = np.sin(2 * x)
    x[7, 0] = outlier
    with jax.enable_x64(True):
        k, l = (kernel() or Gaussian(median_bandwidth(a) if a is y or outlier < 1e20 else 1.0) for a in (x, y))
        expected = float(kd.hsic(x.astype(float), y.astype(float), k, l))
    k = Gaussian(1.0) if kernel() is None and outlier > 1e20 else kernel()  # the median's unit is the largest value
    value, gradient = jax.value_and_grad(lambda x: kd.hsic(x, y, k, kernel()))(jnp.asarray(x))
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(value, expected, rtol=1e-4)  # of a value that is 1/50 of its terms


@pytest.mark.parametrize("kernel", [lambda: None, lambda: Laplace(60.0), lambda: Linear(), lambda: Distance()])
def test_two_thousand_dimensions_and_four_samples(kernel, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 4, 2_000)).astype(dtype)
    value, gradient = jax.value_and_grad(lambda x: kd.hsic(x, y, kernel(), kernel()))(jnp.asarray(x))
    k, l = (np.asarray((kernel() or Gaussian(median_bandwidth(a))).gram(a), float) for a in (x, y))
    scale = (oracle.hsic_unbiased(k, k) * oracle.hsic_unbiased(l, l)) ** 0.5
    np.testing.assert_allclose(value, oracle.hsic_unbiased(k, l), rtol=0, atol=64 * np.finfo(dtype).eps * scale)
    assert np.isfinite(gradient).all()


def test_a_second_tile_with_far_points():
    """The far points fill a tile of their own; the others' tile must not notice that their squares overflow."""
    n = 1_500
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 20)).astype(np.float32)
    y = np.sin(x[:, :1] * 3)
    x[750:, 0] = 1e25
    for kernel in (Laplace(5.0), Matern(5.0, 1.5), Gaussian(5.0)):
        value = kd.hsic(x, y, kernel, Gaussian(1.0))
        with jax.enable_x64(True):
            # In float64 a point at 10⁷ is as far as one can be, and no square overflows.
            expected = kd.hsic(np.where(x > 1e20, 1e7, x.astype(float)), y.astype(float), kernel, Gaussian(1.0))
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-7)
