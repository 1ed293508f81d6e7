"""What `hsic` accepts, and what it says of what it does not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import kerneldep as kd
from kerneldep.kernels import Gaussian, Label, Laplace

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 12))


def narrow(array):
    return np.asarray(array, np.float32)


EQUAL = {
    "column": (X[:, None], Y[:, None]),
    "jax": (lambda: (jnp.asarray(X), jnp.asarray(Y))),
    "lists": (X.tolist(), [[y] for y in Y]),
    "tuples": (tuple(X), tuple(Y)),
    "series": (pd.Series(X, index=np.arange(12)[::-1]), pd.Series(Y)),
    "data frame": (pd.DataFrame({"a": X}), pd.DataFrame({"b": Y})),
    "strided": (np.stack([X, Y], 1)[:, 0], np.stack([X, Y], 1)[:, 1:]),
    "big-endian": (X.astype(">f8"), Y.astype(">f4")),
}


@pytest.mark.parametrize("name", EQUAL)
def test_kinds_of_arrays(name, unhooked):
    given = EQUAL[name]() if callable(EQUAL[name]) else EQUAL[name]
    value = kd.hsic(*given, Gaussian(1.0), Gaussian(1.0))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, kd.hsic(narrow(X), narrow(Y), Gaussian(1.0), Gaussian(1.0)), rtol=2e-6)


@pytest.mark.parametrize(
    "kind", [bool, np.int8, np.uint8, np.int32, np.int64, np.uint64, np.float16, "bfloat16", np.float64, np.longdouble]
)
def test_dtypes(kind):
    """Numbers that every dtype holds give what float32 gives."""
    x = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0])
    expected = kd.hsic(x.astype(np.float32), narrow(Y), Gaussian(1.0), Gaussian(1.0))
    dtype = jnp.bfloat16 if kind == "bfloat16" else kind
    value = kd.hsic(x.astype(dtype), narrow(Y), Gaussian(1.0), Gaussian(1.0))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected, rtol=2e-6)


def test_half_precision_jax_arrays_are_widened():
    x, y = jnp.asarray(X, jnp.float16), jnp.asarray(Y, jnp.bfloat16)
    value = kd.hsic(x, y, Gaussian(1.0), Gaussian(1.0))
    wide = kd.hsic(x.astype(jnp.float32), y.astype(jnp.float32), Gaussian(1.0), Gaussian(1.0))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, wide, rtol=2e-6)


def test_large_integers_are_compared_as_they_are():
    """Labels beyond float32's 2²⁴ differ, or the call says that it cannot tell."""
    codes = np.repeat(np.arange(3), 4)
    expected = kd.hsic(X, codes, Gaussian(1.0), Gaussian(1.0))
    np.testing.assert_allclose(kd.hsic(X, codes + 2**40, Gaussian(1.0), Gaussian(1.0)), expected, rtol=2e-6)
    with pytest.raises(ValueError, match="y holds integers that float32 cannot tell apart"):
        kd.hsic(X, codes + 2**40, Gaussian(1.0), Label())
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            kd.hsic(X, codes + 2**40, Gaussian(1.0), Label()), kd.hsic(X, codes, Gaussian(1.0), Label()), rtol=1e-12
        )


def test_mixed_precision(x64):
    """Under x64 single-precision data stay single, and meet double-precision ones without loss."""
    assert kd.hsic(narrow(X), narrow(Y)).dtype == np.float32
    value = kd.hsic(narrow(X), Y, Gaussian(1.0), Gaussian(1.0))
    assert value.dtype == np.float64
    wide = kd.hsic(narrow(X).astype(float), Y, Gaussian(1.0), Gaussian(1.0))
    np.testing.assert_allclose(value, wide, rtol=1e-5)  # x's Gram matrix is float32
    # A double-precision parameter widens it; a Python number does not.
    assert kd.hsic(narrow(X), narrow(Y), Gaussian(1.0), Gaussian(1.0)).dtype == np.float32
    strong = Gaussian(np.float64(1.0))
    value = kd.hsic(narrow(X), narrow(Y), strong, strong)
    assert value.dtype == np.float64
    np.testing.assert_allclose(
        value, kd.hsic(narrow(X).astype(float), narrow(Y).astype(float), strong, strong), rtol=1e-6
    )


BAD = {
    "unequal": ((X, Y[1:]), ValueError, "paired samples: x has 12, y has 11"),
    "too few": ((X[:3], Y[:3]), ValueError, "n = 3 samples: Unbiased needs n ≥ 4"),
    "rank 3": ((np.ones((12, 2, 2)), Y), ValueError, r"x has shape \(12, 2, 2\).*flatten each sample"),
    "scalars": ((1.0, 2.0), ValueError, "x has shape .*a scalar is no sample"),
    "empty": ((X, np.ones((12, 0))), ValueError, "y is empty"),
    "no samples": (([], []), ValueError, "x is empty"),
    "nan": ((X, np.where(Y > 1, np.nan, Y)), ValueError, "y holds NaN or infinite"),
    "infinity": ((np.where(X > 1, -np.inf, X), Y), ValueError, "x holds NaN or infinite"),
    "complex": ((X + 0j, Y), TypeError, "x is complex"),
    "strings": ((X, ["a"] * 12), TypeError, "y has dtype .*Label kernel"),
    "objects": ((pd.DataFrame({"a": X, "b": "text"}), Y), TypeError, "x has dtype object"),
    "dates": (
        (X, np.arange("2020-01", "2021-01", dtype="datetime64[M]")),
        TypeError,
        "y holds dates or durations .datetime64",
    ),
    "missing values": ((X, pd.array([1.0, None] * 6)), ValueError, "y holds NaN"),
    "masked": ((X, np.ma.masked_array(Y, Y > 1)), TypeError, "y is a masked array"),
    "none": ((None, Y), TypeError, "x is None"),
    "underflow": ((X * 1e-50, Y), ValueError, "x vanishes in float32"),
    "overflow": ((X, np.full(12, 1e300) * np.sign(Y)), ValueError, "y overflows float32"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data(name, unhooked):
    given, error, match = BAD[name]
    with pytest.raises(error, match=match):
        kd.hsic(*given)


@pytest.mark.parametrize("name", ["unequal", "too few", "rank 3", "empty", "complex"])
def test_bad_shapes_and_dtypes_under_jit(name, unhooked):
    """They are known while tracing."""
    given, error, match = BAD[name]
    with pytest.raises(error, match=match):
        jax.jit(kd.hsic)(*given)


@pytest.mark.parametrize("estimator", [kd.Unbiased(), kd.RandomFourier(8)])
def test_bad_values_under_jit(estimator):
    compiled = eqx.filter_jit(lambda x, y, k: kd.hsic(x, y, k, estimator=estimator, key=jax.random.key(0)))
    kernel = Gaussian(jnp.ones(()))
    x, y = narrow(X), narrow(Y)
    assert np.isfinite(compiled(x, y, kernel))
    for given, match in (
        ((np.where(x > 1, np.nan, x), y, kernel), "x holds NaN"),
        ((x, np.where(y > 1, -np.inf, y), kernel), "y holds NaN"),
        ((x, y, eqx.tree_at(lambda k: k.bandwidth, kernel, jnp.zeros(()))), "Gaussian.bandwidth must be positive"),
    ):
        with pytest.raises(RuntimeError, match=match):
            jax.block_until_ready(compiled(*given))


def test_a_bad_kernel_or_estimator(unhooked):
    with pytest.raises(TypeError, match="kernel_x is 3: a kernel from kerneldep.kernels"):
        kd.hsic(X, Y, 3)
    with pytest.raises(TypeError, match="kernel_y is .*: a kernel"):
        kd.hsic(X, Y, None, Gaussian)
    with pytest.raises(TypeError, match="estimator is .*an estimator such as"):
        kd.hsic(X, Y, estimator=kd.Unbiased)
    with pytest.raises(TypeError, match="estimator is 'biased'"):
        kd.hsic(X, Y, estimator="biased")
    broken = eqx.tree_at(lambda k: k.length_scale, Laplace(1.0), jnp.asarray(-1.0))
    with pytest.raises(ValueError, match=r"Laplace.length_scale must be positive and finite \(kernel_y\)"):
        kd.hsic(X, Y, None, broken)


def test_a_bad_key_or_mesh(unhooked):
    for key in (0, np.random.default_rng(0), jax.random.split(jax.random.key(0))):
        with pytest.raises(TypeError, match="RandomFourier needs one JAX key"):
            kd.hsic(X, Y, estimator=kd.RandomFourier(8), key=key)
    with pytest.raises(TypeError, match="mesh is 'cpu': a jax.sharding.Mesh"):
        kd.hsic(X, Y, mesh="cpu")


def test_any_kind_of_integer_is_a_size():
    for make in (kd.Block, kd.Incomplete, kd.RandomFourier, kd.Nystrom):
        assert make(np.int64(8)) == make(8)
        with pytest.raises(ValueError, match="is 8.0: "):
            make(8.0)


def test_a_table_of_numbers_of_several_kinds():
    table = pd.DataFrame({"a": X, "b": X > 0})
    both = np.stack([X, X > 0], axis=1)
    np.testing.assert_array_equal(kd.hsic(table, Y), kd.hsic(both, Y))


def test_no_warning_and_no_change_of_the_input():
    x, y = X.copy(), Y.copy()
    x.setflags(write=False)
    kd.hsic(x, y)  # warnings are errors in these tests
    np.testing.assert_array_equal(y, Y)
