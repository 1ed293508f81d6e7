"""Approximations approach the exact value at the rates their docstrings state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Gaussian

DRAWS = 300


def estimates(estimator, x, y, keys=None):
    """The estimate for each of many samples [draws, n, d], or of one sample for each of many keys."""

    def one(x, y, key):
        return estimator.statistic(estimator.prepare(Gaussian(1.0), Gaussian(1.0), x, y, key=key))

    if keys is not None:  # not under vmap: XLA's batched factorisations can hang on two CPU cores
        return np.asarray(jax.jit(lambda keys: jax.lax.map(lambda key: one(x, y, key), keys))(keys), float)
    return np.asarray(jax.jit(jax.vmap(lambda x, y: one(x, y, None)))(x, y), float)


def samples(n: int, draws: int | None = None):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(draws or 1, n, 2))
    y = np.sin(2 * x) + 0.5 * rng.normal(size=x.shape)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    return (x, y) if draws else (x[0], y[0])


@pytest.mark.parametrize("options", [{}, {"orthogonal": True}, {"unbiased": True}], ids=str)
def test_random_fourier_is_unbiased_and_its_deviation_falls_like_the_root_of_d(options):
    x, y = samples(64)
    exact = float(
        kd.hsic(x, y, Gaussian(1.0), Gaussian(1.0), estimator=kd.Unbiased() if "unbiased" in options else kd.Biased())
    )
    keys = jax.random.split(jax.random.key(0), DRAWS)
    few, many = (estimates(kd.RandomFourier(d, **options), x, y, jax.random.clone(keys)) for d in (16, 256))
    for values in (few, many):
        assert abs(values.mean() - exact) < 4 * values.std() / DRAWS**0.5
    assert 3 < few.std() / many.std() < 5.3  # (256/16)^½ = 4; each deviation is known to 1/√(2·300) = 4 %


def test_nystrom_falls_to_the_exact_value_from_below():
    x, y = samples(128)
    exact = float(kd.hsic(x, y, Gaussian(1.0), Gaussian(1.0), estimator=kd.Biased()))
    keys = jax.random.split(jax.random.key(0), 30)
    means = [estimates(kd.Nystrom(m), x, y, jax.random.clone(keys)).mean() for m in (4, 16, 64)]
    errors = (exact - np.asarray(means)) / exact
    assert errors[0] > 3 * errors[1] > 9 * errors[2] > 0
    assert errors[2] < 0.02


def test_block_is_unbiased_and_its_variance_known_and_of_order_one_over_n():
    values = {n: estimates(kd.Block(8), *samples(n, DRAWS)) for n in (64, 128)}
    whole = estimates(kd.Unbiased(), *samples(64, DRAWS))
    assert abs((values[64] - whole).mean()) < 4 * (values[64] - whole).std() / DRAWS**0.5
    assert 1.5 < values[64].var() / values[128].var() < 2.7  # 2, known to √(2·2/300) = 12 %
    stated = jax.vmap(lambda x, y: kd.hsic_variance(x, y, Gaussian(1.0), Gaussian(1.0), estimator=kd.Block(8)))(
        *samples(128, DRAWS)
    )
    np.testing.assert_allclose(np.mean(stated), values[128].var(), rtol=0.3)


def test_incomplete_is_unbiased_and_approaches_the_complete_one():
    x, y = samples(64, DRAWS)
    whole = estimates(kd.Unbiased(), x, y)
    one, four, all_ = (estimates(kd.Incomplete(count), x, y) for count in (1, 3, 10))
    for values in (one, four, all_):
        assert abs((values - whole).mean()) < 4 * (values - whole).std() / DRAWS**0.5
    assert one.var() > 1.3 * four.var() > 1.3 * all_.var()
    assert all_.var() < 1.6 * whole.var()


def test_the_variance_of_the_u_statistic():
    """Of dependent data: the estimate against the spread over samples."""
    x, y = samples(128, DRAWS)
    values = estimates(kd.Unbiased(), x, y)
    stated = jax.vmap(lambda x, y: kd.hsic_variance(x, y, Gaussian(1.0), Gaussian(1.0)))(x, y)
    np.testing.assert_allclose(np.mean(stated), values.var(), rtol=0.4)
