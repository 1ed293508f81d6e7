"""BYOL and SimSiam: their distance and dependence on identity."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.dependence import positive_dependence
from kerneldep.kernels import Linear
from kerneldep.objectives import BYOL, Outputs, SimSiam

from ..oracles import contrastive, ssl
from ..oracles import kernels as oracle
from ..populations import unit_views


@pytest.mark.parametrize("num_views", [2, 3])
def test_b1_distance_is_dependence_while_the_mean_stays(x64, num_views):
    views = unit_views(20, num_views, 8, 5)
    array = jnp.asarray(views)
    distance, terms, _ = BYOL()(Outputs(array, 3 * array, 2 * array), None)
    gram = ssl.view_gram(views, oracle.linear)
    # E_pos over different views, p ≠ q.
    assert float(distance) == pytest.approx(2 * (1 - ssl.positive_mean(gram, include_self=False)), abs=1e-12)
    mean = views.mean((0, 1))
    dep = float(positive_dependence(array, Linear(), estimate="paper"))
    assert dep == pytest.approx(1 - float(distance) / 2 - mean @ mean, abs=1e-12)
    assert float(terms["dep"]) == pytest.approx(dep, abs=1e-12)
    # The plug-in, p = q included: its distance is (M − 1)/M of that.
    population = float(positive_dependence(array, Linear(), estimate="population"))
    share = (num_views - 1) / num_views
    assert population == pytest.approx(1 - share * float(distance) / 2 - mean @ mean, abs=1e-12)


def test_simsiam_is_byol_s_loss_with_another_target(x64):
    rng = np.random.default_rng(21)
    outputs = Outputs(*(jnp.asarray(rng.normal(size=(2, 6, 4))) for _ in range(3)))
    byol, of_byol, _ = BYOL()(outputs, None)
    simsiam, of_simsiam, _ = SimSiam()(outputs, None)
    assert float(byol) == pytest.approx(2 + 2 * float(simsiam), abs=1e-12)
    assert {name: float(term) for name, term in of_byol.items()} == {n: float(t) for n, t in of_simsiam.items()}
    # Two directions, each a mean over images, and ½ of either.
    q, z = contrastive.unit(np.asarray(outputs.predictions)), contrastive.unit(np.asarray(outputs.targets))
    directions = [(q[p] * z[1 - p]).sum(1).mean() for p in (0, 1)]
    assert float(simsiam) == pytest.approx(-0.5 * sum(directions), abs=1e-12)


def test_gradient_reaches_predictions_alone(x64):
    rng = np.random.default_rng(22)
    views = jnp.asarray(rng.normal(size=(2, 5, 3)))
    predict = jnp.asarray(rng.normal(size=(3, 3)))

    def loss(views):
        return SimSiam()(Outputs(views, views @ predict, views), None)[0]

    def with_fixed_target(moving, fixed):
        return SimSiam()(Outputs(moving, moving @ predict, fixed), None)[0]

    np.testing.assert_allclose(jax.grad(loss)(views), jax.grad(with_fixed_target)(views, views), rtol=1e-12)


@pytest.mark.parametrize("objective", [BYOL(), SimSiam()], ids=["byol", "simsiam"])
def test_targets_are_asked_for(objective, unhooked):
    views = jnp.ones((2, 4, 3))
    with pytest.raises(ValueError, match=r"outputs\.targets is missing"):
        objective(Outputs(views, views), None)
