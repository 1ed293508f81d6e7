"""Bounds by convex duality, from the mean of f over the joint law and of a function of f over the product law.

In expectation `nwj`, `tuba` and `jensen_shannon` are lower bounds on I(X; Y) for any critic f. `donsker_varadhan`,
`mine` and `smile` estimate quantities that are close to lower bounds, but are none themselves: see each.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from .. import _check
from .._check import ArrayLike
from .arguments import as_clip, as_decay
from .scores import as_scores, joint_mean, log_product_mean_exp, observed


def nwj(scores: ArrayLike) -> Scalar:
    """Lower bound of Nguyen, Wainwright & Jordan (2010), also called f-GAN KL and MINE-f: E_p f − e⁻¹ E_q e^f.

    p is the joint law, q the product of the marginals. Tight for f = 1 + log r, r = dp/dq. With that critic the product
    term over n independent pairs has variance (E_p r − 1)/n ≥ (e^I − 1)/n, for jointly Gaussian X and Y exactly
    (e^{2I} − 1)/n: at high information the mean of a few hundred batches can sit above I, since the tail that would
    bring it down was never drawn.

    Args:
        scores: f(x_i, y_j) [K, K], observed pairs on the diagonal.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    return tuba(scores, 1.0)


def tuba(scores: ArrayLike, log_baseline: ArrayLike = 0.0) -> Scalar:
    """Lower bound E_p f − E_q[e^f / a(Y)] − E log a(Y) + 1 with a baseline a > 0 (Poole et al. 2019).

    It is NWJ with the critic f(x, y) − log a(y) + 1 and tight where that is 1 + log r; a = e gives NWJ. A baseline that
    is learned is therefore part of the critic (`Baselined`).

    Args:
        scores: f(x_i, y_j) [K, K].
        log_baseline: log a, a number, or log a(y_j) [K], one a column.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`; or if `log_baseline` is neither a number nor [K].
    """
    scores = as_scores(scores)
    log_a = as_log_baseline(log_baseline, scores)
    return joint_mean(scores) - log_a.mean() + 1 - jnp.exp(log_product_mean_exp(scores - log_a))


def jensen_shannon(scores: ArrayLike) -> Scalar:
    """NWJ at f + 1, E_p f − E_q e^f + 1: a lower bound for any f, tight for f = log r.

    That is what a critic trained by `jensen_shannon_objective` tends to, without the variance of e^f in its gradient.

    Args:
        scores: f(x_i, y_j) [K, K].

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    return tuba(scores, 0.0)


def jensen_shannon_objective(scores: ArrayLike) -> Scalar:
    """What trains the critic: E_p log σ(f) + E_q log(1 − σ(f)), maximal at f = log r (Nowozin et al. 2016).

    There it is 2 JSD(p, q) − 2 log 2, between −2 log 2 and 0: no estimate of I. Its gradient is bounded.

    Args:
        scores: f(x_i, y_j) [K, K].

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    scores = as_scores(scores)
    num = len(scores)
    product = jnp.where(observed(num), 0, jax.nn.softplus(scores)).sum() / (num * (num - 1.0))
    return -jax.nn.softplus(-jnp.diagonal(scores)).mean() - product


def donsker_varadhan(scores: ArrayLike) -> Scalar:
    """E_p f − log E_q e^f from one batch: neither a lower nor an upper bound.

    With the exact expectations it would be a lower bound, tight for f = log r + constant (Donsker & Varadhan 1983). The
    logarithm of a sample mean is too small on average, so that the batch's value overshoots: the more, the heavier the
    tail of e^f.

    Args:
        scores: f(x_i, y_j) [K, K].

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`.
    """
    scores = as_scores(scores)
    return joint_mean(scores) - log_product_mean_exp(scores)


class MINEStep(NamedTuple):
    """One batch of `mine`: `value` in nats, and `log_mean`, the logarithm of the running mean of e^f after it."""

    value: Scalar
    log_mean: Scalar


def mine(scores: ArrayLike, log_mean: ArrayLike | None = None, *, decay: float = 0.99) -> MINEStep:
    """Donsker–Varadhan's value with the gradient of MINE (Belghazi et al. 2018): neither a lower nor an upper bound.

    The gradient of the value is E_p ∇f − E_q[e^f ∇f]/m with m ← decay·m + (1 − decay)·E_q e^f, the running mean over
    batches in place of the batch's own mean, whose ratio is biased. The value itself is `donsker_varadhan`'s.

    Args:
        scores: f(x_i, y_j) [K, K].
        log_mean: log m of the batches before, a number or −∞; None starts with this batch's own mean.
        decay: in [0, 1).

    Returns:
        The value, to be differentiated, and the new log m, to be handed to the next batch.

    Raises:
        TypeError, ValueError: see `as_scores`; or if `decay` is outside [0, 1), or `log_mean` no number.
    """
    decay, scores = as_decay(decay), as_scores(scores)
    batch = log_product_mean_exp(scores)
    fixed = jax.lax.stop_gradient(batch)
    if log_mean is None:
        running = fixed
    else:
        before = jax.lax.stop_gradient(_as_log_mean(log_mean).astype(fixed.dtype))
        kept = math.log(decay) if decay > 0 else -math.inf
        running = jnp.logaddexp(kept + before, math.log1p(-decay) + fixed)
    # Equal to `batch`, with a derivative of (mean of e^f)/m times its own.
    possible = fixed != -jnp.inf
    step = jnp.where(possible, batch - fixed, 0)
    surrogate = fixed + jnp.exp(jnp.where(possible, fixed - running, 0)) * step
    return MINEStep(joint_mean(scores) - surrogate, running)


def smile(scores: ArrayLike, clip: float = 5.0) -> Scalar:
    """E_p f − log E_q clip(e^f, e^{−clip}, e^{clip}) (Song & Ermon 2020): neither a lower nor an upper bound.

    The mean of the clipped ratio over n independent pairs has a variance of at most (e^clip − e^{−clip})²/(4n); the
    price is a bias of either sign, and scores of observed pairs are not clipped. Train the critic by
    `jensen_shannon_objective`, as its authors do: raising f everywhere above `clip` would raise this value without end.

    Args:
        scores: f(x_i, y_j) [K, K].
        clip: > 0, in nats; ∞ gives `donsker_varadhan`.

    Returns:
        A scalar in nats.

    Raises:
        TypeError, ValueError: see `as_scores`; or if `clip` is not positive.
    """
    clip, scores = as_clip(clip), as_scores(scores)
    return joint_mean(scores) - log_product_mean_exp(jnp.clip(scores, -clip, clip))


def as_log_baseline(log_baseline: ArrayLike, scores: Float[Array, "K K"]) -> Float[Array, "1 #K"]:
    """A baseline as one row: a number for all columns, or one for each."""
    array = _check.as_float(_check.as_real(log_baseline, "log_baseline"), "log_baseline").astype(scores.dtype)
    if array.shape not in ((), (len(scores),)):
        raise ValueError(f"log_baseline has shape {array.shape}: a number or [{len(scores)}], one a column, is needed.")
    _check.Guard().require(jnp.isfinite(array).all(), "log_baseline holds NaN or infinite values.")
    return array.reshape(1, -1)


def _as_log_mean(log_mean: ArrayLike) -> Scalar:
    """A running mean's logarithm: −∞ where no pair of the batches before was possible."""
    array = _check.as_float(_check.as_real(log_mean, "log_mean"), "log_mean")
    if array.shape:
        raise ValueError(f"log_mean has shape {array.shape}: a number is needed.")
    _check.Guard().require(array < jnp.inf, "log_mean is NaN or +∞.")
    return array
