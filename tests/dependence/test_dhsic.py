"""Dependence of several variables, beyond what every measure satisfies."""

import numpy as np
import pytest

import kerneldep as kd
from kerneldep.kernels import Distance, Gaussian, Label, Linear, Polynomial

from ..oracles import hsic as hsic_oracle
from ..oracles import operators as oracle

KERNELS = (Gaussian(0.9), Linear(), Label(2.0, 0.5), Distance(), Polynomial(2, 0.3, 1.0), Gaussian(2.0))


def variables(n: int = 10):
    """Six dependent variables, away from the origin; the third categories."""
    rng = np.random.default_rng(4)
    common = rng.normal(size=(n, 1))
    numbers = [common + rng.normal(size=(n, 2)) + 1.5 for _ in KERNELS]
    numbers[2] = rng.integers(0, 3, size=(n, 1)).astype(float)
    return numbers


@pytest.mark.parametrize("d", [3, 6])
def test_is_the_reference_for_kernels_that_depend_on_the_origin(d, x64):
    """Expanded over subsets (up to five variables), and not. For d > 2 a linear kernel must not be centred."""
    samples, kernels = variables()[:d], KERNELS[:d]
    grams = [np.asarray(kernel.gram(x)) for kernel, x in zip(kernels, samples, strict=True)]
    np.testing.assert_allclose(kd.dhsic(samples, kernels), oracle.dhsic_loops(grams), rtol=1e-11)


def test_references_agree():
    grams = [np.asarray(kernel.gram(x), float) for kernel, x in zip(KERNELS[:3], variables(), strict=False)]
    np.testing.assert_allclose(oracle.dhsic_loops(grams), oracle.dhsic(grams), rtol=1e-5)  # float32 Grams


def test_of_two_is_hsic(x64):
    """Here a linear kernel may be centred."""
    x, y, *_ = variables()
    grams = [np.asarray(kernel.gram(values)) for kernel, values in zip(KERNELS[:2], (x, y), strict=True)]
    np.testing.assert_allclose(kd.dhsic([x, y], KERNELS[:2]), hsic_oracle.hsic_biased(*grams), rtol=1e-11)


def test_pairwise_independent_bits(x64):
    """A finite population: X, Y fair bits and Z = X xor Y. ‖P − p⊗q⊗r‖² = 8·(1/8)²; each pair is independent."""
    counts = np.zeros((2, 2, 2), int)
    for x, y in np.ndindex(2, 2):
        counts[x, y, x ^ y] = 3
    bits = oracle.contingency_sample(counts)
    np.testing.assert_allclose(kd.dhsic(bits, [Label()] * 3), 1 / 8, rtol=1e-12)
    for pair in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(kd.dhsic([bits[j] for j in pair], [Label()] * 2), 0, atol=1e-15)


def test_float32_at_two_thousand():
    """Wide kernels, whose entries hardly differ: naive sums of O(1) numbers err by 10⁻⁷, ten per cent of the value."""
    samples = np.random.default_rng(0).normal(size=(3, 2_000, 1)).astype(np.float32)
    value = kd.dhsic(list(samples), [Gaussian(5.0)] * 3)
    grams = [np.exp(-((x - x.T) ** 2) / 50) for x in samples.astype(float)]
    rows = [gram.mean(1) for gram in grams]
    expected = np.prod(grams, axis=0).mean() - 2 * np.prod(rows, axis=0).mean() + np.prod([row.mean() for row in rows])
    assert expected < 1e-5
    np.testing.assert_allclose(value, expected, rtol=2e-5)


def test_input_is_checked(unhooked):
    x = np.arange(6.0)
    with pytest.raises(ValueError, match="at least two"):
        kd.dhsic([x])
    with pytest.raises(ValueError, match="kernels holds 1, for 2"):
        kd.dhsic([x, x], [Linear()])
    with pytest.raises(ValueError, match="they hold 6, 5"):
        kd.dhsic([x, x[:5]])
    with pytest.raises(ValueError, match=r"variables\[1\] holds NaN"):
        kd.dhsic([x, x * np.nan])
    with pytest.raises(TypeError, match=r"kernels\[0\]"):
        kd.dhsic([x, x], [3, None])
