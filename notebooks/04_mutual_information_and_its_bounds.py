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
# # Mutual information and its bounds
#
# **Question.** Contrastive learning is often explained as maximising mutual information,
#
# $$I(X; Y) = \mathbb E_{p(x, y)} \log r(X, Y),\qquad r(x, y) = \frac{p(x, y)}{p(x)\,p(y)} .$$
#
# From samples nobody can compute it; what is computed are bounds. How far from $I$ are they, on data where $I$ is known exactly, and with
# the best critic there is?

# %%
import functools
import math
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kerneldep as kd
from kerneldep.information import BOUNDS, Bilinear, Separable, estimate_mi, get_bound, infonce, ksg, nwj
from kerneldep.information.tasks import CorrelatedGaussian, IntervalExchange, maps
from kerneldep.kernels import Gaussian
from paper_figures import mi_staircase

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # fewer batches, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90
STEPS, DIM, K = mi_staircase.STEPS, mi_staircase.DIM, mi_staircase.BATCH
BATCHES = 400 if FAST else 2000
STEPS, DIM, K

# %% [markdown]
# ## A matrix of scores
#
# A **critic** $f(x, y)$ scores pairs. From a batch of $K$ pairs we get a matrix $f(x_i, y_j)$: on its diagonal the pairs that were
# observed, off it pairs that we made up, draws of $p(x)\,p(y)$. Every bound here is a function of that matrix.
#
# The data: Gaussians in $d = 20$ whose coordinates are correlated pair by pair, $\rho = \sqrt{1 - e^{-2I/d}}$, so that $I$ is whatever we ask
# for. Their best critic is known: $\log r$.

# %%


def drawn_scores(informations, pairs, batches, seed=0):
    """Exact critics' scores [batches, K, K], by I."""
    tasks = {information: CorrelatedGaussian(information, dim=DIM) for information in informations}
    samples = {i: mi_staircase.drawn(task, jax.random.key(seed), batches, pairs) for i, task in tasks.items()}
    return jax.jit(lambda samples: {i: jax.vmap(tasks[i].critic)(*pair) for i, pair in samples.items()})(samples)


scores = drawn_scores((2.0, 4.0, 6.0, 10.0), K, 400)  # of each, 400 batches of 64 pairs
example = scores[4.0][0]

figure, axis = plt.subplots(figsize=(3.6, 3))
image = axis.imshow(example, cmap="RdBu_r", vmin=-15, vmax=15)
axis.set(xlabel="$j$", ylabel="$i$", title=r"$\log r(x_i, y_j)$, nats: one batch, I = 4")
axis.grid(visible=False)
figure.colorbar(image)
plt.show()
print(f"mean over the diagonal: {float(example.diagonal().mean()):.2f}; of all batches: ", end="")
print(f"{float(scores[4.0].diagonal(axis1=1, axis2=2).mean()):.3f}")

# %% [markdown]
# Write $\mathbb E_p$ for the mean over the diagonal and $\mathbb E_q$ for that off it. Some bounds:
#
# | | value | says of $I$ |
# |---|---|---|
# | InfoNCE | $\mathbb E_i \log \dfrac{e^{f(x_i, y_i)}}{\frac1K\sum_j e^{f(x_i, y_j)}}$ | at least this, and never more than $\log K$ |
# | NWJ | $\mathbb E_p f - e^{-1}\,\mathbb E_q e^f$, best at $f = 1 + \log r$ | at least this |
# | Donsker–Varadhan | $\mathbb E_p f - \log \mathbb E_q e^f$ | from one batch: nothing certain |
# | CLUB | $\mathbb E_p f - \mathbb E_q f$, with $f = \log p(y \mid x)$ | at most this |
#
# "At least" and "at most" are of expectations. `get_bound` knows for each bound on which side it is, and its ceiling. Here are all ten, each
# with its best critic ($\log r$; for NWJ $1 + \log r$), of the one matrix above and on average:

# %%
found = mi_staircase.values(scores[4.0], np.float32(1), tuple(BOUNDS))  # 1 is added for NWJ
pd.DataFrame(
    {
        "kind": {name: get_bound(name).kind for name in BOUNDS},
        "of this batch": {name: float(found[name][0]) for name in BOUNDS},
        "mean of 400": {name: float(found[name].mean()) for name in BOUNDS},
        "ceiling": {name: get_bound(name).ceiling(K) for name in BOUNDS},
    }
).round(3)

# %% [markdown]
# ## The staircase
#
# Now many batches of $K = 64$, for $I = 2, 4, \dots, 10$ nats. No critic has to be learned, so that what is wrong here no training will
# mend.

# %%
known = mi_staircase.exact({K: (1, BATCHES)} if FAST else {K: (2, BATCHES // 2), 1024: (8, 16)})
mi_staircase.draw(known)
plt.show()

means = known[known.pairs == K].pivot(index="bound", columns="information", values="mean").loc[list(BOUNDS)]
errors = (
    known[known.pairs == K].pivot(index="bound", columns="information", values="sd").loc[list(BOUNDS)] / BATCHES**0.5
)
means.round(3)

# %% [markdown]
# Blue: the mean, and the middle 80 % of batches. (The gallery's figure has trained critics beside it.) Three kinds of failure are in this picture, and we take them one by one: a **ceiling** (InfoNCE, $I_\alpha$), a **variance**
# (NWJ, TUBA, Jensen–Shannon), and **no side** (Donsker–Varadhan, MINE, SMILE). The upper bounds need what we do not have.
#
# ## The ceiling
#
# InfoNCE asks: which of the $K$ candidates is $x_i$'s own? That question is worth $\log K$ nats at most. At $I = 10$ and $K = 64$ it says
# 4.12, just below $\log 64 = 4.16$, and would say so of any larger $I$. To see 10 nats you need more than $e^{10} = 22{,}026$ candidates.
#
# $I_\alpha$ (Poole et al. 2019) goes between InfoNCE ($\alpha = 1$) and NWJ's kin ($\alpha = 0$). Its ceiling, for $0 < \alpha < 1$, is
# $1 + \log\frac{K - 1}{\alpha}$ (kerneldep's: the $\log\frac{K}{\alpha}$ often given can be exceeded).


# %%
@functools.partial(jax.jit, static_argnames="alpha")
def three_bounds(scores, alpha):
    """InfoNCE, I_α and NWJ of each of a stack of matrices, at their best critics."""
    of_batch = infonce, get_bound("interpolated", alpha=alpha).value, lambda one: nwj(one + 1)
    return [jax.vmap(value)(scores) for value in of_batch]


def plot(information, log2_pairs, alpha):
    """Three lower bounds over batches of one K."""
    pairs = 2**log2_pairs
    values = three_bounds(drawn_scores((information,), pairs, 400, seed=1)[information], alpha)
    names = ("InfoNCE", f"$I_\\alpha$, α = {alpha:.2g}", "NWJ")
    ceilings = (math.log(pairs), get_bound("interpolated", alpha=alpha).ceiling(pairs), math.nan)
    looks = (("C0", "-"), ("C1", "--"), ("0.3", ":"))
    figure, axis = plt.subplots(figsize=(7.2, 2.3))
    bins = np.linspace(0, information + 5, 121)
    for name, of_batch, ceiling, (colour, line) in zip(names, map(np.asarray, values), ceilings, looks, strict=True):
        label = f"{name}: mean {of_batch.mean():.2f}, sd {of_batch.std():.2f}"
        inside = np.clip(of_batch, *bins[[0, -1]])
        axis.hist(inside, bins, histtype="step", color=colour, linestyle=line, linewidth=1.5, label=label)
        axis.axvline(ceiling, color=colour, linestyle=line, linewidth=0.8)
    axis.axvline(information, color="k", linewidth=1)
    axis.set(
        title=f"I = {information:g}, K = {pairs}", xlabel="nats (upright lines: I, and the ceilings)", ylabel="batches"
    )
    axis.set_xlim(*bins[[0, -1]])
    axis.legend(loc="upper right", fontsize=7)
    return {
        name: float(of_batch.mean()) for name, of_batch in zip(("infonce", "interpolated", "nwj"), values, strict=True)
    }


panels = {}
for information in (10.0,) if FAST else (4.0, 10.0):
    panels[information] = plot(information, log2_pairs=6, alpha=0.5)
    plt.show()

# %% [markdown]
# With $\alpha = \frac12$ the mean at $I = 10$ is above $\log\frac{64}{1/2} = 4.85$, and below $1 + \log\frac{63}{1/2} = 5.84$. With a live kernel, move
# the sliders: more pairs raise the ceiling slowly, a small α raises it fast, and brings in NWJ's variance.

# %%
if LIVE:
    from ipywidgets import FloatLogSlider, FloatSlider, IntSlider, interact

    def show(information, log2_pairs, alpha):
        """One state of the sliders."""
        plot(information, log2_pairs, alpha)
        plt.show()

    interact(
        show,
        information=FloatSlider(4, min=1, max=12, step=1, continuous_update=False),
        log2_pairs=IntSlider(6, 3, 9, continuous_update=False),
        alpha=FloatLogSlider(0.5, min=-4, max=-0.1, step=0.3, continuous_update=False),
    )

# %% [markdown]
# ## The variance
#
# NWJ is exactly right on average here, $\mathbb E\,[\mathrm{NWJ}] = I$: no ceiling, no bias. But its second term is a mean of $r$ over $p(x)\,p(y)$,
# and $r$ has a tail:
#
# $$\mathbb E_q\, r = 1,\qquad \mathrm{Var}_q\, r = \mathbb E_p\, r - 1 \ge e^I - 1,\qquad \text{here}\quad \mathrm{Var}_q\, r = e^{2I} - 1 .$$
#
# So a batch's NWJ has a variance we can write down (kerneldep's; of the $K(K-1)$ ratios only those of $(i, j)$ and $(j, i)$ are
# correlated):
#
# $$\mathrm{Var} = \frac{d\rho^2}{K} + \frac{(e^{2I} - 1) + \big((1 - \rho^4)^{-d} - 1\big)}{K(K-1)} .$$

# %%
of_nwj = known[(known.bound == "nwj") & (known.pairs == K)].set_index("information")
spread = pd.DataFrame({"mean": of_nwj["mean"], "sd over batches": of_nwj["sd"], "true sd": of_nwj.stated_sd})
needed = (spread["true sd"] / 0.1) ** 2
spread.round(3).assign(**{"batches needed for ±0.1": needed.map("{:,.0f}".format)})

# %% [markdown]
# The two columns agree at $I = 2$ and part at once. At $I = 10$ the sample says a few nats, the truth is 347. The sample is not lucky, it is
# blind: what makes the variance are pairs so rare that no batch held one. Here is the second term, whose expectation is 1 for every $I$:


# %%
@jax.jit
@jax.vmap
def product_term(s):
    """E_q r of one batch: what NWJ subtracts."""
    return s.diagonal().mean() + 1 - nwj(s + 1)


terms = {information: np.asarray(product_term(scores[information])) for information in (2.0, 6.0, 10.0)}
figure, axis = plt.subplots(figsize=(5.4, 2.5))
for (information, values), hatch, colour in zip(terms.items(), ("", "///", "..."), ("C0", "C4", "C1"), strict=True):
    axis.hist(np.log10(np.maximum(values, 1e-3)), np.linspace(-3, 2, 60), histtype="stepfilled", alpha=0.6, color=colour,
              hatch=hatch, edgecolor="k", linewidth=0.5, label=f"I = {information:g}: median {np.median(values):.2f}")  # fmt: skip
axis.axvline(0, color="k", linewidth=1)
axis.set(
    xlabel=r"$\log_{10}$ of the batch mean of r", ylabel="batches", title="An expectation that is hardly ever seen"
)
axis.legend(loc="upper left")
plt.show()
medians = {information: float(np.median(values)) for information, values in terms.items()}

# %% [markdown]
# At $I = 10$ nearly every batch subtracts too little, and so says a bit more than $I$, until one in very many says
# minus thousands. That is how a lower bound's sample mean can lie above $I$ for as long as you care to wait.
#
# ## No side
#
# Donsker–Varadhan takes the logarithm of that mean. A logarithm tames the tail, and turns it into a bias: by Jensen
# $-\log$ of a sample mean is too **large** on average. So with the best critic a batch overshoots, at $I = 10$ by more than
# a nat. MINE's values are the same (only its gradient differs). SMILE clips $e^f$ at $e^{\pm c}$: less variance, other bias.

# %%
CLIPS = (1.0, 2.0, 5.0, 8.0, math.inf)
smiles = jax.jit(jax.vmap(lambda s: [get_bound("smile", clip=clip).value(s) for clip in CLIPS]))
smile_table = pd.DataFrame(
    {
        (f"I = {information:g}", what): [float(statistic(one)) for one in smiles(scores[information])]
        for information in (2.0, 6.0, 10.0)
        for what, statistic in (("mean", np.mean), ("sd", np.std))
    },
    index=[f"c = {clip:g}" for clip in CLIPS],
)
smile_table.round(2)

# %% [markdown]
# $c = \infty$ is Donsker–Varadhan. Every finite clip trades the one for the other, and none is a bound: with the best critic these are all
# above $I$, with a poor one below.
#
# ## From above
#
# CLUB and leave-one-out are upper bounds, if $f = \log p(y \mid x) + h(y)$, the **true** conditional, which is what one does not have. CLUB is also
# loose: it exceeds $I$ by $\mathrm{KL}(p(x)p(y)\,\|\,p(x,y))$, which for our Gaussians makes it $d\rho^2/(1 - \rho^2)$, 34.4 at $I = 10$.

# %%
club = known[(known.bound == "club") & (known.pairs == K)].set_index("information")
upper = pd.DataFrame(
    {
        "CLUB": means.loc["club"],
        "dρ²/(1 − ρ²)": club.stated_mean,
        "leave-one-out": means.loc["leave_one_out"],
        "CLUB of f/4": means.loc["club"] / 4,
    }
)
upper.round(2)

# %% [markdown]
# The last column is CLUB with a critic that is wrong by a factor (CLUB is linear in $f$): below $I$, and nothing warns.
#
# ## Neighbours
#
# The estimator of Kraskov, Stögbauer and Grassberger (2004) needs no critic: it counts neighbours. It is no bound either. In one dimension it is very
# good.

# %%
NUM, DIMS = (500, (1, 20)) if FAST else (3000, (1, 5, 20))
rows = []
for dim in DIMS:
    for information in (1.0, 4.0):
        x, y = CorrelatedGaussian(information, dim=dim).sample(jax.random.key(2), NUM)
        rows.append((dim, information, float(ksg(x, y))))
ksg_table = pd.DataFrame(rows, columns=["d", "I", "KSG"]).pivot(index="d", columns="I", values="KSG")
ksg_table.round(3)

# %% [markdown]
# In $d = 20$ the nearest of these points is not near, and most of the information is lost.
#
# ## A critic that is learned
#
# `estimate_mi` splits the pairs in three: one part trains the critic, the second chooses the best, the third, untouched, gives the estimate. So a
# lower bound stays one, and the result says what it is.

# %%
task = CorrelatedGaussian(4.0, dim=DIM)
key_data, key_critic, key_train = jax.random.split(jax.random.key(3), 3)
pairs = task.sample(key_data, K * BATCHES // 2)
if FAST:
    critic, rate, num_steps = Bilinear(DIM, DIM, key=key_critic), 3e-2, 200
else:
    critic, rate, num_steps = Separable(DIM, DIM, width=64, depth=1, key=key_critic), 3e-3, 2000
found = estimate_mi(*pairs, "infonce", critic, key=key_train, num_steps=num_steps, learning_rate=rate)
share = float(found.estimate) / means.loc["infonce", 4.0]
print(found)
print(f"I = 4, InfoNCE with the exact critic {means.loc['infonce', 4.0]:.3f}: {100 * share:.0f} % of it are reached")

figure, axis = plt.subplots(figsize=(5.4, 2.4))
axis.plot(found.curve.objective, color="0.75", linewidth=0.7, label="a training batch")
axis.plot(found.curve.step - 1, found.curve.validation, "C0o-", label="validation")
axis.axhline(means.loc["infonce", 4.0], color="k", linewidth=1, label="exact critic")
axis.set(xlabel="step", ylabel="InfoNCE, nats")
axis.legend()
plt.show()

# %% [markdown]
# The other bounds can be trained as well, and high information breaks them there, too: the gallery's figure has NWJ at $I = 10$ with a critic
# that reaches a third of $I$ with a standard deviation of many nats.
#
# ## What $I$ does not see
#
# Put $X$ through any injective map: $I(X; Y)$ stays exactly what it is. Nothing else does. Below one pair of numbers, $I = 1$, seen through maps; the
# last one cuts $(0, 1)$ into 200 pieces and shuffles them.

# %%
pair = CorrelatedGaussian(1.0)
x, y = pair.sample(jax.random.key(4), NUM)
shuffle = IntervalExchange.random(jax.random.key(5), 200)


@jax.jit
def mapped(x):
    """X under injective maps."""
    return {
        "as it is": x,
        "cube": maps.cube(x),
        "normal CDF": maps.normal_cdf(x),
        "asinh": maps.asinh(x),
        "half-cube": maps.half_cube(x),
        "wiggle": maps.wiggle(x),
        "shuffled": shuffle(maps.normal_cdf(x)),
    }


seen = {name: np.asarray(u) for name, u in mapped(x).items()}
y = np.asarray(y)
kernel = Gaussian(1.0)
map_table = pd.DataFrame(
    {
        "I": pair.mutual_information,
        "correlation": {name: float(np.corrcoef(u[:, 0], y[:, 0])[0, 1]) for name, u in seen.items()},
        "HSIC, σ = 1": {name: float(kd.hsic(u, y, kernel, kernel)) for name, u in seen.items()},
        "KSG": {name: float(ksg(u, y)) for name, u in seen.items()},
    }
)

figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.2))
for axis, name in zip(axes, ("as it is", "cube", "shuffled"), strict=True):
    axis.scatter(seen[name][:1000, 0], y[:1000, 0], s=3, linewidths=0, color="C0")
    axis.set(title=f"{name}: I = 1", xlabel="x", xlim=(-12, 12) if name == "cube" else None)
axes[0].set_ylabel("y")
plt.show()
map_table.round(4)

# %% [markdown]
# The right panel still holds one nat, in principle. Neither correlation nor HSIC nor neighbours nor any learner with few samples finds it: they all
# look at *nearness*, and so does whoever uses a representation. Mutual information does not.
#
# So there are two reasons not to take $I$ as the aim. It cannot be estimated where it is large; and if it could, it would not say what
# is wanted: **a tighter bound is not a better representation** (Tschannen et al. 2020). What InfoNCE does right it does as a loss, by its critic
# and its ceiling, and [notebook 01](01_infonce_vs_hsic.ipynb) shows what that loss is: dependence, measured by a kernel, with a regulariser.
#
# ## Exercise
#
# Show that $\mathbb E_q r^2 = e^{2I}$ for these Gaussians. How many *independent* pairs from $p(x)\,p(y)$ does NWJ then need for a standard deviation of one nat at
# $I = 10$, and how many candidates does InfoNCE need to reach a ceiling of 10 nats?
#
# <details><summary>Solution</summary>
#
# $\mathbb E_q r^2 = \mathbb E_p r$. For one pair of coordinates Mehler's expansion is $r(x, y) = \sum_k \rho^k h_k(x) h_k(y)$ with orthonormal Hermite
# polynomials, so $\mathbb E_q r^2 = \sum_k \rho^{2k} = 1/(1 - \rho^2)$. Of $d$ independent pairs it is $(1 - \rho^2)^{-d}$, and
# $I = -\frac d2 \log(1 - \rho^2)$: together $e^{2I}$. A mean of $n$ independent ratios has variance $(e^{2I} - 1)/n$, so that $n = e^{20} - 1$, half a
# billion. InfoNCE needs $K = e^{10}$, that is, 22,026 candidates for its ceiling alone, and $K^2$ scores: the same half a billion.
#
# </details>

# %%
ratios, candidates = CorrelatedGaussian(10.0, dim=DIM).ratio_variance, math.exp(10)
small = np.exp(np.asarray(drawn_scores((0.5,), K, 400, seed=6)[0.5], np.float64))
off = ~np.eye(K, dtype=bool)
second_moment = float((small[:, off] ** 2).mean())
print(
    f"{ratios:.3g} ratios, {candidates:,.0f} candidates; at I = ½, E r² = {second_moment:.3f} and e^(2I) = {math.e:.3f}"
)

# %% [markdown]
# ## What we found

# %%
stated = np.array([1.817, 3.071, 3.737, 4.024, 4.121])  # InfoNCE at K = 64, exact critic
assert np.abs(means.loc["infonce"] - stated).max() < 0.02
assert (means.loc["infonce"] < math.log(K)).all()
assert get_bound("infonce").near_ceiling(means.loc["infonce", 10.0], K)
assert math.log(K / 0.5) < panels[10.0]["interpolated"] < get_bound("interpolated", alpha=0.5).ceiling(K)
assert np.allclose(means.loc["nwj"], means.loc["jensen_shannon"], atol=1e-3)  # the same at their best critics
assert abs(spread["sd over batches"][2.0] / spread["true sd"][2.0] - 1) < 0.15  # the variance, where a sample shows it
assert spread["sd over batches"][10.0] < 0.1 * spread["true sd"][10.0]  # and where not
assert 0.9 < medians[2.0] < 1.05
assert medians[10.0] < 0.5
assert means.loc["donsker_varadhan", 10.0] == means.loc["mine", 10.0]
assert abs(means.loc["donsker_varadhan", 10.0] - 11.3) < 0.3  # above I = 10
assert (smile_table["I = 10", "mean"] > 10).all()
assert (smile_table["I = 10", "sd"].diff()[1:] > 0).all()
assert (np.abs(upper["CLUB"] - upper["dρ²/(1 − ρ²)"]) < 5 * errors.loc["club"]).all()
assert (upper["leave-one-out"] > upper.index).all()
assert (upper["CLUB of f/4"] < upper.index).all()
assert (ksg_table.loc[1] / ksg_table.columns - 1).abs().max() < 0.1
assert (ksg_table.loc[20] < 0.5 * ksg_table.columns).all()
assert found.kind == "lower"
assert 0.75 < share < 1
assert (map_table.KSG.drop("shuffled") - 1).abs().max() < 0.15
assert map_table["HSIC, σ = 1"]["shuffled"] < 0.05 * map_table["HSIC, σ = 1"]["as it is"]
assert map_table.KSG["shuffled"] < 0.5
assert abs(second_moment / math.e - 1) < 0.1
if not FAST:
    at_1024 = known[known.pairs == 1024].set_index("information")["mean"]
    assert np.abs(at_1024 - [1.971, 3.784, 5.228, 6.153, 6.638]).max() < 0.03
    assert share > 0.9
