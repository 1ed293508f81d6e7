"""Probes of frozen representations: k nearest neighbours and a linear classifier.

Both return the accuracy on test features of a classifier that saw only the training features and labels, the usual
measures of what a self-supervised representation is good for.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Scalar

from .. import _check

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
_LARGEST_CURVATURE = 4096  # features up to which a matrix [d, d] is less than the iterations it saves


def knn_accuracy(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    k: int = 20,
    *,
    temperature: float | None = None,
    tile: int = 1000,
) -> Scalar:
    """Accuracy of a k-nearest-neighbour vote under cosine similarity.

    ŷ(x) = argmax_c Σ_{i ∈ N_k(x)} wᵢ 1[yᵢ = c], N_k(x) the k training points of largest cos∠(x, xᵢ), wᵢ = 1 or, with
    a temperature, e^{cos∠(x, xᵢ)/τ}. A tie goes to the smaller label. The features are used as they are, not centred.

    Args:
        train_features: [n, d].
        train_labels: Classes [n] as integers from 0.
        test_features: [m, d].
        test_labels: Classes [m].
        k: Number of neighbours, at most n.
        temperature: τ > 0 of the weights; None for a vote without weights.
        tile: Test points at a time: memory is n × tile similarities and m × k neighbours.

    Returns:
        The share of test points whose class is right.

    Raises:
        ValueError: If shapes disagree, a label is negative, k is not in 1..n or τ is not positive.

    Source:
        Wu et al. (2018), "Unsupervised feature learning via non-parametric instance discrimination", sec. 3.4, whose
        vote has τ = 0.07 and k = 200; without weights as scikit-learn's `KNeighborsClassifier`.

    Example:
        >>> x, y = np.eye(2), np.array([0, 1])
        >>> float(knn_accuracy(x, y, np.array([[2.0, 1.0], [1.0, 3.0]]), y, k=1))
        1.0
    """
    return nearest_neighbours(train_features, train_labels, test_features, k, tile=tile).accuracy(
        test_labels, temperature=temperature
    )


class Neighbours(NamedTuple):
    """The nearest training points of each test point, nearest first: their cosines and classes."""

    similarities: Float[Array, "m k"]
    classes: Int[Array, "m k"]

    def accuracy(self, test_labels: ArrayLike, k: int | None = None, *, temperature: float | None = None) -> Scalar:
        """The share of test points whose class is right by the vote of `knn_accuracy` among the first k (None: all)."""
        most = self.classes.shape[1]
        k = most if k is None else k
        if not 1 <= k <= most:
            raise ValueError(f"k must be between 1 and the {most} neighbours found, got {k}.")
        if temperature is not None and not temperature > 0:
            raise ValueError(f"temperature must be positive or None, got {temperature}.")
        labels = _classes(test_labels, len(self.classes), "test")
        sharpness = 0.0 if temperature is None else 1 / temperature
        num_classes = int(self.classes.max()) + 1
        return _vote_accuracy(self.similarities[:, :k], self.classes[:, :k], labels, sharpness, num_classes)


def nearest_neighbours(
    train_features: ArrayLike, train_labels: ArrayLike, test_features: ArrayLike, k: int, *, tile: int = 1000
) -> Neighbours:
    """The neighbours of `knn_accuracy`, found once, for several votes."""
    train, classes = _labelled(train_features, train_labels, "train")
    test = _check.as_samples(test_features, "test_features")
    _check_widths(train, test)
    if not 1 <= k <= len(train):
        raise ValueError(f"k must be between 1 and the {len(train)} training points, got {k}.")
    train, test = _unit(train), _unit(test)
    parts = [_nearest(train, test[i : i + tile], k) for i in range(0, len(test), tile)]
    similarities, rows = (jnp.concatenate(part) for part in zip(*parts, strict=True))
    return Neighbours(similarities, classes[rows])


@functools.partial(jax.jit, static_argnames="k")
def _nearest(
    train: Float[Array, "n d"], test: Float[Array, "t d"], k: int
) -> tuple[Float[Array, "t k"], Int[Array, "t k"]]:
    similarity = jnp.matmul(test, train.T, precision=jax.lax.Precision.HIGHEST)
    # Nothing may be fused into top_k, which on a CPU turns into a full sort then and takes 30 times as long.
    nearest, rows = jax.lax.optimization_barrier(jax.lax.top_k(similarity, k))
    return nearest, rows


@functools.partial(jax.jit, static_argnames="num_classes")
def _vote_accuracy(
    similarities: Float[Array, "m k"],
    classes: Int[Array, "m k"],
    labels: Int[Array, " m"],
    sharpness: float | Scalar,
    num_classes: int,
) -> Scalar:
    weights = jnp.exp(sharpness * (similarities - similarities[:, :1]))  # of the largest 1: no small τ overflows
    # Class by class: one array of votes [m, k, classes] might not fit.
    votes = jax.lax.map(lambda c: jnp.where(classes == c, weights, 0).sum(1), jnp.arange(num_classes))
    return (votes.argmax(0) == labels).mean()


def linear_accuracy(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    test_features: ArrayLike,
    test_labels: ArrayLike,
    *,
    penalties: tuple[float, ...] = PENALTIES,
    heldout: float = 0.2,
    max_iterations: int = 100,
) -> Scalar:
    """Accuracy of multinomial logistic regression on standardised features.

    min over W, b of (1/n) Σᵢ −log softmax(xᵢW + b)_{yᵢ} + (λ/2)‖W‖²_F, by full-batch L-BFGS, preconditioned with the
    Hessian at W = 0 so that correlated features (pixels) converge as well. Features are standardised with the training
    features' means and standard deviations. λ is the one of `penalties` with the highest accuracy on the last
    `heldout` share of the training points after fitting on the rest (the larger λ when equal); the classifier
    is then fitted again on all of them. Shuffle training points that come sorted.

    Args:
        train_features: [n, d].
        train_labels: Classes [n] as integers from 0.
        test_features: [m, d].
        test_labels: Classes [m].
        penalties: Values of λ to choose from; with one value nothing is held out.
        heldout: Share of the training points to choose λ by, in (0, 1).
        max_iterations: Limit of L-BFGS iterations of each fit.

    Returns:
        The share of test points whose class is right.

    Raises:
        ValueError: If shapes disagree, a label is negative or there are no penalties.

    Source:
        Linear evaluation as in Chen et al. (2020), "A simple framework for contrastive learning of visual
        representations", sec. 2; scikit-learn's `LogisticRegression` with C = 1/(λn) is the same classifier.

    Example:
        >>> x, y = np.array([[0.0], [1.0]]), np.array([0, 1])
        >>> float(linear_accuracy(x, y, np.array([[-1.0], [2.0]]), y, penalties=(0.1,)))
        1.0
    """
    probe = fit_linear_probe(
        train_features, train_labels, penalties=penalties, heldout=heldout, max_iterations=max_iterations
    )
    return probe.accuracy(test_features, test_labels)


class LinearProbe(NamedTuple):
    """A fitted classifier argmax_c [((x − mean)·scale)W + b]_c; the last row of `weights` is b."""

    mean: Float[Array, "1 d"]
    scale: Float[Array, "1 d"]
    weights: np.ndarray

    def accuracy(self, features: ArrayLike, labels: ArrayLike) -> Scalar:
        """The share of points [m, d] whose class is right."""
        x, classes = _labelled(features, labels, "test")
        _check_widths(self.mean, x)
        return jnp.asarray(_accuracy(self.weights, (x - self.mean) * self.scale, classes))


def fit_linear_probe(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    penalties: tuple[float, ...] = PENALTIES,
    heldout: float = 0.2,
    max_iterations: int = 100,
) -> LinearProbe:
    """The classifier of `linear_accuracy`, fitted once, for several test sets."""
    if not penalties:
        raise ValueError("penalties is empty: give at least one value.")
    train, classes = _labelled(features, labels, "train")
    mean, deviation = train.mean(0, keepdims=True), train.std(0, keepdims=True)
    # A constant feature is left at zero rather than divided by nothing.
    scale = jnp.where(deviation > 0, 1 / jnp.where(deviation > 0, deviation, 1), 0)
    train = (train - mean) * scale
    num_classes = int(classes.max()) + 1

    penalty = penalties[0]
    if len(penalties) > 1:
        cut = min(max(round(len(train) * (1 - heldout)), 1), len(train) - 1)
        problem = _logistic_problem(train[:cut], classes[:cut], num_classes)
        best, weights = -1.0, None
        for candidate in sorted(penalties, reverse=True):
            weights = _solve(problem, candidate, weights, max_iterations)  # from the last: the path is smooth in λ
            if (score := _accuracy(weights, train[cut:], classes[cut:])) > best:
                best, penalty = score, candidate
    problem = _logistic_problem(train, classes, num_classes)
    return LinearProbe(mean, scale, _solve(problem, penalty, None, max_iterations))


class _LogisticProblem(NamedTuple):
    """What all values of λ share."""

    x: Float[Array, "n d"]
    transposed: Float[Array, "d n"]
    labels: Int[Array, " n"]
    num_classes: int
    curvature: np.ndarray | None  # XᵀX/(nC) [d, d]: with λI the Hessian at W = 0, up to directions shared by classes


def _logistic_problem(x: Float[Array, "n d"], labels: Int[Array, " n"], num_classes: int) -> _LogisticProblem:
    transposed = jnp.array(x.T)  # a copy: XLA on a CPU is slow at a product that sums over rows
    curvature = None
    if x.shape[1] <= _LARGEST_CURVATURE:
        products = jnp.matmul(transposed, x, precision=jax.lax.Precision.HIGHEST)
        curvature = np.asarray(products, np.float64) / (len(x) * num_classes)
    return _LogisticProblem(x, transposed, labels, num_classes, curvature)


def _solve(problem: _LogisticProblem, penalty: float, start: np.ndarray | None, max_iterations: int) -> np.ndarray:
    """Weights [d + 1, classes], the intercepts in the last row, by L-BFGS.

    It runs in coordinates V, W = L⁻ᵀV with LLᵀ the curvature plus λI, in which the loss is nearly round: features that
    are correlated, as pixels are, otherwise cost hundreds of iterations.
    """
    from scipy.linalg import block_diag, cholesky, solve_triangular
    from scipy.optimize import minimize

    x, transposed, labels, num_classes, curvature = problem
    shape = (x.shape[1] + 1, num_classes)
    factor = None
    if curvature is not None:
        # More than the rounding of the products, which could make it indefinite; 1 if there is nothing else.
        ridge = (penalty + 1e-6 * np.trace(curvature)) or 1.0
        # The intercepts are not penalised; the features have mean 0.
        factor = cholesky(block_diag(curvature + ridge * np.eye(len(curvature)), 1 / num_classes), lower=True)

    def weights_of(flat: np.ndarray) -> np.ndarray:
        v = flat.reshape(shape)
        return v if factor is None else solve_triangular(factor, v, lower=True, trans=1)

    def coordinates_of(weights: np.ndarray) -> np.ndarray:
        return (weights if factor is None else factor.T @ weights).ravel()

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = jnp.asarray(weights_of(flat), x.dtype)
        value, gradient = _logistic_loss(weights, x, transposed, labels, penalty)
        slope = np.asarray(gradient, np.float64)
        return float(value), (slope if factor is None else solve_triangular(factor, slope, lower=True)).ravel()

    first = np.zeros(shape) if start is None else start
    options: dict[str, Any] = {"maxiter": max_iterations, "gtol": 1e-5, "ftol": 1e-9}
    solution = minimize(value_and_gradient, coordinates_of(first), jac=True, method="L-BFGS-B", options=options)
    return weights_of(np.asarray(solution.x))


@jax.jit
def _logistic_loss(
    weights: Float[Array, "e c"],
    x: Float[Array, "n d"],
    transposed: Float[Array, "d n"],
    labels: Int[Array, " n"],
    penalty: float | Scalar,
) -> tuple[Scalar, Float[Array, "e c"]]:
    """The loss of `linear_accuracy` and its gradient."""
    logits = _logits(weights, x)
    log_probabilities = jax.nn.log_softmax(logits, axis=1)
    right = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    residuals = (jnp.exp(log_probabilities) - right) / len(x)
    slope = jnp.matmul(transposed, residuals, precision=jax.lax.Precision.HIGHEST) + penalty * weights[:-1]
    value = 0.5 * penalty * (weights[:-1] ** 2).sum() - (log_probabilities * right).sum() / len(x)
    return value, jnp.concatenate([slope, residuals.sum(0, keepdims=True)])


def _accuracy(weights: np.ndarray, x: Float[Array, "n d"], labels: Int[Array, " n"]) -> float:
    return float((_logits(jnp.asarray(weights, x.dtype), x).argmax(1) == labels).mean())


def _logits(weights: Float[Array, "e c"], x: Float[Array, "n d"]) -> Float[Array, "n c"]:
    # In full float32 on a GPU too, whose shorter products would end L-BFGS early.
    return jnp.matmul(x, weights[:-1], precision=jax.lax.Precision.HIGHEST) + weights[-1:]


def _labelled(features: ArrayLike, labels: ArrayLike, split: str) -> tuple[Float[Array, "n d"], Int[Array, " n"]]:
    x = _check.as_samples(features, f"{split}_features")
    return x, _classes(labels, len(x), split)


def _classes(labels: ArrayLike, count: int, split: str) -> Int[Array, " n"]:
    classes = np.asarray(labels)
    if classes.shape != (count,) or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"{split}_labels must be {count} integers, got {classes.dtype} {classes.shape}.")
    if classes.min() < 0:
        raise ValueError(f"{split}_labels must count from 0, got {classes.min()}.")
    return jnp.asarray(classes, jnp.int32)


def _check_widths(train: Float[Array, "n d"], test: Float[Array, "m e"]) -> None:
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"Features have {train.shape[1]} columns in training and {test.shape[1]} in test.")


def _unit(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    norms = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.where(norms > 0, norms, 1)
