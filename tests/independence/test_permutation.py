"""The permutation test: its null sample, its p-value, its level."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import kerneldep as kd
from kerneldep.independence import CircularShifts, Uniform, WholeBlocks, WithinStrata, permutation_test
from kerneldep.independence.arguments import generator
from kerneldep.independence.gram_sums import centred_gram, permuted_sums
from kerneldep.independence.permutations import permutation_p_value
from kerneldep.kernels import AutomaticRelevance, Gaussian, Label, Laplace, Linear

from ..registry import CROSSED

N = 24
FEATURES = [
    pytest.param(kd.RandomFourier(16), marks=pytest.mark.slow),
    kd.RandomFourier(16, unbiased=True),
    kd.Nystrom(5),
    pytest.param(kd.Nystrom(5, unbiased=True), marks=pytest.mark.slow),
]


def key() -> jax.Array:
    return jax.random.key(5)


def data(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, 3])
    x = rng.normal(size=(n, 2))
    return x, np.sin(2 * x[:, :1]) + 0.5 * rng.normal(size=(n, 1))


def drawn(scheme, num: int, n: int = N) -> np.ndarray:
    """The permutations that the test with `key()` draws."""
    return scheme.draw(n, num, generator(jax.random.split(key())[1], ""))


@pytest.mark.parametrize("case", CROSSED, ids=str)
def test_null_values_are_estimates_of_permuted_data(x64, case):
    estimator = case.estimator
    n = max(N, 2 * estimator.min_samples)
    x, y = data(n)
    kernels = Gaussian(1.3), Laplace(0.8)
    found = permutation_test(x, y, *kernels, estimator=estimator, num_permutations=3, alpha=0.5, key=key())
    prepared = estimator.prepare(*kernels, jnp.asarray(x), jnp.asarray(y), key=jax.random.split(key())[0])
    assert found.statistic == pytest.approx(float(estimator.statistic(prepared)), rel=1e-9, abs=1e-13)
    expected = [float(estimator.permuted(prepared, jnp.asarray(one))) for one in drawn(Uniform(), 3, n)]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("estimator", FEATURES, ids=str)
@pytest.mark.parametrize("n", [pytest.param(N, marks=pytest.mark.slow), N + 3])
def test_blocks_of_features_are_the_permutations_they_stand_for(x64, estimator, n):
    x, y = data(n)
    scheme = WholeBlocks(6)
    found = permutation_test(x, y, estimator=estimator, permutations=scheme, num_permutations=4, alpha=0.5, key=key())
    kernels = (Gaussian(kd.kernels.median_bandwidth(values)) for values in (x, y))
    prepared = estimator.prepare(*kernels, jnp.asarray(x), jnp.asarray(y), key=jax.random.split(key())[0])
    expected = [float(estimator.permuted(prepared, jnp.asarray(one))) for one in drawn(scheme, 4, n)]
    np.testing.assert_allclose(found.null, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("kind", ["numba", "xla"])
def test_sums_over_permuted_matrices(dtype, kind):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N, N)), rng.normal(size=(3, N, N))
    a, b = ((m + m.transpose(0, 2, 1)).astype(dtype) for m in (a, b))
    some = drawn(Uniform(), 20)
    expected = [[[(p * q[np.ix_(one, one)]).sum() for q in b] for p in a] for one in some]
    found = permuted_sums(jnp.asarray(a), jnp.asarray(b), some, kind)
    np.testing.assert_allclose(found, expected, atol=1e-3 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("estimator", [kd.Biased(), kd.Unbiased()], ids=str)
@pytest.mark.parametrize("kernel", [Gaussian(0.7), Label()], ids=["gaussian", "label"])
def test_both_implementations_give_one_p_value(dtype, estimator, kernel):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 3, size=(60, 1)).astype(dtype)
    y = np.where(rng.random((60, 1)) < 0.3, x, rng.integers(0, 3, size=(60, 1))).astype(dtype)
    options = {"estimator": estimator, "num_permutations": 200}
    ways = [
        permutation_test(x, y, kernel, kernel, **options, implementation=one, key=key()) for one in ("numba", "xla")
    ]
    assert ways[0].p_value == ways[1].p_value
    np.testing.assert_allclose(ways[0].null, ways[1].null, rtol=1e-3, atol=1e-7)


def test_ties_are_counted_as_integers_count_them():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 2, size=(2, 40))
    found = permutation_test(x, y, Label(), Label(), estimator=kd.Biased(), num_permutations=300, key=key())

    def of_table(y: np.ndarray) -> int:  # HSIC of two labels is a monotone function of this whole number
        return abs(40 * int((x * y).sum()) - int(x.sum()) * int(y.sum()))

    values = [of_table(y[one]) for one in drawn(Uniform(), 300, 40)]
    exceeding = sum(value >= of_table(y) for value in values)
    assert found.p_value == (1 + exceeding) / 301
    assert sum(value == of_table(y) for value in values) > 10  # or nothing would be shown


def test_centred_gram_sums_are_the_estimates(x64):
    x, y = data()
    for estimator in (kd.Biased(), kd.Unbiased()):
        unbiased = estimator.unbiased
        both = kd.Unbiased().prepare(Gaussian(1.0), Laplace(1.0), jnp.asarray(x), jnp.asarray(y))
        a, b = (np.asarray(centred_gram(one, unbiased)) for one in both)
        np.testing.assert_allclose(a.sum(0), 0, atol=1e-12)
        factor = 1 / (N * (N - 3)) if unbiased else 1 / N**2
        assert factor * (a * b).sum() == pytest.approx(float(estimator.statistic(both)), rel=1e-11)


def test_stopping_after_so_many():
    null = np.array([0.0, 2.0, 1.0, 3.0, 0.0])
    assert permutation_p_value(1.0, null, 0.0) == 4 / 6
    assert permutation_p_value(1.0, null, 0.0, stop_after=2) == 2 / 3
    assert permutation_p_value(2.5, null, 0.0, stop_after=2) == 2 / 6
    x = np.random.default_rng(0).normal(size=(2, 50))
    found = permutation_test(*x, num_permutations=1000, stop_after=5, key=key())
    assert len(found.null) == 100
    whole = permutation_test(*x, num_permutations=1000, key=key())
    fifth = np.nonzero(found.null >= found.statistic)[0][4] + 1
    assert found.p_value == 5 / fifth
    assert abs(found.p_value - whole.p_value) < 0.3


def spread_difference(x: np.ndarray, y: np.ndarray) -> float:
    return abs(scipy.stats.spearmanr(x[:, 0], y[:, 0])[0])


@pytest.mark.parametrize("statistic", [kd.cka, kd.coco, spread_difference], ids=["cka", "coco", "numpy"])
def test_any_function_of_both_samples(statistic):
    x, y = data()
    found = permutation_test(x, y, statistic=statistic, num_permutations=5, alpha=0.5, key=key())
    expected = [float(statistic(x, y[one])) for one in drawn(Uniform(), 5)]
    np.testing.assert_allclose(found.null, expected, rtol=1e-3, atol=1e-5)
    assert found.settings["measure"] == statistic.__name__


def test_schemes_draw_from_their_sets():
    random = np.random.default_rng(0)
    labels = np.array(list("aabbbbcccc"))
    some = WithinStrata(labels).draw(10, 50, random)
    assert (labels[some] == labels).all()
    assert len(np.unique(some, axis=0)) > 40
    assert WithinStrata(labels).count(10) == 2 * 24 * 24
    blocks = WholeBlocks(3).draw(11, 50, random)
    assert (blocks[:, 9:] == [9, 10]).all()
    assert (np.diff(blocks[:, :9].reshape(50, 3, 3), axis=2) == 1).all()
    assert {tuple(one[:9:3] // 3) for one in blocks} == set(itertools.permutations(range(3)))
    shifts = CircularShifts(3).draw(10, 50, random)
    assert set(shifts[:, 0]) == {0, 3, 4, 5, 6, 7}
    assert (shifts == (shifts[:, :1] + np.arange(10)) % 10).all()
    assert CircularShifts(3).count(10) == 6
    assert (np.sort(Uniform().draw(10, 50, random)) == np.arange(10)).all()
    with pytest.raises(ValueError, match="10 labels for n = 11"):
        WithinStrata(labels).draw(11, 1, random)
    with pytest.raises(ValueError, match="leave no shift"):
        permutation_test(*data(10), permutations=CircularShifts(6), key=key())
    with pytest.raises(ValueError, match="fewer blocks"):
        WholeBlocks(12).draw(10, 1, random)


def test_shifts_hold_the_level_of_series_that_permutations_lose():
    rng = np.random.default_rng(6)

    def walk() -> np.ndarray:
        noise, series = rng.normal(size=150), np.zeros(150)
        for t in range(1, 150):
            series[t] = 0.9 * series[t - 1] + noise[t]
        return series

    keys = jax.random.split(key(), 30)
    kernel = Gaussian(2.0)
    pairs = [(walk(), walk()) for _ in keys]
    rejections = {}
    for scheme in (Uniform(), CircularShifts(20)):
        tests = [
            permutation_test(*pair, kernel, kernel, permutations=scheme, num_permutations=99, key=one)
            for pair, one in zip(pairs, keys, strict=True)
        ]
        rejections[type(scheme)] = np.mean([one.rejected for one in tests])
    assert rejections[Uniform] > 0.4
    assert rejections[CircularShifts] < 0.2


def test_a_statistic_that_is_not_finite_under_a_permutation_is_refused():
    x, y = np.random.default_rng(9).normal(size=(2, 20))
    with pytest.raises(ValueError, match="not finite under 9"):
        permutation_test(x, y, statistic=lambda _, one: jnp.where(one[0, 0] == y[0], 0, jnp.nan), key=key())


def test_nothing_left_after_centring_is_a_tie():
    """One sample apart from all others, which are equal: every U-statistic is 0, but for rounding."""
    x, y = np.zeros(30), np.random.default_rng(10).normal(size=30)
    x[3] = 1
    assert permutation_test(x, y, num_permutations=19, key=key()).p_value == 1


def test_heavy_tails_are_no_ties():
    """With features what rounding does is relative to their products, of which an outlier's square is not one."""
    a, b = np.random.default_rng(1).normal(size=(2, 200))
    x, y = np.exp(3 * a), np.exp(3 * (0.9 * a + 0.44 * b))
    assert permutation_test(x, y, Linear(), Linear(), num_permutations=99, key=key()).p_value == 0.01


def test_kernels_that_overflow_are_refused():
    x, y = np.random.default_rng(2).normal(size=(2, 30))
    for estimator in (kd.Unbiased(), kd.Block(6)):
        with pytest.raises(ValueError, match="statistic is not finite"):
            permutation_test(x, 1e19 * y, Linear(), Linear(), estimator=estimator, key=key())


def test_parameters_longer_than_the_sample(x64):
    rng = np.random.default_rng(11)
    kernel = AutomaticRelevance(Gaussian(1.0), np.full(40, 6.0))
    options = {"estimator": kd.Incomplete(3), "num_permutations": 19}
    assert 0 < permutation_test(rng.normal(size=(24, 40)), rng.normal(size=24), kernel, **options, key=key())[1] <= 1


def test_a_statistic_that_refuses_to_be_traced_is_called_as_it_is():
    x, y = np.random.default_rng(12).normal(size=(2, 24))
    assert 0 < permutation_test(x, y, statistic=kd.information.ksg, num_permutations=19, key=key())[1] <= 1


@pytest.mark.parametrize("error", [TypeError, RuntimeError])
def test_errors_of_a_statistic_come_out(error):
    def fails(x, y):
        raise error("of its own")

    with pytest.raises(error, match="of its own"):
        permutation_test(*data(), statistic=fails, key=key())


def test_few_shifts_give_no_small_p_value():
    """Twelve shifts, of which the observed is the largest in one of twelve draws, however many are drawn."""
    rng = np.random.default_rng(8)
    with pytest.warns(UserWarning, match="below 0.0833 is possible"):
        p_values = [
            permutation_test(*rng.normal(size=(2, 12)), permutations=CircularShifts(), num_permutations=499, key=one)[1]
            for one in jax.random.split(key(), 40)
        ]
    assert min(p_values) > 0.05


def test_strata_see_only_what_is_left_within():
    rng = np.random.default_rng(7)
    groups = rng.integers(0, 2, size=80)
    x, y = groups[:, None] * 3 + rng.normal(size=(2, 80, 1))
    assert permutation_test(x, y, key=key(), num_permutations=199).p_value < 0.01
    assert permutation_test(x, y, permutations=WithinStrata(groups), key=key(), num_permutations=199).p_value > 0.05


def test_bad_input(unhooked):
    x, y = data()
    for message, options in {
        "num_permutations is 0": {"num_permutations": 0},
        "alpha is 1": {"alpha": 1},
        "alpha is 0": {"alpha": 0.0},
        "stop_after is 0": {"stop_after": 0},
        "implementation is 'c'": {"implementation": "c"},
        "give it its kernels": {"statistic": kd.cka, "kernel_x": Linear()},
        r"is \[0. 1.\]: one finite": {"statistic": lambda x, y: np.arange(2.0)},
        "is nan: one finite": {"statistic": lambda x, y: np.nan},
    }.items():
        with pytest.raises(ValueError, match=message):
            permutation_test(x, y, **options, key=key())
    with pytest.raises(ValueError, match="key is missing"):
        permutation_test(x, y)
    with pytest.raises(ValueError, match="paired samples"):
        permutation_test(x, y[1:], key=key())
    with pytest.raises(TypeError, match="statistic is 'cka'"):
        permutation_test(x, y, statistic="cka", key=key())
    with pytest.raises(TypeError, match="permutations is 5"):
        permutation_test(x, y, permutations=5, key=key())
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: permutation_test(x, y, key=key()).p_value)(x)
    with pytest.raises(ValueError, match="NaN"):
        permutation_test(np.where(x > 1, np.nan, x), y, key=key())


def test_constant_samples_and_levels_out_of_reach_warn():
    x, y = data()
    with pytest.warns(UserWarning, match="y is constant") as caught:
        assert permutation_test(x, np.ones(N), key=key()).p_value == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=r"below 0.1 is possible with n = 24 and 9"):
        permutation_test(x, y, num_permutations=9, key=key())
    with pytest.warns(UserWarning, match="out of reach"):
        permutation_test(x[:3], y[:3], estimator=kd.Biased(), key=key())
    with pytest.warns(UserWarning, match="out of reach"):
        permutation_test(x, y, permutations=WholeBlocks(3), key=key())


def test_duplicated_rows_and_offsets():
    x, y = data()
    x, y = np.tile(x, (2, 1)), np.tile(y, (2, 1))
    for offset in (0.0, 1e6):
        assert 0 < permutation_test(x + offset, y, num_permutations=99, key=key()).p_value <= 1


@pytest.mark.parametrize("estimator", [None, kd.Block(12), kd.Nystrom(5)], ids=str)
def test_the_unit_does_not_matter(estimator):
    x, y = data()
    options = {"estimator": estimator, "num_permutations": 99}
    plain = permutation_test(x, y, Linear(), Linear(), **options, key=key())
    scaled = permutation_test(1e9 * x, 1e-9 * y, Linear(), Linear(), **options, key=key())
    assert scaled.p_value == pytest.approx(plain.p_value, abs=0.02)


def test_the_result():
    result = permutation_test(*data(), key=key())
    statistic, p_value = result
    assert (statistic, p_value) == (result.statistic, result.pvalue) == (result[0], result[1])
    assert result.rejected == (p_value <= 0.05)
    assert "Permutation test of independence" in str(result)
    assert "1,000" in str(result)
    assert "<table>" in result._repr_html_()
    with pytest.raises(AttributeError):
        result.p_value = 0.0
