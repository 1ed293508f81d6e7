"""Donsker–Varadhan's bound between views, and decoupled contrastive learning beside it, by plain loops."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import information

Critic = Callable[[np.ndarray, np.ndarray], float]


def scores(first: np.ndarray, second: np.ndarray, critic: Critic) -> np.ndarray:
    """T(z_i, z′_j) [B, B]."""
    return np.array([[critic(x, y) for y in second] for x in first])


def cosine(temperature: float) -> Critic:
    """zᵀz′/τ of unit vectors."""
    return lambda x, y: float(sum(a * b for a, b in zip(x, y, strict=True))) / temperature


def bound(views: np.ndarray, critic: Critic) -> float:
    """I_DV, averaged over ordered pairs of different views [M, B, d]."""
    return float(
        np.mean([information.donsker_varadhan(scores(p, q, critic)) for p, q in itertools.permutations(views, 2)])
    )


def decoupled(table: np.ndarray) -> float:
    """−E s_ii + E_i log Σ_{j≠i} e^{s_ij} of scores [B, B]."""
    num = len(table)
    sums = [math.log(sum(math.exp(table[i, j]) for j in range(num) if j != i)) for i in range(num)]
    return float(np.mean(sums)) - sum(table[i, i] for i in range(num)) / num


def donsker_varadhan_reference(critic: Callable[[], Critic]) -> Callable[[Any, Any], float]:
    """Of `SDMI` and `JMI`, on unit vectors; the critic is made in the test's lane."""

    def reference(found: Any, key: Any) -> float:
        z = found.projections
        return -bound(z / np.linalg.norm(z, axis=-1, keepdims=True), critic())

    return reference


def bilinear(weight: np.ndarray) -> Critic:
    """XᵀWy."""
    return lambda x, y: float(sum(x[a] * weight[a, b] * y[b] for a in range(len(x)) for b in range(len(y))))
