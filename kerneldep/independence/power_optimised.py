"""Tests with kernels, or a critic, that were trained for power on another part of the samples."""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar

from .. import _check
from .._check import ArrayLike
from ..dependence.estimator import AbstractEstimator
from ..dependence.tiled import side
from ..information.contrastive import infonce
from ..information.critics import AbstractCritic, Separable, Standardised
from ..information.variational import nwj
from ..kernels import AbstractKernel, Gaussian, bandwidth_grid
from ..kernels.base import check_parameters
from ..kernels.tiles import center
from .arguments import as_level, generator, is_constant, refuse_traced, warn_if_unreachable
from .chosen import Chosen
from .gram_sums import Implementation, centred_gram, chosen
from .permutation import permutation_test
from .permutations import Uniform
from .permuted import Permuted, sampled, under
from .result import TestResult
from .training import JUDGED, default_optimiser, judged, maximise, num_trained

Objective = Literal["hsic", "infonce", "nwj"]

LEAST = 8
"""Fewest samples in each part."""

SCORES = 2**20
"""Scores of pairs that are held at once."""

REGULARISER = 1e-4
"""λ."""


def power_optimised_test(
    x: ArrayLike,
    y: ArrayLike,
    kernel_x: AbstractKernel | None = None,
    kernel_y: AbstractKernel | None = None,
    *,
    objective: Objective = "hsic",
    critic: AbstractCritic | None = None,
    train_share: float = 0.5,
    validation: float | None = None,
    num_steps: int = 200,
    learning_rate: float | None = None,
    batch_size: int = 256,
    optimiser: Any = None,
    estimator: AbstractEstimator | None = None,
    num_permutations: int = 1000,
    alpha: float = 0.05,
    implementation: Implementation = "auto",
    key: Key[Array, ""],
) -> TestResult:
    """Tests whether x and y are independent with kernels, or a critic, that a part of the samples chose.

    On that part the objective is maximised; on the rest, untouched until then, a permutation test is run with what came
    out. Its level is exact whatever training does.

    - "hsic": J = HSIC_u/√(σ̂² + λ²) with σ̂²/n the estimated variance of HSIC_u (see `hsic_variance`), over the
      parameters of both kernels: where samples are many and dependent, the test's power is a rising function of √n J.
      J = HSIC_u/σ̂ is ½ (n − 1)/(n − 2) · mean(r)/sd(r) with r the row sums of A∘B, A and B the U-centred Gram matrices
      [kerneldep's form of Song et al.'s variance]; λ = 10⁻⁴ in units of the kernels.
    - "infonce", "nwj": the bound on I(X; Y), over a critic f. The test's statistic is then the mean score
      Σ f(x_i, y_i)/n: all else in both bounds stays as it is when y is permuted, where they are taken over all pairs of
      the samples tested, the true ones included, so that p is that of such a bound. (`kerneldep.information.nwj` leaves
      the true ones out of its second term.)

    Both learn a similarity of x and y and differ in what they hold against its spread; this is to compare them.

    Args:
        x: n samples, [n] or [n, d].
        y: their partners, [n] or [n, e].
        kernel_x: k at the start, for "hsic". Positive parameters (bandwidths, `AutomaticRelevance`'s length scales,
            factors) are trained as logarithms, with `Deep` the network's weights too. By default a Gaussian: the start
            is then the best of the 5 (both: 25) bandwidths of `bandwidth_grid`.
        kernel_y: l, likewise.
        objective: "hsic", "infonce" or "nwj".
        critic: f at the start, for the others; by default `Separable` on standardised columns.
        train_share: share of the samples to train on; they are drawn at random.
        validation: share of these by which the model is judged ten times in training, and the best kept; by default 0
            (judged by those it was trained on) up to a tenth as many numbers to train as samples, else 0.2 and at least
            8 samples.
        num_steps: training steps; 0 chooses the start alone.
        learning_rate: of Adam at first, falling to 0 along half a cosine; by default 0.05 where all that is trained is
            logarithms, else 0.001.
        batch_size: samples a step, all if there are no more. J of a batch stands for J of all: it does not depend on n
            but for noise.
        optimiser: another optax optimiser in Adam's place.
        estimator: of HSIC in the test; by default `Unbiased()`. For n in the tens of thousands one linear in n.
        num_permutations: P.
        alpha: the level that `result.rejected` is about.
        implementation: as in `permutation_test`.
        key: a JAX key: the split, the batches, the default critic, the permutations.

    Returns:
        A `TestResult` of the n − n_train samples tested, `n` being these. `settings["chosen"]` holds the kernels or
        the critic (`.parts`), `settings["objective at the start"]` and `["objective kept"]` its values on the samples
        it is judged by (at most 500). A value that is not finite ends training; the best so far is used. Time
        num_steps · batch² for training and then that of `permutation_test`; for critics n² scores.

    Raises:
        TypeError: bad samples, kernels, critic, optimiser or key; traced arguments.
        ValueError: bad samples; fewer than 8 to train, to judge by or to test; an unknown objective, kernels or an
            estimator for a critic's objective or a critic for "hsic"; nothing to train; numbers out of range.
        ImportError: training without optax.

    Warns:
        UserWarning: x or y is constant (p = 1); no p-value can be as small as alpha.

    Source: Jitkrittum, Szabó and Gretton (2017) for a split to optimise power; Xu, Liu and Sutherland (2026) for
        deep kernels in HSIC's power, critics trained by both bounds, and their link. λ² is what their code adds to the
        variance; networks, optimiser and early stopping here are not theirs.

    Example:
        >>> import jax, numpy as np
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 400))
        >>> result = power_optimised_test(x, np.sin(8 * x) + 0.3 * noise, num_steps=50, key=jax.random.key(0))
        >>> result.p_value < 0.01
        True
    """
    alpha, num_permutations = as_level(alpha), _check.as_count(num_permutations, "num_permutations")
    num_steps, batch_size = _check.as_count(num_steps, "num_steps", 0), _check.as_count(batch_size, "batch_size", LEAST)
    _check_parts(objective, kernel_x, kernel_y, critic, estimator, optimiser)
    refuse_traced(x=x, y=y, kernel_x=kernel_x, kernel_y=kernel_y, critic=critic, key=key)
    chosen(implementation)
    key_split, key_model, key_test = jax.random.split(_check.random_key(key, "a power-optimised test"), 3)
    random = generator(key_split, "a power-optimised test")
    guard = _check.Guard()
    x, origin_x = _as_samples(x, "x", objective, kernel_x, critic, guard)
    y, origin_y = _as_samples(y, "y", objective, kernel_y, critic, guard)
    _check.same_length(x, y, 2 * LEAST, "a power-optimised test")
    num_train = _share_of(len(x), train_share, "train_share", "training and test")
    order = random.permutation(len(x))
    training, (x_test, y_test) = _taken(x, y, order[:num_train]), _taken(x, y, order[num_train:])
    settings: dict[str, Any] = {"permutations": num_permutations, "trained on": num_train}
    if is_constant(x=x, y=y):
        return TestResult(0.0, 1.0, METHODS[objective], len(x_test), alpha, settings)

    if objective == "hsic":
        model: Any = _best_start(kernel_x, kernel_y, *training)
    else:
        dims = x.shape[1], y.shape[1]
        model = Standardised(Separable(*dims, key=key_model), *training) if critic is None else critic
    logs, plain = num_trained(model)
    if num_steps and not logs + plain:
        raise ValueError(f"{Chosen(_parts(model))} has nothing to train: pass num_steps=0, or use permutation_test.")
    train, judge = _parted(*training, validation, logs + plain)
    rate = (1e-3 if plain else 0.05) if learning_rate is None else _check.as_positive(learning_rate, "learning_rate")
    if num_steps:
        optimiser = default_optimiser(rate, num_steps) if optimiser is None else optimiser
        trained = maximise(CRITERIA[objective], model, train, judge, optimiser, num_steps, batch_size, random)
        settings["objective at the start"], settings["objective kept"] = trained.first, trained.best
        model = trained.model

    if objective == "hsic":
        settings["chosen"] = Chosen(model)
        result = permutation_test(
            x_test,
            y_test,
            *model,
            estimator=estimator,
            num_permutations=num_permutations,
            alpha=alpha,
            implementation=implementation,
            key=key_test,
        )
        settings = {**result.settings, **settings}
        return dataclasses.replace(result, method=METHODS[objective], settings=settings)
    warn_if_unreachable(1 / (1 + num_permutations), alpha, f"{num_permutations} permutations")
    permuted = _permuted_scores(model, x_test, y_test)
    null, p_value = sampled(permuted, num_permutations, generator(key_test, "a power-optimised test"))
    settings["chosen"] = Chosen((model if critic is not None else _about(model, origin_x, origin_y),))
    settings = {"measure": "mean score", **settings}
    return TestResult(permuted.observed, p_value, METHODS[objective], len(x_test), alpha, settings, null)


def signal_to_noise(kernels: tuple[AbstractKernel, AbstractKernel], x: Array, y: Array) -> Scalar:
    """J = HSIC_u/√(σ̂² + λ²) from dense Gram matrices (see `power_optimised_test`); 0 for constant features."""
    of_x, of_y = (side(kernel, values).in_units() for kernel, values in zip(kernels, (x, y), strict=True))
    n = len(x)
    rows = (centred_gram(of_x, True) * centred_gram(of_y, True)).sum(1) / (n - 3)  # their mean is the U-statistic
    # 16 Var h₁, h₁(i) = [(n − 2) r_i + Σ r]/(2(n − 1)(n − 3)), since U-centred matrices have rows that sum to 0.
    variance = 4 * ((n - 2) / (n - 1)) ** 2 * rows.var()
    return rows.mean() / jnp.sqrt(variance + REGULARISER**2)


def _infonce(critic: Any, x: Array, y: Array) -> Scalar:
    return infonce(critic(x, y))


def _nwj(critic: Any, x: Array, y: Array) -> Scalar:
    return nwj(critic(x, y))


METHODS = {
    "hsic": "Permutation test of independence with kernels optimised for power",
    "infonce": "Permutation test of independence with a critic trained by InfoNCE",
    "nwj": "Permutation test of independence with a critic trained by NWJ",
}

CRITERIA = {"hsic": signal_to_noise, "infonce": _infonce, "nwj": _nwj}


def _best_start(
    kernel_x: AbstractKernel | None, kernel_y: AbstractKernel | None, x: Float[Array, "n d"], y: Float[Array, "n e"]
) -> tuple[AbstractKernel, AbstractKernel]:
    """The kernels given; in place of one that is not, the best Gaussian of the grid of bandwidths."""
    of_x, of_y = (
        [Gaussian(bandwidth) for bandwidth in np.asarray(bandwidth_grid(values))] if kernel is None else [kernel]
        for kernel, values in ((kernel_x, x), (kernel_y, y))
    )
    pairs = [(k, l) for k in of_x for l in of_y]
    if len(pairs) == 1:
        return pairs[0]
    values = [float(judged(signal_to_noise, pair, x[:JUDGED], y[:JUDGED])) for pair in pairs]
    return pairs[int(np.argmax(np.nan_to_num(values, nan=-np.inf)))]


def _parted(
    x: Float[Array, "n d"], y: Float[Array, "n e"], validation: float | None, num_trained: int
) -> tuple[Any, Any]:
    """Pairs to train on and pairs to judge by, apart or the same (see `power_optimised_test`)."""
    if validation is None:
        many = num_trained > len(x) // 10 and len(x) >= 2 * LEAST
        validation = max(0.2, LEAST / len(x)) if many else 0
    if not validation:
        return (x, y), (x, y)
    num = _share_of(len(x), validation, "validation", "training and judging")
    return _taken(x, y, slice(num, None)), _taken(x, y, slice(num))


def _permuted_scores(critic: Any, x: Float[Array, "n d"], y: Float[Array, "n e"]) -> Permuted:
    """The mean score of the pairs, and of x with y permuted."""
    n = len(x)

    def evaluate(some: Int[np.ndarray, "t n"]) -> np.ndarray:
        return np.asarray(_mean_scores(critic, x, y, jnp.asarray(some))[0]).astype(float)

    mean, square = _mean_scores(critic, x, y, jnp.arange(n)[None])
    observed, size = float(mean[0]), float(square) ** 0.5
    if not np.isfinite(observed):
        raise ValueError(f"critic gives a mean score of {observed}: a finite number is needed.")
    rounding = 8 * float(jnp.finfo(mean.dtype).eps) * size
    return Permuted(observed, rounding, under(Uniform(), evaluate, n))


@eqx.filter_jit
def _mean_scores(
    critic: Any, x: Float[Array, "n d"], y: Float[Array, "n e"], permutations: Int[Array, "t n"]
) -> tuple[Float[Array, " t"], Scalar]:
    """Σ_i f(x_i, y_π(i))/n for each permutation, and the mean square of all scores, some rows of scores at a time."""
    n = len(x)
    size = min(max(SCORES // n, 1), n)
    tiles = -(-n // size)

    def tile(start: Array) -> tuple[Array, Array]:
        rows = start + jnp.arange(size)
        inside, rows = rows < n, jnp.minimum(rows, n - 1)
        scores = critic(x[rows], y)
        picked = scores[jnp.arange(size)[None, :], permutations[:, rows]]
        squares = jnp.where(inside[:, None], scores**2, 0).sum()
        return jnp.where(inside[None, :], picked, 0).sum(1) / n, squares / n / n

    means, squares = jax.lax.map(tile, size * jnp.arange(tiles))
    return means.sum(0), squares.sum()


def _about(critic: Standardised, origin_x: Array, origin_y: Array) -> Standardised:
    """The critic of the samples as they are, of one of samples less their origins."""
    moments = critic.moments_x.about(origin_x), critic.moments_y.about(origin_y)
    return eqx.tree_at(lambda one: (one.moments_x, one.moments_y), critic, moments)


def _parts(model: Any) -> tuple[Any, ...]:
    return model if isinstance(model, tuple) else (model,)


def _check_parts(objective: Any, kernel_x: Any, kernel_y: Any, critic: Any, estimator: Any, optimiser: Any) -> None:
    if objective not in METHODS:
        raise ValueError(f"objective is {objective!r}: 'hsic', 'infonce' or 'nwj'.")
    if objective == "hsic" and critic is not None:
        raise ValueError("critic belongs to objective='infonce' or 'nwj'; 'hsic' trains kernel_x and kernel_y.")
    if objective != "hsic" and not (kernel_x is None and kernel_y is None and estimator is None):
        raise ValueError(f"objective={objective!r} trains a critic: it takes no kernels and no estimator of HSIC.")
    if not (critic is None or isinstance(critic, AbstractCritic)):
        raise TypeError(f"critic is {critic!r}: a critic from kerneldep.information is needed.")
    if not (estimator is None or isinstance(estimator, AbstractEstimator)):
        raise TypeError(f"estimator is {estimator!r}: an estimator such as Unbiased() is needed.")
    if not (optimiser is None or (callable(getattr(optimiser, "init", None)) and hasattr(optimiser, "update"))):
        raise TypeError(f"optimiser is {optimiser!r}: one of optax, such as optax.adam(1e-3), is needed.")


def _as_samples(
    values: ArrayLike,
    name: str,
    objective: str,
    kernel: AbstractKernel | None,
    critic: AbstractCritic | None,
    guard: _check.Guard,
) -> tuple[Float[Array, "n d"], Float[Array, "1 d"]]:
    """Checked samples; and what was taken from them for the default critic, which location does not matter to."""
    if kernel is not None:
        check_parameters(kernel, f"kernel_{name}", guard)
    centred = objective == "hsic" and (kernel is None or kernel.stationarity != "none")
    samples = _check.as_samples(values, name, guard, centred=centred)
    if objective == "hsic" or critic is not None:
        return samples, jnp.zeros_like(samples[:1])
    origin = center(samples)
    return _check.samples_about(values, name, origin), origin


def _share_of(num: int, share: Any, name: str, why: str) -> int:
    """So many of n samples, enough of both parts."""
    share = _check.as_number(share, name, lambda number: 0 < number < 1, "a share in (0, 1)")
    part = round(share * num)
    if min(part, num - part) < LEAST:
        raise ValueError(
            f"{name} is {share:g}: it parts {num} samples into {part} and {num - part}; {why} take {LEAST}."
        )
    return part


def _taken(x: Float[Array, "n d"], y: Float[Array, "n e"], index: Any) -> tuple[Array, Array]:
    return jnp.asarray(np.asarray(x)[index]), jnp.asarray(np.asarray(y)[index])
