"""InfoNCE and its denominators."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Cosine
from kerneldep.objectives import InfoNCE, Outputs, infonce_terms

from ..oracles import kernels as oracle
from ..oracles import ssl
from ..populations import unit_views


@pytest.mark.parametrize("temperature", [0.1, 0.5, 5.0])
def test_infonce_denominators_are_the_reference(x64, temperature):
    views = unit_views(2, 2, 6, 4)
    gram = ssl.view_gram(views, oracle.cosine)
    outputs = Outputs(jnp.asarray(2 * views))

    def loss(denominator):
        return float(InfoNCE(temperature, denominator)(outputs, None)[0])

    assert loss("nt_xent") == pytest.approx(ssl.nt_xent(gram, temperature), abs=1e-12)
    assert loss("in_batch") == pytest.approx(ssl.infonce_in_batch(gram, temperature), abs=1e-12)
    # The reference's positives include p = q.
    include, exclude = (ssl.positive_mean(gram, include_self=flag) / temperature for flag in (True, False))
    expected = ssl.infonce_population(gram, temperature) + include - exclude
    assert loss("population") == pytest.approx(expected, abs=1e-12)


def test_infonce_with_three_views_by_hand(x64):
    views, temperature = unit_views(3, 3, 4, 5), 0.3
    scores = np.einsum("aid,bjd->aibj", views, views) / temperature
    positive = np.mean([scores[a, i, b, i] for a in range(3) for b in range(3) if a != b for i in range(4)])
    others, in_batch = [], []
    for a in range(3):
        for i in range(4):
            rest = [scores[a, i, b, j] for b in range(3) for j in range(4) if (a, i) != (b, j)]
            others.append(np.log(np.exp(rest).sum()))
            in_batch += [np.log(np.exp(scores[a, i, b]).sum()) for b in range(3) if b != a]
    found = {name: infonce_terms(jnp.asarray(views), temperature, name) for name in ("nt_xent", "in_batch")}
    for name, expected in (("nt_xent", others), ("in_batch", in_batch)):
        assert float(found[name][0]) == pytest.approx(positive, abs=1e-12)
        assert float(found[name][1]) == pytest.approx(np.mean(expected), abs=1e-12)


def test_i5_temperature_times_infonce_is_minus_dep_with_an_error_of_order_one_over_temperature(x64):
    views = jnp.asarray(unit_views(4, 2, 20, 6))
    dep = float(kd.dependence.positive_dependence(views, Cosine(), estimate="paper"))
    error = [t * float(InfoNCE(t, "population")(Outputs(views), None)[0]) + dep for t in (10.0, 100.0)]
    assert error[0] / error[1] == pytest.approx(10, rel=0.05)
    # The other denominators carry the log of the number of candidates.
    for denominator, candidates in (("nt_xent", 39), ("in_batch", 20)):
        offset = float(InfoNCE(100.0, denominator)(Outputs(views), None)[0]) - math.log(candidates)
        assert abs(100 * offset + dep) < 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNCE(0.0), "temperature"),
        (lambda: InfoNCE(denominator="all"), "denominator"),
        (lambda: InfoNCE()(Outputs(jnp.ones((2, 1, 4))), None), "1 image"),
    ],
)
def test_bad_settings_are_named(make, message, unhooked):
    with pytest.raises(ValueError, match=message):
        make()
