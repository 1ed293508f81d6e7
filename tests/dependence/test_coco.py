"""COCO and its witnesses, beyond what every measure satisfies."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep.dependence.leading import dot, singular_pair
from kerneldep.kernels import Gaussian, Label, Linear

from ..oracles import kernels as kernel_oracle
from ..oracles import operators as oracle
from .measures import BANDWIDTH, gram, kernel

module = importlib.import_module("kerneldep.dependence.coco")  # the package's attribute is the function


def sample(n: int = 12):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    return x, np.sin(2 * x) + 0.3 * rng.normal(size=(n, 3))


@pytest.fixture(scope="module")
def witnesses():
    with jax.enable_x64(True):
        return kd.coco_witnesses(*sample(), kernel(), kernel())


def test_witnesses_attain_it(witnesses, x64):
    x, y = sample()
    f, g = np.asarray(witnesses.witness_x(x)), np.asarray(witnesses.witness_y(y))
    np.testing.assert_allclose(witnesses.value, oracle.coco(gram(x), gram(y)), rtol=1e-12)
    np.testing.assert_allclose((f * g).mean(), witnesses.value, rtol=1e-12)
    np.testing.assert_allclose([f.mean(), g.mean()], 0, atol=1e-14)
    assert f[np.abs(f).argmax()] > 0


def test_witnesses_are_functions_of_unit_norm(witnesses, x64):
    """Σ a_i k(x_i, ·) with aᵀKa = 1, from its values at the samples; the same function at other points."""
    (x, _), points = sample(), np.random.default_rng(1).normal(size=(12, 3)) + 2
    gram_x, f = gram(x), np.asarray(witnesses.witness_x(x))
    # Values fix a function of the samples' span up to the constant taken from it: the one with weights of sum 0.
    bordered = np.block([[gram_x, np.ones((12, 1))], [np.ones((1, 12)), np.zeros((1, 1))]])
    a = np.linalg.solve(bordered, np.append(f, 0))[:12]
    np.testing.assert_allclose(a @ gram_x @ a, 1, rtol=1e-10)
    cross = kernel_oracle.gram(lambda p, q: kernel_oracle.gaussian(p, q, BANDWIDTH), points, x)
    expected = cross @ a - (gram_x @ a).mean()
    np.testing.assert_allclose(witnesses.witness_x(points), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="dimension 1"):
        witnesses.witness_x([0.0, 1.0])


def test_linear_witness_is_the_leading_singular_vector():
    """A kernel of low rank; an offset of the data changes nothing."""
    x, y = (values.astype(np.float32) for values in sample(40))
    left, singular, _ = np.linalg.svd((x - x.mean(0)).T @ (y - y.mean(0)) / 40)
    found = kd.coco_witnesses(x + 1000, y, Linear(), Linear())
    np.testing.assert_allclose(found.value, singular[0], rtol=2e-4)  # of float32 data with offset 1,000
    slope = found.witness_x(1000 + np.eye(3)) - found.witness_x(np.full((3, 3), 1000.0))
    np.testing.assert_allclose(np.abs(slope), np.abs(left[:, 0]), atol=2e-3)


def test_the_unit_and_an_offset_do_not_matter():
    """In float32: linear kernels of values near 10⁹, whose squares overflow, and 10⁻¹⁵; double data about 10⁸."""
    x, y = sample(40)
    points = np.eye(3)
    plain = kd.coco_witnesses(x, y, Linear(), Linear())
    for unit in (1e9, 1e-15):
        found = kd.coco_witnesses(x * unit, y * unit, Linear(), Linear())
        np.testing.assert_allclose(found.value / unit**2, plain.value, rtol=1e-5)
        np.testing.assert_allclose(found.witness_x(points * unit) / unit, plain.witness_x(points), atol=1e-5)
    moved = kd.coco_witnesses(x + 1e8, y - 1e8, Linear(), Linear())
    np.testing.assert_allclose(moved.witness_x(points + 1e8), plain.witness_x(points), atol=1e-5)


def test_recomputed_gram_matrices_are_the_held(monkeypatch, x64):
    """Above `HELD` samples products are taken of rows at a time: the same value, and the same derivative."""
    x, y = sample()
    move = np.random.default_rng(7).normal(size=x.shape)
    seen, original = [], module.map_rows
    monkeypatch.setattr(module, "HELD", 4)
    monkeypatch.setattr(module, "TILE", 6)
    monkeypatch.setattr(module, "map_rows", lambda *arguments: seen.append(1) or original(*arguments))
    jax.clear_caches()
    value, slope = jax.jit(
        jax.value_and_grad(lambda t: kd.coco(x + t * move, y, Gaussian(BANDWIDTH * (1 + t)), kernel()))
    )(0.0)
    jax.clear_caches()
    assert seen

    def reference(t: float) -> float:
        wider = kernel_oracle.gram(
            lambda p, q: kernel_oracle.gaussian(p, q, BANDWIDTH * (1 + t)), x + t * move, x + t * move
        )
        return oracle.coco(wider, gram(y))

    np.testing.assert_allclose(value, reference(0), rtol=1e-12)
    step = 1e-3
    ahead, behind = (8 * reference(sign * step) - reference(2 * sign * step) for sign in (1, -1))
    np.testing.assert_allclose(slope, (ahead - behind) / (12 * step), rtol=1e-7)


def test_of_labels_is_a_singular_value_of_the_table(x64):
    """A finite population: with one-hot features C_XY is P − p qᵀ."""
    counts = np.array([[3, 1, 0], [2, 0, 4]])
    table = counts / counts.sum()
    p, q = table.sum(1), table.sum(0)
    value = kd.coco(*oracle.contingency_sample(counts), Label(), Label())
    np.testing.assert_allclose(value, np.linalg.svd(table - np.outer(p, q), compute_uv=False)[0], rtol=1e-12)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 0.0])
def test_close_singular_values(gap, x64):
    """Operators larger than a Krylov space, badly conditioned, whose leading values are close or tie."""
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    a = q * np.append(np.logspace(0, -9, 47), [0, 0, 0]) @ q.T
    spectrum = np.append([1, 1 - gap], np.linspace(1 - 2 * gap, 0, 48) ** 2)
    b = q * spectrum @ q.T
    rotation = np.linalg.qr(rng.normal(size=(50, 50)) * 0.01 + np.eye(50))[0]
    b = rotation @ b @ rotation.T
    found = SINGULAR(a, b)
    root = oracle.features(a)
    expected = np.linalg.eigvalsh(root.T @ b @ root)[-1] ** 0.5
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    np.testing.assert_allclose([found.alpha @ a @ found.alpha, found.beta @ b @ found.beta], 1, rtol=1e-10)
    np.testing.assert_allclose(b @ found.beta, expected * found.alpha, atol=1e-5 * np.abs(found.alpha).max())


SINGULAR = jax.jit(lambda a, b: singular_pair(eqx.Partial(dot, a), eqx.Partial(dot, b), len(a), jnp.float64))


def test_float32_at_a_hundred():
    """More samples than a Krylov space has dimensions, and independent ones: many values are close."""
    x, y = np.random.default_rng(0).normal(size=(2, 100, 2)).astype(np.float32)
    value = kd.coco(x, y, kernel(), kernel())
    np.testing.assert_allclose(value, oracle.coco(gram(x), gram(y)), rtol=2e-6)


def test_linear_kernels_of_many_samples():
    """Where HSIC would use their finite features: COCO of linear kernels is the largest singular value of Cov(x, y)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = x + rng.normal(size=(60, 2))
    largest = np.linalg.svd(np.cov(x.T, y.T, ddof=0)[:2, 2:])[1][0]
    np.testing.assert_allclose(kd.coco(x, y, Linear(), Linear()), largest, rtol=1e-5)
