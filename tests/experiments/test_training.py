"""Presets and objectives go through the training step; optimisers, schedules, devices, and what is imported."""

import dataclasses
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl import models
from experiments.ssl.config import PRESETS, Config, ModelConfig, ObjectiveConfig, load_preset
from experiments.ssl.devices import Devices
from experiments.ssl.models import Network
from experiments.ssl.objectives import SUPERVISED, make_objective
from experiments.ssl.optimisers import learning_rate_schedule, make_optimiser, target_decay
from experiments.ssl.train import initial_state, make_run_steps, num_calls, train
from kerneldep.kernels import Gaussian, Linear
from kerneldep.objectives import SSLHSIC, objective_names

STEPS = 10
ONE = Devices((jax.devices()[0],))
TINY = Config(
    augment=dataclasses.replace(Config().augment, size=8),
    model=ModelConfig(widths=(4,), blocks=(0,), projector_hidden=4, projector_dim=4, predictor_hidden=4),
    training=dataclasses.replace(Config().training, batch_size=8, steps_per_call=1),
)


def traced_step(config, objective):
    """The shapes of a state and of a step's results, without computing anything."""
    run_steps = make_run_steps(config.augment, config.optimiser, config.training, STEPS, ONE)
    optimiser = make_optimiser(config.optimiser, learning_rate_schedule(config.optimiser, STEPS))

    def begin(key):
        network = Network(config.model, predictor=objective.predictor, key=key)
        return initial_state(network, objective, optimiser, config, key=key)

    state = eqx.filter_eval_shape(begin, jax.random.key(0))
    batch = config.training.batch_size
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32) if config.objective.name in SUPERVISED else None
    data = jax.ShapeDtypeStruct((batch, 32, 32, 3), jnp.uint8), labels
    given = data, jax.ShapeDtypeStruct((1, batch), jnp.int32), jax.ShapeDtypeStruct((2,), jnp.uint32)
    return state, *eqx.filter_eval_shape(run_steps, given, state)


def shapes(tree):
    found = [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    assert found
    return found


@pytest.mark.parametrize("name", objective_names())
def test_any_objective_trains(name):
    config = dataclasses.replace(TINY, objective=ObjectiveConfig(name))
    before, after, metrics = traced_step(config, make_objective(config.objective))
    assert shapes(before) == shapes(after)
    assert metrics["loss"].shape == (1,)


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_a_step_of_each_preset(preset):
    config = load_preset(preset, "ssl_hsic")
    before, after, _ = traced_step(config, make_objective(config.objective))
    assert shapes(before) == shapes(after)
    assert {dtype for _, dtype in shapes(after.network)} == {jnp.dtype("float32")}
    calls, steps = num_calls(config, config.data.num_train)
    per_epoch = config.data.num_train // config.training.batch_size
    assert calls * steps - config.training.epochs * per_epoch < steps  # at most a call too many


def test_the_gpu_preset_takes_a_step_on_a_cpu(monkeypatch):
    monkeypatch.setattr(models, "RESNET_WIDTHS", (4,))
    config = load_preset("gpu-9min", "ssl_hsic")
    config = dataclasses.replace(
        config,
        augment=dataclasses.replace(config.augment, size=8),
        model=dataclasses.replace(config.model, projector_hidden=8, projector_dim=8),
        training=dataclasses.replace(config.training, epochs=1, batch_size=4, steps_per_call=2),
    )
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    trained = train(config, make_objective(config.objective), images, progress=False)
    assert np.isfinite(trained.metrics["loss"]).all()
    moved = [
        float(jnp.abs(a - b).max())
        for a, b in zip(
            jax.tree.leaves(trained.untrained.encoder), jax.tree.leaves(trained.network.encoder), strict=True
        )
        if hasattr(a, "dtype")
    ]
    assert max(moved) > 0


def test_lars_bounds_the_steps_of_weights_alone():
    config = dataclasses.replace(Config().optimiser, name="lars", weight_decay=0.1, trust_coefficient=0.01)
    rate = 0.5
    optimiser = make_optimiser(config, lambda _: rate)
    parameters = {"steep": np.full((2, 2), 3.0), "flat": np.full((2, 2), 3.0), "zero": np.zeros((2, 2))}
    gradients = {"steep": np.arange(4.0).reshape(2, 2), "flat": np.full((2, 2), -0.299), "zero": np.ones((2, 2))}
    parameters, gradients = parameters | {"shift": np.full(2, 3.0)}, gradients | {"shift": np.array([0.5, 1.0])}
    state = optimiser.init(parameters)
    memory = dict.fromkeys(parameters, 0.0)
    for _ in range(2):
        updates, state = optimiser.update(gradients, state, parameters)
        for name, w in parameters.items():
            g = gradients[name] + 0.1 * w * (name != "shift")
            if name == "steep":  # a step of the rate would be longer than a hundredth of the weights
                assert rate * np.linalg.norm(g) > 0.01 * np.linalg.norm(w)
                g = g * 0.01 * np.linalg.norm(w) / (rate * np.linalg.norm(g))
            memory[name] = 0.9 * memory[name] + g
            np.testing.assert_allclose(updates[name], -rate * memory[name], rtol=1e-4)


def test_schedules():
    config = dataclasses.replace(Config().optimiser, learning_rate=0.5, linear_scaling=True)
    assert float(learning_rate_schedule(config, 100, 512)(10)) == pytest.approx(1.0)
    assert float(learning_rate_schedule(dataclasses.replace(config, linear_scaling=False), 100, 512)(10)) == 0.5
    training = dataclasses.replace(Config().training, ema_decay=0.9)
    assert target_decay(training, 100)(jnp.asarray(50)) == 0.9
    decay = target_decay(dataclasses.replace(training, ema_schedule="cosine"), 100)
    np.testing.assert_allclose([decay(jnp.asarray(step)) for step in (0, 50, 100)], [0.9, 0.95, 1.0], rtol=1e-6)


def test_kernels_by_name():
    linear = make_objective(ObjectiveConfig("ssl_hsic", {"kernel": "linear", "gamma": 1.0}))
    gaussian = make_objective(ObjectiveConfig("ssl_hsic", {"kernel": "gaussian", "scale": 0.7}))
    assert isinstance(linear, SSLHSIC)
    assert isinstance(linear.kernel, Linear)
    assert isinstance(gaussian.kernel, Gaussian)
    for parameters, message in (
        ({"kernel": "cubic", "scale": 1.0}, "no kernel 'cubic'"),
        ({"kernel": "linear", "scale": 1.0}, "has no scale"),
        ({"kernel": "laplace"}, "needs a scale"),
    ):
        with pytest.raises(ValueError, match=message):
            make_objective(ObjectiveConfig("ssl_hsic", parameters))


def test_uneven_batches_are_refused():
    with pytest.raises(ValueError, match="batch of 9 cannot be spread evenly over 2 devices"):
        Devices((1, 2)).check(9)


def program(*arguments, flags=""):
    """Runs a module of this folder in a process of its own, compiled quickly."""
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"  # as in conftest.py
    flags = f"{quick} {flags}" if jax.__version_info__[:2] == (0, 10) else flags
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_eight_devices_train_as_one_does():
    assert "agree" in program(
        "tests.experiments.on_devices", "compare", flags="--xla_force_host_platform_device_count=8"
    )


@pytest.mark.slow
def test_two_processes_train_as_one_does():
    assert "agree" in program("tests.experiments.on_devices", "processes")


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_runs_lose_little_and_end_the_same():
    assert "the same end bit for bit" in program("tests.experiments.kills", "2")


SCRIPT = """
import sys
for name in ("tqdm", "tyro", "matplotlib", "pandas", "sklearn", "pooch", "PIL"):
    sys.modules[name] = None  # an import of it fails
import experiments.ssl.train, experiments.ssl.models, experiments.ssl.config, experiments.ssl.checkpoints
import experiments.ssl.runs
with experiments.ssl.train.bar(2, 0, "run", True) as bar:
    bar.set_postfix_str("loss 1")
    bar.update(2)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
import os
os.environ.pop("KERNELDEP_DATA", None)
os.environ["XDG_CACHE_HOME"] = sys.argv[1]
from experiments import data
from experiments.data import cifar10
from pathlib import Path
assert cifar10.data_folder() == Path(sys.argv[1], "kerneldep")
try:
    cifar10.load(download=False)
except data.DataUnavailable as error:
    assert "missing: data_batch_1.bin" in str(error)
else:
    raise AssertionError("there is no data set in an empty folder")
"""


def test_training_needs_no_more_than_jax_equinox_optax_and_numpy(tmp_path):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "run: step 2 of 2, loss 1" in done.stderr
