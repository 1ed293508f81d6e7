"""One lens, many losses: every objective on the same features, beside dependence and its regulariser."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.exact import biased_statistic
from ..dependence.identity import IdentitySums, same_sum
from ..dependence.tiled import gram_sums, side
from ..kernels import AbstractKernel, Cosine
from ..kernels.base import check_parameters
from ..kernels.dot_product import normalise
from ..objectives import AbstractObjective, HSICBottleneck, Outputs, get_objective, objective_names
from ..objectives.ssl_hsic import safe_root
from .infonce_hsic import infonce_hsic
from .spectrum import spectrum

Parameters = TypeVar("Parameters")
Objectives = Mapping[str, AbstractObjective]


class Diagnostics(eqx.Module):
    """What `diagnostics` finds, of features with unit norm. All are scalars.

    Attributes:
        dependence: dep = E_pos k − E k, positives from different views.
        self_dependence: HSIC(Z, Z), the V-statistic.
        mean_variance: E_Z Var_Z′ k ≥ HSIC(Z, Z).
        squared_mean: ‖E Z‖², 1 at collapse.
        effective_rank: of the covariance, by the entropy of its eigenvalues.
        participation_ratio: (tr Σ)²/‖Σ‖²_F.
        alignment: ℓ = E_pos‖Z − Z′‖², BYOL's distance; with the cosine kernel dep = 1 − ℓ/2 − ‖E Z‖².
        uniformity: log E e^{−2‖Z − Z′‖²}, nats.
    """

    dependence: Scalar
    self_dependence: Scalar
    mean_variance: Scalar
    squared_mean: Scalar
    effective_rank: Scalar
    participation_ratio: Scalar
    alignment: Scalar
    uniformity: Scalar


class Seen(eqx.Module):
    """One objective through the lens.

    Attributes:
        loss: its value, in its own unit.
        terms: what it logs.
        gradient: to the views; to unit vectors only its part along the sphere matters.
        explained: R², the share of its square, along the sphere, that lies in the span of ∇dep and ∇√HSIC(Z, Z).
        gamma: b/a of the best fit −a∇dep + b∇√HSIC(Z, Z): the γ of the SSL-HSIC whose gradient is nearest in direction.
            Negative where self-dependence is sought; NaN where a ≤ 0, so that there is no such loss.
    """

    loss: Scalar
    terms: dict[str, Scalar]
    gradient: Float[Array, "M B d"]
    explained: Scalar
    gamma: Scalar


class Lens(eqx.Module):
    """What `lens` finds: diagnostics of the features, and each objective by name."""

    diagnostics: Diagnostics
    objectives: dict[str, Seen]


def diagnostics(views: ArrayLike, *, kernel: AbstractKernel | None = None) -> Diagnostics:
    """The quantities that the objectives trade, on features made unit vectors.

    Args:
        views: representations [M, B, d].
        kernel: k of dep, HSIC(Z, Z) and E Var; the cosine by default.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values.
    """
    guard = _check.Guard()
    unit = normalise(guard.on(_check.as_views(views, "views", guard)))
    found = infonce_hsic(unit, kernel=Cosine() if kernel is None else kernel, estimate="sample")
    spread = spectrum(unit)
    mean = unit.mean((0, 1))
    return Diagnostics(
        dependence=found.dependence,
        self_dependence=found.self_dependence,
        mean_variance=found.mean_variance,
        squared_mean=mean @ mean,
        effective_rank=spread.effective_rank,
        participation_ratio=spread.participation_ratio,
        alignment=spread.alignment,
        uniformity=spread.uniformity,
    )


def lens(
    views: ArrayLike,
    objectives: Objectives | None = None,
    *,
    kernel: AbstractKernel | None = None,
    key: Key[Array, ""],
) -> Lens:
    """Evaluates objectives and common diagnostics on the same features.

    Each objective sees the features as projections, as predictions (an identity predictor) and as targets (the target
    network is the online one), from its initial state. Its gradient, along the sphere, is fitted by
    −a∇dep + b∇√HSIC(Z, Z): how far the loss is dependence minus self-dependence, and with which γ (kerneldep's). A
    regulariser other than √HSIC(Z, Z) lowers the share explained; it does not make a loss worse.

    Args:
        views: representations [M, B, d]. An objective made for fewer views takes the first ones.
        objectives: by name; all self-supervised ones of `kerneldep.objectives`, with their defaults, if None.
        kernel: k of dep and HSIC(Z, Z); the cosine by default.
        key: for objectives that draw features, slices or permutations.

    Returns:
        A `Lens`.

    Raises:
        ValueError: M = 1 or B = 1, NaN or infinite values, an objective made for more views than M.

    Example:
        >>> views = jax.random.normal(jax.random.key(0), (2, 32, 8))
        >>> found = lens(views, {"infonce": get_objective("infonce", temperature=5.0)}, key=jax.random.key(1))
        >>> bool(found.objectives["infonce"].explained > 0.9)
        True
    """
    guard = _check.Guard()
    checked = guard.on(_check.as_views(views, "views", guard))
    kernel = Cosine() if kernel is None else kernel
    check_parameters(kernel, "kernel", guard)
    chosen = _chosen(objectives)
    key = _check.random_key(key, "lens")
    return Lens(
        diagnostics(checked, kernel=kernel),
        dict(zip(chosen, _through(tuple(chosen.values()), checked, kernel, key), strict=True)),
    )


def gradient_cosines(
    represent: Callable[[Parameters], Array],
    parameters: Parameters,
    objectives: Objectives | None = None,
    *,
    key: Key[Array, ""],
) -> tuple[tuple[str, ...], Float[Array, "k k"]]:
    """Cosines between the objectives' gradients to the parameters of an encoder: which losses pull the same way.

    Args:
        represent: the views [M, B, d] from the parameters, `lambda views: views` for gradients to the views themselves.
        parameters: any pytree whose floating-point arrays are to be trained.
        objectives: as `lens`.
        key: as `lens`.

    Returns:
        The names, and the cosines in their order; 0 where a gradient is 0.

    Raises:
        ValueError: no objective, no parameter to train, or an objective made for more views than M.
    """
    chosen = _chosen(objectives)
    trained, fixed = eqx.partition(parameters, eqx.is_inexact_array)
    if not chosen or not jax.tree.leaves(trained):
        raise ValueError(
            f"{'parameters' if chosen else 'objectives'} holds none: at least one objective and one floating-point "
            "array to train are needed."
        )
    key = _check.random_key(key, "gradient_cosines")

    @eqx.filter_jit
    def cosines(chosen: Any, trained: Any, fixed: Any, key: Key[Array, ""]) -> Float[Array, "k k"]:
        views, pull = jax.vjp(lambda one: represent(eqx.combine(one, fixed)), trained)
        if views.ndim != 3:
            raise ValueError(f"represent returns shape {views.shape}: views [M, B, d] are needed.")
        pulled = []
        for number, objective in enumerate(chosen):
            slope = jax.grad(lambda z, o=objective, n=number: _loss(o, z, jax.random.fold_in(key, n))[0])(views)
            leaves = jax.tree.leaves(pull(slope.astype(views.dtype)))
            pulled.append(
                jnp.concatenate([leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)).ravel() for leaf in leaves])
            )
        directions = normalise(jnp.stack(pulled))
        return jnp.matmul(directions, directions.T, precision=jax.lax.Precision.HIGHEST)

    return tuple(chosen), cosines(tuple(chosen.values()), trained, fixed, key)


def self_supervised() -> dict[str, AbstractObjective]:
    """All objectives that need no labels, by name, with their defaults."""
    made = {name: get_objective(name) for name in objective_names()}
    return {name: objective for name, objective in made.items() if not isinstance(objective, HSICBottleneck)}


def _chosen(objectives: Objectives | None) -> dict[str, AbstractObjective]:
    if objectives is None:
        return self_supervised()
    if not (isinstance(objectives, Mapping) and all(isinstance(o, AbstractObjective) for o in objectives.values())):
        raise ValueError(f"objectives is {objectives!r}: a mapping from names to objectives is needed.")
    return dict(objectives)


def _loss(objective: AbstractObjective, views: Float[Array, "M B d"], key: Key[Array, ""]) -> tuple[Scalar, Any]:
    state_key, loss_key = jax.random.split(key)
    if len(views) < objective.num_views:
        raise ValueError(
            f"views hold M = {len(views)} of each image: {type(objective).__name__}.num_views is {objective.num_views}."
        )
    views = views[: objective.num_views]
    outputs = Outputs(views, views if objective.predictor else None, views if objective.target != "none" else None)
    loss, terms, _ = objective(outputs, objective.init(views.shape[-1], key=state_key), key=loss_key)
    return loss, terms


@eqx.filter_jit
def _through(
    objectives: tuple[AbstractObjective, ...],
    views: Float[Array, "M B d"],
    kernel: AbstractKernel,
    key: Key[Array, ""],
) -> list[Seen]:
    def terms_of(z: Float[Array, "M B d"]) -> Float[Array, " 2"]:
        one = side(kernel, normalise(z).reshape(-1, z.shape[-1]))
        gram = gram_sums((one,), ((0, 0),))
        sums = IdentitySums(same_sum(one, len(z)), gram.diagonals[0].sum(), gram.rows[0].sum())
        dependence = sums.dependence(len(z), z.shape[1], "paper", None)
        return jnp.stack([-dependence, safe_root(biased_statistic(gram, 0, (0, 0)))])

    _, pull = jax.vjp(terms_of, views)
    basis = jnp.stack([pull(row)[0] for row in jnp.eye(2, dtype=views.dtype)])
    unit = normalise(views)
    seen = []
    for number, objective in enumerate(objectives):
        along = jax.value_and_grad(
            lambda z, o=objective, n=number: _loss(o, z, jax.random.fold_in(key, n)), has_aux=True
        )
        (loss, terms), gradient = along(views)
        tangent = gradient - (gradient * unit).sum(-1, keepdims=True) * unit
        explained, gamma = _fit(basis.reshape(2, -1), tangent.ravel())
        seen.append(Seen(loss, terms, gradient, explained, gamma))
    return seen


def _fit(basis: Float[Array, "2 n"], target: Float[Array, " n"]) -> tuple[Scalar, Scalar]:
    """R² of the least-squares fit of a target by two directions, and the ratio of their coefficients."""
    # Lengths from unit vectors: squares of the gradients of very long or short features leave float32's range.
    scaled, goal = normalise(basis), normalise(target)
    lengths = (basis * scaled).sum(1)
    gram = jnp.matmul(scaled, scaled.T, precision=jax.lax.Precision.HIGHEST)
    along = jnp.matmul(scaled, goal, precision=jax.lax.Precision.HIGHEST)
    determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
    apart = determinant > jnp.finfo(gram.dtype).eps
    a = (gram[1, 1] * along[0] - gram[0, 1] * along[1]) / jnp.where(apart, determinant, 1)
    b = (gram[0, 0] * along[1] - gram[0, 1] * along[0]) / jnp.where(apart, determinant, 1)
    a, b = jnp.where(apart, a, along[0]), jnp.where(apart, b, 0)
    explained = jnp.clip(a * along[0] + b * along[1], 0, 1)
    a, b = a / jnp.where(lengths > 0, lengths, 1)[0], b / jnp.where(lengths > 0, lengths, 1)[1]
    return explained, jnp.where(a > 0, b / jnp.where(a > 0, a, 1), jnp.nan)
