"""Nearest neighbours: against loops, on Gaussians, on ties."""

import math

import jax
import numpy as np
import pytest
from scipy.special import digamma

from kerneldep.information import ksg

from ..oracles import information as oracle


@pytest.mark.parametrize(("dims", "k"), [((1, 1), 1), ((2, 1), 3), ((3, 2), 8)])
def test_is_the_loop(x64, dims, k):
    rng = np.random.default_rng(k)
    x, y = (rng.normal(size=(40, d)) for d in dims)
    y[:, 0] += x[:, 0]
    assert float(ksg(x, y, k)) == pytest.approx(oracle.ksg(x, y, k), abs=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_gaussians(x64, rho):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 4000))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    found = float(ksg(x, y))
    assert found == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.04)
    assert float(ksg(y, x)) == pytest.approx(found, abs=1e-12)
    assert float(ksg(1e4 + x, y - 1e4)) == pytest.approx(found, abs=1e-3)  # distances lose digits, and some tie


def test_float32_input_is_taken_as_exact():
    x = np.random.default_rng(1).normal(size=500).astype(np.float32)
    assert ksg(x, x**2).dtype == np.float32
    assert float(ksg(np.asarray(x), x**2)) == float(ksg(x.astype(float), (x**2).astype(float)))


def test_ties_give_the_plug_in_estimate(x64):
    rng = np.random.default_rng(2)
    x = rng.integers(3, size=600)
    y = np.where(rng.random(600) < 0.6, x, rng.integers(3, size=600))
    terms, plug_in = [], 0.0
    for a in range(3):
        for b in range(3):
            both, in_x, in_y = ((x == a) & (y == b)).sum(), (x == a).sum(), (y == b).sum()
            terms.append(both / 600 * (digamma(both) + digamma(600) - digamma(in_x) - digamma(in_y)))
            plug_in += both / 600 * math.log(600 * both / (in_x * in_y))
    assert float(ksg(x, y)) == pytest.approx(sum(terms), abs=1e-12)
    assert float(ksg(x, y)) == pytest.approx(plug_in, abs=0.01)


def test_constant_and_duplicated_data(x64):
    y = np.random.default_rng(3).normal(size=50)
    assert float(ksg(np.ones(50), y)) == pytest.approx(0, abs=1e-12)
    assert float(ksg(np.ones(50), np.ones(50))) == pytest.approx(0, abs=1e-12)
    assert math.isfinite(float(ksg(np.repeat(y, 5), np.repeat(y**2, 5))))


def test_bad_input_is_named(unhooked):
    y = np.arange(5.0)
    with pytest.raises(ValueError, match="x has 4, y has 5"):
        ksg(y[:4], y)
    for k in (0, 5, 2.5):
        with pytest.raises(ValueError, match="integer from 1 to n − 1 = 4"):
            ksg(y, y, k)
    with pytest.raises(ValueError, match="x holds NaN"):
        ksg(y * np.nan, y)
    with pytest.raises(TypeError, match="outside jit"):
        jax.jit(ksg)(y, y)
    with pytest.raises(TypeError, match="complex"):
        ksg(y + 1j, y)
