"""Columns one by one, and all pairs of them, against the measures they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence import column_alignment, hsic_ranking
from kerneldep.dependence.ranking import _alignment
from kerneldep.kernels import Gaussian, Label, Laplace, Linear

from ..derivatives import difference, direction_like, flat
from ..oracles import hsic as oracle
from ..oracles import kernels as kernel_oracle

N, DIM = 12, 4
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, DIM))
X[:, 3] = 0.5  # constant
Y = np.column_stack([np.sin(2 * X[:, 1]), X[:, 1] * X[:, 0]])
LABELS = np.repeat([0, 1, 2], 4)


def gram(x: np.ndarray) -> np.ndarray:
    """The Gaussian at the median bandwidth."""
    x = x.reshape(len(x), -1)
    return kernel_oracle.gram(lambda a, b: kernel_oracle.gaussian(a, b, kernel_oracle.median_bandwidth(x)), x, x)


GRAMS = [gram(column) for column in X.T]


@pytest.mark.parametrize(("normalised", "case"), [(True, kd.Unbiased()), (False, kd.Biased())])
def test_ranking_is_the_measure_of_every_column(normalised, case, x64):
    """By default each at its own median, which NumPy data do not share with each other nor with y."""
    hsic = oracle.hsic_unbiased if normalised else oracle.hsic_biased
    measure = (lambda k, l: oracle.cka(k, l, hsic)) if normalised else hsic
    x = X * np.array([1.0, 1e3, 1e-3, 1.0])
    found = hsic_ranking(x, Y, estimator=case, normalised=normalised)
    expected = [measure(k, gram(Y)) for k in GRAMS[:3]]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-9)
    assert abs(found[3]) < 1e-15


def test_ranking_with_kernels_and_random_features(x64):
    """Labels too, whose features need concrete values; every column with a draw of its own."""
    kernels = Laplace(0.7), Label()
    expected = [kd.cka(column, LABELS, *kernels, estimator=kd.Biased()) for column in X.T]
    np.testing.assert_allclose(hsic_ranking(X, LABELS, *kernels, estimator=kd.Biased()), expected, rtol=1e-11)
    estimator = kd.RandomFourier(4096)
    found = hsic_ranking(X, LABELS, *kernels, estimator=estimator, key=jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.05)


def test_gradients_of_the_ranking(x64):
    """Under jit; finite to a constant column too."""
    weights = jnp.arange(1.0, DIM + 1)
    evaluate = jax.jit(jax.value_and_grad(lambda at: weights @ hsic_ranking(*at, Gaussian(0.9), Gaussian(1.1))))
    at = (jnp.asarray(X).at[:, 3].add(jnp.asarray(RNG.normal(size=N))), jnp.asarray(Y))
    direction, gradient = direction_like(at), evaluate(at)[1]
    slope = difference(lambda point: evaluate(point)[0], at, direction)
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    np.testing.assert_allclose(flat(gradient) @ flat(direction), slope, rtol=0, atol=1e-9 * scale)
    assert np.isfinite(flat(evaluate((jnp.asarray(X), jnp.asarray(Y)))[1])).all()


@pytest.mark.parametrize("tile", [N, 5])
def test_alignments_are_those_of_all_pairs(tile, x64):
    """In one tile, and in six of sides 4."""
    pairs, target = _alignment(jnp.asarray(X), jnp.asarray(Y), None, Gaussian(kd.kernels.median_bandwidth(Y)), tile)
    expected = [[oracle.cka(k, l, oracle.hsic_biased) for l in (*GRAMS[:3], gram(Y))] for k in GRAMS[:3]]
    np.testing.assert_allclose(pairs[:3, :3], np.array(expected)[:, :3], rtol=1e-9)
    np.testing.assert_allclose(target[:3], np.array(expected)[:, 3], rtol=1e-9)
    np.testing.assert_array_equal(pairs[3], 0)
    assert target[3] == 0


def test_alignments_in_single_precision():
    """What an offset of 10⁴ and near-constant Gram matrices leave of it."""
    x = np.round(X * 2**10) / 2**10
    pairs, target = column_alignment(x.astype(np.float32) + 10_000, Y.astype(np.float32), Gaussian(30.0), Linear())
    assert pairs.dtype == target.dtype == np.float32
    with jax.enable_x64(True):
        wide = column_alignment(x, Y, Gaussian(30.0), Linear())
    np.testing.assert_allclose(pairs, wide[0], rtol=0, atol=2e-4)
    np.testing.assert_allclose(target, wide[1], rtol=0, atol=2e-4)


def test_bad_input(unhooked):
    for function in (hsic_ranking, column_alignment):
        with pytest.raises(ValueError, match="x has 12, y has 11"):
            function(X, Y[1:])
        with pytest.raises(ValueError, match="x holds NaN"):
            function(X * np.nan, Y)
        with pytest.raises(TypeError, match="kernel is 3: a kernel"):
            function(X, Y, 3)
    with pytest.raises(ValueError, match="n = 3 samples: Unbiased needs n ≥ 4"):
        hsic_ranking(X[:3], Y[:3])
    with pytest.raises(ValueError, match="n = 1 samples: column_alignment needs n ≥ 2"):
        column_alignment(X[:1], Y[:1])
    with pytest.raises(ValueError, match="key is missing"):
        hsic_ranking(X, Y, estimator=kd.RandomFourier())
    with pytest.raises(TypeError, match="estimator is 'biased'"):
        hsic_ranking(X, Y, estimator="biased")
