"""The test of joint independence."""

import itertools

import jax
import numpy as np
import pytest

from kerneldep.independence import Uniform, joint, joint_test
from kerneldep.independence.arguments import generator
from kerneldep.kernels import Distance, Gaussian, Laplace, Linear

KERNELS = Gaussian(1.1), Laplace(0.7), Distance()


def key() -> jax.Array:
    return jax.random.key(6)


def data(n: int = 20) -> tuple[np.ndarray, ...]:
    x, y, noise = np.random.default_rng(n).normal(size=(3, n, 1))
    return x, y, x * y + 0.5 * noise


def statistic(grams: list[np.ndarray]) -> float:
    """dHSIC as its authors write it."""
    product, rows = np.prod(grams, axis=0), np.stack([gram.mean(1) for gram in grams])
    return product.mean() + np.prod(rows.mean(1)) - 2 * rows.prod(0).mean()


def test_null_values_are_estimates_of_permuted_data(x64, monkeypatch):
    samples = data()
    options = {"num_permutations": 4, "alpha": 0.5, "key": key()}
    found = joint_test(samples, KERNELS, **options)
    # With a kernel that is not centred the origin matters.
    grams = [np.asarray(kernel.gram(x)) for kernel, x in zip(KERNELS, samples, strict=True)]
    assert found.statistic == pytest.approx(statistic(grams), rel=1e-9)
    drawn = Uniform().draw(20, 8, generator(key(), "")).reshape(4, 2, 20)
    expected = [
        statistic([grams[0], *(gram[np.ix_(p, p)] for gram, p in zip(grams[1:], some, strict=True))]) for some in drawn
    ]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9)
    assert found.p_value == (1 + sum(np.array(expected) >= found.statistic)) / 5
    monkeypatch.setattr(joint, "GRAM_BYTES", 0)
    tiled = joint_test(samples, KERNELS, **options)
    assert tiled.statistic == pytest.approx(found.statistic, rel=1e-9)
    np.testing.assert_allclose(tiled.null, expected, rtol=1e-9)


def test_all_permutations_of_four_samples():
    samples = data(4)[:2]
    with pytest.warns(UserWarning, match="below 0.0417 is possible"):
        found = joint_test(samples, KERNELS[:2], num_permutations=3000, alpha=0.04, key=key())
    grams = [np.asarray(kernel.gram(x), float) for kernel, x in zip(KERNELS[:2], samples, strict=True)]
    every = [statistic([grams[0], grams[1][np.ix_(p, p)]]) for p in itertools.permutations(range(4))]
    share = np.mean(np.array(every) >= every[0] - 1e-6)
    assert found.p_value == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 3000) + 1e-3)


def test_sees_what_pairs_do_not():
    samples = data(60)
    for pair in itertools.combinations(samples, 2):
        assert joint_test(pair, num_permutations=99, key=key()).p_value > 0.01
    assert joint_test(samples, num_permutations=199, key=key()).p_value < 0.01


def test_ties_and_units():
    x, y = np.random.default_rng(8).integers(0, 2, size=(2, 20)).astype(float)
    options = {"num_permutations": 99, "key": key()}
    plain = joint_test((x, y, x), (Linear(),) * 3, **options)
    assert joint_test((1e9 * x, 1e-9 * y, x), (Linear(),) * 3, **options).p_value == plain.p_value
    found = joint_test((x, y), (Linear(),) * 2, **options)

    def of_table(y: np.ndarray) -> int:
        return abs(int(20 * (x * y).sum() - x.sum() * y.sum()))

    drawn = Uniform().draw(20, 99, generator(key(), ""))
    assert found.p_value == (1 + sum(of_table(y[p]) >= of_table(y) for p in drawn)) / 100


def test_bad_input(unhooked):
    samples = data()
    with pytest.raises(ValueError, match="num_permutations is 0"):
        joint_test(samples, num_permutations=0, key=key())
    with pytest.raises(ValueError, match="alpha is 0"):
        joint_test(samples, alpha=0.0, key=key())
    with pytest.raises(ValueError, match="at least two"):
        joint_test(samples[:1], key=key())
    with pytest.raises(ValueError, match="key is missing"):
        joint_test(samples)
    with pytest.raises(ValueError, match="kernels holds 2"):
        joint_test(samples, KERNELS[:2], key=key())
    with pytest.raises(TypeError, match="variables is traced"):
        jax.jit(lambda x: joint_test((x, x), key=key()).p_value)(samples[0])
    with pytest.warns(UserWarning, match=r"variables\[1\] is constant: nothing can be tested"):
        assert joint_test((samples[0], np.ones(20)), key=key()).p_value == 1
    with pytest.warns(UserWarning, match=r"variables\[0\] is constant: independent of all others"):
        assert joint_test((np.ones(20), samples[0], samples[0]), num_permutations=99, key=key()).p_value == 0.01
