"""Distance covariance: the O(n log n) sums against the pairs, digits at many samples, partial correlation's corners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence import partial_distance_correlation
from kerneldep.dependence.univariate import LEAF, distance_products, row_sums
from kerneldep.kernels import Distance

from ..oracles import distance as distance_oracle
from ..oracles import hsic as oracle

MANY = 60_000


def differences(x: np.ndarray) -> np.ndarray:
    return x[:, None] - x


def test_sorted_sums_are_those_over_pairs(x64):
    """Values and derivatives, with ties in x, in y and in both; three halvings, of a number they do not divide."""
    n = 8 * LEAF - 5
    rng = np.random.default_rng(0)
    weights = rng.normal(size=n)

    @jax.jit
    def evaluate(x, y):
        value = distance_products(x, y)  # not the code that differentiation runs
        return value, jax.value_and_grad(distance_products, (0, 1))(x, y), row_sums(x), jax.grad(loss)(x)

    def loss(x):
        return row_sums(x) @ jnp.asarray(weights)

    normal = rng.normal(size=(2, n))
    for x, y in (
        normal,
        (normal[0], np.round(normal[1])),
        (np.round(2 * normal[0]), np.round(normal.sum(0))),
        (np.round(normal[0]), normal[1]),
        (normal[0], -normal[0]),
        (normal[0], np.zeros(n)),
    ):
        value, (again, (by_x, by_y)), rows, by_rows = evaluate(jnp.asarray(x), jnp.asarray(y))
        dx, dy = differences(x), differences(y)
        np.testing.assert_allclose([value, again], np.abs(dx * dy).sum(), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(by_x, 2 * (np.sign(dx) * np.abs(dy)).sum(1), rtol=0, atol=1e-9)
        np.testing.assert_allclose(by_y, 2 * (np.sign(dy) * np.abs(dx)).sum(1), rtol=0, atol=1e-9)
        np.testing.assert_allclose(rows, np.abs(dx).sum(1), rtol=1e-12)
        slopes = (weights[:, None] + weights) * np.sign(dx)
        np.testing.assert_allclose(by_rows, slopes.sum(1), rtol=0, atol=1e-10)


def test_sorted_and_tiled_agree(x64):
    """Distance correlation is CKA with the distance kernel, which is computed over tiles."""
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, size=3_001)
    y = 0.3 * x**2 + rng.normal(size=3_001)
    value = kd.distance_correlation_squared(x, y, estimator=kd.Unbiased())
    expected = kd.cka(x[:, None], y[:, None], Distance(), Distance())
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)


def test_more_samples_than_int32_can_square():
    """Of discrete data distance covariance is that of the table of counts; of others float32 is float64 to 10⁻⁶."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, MANY), rng.integers(0, 4, MANY)
    y = np.where(rng.random(MANY) < 0.3, x, y)
    table = np.histogram2d(x, y, bins=(3, 4), range=((0, 3), (0, 4)))[0] / MANY
    expected = 4 * oracle.hsic_population(table, *(-np.abs(differences(np.arange(k))) / 2 for k in (3, 4)))
    np.testing.assert_allclose(kd.distance_covariance_squared(x, y), expected, rtol=1e-5)

    x, y = rng.normal(size=(2, MANY)).astype(np.float32)
    y = (x**2 + 5 * y).astype(np.float32)
    value, of_x, of_y = (kd.distance_covariance_squared(a, b) for a, b in ((x, y), (x, x), (y, y)))
    with jax.enable_x64(True):
        exact = kd.distance_covariance_squared(x.astype(float), y.astype(float))
    np.testing.assert_allclose(value, exact, rtol=0, atol=1e-6 * float(of_x * of_y) ** 0.5)


def test_units_of_any_size():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12)).astype(np.float32)
    value = kd.distance_correlation_squared(x, y)
    np.testing.assert_allclose(kd.distance_correlation_squared(x * 1e30, y * 1e-30), value, rtol=1e-5)
    covariance = kd.distance_covariance_squared(x, y)
    np.testing.assert_allclose(kd.distance_covariance_squared(x * 2.0**40, y), covariance * 2.0**40, rtol=1e-6)


def test_two_samples_and_constants():
    assert float(kd.distance_covariance_squared([0, 1], [0, 3])) == pytest.approx(3 / 4)
    assert float(kd.distance_correlation_squared([5, 5], [1, 2])) == 0


def test_mixed_precision(x64):
    x, y = jnp.asarray([0, 1], jnp.float32), jnp.asarray([0, 3], jnp.float64)
    value = kd.distance_covariance_squared(x, y)
    assert value.dtype == np.float64
    np.testing.assert_allclose(value, 3 / 4)


def test_partial_distance_correlation_in_several_dimensions(x64):
    """Over tiles, against the definition by projections."""
    x, y, z = np.random.default_rng(0).normal(size=(3, 12, 2))
    x, y = x + z, y - z
    grams = (distance_oracle.distances(a, a, 1.5) for a in (x, y, z))
    expected = distance_oracle.partial_distance_correlation(*grams)
    np.testing.assert_allclose(partial_distance_correlation(x, y, z, exponent=1.5), expected, rtol=1e-10)


def test_corners_of_partial_distance_correlation():
    """In float32: undefined where y's distances are z's but for scale; z that is constant takes nothing out."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40)).astype(np.float32)
    y = y + x
    partial = jax.jit(jax.value_and_grad(partial_distance_correlation, (0, 1, 2)))
    for z in (y, -3 * y, x):
        value, gradients = partial(x, y, z)
        assert float(value) == 0
        assert np.isfinite(np.stack(gradients)).all()
    value, gradients = partial(x, y, np.full_like(x, 7))
    expected = kd.distance_correlation_squared(x, y, estimator=kd.Unbiased())
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(np.stack(gradients)).all()


def test_wrong_input_is_explained():
    x = np.zeros(5)
    with pytest.raises(ValueError, match="x, y, z are paired samples: x has 5, y has 5, z has 4"):
        partial_distance_correlation(x, x, x[:4])
    with pytest.raises(ValueError, match="x, y hold n = 3 samples: Unbiased needs n ≥ 4"):
        kd.distance_covariance_squared(x[:3], x[:3], estimator=kd.Unbiased())
    with pytest.raises(ValueError, match="exponent"):
        kd.distance_covariance_squared(x, x, exponent=0.0)
    with pytest.raises(ValueError, match="y holds NaN"):
        kd.distance_covariance_squared(x, np.full(5, np.nan))


def test_another_estimator_is_refused(unhooked):
    with pytest.raises(TypeError, match=r"Biased\(\) or Unbiased\(\)"):
        kd.distance_correlation_squared(np.zeros(5), np.zeros(5), estimator=kd.RandomFourier())  # pyright: ignore


@pytest.mark.parametrize("size", [1e4, 1e6])
def test_one_outlier_in_single_precision(size):
    """Concrete univariate data are summed in double precision."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    x[3] = size
    value = kd.distance_correlation_squared(x, y, estimator=kd.Unbiased())
    assert value.dtype == np.float32
    with jax.enable_x64(True):
        expected = kd.distance_correlation_squared(x, y, estimator=kd.Unbiased())
    np.testing.assert_allclose(value, expected, rtol=1e-4)  # the outlier itself is rounded, to 1/32
