"""The one list of measures: an item added here is put through every invariant of `test_measures.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array

import kerneldep as kd
from kerneldep.kernels import Gaussian

from ..oracles import distance as distance_oracle
from ..oracles import hsic as hsic_oracle
from ..oracles import kernels as kernel_oracle
from ..oracles import operators as operator_oracle

BANDWIDTH = 0.9


@dataclass(frozen=True)
class MeasureCase:
    """One measure, as a function of two samples x, y [n, 3].

    Attributes:
        name: for test ids.
        function: the measure, through the public function.
        reference: the oracle's value.
        paired: whether x_i belongs to y_i; if not, x and y are samples of two laws.
        symmetric: whether x and y may change places.
        translation: "x" if x alone may be moved, "both" if x and y only together, None.
        nonnegative: whether it never is negative.
        at_constant: its value where x is constant; None if it has no particular one.
        exchangeable: whether the order of the samples does not matter.
        batched: whether it is tested under vmap. Not what factorises: XLA's batched factorisations can hang (2 cores).
        rtol: of the comparison with the oracle in float64.
    """

    name: str
    function: Callable[[Array, Array], Array]
    reference: Callable[[np.ndarray, np.ndarray], float]
    paired: bool = True
    symmetric: bool = True
    translation: str | None = "x"
    nonnegative: bool = False
    at_constant: float | None = 0.0
    exchangeable: bool = True
    batched: bool = True
    rtol: float = 1e-9

    def __str__(self) -> str:
        return self.name


def gram(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """The oracle's Gram matrix of the Gaussian all cases use."""
    return kernel_oracle.gram(lambda a, b: kernel_oracle.gaussian(a, b, bandwidth=BANDWIDTH), x, x if y is None else y)


def kernel() -> Gaussian:
    return Gaussian(BANDWIDTH)


def distances(x: np.ndarray, exponent: float = 1.0) -> np.ndarray:
    """The oracle's matrix ‖x_i − x_j‖^e."""
    return distance_oracle.distances(x, x, exponent)


def third(x: Array, y: Array) -> Array:
    """A third variable that moves with the order of the samples and stays where they are moved."""
    return (x - x.mean(0, keepdims=True)) * (y - y.mean(0, keepdims=True))


MEASURES: tuple[MeasureCase, ...] = (
    MeasureCase(
        "hsic_unbiased",
        lambda x, y: kd.hsic(x, y, kernel(), kernel()),
        lambda x, y: hsic_oracle.hsic_unbiased(gram(x), gram(y)),
    ),
    MeasureCase(
        "hsic_biased",
        lambda x, y: kd.hsic(x, y, kernel(), kernel(), estimator=kd.Biased()),
        lambda x, y: hsic_oracle.hsic_biased(gram(x), gram(y)),
        nonnegative=True,
    ),
    MeasureCase(
        "hsic_nystrom",  # with every sample a landmark
        lambda x, y: kd.hsic(x, y, kernel(), kernel(), estimator=kd.Nystrom(64), key=jax.random.key(0)),
        lambda x, y: hsic_oracle.hsic_biased(gram(x), gram(y)),
        nonnegative=True,
        batched=False,
    ),
    MeasureCase(
        "hsic_block",
        lambda x, y: kd.hsic(x, y, kernel(), kernel(), estimator=kd.Block(5)),
        lambda x, y: hsic_oracle.hsic_block(gram(x), gram(y), 5),
        exchangeable=False,
    ),
    MeasureCase(
        "hsic_incomplete",
        lambda x, y: kd.hsic(x, y, kernel(), kernel(), estimator=kd.Incomplete(2)),
        lambda x, y: hsic_oracle.hsic_incomplete(gram(x), gram(y), 2),
        exchangeable=False,
    ),
    MeasureCase(
        "hsic_variance",
        lambda x, y: kd.hsic_variance(x, y, kernel(), kernel()),
        lambda x, y: 16 / len(x) * hsic_oracle.hsic_projected_cores(gram(x), gram(y)).var(),
        nonnegative=True,
    ),
    MeasureCase(
        "cka_unbiased",
        lambda x, y: kd.cka(x, y, kernel(), kernel()),
        lambda x, y: hsic_oracle.cka(gram(x), gram(y), hsic_oracle.hsic_unbiased),
    ),
    MeasureCase(
        "cka_biased",
        lambda x, y: kd.cka(x, y, kernel(), kernel(), estimator=kd.Biased()),
        lambda x, y: hsic_oracle.cka(gram(x), gram(y), hsic_oracle.hsic_biased),
        nonnegative=True,
    ),
    MeasureCase(
        "mmd_unbiased",
        lambda x, y: kd.mmd_squared(x, y, kernel()),
        lambda x, y: hsic_oracle.mmd_squared_unbiased(gram(x), gram(x, y), gram(y)),
        paired=False,
        translation="both",
        at_constant=None,
    ),
    MeasureCase(
        "mmd_biased",
        lambda x, y: kd.mmd_squared(x, y, kernel(), estimator=kd.Biased()),
        lambda x, y: hsic_oracle.mmd_squared_biased(gram(x), gram(x, y), gram(y)),
        paired=False,
        translation="both",
        nonnegative=True,
        at_constant=None,
    ),
    MeasureCase(
        "distance_covariance_unbiased",
        lambda x, y: kd.distance_covariance_squared(x, y, exponent=0.7, estimator=kd.Unbiased()),
        lambda x, y: hsic_oracle.distance_covariance_squared_unbiased(distances(x, 0.7), distances(y, 0.7)),
    ),
    MeasureCase(
        "distance_correlation_biased",
        lambda x, y: kd.distance_correlation_squared(x, y),
        lambda x, y: hsic_oracle.cka(distances(x), distances(y), hsic_oracle.distance_covariance_squared_biased),
        nonnegative=True,
    ),
    MeasureCase(
        "distance_correlation_univariate",
        lambda x, y: kd.distance_correlation_squared(x[:, 0], y[:, 0], estimator=kd.Unbiased()),
        lambda x, y: hsic_oracle.cka(
            distances(x[:, :1]), distances(y[:, :1]), hsic_oracle.distance_covariance_squared_unbiased
        ),
    ),
    MeasureCase(
        "partial_distance_correlation",
        lambda x, y: kd.dependence.partial_distance_correlation(x[:, 0], y[:, 0], x[:, 1] + y[:, 1]),
        lambda x, y: distance_oracle.partial_distance_correlation(
            distances(x[:, :1]), distances(y[:, :1]), distances(x[:, 1:2] + y[:, 1:2])
        ),
    ),
    MeasureCase(
        "energy_distance_univariate",
        lambda x, y: kd.energy_distance(x[:, 0], y[:, 0]),
        lambda x, y: distance_oracle.energy_distance(x[:, :1], y[:, :1], unbiased=True),
        paired=False,
        translation="both",
        at_constant=None,
    ),
    MeasureCase(
        "dhsic_of_two",
        lambda x, y: kd.dhsic((x, y), (kernel(), kernel())),
        lambda x, y: operator_oracle.dhsic([gram(x), gram(y)]),
        nonnegative=True,
    ),
    MeasureCase(
        "dhsic_of_three",
        lambda x, y: kd.dhsic((x, y, third(x, y)), (kernel(), kernel(), kernel())),
        lambda x, y: operator_oracle.dhsic([gram(x), gram(y), gram(third(x, y))]),
        nonnegative=True,
    ),
    MeasureCase(
        "conditional_hsic",
        lambda x, y: kd.conditional_hsic(x, y, third(x, y), kernel(), kernel(), kernel(), ridge=0.01),
        lambda x, y: operator_oracle.conditional(gram(x) * gram(third(x, y)), gram(y), gram(third(x, y)), 0.01),
        symmetric=False,
        nonnegative=True,
        batched=False,
    ),
    MeasureCase(
        "coco",
        lambda x, y: kd.coco(x, y, kernel(), kernel()),
        lambda x, y: operator_oracle.coco(gram(x), gram(y)),
        nonnegative=True,
    ),
    MeasureCase(
        "kcc",
        lambda x, y: kd.kcc(x, y, kernel(), kernel(), ridge=0.02),
        lambda x, y: operator_oracle.kcc(gram(x), gram(y), 0.02),
        nonnegative=True,
        batched=False,
    ),
    MeasureCase(
        "nocco",
        lambda x, y: kd.nocco(x, y, kernel(), kernel(), ridge=0.02),
        lambda x, y: operator_oracle.nocco(gram(x), gram(y), 0.02),
        nonnegative=True,
        batched=False,
    ),
)
