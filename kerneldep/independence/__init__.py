"""Independence tests: from a measure to a p-value.

- `permutation`: `permutation_test(x, y)`, exact for every n, with any estimator, measure or function.
- Without permutations: `gamma`: `gamma_test(x, y)`, two moments in closed form; `spectral`: `spectral_test(x, y)`, the
  limit's eigenvalues; `block`: `block_test(x, y)`, normal in the limit.
- `permutations`: which permutations (`Uniform`, `WithinStrata`, `WholeBlocks`, `CircularShifts`).
- `result`: `TestResult`, what all of them return.
- `permuted`: a statistic under permutations; `gram_sums`, of Gram matrices, and `compiled`, the loop behind it;
  `arguments`: what all tests ask of theirs.
"""

from .block import block_test
from .gamma import gamma_test
from .permutation import permutation_test
from .permutations import AbstractPermutations, CircularShifts, Uniform, WholeBlocks, WithinStrata
from .result import TestResult
from .spectral import spectral_test

__all__ = [
    "AbstractPermutations",
    "CircularShifts",
    "TestResult",
    "Uniform",
    "WholeBlocks",
    "WithinStrata",
    "block_test",
    "gamma_test",
    "permutation_test",
    "spectral_test",
]
