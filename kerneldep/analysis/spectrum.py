"""How representations fill their space: the covariance's eigenvalues, effective rank, alignment and uniformity."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.tiled import map_rows
from ..kernels import Linear
from ..kernels.dot_product import normalise
from ..kernels.tiles import center


class Spectrum(eqx.Module):
    """What `spectrum` finds.

    Attributes:
        eigenvalues: of the covariance (1/n)Σ(z − z̄)(z − z̄)ᵀ over all n = MB views, decreasing; min(n, d) of them, the
            others are 0.
        alignment: E_pos‖z − z⁺‖^α of L2-normalised features: 0 is best.
        uniformity: log E e^{−t‖z − z′‖²} of L2-normalised features, nats: 0 at collapse, lower is more uniform.
    """

    eigenvalues: Float[Array, " r"]
    alignment: Scalar
    uniformity: Scalar

    @property
    def total_variance(self) -> Array:
        """The trace of the covariance, the total scatter with the linear kernel."""
        return self.eigenvalues.sum(-1)

    @property
    def effective_rank(self) -> Array:
        """The exponential of the entropy of the normalised eigenvalues (see `effective_rank`)."""
        return effective_rank(self.eigenvalues)

    @property
    def participation_ratio(self) -> Array:
        """(Σλ)²/Σλ² (see `participation_ratio`): (tr Σ)²/HSIC(Z, Z) with the linear kernel."""
        return participation_ratio(self.eigenvalues)


def spectrum(views: ArrayLike, *, exponent: float = 2.0, sharpness: float = 2.0) -> Spectrum:
    """Eigenvalues of the covariance of representations, with alignment and uniformity on the sphere.

    alignment = E_pos‖z − z⁺‖^α, uniformity = log E e^{−t‖z − z′‖²} with z/‖z‖ for z. E_pos is over pairs of different
    views of one image; the second mean over pairs of different images within one view, as in the authors' code, and its
    logarithm averaged over the views. The eigenvalues are of the features as they are.

    Args:
        views: representations [M, B, d].
        exponent: α > 0 of the alignment.
        sharpness: t > 0 of the uniformity.

    Returns:
        A `Spectrum`. Time MB·min(MB, d)·d + MB²d; rows of similarities are held a tile at a time. For many checkpoints
        use `jax.lax.map` rather than `vmap`: batched factorisations are slow on CPUs.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values, α or t not positive.

    Source: Wang and Isola (2020), "Understanding contrastive representation learning through alignment and uniformity
    on the hypersphere".

    Example:
        >>> views = jnp.stack([jnp.eye(4), jnp.eye(4)])
        >>> found = spectrum(views)
        >>> float(found.effective_rank), float(found.alignment), float(found.uniformity)
        (3.0, 0.0, -4.0)
    """
    guard = _check.Guard()
    checked = _check.as_views(views, "views", guard)
    for name, value in (("exponent", exponent), ("sharpness", sharpness)):
        if not value > 0:
            raise ValueError(f"{name} is {value}: it must be positive.")
    return _spectrum(guard.on(checked), float(exponent), float(sharpness))


def covariance_eigenvalues(features: ArrayLike) -> Float[Array, " r"]:
    """Eigenvalues of the covariance (1/n)Σ(z − z̄)(z − z̄)ᵀ, decreasing; the min(n, d) that can differ from 0.

    Args:
        features: n samples, [n] or [n, d]. Constant features give exactly 0.

    Returns:
        Variances, in the squared unit of the features.

    Raises:
        ValueError: wrong rank, empty, NaN or infinite values.
    """
    guard = _check.Guard()
    return _eigenvalues(guard.on(_check.as_samples(features, "features", guard, centred=True)))


def effective_rank(eigenvalues: ArrayLike) -> Array:
    """exp(−Σ p log p), p = λ/Σλ: how many eigenvalues, equally large, would have this entropy.

    Roy and Vetterli (2007) define it by a matrix's singular values; here the matrix is the covariance, not that of the
    features, whose singular values are the roots of these. Between 1 and the rank, and 0 where all are 0 (collapse).

    Args:
        eigenvalues: λ ≥ 0 along the last axis.

    Returns:
        A number without unit.
    """
    share, some = _shares(eigenvalues)
    positive = share > 0
    entropy = -jnp.where(positive, share * jnp.log(jnp.where(positive, share, 1)), 0).sum(-1)
    return jnp.where(some, jnp.exp(entropy), 0)


def participation_ratio(eigenvalues: ArrayLike) -> Array:
    """(Σλ)²/Σλ², the effective rank by the Rényi entropy of order 2: at most `effective_rank`; 0 at collapse.

    Args:
        eigenvalues: λ ≥ 0 along the last axis.

    Returns:
        A number without unit.
    """
    share, some = _shares(eigenvalues)
    squares = (share**2).sum(-1)
    return jnp.where(some, 1 / jnp.where(some, squares, 1), 0)


def _shares(eigenvalues: ArrayLike) -> tuple[Array, Array]:
    values = jnp.maximum(_check.as_float(_check.as_real(eigenvalues, "eigenvalues"), "eigenvalues"), 0)
    total = values.sum(-1, keepdims=True)
    some = total > 0
    return jnp.where(some, values / jnp.where(some, total, 1), 0), some[..., 0]


@eqx.filter_jit
def _spectrum(views: Float[Array, "M B d"], exponent: float, sharpness: float) -> Spectrum:
    num_views, batch, dim = views.shape
    unit = normalise(views)

    def to_others(view: Float[Array, "B d"]) -> Scalar:
        squared = ((unit - view[None]) ** 2).sum(-1)
        apart = squared > 0
        return jnp.where(apart, jnp.where(apart, squared, 1) ** (exponent / 2), 0).sum()

    alignment = jax.lax.map(to_others, unit).sum() / (num_views * (num_views - 1) * batch)

    def log_mean(z: Float[Array, "B d"]) -> Scalar:
        def of_rows(rows: Float[Array, "t n"], index: Int[Array, " t"]) -> Array:
            others = jnp.arange(batch)[None, :] != index[:, None]
            return jax.nn.logsumexp(-2 * sharpness * (1 - rows), axis=1, where=others)

        return jax.nn.logsumexp(map_rows(of_rows, Linear(), z)) - math.log(batch * (batch - 1))

    return Spectrum(_eigenvalues(views.reshape(-1, dim)), alignment, jax.lax.map(log_mean, unit).mean())


@eqx.filter_jit
def _eigenvalues(features: Float[Array, "n d"]) -> Float[Array, " r"]:
    # A point amid the data first: of constant features nothing is left but 0.
    centred = features - center(features)
    centred = centred - centred.mean(0, keepdims=True)
    tall = len(centred) >= centred.shape[1]
    product = (centred.T, centred) if tall else (centred, centred.T)
    gram = jnp.matmul(*product, precision=jax.lax.Precision.HIGHEST) / len(centred)
    return jnp.maximum(jnp.linalg.eigvalsh(gram)[::-1], 0)
