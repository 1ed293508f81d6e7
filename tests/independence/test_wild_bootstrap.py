"""The wild bootstrap test of two series."""

import jax
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.independence import permutation_test, permuted, wild_bootstrap_test
from kerneldep.independence.arguments import generator
from kerneldep.independence.wild_bootstrap import processes
from kerneldep.kernels import Distance, Gaussian

KERNELS = Gaussian(1.3), Distance()


def key() -> jax.Array:
    return jax.random.key(2)


def series(rng: np.random.Generator, coefficient: float, n: int = 150) -> np.ndarray:
    noise = rng.normal(size=n + 50)
    for t in range(1, n + 50):
        noise[t] += coefficient * noise[t - 1]
    return noise[50:]


def slow_processes(n: int, num: int, memory: float, random: np.random.Generator) -> np.ndarray:
    noise, w = random.normal(size=(n, num)), np.zeros((n, num))
    w[0] = noise[0]
    for t in range(1, n):
        w[t] = np.exp(-1 / memory) * w[t - 1] + np.sqrt(1 - np.exp(-2 / memory)) * noise[t]
    return w


@pytest.mark.parametrize("centred", [False, True])
def test_bootstraps_are_their_double_sums(x64, monkeypatch, centred):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    options = {"memory": 3.0, "centred": centred, "num_bootstraps": 4, "alpha": 0.5, "key": key()}
    found = wild_bootstrap_test(x, y, *KERNELS, **options)
    centring = np.eye(30) - 1 / 30
    a, b = (centring @ np.asarray(kernel.gram(v)) @ centring for kernel, v in zip(KERNELS, (x, y), strict=True))
    assert found.statistic == pytest.approx((a * b).sum() / 900, rel=1e-10)
    w = slow_processes(30, 4, 3.0, generator(key(), ""))
    w = w - w.mean(0) if centred else w
    expected = [
        sum(w[s, p] * w[t, p] * a[s, t] * b[s, t] for s in range(30) for t in range(30)) / 900 for p in range(4)
    ]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9)
    assert found.p_value == (1 + sum(np.array(expected) >= found.statistic)) / 5
    monkeypatch.setattr(permuted, "PERMUTATION_ENTRIES", 60)  # in two parts
    assert wild_bootstrap_test(x, y, *KERNELS, **options).null.shape == (4,)


def test_the_process():
    w = processes(400, 500, 5.0, np.random.default_rng(0))
    np.testing.assert_allclose(w.std(1), 1, atol=0.2)  # from the first step on
    for lag in (1, 5, 15):
        assert (w[lag:] * w[:-lag]).mean() == pytest.approx(np.exp(-lag / 5), abs=0.03)
    np.testing.assert_allclose(w[:, :3], slow_processes(400, 500, 5.0, np.random.default_rng(0))[:, :3], rtol=1e-9)


def test_series_that_permutations_take_for_dependent():
    rng = np.random.default_rng(3)
    kernels = Gaussian(2.0), Gaussian(2.0)
    pairs = [(series(rng, 0.8), series(rng, 0.8)) for _ in range(40)]
    keys = jax.random.split(key(), 40)
    drawn = list(zip(pairs, keys, strict=True))
    naive = [permutation_test(*pair, *kernels, num_permutations=99, key=one).rejected for pair, one in drawn]
    wild = [wild_bootstrap_test(*pair, *kernels, num_bootstraps=99, key=one).rejected for pair, one in drawn]
    assert np.mean(naive) > 0.25
    assert np.mean(wild) < 0.15
    dependent = [(x, np.r_[0, np.abs(x[:-1])] + 0.5 * y) for x, y in pairs[:20]]
    power = [
        wild_bootstrap_test(x[:-1], y[1:], *kernels, num_bootstraps=99, key=k).rejected
        for (x, y), k in zip(dependent, keys[:20], strict=True)
    ]
    assert np.mean(power) > 0.8


def test_bad_input(unhooked):
    x, y = np.random.default_rng(4).normal(size=(2, 30))
    for message, options in {
        "num_bootstraps is 0": {"num_bootstraps": 0},
        "alpha is 1": {"alpha": 1.0},
        "memory is 0": {"memory": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            wild_bootstrap_test(x, y, **options, key=key())
    with pytest.raises(ValueError, match="key is missing"):
        wild_bootstrap_test(x, y)
    with pytest.raises(ValueError, match="needs n ≥ 6"):
        wild_bootstrap_test(x[:5], y[:5], key=key())
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: wild_bootstrap_test(x, y, key=key()).p_value)(x)
    with pytest.warns(UserWarning, match="y is constant"):
        assert wild_bootstrap_test(x, np.ones(30), key=key()).p_value == 1
    with pytest.warns(UserWarning, match=r"below 0.1 is possible with 9 bootstraps"):
        found = wild_bootstrap_test(x, y, num_bootstraps=9, key=key())
    assert found.settings["memory"] == 1.5
    assert found.statistic == pytest.approx(float(kd.hsic(x, y, estimator=kd.Biased())), rel=1e-4)
