"""Parameters a kernel refuses, when it is made and when it is used."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep import kernels

X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
POSITIVE = {
    "Gaussian.bandwidth": lambda v: kernels.Gaussian(v),
    "Laplace.length_scale": lambda v: kernels.Laplace(v),
    "InverseMultiquadric.scale": lambda v: kernels.InverseMultiquadric(v),
    "RationalQuadratic.scale": lambda v: kernels.RationalQuadratic(v),
    "RationalQuadratic.exponent": lambda v: kernels.RationalQuadratic(1.0, v),
    "Matern.length_scale": lambda v: kernels.Matern(v),
    "Polynomial.scale": lambda v: kernels.Polynomial(2, v),
    "Scaled.factor": lambda v: v * kernels.Linear(),
}
FINITE = {
    "Polynomial.offset": lambda v: kernels.Polynomial(2, 1.0, v),
    "Label.same": lambda v: kernels.Label(v),
    "Label.different": lambda v: kernels.Label(1.0, v),
}


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", POSITIVE)
def test_what_must_be_positive(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be positive and finite"):
        POSITIVE[name](value)


@pytest.mark.parametrize("name", FINITE)
def test_what_must_be_finite(name):
    assert np.isfinite(FINITE[name](-0.5).gram(X)).all()
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        FINITE[name](float("nan"))


@pytest.mark.parametrize("name", POSITIVE | FINITE)
def test_a_traced_parameter_is_checked_at_run_time(name):
    make = (POSITIVE | FINITE)[name]
    gram = eqx.filter_jit(lambda value: (make(value) + kernels.Linear()).gram(X[:2]))
    assert np.isfinite(gram(jnp.asarray(1.5))).all()
    with pytest.raises(RuntimeError, match=name):
        jax.block_until_ready(gram(jnp.asarray(jnp.nan)))


def test_plain_jit_raises_too():
    gram = jax.jit(lambda value: kernels.Gaussian(value).gram(X))
    with pytest.raises(RuntimeError, match="Gaussian.bandwidth"):
        jax.block_until_ready(gram(0.0))
    # From the second call on JAX reports a callback's failure as a ValueError.
    with pytest.raises((RuntimeError, ValueError), match="Gaussian.bandwidth"):
        jax.block_until_ready(gram(0.0))


def test_the_first_of_several_failures_is_named():
    gram = eqx.filter_jit(lambda a, b, x: (kernels.Gaussian(a) * kernels.Laplace(b)).gram(x))
    with pytest.raises(RuntimeError, match="Gaussian.bandwidth"):
        jax.block_until_ready(gram(-1.0 * jnp.ones(()), jnp.zeros(()), X))
    with pytest.raises(RuntimeError, match="Laplace.length_scale"):
        jax.block_until_ready(gram(jnp.ones(()), jnp.zeros(()), X))
    with pytest.raises(RuntimeError, match="x holds NaN"):
        jax.block_until_ready(gram(jnp.ones(()), jnp.ones(()), X * np.nan))


def test_parts_of_composed_kernels_are_checked():
    whole = 2.0 * (kernels.Linear() + kernels.Gaussian(1.0))
    broken = eqx.tree_at(lambda k: k.kernel.second.bandwidth, whole, jnp.zeros(()))
    with pytest.raises(ValueError, match="Gaussian.bandwidth must be positive"):
        broken.gram(X)
    with pytest.raises(ValueError, match="Gaussian.bandwidth must be positive"):
        kernels.Deep(lambda x: x, broken)


@pytest.mark.parametrize("value", [None, "1", 1 + 2j, [1.0, "a"]])
def test_a_parameter_that_is_no_real_number(value, unhooked):
    with pytest.raises(TypeError, match="A kernel parameter"):
        kernels.Gaussian(value)


def test_a_parameter_that_is_no_scalar(unhooked):
    for value in (np.ones(1), [1.0, 2.0], np.ones((1, 1))):
        with pytest.raises(ValueError, match=r"Gaussian.bandwidth has shape .*: a scalar is needed"):
            kernels.Gaussian(value)


def test_static_parameters(unhooked):
    with pytest.raises(ValueError, match=r"Matern.smoothness is 2.0: 0.5, 1.5 and 2.5"):
        kernels.Matern(1.0, 2.0)
    with pytest.raises(ValueError, match="Laplace.norm is 'l3': 'l2' or 'l1'"):
        kernels.Laplace(1.0, "l3")
    for degree in (0, -1, 1.5):
        with pytest.raises(ValueError, match="Polynomial.degree is .*: an integer ≥ 1"):
            kernels.Polynomial(degree)
    for exponent in (0, -1.0, 2.1, float("nan")):
        with pytest.raises(ValueError, match=r"Distance.exponent is .*\(0, 2\]"):
            kernels.Distance(exponent)


def test_abstract_kernels_cannot_be_made():
    for kernel in (kernels.AbstractKernel, kernels.AbstractRadialKernel):
        with pytest.raises(TypeError, match="abstract"):
            kernel()


BAD_SAMPLES = {
    "rank": (np.ones((2, 2, 2)), ValueError, "shape"),
    "scalar": (1.0, ValueError, "scalar"),
    "empty": (np.ones((0, 2)), ValueError, "empty"),
    "no columns": (np.ones((2, 0)), ValueError, "empty"),
    "nan": (np.array([[0.0, np.nan]]), ValueError, "NaN"),
    "inf": (np.array([[0.0, -np.inf]]), ValueError, "NaN or infinite"),
    "complex": (np.ones((2, 2), complex), TypeError, "complex"),
    "strings": (np.array([["a", "b"]]), TypeError, "dtype"),
    "objects": (np.array([[None, 1]]), TypeError, "dtype"),
    "none": ([None, 1.0], TypeError, "dtype"),
    "ragged": ([[1.0], [1.0, 2.0]], ValueError, "inhomogeneous"),
    "overflow": (np.full((2, 2), 1e300), ValueError, "overflows float32"),
    "huge integers": (np.array([[2**53, 2**53 + 1]]), ValueError, "integers"),
}


@pytest.mark.parametrize("name", BAD_SAMPLES)
def test_gram_of_bad_samples(name, unhooked):
    samples, error, match = BAD_SAMPLES[name]
    with pytest.raises(error, match=match):
        kernels.Linear().gram(samples)
    with pytest.raises(error, match=match):
        kernels.Linear().gram(X, samples)


def test_gram_names_the_second_argument_too(unhooked):
    with pytest.raises(ValueError, match="y holds NaN"):
        kernels.Gaussian(1.0).gram(X, X * np.nan)
    with pytest.raises(TypeError, match="y is complex"):
        kernels.Gaussian(1.0).gram(X, X * 1j)
    with pytest.raises(ValueError, match="x has dimension 2, y has 3"):
        kernels.Gaussian(1.0).gram(X, np.ones((4, 3)))
    with pytest.raises(TypeError, match="x is None"):
        kernels.Gaussian(1.0).gram(None)
    with pytest.raises(RuntimeError, match="y holds NaN"):
        jax.block_until_ready(jax.jit(lambda y: kernels.Gaussian(1.0).gram(X, y))(X * np.nan))


def test_one_pair_takes_points_only(unhooked):
    kernel = kernels.Gaussian(1.0)
    with pytest.raises(ValueError, match="use `gram`"):
        kernel(X, X)
    with pytest.raises(TypeError, match="y has dtype"):
        kernel([1.0], ["a"])
