"""BYOL's local neighbourhoods and its collapse: B1 and B2 of the theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.analysis import byol_flow, byol_neighbourhood, neighbourhood_size, neighbourhood_weights
from kerneldep.kernels import Gaussian, Linear

from ..oracles import analysis as oracle
from ..oracles import kernels as oracle_kernels
from ..oracles import ssl
from ..populations import unit_views

M, B, D = 3, 8, 4
RIDGE = 1e-2


def bandwidth_gram(x: np.ndarray) -> np.ndarray:
    return oracle_kernels.gram(lambda a, b: oracle_kernels.gaussian(a, b, 0.7), x, x)


def with_ties(seed: int) -> np.ndarray:
    """Views of which some of different images coincide: the conditional mean is then over several images."""
    views = unit_views(seed, M, B, D)
    views[:, 1] = views[:, 0]
    views[0, 3] = views[1, 2]
    return views


@pytest.mark.parametrize("targets", [None, unit_views(7, M, B, D)])
def test_every_quantity_is_the_reference(x64, targets):
    views = with_ties(0)
    found = byol_neighbourhood(views, targets, kernel=Gaussian(0.7), ridge=RIDGE)
    second_views = views if targets is None else targets
    first, second = oracle.positives(views, second_views)
    exact = {"rel": 1e-10, "abs": 1e-13}
    mean = oracle.conditional_mean(first, second)
    assert float(found.positive_distance) == pytest.approx(oracle.predictor_loss(first, second), **exact)
    assert float(found.conditional_variance) == pytest.approx(oracle.predictor_loss(mean, second), **exact)
    assert float(found.explained_variance) == pytest.approx((mean**2).sum(1).mean(), **exact)
    linear = oracle.linear_prediction(first, second)
    assert float(found.linear_loss) == pytest.approx(oracle.predictor_loss(linear, second), **exact)
    regressed = oracle.kernel_prediction(bandwidth_gram(first), second, RIDGE)
    assert float(found.kernel_loss) == pytest.approx(oracle.predictor_loss(regressed, second), **exact)
    for i in range(B):
        for p in range(M):
            row = (first == views[p, i]).all(1).argmax()
            assert np.asarray(found.conditional_mean)[p, i] == pytest.approx(mean[row], **exact)
    flat, identity = ssl.flatten_views(views)
    gram = bandwidth_gram(flat)
    weights = np.linalg.solve(gram + len(gram) * RIDGE * np.eye(len(gram)), gram).T
    share = np.abs(weights) / np.abs(weights).sum(1, keepdims=True)
    assert np.asarray(found.size).reshape(-1) == pytest.approx(1 / (share**2).sum(1), **exact)
    own = (share * (identity[:, None] == identity[None, :])).sum(1)
    assert np.asarray(found.own_share).reshape(-1) == pytest.approx(own, **exact)
    assert float(found.kernel_dependence) == pytest.approx(ssl.dep_population(gram.reshape(M, B, M, B)), rel=1e-10)
    assert float(found.dependence) == pytest.approx(
        float(kd.dependence.positive_dependence(views, Linear(), estimate="population")), rel=1e-10
    )


def test_b1_distance_is_dependence_at_constant_mean(x64):
    views = unit_views(1, M, B, D)
    of = lambda views, **options: byol_neighbourhood(views, kernel=Gaussian(0.7), **options)  # noqa: E731
    found = of(views)
    assert float(found.second_moment) == pytest.approx(1, rel=1e-13)
    expected = 1 - float(found.positive_distance) / 2 - float(found.mean_norm_squared)
    assert float(found.dependence) == pytest.approx(expected, abs=1e-13)
    assert abs(float(found.defect)) < 1e-13
    gram = ssl.view_gram(views, oracle_kernels.linear)
    assert float(found.positive_distance) == pytest.approx(
        2 * (1 - ssl.positive_mean(gram, include_self=True)), rel=1e-12
    )
    # Over different views the distance is M/(M − 1) times as large.
    apart = oracle.alignment(views, 2.0)
    assert float(found.positive_distance) == pytest.approx((1 - 1 / M) * apart, rel=1e-12)
    # Where it breaks: other norms, another kernel, a mean that moves.
    longer = of(1.5 * views, normalised=False)
    assert float(longer.defect) == pytest.approx(1.5**2 - 1, rel=1e-12)
    assert abs(float(found.kernel_dependence) - expected) > 0.05
    moved = of(views + np.array([4.0, 0, 0, 0]))  # nearer together, and nearly collapsed
    assert float(moved.positive_distance) < float(found.positive_distance)
    assert float(moved.dependence) < float(found.dependence)
    assert float(moved.mean_norm_squared) > 0.9 > float(found.mean_norm_squared)
    assert abs(float(moved.defect)) < 1e-12


def test_b2_best_predictors(x64):
    views = with_ties(2)
    found = byol_neighbourhood(views, kernel=Gaussian(0.7), ridge=RIDGE)
    mean = np.asarray(found.conditional_mean)
    assert float(found.conditional_variance) == pytest.approx(1 - (mean**2).sum(-1).mean(), rel=1e-12)
    norms = np.linalg.norm(mean, axis=-1)
    assert float(found.normalised_loss) == pytest.approx(2 * (1 - norms.mean()), rel=1e-12)
    first, second = oracle.positives(views, views)
    best = oracle.conditional_mean(first, second)
    unit = best / np.linalg.norm(best, axis=1, keepdims=True)
    assert float(found.normalised_loss) == pytest.approx(oracle.predictor_loss(unit, second), rel=1e-12)
    # No function of z₁ does better, with unit outputs or without.
    rng = np.random.default_rng(0)
    for _ in range(50):
        change = 0.05 * np.array([rng.normal(size=D) for _ in views.reshape(-1, D)]).reshape(views.shape)
        keyed = {tuple(z): c for z, c in zip(views.reshape(-1, D), change.reshape(-1, D), strict=True)}
        moved = best + np.array([keyed[tuple(z)] for z in first])
        assert oracle.predictor_loss(moved, second) > float(found.conditional_variance)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        assert oracle.predictor_loss(moved, second) > float(found.normalised_loss)
    # The more a predictor may do, the less it loses.
    losses = (found.conditional_variance, found.linear_loss, found.positive_distance)
    assert list(map(float, losses)) == sorted(map(float, losses))
    assert float(found.conditional_variance) < float(found.kernel_loss) < 1


def test_b2_linear_predictor_needs_uncentred_moments(x64):
    views = unit_views(3, M, B, D) + np.array([2.0, 0.0, 0.0, 0.0])
    found = byol_neighbourhood(views, kernel=Gaussian(0.7))
    unit = views / np.linalg.norm(views, axis=-1, keepdims=True)
    first, second = oracle.positives(unit, unit)
    centred = first - first.mean(0)
    slope = np.linalg.lstsq(centred, second - second.mean(0), rcond=None)[0]
    wrong = oracle.predictor_loss(first @ slope, second)
    affine = oracle.predictor_loss(oracle.linear_prediction(first, second, intercept=True), second)
    assert affine == pytest.approx(oracle.predictor_loss(centred @ slope + second.mean(0), second), rel=1e-10)
    assert affine < float(found.linear_loss) < 0.5 * wrong


def test_b2_linear_loss_keeps_its_digits_beside_an_offset():
    rng = np.random.default_rng(0)
    views = (rng.normal(size=(1, B, D)) + 0.3 * rng.normal(size=(M, B, D)) + 1000).astype(np.float32)
    for normalised in (False, True):
        found = byol_neighbourhood(views, kernel=Gaussian(0.7), ridge=RIDGE, normalised=normalised)
        exact = views.astype(float)
        if normalised:
            exact /= np.linalg.norm(exact, axis=-1, keepdims=True)
        first, second = oracle.positives(exact, exact)
        expected = oracle.predictor_loss(oracle.linear_prediction(first, second), second)
        assert float(found.linear_loss) == pytest.approx(expected, rel=1e-3)
        assert float(found.linear_loss) < float(found.positive_distance)


def test_linear_loss_has_the_derivative_of_least_squares(x64):
    views, direction = unit_views(8, M, B, D), np.random.default_rng(0).normal(size=(M, B, D))
    of = jax.jit(jax.value_and_grad(lambda z: byol_neighbourhood(z, kernel=Gaussian(0.7), ridge=RIDGE).linear_loss))
    (above, _), (below, _), (_, slope) = (of(jnp.asarray(views + t * direction)) for t in (1e-6, -1e-6, 0))
    assert float((slope * direction).sum()) == pytest.approx(float(above - below) / 2e-6, rel=1e-6)


def test_neighbourhood_shrinks_to_the_own_views(x64):
    apart, together = unit_views(4, M, B, D, spread=2.0), unit_views(4, M, B, D, spread=0.05)
    before, after = (byol_neighbourhood(views, kernel=Gaussian(0.7), ridge=RIDGE) for views in (apart, together))
    assert float(after.own_share.mean()) > 0.8 > 0.6 > float(before.own_share.mean())
    assert float(after.conditional_variance) < float(before.conditional_variance)
    # A view's weights far from all others lie on its image's M views, equally.
    centres = 10.0 * np.eye(D + 1)[:, None]  # one row an image
    clusters = (centres + np.zeros((1, M, 1))).reshape(-1, D + 1)
    weights = np.asarray(neighbourhood_weights(centres[0], clusters, Gaussian(0.7), ridge=1e-6))
    assert weights[0, :M] == pytest.approx(1 / M, rel=1e-4)
    assert np.abs(weights[0, M:]).max() < 1e-12
    assert float(neighbourhood_size(jnp.asarray(weights))[0]) == pytest.approx(M, rel=1e-6)
    assert float(neighbourhood_size(jnp.asarray([1.0, -1.0, 0.0]))) == 2
    assert float(neighbourhood_size(jnp.zeros(3))) == 0
    assert float(neighbourhood_size(jnp.full(3, 3e38, jnp.float32))) == pytest.approx(3, rel=1e-6)


def test_weights_predict_like_kernel_ridge_regression(x64):
    rng = np.random.default_rng(5)
    samples, points, values = rng.normal(size=(30, 2)), rng.normal(size=(7, 2)), rng.normal(size=30)
    weights = np.asarray(neighbourhood_weights(points, samples, Gaussian(0.7), ridge=1e-3))
    gram, cross = (
        oracle_kernels.gram(lambda a, b: oracle_kernels.gaussian(a, b, 0.7), x, samples) for x in (samples, points)
    )
    expected = cross @ np.linalg.solve(gram + 30 * 1e-3 * np.eye(30), values)
    assert weights @ values == pytest.approx(expected, rel=1e-10)


def test_collapse_in_value_and_gradient():
    def total(views):
        found = byol_neighbourhood(views, kernel=Gaussian(0.7), ridge=RIDGE)
        parts = (found.linear_loss, found.kernel_loss, found.normalised_loss, found.size.sum(), found.own_share.sum())
        return sum(parts) + found.dependence, found

    compiled = jax.jit(jax.value_and_grad(total, has_aux=True))
    (_, found), slope = compiled(jnp.full((M, B, D), 0.3))
    for name in ("dependence", "kernel_dependence", "positive_distance", "conditional_variance", "linear_loss"):
        assert abs(float(getattr(found, name))) < 1e-5, name
    assert float(found.mean_norm_squared) == pytest.approx(1, rel=1e-6)
    assert np.asarray(found.own_share) == pytest.approx(1 / B, rel=1e-4)
    assert np.asarray(found.size) == pytest.approx(M * B, rel=1e-4)
    for views in (jnp.zeros((M, B, D)), jnp.asarray(with_ties(6), jnp.float32)):
        assert jnp.isfinite(compiled(views)[1]).all()
    assert jnp.isfinite(slope).all()


def circle(seed: int) -> np.ndarray:
    """Views [8, 12, 2] scattered about 12 points of a circle."""
    angles = 2 * np.pi * np.arange(12) / 12
    centres = np.stack([np.cos(angles), np.sin(angles)], -1)
    return centres[None] + 0.35 * np.random.default_rng(seed).normal(size=(8, 12, 2))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_flow_without_predictor_decays_as_stated(x64, stop_gradient):
    x = circle(0)
    within = np.mean([np.cov(x[:, i].T, bias=True) for i in range(12)], axis=0)
    decay, steps, step = 0.02, 200, 0.05
    flow = byol_flow(
        x, predictor=False, stop_gradient=stop_gradient, weight_decay=decay, num_steps=steps, step_size=step,
        key=jax.random.key(0),
    )  # fmt: skip
    start = np.linalg.lstsq(x.reshape(-1, 2), np.asarray(flow.views[0]).reshape(-1, 2), rcond=None)[0]
    rate = (1 if stop_gradient else 2) * within + decay * np.eye(2)
    end = x @ np.linalg.matrix_power(np.eye(2) - step * rate, steps) @ start
    assert np.asarray(flow.views[-1]) == pytest.approx(end, rel=1e-9)
    gram = ssl.view_gram(end, oracle_kernels.linear)
    assert float(flow.dependence[-1]) == pytest.approx(ssl.dep_population(gram), rel=1e-9)
    assert float(flow.positive_distance[-1]) == pytest.approx(oracle.positive_feature_distance(gram), rel=1e-9)
    assert float(flow.second_moment[-1]) == pytest.approx((end**2).sum(-1).mean(), rel=1e-9)
    assert float(flow.mean_norm_squared[-1]) == pytest.approx((end.mean((0, 1)) ** 2).sum(), rel=1e-9)


def test_flow_needs_both_predictor_and_stop_gradient(x64):
    spread = {}
    for predictor in (True, False):
        for stop_gradient in (True, False):
            flow = byol_flow(
                circle(1), predictor=predictor, stop_gradient=stop_gradient, num_steps=1000, key=jax.random.key(1)
            )
            spread[predictor, stop_gradient] = float(flow.dependence[-1] / flow.dependence[0])
    assert spread.pop((True, True)) > 1
    assert max(spread.values()) < 1e-6


def test_flow_conserves_and_comes_to_rest_as_stated(x64):
    flow = byol_flow(circle(2), predictor_start=1.0, num_steps=4000, step_size=0.01, key=jax.random.key(3))
    start = np.linalg.lstsq(circle(2).reshape(-1, 2), np.asarray(flow.views[0]).reshape(-1, 2), rcond=None)[0]
    conserved = np.asarray(flow.encoder.T @ flow.encoder - flow.predictor @ flow.predictor.T)
    assert conserved == pytest.approx(start.T @ start - np.eye(2), abs=1e-3)

    x = circle(2)[..., :1]
    best = (x.mean(0) ** 2).mean() / (x**2).mean()  # s/t
    collapsed = set()
    for seed, rate in ((0, 1.0), (1, 1.0), (2, 4.0), (3, 4.0)):
        for first in (0.0, 1.0):
            flow = byol_flow(
                x, 1, predictor_rate=rate, predictor_start=first, num_steps=4000, step_size=0.02,
                key=jax.random.key(seed),
            )  # fmt: skip
            start = float(flow.views[0, 0, 0, 0]) / x[0, 0, 0]
            left = start**2 - (first**2 - best**2) / rate
            assert float(flow.encoder[0, 0]) ** 2 == pytest.approx(max(left, 0), abs=1e-2)
            collapsed |= {(first, left < 0)}
            if left > 0:
                assert float(flow.predictor[0, 0]) == pytest.approx(best, rel=1e-3)
    assert collapsed == {(0.0, False), (1.0, False), (1.0, True)}


def test_bad_input_is_named(unhooked):
    views = np.ones((2, 3, 4))
    for arguments, message in (
        ({"targets": np.ones((2, 3, 5))}, "equal shapes"),
        ({"ridge": 0.0}, "ridge must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            byol_neighbourhood(views, **arguments)
    for scale in (1e30, 1e-30):
        with pytest.raises(ValueError, match="views have squares that overflow or vanish"):
            byol_neighbourhood(scale * views, normalised=False)
    for weights, message in (([1.0, np.nan], "NaN"), (1.0, "last axis")):
        with pytest.raises(ValueError, match=message):
            neighbourhood_size(weights)
    for arguments, message in (
        ({"dim": 1.5}, "dim is 1.5"),
        ({"predictor_start": np.nan}, "predictor_start must be finite"),
        ({"predictor_rate": np.inf}, "predictor_rate must be finite"),
        ({"weight_decay": np.inf}, "weight_decay must be finite"),
        ({"step_size": np.inf}, "step_size must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            byol_flow(views, key=jax.random.key(0), **arguments)
    with pytest.raises(ValueError, match="one space"):
        neighbourhood_weights(np.ones((2, 3)), np.ones((2, 4)), Linear())
    with pytest.raises(ValueError, match="key is missing"):
        byol_flow(views, key=None)
    with pytest.raises(ValueError, match="M = 1"):
        byol_neighbourhood(views[:1])
