"""Measures made of covariance operators, in explicit features: Gram matrices [n, n] are factored as K = ΦΦᵀ."""

import functools
from collections.abc import Sequence

import numpy as np


def features(gram: np.ndarray) -> np.ndarray:
    """Φ [n, n] with ΦΦᵀ = K, from the eigenvectors of a positive semi-definite K."""
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def covariance(gram_x: np.ndarray, gram_y: np.ndarray) -> np.ndarray:
    """C_XY = Ê φψᵀ − Êφ Êψᵀ as a matrix [n, n], its n terms summed one by one."""
    phi, psi = features(gram_x), features(gram_y)
    n = len(phi)
    second = sum((np.outer(phi[i], psi[i]) for i in range(n)), start=np.zeros((n, n))) / n
    return second - np.outer(phi.mean(axis=0), psi.mean(axis=0))


def dhsic(grams: Sequence[np.ndarray]) -> float:
    """‖Ê⊗φ_j − ⊗Êφ_j‖² (Pfister et al., 2018), both tensors of order d written out."""
    maps = [features(gram) for gram in grams]
    n = len(maps[0])
    joint = sum(functools.reduce(np.multiply.outer, [phi[i] for phi in maps]) for i in range(n)) / n
    product = functools.reduce(np.multiply.outer, [phi.mean(axis=0) for phi in maps])
    return float(((joint - product) ** 2).sum())


def dhsic_loops(grams: Sequence[np.ndarray]) -> float:
    """The same from its three expectations, by loops."""
    n = len(grams[0])
    joint = sum(np.prod([g[i, j] for g in grams]) for i in range(n) for j in range(n)) / n**2
    cross = sum(np.prod([sum(g[i, j] for j in range(n)) / n for g in grams]) for i in range(n)) / n
    means = np.prod([sum(g[i, j] for i in range(n) for j in range(n)) / n**2 for g in grams])
    return float(joint - 2.0 * cross + means)


def coco(gram_x: np.ndarray, gram_y: np.ndarray) -> float:
    """The largest singular value of C_XY (Gretton et al., 2005)."""
    return float(np.linalg.svd(covariance(gram_x, gram_y), compute_uv=False)[0])


def inverse_root(matrix: np.ndarray, ridge: float) -> np.ndarray:
    """(C + εI)^{−½} of a symmetric positive semi-definite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors / np.sqrt(np.maximum(values, 0.0) + ridge)) @ vectors.T


def correlation(gram_x: np.ndarray, gram_y: np.ndarray, ridge: float) -> np.ndarray:
    """V = (C_XX + εI)^{−½} C_XY (C_YY + εI)^{−½}, the normalised cross-covariance (Fukumizu et al., 2007)."""
    left = inverse_root(covariance(gram_x, gram_x), ridge)
    return left @ covariance(gram_x, gram_y) @ inverse_root(covariance(gram_y, gram_y), ridge)


def nocco(gram_x: np.ndarray, gram_y: np.ndarray, ridge: float) -> float:
    """‖V‖²_HS."""
    return float((correlation(gram_x, gram_y, ridge) ** 2).sum())


def kcc(gram_x: np.ndarray, gram_y: np.ndarray, ridge: float) -> float:
    """The largest singular value of V: the first canonical correlation of the features, regularised."""
    return float(np.linalg.svd(correlation(gram_x, gram_y, ridge), compute_uv=False)[0])


def conditional(gram_joint: np.ndarray, gram_y: np.ndarray, gram_z: np.ndarray, ridge: float) -> float:
    """‖Φ_ẌᵀΦ_Y‖²_F/n of the features' residuals after kernel ridge regression on Z (Zhang et al., 2011).

    The residuals of centred features Φ are RΦ = Φ − K̃_Z(K̃_Z + εI)^{−1}Φ; Ẍ = (X, Z) has the Gram matrix
    `gram_joint` = K_X∘K_Z.
    """
    n = len(gram_y)

    def centred(gram: np.ndarray) -> np.ndarray:
        return gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()

    k_z = centred(gram_z)

    def residuals(gram: np.ndarray) -> np.ndarray:
        phi = features(centred(gram))
        return phi - k_z @ np.linalg.solve(k_z + ridge * np.eye(n), phi)

    return float(((residuals(gram_joint).T @ residuals(gram_y)) ** 2).sum()) / n


def contingency_sample(counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Samples whose empirical law is a table of counts: a category of each variable, row by row."""
    rows = np.repeat(np.argwhere(counts >= 0), np.ravel(counts), axis=0)
    return tuple(rows.T)
