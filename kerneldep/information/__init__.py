"""Mutual information: bounds, critics, and distributions of known value.

Bounds are functions of scores f(x_i, y_j) [K, K] with the observed pairs on the diagonal, in nats.

- `contrastive`: `infonce`, and `interpolated` between it and TUBA. Lower bounds.
- `variational`: `nwj`, `tuba`, `jensen_shannon` (trained by `jensen_shannon_objective`), lower bounds;
  `donsker_varadhan`, `mine`, `smile`, from one batch neither lower nor upper.
- `upper`: `club`, `leave_one_out`, upper bounds with the true conditional only.
- `bounds`: `Bound`, which of these each is, its ceiling and its variance; `get_bound(name)`, `BOUNDS`.
- `critics`: `Bilinear`, `Separable`, `Concatenated`, `KernelCritic`; `Baselined`, `Standardised` around another;
  `trainable(critic)`, what of it is trained.
- `estimate`: `estimate_mi(x, y)`, a critic trained and evaluated on pairs it has not seen.
- `ksg`: `ksg(x, y)`, from nearest neighbours.
- `tasks`: laws of known information: Gaussians with exact critic and HSIC, maps of them, Student t, finite populations.
- `scores`: the check of a score matrix and the means over its parts; `arguments`: checks of hyper-parameters.
"""

from . import tasks
from .bounds import BOUNDS, Bound, get_bound
from .contrastive import infonce, interpolated
from .critics import AbstractCritic, Baselined, Bilinear, Concatenated, KernelCritic, Separable, Standardised, trainable
from .estimate import MIEstimate, TrainingCurve, estimate_mi
from .ksg import ksg
from .upper import club, leave_one_out
from .variational import (
    MINEStep,
    donsker_varadhan,
    jensen_shannon,
    jensen_shannon_objective,
    mine,
    nwj,
    smile,
    tuba,
)

__all__ = [
    "BOUNDS",
    "AbstractCritic",
    "Baselined",
    "Bilinear",
    "Bound",
    "Concatenated",
    "KernelCritic",
    "MIEstimate",
    "MINEStep",
    "Separable",
    "Standardised",
    "TrainingCurve",
    "club",
    "donsker_varadhan",
    "estimate_mi",
    "get_bound",
    "infonce",
    "interpolated",
    "jensen_shannon",
    "jensen_shannon_objective",
    "ksg",
    "leave_one_out",
    "mine",
    "nwj",
    "smile",
    "tasks",
    "trainable",
    "tuba",
]
