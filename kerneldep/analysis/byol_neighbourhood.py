"""BYOL learns local neighbourhoods: what its predictor averages over, and when its loss is dependence on identity."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.canonical import positive_ridge
from ..dependence.identity import IdentitySums, same_sum
from ..dependence.tiled import map_rows, side
from ..kernels import AbstractKernel, Gaussian, Label
from ..kernels.bandwidth import median_distance
from ..kernels.base import check_parameters, dense_gram
from ..kernels.dot_product import normalise
from ..kernels.tiles import safe_sqrt
from .spectrum import concentration, shares


class BYOLNeighbourhood(eqx.Module):
    """What `byol_neighbourhood` finds.

    Z₁ is an online representation and Z₂′ a target of the same image; the views are the whole population and Z₂′ is any
    of the M targets of the image, that of the same view too. Losses are E‖q(Z₁) − Z₂′‖² for a predictor q.

    Attributes:
        dependence: dep = E_pos Z·Z′ − ‖E Z‖², with the linear kernel, of the online representations.
        kernel_dependence: dep with `kernel`.
        positive_distance: ℓ = E‖Z₁ − Z₂′‖², the loss of the identity as predictor; with target = online 1 − 1/M times
            its mean over different views.
        mean_norm_squared: ‖E Z‖².
        second_moment: E‖Z‖², 1 for unit vectors.
        target_moment: E‖Z₂′‖².
        conditional_mean: m(z₁) = E[Z₂′ | Z₁ = z₁] at every view.
        conditional_variance: E‖Z₂′ − m(Z₁)‖² = E‖Z₂′‖² − E‖m‖², the loss of the best predictor of all: 1 − E‖m‖² for
            unit targets (B2).
        linear_loss: of the best linear predictor C₂₁C₁₁⁻¹, uncentred second moments.
        kernel_loss: of the conditional mean embedding, kernel ridge regression with ridge ε, on its own samples.
        size: the effective neighbourhood size of every view: 1/Σ_s p_s², p_s = |w_s|/Σ|w|, w the weights of the kernel
            predictor on all n = MB samples.
        own_share: Σ p_s over the views of the same image, the view itself among them.
    """

    dependence: Scalar
    kernel_dependence: Scalar
    positive_distance: Scalar
    mean_norm_squared: Scalar
    second_moment: Scalar
    target_moment: Scalar
    conditional_mean: Float[Array, "M B d"]
    conditional_variance: Scalar
    linear_loss: Scalar
    kernel_loss: Scalar
    size: Float[Array, "M B"]
    own_share: Float[Array, "M B"]

    @property
    def explained_variance(self) -> Array:
        """E‖m‖², about the origin as the predictor's loss is."""
        return (self.conditional_mean**2).sum(-1).mean((-1, -2))

    @property
    def normalised_loss(self) -> Array:
        """The loss of the best predictor with unit outputs, m/‖m‖: 2(1 − E‖m‖) for unit targets (B2)."""
        norms = safe_sqrt((self.conditional_mean**2).sum(-1))
        return 1 + self.target_moment - 2 * norms.mean((-1, -2))

    @property
    def defect(self) -> Array:
        """Dep − (1 − ℓ/2 − ‖E Z‖²): 0 for unit vectors with target = online (B1), else E‖Z‖² − 1 and what targets add.

        Where it is 0, minimising ℓ maximises dep only as long as ‖E Z‖² stays as it is: at full collapse ℓ = 0 too.
        """
        return self.dependence - (1 - self.positive_distance / 2 - self.mean_norm_squared)


def byol_neighbourhood(
    views: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    kernel: AbstractKernel | None = None,
    ridge: ArrayLike = 1e-3,
    normalised: bool = True,
) -> BYOLNeighbourhood:
    """What BYOL's loss and its predictor are on given representations, beside dependence on identity.

    With target = online, unit norms and the linear kernel (B1)

        dep = 1 − ℓ/2 − ‖E Z‖², ℓ = E_pos‖Z − Z′‖²,

    so that BYOL without predictor maximises HSIC(Z, Y) while ‖E Z‖² stays constant. For a fixed target the best
    predictor is the conditional mean m(z₁) = E[Z₂′ | Z₁ = z₁] (B2): exact here, an average over the targets of all
    images that have a view at z₁. The best linear one is C₂₁C₁₁⁻¹, C₂₁ = E Z₂′Z₁ᵀ, C₁₁ = E Z₁Z₁ᵀ without centring; in
    an RKHS it is Σ_s w_s(z₁)·(mean target of s's image), w(z₁) = (K + nεI)⁻¹k(z₁): the views near z₁, its local
    neighbourhood, decide.

    Args:
        views: online representations [M, B, d].
        targets: representations of the target network [M, B, d]; by default the views.
        kernel: k of the neighbourhood; by default a Gaussian at the median distance of the views. The narrower it is
            and the smaller ε, the more local the neighbourhood.
        ridge: ε > 0, in the unit of k. Raised to rounding where it is less.
        normalised: whether to L2-normalise both first, as BYOL does.

    Returns:
        A `BYOLNeighbourhood`. Dense: with n = MB, time n³/3 + n²d, memory n².

    Raises:
        TypeError: something that is no kernel.
        ValueError: M = 1 or B = 1, NaN or infinite values, targets of another shape, a ridge that is not positive; not
            normalised, squares that overflow or vanish.

    Source: Grill et al. (2020) for BYOL; Song et al. (2009) for conditional mean embeddings.
    """
    guard = _check.Guard()
    online = _check.as_views(views, "views", guard)
    target = online if targets is None else _check.as_views(targets, "targets", guard)
    if target.shape != online.shape:
        raise ValueError(f"views have shape {online.shape}, targets {target.shape}: equal shapes are needed.")
    epsilon = positive_ridge(ridge, guard)
    if kernel is not None:
        check_parameters(kernel, "kernel", guard)
    if not normalised:
        for name, z in (("views", online), ("targets", target)):
            squares = (z**2).sum()
            seen = jnp.isfinite(4 * squares) & (squares > jnp.finfo(z.dtype).tiny)
            guard.require(
                seen | (z == 0).all(), f"{name} have squares that overflow or vanish in {z.dtype}: rescale them."
            )
    return _byol_neighbourhood(guard.on(online), target.astype(online.dtype), kernel, epsilon, normalised)


def neighbourhood_weights(
    points: ArrayLike, samples: ArrayLike, kernel: AbstractKernel, *, ridge: ArrayLike = 1e-3
) -> Float[Array, "m n"]:
    """The weights (K + nεI)⁻¹k(z) with which a kernel predictor at z averages over what its samples are to predict.

    Σ_s w_s(z)·t_s is the conditional mean embedding applied to targets t, kernel ridge regression with ridge ε. The
    weights need not be positive nor sum to 1.

    Args:
        points: where to predict, [m] or [m, d].
        samples: n samples, [n] or [n, d].
        kernel: k.
        ridge: ε > 0, in the unit of k; raised to rounding, 2 eps·tr K/n, where it is less.

    Returns:
        Weights, one row a point. Dense: time n³/3 + n²m, memory n² + nm.

    Raises:
        TypeError: something that is no kernel.
        ValueError: unequal dimensions, NaN or infinite values, a ridge that is not positive.

    Example:
        >>> from kerneldep.kernels import Gaussian
        >>> weights = neighbourhood_weights([0.0], [0.0, 1.0, 5.0], Gaussian(1.0), ridge=0.1)
        >>> [round(float(w), 2) for w in weights[0]]
        [0.7, 0.14, 0.0]
    """
    guard = _check.Guard()
    check_parameters(kernel, "kernel", guard)
    epsilon = positive_ridge(ridge, guard)
    at, among = _check.as_samples(points, "points", guard), _check.as_samples(samples, "samples", guard)
    if at.shape[1] != among.shape[1]:
        raise ValueError(f"points have dimension {at.shape[1]}, samples {among.shape[1]}: one space is needed.")
    return _weights_at(guard.on(at), among, kernel, epsilon)


def neighbourhood_size(weights: ArrayLike) -> Float[Array, "*shape"]:
    """1/Σp², p = |w|/Σ|w|: how many equal weights would be as concentrated; 0 if all weights are 0.

    Args:
        weights: w along the last axis.

    Raises:
        ValueError: a scalar, no weights, NaN or infinite ones.
    """
    guard = _check.Guard()
    checked = _check.as_float(_check.as_real(weights, "weights"), "weights")
    if not checked.ndim or not checked.size:
        raise ValueError(f"weights have shape {checked.shape}: one at least is needed along the last axis.")
    guard.require(jnp.isfinite(checked).all(), "weights hold NaN or infinite values.")
    return concentration(shares(jnp.abs(guard.on(checked))))


@eqx.filter_jit
def _weights_at(
    points: Float[Array, "m d"], samples: Float[Array, "n d"], kernel: AbstractKernel, ridge: Scalar
) -> Float[Array, "m n"]:
    gram = dense_gram(kernel, jnp.concatenate([samples, points]))
    n = len(samples)
    return _solve(gram[:n, :n], gram[:n, n:], n * ridge).T


def _product(a: Float[Array, "n k"], b: Float[Array, "k m"]) -> Float[Array, "n m"]:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _solve(matrix: Float[Array, "n n"], right: Float[Array, "n m"], shift: Scalar) -> Float[Array, "n m"]:
    """(A + cI)⁻¹B for positive semi-definite A, c raised to rounding: 2 eps tr A; 0 for A = B = 0."""
    floor = 2 * jnp.finfo(matrix.dtype).eps * jax.lax.stop_gradient(jnp.trace(matrix))
    shift = jnp.maximum(shift.astype(matrix.dtype), floor)
    shift = jnp.where(shift > 0, shift, 1)
    return jax.scipy.linalg.solve(matrix + shift * jnp.eye(len(matrix), dtype=matrix.dtype), right, assume_a="pos")


def _least_squares(z: Float[Array, "n d"], targets: Float[Array, "n k"]) -> Float[Array, "d k"]:
    """The A of least ‖zA − targets‖ and, among several, least norm; singular values within rounding count as 0.

    Of the loss no derivative by A is due at its minimum, hence none is given (second derivatives would need it).
    """
    z, targets = jax.lax.stop_gradient((z, targets))
    left, values, right = jnp.linalg.svd(z, full_matrices=False)
    some = values > max(z.shape) * jnp.finfo(z.dtype).eps * values[0]
    inverse = jnp.where(some, 1 / jnp.where(some, values, 1), 0)
    return _product(right.T, inverse[:, None] * _product(left.T, targets))


@eqx.filter_jit
def _byol_neighbourhood(
    views: Float[Array, "M B d"],
    targets: Float[Array, "M B d"],
    kernel: AbstractKernel | None,
    ridge: Scalar,
    normalised: bool,
) -> BYOLNeighbourhood:
    if normalised:
        views, targets = normalise(views), normalise(targets)
    num_views, batch, dim = views.shape
    n = num_views * batch
    z = views.reshape(n, dim)
    kernel = Gaussian(median_distance(z)) if kernel is None else kernel
    image_target = targets.mean(0)
    mean_target = jnp.broadcast_to(image_target, views.shape).reshape(n, dim)
    second_moment, target_moment = (z**2).sum(1).mean(), (targets**2).sum(-1).mean()
    mean = z.mean(0)

    def loss(prediction: Float[Array, "n d"]) -> Scalar:
        # E‖q − Z₂′‖² = E‖q − E[Z₂′ | image]‖² + the scatter of an image's targets.
        scatter = ((targets - image_target[None]) ** 2).sum(-1).mean()
        return ((prediction - mean_target) ** 2).sum(1).mean() + scatter

    def of_equals(rows: Float[Array, "t n"], _: Int[Array, " t"]) -> Float[Array, "t d"]:
        return _product(rows, mean_target) / rows.sum(1, keepdims=True)

    conditional_mean = map_rows(of_equals, Label(), jax.lax.stop_gradient(z))
    linear = _least_squares(z, mean_target)
    gram = dense_gram(kernel, z)
    weights = _solve(gram, gram, n * ridge).T
    share = shares(jnp.abs(weights))
    by_image = share.reshape(n, num_views, batch).sum(1)
    own = jnp.arange(batch)[None, :] == (jnp.arange(n) % batch)[:, None]
    one = side(kernel, z)
    diagonal = (one.diagonal - one.shift).sum()
    others = jnp.where(jnp.eye(n, dtype=bool), 0, gram - one.shift).sum()
    sums = IdentitySums(same_sum(one, num_views), diagonal, others)
    image_mean = views.mean(0) - mean[None, :]
    return BYOLNeighbourhood(
        dependence=(image_mean**2).sum(1).mean(),
        kernel_dependence=sums.dependence(num_views, batch, "population", None),
        positive_distance=loss(z),
        mean_norm_squared=mean @ mean,
        second_moment=second_moment,
        target_moment=target_moment,
        conditional_mean=conditional_mean.reshape(views.shape),
        conditional_variance=loss(conditional_mean),
        linear_loss=loss(_product(z, linear)),
        kernel_loss=loss(_product(weights, mean_target)),
        size=concentration(share).reshape(num_views, batch),
        own_share=jnp.where(own, by_image, 0).sum(1).reshape(num_views, batch),
    )
