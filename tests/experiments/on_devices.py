"""Training over several devices, and over several processes, against one device.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.experiments.on_devices compare
python -m tests.experiments.on_devices processes    # starts two, of four devices each, and compares them with one
"""

import dataclasses
import os
import socket
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np

from experiments.ssl import devices
from experiments.ssl.config import Config, ModelConfig, TrainingConfig
from experiments.ssl.train import Trained, train
from kerneldep.objectives import SSLHSIC

DEVICES, BATCH = 8, 16
CONFIG = Config(
    augment=dataclasses.replace(Config().augment, size=8),
    model=ModelConfig(widths=(4,), blocks=(0,), projector_hidden=4, projector_dim=4, predictor_hidden=4),
    training=TrainingConfig(epochs=2, batch_size=BATCH, steps_per_call=2),
)


def trained(over=None) -> Trained:
    """A few steps with a target network and a predictor."""
    images = np.random.default_rng(0).integers(0, 256, (2 * BATCH, 8, 8, 3), dtype=np.uint8)
    return train(CONFIG, SSLHSIC(target="ema"), images, devices=over, progress=False)


def check_same(one: Trained, many: Trained) -> None:
    """Raises where losses or parameters differ by more than rounding."""
    for name in ("loss", "dep"):
        np.testing.assert_allclose(many.metrics[name], one.metrics[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for a, b in zip(*(jax.tree.leaves(eqx.filter(run.network, eqx.is_array)) for run in (one, many)), strict=True):
        np.testing.assert_allclose(np.asarray(b), np.asarray(a), rtol=1e-3, atol=1e-5)


def compare() -> None:
    """Eight devices of this process against one."""
    assert len(jax.devices()) == DEVICES
    check_same(trained(jax.devices()[:1]), trained())
    print("devices agree")


def processes() -> None:
    """Starts two processes that train together, and compares each with one device of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": address,
        "KERNELDEP_NUM_PROCESSES": "2",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, "-m", "tests.experiments.on_devices", "member"]
    members = [subprocess.Popen(command, env=environment | {"KERNELDEP_PROCESS_ID": str(i)}) for i in range(2)]
    assert [member.wait(timeout=300) for member in members] == [0, 0]
    print("processes agree")


def member() -> None:
    """One of the two processes."""
    devices.prepare(distributed=True)
    jax.config.update("jax_disable_most_optimizations", True)
    assert (jax.process_count(), len(jax.devices()), len(jax.local_devices())) == (2, 4, 2)
    together = trained()
    check_same(trained(jax.local_devices()[:1]), together)


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", True)
    {"compare": compare, "processes": processes, "member": member}[sys.argv[1]]()
