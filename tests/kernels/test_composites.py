"""Kernels of scaled samples, of coordinates, of a network's features and of a Gram matrix: what is theirs alone."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep import kernels
from kerneldep.dependence.tiled import gram_sums, side
from kerneldep.kernels.base import dense_gram

from ..oracles import hsic as hsic_oracle
from ..oracles import kernels as oracle
from ..registry import KERNELS

X = np.random.default_rng(0).normal(size=(9, 3))
Y = np.random.default_rng(1).normal(size=9)
K = np.exp(-np.abs(X[:, :1] - X[:, :1].T))
LENGTHS = np.array([0.5, 2.0, 1.3])


def test_gaussians_by_coordinate_are_one_with_length_scales(x64):
    expected = oracle.gram(lambda a, b: oracle.gaussian(a, b, 1.0), X / LENGTHS, X / LENGTHS)
    for kernel in (
        kernels.AutomaticRelevance(kernels.Gaussian(1.0), LENGTHS),
        kernels.PerCoordinate([kernels.Gaussian(l) for l in LENGTHS]),
    ):
        np.testing.assert_allclose(kernel.gram(X), expected, rtol=1e-13)


def test_one_kernel_for_all_coordinates(x64):
    """17 coordinates make four blocks of five, three of them padding."""
    x = np.random.default_rng(2).normal(size=(6, 17))
    kernel = kernels.PerCoordinate(kernels.Laplace(9.0))
    np.testing.assert_allclose(kernel.gram(x), kernels.Laplace(9.0, "l1").gram(x), rtol=1e-13)
    gradient, expected = (
        jax.grad(lambda x, k=k: (jnp.tril(dense_gram(k, x)) ** 2).sum())(x)
        for k in (kernel, kernels.Laplace(9.0, "l1"))
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


def test_a_coordinate_of_value_zero_hides_no_gradient(x64):
    """∂(k₁k₂) = k₂∂k₁ also where k₁ = 0, which a derivative by division would miss."""
    x = jnp.array([[1.0, 2.0], [0.0, 3.0]])
    gradient = jax.grad(lambda x: dense_gram(kernels.PerCoordinate(kernels.Linear()), x)[0, 1])(x)
    np.testing.assert_allclose(gradient, [[0.0, 0.0], [6.0, 0.0]])


@pytest.mark.parametrize("seed", range(3))
def test_scaled_equal_points_are_equal(seed, dtype):
    """A Laplace kernel shows the root of any distance that rounding leaves."""
    x = np.random.default_rng(seed).normal(size=(8, 3)).astype(dtype)
    x[3] = x[2]
    kernel = kernels.AutomaticRelevance(kernels.Laplace(1.0), LENGTHS * math.pi)
    gram = kernel.gram(x)
    np.testing.assert_array_equal(np.diag(gram), 1)
    assert gram[2, 3] == 1
    value = kd.hsic(x, x, kernel, kernel, estimator=kd.Biased())
    expected = oracle.gram(lambda a, b: oracle.laplace(a, b, 1.0), *[x.astype(float) / (LENGTHS * math.pi)] * 2)
    np.testing.assert_allclose(value, hsic_oracle.hsic_biased(expected, expected), rtol=2e-6)


def test_an_irrelevant_coordinate_gets_a_long_scale(x64):
    """Gradient ascent on HSIC turns away from noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = np.sin(2 * x[:, :1])

    @jax.jit
    def slopes(log_scales):
        def value(log_scales):
            kernel = kernels.AutomaticRelevance(kernels.Gaussian(1.0), jnp.exp(log_scales))
            return kd.cka(x, y, kernel, kernels.Gaussian(0.5))

        return jax.grad(value)(log_scales)

    slope = slopes(jnp.zeros(2))
    assert slope[1] > 0.05
    assert slope[1] > slope[0] + 0.05


def test_stationarity():
    gaussian, linear = kernels.Gaussian(1.0), kernels.Linear()
    assert kernels.PerCoordinate(gaussian).stationarity == "strict"
    assert kernels.PerCoordinate(linear).stationarity == "none"
    for inner in (gaussian, linear, kernels.Cosine()):
        assert kernels.AutomaticRelevance(inner, [1.0]).stationarity == inner.stationarity


def test_what_coordinates_need(unhooked):
    for kernel in (
        kernels.AutomaticRelevance(kernels.Gaussian(1.0), [1.0, 2.0]),
        kernels.PerCoordinate([kernels.Gaussian(1.0), kernels.Gaussian(2.0)]),
    ):
        for use in (
            kernel.gram,
            kernel.diagonal,
            lambda x, k=kernel: kd.hsic(x, Y, k),
            lambda x, k=kernel: k(x[0], x[1]),
        ):
            with pytest.raises(ValueError, match=f"{type(kernel).__name__} has 2 .*, the samples 3 coordinates"):
                use(X)
    for value in (1.0, [[1.0]], []):
        with pytest.raises(
            ValueError, match=r"AutomaticRelevance.length_scales has shape .*: a vector \[d\] is needed"
        ):
            kernels.AutomaticRelevance(kernels.Gaussian(1.0), value)
    for value in ([1.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="AutomaticRelevance.length_scales must be positive and finite"):
            kernels.AutomaticRelevance(kernels.Gaussian(1.0), value)
    for several in (
        [],
        [kernels.Gaussian(1.0), kernels.Laplace(1.0)],
        [kernels.Matern(1.0, 0.5), kernels.Matern(1.0, 1.5)],
    ):
        with pytest.raises(ValueError, match="PerCoordinate needs one kernel, or one a coordinate"):
            kernels.PerCoordinate(several)


def test_a_network_runs_once_a_sample():
    """Not once a pair: nine times for a Gram matrix, and with its diagonal twice that for HSIC in nine tiles."""
    calls = []

    def network(x):
        jax.debug.callback(lambda first: calls.append(float(first)), x[0])
        return 2 * x

    kernel = kernels.Deep(network, kernels.Gaussian(1.0))
    jax.block_until_ready(kernel.gram(X))
    jax.effects_barrier()
    assert sorted(calls) == sorted(X[:, 0].astype(np.float32))
    calls.clear()
    x, y = jnp.asarray(X, jnp.float32), jnp.asarray(Y[:, None], jnp.float32)
    jax.block_until_ready(
        jax.jit(lambda x, y: gram_sums((side(kernel, x), side(kernels.Gaussian(1.0), y)), ((0, 1),), 3))(x, y)
    )
    jax.effects_barrier()
    assert len(calls) == 2 * len(X)


# A Gram matrix.


@pytest.mark.parametrize("case", [case for case in KERNELS if case.name in ("user", "distance")], ids=str)
def test_a_precomputed_gram_gives_what_its_kernel_gives(case, x64):
    x, kernel = case.samples(9, 3), case.make(3)
    precomputed = kernels.Precomputed(kernel.gram(x))
    np.testing.assert_array_equal(precomputed.gram(precomputed.indices), precomputed.values)
    np.testing.assert_array_equal(precomputed.diagonal(precomputed.indices), jnp.diag(precomputed.values))
    for estimator in (kd.Unbiased(), kd.Biased()):
        np.testing.assert_allclose(
            kd.hsic(precomputed.indices, Y, precomputed, estimator=estimator),
            kd.hsic(x, Y, kernel, estimator=estimator),
            rtol=1e-11,
        )


def test_indices_may_be_permuted_repeated_and_few(x64):
    k, order = kernels.Precomputed(K), np.array([4, 0, 0, 7, 2, 8])
    np.testing.assert_array_equal(k.gram(order), K[np.ix_(order, order)])
    np.testing.assert_array_equal(k.gram(order, [1, 3]), K[np.ix_(order, [1, 3])])
    assert float(k(4, 7)) == K[4, 7]
    l = oracle.gram(lambda a, b: oracle.gaussian(a, b, 1.0), Y[:6, None], Y[:6, None])
    expected = hsic_oracle.hsic_unbiased(K[np.ix_(order, order)], l)
    np.testing.assert_allclose(kd.hsic(order, Y[:6], k, kernels.Gaussian(1.0)), expected, rtol=1e-12)


def test_gradients_reach_the_gram_matrix(x64):
    def value(gram):
        return kd.hsic(np.arange(9), Y, kernels.Precomputed(gram), kernels.Gaussian(1.0))

    l = oracle.gram(lambda a, b: oracle.gaussian(a, b, 1.0), Y[:, None], Y[:, None])
    found = jax.jit(jax.grad(value))(jnp.asarray(K))
    # Each tile reads one triangle and stands for both.
    np.testing.assert_allclose(0.5 * (found + found.T), hsic_oracle.hsic_unbiased_gradient(K, l), rtol=1e-9, atol=1e-16)


def test_strings_by_a_callable(x64):
    """An edit-distance kernel: every pair evaluated once, neighbours once more to see that it is symmetric."""
    words, calls = ["kernel", "kernels", "corner", "tunnel", "funnel", "stone"], []

    def similarity(first, second):
        calls.append((first, second))
        return math.exp(-oracle.edit_distance(first, second) / 3)

    k = kernels.Precomputed.from_callable(similarity, words)
    assert len(calls) == 6 * 7 // 2 + 5
    assert len(set(calls)) == len(calls)
    assert float(k(3, 4)) == float(k(4, 3)) == math.exp(-1 / 3)
    gram = np.array([[similarity(a, b) for b in words] for a in words])
    np.testing.assert_array_equal(k.values, gram)
    labels = np.array([0, 0, 0, 1, 1, 2])
    expected = hsic_oracle.hsic_unbiased(gram, (labels[:, None] == labels).astype(float))
    np.testing.assert_allclose(kd.hsic(k.indices, labels, k, kernels.Label()), expected, rtol=1e-12)


def test_what_a_gram_matrix_and_its_indices_must_be(unhooked):
    for bad in (K[0], K[:3], np.ones((0, 0)), K[None]):
        with pytest.raises(ValueError, match=r"the Gram matrix has shape .*: \[N, N\] is needed"):
            kernels.Precomputed(bad)
    with pytest.raises(ValueError, match="not symmetric"):
        kernels.Precomputed(np.triu(K))
    with pytest.raises(ValueError, match=r"Precomputed.values must be finite|not symmetric"):
        kernels.Precomputed(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"differs for objects \(1, 2\) and \(2, 1\)"):
        kernels.Precomputed.from_callable(lambda a, b: b if {a, b} == {1, 2} else 0, [0, 1, 2])
    with pytest.raises(ValueError, match="is nan for objects 0 and 1"):
        kernels.Precomputed.from_callable(lambda a, b: math.nan if a != b else 1.0, [0, 1, 2])
    k = kernels.Precomputed(K)
    with pytest.raises(ValueError, match=r"indices \[n\], not points of 3 coordinates"):
        k.gram(X)
    for bad in (9, -1, 0.5):
        with pytest.raises(ValueError, match="whole numbers from 0 to 8"):
            k.prepare(jnp.full((9, 1), bad, float))
    hsic = eqx.filter_jit(lambda i: kd.hsic(i, Y, k))
    assert np.isfinite(hsic(jnp.arange(9)))
    with pytest.raises(RuntimeError, match="whole numbers from 0 to 8"):
        jax.block_until_ready(hsic(jnp.arange(9) + 1))
