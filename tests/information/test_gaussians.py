"""The staircase: bounds on Gaussians in d = 20 with the exact critic, at the values of the theory; trained critics."""

import math

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from kerneldep import information
from kerneldep.information import estimate_mi, get_bound

STAIRCASE = {64: [1.817, 3.071, 3.737, 4.024, 4.121], 1024: [1.971, 3.784, 5.228, 6.153, 6.638]}
"""E InfoNCE by K for I = 2, 4, 6, 8, 10."""
STEPS = [2, 4, 6, 8, 10]


def gaussian(
    rng: np.random.Generator, mutual_information: float, dim: int, *shape: int
) -> tuple[np.ndarray, np.ndarray]:
    """Samples [*shape, dim] of x and y, each pair of coordinates of correlation ρ = √(1 − e^{−2I/d})."""
    rho_squared = -math.expm1(-2 * mutual_information / dim)
    x, noise = rng.normal(size=(2, *shape, dim)).astype(np.float32)
    return x, np.float32(math.sqrt(rho_squared)) * x + np.float32(math.sqrt(1 - rho_squared)) * noise


def exact_scores(x: np.ndarray, y: np.ndarray, mutual_information: float) -> np.ndarray:
    """log p(y|x)/p(y) of all pairs, [..., n, n] in float64."""
    x, y = x.astype(float), y.astype(float)
    rho_squared = -math.expm1(-2 * mutual_information / x.shape[-1])
    norms = (x**2).sum(-1)[..., :, None] + (y**2).sum(-1)[..., None, :]
    cross = math.sqrt(rho_squared) * x @ y.swapaxes(-1, -2)
    return mutual_information + (cross - 0.5 * rho_squared * norms) / (1 - rho_squared)


BOUNDS = {
    "infonce": get_bound("infonce"),
    "half": get_bound("interpolated", alpha=0.5),
    "donsker_varadhan": get_bound("donsker_varadhan"),
    "leave_one_out": get_bound("leave_one_out"),
}


@jax.jit
def bounds(scores):
    """The bounds of each of R matrices [R, K, K]."""
    return jax.vmap(lambda s: {name: bound.value(s) for name, bound in BOUNDS.items()})(scores)


def test_staircase_of_64():
    for step, expected in zip(STEPS, STAIRCASE[64], strict=True):
        x, y = gaussian(np.random.default_rng(0), step, 20, 200, 64)
        found = {name: (v.mean(), v.std() / math.sqrt(200)) for name, v in bounds(exact_scores(x, y, step)).items()}
        value, error = found["infonce"]
        assert abs(value - expected) < 4 * error + 0.0005
        assert value < min(step, math.log(64))
        assert found["leave_one_out"][0] > step + 0.1
    assert found["donsker_varadhan"][0] == pytest.approx(11.3, abs=0.4)  # above I = 10
    assert get_bound("infonce").near_ceiling(float(value), 64)
    # I_½ with the exact critic: above log(64/½) = 4.85, below its ceiling 1 + log(63/½) = 5.84.
    assert found["half"][0] == pytest.approx(5.557, abs=0.03)
    assert math.log(64 / 0.5) < found["half"][0] < BOUNDS["half"].ceiling(64)


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize(("num", "repeats"), [(64, 4000), (1024, 800)])
def test_staircase_within_a_fiftieth(num, repeats):
    """At K = 1024 the means are 1.980, 3.800, 5.229, 6.151 and 6.636, with standard errors of 0.001 to 0.002."""
    of_infonce = jax.jit(jax.vmap(information.infonce))
    for step, expected in zip(STEPS, STAIRCASE[num], strict=True):
        rng, values = np.random.default_rng([7, step]), []
        for _ in range(80):
            values.append(of_infonce(exact_scores(*gaussian(rng, step, 20, repeats // 80, num), step)).mean())
        assert np.mean(values) == pytest.approx(expected, abs=0.02)


def against_exact(dim: int, step: float, num: int, seed: int, **options) -> tuple[float, float, information.MIEstimate]:
    """InfoNCE at K = 64 of a trained and of the exact critic, both on the same fresh pairs."""
    rng = np.random.default_rng(seed)
    found = estimate_mi(*gaussian(rng, step, dim, num), key=jax.random.key(seed), **options)
    x, y = gaussian(rng, step, dim, 200, 64)
    trained = jax.jit(lambda x, y: jax.lax.map(lambda pair: information.infonce(found.critic(*pair)), (x, y)))(x, y)
    scores = exact_scores(x, y, step)
    exact = np.diagonal(scores, axis1=1, axis2=2) - logsumexp(scores, axis=2) + math.log(64)
    return float(trained.mean()), float(exact.mean()), found


@pytest.mark.optimised
def test_trained_separable_critic_comes_close():
    trained, exact, found = against_exact(5, 2, 12_000, 0, num_steps=300)
    assert 0.9 < trained / exact <= 1
    assert abs(trained - float(found.estimate)) < 4 * float(found.standard_error)


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize("step", STEPS)
def test_trained_separable_critic_climbs_the_staircase(step):
    """Ratios of 0.96, 0.97, 0.98, 0.99 and 0.99 were seen."""
    trained, exact, _ = against_exact(20, step, 100_000, step, num_steps=4000)
    assert 0.9 < trained / exact <= 1
