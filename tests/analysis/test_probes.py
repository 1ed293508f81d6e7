import jax
import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from kerneldep.analysis import probes
from kerneldep.analysis.probes import fit_linear_probe, knn_accuracy, linear_accuracy, nearest_neighbours


def blobs(spread, n=150, seed=0):
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(3, 4)) * 3
    labels = random.integers(0, 3, n)
    return (centres[labels] + spread * random.normal(size=(n, 4))).astype(np.float32), labels


def test_separable_classes_are_all_found():
    train, test = blobs(0.1), blobs(0.1, seed=1)
    assert float(knn_accuracy(*train, *test, k=5)) == 1
    assert float(linear_accuracy(*train, *test)) == 1


@pytest.mark.parametrize(("k", "tile"), [(1, 1000), (7, 1000), (20, 64)])
def test_knn_agrees_with_scikit_learn(k, tile):
    (x, y), (x_test, y_test) = blobs(3.0), blobs(3.0, seed=1)
    expected = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(x, y).score(x_test, y_test)
    assert 0.4 < expected < 0.99
    assert float(knn_accuracy(x, y, x_test, y_test, k, tile=tile)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.07, 1e-2])
def test_weighted_knn_agrees_with_scikit_learn(temperature):
    (x, y), (x_test, y_test) = blobs(3.0), blobs(3.0, seed=1)
    model = KNeighborsClassifier(
        40, metric="cosine", algorithm="brute", weights=lambda distance: np.exp(-distance.astype(float) / temperature)
    )
    expected = model.fit(x, y).score(x_test, y_test)
    assert float(knn_accuracy(x, y, x_test, y_test, 40, temperature=temperature)) == pytest.approx(expected, abs=1e-6)
    unweighted = float(knn_accuracy(x, y, x_test, y_test, 40))
    several = nearest_neighbours(x, y, x_test, 60)
    assert several.accuracy(y_test, 40, temperature=temperature) == pytest.approx(expected, abs=1e-6)
    assert several.accuracy(y_test, 40) == unweighted
    assert float(knn_accuracy(x, y, x_test, y_test, 40, temperature=1e9)) == unweighted


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
def test_linear_agrees_with_scikit_learn(penalty):
    (x, y), (x_test, y_test) = blobs(3.0), blobs(3.0, seed=1)
    mean, deviation = x.mean(0), x.std(0)
    model = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-6, max_iter=1000).fit((x - mean) / deviation, y)
    expected = model.score((x_test - mean) / deviation, y_test)
    assert 0.4 < expected < 0.99
    assert float(linear_accuracy(x, y, x_test, y_test, penalties=(penalty,))) == pytest.approx(expected, abs=0.01)


def correlated(num_features, n=400, seed=0):
    """Features whose covariance has a condition number of 10⁴, as pixels do."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(np.random.default_rng(7).normal(size=(num_features, num_features)))[0]
    z = random.normal(size=(n, num_features))
    labels = np.argmax(z[:, -3:] + 0.1 * random.normal(size=(n, 3)), axis=1)  # of the directions that vary least
    return ((z * np.logspace(0, -2, num_features)) @ basis).astype(np.float32), labels


@pytest.mark.parametrize("largest", [0, 4096])
def test_linear_probe_of_correlated_features_is_at_the_minimum(largest, monkeypatch):
    monkeypatch.setattr(probes, "_LARGEST_CURVATURE", largest)  # without the preconditioner the same, in more steps
    (x, y), penalty = correlated(40), 1e-6
    probe = fit_linear_probe(x, y, penalties=(penalty,), max_iterations=60 if largest else 5000)
    z = np.asarray((x - probe.mean) * probe.scale, np.float64)

    def loss(w):
        logits = z @ w[:-1] + w[-1]
        return np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]) + penalty / 2 * np.sum(w[:-1] ** 2)

    model = LogisticRegression(C=1 / (penalty * len(x)), solver="newton-cg", tol=1e-9, max_iter=1000).fit(z, y)
    least = loss(np.vstack([model.coef_.T, model.intercept_]))
    assert least < 0.5 < loss(np.zeros_like(probe.weights))
    assert loss(probe.weights) == pytest.approx(least, rel=1e-3 if largest else 1e-2)


def test_linear_probe_in_float64():
    (x, y), (x_test, y_test) = blobs(3.0), blobs(3.0, seed=1)
    single = fit_linear_probe(x, y, penalties=(1e-2,))
    with jax.enable_x64(True):
        double = fit_linear_probe(x.astype(np.float64), y, penalties=(1e-2,))
        assert double.mean.dtype == np.float64
        np.testing.assert_allclose(double.weights, single.weights, atol=2e-3)
        assert float(double.accuracy(x_test.astype(np.float64), y_test)) > 0.4


def test_linear_probe_without_penalty_variation_or_many_points():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 30)).astype(np.float32), np.arange(12) % 3  # more features than points
    assert float(linear_accuracy(x, y, x, y, penalties=(0.0,))) == 1
    constant = np.ones((12, 2), np.float32)
    assert float(linear_accuracy(constant, y, constant, y, penalties=(0.0, 1e-3))) == pytest.approx(1 / 3)


def test_scale_and_constant_columns_do_not_matter_to_the_linear_probe():
    (x, y), (x_test, y_test) = blobs(3.0), blobs(3.0, seed=1)
    plain = float(linear_accuracy(x, y, x_test, y_test))
    wider = [np.column_stack([100 * z + 3, np.full(len(z), 5.0)]) for z in (x, x_test)]
    assert float(linear_accuracy(wider[0], y, wider[1], y_test)) == pytest.approx(plain, abs=0.02)


def test_wrong_input_is_explained():
    x, y = blobs(1.0)
    with pytest.raises(ValueError, match="k must be between 1 and the 150"):
        knn_accuracy(x, y, x, y, k=151)
    with pytest.raises(ValueError, match="temperature must be positive or None, got 0"):
        knn_accuracy(x, y, x, y, temperature=0.0)
    with pytest.raises(ValueError, match="k must be between 1 and the 5 neighbours found"):
        nearest_neighbours(x, y, x, 5).accuracy(y, 6)
    with pytest.raises(ValueError, match="test_labels must be 150 integers"):
        nearest_neighbours(x, y, x, 5).accuracy(y[:-1])
    with pytest.raises(ValueError, match="train_labels must be 150 integers"):
        knn_accuracy(x, y[:-1], x, y)
    with pytest.raises(ValueError, match="test_labels must count from 0"):
        linear_accuracy(x, y, x, y - 1)
    with pytest.raises(ValueError, match="columns"):
        linear_accuracy(x, y, x[:, :2], y)
    with pytest.raises(ValueError, match="penalties is empty"):
        linear_accuracy(x, y, x, y, penalties=())
