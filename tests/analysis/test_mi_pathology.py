"""Why not mutual information: M1 and M2 of the theory on finite populations, with their numbers."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.analysis import infonce_hsic
from kerneldep.analysis.mi_pathology import (
    best_infonce,
    blobs,
    checkerboard,
    exact_infonce,
    mi_pathology,
    nearest_accuracy,
    same_information,
    scrambled,
    stripes,
)
from kerneldep.information.tasks import (
    CorrelatedGaussian,
    IntervalExchange,
    LabelledPopulation,
    interleaved,
    normal_cdf,
)
from kerneldep.kernels import Cosine, Gaussian, InverseMultiquadric, Linear

from ..oracles import infonce as oracle
from ..oracles import kernels as oracle_kernels
from ..oracles import tasks as task_oracle

SIDE = 8
LOG_2 = math.log(2)


@functools.cache
def pathologies():
    """The populations in the plane, and what is found of them; with 8 labels a draw."""
    populations = same_information(SIDE, key=jax.random.key(0))
    found = [mi_pathology(p, num_labels=8, num_draws=2, key=jax.random.key(1)) for p in populations]
    names = ("blobs", "halves", "xor", "stripes", "fields", "scrambled")
    return dict(zip(names, zip(populations, found, strict=True), strict=True))


def gram_of(points, kernel):
    return oracle_kernels.gram(kernel, np.asarray(points), np.asarray(points))


imq = functools.partial(oracle_kernels.inverse_multiquadric, scale=1.0)


def test_m1_information_stays_while_dependence_falls():
    # Of theory: 0.146, 0.057, 0.033, 0.017, 0.0082, 0.0039, 0.0019
    expected = {0: 0.1464466, 1: 0.0571099, 2: 0.0329773, 4: 0.0169151, 8: 0.0082057, 16: 0.0039466, 32: 0.0019171}
    near = []
    for levels, value in expected.items():
        population = interleaved(levels)
        assert population.mutual_information == pytest.approx(LOG_2, rel=1e-14)
        assert exact_infonce(population) == pytest.approx(LOG_2, rel=1e-12)
        assert oracle.dep(gram_of(population.points, imq), population.classes) == pytest.approx(value, abs=6e-8)
        near.append(nearest_accuracy(population.points, population.classes, 8))
    for levels in (0, 32):  # the library's own, at both ends
        found = kd.dependence.positive_dependence(
            interleaved(levels).views, InverseMultiquadric(1.0), estimate="population"
        )
        assert float(found) == pytest.approx(expected[levels], abs=2e-7)
    assert (np.diff(near) < 0).all()
    assert near[0] == pytest.approx(1 - 2**-8)  # wrong only where one class was never drawn
    assert near[-1] < 0.51


def test_same_information_differs_in_all_else():
    found = {name: one for name, (_, one) in pathologies().items()}
    for one in found.values():
        assert one.mutual_information == pytest.approx(LOG_2, rel=1e-14)
        assert one.positive_information == pytest.approx(LOG_2, rel=1e-14)
        assert one.infonce["exact"] == pytest.approx(LOG_2, rel=1e-12)
        assert all(0 <= value < LOG_2 for name, value in one.infonce.items() if name != "exact")
        assert float(one.hsic) == pytest.approx(float(one.dependence) / 2)
    dependence = [float(one.dependence) for one in found.values()]
    assert (np.diff(dependence[:5]) < 0).all()
    nearest = [one.nearest for one in found.values()]
    assert (np.diff(nearest[:5]) < 0).all()
    wide = [one.infonce["wide Gaussian"] for one in found.values()]
    assert (np.diff(wide[:5]) < 0).all()
    assert found["blobs"].linear_all == found["halves"].linear_all == 1
    assert min(found["blobs"].linear, found["halves"].linear) > 0.8
    assert found["xor"].linear_all == pytest.approx(0.5, abs=0.01)
    assert found["xor"].nearest > 0.7  # no straight line, but neighbours
    assert found["halves"].infonce["cosine"] > 0.15 > 1e-5 > found["xor"].infonce["cosine"]


def test_scrambling_leaves_information_alone():
    """M2, with the mean over bijections in closed form."""
    population, found = pathologies()["scrambled"]
    halves, before = pathologies()["halves"]
    assert np.array_equal(np.unique(population.points, axis=0), np.unique(halves.points, axis=0))
    assert found.mutual_information == pytest.approx(before.mutual_information, rel=1e-14)
    n = len(halves.points)
    # The chance that the point itself was labelled is all that is left to a neighbour, up to its luck.
    luck = 0.5 + 0.5 * (1 - (1 - 1 / n) ** 8)
    assert found.nearest == pytest.approx(luck, abs=0.05)
    assert abs(found.linear - 0.5) < 0.1
    gram = gram_of(halves.points, imq)
    off = (gram.sum() - n) / (n * (n - 1))
    rng = np.random.default_rng(0)
    same = [c[:, None] == c[None, :] for c in (rng.permutation(halves.classes) for _ in range(400))]
    drawn = np.array([gram[one].mean() - gram.mean() for one in same])
    assert drawn.mean() == pytest.approx((1 - off) / n, abs=4 * drawn.std() / 20)
    assert float(found.dependence) == pytest.approx((1 - off) / n, abs=4 * drawn.std())
    assert float(before.dependence) > 8 * (1 - off) / n


def test_scrambling_a_continuous_law():
    """M2: an interval exchange of Φ(X) keeps the law and I(X; Y), and HSIC falls to what independence gives."""
    x, y = CorrelatedGaussian(1.0).sample(jax.random.key(0), 500)
    u, v = normal_cdf(x), normal_cdf(y)
    hsic = jax.jit(lambda one: kd.hsic(one, v, Gaussian(0.2), Gaussian(0.2)))
    before = float(hsic(u))
    rng = np.random.default_rng(0)
    after = [float(hsic(IntervalExchange(rng.permutation(512))(u))) for _ in range(4)]
    independent = [float(hsic(np.asarray(u)[rng.permutation(500)])) for _ in range(20)]
    assert max(map(abs, after)) < 4 * np.std(independent)
    assert before > 30 * np.std(independent)


def test_panels_on_the_lattice_share_the_law_of_z():
    """With one law of Z the gap L + dep is one number: InfoNCE at a fixed kernel critic differs by dep alone."""
    found = [infonce_hsic(pathologies()[name][0].views, 0.5) for name in ("halves", "xor", "stripes", "scrambled")]
    gaps, dependence = (np.array([getattr(one, name) for one in found]) for name in ("gap", "dependence"))
    assert gaps == pytest.approx(gaps[0], rel=1e-5)
    assert dependence.max() - dependence.min() > 0.1


def test_numbers_are_those_of_the_oracles():
    population, found = pathologies()["stripes"]
    gram, classes = gram_of(population.points, imq), population.classes
    assert float(found.dependence) == pytest.approx(oracle.dep(gram, classes), abs=1e-6)
    gram = gram_of(population.points, functools.partial(oracle_kernels.gaussian, bandwidth=0.25))
    scales = [0.5, 0.9, 1.1, 1.3, 2.0]
    values = [
        s * gram[classes[:, None] == classes].mean() - np.log(np.exp(s * gram).mean(1)).mean()
        for s in [found.inverse_temperature["narrow Gaussian"], *scales]
    ]
    assert found.infonce["narrow Gaussian"] == pytest.approx(values[0], abs=1e-6)
    assert values[0] >= max(values)
    population, found = pathologies()["halves"]
    same = infonce_hsic(population.views, 1 / found.inverse_temperature["cosine"])
    assert -float(same.infonce) == pytest.approx(found.infonce["cosine"], abs=1e-6)


def test_a_critic_that_finds_nothing_reaches_nothing():
    assert best_infonce(checkerboard(2, SIDE).views, Cosine()) == pytest.approx((0, 0), abs=0.05)


def test_the_best_temperature_has_the_kernels_unit():
    views = stripes(2, 4).views
    value, scale = best_infonce(views, Linear())
    gram = gram_of(views.reshape(-1, 2), oracle_kernels.linear)
    same = np.tile(np.arange(2), len(views))
    expected = -oracle.infonce(scale * gram, same)
    assert value == pytest.approx(expected, rel=1e-6)
    assert value > max(-oracle.infonce(other * scale * gram, same) for other in (0.99, 1.01))
    far = best_infonce(1e5 * views, Linear())
    assert far == pytest.approx((value, scale / 1e10), rel=1e-5)
    assert best_infonce(views, 1e12 * Linear()) == pytest.approx((value, scale / 1e12), rel=1e-5)
    assert best_infonce(views, Linear(), largest=0.5 * scale)[1] == pytest.approx(0.5 * scale, rel=1e-12)


def test_critic_of_a_population_whose_classes_meet():
    population = LabelledPopulation([0.0, 0.0, 1.0, 2.0, 2.0, 3.0], [0, 1, 1, 0, 0, 1])
    assert exact_infonce(population) == pytest.approx(population.positive_information, rel=1e-12)
    assert population.positive_information < population.mutual_information < LOG_2


@pytest.mark.parametrize("num_labels", [1, 2, 3])
def test_nearest_accuracy_is_the_mean_over_all_draws(num_labels):
    near, classes = [(0, 0), (1, 0), (0, 1), (1, 1), (3, 1)], [0, 1, 0, 1, 1, 0]  # with ties
    for last in ((3, 2), (1e6, 0)):  # one far off ties no others
        points = [*near, last]
        expected = task_oracle.nearest_accuracy(points, classes, num_labels)
        assert nearest_accuracy(points, np.array(classes), num_labels) == pytest.approx(expected, rel=1e-12)


def test_constructions():
    assert stripes(4, 4).classes.reshape(4, 4)[:, 0].tolist() == [0, 1, 0, 1]
    assert checkerboard(4, 4).classes.reshape(4, 4).tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]] * 2
    assert stripes(2, 4).points[:, 1].reshape(4, 4)[0].tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert sorted(set(blobs(2.0, 2).points[:, 0])) == [-2, 2]
    again, other = (scrambled(stripes(2, 4), jax.random.key(seed)) for seed in (0, 1))
    assert (again.points == scrambled(stripes(2, 4), jax.random.key(0)).points).all()
    assert (again.points != other.points).any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: stripes(3), ValueError, "count = 3"),
        (lambda: checkerboard(6, 16), ValueError, "count = 6"),
        (lambda: mi_pathology(np.ones((4, 2)), key=jax.random.key(0)), TypeError, "LabelledPopulation is needed"),
        (lambda: mi_pathology(stripes(2), num_labels=0, key=jax.random.key(0)), ValueError, "num_labels is 0"),
        (lambda: nearest_accuracy([0.0, 1.0], [0], 1), ValueError, "2 points, classes"),
        (lambda: nearest_accuracy([0.0, 1.0], [[0], [1]], 1), ValueError, "one integer a point"),
        (lambda: nearest_accuracy([0.0, math.nan], [0, 1], 1), ValueError, "without NaN"),
        (lambda: nearest_accuracy([0.0, 1.0], [0, 1], 1.5), ValueError, "num_labels is 1.5"),
        (lambda: best_infonce(np.ones((1, 4, 2)), Cosine()), ValueError, "M = 1"),
        (lambda: best_infonce(np.ones((2, 4, 2)), None), TypeError, "kernel is None"),
        (lambda: best_infonce(np.full((2, 4, 2), 1e30, "f"), Linear()), ValueError, "Gram matrix overflows"),
        (lambda: jax.jit(lambda z: best_infonce(z, Cosine()))(jnp.ones((2, 4, 2))), TypeError, "outside of jit"),
        (lambda: mi_pathology(stripes(2), critics=[Cosine()], key=jax.random.key(0)), TypeError, "mapping of names"),
        (lambda: mi_pathology(stripes(2), critics={"exact": Cosine()}, key=jax.random.key(0)), ValueError, "'exact'"),
        (lambda: mi_pathology(stripes(2), key=None), ValueError, "key is missing"),
    ],
)
def test_bad_input_is_named(call, error, message, unhooked):
    with pytest.raises(error, match=message):
        call()
