"""The label kernel's exact features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.features import one_hot
from kerneldep.kernels import Label

LABELS = {
    "integers": np.array([3, 1, 1, -7, 3, 0]),
    "booleans": np.array([True, False, False]),
    "rows": np.array([[0, 1], [1, 0], [0, 1], [1, 1]]),
    "floats": np.array([0.5, 0.25, 0.5]),
    "one": np.array([2, 2]),
    "offset": 2.0**20 + np.array([0, 1, 0]),
}


@pytest.mark.parametrize(("same", "different"), [(1.0, 0.0), (2.0, 0.5)])
@pytest.mark.parametrize("name", LABELS)
def test_is_exact(name, same, different, dtype):
    labels, kernel = LABELS[name], Label(same, different)
    phi = one_hot(kernel, labels)
    assert phi.num_features == len(np.unique(labels, axis=0)) + 1
    features = phi(jnp.asarray(labels.reshape(len(labels), -1), dtype))
    assert features.shape == (len(labels), phi.num_features)
    np.testing.assert_allclose(features @ features.T, kernel.gram(labels), rtol=4 * np.finfo(dtype).eps)


def test_an_unknown_label_is_like_no_other():
    phi = one_hot(Label(1.0, 0.25), [0, 1])
    unknown, known = phi(jnp.array([[7.0]])), phi(jnp.array([[1.0]]))
    np.testing.assert_allclose(unknown @ known.T, 0.25, rtol=1e-6)


def test_gradient_of_the_offset():
    x = jnp.array([[0.0], [1.0]])

    def entry(same, different):
        features = one_hot(Label(2.0, 1.0), [0, 1])
        phi = type(features)(Label(same, different), features.codes)(x)
        return phi[0] @ phi[0], phi[0] @ phi[1]

    (same, different) = jax.jacobian(entry, argnums=(0, 1))(2.0, 1.0)
    np.testing.assert_allclose([*same, *different], [1, 0, 0, 1], rtol=0, atol=1e-6)


def test_the_gradient_is_finite_without_an_offset():
    phi, x = one_hot(Label(), [0, 1]), jnp.array([[0.0], [1.0]])
    gradient = jax.grad(lambda kernel: type(phi)(kernel, phi.codes)(x).sum())(Label())
    assert np.isfinite([gradient.same, gradient.different]).all()


def test_traced_labels_are_refused():
    with pytest.raises(TypeError, match="one_hot needs concrete labels"):
        jax.jit(lambda labels: one_hot(Label(), labels)(labels[:, None]))(jnp.array([0.0, 1.0]))


@pytest.mark.parametrize(("same", "different"), [(1.0, 1.0), (0.5, 1.0), (1.0, -0.1)])
def test_kernels_without_such_features(same, different):
    with pytest.raises(ValueError, match="same > different ≥ 0 is needed"):
        one_hot(Label(same, different), [0, 1])


def test_bad_labels(unhooked):
    with pytest.raises(TypeError, match="labels has dtype"):
        one_hot(Label(), ["cat", "dog"])
    with pytest.raises(ValueError, match="labels is empty"):
        one_hot(Label(), [])
