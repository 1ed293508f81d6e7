"""Joint laws whose mutual information is known exactly, in nats.

- `base`: what a task is: `sample(key, n)`, `mutual_information`, `name`; with a known density ratio, `critic(x, y)`.
- `gaussian`: correlated Gaussians by information; exact critic, population HSIC.
- `maps`, `transformed`: injective maps, which leave information as it is: cube, normal distribution function, asinh,
  half-cube, wiggle, two modes, swiss roll, interval exchange.
- `student`: multivariate Student t.
- `uniform`: uniform signal in uniform noise.
- `population`: finite populations of labelled points, among them interleaved numbers.
- `suite`: a list of all kinds.

Most of the continuous ones are those of Czyż et al. (2023), "Beyond normal: on the evaluation of mutual information
estimators", with parameters of kerneldep's own.
"""

from .base import AbstractDensityTask, AbstractTask
from .gaussian import CorrelatedGaussian, gaussian_hsic
from .maps import IntervalExchange, asinh, bimodal, cube, half_cube, normal_cdf, swiss_roll, wiggle
from .population import LabelledPopulation, interleaved
from .student import StudentT, student_correction
from .suite import suite
from .transformed import Transformed
from .uniform import AdditiveUniform

__all__ = [
    "AbstractDensityTask",
    "AbstractTask",
    "AdditiveUniform",
    "CorrelatedGaussian",
    "IntervalExchange",
    "LabelledPopulation",
    "StudentT",
    "Transformed",
    "asinh",
    "bimodal",
    "cube",
    "gaussian_hsic",
    "half_cube",
    "interleaved",
    "normal_cdf",
    "student_correction",
    "suite",
    "swiss_roll",
    "wiggle",
]
