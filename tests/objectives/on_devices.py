"""Every objective over 8 devices, its batch spread over them, against one device: loss and gradient.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.objectives.on_devices [--all]

Four that take statistics of the batch in different ways, or all of them.
"""

import sys

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .cases import CASES, arrays, outputs_of
from .test_objectives import compiled

DEVICES = 8
SOME = ("ssl_hsic", "infonce-nt_xent", "barlow_twins", "vicreg")


def check(case) -> None:
    """Raises where loss or gradient differ by more than rounding."""
    objective = case.make()
    outputs = outputs_of(case, objective, arrays(objective, images=2 * DEVICES))
    mesh = Mesh(np.array(jax.devices()), ("images",))

    def spread(leaf):
        axes = (None,) * (leaf.ndim == 3) + ("images",)
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec(*axes)))

    function = jax.jit(compiled(objective))
    for one, many in zip(
        jax.tree.leaves(function(outputs)), jax.tree.leaves(function(jax.tree.map(spread, outputs))), strict=True
    ):
        np.testing.assert_allclose(np.asarray(many), np.asarray(one), rtol=1e-8, atol=1e-11, err_msg=case.name)


if __name__ == "__main__":
    assert len(jax.devices()) == DEVICES
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_disable_most_optimizations", True)
    cases = CASES if "--all" in sys.argv else [case for case in CASES if case.name in SOME]
    for one in cases:
        check(one)
    print(f"{len(cases)} objectives")
