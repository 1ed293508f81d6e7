"""W-MSE: distance of batch-whitened views (Ermolov et al. 2021)."""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from ..kernels.dot_product import normalise
from .base import AbstractStatelessObjective, Outputs, online_views
from .correlation import centre_columns
from .positives import positive_product

Whitening = Literal["apart", "together"]


def whiten(x: Float[Array, "n d"], epsilon: float = 1e-6) -> Float[Array, "n d"]:
    """L⁻¹(x − mean), with LLᵀ = Σ + ε·tr(Σ)·I and Σ the covariance over n − 1, by Cholesky.

    The covariance of the result is I but for relative changes of at most ε·tr(Σ)/λ_min(Σ). The jitter moves with the
    scale of x; constant x gives 0 with a finite derivative. Time nd² + d³/3.
    """
    x = centre_columns(x)
    largest = jax.lax.stop_gradient(jnp.abs(x).max())
    x = x / jnp.where(largest > 0, largest, 1)  # changes nothing but the range of Σ
    covariance = jnp.matmul(x.T, x, precision=jax.lax.Precision.HIGHEST) / (len(x) - 1)
    trace = jnp.trace(covariance)
    jitter = epsilon * jnp.where(trace > 0, trace, 1)
    factor = jnp.linalg.cholesky(covariance + jitter * jnp.eye(x.shape[1], dtype=x.dtype))
    return solve_triangular(factor, x.T, lower=True).T


@eqx.filter_jit
def w_mse_terms(
    views: Float[Array, "M B d"],
    *,
    normalised: bool = True,
    whitening: Whitening = "apart",
    size: int | None = None,
    epsilon: float = 1e-6,
    key: Key[Array, ""] | None = None,
) -> tuple[Scalar, Scalar]:
    """The distance of whitened views, and E‖z − E z‖²/d of the views before, which the distance does not see.

    Args:
        views: representations [M, B, d].
        normalised: whether whitened views are L2-normalised: then E_pos‖u − u′‖² = 2 − 2 E_pos cos, else
            E_pos‖w − w′‖²/d.
        whitening: of each view "apart", or of all of them "together".
        size: images whitened at a time, a divisor of B; None for all B.
        epsilon: ε of `whiten`.
        key: needed with `size`: which images go together is drawn.

    Raises:
        ValueError: B is no multiple of `size`, or the key is missing.
    """
    num_views, batch, dim = views.shape
    groups = views[:, None]
    if size is not None:
        if batch % size:
            raise ValueError(f"W-MSE has a batch of {batch} images: a multiple of size = {size} is needed.")
        order = jax.random.permutation(_check.random_key(key, "W-MSE with a size"), batch)
        groups = views[:, order].reshape(num_views, batch // size, size, dim)
    if whitening == "together":
        groups = jnp.moveaxis(groups, 0, 1).reshape(1, groups.shape[1], -1, dim)
    # One factorisation at a time: XLA's batched ones can stall on few cores.
    white = jax.lax.map(lambda one: whiten(one, epsilon), groups.reshape(-1, *groups.shape[2:]))
    if whitening == "together":
        white = jnp.moveaxis(white.reshape(len(white), num_views, -1, dim), 1, 0)
    white = white.reshape(num_views, batch, dim)
    scatter = ((views - views.mean((0, 1), keepdims=True)) ** 2).mean()
    if normalised:
        unit = normalise(white)
        return 2 - 2 * positive_product(unit, unit), scatter
    # The mean over pairs of different views is 2M/(M − 1) times the mean squared deviation from their centre.
    return 2 * num_views / (num_views - 1) * ((white - white.mean(0, keepdims=True)) ** 2).mean(), scatter


class WMSE(AbstractStatelessObjective):
    """L = E_pos dist(W(z), W(z′)), W the whitening of a batch (Ermolov et al. 2021).

    W(z) = L⁻¹(z − mean) with LLᵀ the covariance of the batch over n − 1 (`whiten`), so that no view can collapse. The
    distance is ‖u − u′‖² = 2 − 2cos of whitened vectors L2-normalised afterwards (the authors' default), or the squared
    distance averaged over d. With M > 2 views, the mean over all pairs of views.

    Views are whitened apart, each by its own mean and covariance, as in the authors' code, or together, by those of all
    MB vectors. With `size`, a random permutation, the same for all views, cuts the batch into parts whitened one by one
    (one draw a step; their code can average over several): they use 128 for d = 64 on CIFAR and 256 for d = 128
    elsewhere.

    It needs n > d for the n vectors whitened at a time (`size`, B, or M times that), well above it for a covariance
    that means something: at n ≤ d the covariance is singular, and the jitter decides. The authors' code shrinks to
    (1 − ε)Σ + εI with ε = 0 by default; here the jitter is ε·tr Σ, which moves with the scale of z and survives
    collapse in float32. `size`, d and the whitening matter; there is no other weight.

    In the lens of dependence, with the linear kernel on whitened views w: E w = 0 and Cov w = I are exact constraints,
    so that HSIC(W, W) = ‖Cov‖²_F is held fixed in each view instead of being penalised, and
    E_pos‖w − w′‖²/d = 2(1 − 1/B) − (2/d) E_pos w·w′, with E_pos w·w′ = dep (kerneldep's reading; views apart, ε → 0,
    `size` None).

    `terms`: "distance", which is the loss, and "variance", the mean variance of a coordinate before whitening.

    Args:
        normalised: whether whitened views are L2-normalised.
        whitening: "apart" or "together".
        size: images whitened at a time; None for the whole batch. The loss then needs a key and depends on the order of
            images.
        epsilon: ε > 0.
        num_views: M.
    """

    normalised: bool = eqx.field(static=True, default=True)
    whitening: Whitening = eqx.field(static=True, default="apart")
    size: int | None = eqx.field(static=True, default=None)
    epsilon: float = eqx.field(static=True, converter=float, default=1e-6)
    num_views: int = eqx.field(static=True, default=2)
    predictor: bool = eqx.field(static=True, default=False)
    target: Literal["none"] = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        if self.whitening not in get_args(Whitening):
            raise ValueError(f"WMSE.whitening is {self.whitening!r}: one of {get_args(Whitening)} is needed.")
        if self.size is not None and self.size < 2:
            raise ValueError(f"WMSE.size is {self.size}: None or an integer of at least 2 is needed.")
        if not self.epsilon > 0:
            raise ValueError(f"WMSE.epsilon is {self.epsilon}: it must be positive.")

    def __call__(
        self, outputs: Outputs, state: None, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], None]:
        """Loss, terms, state."""
        distance, variance = w_mse_terms(
            online_views(outputs),
            normalised=self.normalised,
            whitening=self.whitening,
            size=self.size,
            epsilon=self.epsilon,
            key=key,
        )
        return distance, {"distance": distance, "variance": variance}, state
