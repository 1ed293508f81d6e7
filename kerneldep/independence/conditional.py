"""The test of conditional independence: are X and Y independent given Z?"""

import functools
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Array, Float, Key

from .. import _check
from .._check import ArrayLike
from ..dependence.canonical import positive_ridge
from ..dependence.conditional import checked_triple
from ..kernels import AbstractKernel, Gaussian
from ..kernels.bandwidth import median_distance
from ..kernels.base import dense_gram
from .arguments import as_level, generator, is_constant, refuse_traced, warn_if_unreachable
from .gram_sums import Implementation, chosen, permuted_sums
from .local_permutations import exchanges, nearest
from .permuted import Permuted, in_parts, sampled
from .result import TestResult

RIDGE = 1e-2


def conditional_test(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    kernel_z: AbstractKernel | None = None,
    *,
    method: Literal["permutation", "gamma"] = "permutation",
    ridge: float = RIDGE,
    num_neighbours: int = 5,
    num_permutations: int = 1000,
    alpha: float = 0.05,
    implementation: Implementation = "auto",
    key: Key[Array, ""] | None = None,
) -> TestResult:
    """Tests whether x and y are independent given z, by `conditional_hsic`: T = Σ (A∘B)/n of ridge residuals.

    A = R K̃_Ẍ R and B = R K̃_Y R, with Ẍ = (X, Z) and R = ε(K̃_Z + εI)^{−1}. No test of conditional independence holds its
    level for all laws; this one where the regressions on z leave nothing of it, or y's law changes little nearby:

    - "permutation": y exchanged between near neighbours in z. One permutation pairs samples at random, each with one of
      its k nearest neighbours while there are free ones, and swaps their y. Exchanges lead from the data to a hub, and
      from there, P times independently, to what T is compared with: p = (1 + #{T_π ≥ T})/(1 + P) is then exact where
      y's law is the same throughout such neighbourhoods, as for discrete z, and approximate elsewhere. Local
      permutations are those of Runge (2018), pairs and the hub (Besag and Clifford 1989) kerneldep's.
    - "gamma": p from the gamma law with the mean Σ A_ii B_ii/n and the variance 2 Σ (A_ij B_ij)²/n² of the limiting
      null distribution, whose weights are the eigenvalues of A∘B. No key, and quick; it rejects too often where the
      regression misses something.

    Take gamma for one z and means that vary slowly in it; of several z, or means that turn within the kernel's width,
    it rejects a multiple of α. The permutations then reject less than α.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        z: what is conditioned on, [n] or [n, f], in comparable units: neighbours are by Euclidean distance.
        kernel_x: k, positive semi-definite; by default a Gaussian at x's own median bandwidth.
        kernel_y: likewise of y.
        kernel_z: of z, in the regression and in Ẍ; by default a Gaussian at *half* its median bandwidth, with which
            regressions of some curvature succeed.
        method: where p comes from.
        ridge: ε > 0, in the unit of the kernel of z, not multiplied by n.
        num_neighbours: k of permutations, below n.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        implementation: of sums over permuted Gram matrices, as in `permutation_test`.
        key: a JAX key, needed for permutations.

    Returns:
        A `TestResult` whose statistic is T. In double precision; time 10n³ + P n²/2 (gamma without the second term),
        memory n².

    Raises:
        TypeError: bad samples, kernels or key; traced arguments.
        ValueError: bad samples, a ridge that is not positive, another method; num_permutations or num_neighbours < 1, n
            not above num_neighbours, alpha outside (0, 1).
        ImportError: implementation="numba" without it.

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Zhang, Peters, Janzing and Schölkopf (2011), statistic and gamma law; Runge (2018).

    Example:
        >>> import jax, numpy as np
        >>> x, z, noise = np.random.default_rng(0).normal(size=(3, 150))
        >>> conditional_test(z + x, z + noise, z, key=jax.random.key(0)).p_value > 0.05
        True
        >>> conditional_test(x, x * z + noise, z, key=jax.random.key(0)).p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    num_neighbours = _check.as_count(num_neighbours, "num_neighbours")
    refuse_traced(x=x, y=y, z=z, kernel_x=kernel_x, kernel_y=kernel_y, kernel_z=kernel_z, ridge=ridge)
    if method not in ("permutation", "gamma"):
        raise ValueError(f"method is {method!r}: 'permutation' or 'gamma' is needed.")
    chosen(implementation)
    random = generator(key, "a permutation test") if method == "permutation" else None
    guard = _check.Guard()
    positive_ridge(ridge, guard)
    epsilon = float(ridge)
    kernels, samples = checked_triple((x, y, z), (kernel_x, kernel_y, kernel_z), guard)
    if kernel_z is None:
        kernels = (*kernels[:2], Gaussian(median_distance(samples[2]) / 2))
    n = len(samples[0])
    title = f"Kernel conditional independence test ({method})"
    settings: dict[str, Any] = {"ridge": epsilon}
    if random is not None:
        settings |= {"permutations": num_permutations, "neighbours": num_neighbours}
        if n <= num_neighbours:
            raise ValueError(f"num_neighbours is {num_neighbours}: n = {n} samples have too few neighbours.")
    if is_constant(x=samples[0], y=samples[1]):
        return TestResult(0.0, 1.0, title, n, alpha, settings)
    with jax.enable_x64(True):
        gram_x, gram_y, gram_z = (
            np.asarray(_gram(kernel, values.astype(jnp.float64)))
            for kernel, values in zip(kernels, samples, strict=True)
        )
    of_x, of_y = _centred(gram_x * gram_z), _centred(gram_y)
    residual = _residual(gram_z, epsilon)
    left_x = residual @ of_x @ residual
    if random is None:
        weights = left_x * (residual @ of_y @ residual) / n  # of the limit: its eigenvalues
        mean, variance = np.trace(weights), 2 * (weights**2).sum()
        statistic = float(weights.sum())
        scaled = max(statistic, 0) * mean / variance if variance > 0 else 0.0
        p_value = float(scipy.special.gammaincc(mean**2 / variance, scaled)) if variance > 0 else 1.0
        return TestResult(statistic, p_value, title, n, alpha, settings)
    warn_if_unreachable(1 / (1 + num_permutations), alpha, f"{num_permutations} permutations")
    # tr(R K̃_Ẍ R · R π(K̃_Y) R): all that a permutation moves is K̃_Y.
    against = residual @ left_x @ residual / n
    neighbours = nearest(np.asarray(samples[2], float), num_neighbours, random)
    (hub,) = exchanges(neighbours, 1, random)
    evaluate = functools.partial(_sums, against, of_y, implementation=implementation)
    (observed,) = evaluate(np.arange(n)[None])
    rounding = 8 * np.finfo(float).eps * np.linalg.norm(against) * np.linalg.norm(of_y)
    draw = in_parts(evaluate, lambda num, random: hub[exchanges(neighbours, num, random)], n)
    permuted = Permuted(float(observed), float(rounding), draw)
    null, p_value = sampled(permuted, num_permutations, random)
    return TestResult(permuted.observed, p_value, title, n, alpha, settings, null)


@eqx.filter_jit
def _gram(kernel: AbstractKernel, x: Float[Array, "n d"]) -> Float[Array, "n n"]:
    return dense_gram(kernel, x)


def _centred(gram: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    gram = gram - gram.mean(1, keepdims=True)
    return gram - gram.mean(0, keepdims=True)


def _residual(gram_z: Float[np.ndarray, "n n"], ridge: float) -> Float[np.ndarray, "n n"]:
    """R = ε(K̃_Z + εI)^{−1}, by Cholesky; ε at least K_Z's rounding."""
    ridge = max(ridge, 2 * float(np.finfo(float).eps) * float(np.trace(gram_z)))
    identity = np.eye(len(gram_z))
    shifted = _centred(gram_z) / ridge + identity
    inverse = scipy.linalg.solve((shifted + shifted.T) / 2, identity, assume_a="pos")
    return (inverse + inverse.T) / 2


def _sums(
    a: Float[np.ndarray, "n n"], b: Float[np.ndarray, "n n"], permutations: np.ndarray, implementation: Implementation
) -> Float[np.ndarray, " t"]:
    with jax.enable_x64(True):
        return permuted_sums(jnp.asarray(a)[None], jnp.asarray(b)[None], permutations.astype(np.int32), implementation)[
            :, 0, 0
        ]
