"""Digits: float32 against dense float64, many samples, and numbers of any size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import kerneldep as kd
from kerneldep.dependence.tiled import gram_sums
from kerneldep.kernels import Distance, Gaussian, InverseMultiquadric, Label, Laplace, Matern, median_bandwidth

from ..oracles import hsic as oracle
from ..registry import CROSSED, EXACT
from . import reference

pytestmark = pytest.mark.optimised

N = 4_000
EXACT_REFERENCE = {"biased": reference.biased, "unbiased": reference.unbiased}
DENSE = {
    "gaussian": (lambda: Gaussian(1.5), lambda r: np.exp(-(r**2) / (2 * 1.5**2))),
    "laplace": (lambda: Laplace(2.0), lambda r: np.exp(-r / 2)),
    "inverse_multiquadric": (lambda: InverseMultiquadric(0.7), lambda r: 0.7 / np.sqrt(0.7**2 + r**2)),
}


@pytest.mark.parametrize(
    ("name", "strength"),
    [
        pytest.param("gaussian", 1.0, marks=pytest.mark.slow),
        ("gaussian", 0.0),
        pytest.param("laplace", 0.1, marks=pytest.mark.slow),
        pytest.param("inverse_multiquadric", 0.0, marks=pytest.mark.slow),
    ],
)
def test_float32_at_four_thousand_samples(name, strength):
    """The error is 10⁻⁶ of √(HSIC(X,X)·HSIC(Y,Y)), also where HSIC itself is nearly 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3))
    y = (strength * x + rng.normal(size=(N, 3))).astype(np.float32)
    x = x.astype(np.float32)
    make, function = DENSE[name]
    k, l = (function(cdist(a, a)) for a in (x.astype(float), y.astype(float)))
    scale = (reference.biased(k, k) * reference.biased(l, l)) ** 0.5
    for case in EXACT:
        value = kd.hsic(x, y, make(), make(), estimator=case.estimator)
        assert abs(float(value) - EXACT_REFERENCE[case.name](k, l)) < 1e-6 * scale


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
@pytest.mark.parametrize("estimator", CROSSED, ids=str)
def test_the_unit_does_not_matter(estimator, scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 3)).astype(np.float32)
    y = np.sin(2 * x)
    scaled = (x.astype(float) * scale).astype(np.float32)
    values = [kd.hsic(a, y, estimator=estimator.estimator, key=estimator.key()) for a in (x, scaled)]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)  # 10³⁰ is no float32: the data differ in the last digit


@pytest.mark.parametrize("kernel", [None, Laplace, pytest.param(Matern, marks=pytest.mark.slow)])
def test_an_outlier_spoils_nothing_but_itself(kernel):
    """One value of 10⁸ among unit ones, in float32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = np.sin(2 * x)
    x[7, 0] = 1e8
    k = None if kernel is None else kernel(1.0)
    value, gradient = jax.value_and_grad(lambda x: kd.hsic(x, y, k, k))(jnp.asarray(x))
    assert np.isfinite(gradient).all()
    with jax.enable_x64(True):
        expected = kd.hsic(x.astype(float), y.astype(float), k, k)
    np.testing.assert_allclose(value, expected, rtol=1e-5)  # a small difference of sums fifty times as large


def test_points_whose_squares_overflow_in_a_tile_of_their_own():
    """A tile of near points against one of points so far out that their squared norms are infinite."""
    x = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)
    y = jnp.asarray(np.sin(x[:, :1] * 3))
    x[11:, 0] = np.linspace(1e25, 2e25, 5)  # fewer than half: the data are centred among the near ones
    for kernel in (Laplace(5.0), Matern(5.0, 1.5)):
        prepared = kd.Biased().prepare(kernel, Gaussian(1.0), jnp.asarray(x), y)
        few, one = (eqx.filter_jit(gram_sums)(prepared, ((0, 1),), tile) for tile in (8, 16))
        assert np.isfinite(few.products[0])
        for a, b in zip(jax.tree.leaves(few), jax.tree.leaves(one), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)  # sums of 16 numbers, less a mean


@pytest.mark.parametrize("kernel", [lambda: None, Distance], ids=["gaussian", "distance"])
def test_two_thousand_dimensions_and_four_samples(kernel):
    x, y = np.random.default_rng(0).normal(size=(2, 4, 2_000)).astype(np.float32)
    value, gradient = jax.value_and_grad(lambda x: kd.hsic(x, y, kernel(), kernel()))(jnp.asarray(x))
    assert np.isfinite(gradient).all()
    with jax.enable_x64(True):
        k, l = (
            np.asarray((kernel() or Gaussian(median_bandwidth(a))).gram(a - a.mean(0)))
            for a in (x.astype(float), y.astype(float))
        )
    # All points are about equally far apart: the entries' spread is small, their rounding is not.
    spread = reference.biased(k, k) ** 0.5 * l.max() + reference.biased(l, l) ** 0.5 * k.max()
    np.testing.assert_allclose(value, oracle.hsic_unbiased(k, l), rtol=0, atol=16 * np.finfo(np.float32).eps * spread)
