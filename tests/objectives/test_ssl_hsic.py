"""SSL-HSIC: its parts, its scale, its numbers near collapse."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.kernels import Gaussian, InverseMultiquadric, Linear, Scaled
from kerneldep.objectives import SSLHSIC, Outputs, ssl_hsic_terms
from kerneldep.objectives.ssl_hsic import safe_root, scale_fit

from ..oracles import kernels as oracle
from ..oracles import ssl
from ..populations import unit_views


def loss_of(objective, views):
    return objective(Outputs(jnp.asarray(views)), None)[0]


@pytest.mark.parametrize("estimate", ["unbiased", "paper", "population"])
@pytest.mark.parametrize("gamma", [0.0, 3.0])
def test_ssl_hsic_is_the_reference(x64, estimate, gamma):
    views = unit_views(0, 3, 6, 4)
    gram = ssl.view_gram(views, lambda x, y: oracle.inverse_multiquadric(x, y, 0.5))
    dep = {
        "unbiased": lambda: ssl.dep_unbiased(gram, math.inf),
        "paper": lambda: ssl.dep_paper(gram),
        "population": lambda: ssl.dep_population(gram),
    }[estimate]()
    objective = SSLHSIC(gamma, estimate=estimate, num_images=50 if estimate == "paper" else None, delta_l=2.0)
    # Three times as long: the objective normalises.
    loss, terms, state = objective(Outputs(jnp.asarray(3 * views)), None)
    assert state is None
    assert float(loss) == pytest.approx(ssl.ssl_hsic_loss(dep, ssl.self_hsic(gram), gamma), abs=1e-12)
    assert float(terms["dep"]) == pytest.approx(dep, abs=1e-12)
    assert float(terms["hsic_zz"]) == pytest.approx(ssl.self_hsic(gram), abs=1e-12)
    assert float(terms["hsic_zy"]) == pytest.approx(2.0 * dep / (50 if estimate == "paper" else 6), abs=1e-12)


def test_ssl_hsic_with_a_target_takes_both_networks_as_views(x64):
    online, target = unit_views(0, 2, 5, 3), unit_views(1, 2, 5, 3)
    objective = SSLHSIC(target="ema", estimate="paper")
    loss = objective(Outputs(jnp.zeros((2, 5, 3)), jnp.asarray(online), jnp.asarray(target)), None)[0]
    gram = ssl.view_gram(np.concatenate([online, target]), lambda x, y: oracle.inverse_multiquadric(x, y, 0.5))
    assert float(loss) == pytest.approx(ssl.ssl_hsic_loss(ssl.dep_paper(gram), ssl.self_hsic(gram), 3.0), abs=1e-12)
    gradient = jax.grad(lambda t: objective(Outputs(jnp.asarray(online), jnp.asarray(online), t), None)[0])
    assert not gradient(jnp.asarray(target)).any()


def test_random_features_converge_to_the_exact_terms_and_are_unbiased():
    views = jnp.asarray(unit_views(0, 2, 32, 8), jnp.float32)
    kernel = InverseMultiquadric(0.5)
    exact = np.array(ssl_hsic_terms(views, kernel))

    def draws(num_features, quasi, number=256):
        options = {"num_features": num_features, "quasi": quasi}
        one = jax.jit(lambda key: jnp.stack(ssl_hsic_terms(views, kernel, **options, key=key)))
        return np.asarray(jax.lax.map(one, jax.random.split(jax.random.key(0), number)), np.float64)

    small, large, even = draws(64, False), draws(1024, False), draws(1024, True)
    for values in (small, large, even):
        standard_error = values.std(0, ddof=1) / len(values) ** 0.5
        assert (abs(values.mean(0) - exact) < 4 * standard_error).all()
    # Sixteen times the features, a quarter of the spread; less than half of that with Sobol' points.
    ratio = large.std(0) / small.std(0)
    assert ((ratio > 0.15) & (ratio < 0.4)).all()
    assert (even.std(0) < 0.5 * large.std(0)).all()


def test_regulariser_numbers_of_orthogonal_codes(x64):
    # R1: C equiprobable orthogonal codes with the linear kernel, γ = 3.
    def loss(codes):
        views = jnp.broadcast_to(jnp.eye(codes), (2, codes, codes))
        return float(SSLHSIC(3.0, Linear(), estimate="population")(Outputs(views), None)[0])

    assert loss(2) == pytest.approx(1.0, abs=1e-12)
    assert loss(8) == pytest.approx(0.12, abs=5e-3)
    assert loss(16) == pytest.approx(-0.21, abs=5e-3)
    assert loss(1024) == pytest.approx(-0.905, abs=5e-4)
    assert loss(10) == pytest.approx(0.0, abs=1e-12)  # C = 1 + γ²
    assert loss(9) > 0 > loss(11)


def test_loss_near_collapse_is_negative_only_with_enough_effective_rank(x64):
    # Near collapse c²·loss → γ‖Σ‖_F − tr Σ_between: here Σ_between = Σ of a given effective rank.
    def loss(rank, scale, size=1e-3):
        rng = np.random.default_rng(0)
        directions = np.eye(40)[:rank].repeat(8, 0) * rng.choice([-1.0, 1.0], size=(8 * rank, 1))
        center = np.zeros(40)
        center[-1] = 1
        views = np.broadcast_to(center + size * directions, (2, 8 * rank, 40))
        flat = views[0] - views[0].mean(0)
        sigma = flat.T @ flat / len(flat)
        objective = SSLHSIC(3.0, InverseMultiquadric(scale), estimate="population")
        return float(objective(Outputs(jnp.asarray(views)), None)[0]), sigma

    for scale in (0.5, 1.0, 2.0):
        for rank, sign in ((4, 1), (8, 1), (12, -1), (25, -1)):
            value, sigma = loss(rank, scale)
            expected = (3.0 * np.linalg.norm(sigma) - np.trace(sigma)) / scale**2
            assert value == pytest.approx(expected, rel=1e-3)  # the next order in the size of the spread, 10⁻⁶/c²
            assert np.sign(value) == sign


def test_learned_scale_finds_its_optimum(x64):
    # Two points at squared distance s: the fit is best at c² = s/2.
    views = jnp.asarray([[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [0.6, 0.8]]])[:1]
    s = 2 - 2 * 0.6
    gradient = jax.grad(scale_fit)
    assert float(gradient(jnp.asarray((s / 2) ** 0.5), views)) == pytest.approx(0, abs=1e-12)
    assert float(gradient(jnp.asarray(0.3), views)) > 0 > float(gradient(jnp.asarray(1.5), views))


def test_only_a_learned_scale_is_trainable_and_only_the_fit_trains_it():
    views = unit_views(5, 2, 8, 4).astype(np.float32)
    fixed, learned = SSLHSIC(), SSLHSIC(learn_scale=True)
    assert not any(jax.tree.leaves(fixed.trainable()))
    trained, _ = eqx.partition(learned, learned.trainable())
    assert len(jax.tree.leaves(trained)) == 1
    gradients = eqx.filter_grad(lambda one: loss_of(one, views))(learned)
    expected = jax.grad(lambda log: -scale_fit(jnp.exp(log), jnp.asarray(views)))(learned.log_scale)
    assert float(gradients.log_scale) == pytest.approx(float(expected), rel=1e-4)
    assert float(gradients.kernel.scale) == 0
    assert float(loss_of(learned, views)) == pytest.approx(float(loss_of(fixed, views)), rel=1e-6)


def test_root_has_no_slope_at_and_below_zero():
    slope = jax.grad(safe_root)
    assert [float(safe_root(jnp.asarray(h))) for h in (-1.0, 0.0, 4.0)] == [0, 0, 2]
    assert [float(slope(jnp.asarray(h))) for h in (-1.0, 0.0, 4.0)] == [0, 0, 0.25]


def test_scaled_kernel_scales_the_loss(x64):
    # The loss is 1-homogeneous in the kernel's amplitude.
    views = unit_views(8, 2, 8, 4)
    plain, scaled = (SSLHSIC(3.0, kernel) for kernel in (Gaussian(1.0), Scaled(Gaussian(1.0), 2.5)))
    assert float(loss_of(scaled, views)) == pytest.approx(2.5 * float(loss_of(plain, views)), rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SSLHSIC(-1.0), "gamma"),
        (lambda: SSLHSIC(float("nan")), "gamma"),
        (lambda: SSLHSIC(num_images=0), "num_images"),
        (lambda: SSLHSIC(delta_l=float("inf")), "delta_l"),
        (lambda: SSLHSIC(num_views=1), "num_views"),
        (lambda: SSLHSIC(num_features=6), "num_features"),
        (lambda: SSLHSIC(target="both"), "target"),
        (lambda: SSLHSIC(estimate="best"), "estimate"),
        (lambda: SSLHSIC(kernel=Gaussian(1.0), learn_scale=True), "learn_scale"),
        (lambda: loss_of(SSLHSIC(), np.ones((1, 8, 4))), "1 view"),
        (lambda: SSLHSIC(target="ema")(Outputs(jnp.ones((2, 4, 3))), None), "targets is missing"),
        (lambda: SSLHSIC(num_features=64)(Outputs(jnp.ones((2, 4, 3))), None), "key is missing"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
