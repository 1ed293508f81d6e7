"""Why SSL-HSIC needs its regulariser, and what it costs: the loss over code-books and the barrier around collapse."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..kernels import AbstractKernel, Linear
from ..kernels.base import check_parameters
from ..kernels.dot_product import normalise
from ..kernels.tiles import safe_sqrt
from ..objectives.ssl_hsic import ssl_hsic_terms


class Collapse(eqx.Module):
    """What `collapse` finds. All are scalars, or have a leading axis of steps in a `CollapseFlow`.

    Attributes:
        dependence: dep = E_pos k − E k, with the views as the whole population.
        self_dependence: HSIC(Z, Z), the V-statistic.
        participation_ratio: (tr Σ)²/‖Σ‖²_F of the covariance Σ of the L2-normalised views, the effective rank by the
            Rényi entropy of order 2; 0 at collapse.
    """

    dependence: Scalar | Float[Array, " steps"]
    self_dependence: Scalar | Float[Array, " steps"]
    participation_ratio: Scalar | Float[Array, " steps"]

    def loss(self, gamma: ArrayLike) -> Array:
        """SSL-HSIC's −dep + γ√HSIC(Z, Z), 0 at full collapse."""
        return -self.dependence + jnp.asarray(gamma) * _root(self.self_dependence)

    @property
    def critical_gamma(self) -> Array:
        """dep/√HSIC(Z, Z), the γ from which on the loss is not below that of full collapse; 0 at collapse.

        C codes with the linear kernel have √(C − 1). Without scatter within images it is, with the linear kernel, the
        root of the participation ratio (kerneldep's).
        """
        root = _root(self.self_dependence)
        some = root > 0
        return jnp.where(some, self.dependence / jnp.where(some, root, 1), 0)


def collapse(views: ArrayLike, kernel: AbstractKernel | None = None) -> Collapse:
    """The terms of SSL-HSIC's loss that decide between spreading and collapse, on the unit sphere.

    C equally likely orthogonal codes with the linear kernel have dep = 1 − 1/C and HSIC(Z, Z) = (1/C)(1 − 1/C) (R1):
    dep alone barely tells 64 from 1,024, γ√HSIC(Z, Z) does, but it makes few codes worse than none: the loss is
    negative iff C > 1 + γ².

    Args:
        views: representations [M, B, d], L2-normalised here; the whole population.
        kernel: k; by default linear.

    Returns:
        A `Collapse`. Time (MB)²d, memory linear in MB.

    Raises:
        TypeError: something that is no kernel.
        ValueError: M = 1 or B = 1, NaN or infinite values.
    """
    guard = _check.Guard()
    kernel = Linear() if kernel is None else kernel
    check_parameters(kernel, "kernel", guard)
    return _collapse(guard.on(_check.as_views(views, "views", guard)), kernel)


def codebook_loss(num_codes: ArrayLike, gamma: ArrayLike) -> Array:
    """−(1 − 1/C) + γ√((1/C)(1 − 1/C)): SSL-HSIC's loss of C equally likely orthogonal codes, linear kernel (R1).

    For real C ≥ 1 it starts at 0 for full collapse, C = 1, rises to (√(1 + γ²) − 1)/2 at 1/C = ½ + ½/√(1 + γ²), and is
    0 again at C = 1 + γ² (kerneldep's); the largest C is best. At γ = 3 it is 1.0, 0.117, −0.211, −0.905 for C = 2, 8,
    16, 1,024.

    Args:
        num_codes: C ≥ 1, any shape.
        gamma: γ ≥ 0, of a shape that broadcasts with it.

    Returns:
        The loss in their common shape.

    Raises:
        ValueError: C < 1 or γ < 0.

    Example:
        >>> float(codebook_loss(16, 3.0))
        -0.2113
    """
    guard = _check.Guard()
    codes, weight = (
        _check.as_float(_check.as_real(value, name), name)
        for value, name in ((num_codes, "num_codes"), (gamma, "gamma"))
    )
    guard.require((codes >= 1).all(), "num_codes must be at least 1.")
    guard.require((weight >= 0).all(), "gamma cannot be negative.")
    shape = jnp.broadcast_shapes(codes.shape, weight.shape)
    share, weight = 1 / jnp.broadcast_to(guard.on(codes), shape), jnp.broadcast_to(weight, shape)
    return -(1 - share) + weight * safe_sqrt(share * (1 - share))


def codebook_views(num_codes: int, num_images: int | None = None, num_views: int = 2) -> Float[Array, "M B C"]:
    """Views of B images on C orthogonal codes, image i on code i mod C, all its views alike.

    Args:
        num_codes: C ≥ 1.
        num_images: B, a multiple of C for equally likely codes; C itself if not given (2 for C = 1).
        num_views: M ≥ 2.

    Returns:
        One-hot vectors [M, B, C].

    Raises:
        ValueError: counts that are too small, or B that is no multiple of C.
    """
    num_codes, num_views = _check.as_count(num_codes, "num_codes"), _check.as_count(num_views, "num_views", 2)
    images = max(num_codes, 2) if num_images is None else _check.as_count(num_images, "num_images", 2)
    if images % num_codes:
        raise ValueError(f"num_images is {images}: as many images on every code need a multiple of {num_codes}.")
    codes = jax.nn.one_hot(jnp.arange(images) % num_codes, num_codes, dtype=float)
    return jnp.broadcast_to(codes, (num_views, images, num_codes))


def near_collapse(key: Key[Array, ""], num_images: int, scales: ArrayLike) -> Float[Array, "M B d"]:
    """Unit vectors scattered about one point, two equal views of each image: where an untrained network can be.

    Args:
        key: for the scatter.
        num_images: B ≥ 2.
        scales: standard deviations [d − 1] of the scatter in the directions orthogonal to the point, before
            normalisation. B should exceed d, or the sample's covariance is far from diag(scales²).

    Returns:
        Views [2, B, d].

    Raises:
        ValueError: B < 2, scales that are no vector, or negative or infinite.
    """
    guard = _check.Guard()
    deviations = _check.as_float(_check.as_real(scales, "scales"), "scales")
    num_images = _check.as_count(num_images, "num_images", 2)
    if deviations.ndim != 1 or not deviations.size:
        raise ValueError(f"scales has shape {deviations.shape}: [d − 1] is needed.")
    guard.require((jnp.isfinite(deviations) & (deviations >= 0)).all(), "scales must be finite and not negative.")
    key = _check.random_key(key, "a start near collapse")
    noise = guard.on(deviations)[None, :] * jax.random.normal(key, (num_images, len(deviations)), deviations.dtype)
    z = normalise(jnp.concatenate([jnp.ones((num_images, 1), noise.dtype), noise], axis=1))
    return jnp.stack([z, z])


class CollapseFlow(eqx.Module):
    """Where `collapse_flow` went: what `collapse` finds at every step [steps + 1], and the views it ended in.

    Attributes:
        path: the terms of the loss before each step and at the end.
        losses: the loss at the same times.
        views: the representation at the end.
    """

    path: Collapse
    losses: Float[Array, " steps"]
    views: Float[Array, "M B d"]


def collapse_flow(
    views: ArrayLike,
    gamma: ArrayLike = 3.0,
    kernel: AbstractKernel | None = None,
    *,
    num_steps: int = 300,
    step_size: ArrayLike = 0.1,
) -> CollapseFlow:
    """Gradient flow of SSL-HSIC's loss on a small population of free unit vectors, every view's own.

    z ← normalise(z − η·n·∂L/∂z), n = MB, so that η does not depend on how many there are. No network ties the vectors
    together: what is seen is the loss's own landscape. Near collapse, with the linear kernel and no scatter within
    images, L = γ‖Σ‖_F − tr Σ and the variance along eigenvector k of Σ changes at a rate proportional to
    λ_k(1 − γλ_k/‖Σ‖_F) (kerneldep's). So the barrier is passed by a scatter of rank r above γ², which spreads over
    r + 1 dimensions, loss −1 + γ/√(r + 1); one of lower rank falls back to collapse, loss 0, however many codes there
    would be room for. At r = γ² equal variances are at rest in this approximation, and what it leaves out lets them
    pass, slowly. Of higher rank but with a participation ratio below γ² it starts to fall back, along its strong
    directions, until the weak ones have grown: a plateau near collapse, the longer the weaker they are.

    Args:
        views: the start [M, B, d].
        gamma: γ ≥ 0.
        kernel: k; by default linear.
        num_steps: the number of steps, at least 1.
        step_size: η > 0.

    Returns:
        A `CollapseFlow`. Time steps · (MB)²d.

    Raises:
        TypeError: something that is no kernel.
        ValueError: M = 1 or B = 1, NaN or infinite values, γ < 0, η or the number of steps not positive, γ or η that is
            no scalar.
    """
    guard = _check.Guard()
    kernel = Linear() if kernel is None else kernel
    check_parameters(kernel, "kernel", guard)
    start = _check.as_views(views, "views", guard)
    num_steps = _check.as_count(num_steps, "num_steps")
    weight, eta = (
        _check.as_scalar(gamma, "gamma", start.dtype, guard),
        _check.as_scalar(step_size, "step_size", start.dtype, guard),
    )
    guard.require(weight >= 0, "gamma cannot be negative.")
    guard.require(eta > 0, "step_size must be positive and finite.")
    return _flow(guard.on(start), weight, kernel, num_steps, eta)


def _root(squared: Array) -> Array:
    """√h with derivative 0 where h is not above rounding, as in the objective."""
    return safe_sqrt(jnp.where(squared > jnp.finfo(squared.dtype).eps ** 2, squared, 0))


@eqx.filter_jit
def _collapse(views: Float[Array, "M B d"], kernel: AbstractKernel) -> Collapse:
    unit = normalise(views)
    dependence, self_dependence = ssl_hsic_terms(unit, kernel, estimate="population")
    flat = unit.reshape(-1, unit.shape[-1])
    centred = flat - jax.lax.stop_gradient(flat[:1])  # of constant views nothing is left
    centred = centred - centred.mean(0, keepdims=True)
    product = (centred.T, centred) if len(centred) >= centred.shape[1] else (centred, centred.T)
    squares = (jnp.matmul(*product, precision=jax.lax.Precision.HIGHEST) ** 2).sum()
    some = squares > 0
    ratio = jnp.where(some, (centred**2).sum() ** 2 / jnp.where(some, squares, 1), 0)
    return Collapse(dependence, jnp.maximum(self_dependence, 0), ratio)


@eqx.filter_jit
def _flow(
    start: Float[Array, "M B d"], gamma: Scalar, kernel: AbstractKernel, num_steps: int, step_size: Scalar
) -> CollapseFlow:
    def loss(views: Array) -> tuple[Array, Collapse]:
        found = _collapse(views, kernel)
        return found.loss(gamma), found

    def step(views: Array, _: Any) -> tuple[Array, tuple[Array, Collapse]]:
        (value, found), slope = jax.value_and_grad(loss, has_aux=True)(views)
        moved = views - step_size * views.shape[0] * views.shape[1] * slope
        return normalise(moved), (value, found)

    views, (losses, path) = jax.lax.scan(step, normalise(start), None, length=num_steps)
    value, found = loss(views)
    losses = jnp.append(losses, value)
    return CollapseFlow(jax.tree.map(lambda steps, last: jnp.append(steps, last), path, found), losses, views)
