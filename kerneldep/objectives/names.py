"""Objectives by name."""

from typing import Any

from .alignment_uniformity import AlignmentUniformity
from .barlow_twins import BarlowTwins
from .base import AbstractObjective
from .byol import BYOL
from .cdssl import CDSSL
from .corinfomax import CorInfoMax
from .dcl import DCL
from .gaussian_mi import GaussianMI
from .hsic_bottleneck import HSICBottleneck
from .infonce import InfoNCE
from .jmi import JMI
from .kernel_vicreg import KernelVICReg
from .lejepa import LeJEPA
from .sdmi import SDMI
from .sfrik import SFRIK
from .simsiam import SimSiam
from .spectral_contrastive import SpectralContrastive
from .ssl_hsic import SSLHSIC
from .vicreg import VICReg
from .w_mse import WMSE

_OBJECTIVES: dict[str, type[AbstractObjective]] = {
    "ssl_hsic": SSLHSIC,
    "infonce": InfoNCE,
    "dcl": DCL,
    "spectral_contrastive": SpectralContrastive,
    "alignment_uniformity": AlignmentUniformity,
    "byol": BYOL,
    "simsiam": SimSiam,
    "hsic_bottleneck": HSICBottleneck,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "w_mse": WMSE,
    "cdssl": CDSSL,
    "lejepa": LeJEPA,
    "sfrik": SFRIK,
    "kernel_vicreg": KernelVICReg,
    "corinfomax": CorInfoMax,
    "gaussian_mi": GaussianMI,
    "sdmi": SDMI,
    "jmi": JMI,
}


def objective_names() -> tuple[str, ...]:
    """The names that `get_objective` takes."""
    return tuple(_OBJECTIVES)


def get_objective(name: str, **parameters: Any) -> AbstractObjective:
    """The objective of a name: `get_objective("infonce", temperature=0.1)` is `InfoNCE(temperature=0.1)`.

    Args:
        name: one of `objective_names()`.
        parameters: its constructor's; each has a default.

    Raises:
        ValueError: an unknown name.
        TypeError: an unknown parameter.
    """
    if name not in _OBJECTIVES:
        raise ValueError(f"There is no objective {name!r}; there are {', '.join(_OBJECTIVES)}.")
    return _OBJECTIVES[name](**parameters)
