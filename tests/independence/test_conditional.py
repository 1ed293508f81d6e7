"""The test of conditional independence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import kerneldep as kd
from kerneldep.independence import conditional_test
from kerneldep.independence.arguments import generator
from kerneldep.independence.local_permutations import exchanges, nearest
from kerneldep.kernels import Gaussian, Laplace

KERNELS = Gaussian(1.1), Laplace(0.9), Gaussian(0.6)


def key() -> jax.Array:
    return jax.random.key(9)


def data(n: int = 40) -> tuple[np.ndarray, ...]:
    x, y, z = np.random.default_rng(n).normal(size=(3, n, 1))
    return z + 0.5 * x, np.sin(2 * z) + 0.5 * y, z


def residual_grams(ridge: float) -> tuple[np.ndarray, ...]:
    """K̃_Ẍ, K̃_Y and R."""
    x, y, z = (np.asarray(kernel.gram(v)) for kernel, v in zip(KERNELS, data(), strict=True))
    centring = np.eye(40) - 1 / 40
    residual = ridge * np.linalg.inv(centring @ z @ centring + ridge * np.eye(40))
    return centring @ (x * z) @ centring, centring @ y @ centring, residual


def test_gamma_is_that_of_the_limiting_eigenvalues(x64):
    of_x, of_y, r = residual_grams(0.05)
    a, b = r @ of_x @ r, r @ of_y @ r
    # As its authors do: products of the eigenvectors of both.
    roots = []
    for matrix in (a, b):
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        roots.append(vectors * np.sqrt(np.maximum(values, 0)))
    products = (roots[0][:, :, None] * roots[1][:, None, :]).reshape(40, -1)
    uu = products @ products.T
    mean, variance = np.trace(uu), 2 * np.trace(uu @ uu)
    expected = scipy.stats.gamma.sf((a * b).sum(), mean**2 / variance, scale=variance / mean)
    found = conditional_test(*data(), *KERNELS, ridge=0.05, method="gamma")
    assert found.p_value == pytest.approx(expected, rel=1e-6)
    assert found.statistic == pytest.approx(float(kd.conditional_hsic(*data(), *KERNELS, ridge=0.05)), rel=1e-8)


@pytest.mark.parametrize("implementation", ["numba", "xla"])
def test_null_values_are_statistics_of_permuted_data(x64, implementation):
    options = {"num_permutations": 5, "alpha": 0.5, "ridge": 0.05, "implementation": implementation, "key": key()}
    found = conditional_test(*data(), *KERNELS, **options)
    random = generator(key(), "")
    neighbours = nearest(data()[2], 5, random)
    (hub,) = exchanges(neighbours, 1, random)
    drawn = [hub[one] for one in exchanges(neighbours, 5, random)]
    of_x, of_y, r = residual_grams(0.05)

    def statistic(order: np.ndarray) -> float:
        return ((r @ of_x @ r) * (r @ of_y[np.ix_(order, order)] @ r)).sum() / 40

    assert found.statistic == pytest.approx(statistic(np.arange(40)), rel=1e-9)
    expected = [statistic(one) for one in drawn]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9)
    assert found.p_value == (1 + sum(np.array(expected) >= found.statistic)) / 6


def test_exchanges_are_pairs_of_neighbours():
    random = np.random.default_rng(0)
    z = random.normal(size=(50, 2))
    neighbours = nearest(z, 4, random)
    distance = np.linalg.norm(z[:, None] - z[None], axis=2)
    for i in range(50):
        assert set(neighbours[i]) == set(np.argsort(distance[i])[1:5])
    some = exchanges(neighbours, 200, random)
    assert (np.take_along_axis(some, some, axis=1) == np.arange(50)).all()  # each its own inverse
    moved = some != np.arange(50)
    assert moved.mean() > 0.75
    near = (neighbours[None] == some[:, :, None]).any(2)  # one is the other's neighbour
    back = np.take_along_axis(near, some, axis=1)
    assert (near | back | ~moved).all()
    assert len(np.unique(some, axis=0)) == 200


def test_neighbours_where_many_are_equal():
    random = np.random.default_rng(1)
    z = random.integers(0, 3, size=(60, 1)).astype(float)
    neighbours = nearest(z, 5, random)
    assert (z[neighbours, 0] == z).all()
    assert (neighbours != np.arange(60)[:, None]).all()
    assert all(len(set(row)) == 5 for row in neighbours)


@pytest.mark.slow
def test_levels_and_power():
    """Z decides both means; then, Z discrete, permutations are exact."""
    rng = np.random.default_rng(2)
    kernels = Gaussian(1.0), Gaussian(1.0), Gaussian(0.5)
    draws = rng.normal(size=(50, 3, 50, 1))
    keys = jax.random.split(key(), 50)
    smooth = [(np.sin(2 * z) + 0.5 * x, z**2 + 0.5 * y, z) for x, y, z in draws]
    high = scipy.stats.binom.ppf(1 - 5e-4, 50, 0.07)
    gamma = [conditional_test(*one, *kernels, method="gamma").rejected for one in smooth]
    assert sum(gamma) <= high
    permuted = [
        conditional_test(*one, *kernels, num_permutations=19, key=k).rejected
        for one, k in zip(smooth, keys, strict=True)
    ]
    assert sum(permuted) <= high
    groups = [(x + np.sign(z), y + np.sign(z), np.sign(z)) for x, y, z in draws]
    exact = [
        conditional_test(*one, *kernels, num_permutations=19, key=k).rejected
        for one, k in zip(groups, keys, strict=True)
    ]
    low, high = scipy.stats.binom.ppf([5e-4, 1 - 5e-4], 50, 0.05)
    assert low <= sum(exact) <= high
    products = [(x, x * z + 0.5 * y, z) for x, y, z in draws[:10]]
    for options in ({"method": "gamma"}, {"num_permutations": 99, "key": key()}):
        assert np.mean([conditional_test(*one, **options).rejected for one in products]) >= 0.8


def test_bad_input(unhooked):
    x, y, z = data()
    for message, options in {
        "num_permutations is 0": {"num_permutations": 0},
        "num_neighbours is 0": {"num_neighbours": 0},
        "num_neighbours is 40: n = 40": {"num_neighbours": 40},
        "alpha is 1": {"alpha": 1},
        "method is 'f'": {"method": "f"},
        "ridge must be positive": {"ridge": 0.0},
    }.items():
        with pytest.raises(ValueError, match=message):
            conditional_test(x, y, z, **options, key=key())
    with pytest.raises(ValueError, match="key is missing"):
        conditional_test(x, y, z)
    with pytest.raises(ValueError, match="paired samples"):
        conditional_test(x, y, z[1:], key=key())
    with pytest.raises(TypeError, match="z is traced"):
        jax.jit(lambda z: conditional_test(x, y, z, method="gamma").p_value)(jnp.asarray(z))
    for method in ("gamma", "permutation"):
        with pytest.warns(UserWarning, match="y is constant"):
            assert conditional_test(x, np.ones(40), z, method=method, key=key()).p_value == 1
        # Of a constant Z nothing can be learnt: the test is one of independence.
        assert conditional_test(x, y, np.ones(40), method=method, key=key()).p_value < 0.02
