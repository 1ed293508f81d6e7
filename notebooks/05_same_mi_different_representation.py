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
# # Same mutual information, different representation
#
# **Question.** Contrastive losses are often explained as maximising mutual information between representations of two views.
# If that were the reason why they work, representations of equal mutual information would be equally good. Are they?
#
# Li, Pogodin, Sutherland and Gretton ([NeurIPS 2021](https://arxiv.org/abs/2106.08320)) draw three distributions that are
# not, and Tschannen et al. (2020) train networks that are not. Here are populations small enough that every expectation is a sum
# (kerneldep's own), so that the mutual information is known to all digits.

# %%
import math
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kerneldep as kd
from kerneldep.analysis import (
    best_infonce,
    checkerboard,
    infonce_hsic,
    mi_pathology,
    nearest_accuracy,
    same_information,
)
from kerneldep.information.tasks import (
    CorrelatedGaussian,
    IntervalExchange,
    LabelledPopulation,
    interleaved,
    normal_cdf,
)
from kerneldep.kernels import Cosine, Gaussian, InverseMultiquadric
from paper_figures import same_mi

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # a small version, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90
LOG_2 = math.log(2)

# %% [markdown]
# ## Odd and even
#
# Let one class be the even numbers $0, 2, \dots, 2m$ and the other the odd numbers $1, 3, \dots, 2m + 1$, all equally likely. The number $Z$ says
# exactly which class $Y$ it is of, so
#
# $$I(Z; Y) = H(Y) = \log 2 \quad\text{for every } m .$$
#
# Two positives, independent draws $Z, Z'$ from one class, share the class and nothing else: $I(Z; Z') = \log 2$ too, and that is
# what InfoNCE bounds. But the larger $m$, the less a number tells about its *neighbours*. Dependence with a kernel of fixed
# scale notices,
#
# $$\mathrm{dep} = \mathbb E_{\text{pos}}\, k(Z, Z') - \mathbb E\, k(Z, Z'),\qquad k(z, z') = \frac{1}{\sqrt{1 + (z - z')^2}},$$
#
# and so does a learner who gets 16 labels and goes by the nearest:

# %%


def dep(points, classes):
    """E_pos k − E k of equally large classes, by hand."""
    gram = 1 / np.sqrt(1 + ((points[:, None] - points[None, :]) ** 2).sum(-1))
    return gram[classes[:, None] == classes[None, :]].mean() - gram.mean()


rows = []
for m in (0, 1, 2, 4, 8, 16, 32):
    odd_even = interleaved(m)
    nearest = nearest_accuracy(odd_even.points, odd_even.classes, 16)
    information = odd_even.mutual_information, odd_even.positive_information
    rows.append((m, *information, dep(odd_even.points, odd_even.classes), nearest))
columns = ["m", "I(Z; Y)", "I(Z; Z′)", "dep", "1-NN accuracy, 16 labels"]
interleaving = pd.DataFrame(rows, columns=columns).set_index("m")
by_library = float(kd.dependence.positive_dependence(odd_even.views, InverseMultiquadric(1.0), estimate="population"))
interleaving.round(4)

# %% [markdown]
# (The accuracy is no simulation: no label is among the $r$ nearest of $n$ points with probability $(1 - r/n)^{16}$, which gives the mean in
# closed form.)
#
# ## In the plane
#
# Six populations of two classes, every one with $I(Z; Y) = I(Z; Z') = \log 2$ (top), and what else is known of them (middle). "InfoNCE" is what
# $-L_{\text{InfoNCE}}$ reaches at the best temperature with infinitely many negatives. All but the first have the very same points, only other labels. Below,
# the interleaved numbers again.

# %%
table = same_mi.compute(FAST)
same_mi.draw(table)
plt.show()
caption = same_mi.caption(table)
print(caption.found)

# %% [markdown]
# Read it by rows. Mutual information says nothing; nor does InfoNCE with its exact critic, which equals it. A critic that can
# express less sees less, and what it sees is what a learner of the same kind can use: the cosine, straight lines through
# the origin; Gaussians, neighbourhoods of their width.
#
# ## What InfoNCE sees depends on its critic
#
# Take critics $s\,k$ with a Gaussian $k$ of width $\sigma$, and the best $s$ for each. The higher the curve, the larger the share of the
# $\log 2$ nats that this critic can show.

# %%
side = 8 if FAST else 16
populations = dict(zip(same_mi.PANELS, same_information(side, key=jax.random.key(0)), strict=True))
widths = np.geomspace(0.05, 6.4, 8 if FAST else 15)
seen = pd.DataFrame(
    {name: [best_infonce(of.views, Gaussian(width))[0] for width in widths] for name, of in populations.items()},
    index=pd.Index(widths, name="σ"),
)
alone = (2 * LOG_2 - 1) / side**2

figure, axis = plt.subplots(figsize=(5.4, 3.2))
axis.axhline(LOG_2, color="k", linewidth=1, label="I(Z; Z′) of all of them")
for number, (name, values) in enumerate(seen.items()):
    line = ("-", "--", "-", "--", "-", ":")[number]
    axis.plot(widths, values, color=f"C{number}", marker="os^vDP"[number], linestyle=line, label=name)
axis.axhline(alone, color="0.5", linewidth=1, linestyle="-.", label="(2 log 2 − 1)/n")
axis.set(xscale="log", yscale="log", ylim=(2e-4, 1.2), xlabel="width σ of the critic", ylabel="InfoNCE (nats)")
figure.legend(loc="outside right center")
plt.show()

# %% [markdown]
# Every population has a scale of its own, and a critic of the wrong width sees next to nothing. A very narrow one sees only that
# two draws are *the same point*, which happens with probability $2/n$ for positives and $1/n$ otherwise: it reaches
# about $\max_s\, (2s - e^s + 1)/n = (2\log 2 - 1)/n$ whatever the labels (dash-dotted). The scrambled population has no scale; no width shows much.
#
# So a contrastive loss, whose critic is the cosine of two representations, does not maximise mutual information: it maximises what
# this critic can see of it. How much of this is dependence? For all panels on the lattice the law of $Z$ is one and the same, and with it everything in
# $L_{\text{InfoNCE}} + \mathrm{dep} = \mathbb E\,\Lambda(Z)$ (notebook 01), which does not know the labels. There, InfoNCE with a given kernel as
# critic is dep and a constant:

# %%
rows = []
for name in same_mi.PANELS[1:]:
    found = infonce_hsic(populations[name].views, kernel=Gaussian(1.0))
    rows.append((name, float(found.infonce), float(found.dependence), float(found.infonce + found.dependence)))
lattice = pd.DataFrame(rows, columns=["population", "L", "dep", "L + dep"]).set_index("population")
lattice.round(6)

# %% [markdown]
# ## A bijection that scrambles
#
# Mutual information does not change under any bijection of $Z$. That is its beauty for coding, where nobody asks how hard
# decoding is, and its defect as a goal for representations. Let $(X, Y)$ be Gaussian with $I = 1$ nat and $U = \Phi(X)$, $V = \Phi(Y)$, both
# uniform on $(0, 1)$. Write $U$ in binary and **reverse the order of its first $b$ digits**. This is a bijection, which leaves the law of $U$ uniform
# and $I = 1$ nat, for any $b$.

# %%
NUMBER = 500 if FAST else 1000
gaussian = CorrelatedGaussian(1.0)
u, v = (np.asarray(normal_cdf(one)) for one in gaussian.sample(jax.random.key(0), NUMBER))
half = (v[:, 0] > 0.5).astype(int)
hsic = jax.jit(lambda one, other: kd.hsic(one, other, Gaussian(0.2), Gaussian(0.2)))


def reversed_digits(digits):
    """The bijection, as an exchange of 2^digits intervals."""
    cells = range(2**digits)
    return IntervalExchange(np.array([int(f"{cell:0{digits}b}"[::-1], 2) if digits else 0 for cell in cells]))


def measured(digits):
    """The scrambled sample, and what is measured of it."""
    scrambled = np.asarray(reversed_digits(digits)(u))
    return scrambled, {
        "I(U; V)": gaussian.mutual_information,
        "HSIC": float(hsic(scrambled, v)),
        "k-NN estimate of I": float(kd.information.ksg(scrambled, v)),
        "1-NN accuracy, 16 labels": nearest_accuracy(scrambled, half, 16),
    }


def plot(digits=4, axis=None):
    """The scrambled sample for a number of digits; returns the axis and the numbers."""
    axis = plt.subplots(figsize=(3.2, 3.0))[1] if axis is None else axis
    scrambled, numbers = measured(digits)
    for label, (colour, face) in enumerate((("C0", "C0"), ("C4", "none"))):
        part = half == label
        axis.scatter(scrambled[part], v[part], s=5, edgecolors=colour, facecolors=face, linewidths=0.6)
    axis.set(xlabel="U with digits reversed", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_title(f"b = {digits}: I = {numbers['I(U; V)']:.0f}, HSIC = {numbers['HSIC']:.4f}")
    return axis, numbers


figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.7), sharey=True)
for digits, axis in zip((0, 4, 8), axes, strict=True):
    plot(digits, axis)
axes[0].set_ylabel("V")
plt.show()

# %% [markdown]
# With a live kernel, move the slider:

# %%
if LIVE:
    from ipywidgets import IntSlider, interact

    def show(digits):
        """One state of the slider."""
        print(plot(digits)[1])
        plt.show()

    interact(show, digits=IntSlider(4, 0, 9, continuous_update=False))

# %% [markdown]
# The same for every $b$, beside what shuffling $V$ gives:

# %%
all_digits = range(0, 9, 2) if FAST else range(9)
scrambling = pd.DataFrame({digits: measured(digits)[1] for digits in all_digits}).T
rng = np.random.default_rng(0)
independent = np.array([float(hsic(u, rng.permutation(v))) for _ in range(20)])
noise = 2 * float(np.sqrt((independent**2).mean()))

figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.7))
left.plot(scrambling.index, scrambling["HSIC"], "C0o-", label="HSIC(U, V)")
left.fill_between([0, 8], -noise, noise, color="0.85", linewidth=0, label="if independent")
left.set(xlabel="digits reversed, $b$", ylim=(-0.01, None))
left.legend()
right.plot(scrambling.index, scrambling["I(U; V)"], "k", label="I(U; V), exactly (nats)")
right.plot(scrambling.index, scrambling["k-NN estimate of I"], "C1^--", label="its k-NN estimate (nats)")
right.plot(scrambling.index, scrambling["1-NN accuracy, 16 labels"], "C2s:", label="1-NN accuracy, 16 labels")
right.axhline(0.5, color="0.4", linewidth=1, zorder=0)
right.set(xlabel="digits reversed, $b$", ylim=(0, 1.7))
right.legend()
plt.show()
scrambling.round(4)

# %% [markdown]
# HSIC falls into the noise, and the learner to chance; mutual information stays. Its *estimate* from these samples does not: the
# k-nearest-neighbour estimator needs neighbours as well. Nothing that is estimated from finitely many samples is blind to
# geometry. The question is only whether the geometry is chosen on purpose, as a kernel is, or comes in through the estimator or the critic.
#
# ## Where dep is no judge
#
# It would be too much to conclude that dep is what makes a representation good. It judges nearness, at the scale of its kernel.
# In the table above $2 \times 2$ fields have twice the dep of 4 stripes, and a linear probe from few labels does no better on them. Which
# kernel is right depends on who will use the representation.
#
# ## Exercise
#
# A bijection can also repair. Find one of the plane after which a straight line separates the $2 \times 2$ fields.
#
# <details><summary>Solution</summary>
#
# The class is the sign of $z_1 z_2$. Take $(z_1, z_2) \mapsto (z_1 \operatorname{sign} z_2,\, z_2)$: it is its own inverse, and the class is now the sign of the first
# coordinate. The lattice is mapped onto itself, the mutual information stays $\log 2$, and dep becomes that of two stripes.
#
# </details>

# %%
fields = checkerboard(2, side)
folded = fields.points * np.stack([np.sign(fields.points[:, 1]), np.ones(len(fields.points))], axis=1)
repaired = LabelledPopulation(folded, fields.classes, "repaired")
rows = {}
for name, population in (("2 × 2 fields", fields), ("repaired", repaired)):
    found = mi_pathology(population, critics={"cosine": Cosine()}, num_labels=16, num_draws=4, key=jax.random.key(0))
    rows[name] = {
        "I(Z; Y)": found.mutual_information,
        "InfoNCE, cosine": found.infonce["cosine"],
        "dep": float(found.dependence),
        "linear, all labels": found.linear_all,
        "1-NN, 16 labels": found.nearest,
    }
repair = pd.DataFrame(rows).T
repair.round(4)

# %% [markdown]
# ## What we found

# %%
stated = [0.146, 0.057, 0.033, 0.017, 0.0082, 0.0039, 0.0019]
assert np.allclose(interleaving[["I(Z; Y)", "I(Z; Z′)"]], LOG_2, rtol=1e-12)
assert np.allclose(interleaving.dep, stated, atol=6e-4)
assert np.isclose(interleaving.dep.iloc[-1], by_library, rtol=1e-6)
assert (interleaving["1-NN accuracy, 16 labels"].diff()[1:] < 0).all()
panels = table[table.part == "panel"].set_index("panel")
assert np.allclose(panels[["mutual_information", "positive_information", "infonce_exact"]], LOG_2, atol=1e-6)
assert caption.verdict.startswith("Held")
assert panels.dep["2 × 2 fields"] > 1.5 * panels.dep["4 stripes"]
assert panels.linear["2 × 2 fields"] < panels.linear["4 stripes"] + 0.05  # yet no better for a line
assert (seen.to_numpy() < LOG_2).all()  # no weak critic shows all of it
assert np.allclose(seen.iloc[0], alone, rtol=0.05)  # a narrow one the same of all
assert seen["scrambled"].max() < 0.1 * seen["2 stripes"].max()
assert np.ptp(lattice["L + dep"]) < 1e-12  # one law of Z: InfoNCE is dep and a constant
assert np.ptp(lattice["dep"]) > 0.05
assert scrambling["HSIC"].iloc[0] > 20 * noise
assert abs(scrambling["HSIC"].iloc[-1]) < 2 * noise
assert scrambling["k-NN estimate of I"].iloc[-1] < 0.5 < 0.9 < scrambling["k-NN estimate of I"].iloc[0]
assert scrambling["1-NN accuracy, 16 labels"].iloc[-1] < 0.6 < 0.8 < scrambling["1-NN accuracy, 16 labels"].iloc[0]
assert np.allclose(repair["I(Z; Y)"], LOG_2)
assert repair["linear, all labels"]["repaired"] == 1
assert abs(repair["linear, all labels"]["2 × 2 fields"] - 0.5) < 0.05
assert np.isclose(repair.dep["repaired"], panels.dep["2 stripes"], rtol=1e-6)
