"""What a user gets without choosing: `kd.hsic(x, y)`, median bandwidths included."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.exact_hsic import arrays, u_statistic
from tests.benchmarks.way import Way, data, rows

NOTE = """
The U-statistic with Gaussian kernels at each variable's median distance, bandwidths computed in the call (all pairs up
to n = 2,000, then every ⌈n/2,000⌉-th sample, for all ways), x and y [n, 10].
"""


def kerneldep(n: int) -> Callable[[], Any]:
    """As called without options."""
    import kerneldep as kd

    x, y, _ = arrays(n)
    return lambda: kd.hsic(x, y)


def scipy(n: int) -> Callable[[], Any]:
    """SciPy's distances, NumPy's median and exponential, dense matrices."""
    from scipy.spatial.distance import pdist, squareform

    x, y = data(n)

    def gram(z: np.ndarray) -> np.ndarray:
        median = np.median(pdist(z[:: -(-n // 2_000)]))
        result = np.exp(squareform(pdist(z, "sqeuclidean")) / (-2 * median**2))
        np.fill_diagonal(result, 0)
        return result

    return lambda: u_statistic(gram(x), gram(y))


WAYS = {
    "kerneldep": Way(kerneldep, (1_000, 5_000)),
    "SciPy and NumPy": Way(scipy, (1_000, 5_000), dtype="float64"),
}


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One table."""
    yield "defaults", list(rows("defaults", WAYS, peers))
