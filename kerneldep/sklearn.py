"""scikit-learn adapters: scores for `SelectKBest`, HSIC Lasso, and feature maps as transformers.

- `hsic_regression`, `hsic_classif`: dependence of every feature on the target, like `mutual_info_regression`.
- `HSICLasso`: a selector that leaves redundant features out.
- `RandomFourierFeatures`, `NystromFeatures`: a kernel's features in front of a linear model.

Needs the extra `sklearn`; `import kerneldep` alone does not import this module. Input is NumPy, and computed in its own
precision: float64 in double whatever JAX's default.
"""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .dependence.exact import Unbiased
from .dependence.random_fourier import RandomFourier
from .dependence.ranking import column_alignment, hsic_ranking
from .features import AbstractFeatureMap, choose_landmarks, nystrom, random_fourier
from .kernels import AbstractKernel, Gaussian, InverseMultiquadric, Label, Laplace, Matern, median_bandwidth

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_selection import SelectorMixin
    from sklearn.linear_model import lars_path_gram
    from sklearn.utils import Tags, check_random_state, check_X_y
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("kerneldep.sklearn needs scikit-learn 1.6 or newer: pip install 'kerneldep[sklearn]'.") from error

__all__ = ["HSICLasso", "NystromFeatures", "RandomFourierFeatures", "hsic_classif", "hsic_regression"]

FLOATS: Any = [np.float64, np.float32]

KERNELS: dict[str, Callable[[Any], AbstractKernel]] = {
    "gaussian": Gaussian,
    "laplace": Laplace,
    "laplace_l1": lambda length: Laplace(length, "l1"),
    "matern": Matern,
    "inverse_multiquadric": InverseMultiquadric,
}
"""Kernels by name, of one length."""


def hsic_regression(X: Any, y: Any, *, num_features: int | None = None, random_state: Any = None) -> np.ndarray:
    """Dependence of a continuous target on every feature, for `SelectKBest` and its relatives.

    The unbiased CKA of each column of X with y under Gaussian kernels at their median bandwidths (see
    `kerneldep.dependence.hsic_ranking`); it may be slightly negative at independence.

    Args:
        X: n ≥ 4 samples, [n, d].
        y: target, [n].
        num_features: None for the exact estimate, in n²d time; D, a multiple of 4, for random features in nd·D².
        random_state: seed, generator or None; used with `num_features` only.

    Returns:
        Scores [d], 1 where x_a determines y by an isometry.

    Raises:
        TypeError, ValueError: as `hsic`, and what scikit-learn's `check_X_y` refuses.

    Example:
        >>> from sklearn.feature_selection import SelectKBest
        >>> X = np.random.default_rng(0).normal(size=(200, 5))
        >>> y = np.cos(2 * X[:, 1]) + X[:, 3] ** 2
        >>> SelectKBest(hsic_regression, k=2).fit(X, y).get_support(indices=True).tolist()
        [1, 3]
    """
    X, y = check_X_y(X, y, dtype=FLOATS, y_numeric=True)
    return _scores(X, y, None, num_features, random_state)


def hsic_classif(X: Any, y: Any, *, num_features: int | None = None, random_state: Any = None) -> np.ndarray:
    """Dependence of a class on every feature: as `hsic_regression`, with the label kernel on y.

    Args:
        X: n ≥ 4 samples, [n, d].
        y: classes, [n]; numbers or strings.
        num_features: as in `hsic_regression`.
        random_state: as in `hsic_regression`.

    Returns:
        Scores [d].
    """
    X, y = check_X_y(X, y, dtype=FLOATS)
    return _scores(X, _codes(y), Label(), num_features, random_state)


def _codes(y: Any) -> np.ndarray:
    check_classification_targets(y)
    return np.unique(y, return_inverse=True)[1]


def _scores(X: np.ndarray, y: Any, kernel_y: AbstractKernel | None, num_features: int | None, state: Any) -> np.ndarray:
    with jax.enable_x64(True):
        if num_features is None:
            return np.asarray(hsic_ranking(X, y, kernel_y=kernel_y, estimator=Unbiased()))
        estimator = RandomFourier(num_features=num_features, unbiased=True)
        return np.asarray(hsic_ranking(X, y, kernel_y=kernel_y, estimator=estimator, key=_key(state)))


def _key(random_state: Any) -> Any:
    return jax.random.key(int(check_random_state(random_state).randint(2**31 - 1)))


class HSICLasso(SelectorMixin, BaseEstimator):
    """Selects features that together explain the target's Gram matrix: nonlinear, and without redundant ones.

    min_{α ≥ 0} ½‖L̄ − Σ_a α_a K̄_a‖²_F + λ‖α‖₁ with centred Gram matrices of Frobenius norm 1, one a feature, and λ where
    the path of solutions first has `n_features_to_select` of them. Only the alignments of all pairs of features
    enter (`kerneldep.dependence.column_alignment`): time n²d²/2, memory nd + d². Solved by scikit-learn's LARS.

    Args:
        n_features_to_select: at most this many; fewer where more do not help at any λ.
        task: "regression" (Gaussian kernel on y) or "classification" (label kernel).

    Attributes:
        coef_: α [d].
        lambda_: λ.
        relevance_: CKA of each feature with y, [d].
        n_features_in_: d.

    Source: Yamada et al. (2014).

    Example:
        >>> X = np.random.default_rng(0).normal(size=(100, 4))
        >>> X = np.column_stack([X, X[:, 0]])  # the last a copy of the first
        >>> HSICLasso(2).fit(X, X[:, 0] ** 2 + X[:, 2]).get_support(indices=True).tolist()
        [0, 2]
    """

    # Parameters are checked in `fit`, as scikit-learn asks: annotations that are checked would be so in `__init__`.
    def __init__(self, n_features_to_select: Any = 10, *, task: Any = "regression") -> None:
        self.n_features_to_select = n_features_to_select
        self.task = task

    def fit(self, X: Any, y: Any) -> "HSICLasso":
        """Find the features.

        Args:
            X: n ≥ 2 samples, [n, d].
            y: target, [n].
        """
        if self.task not in ("regression", "classification"):
            raise ValueError(f"HSICLasso.task is {self.task!r}: 'regression' or 'classification'.")
        count = self.n_features_to_select
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"HSICLasso.n_features_to_select is {count!r}: an integer ≥ 1 is needed.")
        regression = self.task == "regression"
        X, y = validate_data(self, X, y, dtype=FLOATS, y_numeric=regression, ensure_min_samples=2)
        with jax.enable_x64(True):
            kernel_y = None if regression else Label()
            found = column_alignment(X, y if regression else _codes(y), kernel_y=kernel_y)
        gram, self.relevance_ = (np.asarray(array, np.float64) for array in found)
        # Constant features explain nothing; copies, to within rounding, no more than the first of them, and would make
        # LARS stop.
        copies = (np.triu(gram, 1) > 1 - 1e3 * np.finfo(X.dtype).eps).any(0)
        distinct = np.flatnonzero((np.diag(gram) > 0) & ~copies)
        self.coef_, self.lambda_ = np.zeros(X.shape[1]), 0.0
        if len(distinct) and self.relevance_.max() > 0:
            with warnings.catch_warnings():  # on nearly equal features, which it drops as it should
                warnings.simplefilter("ignore", ConvergenceWarning)
                lambdas, _, path = lars_path_gram(
                    self.relevance_[distinct],
                    gram[np.ix_(distinct, distinct)],
                    n_samples=1,
                    method="lasso",
                    positive=True,
                    max_iter=10 * int(count),
                )
            counts = (path > 0).sum(0)
            step = int(np.argmax(counts >= min(int(count), counts.max())))
            self.coef_[distinct], self.lambda_ = path[:, step], float(lambdas[step])
        return self

    def _get_support_mask(self) -> Any:
        check_is_fitted(self)
        return self.coef_ > 0

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class RandomFourierFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Random Fourier features φ(x) with φ(x)ᵀφ(x′) ≈ k(x, x′), of mean k(x, x′) (see `kerneldep.features`).

    Args:
        kernel: "gaussian", "laplace", "laplace_l1", "matern" (of smoothness 5/2), "inverse_multiquadric", or a kernel
            from `kerneldep.kernels` with random features, whose own lengths then hold.
        bandwidth: the named kernel's length, or "median", the median distance of the samples it is fitted to.
        num_features: D, even.
        orthogonal: orthogonal frequencies, of lower variance.
        random_state: seed, generator or None.

    Attributes:
        kernel_: the kernel.
        feature_map_: the map that was drawn.
        center_: taken from the samples first, which changes no kernel value (of a stationary kernel), only rounding.
        n_features_in_: d.

    Example:
        >>> from sklearn.linear_model import Ridge
        >>> from sklearn.pipeline import make_pipeline
        >>> X = np.linspace(0, 6, 100)[:, None]
        >>> model = make_pipeline(RandomFourierFeatures(num_features=64, random_state=0), Ridge(1e-3))
        >>> round(model.fit(X, np.sin(X[:, 0])).score(X, np.sin(X[:, 0])), 2)
        1.0
    """

    def __init__(
        self,
        kernel: Any = "gaussian",
        *,
        bandwidth: Any = "median",
        num_features: Any = 512,
        orthogonal: Any = False,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.num_features = num_features
        self.orthogonal = orthogonal
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "RandomFourierFeatures":
        """Draw the frequencies.

        Args:
            X: samples, [n, d].
            y: not used.
        """
        X = validate_data(self, X, dtype=FLOATS)
        with jax.enable_x64(True):
            self.kernel_ = _named_kernel(self.kernel, self.bandwidth, X)
            drawn = random_fourier(
                self.kernel_, X.shape[1], self.num_features, key=_key(self.random_state), orthogonal=self.orthogonal
            )
            self.center_ = _center(self.kernel_, X)
            _keep_map(self, drawn, X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """φ(X) [n, D], in X's precision."""
        return _transform(self, X)

    def __sklearn_tags__(self) -> Tags:
        return _float_tags(super().__sklearn_tags__())


class NystromFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Nyström features φ(x) with φ(x)ᵀφ(x′) ≈ k(x, x′), exact at the landmarks (see `kerneldep.features`).

    Args:
        kernel: a name as in `RandomFourierFeatures`, or any kernel from `kerneldep.kernels` or of your own.
        bandwidth: the named kernel's length, or "median", the median distance of the samples it is fitted to.
        num_landmarks: at most so many of the samples; all where there are fewer.
        sampling: "uniform", "leverage" or "kmeans++" (see `kerneldep.features.choose_landmarks`).
        random_state: seed, generator or None.

    Attributes:
        kernel_: the kernel.
        feature_map_: the map.
        center_: taken from the samples first, as in `RandomFourierFeatures`.
        n_features_in_: d.

    Example:
        >>> X = np.random.default_rng(0).normal(size=(50, 3))
        >>> phi = NystromFeatures(num_landmarks=50, random_state=0).fit(X)
        >>> bool(np.allclose(phi.transform(X) @ phi.transform(X).T, phi.kernel_.gram(X), atol=1e-5))
        True
    """

    def __init__(
        self,
        kernel: Any = "gaussian",
        *,
        bandwidth: Any = "median",
        num_landmarks: Any = 256,
        sampling: Any = "uniform",
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.num_landmarks = num_landmarks
        self.sampling = sampling
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "NystromFeatures":
        """Choose the landmarks.

        Args:
            X: samples, [n, d].
            y: not used.
        """
        X = validate_data(self, X, dtype=FLOATS)
        count = self.num_landmarks
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"NystromFeatures.num_landmarks is {count!r}: an integer ≥ 1 is needed.")
        with jax.enable_x64(True):
            self.kernel_ = _named_kernel(self.kernel, self.bandwidth, X)
            self.center_ = _center(self.kernel_, X)
            X = X - self.center_
            key = _key(self.random_state)
            landmarks = choose_landmarks(self.kernel_, X, min(int(count), len(X)), key=key, sampling=self.sampling)
            _keep_map(self, nystrom(self.kernel_, landmarks), X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """φ(X) [n, m], in X's precision."""
        return _transform(self, X)

    def __sklearn_tags__(self) -> Tags:
        return _float_tags(super().__sklearn_tags__())


def _named_kernel(kernel: Any, bandwidth: Any, X: np.ndarray) -> AbstractKernel:
    """A kernel by name, its length chosen; a kernel itself as it is."""
    if isinstance(kernel, AbstractKernel):
        return kernel
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}: one of {sorted(KERNELS)}, or a kernel from kerneldep.kernels.")
    if isinstance(bandwidth, str) and bandwidth != "median":
        raise ValueError(f"bandwidth is {bandwidth!r}: a positive number or 'median' is needed.")
    return KERNELS[kernel](median_bandwidth(X) if isinstance(bandwidth, str) else bandwidth)


def _center(kernel: AbstractKernel, X: np.ndarray) -> np.ndarray:
    """What is taken from samples so that an offset of theirs costs no digits; 0 where it would change the kernel."""
    strict = kernel.stationarity == "strict"
    return np.median(X, axis=0).astype(X.dtype) if strict else np.zeros(X.shape[1], X.dtype)


def _keep_map(estimator: Any, feature_map: AbstractFeatureMap, X: np.ndarray) -> None:
    """Keep map and kernel in the precision of X, as NumPy arrays: JAX ones are unpickled in its default precision."""

    def narrow(leaf: Any) -> Any:
        return np.asarray(leaf, X.dtype if eqx.is_inexact_array(leaf) else None) if eqx.is_array(leaf) else leaf

    estimator.feature_map_, estimator.kernel_ = jax.tree.map(narrow, (feature_map, estimator.kernel_))
    estimator._n_features_out = feature_map.num_features


@eqx.filter_jit
def _apply(feature_map: AbstractFeatureMap, x: Any) -> Any:
    return feature_map(x)


def _transform(estimator: Any, X: Any) -> np.ndarray:
    check_is_fitted(estimator)
    X = validate_data(estimator, X, dtype=FLOATS, reset=False)
    with jax.enable_x64(True):
        feature_map = jax.tree.map(
            lambda leaf: jnp.asarray(leaf) if eqx.is_array_like(leaf) else leaf, estimator.feature_map_
        )
        return np.asarray(_apply(feature_map, jnp.asarray(X - estimator.center_.astype(X.dtype))), X.dtype)


def _float_tags(tags: Tags) -> Tags:
    assert tags.transformer_tags is not None
    tags.transformer_tags.preserves_dtype = ["float64", "float32"]
    return tags
