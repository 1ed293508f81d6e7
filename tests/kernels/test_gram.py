"""Values: `gram`, `diagonal` and `__call__` against the references, against each other, and what a kernel must satisfy.

Dimensions 1, 3 and 20 take different paths to a distance: coordinate differences (d ≤ 2, for rough kernels d ≤ 16), one
matrix product, coordinate differences in blocks.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from kerneldep import kernels
from kerneldep.kernels.base import dense_gram

from ..oracles import kernels as oracle
from ..registry import KERNELS, KernelCase
from ..thorough import thorough

N = 12
LANES = [("float64", 3), ("float32", 20)]
MORE_LANES = [("float64", 1), ("float64", 20), ("float32", 1)]  # for kernels with ways of their own to a distance
OWN_DISTANCES = {
    "gaussian", "laplace_l2", "laplace_l1", "matern_12", "matern_32", "matern_52", "inverse_multiquadric",
    "rational_quadratic", "distance", "distance_1.5", "label",
}  # fmt: skip


class Values(NamedTuple):
    """What one compilation gives of a kernel on N samples."""

    gram: Any
    block: Any
    pairwise: Any
    diagonal: Any
    pairs: Any


@eqx.filter_jit
def evaluate(kernel: kernels.AbstractKernel, x: Array) -> Values:
    prepared = kernel.prepare(x)
    head, tail = (jax.tree.map(lambda leaf, part=part: leaf[part], prepared) for part in (slice(5), slice(5, None)))
    pairs = jax.vmap(kernel)(x[:-1], x[1:])
    return Values(
        dense_gram(kernel, x), dense_gram(kernel, x[:5], x[5:]), kernel.pairwise(head, tail), kernel.diagonal(x), pairs
    )


@dataclass(frozen=True)
class Subject:
    """A kernel in one lane and dimension; calling it evaluates it on other data without another compilation."""

    case: KernelCase
    dtype: str
    dim: int

    def __str__(self) -> str:
        return f"{self.case}-{self.dtype}-{self.dim}"

    @property
    def eps(self) -> float:
        return float(np.finfo(self.dtype).eps)

    @property
    def x(self) -> np.ndarray:
        return self.case.samples(N, self.dim).astype(self.dtype)

    @property
    def kernel(self) -> kernels.AbstractKernel:
        with jax.enable_x64(self.dtype == "float64"):
            return self.case.make(self.dim)

    def __call__(self, x: np.ndarray) -> Values:
        with jax.enable_x64(self.dtype == "float64"):
            return jax.tree.map(np.asarray, evaluate(self.case.make(self.dim), jnp.asarray(x, self.dtype)))

    def reference(self, x: np.ndarray) -> np.ndarray:
        return oracle.gram(self.case.reference(self.kernel), x, x)


SUBJECTS = [Subject(case, *lane) for case in KERNELS for lane in LANES + MORE_LANES * (case.name in OWN_DISTANCES)]


def is_quick(subject: Subject) -> bool:
    """Two precisions and dimensions of every kernel, all of two."""
    return (subject.dtype, subject.dim) in LANES or subject.case.name in ("gaussian", "laplace_l1")


# Of module scope: pytest then runs all tests of one subject in a row, and they share its compilation.
@pytest.fixture(scope="module", params=thorough(SUBJECTS, is_quick), ids=str)
def subject(request):
    return request.param


@pytest.fixture(
    scope="module",
    params=thorough([one for one in SUBJECTS if one.case.stationarity == "strict"], is_quick),
    ids=str,
)
def radial(request):
    return request.param


def test_values_agree_with_the_reference_and_each_other(subject):
    """In float32, squared norms reach 8 in units of the length: rounding them moves k by up to 8·eps."""
    expected, values = subject.reference(subject.x), subject(subject.x)
    assert values.gram.dtype == subject.dtype
    atol = 16 * subject.eps * np.abs(expected).max()
    assert atol < 1e-12 or subject.dtype == "float32"
    np.testing.assert_allclose(values.gram, expected, rtol=0, atol=atol)
    np.testing.assert_allclose(values.diagonal, np.diag(expected), rtol=0, atol=atol)
    np.testing.assert_allclose(values.pairs, np.diag(expected, 1), rtol=0, atol=atol)
    # A block, with samples of its own or from the same preparation.
    np.testing.assert_allclose(values.block, expected[:5, 5:], rtol=0, atol=atol)
    np.testing.assert_allclose(values.pairwise, expected[:5, 5:], rtol=0, atol=atol)


def test_gram_is_symmetric_and_positive_semi_definite(subject):
    gram = subject(subject.x).gram
    # exp differs in its last digits between a loop's vector part and its remainder.
    np.testing.assert_allclose(gram, gram.T, rtol=8 * subject.eps, atol=8 * subject.eps)
    assert np.linalg.eigvalsh(gram.astype(float)).min() > -8 * subject.eps * np.trace(gram)


def test_equal_points_are_equal(subject):
    """Rows 2 and 3 are one point: their rows of the Gram matrix agree, and a radial kernel's entry is its diagonal."""
    x = subject.x
    x[3] = x[2]
    values = subject(x)
    np.testing.assert_allclose(values.gram[2], values.gram[3], rtol=0, atol=8 * subject.eps * np.abs(values.gram).max())
    if subject.case.stationarity == "strict":
        # Rounded squared norms again; but Laplace and Matérn ½ would show a root of that, were any left.
        smooth = 16 * subject.eps if subject.case.smooth else 0
        np.testing.assert_allclose(np.diag(values.gram), values.diagonal, rtol=smooth)
        np.testing.assert_allclose(values.gram[2, 3], values.diagonal[2], rtol=smooth)


def test_an_offset_changes_nothing_of_a_stationary_kernel(subject):
    """Data that the float holds exactly, near 0 and near 10⁴."""
    x = np.round(subject.x.astype(float) * 2**10) / 2**10
    near, far = subject(x), subject(x + 10_000)
    assert subject.kernel.stationarity == subject.case.stationarity
    if subject.case.stationarity == "strict":
        for name in ("gram", "block", "pairs"):  # their centres differ: rounding of squared norms, as above
            np.testing.assert_allclose(
                getattr(far, name), getattr(near, name), rtol=0, atol=16 * subject.eps * near.diagonal.max()
            )
    elif subject.case.stationarity == "intrinsic" and subject.dtype == "float64":
        h = np.eye(N) - 1 / N  # centring removes the rest, but not its rounding: 10⁸·d·eps
        atol = 8 * subject.dim * 1e8 * subject.eps
        np.testing.assert_allclose(h @ far.gram @ h, h @ near.gram @ h, rtol=0, atol=atol)


def test_points_far_out_keep_their_distances(radial):
    """Two clusters 10⁴ lengths apart, where ‖x‖² + ‖y‖² − 2x·y would round the distances within either away."""
    x = np.where(np.arange(N)[:, None] % 2, 5_000, -5_000) + radial.x.astype(float)
    x = x.astype(radial.dtype)
    values, expected = radial(x), radial.reference(x)
    # Division by the length rounds a coordinate of 5,000 as storing it did, and so moves distances by as much.
    atol = radial.dim**0.5 * 5_000 / 0.7 * radial.eps * np.abs(expected).max()
    np.testing.assert_allclose(values.gram, expected, rtol=0, atol=atol)
    np.testing.assert_allclose(values.block, expected[:5, 5:], rtol=0, atol=atol)
    assert atol < 1e-2
    np.testing.assert_allclose(np.diag(values.gram), values.diagonal, rtol=4 * radial.eps)


def test_points_whose_squares_overflow_are_far_from_all_others(radial):
    x = radial.x
    x[:3] = 0
    with np.errstate(over="ignore"):
        x[:3, 0] = np.array([1e15, 1e25, -3e37], x.dtype) ** (1 if radial.dtype == "float32" else 8)
    values, near = radial(x), radial(radial.x)
    scale = near.diagonal.max()
    # The slowest decay here is that of c/√(c² + r²) at r = 10¹⁵.
    np.testing.assert_allclose(values.gram[:3], scale * np.eye(N)[:3], rtol=0, atol=1e-14 + 4 * radial.eps)
    np.testing.assert_allclose(values.block[:3], 0, rtol=0, atol=1e-14)
    np.testing.assert_allclose(values.pairwise[:3], 0, rtol=0, atol=1e-14)
    # The others do not notice.
    np.testing.assert_allclose(values.gram[3:, 3:], near.gram[3:, 3:], rtol=0, atol=16 * radial.eps * scale)


@pytest.mark.parametrize("case", KERNELS, ids=str)
def test_public_gram_is_the_compiled_one(case, x64):
    """Eager = compiled, for the public methods with their checks."""
    x, kernel = case.samples(N, 3), case.make(3)
    values = evaluate(kernel, jnp.asarray(x))
    np.testing.assert_allclose(kernel.gram(x), values.gram, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(kernel.diagonal(x), values.diagonal, rtol=1e-14)
    np.testing.assert_allclose(kernel(x[0], x[1]), values.pairs[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("case", [case for case in KERNELS if case.trainable], ids=str)
def test_vmap_over_parameters(case):
    x = jnp.asarray(case.samples(N, 3), jnp.float32)
    dynamic, static = eqx.partition(case.make(3), eqx.is_inexact_array)
    many = jax.tree.map(lambda leaf: jnp.stack([0.8 * leaf, leaf]), dynamic)
    together = jax.jit(jax.vmap(lambda one: eqx.combine(one, static).gram(x)))(many)
    np.testing.assert_allclose(together[1], dense_gram(case.make(3), x), rtol=2e-6, atol=2e-6)  # as above
    assert np.isfinite(together).all()
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_operators_build_what_they_say():
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    g, l = kernels.Gaussian(1.0), kernels.Linear()
    np.testing.assert_allclose((g + l).gram(x), g.gram(x) + l.gram(x), rtol=1e-6)
    np.testing.assert_allclose((g * l).gram(x), g.gram(x) * l.gram(x), rtol=1e-6)
    for scaled in (
        2.0 * g,
        g * 2.0,
        2 * g,
        np.float32(2) * g,
        np.array(2.0) * g,
        jnp.array(2.0) * g,
        g * jnp.array(2.0),
    ):
        assert isinstance(scaled, kernels.Scaled)
        np.testing.assert_allclose(scaled.gram(x), 2 * g.gram(x), rtol=1e-6)
    for bad in (lambda: g + 1.0, lambda: 1.0 + g, lambda: g + None, lambda: sum([g, g])):
        with pytest.raises(TypeError, match="unsupported operand"):
            bad()
    assert (g + l).stationarity == "intrinsic"
    assert (g + kernels.Cosine()).stationarity == "none"
    assert (g * l).stationarity == "none"
    assert (2 * (g * g)).stationarity == "strict"
    assert kernels.Deep(lambda x: x, g).stationarity == "none"
    assert kernels.Polynomial().stationarity == "none"


def test_related_kernels_are_equal(x64):
    x = np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_allclose(kernels.Laplace(0.7).gram(x), kernels.Matern(0.7, 0.5).gram(x), rtol=1e-14)
    np.testing.assert_allclose(
        kernels.RationalQuadratic(0.7, 0.5).gram(x), kernels.InverseMultiquadric(0.7).gram(x), rtol=1e-14
    )
    np.testing.assert_allclose(kernels.Laplace(0.7, "l1").gram(x[:, 0]), kernels.Laplace(0.7).gram(x[:, 0]), rtol=1e-14)
    np.testing.assert_allclose(kernels.Distance(2.0).gram(x), kernels.Linear().gram(x), rtol=1e-12, atol=1e-14)


def test_one_dimensional_samples_are_a_column():
    x = np.array([0.0, 1.0, 3.0], np.float32)
    kernel = kernels.Gaussian(1.0)
    np.testing.assert_array_equal(kernel.gram(x), kernel.gram(x[:, None]))
    np.testing.assert_array_equal(kernel.gram(x, [1.0]), kernel.gram(x[:, None], np.ones((1, 1))))
    assert kernel(0.0, 1.0) == kernel([0.0], [1.0])


def test_cosine_neither_overflows_nor_vanishes():
    x = np.array([[1e30, 1e30], [1e-30, 0], [0, 0], [3e-30, -1e-30]], np.float32)
    half = 0.5**0.5
    expected = [[1, half, 0, 0.2**0.5], [half, 1, 0, 0.9**0.5], [0, 0, 0, 0], [0.2**0.5, 0.9**0.5, 0, 1]]
    np.testing.assert_allclose(kernels.Cosine().gram(x), expected, rtol=1e-6)
    np.testing.assert_array_equal(kernels.Cosine().diagonal(x), [1, 1, 0, 1])
