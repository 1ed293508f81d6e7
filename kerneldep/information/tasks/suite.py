"""A list of tasks to try an estimator of mutual information on."""

from .base import AbstractTask
from .gaussian import CorrelatedGaussian
from .maps import asinh, bimodal, cube, half_cube, normal_cdf, swiss_roll, wiggle
from .population import interleaved
from .student import StudentT
from .transformed import Transformed
from .uniform import AdditiveUniform


def suite(mutual_information: float = 1.0, dim: int = 1) -> tuple[AbstractTask, ...]:
    """Tasks of every kind.

    Those made of Gaussians have the information and dimension asked for (swiss roll and bimodal are of one pair of
    coordinates whatever `dim`); Student t, additive noise and the discrete ones have their own.

    Args:
        mutual_information: I of the Gaussian pair, in nats.
        dim: d of X and of Y.
    """
    gaussian, pair = (CorrelatedGaussian(mutual_information, d) for d in (dim, 1))
    mapped = {"cube": cube, "normal-cdf": normal_cdf, "asinh": asinh, "half-cube": half_cube, "wiggle": wiggle}
    return (
        gaussian,
        *(Transformed(gaussian, one, one, f"{name}-{dim}d") for name, one in mapped.items()),
        Transformed(pair, bimodal, bimodal, "bimodal"),
        Transformed(pair, swiss_roll, normal_cdf, "swiss-roll"),
        StudentT(dof=3, dim=dim),
        StudentT(dof=5, correlation=0.75, dim=dim),
        Transformed(StudentT(dof=1, dim=dim), asinh, asinh, f"asinh-student-{dim}d"),
        AdditiveUniform(0.1),
        AdditiveUniform(0.75),
        interleaved(1),
        interleaved(8),
    )
