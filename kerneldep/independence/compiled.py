"""Sums over permuted Gram matrices as a compiled loop (numba, the extra `fast`).

XLA gathers entries one by one into a permuted copy of the matrix before it multiplies. A loop over the lower triangle
keeps one row of it, in the innermost cache. numba rather than a kernel through XLA's foreign function interface: a
wheel of it needs no compiler on the user's machine and holds for every version of JAX, and the loop runs outside of
compiled JAX code anyway, on arrays that both read without copying. Threads are Python's, which the loop sets free:
numba's own parallel loops take ten times as long to compile.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import no_type_check

import numba
import numpy as np

_CHUNK = 16
"""Permutations a thread takes at a time."""


def permuted_sums(a: np.ndarray, b: np.ndarray, permutations: np.ndarray) -> np.ndarray:
    """Σ_ij A_ij B_{π(i)π(j)} [P, k, l] of symmetric A [k, n, n] and B [l, n, n], for each π of [P, n]."""
    sums = np.zeros((len(permutations), len(a), len(b)))
    permutations = permutations.astype(np.uint32)  # of what may be negative each index is looked at twice

    def work(start: int) -> None:
        picked = np.empty(b.shape[:2], b.dtype)
        _add_sums(a, b, permutations[start : start + _CHUNK], picked, sums[start : start + _CHUNK])

    starts = range(0, len(permutations), _CHUNK)
    if len(starts) == 1:
        work(0)
    else:
        with ThreadPoolExecutor(_num_cores()) as threads:
            list(threads.map(work, starts))
    return sums


def _num_cores() -> int:
    """Of this process, which may be held to some."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
@no_type_check  # types are numba's to find, and nothing may wrap what it compiles
def _add_sums(a, b, permutations, picked, sums):  # noqa: ANN001, ANN202 (numba's types)
    for p in range(len(permutations)):
        permutation = permutations[p]
        for i in range(len(permutation)):
            for l in range(len(b)):
                row, into = b[l, permutation[i]], picked[l]
                for j in range(i + 1):
                    into[j] = row[permutation[j]]
            for k in range(len(a)):
                of_a = a[k, i]
                for l in range(len(b)):
                    of_b = picked[l]
                    part = a.dtype.type(0)  # of at most n products; the sum of rows is in double precision
                    for j in range(i):
                        part += of_a[j] * of_b[j]
                    sums[p, k, l] += 2 * part + of_a[i] * of_b[i]
