"""Eigenvalues, effective rank, alignment and uniformity."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.analysis import covariance_eigenvalues, effective_rank, participation_ratio, spectrum

from ..oracles import analysis as oracle
from ..populations import unit_views


@pytest.mark.parametrize(("exponent", "sharpness"), [(2.0, 2.0), (1.0, 0.5)])
def test_every_quantity_is_the_reference(x64, exponent, sharpness):
    views = unit_views(0, 3, 6, 4)
    found = spectrum(3.0 * views, exponent=exponent, sharpness=sharpness)
    flat = 3 * views.reshape(-1, 4)
    eigenvalues = np.linalg.eigvalsh(np.cov(flat.T, bias=True))[::-1]
    assert np.asarray(found.eigenvalues) == pytest.approx(eigenvalues, rel=1e-11)
    assert float(found.total_variance) == pytest.approx(flat.var(0).sum(), rel=1e-12)
    assert float(found.effective_rank) == pytest.approx(oracle.effective_rank(eigenvalues), rel=1e-11)
    assert float(found.participation_ratio) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-11)
    assert 1 < float(found.participation_ratio) <= float(found.effective_rank) <= 4
    assert float(found.alignment) == pytest.approx(oracle.alignment(views, exponent), rel=1e-11)
    assert float(found.uniformity) == pytest.approx(oracle.uniformity(views, sharpness), rel=1e-11)


def test_squared_eigenvalues_are_self_dependence(x64):
    flat = unit_views(1, 2, 10, 4).reshape(-1, 4)
    hsic = kd.hsic(flat, flat, kd.kernels.Linear(), kd.kernels.Linear(), estimator=kd.Biased())
    assert float((covariance_eigenvalues(flat) ** 2).sum()) == pytest.approx(float(hsic), rel=1e-12)


def test_offset_and_scale_do_not_matter():
    views = unit_views(2, 3, 6, 4)
    here = spectrum(views)
    assert float(spectrum(views + 1e8).effective_rank) == pytest.approx(float(here.effective_rank), rel=1e-5)
    for scale in (1e15, 1e-14):
        moved = spectrum(scale * views)
        assert np.asarray(moved.eigenvalues / here.eigenvalues) == pytest.approx(scale**2, rel=1e-4)
        assert float(moved.uniformity) == pytest.approx(float(here.uniformity), rel=1e-5)


def test_fewer_samples_than_dimensions(x64):
    features = np.random.default_rng(0).normal(size=(5, 9)) + 1e4
    eigenvalues = np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]
    assert np.asarray(covariance_eigenvalues(features)) == pytest.approx(eigenvalues[:5], rel=1e-9, abs=1e-12)


def test_ranks_by_hand():
    by_hand = {
        (1.0, 1.0, 1.0, 0.0): (3.0, 3.0),
        (5.0, 0.0, 0.0, 0.0): (1.0, 1.0),
        (2.0, 1.0, 1.0, 0.0): (2 * math.sqrt(2), 16 / 6),  # entropy 1.5 bits
        (0.0, 0.0, 0.0, 0.0): (0.0, 0.0),
    }
    values, (entropy, participation) = np.array(list(by_hand)), np.array(list(by_hand.values())).T
    assert np.asarray(effective_rank(values)) == pytest.approx(entropy, rel=1e-6)
    assert np.asarray(participation_ratio(values)) == pytest.approx(participation, rel=1e-6)
    assert float(effective_rank([3e38] * 4)) == float(participation_ratio([3e38] * 4)) == 4
    slope = jax.jit(jax.grad(lambda values: (effective_rank(values) + participation_ratio(values)).sum()))
    assert jnp.isfinite(slope(jnp.asarray(values))).all()


def test_collapse_in_value_and_gradient():
    collapsed = spectrum(np.full((3, 6, 4), 0.3))
    assert float(collapsed.effective_rank) == float(collapsed.participation_ratio) == float(collapsed.alignment) == 0
    assert abs(float(collapsed.uniformity)) < 10 * np.finfo(np.float32).eps
    zero = spectrum(np.zeros((3, 6, 4)))
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(zero))
    views = unit_views(0, 3, 6, 4) * np.minimum(np.arange(6), 1)[None, :, None]  # an image at 0, as `alignment` has it
    assert float(spectrum(views).uniformity) == pytest.approx(oracle.uniformity(views, 2.0), rel=1e-5)
    # One direction: rank 1 whatever the rounding.
    line = np.linspace(-1, 1, 18).reshape(3, 6, 1) * np.array([1.0, 2.0, -1.0, 0.5])
    assert float(spectrum(line).effective_rank) == pytest.approx(1, abs=1e-4)

    def total(views):
        found = spectrum(views, exponent=1.0)
        return found.effective_rank + found.participation_ratio + found.alignment + found.uniformity

    slope = jax.jit(jax.grad(total))
    for views in (jnp.ones((3, 6, 4)), jnp.zeros((3, 6, 4)), jnp.asarray(unit_views(2, 3, 6, 4), jnp.float32)):
        assert jnp.isfinite(slope(views)).all()


def test_bad_input_is_named(unhooked):
    with pytest.raises(ValueError, match="sharpness is 0"):
        spectrum(np.ones((2, 3, 4)), sharpness=0)
    with pytest.raises(ValueError, match="exponent is .a.: a positive"):
        spectrum(np.ones((2, 3, 4)), exponent="a")
    with pytest.raises(ValueError, match="M = 1"):
        spectrum(np.ones((1, 3, 4)))
    for scale in (1e30, 1e-30):
        with pytest.raises(ValueError, match="variances that overflow or vanish"):
            spectrum(scale * unit_views(0, 3, 6, 4))
    for function in (effective_rank, participation_ratio):
        for values, message in (([1.0, np.nan], "NaN"), ([1.0, np.inf], "infinite"), (1.0, "last axis")):
            with pytest.raises(ValueError, match=message):
                function(values)
