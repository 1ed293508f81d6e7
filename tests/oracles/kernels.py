"""Kernels as functions of two points, and their Gram matrix by a double loop."""

import math
from collections.abc import Callable, Sequence

import numpy as np

Kernel = Callable[[np.ndarray, np.ndarray], float]


def l2(x: np.ndarray, y: np.ndarray) -> float:
    """Euclidean distance r = ‖x − y‖₂ of two points [d]."""
    return math.sqrt(math.fsum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True)))


def l1(x: np.ndarray, y: np.ndarray) -> float:
    """Manhattan distance ‖x − y‖₁ of two points [d]."""
    return math.fsum(abs(float(a) - float(b)) for a, b in zip(x, y, strict=True))


def dot(x: np.ndarray, y: np.ndarray) -> float:
    """Inner product xᵀy of two points [d]."""
    return math.fsum(float(a) * float(b) for a, b in zip(x, y, strict=True))


def gaussian(x: np.ndarray, y: np.ndarray, bandwidth: float) -> float:
    """exp(−r²/(2σ²)); frequencies N(0, I/σ²) (Rahimi and Recht, 2007)."""
    return math.exp(-(l2(x, y) ** 2) / (2.0 * bandwidth**2))


def laplace(x: np.ndarray, y: np.ndarray, length_scale: float, norm: str = "l2") -> float:
    """exp(−‖x − y‖/ℓ) in the L2 or L1 norm; frequencies multivariate or product Cauchy, scale 1/ℓ."""
    distance_between = {"l2": l2, "l1": l1}[norm]
    return math.exp(-distance_between(x, y) / length_scale)


def inverse_multiquadric(x: np.ndarray, y: np.ndarray, scale: float) -> float:
    """c/√(c² + r²) (Li et al., 2021); frequencies ξ·g/c with ξ ~ N(0, 1), g ~ N(0, I)."""
    return scale / math.sqrt(scale**2 + l2(x, y) ** 2)


def rational_quadratic(x: np.ndarray, y: np.ndarray, scale: float, exponent: float) -> float:
    """(1 + r²/c²)^(−β); frequencies √(2s)/c·g with s ~ Gamma(β, 1)."""
    return (1.0 + l2(x, y) ** 2 / scale**2) ** (-exponent)


def matern(x: np.ndarray, y: np.ndarray, length_scale: float, smoothness: float) -> float:
    """Matérn kernel in the √(2ν)·r/ℓ form (Rasmussen and Williams, 2006), ν = 1/2, 3/2 or 5/2."""
    r = l2(x, y) / length_scale
    if smoothness == 0.5:
        return math.exp(-r)
    if smoothness == 1.5:
        return (1.0 + math.sqrt(3.0) * r) * math.exp(-math.sqrt(3.0) * r)
    if smoothness == 2.5:
        return (1.0 + math.sqrt(5.0) * r + 5.0 * r**2 / 3.0) * math.exp(-math.sqrt(5.0) * r)
    raise ValueError(f"smoothness must be 0.5, 1.5 or 2.5, got {smoothness}")


def linear(x: np.ndarray, y: np.ndarray) -> float:
    """Inner product xᵀy."""
    return dot(x, y)


def polynomial(x: np.ndarray, y: np.ndarray, degree: int, scale: float, offset: float) -> float:
    """(a·xᵀy + c)^p with a = scale, c = offset, p = degree."""
    return (scale * dot(x, y) + offset) ** degree


def cosine(x: np.ndarray, y: np.ndarray) -> float:
    """xᵀy/(‖x‖‖y‖), and 0 where a vector is zero."""
    norms = math.sqrt(dot(x, x)) * math.sqrt(dot(y, y))
    return dot(x, y) / norms if norms > 0.0 else 0.0


def label(x: np.ndarray, y: np.ndarray, same: float, different: float) -> float:
    """l₁ if x and y are equal in every coordinate, else l₀ (Li et al., 2021)."""
    return same if all(a == b for a, b in zip(x, y, strict=True)) else different


def distance(x: np.ndarray, y: np.ndarray, exponent: float) -> float:
    """½(‖x‖^e + ‖y‖^e − ‖x − y‖^e), 0 < e < 2 (Sejdinovic et al., 2013), with the origin as base point."""
    zero = np.zeros_like(x)
    return 0.5 * (l2(x, zero) ** exponent + l2(y, zero) ** exponent - l2(x, y) ** exponent)


def automatic_relevance(x: np.ndarray, y: np.ndarray, kernel: Kernel, length_scales: np.ndarray) -> float:
    """k(x/ℓ, x′/ℓ), a length scale for every coordinate (Neal, 1996)."""
    return kernel(
        np.array([float(a) / float(l) for a, l in zip(x, length_scales, strict=True)]),
        np.array([float(a) / float(l) for a, l in zip(y, length_scales, strict=True)]),
    )


def per_coordinate(x: np.ndarray, y: np.ndarray, kernels: Sequence[Kernel]) -> float:
    """Π_a k_a(x_a, x′_a)."""
    product = 1.0
    for a, b, kernel in zip(x, y, kernels, strict=True):
        product *= kernel(np.array([a]), np.array([b]))
    return product


def edit_distance(first: str, second: str) -> int:
    """Levenshtein's: the fewest insertions, deletions and substitutions of letters, by the recursion itself."""
    if not first or not second:
        return len(first) + len(second)
    changed = int(first[0] != second[0])
    return min(
        edit_distance(first[1:], second[1:]) + changed,
        edit_distance(first[1:], second) + 1,
        edit_distance(first, second[1:]) + 1,
    )


def bandwidth_grid(x: np.ndarray, num: int, factor: float) -> list[float]:
    """Median bandwidth times factor^e, e = −(num−1)/2, …, (num−1)/2 (Schrab et al., 2023, with factor 2)."""
    return [median_bandwidth(x) * factor ** (k - (num - 1) / 2.0) for k in range(num)]


def gram(kernel: Kernel, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gram matrix [n, m] of k(x_i, y_j), rows of x [n, d] against rows of y [m, d], one entry at a time."""
    matrix = np.empty((len(x), len(y)))
    for i in range(len(x)):
        for j in range(len(y)):
            matrix[i, j] = kernel(x[i], y[j])
    return matrix


def median_bandwidth(x: np.ndarray) -> float:
    """Median Euclidean distance over all pairs i < j (Gretton et al., 2012); it is the distance, not its square.

    If the median is 0: the mean of the non-zero distances; if every distance is 0: 1.

    Args:
        x: Points [n, d].
    """
    distances = [l2(x[i], x[j]) for i in range(len(x)) for j in range(i + 1, len(x))]
    if not distances:
        return 1.0
    median = float(np.median(distances))
    if median > 0.0:
        return median
    positive = [r for r in distances if r > 0.0]
    return math.fsum(positive) / len(positive) if positive else 1.0
