"""CKA of two layers' features with linear kernels, the usual comparison of networks."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.benchmarks.way import Way, data, rows

DIM = 2_048

NOTE = f"""
Features [10,000, {DIM:,}] of two layers, linear kernels, the V-statistic (Kornblith et al. 2019). In feature space it
is ‖XᵀHY‖²/(‖XᵀHX‖·‖YᵀHY‖), which takes 6nd² operations against 2n²d over pairs of samples: cheaper where
3d < n (a product of a matrix with its own transpose, which NumPy recognises, takes half of its share). There the exact
estimators of kerneldep take it too, and `RandomFourier` has a linear kernel's own features, so that nothing is random.
"""


def features(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two layers that share a part."""
    return data(n, dim=DIM, coupling=1.0)


def exact(n: int) -> Callable[[], Any]:
    """The exact estimator."""
    import jax.numpy as jnp

    import kerneldep as kd

    x, y = map(jnp.asarray, features(n))
    linear = kd.kernels.Linear()
    return lambda: kd.cka(x, y, linear, linear, estimator=kd.Biased())


def through_features(n: int) -> Callable[[], Any]:
    """Over the kernels' own features."""
    import jax
    import jax.numpy as jnp

    import kerneldep as kd

    x, y = map(jnp.asarray, features(n))
    linear, key = kd.kernels.Linear(), jax.random.key(0)
    return lambda: kd.cka(x, y, linear, linear, estimator=kd.RandomFourier(), key=key)


def numpy_features(n: int) -> Callable[[], Any]:
    """In feature space, NumPy."""
    x, y = features(n)

    def call() -> Any:
        a, b = x - x.mean(0), y - y.mean(0)
        xy, xx, yy = ((np.linalg.norm(left.T @ right)) for left, right in ((a, b), (a, a), (b, b)))
        return xy**2 / (xx * yy)

    return call


def numpy_grams(n: int) -> Callable[[], Any]:
    """With dense Gram matrices, NumPy."""
    x, y = features(n)

    def call() -> Any:
        a, b = x - x.mean(0), y - y.mean(0)
        k, l = a @ a.T, b @ b.T
        return (k * l).sum() / (np.linalg.norm(k) * np.linalg.norm(l))

    return call


WAYS = {
    "kerneldep, exact estimator": Way(exact, (10_000,)),
    "kerneldep, RandomFourier": Way(through_features, (10_000,)),
    "NumPy, features": Way(numpy_features, (10_000,)),
    "NumPy, dense Grams": Way(numpy_grams, (10_000,)),
}


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """One table."""
    yield "cka", list(rows("alignment", WAYS, peers, "kerneldep, RandomFourier"))
