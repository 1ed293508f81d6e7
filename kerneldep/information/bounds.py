"""What is to be known of each bound: which side of I(X; Y) it is on, its ceiling, its variance, how to train for it."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Array, Scalar

from .. import _check
from .arguments import as_alpha, as_clip, as_constant_baseline, as_decay
from .contrastive import infonce, interpolated
from .upper import club, leave_one_out
from .variational import (
    donsker_varadhan,
    jensen_shannon,
    jensen_shannon_objective,
    mine,
    nwj,
    smile,
    tuba,
)

Kind = Literal["lower", "upper", "neither"]

NEAR = 0.95
"""An estimate above this share of its ceiling says little about I."""

_HEAVY_TAIL = "its product term's is (E_p r − 1)/n ≥ (e^I − 1)/n with the optimal critic, (e^{2I} − 1)/n for Gaussians"


@dataclass(frozen=True)
class Bound:
    """A function of scores [K, K] in nats, and what its value means.

    Attributes:
        name: in `BOUNDS`.
        kind: "lower": at most I in expectation, for any critic that the batch did not train. "upper": at least I in
            expectation, with f = log p(y|x) + h(y) only. "neither": a batch's value can err to either side on average.
        value: scores ↦ estimate.
        objective: (scores, state) ↦ (what training maximises, next state); the first state is None.
        ceiling: K ≥ 2 ↦ the largest value there is, ∞ where there is none.
        variance: what is known of it, over n independent pairs.
    """

    name: str
    kind: Kind
    value: Callable[[Array], Scalar]
    objective: Callable[[Array, Any], tuple[Scalar, Any]]
    ceiling: Callable[[int], float]
    variance: str

    def near_ceiling(self, estimate: float, num_pairs: int) -> bool:
        """Whether an estimate from batches of K = `num_pairs` is within 5 % of a finite ceiling, or above it."""
        ceiling = self.ceiling(num_pairs)
        return math.isfinite(ceiling) and float(estimate) >= NEAR * ceiling


BOUNDS = (
    "infonce",
    "interpolated",
    "nwj",
    "tuba",
    "jensen_shannon",
    "donsker_varadhan",
    "mine",
    "smile",
    "club",
    "leave_one_out",
)
"""The names that `get_bound` and `estimate_mi` take."""


PARAMETERS: dict[str, dict[str, Callable[[Any], float]]] = {
    "interpolated": {"alpha": as_alpha, "log_baseline": as_constant_baseline},
    "tuba": {"log_baseline": as_constant_baseline},
    "smile": {"clip": as_clip},
    "mine": {"decay": as_decay},
}
"""The hyper-parameters of the bounds that have any, and their checks."""


def get_bound(name: str, **parameters: float) -> Bound:
    """The bound of that name, with its function's hyper-parameters: `get_bound("smile", clip=1.0)`.

    Args:
        name: one of `BOUNDS`.
        parameters: `alpha` and `log_baseline` of "interpolated", `log_baseline` of "tuba", `clip` of "smile", `decay`
            of "mine", as numbers.

    Raises:
        ValueError: an unknown name, a parameter that the bound does not take, or one out of its range.

    Example:
        >>> bound = get_bound("infonce")
        >>> bound.kind, bound.near_ceiling(4.0, num_pairs=64)
        ('lower', True)
    """
    if not isinstance(name, str) or name not in BOUNDS:
        raise ValueError(f"bound is {name!r}: one of {', '.join(map(repr, BOUNDS))} is needed.")
    taken = PARAMETERS.get(name, {})
    if unknown := set(parameters) - set(taken):
        raise ValueError(
            f"{name} has no parameter {', '.join(sorted(unknown))}: it takes {', '.join(taken) or 'none'}."
        )
    return _bound(name, **{parameter: taken[parameter](value) for parameter, value in parameters.items()})


@functools.lru_cache(maxsize=128)  # one object for one choice, so that compiled training is found again
def _bound(name: str, **parameters: float) -> Bound:
    if name == "infonce":
        return _of_value(name, "lower", infonce, _log_ceiling, "small: no term exceeds log K; the price is a bias")
    if name == "interpolated":
        alpha = parameters.get("alpha", 0.01)
        value = functools.partial(interpolated, **parameters)
        return _of_value(
            name, "lower", value, _interpolated_ceiling(alpha), "between InfoNCE's and TUBA's, falls with α"
        )
    if name == "nwj":
        return _of_value(name, "lower", nwj, _no_ceiling, _HEAVY_TAIL)
    if name == "tuba":
        return _of_value(name, "lower", functools.partial(tuba, **parameters), _no_ceiling, _HEAVY_TAIL)
    if name == "jensen_shannon":
        return Bound(name, "lower", jensen_shannon, _jensen_shannon, _no_ceiling, f"{_HEAVY_TAIL}; small in training")
    if name == "donsker_varadhan":
        variance = "its product term's relative variance is NWJ's; the logarithm turns part of it into bias upwards"
        return _of_value(name, "neither", donsker_varadhan, _no_ceiling, variance)
    if name == "mine":
        step = functools.partial(mine, **parameters)
        return Bound(name, "neither", donsker_varadhan, step, _no_ceiling, "that of donsker_varadhan")
    if name == "smile":
        value = functools.partial(smile, **parameters)
        variance = "its product term's is at most (e^clip − e^{−clip})²/(4n)"
        return Bound(name, "neither", value, _jensen_shannon, _no_ceiling, variance)
    if name == "club":
        return Bound(name, "upper", club, _conditional, _no_ceiling, "that of f: finite where its moments are")
    return Bound(name, "upper", leave_one_out, _conditional, _no_ceiling, "that of f and of a log-mean of K − 1 terms")


def _of_value(
    name: str, kind: Kind, value: Callable[[Array], Scalar], ceiling: Callable[[int], float], variance: str
) -> Bound:
    """A bound whose critic is trained by its own value."""
    return Bound(name, kind, value, lambda scores, _: (value(scores), None), ceiling, variance)


def _jensen_shannon(scores: Array, _: None) -> tuple[Scalar, None]:
    return jensen_shannon_objective(scores), None


def _conditional(scores: Array, _: None) -> tuple[Scalar, None]:
    # InfoNCE down the columns is maximal at log p(y|x) + h(y), which is what the upper bounds ask for.
    return infonce(scores.T), None


def _no_ceiling(num_pairs: int) -> float:
    _check.as_count(num_pairs, "num_pairs", 2)
    return math.inf


def _log_ceiling(num_pairs: int) -> float:
    return math.log(_check.as_count(num_pairs, "num_pairs", 2))


def _interpolated_ceiling(alpha: float) -> Callable[[int], float]:
    if alpha == 0:
        return _no_ceiling
    return lambda num_pairs: (alpha < 1) + math.log((_check.as_count(num_pairs, "num_pairs", 2) - 1) / alpha)
