"""Nyström features of any kernel, and the choice of landmarks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep import kernels
from kerneldep.features import choose_landmarks, nystrom
from kerneldep.features.landmarks import landmark_indices, unexplained

from ..oracles import features as oracle
from ..registry import KERNELS

SAMPLINGS = ("uniform", "leverage", "kmeans++")


@pytest.mark.parametrize("name", ["gaussian", "nested", "user", "label", "distance"])
def test_products_are_those_of_the_projection(name, x64):
    """K_nm K_mm⁻¹ K_mn, exact on landmarks: one of them is given twice, one has norm 0. On the diagonal at most k."""
    (case,) = (case for case in KERNELS if case.name == name)
    kernel, x = case.make(3), jnp.asarray(case.samples(12, 3))
    phi = nystrom(kernel, x[:7])
    features, gram = phi(x), np.asarray(kernel.gram(x))
    assert features.shape == (12, phi.num_features) == (12, 7)
    np.testing.assert_allclose(features @ features.T, oracle.nystrom_gram(gram[:, :7], gram[:7, :7]), atol=1e-7)
    np.testing.assert_allclose(features[:7] @ features.T, gram[:7], atol=1e-7)
    assert ((features**2).sum(1) < np.diag(gram) + 1e-9).all()
    np.testing.assert_allclose(phi(x[8:10]), features[8:10], rtol=0, atol=1e-9)  # no matter in what company


DATA = {
    "linear": lambda x: (kernels.Linear(), x),
    "label": lambda x: (kernels.Label(), jnp.round(x[:, :1])),
    "constant": lambda x: (kernels.Gaussian(1.0), jnp.ones_like(x)),
    "outlier": lambda x: (kernels.Polynomial(3), x.at[0].set(100)),
    "far": lambda x: (kernels.Gaussian(1.0), x + 1e4),
}


@pytest.mark.parametrize("name", DATA)
def test_rank_deficient_grams_in_float32(name):
    """Values close, and gradients to data and parameters finite and those of the Gram matrix."""
    kernel, x = DATA[name](jnp.round(jax.random.normal(jax.random.key(0), (48, 3)) * 2**6) / 2**6)
    weights = jax.random.normal(jax.random.key(1), (48, 48))
    arrays, rest = eqx.partition(kernel, eqx.is_inexact_array)

    @jax.jit
    def both(at):
        def approximate(at):
            phi = nystrom(eqx.combine(at[0], rest), at[1])(at[1])
            return (weights * (phi @ phi.T)).sum(), phi @ phi.T

        def exact(at):
            gram = eqx.combine(at[0], rest).gram(at[1])
            return (weights * gram).sum(), gram

        return [jax.value_and_grad(function, has_aux=True)(at) for function in (approximate, exact)]

    ((_, found), gradient), ((_, gram), expected) = both((arrays, x))
    np.testing.assert_allclose(found, gram, rtol=0, atol=2e-4 * np.abs(gram).max())
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(
            one, other, rtol=0, atol=1e-3 * np.abs(expected[1]).max() + 0.03 * np.abs(other).max()
        )


def test_many_equal_landmarks_in_float32():
    """Cholesky's rounding grows with their number, and so does the jitter."""
    phi = nystrom(kernels.Gaussian(1.0), jnp.zeros((1024, 2)))(jnp.array([[0.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(phi @ phi.T, np.exp([[0, -0.5], [-0.5, -1]]), rtol=1e-4)


def test_kernels_that_are_not_positive(unhooked):
    with pytest.raises(ValueError, match="Label is not positive semi-definite on the landmarks"):
        nystrom(kernels.Label(1.0, 2.0), [0.0, 1.0, 2.0])
    with pytest.raises(RuntimeError, match="not positive semi-definite"):
        jax.block_until_ready(jax.jit(lambda z: nystrom(kernels.Label(1.0, 2.0), z)(z))(jnp.arange(3.0)[:, None]))
    with pytest.raises(TypeError, match="kernel is 3"):
        nystrom(3, [0.0])


def rare() -> jax.Array:
    """Three samples far from 297 others, which fill a line."""
    x = np.random.default_rng(0).uniform(size=(300, 1))
    x[[7, 70, 200]] += 30
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_landmarks_are_distinct_samples_and_rare_ones_are_found(sampling):
    x, kernel = rare(), kernels.Gaussian(1.0)
    keys = jax.random.split(jax.random.key(0), 200)
    chosen = np.asarray(jax.lax.map(lambda key: landmark_indices(kernel, x, 24, key, sampling), keys))
    assert all(len(set(some)) == 24 for some in chosen)
    found = np.isin(chosen, [7, 70, 200]).any(1).mean()
    # Uniform: 1 − C(297, 24)/C(300, 24) = 0.22.
    assert (
        found > 0.99 if sampling == "kmeans++" else found > 0.9 if sampling == "leverage" else abs(found - 0.22) < 0.1
    )
    if sampling == "uniform":
        landmarks = choose_landmarks(kernel, x, 24, key=jax.random.key(1))
        assert set(np.ravel(landmarks)) <= set(np.ravel(x))


def test_leverage_scores_are_the_oracles(x64):
    x, kernel, pilot = jnp.asarray(np.random.default_rng(0).normal(size=(20, 2))), kernels.Gaussian(1.0), [3, 5, 8, 13]
    gram, ridge = np.asarray(kernel.gram(x)), 0.3
    points = kernel.prepare(x)
    some = jax.tree.map(lambda leaf: leaf[np.array(pilot)], points)
    compiled = eqx.filter_jit(unexplained)
    scores = compiled(kernel, points, kernel.diagonal(x), some, jnp.asarray(ridge * 4 / 20)) / ridge
    np.testing.assert_allclose(scores, oracle.leverage_from_pilot(gram, pilot, ridge), rtol=1e-10)
    # With every sample in the pilot, the scores themselves.
    scores = compiled(kernel, points, kernel.diagonal(x), points, jnp.asarray(ridge)) / ridge
    np.testing.assert_allclose(scores, oracle.ridge_leverage_scores(gram, ridge), rtol=1e-10)


def test_second_landmark_is_drawn_by_squared_distance():
    x, kernel = jnp.asarray([[0.0], [0.0], [1.0], [3.0]], jnp.float32), kernels.Linear()
    keys = jax.random.split(jax.random.key(0), 8000)
    chosen = np.asarray(jax.lax.map(lambda key: landmark_indices(kernel, x, 2, key, "kmeans++"), keys))
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(chosen.T), 1)
    gram = np.asarray(kernel.gram(x))
    weights = np.stack([oracle.squared_distance_to_nearest(gram, [i]) for i in range(4)])
    chances = weights / weights.sum(1, keepdims=True) / 4
    assert (counts[chances == 0] == 0).all()
    assert (np.abs(counts - 8000 * chances) < 4.5 * np.sqrt(8000 * chances) + 1e-9).all()
    # When all are equal to a landmark, the rest still are distinct.
    assert sorted(landmark_indices(kernel, jnp.zeros((4, 1)), 4, jax.random.key(0), "kmeans++").tolist()) == [
        0,
        1,
        2,
        3,
    ]


def test_bad_arguments(unhooked):
    kernel, x, key = kernels.Gaussian(1.0), np.arange(5.0), jax.random.key(0)
    for num in (0, 6, 2.0):
        with pytest.raises(ValueError, match="num is .*: a number of landmarks from 1 to n = 5"):
            choose_landmarks(kernel, x, num, key=key)
    with pytest.raises(ValueError, match="sampling is 'best': one of"):
        choose_landmarks(kernel, x, 2, key=key, sampling="best")
    with pytest.raises(ValueError, match="key is missing: choose_landmarks is random"):
        choose_landmarks(kernel, x, 2, key=None)
