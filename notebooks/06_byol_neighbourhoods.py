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
# # BYOL learns local neighbourhoods
#
# **Question.** BYOL pulls two views of an image together and pushes nothing apart. A constant representation would be perfect.
# Yet it learns. Is its loss dependence on identity after all, what does its predictor predict, and what keeps it from the constant?

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kerneldep as kd
from kerneldep.analysis import byol_flow, byol_neighbourhood, neighbourhood_weights
from paper_figures import byol_dependence
from paper_figures import byol_neighbourhood as neighbourhood_figure
from paper_figures.encoded_views import encoded_views, source

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # small versions on scikit-learn's digits, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90

NUM_IMAGES = 100 if FAST else neighbourhood_figure.IMAGES
views = {name: np.asarray(array[:, :NUM_IMAGES], np.float64) for name, array in encoded_views(FAST).items()}
print(source(FAST), f"Here: the first {NUM_IMAGES} images.")

# %% [markdown]
# ## Distance and dependence
#
# BYOL's loss is $\mathbb E\,\|q(Z_1) - Z_2'\|^2$: unit vectors, $q$ a small network called predictor, $Z_2'$ the other view under a slow copy of
# the network. Leave both out for a moment. With the linear kernel and unit vectors, total scatter is scatter within images
# plus dependence, so that
#
# $$\mathrm{dep} = 1 - \tfrac12\ell - \|\mathbb E Z\|^2,\qquad \ell = \mathbb E_{\text{pos}}\|Z - Z'\|^2 .$$
#
# It is exact, on any representation:

# %%
found = {name: byol_neighbourhood(array) for name, array in views.items()}
identity_table = pd.DataFrame(
    {
        name: {
            "ℓ": float(one.positive_distance),
            "‖E Z‖²": float(one.mean_norm_squared),
            "1 − ℓ/2 − ‖E Z‖²": 1 - float(one.positive_distance) / 2 - float(one.mean_norm_squared),
            "dep": float(kd.dependence.positive_dependence(views[name], kd.kernels.Linear(), estimate="population")),
        }
        for name, one in found.items()
    }
).T
identity_table.round(4)

# %% [markdown]
# So a lower distance is more dependence **as long as $\|\mathbb E Z\|^2$ stays**. There is a second way to lower it: add the
# same vector to everything.

# %%
trained = views["SSL-HSIC"]
direction = np.zeros(trained.shape[-1])
direction[0] = 1.0
shifts = np.linspace(0, 4, 21)
rows = []
for shift in shifts:
    z = trained + shift * direction
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    mean, image_mean = z.mean((0, 1)), z.mean(0)
    rows.append((2 * ((z - image_mean) ** 2).sum(-1).mean(), mean @ mean, ((image_mean - mean) ** 2).sum(-1).mean()))
shift_table = pd.DataFrame(rows, columns=["ℓ", "‖E Z‖²", "dep"], index=pd.Index(shifts, name="shift"))
figure, axis = plt.subplots(figsize=(4.4, 2.6))
for (name, column), look in zip(shift_table.items(), ("C1--", "k:", "C0-"), strict=True):
    axis.plot(column.index, column, look, label=name)
axis.set(xlabel="length of the vector added", title="Nearer together, and less dependent")
axis.legend()
plt.show()

# %% [markdown]
# ## Along training
#
# Batch norm and the target network are argued to keep the mean where it is. We train BYOL in the small, whole and with parts
# taken away, and look at views of images it has not seen. In the plane on the left training moves to the right; dependence
# rises along the grey lines only, falls across them.

# %%
runs = byol_dependence.compute(FAST)
byol_dependence.draw(runs)
plt.show()
caption = byol_dependence.caption(runs)
print(caption.found, caption.verdict, sep="\n\n")

# %% [markdown]
# The mean does *not* stay put: in BYOL it goes to 0 in the long run, which helps; without the predictor it takes all.
#
# ## What the predictor predicts
#
# Hold the target fixed. The best predictor of all is the conditional mean $m(z_1) = \mathbb E[Z_2' \mid Z_1 = z_1]$. Its loss is
# $1 - \mathbb E\|m\|^2$, or, with unit outputs, $2(1 - \mathbb E\|m\|)$. The best *linear* one is $C_{21}C_{11}^{-1}$ with
# **uncentred** second moments. In an RKHS it is a weighted mean of targets, $\sum_s w_s(z_1)\,\mathbb E[Z_2' \mid \text{image of } s]$ with
#
# $$w(z_1) = (K + n\varepsilon I)^{-1} k(z_1).$$

# %%
losses = pd.DataFrame(
    {
        name: {
            "identity": float(one.positive_distance),
            "linear": float(one.linear_loss),
            "kernel (median, ε = 0.001)": float(one.kernel_loss),
            "conditional mean": float(one.conditional_variance),
            "m/‖m‖, squared distance": float(one.normalised_loss),
        }
        for name, one in found.items()
    }
).T


def linear_loss(z, *, centred):
    """Loss of the least-squares predictor from centred moments without an intercept, or uncentred ones."""
    flat, target = z.reshape(-1, z.shape[-1]), np.tile(z.mean(0), (len(z), 1))
    x, y = (flat - flat.mean(0), target - target.mean(0)) if centred else (flat, target)
    slope = np.linalg.lstsq(x, y, rcond=None)[0]
    scatter = ((z - z.mean(0)) ** 2).sum(-1).mean()
    return ((flat @ slope - target) ** 2).sum(1).mean() + scatter


off_centre = trained + 2 * direction
off_centre /= np.linalg.norm(off_centre, axis=-1, keepdims=True)
centring = {kind: linear_loss(off_centre, centred=kind == "centred") for kind in ("uncentred", "centred")}
print("linear predictor on views with a mean:", {name: round(float(value), 4) for name, value in centring.items()})
losses.round(4)

# %% [markdown]
# ## A neighbourhood in the plane
#
# Twelve images on a circle, eight views each. The cross is a view the predictor has not seen; circled are the others of its
# image; a disc's area is $|w_s|$, blue positive, orange negative.

# %%
plane = neighbourhood_figure.circle(8, 12, 0.2)
samples = plane[1:].reshape(-1, 2)
median = float(kd.kernels.median_bandwidth(samples))


def plot(log2_multiple=-2.0, log10_ridge=-4.0, image=0):
    """Weights at the first view of an image; the figure and the share that its own image's views carry."""
    kernel = kd.kernels.Gaussian(2.0**log2_multiple * median)
    weights = np.asarray(neighbourhood_weights(plane[0, image][None], samples, kernel, ridge=10.0**log10_ridge))[0]
    share, own = np.abs(weights) / np.abs(weights).sum(), np.tile(np.arange(12), 7) == image
    figure, axis = plt.subplots(figsize=(3.0, 3.0))
    for sign, colour in ((1, "C0"), (-1, "C1")):
        of = np.sign(weights) == sign
        axis.scatter(*samples[of].T, 900 * share[of], color=colour, alpha=0.45, linewidths=0)
    axis.plot(*samples.T, ".", color="0.45", markersize=2)
    axis.plot(*samples[own].T, "o", color="k", markerfacecolor="none", markersize=5, markeredgewidth=0.8)
    axis.plot(*plane[0, image], "k+", markersize=10, markeredgewidth=1.6)
    axis.set(aspect="equal", xticks=[], yticks=[])
    axis.set_title(
        f"σ = {2.0**log2_multiple:.2g} medians, ε = $10^{{{log10_ridge:.0f}}}$:\n"
        f"own views {100 * share[own].sum():.0f} %, effective size {1 / (share**2).sum():.0f}"
    )
    return figure, share[own].sum()


own_shares = {}
for log2_multiple, log10_ridge in ((0.0, -3.0), (-2.0, -4.0)):
    _, own_shares[log2_multiple] = plot(log2_multiple, log10_ridge)
    plt.show()

# %% [markdown]
# With a live kernel, move the sliders:

# %%
if LIVE:
    from ipywidgets import FloatSlider, IntSlider, interact

    def show(log2_multiple, log10_ridge, image):
        """One state of the sliders."""
        plot(log2_multiple, log10_ridge, image)
        plt.show()

    interact(
        show,
        log2_multiple=FloatSlider(-2, min=-5, max=2, step=0.5, continuous_update=False),
        log10_ridge=FloatSlider(-4, min=-7, max=0, step=1, continuous_update=False),
        image=IntSlider(0, 0, 11, continuous_update=False),
    )

# %% [markdown]
# ## Neighbourhoods of real views, and the flow of a linear encoder
#
# In 64 dimensions distances concentrate and the default bandwidth, their median, reaches everything. So the figure goes
# down to an eighth of it. Its lower part is gradient descent of BYOL's distance for a linear encoder on a circle: why a
# predictor *and* a stop-gradient are needed.

# %%
table = neighbourhood_figure.compute(FAST)
neighbourhood_figure.draw(table)
plt.show()
print(neighbourhood_figure.caption(table).found)

# %% [markdown]
# Without a predictor the flow is $\dot W = -W(\Sigma_w + \eta I)$, with $\Sigma_w$ the scatter of augmentations: every direction that they move
# decays (Tian, Chen and Ganguli 2021). With predictor $p$ and stop-gradient in one dimension, $t = \mathbb E x^2$, $s = \mathbb E_{\text{pos}} xx'$ and
# the predictor trained $\alpha$ times as fast,
#
# $$\dot w = -p\,(pt - s)\,w,\qquad \dot p = -\alpha\,(pt - s)\,w^2,\qquad w^2 - p^2/\alpha = \text{const}.$$
#
# It rests at $w = 0$ or at the best predictor, $p = s/t$.
#
# ## Exercise
#
# The predictor starts at $p = 1$. From which $w$ does the encoder collapse, and what does a faster predictor do?
#
# <details><summary>Solution</summary>
#
# At rest with $p = s/t$ the constant gives $w_\infty^2 = w_0^2 - (1 - (s/t)^2)/\alpha$. Where that is negative the flow cannot get there, and ends
# at $w = 0$: it collapses unless $w_0^2 > (1 - (s/t)^2)/\alpha$. A faster predictor lowers the threshold. From $p = 0$ there is
# none (kerneldep's in this form).
#
# </details>

# %%
line = neighbourhood_figure.circle(8, 12, 0.35)[..., :1]
s, t = (line.mean(0) ** 2).mean(), (line**2).mean()
rows = []
for rate in (1.0, 4.0):
    for seed in range(4 if FAST else 16):
        flow = byol_flow(
            line,
            1,
            predictor_rate=rate,
            predictor_start=1.0,
            num_steps=4000,
            step_size=0.02,
            key=jax.random.key(seed),
        )
        start = float(flow.views[0, 0, 0, 0]) / line[0, 0, 0]
        rows.append((rate, start**2, float(flow.encoder[0, 0]) ** 2, (1 - (s / t) ** 2) / rate))
starts = pd.DataFrame(rows, columns=["α", "start", "end", "threshold"])

figure, axis = plt.subplots(figsize=(4.4, 2.7))
for number, (rate, part) in enumerate(starts.groupby("α")):
    threshold = part.threshold.iloc[0]
    at = np.linspace(0, starts.start.max(), 100)
    axis.plot(
        at, np.maximum(at - threshold, 0), f"C{number}", linestyle=("-", "--")[number], label=f"α = {rate:g}, stated"
    )
    axis.plot(part.start, part.end, "os"[number], color=f"C{number}", markerfacecolor="white")
axis.set(xlabel="$w^2$ at the start", ylabel="$w^2$ at the end", xlim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# ## What we found

# %%
assert np.allclose(identity_table["dep"], identity_table["1 − ℓ/2 − ‖E Z‖²"], atol=1e-12)  # on unit vectors
assert shift_table["ℓ"].iloc[-1] < 0.2 * shift_table["ℓ"].iloc[0]  # nearer together
assert shift_table["dep"].iloc[-1] < 0.2 * shift_table["dep"].iloc[0]  # and less dependent
assert (runs.dep - (1 - runs.positive_distance / 2 - runs.mean_norm_squared)).abs().max() < 1e-6
ends = runs[runs.step == runs.step.max()].set_index(["variant", "seed"])
begun = runs[runs.step == 0].set_index(["variant", "seed"])
gained = ends.dep - begun.dep
assert (ends.positive_distance < begun.positive_distance).all()  # every variant lowers the distance,
assert (gained[["BYOL", "with output norm", "no target network"]] > 0).all()  # these raise dependence by it,
assert (gained[["no batch norm", "no predictor"]] < 0).all()  # and these lower it
ordered = losses[["conditional mean", "linear", "identity"]]
assert (ordered.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)  # the more a predictor may do, the less it loses
norms = {name: np.linalg.norm(np.asarray(one.conditional_mean), axis=-1) for name, one in found.items()}
for name, one in found.items():
    assert np.isclose(float(one.conditional_variance), 1 - (norms[name] ** 2).mean())
    assert np.isclose(float(one.normalised_loss), 2 * (1 - norms[name].mean()))
assert centring["centred"] > 1.5 * centring["uncentred"]  # centred moments without an intercept are wrong
assert own_shares[0.0] < own_shares[-2.0]  # the narrower, the more local
for state in ((-5.0, -7.0, 3), (2.0, 0.0, 11)):  # what the sliders may show
    assert 0 <= plot(*state)[1] <= 1
plt.close("all")
paths = table[table.part == "path"]
spread = paths[paths.step == paths.step.max()].set_index("flow").second_moment
assert (spread.iloc[:2] > 0.1).all()  # predictor and stop-gradient
assert (spread.iloc[2:] < 1e-3).all()  # one of them missing: collapse
assert np.allclose(starts.end, np.maximum(starts.start - starts.threshold, 0), atol=0.02)
assert ((starts.end > 0.02) == (starts.start > starts.threshold + 0.02)).all()
if not FAST:
    width = table[(table.part == "width") & (table.multiple == 0.25)].set_index("encoder").own
    assert (width[["InfoNCE", "SSL-HSIC"]] > 4 * width["untrained"]).all()  # training shrinks the neighbourhood
    assert width.max() < 0.5  # but not to the image's own views
