"""Mutual information and HSIC of known laws by other ways: nearest neighbours, quadrature, enumeration."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import special, stats
from scipy.spatial import cKDTree


def ksg(x: np.ndarray, y: np.ndarray, k: int = 3) -> float:
    """Kraskov, Stögbauer and Grassberger's first estimate from x [n, dx], y [n, dy], in nats.

    ψ(k) + ψ(n) − mean of ψ(n_x + 1) + ψ(n_y + 1), counts strictly within the k-th joint distance (maximum norm).
    """
    n = len(x)
    distance = cKDTree(np.hstack([x, y])).query(np.hstack([x, y]), k + 1, p=np.inf)[0][:, -1]
    inside = np.nextafter(distance, 0)
    counts = [cKDTree(z).query_ball_point(z, inside, p=np.inf, return_length=True) for z in (x, y)]  # itself included
    return float(special.digamma(k) + special.digamma(n) - np.mean(sum(special.digamma(c) for c in counts)))


def plug_in(x: np.ndarray, y: np.ndarray) -> float:
    """Information of the table of counts of discrete x and y [n, 1]."""
    _, row = np.unique(x, return_inverse=True)
    _, column = np.unique(y, return_inverse=True)
    table = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(table, (row.ravel(), column.ravel()), 1 / len(x))
    total = 0.0
    for i, j in zip(*np.nonzero(table), strict=True):
        total += table[i, j] * math.log(table[i, j] / (table[i].sum() * table[:, j].sum()))
    return total


def student_information(dof: float, correlation: float, points: int = 500) -> float:
    """∫∫ p log(p/(p_x p_y)) of a bivariate t, by the trapezoid rule in u with x = sinh u."""
    u = np.linspace(-25, 25, points)
    x, jacobian = np.sinh(u), np.cosh(u) * (u[1] - u[0])
    joint = stats.multivariate_t(np.zeros(2), np.array([[1, correlation], [correlation, 1]]), dof)
    log_joint = joint.logpdf(np.stack(np.meshgrid(x, x, indexing="ij"), -1))
    log_one = stats.t(dof).logpdf(x)
    weight = np.exp(log_joint) * jacobian[:, None] * jacobian[None, :]
    return float((weight * (log_joint - log_one[:, None] - log_one[None, :])).sum())


def additive_uniform_information(noise: float, points: int = 200_000) -> float:
    """H(Y) − log 2ε with the density of Y = U(0, 1) + U(−ε, ε) integrated on a grid."""
    y = -noise + (1 + 2 * noise) * (np.arange(points) + 0.5) / points
    density = (np.minimum(y + noise, 1) - np.maximum(y - noise, 0)) / (2 * noise)
    return float(-(density * np.log(density)).sum() * (1 + 2 * noise) / points - math.log(2 * noise))


def gaussian_hsic(correlation: float, bandwidths: tuple[float, float], dim: int, points: int = 120) -> float:
    """E kl − 2 E k(X, X′)l(Y, Y″) + E k · E l by Gauss–Hermite quadrature of differences, per coordinate."""
    node, weight = np.polynomial.hermite_e.hermegauss(points)
    weight = weight / weight.sum()

    def expectation(variance: float, covariance: float) -> float:
        rho = covariance / variance
        u, v = node[:, None], rho * node[:, None] + math.sqrt(1 - rho**2) * node[None, :]
        exponent = variance * (u**2 / bandwidths[0] ** 2 + v**2 / bandwidths[1] ** 2) / 2
        return float(weight @ np.exp(-exponent) @ weight)

    both, crossed, apart = (expectation(2.0, c) for c in (2 * correlation, correlation, 0.0))
    return both**dim - 2 * crossed**dim + apart**dim


def second_moment_of_ratio(correlation: float, points: int = 501, reach: float = 12.0) -> float:
    """∫∫ p(x, y)²/(p(x)p(y)) of a bivariate normal on a grid."""
    x = np.linspace(-reach, reach, points)
    joint = stats.multivariate_normal(np.zeros(2), [[1, correlation], [correlation, 1]])
    log_joint = joint.logpdf(np.stack(np.meshgrid(x, x, indexing="ij"), -1))
    log_one = stats.norm.logpdf(x)
    return float(np.exp(2 * log_joint - log_one[:, None] - log_one[None, :]).sum() * (x[1] - x[0]) ** 2)


def nearest_accuracy(points: Sequence[Sequence[float]], classes: Sequence[int], num_labels: int) -> float:
    """Accuracy of one nearest neighbour over every sequence of labelled points and every test point; ties shared."""
    total, cases = 0.0, 0
    for labelled in itertools.product(range(len(points)), repeat=num_labels):
        for test in range(len(points)):
            distances = [math.dist(points[test], points[i]) for i in labelled]
            nearest = [i for i, d in zip(labelled, distances, strict=True) if d <= min(distances) + 1e-9]
            total += sum(classes[i] == classes[test] for i in nearest) / len(nearest)
            cases += 1
    return total / cases
