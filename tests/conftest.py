"""Strict numerics for every test, and the float32 and float64 lanes."""

from collections.abc import Iterator

import jax
import numpy as np
import pytest
from jaxtyping import config as jaxtyping_config

from experiments.quick import unfused_emitters

collect_ignore = ["dependence/on_devices.py"]  # a program, not a module of tests

unfused_emitters()

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture(autouse=True)
def quick_compilation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Most programs here run once on a few samples: the compiler saves more by optimising less than they lose.

    Tests marked `optimised` compile as users do, as do the doctests, notebooks and figures.
    """
    jax.config.update("jax_disable_most_optimizations", request.node.get_closest_marker("optimised") is None)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[np.dtype]:
    """Both lanes: JAX's default float for the length of the test."""
    with jax.enable_x64(request.param == "float64"):
        yield np.dtype(request.param)


@pytest.fixture
def x64() -> Iterator[None]:
    """The float64 lane alone, for comparison with references to the last digits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unhooked() -> Iterator[None]:
    """Without the annotations' run-time checks, which exist in tests only: the messages are then the ones users see."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)
