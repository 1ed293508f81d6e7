"""The aggregated test against loops over the formulas, its level and its power."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.independence import TestResult, aggregated_test, permutation_test
from kerneldep.independence.aggregated import smallest_p_value
from kerneldep.independence.permutations import Uniform
from kerneldep.independence.sign_flips import most_offsets, random_signs
from kerneldep.kernels import Gaussian, Label, Laplace, bandwidth_grid
from tests.oracles import hsic as oracle

N, P = 24, 39
KERNELS = [Gaussian(0.5), Gaussian(2.0)]


def gaussian_gram(x, bandwidth):
    return np.exp(-((x[:, None, :] - x[None, :, :]) ** 2).sum(-1) / (2 * bandwidth**2))


def pair(seed, n=N):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 1))
    return x, np.sin(3 * x) + generator.normal(size=(n, 1))


def generator_of(key):
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def loop_p_value(values, weights):
    """The rank of the first row, by the definition, without ties of statistics."""
    rows, tests = values.shape
    keys = []
    for t in range(rows):
        best = None
        for m in range(tests):
            share = sum(values[s, m] >= values[t, m] for s in range(rows)) / rows / weights[m]
            out = (values[t, m] - values[:, m].mean()) / values[:, m].std()
            if best is None or share < best[0] - 1e-12 or (abs(share - best[0]) < 1e-12 and out > best[1]):
                best = share, out
        keys.append(best)
    u, z = keys[0]
    p = sum(one < u - 1e-12 or (abs(one - u) < 1e-12 and out >= z) for one, out in keys) / rows
    return p, np.array([one for one, _ in keys])


@pytest.mark.parametrize("weights", [None, [[1.0, 3.0], [2.0, 0.5]]])
def test_is_the_formula(x64, weights):
    x, y = pair(0)
    key = jax.random.key(3)
    result = aggregated_test(x, y, KERNELS, KERNELS, weights=weights, num_permutations=P, key=key)
    permutations = np.concatenate([np.arange(N)[None], Uniform().draw(N, P, generator_of(key))])
    values = np.array(
        [
            [
                oracle.hsic_unbiased(gaussian_gram(x, a), gaussian_gram(y, b)[np.ix_(order, order)])
                for a in (0.5, 2.0)
                for b in (0.5, 2.0)
            ]
            for order in permutations
        ]
    )
    ratios = np.ones(4) if weights is None else np.ravel(weights) / np.mean(weights)
    p_value, smallest = loop_p_value(values, ratios)
    assert result.p_value == pytest.approx(p_value, abs=1e-12)
    assert result.statistic == pytest.approx(smallest[0], rel=1e-9)
    np.testing.assert_allclose(result.null, smallest[1:], rtol=1e-9)


def test_incomplete_form_is_the_formula(x64):
    x, y = pair(1, 25)  # the last sample has no partner
    key, offsets, half = jax.random.key(4), 3, 12
    result = aggregated_test(x, y, KERNELS, KERNELS, estimator=kd.Incomplete(offsets), num_permutations=P, key=key)
    signs = np.concatenate([np.ones((half, 1)), random_signs(half, P, generator_of(key))], axis=1)
    values = np.zeros((1 + P, 4))
    for t in range(1 + P):
        order = np.arange(25)
        for i in range(half):
            if signs[i, t] < 0:  # the exchange itself: what the sign stands for
                order[[i, i + half]] = order[[i + half, i]]
        for column, (a, b) in enumerate((a, b) for a in (0.5, 2.0) for b in (0.5, 2.0)):
            k, l = gaussian_gram(x, a), gaussian_gram(y, b)[np.ix_(order, order)]
            for s in range(1, offsets + 1):
                for i in range(half):
                    j = (i + s) % half
                    cores = [g[i, j] - g[i, j + half] - g[i + half, j] + g[i + half, j + half] for g in (k, l)]
                    values[t, column] += cores[0] * cores[1] / 4 / (offsets * half)
    p_value, smallest = loop_p_value(values, np.ones(4))
    assert result.p_value == pytest.approx(p_value, abs=1e-12)
    np.testing.assert_allclose(result.null, smallest[1:], rtol=1e-9)


def test_random_signs_are_fair_and_offsets_meet_once():
    signs = random_signs(501, 200, np.random.default_rng(0))
    assert set(np.unique(signs)) == {-1, 1}
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    for n in (6, 7, 20, 21):
        half = n // 2
        met = [frozenset((i, (i + s) % half)) for s in range(1, most_offsets(n) + 1) for i in range(half)]
        assert len(met) == len(set(met)) > 0


def test_rank_of_the_smallest_counts_ties_against_rejection():
    values = np.array([[2.0, 0.0], [1.0, 3.0], [0.0, 1.0], [2.0, 2.0]])
    found = smallest_p_value(values, np.zeros(2), np.ones(2))
    # p: [2/4, 1], [3/4, 1/4], [1, 3/4], [2/4, 2/4]; the last ties, and its own test puts it as far out.
    assert found.p_value == 3 / 4
    assert found.best == 0
    assert found.best_p_value == 2 / 4
    near = values + 1e-9 * np.array([[0, 0], [0, 0], [0, 0], [-1, 0]])
    assert smallest_p_value(near, np.full(2, 1e-8), np.ones(2)).p_value == 3 / 4
    assert smallest_p_value(np.zeros((5, 2)), np.zeros(2), np.ones(2)).p_value == 1.0


def test_data_that_repeat_in_their_order():
    """x_i = x_{i + n/2}: pairs of these would be without contrast, were the samples not shuffled."""
    x = np.tile(np.linspace(0, 1, 1005), 2)
    y = np.sin(10 * x) + 0.3 * np.random.default_rng(0).normal(size=len(x))
    assert aggregated_test(x, y, num_permutations=19, key=jax.random.key(0)).p_value == 0.05


@pytest.mark.parametrize(
    ("estimator", "discrete"),
    [(kd.Unbiased(), False), (kd.Unbiased(), True), (kd.Incomplete(8), False)],
    ids=["heavy tails", "discrete", "incomplete"],
)
def test_level(estimator, discrete):
    generator, num, alpha = np.random.default_rng(5), 100, 0.2
    rejected = 0
    for seed in range(num):
        if discrete:
            x, y = generator.integers(0, 3, N), generator.integers(0, 2, N)
        else:
            x, y = generator.standard_cauchy(N), generator.normal(size=N)
        key = jax.random.key(seed)
        result = aggregated_test(x, y, KERNELS, KERNELS, estimator=estimator, num_permutations=P, alpha=alpha, key=key)
        rejected += result.rejected
    error = np.sqrt(num * alpha * (1 - alpha))
    assert rejected <= num * alpha + 3.3 * error
    if not discrete:  # then ties are rare, and the level is reached
        assert rejected >= num * alpha - 3.3 * error


def test_finds_what_a_median_bandwidth_misses():
    found, missed = 0, 0
    for seed in range(8):
        generator = np.random.default_rng(seed)
        x = generator.uniform(-np.pi, np.pi, 100)
        y = np.sin(4 * x) + 0.3 * generator.normal(size=100)
        key = jax.random.key(seed)
        found += aggregated_test(x, y, num_permutations=199, key=key).rejected
        missed += not permutation_test(x, y, num_permutations=199, key=key).rejected
    assert found >= 7
    assert missed >= 5


def test_result_names_the_best_pair_and_takes_any_kernels():
    x, _ = pair(2)
    labels = (x[:, 0] > 0).astype(int)
    result = aggregated_test(
        x, labels, [Laplace(1.0), Gaussian(1.0)], Label(), num_permutations=P, key=jax.random.key(0)
    )
    assert isinstance(result, TestResult)
    assert isinstance(result.settings["best pair"].parts[1], Label)
    assert "Label(same=1, different=0)" in str(result)
    assert result.settings["its own p-value"] == result.statistic == 1 / (1 + P)
    assert result.p_value <= 3 / (1 + P)
    again = aggregated_test(
        x, labels, [Laplace(1.0), Gaussian(1.0)], Label(), num_permutations=P, key=jax.random.key(0)
    )
    np.testing.assert_array_equal(again.null, result.null)


def test_default_collection_is_the_grid_of_both():
    x, y = pair(0)
    key = jax.random.key(1)
    grids = ([Gaussian(float(s)) for s in bandwidth_grid(values)] for values in (x, y))
    assert aggregated_test(x, y, num_permutations=P, key=key) == aggregated_test(
        x, y, *grids, num_permutations=P, key=key
    )


@pytest.mark.parametrize("estimator", [kd.Unbiased(), kd.Incomplete(8)], ids=["exact", "incomplete"])
def test_units_of_kernels_do_not_matter(estimator):
    x, y = pair(0)
    results = [
        aggregated_test(
            x, y, [a * k for k in KERNELS], KERNELS, estimator=estimator, num_permutations=P, key=jax.random.key(1)
        )
        for a in (1.0, 3e30)
    ]
    np.testing.assert_array_equal(results[0].null, results[1].null)
    assert results[0].p_value == results[1].p_value


def test_both_implementations_give_the_same_p_value():
    x, y = pair(3)
    results = [
        aggregated_test(x, y, KERNELS, KERNELS, num_permutations=P, implementation=name, key=jax.random.key(0))
        for name in ("auto", "xla")
    ]
    assert results[0].p_value == results[1].p_value


def test_bad_input(unhooked):
    x, y = pair(0)
    key = jax.random.key(0)
    for bad in ({"alpha": 0.0}, {"alpha": 1.0}, {"num_permutations": 0}, {"kernels_x": []}, {"key": None}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            aggregated_test(x, y, **{"key": key, **bad})
    for weights in (np.ones((2, 3)), np.zeros((2, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="weights"):
            aggregated_test(x, y, KERNELS, KERNELS, weights=weights, key=key)
    with pytest.raises(ValueError, match="NaN"):
        aggregated_test(np.where(x > 1, np.nan, x), y, key=key)
    with pytest.raises(ValueError, match="x has 24, y has 23"):
        aggregated_test(x, y[1:], key=key)
    with pytest.raises(ValueError, match="n ≥ 6"):
        aggregated_test(x[:5], y[:5], estimator=kd.Incomplete(2), key=key)
    with pytest.raises(TypeError, match="kernels_y"):
        aggregated_test(x, y, KERNELS, [Gaussian(1.0), 3.0], key=key)
    with pytest.raises(TypeError, match="estimator"):
        aggregated_test(x, y, estimator=kd.Block(8), key=key)
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: aggregated_test(x, y, key=key).statistic)(jnp.asarray(x))


def test_warnings():
    x, y = pair(0)
    key = jax.random.key(0)
    with pytest.warns(UserWarning, match="y is constant"):
        result = aggregated_test(x, np.ones(N), key=key)
    assert result.p_value == 1.0
    with pytest.warns(UserWarning, match="out of reach"):
        aggregated_test(x, y, KERNELS, KERNELS, num_permutations=9, key=key)
    with pytest.warns(UserWarning, match="out of reach"):  # 2³ sets of exchanges
        aggregated_test(x[:8], y[:8], KERNELS, KERNELS, estimator=kd.Incomplete(1), num_permutations=P, key=key)
