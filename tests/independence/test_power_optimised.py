"""Tests with trained kernels and critics: the criterion, what the other part of the samples sees, level and power."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kerneldep.independence import permutation_test, power_optimised_test
from kerneldep.independence.permutations import Uniform
from kerneldep.independence.power_optimised import signal_to_noise
from kerneldep.independence.training import judged, num_trained
from kerneldep.information import Bilinear
from kerneldep.kernels import AutomaticRelevance, Deep, Gaussian, Label, Laplace
from tests.oracles import hsic as oracle

N, P = 48, 39
KERNELS = Gaussian(0.5), Gaussian(1.0)


def pair(seed, n=N):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 1))
    return x, np.sin(3 * x) + 0.5 * generator.normal(size=(n, 1))


def generator_of(key):
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def halves(x, y, seed, by_permutation_test=False):
    """The parts that the test trains on and tests, and the permutations of the second."""
    key_split, _, key_test = jax.random.split(jax.random.key(seed), 3)
    if by_permutation_test:
        _, key_test = jax.random.split(key_test)
    order = generator_of(key_split).permutation(len(x))
    half = len(x) // 2
    permutations = Uniform().draw(len(x) - half, P, generator_of(key_test))
    return (x[order[:half]], y[order[:half]]), (x[order[half:]], y[order[half:]]), permutations


def p_value(statistic, null):
    return (1 + sum(null >= statistic - 1e-9)) / (1 + len(null))


def gram(x, bandwidth):
    return np.exp(-((x - x.T) ** 2) / (2 * bandwidth**2))


def test_criterion_is_hsic_over_its_deviation(x64):
    x, y = pair(0, 12)
    k, l = gram(x, 0.5), gram(y, 1.0)
    deviation = 4 * oracle.hsic_projected_cores(k, l).std()
    expected = oracle.hsic_unbiased(k, l) / np.hypot(deviation, 1e-4)
    value = float(judged(signal_to_noise, KERNELS, jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    scaled = judged(signal_to_noise, (4.0 * KERNELS[0], KERNELS[1]), jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(float(scaled), value, rtol=1e-10)  # the regulariser is in the kernels' units


def test_criterion_at_collapse_is_zero_with_finite_gradients():
    x, y = (jnp.asarray(values, jnp.float32) for values in pair(0))
    compiled = eqx.filter_jit(jax.value_and_grad(signal_to_noise))
    for features in (jnp.round(x), jnp.ones_like(x)):
        value, gradient = compiled(KERNELS, features, y)
        assert all(np.isfinite(leaf) for leaf in jax.tree.leaves((value, gradient)))
    assert float(value) == 0


def test_tests_the_rest_with_the_kernels_chosen(x64):
    x, y = pair(1)
    result = power_optimised_test(x, y, *KERNELS, num_steps=20, num_permutations=P, key=jax.random.key(0))
    training, (x_test, y_test), permutations = halves(x, y, 0, by_permutation_test=True)
    k, l = (float(kernel.bandwidth) for kernel in result.settings["chosen"].parts)
    gram_x, gram_y = gram(x_test, k), gram(y_test, l)
    null = np.array([oracle.hsic_unbiased(gram_x, gram_y[np.ix_(order, order)]) for order in permutations])
    np.testing.assert_allclose(result.statistic, oracle.hsic_unbiased(gram_x, gram_y), rtol=1e-9)
    np.testing.assert_allclose(result.null, null, rtol=1e-6, atol=1e-12)
    assert result.p_value == p_value(result.statistic, null)
    assert result.n == N // 2
    start, kept = result.settings["objective at the start"], result.settings["objective kept"]
    chosen = result.settings["chosen"].parts
    np.testing.assert_allclose(start, float(judged(signal_to_noise, KERNELS, *map(jnp.asarray, training))), rtol=1e-9)
    np.testing.assert_allclose(kept, float(judged(signal_to_noise, chosen, *map(jnp.asarray, training))), rtol=1e-9)
    assert kept > start
    assert f"Gaussian(bandwidth={k:.4g}), Gaussian(bandwidth={l:.4g})" in str(result)


@pytest.mark.parametrize("objective", ["infonce", "nwj"])
def test_critics_are_tested_by_their_mean_score(x64, objective):
    x, y = pair(2)
    result = power_optimised_test(
        x,
        y,
        objective=objective,
        critic=Bilinear(1, 1, key=jax.random.key(5)),
        num_steps=10,
        batch_size=16,
        num_permutations=P,
        key=jax.random.key(1),
    )
    _, (x_test, y_test), permutations = halves(x, y, 1)
    scores = float(result.settings["chosen"].parts[0].weight[0, 0]) * x_test @ y_test.T
    indices = np.arange(len(x_test))
    null = np.array([scores[indices, order].mean() for order in permutations])
    np.testing.assert_allclose(result.statistic, np.trace(scores) / len(scores), rtol=1e-9)
    np.testing.assert_allclose(result.null, null, rtol=1e-9)

    def bound(scores):  # all but the trace stays when columns are permuted
        if objective == "nwj":
            return np.trace(scores) / len(scores) - np.exp(scores - 1).mean()
        return np.trace(scores) / len(scores) - np.log(np.exp(scores).mean(1)).mean()

    of_bound = np.array([bound(scores[:, order]) for order in permutations])
    assert result.p_value == p_value(result.statistic, null) == p_value(bound(scores), of_bound)


def test_default_critic_takes_the_data_as_they_are():
    x, y = pair(3)
    results = [
        power_optimised_test(x + offset, y, objective="infonce", num_steps=4, num_permutations=P, key=jax.random.key(2))
        for offset in (0, 1e4)
    ]
    assert results[0].p_value == results[1].p_value
    assert results[1].statistic == pytest.approx(results[0].statistic, rel=1e-3)
    (critic,) = results[1].settings["chosen"].parts
    _, (x_test, y_test), _ = halves(x + 1e4, y, 2)
    assert float(jnp.diagonal(critic(x_test, y_test)).mean()) == pytest.approx(results[1].statistic, rel=1e-3)


def test_learned_kernels_find_what_a_median_bandwidth_misses():
    found, missed = 0, 0
    for seed in range(5):
        generator = np.random.default_rng(seed)
        x = generator.uniform(-np.pi, np.pi, 120)
        y = np.sin(4 * x) + 0.3 * generator.normal(size=120)
        found += power_optimised_test(x, y, num_steps=50, num_permutations=199, key=jax.random.key(seed)).rejected
        missed += not permutation_test(x, y, num_permutations=199, key=jax.random.key(seed)).rejected
    assert found >= 4
    assert missed >= 3


@pytest.mark.slow
def test_level():
    generator, num, alpha = np.random.default_rng(5), 60, 0.2
    optimiser = optax.sgd(1.0)
    rejected = 0
    for seed in range(num):
        x, y = generator.standard_cauchy(N), generator.normal(size=N)
        result = power_optimised_test(
            x,
            y,
            *KERNELS,
            num_steps=1,
            optimiser=optimiser,
            num_permutations=P,
            alpha=alpha,
            key=jax.random.key(seed),
        )
        rejected += result.rejected
    assert abs(rejected - num * alpha) <= 3.3 * np.sqrt(num * alpha * (1 - alpha))


def test_a_step_that_is_not_finite_keeps_the_best():
    x, y = pair(4)
    result = power_optimised_test(
        x, y, *KERNELS, num_steps=10, optimiser=optax.sgd(1e38), num_permutations=P, key=jax.random.key(0)
    )
    assert [float(kernel.bandwidth) for kernel in result.settings["chosen"].parts] == [0.5, 1.0]
    assert result.settings["objective kept"] == result.settings["objective at the start"]
    assert np.isfinite(result.null).all()


def test_what_is_trained():
    network = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
    deep, relevance = Deep(network, Laplace(1.0)), AutomaticRelevance(Gaussian(1.0), [1.0, 1.0])
    weights = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_array)))
    assert num_trained((deep, 2.0 * relevance)) == (1 + 2 + 1 + 1, weights)
    assert num_trained((Label(), Label())) == (0, 0)


def test_deep_kernels_and_relevant_coordinates():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 2))
    y = x[:, 0] ** 2 + 0.1 * generator.normal(size=80)
    relevance = AutomaticRelevance(Gaussian(1.0), [1.0, 1.0])
    deep = Deep(eqx.nn.MLP(1, 3, 4, 1, key=jax.random.key(0)), Gaussian(1.0))
    result = power_optimised_test(
        x, y, relevance, deep, num_steps=40, learning_rate=0.05, num_permutations=P, key=jax.random.key(0)
    )
    of_x, of_y = result.settings["chosen"].parts
    assert of_x.length_scales[0] < of_x.length_scales[1]  # the second coordinate tells nothing
    assert not jnp.array_equal(of_y.network.layers[0].weight, deep.network.layers[0].weight)
    assert "MLP(23 parameters)" in str(result)
    assert result.p_value == 1 / (1 + P)


def test_bad_input(unhooked):
    x, y = pair(0)
    critic = Bilinear(1, 1, key=jax.random.key(0))
    for bad in (
        {"alpha": 0.0},
        {"num_permutations": 0},
        {"num_steps": -1},
        {"train_share": 1.0},
        {"train_share": 0.9},
        {"validation": 1.5},
        {"learning_rate": -1.0},
        {"objective": "mine"},
        {"critic": critic},
        {"key": None},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            power_optimised_test(x, y, **{"key": jax.random.key(0), **bad})
    with pytest.raises(ValueError, match="takes no kernels"):
        power_optimised_test(x, y, Gaussian(1.0), objective="nwj", critic=critic, key=jax.random.key(0))
    with pytest.raises(ValueError, match="nothing to train"):
        power_optimised_test(x > 0, y > 0, Label(), Label(), key=jax.random.key(0))
    with pytest.raises(TypeError, match="optimiser"):
        power_optimised_test(x, y, optimiser=3, key=jax.random.key(0))
    with pytest.raises(TypeError, match="kernel_x"):
        power_optimised_test(x, y, 3.0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="n ≥ 16"):
        power_optimised_test(x[:10], y[:10], key=jax.random.key(0))
    with pytest.raises(TypeError, match="x is traced"):
        jax.jit(lambda x: power_optimised_test(x, y, key=jax.random.key(0)).statistic)(jnp.asarray(x))
    with pytest.warns(UserWarning, match="x is constant"):
        assert power_optimised_test(np.ones(N), y, key=jax.random.key(0)).p_value == 1.0
    with pytest.warns(UserWarning, match="out of reach"):
        power_optimised_test(x, y, *KERNELS, num_steps=0, num_permutations=9, key=jax.random.key(0))
