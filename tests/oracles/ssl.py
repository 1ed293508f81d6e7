"""Dependence of a representation on the image's identity, from views [M, B, d]: M views of each of B images.

Every function but the first two takes the Gram array `gram` [M, B, M, B], entry (p, i, q, j) = k(z_pi, z_qj).
"""

import itertools
import math

import numpy as np

from .hsic import hsic_biased
from .kernels import Kernel


def view_gram(views: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Gram array [M, B, M, B] of k(z_pi, z_qj) for views [M, B, d]."""
    m, b, _ = views.shape
    gram = np.empty((m, b, m, b))
    for p, i, q, j in itertools.product(range(m), range(b), range(m), range(b)):
        gram[p, i, q, j] = kernel(views[p, i], views[q, j])
    return gram


def flatten_views(views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [MB, d] and their image numbers [MB], view by view."""
    m, b, d = views.shape
    return views.reshape(m * b, d), np.tile(np.arange(b), m)


def positive_mean(gram: np.ndarray, include_self: bool) -> float:
    """E_pos k: mean of k(z_pi, z_qi) over images i and view pairs (p, q), with or without p = q."""
    m, b = gram.shape[:2]
    pairs = [(p, q) for p in range(m) for q in range(m) if include_self or p != q]
    return float(sum(gram[p, i, q, i] for i in range(b) for p, q in pairs)) / (b * len(pairs))


def off_mean(gram: np.ndarray) -> float:
    """E_off k: mean of k(z_pi, z_qj) over different images i ≠ j and all view pairs."""
    m, b = gram.shape[:2]
    images = list(itertools.permutations(range(b), 2))
    views = list(itertools.product(range(m), range(m)))
    return float(sum(gram[p, i, q, j] for i, j in images for p, q in views)) / (len(images) * len(views))


def all_mean(gram: np.ndarray) -> float:
    """E E k: mean of k over all (MB)² ordered pairs, each point with itself included."""
    m, b = gram.shape[:2]
    total = 0.0
    for p, i, q, j in itertools.product(range(m), range(b), range(m), range(b)):
        total += gram[p, i, q, j]
    return float(total) / (m * b) ** 2


def dep_population(gram: np.ndarray) -> float:
    """E_pos k − E E k with these views as the whole population (p = q included) (Li et al., 2021, closed form)."""
    return positive_mean(gram, include_self=True) - all_mean(gram)


def dep_paper(gram: np.ndarray) -> float:
    """Σ_same k/(BM(M−1)) − Σ_all k/(BM)² − Σk(z,z)/(BM(M−1)), M ≥ 2: the estimator of Li et al. (2021)."""
    m, b = gram.shape[:2]
    same = sum(gram[p, i, q, i] for i in range(b) for p in range(m) for q in range(m))
    diagonal = sum(gram[p, i, p, i] for i in range(b) for p in range(m))
    return float(same / (b * m * (m - 1)) - all_mean(gram) - diagonal / (b * m * (m - 1)))


def dep_paper_mean(e_pos: float, e_off: float, batch: int, views: int) -> float:
    """Mean of `dep_paper` over batches when k(z,z) = 1: E_pos − [1/(BM) + ((M−1)/(BM))E_pos + (1−1/B)E_off]."""
    return e_pos - (1.0 / (batch * views) + (views - 1) / (batch * views) * e_pos + (1.0 - 1.0 / batch) * e_off)


def dep_unbiased(gram: np.ndarray, num_images: float) -> float:
    """Ê_pos − [Ê_pos/N + (1 − 1/N)Ê_off], Ê_pos over p ≠ q; unbiased for `dep_population` of the data set.

    The B images must be distinct (drawn without replacement) and their M ≥ 2 views independent given the image.

    Args:
        gram: Gram array [M, B, M, B].
        num_images: N, images in the data set; math.inf gives Ê_pos − Ê_off.
    """
    e_pos, e_off = positive_mean(gram, include_self=False), off_mean(gram)
    return e_pos - (e_pos / num_images + (1.0 - 1.0 / num_images) * e_off)


def plug_in(gram: np.ndarray, same: float = 1.0, different: float = 0.0) -> float:
    """Plug-in V-statistic tr(KHLH)/n², n = BM, with the label kernel l₁ / l₀ on identity."""
    m, b = gram.shape[:2]
    k = gram.reshape(m * b, m * b)
    identity = [i for _ in range(m) for i in range(b)]
    l = np.array([[same if i == j else different for j in identity] for i in identity])
    return hsic_biased(k, l)


def self_hsic(gram: np.ndarray) -> float:
    """Biased HSIC(Z,Z) = tr(KHKH)/n² over all n = BM views."""
    m, b = gram.shape[:2]
    k = gram.reshape(m * b, m * b)
    return hsic_biased(k, k)


def ssl_hsic_loss(dep: float, hsic_zz: float, gamma: float) -> float:
    """−dep + γ·√HSIC(Z,Z), i.e. −HSIC(Z,Y) + γ√HSIC(Z,Z) with Δl = N (Li et al., 2021)."""
    return -dep + gamma * math.sqrt(max(hsic_zz, 0.0))


def log_sum_exp(values: list[float]) -> float:
    """Return log Σ exp(v), with the largest value taken out first."""
    largest = max(values)
    return largest + math.log(math.fsum(math.exp(v - largest) for v in values))


def infonce_population(gram: np.ndarray, temperature: float) -> float:
    """−E_pos s/τ + E_z log E_z′ exp(s/τ), all expectations over all views, p = q and self included."""
    m, b = gram.shape[:2]
    anchors = list(itertools.product(range(m), range(b)))
    total = 0.0
    for p, i in anchors:
        total += log_sum_exp([gram[p, i, q, j] / temperature for q, j in anchors]) - math.log(len(anchors))
    return total / len(anchors) - positive_mean(gram, include_self=True) / temperature


def infonce_in_batch(gram: np.ndarray, temperature: float, positive_in_sum: bool = True) -> float:
    """Two views; mean over images and both directions of −s⁺/τ + log Σ_j exp(s_ij/τ), j the other view's B images.

    With `positive_in_sum=False` the sum is over the B − 1 negatives. The sum is not divided by their number.
    """
    b = gram.shape[1]
    losses = []
    for p, q in ((0, 1), (1, 0)):
        for i in range(b):
            candidates = [gram[p, i, q, j] / temperature for j in range(b) if positive_in_sum or j != i]
            losses.append(log_sum_exp(candidates) - gram[p, i, q, i] / temperature)
    return math.fsum(losses) / len(losses)


def nt_xent(gram: np.ndarray, temperature: float, positive_in_sum: bool = True) -> float:
    """Two views; mean over 2B anchors of −s⁺/τ + log Σ exp(s/τ) over the 2B − 1 others (Chen et al., 2020, eq. 1).

    With `positive_in_sum=False` the sum is over the 2B − 2 negatives (Yeh et al., 2022: decoupled). No division by
    their number.
    """
    b = gram.shape[1]
    points = list(itertools.product(range(2), range(b)))
    losses = []
    for p, i in points:
        others = [(q, j) for q, j in points if (q, j) != (p, i) and (positive_in_sum or j != i)]
        candidates = [gram[p, i, q, j] / temperature for q, j in others]
        losses.append(log_sum_exp(candidates) - gram[p, i, 1 - p, i] / temperature)
    return math.fsum(losses) / len(losses)
