"""How much a network computes, counted in its traced program, and what share of a device's speed training reaches."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from experiments.ssl.config import Config
from experiments.ssl.models import Network

FORWARD_AND_BACKWARD = 3  # forward passes that both cost: a product has two in its gradient
MATRIX, CPU_MATRIX, CHAIN = 8192, 1024, 4  # rows of the timed products, and how many one call has


class Cost(NamedTuple):
    """Multiply-adds of one view's forward pass."""

    encoder: int
    heads: int  # projector and predictor
    target: int  # encoder and projector once more, if there is a target network: it has no backward pass


def multiply_adds(function: Callable[..., Any], *arguments: Any) -> int:
    """Multiply-adds of all matrix products and convolutions in one call; nothing else is counted, and nothing is run.

    A convolution counts as many for each of its outputs as its kernel has inputs, at the edges too, so that it is the
    same as the product of patches that stands for it on a CPU. Loops count as often as they run, and of alternatives
    the most costly.

    Args:
        function: of arrays, or modules that hold them.
        *arguments: what it is called with; `jax.ShapeDtypeStruct` will do.

    Raises:
        ValueError: If there is a product in a loop of unknown length.
    """
    return _count(eqx.filter_make_jaxpr(function)(*arguments)[0].jaxpr)


def forward_cost(config: Config, objective: Any) -> Cost:
    """What one view costs, by part."""
    network = eqx.filter_eval_shape(
        lambda key: Network(config.model, predictor=objective.predictor, key=key), jax.random.key(0)
    )
    view = jax.ShapeDtypeStruct((1, config.augment.size, config.augment.size, 3), jnp.float32)

    def heads(network: Network, features: Any) -> Any:
        projections = network.projector(features)[0]
        return projections if network.predictor is None else network.predictor(projections)[0]

    features = jax.ShapeDtypeStruct((1, network.encoder.dim), jnp.float32)
    encoder = multiply_adds(lambda network, x: network.encoder(x), network, view)
    projector = multiply_adds(lambda network, x: network.projector(x), network, features)
    target = encoder + projector if objective.target == "ema" else 0
    return Cost(encoder, multiply_adds(heads, network, features), target)


def flops_per_image(config: Config, objective: Any) -> int:
    """Floating-point operations of training on an image: 2 a multiply-add, all its views, forward and backward.

    The backward pass is taken as twice the forward one. Augmentation, batch norm, the loss and the optimiser are left
    out, as is usual.
    """
    cost = forward_cost(config, objective)
    return 2 * objective.num_views * (FORWARD_AND_BACKWARD * (cost.encoder + cost.heads) + cost.target)


def matmul_rate(dtype: str = "float32", size: int | None = None, seconds: float = 0.5) -> float:
    """Floating-point operations a second of square matrix products on the first device: the best of several calls.

    At JAX's default precision, which on some GPUs rounds the factors of float32 products to fewer bits.

    Args:
        dtype: of the factors.
        size: rows and columns; by default what keeps the device busy.
        seconds: how long to try, after one call that compiles.
    """
    size = size or (CPU_MATRIX if jax.default_backend() == "cpu" else MATRIX)
    # Of this scale products neither grow nor vanish.
    matrix = (jax.random.normal(jax.random.key(0), (size, size)) / size**0.5).astype(dtype)

    @jax.jit
    def chain(x: jax.Array) -> jax.Array:
        y = x
        for _ in range(CHAIN):
            y = x @ y
        return y

    chain(matrix).block_until_ready()
    best, end = math.inf, time.perf_counter() + seconds
    while best == math.inf or time.perf_counter() < end:
        begun = time.perf_counter()
        chain(matrix).block_until_ready()
        best = min(best, time.perf_counter() - begun)
    return 2 * CHAIN * size**3 / best


def speed(config: Config, objective: Any, images_per_second: float, *, measure: bool) -> dict[str, float]:
    """What a rate of training means, by name, for a run's summary.

    Args:
        config: the run.
        objective: its objective.
        images_per_second: of the global batch, over all devices.
        measure: whether to time matrix products in the network's precision on the first device, for comparison.
    """
    flops = flops_per_image(config, objective)
    found = {"flops_per_image": float(flops), "flops_per_second": flops * images_per_second}
    if measure:
        rate = matmul_rate(config.model.compute_dtype)
        found["matmul_flops_per_second"] = rate  # of one device
        found["share_of_matmul"] = found["flops_per_second"] / (rate * jax.device_count())
    return found


def _count(jaxpr: Jaxpr) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
        return math.prod(out) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
        return math.prod(out) * math.prod(kernel) // kernel[params["dimension_numbers"].rhs_spec[0]]
    inside = [_count(inner) for inner in _inner(params)]
    if name == "cond":
        return max(inside)
    if name == "while" and any(inside):
        raise ValueError("There is a product in a loop whose length the traced program does not tell.")
    return params.get("length", 1) * sum(inside) if name == "scan" else sum(inside)


def _inner(params: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, ClosedJaxpr | Jaxpr):
                yield one.jaxpr if isinstance(one, ClosedJaxpr) else one
