"""Tests without permutations: gamma, spectral, block."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import kerneldep as kd
from kerneldep.independence import block_test, gamma_test, permutation_test, spectral_test
from kerneldep.independence.gamma import CentredMoments, permutation_moments
from kerneldep.independence.spectral import weighted_chi_squared_tail
from kerneldep.kernels import Gaussian, Laplace, Linear

KERNELS = Gaussian(1.1), Laplace(0.9)


def data(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, 8])
    return rng.normal(size=(n, 2)), rng.normal(size=(n, 1))


def centred_grams(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    centring = np.eye(len(x)) - 1 / len(x)
    return [centring @ np.asarray(kernel.gram(z)) @ centring for kernel, z in zip(KERNELS, (x, y), strict=True)]


def moments(a: np.ndarray) -> CentredMoments:
    return CentredMoments(np.trace(a), (a**2).sum(), (np.diag(a) ** 2).sum())


def gamma_tail(total: float, mean: float, variance: float) -> float:
    return scipy.stats.gamma.sf(total, mean**2 / variance, scale=variance / mean)


def test_moments_are_those_of_all_permutations(x64):
    a, b = centred_grams(*data(7))
    values = [(a * b[np.ix_(one, one)]).sum() for one in itertools.permutations(range(7))]
    np.testing.assert_allclose(permutation_moments(moments(a), moments(b), 7), [np.mean(values), np.var(values)])


def test_gamma_from_sums_over_tiles(x64):
    x, y = data()
    a, b = centred_grams(x, y)
    expected = gamma_tail((a * b).sum(), *permutation_moments(moments(a), moments(b), len(x)))
    found = gamma_test(x, y, *KERNELS)
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.statistic == pytest.approx((a * b).sum() / 60**2, rel=1e-11)


def test_gamma_of_gretton(x64):
    x, y = data()
    n = len(x)
    grams = [np.asarray(kernel.gram(z)) for kernel, z in zip(KERNELS, (x, y), strict=True)]
    off = [gram[~np.eye(n, dtype=bool)].mean() for gram in grams]
    mean = (1 + off[0] * off[1] - off[0] - off[1]) / n
    squares = (np.multiply(*centred_grams(x, y)) ** 2)[~np.eye(n, dtype=bool)]
    variance = 2 * (n - 4) * (n - 5) / (n * (n - 1) * (n - 2) * (n - 3)) * squares.mean()
    expected = gamma_tail(np.multiply(*centred_grams(x, y)).sum() / n**2, mean, variance)
    assert gamma_test(x, y, *KERNELS, moments="gretton").p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("estimator", [kd.RandomFourier(32), kd.Nystrom(8)], ids=str)
def test_gamma_of_features_is_that_of_their_gram_matrices(x64, estimator):
    x, y = data()
    both = estimator.prepare(*KERNELS, jnp.asarray(x), jnp.asarray(y), key=jax.random.key(1))
    phi, psi = (np.asarray(one.draws.features(one.x)) for one in both)
    a, b = ((f - f.mean(0)) @ (f - f.mean(0)).T for f in (phi, psi))
    expected = gamma_tail((a * b).sum(), *permutation_moments(moments(a), moments(b), len(x)))
    found = gamma_test(x, y, *KERNELS, estimator=estimator, key=jax.random.key(1))
    assert found.p_value == pytest.approx(expected, rel=1e-8)


def test_booleans_and_kernels_that_tell_nothing_apart():
    x = np.arange(20) % 3 == 0
    assert 0 < spectral_test(x, np.arange(20.0)).p_value <= 1
    assert spectral_test(x, np.arange(20.0), Gaussian(1e25)).p_value == 1


def test_tail_of_a_decaying_spectrum_to_four_percent():
    """Beside Imhof's integral (1961)."""
    weights = np.multiply.outer(0.5 ** np.arange(8), 0.4 ** np.arange(8)).ravel()
    u = np.linspace(1e-9, 500, 1_000_001)
    angle, log_modulus = np.zeros_like(u), np.zeros_like(u)
    for weight in weights[weights > 1e-4]:
        angle += 0.5 * np.arctan(weight * u)
        log_modulus += 0.25 * np.log1p((weight * u) ** 2)
    for value in (5.0, 7.0, 9.0):  # p from 0.14 to 0.013
        exact = 0.5 + np.trapezoid(np.sin(angle - 0.5 * value * u) / (u * np.exp(log_modulus)), u) / np.pi
        assert weighted_chi_squared_tail(value, weights[weights > 1e-4]) == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize("degrees", [1, 3, 10, 50])
def test_tail_of_equal_weights_is_chi_squared(degrees):
    for p in (0.9, 0.5, 0.1, 0.05, 0.01, 1e-4):
        value = 2.5 * scipy.stats.chi2.isf(p, degrees)
        assert weighted_chi_squared_tail(value, np.full(degrees, 2.5)) == pytest.approx(p, rel=0.08 / degrees)


def test_tail_of_other_weights():
    weights = 0.7 ** np.arange(40)
    draws = np.random.default_rng(0).normal(size=(20_000, 40)) ** 2 @ weights
    for value in (1.0, 3.0, 5.0, 8.0):
        share = (draws >= value).mean()
        allowed = 4 * np.sqrt(share * (1 - share) / len(draws)) + 0.01 * share
        assert weighted_chi_squared_tail(value, weights) == pytest.approx(share, abs=allowed)
    near = [weighted_chi_squared_tail(weights.sum() * (1 + e), weights) for e in np.linspace(-2e-2, 2e-2, 41)]
    steps = np.diff(near)  # smooth where the formula is a limit
    assert (steps < 0).all()
    assert steps.min() > 1.1 * steps.max()
    assert weighted_chi_squared_tail(0.0, weights) == 1


@pytest.mark.parametrize("test", [gamma_test, spectral_test])
def test_p_values_are_near_those_of_permutations(test):
    x, noise = data(200)
    for weight in (0.0, 0.1, 0.2):
        y = weight * (x[:, :1] ** 2) + noise
        exact = permutation_test(x, y, *KERNELS, estimator=kd.Biased(), num_permutations=2000, key=jax.random.key(0))
        assert test(x, y, *KERNELS).p_value == pytest.approx(exact.p_value, abs=0.03)


def test_block_is_students_t_of_the_blocks(x64):
    x, y = data(60)
    found = block_test(x, y, *KERNELS, estimator=kd.Block(10), key=jax.random.key(2))
    order = np.random.default_rng(np.asarray(jax.random.key_data(jax.random.key(2)))).permutation(60)
    cuts = order.reshape(6, 10)
    blocks = [float(kd.hsic(x[cut], y[cut], *KERNELS)) for cut in cuts]
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(blocks, 0, alternative="greater").pvalue, rel=1e-8)
    assert found.statistic == pytest.approx(np.mean(blocks), rel=1e-10)


def test_blocks_that_hold_nothing_but_rounding_reject_nothing():
    x = np.eye(60)[:1].T  # constant in all blocks but one
    for seed in range(5):
        assert block_test(x, data()[1], key=jax.random.key(seed)).p_value > 0.05


def test_bad_input(unhooked):
    x, y = data()
    with pytest.raises(ValueError, match="alpha is 2"):
        gamma_test(x, y, alpha=2)
    with pytest.raises(ValueError, match="V-statistic"):
        gamma_test(x, y, estimator=kd.Unbiased())
    with pytest.raises(ValueError, match="V-statistic"):
        gamma_test(x, y, estimator=kd.RandomFourier(8, unbiased=True), key=jax.random.key(0))
    with pytest.raises(ValueError, match="moments is 'x'"):
        gamma_test(x, y, moments="x")
    with pytest.raises(ValueError, match="needs n ≥ 6"):
        gamma_test(x[:5], y[:5])
    with pytest.raises(ValueError, match="needs n ≥ 6"):
        spectral_test(x[:5], y[:5])
    with pytest.raises(ValueError, match="makes 3 blocks"):
        block_test(x, y, estimator=kd.Block(20), key=jax.random.key(0))
    with pytest.raises(TypeError, match="Block"):
        block_test(x, y, estimator=kd.Biased(), key=jax.random.key(0))
    for test in (gamma_test, spectral_test, lambda x, y: block_test(x, y, key=jax.random.key(0))):
        with pytest.warns(UserWarning, match="x is constant"):
            assert test(np.full(60, 3.0), y).p_value == 1
        with pytest.raises(TypeError, match="traced"):
            jax.jit(lambda x, test=test: test(x, y).p_value)(x)


def test_any_scale_and_offset():
    x, y = data()
    for test in (gamma_test, spectral_test):
        plain = test(x, y).p_value
        assert test(1e8 + x, 1e-9 * y).p_value == pytest.approx(plain, rel=1e-2)
        linear = test(x, y, Linear(), Linear()).p_value
        assert test(1e9 * x, 1e-9 * y, Linear(), Linear()).p_value == pytest.approx(linear, rel=1e-2)
