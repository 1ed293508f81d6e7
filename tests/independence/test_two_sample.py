"""The two-sample test: its null sample, its p-value, its level."""

import itertools

import jax
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.independence import Uniform, two_sample_test
from kerneldep.independence.arguments import generator
from kerneldep.kernels import Gaussian, Linear

KERNEL = Gaussian(1.2)


def key() -> jax.Array:
    return jax.random.key(3)


def data(n: int = 9, m: int = 14, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, m])
    return rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + shift


def mmd(gram: np.ndarray, is_x: np.ndarray, unbiased: bool) -> float:
    """Three means, by loops."""
    n, m = is_x.sum(), (~is_x).sum()
    total = 0.0
    for i, j in itertools.product(range(len(gram)), repeat=2):
        same_x, same_y = is_x[i] and is_x[j], not (is_x[i] or is_x[j])
        if i == j and unbiased:
            continue
        pairs = n * (n - unbiased) if same_x else m * (m - unbiased) if same_y else -n * m
        total += gram[i, j] / pairs
    return total


@pytest.mark.parametrize("estimator", [kd.Unbiased(), kd.Biased()], ids=str)
def test_null_values_are_estimates_of_relabelled_data(x64, estimator):
    x, y = data()
    found = two_sample_test(x, y, KERNEL, estimator=estimator, num_permutations=5, alpha=0.5, key=key())
    gram = np.asarray(KERNEL.gram(np.concatenate([x, y])))
    is_x = np.arange(23) < 9
    assert found.statistic == pytest.approx(mmd(gram, is_x, estimator.unbiased), rel=1e-10)
    assert found.statistic == pytest.approx(float(kd.mmd_squared(x, y, KERNEL, estimator=estimator)), rel=1e-10)
    drawn = Uniform().draw(23, 5, generator(key(), "")) < 9
    expected = [mmd(gram, labels, estimator.unbiased) for labels in drawn]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9, atol=1e-14)
    assert found.p_value == (1 + sum(np.array(expected) >= found.statistic)) / 6


def test_all_divisions_of_few_samples_and_their_ties():
    x, y = data(4, 4)
    with pytest.warns(UserWarning, match=r"below 0.0286 is possible with n = 4, m = 4"):
        found = two_sample_test(x, y, KERNEL, num_permutations=4000, alpha=0.02, key=key())
    gram = np.asarray(KERNEL.gram(np.concatenate([x, y])), float)
    every = [mmd(gram, np.isin(np.arange(8), some), True) for some in itertools.combinations(range(8), 4)]
    share = np.mean(np.array(every) >= every[0] - 1e-6)
    assert found.p_value == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 4000))
    distinct = np.unique(np.round(every, 5))
    assert len(distinct) <= 35  # mirror images are ties
    assert {float(one) for one in np.unique(np.round(found.null, 5))} <= {float(one) for one in distinct}


def test_power_units_and_offsets():
    x, y = data(60, 80)
    assert two_sample_test(x, 2 * y, key=key()).p_value < 0.01
    assert two_sample_test(x + 1e6, 2 * y + 1e6, key=key()).p_value < 0.01
    options = {"num_permutations": 99, "key": key()}
    plain = two_sample_test(x, y + 0.2, Linear(), **options)
    assert two_sample_test(1e9 * x, 1e9 * (y + 0.2), Linear(), **options).p_value == plain.p_value


def test_bad_input(unhooked):
    x, y = data()
    with pytest.raises(ValueError, match="num_permutations is 0"):
        two_sample_test(x, y, num_permutations=0, key=key())
    with pytest.raises(ValueError, match="alpha is 1"):
        two_sample_test(x, y, alpha=1, key=key())
    with pytest.raises(ValueError, match="key is missing"):
        two_sample_test(x, y)
    with pytest.raises(ValueError, match="y has 1: samples of one space"):
        two_sample_test(x, y[:, :1], key=key())
    with pytest.raises(TypeError, match="estimator is 5"):
        two_sample_test(x, y, estimator=5, key=key())
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: two_sample_test(x, y, key=key()).p_value)(x)
    with pytest.warns(UserWarning, match="the pooled sample is constant"):
        assert two_sample_test(np.ones(9), np.ones(14), key=key()).p_value == 1
    # A constant against another is no constant.
    assert two_sample_test(np.ones(9), np.zeros(14), key=key()).p_value < 0.01
