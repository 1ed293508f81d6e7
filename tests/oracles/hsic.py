"""HSIC, CKA, MMD and distance covariance from their textbook formulas; Gram matrices are plain [n, n] arrays."""

import itertools
from collections.abc import Callable

import numpy as np


def centring(n: int) -> np.ndarray:
    """H = I − 11ᵀ/n, the centring matrix [n, n]."""
    return np.eye(n) - np.ones((n, n)) / n


def hsic_biased(k: np.ndarray, l: np.ndarray) -> float:
    """Biased (V-statistic) tr(KHLH)/n² (Gretton et al., 2005, with n² rather than (n−1)²)."""
    n = len(k)
    h = centring(n)
    return float(np.trace(k @ h @ l @ h)) / n**2


def hsic_biased_loops(k: np.ndarray, l: np.ndarray) -> float:
    """The same V-statistic as E[k(X,X′)l(Y,Y′)] − 2E[k(X,X′)l(Y,Y″)] + E[k]E[l] over the empirical law, by loops."""
    n = len(k)
    joint = sum(k[i, j] * l[i, j] for i in range(n) for j in range(n)) / n**2
    cross = sum(k[i, j] * l[i, q] for i in range(n) for j in range(n) for q in range(n)) / n**3
    mean_k = sum(k[i, j] for i in range(n) for j in range(n)) / n**2
    mean_l = sum(l[i, j] for i in range(n) for j in range(n)) / n**2
    return float(joint - 2.0 * cross + mean_k * mean_l)


def hsic_unbiased(k: np.ndarray, l: np.ndarray) -> float:
    """Unbiased (U-statistic), n ≥ 4 (Song et al., 2012).

    [tr(K̃L̃) + 1ᵀK̃1·1ᵀL̃1/((n−1)(n−2)) − 2/(n−2)·1ᵀK̃L̃1]/(n(n−3)), K̃ and L̃ with zeroed diagonal.
    """
    n = len(k)
    k0, l0 = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    one = np.ones(n)
    trace = np.trace(k0 @ l0)
    totals = (one @ k0 @ one) * (one @ l0 @ one) / ((n - 1) * (n - 2))
    cross = 2.0 / (n - 2) * (one @ k0 @ l0 @ one)
    return float(trace + totals - cross) / (n * (n - 3))


def hsic_unbiased_enumerated(k: np.ndarray, l: np.ndarray) -> float:
    """Mean of k_ij(l_ij + l_qr − 2l_iq) over all ordered 4-tuples of distinct indices (Song et al., 2012)."""
    tuples = list(itertools.permutations(range(len(k)), 4))
    return float(sum(k[i, j] * (l[i, j] + l[q, r] - 2.0 * l[i, q]) for i, j, q, r in tuples) / len(tuples))


def hsic_core(k: np.ndarray, l: np.ndarray, i: int, j: int, q: int, r: int) -> float:
    """The 4-sample core ¼(k_ij + k_qr − k_iq − k_jr)(l_ij + l_qr − l_iq − l_jr) of the incomplete U-statistic."""
    return float(0.25 * (k[i, j] + k[q, r] - k[i, q] - k[j, r]) * (l[i, j] + l[q, r] - l[i, q] - l[j, r]))


def hsic_core_enumerated(k: np.ndarray, l: np.ndarray) -> float:
    """Mean of the 4-sample core over all ordered 4-tuples of distinct indices: the complete U-statistic."""
    tuples = list(itertools.permutations(range(len(k)), 4))
    return sum(hsic_core(k, l, *indices) for indices in tuples) / len(tuples)


def hsic_block(k: np.ndarray, l: np.ndarray, block: int) -> float:
    """Mean of the unbiased estimate over ⌊n/b⌋ disjoint blocks of consecutive samples (Zhang et al., 2018)."""
    starts = range(0, len(k) - block + 1, block)
    return float(
        np.mean([hsic_unbiased(k[s : s + block, s : s + block], l[s : s + block, s : s + block]) for s in starts])
    )


def hsic_incomplete(k: np.ndarray, l: np.ndarray, num_offsets: int) -> float:
    """Mean of the core over i, j = i + s, q = i + a, r = i + s + a (mod n) with s = 2t − 1, a = 4t, t ≤ num_offsets."""
    n = len(k)
    steps = [(2 * t - 1, 4 * t) for t in range(1, min(num_offsets, n // 6) + 1)]
    return float(
        np.mean([hsic_core(k, l, i, (i + s) % n, (i + a) % n, (i + s + a) % n) for i in range(n) for s, a in steps])
    )


def hsic_projected_cores(k: np.ndarray, l: np.ndarray) -> np.ndarray:
    """h₁(i): the mean of the core over ordered triples of distinct indices other than i."""
    n = len(k)
    others = [itertools.permutations([j for j in range(n) if j != i], 3) for i in range(n)]
    return np.array([np.mean([hsic_core(k, l, i, *triple) for triple in triples]) for i, triples in enumerate(others)])


def hsic_population(p_xy: np.ndarray, k: np.ndarray, l: np.ndarray) -> float:
    """HSIC of a joint probability table, its three expectations summed term by term (Gretton et al., 2005).

    Args:
        p_xy: Joint probabilities [a, b], non-negative with sum 1.
        k: Gram matrix [a, a] of X's atoms.
        l: Gram matrix [b, b] of Y's atoms.
    """
    a, b = p_xy.shape
    p_x, p_y = p_xy.sum(axis=1), p_xy.sum(axis=0)
    joint = cross = 0.0
    for x, y in itertools.product(range(a), range(b)):
        for x2, y2 in itertools.product(range(a), range(b)):
            joint += p_xy[x, y] * p_xy[x2, y2] * k[x, x2] * l[y, y2]
            cross += p_xy[x, y] * p_x[x2] * p_y[y2] * k[x, x2] * l[y, y2]
    mean_k = sum(p_x[x] * p_x[x2] * k[x, x2] for x in range(a) for x2 in range(a))
    mean_l = sum(p_y[y] * p_y[y2] * l[y, y2] for y in range(b) for y2 in range(b))
    return float(joint - 2.0 * cross + mean_k * mean_l)


def cka(k: np.ndarray, l: np.ndarray, hsic: Callable[[np.ndarray, np.ndarray], float]) -> float:
    """HSIC(X,Y)/√(HSIC(X,X)·HSIC(Y,Y)) with the given estimator (Kornblith et al., 2019)."""
    return hsic(k, l) / float(np.sqrt(hsic(k, k) * hsic(l, l)))


def hsic_biased_gradient(k: np.ndarray, l: np.ndarray) -> np.ndarray:
    """∂/∂k_ij of tr(KHLH)/n² = [l_ij − (b_i + b_j)/n + S_L/n²]/n², b = L1, S_L = 1ᵀL1; entries independent."""
    n = len(k)
    b = [sum(l[i, j] for j in range(n)) for i in range(n)]
    s = sum(b)
    gradient = np.empty((n, n))
    for i, j in itertools.product(range(n), range(n)):
        gradient[i, j] = (l[i, j] - (b[i] + b[j]) / n + s / n**2) / n**2
    return gradient


def hsic_unbiased_gradient(k: np.ndarray, l: np.ndarray) -> np.ndarray:
    """∂/∂k_ij of the unbiased estimate, entries independent and averaged over ij and ji; 0 on the diagonal.

    [l_ij + S_L/((n−1)(n−2)) − (b_i + b_j)/(n−2)]/(n(n−3)), b = L̃1, S_L = 1ᵀL̃1, L̃ with zeroed diagonal.
    """
    n = len(k)
    b = [sum(l[i, j] for j in range(n) if j != i) for i in range(n)]
    s = sum(b)
    gradient = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        gradient[i, j] = (l[i, j] + s / ((n - 1) * (n - 2)) - (b[i] + b[j]) / (n - 2)) / (n * (n - 3))
    return gradient


def mmd_squared_population(p: np.ndarray, q: np.ndarray, k: np.ndarray) -> float:
    """MMD² = Σ_ij (p_i − q_i)(p_j − q_j)k_ij of two laws on the same atoms (Gretton et al., 2012)."""
    n = len(p)
    return float(sum((p[i] - q[i]) * (p[j] - q[j]) * k[i, j] for i in range(n) for j in range(n)))


def mmd_squared_biased(k_xx: np.ndarray, k_xy: np.ndarray, k_yy: np.ndarray) -> float:
    """Biased (V-statistic) MMD² = mean K_xx − 2·mean K_xy + mean K_yy (Gretton et al., 2012)."""
    return float(k_xx.mean() - 2.0 * k_xy.mean() + k_yy.mean())


def mmd_squared_unbiased(k_xx: np.ndarray, k_xy: np.ndarray, k_yy: np.ndarray) -> float:
    """Unbiased MMD²: the means of K_xx and K_yy leave the diagonal out (Gretton et al., 2012)."""
    n, m = k_xy.shape
    xx = sum(k_xx[i, j] for i, j in itertools.permutations(range(n), 2)) / (n * (n - 1))
    yy = sum(k_yy[i, j] for i, j in itertools.permutations(range(m), 2)) / (m * (m - 1))
    return float(xx - 2.0 * k_xy.mean() + yy)


def hsic_as_mmd(p_xy: np.ndarray, k: np.ndarray, l: np.ndarray) -> float:
    """MMD²(P_XY, P_X ⊗ P_Y) with the product kernel on the atoms (x, y); equals `hsic_population`."""
    product = np.outer(p_xy.sum(axis=1), p_xy.sum(axis=0))
    return mmd_squared_population(p_xy.ravel(), product.ravel(), np.kron(k, l))


def distance_covariance_squared_biased(d_x: np.ndarray, d_y: np.ndarray) -> float:
    """dCov² = mean of A∘B, A and B the double-centred distance matrices (Székely et al., 2007); equals 4·HSIC."""
    n = len(d_x)
    total = 0.0
    for i, j in itertools.product(range(n), range(n)):
        a = d_x[i, j] - d_x[i].mean() - d_x[:, j].mean() + d_x.mean()
        b = d_y[i, j] - d_y[i].mean() - d_y[:, j].mean() + d_y.mean()
        total += a * b
    return float(total) / n**2


def distance_covariance_squared_unbiased(d_x: np.ndarray, d_y: np.ndarray) -> float:
    """Σ_{i≠j} ÃB̃/(n(n−3)), Ã and B̃ the U-centred distance matrices (Székely and Rizzo, 2014)."""
    n = len(d_x)

    def u_centred(d: np.ndarray, i: int, j: int) -> float:
        return d[i, j] - d[i].sum() / (n - 2) - d[:, j].sum() / (n - 2) + d.sum() / ((n - 1) * (n - 2))

    pairs = itertools.permutations(range(n), 2)
    return float(sum(u_centred(d_x, i, j) * u_centred(d_y, i, j) for i, j in pairs)) / (n * (n - 3))
