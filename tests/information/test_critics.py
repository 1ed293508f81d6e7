"""Critics: every entry of the matrix is the function of its pair, and gradients reach what is trained only."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kerneldep.information import (
    AbstractCritic,
    Baselined,
    Bilinear,
    Concatenated,
    KernelCritic,
    Separable,
    Standardised,
    infonce,
    trainable,
)
from kerneldep.kernels import Cosine, Gaussian

X = np.random.default_rng(0).normal(size=(6, 3))
Y = np.random.default_rng(1).normal(size=(6, 2))


def network(dim: int, out: int | str = 4) -> eqx.nn.MLP:
    return eqx.nn.MLP(dim, out, 5, 1, activation=jnp.tanh, key=jax.random.key(dim))


def run(mlp: eqx.nn.MLP, point: np.ndarray) -> np.ndarray:
    """The network in NumPy."""
    *hidden, last = [(np.asarray(layer.weight), np.asarray(layer.bias)) for layer in mlp.layers]
    for weight, bias in hidden:
        point = (np.tanh if len(hidden) == 1 else lambda v: np.maximum(v, 0))(weight @ point + bias)
    return last[0] @ point + last[1]


def bilinear():
    critic = Bilinear(3, 2, key=jax.random.key(0))
    return critic, lambda x, y: x @ np.asarray(critic.weight) @ y


def separable():
    critic = Separable(3, 2, features=4, width=5, key=jax.random.key(0))
    return critic, lambda x, y: run(critic.network_x, x) @ run(critic.network_y, y)


def concatenated():
    critic = Concatenated(3, 2, width=5, key=jax.random.key(0))
    return critic, lambda x, y: run(critic.network, np.concatenate([x, y])).item()


def cosine():
    critic = KernelCritic(temperature=0.2, network_x=network(3), network_y=network(2))

    def pair(x, y):
        g, h = run(critic.network_x, x), run(critic.network_y, y)
        return g @ h / np.linalg.norm(g) / np.linalg.norm(h) / 0.2

    return critic, pair


def gaussian():
    critic = KernelCritic(Gaussian(0.7), temperature=0.5, network_x=network(3, 2))
    return critic, lambda x, y: 2 * np.exp(-((run(critic.network_x, x) - y) ** 2).sum() / (2 * 0.7**2))


def baselined():
    inner, pair = bilinear()
    critic = Baselined(inner, network(2, "scalar"))
    return critic, lambda x, y: pair(x, y) - run(critic.log_baseline, y).item()


def standardised():
    inner, pair = bilinear()
    critic = Standardised(inner, jnp.asarray(X), jnp.asarray(Y))
    return critic, lambda x, y: pair((x - X.mean(0)) / X.std(0), (y - Y.mean(0)) / Y.std(0))


@pytest.mark.parametrize(
    "make", [bilinear, separable, concatenated, cosine, gaussian, baselined, standardised], ids=lambda f: f.__name__
)
def test_scores_and_gradients(x64, make):
    critic, pair = make()
    assert isinstance(critic, AbstractCritic)

    @eqx.filter_jit
    def both(critic, x, y):
        def loss(critic):
            scores = critic(x, y)
            return jnp.sin(scores + 0.3).sum(), scores  # which sees everything

        return eqx.filter_grad(loss, has_aux=True)(critic)

    slopes, scores = both(critic, jnp.asarray(X), jnp.asarray(Y))
    assert np.asarray(scores) == pytest.approx(np.array([[pair(x, y) for y in Y] for x in X]), abs=1e-12)
    fixed = {"kernel", "moments_x", "moments_y"}
    trained = jax.tree.map(lambda leaf, chosen: chosen or not eqx.is_inexact_array(leaf), critic, trainable(critic))
    for path, chosen in jax.tree_util.tree_leaves_with_path(trained):
        assert chosen != (path[0].name in fixed), jax.tree_util.keystr(path)
    for path, slope in jax.tree_util.tree_leaves_with_path(slopes):
        assert jnp.isfinite(slope).all()
        moves = bool((jnp.abs(slope) > 1e-12).any())
        assert moves != (path[0].name in fixed), jax.tree_util.keystr(path)


def test_collapse_and_constant_columns_are_finite():
    x = jnp.ones((4, 2))
    critic = Standardised(KernelCritic(Cosine()), x, x)
    value, slope = jax.jit(jax.value_and_grad(lambda x: infonce(critic(x, x))))(x)
    assert float(value) == 0
    assert jnp.isfinite(slope).all()


def test_what_is_held_fixed_is_found_inside():
    inner = Standardised(KernelCritic(Gaussian(1.0)), X, X)
    chosen = trainable((Baselined(inner, network(3, "scalar")), jnp.ones(2), abs))
    wrapped, array, function = chosen
    assert (array, function) == (True, False)
    assert wrapped.critic.critic.log_temperature
    assert wrapped.log_baseline.layers[0].weight
    assert not any(jax.tree.leaves((wrapped.critic.critic.kernel, wrapped.critic.moments_x, wrapped.critic.moments_y)))


@pytest.mark.parametrize("scale", [1e30, 1e18, 1.0, 1e-22, 1e-35])
def test_standardised_at_any_scale(scale):
    scales = np.array([scale, 1.0, 1.0], np.float32)  # each column has its own
    moments = Standardised(KernelCritic(), X.astype(np.float32) * scales, X).moments_x
    assert np.asarray(moments.deviation)[0] / scales == pytest.approx(X.std(0), rel=1e-5)
    assert np.asarray(moments.origin + moments.mean)[0] / scales == pytest.approx(X.mean(0), abs=1e-6)


def test_bad_critics_are_named(unhooked):
    with pytest.raises(TypeError, match="KernelCritic.kernel is 'cos'"):
        KernelCritic("cos")
    with pytest.raises(ValueError, match="temperature is 'a'"):
        KernelCritic(temperature="a")
    with pytest.raises(ValueError, match="key is missing"):
        Bilinear(3, 2, key=None)
    with pytest.raises(ValueError, match="features is 1.5"):
        Separable(3, 2, features=1.5, key=jax.random.key(0))
    with pytest.raises(ValueError, match="temperature is 0"):
        KernelCritic(temperature=0.0)
    with pytest.raises(ValueError, match="dimension 3, y with 2"):
        KernelCritic()(jnp.asarray(X), jnp.asarray(Y))
