"""The same numbers? kerneldep beside other packages, in float64, where definitions match and where they do not."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.exact_hsic import BANDWIDTH, GAMMA, u_statistic
from tests.benchmarks.way import Way, data, measured

NOTE = """
400 paired samples x, y [n, 10]; their first columns for what is univariate, z = the sum of x's first two columns; for
two-sample measures x and the first 300 rows of y. All in float64, Gaussian kernels of one bandwidth.
`relative_difference` is kerneldep's value over the other, less 1. Where definitions differ, the first row shows by how
much, and a second what in kerneldep is the same number.
"""
N, M = 400, 300
RESCALED = 2 * N**2 * M**2 / (N + M) ** 4
"""hyppo's factor between two-sample statistics and dependence of the pooled samples on their labels."""


class Pair(NamedTuple):
    """A number of kerneldep and the other package's, by their names below."""

    quantity: str
    package: str
    own: str
    other: str
    remark: str = ""


def samples() -> tuple[np.ndarray, np.ndarray]:
    """x and y."""
    return data(N, dtype="float64")


def standardised(z: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and variance 1."""
    return (z - z.mean(0)) / z.std(0, ddof=1)


def own(n: int) -> Callable[[], Any]:
    """kerneldep's numbers."""
    del n
    import kerneldep as kd

    (x, y), k = samples(), kd.kernels.Gaussian(BANDWIDTH)
    biased, unbiased, linear, label = kd.Biased(), kd.Unbiased(), kd.kernels.Linear(), kd.kernels.Label()
    pooled, labels = np.concatenate([x, y[:M]]), np.repeat([0, 1], [N, M])
    covariance, correlation = kd.distance_covariance_squared, kd.distance_correlation_squared
    return lambda: {
        "hsic": kd.hsic(x, y, k, k),
        "hsic biased": kd.hsic(x, y, k, k, estimator=biased),
        "n² hsic standardised": N**2 * kd.hsic(standardised(x), standardised(y), k, k, estimator=biased),
        "cka": kd.cka(x, y, k, k),
        "cka linear biased": kd.cka(x, y, linear, linear, estimator=biased),
        "dcov": covariance(x, y),
        "dcov unbiased": covariance(x, y, estimator=unbiased),
        "dcov 0.5": covariance(x, y, exponent=0.5),
        "dcov 1.5": covariance(x, y, exponent=1.5),
        "dcov univariate": covariance(x[:, 0], y[:, 0]),
        "dcov univariate unbiased": covariance(x[:, 0], y[:, 0], estimator=unbiased),
        "dcor": correlation(x, y),
        "dcor root": correlation(x, y) ** 0.5,
        "dcor unbiased": correlation(x, y, estimator=unbiased),
        "dcor univariate unbiased": correlation(x[:, 0], y[:, 0], estimator=unbiased),
        "pdcor": kd.dependence.partial_distance_correlation(x[:, 0], y[:, 0], x[:, :2].sum(1)),
        "energy biased": kd.energy_distance(x, y[:M], estimator=biased),
        "energy": kd.energy_distance(x, y[:M]),
        "energy univariate biased": kd.energy_distance(x[:, 0], y[:M, 0], estimator=biased),
        "mmd": kd.mmd_squared(x, y[:M], k),
        "mmd biased": kd.mmd_squared(x, y[:M], k, estimator=biased),
        "mmd rescaled": RESCALED * kd.cka(pooled, labels, k, label),
        "energy rescaled": covariance(pooled, labels, estimator=unbiased) / RESCALED,
    }


def others(n: int) -> Callable[[], Any]:
    """The other packages' numbers."""
    del n
    import dcor
    import pykeops
    from causallearn.utils.KCI.KCI import KCI_UInd
    from hyppo.independence import Dcorr, Hsic
    from hyppo.ksample import MMD, Energy
    from pykeops.numpy import LazyTensor
    from scipy.stats import energy_distance
    from sklearn.metrics.pairwise import linear_kernel, rbf_kernel

    pykeops.set_verbose(False)
    x, y = samples()
    u, v, w = x[:, 0], y[:, 0], x[:, :2].sum(1)
    off = 1 - np.eye(N)

    def keops(z: np.ndarray) -> Any:
        return (-GAMMA * (LazyTensor(z[:, None, :]) - LazyTensor(z[None, :, :])).sqnorm2()).exp()

    def alignment() -> float:
        k, l = (linear_kernel(z - z.mean(0)) for z in (x, y))
        return (k * l).sum() / (np.linalg.norm(k) * np.linalg.norm(l))

    def discrepancy() -> float:
        return (
            rbf_kernel(x, gamma=GAMMA).mean()
            + rbf_kernel(y[:M], gamma=GAMMA).mean()
            - 2 * rbf_kernel(x, y[:M], gamma=GAMMA).mean()
        )

    def passes() -> float:
        k, l = keops(x), keops(y)
        a, b, product = k.concat(l).concat(k * l).sum(1).T - 1
        return (product.sum() + a.sum() * b.sum() / ((N - 1) * (N - 2)) - 2 / (N - 2) * (a @ b)) / (N * (N - 3))

    return lambda: {
        "sklearn hsic": u_statistic(rbf_kernel(x, gamma=GAMMA) * off, rbf_kernel(y, gamma=GAMMA) * off),
        "keops hsic": passes(),
        "hyppo hsic": Hsic(gamma=GAMMA).statistic(x, y),
        "causal-learn": KCI_UInd(est_width="manual", kwidthx=BANDWIDTH, kwidthy=BANDWIDTH).compute_pvalue(x, y)[1],
        "sklearn cka": alignment(),
        "dcov": dcor.distance_covariance_sqr(x, y),
        "dcov unbiased": dcor.u_distance_covariance_sqr(x, y),
        "dcov 0.5": dcor.distance_covariance_sqr(x, y, exponent=0.5),
        "dcov 1.5": dcor.distance_covariance_sqr(x, y, exponent=1.5),
        "dcov univariate": dcor.distance_covariance_sqr(u, v, method="mergesort"),
        "dcov univariate unbiased": dcor.u_distance_covariance_sqr(u, v, method="avl"),
        "dcor": dcor.distance_correlation_sqr(x, y),
        "dcor root": dcor.distance_correlation(x, y),
        "dcor unbiased": dcor.u_distance_correlation_sqr(x, y),
        "hyppo dcor unbiased": Dcorr().statistic(x, y),
        "hyppo dcor biased": Dcorr(bias=True).statistic(x, y),
        "dcor univariate unbiased": dcor.u_distance_correlation_sqr(u, v),
        "pdcor": dcor.partial_distance_correlation(u, v, w),
        "energy biased": dcor.energy_distance(x, y[:M]),
        "energy": dcor.energy_distance(x, y[:M], estimation_stat="u_statistic"),
        "scipy energy": energy_distance(u, v[:M]),
        "scipy energy squared": energy_distance(u, v[:M]) ** 2,
        "hyppo energy": Energy().statistic(x, y[:M]),
        "hyppo mmd": MMD(gamma=GAMMA).statistic(x, y[:M]),
        "sklearn mmd": discrepancy(),
    }


PAIRS = (
    Pair("HSIC, U-statistic", "scikit-learn, NumPy", "hsic", "sklearn hsic"),
    Pair("HSIC, U-statistic", "KeOps", "hsic", "keops hsic"),
    Pair("HSIC, U-statistic", "hyppo", "hsic", "hyppo hsic", "not HSIC: a correlation of kernels"),
    Pair("CKA, U-statistics", "hyppo", "cka", "hyppo hsic", "is what hyppo calls Hsic"),
    Pair("HSIC, V-statistic", "causal-learn", "hsic biased", "causal-learn", "times n², columns standardised first"),
    Pair("n² HSIC, V, of standardised columns", "causal-learn", "n² hsic standardised", "causal-learn"),
    Pair("CKA, linear, V-statistics", "scikit-learn, NumPy", "cka linear biased", "sklearn cka"),
    Pair("dCov², V-statistic", "dcor", "dcov", "dcov"),
    Pair("dCov², U-statistic", "dcor", "dcov unbiased", "dcov unbiased"),
    Pair("dCov², exponent 0.5", "dcor", "dcov 0.5", "dcov 0.5"),
    Pair("dCov², exponent 1.5", "dcor", "dcov 1.5", "dcov 1.5"),
    Pair("dCov², univariate, V", "dcor, merge sort", "dcov univariate", "dcov univariate"),
    Pair("dCov², univariate, U", "dcor, AVL tree", "dcov univariate unbiased", "dcov univariate unbiased"),
    Pair("dCor², V", "dcor", "dcor", "dcor"),
    Pair("dCor², U", "dcor", "dcor unbiased", "dcor unbiased"),
    Pair("dCor², U", "hyppo", "dcor unbiased", "hyppo dcor unbiased"),
    Pair("dCor², V", "hyppo", "dcor", "hyppo dcor biased", "theirs is the root: dCor, not dCor²"),
    Pair("dCor, V", "hyppo", "dcor root", "hyppo dcor biased"),
    Pair("dCor², univariate, U", "dcor", "dcor univariate unbiased", "dcor univariate unbiased"),
    Pair("partial dCor", "dcor", "pdcor", "pdcor"),
    Pair("energy distance, V", "dcor", "energy biased", "energy biased"),
    Pair("energy distance, U", "dcor", "energy", "energy"),
    Pair("energy distance, univariate, V", "SciPy", "energy univariate biased", "scipy energy", "theirs is the root"),
    Pair("energy distance, univariate, V", "SciPy, squared", "energy univariate biased", "scipy energy squared"),
    Pair("energy distance, U", "hyppo", "energy", "hyppo energy", "theirs is a multiple of dCov² with labels, U"),
    Pair("(n+m)⁴/(2n²m²) · dCov²(pooled, labels), U", "hyppo", "energy rescaled", "hyppo energy"),
    Pair("MMD², V", "scikit-learn, NumPy", "mmd biased", "sklearn mmd"),
    Pair("MMD², U", "hyppo", "mmd", "hyppo mmd", "not MMD²: a multiple of CKA with labels"),
    Pair("2n²m²/(n+m)⁴ · CKA(pooled, labels), U", "hyppo", "mmd rescaled", "hyppo mmd"),
)

WAYS = {
    "kerneldep": Way(own, (N,), dtype="float64", repeats=0),
    "others": Way(others, (N,), peer=True, dtype="float64", repeats=0),
}


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One table, where there are peers."""
    if peers:
        ours, theirs = (measured("agreement", name, way, N, peers)["value"] for name, way in WAYS.items())
        yield (
            "agreement",
            [
                {
                    "quantity": pair.quantity,
                    "package": pair.package,
                    "kerneldep": ours[pair.own],
                    "other": theirs[pair.other],
                    "relative_difference": ours[pair.own] / theirs[pair.other] - 1,
                    "remark": pair.remark,
                }
                for pair in PAIRS
            ],
        )
