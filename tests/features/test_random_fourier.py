"""Random features: E φ(x)ᵀφ(x′) = k(x, x′), for every kernel that has them, plain and orthogonal."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep import kernels
from kerneldep.features import random_fourier
from kerneldep.features.quasi import scrambled_sobol
from kerneldep.features.trigonometric import cos_sin_turns
from kerneldep.kernels.base import dense_gram

from ..derivatives import difference, direction_like, flat
from ..registry import KERNELS, KernelCase, network

RANDOM = [case for case in KERNELS if case.features == "random"]
random_cases = pytest.mark.parametrize("case", RANDOM, ids=str)
DIM = 3
PAIRS = 50_000


def num_terms(case: KernelCase) -> int:
    """Into how many the features are shared out."""
    return {"nested": 2}.get(case.name, 1)


@random_cases
def test_mean_product_of_features_is_the_kernel(case):
    """With m pairs of cosine and sine an entry's standard deviation is at most k(0)·m^{−½}, as |cos| ≤ 1."""
    kernel, x = case.make(DIM), jnp.asarray(case.samples(8, DIM), jnp.float32)

    @eqx.filter_jit
    def grams(kernel, x, key):
        phi = random_fourier(kernel, DIM, 2 * PAIRS, key=key)(x)
        return phi @ phi.T, dense_gram(kernel, x)

    found, exact = grams(kernel, x, jax.random.key(3))
    deviation = float(exact.max()) * (num_terms(case) / PAIRS) ** 0.5
    np.testing.assert_allclose(found, exact, rtol=0, atol=4 * deviation)
    # A frequency law of another scale would show: the kernel of data twice as wide is further away.
    assert np.abs(dense_gram(kernel, 1.3 * x) - exact).max() > 8 * deviation


@pytest.mark.parametrize("case", [case for case in RANDOM if case.stationarity == "strict"], ids=str)
def test_norm_is_exact_for_any_number_of_features(case):
    kernel, x = case.make(DIM), jnp.asarray(case.samples(8, DIM), jnp.float32)
    orthogonal = case.name in {"gaussian", "laplace_l1"}

    @eqx.filter_jit
    def features(kernel, x, key):
        return random_fourier(kernel, DIM, 10, key=key, orthogonal=orthogonal)(x)

    found = features(kernel, x, jax.random.key(0))
    assert found.shape == (8, 10)
    np.testing.assert_allclose((found**2).sum(1), kernel.diagonal(x), rtol=1e-6)


def draws(kernel: kernels.AbstractKernel, x, pairs: int, count: int, orthogonal: bool) -> np.ndarray:
    """Feature Gram matrices of `count` independent maps."""

    @jax.jit
    def many(keys):
        def one(key):
            phi = random_fourier(kernel, x.shape[1], 2 * pairs, key=key, orthogonal=orthogonal)(x)
            return phi @ phi.T

        return jax.vmap(one)(keys)

    return np.asarray(many(jax.random.split(jax.random.key(1), count)))


@pytest.mark.parametrize(
    ("kernel", "dim", "pairs"),
    [
        (kernels.Gaussian, 7, 3),
        (kernels.Gaussian, 3, 7),
        (kernels.Laplace, 3, 7),
        (lambda length: kernels.Laplace(length, "l1"), 7, 3),
        (kernels.InverseMultiquadric, 4, 8),
    ],
)
def test_orthogonal_frequencies_keep_the_marginal_law(kernel, dim, pairs):
    """More dimensions than frequencies, a last block that is not full, whole blocks."""
    x = np.random.default_rng(dim).normal(size=(4, dim)).astype(np.float32) / dim**0.5
    found = draws(kernel(1.0), jnp.asarray(x), pairs, 8_000, orthogonal=True)
    error = found.mean(0) - np.asarray(kernel(1.0).gram(x))
    assert (np.abs(error) < 4.5 * found.std(0) / 8_000**0.5 + 1e-6).all()


def test_orthogonal_frequencies_have_lower_variance():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 8)) / 8**0.5, jnp.float32)
    kernel, off_diagonal = kernels.Gaussian(1.0), ~np.eye(6, dtype=bool)
    plain, orthogonal = (draws(kernel, x, 8, 2_000, which).var(0)[off_diagonal].mean() for which in (False, True))
    assert orthogonal < 0.6 * plain  # Yu et al. (2016): by a factor of about 1 − (d − 1)/d·(…) for r ≈ σ


QUASI = (
    kernels.Gaussian(0.8),
    kernels.Laplace(1.3),
    kernels.Gaussian(1.4) * kernels.Laplace(1.5, "l1"),
    kernels.AutomaticRelevance(kernels.InverseMultiquadric(0.9), [1.0, 2.0]),
    kernels.PerCoordinate(kernels.Matern(1.5, 1.5)),
)


def test_quasi_frequencies_keep_the_marginal_law_and_have_lower_variance():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)), jnp.float32)

    @functools.partial(jax.jit, static_argnums=1)
    def many(keys, quasi):
        def one(key):
            maps = [
                random_fourier(kernel, 2, 32, key=subkey, quasi=quasi)
                for kernel, subkey in zip(QUASI, jax.random.split(key, len(QUASI)), strict=True)
            ]
            return jnp.stack([phi(x) @ phi(x).T for phi in maps])

        return jax.vmap(one)(keys)

    plain, quasi = (np.asarray(many(jax.random.split(jax.random.key(3), 1_500), which)) for which in (False, True))
    exact = np.stack([kernel.gram(x) for kernel in QUASI])
    assert (np.abs(quasi.mean(0) - exact) < 4.5 * quasi.std(0) / 1_500**0.5 + 1e-6).all()
    ratios = quasi.var(0).sum((1, 2)) / plain.var(0).sum((1, 2))
    assert (ratios < 0.9).all()
    assert ratios[0] < 0.3  # sixteen points of a smooth integrand in the plane


def test_scrambled_points_fill_every_interval():
    points = np.asarray(scrambled_sobol(jax.random.key(0), 64, 5))
    assert points.min() > 0
    assert points.max() < 1
    for column in points.T:
        assert sorted(np.floor(64 * column)) == list(range(64))
    counts, _, _ = np.histogram2d(*points[:, :2].T, bins=8, range=[[0, 1], [0, 1]])
    assert (counts == 1).all()  # the first two coordinates are a (0, 6, 2)-net
    with pytest.raises(ValueError, match="have 30000 coordinates: Sobol' numbers exist for 21,201"):
        scrambled_sobol(jax.random.key(0), 4, 30_000)


def test_cosine_and_sine_in_turns(dtype):
    """To the last digit, where the argument has one, and their derivatives."""
    turns = np.concatenate([np.linspace(-3, 3, 5_001), [1e6 + 0.25, -(2.0**22) + 0.5]]).astype(dtype)
    (cosine, sine), (slope, other) = jax.jit(lambda t: jax.jvp(cos_sin_turns, (t,), (jnp.ones_like(t),)))(turns)
    angle = 2 * np.pi * (turns.astype(float) - np.round(turns.astype(float)))
    eps = np.finfo(dtype).eps
    assert cosine.dtype == dtype
    np.testing.assert_allclose(cosine, np.cos(angle), rtol=0, atol=2 * eps)
    np.testing.assert_allclose(sine, np.sin(angle), rtol=0, atol=2 * eps)
    np.testing.assert_allclose(slope, -2 * np.pi * np.sin(angle), rtol=0, atol=16 * eps)
    np.testing.assert_allclose(other, 2 * np.pi * np.cos(angle), rtol=0, atol=16 * eps)


def test_orthogonal_rows_are_orthogonal_within_blocks():
    phi = random_fourier(kernels.Gaussian(1.0), 4, 20, key=jax.random.key(0), orthogonal=True)
    first, last = phi.frequencies[:4], phi.frequencies[8:]
    for block in (first, last):
        gram = block @ block.T
        np.testing.assert_allclose(gram, np.diag(np.diag(gram)), rtol=0, atol=1e-5)  # norms² of 4
    assert np.abs(first @ last.T).max() > 0.1


def test_a_sum_concatenates():
    a, b, x = kernels.Gaussian(1.0), kernels.Laplace(2.0), jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)))
    phi = random_fourier(a + 4.0 * b, 3, 22, key=jax.random.key(0))
    assert phi.num_features == 22
    features = phi(x)
    norms = [(features[:, part] ** 2).sum(1) for part in (slice(12), slice(12, None))]
    np.testing.assert_allclose(norms[0], 1, rtol=1e-6)
    np.testing.assert_allclose(norms[1], 4, rtol=1e-6)
    # The terms' frequencies are independent, not one draw twice.
    frequencies = [part.frequencies for part in phi.maps]
    assert not np.isclose(frequencies[0][:5], frequencies[1]).any()


def test_both_factors_of_a_product_are_drawn():
    kernel = kernels.Gaussian(1.0) * kernels.Gaussian(1.0)
    phi = random_fourier(kernel, 2, 40_000, key=jax.random.key(0))
    # A sum of two independent N(0, I): variance 2, where one draw used twice would have 4.
    np.testing.assert_allclose(np.cov(phi.frequencies.T), 2 * np.eye(2), rtol=0, atol=0.1)


def test_linear_and_cosine_features_are_exact():
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    x[2] = 0
    for kernel in (
        kernels.Linear(),
        kernels.Cosine(),
        2.5 * kernels.Linear(),
        kernels.Linear() + 3.0 * kernels.Cosine(),
    ):
        phi = random_fourier(kernel, 3, 2, key=jax.random.key(0))
        features = phi(jnp.asarray(x))
        assert phi.num_features == features.shape[1]
        np.testing.assert_allclose(features @ features.T, kernel.gram(x), rtol=1e-6, atol=1e-6)


def test_deep_features_are_features_of_the_network():
    kernel = kernels.Deep(network(5), kernels.Linear() * 2.0)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
    features = random_fourier(kernel, 5, 4, key=jax.random.key(0))(x)
    assert features.shape == (6, 3)
    np.testing.assert_allclose(features @ features.T, kernel.gram(x), rtol=1e-6, atol=1e-6)


@random_cases
def test_gradients_reach_the_parameters(case, x64):
    """With the key fixed, features are a smooth function of parameters and samples."""
    parameters, static = eqx.partition(case.make(DIM), eqx.is_inexact_array)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), parameters)
    x, weights = jnp.asarray(case.samples(6, DIM)), jnp.asarray(np.random.default_rng(2).normal(size=(6, 6)))

    def function(at):
        phi = random_fourier(eqx.combine(at[0], static), DIM, 12, key=jax.random.key(5))(at[1])
        return (weights * (phi @ phi.T)).sum()

    evaluate, at = jax.jit(jax.value_and_grad(function)), (parameters, x)
    direction = direction_like(at)
    if case.name == "rational_quadratic":  # a Gamma variate's derivative to its shape is right in mean only, see below
        direction = eqx.tree_at(lambda d: d[0].exponent, direction, jnp.zeros(()))
    if case.name == "nested":  # a cosine has no derivative at 0
        at = (parameters, x.at[5].set(1.0))
    gradient = evaluate(at)[1]
    expected = difference(lambda point: evaluate(point)[0], at, direction, step=1e-4)
    scale = np.linalg.norm(flat(gradient)) * np.linalg.norm(flat(direction))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient[0]))
    # Heavy-tailed frequencies have large fifth derivatives, so the step is short and rounding shows.
    np.testing.assert_allclose(flat(gradient) @ flat(direction), expected, rtol=0, atol=1e-8 * scale)


def test_gradient_to_the_shape_of_a_gamma_law_is_right_in_mean():
    x = jnp.asarray([[0.0], [0.8]])

    @jax.jit
    def slopes(exponent):
        def of_features(exponent):
            phi = random_fourier(kernels.RationalQuadratic(1.1, exponent), 1, 2 * PAIRS, key=jax.random.key(0))(x)
            return phi[0] @ phi[1]

        def exact(exponent):
            return kernels.RationalQuadratic(1.1, exponent)(x[0], x[1])

        return jax.grad(of_features)(exponent), jax.grad(exact)(exponent)

    # dk/dβ = −k·log(1 + r²/c²) = −0.21; one pair's derivative has a deviation below 1.
    np.testing.assert_allclose(*slopes(1.7), rtol=0, atol=4 / PAIRS**0.5)


def test_the_key_decides():
    maps = [random_fourier(kernels.Gaussian(1.0), 3, 8, key=jax.random.key(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0].frequencies, maps[1].frequencies)
    assert not np.isclose(maps[0].frequencies, maps[2].frequencies).any()


@pytest.mark.parametrize(
    "kernel",
    [
        lambda: kernels.Polynomial(),
        lambda: kernels.Label(),
        lambda: kernels.Distance(),
        lambda: kernels.Gaussian(1.0) + kernels.Polynomial(),
        lambda: kernels.Gaussian(1.0) * kernels.Linear(),
        lambda: kernels.Deep(network(3), kernels.Polynomial()),
        lambda: kernels.Deep(network(3), kernels.Gaussian(1.0)) * kernels.Gaussian(1.0),
    ],
)
def test_kernels_without_a_sampler(kernel):
    with pytest.raises(TypeError, match="no sampler of random frequencies: use Nyström"):
        random_fourier(kernel(), 3, 8, key=jax.random.key(0))


def test_bad_arguments(unhooked):
    kernel, key = kernels.Gaussian(1.0), jax.random.key(0)
    for number in (0, 1, 3, -2, 2.0, None):
        with pytest.raises(ValueError, match=r"num_features is .*: a positive even integer"):
            random_fourier(kernel, 3, number, key=key)
    with pytest.raises(ValueError, match="num_features is 2: a sum of 2 kernels needs at least 4"):
        random_fourier(kernel + kernel, 3, 2, key=key)
    with pytest.raises(ValueError, match="key is missing: random_fourier is random"):
        random_fourier(kernel, 3, 8, key=None)
    with pytest.raises(ValueError, match="orthogonal and quasi are two ways"):
        random_fourier(kernel, 3, 8, key=jax.random.key(1), orthogonal=True, quasi=True)
