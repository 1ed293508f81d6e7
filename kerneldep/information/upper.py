"""Upper bounds on mutual information, given the true conditional density.

Both need f(x, y) = log p(y | x) + h(y), any h. With a learned critic they are estimates without a sign: an error of f
can push them to either side of I.
"""

import math

import jax.numpy as jnp
from jaxtyping import Scalar

from .._check import ArrayLike
from .scores import as_scores, joint_mean, log_sum_exp, product_mean, without_observed


def club(scores: ArrayLike) -> Scalar:
    """E_p f − E_q f, contrastive log-ratio upper bound (Cheng et al. 2020).

    With f = log p(y|x) + h(y) it exceeds I by KL(p(x)p(y) ‖ p(x, y)) ≥ 0, infinite where a pair cannot be. The mean
    over q is over K(K − 1) pairs; averaging over all K², as Cheng et al. do, shrinks the value by 1 − 1/K.

    Args:
        scores: f(x_i, y_j) [K, K], observed pairs on the diagonal.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    scores = as_scores(scores)
    return joint_mean(scores) - product_mean(scores)


def leave_one_out(scores: ArrayLike) -> Scalar:
    """E log[p(y_i|x_i) / (1/(K−1))Σ_{j≠i} p(y_i|x_j)] (Poole et al. 2019): InfoNCE without the positive below.

    The other x_j stand in for the marginal density of y_i: sums run over x, down the columns, where h(y) cancels. The
    logarithm of their mean is too small on average, so the value is at least I with the true conditional, and decreases
    to I as K grows.

    Args:
        scores: f(x_i, y_j) [K, K].

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    scores = as_scores(scores)
    others = log_sum_exp(without_observed(scores), axis=0)
    return joint_mean(scores) - jnp.mean(others) + math.log(len(scores) - 1)
