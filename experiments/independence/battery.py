"""The tests by name, each a function of samples and a key that gives a p-value."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

import kerneldep as kd
from kerneldep import independence as tests

Test = Callable[..., float]
PERMUTATIONS = 199
"""α(P + 1) is whole at 1 % and 5 %, so that the level is met exactly."""


def _permutation(**options: Any) -> Test:
    return lambda x, y, key: tests.permutation_test(x, y, num_permutations=PERMUTATIONS, **options, key=key).p_value


def _learned(objective: Literal["hsic", "infonce", "nwj"]) -> Test:
    return lambda x, y, key: (
        tests.power_optimised_test(x, y, objective=objective, num_permutations=PERMUTATIONS, key=key).p_value
    )


EXACT: dict[str, Test] = {
    "permutation": _permutation(),
    "permutation, V-statistic": _permutation(estimator=kd.Biased()),
    "permutation, 64 features": _permutation(estimator=kd.RandomFourier(64)),
    "permutation, blocks of features": _permutation(estimator=kd.RandomFourier(64), permutations=tests.WholeBlocks(10)),
    "distance, permutation": lambda x, y, key: (
        tests.distance_correlation_test(x, y, num_permutations=PERMUTATIONS, key=key).p_value
    ),
    "aggregated": lambda x, y, key: tests.aggregated_test(x, y, num_permutations=PERMUTATIONS, key=key).p_value,
}
V_STATISTICS: dict[str, Test] = {
    "distance, V-statistic": lambda x, y, key: (
        tests.distance_correlation_test(x, y, estimator=kd.Biased(), num_permutations=PERMUTATIONS, key=key).p_value
    ),
}
"""What dcor permutes."""
ASYMPTOTIC: dict[str, Test] = {
    "gamma": lambda x, y, key: tests.gamma_test(x, y).p_value,
    "gamma, Gretton": lambda x, y, key: tests.gamma_test(x, y, moments="gretton").p_value,
    "spectral": lambda x, y, key: tests.spectral_test(x, y).p_value,
    "block": lambda x, y, key: tests.block_test(x, y, key=key).p_value,
    "distance, t": lambda x, y, key: tests.distance_correlation_test(x, y, method="t").p_value,
    "distance, χ²": lambda x, y, key: tests.distance_correlation_test(x, y, method="chi_squared").p_value,
}
LEARNED: dict[str, Test] = {"power-optimised": _learned("hsic")}
CRITICS: dict[str, Test] = {
    "InfoNCE critic": _learned("infonce"),
    "NWJ critic": _learned("nwj"),
}

JOINT: dict[str, Test] = {
    "joint": lambda x, y, z, key: tests.joint_test((x, y, z), num_permutations=PERMUTATIONS, key=key).p_value,
}
TWO_SAMPLE: dict[str, Test] = {
    "two-sample": lambda x, y, key: tests.two_sample_test(x, y, num_permutations=PERMUTATIONS, key=key).p_value,
}
CONDITIONAL: dict[str, Test] = {
    "conditional": lambda x, y, z, key: tests.conditional_test(x, y, z, num_permutations=PERMUTATIONS, key=key).p_value,
    "conditional, gamma": lambda x, y, z, key: tests.conditional_test(x, y, z, method="gamma").p_value,
}
SERIES: dict[str, Test] = {
    "wild bootstrap": lambda x, y, key: tests.wild_bootstrap_test(x, y, num_bootstraps=PERMUTATIONS, key=key).p_value,
    "circular shifts": _permutation(permutations=tests.CircularShifts()),
    "permutation, of series": _permutation(),
}


def key(*numbers: int) -> Any:
    """A key of a cell and a repeat."""
    return jax.random.key(int(np.random.default_rng(numbers).integers(2**31)))
