"""How representations fill their space: the covariance's eigenvalues, effective rank, alignment and uniformity."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels.dot_product import normalise
from ..kernels.tiles import center, exact_unit
from ..objectives.alignment_uniformity import alignment_uniformity_terms


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
    logarithm averaged over the views; 0/‖0‖ = 0. The eigenvalues are of the features as they are.

    Args:
        views: representations [M, B, d].
        exponent: α > 0 of the alignment.
        sharpness: t > 0 of the uniformity.

    Returns:
        A `Spectrum`. Time MB·min(MB, d)·d + MB²d; rows of similarities are held a tile at a time. For many checkpoints
        use `jax.lax.map` rather than `vmap`: batched factorisations are slow on CPUs.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values, α or t not positive and finite, variances that overflow or
            vanish.

    Source: Wang and Isola (2020), "Understanding contrastive representation learning through alignment and uniformity
    on the hypersphere".

    Example:
        >>> views = jnp.stack([jnp.eye(4), jnp.eye(4)])
        >>> found = spectrum(views)
        >>> float(found.effective_rank), float(found.alignment), float(found.uniformity)
        (3.0, 0.0, -4.0)
    """
    guard = _check.Guard()
    array = _check.as_real(views, "views")
    checked = _check.as_views(array, "views", guard)
    alpha, t = _check.as_positive(exponent, "exponent"), _check.as_positive(sharpness, "sharpness")
    alignment, uniformity = alignment_uniformity_terms(normalise(guard.on(checked)), alpha, t)
    # Narrowed again, centred: the covariance loses no digits to an offset.
    return Spectrum(_variances(array.reshape(-1, array.shape[-1]), "views"), alignment, uniformity)


def covariance_eigenvalues(features: ArrayLike) -> Float[Array, " r"]:
    """Eigenvalues of the covariance (1/n)Σ(z − z̄)(z − z̄)ᵀ, decreasing; the min(n, d) that can differ from 0.

    Args:
        features: n samples, [n] or [n, d]. Constant features give exactly 0.

    Returns:
        Variances, in the squared unit of the features.

    Raises:
        ValueError: wrong rank, empty, NaN or infinite values, variances that overflow or vanish.
    """
    return _variances(features, "features")


def effective_rank(eigenvalues: ArrayLike) -> Array:
    """exp(−Σ p log p), p = λ/Σλ: how many eigenvalues, equally large, would have this entropy.

    Roy and Vetterli (2007) define it by a matrix's singular values; here the matrix is the covariance, not that of the
    features, whose singular values are the roots of these. Between 1 and the rank, and 0 where all are 0 (collapse).

    Args:
        eigenvalues: λ ≥ 0 along the last axis.

    Returns:
        A number without unit.

    Raises:
        ValueError: a scalar, no eigenvalues, NaN or infinite ones.
    """
    share = _checked_shares(eigenvalues)
    occupied = share > 0
    entropy = -jnp.where(occupied, share * jnp.log(jnp.where(occupied, share, 1)), 0).sum(-1)
    return jnp.where(occupied.any(-1), jnp.exp(entropy), 0)


def participation_ratio(eigenvalues: ArrayLike) -> Array:
    """(Σλ)²/Σλ², the effective rank by the Rényi entropy of order 2: at most `effective_rank`; 0 at collapse.

    Args:
        eigenvalues: λ ≥ 0 along the last axis.

    Returns:
        A number without unit.

    Raises:
        ValueError: as `effective_rank`.
    """
    return concentration(_checked_shares(eigenvalues))


def shares(values: Float[Array, "*shape n"]) -> Float[Array, "*shape n"]:
    """v/Σv along the last axis of v ≥ 0, and 0 where all are 0."""
    # Of numbers near the largest float the sum overflows, and its reciprocal vanishes: a power of two prevents both.
    scale = 2.0 ** -(4 + values.shape[-1].bit_length())
    values = jnp.where(values.max(-1, keepdims=True) > 1, values * scale, values)
    total = values.sum(-1, keepdims=True)
    return jnp.where(total > 0, values / jnp.where(total > 0, total, 1), 0)


def concentration(share: Float[Array, "*shape n"]) -> Float[Array, "*shape"]:
    """1/Σp², how many equal shares would be as concentrated; 0 where all are 0."""
    squares = (share**2).sum(-1)
    return jnp.where(squares > 0, 1 / jnp.where(squares > 0, squares, 1), 0)


def _checked_shares(eigenvalues: ArrayLike) -> Array:
    guard = _check.Guard()
    values = _check.as_float(_check.as_real(eigenvalues, "eigenvalues"), "eigenvalues")
    if not values.ndim or not values.size:
        raise ValueError(f"eigenvalues have shape {values.shape}: one at least is needed along the last axis.")
    guard.require(jnp.isfinite(values).all(), "eigenvalues hold NaN or infinite values.")
    return shares(jnp.maximum(guard.on(values), 0))  # rounding aside


def _variances(features: ArrayLike, name: str) -> Float[Array, " r"]:
    """Checked `covariance_eigenvalues`."""
    guard, late = _check.Guard(), _check.Guard()
    eigenvalues, constant = _eigenvalues(guard.on(_check.as_samples(features, name, guard, centred=True)))
    limits = jnp.finfo(eigenvalues.dtype)
    seen = jnp.isfinite(eigenvalues.sum()) & (eigenvalues[0] > limits.tiny / limits.eps)
    late.require(
        seen | constant, f"{name} have variances that overflow or vanish in {eigenvalues.dtype}: rescale them."
    )
    return late.on(eigenvalues)


@eqx.filter_jit
def _eigenvalues(features: Float[Array, "n d"]) -> tuple[Float[Array, " r"], Bool[Array, ""]]:
    """Eigenvalues, and whether the features are constant."""
    # A point amid the data first: of constant features nothing is left but 0.
    centred = features - center(features)
    centred = centred - centred.mean(0, keepdims=True)
    largest = jnp.abs(centred).max()
    unit = exact_unit(jnp.where(largest > 0, largest, 1), centred.dtype)
    centred = centred / unit
    tall = len(centred) >= centred.shape[1]
    product = (centred.T, centred) if tall else (centred, centred.T)
    gram = jnp.matmul(*product, precision=jax.lax.Precision.HIGHEST) / len(centred)
    return jnp.maximum(jnp.linalg.eigvalsh(gram)[::-1], 0) * unit * unit, largest == 0
