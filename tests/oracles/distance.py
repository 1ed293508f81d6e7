"""Energy distance, distance correlation and its partial version, by loops over pairs of samples."""

import itertools
import math

import numpy as np

from .kernels import l2


def distances(x: np.ndarray, y: np.ndarray, exponent: float = 1.0) -> np.ndarray:
    """‖x_i − y_j‖^e for rows of x [n, d] against rows of y [m, d]."""
    matrix = np.empty((len(x), len(y)))
    for i, j in itertools.product(range(len(x)), range(len(y))):
        matrix[i, j] = l2(x[i], y[j]) ** exponent
    return matrix


def energy_distance(x: np.ndarray, y: np.ndarray, exponent: float = 1.0, *, unbiased: bool = False) -> float:
    """2E‖X−Y‖^e − E‖X−X′‖^e − E‖Y−Y′‖^e (Székely and Rizzo, 2013); unbiased: over pairs of distinct samples."""
    n, m = len(x), len(y)
    less = 1 if unbiased else 0
    within_x = distances(x, x, exponent).sum() / (n * (n - less))
    within_y = distances(y, y, exponent).sum() / (m * (m - less))
    return float(2.0 * distances(x, y, exponent).sum() / (n * m) - within_x - within_y)


def u_centred(d: np.ndarray) -> np.ndarray:
    """Ã_ij = d_ij − d_i·/(n−2) − d_·j/(n−2) + d_··/((n−1)(n−2)), Ã_ii = 0 (Székely and Rizzo, 2014)."""
    n = len(d)
    matrix = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        matrix[i, j] = d[i, j] - d[i].sum() / (n - 2) - d[:, j].sum() / (n - 2) + d.sum() / ((n - 1) * (n - 2))
    return matrix


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """⟨A, B⟩ = Σ_{i≠j} A_ij B_ij/(n(n−3)), the inner product of U-centred matrices (Székely and Rizzo, 2014)."""
    n = len(a)
    return math.fsum(float(a[i, j] * b[i, j]) for i, j in itertools.permutations(range(n), 2)) / (n * (n - 3))


def partial_distance_correlation(d_x: np.ndarray, d_y: np.ndarray, d_z: np.ndarray) -> float:
    """The cosine between the projections of X̃ and Ỹ on the complement of Z̃ (Székely and Rizzo, 2014, by definition)."""
    a, b, c = u_centred(d_x), u_centred(d_y), u_centred(d_z)
    left_a = a - inner(a, c) / inner(c, c) * c
    left_b = b - inner(b, c) / inner(c, c) * c
    return inner(left_a, left_b) / math.sqrt(inner(left_a, left_a) * inner(left_b, left_b))
