"""SSL-HSIC as clustering: P4 and P5 of the theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.analysis import clustering, image_distances
from kerneldep.kernels import Distance, Gaussian, InverseMultiquadric, Linear

from ..oracles import analysis as oracle
from ..oracles import kernels as oracle_kernels
from ..oracles import ssl
from ..populations import unit_views

KERNELS = {
    "gaussian": (lambda: Gaussian(0.7), lambda x, y: oracle_kernels.gaussian(x, y, 0.7)),
    "linear": (Linear, oracle_kernels.linear),
    "distance": (Distance, lambda x, y: oracle_kernels.distance(x, y, 1.0)),
}


@pytest.mark.parametrize("name", KERNELS)
def test_p4_and_p5(x64, name):
    make, reference = KERNELS[name]
    kernel = make()
    views = unit_views(0, 3, 7, 4, 1.0)
    gram = ssl.view_gram(views, reference)
    found, between = clustering(views, kernel), np.asarray(image_distances(views, kernel))
    exact = {"rel": 1e-11, "abs": 1e-14}
    dep = ssl.dep_population(gram)
    assert float(found.dependence) == pytest.approx(dep, **exact)
    # P4: dep = mean MMD²(P_image, P_all) = (1/2N²) Σ MMD²(P_i, P_j)
    to_all = np.array([oracle.image_mmd(gram, i) for i in range(7)])
    assert np.asarray(found.image_mmd) == pytest.approx(to_all, **exact)
    expected = np.array([[oracle.image_distance(gram, i, j) for j in range(7)] for i in range(7)])
    assert between == pytest.approx(expected, **exact)
    assert float(found.image_mmd.mean()) == pytest.approx(dep, **exact)
    assert between.sum() / (2 * 7**2) == pytest.approx(dep, **exact)
    # P5: total scatter = within + dep, within = ½E_pos‖φ(Z) − φ(Z′)‖²
    distance = oracle.positive_feature_distance(gram)
    assert float(found.positive_distance) == pytest.approx(distance, **exact)
    assert float(found.image_scatter.mean()) == pytest.approx(distance / 2, **exact)
    diagonal = np.mean([gram[p, i, p, i] for p in range(3) for i in range(7)])
    assert float(found.total_scatter) == pytest.approx(diagonal - gram.mean(), **exact)
    assert float(found.within_scatter + found.dependence) == pytest.approx(float(found.total_scatter), **exact)
    if name != "distance":  # of unit diagonal
        positive = ssl.positive_mean(gram, include_self=True)
        assert 1 - positive == pytest.approx(distance / 2, **exact)
        assert 1 - gram.mean() == pytest.approx(distance / 2 + dep, **exact)
    margin = oracle.margin(gram)
    assert np.asarray(found.margin) == pytest.approx(margin, **exact)
    assert float(found.stable_share) == pytest.approx((margin > 0).mean(), rel=1e-12)
    assert 0.3 < (margin > 0).mean() < 1  # some views would be moved


def test_badly_clustered_views_are_found(x64):
    views = unit_views(1, 3, 7, 4, 0.1)
    exchanged = views.copy()
    exchanged[0, [2, 5]] = views[0, [5, 2]]  # two images have exchanged a view
    kernel = InverseMultiquadric(0.5)
    before, after = clustering(views, kernel), clustering(exchanged, kernel)
    assert float(before.stable_share) == 1
    assert set(zip(*np.nonzero(np.asarray(after.margin) < 0), strict=True)) == {(0, 2), (0, 5)}
    assert set(np.argsort(after.image_scatter)[-2:].tolist()) == {2, 5}
    # Kernel k-means: the total scatter is the same points', so that what the images' scatter gains dep loses.
    assert float(after.total_scatter) == pytest.approx(float(before.total_scatter), rel=1e-12)
    gained = float(after.within_scatter - before.within_scatter)
    assert gained > 0.05
    assert float(before.dependence - after.dependence) == pytest.approx(gained, rel=1e-10)
    assert float(after.explained) < float(before.explained) < 1


def test_collapse_offsets_and_gradients(dtype):
    constant = clustering(np.full((3, 7, 4), 0.3, dtype), Gaussian(0.7))
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(constant))
    assert float(constant.explained) == float(constant.stable_share) == 0
    views = unit_views(3, 3, 7, 4).astype(dtype)
    near, far = (clustering(jnp.asarray(views + offset), Gaussian(0.7)).dependence for offset in (0, 64))
    assert float(far) == pytest.approx(float(near), rel=1e-4 if dtype == np.float32 else 1e-12)

    def summed(views):
        found = clustering(views, Gaussian(0.7))
        return found.explained + found.image_mmd.sum() + found.image_scatter.sum() + found.margin.sum()

    slope = jax.jit(jax.grad(summed))
    for points in (jnp.ones((3, 7, 4), dtype), jnp.asarray(views)):
        assert jnp.isfinite(slope(points)).all()


def test_bad_input_is_named(unhooked):
    for function in (clustering, image_distances):
        with pytest.raises(ValueError, match="M = 1"):
            function(np.ones((1, 5, 3)), Linear())
        with pytest.raises(TypeError, match="kernel"):
            function(np.ones((2, 5, 3)), "gaussian")
