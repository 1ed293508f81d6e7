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
# # Why the regulariser
#
# **Question.** SSL-HSIC does not maximise dependence on identity alone. Its loss is
# $-\mathrm{dep} + \gamma\sqrt{\mathrm{HSIC}(Z, Z)}$ with $\gamma = 3$. What would go wrong without the second term, what does it do, and
# what does it cost?

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from experiments.ssl.records import RECORDS
from kerneldep.analysis import codebook_loss, codebook_views, collapse, collapse_flow, near_collapse
from kerneldep.kernels import InverseMultiquadric
from paper_figures import regulariser

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # a small version, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90
IMAGES, DIM = 48, 32
STEPS = 250 if FAST else 500  # one number for all flows: one compilation

# %% [markdown]
# ## Few codes are nearly as good as many
#
# Let an encoder put every image on one of $C$ orthogonal unit vectors, all equally often, and every view where its image is.
# With the linear kernel
#
# $$\mathrm{dep} = 1 - \frac1C,\qquad \mathrm{HSIC}(Z, Z) = \frac1C\Big(1 - \frac1C\Big).$$
#
# To dep 64 codes and 1,024 are nearly the same, although the first tells images apart by 6 bits and the second by 10. The
# square root of HSIC(Z, Z) tells them apart: it falls like $C^{-1/2}$.

# %%
books = (1, 2, 8, 16) if FAST else (1, 2, 8, 16, 64, 256)
rows = []
for codes in books:
    views = np.pad(codebook_views(codes, books[-1]), ((0, 0), (0, 0), (0, books[-1] - codes)))  # one shape
    found = collapse(views)
    by_gamma = {f"loss, γ = {gamma}": float(found.loss(gamma)) for gamma in (0, 1, 3)}
    rows.append({"C": codes, "dep": float(found.dependence), "HSIC(Z, Z)": float(found.self_dependence), **by_gamma})
book_table = pd.DataFrame(rows).set_index("C")
book_table.round(4)

# %% [markdown]
# At $C = 1$, full collapse, the loss is 0 for every $\gamma$. For $\gamma > 0$ it **rises** before it falls, and is below 0 only for
# $C > 1 + \gamma^2$: the regulariser sets up a barrier around collapse. With $\gamma = 3$ two codes cost $+1$, sixteen gain $-0.21$,
# and 1,024 gain $-0.905$.
#
# ## What is trapped behind the barrier?
#
# Leave code-books, and let a cloud of views lie about one point, all views of an image alike, with covariance $\Sigma$. To leading
# order the loss with the linear kernel is
#
# $$L = \gamma\|\Sigma\|_F - \operatorname{tr}\Sigma,$$
#
# and any smooth radial kernel only rescales it, the inverse multiquadric by $1/c^2$.

# %%
rows = []
for spread in (0.1, 0.001):
    cloud = near_collapse(jax.random.key(0), IMAGES, spread * np.geomspace(1, 0.1, DIM - 1))
    eigenvalues = np.linalg.eigvalsh(np.cov(cloud[0].T, bias=True))
    stated = 3 * np.sqrt((eigenvalues**2).sum()) - eigenvalues.sum()
    kernels = {"linear": (None, 1.0), "inverse multiquadric, c = ½": (InverseMultiquadric(0.5), 4.0)}
    for kernel, (of, factor) in kernels.items():
        rows.append((spread, kernel, float(collapse(cloud, of).loss(3.0)), factor * stated))
near_table = pd.DataFrame(rows, columns=["spread", "kernel", "loss", "stated"]).set_index(["spread", "kernel"])
near_table.assign(ratio=near_table.loss / near_table.stated)

# %% [markdown]
# (Far from it the nonlinear kernel does better: what is curved has more directions.) So near collapse the loss is negative iff the *participation ratio* $(\operatorname{tr}\Sigma)^2/\|\Sigma\|_F^2$ exceeds $\gamma^2$. It is tempting to
# conclude that a run leaves only then. But a run follows the slope, not the sign. Under gradient flow the variance along
# eigenvector $k$ of $\Sigma$ changes at a rate proportional to
#
# $$\lambda_k\Big(1 - \gamma\,\frac{\lambda_k}{\|\Sigma\|_F}\Big)$$
#
# (kerneldep's): strong directions shrink, weak ones always grow. A short time shows it:

# %%
GAMMA = 3.0
cloud = near_collapse(jax.random.key(2), IMAGES, np.geomspace(1e-3, 1e-4, DIM - 1))
moved = collapse_flow(cloud, GAMMA, num_steps=STEPS, step_size=1e-3 / STEPS).views
before, after = (np.asarray(one[0]) - np.asarray(one[0]).mean(0) for one in (cloud, moved))
eigenvalues, vectors = np.linalg.eigh(before.T @ before / IMAGES)
eigenvalues, vectors = eigenvalues[1:], vectors[:, 1:]  # all but the collapsed point's own direction
growth = np.log((after @ vectors).var(0) / eigenvalues) / 1e-3
rate = 4 * (1 - GAMMA * eigenvalues / np.sqrt((eigenvalues**2).sum()))

figure, axis = plt.subplots(figsize=(4.2, 2.6))
axis.plot(eigenvalues, rate, "k", linewidth=1, label="stated")
axis.plot(eigenvalues, growth, "o", color="C0", markerfacecolor="white", label="measured")
axis.axhline(0, color="0.4", linewidth=1, zorder=0)
axis.set(
    xscale="log", xlabel="variance of the direction, λ", ylabel="d log λ / dt", title=f"Near collapse, γ = {GAMMA:g}"
)
axis.legend()
plt.show()

# %% [markdown]
# The ratio $\lambda_k/\|\Sigma\|_F$ of the strongest direction is at least $1/\sqrt{\text{rank}}$. If the rank is below $\gamma^2$, equal directions
# all shrink and nothing stops the fall. If it is above, the strong directions shrink only until the weak ones have
# caught up: **the trap is a matter of rank, and a low participation ratio costs time**. Try it:


# %%
def plot(gamma=3.0, strong=4, log10_weak=-2.0):
    """Flow from `strong` directions of spread 0.1, and all others 10^log10_weak of that (−6: none); figure and loss."""
    weak = 0.0 if log10_weak <= -6 else 10.0**log10_weak
    scales = np.where(np.arange(1, DIM) <= strong, 0.1, 0.1 * weak)
    flow = collapse_flow(near_collapse(jax.random.key(1), IMAGES, scales), gamma, num_steps=STEPS)
    figure, (loss, rank) = plt.subplots(1, 2, figsize=(7.2, 2.3))
    loss.plot(flow.losses)
    loss.axhline(0, color="0.4", linewidth=1, zorder=0)
    loss.set(xlabel="step", ylabel="loss", title=f"γ = {gamma:g}: {strong} strong, others {weak:g} of that")
    rank.plot(flow.path.participation_ratio, "C2")
    rank.axhline(gamma**2, color="k", linestyle="--", linewidth=1, label="γ²")
    rank.set(xlabel="step", ylabel="(tr Σ)²/‖Σ‖²", ylim=(0, max(33, 1.1 * gamma**2)))
    rank.legend()
    return figure, float(flow.losses[-1])


last_losses = {}
for log10_weak in (-2.0, -6.0):
    _, last_losses[log10_weak] = plot(log10_weak=log10_weak)
    plt.show()

# %% [markdown]
# Both start with a participation ratio near 4, below $\gamma^2 = 9$, and a positive loss. With weak directions (top) the flow waits at
# loss 0 until they have grown, and then spreads over all 32 dimensions. With none (bottom) it has fallen back for good.
# With a live kernel, move the sliders:

# %%
if LIVE:
    from ipywidgets import FloatSlider, IntSlider, interact

    def show(gamma, strong, log10_weak):
        """One state of the sliders."""
        plot(gamma, strong, log10_weak)
        plt.show()

    interact(
        show,
        gamma=FloatSlider(3, min=0, max=6, step=0.25, continuous_update=False),
        strong=IntSlider(4, 1, 31, continuous_update=False),
        log10_weak=FloatSlider(-2, min=-6, max=0, step=0.5, continuous_update=False),
    )

# %% [markdown]
# ## All of it

# %%
table = regulariser.compute(FAST)
regulariser.draw(table)
plt.show()
print(regulariser.caption(table).found)

# %% [markdown]
# Bottom right: $\gamma = 0$ leaves the rank as it finds it, since dep is already at its largest; a small weight spreads it, and a
# large one traps.
#
# ## Networks
#
# Free vectors are the loss's own landscape. These are networks on CIFAR-10 (`experiments/ssl`), 6 short epochs each; "projector
# norm" is a batch norm without affine parameters as the projector's last layer.

# %%
networks = table[table.part == "network"]
shown = [
    "gamma",
    "scale",
    "norm",
    "loss_start",
    "loss",
    "dep",
    "rank_start",
    "rank",
    "state",
    "k-NN %",
    "untrained k-NN %",
]
networks[shown].reset_index(drop=True)

# %% [markdown]
# Every run at $\gamma = 3$ starts with a positive loss and learns: the sign at the start decides nothing here either. At $\gamma = 6$
# the loss ends no lower than that of collapse; where the projector standardises its coordinates, the run cannot collapse and stays at the
# barrier instead. At $\gamma = 1$ training *lowers* the participation ratio ("rank") from 13 to 5–8; at 3 it keeps it ($c = \tfrac12$) or raises it
# ($c = 1$). (At $\gamma = 6$ the rank of a collapsed run is that of rounding-sized scatter: look at dep.) Collapsed runs have features worse than
# before training, by the vote of neighbours; by that vote those at the barrier are as good as any (one seed).
#
# ## Features
#
# A loss is not an aim in itself. What does $\gamma$ do to the features? Recorded runs of three seeds, each on 10,000 images, with the norm, so that
# none can collapse; accuracies are of held-out images, bars are standard deviations, dotted lines the untrained encoder.

# %%
features = pd.read_csv(RECORDS / "sweeps" / "gamma" / "table.csv").rename(columns={"value": "gamma"}).groupby("gamma")
mean, deviation = features.mean(numeric_only=True), features.std(numeric_only=True)
figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4))
panels = {
    "accuracy %": {"linear": "C0o-", "knn": "C1s-"},
    "dep": {"dep": "C3v-"},
    "participation ratio": {"rank": "C2^-"},
}
for axis, (label, columns) in zip(axes, panels.items(), strict=True):
    for column, look in columns.items():
        axis.errorbar(mean.index, mean[column], deviation[column], fmt=look, capsize=2, linewidth=1, label=column)
        if f"untrained_{column}" in mean:
            axis.axhline(mean[f"untrained_{column}"].iloc[0], color=look[:2], linestyle=":", linewidth=1)
    axis.set(xlabel="γ", title=label)
axes[0].legend()
plt.show()
mean[["knn", "linear", "loss", "dep", "rank"]].round(3)

# %% [markdown]
# Dependence alone ($\gamma = 0$) is had with two or three directions, and by the vote of neighbours its features are *no better than
# before training*. From $\gamma = \tfrac12$ on, each larger $\gamma$ gives up dependence for rank, and the vote of neighbours is better. At 5 and 10 the
# loss even ends above 0, that of collapse, and yet that vote is the best: where a norm forbids collapse, the barrier did no harm. The best $\gamma$ lies at the edge of
# what was tried, in runs of six epochs; the paper's 3 is of long training on ImageNet.
#
# ## Exercise
#
# How high is the barrier, and where? Treat $1/C$ as a real number in $(0, 1]$.
#
# <details><summary>Solution</summary>
#
# With $u = 1/C$ the loss is $-(1 - u) + \gamma\sqrt{u(1 - u)}$. Put $u = \tfrac12(1 + \cos\theta)$: then $1 - u = \tfrac12(1 - \cos\theta)$ and
# $\sqrt{u(1-u)} = \tfrac12\sin\theta$, so that $L = \tfrac12(\cos\theta + \gamma\sin\theta - 1)$. Its largest value is
# $\tfrac12(\sqrt{1 + \gamma^2} - 1)$, at $\tan\theta = \gamma$, that is $u = \tfrac12 + \tfrac12/\sqrt{1 + \gamma^2}$: between one code and two. The barrier is
# about $\gamma/2$ high for large $\gamma$ (kerneldep's).
#
# </details>

# %%
codes = np.geomspace(1, 100, 20001)
heights = {gamma: np.asarray(codebook_loss(codes, gamma)) for gamma in (1.0, 3.0, 6.0)}
barrier = pd.DataFrame(
    {
        "height": {gamma: loss.max() for gamma, loss in heights.items()},
        "stated": {gamma: ((1 + gamma**2) ** 0.5 - 1) / 2 for gamma in heights},
        "at C": {gamma: codes[loss.argmax()] for gamma, loss in heights.items()},
        "stated C": {gamma: 1 / (0.5 + 0.5 / (1 + gamma**2) ** 0.5) for gamma in heights},
    }
)
barrier.round(4)

# %% [markdown]
# ## What we found

# %%
assert np.allclose(book_table.dep, 1 - 1 / book_table.index)
assert np.allclose(book_table["HSIC(Z, Z)"], (1 - 1 / book_table.index) / book_table.index)
for codes, loss in {2: 1.0, 8: 0.117, 16: -0.211, 1024: -0.905}.items():
    assert np.isclose(float(codebook_loss(codes, 3.0)), loss, atol=5e-4)
assert np.allclose(book_table["loss, γ = 3"].loc[[2, 8, 16]], [1.0, 0.117, -0.211], atol=5e-4)
assert float(codebook_loss(1024, 0.0)) - float(codebook_loss(64, 0.0)) > -0.016  # dep alone: hardly a difference
assert float(codebook_loss(1024, 3.0)) - float(codebook_loss(64, 3.0)) < -0.29
ratio = (near_table.loss / near_table.stated).loc[0.001]
assert (abs(ratio - 1) < 0.01).all()  # near collapse one loss for all kernels
assert np.allclose(growth, rate, atol=0.05)
assert growth.max() > 3.9  # weak directions grow,
assert growth.min() < 0  # strong ones shrink
assert np.isclose(last_losses[-2.0], -1 + 3 / DIM**0.5, atol=1e-3)  # spread over every dimension
assert abs(last_losses[-6.0]) < 1e-4  # collapsed
assert np.isfinite([plot(*state)[1] for state in ((0.0, 1, -6.0), (6.0, 31, 0.0))]).all()  # what the sliders may show
plt.close("all")
traps = table[table.part == "trap"]
escapes = traps.dep > traps.dep_start
assert (escapes == (traps.directions > traps.gamma**2)).all()  # rank decides,
assert (escapes & (traps.loss_start > 0)).any()  # the sign of the loss does not
assert (networks.loss_start[networks.gamma == 3] > 0).all()
assert (networks.state[networks.gamma == 3] == "learns").all()
assert not (networks.state[networks.gamma == 6] == "learns").any()
gain = (networks["k-NN %"] - networks["untrained k-NN %"]).groupby(networks.state)
assert gain.max()["collapsed"] < -2
assert gain.min()["at the barrier"] > gain.max()["learns"] - 1
assert mean["rank"].is_monotonic_increasing
assert mean.knn.is_monotonic_increasing
assert mean.dep[0.5:].is_monotonic_decreasing
assert mean.knn[0] < mean.untrained_knn[0] + 1
assert mean.loss[10] > 0
assert np.allclose(barrier.height, barrier.stated, atol=1e-4)
assert np.allclose(barrier["at C"], barrier["stated C"], rtol=1e-2)
