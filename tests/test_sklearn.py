"""scikit-learn's own checks of an estimator, and what the adapters compute."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest
from sklearn.utils.estimator_checks import parametrize_with_checks

from kerneldep.kernels import Gaussian
from kerneldep.sklearn import HSICLasso, NystromFeatures, RandomFourierFeatures, hsic_classif, hsic_regression

from .oracles import hsic as hsic_oracle
from .oracles import kernels as kernel_oracle

RNG = np.random.default_rng(0)


# Without the median, whose compilation for every shape would take longest.
FOURIER = RandomFourierFeatures(num_features=8, bandwidth=1.0)
NYSTROM = NystromFeatures(num_landmarks=8, bandwidth=2.0)


@parametrize_with_checks([FOURIER])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


@parametrize_with_checks([NYSTROM, HSICLasso(2), HSICLasso(2, task="classification")], legacy=False)
def test_scikit_learn_accepts_the_others(estimator, check):
    """Its checks of the interface; all of them below."""
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([RandomFourierFeatures(), NystromFeatures(), HSICLasso(), HSICLasso(task="classification")])
def test_scikit_learn_accepts_all(estimator, check):
    check(estimator)


# What they compute. One shape and one precision, to share compilations.

N, DIM = 40, 4
X = RNG.normal(size=(N, DIM))
X[:, 3] = X[:, 0]  # a copy
TARGET = np.cos(2 * X[:, 0]) + 0.5 * X[:, 2] ** 2
CLASSES = np.where(TARGET > 0.5, "high", "low")


def gram(x: np.ndarray) -> np.ndarray:
    """The oracle's Gaussian at the median bandwidth."""
    x = x.reshape(N, -1)
    return kernel_oracle.gram(partial(kernel_oracle.gaussian, bandwidth=kernel_oracle.median_bandwidth(x)), x, x)


GRAMS = [gram(column) for column in X.T]
LABELS = (CLASSES[:, None] == CLASSES).astype(float)


@pytest.mark.parametrize(
    ("score", "target", "gram_y"), [(hsic_regression, TARGET, gram(TARGET)), (hsic_classif, CLASSES, LABELS)]
)
def test_scores_are_alignments(score, target, gram_y):
    found = score(X, target)
    assert found.dtype == np.float64
    expected = [hsic_oracle.cka(k, gram_y, hsic_oracle.hsic_unbiased) for k in GRAMS]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    chosen = SelectKBest(score, k=3).fit(X, target)
    np.testing.assert_array_equal(chosen.scores_, found)
    np.testing.assert_array_equal(chosen.get_support(), found > found.min())
    assert found[3] == found[0]  # one by one, a copy is as good


def test_scores_by_random_features():
    options = {"num_features": 512, "random_state": 3}
    found = hsic_classif(X, CLASSES, **options)
    np.testing.assert_array_equal(hsic_classif(X, CLASSES, **options), found)
    np.testing.assert_allclose(found, hsic_classif(X, CLASSES), rtol=0, atol=0.1)
    assert np.abs(found - hsic_classif(X, CLASSES, **options | {"random_state": 4})).max() > 1e-4


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_hsic_lasso_is_the_minimum(task):
    """Karush, Kuhn and Tucker's conditions of the problem, written with whole Gram matrices."""
    target, gram_y = (TARGET, gram(TARGET)) if task == "regression" else (CLASSES, LABELS)
    lasso = HSICLasso(2, task=task).fit(X, target)
    h = hsic_oracle.centring(N)
    unit = [h @ k @ h for k in (*GRAMS, gram_y)]
    *features, whole = [k / np.linalg.norm(k) for k in unit]
    residual = whole - sum(a * k for a, k in zip(lasso.coef_, features, strict=True))
    slopes = np.array([(k * residual).sum() for k in features])  # −∂/∂α_a of the square
    active = lasso.coef_ > 0
    np.testing.assert_allclose(slopes[active], lasso.lambda_, rtol=1e-6)
    assert (slopes[~active] <= lasso.lambda_ * (1 + 1e-6)).all()
    assert (lasso.coef_ >= 0).all()
    assert active.sum() == 2
    assert not active[3]  # the copy
    np.testing.assert_array_equal(lasso.transform(X), X[:, active])
    np.testing.assert_allclose(lasso.relevance_, [(k * whole).sum() for k in features], rtol=1e-9)


def test_hsic_lasso_without_anything_to_select():
    """Constant features explain nothing, a constant target needs no explanation; a few more than there are, no harm."""
    x = np.column_stack([np.ones((N, 3)), X[:, 0]])
    lasso = HSICLasso(7).fit(x, TARGET)
    assert lasso.get_support().tolist() == [False, False, False, True]
    assert not HSICLasso(2).fit(X, np.ones(N)).get_support().any()


def test_fourier_features_approximate_the_kernel():
    """To within four deviations; the same as the library's own from the same key."""
    model = RandomFourierFeatures("laplace", num_features=2_000, random_state=0).fit(X + 1e6)
    phi = model.transform(X + 1e6)
    length = kernel_oracle.median_bandwidth(X)
    expected = kernel_oracle.gram(partial(kernel_oracle.laplace, length_scale=length), X, X)
    np.testing.assert_allclose(phi @ phi.T, expected, rtol=0, atol=4 / 1_000**0.5)
    np.testing.assert_allclose(model.kernel_.length_scale, length, rtol=1e-6)
    assert model.get_feature_names_out()[-1] == "randomfourierfeatures1999"
    again = RandomFourierFeatures("laplace", num_features=2_000, random_state=0).fit_transform(X + 1e6)
    np.testing.assert_array_equal(again, phi)


def test_nystrom_features_are_exact_at_all_samples():
    """A kernel of one's own too; with fewer landmarks, K̂ ⪯ K."""
    kernel, sampling = 0.5 * Gaussian(2.0), "uniform"
    expected = 0.5 * kernel_oracle.gram(partial(kernel_oracle.gaussian, bandwidth=2.0), X, X)
    all_of_them = NystromFeatures(kernel, num_landmarks=1_000, sampling=sampling, random_state=0).fit_transform(X)
    assert all_of_them.shape == (N, N)
    np.testing.assert_allclose(all_of_them @ all_of_them.T, expected, rtol=0, atol=1e-6)
    few = NystromFeatures(kernel, num_landmarks=10, sampling=sampling, random_state=0).fit_transform(X)
    missing = np.linalg.eigvalsh(expected - few @ few.T)
    assert missing.min() > -1e-9
    assert 1e-3 < missing.max() < np.linalg.eigvalsh(expected).max() / 2


def test_precision_is_that_of_the_samples():
    """Also of a map fitted in the other one."""
    model = RandomFourierFeatures(num_features=8, bandwidth=1.0, random_state=0)
    narrow, wide = model.fit(X.astype(np.float32)).transform(X.astype(np.float32)), model.fit(X).transform(X)
    assert (narrow.dtype, wide.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(narrow, wide, rtol=0, atol=1e-5)
    assert model.transform(X.astype(np.float32)).dtype == np.float32
    reference = model.feature_map_.frequencies @ (X - np.median(X, axis=0)).T
    np.testing.assert_allclose(wide[:, 0], np.cos(reference[0]) / 2, rtol=1e-12)


def test_bad_parameters(unhooked):
    for model, match in (
        (HSICLasso(0), "n_features_to_select is 0: an integer ≥ 1"),
        (HSICLasso(task="ranking"), "task is 'ranking': 'regression' or 'classification'"),
        (RandomFourierFeatures("sinc"), r"kernel is 'sinc': one of \['gaussian'"),
        (RandomFourierFeatures(bandwidth="mean"), "bandwidth is 'mean': a positive number or 'median'"),
        (RandomFourierFeatures(bandwidth=-1.0), "Gaussian.bandwidth must be positive"),
        (RandomFourierFeatures(num_features=7), "num_features is 7: a positive even integer"),
        (NystromFeatures(num_landmarks=0), "num_landmarks is 0: an integer ≥ 1"),
        (NystromFeatures(sampling="best"), "sampling is 'best'"),
    ):
        with pytest.raises(ValueError, match=match):
            model.fit(X, TARGET)


def test_without_scikit_learn_the_extra_is_named():
    hidden = "import sys; sys.modules['sklearn'] = None; import kerneldep; import kerneldep.sklearn"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'kerneldep[sklearn]'" in done.stderr.splitlines()[-1]
