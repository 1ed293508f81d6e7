"""What the tests are tried on: laws of independent and of dependent (x, y)."""

from collections.abc import Callable

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]
Law = Callable[[int, np.random.Generator], Pair]
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
