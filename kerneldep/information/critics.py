"""Critics f(x, y): what scores pairs. Called on samples, they return the whole matrix [n, m]."""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel, Cosine
from ..kernels.base import check_parameters, dense_gram, parameter
from ..kernels.tiles import center, exact_unit

Network = Callable[[Array], Array]
T = TypeVar("T")


FIXED = {"trained": False}
"""Metadata of a critic's field that is not trained: no gradient flows to it, and `trainable` leaves it out."""


def trainable(critic: Any) -> PyTree[bool]:
    """The critic's shape with True at leaves to be trained: a filter for `eqx.partition`.

    These are its floating-point arrays, but for kernels and moments, which an optimiser that was given them would move
    even with gradients of 0: weight decay does.
    """

    def child(node: Any) -> bool:
        return isinstance(node, eqx.Module) and node is not critic

    chosen: Any = jax.tree.map(
        lambda node: trainable(node) if child(node) else eqx.is_inexact_array(node), critic, is_leaf=child
    )
    if not isinstance(critic, eqx.Module):
        return chosen
    for field in dataclasses.fields(critic):
        if not field.metadata.get("trained", True):
            nothing = jax.tree.map(lambda _: False, getattr(critic, field.name))
            chosen = eqx.tree_at(lambda node, name=field.name: getattr(node, name), chosen, nothing)
    return chosen


class AbstractCritic(eqx.Module):
    """A function f(x, y) of pairs, of which `trainable` says what is trained."""

    @abc.abstractmethod
    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores f(x_i, y_j) of all pairs."""


class Bilinear(AbstractCritic):
    """f(x, y) = xᵀWy.

    Args:
        dim_x: d, the dimension of x.
        dim_y: e, of y.
        key: the randomness of W, whose entries start as N(0, 1/(de)).
    """

    weight: Float[Array, "d e"]

    def __init__(self, dim_x: int, dim_y: int, *, key: Key[Array, ""]) -> None:
        shape = _check.as_count(dim_x, "dim_x", 1), _check.as_count(dim_y, "dim_y", 1)
        self.weight = jax.random.normal(_check.random_key(key, "Bilinear"), shape) / math.sqrt(math.prod(shape))

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        return _products(_products(x, self.weight.T), y)


class Separable(AbstractCritic):
    """f(x, y) = g(x)ᵀh(y) with two networks: n + m evaluations for n·m scores.

    Args:
        dim_x: d, the dimension of x.
        dim_y: e, of y.
        features: dimension of g and h, the rank of the scores.
        width: of each hidden layer.
        depth: number of hidden layers.
        key: the randomness of the initial weights.
    """

    network_x: Network
    network_y: Network

    def __init__(
        self, dim_x: int, dim_y: int, *, features: int = 32, width: int = 256, depth: int = 2, key: Key[Array, ""]
    ) -> None:
        key_x, key_y = jax.random.split(_check.random_key(key, "Separable"))
        layers = _check.as_count(features, "features", 1), *_layers(width, depth)
        self.network_x = eqx.nn.MLP(_check.as_count(dim_x, "dim_x", 1), *layers, key=key_x)
        self.network_y = eqx.nn.MLP(_check.as_count(dim_y, "dim_y", 1), *layers, key=key_y)

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        return _products(jax.vmap(self.network_x)(x), jax.vmap(self.network_y)(y))


class Concatenated(AbstractCritic):
    """f(x, y) = g([x, y]) with one network of both, which is evaluated n·m times: time and memory n·m·width.

    Args:
        dim_x: d, the dimension of x.
        dim_y: e, of y.
        width: of each hidden layer.
        depth: number of hidden layers.
        key: the randomness of the initial weights.
    """

    network: Network

    def __init__(self, dim_x: int, dim_y: int, *, width: int = 256, depth: int = 2, key: Key[Array, ""]) -> None:
        dim = _check.as_count(dim_x, "dim_x", 1) + _check.as_count(dim_y, "dim_y", 1)
        key = _check.random_key(key, "Concatenated")
        self.network = eqx.nn.MLP(dim, "scalar", *_layers(width, depth), key=key)

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        return jax.vmap(lambda one: jax.vmap(lambda other: self.network(jnp.concatenate([one, other])))(y))(x)


class KernelCritic(AbstractCritic):
    """f(x, y) = k(g(x), h(y))/τ + c with a kernel k, trained networks g and h, temperature τ and offset c.

    With the cosine it is the critic of InfoNCE in self-supervised learning, bounded by 1/τ. The offset, 0 at first,
    matters to bounds that know the level of f (NWJ and its kin), and not to InfoNCE.

    Args:
        kernel: k, held fixed (what is to be trained belongs into the networks); the cosine by default.
        temperature: τ > 0 at first; its logarithm is trained. 1/τ is the amplitude.
        network_x: g, any Equinox module from one point [d] to one point [m]; None for the identity.
        network_y: h.
    """

    kernel: AbstractKernel = eqx.field(metadata=FIXED)
    log_temperature: Float[Array, ""]
    offset: Float[Array, ""]
    network_x: Network | None
    network_y: Network | None

    def __init__(
        self,
        kernel: AbstractKernel | None = None,
        *,
        temperature: float = 0.1,
        network_x: Network | None = None,
        network_y: Network | None = None,
    ) -> None:
        kernel = Cosine() if kernel is None else kernel
        check_parameters(kernel, "KernelCritic.kernel", _check.Guard())
        temperature = _check.as_positive(temperature, "temperature")
        self.kernel = kernel
        self.log_temperature = jnp.log(parameter(temperature))
        self.offset = jnp.zeros_like(self.log_temperature)
        self.network_x = network_x
        self.network_y = network_y

    @property
    def temperature(self) -> Scalar:
        """τ."""
        return jnp.exp(self.log_temperature)

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        x = x if self.network_x is None else jax.vmap(self.network_x)(x)
        y = y if self.network_y is None else jax.vmap(self.network_y)(y)
        if x.shape[1] != y.shape[1]:
            raise ValueError(
                f"x reaches the kernel with dimension {x.shape[1]}, y with {y.shape[1]}: give networks to one space."
            )
        return dense_gram(_fixed(self.kernel), x, y) / self.temperature + self.offset


class Baselined(AbstractCritic):
    """f(x, y) − log a(y): a critic with a baseline of its own, as TUBA has it, trained together.

    Args:
        critic: f.
        log_baseline: log a, any Equinox module from one point [e] to a scalar.
    """

    critic: AbstractCritic
    log_baseline: Network

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        return self.critic(x, y) - jax.vmap(self.log_baseline)(y)[None, :]


class Moments(NamedTuple):
    """Location and scale of each column.

    Attributes:
        origin: a point amid the samples, subtracted before anything else, in the samples' own precision: an offset
            costs no digits.
        mean: of what is left.
        deviation: its standard deviation; 1 for a constant column.
    """

    origin: Float[Array, "1 d"]
    mean: Float[Array, "1 d"]
    deviation: Float[Array, "1 d"]

    @classmethod
    def of(cls, values: ArrayLike, name: str) -> "Moments":
        """Those of samples [n] or [n, d]."""
        origin = center(_check.as_samples(values, name))
        x = _check.samples_about(values, name, origin)
        size = jnp.abs(x).max(0)
        unit = jax.vmap(lambda one: exact_unit(one, x.dtype))(jnp.where(size > 0, size, 1))[None, :]
        x = x / unit  # now no square overflows or vanishes
        deviation = x.std(0, keepdims=True)
        return cls(origin, unit * x.mean(0, keepdims=True), jnp.where(deviation > 0, unit * deviation, 1))

    def standardise(self, values: ArrayLike, name: str) -> Float[Array, "n d"]:
        """(x − origin − mean)/deviation."""
        return (_check.samples_about(values, name, self.origin) - self.mean) / self.deviation

    def about(self, origin: Float[Array, "1 d"]) -> "Moments":
        """Those of the samples plus an origin."""
        return Moments(origin, self.origin + self.mean, self.deviation)


class Standardised(AbstractCritic):
    """A critic of standardised columns, (x − mean)/deviation, which leaves I(X; Y) as it is; the two are held fixed.

    Args:
        critic: f.
        x: samples [n] or [n, d] to take mean and deviation from.
        y: samples [n] or [n, e].
    """

    critic: AbstractCritic
    moments_x: Moments = eqx.field(metadata=FIXED)
    moments_y: Moments = eqx.field(metadata=FIXED)

    def __init__(self, critic: AbstractCritic, x: ArrayLike, y: ArrayLike) -> None:
        self.critic = critic
        self.moments_x = Moments.of(x, "x")
        self.moments_y = Moments.of(y, "y")

    def __call__(self, x: ArrayLike, y: ArrayLike) -> Float[Array, "n m"]:
        """The scores of all pairs of samples [n] or [n, d] and [m] or [m, e]."""
        of_x, of_y = _fixed((self.moments_x, self.moments_y))
        return self.critic(of_x.standardise(x, "x"), of_y.standardise(y, "y"))


def _layers(width: int, depth: int) -> tuple[int, int]:
    return _check.as_count(width, "width", 1), _check.as_count(depth, "depth", 0)


def _fixed(tree: T) -> T:
    """The tree without gradients to its arrays."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, tree)


def _products(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
