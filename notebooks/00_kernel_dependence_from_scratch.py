# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: kerneldep
#     language: python
#     name: kerneldep
# ---

# %% [markdown]
# # Kernel dependence from scratch
#
# **Question.** Two quantities are observed together, $n$ times. Does one tell anything about the other? Correlation answers
# for straight lines only. This lesson builds a measure that answers for *every* kind of dependence, HSIC, from covariance up,
# in ten lines of NumPy; then it asks when a value is large, what was seen, and at which scale to look. No kernel need
# have been met before.

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kerneldep as kd
from kerneldep.information.tasks import gaussian_hsic

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # fewer permutations, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90
N = 200
PERMUTATIONS = 199 if FAST else 999

# %% [markdown]
# ## A zoo of pairs
#
# In each panel but the first, $Y$ depends on $X$.


# %%
def zoo(n, seed=0):
    """Pairs of unit variance, about 0, by name."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-1, 1, (2, n))
    noise = rng.normal(size=n)
    angle, column = np.pi * u, rng.integers(0, 5, n)
    row = 2 * rng.integers(0, 3 - column % 2) + column % 2  # a black square of that column
    pairs = {
        "independent": (u, v),
        "line": (u, u + 0.5 * noise),
        "parabola": (u, u**2 + 0.1 * noise),
        "wave": (u, np.cos(3 * np.pi * u) + 0.3 * noise),
        "circle": (np.cos(angle) + 0.1 * noise, np.sin(angle) + 0.1 * rng.normal(size=n)),
        "cross": (u, u * rng.choice([-1, 1], n) + 0.1 * noise),
        "funnel": (u, (u + 1.1) * noise),
        "checkerboard": (column + (u + 1) / 2, row + (v + 1) / 2),
    }
    return {name: tuple((one - one.mean()) / one.std() for one in pair) for name, pair in pairs.items()}


animals = zoo(N)
correlation = {name: np.corrcoef(x, y)[0, 1] for name, (x, y) in animals.items()}


def plot_zoo(titles):
    """Every pair, under a title of its own."""
    figure, axes = plt.subplots(2, 4, figsize=(7.2, 3.9))
    for axis, (name, (x, y)) in zip(axes.flat, animals.items(), strict=True):
        axis.scatter(x, y, s=5, linewidths=0, color="C0")
        axis.set_title(titles[name], fontsize=8)
        axis.set(xticks=[], yticks=[])
    return figure


plot_zoo({name: f"{name}: correlation {value:.2f}" for name, value in correlation.items()})
plt.show()

# %% [markdown]
# Correlation sees the line. For $n = 200$ independent pairs it scatters by $1/\sqrt n \approx 0.07$: all others look independent.
#
# ## From one covariance to many
#
# $X$ and $Y$ are independent iff $\mathrm{Cov}(f(X), g(Y)) = 0$ for *all* bounded continuous functions $f$ and $g$. Correlation tries one pair,
# $f(x) = x$ and $g(y) = y$. So let us try more: stack functions in a vector $\varphi(x)$, and look at all their covariances,
# the **cross-covariance matrix**
#
# $$C_{XY} = \mathbb E\,\varphi(X)\,\psi(Y)^\top - \mathbb E\,\varphi(X)\;\mathbb E\,\psi(Y)^\top,\qquad
#   \|C_{XY}\|_F^2 = \sum_{ab} \mathrm{Cov}\big(\varphi_a(X), \psi_b(Y)\big)^2 .$$


# %%
def powers(x, degree):
    """φ(x) = (x, x², …)."""
    return np.stack([x**power for power in range(1, degree + 1)], axis=1)


def cross_covariance(phi, psi):
    """The matrix C of features [n, a] and [n, b]."""
    return phi.T @ psi / len(phi) - np.outer(phi.mean(0), psi.mean(0))


pd.DataFrame(
    {
        f"powers up to {degree}": {
            name: np.linalg.norm(cross_covariance(powers(x, degree), powers(y, degree)))
            for name, (x, y) in animals.items()
        }
        for degree in (1, 2, 4)
    }
).round(2)

# %% [markdown]
# Squares see the parabola, the circle, the cross and the funnel. The wave needs higher powers, and so does everything finer; but high powers listen to
# the few largest samples, and their noise grows (look at *independent*). What are good features, and how many?
#
# ## The kernel does it
#
# Write the norm out. With $H = I - \frac1n 11^\top$, which takes the mean off, $C = \frac1n \Phi^\top H \Psi$, and
#
# $$\|C\|_F^2 = \frac1{n^2}\,\mathrm{tr}\big(\Psi^\top H \Phi\,\Phi^\top H \Psi\big)
#   = \frac1{n^2}\,\mathrm{tr}(K H L H),\qquad K = \Phi\Phi^\top,\quad L = \Psi\Psi^\top .$$
#
# Features enter only by their inner products $k(x, x') = \varphi(x)^\top\varphi(x')$, the **kernel**. So we may take a kernel whose
# features we could not write down, infinitely many: the Gaussian $k(x, x') = e^{-(x - x')^2/2\sigma^2}$. Then $C_{XY}$ is an operator, and its squared
# Hilbert–Schmidt norm is the **Hilbert–Schmidt independence criterion** (Gretton et al. 2005). With this kernel it is 0 *iff* $X$ and $Y$ are
# independent. By hand:


# %%
def gaussian_gram(x, bandwidth):
    """K, the similarity of all pairs."""
    return np.exp(-((x[:, None] - x[None, :]) ** 2) / (2 * bandwidth**2))


def centred(gram):
    """HKH: rows and columns less their means."""
    return gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()


def hsic(k, l):
    """tr(KHLH)/n²: H is a projection, so that centring both does no harm."""
    return (centred(k) * centred(l)).sum() / len(k) ** 2


def median_distance(x):
    """The usual bandwidth: the median distance of two samples."""
    return np.median(np.abs(x[:, None] - x[None, :])[np.triu_indices(len(x), 1)])


# %% [markdown]
# Two checks. The kernel $(1 + xx')^2 = 1 + 2xx' + x^2x'^2$ has the features $(1, \sqrt2\,x, x^2)$: both roads must give one number. And the library
# must agree with ten lines of NumPy, for the Gaussian kernel at the median distance, which is its default.

# %%
x, y = animals["parabola"]


def explicit(x):
    """Features of (1 + xx′)²."""
    return np.stack([np.ones_like(x), 2**0.5 * x, x**2], axis=1)


by_features = np.linalg.norm(cross_covariance(explicit(x), explicit(y))) ** 2
by_kernel = hsic((1 + np.outer(x, x)) ** 2, (1 + np.outer(y, y)) ** 2)

rows = {}
for name, (x, y) in animals.items():
    k, l = gaussian_gram(x, median_distance(x)), gaussian_gram(y, median_distance(y))
    by_hand, library = hsic(k, l), float(kd.hsic(x, y, estimator=kd.Biased()))
    rows[name] = (correlation[name], by_hand, library, by_hand / (hsic(k, k) * hsic(l, l)) ** 0.5)
table = pd.DataFrame(rows, index=["correlation", "HSIC by hand", "kd.hsic", "HSIC, normalised (CKA)"]).T
print(f"(1 + xx′)²: {by_features:.10f} by features, {by_kernel:.10f} by kernel")
table.round(5)

# %% [markdown]
# HSIC, as estimated here, is never exactly 0: it is a square, and squares of noise add up. By how much is known: for independent pairs the mean
# is $(n-1)(1 - \mathbb E k)(1 - \mathbb E l)/n^2$. The library's default estimator, `kd.hsic(x, y)`, takes this bias off. For correlated Gaussians
# HSIC is known in closed form, so that we can look:

# %%
rng = np.random.default_rng(1)
REPEATS = 100 if FAST else 400
gaussian_pairs = {}
for rho in (0.0, 0.5):
    a, noise = rng.normal(size=(2, REPEATS, 50))
    values = [
        hsic(gaussian_gram(one, 1), gaussian_gram(two, 1))
        for one, two in zip(a, rho * a + (1 - rho**2) ** 0.5 * noise, strict=True)
    ]
    gaussian_pairs[f"ρ = {rho}"] = {
        "truth": float(gaussian_hsic(rho)),
        "mean HSIC, n = 50": np.mean(values),
        "its standard error": np.std(values) / REPEATS**0.5,
        "stated bias, if independent": 49 * (1 - 3**-0.5) ** 2 / 50**2,  # E k = 1/√3 here
    }
gaussian_table = pd.DataFrame(gaussian_pairs).T
gaussian_table.round(5)

# %% [markdown]
# ## When is a value large?
#
# When shuffling $Y$ rarely gives as much. A shuffle $\pi$ keeps both samples and destroys their pairing: it is what
# independence looks like. If $X$ and $Y$ *are* independent, the observed value is one of $P + 1$ equally likely ranks, hence
#
# $$p = \frac{1 + \#\{\pi : \mathrm{HSIC}_\pi \ge \mathrm{HSIC}\}}{P + 1},\qquad \Pr(p \le \alpha) \le \alpha .$$
#
# The 1 counts the observed order itself. Without it $p$ could be 0, and a test at a small $\alpha$ would err too often. (Only $L$ need be shuffled, and
# $\mathrm{tr}(KHLH)$ needs only one of them centred.)


# %%
def permutation_test(k, l, permutations, rng):
    """The statistic, its values under shuffles, and the p-value."""
    k, n = centred(k), len(k)
    null = np.empty(permutations)
    for index in range(permutations):
        order = rng.permutation(n)
        null[index] = (k * l[np.ix_(order, order)]).sum() / n**2
    value = (k * l).sum() / n**2
    return value, null, (1 + (null >= value * (1 - 1e-12)).sum()) / (1 + permutations)


rng = np.random.default_rng(2)
tests = {
    name: permutation_test(
        gaussian_gram(x, median_distance(x)), gaussian_gram(y, median_distance(y)), PERMUTATIONS, rng
    )
    for name, (x, y) in animals.items()
}
figure, axes = plt.subplots(2, 4, figsize=(7.2, 3.7))
for axis, (name, (value, null, p_value)) in zip(axes.flat, tests.items(), strict=True):
    axis.hist(1000 * null, bins=20, color="0.75")
    axis.axvline(1000 * value, color="C1", linewidth=2)
    axis.set_title(f"{name}: p = {p_value:.3f}", fontsize=8)
    axis.set_yticks([])
for axis in axes[1]:
    axis.set_xlabel("1000 · HSIC")
axes[0, 0].set_ylabel("shuffles (grey)")
plt.show()

# %% [markdown]
# The orange line is the observed value. It stands clear of the shuffles wherever there is dependence, but for two: the wave and the
# checkerboard. "Zero iff independent" is about infinitely many samples; with 200, this kernel misses what is fine. We come back to that.
#
# Whether the test keeps its promise is itself a thing to measure: on many pairs that are independent it should find $p \le 0.05$ in one of
# twenty.

# %%
rng = np.random.default_rng(3)
NULLS = 200 if FAST else 1000
false_alarms = 0
for _ in range(NULLS):
    a, b = rng.uniform(size=(2, 20))
    p_value = permutation_test(gaussian_gram(a, median_distance(a)), gaussian_gram(b, median_distance(b)), 19, rng)[2]
    false_alarms += p_value <= 0.05
level = false_alarms / NULLS
print(f"{false_alarms} of {NULLS} independent pairs called dependent: {100 * level:.1f} %")

# %% [markdown]
# ## What was seen: witness functions
#
# HSIC sums the squares of all singular values of $C_{XY}$. The largest alone is COCO, the largest covariance of $f(X)$ and $g(Y)$ over functions of
# unit norm in the kernels' spaces, and the functions that attain it *show* the dependence. They are weighted sums of kernels at the samples, and
# their values there belong to the largest eigenvalue of $HKH\,HLH$: a few lines again, and `kd.dependence.coco_witnesses` agrees.


# %%
def coco_by_hand(k, l):
    """COCO, and f and g at the samples, up to a common sign and scale."""
    k, l = centred(k), centred(l)
    eigenvalues, vectors = np.linalg.eig(k @ l)
    top = np.argmax(eigenvalues.real)
    f = vectors[:, top].real  # an eigenvector of HKH·HLH is f at the samples, and HLH times it is g
    return eigenvalues[top].real ** 0.5 / len(k), f, l @ f


SHOWN = ("parabola", "circle", "cross")
witnessed = {}
figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.3))
for column, name in enumerate(SHOWN):
    x, y = animals[name]
    found = kd.dependence.coco_witnesses(x, y)
    by_hand = coco_by_hand(gaussian_gram(x, median_distance(x)), gaussian_gram(y, median_distance(y)))
    f, g = (np.asarray(at(of)) for at, of in ((found.witness_x, x), (found.witness_y, y)))
    alike = [abs(np.corrcoef(*both)[0, 1]) for both in ((f, by_hand[1]), (g, by_hand[2]))]
    witnessed[name] = (by_hand[0], float(found.value), *alike, np.corrcoef(f, g)[0, 1])
    top, bottom = axes[:, column]
    product = f * g / np.abs(f * g).max()
    top.scatter(x, y, c=product, cmap="RdBu_r", vmin=-1, vmax=1, s=8, linewidths=0.2, edgecolors="0.4")
    top.set(title=name, xlabel="$x$")
    order = np.argsort(x)
    bottom.plot(x[order], f[order] / f.std(), "C0", label="$f(x)$")
    order = np.argsort(y)
    bottom.plot(y[order], g[order] / g.std(), "C1--", label="$g(y)$")
    bottom.set(xlabel="$x$ (solid), $y$ (dashed)", title=f"correlation of $f, g$: {witnessed[name][-1]:.2f}")
axes[0, 0].set_ylabel("$y$; colour: $f(x)\\,g(y)$")
axes[1, 0].legend()
plt.show()
columns = ["COCO by hand", "kd COCO", "|corr| of f", "|corr| of g", "correlation of f(X), g(Y)"]
witness_table = pd.DataFrame(witnessed, index=columns).T
witness_table.round(4)

# %% [markdown]
# For the parabola $f$ is a valley and $g$ a slope; for the circle a valley and a hill (far out in $x$ is near 0 in $y$); for the cross two valleys:
# the witnesses found by themselves that squares are what to look at. Mind the last column:
# $f$ and $g$ were *fitted* to these samples, and would correlate somewhat even for independent ones. Evidence is the shuffles.
#
# ## At which scale? The bandwidth
#
# $\sigma$ says which distances count as near. A very wide kernel is nearly $1 - (x - x')^2/2\sigma^2$ and sees only covariance; a very narrow one makes every sample
# like itself alone. Below, $Y = \cos(\omega X) + $ noise. Left: the data, and the kernel at the middle; middle: $HKH$, samples sorted by $x$; right: HSIC
# beside its shuffles.


# %%
def wave(frequency, n=N):
    """Y = cos(ωX) + noise."""
    x = np.linspace(-np.pi, np.pi, n)
    return x, np.cos(frequency * x) + 0.4 * np.random.default_rng(4).normal(size=n)


def z_score(value, null):
    """How many standard deviations above the shuffles."""
    return (value - null.mean()) / null.std()


def plot(frequency=3, log2_multiple=0.0):
    """HSIC of a wave with a bandwidth of 2^log2_multiple median distances; a figure and the p-value."""
    x, y = wave(frequency)
    bandwidth = 2.0**log2_multiple * median_distance(x)
    k, l = gaussian_gram(x, bandwidth), gaussian_gram(y, median_distance(y))
    value, null, p_value = permutation_test(k, l, 199, np.random.default_rng(5))
    figure, (data, gram, test) = plt.subplots(1, 3, figsize=(7.2, 2.35))
    data.scatter(x, y, s=5, linewidths=0, color="C0")
    data.plot(x, np.exp(-(x**2) / (2 * bandwidth**2)), color="k", linewidth=1)
    data.set(title=f"$\\omega$ = {frequency}, $\\sigma$ = {2.0**log2_multiple:.3g} medians", xlabel="$x$", ylabel="$y$")
    limit = np.abs(centred(k)).max()
    gram.imshow(centred(k), cmap="RdBu_r", vmin=-limit, vmax=limit)
    gram.set(title="$HKH$", xticks=[], yticks=[])
    gram.grid(visible=False)
    test.hist(1000 * null, bins=20, color="0.75")
    test.axvline(1000 * value, color="C1", linewidth=2)
    test.set(title=f"p = {p_value:.3f}, z = {z_score(value, null):.1f}", xlabel="1000 · HSIC", yticks=[])
    return figure, p_value


p_values = {}
for log2_multiple in (0, -4):
    _, p_values[log2_multiple] = plot(frequency=6, log2_multiple=log2_multiple)
    plt.show()

# %% [markdown]
# At the median of distances (top) six waves average out within the kernel's reach, and the test is blind. At a sixteenth it sees them. The median is the
# scale of the *data*, not of the dependence. With a live kernel, move the sliders:

# %%
if LIVE:
    from ipywidgets import FloatSlider, IntSlider, interact

    def show(frequency, log2_multiple):
        """One state of the sliders."""
        plot(frequency, log2_multiple)
        plt.show()

    interact(
        show,
        frequency=IntSlider(6, 1, 10, continuous_update=False),
        log2_multiple=FloatSlider(0, min=-6, max=3, step=0.5, continuous_update=False),
    )

# %% [markdown]
# The same without a slider: how far HSIC stands above its shuffles, over bandwidths.

# %%
multiples = np.arange(-6, 3.5, 1.0 if FAST else 0.5)
scores = {}
for frequency in (1, 3, 6):
    x, y = wave(frequency)
    l = gaussian_gram(y, median_distance(y))
    grams = (gaussian_gram(x, 2.0**multiple * median_distance(x)) for multiple in multiples)
    scores[frequency] = np.array([z_score(*permutation_test(k, l, 99, np.random.default_rng(6))[:2]) for k in grams])
figure, axis = plt.subplots(figsize=(4.8, 2.7))
for (frequency, z), marker in zip(scores.items(), "os^", strict=True):
    axis.plot(2.0**multiples, z, marker=marker, label=f"ω = {frequency}")
axis.axhline(2, color="k", linewidth=0.8, linestyle=":")
axis.set_xscale("log", base=2)
axis.set(xlabel="bandwidth / median distance", ylabel="standard deviations\nabove the shuffles")
axis.legend()
plt.show()

# %% [markdown]
# And the two of the zoo that were missed, with a quarter of the median distance for $x$:

# %%
rng = np.random.default_rng(8)
again = {
    name: permutation_test(
        gaussian_gram(x, median_distance(x) / 4), gaussian_gram(y, median_distance(y)), PERMUTATIONS, rng
    )[2]
    for name, (x, y) in animals.items()
    if name in ("independent", "wave", "checkerboard")
}
pd.DataFrame({"p, median": {name: tests[name][2] for name in again}, "p, a quarter of it": again}).round(3)

# %% [markdown]
# (Do not choose the best bandwidth and test on the same data: the best of many is high by chance too. Choose on one half, test on the other.)
#
# ## Turning two independent sources
#
# A last example of uncorrelated dependence, and a use of it. Two independent uniform sources are mixed by a rotation. They stay uncorrelated at *every* angle,
# but are independent only at multiples of 90°. HSIC shows where: minimising it unmixes the sources (independent component analysis).


# %%
def rotated(angle, n=N):
    """Two independent uniforms, turned by an angle in degrees."""
    sources = np.random.default_rng(7).uniform(-1, 1, (n, 2))
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return sources @ np.array([[cosine, sine], [-sine, cosine]])


def hsic_at(angle):
    """HSIC of the turned sources, Gaussian kernels of bandwidth ½."""
    turned = rotated(angle)
    return hsic(gaussian_gram(turned[:, 0], 0.5), gaussian_gram(turned[:, 1], 0.5))


angles = np.arange(0, 181, 7.5 if FAST else 3.0)
curve = np.array([hsic_at(angle) for angle in angles])
rotated_correlation = np.array([np.corrcoef(rotated(angle).T)[0, 1] for angle in angles])


def plot_rotation(angle=30):
    """The turned sources, and where their angle lies on the curve."""
    turned = rotated(angle)
    figure, (left, right) = plt.subplots(1, 2, figsize=(6.2, 2.6), width_ratios=(1, 1.7))
    left.scatter(*turned.T, s=5, linewidths=0, color="C0")
    left.set(title=f"{angle}°: correlation {np.corrcoef(turned.T)[0, 1]:.2f}", aspect="equal", xlim=(-1.5, 1.5))
    left.set(ylim=(-1.5, 1.5), xlabel="$x$", ylabel="$y$")
    right.plot(angles, 1000 * curve, "C0")
    right.plot([angle], [1000 * hsic_at(angle)], "o", color="C1", markersize=7)
    right.set(xlabel="angle (degrees)", ylabel="1000 · HSIC", xticks=range(0, 181, 45), ylim=(0, None))
    return figure


plot_rotation(angle=30)
plt.show()

# %%
if LIVE:

    def turn(angle):
        """One state of the slider."""
        plot_rotation(angle)
        plt.show()

    interact(turn, angle=IntSlider(30, 0, 180, 5, continuous_update=False))

# %% [markdown]
# ## Exercise
#
# 1. What is HSIC with linear kernels, $k(x, x') = xx'$ and $l(y, y') = yy'$? On which animals of the zoo is it blind?
# 2. Somebody reports $p = 0$ from 100 shuffles. What should they have reported, and why does it matter if a thousand columns are tested?
#
# <details><summary>Solution</summary>
#
# 1. Linear kernels have one feature each, $\varphi(x) = x$, so $C_{XY}$ is a $1 \times 1$ matrix, the covariance, and
#    $\mathrm{HSIC} = \mathrm{Cov}(X, Y)^2$. It is blind on all animals without correlation: everything but the line. (Below.)
# 2. $p = 1/101$: the observed order counts as one. With a thousand independent columns some ten observed values exceed all 100 of their shuffles
#    by chance alone; "$p = 0$" would pass any correction for their number, $1/101$ passes none at $0.05/1000$. More shuffles are needed.
#
# </details>

# %%
linear = {name: hsic(np.outer(x, x), np.outer(y, y)) for name, (x, y) in animals.items()}
covariance = {name: np.mean(x * y) ** 2 for name, (x, y) in animals.items()}
pd.DataFrame({"HSIC, linear kernels": linear, "covariance, squared": covariance}).round(5)

# %% [markdown]
# ## What we found

# %%
uncorrelated = table.drop(index=["line"]).correlation.abs()
p_value = pd.Series({name: found for name, (_, _, found) in tests.items()})
assert (uncorrelated < 0.2).all()
assert table.correlation["line"] > 0.7
assert np.isclose(by_features, by_kernel, rtol=1e-12)  # features and kernel are two roads to one number
assert np.allclose(table["HSIC by hand"], table["kd.hsic"], rtol=1e-8, atol=0)  # ten lines and the library
assert np.isclose(gaussian_table.truth["ρ = 0.5"], 0.0107633201, atol=1e-9)
off = gaussian_table.iloc[0]
assert abs(off.iloc[1] - off.iloc[3]) < 4 * off.iloc[2]  # the bias of independent pairs is as stated
assert p_value["independent"] > 0.05
assert (p_value.drop(["independent", "wave", "checkerboard"]) <= 0.05).all()  # what is coarse is seen at the median,
assert (p_value[["wave", "checkerboard"]] > 0.05).all()  # what is fine is not,
assert max(again["wave"], again["checkerboard"]) <= 0.05 < again["independent"]  # but is at a quarter of it
assert p_value.min() == 1 / (1 + PERMUTATIONS)  # never 0
assert abs(level - 0.05) < 4 * (0.05 * 0.95 / NULLS) ** 0.5  # the promised level
assert np.allclose(witness_table["COCO by hand"], witness_table["kd COCO"], rtol=1e-6)
assert (witness_table[["|corr| of f", "|corr| of g"]] > 0.999).all(axis=None)
assert p_values[0] > 0.05 >= p_values[-4]  # the median is blind to fine waves, a sixteenth is not
best = {frequency: multiples[z.argmax()] for frequency, z in scores.items()}
assert best[6] < best[1] <= 0  # finer dependence, smaller bandwidth
assert np.abs(rotated_correlation).max() < 0.2  # uncorrelated at every angle,
assert curve[np.abs(angles - 45).argmin()] > 5 * curve[0]  # and dependent between
for state in ((1, -6.0), (10, 3.0)):  # what the sliders may show
    assert 0 < plot(*state)[1] <= 1
assert plot_rotation(90).axes[0].get_title() == f"90°: correlation {np.corrcoef(rotated(90).T)[0, 1]:.2f}"
plt.close("all")
assert all(np.isclose(linear[name], covariance[name], atol=1e-15) for name in animals)
