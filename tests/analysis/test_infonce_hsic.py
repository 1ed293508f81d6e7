"""InfoNCE beside HSIC: I1 to I6 of the theory, on finite populations and against the 60-digit reference."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from kerneldep.analysis import codebook_views, infonce_hsic, reachable_infonce
from kerneldep.analysis.infonce_hsic import (
    exponential_remainder,
    log_upper_bound,
    lower_factor,
    remainder_ratio,
)
from kerneldep.analysis.reachable_infonce import uniform_ceiling
from kerneldep.kernels import Gaussian, Linear
from kerneldep.objectives.infonce import infonce_terms

from ..oracles import infonce as oracle
from ..oracles import kernels as oracle_kernels
from ..oracles import ssl
from ..populations import unit_views

QUANTITIES = {
    "dependence": oracle.dep,
    "self_dependence": lambda gram, _: oracle.self_hsic(gram),
    "mean_variance": lambda gram, _: oracle.mean_variance(gram),
    "infonce": oracle.infonce,
    "gap": oracle.gap,
    "range": lambda gram, _: oracle.range_of(gram),
    "lower_hsic": lambda gram, _: oracle.sandwich(gram)["lower_hsic"],
    "lower_variance": lambda gram, _: oracle.sandwich(gram)["lower_variance"],
    "upper_log": lambda gram, _: oracle.sandwich(gram)["upper_log"],
    "upper_hoeffding": lambda gram, _: oracle.sandwich(gram)["upper_hoeffding"],
    "expansion_error_bound": lambda gram, _: np.mean(np.ptp(gram, axis=1) ** 3) / (36 * math.sqrt(3)),
}


@pytest.mark.parametrize("temperature", [0.05, 0.5, 10.0])
def test_every_quantity_is_the_reference(x64, temperature):
    views = unit_views(0, 3, 5, 4)
    flat, identity = ssl.flatten_views(views)
    gram = oracle_kernels.gram(oracle_kernels.cosine, flat, flat) / temperature
    found = infonce_hsic(views, temperature)
    for name, reference in QUANTITIES.items():
        assert float(getattr(found, name)) == pytest.approx(reference(gram, identity), rel=1e-11, abs=1e-14), name


def test_float32_keeps_the_digits_of_a_tiny_gap():
    views = unit_views(0, 3, 50, 8)
    flat, identity = ssl.flatten_views(views)
    gap = oracle.gap(oracle_kernels.gram(oracle_kernels.cosine, flat, flat) / 100, identity)  # about 10⁻⁵
    assert float(infonce_hsic(views.astype(np.float32), 100.0).gap) == pytest.approx(gap, rel=2e-5)


def test_any_bounded_kernel(x64):
    views = unit_views(1, 2, 6, 3)
    flat, identity = ssl.flatten_views(views)
    gram = 4 * oracle_kernels.gram(lambda x, y: oracle_kernels.gaussian(x, y, 0.7), flat, flat)
    found = infonce_hsic(views, kernel=4.0 * Gaussian(0.7))
    for name, reference in QUANTITIES.items():
        assert float(getattr(found, name)) == pytest.approx(reference(gram, identity), rel=1e-11, abs=1e-14), name


def populations(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Views [number, 2, 6, 3] of random spread, and temperatures from 0.02 to 200."""
    rng = np.random.default_rng(seed)
    draws = zip(rng.integers(2**31, size=number), rng.uniform(0, 3, number), strict=True)
    views = [unit_views(int(one_seed), 2, 6, 3, spread) for one_seed, spread in draws]
    return np.stack(views), np.exp(rng.uniform(math.log(0.02), math.log(200), number))


def test_i1_i3_i4_on_a_thousand_random_populations(x64):
    views, temperatures = populations(0, 1000)
    found = jax.jit(jax.vmap(infonce_hsic))(jnp.asarray(views), jnp.asarray(temperatures))
    rounding = 1 + 1e-12
    assert (found.gap >= 0).all()  # I1: L ≥ −dep
    assert np.asarray(found.infonce) == pytest.approx(np.asarray(found.gap - found.dependence), rel=1e-12)
    assert (found.mean_variance * rounding >= found.self_dependence).all()  # I3
    assert (found.lower_hsic <= found.lower_variance * rounding).all()  # I4, left to right
    assert (found.lower_variance <= found.gap * rounding).all()
    assert (found.gap <= found.upper_log * rounding).all()
    assert (found.gap <= found.upper_hoeffding * rounding).all()
    assert (found.lower <= found.gap * rounding).all()
    assert (found.gap <= found.upper * rounding).all()
    error = np.abs(np.asarray(found.gap - found.half_variance))
    assert (error <= np.asarray(found.expansion_error_bound) * rounding + 1e-16).all()  # I2 and I5
    assert (found.expansion_error_bound <= found.range**3 / (36 * 3**0.5) * rounding).all()
    # Both ends are close somewhere: the test could fail.
    assert float((found.lower_variance / found.gap).max()) > 0.99
    assert float((found.gap / found.upper).max()) > 0.99


def test_i3_variance_is_self_dependence_where_mean_similarity_is_constant(x64):
    angles = 2 * np.pi * np.arange(12) / 12  # uniform on the circle, whatever the assignment to images
    circle = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(2, 6, 2)
    found = infonce_hsic(circle, 0.5)
    assert float(found.mean_variance) == pytest.approx(float(found.self_dependence), rel=1e-12)
    uneven = infonce_hsic(unit_views(2, 2, 6, 2), 0.5)
    assert float(uneven.mean_variance) > 1.01 * float(uneven.self_dependence)


def test_i2_expansion_error_falls_like_the_cube_of_the_temperature(x64):
    views = unit_views(3, 2, 20, 5)
    errors = [abs(float(found.gap - found.half_variance)) for found in (infonce_hsic(views, t) for t in (50.0, 100.0))]
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)  # κ₃/6 ∝ τ⁻³ leads
    usual = infonce_hsic(views, 0.1)
    assert abs(float(usual.half_variance / usual.gap) - 1) > 0.2  # and the expansion fails at usual temperatures


def test_i5_lower_temperature_weighs_the_regulariser(x64):
    views = unit_views(4, 2, 20, 6)
    cosine = infonce_hsic(views, 1.0)
    for temperature in (0.1, 0.5, 20.0, 40.0):
        found = infonce_hsic(views, temperature)
        expansion = -float(cosine.dependence) + float(cosine.mean_variance) / (2 * temperature)
        assert temperature * float(found.expansion) == pytest.approx(expansion, rel=1e-11)
        bound = float(cosine.expansion_error_bound) / temperature**2  # E R_cos³/(36√3 τ²)
        assert temperature * float(found.expansion_error_bound) == pytest.approx(bound, rel=1e-11)
        assert abs(temperature * float(found.infonce) - expansion) <= bound


def test_i5_equivalent_gamma(x64):
    views = unit_views(4, 2, 20, 6)
    for temperature in (0.1, 20.0):
        found = infonce_hsic(views, temperature)
        loss = -found.dependence + found.equivalent_gamma * jnp.sqrt(found.self_dependence)
        assert float(loss) == pytest.approx(float(found.infonce), rel=1e-12)
    angles = 2 * np.pi * np.arange(40) / 40  # constant mean similarity: γ → √HSIC_cos(Z, Z)/(2τ), HSIC_cos = ½
    circle = infonce_hsic(np.stack([np.cos(angles), np.sin(angles)], -1).reshape(2, 20, 2), 50.0)
    assert float(circle.equivalent_gamma) == pytest.approx(0.5**0.5 / 100, rel=1e-4)


def test_third_central_moment_on_an_interval(x64):
    # Two points of mass p and 1 − p a distance R apart have p(1 − p)(1 − 2p)R³, at most R³/6√3 at p = ½ − ½/√3.
    p = np.linspace(0, 1, 200_001)
    third = p * (1 - p) * (1 - 2 * p)
    assert third.max() == pytest.approx(1 / (6 * math.sqrt(3)), rel=1e-9)
    assert p[third.argmax()] == pytest.approx(0.5 - 0.5 / math.sqrt(3), abs=1e-5)
    rng = np.random.default_rng(0)
    values, weights = rng.beta(0.3, 0.3, size=(20_000, 5)), rng.dirichlet(np.full(5, 0.3), size=20_000)
    centred = values - (weights * values).sum(1, keepdims=True)
    moments = np.abs((weights * centred**3).sum(1)) / np.ptp(values, axis=1) ** 3
    assert 0.9 < moments.max() * 6 * math.sqrt(3) <= 1  # no law has more, some nearly as much
    # And where the tilted law stays near that one, Λ − ½Var is nearly the bound R³/(36√3).
    low, r = third.argmax(), 1e-2
    law = np.array([p[low], 1 - p[low]])
    u = np.array([1 - p[low], -p[low]]) * r
    error = math.log(law @ np.exp(u)) - 0.5 * law @ u**2
    assert error == pytest.approx(r**3 / (36 * math.sqrt(3)), rel=0.02)


def test_i6_stated_ceilings(x64):
    ceilings = np.asarray(reachable_infonce(1024, np.array([0.1, 0.2, 0.5])))
    assert ceilings == pytest.approx([6.89, 4.87, 2.00], abs=5e-3)
    assert math.log(1024) == pytest.approx(6.93, abs=5e-3)
    assert (ceilings < math.log(1024)).all()
    k, tau = 7, 0.3
    assert float(reachable_infonce(k, tau)) == pytest.approx(
        math.log(k) - math.log(1 + (k - 1) * math.exp(-k / ((k - 1) * tau))), rel=1e-13
    )


def log_k_less_loss(views: jax.Array, temperature: float) -> jax.Array:
    """log K − L_K of views [2, K, d], the anchors and their candidates."""
    scores = views[0] @ views[1].T / temperature
    return math.log(len(scores)) - (jax.nn.logsumexp(scores, axis=1) - jnp.diagonal(scores)).mean()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_i6_a_regular_simplex_reaches_the_ceiling(x64, temperature):
    simplex = np.eye(6) - 1 / 6  # in 5 of its 6 dimensions
    simplex = np.stack([simplex, simplex]) / np.linalg.norm(simplex[0])
    ceiling = float(reachable_infonce(6, temperature, dim=5))
    assert float(log_k_less_loss(jnp.asarray(simplex), temperature)) == pytest.approx(ceiling, rel=1e-12)
    positive, log_denominator = infonce_terms(jnp.asarray(simplex), temperature, "in_batch")
    assert math.log(6) - float(log_denominator - positive) == pytest.approx(ceiling, rel=1e-12)
    assert ceiling == float(reachable_infonce(6, temperature))
    one_less = float(log_k_less_loss(codebook_views(6), temperature))  # orthogonal codes need one dimension more
    assert one_less < ceiling


@pytest.fixture(scope="module")
def climb():
    """Gradient ascent of log K − L_K over two free unit vectors an image, from two random starts at once."""

    @jax.jit
    def best(start, temperature):
        def value(free):
            return log_k_less_loss(free / jnp.linalg.norm(free, axis=-1, keepdims=True), temperature)

        def step(free, _):
            moved = free + 4 * temperature * jax.grad(value)(free)
            return moved / jnp.linalg.norm(moved, axis=-1, keepdims=True), None

        def run(free):
            return value(jax.lax.scan(step, free, None, length=600)[0])

        return jax.lax.map(run, start).max()

    return best


@pytest.mark.parametrize(("dim", "temperature"), [(5, 0.3), (5, 1.0), (2, 0.1), (2, 0.3), (2, 1.0)])
def test_i6_direct_optimisation(x64, climb, dim, temperature):
    start = np.random.default_rng(0).normal(size=(2, 2, 6, 5))
    start[..., dim:] = 0  # stays 0: one program for both dimensions
    found, ceiling = float(climb(start, temperature)), float(reachable_infonce(6, temperature, dim))
    assert found <= ceiling + 1e-12
    if dim == 5:  # K − 1: reached
        assert found == pytest.approx(ceiling, rel=1e-4)
    else:  # an upper bound only, below the simplex's where many points share few dimensions
        angles = 2 * np.pi * np.arange(6) / 6
        hexagon = np.zeros((6, 5))
        hexagon[:, :2] = np.stack([np.cos(angles), np.sin(angles)], -1)
        best = float(log_k_less_loss(jnp.asarray(np.stack([hexagon, hexagon])), temperature))
        assert found == pytest.approx(best, rel=1e-4)
        assert best < ceiling <= float(reachable_infonce(6, temperature))
        if temperature > 0.2:
            assert ceiling < float(reachable_infonce(6, temperature)) - 0.1
            assert best == pytest.approx(ceiling, rel=2e-2)


@pytest.mark.parametrize("dim", [1, 2, 3, 128])
def test_i6_no_number_of_negatives_passes_the_ceiling_of_the_dimension(dtype, dim):
    temperature = np.array([0.05, 0.2, 1.0])
    found = np.asarray(uniform_ceiling(jnp.asarray(temperature, dtype), dim))
    order, x = dim / 2 - 1, 1 / temperature  # −log E e^{(s−1)/τ} = −log[Γ(d/2)(2τ)^{d/2−1} I_{d/2−1}(1/τ) e^{−1/τ}]
    log_mean = special.gammaln(order + 1) + order * np.log(2 / x) + np.log(special.ive(order, x))
    assert found == pytest.approx(-log_mean, rel=1e-6 if dtype == np.float32 else 1e-12)
    limit = np.asarray(reachable_infonce(2**40, jnp.asarray(temperature, dtype), dim))
    assert limit == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("dim", [2048, 2049, 10**5])
def test_i6_ceiling_of_many_dimensions(dtype, dim):
    temperature = np.array([0.05, 0.5, 20.0])  # −log of ₀F₁(; d/2; 1/4τ²)e^{−1/τ}, by its series
    term, series = np.ones(3), np.ones(3)
    for k in range(200):
        term = term / (4 * temperature**2 * (dim / 2 + k) * (k + 1))
        series = series + term
    expected = 1 / temperature - np.log(series)
    found = np.asarray(reachable_infonce(10**12, jnp.asarray(temperature, dtype), dim))
    assert found == pytest.approx(expected, rel=1e-6 if dtype == np.float32 else 1e-11)


def test_i6_ceilings_keep_their_digits_at_high_temperature():
    temperature = np.array([1.1, 30.0, 1e6])
    for candidates in (2, 10**10):
        share = 1 / candidates
        expected = -np.log1p((1 - share) * np.expm1(-1 / (1 - share) / temperature))
        found = np.asarray(reachable_infonce(candidates, temperature))
        assert found == pytest.approx(expected, rel=1e-6)
    circle = np.asarray(uniform_ceiling(jnp.asarray(temperature, jnp.float32), 2))
    assert circle == pytest.approx(1 / temperature - np.log(special.i0(1 / temperature)), rel=1e-6)


def test_i6_bad_input_is_named(unhooked):
    for arguments, message in (
        ((1, 0.1), "num_candidates is 1"),
        ((2.5, 0.1), "num_candidates is 2.5"),
        ((4, 0.0), "temperature must be positive"),
        ((4, 0.1, 0), "dim is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            reachable_infonce(*arguments)


def test_sample_estimate_differs_in_its_positives_only(x64):
    views = unit_views(5, 3, 6, 4)
    population, sample = (infonce_hsic(views, 0.5, estimate=estimate) for estimate in ("population", "sample"))
    gram = ssl.view_gram(views, oracle_kernels.cosine) / 0.5
    include, exclude = (ssl.positive_mean(gram, include_self=flag) for flag in (True, False))
    assert float(population.dependence - sample.dependence) == pytest.approx(include - exclude, rel=1e-11)
    for name in QUANTITIES.keys() - {"dependence", "infonce"}:
        assert float(getattr(population, name)) == float(getattr(sample, name))


def test_rows_in_tiles_equal_one_tile():
    views = unit_views(6, 2, 1000, 8)
    whole = infonce_hsic(views.astype(np.float32), 0.2)
    with jax.enable_x64(True):
        scores = views.reshape(-1, 8) @ views.reshape(-1, 8).T / 0.2
    gap = np.mean(np.log(np.exp(scores).mean(1)) - scores.mean(1))
    assert float(whole.gap) == pytest.approx(gap, rel=2e-6)


@pytest.mark.parametrize("x", [-50.0, -3.0, -0.51, -0.49, -1e-3, -1e-8, 1e-8, 1e-3, 0.49, 0.51, 3.0, 50.0])
def test_remainder_keeps_its_digits(x64, x):
    expected = float(oracle.exponential_remainder(x))
    assert float(remainder_ratio(jnp.asarray(x))) == pytest.approx(expected, rel=4e-15)
    assert float(exponential_remainder(jnp.asarray(x))) == pytest.approx(x**2 * expected, rel=4e-15)


@pytest.mark.parametrize("spread", [1e-8, 1e-3, 0.3, 1.0, 1.01, 5.0, 50.0])
def test_factors_of_the_sandwich(x64, spread):
    r = jnp.asarray(spread)
    assert float(lower_factor(r)) == pytest.approx(float(oracle.gamma_r(spread)), rel=1e-13)
    assert float(remainder_ratio(r)) == pytest.approx(float(oracle.beta(spread)), rel=1e-13)
    variance = 0.1 * spread**2
    expected = math.log1p(float(oracle.beta(spread)) * variance)
    assert float(log_upper_bound(r, jnp.asarray(variance))) == pytest.approx(expected, rel=1e-13)


def test_limits_of_the_sandwich(dtype):
    zero = jnp.zeros((), dtype)
    assert float(remainder_ratio(zero)) == float(lower_factor(zero)) == 0.5
    assert float(log_upper_bound(zero, zero)) == 0
    huge = log_upper_bound(jnp.asarray(1e4, dtype), jnp.asarray(1.0, dtype))  # e^R overflows
    assert float(huge) == pytest.approx(1e4 - 2 * math.log(1e4), rel=1e-6)
    constant = infonce_hsic(np.ones((2, 5, 3), dtype), 0.5)
    assert all(abs(float(leaf)) < 4 * jnp.finfo(dtype).eps for leaf in jax.tree.leaves(constant))  # k is 2 everywhere


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((1, 5, 3)),), "M = 1"),
        ((np.ones((5, 3)),), r"\[M, B, d\]"),
        ((np.full((2, 5, 3), np.inf),), "views holds NaN or infinite"),
        ((np.ones((2, 5, 3)), 0.0), "temperature"),
        ((np.ones((2, 5, 3)), -1.0), "temperature"),
        ((np.ones((2, 5, 3)), [0.1, 0.5]), r"temperature has shape \(2,\)"),
        ((np.eye(15)[:, :3].reshape(3, 5, 3), 1e-20), "range of k is so large"),
    ],
)
def test_bad_input_is_named(arguments, message, unhooked):
    with pytest.raises(ValueError, match=message):
        infonce_hsic(*arguments)
    with pytest.raises(TypeError, match="temperature is None"):
        infonce_hsic(np.ones((2, 5, 3)), None)
    with pytest.raises(ValueError, match="estimate is 'mean'"):
        infonce_hsic(np.ones((2, 5, 3)), estimate="mean")


def test_traced_temperature_is_checked_at_run_time(unhooked):
    compiled = jax.jit(lambda t: infonce_hsic(np.eye(6).reshape(2, 3, 6), t).gap)
    assert jnp.isfinite(compiled(0.5))
    with pytest.raises(Exception, match="temperature must be positive"):
        compiled(-0.5).block_until_ready()


def test_linear_kernel_gradients_are_finite_at_collapse():
    slope = jax.grad(lambda views: infonce_hsic(views, kernel=Linear()).infonce)(jnp.ones((2, 5, 3)))
    assert jnp.isfinite(slope).all()
