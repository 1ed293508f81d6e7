"""Nyström features, ridge leverage scores and sums of a stream, in plain NumPy."""

import numpy as np


def nystrom_gram(k_nm: np.ndarray, k_mm: np.ndarray) -> np.ndarray:
    """K_nm K_mm⁺ K_mn with the pseudo-inverse (Williams and Seeger, 2001)."""
    return k_nm @ np.linalg.pinv(k_mm, rcond=1e-10, hermitian=True) @ k_nm.T


def ridge_leverage_scores(k: np.ndarray, ridge: float) -> np.ndarray:
    """Diagonal of K(K + λI)⁻¹, by its definition."""
    return np.diag(k @ np.linalg.inv(k + ridge * np.eye(len(k))))


def leverage_from_pilot(k: np.ndarray, pilot: list[int], ridge: float) -> np.ndarray:
    """(k_ii − k_iS (K_SS + λp/n)⁻¹ k_Si)/λ: Musco and Musco (2017) with S a uniform sample of weight √(n/p)."""
    n, p = len(k), len(pilot)
    inner = np.linalg.inv(k[np.ix_(pilot, pilot)] + ridge * p / n * np.eye(p))
    return np.array([(k[i, i] - k[i, pilot] @ inner @ k[pilot, i]) / ridge for i in range(n)])


def squared_distance_to_nearest(k: np.ndarray, chosen: list[int]) -> np.ndarray:
    """min_c k_ii − 2k_ic + k_cc: the weights of k-means++."""
    return np.array([min(k[i, i] - 2 * k[i, c] + k[c, c] for c in chosen) for i in range(len(k))])


def moments(phi: np.ndarray, psi: np.ndarray, delta: np.ndarray, epsilon: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over samples of features less (δ, ε), one sample after the other."""
    names = ("n", "phi", "psi", "cross", "p", "q", "phi_q", "psi_p", "pq")
    total = dict.fromkeys(names, 0.0)
    for a, b in zip(phi - delta, psi - epsilon, strict=True):
        p, q = a @ a, b @ b
        terms = (1.0, a, b, np.outer(a, b), p, q, a * q, b * p, p * q)
        total = {name: total[name] + term for name, term in zip(names, terms, strict=True)}
    return total
