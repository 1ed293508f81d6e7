"""What the tests are tried on: laws of independent and of dependent (x, y)."""

from collections.abc import Callable

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]
Law = Callable[[int, np.random.Generator], tuple[np.ndarray, ...]]
Shape = Callable[[int, float, np.random.Generator], Pair]


def _normal(n: int, rng: np.random.Generator) -> Pair:
    return rng.normal(size=(n, 1)), rng.normal(size=(n, 1))


def _discrete(n: int, rng: np.random.Generator) -> Pair:
    return rng.integers(0, 4, size=(n, 1)), rng.integers(0, 3, size=(n, 1))


def _heavy(n: int, rng: np.random.Generator) -> Pair:
    return rng.standard_t(2, size=(n, 1)), rng.standard_t(2, size=(n, 1))


def _unequal(n: int, rng: np.random.Generator) -> Pair:
    return rng.normal(size=(n, 10)), rng.exponential(size=(n, 1))


NULLS: dict[str, Law] = {
    "normal": _normal,
    "discrete": _discrete,
    "heavy-tailed": _heavy,
    "10 and 1 dimensions": _unequal,
}
"""Independent: normal; four and three equally likely values; Student's t with 2 degrees; normal beside exponential."""


def _triple(law: Law) -> Law:
    """Another variable like the second, independent of both."""
    return lambda n, rng: (*law(n, rng), law(n, rng)[1])


def _two_of_one_law(law: Law) -> Law:
    """Two samples of the law of x, the second half as long."""
    return lambda n, rng: (law(n, rng)[0], law(n // 2, rng)[0])


TRIPLES: dict[str, Law] = {name: _triple(law) for name, law in NULLS.items()}
TWO_SAMPLES: dict[str, Law] = {name: _two_of_one_law(law) for name, law in NULLS.items()}


def _given(shape: Callable[[np.ndarray], np.ndarray], dim: int) -> Law:
    """x = f(z) + noise and y = f(z) + another, f acting on the mean of z's coordinates (of unit variance)."""

    def law(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        z = rng.normal(size=(n, dim))
        common = shape(z.sum(1, keepdims=True) / np.sqrt(dim))
        return common + 0.5 * rng.normal(size=(n, 1)), common + 0.5 * rng.normal(size=(n, 1)), z

    return law


GIVEN: dict[str, Law] = {
    "linear in z": _given(lambda z: z, 1),
    "smooth in z": _given(np.tanh, 1),
    "sin 3z": _given(lambda z: np.sin(3 * z), 1),
    "smooth in 3 coordinates": _given(np.tanh, 3),
}
"""Dependent, but independent given z."""


def _autoregressive(coefficient: float) -> Law:
    def law(n: int, rng: np.random.Generator) -> Pair:
        noise = rng.normal(size=(2, n + 200, 1))
        for t in range(1, n + 200):
            noise[:, t] += coefficient * noise[:, t - 1]
        return noise[0, 200:], noise[1, 200:]

    return law


SERIES: dict[str, Law] = {f"autoregression, {a}": _autoregressive(a) for a in (0.0, 0.5, 0.8)}
"""Two independent stationary series."""


def _linear(n: int, strength: float, rng: np.random.Generator) -> Pair:
    x, noise = rng.normal(size=(2, n, 1))
    return x, strength * x + noise


def _sine(n: int, strength: float, rng: np.random.Generator) -> Pair:
    x, noise = rng.uniform(-1, 1, size=(n, 1)), rng.normal(size=(n, 1))
    return x, 3 * strength * np.sin(4 * np.pi * x) + noise


def _circle(n: int, strength: float, rng: np.random.Generator) -> Pair:
    angle, noise = rng.uniform(0, 2 * np.pi, size=(n, 1)), rng.normal(size=(2, n, 1))
    return strength * np.cos(angle) + 0.3 * noise[0], strength * np.sin(angle) + 0.3 * noise[1]


def _checkerboard(n: int, strength: float, rng: np.random.Generator) -> Pair:
    """On a board of 4 × 4 fields; with probability 1 − strength anywhere, else on a field of one colour."""
    fields = rng.integers(0, 4, size=(2, n, 1))
    on = rng.random((n, 1)) < strength
    column = np.where(on, 2 * (fields[1] // 2) + fields[0] % 2, fields[1])
    return fields[0] + rng.random((n, 1)), column + rng.random((n, 1))


def _multiplicative(n: int, strength: float, rng: np.random.Generator) -> Pair:
    x, noise, other = rng.normal(size=(3, n, 1))
    return x, strength * x * noise + other


def _sparse(n: int, strength: float, rng: np.random.Generator) -> Pair:
    """Twenty coordinates each, of which one of x bends one of y."""
    x, y = rng.normal(size=(2, n, 20))
    y[:, 0] += 2 * strength * (x[:, 0] ** 2 - 1)
    return x, y


def _rotation(n: int, strength: float, rng: np.random.Generator) -> Pair:
    """Two independent two-humped variables, turned by strength · 45°: uncorrelated at every angle."""
    a, b = rng.choice([-1.0, 1.0], size=(2, n, 1)) + 0.4 * rng.normal(size=(2, n, 1))
    angle = strength * np.pi / 4
    return np.cos(angle) * a - np.sin(angle) * b, np.sin(angle) * a + np.cos(angle) * b


SHAPES: dict[str, tuple[Shape, int, tuple[float, ...]]] = {
    "linear": (_linear, 100, (0.1, 0.2, 0.3, 0.5)),
    "sine": (_sine, 100, (0.1, 0.2, 0.4, 0.8)),
    "circle": (_circle, 100, (0.4, 0.6, 0.8, 1.2)),
    "checkerboard": (_checkerboard, 200, (0.25, 0.5, 0.75, 1.0)),
    "multiplicative noise": (_multiplicative, 100, (0.3, 0.6, 0.9, 1.5)),
    "sparse, 20 dimensions": (_sparse, 200, (0.25, 0.5, 0.75, 1.0)),
    "rotation": (_rotation, 100, (0.2, 0.4, 0.6, 1.0)),
}
"""By name: the law, n, and strengths of the dependence, of which 0 would be none."""
