"""Losses on correlations of features: Barlow Twins, VICReg, W-MSE, and CDSSL, which adds dependence."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Linear
from kerneldep.objectives import (
    CDSSL,
    WMSE,
    BarlowTwins,
    CDSSLTerms,
    Outputs,
    VICReg,
    barlow_twins_terms,
    cdssl_terms,
    vicreg_terms,
    w_mse_terms,
)
from kerneldep.objectives.cdssl import dependences
from kerneldep.objectives.correlation import squares, standardise
from kerneldep.objectives.w_mse import whiten

from ..oracles import correlation
from ..populations import unit_views


def linear_hsic(x, y):
    return float(kd.hsic(x, y, Linear(), Linear(), estimator=kd.Biased()))


@jax.jit
def compiled_dependences(one, other):
    return dependences(one, other, None)


def scattered(seed, shape, noise=0.5):
    """Views about one centre an image, coordinates of unequal scale and mean."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(1, *shape[1:])) + noise * rng.normal(size=shape)
    return views * rng.uniform(0.3, 2.0, size=shape[2]) + rng.normal(size=shape[2])


@pytest.mark.parametrize("shape", [(9, 4), (4, 9)])
def test_sums_over_a_covariance_from_either_side(x64, shape):
    # With d > n they come from Gram matrices.
    x, y = np.random.default_rng(0).normal(size=(2, *shape))
    diagonal, off_diagonal = squares(jnp.asarray(x), jnp.asarray(y))
    matrix = x.T @ y / shape[0]
    np.testing.assert_allclose(diagonal, np.diag(matrix), atol=1e-14)
    assert float(off_diagonal) == pytest.approx(correlation.off_diagonal_squares(matrix), rel=1e-12)


def test_standardised_columns_have_unit_variance_and_constant_ones_are_zero(x64):
    x = np.random.default_rng(0).normal(size=(9, 4)) * [1e-3, 1.0, 0.0, 1e4] + [1e4, 0.1, 0.1, 0.0]
    found = np.asarray(standardise(jnp.asarray(x)))
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(found.var(0), [1, 1, 0, 1], atol=1e-9)
    assert not found[:, 2].any()
    slope = jax.grad(lambda x: (standardise(x) ** 3).sum())(jnp.asarray(x))
    assert not slope[:, 2].any()
    assert jnp.isfinite(slope).all()
    far = standardise(jnp.asarray(x[:, :2] * [2.0**-700, 2.0**700]))  # squares that no float holds
    np.testing.assert_allclose(far, found[:, :2], rtol=1e-9)


def test_barlow_twins_at_unit_weight_is_dependence_and_self_dependence_across_views(x64):
    views = scattered(0, (2, 9, 4))
    one, other = (correlation.standardise(view, 0.0) for view in views)
    on, off = barlow_twins_terms(jnp.asarray(views), 0.0)
    identity = one.T @ other / 9 - np.eye(4)
    assert float(on + off) == pytest.approx((identity**2).sum(), rel=1e-12)  # ‖C − I‖²_F
    positive = np.mean((one * other).sum(1))
    assert float(on + off) == pytest.approx(4 - 2 * positive + linear_hsic(one, other), rel=1e-12)
    assert (one.mean(0) ** 2).sum() < 1e-25  # so that dep = E_pos − ‖E z‖² is E_pos


def test_barlow_twins_ignores_the_scale_of_coordinates_and_vanishes_at_whitened_twins(x64):
    # At ε = 0 only: a batch norm's ε sets a scale.
    views = scattered(1, (2, 9, 4))
    moved = views * [3.0, -0.1, 1e3, 1.0] + [0.0, 5.0, 0.0, -1e4]
    plain, other = (barlow_twins_terms(jnp.asarray(one), 0.0) for one in (views, moved))
    np.testing.assert_allclose(other, plain, rtol=1e-9)
    white = np.stack([correlation.whiten(views[0], 1e-16)] * 2)
    np.testing.assert_allclose(barlow_twins_terms(jnp.asarray(white), 0.0), 0, atol=1e-12)
    assert float(barlow_twins_terms(jnp.ones((2, 9, 4)), 0.0)[0]) == 4  # collapse: C = 0


def test_vicreg_covariance_is_linear_self_dependence_less_its_diagonal(x64):
    views = scattered(2, (2, 9, 4))
    covariance = float(vicreg_terms(jnp.asarray(views))[2])
    expected = sum(((9 / 8) ** 2 * linear_hsic(view, view) - (view.var(0, ddof=1) ** 2).sum()) / 4 for view in views)
    assert covariance == pytest.approx(expected, rel=1e-12)


def test_vicreg_conventions_differ_by_factors_that_weights_take_up(x64):
    views = jnp.asarray(scattered(3, (2, 9, 4)))
    official, paper = (np.array(vicreg_terms(views, name)) for name in ("official", "paper"))
    np.testing.assert_allclose(paper, official * [4, 2, 1], rtol=1e-12)
    one = VICReg(25.0, 25.0, 1.0)(Outputs(views), None)[0]
    other = VICReg(25.0 / 4, 25.0 / 2, 1.0, convention="paper")(Outputs(views), None)[0]
    assert float(one) == pytest.approx(float(other), rel=1e-12)


def test_vicreg_hinge_closes_at_unit_deviation_and_is_open_at_collapse(x64):
    white = np.stack([correlation.whiten(scattered(4, (1, 9, 4))[0], 1e-16)] * 2)
    np.testing.assert_allclose(vicreg_terms(jnp.asarray(1.01 * white)), 0, atol=1e-12)
    np.testing.assert_allclose(vicreg_terms(jnp.ones((2, 9, 4))), [0, 1 - 0.01, 0], atol=1e-12)


def test_whitened_views_have_identity_covariance_whatever_was_given(x64):
    x = scattered(5, (1, 30, 4))[0]
    mixed = x @ np.random.default_rng(0).normal(size=(4, 4)) + 1e3
    for given in (x, mixed, 1e-8 * x):
        white = np.asarray(whiten(jnp.asarray(given), 1e-14))
        np.testing.assert_allclose(white.mean(0), 0, atol=1e-8)
        np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=1e-8)
    # Cholesky's whitening ignores scale, but not rotation.
    np.testing.assert_allclose(whiten(jnp.asarray(1e6 * x)), whiten(jnp.asarray(x)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rank", [0, 1, 40])
def test_whitening_survives_singular_covariances_in_float32(rank):
    # Fewer images than dimensions, and collapse to a line and to a point.
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 96)) + 3
    for size in (1e-6, 1.0, 1e6):
        value, slope = jax.value_and_grad(lambda x: w_mse_terms(jnp.stack([x, x[::-1]]))[0])(
            jnp.asarray(size * x, jnp.float32)
        )
        assert 0 <= float(value) <= 4
        assert jnp.isfinite(slope).all()


def test_w_mse_is_linear_dependence_at_fixed_self_dependence(x64):
    views = scattered(6, (2, 30, 4))
    distance, variance = w_mse_terms(jnp.asarray(views), normalised=False, epsilon=1e-14)
    white = [correlation.whiten(view, 1e-14) for view in views]
    positive = np.mean((white[0] * white[1]).sum(1))
    assert float(distance) == pytest.approx(2 * (1 - 1 / 30) - 2 / 4 * positive, rel=1e-9)
    for view in white:
        assert linear_hsic(view, view) == pytest.approx(4 * (29 / 30) ** 2, rel=1e-9)
    assert float(variance) == pytest.approx(views.reshape(-1, 4).var(0).mean(), rel=1e-12)


@pytest.mark.parametrize("together", [False, True])
def test_w_mse_whitens_parts_of_a_batch_drawn_by_key(x64, together):
    views = scattered(7, (2, 24, 3))
    whitening = "together" if together else "apart"
    key = jax.random.key(0)
    order = np.asarray(jax.random.permutation(key, 24))
    parts = [views[:, order[start : start + 8]] for start in range(0, 24, 8)]
    expected = np.mean([correlation.w_mse(part, True, together, 1e-6) for part in parts])
    found = w_mse_terms(jnp.asarray(views), whitening=whitening, size=8, key=jax.random.key(0))[0]
    assert float(found) == pytest.approx(expected, rel=1e-9)
    # One part is the whole batch, in any order.
    whole = w_mse_terms(jnp.asarray(views), whitening=whitening, size=24, key=jax.random.key(1))[0]
    assert float(whole) == pytest.approx(float(w_mse_terms(jnp.asarray(views), whitening=whitening)[0]), rel=1e-9)


def test_cdssl_terms_are_the_oracles_and_the_loss_their_sum_with_either_sign(x64):
    views = unit_views(8, 2, 8, 4) * np.arange(1, 9)[:, None]
    key = jax.random.key(3)
    order = np.asarray(jax.random.permutation(key, 4))
    found = cdssl_terms(jnp.asarray(views), key=jax.random.key(3))
    kinds = np.eye(8)
    for which, name in enumerate(CDSSLTerms._fields):
        sign = -1 if name.startswith("cross_dependence") else 1
        expected = sign * correlation.cdssl(*views, tuple(kinds[which]), order, 0.05, None, 1, trace=False)
        assert float(getattr(found, name)) == pytest.approx(expected, rel=1e-9), name

    # Published weights and normaliser, the self-dependence maximised; then the sign of SSL-HSIC.
    weights = (1e-4, 1e-4, 1e-5, 1e-5, 1000.0, 1.0, 10.0, 0.5)
    losses = [
        float(CDSSL(self_dependence=name)(Outputs(jnp.asarray(views)), None, key=jax.random.key(3))[0])
        for name in ("maximise", "penalise")
    ]
    for loss, sign in zip(losses, (-1, 1), strict=True):
        assert loss == pytest.approx(correlation.cdssl(*views, weights, order, 0.05, None, sign, trace=True), rel=1e-9)
    own = 10.0 * 8**2 * found.auto_dependence_samples + 0.5 * 4**2 * found.auto_dependence_features
    assert losses[1] - losses[0] == pytest.approx(2 * float(own), rel=1e-9)


def test_cdssl_dependence_is_near_linear_at_its_bandwidth_and_largest_for_two_codes(x64):
    # H → e^{−4/p}(2/p)²‖Cov‖²_F for unit vectors; the error is of relative order 1/p.
    codes = {number: np.eye(256)[np.arange(64) % number] for number in (2, 8, 64)}
    codes["antipodal"] = codes[2] @ np.diag([1.0] + 255 * [0.0]) * 2 - np.eye(256)[0]
    own = {}
    for name, code in codes.items():
        across, within = compiled_dependences(jnp.asarray(code), jnp.asarray(code))
        assert float(within) == pytest.approx(2 * float(across), rel=1e-12)
        own[name] = float(across) * (256 / 2) ** 2 * np.exp(4 / 256)
        assert own[name] == pytest.approx(linear_hsic(code, code), rel=0.03)
    # 1, then (1/C)(1 − 1/C): maximised, it rewards few codes; penalised, as in SSL-HSIC, many.
    assert own["antipodal"] == pytest.approx(1, rel=0.03)
    assert own["antipodal"] > own[2] > own[8] > own[64] > 0


def test_cdssl_sign_of_self_dependence_decides_between_few_and_many_directions(x64):
    # An ablation: auto-dependence alone, maximised (published) or penalised, by gradient steps on unit vectors.
    start = jnp.asarray(unit_views(9, 1, 8, 4)[0])

    @jax.jit
    def step(z, sign):
        z = z - 4 * sign * jax.grad(lambda z: dependences(z, z, None)[1])(z)
        return z / jnp.linalg.norm(z, axis=1, keepdims=True)

    rank = {}
    for sign in (-1.0, 1.0):
        z = start
        for _ in range(200):
            z = step(z, sign)
        covariance = np.cov(np.asarray(z).T, bias=True)
        rank[sign] = np.trace(covariance) ** 2 / (covariance**2).sum()
    assert rank[-1.0] < 1.1
    assert rank[1.0] > 2


def test_cdssl_shuffled_features_are_as_dependent_as_chance(x64):
    # Over all permutations the mean of the V-statistic is tr(HKH)tr(HLH)/(n²(n − 1)).
    one, other = (jnp.asarray(view.T) for view in unit_views(10, 2, 6, 3))
    orders = jnp.asarray(list(itertools.permutations(range(3))))
    across, _, shuffled = jax.jit(jax.vmap(lambda order: dependences(one, other, None, order)))(orders)
    np.testing.assert_allclose(shuffled[0], across[0], rtol=1e-12)  # nothing moved
    assert np.ptp(shuffled) > 0.02 * float(across[0])
    h = np.eye(3) - 1 / 3
    traces = []
    for view in (np.asarray(one), np.asarray(other)):
        rows = view / np.linalg.norm(view, axis=1, keepdims=True)
        traces.append(np.trace(h @ np.exp(-((rows[:, None] - rows[None]) ** 2).sum(2) / 6) @ h))
    assert float(shuffled.mean()) == pytest.approx(traces[0] * traces[1] / (9 * 2), rel=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BarlowTwins(-1.0), "off_diagonal"),
        (lambda: BarlowTwins(epsilon=-1.0), "epsilon"),
        (lambda: VICReg(covariance=-1.0), "covariance"),
        (lambda: VICReg(epsilon=0.0), "epsilon"),
        (lambda: VICReg(convention="theirs"), "convention"),
        (lambda: WMSE(whitening="zca"), "whitening"),
        (lambda: WMSE(size=1), "size"),
        (lambda: WMSE(size=2.5), "size"),
        (lambda: VICReg(variance=float("nan")), "VICReg.variance is nan"),
        (lambda: WMSE(epsilon=0.0), "epsilon"),
        (lambda: WMSE(size=3)(Outputs(jnp.ones((2, 4, 3))), None, key=jax.random.key(0)), "multiple of size"),
        (lambda: WMSE(size=2)(Outputs(jnp.ones((2, 4, 3))), None), "key is missing"),
        (lambda: CDSSL(auto_dependence_features=-1.0), "auto_dependence_features"),
        (lambda: CDSSL(bandwidth=0.0), "bandwidth"),
        (lambda: CDSSL(self_dependence="minimise"), "self_dependence"),
        (lambda: CDSSL(normaliser="n"), "normaliser"),
        (lambda: CDSSL()(Outputs(jnp.ones((2, 4, 3))), None), "key is missing"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
