"""The Nyström estimator: from below to the exact V-statistic, with any kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Gaussian, Label, Matern

from ..derivatives import difference, direction_like, flat
from ..registry import Exponential

N = 40


def sample():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 2))
    return x, np.sin(2 * x) + 0.3 * rng.normal(size=(N, 2))


def test_error_falls_to_zero_from_below(x64):
    x, y = (jnp.asarray(a) for a in sample())
    kernels = Gaussian(0.7), Matern(1.2)
    exact, exact_unbiased = (float(kd.hsic(x, y, *kernels, estimator=one)) for one in (kd.Biased(), kd.Unbiased()))

    def values(num):
        one = kd.Nystrom(num)
        keys = jax.random.split(jax.random.key(0), 30)
        # Not under vmap: XLA's batched factorisations can hang on two CPU cores.
        return np.asarray(jax.lax.map(lambda key: one.statistic(one.prepare(*kernels, x, y, key=key)), keys))

    few, more = values(4), values(20)
    assert max(few.max(), more.max()) <= exact
    assert 0 < 4 * (exact - more.mean()) < exact - few.mean()
    assert 3 * more.std() < few.std()
    for num, unbiased, expected in ((N, False, exact), (2 * N, True, exact_unbiased)):
        value = kd.hsic(x, y, *kernels, estimator=kd.Nystrom(num, unbiased=unbiased), key=jax.random.key(0))
        np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_kernels_without_other_features():
    x, labels = sample()[0].astype(np.float32), np.arange(N) % 3
    estimator = kd.Nystrom(30, "kmeans++")
    value = kd.cka(x, labels, Exponential(0.3), Label(), estimator=estimator, key=jax.random.key(0))
    exact = kd.cka(x, labels, Exponential(0.3), Label(), estimator=kd.Biased())
    np.testing.assert_allclose(value, exact, rtol=1e-3)


def test_gradients_with_few_landmarks(x64):
    """Landmarks are rows of the data: the gradient reaches them twice. Which rows they are is locally constant."""
    estimator = kd.Nystrom(6, "leverage")

    @jax.jit
    @jax.value_and_grad
    def evaluate(at):
        return estimator.statistic(estimator.prepare(at[0], Gaussian(1.0), *at[1:], key=jax.random.key(0)))

    at = (Gaussian(jnp.asarray(0.9)), *(jnp.asarray(a) for a in sample()))
    direction = direction_like(at)
    gradient = evaluate(at)[1]
    slope = difference(lambda point: evaluate(point)[0], at, direction, step=1e-4)
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    np.testing.assert_allclose(flat(gradient) @ flat(direction), slope, rtol=0, atol=1e-7 * scale)


def test_bad_arguments(unhooked):
    for number in (0, -3, 2.5, None):
        with pytest.raises(ValueError, match=r"Nystrom.num_landmarks is .*: a positive integer"):
            kd.Nystrom(number)
    with pytest.raises(ValueError, match=r"Nystrom.sampling is 'best': one of"):
        kd.Nystrom(8, "best")
    with pytest.raises(ValueError, match="key is missing: the estimator Nystrom is random"):
        kd.hsic(*sample(), estimator=kd.Nystrom(8))
