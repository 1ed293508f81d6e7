"""Critics f(x, y): what scores pairs. Called on samples, they return the whole matrix [n, m]."""

import abc
from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from ..kernels import AbstractKernel, Cosine
from ..kernels.base import dense_gram, parameter

Network = Callable[[Array], Array]
T = TypeVar("T")


class AbstractCritic(eqx.Module):
    """A function f(x, y) of pairs; its floating-point leaves are trained."""

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
        self.weight = jax.random.normal(key, (dim_x, dim_y)) / (dim_x * dim_y) ** 0.5

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
        key_x, key_y = jax.random.split(key)
        self.network_x = eqx.nn.MLP(dim_x, features, width, depth, key=key_x)
        self.network_y = eqx.nn.MLP(dim_y, features, width, depth, key=key_y)

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
        self.network = eqx.nn.MLP(dim_x + dim_y, "scalar", width, depth, key=key)

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

    kernel: AbstractKernel
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
        if not temperature > 0:
            raise ValueError(f"KernelCritic.temperature is {temperature}: it must be positive.")
        self.kernel = Cosine() if kernel is None else kernel
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


class Standardised(AbstractCritic):
    """A critic of standardised columns, (x − mean)/deviation, which leaves I(X; Y) as it is; the two are held fixed.

    Args:
        critic: f.
        x: samples [n, d] to take mean and deviation from.
        y: samples [n, e].
    """

    critic: AbstractCritic
    moments_x: tuple[Float[Array, "1 d"], Float[Array, "1 d"]]
    moments_y: tuple[Float[Array, "1 e"], Float[Array, "1 e"]]

    def __init__(self, critic: AbstractCritic, x: Float[Array, "n d"], y: Float[Array, "n e"]) -> None:
        self.critic = critic
        self.moments_x = _moments(x)
        self.moments_y = _moments(y)

    def __call__(self, x: Float[Array, "n d"], y: Float[Array, "m e"]) -> Float[Array, "n m"]:
        """The scores of all pairs."""
        (mean_x, scale_x), (mean_y, scale_y) = _fixed((self.moments_x, self.moments_y))
        return self.critic((x - mean_x) / scale_x, (y - mean_y) / scale_y)


def _moments(x: Float[Array, "n d"]) -> tuple[Float[Array, "1 d"], Float[Array, "1 d"]]:
    """Means and standard deviations of the columns; 1 for a constant one."""
    deviation = x.std(0, keepdims=True)
    return x.mean(0, keepdims=True), jnp.where(deviation > 0, deviation, 1)


def _fixed(tree: T) -> T:
    """The tree without gradients to its arrays."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, tree)


def _products(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)
