"""The references checked against one another and against every number stated beside their formulas."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
from scipy import special

from . import hsic, infonce, kernels, ssl

STATED_KERNELS = {
    "gaussian": partial(kernels.gaussian, bandwidth=0.8),
    "laplace_l2": partial(kernels.laplace, length_scale=1.3),
    "laplace_l1": partial(kernels.laplace, length_scale=1.3, norm="l1"),
    "inverse_multiquadric": partial(kernels.inverse_multiquadric, scale=0.7),
    "rational_quadratic": partial(kernels.rational_quadratic, scale=1.1, exponent=1.7),
    "matern_1/2": partial(kernels.matern, length_scale=1.2, smoothness=0.5),
    "matern_3/2": partial(kernels.matern, length_scale=1.2, smoothness=1.5),
    "matern_5/2": partial(kernels.matern, length_scale=1.2, smoothness=2.5),
    "linear": kernels.linear,
    "polynomial": partial(kernels.polynomial, degree=3, scale=0.5, offset=1.0),
    "cosine": kernels.cosine,
    "label": partial(kernels.label, same=2.0, different=0.5),
    "distance": partial(kernels.distance, exponent=1.0),
    "distance_1.5": partial(kernels.distance, exponent=1.5),
}


def gram_pair(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian and IMQ Gram matrices of n dependent pairs."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    y = np.sin(x) + 0.5 * rng.normal(size=(n, 2))
    imq = partial(kernels.inverse_multiquadric, scale=1.0)
    return kernels.gram(partial(kernels.gaussian, bandwidth=1.0), x, x), kernels.gram(imq, y, y)


def unit_views(rng: np.random.Generator, m: int, b: int, d: int, spread: float = 0.5) -> np.ndarray:
    """Unit-norm views [m, b, d] scattered about one centre an image."""
    views = rng.normal(size=(1, b, d)) + spread * rng.normal(size=(m, b, d))
    return views / np.linalg.norm(views, axis=-1, keepdims=True)


# Kernels


@pytest.mark.parametrize("name", STATED_KERNELS)
def test_kernels_are_symmetric_and_positive_semi_definite(name):
    x = np.random.default_rng(0).normal(size=(12, 3))
    x[3] = x[2]
    gram = kernels.gram(STATED_KERNELS[name], x, x)
    assert gram == pytest.approx(gram.T, abs=1e-14)
    assert np.linalg.eigvalsh(gram).min() > -1e-12


def test_kernel_relations():
    x, y = np.array([0.3, -1.0]), np.array([1.1, 0.4])
    assert kernels.rational_quadratic(x, y, 0.7, 0.5) == pytest.approx(
        kernels.inverse_multiquadric(x, y, 0.7), rel=1e-14
    )
    assert kernels.matern(x, y, 0.7, 0.5) == pytest.approx(kernels.laplace(x, y, 0.7), rel=1e-14)
    assert kernels.cosine(x, np.zeros(2)) == 0.0
    assert kernels.distance(x, y, 2.0) == pytest.approx(kernels.linear(x, y), rel=1e-13)


@pytest.mark.parametrize(("smoothness", "rel"), [(0.5, 1e-12), (1.5, 1e-12), (2.5, 1e-12)])
def test_matern_is_the_bessel_form(smoothness, rel):
    r, length_scale = 0.9, 1.3
    t = math.sqrt(2 * smoothness) * r / length_scale
    bessel = 2 ** (1 - smoothness) / special.gamma(smoothness) * t**smoothness * special.kv(smoothness, t)
    assert kernels.matern(np.zeros(1), np.array([r]), length_scale, smoothness) == pytest.approx(bessel, rel=rel)


def test_label_kernel_is_positive_semi_definite_iff_stated():
    n = 5
    for same, different in [(1.0, 0.0), (2.0, 2.0), (1.0, -0.25), (1.0, -0.26), (0.9, 1.0), (5.0, -1.3), (5.0, -1.2)]:
        labels = np.arange(n)[:, None]
        smallest = np.linalg.eigvalsh(
            kernels.gram(partial(kernels.label, same=same, different=different), labels, labels)
        ).min()
        assert (smallest > -1e-12) == (same >= different and same + (n - 1) * different >= 0)


def test_median_bandwidth_and_its_fallbacks():
    assert kernels.median_bandwidth(np.array([[0.0], [1.0], [3.0]])) == 2.0
    mostly_zero = np.array([0.0] * 6 + [3.0, 5.0])[:, None]  # 15 of 28 distances are 0; the others sum to 6·3 + 6·5 + 2
    assert kernels.median_bandwidth(mostly_zero) == pytest.approx(50.0 / 13.0)
    assert kernels.median_bandwidth(np.zeros((4, 2))) == 1.0


def frequencies(name: str, rng: np.random.Generator, size: int, d: int) -> np.ndarray:
    """Draws [size, d] from the spectral measure stated for each kernel."""
    g = rng.normal(size=(size, d))
    student = lambda dof: g / np.sqrt(rng.chisquare(dof, size=(size, 1)) / dof)  # noqa: E731
    return {
        "gaussian": lambda: g / 0.8,
        "laplace_l2": lambda: student(1) / 1.3,
        "laplace_l1": lambda: rng.standard_cauchy(size=(size, d)) / 1.3,
        "inverse_multiquadric": lambda: rng.normal(size=(size, 1)) * g / 0.7,
        "rational_quadratic": lambda: np.sqrt(2 * rng.gamma(1.7, 1.0, size=(size, 1))) / 1.1 * g,
        "matern_1/2": lambda: student(1) / 1.2,
        "matern_3/2": lambda: student(3) / 1.2,
        "matern_5/2": lambda: student(5) / 1.2,
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "gaussian",
        "laplace_l2",
        "laplace_l1",
        "inverse_multiquadric",
        "rational_quadratic",
        "matern_1/2",
        "matern_3/2",
        "matern_5/2",
    ],
)
def test_mean_cosine_of_the_stated_frequencies_is_the_kernel(name):
    rng = np.random.default_rng(7)
    omega = frequencies(name, rng, 200_000, 3)
    for delta in (np.array([0.3, -0.2, 0.1]), np.array([0.9, 0.4, -0.7]), np.array([0.0, 2.0, 0.0])):
        cosines = np.cos(omega @ delta)
        error = cosines.mean() - STATED_KERNELS[name](delta, np.zeros(3))
        assert abs(error) < 4.5 * cosines.std() / math.sqrt(len(cosines))


# HSIC


@pytest.mark.parametrize("n", [4, 6, 7, 8])
def test_unbiased_formula_is_the_enumerated_u_statistic(n):
    k, l = gram_pair(n, n)
    value = hsic.hsic_unbiased(k, l)
    assert value == pytest.approx(hsic.hsic_unbiased_enumerated(k, l), rel=1e-11, abs=1e-14)
    assert value == pytest.approx(hsic.hsic_core_enumerated(k, l), rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_biased_trace_is_the_three_expectations(n):
    k, l = gram_pair(n, n)
    assert hsic.hsic_biased(k, l) == pytest.approx(hsic.hsic_biased_loops(k, l), rel=1e-11)


def test_population_hsic_from_a_table():
    rng = np.random.default_rng(3)
    k, l = gram_pair(3, 4)
    table = rng.dirichlet(np.ones(12)).reshape(4, 3)
    value = hsic.hsic_population(table, k, l[:3, :3])
    assert value == pytest.approx(hsic.hsic_as_mmd(table, k, l[:3, :3]), rel=1e-11)
    assert hsic.hsic_population(np.diag(np.full(4, 0.25)), k, l) == pytest.approx(hsic.hsic_biased(k, l), rel=1e-12)
    independent = np.outer(table.sum(axis=1), table.sum(axis=0))
    assert hsic.hsic_population(independent, k, l[:3, :3]) == pytest.approx(0.0, abs=1e-15)


def test_unbiased_estimate_has_the_population_value_as_its_mean():
    k, l = gram_pair(4, 3)
    atoms = [(0, 0, 0.4), (1, 1, 0.3), (2, 0, 0.1), (1, 2, 0.2)]
    table = np.zeros((3, 3))
    for x, y, p in atoms:
        table[x, y] = p
    mean_u = mean_v = 0.0
    for sample in itertools.product(atoms, repeat=5):
        xs, ys = [s[0] for s in sample], [s[1] for s in sample]
        weight = math.prod(s[2] for s in sample)
        mean_u += weight * hsic.hsic_unbiased(k[np.ix_(xs, xs)], l[np.ix_(ys, ys)])
        mean_v += weight * hsic.hsic_biased(k[np.ix_(xs, xs)], l[np.ix_(ys, ys)])
    population = hsic.hsic_population(table, k, l)
    assert mean_u == pytest.approx(population, rel=1e-11)
    assert abs(mean_v - population) > 0.1 * population


def test_unbiased_estimate_ignores_row_and_column_offsets_off_the_diagonal():
    rng = np.random.default_rng(5)
    k, l = gram_pair(5, 10)
    u, diagonal = rng.normal(size=10), np.diag(rng.normal(size=10))
    moved = k + 3.0 + u[:, None] + u[None, :] + diagonal
    assert hsic.hsic_unbiased(moved, l) == pytest.approx(hsic.hsic_unbiased(k, l), abs=1e-14)


@pytest.mark.parametrize(
    ("value", "gradient"),
    [(hsic.hsic_biased, hsic.hsic_biased_gradient), (hsic.hsic_unbiased, hsic.hsic_unbiased_gradient)],
)
def test_gradient_is_the_central_difference(value, gradient):
    n = 6
    k, l = gram_pair(6, n)
    expected = np.empty((n, n))
    for i, j in itertools.product(range(n), range(n)):
        step = np.zeros((n, n))
        step[i, j] += 0.5
        step[j, i] += 0.5
        expected[i, j] = (value(k + step, l) - value(k - step, l)) / 2.0
    assert gradient(k, l) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.7])
def test_distance_covariance_is_four_times_hsic(exponent):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(9, 2))
    y = x**2 + 0.3 * rng.normal(size=(9, 2))
    power = lambda a, b: kernels.l2(a, b) ** exponent  # noqa: E731
    d_x, d_y = kernels.gram(power, x, x), kernels.gram(power, y, y)
    kernel = partial(kernels.distance, exponent=exponent)
    k, l = kernels.gram(kernel, x, x), kernels.gram(kernel, y, y)
    assert hsic.distance_covariance_squared_biased(d_x, d_y) == pytest.approx(4 * hsic.hsic_biased(k, l), rel=1e-11)
    assert hsic.distance_covariance_squared_unbiased(d_x, d_y) == pytest.approx(4 * hsic.hsic_unbiased(k, l), rel=1e-11)


def test_cka_mmd_and_blocks():
    k, l = gram_pair(9, 12)
    assert hsic.cka(k, 3.0 * k + 1.0, hsic.hsic_biased) == pytest.approx(1.0)
    assert 0.0 < hsic.cka(k, l, hsic.hsic_biased) < 1.0
    assert hsic.hsic_block(k, l, 12) == pytest.approx(hsic.hsic_unbiased(k, l))
    k_xx, k_xy, k_yy = k[:5, :5], k[:5, 5:], k[5:, 5:]
    p, q = np.repeat([1 / 5, 0.0], [5, 7]), np.repeat([0.0, 1 / 7], [5, 7])
    assert hsic.mmd_squared_biased(k_xx, k_xy, k_yy) == pytest.approx(hsic.mmd_squared_population(p, q, k), rel=1e-12)
    assert hsic.mmd_squared_unbiased(k_xx, k_xy, k_yy) < hsic.mmd_squared_biased(k_xx, k_xy, k_yy)


def test_explicit_features_give_the_biased_value():
    rng = np.random.default_rng(10)
    phi_x, phi_y = rng.normal(size=(8, 3)), rng.normal(size=(8, 4))
    by_features = np.linalg.norm(phi_x.T @ hsic.centring(8) @ phi_y) ** 2 / 64
    assert by_features == pytest.approx(hsic.hsic_biased(phi_x @ phi_x.T, phi_y @ phi_y.T), rel=1e-12)


def test_two_feature_draws_are_unbiased_and_one_is_not():
    rng = np.random.default_rng(11)
    z = unit_views(rng, 2, 12, 4).reshape(24, 4)
    gram = kernels.gram(partial(kernels.gaussian, bandwidth=0.5), z, z)
    exact, h, repeats = hsic.hsic_biased(gram, gram), hsic.centring(24), 1500
    bias = {}
    for num_features in (32, 512):
        one, two = [], []
        for _ in range(repeats if num_features == 32 else repeats // 10):
            draws = []
            for _ in range(2):
                angle = z @ rng.normal(size=(4, num_features // 2)) / 0.5
                draws.append(np.hstack([np.cos(angle), np.sin(angle)]) * math.sqrt(2 / num_features))
            one.append(np.linalg.norm(draws[0].T @ h @ draws[0]) ** 2 / 24**2)
            two.append(np.linalg.norm(draws[0].T @ h @ draws[1]) ** 2 / 24**2)
        assert abs(np.mean(two) - exact) < 4.5 * np.std(two) / math.sqrt(len(two))
        bias[num_features] = np.mean(one) / exact - 1
    assert bias[32] > 0.3
    assert bias[32] / bias[512] == pytest.approx(16.0, rel=0.25)


# Self-supervised learning as dependence


POPULATIONS = [(2, 2, 3, 0), (3, 4, 2, 1), (2, 6, 5, 2), (4, 3, 3, 3)]
SSL_KERNELS = {
    "gaussian": STATED_KERNELS["gaussian"],
    "inverse_multiquadric": STATED_KERNELS["inverse_multiquadric"],
    "cosine": kernels.cosine,
    "polynomial": STATED_KERNELS["polynomial"],
}


@pytest.mark.parametrize("name", SSL_KERNELS)
@pytest.mark.parametrize(("m", "b", "d", "seed"), POPULATIONS)
def test_closed_form_mmd_and_clustering_views(name, m, b, d, seed):
    views = unit_views(np.random.default_rng(seed), m, b, d)
    gram = ssl.view_gram(views, SSL_KERNELS[name])
    dep = ssl.dep_population(gram)
    e_pos, e_off = ssl.positive_mean(gram, include_self=True), ssl.off_mean(gram)

    # P1: HSIC(Z,Y) = (Δl/N)·dep, from the joint table of points and images, for any l₁ and l₀.
    points, identity = ssl.flatten_views(views)
    assert kernels.gram(SSL_KERNELS[name], points, points) == pytest.approx(gram.reshape(m * b, m * b))
    table = np.zeros((m * b, b))
    table[np.arange(m * b), identity] = 1 / (m * b)
    same, different = 1.7, 0.4
    l = kernels.gram(
        partial(kernels.label, same=same, different=different), np.arange(b)[:, None], np.arange(b)[:, None]
    )
    population = hsic.hsic_population(table, gram.reshape(m * b, m * b), l)
    assert population == pytest.approx((same - different) / b * dep, rel=1e-10, abs=1e-15)
    assert ssl.plug_in(gram, same, different) == pytest.approx(population, rel=1e-10, abs=1e-15)
    assert dep == pytest.approx((1 - 1 / b) * (e_pos - e_off), rel=1e-10, abs=1e-14)

    # P2: the plug-in with Δl = 1 by sums.
    same_sum = sum(gram[:, i, :, i].sum() for i in range(b))
    assert ssl.plug_in(gram) == pytest.approx((same_sum / (b * m**2) - gram.sum() / (b * m) ** 2) / b, rel=1e-10)

    # P4: mean over images of MMD²(P_image, P_all), and the mean over pairs of images.
    k = gram.reshape(m * b, m * b)
    laws = [table[:, i] * b for i in range(b)]
    everything = np.full(m * b, 1 / (m * b))
    to_all = [hsic.mmd_squared_population(law, everything, k) for law in laws]
    pairs = [hsic.mmd_squared_population(p, q, k) for p in laws for q in laws]
    assert np.mean(to_all) == pytest.approx(dep, rel=1e-10, abs=1e-14)
    assert sum(pairs) / (2 * b**2) == pytest.approx(dep, rel=1e-10, abs=1e-14)

    # P5: total scatter = within-image scatter + dep, for k(z,z) = 1 (here in general: mean of k(z,z)).
    diagonal = np.mean(np.diag(k))
    assert diagonal - ssl.all_mean(gram) == pytest.approx((diagonal - e_pos) + dep, rel=1e-10)
    within = [
        0.5 * (gram[p, i, p, i] + gram[q, i, q, i] - 2 * gram[p, i, q, i])
        for i in range(b)
        for p in range(m)
        for q in range(m)
    ]
    assert diagonal - e_pos == pytest.approx(np.mean(within), rel=1e-10)


def batches(gram: np.ndarray, b: int, m: int, image_replacement: bool = False, view_replacement: bool = True):
    """Gram arrays of every equally likely batch of b images with m views from a population's Gram array."""
    v, n = gram.shape[:2]
    images = itertools.product(range(n), repeat=b) if image_replacement else itertools.permutations(range(n), b)
    of_image = list(itertools.product(range(v), repeat=m) if view_replacement else itertools.permutations(range(v), m))
    for chosen in images:
        for views in itertools.product(of_image, repeat=b):
            index = [(views[i][p], chosen[i]) for p in range(m) for i in range(b)]
            rows, columns = np.array([p for p, _ in index]), np.array([i for _, i in index])
            block = gram[rows[:, None], columns[:, None], rows[None, :], columns[None, :]]
            yield block.reshape(m, b, m, b)


@pytest.fixture(scope="module", params=[(4, 2, 2, 2), (3, 3, 2, 2), (3, 2, 2, 3), (3, 2, 3, 2)], ids="NVBM={}".format)
def population(request):
    """A population of N images with V equally likely views each, and a batch size B, M small enough to enumerate."""
    n, v, b, m = request.param
    gram = ssl.view_gram(unit_views(np.random.default_rng(n + 10 * v), v, n, 3), STATED_KERNELS["inverse_multiquadric"])
    return gram, n, b, m


def test_paper_estimator_has_its_stated_mean(population):
    gram, _, b, m = population
    e_pos, e_off = ssl.positive_mean(gram, include_self=True), ssl.off_mean(gram)
    mean = np.mean([ssl.dep_paper(batch) for batch in batches(gram, b, m)])
    assert mean == pytest.approx(ssl.dep_paper_mean(e_pos, e_off, b, m), rel=1e-11)


def test_unbiased_estimator_has_the_population_value_as_its_mean(population):
    gram, n, b, m = population
    dep = ssl.dep_population(gram)
    e_pos, e_off = ssl.positive_mean(gram, include_self=True), ssl.off_mean(gram)
    everything = list(batches(gram, b, m))
    assert np.mean([ssl.dep_unbiased(batch, n) for batch in everything]) == pytest.approx(dep, rel=1e-11)
    assert np.mean([ssl.dep_unbiased(batch, math.inf) for batch in everything]) == pytest.approx(
        e_pos - e_off, rel=1e-11
    )
    assert abs(np.mean([ssl.dep_paper(batch) for batch in everything]) - dep) > 0.005
    assert abs(np.mean([ssl.dep_population(batch) for batch in everything]) - dep) > 0.005


def test_what_the_unbiased_estimator_needs():
    gram = ssl.view_gram(unit_views(np.random.default_rng(20), 2, 3, 3), STATED_KERNELS["inverse_multiquadric"])
    dep = ssl.dep_population(gram)
    # Images drawn with replacement, every slot counted as its own image: the form for N = ∞ is the unbiased one.
    repeated = list(batches(gram, 2, 2, image_replacement=True))
    assert np.mean([ssl.dep_unbiased(batch, math.inf) for batch in repeated]) == pytest.approx(dep, rel=1e-11)
    assert abs(np.mean([ssl.dep_unbiased(batch, 3) for batch in repeated]) - dep) > 0.01
    # Distinct views of an image: the mean has E_pos over p ≠ q, not the population's.
    distinct = list(batches(gram, 2, 2, view_replacement=False))
    e_pos, e_off = ssl.positive_mean(gram, include_self=False), ssl.off_mean(gram)
    mean = np.mean([ssl.dep_unbiased(batch, 3) for batch in distinct])
    assert mean == pytest.approx((1 - 1 / 3) * (e_pos - e_off), rel=1e-11)
    assert abs(mean - dep) > 0.01


def test_dep_is_linear_in_the_batch_with_explicit_features():
    views = unit_views(np.random.default_rng(21), 3, 4, 5)
    gram = ssl.view_gram(views, kernels.linear)
    same = sum(np.linalg.norm(views[:, i].sum(axis=0)) ** 2 for i in range(4))
    total = np.linalg.norm(views.sum(axis=(0, 1))) ** 2
    assert ssl.dep_population(gram) == pytest.approx(same / (4 * 9) - total / 144, rel=1e-11)
    assert ssl.dep_paper(gram) == pytest.approx(same / (4 * 3 * 2) - total / 144 - 1 / 2, rel=1e-10)


def codes_loss(c: int, gamma: float) -> tuple[float, float, float]:
    """(dep, HSIC(Z,Z), loss) of two equal views of C orthogonal codes with the linear kernel."""
    gram = np.broadcast_to(np.eye(c)[None, :, None, :], (2, c, 2, c))
    dep, zz = ssl.dep_population(gram), ssl.self_hsic(gram)
    return dep, zz, ssl.ssl_hsic_loss(dep, zz, gamma)


def test_orthogonal_codes_and_the_regulariser():
    for c, stated, tolerance in [(2, 1.0, 1e-12), (8, 0.12, 0.005), (16, -0.21, 0.005)]:
        dep, zz, loss = codes_loss(c, 3.0)
        assert dep == pytest.approx(1 - 1 / c, rel=1e-12)
        assert zz == pytest.approx((1 - 1 / c) / c, rel=1e-10)
        assert loss == pytest.approx(stated, abs=tolerance)
    # 1,024 codes from the closed forms just checked: loops would take 4 million entries.
    assert ssl.ssl_hsic_loss(1 - 1 / 1024, (1 - 1 / 1024) / 1024, 3.0) == pytest.approx(-0.905, abs=5e-4)
    for gamma in (0.5, 1.0, 2.0, 3.0):
        for c in range(2, 15):
            loss = codes_loss(c, gamma)[2]
            assert (loss < -1e-12) == (c > 1 + gamma**2)
    assert ssl.ssl_hsic_loss(
        *(f(np.ones((2, 5, 2, 5))) for f in (ssl.dep_population, ssl.self_hsic)), 3.0
    ) == pytest.approx(0.0, abs=1e-7)


def test_same_information_different_dependence():
    stated = {
        0: (0.146, 5e-4),
        1: (0.057, 5e-4),
        2: (0.033, 5e-4),
        4: (0.017, 5e-4),
        8: (0.0082, 5e-5),
        16: (0.0039, 5e-5),  # .003947
        32: (0.0019, 5e-5),
    }
    for m, (value, tolerance) in stated.items():
        views = np.stack([np.arange(0, 2 * m + 1, 2.0), np.arange(1, 2 * m + 2, 2.0)], axis=1)[:, :, None]
        gram = ssl.view_gram(views, partial(kernels.inverse_multiquadric, scale=1.0))
        assert ssl.dep_population(gram) == pytest.approx(value, abs=tolerance)


# InfoNCE


def flat_population(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cosine Gram matrix and identities of a random small population, in six shapes."""
    m, b = int(rng.integers(1, 4)), int(rng.integers(2, 4))
    views = unit_views(rng, m, b, int(rng.integers(1, 5)) + 1, spread=float(rng.choice([0.01, 0.5, 3.0])))
    points, identity = ssl.flatten_views(views)
    return points @ points.T, identity


def test_sandwich_decomposition_and_regularisers_on_a_thousand_populations():
    rng = np.random.default_rng(30)
    slack = 1 + 1e-13
    for _ in range(1000):
        k, identity = flat_population(rng)
        r = 10 ** rng.uniform(-8, math.log10(50))
        k = k * (r / infonce.range_of(k)) if rng.random() < 0.7 else rng.uniform(0, r, size=k.shape)
        k = (k + k.T) / 2
        gap, bounds = infonce.gap(k, identity), infonce.sandwich(k)
        assert gap == pytest.approx(infonce.mean_log_mean_exp_gap(k), rel=1e-12)  # I1
        assert gap >= 0.0
        e_var, zz = infonce.mean_variance(k), infonce.self_hsic(k)
        assert e_var == pytest.approx(zz + infonce.variance_of_mean(k), rel=1e-12)  # I3
        assert zz <= e_var * slack
        assert bounds["lower_hsic"] <= bounds["lower_variance"] * slack  # I4
        assert bounds["lower_variance"] <= gap * slack
        assert gap <= min(bounds["upper_log"], bounds["upper_hoeffding"]) * slack
        r = infonce.range_of(k)
        assert bounds["lower_hsic"] == pytest.approx(infonce.gamma_r(r) * zz, rel=1e-11)
        # R in float64 can differ from the exact range in its last place, and log(1 + βv) ≈ R/… multiplies it by R.
        assert bounds["upper_log"] == pytest.approx(math.log1p(infonce.beta(r) * e_var), rel=1e-11)
        assert bounds["upper_hoeffding"] == pytest.approx(r**2 / 8, rel=1e-14)


def test_the_inequalities_behind_the_sandwich():
    for r in (1e-3, 0.1, 1.0, 5.0, 30.0):
        a, b = infonce.alpha(r), infonce.beta(r)
        for t in np.linspace(-1.0, 1.0, 41):
            x = r * t
            assert math.expm1(x) >= (x + a * x**2) - 1e-13 * math.exp(max(x, 0))
            assert math.expm1(x) <= (x + b * x**2) + 1e-13 * math.exp(max(x, 0))


def test_bounds_meet_as_the_range_vanishes():
    k, _ = flat_population(np.random.default_rng(31))
    k = k * (1e-6 / infonce.range_of(k))
    bounds, half = infonce.sandwich(k), 0.5 * infonce.mean_variance(k)
    assert bounds["lower_variance"] == pytest.approx(half, rel=1e-6)
    assert bounds["upper_log"] == pytest.approx(half, rel=1e-6)
    assert infonce.alpha(0.0) == infonce.beta(0.0) == infonce.gamma_r(0.0) == 0.5
    assert set(infonce.sandwich(np.ones((3, 3))).values()) == {0.0}


@pytest.mark.parametrize("x", [1e-15, 1e-8, 1e-4, 1e-2, 0.3, 1.0, 8.0, 50.0])
def test_exponential_remainder_is_its_series(x):
    series = math.fsum(x**m / math.factorial(m + 2) for m in range(165))
    assert infonce.beta(x) == pytest.approx(series, rel=1e-13)
    if x <= 1.0:
        alternating = math.fsum((-x) ** m / math.factorial(m + 2) for m in range(40))
        assert infonce.alpha(x) == pytest.approx(alternating, rel=1e-13)
        weight = 4 * math.log1p(alternating * x**2 / 4) / x**2
        assert infonce.gamma_r(x) == pytest.approx(weight, rel=1e-13)
    else:
        assert infonce.alpha(x) == pytest.approx((math.exp(-x) - 1 + x) / x**2, rel=1e-13)


def test_naive_float32_remainder_is_wrong_at_one_hundredth():
    x = np.float32(1e-2)
    naive = (np.exp(x) - np.float32(1) - x) / x**2
    assert abs(naive / infonce.beta(1e-2) - 1) > 1e-4


def test_float64_infonce_agrees_with_the_decimal_one():
    views = unit_views(np.random.default_rng(32), 2, 4, 3)
    gram = ssl.view_gram(views, kernels.cosine)
    flat, identity = gram.reshape(8, 8), ssl.flatten_views(views)[1]
    for temperature in (0.05, 0.5, 5.0):
        expected = infonce.infonce(flat / temperature, identity)
        assert ssl.infonce_population(gram, temperature) == pytest.approx(expected, rel=1e-12)
        assert infonce.dep(flat / temperature, identity) == pytest.approx(
            ssl.dep_population(gram) / temperature, rel=1e-12
        )
        assert infonce.self_hsic(flat / temperature) == pytest.approx(ssl.self_hsic(gram) / temperature**2, rel=1e-11)
        assert ssl.infonce_population(gram, temperature) >= -ssl.dep_population(gram) / temperature


def test_expansion_error_is_the_higher_cumulants_and_grows_as_temperature_falls():
    views = unit_views(np.random.default_rng(33), 3, 6, 3)
    points, identity = ssl.flatten_views(views)
    cosine = points @ points.T
    errors = {tau: abs(infonce.expansion_error(cosine / tau, identity)) for tau in (10.0, 1.0, 0.5, 0.2, 0.1)}
    kappa = np.array([infonce.cumulants(row, 4) for row in cosine]).mean(axis=0)
    assert infonce.expansion_error(cosine / 100, identity) == pytest.approx(kappa[2] / 6 / 100**3, rel=0.05)
    two_terms = kappa[2] / 6 / 10**3 + kappa[3] / 24 / 10**4
    assert infonce.expansion_error(cosine / 10, identity) == pytest.approx(two_terms, rel=0.05)
    # The expansion is good at τ = 10 and useless at τ = 0.1, where half the variance is several nats too large.
    assert errors[10.0] < 2e-5 < 5e-3 < errors[1.0] < errors[0.5] < errors[0.2] < errors[0.1]
    assert infonce.expansion_error(cosine / 0.1, identity) < -1.0


def test_cumulant_series_converges_for_a_small_range_only():
    values = np.array([0.0, 1.0, 1.0, 0.0])
    exact = infonce.log_mean_exp_gap(np.tile(values, (4, 1)))[0]
    assert exact == pytest.approx(math.log(math.cosh(0.5)), rel=1e-14)
    assert infonce.cumulant_series(values, 30) == pytest.approx(exact, rel=1e-12)
    # A fair coin's series has radius π in the range.
    wide = 4.0 * values
    exact = infonce.log_mean_exp_gap(np.tile(wide, (4, 1)))[0]
    partial_sums = [abs(infonce.cumulant_series(wide, order) - exact) for order in (8, 16, 32, 48)]
    assert partial_sums == sorted(partial_sums)
    assert partial_sums[-1] > 10 * partial_sums[0]


def test_variance_is_hsic_for_uniform_points_on_the_circle():
    angles = 2 * np.pi * np.arange(7) / 7
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gram = kernels.gram(partial(kernels.gaussian, bandwidth=0.5), points, points)
    assert infonce.mean_variance(gram) == pytest.approx(infonce.self_hsic(gram), rel=1e-13)
    centred = np.random.default_rng(34).normal(size=(6, 3))
    centred -= centred.mean(axis=0)
    linear = kernels.gram(kernels.linear, centred, centred)
    assert infonce.mean_variance(linear) == pytest.approx(infonce.self_hsic(linear), rel=1e-13)


def test_temperature_is_the_weight_of_the_variance():
    points, identity = ssl.flatten_views(unit_views(np.random.default_rng(35), 2, 5, 3))
    cosine = points @ points.T
    for tau, tolerance in [(10.0, 1e-3), (100.0, 1e-5)]:
        approximate = -infonce.dep(cosine, identity) + infonce.mean_variance(cosine) / (2 * tau)
        assert tau * infonce.infonce(cosine / tau, identity) == pytest.approx(approximate, abs=tolerance)


def test_a_regular_simplex_reaches_the_stated_value_with_finite_negatives():
    def reachable(count: int, tau: float) -> float:
        return math.log(count) - math.log1p((count - 1) * math.exp(-count / ((count - 1) * tau)))

    simplex = np.eye(6) - 1 / 6
    simplex /= np.linalg.norm(simplex, axis=1, keepdims=True)
    gram = ssl.view_gram(np.stack([simplex, simplex]), kernels.cosine)
    for tau in (0.1, 0.5, 1.0):
        assert math.log(6) - ssl.infonce_in_batch(gram, tau) == pytest.approx(reachable(6, tau), rel=1e-12)
        rng = np.random.default_rng(36)
        for _ in range(20):
            other = ssl.view_gram(unit_views(rng, 2, 6, 5, 0.01), kernels.cosine)
            assert math.log(6) - ssl.infonce_in_batch(other, tau) < reachable(6, tau)
    for tau, stated in [(0.1, 6.89), (0.2, 4.87), (0.5, 2.00)]:
        assert reachable(1024, tau) == pytest.approx(stated, abs=0.005)


def test_batch_forms_of_infonce_by_hand():
    gram = ssl.view_gram(unit_views(np.random.default_rng(37), 2, 2, 3), kernels.cosine)
    s = gram / 0.5

    def anchor(p: int, i: int) -> tuple[float, ...]:
        j, q = 1 - i, 1 - p
        return tuple(math.exp(v) for v in (s[p, i, q, i], s[p, i, q, j], s[p, i, p, j], s[p, i, p, i]))

    anchors = [anchor(p, i) for p in range(2) for i in range(2)]
    in_batch = np.mean([-math.log(pos / (pos + across)) for pos, across, _, _ in anchors])
    in_batch_decoupled = np.mean([-math.log(pos / across) for pos, across, _, _ in anchors])
    others = np.mean([-math.log(pos / (pos + across + within)) for pos, across, within, _ in anchors])
    decoupled = np.mean([-math.log(pos / (across + within)) for pos, across, within, _ in anchors])
    assert ssl.infonce_in_batch(gram, 0.5) == pytest.approx(in_batch, rel=1e-13)
    assert ssl.infonce_in_batch(gram, 0.5, positive_in_sum=False) == pytest.approx(in_batch_decoupled, rel=1e-13)
    assert ssl.nt_xent(gram, 0.5) == pytest.approx(others, rel=1e-13)
    assert ssl.nt_xent(gram, 0.5, positive_in_sum=False) == pytest.approx(decoupled, rel=1e-13)
    population = np.mean([math.log(sum(values) / 4) - 0.5 * math.log(values[0] * values[3]) for values in anchors])
    assert ssl.infonce_population(gram, 0.5) == pytest.approx(population, rel=1e-13)
