"""Why the regulariser, and what it costs: R1 of the theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.analysis import codebook_loss, codebook_views, collapse, collapse_flow, near_collapse
from kerneldep.kernels import InverseMultiquadric, Linear

from ..oracles import kernels as oracle_kernels
from ..oracles import ssl
from ..populations import unit_views

STATED = {2: (1.0, 1), 8: (0.12, 2), 16: (-0.21, 2), 1024: (-0.905, 3)}
"""Loss at γ = 3 and the decimals it is stated to."""


@pytest.mark.parametrize("codes", [1, 2, 8, 16])
def test_r1_closed_form_on_real_views(x64, codes):
    views = codebook_views(codes, 16)
    found = collapse(jnp.pad(views, ((0, 0), (0, 0), (0, 16 - codes))))  # one shape, one compilation
    assert float(found.dependence) == pytest.approx(1 - 1 / codes, abs=1e-14)
    assert float(found.self_dependence) == pytest.approx((1 - 1 / codes) / codes, abs=1e-14)
    assert float(found.participation_ratio) == pytest.approx(codes - 1, abs=1e-12)
    assert float(found.critical_gamma) == pytest.approx((codes - 1) ** 0.5, abs=1e-12)
    for gamma in (0.0, 1.0, 3.0, 10.0):
        assert float(found.loss(gamma)) == pytest.approx(float(codebook_loss(codes, gamma)), abs=1e-12)


def test_r1_stated_numbers(x64):
    for codes, (loss, decimals) in STATED.items():
        assert float(codebook_loss(codes, 3.0)) == pytest.approx(loss, abs=0.5 * 10**-decimals + 1e-12)
    assert float(collapse(codebook_views(1024)).loss(3.0)) == pytest.approx(-0.9053, abs=5e-5)
    assert float(codebook_loss(1, 3.0)) == 0  # full collapse
    # γ = 0 barely tells 64 codes from 1,024, γ = 3 does.
    at = {gamma: float(codebook_loss(64, gamma) - codebook_loss(1024, gamma)) for gamma in (0.0, 3.0)}
    assert at[0.0] == pytest.approx(0.0146, abs=5e-5)
    assert at[3.0] == pytest.approx(0.293, abs=5e-4)


def test_r1_negative_iff_more_codes_than_one_plus_gamma_squared(x64):
    codes, gamma = np.arange(1, 200)[:, None], np.arange(0.25, 12.0, 0.5)[None, :]
    assert ((np.asarray(codebook_loss(codes, gamma)) < 0) == (codes > 1 + gamma**2)).all()
    fine = 1 / np.linspace(1e-4, 1, 20001)[:, None]
    loss = np.asarray(codebook_loss(fine, gamma))
    top = np.sqrt(1 + gamma[0] ** 2)
    assert loss.max(0) == pytest.approx((top - 1) / 2, rel=1e-6)
    assert 1 / fine[loss.argmax(0), 0] == pytest.approx(0.5 + 0.5 / top, abs=1e-4)


def test_terms_are_the_reference(x64):
    views = unit_views(0, 2, 16, 16)
    gram = ssl.view_gram(views, lambda x, y: oracle_kernels.inverse_multiquadric(x, y, 0.5))
    found = collapse(2.0 * views, InverseMultiquadric(0.5))
    assert float(found.dependence) == pytest.approx(ssl.dep_population(gram), rel=1e-11)
    assert float(found.self_dependence) == pytest.approx(ssl.self_hsic(gram), rel=1e-11)
    loss = ssl.ssl_hsic_loss(ssl.dep_population(gram), ssl.self_hsic(gram), 2.0)
    assert float(found.loss(2.0)) == pytest.approx(loss, rel=1e-11)
    eigenvalues = np.linalg.eigvalsh(np.cov(views.reshape(-1, 16).T, bias=True))
    assert float(found.participation_ratio) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-11)
    # Without scatter within images and with the linear kernel, the critical γ is the root of the participation ratio.
    alike = collapse(np.repeat(views[:1], 2, axis=0))
    assert float(alike.critical_gamma) ** 2 == pytest.approx(float(alike.participation_ratio), rel=1e-11)
    assert float(alike.loss(alike.critical_gamma)) == pytest.approx(0, abs=1e-12)


NUMBERS = np.arange(1, 32)
STARTS = {
    "rank 4": (np.where(NUMBERS <= 4, 0.01, 0.0), 3.0, 0.0),
    "rank 4, smaller γ": (np.where(NUMBERS <= 4, 0.01, 0.0), 1.5, -1 + 1.5 / 5**0.5),
    "every direction": (np.full(31, 0.01), 3.0, -1 + 3 / 32**0.5),
    "weak directions": (np.where(NUMBERS <= 4, 0.1, 0.001), 3.0, -1 + 3 / 32**0.5),
}
"""Scales of the scatter about the collapsed point, γ, and the loss at which the flow ends."""


@pytest.mark.parametrize("name", STARTS)
def test_flow_is_trapped_near_collapse_by_low_rank(name):
    scales, gamma, end = STARTS[name]
    start = near_collapse(jax.random.key(1), 48, scales.astype(np.float32))
    flow = collapse_flow(start, jnp.asarray(gamma), num_steps=300, step_size=0.1)
    assert flow.losses.shape == flow.path.dependence.shape == (301,)
    assert float(flow.losses[0]) == pytest.approx(float(collapse(start).loss(gamma)), abs=1e-6)
    assert float(flow.losses[-1]) == pytest.approx(end, abs=2e-4)
    assert float(flow.path.dependence[-1]) == pytest.approx(float(end < 0), abs=2e-3)
    begun = float(flow.path.participation_ratio[0])
    assert (begun < gamma**2) == (name in ("rank 4", "weak directions"))
    # Where the participation ratio is too low the loss starts positive; weak directions can still mend that.
    assert (float(flow.losses[0]) > 0) == (begun < gamma**2)
    norms = jnp.linalg.norm(flow.views, axis=-1)
    assert np.asarray(norms) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rank", [8, 9])
def test_flow_of_rank_gamma_squared_passes_slowly(rank):
    views = near_collapse(jax.random.key(1), 48, np.where(np.arange(31) < rank, 0.1, 0.0).astype(np.float32))
    for _ in range(4):
        flow = collapse_flow(views, jnp.asarray(3.0), num_steps=300, step_size=0.1)
        views = flow.views
    end, dependence = (-1 + 3 / 10**0.5, 1) if rank == 9 else (0, 0)
    assert float(flow.losses[-1]) == pytest.approx(end, abs=1e-5)
    assert float(flow.path.dependence[-1]) == pytest.approx(dependence, abs=1e-3)


@pytest.mark.parametrize("constant", [0.7, 0.0])
def test_full_collapse_has_loss_zero_and_no_slope(constant):
    flow = collapse_flow(jnp.full((2, 48, 32), constant), jnp.asarray(3.0), num_steps=300, step_size=0.1)
    assert np.asarray(flow.losses) == pytest.approx(0, abs=1e-6)
    assert not np.asarray(flow.path.critical_gamma).any()
    assert np.asarray(flow.views) == pytest.approx(np.sign(constant) / 32**0.5, abs=1e-6)  # where it started


def test_flow_rate_near_collapse():
    start = near_collapse(jax.random.key(2), 48, np.geomspace(1e-2, 1e-3, 31, dtype=np.float32))
    step = 1e-5  # of the same program as above
    moved = collapse_flow(start, jnp.asarray(3.0), num_steps=300, step_size=step).views
    cloud, after = (np.asarray(views[0], float) - np.asarray(views[0], float).mean(0) for views in (start, moved))
    eigenvalues, vectors = np.linalg.eigh(cloud.T @ cloud / 48)
    growth = np.log((after @ vectors).var(0) / eigenvalues) / (300 * step)
    rate = 1 - 3 * eigenvalues / np.sqrt((eigenvalues**2).sum())
    assert growth[1:] / 4 == pytest.approx(rate[1:], abs=0.03)  # all but the collapsed point's own direction
    assert rate[1] > 0.9
    assert rate[-1] < -0.5


def test_bad_input_is_named(unhooked):
    with pytest.raises(ValueError, match="num_codes must be at least 1"):
        codebook_loss(0.5, 3.0)
    with pytest.raises(ValueError, match="gamma cannot be negative"):
        codebook_loss(2, -1.0)
    with pytest.raises(ValueError, match="as many images on every code"):
        codebook_views(3, 10)
    with pytest.raises(ValueError, match="key is missing"):
        near_collapse(None, 5, [0.1])
    for arguments, message in (
        ({"step_size": 0.0}, "step_size must be positive"),
        ({"gamma": np.inf}, "gamma must be finite"),
        ({"gamma": [1.0, 2.0]}, r"gamma has shape \(2,\)"),
        ({"num_steps": 2.5}, "num_steps is 2.5"),
    ):
        with pytest.raises(ValueError, match=message):
            collapse_flow(np.ones((2, 3, 4)), kernel=Linear(), **arguments)
