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
# # One lens, many losses
#
# **Question.** Self-supervised losses look nothing alike: a softmax, a cross-correlation matrix, a log-determinant,
# characteristic functions. Is each of them *dependence on the image's identity, minus a regulariser*? Which, how nearly, and do they
# pull a representation the same way?

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from kerneldep.analysis import gradient_cosines, infonce_hsic, lens
from kerneldep.kernels import Cosine, Linear
from kerneldep.objectives import SSLHSIC, InfoNCE, Outputs, get_objective, objective_names
from paper_figures import one_lens
from paper_figures.encoded_views import encoded_views, source

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # small versions on scikit-learn's digits, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # `python -m notebooks` sets it: sliders are for people
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90

views = {name: jnp.asarray(array[:2], jnp.float64) for name, array in encoded_views(FAST).items()}
print(source(FAST), "Here: two of the views.")

# %% [markdown]
# ## Swap a loss by its name
#
# All losses have one interface. An objective says what it needs of a network, and is a function of what the network puts out: a
# loss, terms to log, and a new state.

# %%
outputs = Outputs(projections=views["untrained"])
for name, parameters in {"infonce": {"temperature": 0.2}, "vicreg": {}, "ssl_hsic": {"gamma": 3.0}}.items():
    objective = get_objective(name, **parameters)
    loss, terms, _ = objective(outputs, objective.init(views["untrained"].shape[-1]), key=jax.random.key(0))
    print(f"{name}: {float(loss):.3f} ", {term: round(float(value), 3) for term, value in terms.items()})

print(f"\nThere are {len(objective_names())}:", ", ".join(objective_names()))

# %% [markdown]
# ## What each one says
#
# With $\mathrm{dep} = \mathbb E_{\text{pos}} k - \mathbb E k$ the dependence on identity:
#
# | loss | dependence on identity | regulariser | kernel |
# |---|---|---|---|
# | SSL-HSIC | dep | $\gamma\sqrt{\mathrm{HSIC}(Z, Z)}$ | any; inverse multiquadric |
# | InfoNCE | $\mathbb E_{\text{pos}} s/\tau$ | $\mathbb E \log \mathbb E\, e^{s/\tau}$: to second order the rest of dep, and $\tfrac12\mathbb E\,\mathrm{Var}$ | $\cos/\tau$ |
# | DCL | the same | the same without the positive | $\cos/\tau$ |
# | spectral contrastive | 2 dep | HSIC(Z, Z) and what the mean adds | linear |
# | alignment + uniformity | $\mathbb E_{\text{pos}}\lVert z - z'\rVert^2$ | $\log \mathbb E\, e^{-t\lVert z - z'\rVert^2}$ | Gaussian |
# | BYOL, SimSiam | $\mathbb E_{\text{pos}}\lVert q(z) - z'\rVert^2$ | none in the loss: the predictor's and the target's dynamics | linear |
# | Barlow Twins | the diagonal of $C_{12}$ | its other entries, HSIC between views | linear, standardised |
# | VICReg | the distance between views | covariances of one view: HSIC(Z, Z), and a floor for each variance | linear |
# | W-MSE | the distance between views | a constraint: covariance $= I$ | linear, whitened |
# | CorInfoMax, Gaussian MI | distance; joint log-determinant | $-\log\det$ of the covariance | linear, whitened |
# | SDMI, JMI | $\mathbb E_{\text{pos}} T$ | $\log \mathbb E\, e^T$ over other pairs | $\cos/\tau$ |
# | LeJEPA, SFRIK | the distance between views | MMD² to a normal law; to the uniform law on the sphere | Gaussian on lines; polynomial |
#
# The first column is one thing under many names. The losses differ in the second.
#
# ## A lens
#
# Take the gradient of a loss with respect to the views, along the unit sphere, and fit it by
#
# $$-a\,\nabla\mathrm{dep} + b\,\nabla\sqrt{\mathrm{HSIC}(Z, Z)}$$
#
# with the cosine kernel. $R^2$ says how much of the pull is dependence and self-dependence, and $\gamma = b/a$ which SSL-HSIC pulls
# most nearly the same way (the reading is kerneldep's). A loss with another regulariser has a lower $R^2$, and is none the worse for it.

# %%
key = jax.random.key(0)
temperatures = (10.0, 0.5) if FAST else (10.0, 1.0, 0.5, 0.2, 0.1, 0.05)
chosen = {
    "SSL-HSIC, cosine, γ = 3": SSLHSIC(3.0, Cosine(), estimate="paper"),
    "SSL-HSIC as published": SSLHSIC(),
    **{f"InfoNCE, τ = {t:g}": InfoNCE(t, "population") for t in temperatures},
}
found = lens(views["SSL-HSIC"], chosen, key=key)
readings = pd.DataFrame(
    {name: {"loss": seen.loss, "R²": seen.explained, "γ": seen.gamma} for name, seen in found.objectives.items()},
    dtype=float,
).T
readings.round(4)

# %% [markdown]
# SSL-HSIC with the lens's own kernel is read as itself. InfoNCE at a high temperature is SSL-HSIC to four digits, with the small weight
# $\gamma = \sqrt{\mathrm{HSIC}(Z, Z)}/\tau$ (cosine kernel) that the expansion promises. At usual temperatures it is still mostly that, and then parts.


# %%
def plot(encoder="SSL-HSIC"):
    """R² and γ of InfoNCE over temperature, on the views of an encoder; figure and R²."""
    taus = np.geomspace(0.05, 10, 3 if FAST else 7)
    seen = lens(views[encoder], {f"{t:.4g}": InfoNCE(t, "population") for t in taus}, key=key).objectives.values()
    root = float(infonce_hsic(views[encoder], 1.0).self_dependence) ** 0.5
    figure, (share, weight) = plt.subplots(1, 2, figsize=(7.2, 2.3))
    share.plot(taus, [one.explained for one in seen], "o-")
    share.set(
        xscale="log", ylim=(0, 1.03), xlabel="temperature τ", ylabel="R²", title=f"InfoNCE on views of: {encoder}"
    )
    weight.plot(taus, [one.gamma for one in seen], "o-", label="the lens's γ")
    weight.plot(taus, root / taus, "k--", linewidth=1, label="√HSIC(Z, Z) / τ")
    weight.set(xscale="log", yscale="log", xlabel="temperature τ")
    weight.legend()
    return figure, np.array([float(one.explained) for one in seen])


_, shares = plot()
plt.show()

# %% [markdown]
# With a live kernel, choose the encoder:

# %%
if LIVE:
    from ipywidgets import interact

    def show(encoder):
        """One encoder."""
        plot(encoder)
        plt.show()

    interact(show, encoder=list(views))

# %% [markdown]
# ## Every loss on the same features
#
# Defaults of each method; an identity predictor, and the network as its own target.

# %%
table = one_lens.compute(FAST)
one_lens.draw(table)
plt.show()
print(one_lens.caption(table).found)

# %%
objectives = table[table.part == "objective"].pivot(
    index="first", columns="encoder", values=["value", "explained", "gamma"]
)
objectives.index.name = None
objectives.rename(columns={"value": "loss", "explained": "R²", "gamma": "γ"}).round(3)

# %% [markdown]
# Read the weights. BYOL and SimSiam have $\gamma$ near 0: there is no regulariser in their losses. InfoNCE and its relatives pull
# like SSL-HSIC with the cosine kernel and $\gamma$ about 1; CDSSL, which *maximises* self-dependence, has a negative weight. What whitens
# (W-MSE, Gaussian MI) reweighs every direction, and LeJEPA sets a scale that unit vectors do not have: of these the lens says nothing.
#
# And what the losses trade, before and after training:

# %%
diagnostic_table = table[table.part == "diagnostic"].pivot(index="first", columns="encoder", values="value")
diagnostic_table.index.name = None
diagnostic_table.loc[list(dict.fromkeys(table[table.part == "diagnostic"]["first"]))].round(4)

# %% [markdown]
# Losses of different methods are in different units: compare losses along a row, never down a column.
#
# ## Gradients to an encoder
#
# The figure compares gradients to the views. What moves is an encoder, which cannot follow all of them. For a linear one on the features
# at hand:

# %%
dim = views["untrained"].shape[-1]
some = {
    name: get_objective(name)
    for name in ("infonce", "byol", "barlow_twins", "vicreg", "corinfomax")[: 2 if FAST else 5]
}
weights = jnp.eye(dim)
names, of_encoder = gradient_cosines(lambda w: views["untrained"] @ w, weights, some, key=key)
pd.DataFrame(of_encoder, names, names).round(2)

# %% [markdown]
# ## Exercise
#
# The spectral contrastive loss of centred features is $-2\,\mathrm{dep} + \mathrm{HSIC}(Z, Z)$ with the linear kernel. What are its $R^2$ and its
# $\gamma$ in the lens, for features of unit norm?
#
# <details><summary>Solution</summary>
#
# $\nabla\mathrm{HSIC}(Z, Z) = 2\sqrt{\mathrm{HSIC}(Z, Z)}\;\nabla\sqrt{\mathrm{HSIC}(Z, Z)}$: the same direction. So $R^2 = 1$ and
# $\gamma = \sqrt{\mathrm{HSIC}(Z, Z)}$: the weight adapts, and falls as the features spread. What the mean adds is
# $2\mu^\top\Sigma\mu + \lVert\mu\rVert^4 - 2\lVert\mu\rVert^2$, whose gradient vanishes with $\mu$.
#
# </details>

# %%
flat = views["SSL-HSIC"].reshape(-1, dim)
centred = views["SSL-HSIC"] - flat.mean(0)
centred = centred / jnp.linalg.norm(centred, axis=-1, keepdims=True)
spectral = {"spectral": get_objective("spectral_contrastive")}
seen = lens(centred, spectral, kernel=Linear(), key=key).objectives["spectral"]
expected = float(infonce_hsic(centred, kernel=Linear()).self_dependence) ** 0.5
print(f"R² = {float(seen.explained):.4f}, γ = {float(seen.gamma):.4f}; √HSIC(Z, Z) = {expected:.4f}")

# %% [markdown]
# ## What we found

# %%
assert np.isclose(readings["R²"]["SSL-HSIC, cosine, γ = 3"], 1)
assert np.isclose(readings["γ"]["SSL-HSIC, cosine, γ = 3"], 3)
assert readings["R²"]["InfoNCE, τ = 10"] > 0.9999
assert shares[-1] > 0.9999
assert shares[0] < shares[-1]  # at low temperatures they part
assert np.isclose(readings["γ"]["InfoNCE, τ = 10"], float(found.diagnostics.self_dependence) ** 0.5 / 10, rtol=0.2)
assert set(objectives.index) == set(one_lens.FAST if FAST else objective_names()) - {"hsic_bottleneck"}
assert np.isfinite(objectives["explained"].to_numpy()).all()
identity = 1 - diagnostic_table.loc["alignment"] / 2 - diagnostic_table.loc["squared_mean"]
assert np.allclose(diagnostic_table.loc["dependence"], identity)  # BYOL's distance and dependence
assert seen.explained > 0.9
assert np.isclose(float(seen.gamma), expected, rtol=0.2)
