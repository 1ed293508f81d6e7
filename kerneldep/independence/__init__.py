"""Independence tests: from a measure to a p-value.

- `permutation`: `permutation_test(x, y)`, exact for every n, with any estimator, measure or function.
- Without permutations: `gamma`: `gamma_test(x, y)`, two moments in closed form; `spectral`: `spectral_test(x, y)`, the
  limit's eigenvalues; `block`: `block_test(x, y)`, normal in the limit.
- `aggregated`: `aggregated_test(x, y)`, many kernels at once; `sign_flips`, its incomplete statistic.
- `power_optimised`: `power_optimised_test(x, y)`, kernels or a critic trained on a part of the samples, by `training`;
  `chosen`: what came out.
- `pairwise`: `pairwise_tests(table)`, all pairs of columns with a correction for their number.
- Other hypotheses: `two_sample`: `two_sample_test(x, y)`, are two laws the same; `joint`: `joint_test((x, y, z))`,
  joint independence; `conditional`: `conditional_test(x, y, z)`, X ⟂ Y | Z, with `local_permutations`;
  `wild_bootstrap`: `wild_bootstrap_test(x, y)`, of time series.
- `distance_correlation`: `distance_correlation_test(x, y)`, by permutations, Student's t or chi-squared.
- `permutations`: which permutations (`Uniform`, `WithinStrata`, `WholeBlocks`, `CircularShifts`).
- `result`: `TestResult`, what all of them return.
- `permuted`: a statistic under permutations; `gram_sums`, of Gram matrices, and `compiled`, the loop behind it;
  `arguments`: what all tests ask of theirs.
"""

from .aggregated import aggregated_test
from .block import block_test
from .conditional import conditional_test
from .distance_correlation import distance_correlation_test
from .gamma import gamma_test
from .joint import joint_test
from .pairwise import PairwiseResult, pairwise_tests
from .permutation import permutation_test
from .permutations import AbstractPermutations, CircularShifts, Uniform, WholeBlocks, WithinStrata
from .power_optimised import power_optimised_test
from .result import TestResult
from .spectral import spectral_test
from .two_sample import two_sample_test
from .wild_bootstrap import wild_bootstrap_test

__all__ = [
    "AbstractPermutations",
    "CircularShifts",
    "PairwiseResult",
    "TestResult",
    "Uniform",
    "WholeBlocks",
    "WithinStrata",
    "aggregated_test",
    "block_test",
    "conditional_test",
    "distance_correlation_test",
    "gamma_test",
    "joint_test",
    "pairwise_tests",
    "permutation_test",
    "power_optimised_test",
    "spectral_test",
    "two_sample_test",
    "wild_bootstrap_test",
]
