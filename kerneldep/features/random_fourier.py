"""Random Fourier features: k(x, x′) = E cos(ωᵀ(x − x′)) ≈ φ(x)ᵀφ(x′) (Rahimi and Recht 2007)."""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from .. import _check
from ..kernels import (
    AbstractKernel,
    AbstractRadialKernel,
    AutomaticRelevance,
    Cosine,
    Deep,
    Laplace,
    Linear,
    PerCoordinate,
    Product,
    Scaled,
    Sum,
)
from .base import AbstractFeatureMap
from .quasi import num_coordinates, quasi_frequencies, scrambled_sobol
from .trigonometric import cos_sin_turns


class Fourier(AbstractFeatureMap):
    """φ(x) = m^{−½} [cos ω₁ᵀx, …, cos ω_mᵀx, sin ω₁ᵀx, …, sin ω_mᵀx], so that ‖φ(x)‖ = 1 exactly.

    Pairs of cosine and sine have a lower variance than cosines of random phase (Sutherland and Schneider 2015).
    """

    frequencies: Float[Array, "m d"]

    @property
    def num_features(self) -> int:
        """2m."""
        return 2 * len(self.frequencies)

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples."""
        turns = jnp.matmul(x, self.frequencies.T / (2 * jnp.pi), precision=jax.lax.Precision.HIGHEST)
        return jnp.concatenate(cos_sin_turns(turns), axis=1) / len(self.frequencies) ** 0.5


class Finite(AbstractFeatureMap):
    """A kernel's own finite features: the samples themselves (linear), or normalised (cosine)."""

    function: Callable[[Array], Array]
    width: int = eqx.field(static=True)

    @property
    def num_features(self) -> int:
        """D = d."""
        return self.width

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples."""
        return self.function(x)


class Concatenated(AbstractFeatureMap):
    """Features of a weighted sum of kernels, Σ_t a_t k_t: √a_t φ_t side by side."""

    maps: tuple[AbstractFeatureMap, ...]
    weights: tuple[Float[Array, ""], ...]

    @property
    def num_features(self) -> int:
        """Σ D_t."""
        return sum(part.num_features for part in self.maps)

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples."""
        parts = [jnp.sqrt(weight) * part(x) for part, weight in zip(self.maps, self.weights, strict=True)]
        return jnp.concatenate(parts, axis=1)


class OnNetwork(AbstractFeatureMap):
    """Features of a network's output, for a deep kernel."""

    network: Callable[[Array], Array]
    map: AbstractFeatureMap

    @property
    def num_features(self) -> int:
        """Those of the map."""
        return self.map.num_features

    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n D"]:
        """Features of samples."""
        return self.map(jax.vmap(self.network)(x))


def random_fourier(
    kernel: AbstractKernel,
    dim: int,
    num_features: int,
    *,
    key: Key[Array, ""],
    orthogonal: bool = False,
    quasi: bool = False,
) -> AbstractFeatureMap:
    """A random feature map of a kernel with E φ(x)ᵀφ(x′) = k(x, x′).

    Frequencies are drawn exactly for every dimension: Gaussian, Laplace (L1 and L2), Matérn, inverse multiquadric and
    rational quadratic. A sum of kernels concatenates features, a product of stationary ones adds frequencies, a factor
    a multiplies by √a, a deep kernel applies the map to its network's output. Linear and cosine kernels are their own
    features (D = d, whatever `num_features` says). Gradients reach the kernel's parameters.

    The error of φ(x)ᵀφ(x′) has mean 0 and standard deviation at most (2/D)^½.

    Args:
        kernel: the kernel to approximate.
        dim: d, the dimension of the samples.
        num_features: D, even: half cosines, half sines; shared equally among the terms of a sum.
        key: the randomness.
        orthogonal: orthogonal blocks of at most d frequencies, with the marginal law unchanged: lower variance at the
            same cost (Yu et al. 2016).
        quasi: frequencies from scrambled Sobol' points, with the marginal law unchanged: lower variance in few
            dimensions or with many features (Avron et al. 2016), most so where half of D is a power of two.

    Returns:
        A feature map [n, d] → [n, D].

    Raises:
        TypeError: if the kernel has no sampler; use Nyström features, or an exact estimator.
        ValueError: if D is not a positive even number, or too small for the terms of a sum; or with `orthogonal` and
            `quasi` at once.

    Example:
        >>> from kerneldep.kernels import InverseMultiquadric
        >>> phi = random_fourier(InverseMultiquadric(scale=1.0), 3, 512, key=jax.random.key(0))
        >>> phi(jnp.ones((7, 3))).shape
        (7, 512)
    """
    _check.random_key(key, "random_fourier")
    if not isinstance(num_features, int) or num_features < 2 or num_features % 2:
        raise ValueError(f"num_features is {num_features!r}: a positive even integer is needed (cosines and sines).")
    if orthogonal and quasi:
        raise ValueError("orthogonal and quasi are two ways to place frequencies: choose one.")
    terms = _terms(kernel)
    drawn = [term for term, _ in terms if not isinstance(term, Linear | Cosine)]
    pairs = num_features // 2
    if len(drawn) > pairs:
        raise ValueError(
            f"num_features is {num_features}: a sum of {len(drawn)} kernels needs at least {2 * len(drawn)}."
        )
    shares = iter(pairs // len(drawn) + (t < pairs % len(drawn)) for t in range(len(drawn)))
    maps = []
    for (term, _), subkey in zip(terms, jax.random.split(key, len(terms)), strict=True):
        if isinstance(term, Linear | Cosine):
            maps.append(_own_features(term, dim))
        elif isinstance(term, Deep):
            width = jax.eval_shape(term.network, jnp.zeros(dim)).shape[0]
            options = {"orthogonal": orthogonal, "quasi": quasi}
            inner = random_fourier(term.kernel, width, 2 * next(shares), key=subkey, **options)
            maps.append(OnNetwork(term.network, inner))
        else:
            draw = _quasi_frequencies if quasi else partial(_frequencies, orthogonal=orthogonal)
            maps.append(Fourier(draw(term, dim, next(shares), subkey)))
    if len(maps) == 1 and not isinstance(kernel, Scaled):
        return maps[0]
    return Concatenated(tuple(maps), tuple(weight for _, weight in terms))


def finite_features(kernel: AbstractKernel, dim: int) -> AbstractFeatureMap | None:
    """The exact features of a weighted sum of linear and cosine kernels; None for any other."""
    terms = _terms(kernel)
    if not all(isinstance(term, Linear | Cosine) for term, _ in terms):
        return None
    return Concatenated(tuple(_own_features(term, dim) for term, _ in terms), tuple(weight for _, weight in terms))


def _own_features(term: AbstractKernel, dim: int) -> Finite:
    return Finite(term.prepare if isinstance(term, Cosine) else _unchanged, dim)


def _unchanged(x: Array) -> Array:  # a named function, so that compiled code is found again
    return x


def _terms(kernel: AbstractKernel) -> list[tuple[AbstractKernel, Array]]:
    """The kernel as a weighted sum of kernels that are no sums."""
    match kernel:
        case Sum():
            return _terms(kernel.first) + _terms(kernel.second)
        case Scaled():
            return [(term, kernel.factor * weight) for term, weight in _terms(kernel.kernel)]
        case Product():
            return [(Product(f, s), v * w) for f, v in _terms(kernel.first) for s, w in _terms(kernel.second)]
        case AutomaticRelevance():
            return [(AutomaticRelevance(t, kernel.length_scales), w) for t, w in _terms(kernel.kernel)]
        case _:
            return [(kernel, jnp.ones(()))]


def _frequencies(
    kernel: AbstractKernel, dim: int, num: int, key: Key[Array, ""], orthogonal: bool
) -> Float[Array, "num dim"]:
    """Frequencies ω [num, dim] of a stationary kernel."""
    key_first, key_second = jax.random.split(key)
    if isinstance(kernel, Product):  # Independent frequencies add: E cos((ω + ω′)ᵀδ) = k₁k₂ for symmetric laws.
        first = _frequencies(kernel.first, dim, num, key_first, orthogonal)
        return first + _frequencies(kernel.second, dim, num, key_second, orthogonal)
    if isinstance(kernel, AutomaticRelevance):
        return kernel.scaled(_frequencies(kernel.kernel, dim, num, key_first, orthogonal))  # ωᵀ(x/ℓ) = (ω/ℓ)ᵀx
    drawn = kernel.kernel if isinstance(kernel, PerCoordinate) else kernel
    if not isinstance(drawn, AbstractRadialKernel | Laplace):
        raise TypeError(
            f"{type(drawn).__name__} has no sampler of random frequencies: use Nyström features or an exact estimator "
            "(for Label, kerneldep.features.one_hot)."
        )
    directions = _orthogonal_gaussians if orthogonal else jax.random.normal
    if isinstance(kernel, PerCoordinate):
        keys = jax.random.split(key_first, dim)
        scale = kernel.each(lambda one, subkey: one.frequency_scale(subkey, num, 1)[:, 0], keys).T
    else:
        scale = drawn.frequency_scale(key_first, num, dim)
    return scale * directions(key_second, (num, dim))


def _quasi_frequencies(kernel: AbstractKernel, dim: int, num: int, key: Key[Array, ""]) -> Float[Array, "num dim"]:
    """Frequencies from scrambled Sobol' points."""
    jax.eval_shape(partial(_frequencies, kernel, dim, num, orthogonal=False), key)  # refuses what has no sampler
    key_points, key_scales = jax.random.split(key)
    return quasi_frequencies(kernel, dim, scrambled_sobol(key_points, num, num_coordinates(kernel, dim)), key_scales)


def side_by_side(maps: tuple[AbstractFeatureMap, ...]) -> AbstractFeatureMap:
    """The mean of several maps of one kernel, as one map of all their features."""
    drawn = [one.frequencies for one in maps if isinstance(one, Fourier)]
    if len(drawn) == len(maps) and len({len(frequencies) for frequencies in drawn}) == 1:
        return Fourier(jnp.concatenate(drawn))
    return maps[0] if len(maps) == 1 else Concatenated(maps, (jnp.asarray(1 / len(maps)),) * len(maps))


def _orthogonal_gaussians(key: Key[Array, ""], shape: tuple[int, int]) -> Float[Array, "num dim"]:
    """Rows that are each N(0, I), and orthogonal within blocks of at most dim rows."""
    num, dim = shape
    size = min(num, dim)
    blocks = -(-num // size)
    key_directions, key_norms = jax.random.split(key)
    gaussians = jax.random.normal(key_directions, (blocks, dim, size))
    if dim <= FEW:
        q = _orthonormal(gaussians)
    else:
        q, r = jnp.linalg.qr(gaussians)
        # QR alone is not uniform over rotations: the signs of R's diagonal make it so.
        q = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None, :]
    norms = jnp.linalg.norm(jax.random.normal(key_norms, shape), axis=1, keepdims=True)
    return norms * q.swapaxes(1, 2).reshape(-1, dim)[:num]


FEW = 16
"""Up to this dimension there are many blocks: of tens of thousands, XLA's QR on two CPU cores never returns."""


def _orthonormal(matrices: Float[Array, "blocks dim size"]) -> Float[Array, "blocks dim size"]:
    """The Q of each matrix whose R has a positive diagonal, by Gram–Schmidt; twice, which is enough."""

    def column(k: Array, q: Array) -> Array:
        v = matrices[:, :, k]
        for _ in range(2):
            inside = (q * v[:, :, None]).sum(1)
            v = v - (q * inside[:, None, :]).sum(2)
            v = v / jnp.linalg.norm(v, axis=1, keepdims=True)
        return q.at[:, :, k].set(v)

    return jax.lax.fori_loop(0, matrices.shape[2], column, jnp.zeros_like(matrices))
