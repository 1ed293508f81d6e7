"""Independence tests: from a measure to a p-value.

- `permutation`: `permutation_test(x, y)`, exact for every n, with any estimator, measure or function.
- `permutations`: which permutations (`Uniform`, `WithinStrata`, `WholeBlocks`, `CircularShifts`).
- `result`: `TestResult`, what all of them return.
- `permuted`: a statistic under permutations; `gram_sums`, of Gram matrices, and `compiled`, the loop behind it;
  `arguments`: what all tests ask of theirs.
"""

from .permutation import permutation_test
from .permutations import AbstractPermutations, CircularShifts, Uniform, WholeBlocks, WithinStrata
from .result import TestResult

__all__ = [
    "AbstractPermutations",
    "CircularShifts",
    "TestResult",
    "Uniform",
    "WholeBlocks",
    "WithinStrata",
    "permutation_test",
]
