"""Objectives of covariance matrices by plain loops: log-determinants from NumPy's `slogdet`."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Reference = Callable[[Any, Any], float]


def covariance(samples: np.ndarray, center: np.ndarray) -> np.ndarray:
    """(1/n)Σ (x − center)(x − center)ᵀ for samples [n, d]."""
    total = np.zeros((samples.shape[1], samples.shape[1]))
    for x in samples:
        total += np.outer(x - center, x - center)
    return total / len(samples)


def log_det(matrix: np.ndarray, epsilon: float) -> float:
    """log det(C + εI)."""
    sign, value = np.linalg.slogdet(matrix + epsilon * np.eye(len(matrix)))
    assert sign == 1
    return float(value)


def mean_squared_error(views: np.ndarray) -> float:
    """Mean over images and coordinates of (z_p − z_q)², averaged over pairs p < q of views [M, B, d]."""
    return float(np.mean([((one - other) ** 2).mean() for one, other in itertools.combinations(views, 2)]))


def corinfomax_step(
    views: np.ndarray, means: np.ndarray, covariances: np.ndarray, alpha: float, forgetting: float, epsilon: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss and the new μ_v [M, d], R_v [M, d, d]; twice the mean over views stands for the sum over two of them."""
    new_means, new_covariances, log_dets = [], [], []
    for view, mean, before in zip(views, means, covariances, strict=True):
        new_mean = forgetting * mean + (1 - forgetting) * sum(view) / len(view)
        new_covariance = forgetting * before + (1 - forgetting) * covariance(view, new_mean)
        new_means.append(new_mean)
        new_covariances.append(new_covariance)
        log_dets.append(log_det(new_covariance, epsilon) / views.shape[2])
    loss = alpha * mean_squared_error(views) - 2 * float(np.mean(log_dets))
    return loss, np.array(new_means), np.array(new_covariances)


def corinfomax(views: np.ndarray, alpha: float = 250.0, forgetting: float = 0.01, epsilon: float = 1e-8) -> float:
    """The first step's loss, from μ_v = 0 and R_v = I."""
    m, _, d = views.shape
    return corinfomax_step(views, np.zeros((m, d)), np.array([np.eye(d)] * m), alpha, forgetting, epsilon)[0]


def gaussian_mi(views: np.ndarray, epsilon: float) -> float:
    """½[log det C₁₁ + log det C₂₂ − log det C], averaged over pairs p < q of views [M, B, d] as they are, in nats."""

    def half(samples: np.ndarray) -> float:
        return log_det(covariance(samples, samples.mean(0)), epsilon) / 2

    pairs = list(itertools.combinations(views, 2))
    return float(np.mean([half(p) + half(q) - half(np.hstack([p, q])) for p, q in pairs]))


def standardised(views: np.ndarray) -> np.ndarray:
    """Each coordinate of each view with mean 0 and variance 1 (divided by n)."""
    return (views - views.mean(1, keepdims=True)) / views.std(1, keepdims=True)


def gaussian_mi_cap(dim: int, epsilon: float) -> float:
    """Its value for coinciding views with uncorrelated coordinates of variance 1."""
    return dim / 2 * math.log((1 + epsilon) ** 2 / (epsilon * (2 + epsilon)))


def corinfomax_reference(alpha: float, forgetting: float = 0.01) -> Reference:
    """Of `CorInfoMax`, on unit vectors."""

    def reference(found: Any, key: Any) -> float:
        z = found.projections
        return corinfomax(z / np.linalg.norm(z, axis=-1, keepdims=True), alpha, forgetting)

    return reference


def gaussian_mi_reference(epsilon: float) -> Reference:
    """Of `GaussianMI`."""
    return lambda found, key: -gaussian_mi(standardised(found.projections), epsilon)
