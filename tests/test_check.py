"""Validation: what becomes of arrays, and conditions that are known now, later or never."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerneldep as kd
from kerneldep import _check


def test_a_concrete_condition_raises_at_once():
    guard = _check.Guard()
    guard.require(True, "fine")
    guard.require(jnp.asarray(True), "fine")
    value = jnp.ones(2)
    assert guard.on(value) is value
    for false in (False, np.False_, jnp.asarray(False)):
        with pytest.raises(ValueError, match="no good"):
            guard.require(false, "no good")


def test_a_traced_condition_raises_at_run_time_and_names_the_first():
    @eqx.filter_jit
    def checked(x):
        guard = _check.Guard()
        guard.require(x > 0, "x is not positive")
        guard.require(x > 1, "x is not above one")
        return guard.on(2 * x)

    assert checked(jnp.asarray(3.0)) == 6
    with pytest.raises(RuntimeError, match="x is not above one"):
        jax.block_until_ready(checked(jnp.asarray(0.5)))
    with pytest.raises(RuntimeError, match="x is not positive"):
        jax.block_until_ready(checked(jnp.asarray(-0.5)))


def test_a_batch_fails_if_one_of_it_does():
    @eqx.filter_jit
    def checked(x):
        guard = _check.Guard()
        guard.require(x > 0, "x is not positive")
        return guard.on(x)

    np.testing.assert_array_equal(eqx.filter_jit(jax.vmap(checked))(jnp.array([1.0, 2.0])), [1, 2])
    with pytest.raises(RuntimeError, match="x is not positive"):
        jax.block_until_ready(eqx.filter_jit(jax.vmap(checked))(jnp.array([1.0, -1.0])))


SWITCHED_OFF = """
import jax, jax.numpy as jnp, numpy as np, kerneldep as kd
x = np.linspace(0, 1, 8, dtype=np.float32)
jitted = jax.jit(lambda x: kd.hsic(x, x, estimator=kd.Biased()))
program = str(jax.make_jaxpr(lambda x: kd.hsic(x, x, estimator=kd.Biased()))(x))
print("callback" in program, bool(jnp.isnan(jitted(x * jnp.nan))), bool(jitted(x) > 0))
try:
    kd.hsic(x * np.nan, x)
except ValueError:
    print("eager")
"""


def test_traced_checks_can_be_switched_off():
    """Then no callback is left in the program; what is known at once is still checked."""
    environment = os.environ | {"KERNELDEP_CHECKS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SWITCHED_OFF], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "True", "True", "eager"]
    x = np.linspace(0, 1, 8, dtype=np.float32)
    assert "callback" in str(jax.make_jaxpr(lambda x: kd.hsic(x, x))(x))


def test_is_traced():
    assert not _check.is_traced(1.0, np.ones(2), {"a": jnp.ones(2)}, None)
    seen = []
    jax.jit(lambda x: seen.append(_check.is_traced({"a": (1.0, x)})))(1.0)
    jax.grad(lambda x: (seen.append(_check.is_traced(x)), x)[1])(1.0)
    assert seen == [True, True]


@pytest.mark.parametrize(
    ("given", "narrow", "wide"),
    [
        (np.float16, "float32", "float32"),
        (jnp.bfloat16, "float32", "float32"),
        (np.float32, "float32", "float32"),
        (">f4", "float32", "float32"),
        (np.float64, "float32", "float64"),
        (">f8", "float32", "float64"),
        (np.longdouble, "float32", "float64"),
        (bool, "float32", "float64"),
        (np.int8, "float32", "float64"),
        (np.uint64, "float32", "float64"),
    ],
)
def test_dtype_of_samples(given, narrow, wide):
    array = np.array([0, 1, 1], given)
    for centred in (False, True):
        for x64, expected in ((False, narrow), (True, wide)):
            with jax.enable_x64(x64):
                samples = _check.as_samples(array, "x", centred=centred)
                assert samples.dtype == expected
                assert samples.shape == (3, 1)
                np.testing.assert_array_equal(np.diff(samples, axis=0), [[1], [0]])


def test_centring_keeps_the_digits_of_wide_input():
    offset = 1e12 + np.array([0.0, 0.25, 1.0])
    np.testing.assert_array_equal(np.diff(_check.as_float(offset, "x", centred=True)), [0.25, 0.75])
    assert _check.as_float(offset, "x")[0] == np.float32(1e12)
    integers = np.array([2**62, 2**62 + 1, 2**62 + 3])
    np.testing.assert_array_equal(np.diff(_check.as_float(integers, "x", centred=True)), [1, 2])
    unsigned = np.array([2**64 - 3, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(np.diff(_check.as_float(unsigned, "x", centred=True)), [2])


def test_centring_does_not_hide_what_is_not_finite():
    for bad in (np.nan, np.inf, -np.inf):
        assert not np.isfinite(_check.as_float(np.array([1.0, bad, 3.0]), "x", centred=True)).all()


def test_what_float32_cannot_hold():
    with pytest.raises(ValueError, match="x overflows float32"):
        _check.as_float(np.array([0.0, 1e300]), "x")
    with pytest.raises(ValueError, match="x overflows float32"):
        _check.as_float(np.array([-1e300, 0, 1e300]), "x", centred=True)
    with pytest.raises(ValueError, match="x holds integers that float32 cannot tell apart"):
        _check.as_float(np.array([2**24, 2**24 + 1]), "x")
    np.testing.assert_array_equal(_check.as_float(np.array([2**24 - 1, 2**24]), "x"), [2**24 - 1, 2**24])
    # An offset that only the shifted numbers survive, and one that only the unshifted do.
    np.testing.assert_array_equal(_check.as_float(1e300 * np.ones(3), "x", centred=True), 0)
    with jax.enable_x64(True):
        assert _check.as_float(np.array([0.0, 1e300]), "x")[1] == 1e300
        with pytest.raises(ValueError, match="float64 cannot tell apart"):
            _check.as_float(np.array([2**53, 2**53 + 1]), "x")


def test_views():
    guard = _check.Guard()
    assert _check.as_views(np.ones((2, 3, 4), np.float16), "views", guard).dtype == np.float32
    for shape, match in (
        ((3, 4), r"\[M, B, d\] is needed"),
        ((2, 3, 0), "none of them 0"),
        ((1, 3, 4), "M = 1 view"),
        ((2, 1, 4), r"B = 1 image\(s\): at least 2"),
    ):
        with pytest.raises(ValueError, match=f"views has .*{match}"):
            _check.as_views(np.ones(shape), "views", guard)
    with pytest.raises(ValueError, match="views holds NaN"):
        _check.as_views(np.full((2, 3, 4), np.nan), "views", guard)
