"""Strict numerics for every test, and the float32 and float64 lanes."""

from collections.abc import Iterator

import jax
import numpy as np
import pytest
from jaxtyping import config as jaxtyping_config

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


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
