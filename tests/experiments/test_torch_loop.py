"""The PyTorch loop for comparison of speeds takes the steps that our training takes.

Skipped without torch, as in this project's own environment. In one apart:

    python -m venv peers
    peers/bin/pip install '.[train]' pytest beartype torch
    JAX_PLATFORMS=cpu peers/bin/python -m pytest tests/experiments/test_torch_loop.py
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.ssl import augment, models
from experiments.ssl.config import load_preset
from experiments.ssl.devices import Devices
from experiments.ssl.models import Network
from experiments.ssl.objectives import make_objective
from experiments.ssl.optimisers import learning_rate_schedule, make_optimiser
from experiments.ssl.train import forward, num_calls

torch = pytest.importorskip("torch", reason="needs torch in an environment apart")

from experiments.ssl import torch_loop  # noqa: E402

WIDTH, SIDE, BATCH, RATE = 2, 17, 8, 0.3  # sides 17, 9, 5 and 3: of odd lengths both pad strided convolutions alike


@pytest.fixture
def config(monkeypatch):
    monkeypatch.setattr(models, "RESNET_WIDTHS", tuple(WIDTH * 2**i for i in range(4)))
    preset = load_preset("gpu-9min", "ssl_hsic")
    model = dataclasses.replace(preset.model, projector_hidden=8, projector_dim=4)
    object.__setattr__(model, "compute_dtype", "float64")  # no choice of a run, but digits to compare
    return dataclasses.replace(preset, model=model)


def as_torch(weight):
    """Our weights [h, w, in, out] and [in, out], as PyTorch has them."""
    weight = np.asarray(weight)
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[weight.ndim]
    return torch.tensor(np.ascontiguousarray(weight.transpose(axes)))


def test_a_step_is_our_step(config, x64):
    ours, objective = Network(config.model, predictor=False, key=jax.random.key(0)), make_objective(config.objective)
    theirs = torch_loop.network(config.model, WIDTH).double()
    leaves = jax.tree.leaves(eqx.filter(ours, eqx.is_array))
    for parameter, leaf in zip(theirs.parameters(), leaves, strict=True):
        parameter.data = as_torch(leaf)
    views = jax.random.normal(jax.random.key(1), (2, BATCH, SIDE, SIDE, 3))

    @eqx.filter_jit
    def step(network):
        def loss(network):
            outputs = forward(network, None, views, objective.target, None, Devices((jax.devices()[0],)))
            return objective(outputs, None, key=jax.random.key(2))[0]

        value, gradient = eqx.filter_value_and_grad(loss)(network)
        optimiser = make_optimiser(config.optimiser, lambda _: RATE)
        weights = eqx.filter(network, eqx.is_array)
        memory = optimiser.init(weights)
        for _ in range(2):  # the same gradient twice: the second step has momentum
            updates, memory = optimiser.update(gradient, memory, weights)
            weights = optax.apply_updates(weights, updates)
        return value, weights

    value, moved = step(ours)
    optimiser = torch_loop.Lars(list(theirs.parameters()), config.optimiser)
    flat = torch.tensor(np.asarray(views)).reshape(-1, SIDE, SIDE, 3).permute(0, 3, 1, 2)
    loss = torch_loop.ssl_hsic_loss(theirs(flat), 2, gamma=3.0, scale=0.5)
    loss.backward()
    gradients = [parameter.grad.clone() for parameter in theirs.parameters()]
    for _ in range(2):
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient.clone()
        optimiser.step(RATE)
    np.testing.assert_allclose(loss.item(), value, rtol=1e-6)
    for parameter, leaf, start in zip(theirs.parameters(), jax.tree.leaves(moved), leaves, strict=True):
        change = as_torch(leaf) - as_torch(start)
        np.testing.assert_allclose(parameter.detach() - as_torch(start), change, atol=1e-5 * float(change.abs().max()))


def test_views_are_made_by_our_matrices(x64):
    start, extent = np.array([0.0, 3.3, 7.0]), np.array([32.0, 11.7, 25.0])
    found = torch_loop.resize_matrix(torch.tensor(start), torch.tensor(extent), 16, 32)
    expected = jax.vmap(lambda a, b: augment.resize_matrix(a, b, 16, 32))(jnp.asarray(start), jnp.asarray(extent))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    factors = np.random.default_rng(0).uniform(0.5, 1.5, (5, 3))
    factors[3] = factors[3] / 10  # turns of the hue
    found = torch_loop.colour_map(*torch.tensor(factors, dtype=torch.float32))
    expected = jax.vmap(augment.colour_map)(*jnp.asarray(factors, jnp.float32))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_views_have_our_moments():
    crops = load_preset("gpu-9min", "ssl_hsic").augment
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    images = np.repeat(image[None], 512, axis=0)
    ours = np.asarray(augment.views(jnp.asarray(images), 2, crops, key=jax.random.key(0))).reshape(1024, 32, 32, 3)
    torch.manual_seed(0)
    theirs = torch_loop.draw_views(torch.tensor(images).permute(0, 3, 1, 2), 2, crops).permute(0, 2, 3, 1).numpy()
    assert theirs.shape == ours.shape
    for moment in (np.mean, np.std):
        one, other = (moment(views, axis=(1, 2, 3)) for views in (ours, theirs))
        assert abs(one.mean() - other.mean()) < 4 * np.hypot(one.std(), other.std()) / 32
        assert abs(one.std() / other.std() - 1) < 0.15


def test_the_rate_has_our_schedule():
    config = load_preset("gpu-9min", "ssl_hsic")
    calls, steps = num_calls(config, 50_000)
    schedule = learning_rate_schedule(config.optimiser, calls * steps, config.training.batch_size)
    for step in (0, 10, 776, 3000, calls * steps - 1):
        found = torch_loop.learning_rate(config, step, calls * steps)
        np.testing.assert_allclose(found, schedule(step), rtol=1e-4, atol=1e-6)


def test_the_network_has_our_parameters():
    model = load_preset("gpu-9min", "ssl_hsic").model
    made = eqx.filter_eval_shape(lambda key: Network(model, predictor=False, key=key), jax.random.key(0))
    expected = sum(leaf.size for leaf in jax.tree.leaves(made))
    assert sum(one.numel() for one in torch_loop.network(model).parameters()) == expected
