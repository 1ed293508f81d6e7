"""Normalised cross-covariance, beyond what every measure satisfies."""

import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Label, Linear

from ..oracles import operators as oracle

COUNTS = np.array([[30, 10, 0], [20, 0, 40]])


def test_of_labels_without_ridge_are_the_contingency_tables(x64):
    """A finite population as ε → 0: the mean square contingency and the maximal correlation, whatever the kernel."""
    table = COUNTS / COUNTS.sum()
    independent = np.outer(table.sum(1), table.sum(0))
    contingency = ((table - independent) ** 2 / independent).sum()
    x, y = oracle.contingency_sample(COUNTS)
    for kernel_y in (Label(), Label(3.0, 1.0)):
        np.testing.assert_allclose(kd.nocco(x, y, Label(), kernel_y, ridge=1e-9), contingency, rtol=1e-6)
    correlations = np.linalg.svd((table - independent) / np.sqrt(independent), compute_uv=False)
    np.testing.assert_allclose(kd.kcc(x, y, Label(), Label(), ridge=1e-9), correlations[0], rtol=1e-6)


def test_linear_kcc_is_the_first_canonical_correlation(x64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    y = np.stack([x[:, 0] - x[:, 1], x[:, 2]], axis=1) + rng.normal(size=(40, 2))
    whitened = (np.linalg.qr(values - values.mean(0))[0] for values in (x, y))
    correlations = np.linalg.svd(next(whitened).T @ next(whitened), compute_uv=False)
    np.testing.assert_allclose(kd.kcc(x, y, Linear(), Linear(), ridge=1e-9), correlations[0], rtol=1e-7)


def test_float32_with_a_ridge_below_its_rounding():
    """Data of scale 10³ and ε = 10⁻⁶: the matrix is still factored, and values stay in their range."""
    rng = np.random.default_rng(0)
    x = 1e3 * rng.normal(size=(60, 2)).astype(np.float32)
    y = x[:, :1] + x[:, 1:]
    value = kd.kcc(x, y, Linear(), Linear(), ridge=1e-6)
    np.testing.assert_allclose(value, 1, rtol=1e-4)
    assert value <= 1 + 1e-6


def test_ridge_is_checked():
    x = np.arange(6.0)
    for ridge in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="ridge must be positive"):
            kd.nocco(x, x, ridge=ridge)
    with pytest.raises(ValueError, match="ridge has shape"):
        kd.kcc(x, x, ridge=[0.1, 0.2])
