"""Bounds on mutual information by plain loops over pairs of a score matrix [K, K], and nearest neighbours by loops."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import digamma


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _pairs(scores: np.ndarray) -> list[tuple[int, int]]:
    """(i, j) of the made-up pairs, i ≠ j."""
    return [(i, j) for i in range(len(scores)) for j in range(len(scores)) if i != j]


def _joint(scores: np.ndarray) -> float:
    return _mean([scores[i, i] for i in range(len(scores))])


def infonce(scores: np.ndarray) -> float:
    """Mean over rows of log[e^{s_ii} / mean_j e^{s_ij}]."""
    return _mean([scores[i, i] - math.log(_mean([math.exp(s) for s in scores[i]])) for i in range(len(scores))])


def tuba(scores: np.ndarray, log_baseline: float | np.ndarray = 0.0) -> float:
    """E_p f − E_q[e^f/a] − E log a + 1."""
    log_a = np.broadcast_to(log_baseline, len(scores))
    product = _mean([math.exp(scores[i, j]) / math.exp(log_a[j]) for i, j in _pairs(scores)])
    return _joint(scores) - product - _mean(list(log_a)) + 1


def nwj(scores: np.ndarray) -> float:
    """E_p f − e⁻¹E_q e^f."""
    return _joint(scores) - math.exp(-1) * _mean([math.exp(scores[i, j]) for i, j in _pairs(scores)])


def jensen_shannon(scores: np.ndarray) -> float:
    """E_p f − E_q e^f + 1."""
    return _joint(scores) - _mean([math.exp(scores[i, j]) for i, j in _pairs(scores)]) + 1


def jensen_shannon_objective(scores: np.ndarray) -> float:
    """E_p log σ(f) + E_q log(1 − σ(f))."""
    positive = _mean([-math.log(1 + math.exp(-scores[i, i])) for i in range(len(scores))])
    return positive - _mean([math.log(1 + math.exp(scores[i, j])) for i, j in _pairs(scores)])


def donsker_varadhan(scores: np.ndarray) -> float:
    """E_p f − log E_q e^f."""
    return _joint(scores) - math.log(_mean([math.exp(scores[i, j]) for i, j in _pairs(scores)]))


def mine_gradient(scores: np.ndarray, running_mean: float) -> np.ndarray:
    """Of E_p f − (E_q e^f)/m with respect to the scores, m held fixed."""
    num = len(scores)
    gradient = np.empty_like(scores)
    for i in range(num):
        for j in range(num):
            gradient[i, j] = 1 / num if i == j else -math.exp(scores[i, j]) / (num * (num - 1)) / running_mean
    return gradient


def smile(scores: np.ndarray, clip: float = 5.0) -> float:
    """E_p f − log E_q clip(e^f, e^{−clip}, e^{clip})."""
    ratios = [min(max(math.exp(scores[i, j]), math.exp(-clip)), math.exp(clip)) for i, j in _pairs(scores)]
    return _joint(scores) - math.log(_mean(ratios))


def interpolated(scores: np.ndarray, alpha: float, log_baseline: float | np.ndarray = 0.0) -> float:
    """1 + E log[e^f/(αm + (1−α)q)] − E[e^f/(αm + (1−α)q)], m over the K − 1 rows other than one left out.

    In the first expectation each row but the positive is left out in turn; in the second the positive is.
    """
    num = len(scores)
    log_q = np.broadcast_to(log_baseline, num)

    def mixture(column: int, left_out: int) -> float:
        mean = _mean([math.exp(scores[i, column]) for i in range(num) if i != left_out])
        return alpha * mean + (1 - alpha) * math.exp(log_q[column])

    joint = _mean([scores[j, j] - math.log(mixture(j, k)) for k, j in _pairs(scores)])
    return 1 + joint - _mean([math.exp(scores[i, j]) / mixture(j, j) for i, j in _pairs(scores)])


def club(scores: np.ndarray) -> float:
    """E_p f − E_q f."""
    return _joint(scores) - _mean([scores[i, j] for i, j in _pairs(scores)])


def leave_one_out(scores: np.ndarray) -> float:
    """Mean over columns of log[e^{s_ii} / mean_{j≠i} e^{s_ji}]."""
    num = len(scores)
    others = [_mean([math.exp(scores[j, i]) for j in range(num) if j != i]) for i in range(num)]
    return _mean([scores[i, i] - math.log(others[i]) for i in range(num)])


def ksg(x: np.ndarray, y: np.ndarray, k: int) -> float:
    """Kraskov, Stögbauer & Grassberger's first estimator by all n² distances; data without ties."""
    num = len(x)
    terms = []
    for i in range(num):
        in_x = [float(np.abs(x[i] - x[j]).max()) for j in range(num) if j != i]
        in_y = [float(np.abs(y[i] - y[j]).max()) for j in range(num) if j != i]
        radius = sorted(max(a, b) for a, b in zip(in_x, in_y, strict=True))[k - 1]
        terms.append(digamma(sum(a < radius for a in in_x) + 1) + digamma(sum(b < radius for b in in_y) + 1))
    return float(digamma(k) + digamma(num) - _mean(terms))
