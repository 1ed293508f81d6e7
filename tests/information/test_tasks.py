"""Tasks have the information they say, by nearest neighbours, quadrature and Monte Carlo; closed forms of Gaussians."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import kerneldep as kd
from kerneldep.information import tasks
from kerneldep.information.tasks import (
    AdditiveUniform,
    CorrelatedGaussian,
    IntervalExchange,
    LabelledPopulation,
    StudentT,
    Transformed,
    gaussian_hsic,
    interleaved,
    maps,
)

from ..oracles import tasks as oracle

N = 3000
SUITE = {task.name: task for task in tasks.suite()}
every_task = pytest.mark.parametrize("name", SUITE)
tasks_with_density = pytest.mark.parametrize(
    "name", [name for name, task in SUITE.items() if isinstance(task, tasks.AbstractDensityTask)]
)


@functools.cache
def sample(name):
    """A sample of a task, drawn once."""
    return SUITE[name].sample(jax.random.key(0), N)


@every_task
def test_sampler(name):
    task, (x, y) = SUITE[name], sample(name)
    assert x.shape == (N, 2 if name == "swiss-roll" else 1)
    assert y.shape == (N, 1)
    assert x.dtype == y.dtype == jnp.float32
    assert jnp.isfinite(x).all()
    assert jnp.isfinite(y).all()
    again = task.sample(jax.random.key(0), N)
    assert all((one == other).all() for one, other in zip((x, y), again, strict=True))
    assert (task.sample(jax.random.key(1), N)[1] != y).any()
    assert isinstance(task.mutual_information, float)


@every_task
def test_information_by_another_way(name):
    """The k-nearest-neighbour estimate where densities exist, the plug-in of counts for the discrete ones."""
    x, y = (np.asarray(values, np.float64) for values in sample(name))
    discrete = isinstance(SUITE[name], LabelledPopulation)
    found = oracle.plug_in(x, y) if discrete else oracle.ksg(x, y)
    assert found == pytest.approx(SUITE[name].mutual_information, abs=0.01 if discrete else 0.06)


@tasks_with_density
def test_critic_is_the_log_density_ratio(name):
    """Its mean over the joint law is I, and that of its exponential over the product law is 1."""
    task = SUITE[name]
    x, y = (values[:1000] for values in sample(name))
    scores = np.asarray(task.critic(x, y), np.float64)
    assert scores.shape == (1000, 1000)
    pairs = scores.diagonal()
    assert np.isfinite(pairs).all()
    assert pairs.mean() == pytest.approx(task.mutual_information, abs=4 * pairs.std() / 1000**0.5 + 1e-6)
    # Off the diagonal are 10⁶ pairs, but of 1,000 x only: a block of rows at a time has its own mean.
    blocks = np.exp(scores[~np.eye(1000, dtype=bool)]).reshape(27, -1).mean(1)
    assert blocks.mean() == pytest.approx(1, abs=0.1)
    few = np.asarray(task.critic(x[:1000], y[:1000])[:3, :2])
    assert (few == scores[:3, :2].astype(np.float32)).all()


def test_suite_of_more_dimensions():
    wide = tasks.suite(2.0, dim=3)
    assert len({task.name for task in wide}) == len(wide) == len(SUITE)
    assert {task.mutual_information for task in wide[:8]} == {2.0}
    assert StudentT(5, 0.5, 3).mutual_information > 3 * -0.5 * math.log(1 - 0.5**2)


# Gaussians


def test_correlation_and_information_are_inverse():
    task = CorrelatedGaussian(4.0, dim=20)
    assert task.correlation == pytest.approx(math.sqrt(1 - math.exp(-2 * 4 / 20)), rel=1e-15)
    assert -20 / 2 * math.log(1 - task.correlation**2) == pytest.approx(task.mutual_information, rel=1e-14)
    assert CorrelatedGaussian.with_correlation(0.5, 3).mutual_information == pytest.approx(-1.5 * math.log(0.75))
    sharp = CorrelatedGaussian(18.0)
    assert sharp.conditional_variance == pytest.approx(math.exp(-36))  # 1 − ρ² from ρ would be 2.2e-16
    assert CorrelatedGaussian(0.0).correlation == 0


def test_gaussian_critic_is_the_conditional_over_the_marginal(x64):
    task = CorrelatedGaussian(2.0, dim=3)
    x, y = np.random.default_rng(0).normal(size=(2, 7, 3))
    y = y[:5]
    rho = task.correlation
    conditional = stats.norm.logpdf(y[None, :], rho * x[:, None], math.sqrt(1 - rho**2)).sum(-1)
    expected = conditional - stats.norm.logpdf(y).sum(-1)[None, :]
    assert np.asarray(task.critic(x, y)) == pytest.approx(expected, rel=1e-11)


def test_population_hsic_of_gaussians(x64):
    assert float(gaussian_hsic(0.5)) == pytest.approx(0.0107633201, abs=5e-11)
    assert float(CorrelatedGaussian.with_correlation(0.5).hsic()) == pytest.approx(0.0107633201, abs=5e-11)
    for rho, bandwidths, dim in [(0.5, (1, 1), 1), (-0.9, (0.7, 2.0), 1), (0.3, (1.5, 1.0), 4), (0.95, (3.0, 3.0), 20)]:
        expected = oracle.gaussian_hsic(rho, bandwidths, dim)
        assert float(gaussian_hsic(rho, *bandwidths, dim=dim)) == pytest.approx(expected, rel=1e-8), (rho, dim)


def test_population_hsic_at_its_ends(x64):
    power = 400 * math.log(1 / 3) - 200 * math.log(1 - 4 * 0.99**2 / 9)  # of the joint term, beside which the rest is 0
    assert float(gaussian_hsic(0.99, dim=400)) == pytest.approx(math.exp(power), rel=1e-10)
    narrow = jax.jit(jax.value_and_grad(lambda rho, wide: gaussian_hsic(rho, wide, wide), argnums=(0, 1)))
    for wide in (1e-10, 1e-170):  # whose square is 0 in doubles
        value, (of_rho, of_wide) = narrow(1.0, wide)
        assert float(value) == pytest.approx(wide / 2, rel=1e-8)
        assert math.isfinite(of_rho)
        assert float(of_wide) == pytest.approx(0.5, rel=1e-8)


def test_population_hsic_is_the_mean_of_the_unbiased_estimator():
    task = CorrelatedGaussian.with_correlation(0.8, dim=2)
    kernels = kd.kernels.Gaussian(1.0), kd.kernels.Gaussian(1.5)
    x, y = (values.reshape(100, 80, 2) for values in task.sample(jax.random.key(5), 8000))
    found = np.asarray(jax.jit(jax.vmap(lambda a, b: kd.hsic(a, b, *kernels)))(x, y), np.float64)
    truth = float(task.hsic(1.0, 1.5))
    assert found.mean() == pytest.approx(truth, abs=4 * found.std() / 10)
    assert found.std() / 10 < 0.05 * truth  # the comparison says something


def test_population_hsic_keeps_its_digits_near_independence():
    rho = 1e-4  # to second order HSIC = 2·½·ρ²·d·c^d/9 in one dimension
    assert float(gaussian_hsic(rho)) == pytest.approx(rho**2 / 27, rel=1e-6)
    assert float(gaussian_hsic(0.0)) == 0
    slopes = jax.grad(lambda r, a, b: gaussian_hsic(r, a, b), argnums=(0, 1, 2))(0.0, 1.0, 2.0)
    assert all(float(slope) == 0 for slope in slopes)


def test_variance_of_the_density_ratio():
    """NWJ's product term: e^{2I} − 1 a pair, by quadrature and from samples of the product law."""
    for rho in (0.3, 0.8):
        exact = CorrelatedGaussian.with_correlation(rho).ratio_variance
        assert oracle.second_moment_of_ratio(rho) - 1 == pytest.approx(exact, rel=1e-6)
    task, n = CorrelatedGaussian(0.2, dim=2), 64
    x, y = np.random.default_rng(1).normal(size=(2, 1 << 18, 2))
    rho, left = task.correlation, 1 - task.correlation**2
    ratio = np.exp(0.2 + ((rho * x * y) - rho**2 * (x**2 + y**2) / 2).sum(1) / left)
    assert ratio.reshape(-1, n).mean(1).var() == pytest.approx(task.ratio_variance / n, rel=0.1)


# Other closed forms


@pytest.mark.parametrize(("dof", "correlation"), [(1.0, 0.0), (5.0, 0.75), (40.0, -0.3)])
def test_student_information_by_quadrature(dof, correlation):
    expected = oracle.student_information(dof, correlation)
    assert StudentT(dof, correlation).mutual_information == pytest.approx(expected, abs=1e-9)


def test_student_information_by_monte_carlo_in_more_dimensions():
    dof, rho, dim = 4.0, 0.6, 3
    scale = np.eye(2 * dim) + rho * np.eye(2 * dim, k=dim) + rho * np.eye(2 * dim, k=-dim)
    joint = stats.multivariate_t(np.zeros(2 * dim), scale, dof)
    one = stats.multivariate_t(np.zeros(dim), np.eye(dim), dof)
    draws = joint.rvs(20_000, random_state=0)
    ratio = joint.logpdf(draws) - one.logpdf(draws[:, :dim]) - one.logpdf(draws[:, dim:])
    task = StudentT(dof, rho, dim)
    assert task.mutual_information == pytest.approx(ratio.mean(), abs=4 * ratio.std() / 20_000**0.5)
    assert np.asarray(task.critic(draws[:50, :dim], draws[:50, dim:])).diagonal() == pytest.approx(ratio[:50], abs=1e-4)


def test_student_critic_far_out():
    x, y = np.array([1e38, 1e25, 3.0]), np.array([-1e30, 1e25, 0.5])
    task = StudentT(1.0)
    scores = np.asarray(task.critic(x.astype(np.float32), y.astype(np.float32)))
    of_x, of_y = np.log1p(x**2)[:, None], np.log1p(y**2)[None, :]
    joint = np.log1p(x[:, None] ** 2 + y[None, :] ** 2)
    assert scores == pytest.approx(math.log(math.pi / 2) + of_x + of_y - 1.5 * joint, abs=1e-4)
    draws, _ = StudentT(0.3).sample(jax.random.key(0), 10_000)
    assert jnp.isfinite(draws).all()


def test_student_tends_to_the_gaussian():
    assert tasks.student_correction(3.0, 2, 5) == pytest.approx(tasks.student_correction(3.0, 5, 2), rel=1e-12)
    assert 0 < tasks.student_correction(1e3, 2, 2) < 1e-5
    assert tasks.student_correction(1.0, 1, 1) > tasks.student_correction(2.0, 1, 1) > 0


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.5, 0.75, 3.0])
def test_additive_uniform_information_by_quadrature(noise):
    expected = oracle.additive_uniform_information(noise)
    assert AdditiveUniform(noise).mutual_information == pytest.approx(expected, abs=1e-6)


# Maps


@pytest.mark.parametrize("name", ["cube", "normal_cdf", "asinh", "half_cube", "wiggle", "bimodal"])
def test_maps_increase(x64, name):
    x = jnp.linspace(-6, 6, 4001)[:, None]
    assert (jnp.diff(getattr(maps, name)(x), axis=0) > 0).all()


def test_bimodal_has_the_law_it_says(x64):
    x = np.linspace(-9, 9, 37)[:, None]
    z = np.asarray(maps.bimodal(jnp.asarray(x)))
    for sign in (1, -1):  # both tails to their own digits
        tail = maps.WEIGHT * special.ndtr(sign * (z - maps.LOW)) + (1 - maps.WEIGHT) * special.ndtr(
            sign * (z - maps.HIGH)
        )
        near = sign * x <= 0
        assert tail[near] == pytest.approx(special.ndtr(sign * x[near]), rel=1e-12)


def test_swiss_roll_is_injective():
    x = jnp.linspace(-4, 4, 1001)[:, None]
    radius = np.linalg.norm(maps.swiss_roll(x), axis=1)
    assert (np.diff(radius) > 0).all()
    assert radius[[0, -1]] == pytest.approx([1 / 3, 1], abs=1e-4)


def test_interval_exchange_is_a_bijection_and_keeps_the_uniform_law(x64):
    exchange = IntervalExchange.random(jax.random.key(0), 32)
    back = IntervalExchange(jnp.argsort(exchange.order))
    u = (jnp.arange(4096)[:, None] + 0.5) / 4096
    moved = exchange(u)
    assert np.asarray(back(moved)) == pytest.approx(np.asarray(u), abs=1e-14)
    assert np.sort(moved, axis=0) == pytest.approx(np.asarray(u), abs=1e-14)
    assert np.abs(moved - u).max() > 0.5
    with pytest.raises(ValueError, match="each of 0, …, K − 1 once"):
        IntervalExchange([0, 0, 1])


# Finite populations


def test_population_counts_points_that_share_a_place():
    population = LabelledPopulation([0.0, 0.0, 1.0, 2.0, 2.0, 2.0], [0, 1, 1, 0, 0, 1])
    table = np.array([[1, 1], [0, 1], [2, 1]]) / 6
    expected = sum(
        p * math.log(p / (table[i].sum() * table[:, j].sum())) for (i, j), p in np.ndenumerate(table) if p > 0
    )
    assert population.mutual_information == pytest.approx(expected, rel=1e-14)
    ratio = population.critic([1.0, 2.1], [[0.0], [1.0]])
    assert np.asarray(ratio) == pytest.approx(np.array([[-np.inf, math.log(2)], [math.log(4 / 3), math.log(2 / 3)]]))
    positives = np.array([[1 + 1, 1 + 0, 2 + 1], [1, 1, 1], [3, 1, 5]]) / 18  # Σ_c p(u | c)p(u′ | c)/2
    margin = positives.sum(1)
    by_hand = (positives * np.log(positives / np.outer(margin, margin))).sum()
    assert population.positive_information == pytest.approx(by_hand, rel=1e-12)


def test_interleaved_numbers_have_one_bit():
    for levels in (0, 1, 7, 32):
        population = interleaved(levels)
        assert population.mutual_information == pytest.approx(math.log(2), rel=1e-14)
        assert population.positive_information == pytest.approx(math.log(2), rel=1e-14)
    assert interleaved(0).views.shape == (2, 2, 1)
    assert interleaved(2).views[..., 0].T.tolist() == [[0, 2, 4], [1, 3, 5]]


# Input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CorrelatedGaussian(-1.0), "information is -1.0"),
        (lambda: CorrelatedGaussian(1.0, 0), "dim is 0"),
        (lambda: CorrelatedGaussian.with_correlation(1.0), "correlation is 1.0"),
        (lambda: StudentT(0.0), "dof is 0.0"),
        (lambda: StudentT(2.0, 1.0), "correlation is 1.0"),
        (lambda: AdditiveUniform(0.0), "noise is 0.0"),
        (lambda: gaussian_hsic(1.5), "correlation must lie"),
        (lambda: gaussian_hsic(0.5, 0.0), "bandwidth_x must be positive"),
        (lambda: CorrelatedGaussian(1.0).sample(jax.random.key(0), 0), "n is 0"),
        (lambda: CorrelatedGaussian(1.0).sample(None, 10), "key is missing"),
        (
            lambda: CorrelatedGaussian(1.0, 2).critic(np.ones((3, 2)), np.ones((3, 1))),
            "the task's are 2 and 2",
        ),
        (lambda: CorrelatedGaussian(1.0).critic([1.0, np.nan], [0.0]), "x holds NaN"),
        (lambda: LabelledPopulation([0.0, 1.0], [0, 2]), "classes must be 0"),
        (lambda: LabelledPopulation([0.0, 1.0], [0, 1, 1]), "2 points and 3 classes"),
        (lambda: LabelledPopulation([0.0, 1.0, 2.0], [0, 1, 1]).views, "equally large classes"),
        (lambda: interleaved(1).critic([0.0], [[2.0]]), "y must hold classes"),
        (lambda: interleaved(-1), "levels is -1"),
        (lambda: interleaved(1.5), "levels is 1.5"),
        (lambda: StudentT(2.0, 0.0, 1.5), "dim is 1.5"),
        (lambda: CorrelatedGaussian.with_correlation("a"), "correlation is 'a'"),
        (lambda: gaussian_hsic(0.5, dim=1.5), "dim is 1.5"),
        (lambda: IntervalExchange.random(None, 3), "key is missing"),
    ],
)
def test_bad_input_is_named(call, message, unhooked):
    with pytest.raises(ValueError, match=message):
        call()


def test_transformed_pairs_are_the_mapped_pairs():
    gaussian = CorrelatedGaussian(1.0)
    x, y = gaussian.sample(jax.random.key(2), N)
    cubed, same = Transformed(gaussian, maps.cube).sample(jax.random.key(2), N)
    assert (cubed == x**3).all()
    assert (same == y).all()
