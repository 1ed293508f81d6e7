"""Why BYOL needs its predictor and its stop-gradient: gradient flow of a linear encoder (Tian et al. 2021)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from .._check import ArrayLike


class BYOLFlow(eqx.Module):
    """Where `byol_flow` went, at every step from the start on.

    Attributes:
        views: representations z = Wx.
        positive_distance: ℓ = E_pos‖Z − Z′‖², a view with itself included.
        dependence: dep = E_pos Z·Z′ − ‖E Z‖², the linear kernel's.
        second_moment: E‖Z‖²: 0 at collapse.
        mean_norm_squared: ‖E Z‖².
        encoder: Wᵀ at the end.
        predictor: Pᵀ at the end.
    """

    views: Float[Array, "steps M B d"]
    positive_distance: Float[Array, " steps"]
    dependence: Float[Array, " steps"]
    second_moment: Float[Array, " steps"]
    mean_norm_squared: Float[Array, " steps"]
    encoder: Float[Array, "D d"]
    predictor: Float[Array, "d d"]


def byol_flow(
    inputs: ArrayLike,
    dim: int = 2,
    *,
    predictor: bool = True,
    stop_gradient: bool = True,
    weight_decay: ArrayLike = 0.0,
    predictor_rate: ArrayLike = 1.0,
    predictor_start: ArrayLike = 0.0,
    num_steps: int = 300,
    step_size: ArrayLike = 0.1,
    key: Key[Array, ""],
) -> BYOLFlow:
    """Gradient descent of BYOL's squared distance for a linear encoder and predictor, without normalisation.

    L = ½E_pos‖PWx − sg(Wx′)‖² + ½η(‖W‖²_F + ‖P‖²_F). With Σ_w = E Cov(x | image), the scatter of augmentations: without
    predictor (P = I) Ẇ = −W(Σ_w + ηI), and −W(2Σ_w + ηI) without stop-gradient too. Every direction that augmentation
    moves decays: W → 0 if it moves all. With a predictor but no stop-gradient W → 0 as well.

    With both and η = 0, WWᵀ − PᵀP/α stays as it is, α the predictor's rate. In one dimension the flow comes to rest at
    w = 0 or at the best predictor p = s/t, with t = E x² and s = E xx′ over positives: always there if P starts at 0,
    but from P = 1 only if w² > (1 − (s/t)²)/α at the start. A faster predictor helps (kerneldep's in this form). Target
    = online, as in SimSiam.

    Args:
        inputs: x, views [M, B, D] of the images themselves, the whole population.
        dim: d of the representation.
        predictor: whether there is a predictor P, trained with W; otherwise it is the identity.
        stop_gradient: whether the target branch is held fixed.
        weight_decay: η ≥ 0.
        predictor_rate: α, how many times as fast P is trained as W.
        predictor_start: P starts at this times the identity.
        num_steps: the number of steps.
        step_size: of descent.
        key: for W, which starts with independent N(0, 1/D) entries.

    Returns:
        A `BYOLFlow` with num_steps + 1 steps; memory steps · MBd.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values, no steps, dim < 1, rates that are negative or no scalars, no
            key.

    Source: Tian, Chen and Ganguli (2021), "Understanding self-supervised learning dynamics without contrastive pairs",
    for the dynamics, both collapses and the conserved matrix.
    """
    guard = _check.Guard()
    x = _check.as_views(inputs, "inputs", guard)
    dim, num_steps = _check.as_count(dim, "dim"), _check.as_count(num_steps, "num_steps")
    decay = _check.as_scalar(weight_decay, "weight_decay", x.dtype, guard)
    rate = _check.as_scalar(predictor_rate, "predictor_rate", x.dtype, guard)
    step = _check.as_scalar(step_size, "step_size", x.dtype, guard)
    first = _check.as_scalar(predictor_start, "predictor_start", x.dtype, guard)
    guard.require(
        (decay >= 0) & (rate >= 0) & (step > 0), "weight_decay and predictor_rate ≥ 0, step_size > 0 is needed."
    )
    draw = jax.random.normal(_check.random_key(key, "the encoder"), (x.shape[-1], dim), x.dtype)
    encoder, head = draw / x.shape[-1] ** 0.5, (first if predictor else 1) * jnp.eye(dim, dtype=x.dtype)
    return _flow(guard.on(x), (encoder, head), decay, rate if predictor else 0 * rate, step, stop_gradient, num_steps)


@eqx.filter_jit
def _flow(
    x: Float[Array, "M B D"],
    start: tuple[Float[Array, "D d"], Float[Array, "d d"]],
    decay: Scalar,
    rate: Scalar,
    step_size: Scalar,
    stop_gradient: bool,
    num_steps: int,
) -> BYOLFlow:
    def represent(encoder: Array) -> Array:
        return jnp.matmul(x, encoder, precision=jax.lax.Precision.HIGHEST)

    def loss(weights: tuple[Array, Array]) -> Array:
        encoder, head = weights
        z = represent(encoder)
        target = jax.lax.stop_gradient(z) if stop_gradient else z
        prediction = jnp.matmul(z, head, precision=jax.lax.Precision.HIGHEST)
        # Over all M² pairs of views: the distance to the mean target, and the targets' scatter about it.
        centre = target.mean(0, keepdims=True)
        distance = ((prediction - centre) ** 2).sum(-1).mean() + ((target - centre) ** 2).sum(-1).mean()
        return 0.5 * distance + 0.5 * decay * ((encoder**2).sum() + (head**2).sum())

    def step(weights: tuple[Array, Array], _: Any) -> tuple[tuple[Array, Array], Array]:
        encoder, head = weights
        of_encoder, of_head = jax.grad(loss)(weights)
        moved = (encoder - step_size * of_encoder, head - step_size * rate * of_head)
        return moved, represent(encoder)

    (encoder, head), path = jax.lax.scan(step, start, None, length=num_steps)
    views = jnp.concatenate([path, represent(encoder)[None]])
    image_mean = views.mean(1, keepdims=True)
    mean = image_mean.mean(2, keepdims=True)
    return BYOLFlow(
        views=views,
        positive_distance=2 * ((views - image_mean) ** 2).sum(-1).mean((1, 2)),
        dependence=((image_mean - mean) ** 2).sum(-1).mean((1, 2)),
        second_moment=(views**2).sum(-1).mean((1, 2)),
        mean_norm_squared=(mean**2).sum(-1).mean((1, 2)),
        encoder=encoder,
        predictor=head,
    )
