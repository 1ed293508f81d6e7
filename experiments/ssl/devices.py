"""Where training runs: one device, all devices of a machine, or those of several processes.

The state is replicated and each batch is spread over the devices. Losses and batch statistics are over the global
batch, so that the number of devices changes a run by rounding only.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "batch"
DETERMINISTIC = "--xla_gpu_deterministic_ops=true"


def prepare(*, deterministic: bool = False, distributed: bool = False) -> None:
    """What has to happen before JAX first starts a device.

    Args:
        deterministic: Whether a GPU is to give the same bits each time, at a cost in speed; CPUs do anyway.
        distributed: Whether this is one of several processes that train together. Each is started with
            JAX_COORDINATOR_ADDRESS (host:port of the first), KERNELDEP_NUM_PROCESSES and KERNELDEP_PROCESS_ID in its
            environment; under Slurm, Open MPI or Kubernetes JAX finds out by itself. All must reach one results folder.
    """
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DETERMINISTIC}".strip()
    if distributed:
        count, index = (os.environ.get(f"KERNELDEP_{name}") for name in ("NUM_PROCESSES", "PROCESS_ID"))
        jax.distributed.initialize(
            num_processes=None if count is None else int(count), process_id=None if index is None else int(index)
        )


def jit_long_program(
    function: Callable[..., Any], donate: Literal["all-except-first", "none"] = "none"
) -> Callable[..., Any]:
    """`eqx.filter_jit` at XLA's level 1 on CPUs: sooner compiled, to the same bits at the same speed.

    The convolutions and matrix products, where the time goes, are library calls. GPUs need at least level 2.
    """
    asked_for_less = jax.config.read("jax_disable_most_optimizations")
    quickly = jax.default_backend() == "cpu" and not asked_for_less
    options = {"xla_backend_optimization_level": 1} if quickly else {}
    return eqx.filter_jit(function, donate=donate, compiler_options=options)  # pyright: ignore[reportCallIssue]


def is_first() -> bool:
    """Whether this is the process that writes and evaluates."""
    return jax.process_index() == 0


def wait_for_all() -> None:
    """Returns once every process has come here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("kerneldep")


@dataclass(frozen=True)
class Devices:
    """Devices, and how values are laid out over them; with one device it does nothing."""

    devices: tuple[Any, ...]

    @property
    def mesh(self) -> Mesh | None:
        """One axis, over which batches are spread."""
        return Mesh(np.asarray(self.devices), (AXIS,)) if len(self.devices) > 1 else None

    def check(self, batch_size: int) -> None:
        """Refuses batches that cannot be spread evenly."""
        if batch_size % len(self.devices):
            raise ValueError(f"A batch of {batch_size} cannot be spread evenly over {len(self.devices)} devices.")

    def place(self, tree: Any) -> Any:
        """Every array whole on every device; several processes must come with equal ones."""
        if (mesh := self.mesh) is None:
            return tree
        arrays, rest = eqx.partition(tree, eqx.is_array)
        return eqx.combine(jax.device_put(arrays, NamedSharding(mesh, PartitionSpec())), rest)

    def replicate(self, tree: Any) -> Any:
        """The same inside `jit`."""
        return tree if (mesh := self.mesh) is None else eqx.filter_shard(tree, NamedSharding(mesh, PartitionSpec()))

    def spread(self, array: jax.Array) -> jax.Array:
        """The first axis in pieces over the devices."""
        if (mesh := self.mesh) is None:
            return array
        return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, PartitionSpec(AXIS)))

    def fetch(self, tree: Any) -> Any:
        """This process's copy of replicated arrays, for work that it does alone."""
        if jax.process_count() == 1:
            return tree
        return jax.tree.map(lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x, tree)

    def agree(self, number: int) -> int:
        """The largest of all processes' numbers."""
        if jax.process_count() == 1:
            return number
        from jax.experimental import multihost_utils

        return int(np.max(multihost_utils.process_allgather(np.asarray(number))))
