"""One pass over batches gives what all samples at once give."""

import functools
import importlib.util

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence import HSICState, batches_of, hsic_stream
from kerneldep.dependence.feature_based import FeatureDraws, FeatureSide
from kerneldep.dependence.feature_sums import FeatureSums, Moments, recentred
from kerneldep.features import one_hot, random_fourier
from kerneldep.kernels import Gaussian, Label, Linear

from ..oracles import features as oracle

N = 157
OFFSET = 10_000.0


def sample(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Multiples of 2⁻¹⁰: float32 holds them exactly near 10⁴."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    y = np.sin(2 * x[:, :1]) + 0.3 * rng.normal(size=(n, 1))
    return tuple((np.round(a * 2**10) / 2**10).astype(np.float32) for a in (x, y))


@functools.cache
def maps(seed: int, dim: int):
    return tuple(random_fourier(Gaussian(1.0), dim, 8, key=key) for key in jax.random.split(jax.random.key(seed)))


def created(**options) -> HSICState:
    """With origins amid data that lie near 10⁴."""
    origins = {"origin_x": [OFFSET, OFFSET], "origin_y": [-OFFSET]}
    return HSICState.create(maps(0, 2), maps(1, 1), **origins, **options)


def at_once(x, y, unbiased: bool, draws=None):
    """HSIC and self-dependences by the one-shot estimator with the same maps."""
    draws = draws or (FeatureDraws(maps(i, a.shape[1])) for i, a in enumerate((x, y)))
    sides = tuple(FeatureSide(jnp.asarray(a), one) for a, one in zip((x, y), draws, strict=True))
    return jax.jit(kd.RandomFourier(16, unbiased=unbiased).triple)(sides)


def fed(state: HSICState, x, y, sizes) -> HSICState:
    start = 0
    for size in sizes:
        state = state.update(x[start : start + size] + OFFSET, y[start : start + size] - OFFSET)
        start += size
    assert start == len(x)
    return state


def test_moments_move_to_another_centre(x64):
    rng = np.random.default_rng(0)
    phi, psi, old, new = rng.normal(size=(9, 4)), rng.normal(size=(9, 3)), rng.normal(size=7), rng.normal(size=7)

    def about(at):
        moments = oracle.moments(phi, psi, at[:4], at[4:])
        return FeatureSums(
            (jnp.asarray(at[:4]), jnp.asarray(at[4:])), Moments(**{name: jnp.asarray(m) for name, m in moments.items()})
        )

    moved = recentred(about(old), about(new).centers)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10), moved, about(new))


@pytest.mark.parametrize("wide", [False, True])
def test_equals_the_estimate_of_all_samples(wide):
    """Varying sizes, one sample included; near 10⁴ in float32, and in NumPy's float64 that is narrowed."""
    x, y = sample()
    state = created()
    assert state.count == 0
    state = fed(state, *(a.astype(np.float64 if wide else np.float32) for a in (x, y)), (40, 37, 1, 40, 39))
    assert state.count == N
    for unbiased in (False, True):
        xy, xx, yy = at_once(x, y, unbiased)
        scale = float(jnp.sqrt(xx * yy))
        np.testing.assert_allclose(state.finalise(unbiased=unbiased), xy, rtol=0, atol=1e-6 * scale)
        np.testing.assert_allclose(state.cka(unbiased), xy / scale, rtol=0, atol=2e-6)


def test_order_of_merging_does_not_matter():
    x, y = sample()
    cuts = ((0, 40), (40, 80), (80, 118), (118, N))  # padded to one size
    a, b, c, d = (created().update(x[i:j] + OFFSET, y[i:j] - OFFSET) for i, j in cuts)
    expected = at_once(x, y, True).xy
    for state in (
        a.merge(b).merge(c).merge(d),
        d.merge(c.merge(b.merge(a))),
        a.merge(created()).merge(d).merge(c.merge(b)),
    ):
        assert state.count == N
        np.testing.assert_allclose(state.finalise(unbiased=True), expected, rtol=1e-6)
    other = HSICState.create(maps(5, 2), maps(1, 1), origin_x=[OFFSET, OFFSET], origin_y=[-OFFSET])
    for wrong in (other, created(self_dependence=False), HSICState.create(maps(0, 2), maps(1, 1))):
        with pytest.raises(ValueError, match="do not merge"):
            a.merge(wrong)


def test_no_drift_in_float32_and_use_within_scan():
    """30,000 batches of 4 samples whose features lie far from 0; plain sums drift by 10⁻⁴ and more."""
    rng = np.random.default_rng(0)
    steps, size = 30_000, 4
    x = rng.normal(size=(steps, size, 1)) + 3
    y = 0.3 * x + rng.normal(size=x.shape)
    x, y = x.astype(np.float32), y.astype(np.float32)
    start = HSICState.create(*(random_fourier(Linear(), 1, 2, key=jax.random.key(0)),) * 2, self_dependence=False)
    arrays, rest = eqx.partition(start, eqx.is_array)

    @jax.jit
    def run(data):
        def step(arrays, batch):
            return eqx.filter(eqx.combine(arrays, rest).update(*batch), eqx.is_array), None

        return jax.lax.scan(step, arrays, data)[0]

    state = eqx.combine(run((x, y)), rest)
    covariance = np.cov(x.ravel().astype(float), y.ravel().astype(float), bias=True)[0, 1]
    assert state.count == steps * size
    np.testing.assert_allclose(state.finalise(), covariance**2, rtol=1e-6)


def test_stream_of_a_memory_mapped_file_and_of_a_generator(tmp_path):
    x, y = sample()
    for name, a in (("x", x), ("y", y)):
        np.save(tmp_path / f"{name}.npy", a + OFFSET)
    files = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    batches, options = batches_of(*files, 80), {"estimator": kd.RandomFourier(16), "progress": True}
    assert [len(part[0]) for part in batches] == [80, 77]
    assert len(batches) == 2
    state = hsic_stream(batches, key=jax.random.key(0), **options)
    again = hsic_stream(((a, b) for a, b in batches), key=jax.random.key(0), **options)
    assert state.count == N
    assert state.finalise() == again.finalise()
    expected = at_once(x, y, False, (state.of_x, state.of_y)).xy
    np.testing.assert_allclose(state.finalise(), expected, rtol=1e-6)


def test_stream_with_landmarks_and_labels():
    x, y = sample()
    labels = (y[:, 0] > 0).astype(int)
    estimator = kd.Nystrom(40, unbiased=True)
    state = hsic_stream(
        batches_of(x + OFFSET, labels, 80), Gaussian(1.0), Label(), estimator=estimator, key=jax.random.key(0)
    )
    exact = kd.hsic(x, labels, Gaussian(1.0), Label())
    np.testing.assert_allclose(state.finalise(), exact, rtol=1e-2)  # of K̂ from 40 landmarks


def test_bad_arguments(unhooked, monkeypatch):
    x, y = sample(8)
    state = created()
    with pytest.raises(ValueError, match="x_batch has 8, y_batch has 7"):
        state.update(x, y[1:])
    with pytest.raises(ValueError, match="x_batch has dimension 1: 2 is needed"):
        state.update(y, y)
    with pytest.raises(ValueError, match="y_batch holds NaN"):
        state.update(x, y * np.nan)
    with pytest.raises(ValueError, match="The state holds n = 0 samples: n ≥ 2"):
        state.finalise()
    with pytest.raises(ValueError, match="n ≥ 4"):
        state.finalise(unbiased=True)
    with pytest.raises(ValueError, match="CKA needs"):
        created(self_dependence=False).cka()
    labels = HSICState.create(maps(0, 2), one_hot(Label(), [0, 1]))
    with pytest.raises(ValueError, match="y_batch holds labels that its one-hot map does not know"):
        labels.update(x[:2], [0, 2])
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="batches is empty"):
        hsic_stream([], key=key)
    with pytest.raises(TypeError, match=r"pass batches_of\(x, y, size\)"):
        hsic_stream((x, y), key=key)
    with pytest.raises(ValueError, match="key is missing"):
        hsic_stream([(x, y)], key=None)
    with pytest.raises(TypeError, match="RandomFourier or Nystrom is needed"):
        hsic_stream([(x, y)], key=key, estimator=kd.Biased())
    with pytest.raises(ValueError, match="x has 8, y has 7"):
        batches_of(x, y[1:], 2)
    with pytest.raises(ValueError, match="size is 0"):
        batches_of(x, y, 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"kerneldep\[train\]"):
        hsic_stream([(x, y)], key=jax.random.key(1), progress=True)
