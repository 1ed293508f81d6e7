"""The one list of measures: an item added here is put through every invariant of `test_measures.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Array

import kerneldep as kd
from kerneldep.kernels import Gaussian

from ..oracles import hsic as hsic_oracle
from ..oracles import kernels as kernel_oracle

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
    rtol: float = 1e-9

    def __str__(self) -> str:
        return self.name


def gram(x: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """The oracle's Gram matrix of the Gaussian all cases use."""
    return kernel_oracle.gram(
        lambda a, b: kernel_oracle.gaussian(a, b, bandwidth=BANDWIDTH), x, x if y is None else y
    )


def kernel() -> Gaussian:
    return Gaussian(BANDWIDTH)


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
)
