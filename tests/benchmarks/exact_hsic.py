"""Exact HSIC, the U-statistic with two Gaussian kernels: kerneldep beside dense code and other packages."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.way import Way, data, rows

BANDWIDTH = 4.4
"""About the median distance of ten-dimensional standard normal samples."""

GAMMA = 1 / (2 * BANDWIDTH**2)

DIM, NARROW = 10, 2

NOTE = f"""
Two Gaussian kernels of bandwidth {BANDWIDTH}, x and y [n, {DIM}], but where the way says otherwise. All give the
U-statistic, but: hyppo's statistic is HSIC divided by √(HSIC(X,X)·HSIC(Y,Y)) (three sums over the same two matrices),
and causal-learn's is n² times the V-statistic of standardised columns and comes with a p-value. `floor_s` is what no
way over all pairs can beat on this machine: n² exponentials (two kernels, each pair once) and 2n²d operations of matrix
products, at the rates measured in this run. The gradient is by x, y and the bandwidth, in one call that returns no
value. KeOps (compiled, OpenMP) has gradients through PyTorch only, so none here. The second table fits time and peak
memory as powers of n from n = 4,000 on: all ways take time of order n² (an exponent below 2 is overhead that fades),
but only tiles keep memory near linear.
"""


def arrays(n: int, dim: int = DIM) -> tuple[Any, Any, Any]:
    """x, y and the kernel, as kerneldep takes them."""
    import jax
    import jax.numpy as jnp

    import kerneldep as kd

    x, y = jax.block_until_ready(tuple(map(jnp.asarray, data(n, dim))))
    return x, y, kd.kernels.Gaussian(BANDWIDTH)


def value(n: int) -> Callable[[], Any]:
    """kerneldep, as a user calls it."""
    import kerneldep as kd

    x, y, kernel = arrays(n)
    return lambda: kd.hsic(x, y, kernel, kernel)


def narrow(n: int) -> Callable[[], Any]:
    """Of two-dimensional data: distances by coordinate differences, without a matrix product."""
    import kerneldep as kd

    x, y, kernel = arrays(n, NARROW)
    return lambda: kd.hsic(x, y, kernel, kernel)


def rough(n: int) -> Callable[[], Any]:
    """With kernels that take a root, which show the rounding of a product: coordinate differences too."""
    import kerneldep as kd

    x, y, _ = arrays(n)
    kernel = kd.kernels.Laplace(BANDWIDTH)
    return lambda: kd.hsic(x, y, kernel, kernel)


def gradient(n: int) -> Callable[[], Any]:
    """Its gradient by data and bandwidth."""
    import jax

    import kerneldep as kd

    x, y, kernel = arrays(n)
    function = jax.jit(jax.grad(lambda x, y, kernel: kd.hsic(x, y, kernel, kernel), argnums=(0, 1, 2)))
    return lambda: function(x, y, kernel)


def u_statistic(k: Any, l: Any) -> Any:
    """Song et al. (2012), of Gram matrices with zero diagonals."""
    n = float(len(k))
    a, b = k.sum(1), l.sum(1)
    return ((k * l).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b)) / (n * (n - 3))


def dense_jax(n: int) -> Callable[[], Any]:
    """The obvious JAX: both Gram matrices, jitted."""
    import jax
    import jax.numpy as jnp

    x, y, _ = arrays(n)

    def gram(z: Any) -> Any:
        squared = (z * z).sum(1)
        return jnp.exp(-GAMMA * (squared[:, None] + squared[None, :] - 2 * z @ z.T)) * (1 - jnp.eye(len(z)))

    function = jax.jit(lambda x, y: u_statistic(gram(x), gram(y)))
    return lambda: function(x, y)


def dense_numpy(n: int) -> Callable[[], Any]:
    """The same in NumPy."""
    x, y = data(n)

    def gram(z: np.ndarray) -> np.ndarray:
        squared = (z * z).sum(1)
        result = np.exp(np.float32(-GAMMA) * (squared[:, None] + squared[None, :] - 2 * z @ z.T))
        np.fill_diagonal(result, 0)
        return result

    return lambda: u_statistic(gram(x), gram(y))


def scikit_learn(n: int) -> Callable[[], Any]:
    """Its Gaussian kernel, and the U-statistic in NumPy."""
    from sklearn.metrics.pairwise import rbf_kernel

    x, y = data(n)

    def gram(z: np.ndarray) -> np.ndarray:
        result = rbf_kernel(z, gamma=GAMMA)
        np.fill_diagonal(result, 0)
        return result

    return lambda: u_statistic(gram(x), gram(y))


def hyppo(n: int) -> Callable[[], Any]:
    """hyppo's Hsic, the same bandwidth."""
    from hyppo.independence import Hsic

    x, y = data(n, dtype="float64")
    return lambda: Hsic(gamma=GAMMA).statistic(x, y)


def causal_learn(n: int) -> Callable[[], Any]:
    """causal-learn's unconditional KCI test: statistic and p-value."""
    from causallearn.utils.KCI.KCI import KCI_UInd

    x, y = data(n, dtype="float64")
    test = KCI_UInd(est_width="manual", kwidthx=BANDWIDTH, kwidthy=BANDWIDTH)
    return lambda: test.compute_pvalue(x, y)[1]


def keops(n: int) -> Callable[[], Any]:
    """KeOps: row sums of K, L and K∘L in one pass over the pairs, no matrix held."""
    import pykeops

    pykeops.set_verbose(False)
    from pykeops.numpy import LazyTensor

    x, y = data(n)

    def gram(z: np.ndarray) -> Any:
        return (-GAMMA * (LazyTensor(z[:, None, :]) - LazyTensor(z[None, :, :])).sqnorm2()).exp()

    def call() -> float:
        k, l = gram(x), gram(y)
        a, b, product = k.concat(l).concat(k * l).sum(1).astype(np.float64).T - 1  # less the diagonals
        return (product.sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (a @ b)) / (n * (n - 3))

    return call


WAYS = {
    "kerneldep": Way(value, (1_000, 4_000, 10_000, 20_000, 50_000)),
    "kerneldep, gradient": Way(gradient, (1_000, 4_000, 10_000, 20_000, 50_000)),
    "kerneldep, d = 2": Way(narrow, (10_000,)),
    "kerneldep, Laplace": Way(rough, (10_000,)),
    "dense JAX, jitted": Way(dense_jax, (1_000, 4_000, 10_000)),
    "dense NumPy": Way(dense_numpy, (1_000, 4_000)),
    "scikit-learn and NumPy": Way(scikit_learn, (1_000, 4_000, 10_000), peer=True),
    "KeOps": Way(keops, (1_000, 4_000, 10_000, 20_000), peer=True, remark="first_s may include a C++ compiler"),
    "hyppo": Way(hyppo, (1_000, 4_000, 10_000), peer=True, dtype="float64", remark="HSIC(X,Y) as a correlation"),
    "causal-learn": Way(
        causal_learn, (1_000, 4_000), peer=True, dtype="float64", remark="n² × V-statistic, with a p-value"
    ),
}


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Times, memory and values; and how they grow."""
    from tests.benchmarks.machine import exponential_rate, product_rate

    found = []
    for row in rows("exact_hsic", WAYS, peers):
        dim = NARROW if row["way"] == "kerneldep, d = 2" else DIM
        floor = row["n"] ** 2 * (1 / exponential_rate() + 2 * dim / product_rate())
        over = row["median_s"] / floor if "median_s" in row else None
        found.append(row | {"floor_s": floor, "over_floor": over})
    yield "exact_hsic", found
    yield "exact_hsic_growth", list(growth(found))


def growth(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Exponents of n fitted to each way's times and peaks from n = 4,000 on."""
    for way in WAYS:
        large = [row for row in found if row["way"] == way and row["n"] >= 4_000 and "median_s" in row]
        if len(large) < 2:
            continue
        sizes = np.log([row["n"] for row in large])
        time, memory = (
            float(np.polyfit(sizes, np.log([max(row[name], 1e-9) for row in large]), 1)[0])
            for name in ("median_s", "peak_mb")
        )
        yield {
            "way": way,
            "sizes": len(large),
            "largest_n": max(row["n"] for row in large),
            "time_exponent": time,
            "memory_exponent": memory,
        }
