"""Objectives of information: CorInfoMax, Gaussian MI, SDMI and JMI."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.information import Concatenated, KernelCritic
from kerneldep.information.tasks import CorrelatedGaussian
from kerneldep.objectives import JMI, SDMI, CorInfoMax, GaussianMI, Outputs, gaussian_mi_terms, jmi_terms
from kerneldep.objectives.log_determinant import log_determinant, second_moment

from ..oracles import donsker_varadhan, second_order
from ..populations import unit_views


def simplex(points):
    """Unit vectors [n, n] with pairwise products −1/(n − 1)."""
    centred = np.eye(points) - 1 / points
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def test_corinfomax_over_three_steps_is_the_loop_and_no_gradient_reaches_the_old_moments(x64):
    objective = CorInfoMax(20.0, forgetting=0.2)
    state, means, covariances = objective.init(3), np.zeros((2, 3)), np.array([np.eye(3)] * 2)
    step = jax.jit(lambda views, state: objective(Outputs(views), state))
    for seed in range(3):
        views = unit_views(seed, 2, 6, 3)
        loss, _, state = step(jnp.asarray(2 * views), state)
        expected, means, covariances = second_order.corinfomax_step(views, means, covariances, 20.0, 0.2, 1e-8)
        assert float(loss) == pytest.approx(expected, abs=1e-12)
        np.testing.assert_allclose(state.mean, means, atol=1e-14)
        np.testing.assert_allclose(state.covariance, covariances, atol=1e-14)

    views = jnp.asarray(unit_views(3, 2, 6, 3))
    slope = jax.jit(jax.grad(lambda state: step(views, state)[0]))(state)
    assert not slope.mean.any()
    assert not slope.covariance.any()

    # Nor does one flow from a step into the outputs of the step before, by way of the state.
    def two_steps(first):
        return step(views, step(first, state)[2])[0]

    assert not jax.jit(jax.grad(two_steps))(views[:, ::-1] + 0.1).any()


def test_corinfomax_in_single_precision_survives_batches_smaller_than_the_dimension():
    # Each step fills in 8 of 96 directions at most, and the rest of R_v falls by λ: to 10⁻¹² in the end.
    objective, dim = CorInfoMax(), 96
    step = jax.jit(
        jax.value_and_grad(lambda z, s: (lambda out: (out[0], out[2]))(objective(Outputs(z), s)), has_aux=True)
    )
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(6, 2, 8, dim))
    draws[3:] = draws[3, :, :1]  # and then collapse
    state, means, covariances = objective.init(dim), np.zeros((2, dim)), np.array([np.eye(dim)] * 2)
    for draw in draws:
        (loss, state), slope = step(jnp.asarray(draw, jnp.float32), state)
        assert jnp.isfinite(loss)
        assert jnp.isfinite(slope).all()
        unit = draw / np.linalg.norm(draw, axis=-1, keepdims=True)
        _, means, covariances = second_order.corinfomax_step(unit, means, covariances, 250.0, 0.01, 1e-8)
    np.testing.assert_allclose(state.covariance, covariances, atol=1e-7)
    assert np.linalg.eigvalsh(covariances[0])[0] < 1e-11


def test_log_determinant_takes_singular_matrices_and_has_the_inverse_as_gradient():
    def shift(covariance):
        return 8 * float(np.finfo(np.float32).eps) * float(np.linalg.norm(np.asarray(covariance)))

    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 32))
    singular = [np.repeat(x, 2, 1), np.ones((1, 64)) * x[:, :1], 100 * x[:8, :1] + 1e-3 * rng.normal(size=(8, 64))]
    both = jax.jit(jax.value_and_grad(lambda c: log_determinant(c, 1e-8)))
    for one in singular:
        covariance = second_moment(jnp.asarray(one - one.mean(0), jnp.float32))
        value, slope = both(covariance)
        # Each null direction's eigenvalue is the shift, up to the rounding the shift is there to cover.
        expected = second_order.log_det(np.asarray(covariance, np.float64), shift(covariance))
        assert float(value) == pytest.approx(expected, abs=0.1)
        assert jnp.isfinite(slope).all()
    regular = np.kron(np.eye(2), x.T @ x / 64 + np.eye(32)).astype(np.float32)
    value, slope = both(jnp.asarray(regular))
    assert float(value) == pytest.approx(second_order.log_det(regular.astype(float), shift(regular)), rel=1e-6)
    np.testing.assert_allclose(slope, np.linalg.inv(regular + shift(regular) * np.eye(64)), atol=1e-6)


def test_minus_log_determinant_is_the_self_dependence_near_a_scaled_identity(x64):
    # −(1/d)log det Σ = log(d/t) + (d/2t²)(‖Σ‖²_F − t²/d), ‖Σ‖²_F being HSIC(Z, Z) with the linear kernel.
    rng, dim = np.random.default_rng(0), 6
    direction = rng.normal(size=(dim, dim))
    direction = direction + direction.T - 2 * np.trace(direction) / dim * np.eye(dim)

    def errors(size):
        sigma = 0.3 * (np.eye(dim) + size * direction)
        t = np.trace(sigma)
        expansion = math.log(dim / t) + dim / (2 * t**2) * ((sigma**2).sum() - t**2 / dim)
        return -float(log_determinant(jnp.asarray(sigma), 1e-14)) / dim - expansion

    assert abs(errors(1e-2)) < 1e-4
    assert errors(1e-2) / errors(1e-3) == pytest.approx(1000, rel=0.1)  # the next order is the third


def test_gaussian_mi_is_the_information_of_gaussians(x64):
    # The plug-in's bias is d²/(2n), its standard deviation ρ√(d/n) and, of second order, √½·d/n.
    estimate, dim = jax.jit(jax.vmap(lambda views: -GaussianMI(1e-9)(Outputs(views), None)[0])), 3
    for correlation in (0.0, 0.8):
        task = CorrelatedGaussian.with_correlation(correlation, dim)
        errors = []
        for n in (100, 1600):
            draws = [jnp.stack(task.sample(key, n)) for key in jax.random.split(jax.random.key(n), 40)]
            error = np.asarray(estimate(jnp.stack(draws))) - task.mutual_information
            deviation = correlation * math.sqrt(dim / n) + dim / n / math.sqrt(2)
            assert abs(error.mean() - dim**2 / (2 * n)) < 4 * deviation / math.sqrt(40)
            errors.append(np.sqrt((error**2).mean()))
        # Sixteen times the pairs: a quarter of the error where ρ > 0, a sixteenth at independence, all of it bias.
        assert errors[1] < errors[0] / (3 if correlation else 10)


def test_gaussian_mi_is_capped_by_epsilon_and_blind_to_linear_maps(x64):
    # ± axes: uncorrelated coordinates of one variance.
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    value = jax.jit(lambda views, epsilon: -GaussianMI(epsilon)(Outputs(views), None)[0], static_argnums=1)
    same = np.stack([axes, axes])
    for epsilon in (1e-2, 1e-6):
        cap = second_order.gaussian_mi_cap(3, epsilon)
        assert float(value(jnp.asarray(same), epsilon)) == pytest.approx(cap, rel=1e-9)
    # A map of each view leaves I as it is; the scale of coordinates leaves even the ε-version as it is.
    rng = np.random.default_rng(0)
    views = rng.normal(size=(1, 40, 3)) + rng.normal(size=(2, 40, 3))
    mapped = np.stack([views[0] @ rng.normal(size=(3, 3)), views[1] @ rng.normal(size=(3, 3))])
    here = second_order.gaussian_mi(views, 0.0)
    assert float(value(jnp.asarray(mapped), 1e-10)) == pytest.approx(here, rel=1e-6)
    scaled = jnp.asarray(views * [1e-3, 1.0, 1e4] + 7.0)
    assert float(value(scaled, 1e-2)) == pytest.approx(float(value(jnp.asarray(views), 1e-2)), rel=1e-7)


def test_gaussian_mi_is_half_the_whitened_cross_covariance_for_weak_dependence(x64):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 50, 2))
    noise -= noise.mean(1, keepdims=True)
    noise[1] -= noise[0] @ np.linalg.lstsq(noise[0], noise[1], rcond=None)[0]  # uncorrelated exactly

    def ratio(size):
        views = np.stack([noise[0], noise[1] + size * noise[0][:, ::-1]])
        marginal, joint = gaussian_mi_terms(jnp.asarray(views), 1e-14)
        c = np.cov(np.hstack(list(views)).T, bias=True)
        whitened = np.linalg.solve(c[:2, :2], c[:2, 2:]) @ np.linalg.solve(c[2:, 2:], c[2:, :2])
        return float(2 * marginal - joint) / (0.5 * np.trace(whitened))

    assert ratio(0.02) == pytest.approx(1, abs=2e-3)
    assert abs(ratio(0.02) - 1) < abs(ratio(0.2) - 1) / 30  # the error is of second order


def test_sdmi_moves_one_view_a_step_and_two_steps_make_jmi(x64):
    views, objective = jnp.asarray(3 * unit_views(0, 2, 6, 4)), SDMI()

    def loss(views, state):
        value, _, state = objective(Outputs(views), state)
        return value, state

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, state), first = step(views, objective.init(4))
    (again, state), second = step(views, state)
    assert int(state) == 2
    assert not first[1].any()
    assert not second[0].any()
    assert jnp.abs(first[0]).max() > 1e-3
    assert jnp.abs(second[1]).max() > 1e-3
    joint, slope = jax.jit(jax.value_and_grad(lambda z: JMI()(Outputs(z), None)[0]))(views)
    assert float(value) == pytest.approx(float(joint), abs=1e-12)
    assert float(again) == float(value)
    np.testing.assert_allclose(first + second, slope, atol=1e-12)


def test_donsker_varadhan_with_a_cosine_is_decoupled_contrastive_learning_with_the_logarithm_outside(x64):
    terms = jax.jit(lambda views: jmi_terms(views, 0.2))

    def both(views):
        joint, product = (float(one) for one in terms(jnp.asarray(views)))
        table = donsker_varadhan.scores(views[0], views[1], donsker_varadhan.cosine(0.2))
        return product - joint, donsker_varadhan.decoupled(table) - math.log(views.shape[1] - 1)

    loss, dcl = both(unit_views(0, 2, 6, 5))
    assert loss > dcl + 1e-3
    # Equal sums for all anchors; and the largest value there is, B/((B − 1)τ).
    corners = simplex(6)
    loss, dcl = both(np.stack([corners, corners]))
    assert loss == pytest.approx(dcl, abs=1e-12)
    assert loss == pytest.approx(-6 / (5 * 0.2), abs=1e-12)
    # Collapse carries no information.
    assert both(np.broadcast_to(corners[:1], (2, 6, 6)))[0] == pytest.approx(0, abs=1e-12)


def test_donsker_varadhan_is_dependence_and_half_the_variance_of_similarities(x64):
    views = unit_views(1, 2, 8, 4)
    table = donsker_varadhan.scores(views[0], views[1], donsker_varadhan.cosine(1.0))
    off = table[~np.eye(8, dtype=bool)]
    loss = jax.jit(lambda temperature: (lambda terms: terms[1] - terms[0])(jmi_terms(jnp.asarray(views), temperature)))
    errors = [
        float(loss(t)) + (np.diagonal(table).mean() - off.mean()) / t - 0.5 * off.var() / t**2 for t in (10.0, 100.0)
    ]
    assert errors[0] / errors[1] == pytest.approx(1000, rel=0.2)


def test_rows_come_in_tiles(monkeypatch, x64):
    views = unit_views(2, 2, 10, 4)
    expected = -donsker_varadhan.bound(views, donsker_varadhan.cosine(0.2))
    monkeypatch.setattr("kerneldep.objectives.donsker_varadhan.TILE", 6)  # 3 rows at a time, and 1 left over
    loss = jax.value_and_grad(lambda z: JMI(num_views=2)(Outputs(z), None)[0])
    value, slope = jax.jit(loss)(jnp.asarray(views))
    assert float(value) == pytest.approx(expected, abs=1e-12)
    critic = KernelCritic(temperature=0.2)
    dense = jax.jit(jax.grad(lambda z: JMI(critic=critic)(Outputs(z), None)[0]))(jnp.asarray(views))
    np.testing.assert_allclose(slope, dense, atol=1e-12)


def test_a_critic_is_trained_with_the_network_and_climbs(x64):
    # Independent outputs but for one coordinate: the cosine says little, a trained critic more.
    rng = np.random.default_rng(0)
    views = rng.normal(size=(2, 24, 3))
    views[1, :, 0] = -views[0, :, 0]
    outputs = Outputs(jnp.asarray(views))
    start = JMI(critic=Concatenated(3, 3, width=8, depth=1, key=jax.random.key(0)))
    trained, fixed = eqx.partition(start, start.trainable())
    assert len(jax.tree.leaves(trained)) == 4
    assert not any(jax.tree.leaves(JMI().trainable()))
    kernel = SDMI(critic=KernelCritic())
    assert len(jax.tree.leaves(eqx.filter(kernel, kernel.trainable()))) == 2  # τ and the offset

    @jax.jit
    def step(trained):
        loss, slope = jax.value_and_grad(lambda t: eqx.combine(t, fixed)(outputs, None)[0])(trained)
        return loss, jax.tree.map(lambda leaf, g: leaf - 0.3 * g, trained, slope)

    losses = []
    for _ in range(60):
        loss, trained = step(trained)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CorInfoMax(-1.0), "alpha"),
        (lambda: CorInfoMax(forgetting=1.0), "forgetting"),
        (lambda: CorInfoMax(epsilon=0.0), "epsilon"),
        (lambda: CorInfoMax()(Outputs(jnp.ones((3, 4, 2))), CorInfoMax().init(2)), "num_views=3"),
        (lambda: GaussianMI(0.0), "epsilon"),
        (lambda: JMI(0.0), "temperature"),
        (lambda: JMI(critic="cosine"), "critic"),
        (lambda: SDMI(temperature=-1.0), "temperature"),
        (lambda: SDMI(num_views=3), "num_views is 3"),
        (lambda: SDMI()(Outputs(jnp.ones((3, 4, 2))), jnp.zeros((), jnp.int32)), "3 views"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
