"""The median heuristic against the plain median of all distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.kernels import Gaussian, bandwidth_grid, median_bandwidth

from ..oracles import kernels as oracle

RNG = np.random.default_rng(0)
N = 21
DATA = {
    "odd number of pairs, d = 1": RNG.normal(size=(N - 3, 1)),  # 153
    "even number of pairs, d = 1": RNG.normal(size=(N, 1)),  # 210
    "d = 3": RNG.normal(size=(N, 3)),
    "d = 20": RNG.normal(size=(N, 20)),
    "ties": np.repeat(RNG.normal(size=(7, 3)), 3, axis=0),
    "ties at the middle": np.repeat([[0.0], [1.0], [3.0]], 7, axis=0),
    "binary": RNG.integers(0, 2, size=(N, 1)).astype(float),
    "mostly one value": np.array([[0.0]] * 18 + [[3.0], [3.0], [5.0]]),
    "one that differs": np.array([[2.0, 1.0]] * 20 + [[2.0, 5.0]]),
    "few values": RNG.choice([0.1, 0.25, 0.7], size=(N, 1), p=[0.1, 0.8, 0.1]),
    "an outlier": np.concatenate([RNG.normal(size=(N - 1, 3)), [[1e8, 0, 0]]]),
    "two": np.array([[1.0], [4.0]]),
    "three": np.array([[1.0], [4.0], [4.5]]),
}


@pytest.mark.parametrize("name", DATA)
def test_is_the_median_distance_in_float64(name, x64):
    np.testing.assert_allclose(median_bandwidth(DATA[name]), oracle.median_bandwidth(DATA[name]), rtol=1e-12)


@pytest.mark.parametrize("name", DATA)
def test_is_the_median_distance_in_float32(name):
    """Compiled alone, and inside something larger, where XLA fuses and rounds in other ways."""
    x = DATA[name].astype(np.float32)
    np.testing.assert_allclose(median_bandwidth(x), oracle.median_bandwidth(x), rtol=1e-6)
    inside = jax.jit(jax.vmap(lambda x: x * median_bandwidth(2 * x - 1)))(jnp.stack([x, 3 * x]))
    expected = oracle.median_bandwidth(x)  # of 2x − 1 it is twice that, unless it is the 1 of constant data
    np.testing.assert_allclose(inside, [2 * expected * x, 18 * expected * x], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
@pytest.mark.parametrize("name", ["d = 3", "d = 20", "mostly one value"])
def test_neither_overflows_nor_vanishes(name, scale):
    x = DATA[name]
    np.testing.assert_allclose(median_bandwidth((x * scale).astype(np.float32)) / scale, median_bandwidth(x), rtol=1e-6)


def test_an_offset_costs_no_digits():
    for name in ("d = 3", "d = 20"):
        x = np.round(DATA[name] * 2**10) / 2**10  # held exactly, also at 10⁴
        np.testing.assert_allclose(
            median_bandwidth((x + 10_000).astype(np.float32)), median_bandwidth(x.astype(np.float32)), rtol=1e-6
        )
        # float64 input with x64 off: centred before it is narrowed.
        np.testing.assert_allclose(median_bandwidth(x + 1e8), median_bandwidth(x), rtol=1e-6)


def test_constant_data_and_one_sample_give_one():
    for x in (np.zeros((N, 3)), np.full((N, 3), 1e4), [3.0], np.ones((1, 20)), np.ones(2)):
        assert float(median_bandwidth(x)) == 1.0


@pytest.mark.parametrize("n", [2000, 2001, 4100])
def test_above_two_thousand_every_sth_sample(n, x64):
    x = np.random.default_rng(n).normal(size=(n, 2))
    stride = -(-n // 2000)
    some = x[::stride]
    distances = np.sqrt(((some[:, None] - some[None]) ** 2).sum(-1))[np.triu_indices(len(some), 1)]
    np.testing.assert_allclose(median_bandwidth(x), np.median(distances), rtol=1e-12)


def test_no_gradient_flows_through_it(dtype):
    x = jnp.asarray(DATA["d = 3"], dtype)
    np.testing.assert_array_equal(jax.grad(median_bandwidth)(x), 0)
    np.testing.assert_array_equal(jax.jacfwd(median_bandwidth)(x), 0)


def test_jit_vmap_and_lists():
    x = DATA["d = 3"].astype(np.float32)
    expected = median_bandwidth(x)
    assert expected.shape == ()
    np.testing.assert_allclose(jax.jit(median_bandwidth)(x), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(median_bandwidth)(jnp.stack([x, 2 * x])), [expected, 2 * expected], rtol=1e-6)
    np.testing.assert_allclose(median_bandwidth(x.tolist()), expected, rtol=1e-6)
    np.testing.assert_array_equal(median_bandwidth([0, 1, 3]), 2.0)
    np.testing.assert_array_equal(median_bandwidth([False, True, True]), 1.0)


def test_does_not_depend_on_order():
    x = DATA["d = 20"].astype(np.float32)
    np.testing.assert_allclose(median_bandwidth(x[::-1]), median_bandwidth(x), rtol=1e-6)


def test_is_what_a_gaussian_takes():
    x = DATA["d = 3"]
    assert float(Gaussian(median_bandwidth(x)).bandwidth) == float(median_bandwidth(x))


def test_bad_input(unhooked):
    with pytest.raises(ValueError, match="x is empty"):
        median_bandwidth(np.ones((0, 2)))
    with pytest.raises(ValueError, match="x holds NaN"):
        median_bandwidth([0.0, np.nan])
    with pytest.raises(ValueError, match="x holds NaN or infinite"):
        median_bandwidth([0.0, np.inf])
    with pytest.raises(ValueError, match="x has shape"):
        median_bandwidth(np.ones((2, 2, 2)))
    with pytest.raises(TypeError, match="x is None"):
        median_bandwidth(None)
    with pytest.raises(TypeError, match="x has dtype"):
        median_bandwidth(["a", "b"])
    with pytest.raises(TypeError, match="x is complex"):
        median_bandwidth([1j, 2.0])
    with pytest.raises(RuntimeError, match="x holds NaN"):
        jax.block_until_ready(jax.jit(median_bandwidth)(jnp.array([0.0, jnp.nan])))


@pytest.mark.parametrize(("num", "factor"), [(1, 2.0), (4, 3.0), (5, 2.0)])
def test_the_grid_is_geometric_about_the_median(num, factor, dtype):
    x = DATA["d = 3"]
    grid = bandwidth_grid(x, num, factor)
    assert grid.dtype == dtype
    np.testing.assert_allclose(grid, oracle.bandwidth_grid(x, num, factor), rtol=1e-6 if dtype == "float32" else 1e-12)


def test_bad_grids(unhooked):
    for num in (0, -1, 2.0):
        with pytest.raises(ValueError, match="num is .*: an integer ≥ 1"):
            bandwidth_grid([0.0, 1.0], num)
    for factor in (1.0, 0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="factor is .*above 1"):
            bandwidth_grid([0.0, 1.0], 3, factor)
    with pytest.raises(ValueError, match="x holds NaN"):
        bandwidth_grid([0.0, np.nan])
