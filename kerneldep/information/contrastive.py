"""Multi-sample lower bounds: an observed pair against other pairings from the same batch."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .._check import ArrayLike
from .arguments import as_alpha
from .scores import as_scores, joint_mean, log_product_mean_exp, log_sum_exp, observed
from .variational import as_log_baseline


def infonce(scores: ArrayLike) -> Scalar:
    """Lower bound E log[e^{f(x_i, y_i)} / (1/K)Σ_j e^{f(x_i, y_j)}] ≤ log K (van den Oord et al. 2018).

    The mean log-probability of finding each x_i's own y among the batch's K, plus log K. Each x_i is compared along its
    row, so that terms c(x) of f cancel; `infonce(scores.T)` asks for each y's own x, and terms h(y) cancel. In
    expectation it is at most I for any critic and any K; for f = log r + c(x) it increases to I with K.

    Args:
        scores: f(x_i, y_j) [K, K], observed pairs on the diagonal.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.

    Example:
        >>> float(infonce([[9.0, 0.0], [0.0, 9.0]]))  # at most log 2
        0.69302
    """
    scores = as_scores(scores)
    return joint_mean(scores) - jax.nn.logsumexp(scores, axis=1).mean() + math.log(len(scores))


def interpolated(scores: ArrayLike, alpha: float = 0.01, log_baseline: ArrayLike = 0.0) -> Scalar:
    """Lower bound I_α between TUBA (α = 0) and InfoNCE (α = 1), with a bias and a variance between theirs.

    With m(y) the mean of e^{f(x, y)} over K′ draws of x, the observed one among them in the first expectation only,
    I_α = 1 + E log[e^f/(α m + (1 − α)q)] − E[e^f/(α m + (1 − α)q)] (Poole et al. 2019). In the second y is independent
    of all K′ draws, which a batch of K offers for K′ = K − 1: the first then averages over which other draw is left
    out. So α = 1 is InfoNCE down the columns of the K batches of K − 1, averaged.

    The value is at most 1 + log(K′/α) for α < 1, log K′ for α = 1. The ceiling log(K/α) often given forgets that the
    second expectation can vanish: for Y = X, one of N equally likely symbols, and the exact critic, I_α tends to
    1 + log(K′/α) as N grows [kerneldep's].

    Args:
        scores: f(x_i, y_j) [K, K].
        alpha: α in [0, 1].
        log_baseline: log q, a number, or log q(y_j) [K], one a column; f − log q should be close to log r.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`; or if α is outside [0, 1], or `log_baseline` neither a number nor [K].
    """
    alpha, scores = as_alpha(alpha), as_scores(scores)
    num, log_baseline = len(scores), as_log_baseline(log_baseline, scores)
    log_mixture = log_sums_without_row(scores) - math.log(num - 1)
    if alpha < 1:
        log_alpha = math.log(alpha) if alpha > 0 else -math.inf
        log_mixture = jnp.logaddexp(log_alpha + log_mixture, math.log1p(-alpha) + log_baseline)
    held_out = jnp.where(observed(num), 0, log_mixture).sum() / (num * (num - 1.0))
    if alpha == 1:  # e^f/m(y) has mean 1 down each column, also in the limit of a column of −∞
        return joint_mean(scores) - held_out
    product = jnp.exp(log_product_mean_exp(scores - jnp.diagonal(log_mixture)[None, :]))
    return 1 + joint_mean(scores) - held_out - product


def log_sums_without_row(scores: Float[Array, "K K"]) -> Float[Array, "K K"]:
    """Logarithms of Σ_{i ≠ k} e^{f(x_i, y_j)} for every row k left out and every column j.

    The share of the row left out is at most ½ but for a column's largest entry, where the difference would lose all
    digits: that sum is taken anew.
    """
    top = jnp.arange(len(scores))[:, None] == jnp.argmax(scores, axis=0)[None, :]
    whole = jax.nn.logsumexp(scores, axis=0, keepdims=True)
    share = jnp.exp(jnp.where(top, -jnp.inf, scores) - whole)
    rest = log_sum_exp(jnp.where(top, -jnp.inf, scores), axis=0)[None, :]
    return jnp.where(top, rest, whole + jnp.log1p(-share))
