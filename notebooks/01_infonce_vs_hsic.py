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
# # InfoNCE is HSIC with another regulariser
#
# **Question.** Contrastive learning pulls two views of one image together and pushes the views of all images apart by
# minimising InfoNCE, a bound on mutual information. SSL-HSIC does it by maximising HSIC, a kernel measure of dependence,
# between a view $Z$ and the identity $Y$ of its image. Li, Pogodin, Sutherland and Gretton
# ([NeurIPS 2021](https://arxiv.org/abs/2106.08320)) show that the two are nearly the same loss. How nearly, and where does
# it stop being true?
#
# We take views of real images under an encoder before and after training, and measure.

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kerneldep as kd
from paper_figures import batch_bias, infonce_vs_hsic
from paper_figures.encoded_views import encoded_views, source

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # small versions on scikit-learn's digits, for tests
jax.config.update("jax_enable_x64", True)
plt.style.use("../paper_figures/style.mplstyle")

views = {name: np.asarray(array, np.float64) for name, array in encoded_views(FAST).items()}
print(source(FAST))
{name: array.shape for name, array in views.items()}

# %% [markdown]
# ## Dependence on identity has a closed form
#
# With $N$ equally likely images and a label kernel that is $l_1$ for the same image and $l_0$ otherwise,
#
# $$\mathrm{HSIC}(Z, Y) = \frac{\Delta l}{N}\,\mathrm{dep},\qquad
#   \mathrm{dep} = \mathbb E_{\text{pos}} k(Z, Z') - \mathbb E\, k(Z, Z'),\qquad \Delta l = l_1 - l_0 .$$
#
# Positives $Z, Z'$ are two views of one image; the second mean is over any two views. Let us see it: the left side is the
# general estimator with a label kernel, the right side the closed form.

# %%
rows = []
kernel = kd.kernels.InverseMultiquadric(0.5)
for name, array in views.items():
    num_views, num_images, dim = array.shape
    identity = np.tile(np.arange(num_images), num_views)
    hsic = kd.hsic(array.reshape(-1, dim), identity, kernel, kd.kernels.Label(), estimator=kd.Biased())
    dep = kd.dependence.positive_dependence(array, kernel, estimate="population")
    closed = kd.dependence.identity_hsic(dep, num_images)
    rows.append((name, float(hsic), float(closed), float(dep)))
identity_table = pd.DataFrame(rows, columns=["encoder", "HSIC(Z, Y)", "dep · Δl/N", "dep"]).set_index("encoder")
identity_table

# %% [markdown]
# Training raises it: that is what both losses do.
#
# ## The decomposition
#
# With $k = \cos/\tau$ and the population denominator,
#
# $$L_{\text{InfoNCE}} = -\mathbb E_{\text{pos}} k + \mathbb E_Z \log \mathbb E_{Z'} e^{k(Z, Z')}
#   = -\mathrm{dep} + \mathbb E\,\Lambda(Z), \qquad
#   \Lambda(z) = \log \mathbb E\, e^{k(z,Z') - \mathbb E k(z,Z')} \ge 0 .$$
#
# This is exact. $\Lambda$ is a cumulant generating function, to second order half a variance, so that for a small range of $k$
#
# $$L_{\text{InfoNCE}} \approx -\mathrm{dep} + \tfrac12 \mathbb E_Z \mathrm{Var}_{Z'} k,\qquad
#   \mathbb E\,\mathrm{Var}\,k = \mathrm{HSIC}(Z, Z) + \mathrm{Var}_Z\,\mathbb E_{Z'} k(Z, Z') \ge \mathrm{HSIC}(Z, Z).$$
#
# One call gives all of it.

# %%
found = {name: kd.analysis.infonce_hsic(array, temperature=0.5) for name, array in views.items()}
columns = ["dependence", "infonce", "gap", "half_variance", "self_dependence", "mean_variance"]
table = pd.DataFrame({name: {c: float(getattr(one, c)) for c in columns} for name, one in found.items()}).T
table

# %% [markdown]
# ## How good is the expansion? A sandwich for every temperature
#
# The error of the expansion grows fast as $\tau$ falls, and usual temperatures are 0.05 to 0.5. What holds for *any*
# bounded kernel (kerneldep's; the paper has the small-variance version) is, with $R = \max k - \min k$,
#
# $$\gamma_R\,\mathrm{HSIC}(Z,Z) \le \gamma_R\,\mathbb E\,\mathrm{Var} \le L_{\text{InfoNCE}} + \mathrm{dep} \le
#   \min\{\log(1 + \beta\,\mathbb E\,\mathrm{Var}),\ R^2/8\}.$$

# %%
sweep = infonce_vs_hsic.compute(FAST)
infonce_vs_hsic.draw(sweep)
plt.show()
print(infonce_vs_hsic.caption(sweep).found)

# %% [markdown]
# Below $\tau \approx 0.3$ the dashed line leaves the solid one: there InfoNCE's regulariser is *not* half a variance, but
# it still lies in the grey band, and it still is a penalty on how unevenly similarity is spread. On the left, a toy population: many
# images about one point, few about another. There mean similarities differ, so that $\mathbb E\,\mathrm{Var}$ exceeds $\mathrm{HSIC}(Z,Z)$
# and the dotted line leaves the band's lower edge. The encoders keep their features centred, and it does not.
#
# ## Temperature is the weight of the regulariser
#
# $\tau L_{\text{InfoNCE}} \approx -\mathrm{dep}_{\cos} + \frac{1}{2\tau}\,\mathbb E\,\mathrm{Var}_{\cos}$: a lower
# temperature weighs it more, as a larger $\gamma$ does in SSL-HSIC's $-\mathrm{dep} + \gamma\sqrt{\mathrm{HSIC}(Z,Z)}$.
# The error is a third cumulant. No variable within an interval of length $R$ has one beyond $R^3/6\sqrt3$, so it is at most
# $R_{\cos}^3/(36\sqrt3\,\tau^2)$ (kerneldep's; `expansion_error_bound`, with each view's own range).

# %%
trained = views["SSL-HSIC"]
unit = kd.analysis.infonce_hsic(trained, temperature=1.0)
rows = []
for temperature in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0):
    one = kd.analysis.infonce_hsic(trained, temperature)
    exact, limit = temperature * float(one.infonce), temperature * float(one.expansion_error_bound)
    expansion = -float(unit.dependence) + float(unit.mean_variance) / (2 * temperature)
    rows.append((temperature, exact, expansion, abs(exact - expansion), limit))
temperature_table = pd.DataFrame(rows, columns=["τ", "τ·InfoNCE", "−dep + E Var/2τ", "error", "at most"]).set_index("τ")
temperature_table

# %% [markdown]
# That is a statement about *values*. Whether a temperature and a $\gamma$ pull a representation the same way is one about
# gradients, and there it ends at $\tau \approx 1$: see `temperature_gamma` in the gallery, and
# [notebook 08](08_one_lens_many_losses.ipynb) for both terms together.
#
# ## What InfoNCE can show at all
#
# With $K - 1$ negatives, $\log K - L_K$ is at most $\log K$. Unit vectors at temperature $\tau$ cannot even reach that:
# the best there is, one positive at cosine 1 and all negatives at the corners of a regular simplex, gives
#
# $$\log K - \log\big(1 + (K - 1)\,e^{-K/((K-1)\tau)}\big).$$
#
# A simplex needs $d \ge K - 1$ dimensions. With fewer no number of negatives helps (kerneldep's bound):

# %%
temperatures = np.array([0.1, 0.2, 0.5])
ceiling_table = pd.DataFrame(
    {
        f"{K:,} candidates, {'enough dimensions' if dim is None else f'd = {dim}'}": np.asarray(
            kd.analysis.reachable_infonce(K, temperatures, dim)
        )
        for K, dim in ((64, None), (1024, None), (65_536, None), (65_536, 128))
    },
    index=pd.Index(temperatures, name="τ"),
)
print(f"log K: {np.log(64):.2f}, {np.log(1024):.2f}, {np.log(65_536):.2f} nats")
ceiling_table.round(2)

# %% [markdown]
# ## Estimating dep from a batch
#
# A batch sees few images, so pairs drawn from it are positives too often: the paper's batch estimate is biased by order
# $1/B$. Leaving the diagonal and the positives out of the second mean cures it at no cost.

# %%
bias = batch_bias.compute(FAST)
batch_bias.draw(bias)
plt.show()
print(batch_bias.caption(bias).found)

# %% [markdown]
# ## Exercise
#
# Show that $\mathbb E\,\mathrm{Var} = \mathrm{HSIC}(Z, Z)$ exactly when the mean similarity $\mathbb E_{Z'} k(z, Z')$ is the same
# for every $z$, and find such a set of points.
#
# <details><summary>Solution</summary>
#
# $\mathrm{Var}_{Z'} k(z, Z') = \mathbb E k^2 - (\mathbb E_{Z'} k)^2$. Averaged over $z$ it is
# $\mathbb E k^2 - \mathbb E_Z (\mathbb E_{Z'} k)^2$, while
# $\mathrm{HSIC}(Z,Z) = \mathbb E k^2 - 2\,\mathbb E_Z(\mathbb E_{Z'}k)^2 + (\mathbb E k)^2$. The difference is
# $\mathrm{Var}_Z\,\mathbb E_{Z'} k$, which is 0 iff the mean similarity is constant: for example points uniform on the circle.
#
# </details>

# %%
angles = 2 * np.pi * np.arange(12) / 12
circle = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(2, 6, 2)
uniform = kd.analysis.infonce_hsic(circle, 0.5)
float(uniform.mean_variance), float(uniform.self_dependence)

# %% [markdown]
# ## What we found

# %%
upper = np.minimum(sweep.upper_log, sweep.upper_hoeffding)
assert np.allclose(identity_table["HSIC(Z, Y)"], identity_table["dep · Δl/N"], rtol=1e-9)  # the closed form
assert ((sweep.infonce + sweep.dependence - sweep.gap).abs() < 1e-12).all()  # the decomposition
assert (sweep.mean_variance >= sweep.self_dependence).all()
assert ((sweep.lower_variance <= sweep.gap * (1 + 1e-9)) & (sweep.gap <= upper * (1 + 1e-9))).all()  # the sandwich
share = 0.5 * sweep.mean_variance / sweep.gap
toy = sweep.encoder == infonce_vs_hsic.TOY
assert (share[(sweep.temperature >= 1) & ~toy] - 1).abs().max() < 0.1  # the expansion, where it holds
assert (sweep.mean_variance / sweep.self_dependence)[toy].min() > 1.4  # mean similarities differ in the toy population
assert (temperature_table.error <= temperature_table["at most"]).all()  # which falls like 1/τ²
assert np.allclose(ceiling_table["1,024 candidates, enough dimensions"], [6.89, 4.87, 2.00], atol=5e-3)
assert np.isclose(ceiling_table["65,536 candidates, d = 128"][0.2], 4.90, atol=5e-3)
assert np.isclose(float(uniform.mean_variance), float(uniform.self_dependence))
if not FAST:
    assert identity_table.dep["SSL-HSIC"] > identity_table.dep["untrained"]
    assert (share[sweep.temperature <= 0.1] - 1).abs().max() > 0.1  # and where it fails
