"""What an objective is: a loss on the outputs of a network for several views of each image."""

import abc
import dataclasses
import math
import types
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar

from .. import _check
from ..kernels.dot_product import normalise

Target = Literal["none", "ema", "stop_gradient"]


class Outputs(eqx.Module):
    """What a network makes of M views of each of B images.

    Attributes:
        projections: of the online network.
        predictions: of its predictor head, if the objective asks for one. Where there are some, losses take them
            instead of projections; where there are none, projections: an identity predictor.
        targets: projections of the target network, if the objective asks for one; no gradient flows into them.
        inputs: the views themselves, flattened; only the supervised HSIC bottleneck looks at them.
        labels: the images' classes; likewise.
    """

    projections: Float[Array, "M B d"]
    predictions: Float[Array, "M B d"] | None = None
    targets: Float[Array, "M B d"] | None = None
    inputs: Float[Array, "M B p"] | None = None
    labels: Int[Array, " B"] | None = None


class AbstractObjective(eqx.Module):
    """A self-supervised loss with its hyper-parameters.

    It declares what it needs, so that a trainer can build it; state (running statistics) is explicit. Losses are over
    the whole batch they are given. Statistics are in float32 at least, whatever the network's precision.
    """

    num_views: eqx.AbstractVar[int]
    """M, the views of each image it is meant for, at least 2. Its loss is of the views it is given, were they more or
    fewer, but for methods whose state or formula fixes M, which raise."""

    predictor: eqx.AbstractVar[bool]
    """Whether a predictor head is wanted."""

    target: eqx.AbstractVar[Target]
    """Where `Outputs.targets` come from: nowhere, an exponential moving average, or the network itself."""

    def __check_init__(self) -> None:
        """Numbers that are none, such as NaN, are refused here; each method checks its own for their range."""
        for field in dataclasses.fields(self):
            union = isinstance(field.type, types.UnionType)
            kinds, value = get_args(field.type) if union else (field.type,), getattr(self, field.name)
            name = f"{type(self).__name__}.{field.name}"
            if value is None and types.NoneType in kinds:
                continue
            if int in kinds:
                _check.as_count(value, name, 2 if field.name == "num_views" else 1)
            elif float in kinds:
                _check.as_number(value, name, math.isfinite, "a finite number")

    @abc.abstractmethod
    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> PyTree:
        """The initial state for projections of dimension `dim`."""

    @abc.abstractmethod
    def trainable(self) -> PyTree[bool]:
        """The objective's shape with True at leaves to be trained with the network: a filter for `eqx.partition`."""

    @abc.abstractmethod
    def __call__(
        self, outputs: Outputs, state: PyTree, *, key: Key[Array, ""] | None = None
    ) -> tuple[Scalar, dict[str, Scalar], PyTree]:
        """The loss, named terms to log, and the new state."""


class AbstractStatelessObjective(AbstractObjective):
    """An objective without a state and with nothing of its own to train."""

    def init(self, dim: int, *, key: Key[Array, ""] | None = None) -> None:
        """No state."""

    def trainable(self) -> PyTree[bool]:
        """Nothing."""
        return nothing_trainable(self)


def nothing_trainable(objective: AbstractObjective) -> Any:
    """The filter of an objective that has no parameters to train."""
    return jax.tree.map(lambda _: False, objective)


def online_views(outputs: Outputs) -> Float[Array, "M B d"]:
    """Predictions, or projections where there is no predictor, in float32 at least; not normalised.

    Raises:
        ValueError: fewer than 2 views or images.
    """
    return _at_least_two_of_each(outputs.projections if outputs.predictions is None else outputs.predictions)


def target_views(outputs: Outputs, target: Target) -> Float[Array, "M B d"]:
    """The target network's projections, gradient stopped, in float32 at least; not normalised.

    Raises:
        ValueError: there are none, or fewer than 2 views or images.
    """
    if outputs.targets is None:
        raise ValueError(f"outputs.targets is missing: the objective has target={target!r}.")
    return _at_least_two_of_each(jax.lax.stop_gradient(outputs.targets))


def unit_views(outputs: Outputs, target: Target) -> Float[Array, "V B d"]:
    """L2-normalised views of the online network, followed by those of the target network (gradient stopped).

    Raises:
        ValueError: fewer than 2 views or images, or outputs that lack what the objective declared.
    """
    online = online_views(outputs)
    return normalise(online if target == "none" else jnp.concatenate([online, target_views(outputs, target)]))


def _at_least_two_of_each(views: Float[Array, "M B d"]) -> Float[Array, "M B d"]:
    if views.shape[0] < 2 or views.shape[1] < 2:
        raise ValueError(f"outputs hold {views.shape[0]} view(s) of {views.shape[1]} image(s): two of each are needed.")
    return views.astype(jnp.promote_types(views.dtype, jnp.float32))
