"""Temperature as weight of the regulariser (I5 of the theory), on views of real images: values, bound and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array
from matplotlib.figure import Figure

import kerneldep as kd
from paper_figures.encoded_views import encoded_views, encoders
from paper_figures.figures import Caption

LOOKS = {"untrained": ("0.45", "D", "-."), "InfoNCE": ("C1", "s", "--"), "SSL-HSIC": ("C0", "o", "-")}
SHOWN = "SSL-HSIC"
"""Whose γ is drawn."""


def inputs(fast: bool) -> str:
    """The encoders whose views are taken."""
    return encoders(fast)


@jax.jit
def _slope_of_gap(views: Array, temperature: Array) -> Array:
    """Gradient of τ(L + dep), InfoNCE's regulariser in the unit of the cosine."""
    return jax.grad(lambda one: temperature * kd.analysis.infonce_hsic(one, temperature).gap)(views)


@jax.jit
def _slope_of_gap_to_others(views: Array, temperature: Array) -> Array:
    """The same where Z′ is a view of another image, in the denominator and in dep: no anchor, no positive."""

    def gap(one: Array) -> Array:
        num_views, num_images, dim = one.shape
        flat = one.reshape(-1, dim) / jnp.linalg.norm(one.reshape(-1, dim), axis=1, keepdims=True)
        image = jnp.tile(jnp.arange(num_images), num_views)
        gram = flat @ flat.T
        others = image[:, None] != image[None, :]
        return temperature * jax.nn.logsumexp(gram / temperature, axis=1, where=others).mean() - gram.mean(where=others)

    return jax.grad(gap)(views)


@jax.jit
def _slope_of_root(views: Array) -> Array:
    """Gradient of √HSIC(Z, Z) with the cosine kernel, SSL-HSIC's regulariser."""
    return jax.grad(lambda one: jnp.sqrt(kd.analysis.infonce_hsic(one, 1.0).self_dependence))(views)


def _fit(slope: Array, root: Array) -> tuple[float, float]:
    """The γ that minimises ‖slope − γ·root‖, and the cosine between the two."""
    inner, norm, own = (float((a * b).sum()) for a, b in ((slope, root), (root, root), (slope, slope)))
    return inner / norm, inner / (norm * own) ** 0.5


def compute(fast: bool) -> pd.DataFrame:
    """For each encoder and τ: τL, its expansion and the bound on the error; γ by value and by least squares of slopes.

    Slopes are those of the regularisers, τ(L + dep) and √HSIC(Z, Z), with respect to the views.
    """
    rows = []
    with jax.enable_x64(True):
        for encoder, array in encoded_views(fast).items():
            views = jnp.asarray(array, jnp.float64)
            cosine = kd.analysis.infonce_hsic(views, 1.0)
            root = _slope_of_root(views)
            for temperature in np.geomspace(0.05, 10, 7 if fast else 16):
                found = kd.analysis.infonce_hsic(views, temperature)
                gamma, alignment = _fit(_slope_of_gap(views, temperature), root)
                gamma_others, alignment_others = _fit(_slope_of_gap_to_others(views, temperature), root)
                rows.append(
                    {
                        "encoder": encoder,
                        "temperature": temperature,
                        "scaled_infonce": temperature * float(found.infonce),
                        "expansion": temperature * float(found.expansion),
                        "bound": temperature * float(found.expansion_error_bound),
                        "gamma_limit": float(cosine.self_dependence) ** 0.5 / temperature,
                        "gamma_value": float(found.equivalent_gamma),
                        "gamma_slopes": gamma,
                        "alignment": alignment,
                        "gamma_others": gamma_others,
                        "alignment_others": alignment_others,
                    }
                )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """Top: τL beside its expansion, and the error below its bound; bottom: the γ of each τ, and where it is one."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), sharex=True)
    (value, error), (weight, alignment) = axes
    for name, part in table.groupby("encoder", sort=False):
        colour, marker, line = LOOKS[str(name)]
        marks, lines = {"color": colour, "marker": marker, "linestyle": "none"}, {"color": colour, "linewidth": 1.2}
        value.plot(part.temperature, part.scaled_infonce, **marks)
        value.plot(part.temperature, part.expansion, linestyle=line, **lines)
        error.plot(part.temperature, (part.scaled_infonce - part.expansion).abs(), **marks)
        error.plot(part.temperature, part.bound, linestyle=line, **lines)
        alignment.plot(part.temperature, part.alignment, marker, linestyle=line, **lines, label=str(name))
        alignment.plot(part.temperature, part.alignment_others, markerfacecolor="white", **marks)
    value.set_title(r"marks: $\tau L_{\mathrm{InfoNCE}}$; lines: $-\mathrm{dep} + \mathrm{E\,Var}/2\tau$")
    value.set(ylim=(table.scaled_infonce.min() - 0.05, table.scaled_infonce.max() + 0.05), ylabel="unit of the cosine")
    error.set(yscale="log", title="marks: error; lines: its proven bound")
    one = table[table.encoder == SHOWN]
    weight.plot(one.temperature, one.gamma_limit, "k-", linewidth=1.2, label=r"$\sqrt{\mathrm{HSIC}(Z,Z)}/\tau$")
    weight.plot(one.temperature, one.gamma_slopes, "C0o", linestyle="none", label="equal slopes")
    weight.plot(one.temperature, one.gamma_others, "C0o", linestyle="none", markerfacecolor="white",
                label="equal slopes, others only")  # fmt: skip
    weight.plot(one.temperature, one.gamma_value, "C1:", label="equal values")
    weight.set(yscale="log", ylabel=r"weight $\gamma$", title=rf"which $\gamma$ is it? ({SHOWN}'s views)")
    weight.legend(loc="lower left")
    alignment.set(ylabel="cosine of the two slopes", ylim=(0, 1.03), title="do the regularisers pull the same way?")
    alignment.text(0.97, 0.06, "open: denominator of\nother images only", transform=alignment.transAxes, ha="right")
    for axis in axes.flat:
        axis.set_xscale("log")
        axis.axvspan(0.05, 0.5, color="0.94", zorder=0, linewidth=0)
    for axis in axes[1]:
        axis.set_xlabel(r"temperature $\tau$ (grey: the usual ones)")
    figure.legend(*alignment.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def caption(table: pd.DataFrame) -> Caption:
    """Whether the bound held, and where τ stops being γ."""
    error = (table.scaled_infonce - table.expansion).abs()
    violated = int((error > table.bound * (1 + 1e-9) + 1e-12).sum())
    warm = table[table.temperature >= 1]
    slack = (table.bound / error)[warm.index].min()
    near = float((warm.gamma_slopes / warm.gamma_limit - 1).abs().max())
    along = warm.alignment.min()
    coldest = table[table.temperature == table.temperature.min()].set_index("encoder")
    shown = "; ".join(
        f"{name}: γ = {row.gamma_slopes:.2f} instead of {row.gamma_limit:.1f}, slopes at a cosine of "
        f"{row.alignment:.2f} ({row.gamma_others:.2f} and {row.alignment_others:.2f} with other images only in the "
        "denominator)"
        for name, row in coldest.drop("untrained").iterrows()
    )
    largest = table[["gamma_slopes", "gamma_others"]].max()
    held = violated == 0 and near < 0.1 and along > 0.95
    return Caption(
        "Temperature is the weight of the regulariser, while it is high",
        "τL ≈ −dep + E Var/2τ with the cosine kernel: lowering τ weighs InfoNCE's regulariser more, as raising γ does "
        "in SSL-HSIC's −dep + γ√HSIC(Z, Z). The error is at most E R(Z)³/(36√3 τ²), and slopes are equal at "
        "γ = √HSIC(Z, Z)/τ where the expansion holds and the mean similarity is constant (bound and γ are ours).",
        f"The error exceeds its bound in {violated} of {len(table)} cases; for τ ≥ 1 the bound is {slack:.0f} times "
        "the error or more. There the γ whose slope is nearest, by least squares over all views, is √HSIC(Z, Z)/τ "
        f"within {100 * near:.0f} %, and the slopes lie at a cosine of {along:.3f} or more. At τ = "
        f"{table.temperature.min():g}, no longer: {shown}. The largest such γ at any τ is {largest.gamma_slopes:.2f} "
        f"({largest.gamma_others:.2f} with other images only). By value, L = −dep + γ√HSIC(Z, Z), γ goes on to "
        f"{coldest.gamma_value.max():.1f}.",
        "Held for τ ≥ 1. At the usual τ of 0.05 to 0.5 it fails step by step: the γ of equal slopes stops rising, and "
        "the regularisers part in direction, whatever the denominator (that this γ falls again at the lowest τ is "
        "mostly the anchor's own term there)."
        if held
        else "Did not hold: the error exceeds its bound, or γ is not √HSIC(Z, Z)/τ even for τ ≥ 1.",
    )
