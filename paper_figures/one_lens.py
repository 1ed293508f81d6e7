"""One lens, many losses: how far each objective is dependence minus self-dependence, and which pull the same way."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import kerneldep as kd
from paper_figures.encoded_views import encoded_views, encoders
from paper_figures.figures import Caption

LOOKS = {"untrained": ("0.45", "D"), "InfoNCE": ("C1", "s"), "SSL-HSIC": ("C0", "o")}
SHOWN = ("untrained", "SSL-HSIC")
"""Whose gradients are compared, above and below the diagonal."""
NAMES = {
    "ssl_hsic": "SSL-HSIC",
    "infonce": "InfoNCE",
    "dcl": "DCL",
    "spectral_contrastive": "spectral contr.",
    "alignment_uniformity": "align + uniform",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "w_mse": "W-MSE",
    "corinfomax": "CorInfoMax",
    "cdssl": "CDSSL",
    "gaussian_mi": "Gaussian MI",
    "sdmi": "SDMI",
    "jmi": "JMI",
    "lejepa": "LeJEPA",
    "kernel_vicreg": "kernel VICReg",
    "sfrik": "SFRIK",
}

LEAST = 0.25
"""Below this share explained, a weight means nothing."""
FAST = ("ssl_hsic", "infonce", "byol", "vicreg")


def inputs(fast: bool) -> str:
    """The encoders whose views are taken."""
    return encoders(fast)


def compute(fast: bool) -> pd.DataFrame:
    """What `kd.analysis.lens` finds for each encoder, and the cosines between gradients to the views."""
    rows = []
    chosen = {name: kd.objectives.get_objective(name) for name in FAST} if fast else None  # all of them
    with jax.enable_x64(True):
        for encoder, array in encoded_views(fast).items():
            views = jnp.asarray(array[:2], jnp.float64)
            found = kd.analysis.lens(views, chosen, key=jax.random.key(0))
            measured = {name: float(value) for name, value in vars(found.diagnostics).items()}
            rows += [
                {"part": "diagnostic", "encoder": encoder, "first": name, "value": value}
                for name, value in measured.items()
            ]
            for name, seen in found.objectives.items():
                numbers = {"value": float(seen.loss), "explained": float(seen.explained), "gamma": float(seen.gamma)}
                rows.append({"part": "objective", "encoder": encoder, "first": name, **numbers})
            if encoder in SHOWN:
                names, cosines = _cosines(found)
                rows += [
                    {"part": "cosine", "encoder": encoder, "first": a, "second": b, "value": cosines[i, j]}
                    for i, a in enumerate(names)
                    for j, b in enumerate(names)
                    if i < j
                ]
    return pd.DataFrame(rows)


def _cosines(found: kd.analysis.Lens) -> tuple[list[str], np.ndarray]:
    """Cosines between the objectives' gradients to the views."""
    slopes = np.stack([np.asarray(seen.gradient).ravel() for seen in found.objectives.values()])
    slopes /= np.linalg.norm(slopes, axis=1, keepdims=True)
    return list(found.objectives), slopes @ slopes.T


def draw(table: pd.DataFrame) -> Figure:
    """Left: share explained and γ of each objective; right: cosines, untrained above the diagonal and trained below."""
    import matplotlib.pyplot as plt

    order = list(dict.fromkeys(table[table.part == "objective"]["first"]))
    figure, (share, weight, cosines) = plt.subplots(
        1, 3, figsize=(7.2, 4.1), width_ratios=(1, 1, 2.9), sharey=True, layout="constrained"
    )
    for encoder, (colour, marker) in LOOKS.items():
        part = table[(table.part == "objective") & (table.encoder == encoder)].set_index("first").loc[order]
        look = {"color": colour, "linestyle": "none", "marker": marker, "markerfacecolor": "none", "label": encoder}
        share.plot(part.explained, np.arange(len(order)), **look)
        weight.plot(part.gamma.where(part.explained > LEAST), np.arange(len(order)), **look)
    share.set(xlim=(-0.05, 1.05), title="share of the slope\nexplained, R²", xticks=(0, 0.5, 1))
    weight.set_xscale("symlog", linthresh=1)
    weight.set_xticks([-5, 0, 1, 5, 20], ["−5", "0", "1", "5", "20"])
    weight.set_xlim(-7, 30)
    weight.minorticks_off()
    weight.set_title("weight γ of the\nnearest, if R² > ¼")
    weight.axvline(0, color="0.4", linewidth=1, zorder=0)
    _matrix(cosines, cast(pd.DataFrame, table[table.part == "cosine"]), order)
    share.set_yticks(np.arange(len(order)), [NAMES.get(name, name) for name in order])
    share.legend(loc="upper left", bbox_to_anchor=(-0.9, -0.12), title="views of the encoder")
    return figure


def _matrix(axis: Axes, cosines: pd.DataFrame, order: list[str]) -> None:
    values = np.eye(len(order))
    for row in cosines.to_dict("records"):
        first, second = sorted((order.index(row["first"]), order.index(row["second"])))
        at = (first, second) if row["encoder"] == SHOWN[0] else (second, first)
        values[at] = row["value"]
    image = axis.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(np.arange(len(order)), [NAMES.get(name, name) for name in order], rotation=90)
    axis.grid(visible=False)
    axis.set_title(f"cosine of gradients: above, {SHOWN[0]};\nbelow, trained by {SHOWN[1]}")
    axis.figure.colorbar(image, ax=axis, shrink=0.6, pad=0.02)


def caption(table: pd.DataFrame) -> Caption:
    """What the lens shows of whom."""
    seen = table[table.part == "objective"].set_index(["encoder", "first"])
    trained = seen.loc[SHOWN[1]].sort_values("explained", ascending=False)
    shown = ", ".join(f"{NAMES.get(str(name), name)} {row.explained:.2f}" for name, row in trained.iterrows())
    infonce = {encoder: seen.loc[encoder, "infonce"] for encoder in LOOKS}
    own = "; ".join(f"{encoder}: R² {row.explained:.2f}, γ {row.gamma:.2f}" for encoder, row in infonce.items())
    cosines = table[table.part == "cosine"]
    above, below = (np.median(cosines["value"][cosines.encoder == encoder]) for encoder in SHOWN)
    measured = table[table.part == "diagnostic"].pivot(index="encoder", columns="first", values="value")
    error = (measured.dependence - (1 - measured.alignment / 2 - measured.squared_mean)).abs().max()
    nearest = trained.explained.drop("ssl_hsic").idxmax()
    apart = [NAMES.get(str(name), str(name)) for name in trained.index[trained.explained < LEAST]]
    unexplained = f" It says nothing of {', '.join(apart)}: they whiten, or set a scale." if apart else ""
    return Caption(
        "One lens, many losses",
        "Every objective trades dependence on identity against a regulariser. Here each loss's gradient along the "
        "sphere is fitted by −a∇dep + b∇√HSIC(Z, Z) with the cosine kernel; γ = b/a is that of the SSL-HSIC with this "
        "kernel that pulls most nearly the same way (the reading is kerneldep's).",
        f"R² on the views of the trained encoder ({SHOWN[1]}): {shown}. InfoNCE (τ = 0.2): {own}. Median cosine "
        f"between the gradients of two objectives: {above:.2f} untrained, {below:.2f} trained.",
        "Did not hold: dep = 1 − ℓ/2 − ‖E Z‖² fails, so the numbers are not of one representation."
        if error > 1e-6
        else f"The reading fits {NAMES.get(str(nearest), nearest)} best and no loss wholly, SSL-HSIC with its own "
        "nonlinear kernel included: dependence is what they share, and what is left over is each one's own "
        "regulariser (SDMI moves one view a step: half its slope)." + unexplained,
    )
