"""Objectives through one lens: the fit by dependence and self-dependence, and cosines of gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.analysis import diagnostics, gradient_cosines, infonce_hsic, lens
from kerneldep.analysis.lens import self_supervised
from kerneldep.dependence import positive_dependence
from kerneldep.kernels import Cosine, Gaussian
from kerneldep.objectives import SSLHSIC, InfoNCE, Outputs, objective_names

from ..populations import unit_views


def ssl_hsic(gamma):
    return SSLHSIC(gamma, Cosine(), estimate="paper")


def test_ssl_hsic_is_its_own_reading_and_infonce_nearly_one_at_a_high_temperature(x64):
    views = unit_views(0, 2, 24, 5) * np.linspace(0.5, 2, 24)[:, None]  # norms do not matter to them
    chosen = {
        "none": ssl_hsic(0.0),
        "one": ssl_hsic(1.0),
        "paper": ssl_hsic(3.0),
        "hot": InfoNCE(10.0, "population"),
        "cold": InfoNCE(0.1, "population"),
    }
    found = lens(views, chosen, key=jax.random.key(0)).objectives
    for name, gamma in (("none", 0), ("one", 1), ("paper", 3)):
        assert float(found[name].explained) == pytest.approx(1, abs=1e-9)
        assert float(found[name].gamma) == pytest.approx(gamma, abs=1e-7)
    assert 1 - 1e-5 < float(found["hot"].explained) < 1
    assert 0.2 < float(found["cold"].explained) < 0.99
    # √HSIC(Z, Z)/τ is the weight at which gradients agree, where the mean similarity is constant.
    root = float(infonce_hsic(views, 10.0).self_dependence) ** 0.5
    assert float(found["hot"].gamma) == pytest.approx(root, rel=0.2)


def test_fit_is_the_least_squares_of_numpy(x64):
    views = unit_views(1, 2, 12, 4)
    chosen = {"infonce": InfoNCE(0.3), "other kernel": SSLHSIC(2.0, Gaussian(0.7))}
    found = lens(views, chosen, key=jax.random.key(0)).objectives

    def slope(function):
        return np.asarray(jax.grad(function)(jnp.asarray(views))).ravel()

    dep = slope(lambda z: -ssl_hsic(0.0)(Outputs(z), None)[1]["dep"])
    root = slope(lambda z: ssl_hsic(0.0)(Outputs(z), None)[1]["hsic_zz"] ** 0.5)
    for name, objective in chosen.items():
        target = slope(lambda z, one=objective: one(Outputs(z), None)[0])
        fit, residual, *_ = np.linalg.lstsq(np.stack([dep, root], 1), target, rcond=None)
        assert float(found[name].gamma) == pytest.approx(fit[1] / fit[0], rel=1e-8)
        assert float(found[name].explained) == pytest.approx(1 - residual[0] / (target @ target), abs=1e-9)
        assert float(found[name].loss) == pytest.approx(
            float(objective(Outputs(jnp.asarray(views)), None)[0]), rel=1e-12
        )


def test_diagnostics_hold_byols_identity(x64):
    views = unit_views(2, 3, 10, 4)
    found = diagnostics(3 * views)
    assert float(found.dependence) == pytest.approx(
        1 - float(found.alignment) / 2 - float(found.squared_mean), abs=1e-12
    )
    assert float(found.dependence) == pytest.approx(
        float(positive_dependence(jnp.asarray(views), Cosine(), estimate="paper")), abs=1e-12
    )
    assert float(found.squared_mean) == pytest.approx(float((views.mean((0, 1)) ** 2).sum()), abs=1e-12)
    assert float(found.mean_variance) >= float(found.self_dependence) > 0


def test_every_self_supervised_objective_has_a_place():
    chosen = self_supervised()
    assert set(objective_names()) - set(chosen) <= {"hsic_bottleneck"}
    views = jax.ShapeDtypeStruct((2, 16, 4), jnp.float32)
    found = jax.eval_shape(lambda views: lens(views, chosen, key=jax.random.key(0)), views)
    assert set(found.objectives) == set(chosen)
    for seen in found.objectives.values():
        assert seen.gradient.shape == views.shape
        assert seen.explained.shape == seen.gamma.shape == ()


def test_collapse_is_finite():
    found = lens(jnp.full((2, 16, 4), 0.5), {"ssl_hsic": SSLHSIC(), "infonce": InfoNCE()}, key=jax.random.key(0))
    for seen in found.objectives.values():
        assert jnp.isfinite(seen.gradient).all()
        assert 0 <= float(seen.explained) <= 1
    assert float(found.diagnostics.squared_mean) == pytest.approx(1, abs=1e-6)
    assert float(found.diagnostics.effective_rank) == 0


def test_cosines_of_gradients_through_an_encoder(x64):
    images = jnp.asarray(np.random.default_rng(4).normal(size=(2, 10, 3)))
    chosen = {"infonce": InfoNCE(0.5), "same": InfoNCE(0.5), "ssl_hsic": ssl_hsic(3.0), "no regulariser": ssl_hsic(0.0)}
    encoder = {"weight": jnp.asarray(np.random.default_rng(5).normal(size=(3, 4))), "name": "linear"}
    names, found = gradient_cosines(lambda one: images @ one["weight"], encoder, chosen, key=jax.random.key(0))
    assert names == tuple(chosen)
    slopes = np.stack(
        [
            np.asarray(jax.grad(lambda w, o=objective: o(Outputs(images @ w), None)[0])(encoder["weight"])).ravel()
            for objective in chosen.values()
        ]
    )
    slopes /= np.linalg.norm(slopes, axis=1, keepdims=True)
    assert np.asarray(found) == pytest.approx(slopes @ slopes.T, abs=1e-6)
    assert float(found[0, 1]) == pytest.approx(1, abs=1e-6)


def test_bad_input_is_named(unhooked):
    with pytest.raises(ValueError, match="views"):
        lens(np.ones((1, 8, 3)), key=jax.random.key(0))
    with pytest.raises(ValueError, match="lens"):
        lens(np.ones((2, 8, 3)), key=None)
    views, key = jnp.full((2, 16, 4), 0.5), jax.random.key(0)
    with pytest.raises(ValueError, match=r"InfoNCE\.num_views is 3"):
        lens(views, {"infonce": InfoNCE(num_views=3)}, key=key)
    with pytest.raises(ValueError, match="mapping"):
        lens(views, ["infonce"], key=key)
    for represent, parameters, chosen, named in (
        (lambda z: z, views, {}, "objectives"),
        (lambda z: 1.0 * z, views.astype(int), {"infonce": InfoNCE()}, "parameters"),
        (lambda z: z[0], views, {"infonce": InfoNCE()}, "represent"),
    ):
        with pytest.raises(ValueError, match=named):
            gradient_cosines(represent, parameters, chosen, key=key)


def test_fit_does_not_depend_on_the_scale_of_features():
    views = unit_views(6, 2, 16, 4).astype(np.float32)
    one, small, large = (
        lens(views * np.float32(scale), {"ssl_hsic": SSLHSIC(), "infonce": InfoNCE()}, key=jax.random.key(0)).objectives
        for scale in (1, 1e-20, 1e20)
    )
    for name, seen in one.items():
        assert 0 < float(seen.explained) < 1
        for other in (small[name], large[name]):
            assert float(other.explained) == pytest.approx(float(seen.explained), rel=1e-4)
            assert float(other.gamma) == pytest.approx(float(seen.gamma), rel=1e-3)
