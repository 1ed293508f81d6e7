"""Clustering, neighbourhoods and spectra, by loops over a Gram array [M, B, M, B] or views [M, B, d].

Expectations are over the views as the whole population: M equally likely views of each of B images.
"""

import itertools
import math

import numpy as np


def image_distance(gram: np.ndarray, i: int, j: int) -> float:
    """MMD²(P_i, P_j) between the views of images i and j."""
    return float(gram[:, i, :, i].mean() - 2 * gram[:, i, :, j].mean() + gram[:, j, :, j].mean())


def image_mmd(gram: np.ndarray, i: int) -> float:
    """MMD²(P_i, P_all)."""
    return float(gram[:, i, :, i].mean() - 2 * gram[:, i].mean() + gram.mean())


def positive_feature_distance(gram: np.ndarray) -> float:
    """E_pos‖φ(Z) − φ(Z′)‖² over pairs of views of one image, a view with itself included."""
    m, b = gram.shape[:2]
    total = 0.0
    for i, p, q in itertools.product(range(b), range(m), range(m)):
        total += gram[p, i, p, i] - 2 * gram[p, i, q, i] + gram[q, i, q, i]
    return float(total) / (b * m * m)


def margin(gram: np.ndarray) -> np.ndarray:
    """How much nearer, squared, a view is to its image's mean embedding than to the nearest other, [M, B]."""
    m, b = gram.shape[:2]
    result = np.zeros((m, b))
    for p, i in itertools.product(range(m), range(b)):
        distance = [gram[p, i, p, i] - 2 * gram[p, i, :, j].mean() + gram[:, j, :, j].mean() for j in range(b)]
        result[p, i] = min(distance[j] for j in range(b) if j != i) - distance[i]
    return result


def effective_rank(eigenvalues: np.ndarray) -> float:
    """exp(−Σ p log p) of the normalised eigenvalues."""
    share = [v / eigenvalues.sum() for v in eigenvalues]
    return math.exp(-math.fsum(p * math.log(p) for p in share if p > 0))


def alignment(views: np.ndarray, exponent: float) -> float:
    """Mean of ‖z_pi − z_qi‖^α over images and p ≠ q."""
    m, b, _ = views.shape
    pairs = itertools.product(range(b), itertools.permutations(range(m), 2))
    return float(np.mean([np.linalg.norm(views[p, i] - views[q, i]) ** exponent for i, (p, q) in pairs]))


def uniformity(views: np.ndarray, sharpness: float) -> float:
    """Mean over views of log mean_{i ≠ j} e^{−t‖z_i − z_j‖²}."""
    values = []
    for view in views:
        squared = [((view[i] - view[j]) ** 2).sum() for i, j in itertools.permutations(range(len(view)), 2)]
        values.append(math.log(np.mean(np.exp(-sharpness * np.array(squared)))))
    return math.fsum(values) / len(values)


def positives(views: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every equally likely pair (Z₁, Z₂′) of a view and a target of its image, as rows [M²B, d]."""
    m, b, _ = views.shape
    pairs = [(views[p, i], targets[q, i]) for i in range(b) for p in range(m) for q in range(m)]
    first, second = zip(*pairs, strict=True)
    return np.array(first), np.array(second)


def conditional_mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """E[Z₂′ | Z₁ = z₁] at every pair, by averaging over all pairs whose first member is the same."""
    return np.array([second[(first == z).all(1)].mean(0) for z in first])


def predictor_loss(prediction: np.ndarray, second: np.ndarray) -> float:
    """E‖q − Z₂′‖²."""
    return float(((prediction - second) ** 2).sum(1).mean())


def linear_prediction(first: np.ndarray, second: np.ndarray, intercept: bool = False) -> np.ndarray:
    """Least squares of second on first, with an intercept or without."""
    design = np.column_stack([first, np.ones(len(first))]) if intercept else first
    return design @ np.linalg.lstsq(design, second, rcond=None)[0]


def kernel_prediction(gram: np.ndarray, second: np.ndarray, ridge: float) -> np.ndarray:
    """Kernel ridge regression on all n pairs: K(K + nεI)⁻¹T."""
    return gram @ np.linalg.solve(gram + len(gram) * ridge * np.eye(len(gram)), second)
