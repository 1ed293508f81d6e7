"""DCL, spectral contrastive, alignment + uniformity, HSIC bottleneck: known limits and settings."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence import nocco, positive_dependence
from kerneldep.kernels import Cosine, Gaussian, Label, Linear
from kerneldep.objectives import (
    DCL,
    AlignmentUniformity,
    HSICBottleneck,
    Outputs,
    SpectralContrastive,
    dcl_terms,
    hsic_bottleneck_terms,
    spectral_contrastive_terms,
)
from kerneldep.objectives.spectral_contrastive import shortened

from ..oracles import contrastive, ssl
from ..oracles import kernels as oracle
from ..populations import unit_views


def test_dcl_of_two_views_is_nt_xent_without_the_positive(x64):
    views = unit_views(5, 2, 6, 4)
    gram = ssl.view_gram(views, oracle.cosine)
    for temperature in (0.1, 1.0):
        loss = float(DCL(temperature)(Outputs(jnp.asarray(3 * views)), None)[0])
        assert loss == pytest.approx(ssl.nt_xent(gram, temperature, positive_in_sum=False), abs=1e-12)


@pytest.mark.parametrize("num_views", [2, 3])
def test_temperature_times_dcl_less_log_negatives_is_minus_unbiased_dep(x64, num_views):
    views = jnp.asarray(unit_views(6, num_views, 9, 5))
    dep = float(positive_dependence(views, Cosine(), estimate="unbiased"))
    log_negatives = math.log(num_views * 8)
    error = [t * (float(DCL(t)(Outputs(views), None)[0]) - log_negatives) + dep for t in (10.0, 100.0)]
    assert error[0] / error[1] == pytest.approx(10, rel=0.05)
    assert 0 < error[1] < 1e-2


def test_dcl_holds_a_tile_of_rows(x64):
    # More views than a tile's side: several tiles of rows, the last one padded.
    views = jnp.asarray(unit_views(7, 2, 400, 3))
    scores = jnp.matmul(views.reshape(-1, 3), views.reshape(-1, 3).T, precision="highest") / 0.3
    image = jnp.arange(800) % 400
    expected = jax.nn.logsumexp(scores, axis=1, where=image[:, None] != image[None, :]).mean()
    assert float(dcl_terms(views, 0.3)[1]) == pytest.approx(float(expected), rel=1e-12)


def population(objective, views):
    return float(objective(Outputs(jnp.asarray(views)), None)[0])


def test_population_spectral_loss_is_minus_twice_dep_plus_self_dependence_and_mean_terms(x64):
    views = np.random.default_rng(8).normal(size=(3, 7, 4)) + np.array([0.5, -0.2, 0.1, 0.0])
    plug_in = SpectralContrastive("population", None)

    def parts(views):
        z = views.reshape(-1, 4)
        dep = float(positive_dependence(views, Linear(), estimate="paper"))
        mean, covariance = z.mean(0), np.cov(z.T, bias=True)
        rest = 2 * mean @ covariance @ mean + (mean @ mean) ** 2 - 2 * mean @ mean
        return -2 * dep + float(kd.hsic(z, z, Linear(), Linear(), estimator=kd.Biased())), rest

    lens, rest = parts(views)
    assert population(plug_in, views) == pytest.approx(lens + rest, rel=1e-12)
    assert abs(rest) > 0.1
    centred = views - views.mean((0, 1))
    lens, rest = parts(centred)
    assert abs(rest) < 1e-15
    assert population(plug_in, centred) == pytest.approx(lens, rel=1e-12)


@pytest.mark.parametrize("negatives", ["in_batch", "population"])
@pytest.mark.parametrize("images", [3, 9])  # fewer and more than dimensions: the two orders of multiplication
def test_spectral_terms_by_loops(x64, images, negatives):
    views = np.random.default_rng(9).normal(size=(2, images, 7))
    alignment, repulsion = spectral_contrastive_terms(jnp.asarray(views), negatives)
    loops = {"in_batch": contrastive.spectral_in_batch, "population": contrastive.spectral_population}[negatives]
    assert float(repulsion - 2 * alignment) == pytest.approx(loops(views), rel=1e-12)


def test_only_long_features_are_shortened():
    views = jnp.asarray([[[3.0, 4.0], [0.3, 0.4]], [[0.0, 0.0], [1e30, 0.0]]])
    squared = (shortened(views, 4.0) ** 2).sum(-1)
    np.testing.assert_allclose(squared, [[4, 0.25], [0, 4]], rtol=1e-6)
    slope = jax.grad(lambda z: shortened(z, 4.0).sum())(views)
    np.testing.assert_allclose(slope[0, 1], 1)  # short ones are left alone
    assert jnp.isfinite(slope).all()


def test_gently_weighed_alignment_and_uniformity_is_minus_twice_dep(x64):
    views = unit_views(10, 2, 8, 5)
    alike = np.mean(contrastive.positives(views, views))
    within = [contrastive.negatives(view[None], same_view=True) for view in views]

    def error(sharpness):
        loss = float(AlignmentUniformity(2.0, sharpness, 1 / sharpness)(Outputs(jnp.asarray(views)), None)[0])
        return loss + 2 * (alike - np.mean(within))

    # What is left is 2t times the variance of similarities, averaged over the views.
    assert error(1e-3) == pytest.approx(2e-3 * np.var(within, axis=1).mean(), rel=1e-2)
    assert error(1e-2) / error(1e-3) == pytest.approx(10, rel=0.05)


def test_alignment_and_uniformity_of_spectrum():
    views = jnp.asarray(3 * unit_views(11, 2, 8, 4), jnp.float32)
    found = kd.analysis.spectrum(views)
    _, terms, _ = AlignmentUniformity()(Outputs(views), None)
    assert float(terms["alignment"]) == pytest.approx(float(found.alignment), rel=1e-6)
    assert float(terms["uniformity"]) == pytest.approx(float(found.uniformity), rel=1e-6)


def bottleneck_data(images=10):
    rng = np.random.default_rng(12)
    return rng.normal(size=(2, images, 4)), rng.normal(size=(2, images, 3)), np.arange(images) % 3


def test_bottleneck_measures_are_the_package_s_own(x64):
    views, inputs, labels = bottleneck_data()
    z, x, y = views.reshape(-1, 4), inputs.reshape(-1, 3), np.tile(labels, 2)
    kernels = Gaussian(2 * 2.0), Gaussian(2 * 3**0.5), Label(1.0, math.exp(-1 / (4 * 5)))

    def terms(measure):
        given = jnp.asarray(views), jnp.asarray(inputs), jnp.asarray(labels, jnp.int32)
        return hsic_bottleneck_terms(*given, measure=measure, sigma=2.0, num_classes=5, ridge=1e-4)

    for found, other, kernel in zip(terms("nhsic"), (x, y), kernels[1:], strict=True):
        assert float(found) == pytest.approx(float(nocco(z, other, kernels[0], kernel, ridge=1e-4)), rel=1e-8)
    for found, other, kernel in zip(terms("hsic"), (x, y), kernels[1:], strict=True):
        expected = kd.hsic(z, other, kernels[0], kernel, estimator=kd.Biased())
        assert float(found) == pytest.approx(float(expected), rel=1e-10)


def test_bottleneck_says_what_it_misses(unhooked):
    views, inputs, labels = (jnp.asarray(one) for one in bottleneck_data())
    with pytest.raises(ValueError, match=r"outputs\.inputs"):
        HSICBottleneck()(Outputs(views, labels=labels), None)
    with pytest.raises(ValueError, match=r"outputs\.labels"):
        HSICBottleneck()(Outputs(views, inputs=inputs), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DCL(0.0), "temperature"),
        (lambda: SpectralContrastive("all"), "negatives"),
        (lambda: SpectralContrastive(max_squared_norm=0.0), "max_squared_norm"),
        (lambda: AlignmentUniformity(exponent=0.0), "exponent"),
        (lambda: AlignmentUniformity(sharpness=-1.0), "sharpness"),
        (lambda: AlignmentUniformity(weight=-1.0), "weight"),
        (lambda: HSICBottleneck(beta=-1.0), "beta"),
        (lambda: HSICBottleneck(measure="cka"), "measure"),
        (lambda: HSICBottleneck(sigma=0.0), "sigma"),
        (lambda: HSICBottleneck(ridge=0.0), "ridge"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
