"""HSIC in time linear in n: random Fourier and Nyström features, beside scikit-learn's."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.exact_hsic import BANDWIDTH, GAMMA, arrays
from tests.benchmarks.way import Way, data, rows

NUM = 512
SEEDS = {"RandomFourier": 20, "RBFSampler": 20, "Nystrom": 5, "Nystroem": 5}
LARGE, SMALL = 100_000, 5_000

NOTE = f"""
x and y [n, 10], Gaussian kernels of bandwidth {BANDWIDTH}, D = m = {NUM} features or landmarks a variable, the
V-statistic ‖ΦᵀHΨ‖²/n², features drawn anew at every call. scikit-learn makes the features (`RBFSampler`, `Nystroem`),
NumPy the statistic. `floor_s` of the random features: 2nD² operations of the product ΦᵀΨ, those of the projections,
and 2nD cosines, at the rates measured in this run. Of Nyström: the products only, 2nm² for ΦᵀΨ and as much for each
Φ = K_nm K_mm^(−½), and 2nm exponentials.

Errors: relative to the exact V-statistic at n = {SMALL:,}, mean and standard deviation over 20 draws (of
Nyström 5, whose features take an eigendecomposition each).
"""


def estimate(estimator: str, options: dict[str, Any]) -> Callable[[int], Callable[[], Any]]:
    """kerneldep with an estimator: one value of large data, the values of all seeds of small data."""

    def setup(n: int) -> Callable[[], Any]:
        import jax

        import kerneldep as kd

        x, y, kernel = arrays(n)
        chosen, keys = getattr(kd, estimator)(NUM, **options), jax.random.split(jax.random.key(0), SEEDS[estimator])
        if n < LARGE:
            return lambda: [kd.hsic(x, y, kernel, kernel, estimator=chosen, key=key) for key in keys]
        return lambda: kd.hsic(x, y, kernel, kernel, estimator=chosen, key=keys[0])

    return setup


def exact(n: int) -> Callable[[], Any]:
    """The exact V-statistic."""
    import kerneldep as kd

    x, y, kernel = arrays(n)
    return lambda: kd.hsic(x, y, kernel, kernel, estimator=kd.Biased())


def scikit_learn(sampler: str) -> Callable[[int], Callable[[], Any]]:
    """scikit-learn's features of x and of y, drawn independently, and NumPy."""

    def setup(n: int) -> Callable[[], Any]:
        from sklearn import kernel_approximation

        x, y = data(n)
        make = getattr(kernel_approximation, sampler)

        def call(seed: int = 0) -> Any:
            phi = make(gamma=GAMMA, n_components=NUM, random_state=2 * seed).fit_transform(x)
            psi = make(gamma=GAMMA, n_components=NUM, random_state=2 * seed + 1).fit_transform(y)
            phi -= phi.mean(0)
            return ((phi.T @ psi) ** 2).sum() / float(n) ** 2

        return call if n == LARGE else lambda: [call(seed) for seed in range(SEEDS[sampler])]

    return setup


def plain_jax(n: int) -> Callable[[], Any]:
    """The obvious JAX: both feature matrices whole, jitted."""
    import jax
    import jax.numpy as jnp

    x, y, _ = arrays(n)

    @jax.jit
    def call(x: Any, y: Any, key: Any) -> Any:
        def features(z: Any, key: Any) -> Any:
            phase = z @ (jax.random.normal(key, (z.shape[1], NUM // 2)) / BANDWIDTH)
            return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=1) * (2 / NUM) ** 0.5

        key_x, key_y = jax.random.split(key)
        phi, psi = features(x, key_x), features(y, key_y)
        return (((phi - phi.mean(0, keepdims=True)).T @ psi) ** 2).sum() / float(n) ** 2

    return lambda: call(x, y, jax.random.key(0))


SIZES = (SMALL, LARGE)
FOURIER = {
    "kerneldep": Way(estimate("RandomFourier", {}), SIZES),
    "kerneldep, orthogonal": Way(estimate("RandomFourier", {"orthogonal": True}), SIZES),
    "kerneldep, quasi": Way(estimate("RandomFourier", {"quasi": True}), SIZES),
    "dense JAX, jitted": Way(plain_jax, (LARGE,)),
    "scikit-learn RBFSampler and NumPy": Way(scikit_learn("RBFSampler"), SIZES, peer=True),
}
NYSTROM = {
    "kerneldep, Nyström": Way(estimate("Nystrom", {}), SIZES),
    "scikit-learn Nystroem and NumPy": Way(scikit_learn("Nystroem"), SIZES, peer=True),
}
WAYS = FOURIER | NYSTROM | {"exact": Way(exact, (SMALL,))}


def at(ways: dict[str, Way], n: int, repeats: int) -> dict[str, Way]:
    """The same ways at one size."""
    return {name: way._replace(sizes=(n,), repeats=repeats) for name, way in ways.items() if n in way.sizes}


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Times at large n, errors at small n."""
    from tests.benchmarks.machine import cosine_rate, exponential_rate, product_rate

    n, dim = LARGE, 10
    fourier = (2 * n * NUM**2 + 2 * n * dim * NUM) / product_rate() + 2 * n * NUM / cosine_rate()
    nystrom = (6 * n * NUM**2 + 4 * n * dim * NUM) / product_rate() + 2 * n * NUM / exponential_rate()
    for name, ways, floor, own in (
        ("random_fourier", FOURIER, fourier, "kerneldep"),
        ("nystrom", NYSTROM, nystrom, "kerneldep, Nyström"),
    ):
        found = rows("feature_hsic", at(ways, n, 5), peers, own)
        yield name, [row | {"floor_s": floor, "over_floor": row.get("median_s", np.nan) / floor} for row in found]
    yield "feature_errors", list(errors(peers))


def errors(peers: str | None) -> Iterator[dict[str, Any]]:
    """Relative errors over the draws."""
    found = {row["way"]: row for row in rows("feature_hsic", at(WAYS, SMALL, 0), peers)}
    reference = found.pop("exact")["value"]
    for name, row in found.items():
        if "value" in row:
            relative = np.array(row["value"]) / reference - 1
            yield {
                "n": SMALL,
                "way": name,
                "features": NUM,
                "draws": len(relative),
                "mean_error": float(relative.mean()),
                "sd_error": float(relative.std(ddof=1)),
                "root_mean_square": float((relative**2).mean() ** 0.5),
            }
