"""Tests by distance correlation."""

import jax
import numpy as np
import pytest
import scipy.stats

import kerneldep as kd
from kerneldep.independence import Uniform, distance_correlation, distance_correlation_test
from kerneldep.independence.arguments import generator


def key() -> jax.Array:
    return jax.random.key(8)


def data(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    x, noise = np.random.default_rng(n).normal(size=(2, n))
    return x, np.abs(x) + 0.7 * noise


def bias_corrected(x: np.ndarray, y: np.ndarray, exponent: float = 1.0) -> float:
    """From U-centred distances (Székely and Rizzo 2014)."""
    n = len(x)
    centred = []
    for values in (x, y):
        d = np.abs(values[:, None] - values[None, :]) ** exponent
        rows = d.sum(1) / (n - 2)
        u = d - rows[:, None] - rows[None, :] + d.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(u, 0)
        centred.append(u)
    a, b = centred
    return (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum())


@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_null_values_are_correlations_of_permuted_data(x64, exponent):
    x, y = data()
    options = {"exponent": exponent, "num_permutations": 6, "alpha": 0.5, "key": key()}
    found = distance_correlation_test(x, y, **options)
    assert found.statistic == pytest.approx(bias_corrected(x, y, exponent), rel=1e-9)
    drawn = Uniform().draw(30, 6, generator(key(), ""))
    expected = [bias_corrected(x, y[one], exponent) for one in drawn]
    np.testing.assert_allclose(found.null, expected, rtol=1e-8, atol=1e-12)
    assert found.p_value == (1 + sum(np.array(expected) >= found.statistic)) / 7


def test_sorting_gives_what_gram_matrices_give(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3, size=(2, 40))  # ties
    options = {"num_permutations": 99, "key": key()}
    dense = distance_correlation_test(x, y, **options)
    monkeypatch.setattr(distance_correlation, "SORTED_FROM", 2)
    quick = distance_correlation_test(x, y, **options)
    assert quick.statistic == pytest.approx(dense.statistic, abs=1e-6)
    np.testing.assert_allclose(quick.null, dense.null, atol=1e-5)
    assert quick.p_value == dense.p_value


def test_students_t_and_chi_squared(x64):
    x, y = data()
    r, v = bias_corrected(x, y), 30 * 27 / 2
    t = distance_correlation_test(x, y, method="t")
    assert t.p_value == pytest.approx(scipy.stats.t.sf(np.sqrt(v - 1) * r / np.sqrt(1 - r**2), v - 1), rel=1e-8)
    chi = distance_correlation_test(x, y, method="chi_squared")
    assert chi.p_value == pytest.approx(scipy.stats.chi2.sf(30 * r + 1, 1), rel=1e-8)
    assert t.statistic == chi.statistic == pytest.approx(r, rel=1e-9)
    assert distance_correlation_test(x, 2 * x + 1, method="t").p_value < 1e-12


def test_levels():
    """Student's t is right in high dimension, and chi-squared stays below."""
    rng = np.random.default_rng(1)
    low, high = scipy.stats.binom.ppf([5e-4, 1 - 5e-4], 100, 0.05)
    wide = rng.normal(size=(100, 2, 15, 30))
    assert low <= sum(distance_correlation_test(*pair, method="t").rejected for pair in wide) <= high
    assert sum(distance_correlation_test(*pair, method="chi_squared").rejected for pair in wide) <= high


def test_bad_input(unhooked):
    x, y = data()
    for message, options in {
        "num_permutations is 0": {"num_permutations": 0},
        "alpha is 0": {"alpha": 0},
        "method is 'f'": {"method": "f"},
        "must lie in": {"exponent": 3},
        "Unbiased.. is needed": {"method": "t", "estimator": kd.Biased()},
    }.items():
        with pytest.raises(ValueError, match=message):
            distance_correlation_test(x, y, **options, key=key())
    with pytest.raises(ValueError, match="key is missing"):
        distance_correlation_test(x, y)
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: distance_correlation_test(x, y, method="t").p_value)(x)
    for method in ("permutation", "t", "chi_squared"):
        with pytest.warns(UserWarning, match="y is constant"):
            assert distance_correlation_test(x, np.ones(30), method=method, key=key()).p_value == 1
    for method in ("permutation", "t", "chi_squared"):  # at equal distances nothing stands out
        found = distance_correlation_test(np.eye(10), np.arange(10.0), method=method, key=key())
        assert found.statistic == pytest.approx(0, abs=1e-6)
        assert found.p_value > 0.2
    plain = distance_correlation_test(x, y, method="t").p_value
    assert distance_correlation_test(1e9 * x + 1e9, 1e-9 * y, method="t").p_value == pytest.approx(plain, rel=1e-3)
