"""Independence tests: 1,000 permutations, closed-form nulls, many kernels, many samples."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.way import Way, data, rows

N, PERMUTATIONS = 1_000, 1_000
FEATURES = 64

NOTE = f"""
x and y [n, 10] as above, one column each for the distances. Permutation tests: {PERMUTATIONS:,} permutations; the
floor of an exact one is n²/2 products of entries picked from a matrix a permutation. "value" is the p-value.
Compilation is in the first call; numba keeps its code on disk, so that it is compiled once a machine.
"""


def own(name: str, *, dim: int = 10, seed: int = 0, **options: Any) -> Callable[[int], Callable[[], Any]]:
    """A test of kerneldep."""

    def setup(n: int) -> Callable[[], Any]:
        import jax
        import numpy as np

        import kerneldep as kd

        test = getattr(kd.independence, name)
        settings = {key: value(kd) if callable(value) else value for key, value in options.items()}
        if name not in ("gamma_test", "spectral_test") or "estimator" in settings:
            settings["key"] = jax.random.key(seed)
        x, y = (np.asarray(z) for z in data(n, dim=dim))
        return lambda: test(x, y, **settings).p_value

    return setup


def numpy_loop(n: int) -> Callable[[], Any]:
    """The obvious NumPy: Gram matrices once, an indexed copy a permutation."""
    import numpy as np
    from scipy.spatial.distance import cdist

    x, y = data(n, dtype="float64")

    def gram(z: Any) -> Any:
        squared = cdist(z, z, "sqeuclidean")
        return np.exp(-squared / (2 * np.median(squared[np.triu_indices(n, 1)])))

    def test() -> float:
        k, l = gram(x), gram(y)
        centred = k - k.mean(0) - k.mean(1)[:, None] + k.mean()
        random = np.random.default_rng(0)
        observed = (centred * l).sum()
        orders = (random.permutation(n) for _ in range(PERMUTATIONS))
        return (1 + sum((centred * l[np.ix_(one, one)]).sum() >= observed for one in orders)) / (PERMUTATIONS + 1)

    return test


def hyppo(name: str, **options: Any) -> Callable[[int], Callable[[], Any]]:
    """A test of hyppo."""

    def setup(n: int) -> Callable[[], Any]:
        from hyppo import independence

        x, y = data(n, dtype="float64")
        return lambda: getattr(independence, name)().test(x, y, workers=1, **options)[1]

    return setup


def dcor_test(n: int) -> Callable[[], Any]:
    """dcor's permutation test of distance covariance."""
    import dcor

    x, y = data(n, dtype="float64")
    return lambda: dcor.independence.distance_covariance_test(x, y, num_resamples=PERMUTATIONS, random_state=0).pvalue


def causal_learn(approx: bool) -> Callable[[int], Callable[[], Any]]:
    """causal-learn's unconditional KCI, gamma or spectral."""

    def setup(n: int) -> Callable[[], Any]:
        from causallearn.utils.KCI.KCI import KCI_UInd

        x, y = data(n, dtype="float64")
        options = {"kernelX": "Gaussian", "kernelY": "Gaussian", "est_width": "median"}
        options = {"kernelX": "Gaussian", "kernelY": "Gaussian", "est_width": "median"}
        return lambda: KCI_UInd(approx=approx, **options).compute_pvalue(x, y)[0]

    return setup


PERMUTATION = {
    "kerneldep": Way(own("permutation_test", implementation="numba"), (N,), remark="compiled loop"),
    "kerneldep, XLA": Way(own("permutation_test", implementation="xla"), (N,), repeats=3),
    "kerneldep, distance covariance": Way(
        own("distance_correlation_test", num_permutations=PERMUTATIONS), (N,), remark="the statistic of dcor's"
    ),
    "NumPy loop": Way(numpy_loop, (N,), dtype="float64", repeats=1),
    "dcor": Way(dcor_test, (N,), peer=True, dtype="float64", repeats=1),
    "hyppo Hsic": Way(hyppo("Hsic", reps=PERMUTATIONS, auto=False), (N,), peer=True, dtype="float64", repeats=0),
}
CLOSED = {
    "kerneldep gamma": Way(own("gamma_test"), (N,), repeats=20),
    "kerneldep gamma, Gretton": Way(own("gamma_test", moments="gretton"), (N,), repeats=20),
    "causal-learn gamma": Way(causal_learn(True), (N,), peer=True, dtype="float64"),
    "hyppo chi-squared": Way(hyppo("Hsic", auto=True), (N,), peer=True, dtype="float64"),
    "kerneldep spectral": Way(own("spectral_test"), (N,)),
    "causal-learn spectral": Way(causal_learn(False), (N,), peer=True, dtype="float64", repeats=2),
}
MANY = {
    "kerneldep aggregated": Way(own("aggregated_test"), (500, N), remark="25 kernel pairs"),
    "kerneldep aggregated, incomplete": Way(
        own("aggregated_test", estimator=lambda kd: kd.Incomplete(200)), (500, N), remark="25 kernel pairs, 200 offsets"
    ),
    "kerneldep block": Way(own("block_test"), (100_000,)),
    "kerneldep gamma, features": Way(
        own("gamma_test", estimator=lambda kd: kd.RandomFourier(FEATURES)), (100_000, 1_000_000), repeats=3
    ),
    "kerneldep permutation, features": Way(
        own("permutation_test", estimator=lambda kd: kd.RandomFourier(FEATURES), num_permutations=200),
        (100_000,), repeats=1, remark="200 permutations",
    ),
    "kerneldep blocks of features": Way(
        own(
            "permutation_test", estimator=lambda kd: kd.RandomFourier(FEATURES),
            permutations=lambda kd: kd.independence.WholeBlocks(32),
        ),
        (100_000, 1_000_000), repeats=2, remark="1,000 permutations of 32 blocks",
    ),
}  # fmt: skip
WAYS = PERMUTATION | CLOSED | MANY


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Permutations, closed forms, many kernels or samples."""
    yield "permutation_tests", list(rows("independence", PERMUTATION, peers))
    yield "closed_form_tests", list(rows("independence", CLOSED, peers, "kerneldep gamma"))
    yield "large_tests", list(rows("independence", MANY, peers, "kerneldep aggregated"))
