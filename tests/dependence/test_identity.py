"""Dependence on identity: the theory's P1, P2, P4 and P5 on finite populations, and the estimates' means."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence import identity_hsic, positive_dependence
from kerneldep.kernels import Cosine, Gaussian, InverseMultiquadric, Label, Laplace, Linear

from ..oracles import kernels as oracle
from ..oracles import ssl
from ..populations import unit_views

KERNELS = {  # made in the test, in its precision
    "imq": (lambda: InverseMultiquadric(0.5), lambda x, y: oracle.inverse_multiquadric(x, y, 0.5)),
    "gaussian": (lambda: Gaussian(0.8), lambda x, y: oracle.gaussian(x, y, 0.8)),
    "laplace": (lambda: Laplace(1.1), lambda x, y: oracle.laplace(x, y, 1.1)),
    "cosine": (Cosine, oracle.cosine),
}
SHAPES = [(2, 6, 4), (3, 5, 3)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_p1_hsic_with_identity_is_dep(x64, kernel, shape):
    views, ours = unit_views(0, *shape), KERNELS[kernel][0]()
    num_images = shape[1]
    flat, identity = ssl.flatten_views(views)
    for same, different in ((1.0, 0.0), (2.0, 0.5)):
        label = Label(same=same, different=different)
        direct = kd.hsic(flat, identity, ours, label, estimator=kd.Biased())
        dep = positive_dependence(views, ours, estimate="population")
        closed = identity_hsic(dep, num_images, same - different)
        assert float(direct) == pytest.approx(float(closed), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("estimate", ["population", "paper", "unbiased", "finite"])
def test_p2_estimates_match_the_reference(x64, kernel, shape, estimate):
    views, ours, reference = unit_views(1, *shape), KERNELS[kernel][0](), KERNELS[kernel][1]
    gram = ssl.view_gram(views, reference)
    expected = {
        "population": lambda: ssl.dep_population(gram),
        "paper": lambda: ssl.dep_paper(gram),
        "unbiased": lambda: ssl.dep_unbiased(gram, math.inf),
        "finite": lambda: ssl.dep_unbiased(gram, 40),
    }[estimate]()
    name, num_images = ("unbiased", 40) if estimate == "finite" else (estimate, None)
    found = positive_dependence(views, ours, estimate=name, num_images=num_images)
    assert float(found) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    if estimate == "population":
        assert float(found) / shape[1] == pytest.approx(ssl.plug_in(gram), rel=1e-12)


def test_p2_unbiased_estimate_has_dep_as_its_mean_over_every_batch(x64):
    population = unit_views(2, 2, 4, 3)  # N = 4 images with 2 equally likely views
    kernel = InverseMultiquadric(0.5)
    truth = float(positive_dependence(population, kernel, estimate="population"))
    batches = [
        np.stack([population[list(which[half : half + 2]), list(images)] for half in (0, 2)])
        for images in itertools.permutations(range(4), 2)
        for which in itertools.product(range(2), repeat=4)
    ]

    def mean(estimate, num_images):
        each = jax.vmap(lambda views: positive_dependence(views, kernel, estimate=estimate, num_images=num_images))
        return float(each(jnp.asarray(np.stack(batches))).mean())

    assert mean("unbiased", 4) == pytest.approx(truth, rel=1e-12)
    gram = ssl.view_gram(population, lambda x, y: oracle.inverse_multiquadric(x, y, 0.5))
    stated = ssl.dep_paper_mean(ssl.positive_mean(gram, include_self=True), ssl.off_mean(gram), batch=2, views=2)
    assert mean("paper", None) == pytest.approx(stated, rel=1e-12)
    assert abs(stated - truth) > 0.05 * abs(truth)  # the bias the unbiased estimate cures


@pytest.mark.parametrize("shape", SHAPES)
def test_p4_dep_is_mean_mmd(x64, shape):
    views, kernel = unit_views(3, *shape), Gaussian(0.8)
    flat, _ = ssl.flatten_views(views)
    dep = float(positive_dependence(views, kernel, estimate="population"))
    everything = float(kernel.gram(flat).mean())
    to_all = [
        float(kernel.gram(views[:, i]).mean() - 2 * kernel.gram(views[:, i], flat).mean()) + everything
        for i in range(shape[1])
    ]
    assert dep == pytest.approx(np.mean(to_all), rel=1e-10)
    pairwise = [
        float(kernel.gram(a).mean() + kernel.gram(b).mean() - 2 * kernel.gram(a, b).mean())
        for a, b in itertools.product(views.swapaxes(0, 1), repeat=2)
    ]
    assert dep == pytest.approx(0.5 * np.mean(pairwise), rel=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_p5_total_scatter_is_within_scatter_plus_dep(x64, shape):
    views, kernel = unit_views(4, *shape), InverseMultiquadric(0.5)
    flat, _ = ssl.flatten_views(views)
    total = 1 - float(kernel.gram(flat).mean())
    positive = np.mean([float(kernel.gram(views[:, i]).mean()) for i in range(shape[1])])
    dep = float(positive_dependence(views, kernel, estimate="population"))
    assert total == pytest.approx((1 - positive) + dep, rel=1e-12)
    # 1 − E_pos k is half the mean squared distance of two views' features, here of a kernel with explicit ones.
    linear = float(positive_dependence(views, Linear(), estimate="population"))
    distances = np.mean([((a - b) ** 2).sum(-1).mean() for a, b in itertools.product(views, repeat=2)])
    mean = flat.mean(0)
    assert linear == pytest.approx(1 - distances / 2 - mean @ mean, rel=1e-12)  # B1


def test_large_batches_in_tiles_equal_the_dense_answer():
    views = unit_views(5, 2, 1500, 8).astype(np.float32)  # 3,000 samples: several tiles
    kernel = InverseMultiquadric(0.5)
    found = float(positive_dependence(views, kernel, estimate="paper"))
    gram = np.asarray(kernel.gram(views.reshape(-1, 8)), np.float64)
    pairs = (np.diagonal(gram[:1500, 1500:]).sum() + np.diagonal(gram[1500:, :1500]).sum()) / 3000
    assert found == pytest.approx(pairs - gram.mean(), abs=2e-6)  # the dense Gram is itself float32


@pytest.mark.parametrize(
    ("views", "options", "message"),
    [
        (np.zeros((1, 5, 2)), {}, "M = 1"),
        (np.zeros((2, 1, 2)), {}, "B = 1"),
        (np.zeros((5, 2)), {}, r"\[M, B, d\]"),
        (np.full((2, 5, 2), np.nan), {}, "views holds NaN"),
        (np.zeros((2, 5, 2)), {"estimate": "best"}, "estimate is 'best'"),
        (np.zeros((2, 5, 2)), {"num_images": 3}, "num_images is 3"),
    ],
)
def test_bad_input_is_named(views, options, message, unhooked):
    with pytest.raises(ValueError, match=message):
        positive_dependence(views, Gaussian(1.0), **options)


def test_constant_views_have_no_dependence():
    for estimate in ("unbiased", "paper", "population"):
        assert float(positive_dependence(np.ones((2, 5, 3)), Gaussian(1.0), estimate=estimate)) == 0
