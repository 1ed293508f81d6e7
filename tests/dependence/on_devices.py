"""Run by test_sharded.py in processes of their own: the measures on samples spread over devices.

python -m tests.dependence.on_devices DEVICES [PROCESSES PROCESS PORT] [--all]

--all: every measure, not only one estimate of a kind.
"""

import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

THOROUGH = "--all" in sys.argv
NUMBERS = [int(argument) for argument in sys.argv[1:] if argument != "--all"]
DEVICES, PROCESSES, PROCESS, PORT = (*NUMBERS, 1, 0, 0)[:4]
os.environ["JAX_PLATFORMS"] = "cpu"
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", DEVICES)
jax.config.update("jax_disable_most_optimizations", True)  # many programs, each run once
if PROCESSES > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{PORT}", PROCESSES, PROCESS)

import kerneldep as kd  # noqa: E402
from kerneldep.dependence import sharded  # noqa: E402
from kerneldep.dependence.exact import unbiased_statistic  # noqa: E402
from kerneldep.kernels import Gaussian, Laplace  # noqa: E402


def samples(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 3))
    return x, np.sin(2 * x[:, :2]) + 0.3 * rng.normal(size=(n, 2))


def close(found, expected) -> None:
    """Compare what this process holds of a global array."""
    expected = np.asarray(expected)
    for shard in found.addressable_shards:
        np.testing.assert_allclose(shard.data, expected[shard.index], rtol=1e-9, atol=1e-12)


def check_sums(count: int, tile: int) -> None:
    """Value, and gradients to data and kernels."""
    mesh = Mesh(np.array(jax.devices()[:count]), ("d",))
    x, y = (jnp.asarray(a) for a in samples(37))

    def function(at, mesh, tile):
        sides = kd.Unbiased().prepare(at[2], at[2], at[0], at[1])
        sides = sides if mesh is None else tuple(one.on(mesh) for one in sides)
        sums = sharded.gram_sums(sides, ((0, 1), (0, 0)), tile)
        weights = jnp.arange(37.0)
        return unbiased_statistic(sums, 0, (0, 1)) + 0.3 * unbiased_statistic(sums, 1, (0, 0)) + weights @ sums.rows[0]

    at = (x, y, Gaussian(1.0) + Laplace(2.0))
    expected = jax.jit(jax.value_and_grad(lambda at: function(at, None, 100)))(at)
    found = jax.jit(jax.value_and_grad(lambda at: function(at, mesh, tile)))(at)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


MEASURES = (
    (kd.hsic, kd.Unbiased()),
    (kd.cka, kd.Biased()),
    (kd.hsic, kd.Block(6)),
    (kd.hsic, kd.Incomplete(3)),
    (kd.cka, kd.RandomFourier(32, unbiased=True)),
    (kd.hsic, kd.Nystrom(8)),
)


def others(x, y, mesh):
    """Measures that take no estimator with a key: of pairs, of three variables, of two samples; tiled and sorted."""
    first, second = x[:, :1], y[:, :1]
    return jnp.stack(
        [
            kd.distance_covariance_squared(x, y, mesh=mesh),
            kd.distance_correlation_squared(first, second, mesh=mesh),
            kd.dhsic((x, y, first), mesh=mesh),
            kd.mmd_squared(first, second, mesh=mesh),
            kd.energy_distance(first, second, exponent=1.5, mesh=mesh),
        ]
    )


def check_measures(n: int) -> None:
    """The public functions on data that lie on the devices, or (n uneven) on one."""
    devices = np.array(jax.devices())
    mesh = Mesh(devices.reshape(-1, 2) if len(devices) % 2 == 0 else devices, ("a", "b")[: 1 + (len(devices) % 2 == 0)])
    x, y = samples(n)
    even = n % len(devices) == 0
    held = NamedSharding(mesh, PartitionSpec(mesh.axis_names if even else None))
    on_devices = tuple(jax.make_array_from_callback(a.shape, held, lambda index, a=a: a[index]) for a in (x, y))
    chosen = MEASURES if THOROUGH and even else MEASURES[::4] if even else MEASURES[:1]
    for measure, estimator in chosen:

        def key(estimator=estimator):
            return jax.random.key(0) if estimator.random else None

        found = measure(*on_devices, estimator=estimator, key=key(), mesh=mesh)
        close(found, measure(x, y, estimator=estimator, key=key()))

    if PROCESSES == 1:  # NumPy arrays, which are placed for the caller
        close(kd.hsic(x, y, mesh=mesh), kd.hsic(x, y))
        if THOROUGH:
            close(others(x, y, mesh), others(x, y, None))
    if not even:
        return

    def slope(x, y, mesh):
        return jax.jit(jax.grad(lambda x, y: kd.hsic(x, y, mesh=mesh), argnums=(0, 1)))(x, y)

    for a, b in zip(slope(*on_devices, mesh), slope(x, y, None), strict=True):
        close(a, b)


if __name__ == "__main__":
    assert len(jax.devices()) == DEVICES * PROCESSES
    if PROCESSES == 1:
        if THOROUGH:
            check_sums(3, 100)  # an odd and an even ring, one tile a device and several
        check_sums(DEVICES, 2)
        check_measures(37)
    check_measures(40)
    print("same")
