"""Conditional dependence, beyond what every measure satisfies."""

import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Label

from ..oracles import operators as oracle
from .measures import gram, kernel


def test_dependence_through_a_product_needs_z_beside_x(x64):
    """A finite population of signs: Y = XZ depends on X given Z, though X alone says nothing; Y = Z does not."""
    x, z = np.tile([[1, 1, -1, -1], [1, -1, 1, -1]], 5).astype(float)
    gram_x, gram_z, gram_product = (np.asarray(Label().gram(values)) for values in (x, z, x * z))
    value, none = (kd.conditional_hsic(x, y, z, Label(), Label(), Label()) for y in (x * z, z))
    np.testing.assert_allclose(value, oracle.conditional(gram_x * gram_z, gram_product, gram_z, 1e-3), rtol=1e-9)
    assert value > 1
    assert none < 1e-6
    assert oracle.conditional(gram_x, gram_product, gram_z, 1e-3) < 1e-12


def test_on_a_table_is_dependence_within_the_strata(x64):
    """A finite population: Z a category. As ε → 0 residuals are deviations from the means given Z."""
    counts = np.stack([[[4, 1], [2, 3]], np.outer([1, 1], [1, 4])], axis=-1)  # dependent given Z = 0 only
    x, y, z = oracle.contingency_sample(counts)
    value = kd.conditional_hsic(x, y, z, Label(), Label(), Label(), ridge=1e-7)
    expected = 0.0
    for stratum in range(2):
        table = counts[:, :, stratum]
        p = table / table.sum()
        expected += ((table - table.sum() * np.outer(p.sum(1), p.sum(0))) ** 2).sum()
    np.testing.assert_allclose(value, expected / counts.sum(), rtol=1e-5)


def test_float32():
    """The rounding of K_Z, of norm about eps√n, shows against ε."""
    x, y, z = np.random.default_rng(1).normal(size=(3, 100, 1)).astype(np.float32)
    y = y + z
    value = kd.conditional_hsic(x, y, z, kernel(), kernel(), kernel())
    assert value.dtype == np.float32
    expected = oracle.conditional(gram(x) * gram(z), gram(y), gram(z), 1e-3)
    np.testing.assert_allclose(value, expected, rtol=np.finfo(np.float32).eps * 100**0.5 / 1e-3)


def test_input_is_checked():
    x = np.arange(6.0)
    with pytest.raises(ValueError, match="they hold 6, 6, 5"):
        kd.conditional_hsic(x, x, x[:5])
    with pytest.raises(ValueError, match="ridge must be positive"):
        kd.conditional_hsic(x, x, x, ridge=0)
    with pytest.raises(ValueError, match="z holds NaN"):
        kd.conditional_hsic(x, x, x * np.nan)
