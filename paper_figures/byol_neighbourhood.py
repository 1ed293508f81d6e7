"""BYOL's neighbourhoods: which samples its predictor averages over; and the flow of a linear encoder."""

from typing import Any

import jax
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerneldep.analysis import byol_flow, byol_neighbourhood, neighbourhood_size, neighbourhood_weights
from kerneldep.kernels import Gaussian, median_bandwidth
from paper_figures.byol_training import trained_views, training
from paper_figures.encoded_views import encoded_views, encoders
from paper_figures.figures import Caption

RIDGE = 1e-4
IMAGES = 250
NARROW = 0.25
"""The narrow kernel's bandwidth, as a multiple of the median distance of the samples."""
MULTIPLES = (0.125, 0.177, 0.25, 0.354, 0.5, 0.707, 1.0)
FEW = (0.125, 0.25, 1.0)
FLOWS = {  # byol_flow's options
    "predictor and\nstop-gradient": {},
    "the same,\npredictor starts at I": {"predictor_start": 1.0},
    "no\nstop-gradient": {"stop_gradient": False},
    "no\npredictor": {"predictor": False},
    "neither": {"predictor": False, "stop_gradient": False},
}
FLOW_LOOKS = dict(zip(FLOWS, ("C0-", "C2--", "C1-.", "k:", "C3-"), strict=True))
ENCODER_LOOKS = {"untrained": ("0.5", "o"), "InfoNCE": ("C0", "s"), "SSL-HSIC": ("C1", "^")}
TRAINED = {"BYOL": "C0-", "no predictor": "k:"}


def inputs(fast: bool) -> str:
    """The encoders whose views are taken, and the training of the small ones."""
    return f"{encoders(fast)} {training()}"


def circle(num_views: int, num_images: int, spread: float) -> np.ndarray:
    """Views [M, B, 2] scattered about points of the unit circle."""
    angles = 2 * np.pi * np.arange(num_images) / num_images
    centres = np.stack([np.cos(angles), np.sin(angles)], -1)
    return centres[None] + spread * np.random.default_rng(0).normal(size=(num_views, num_images, 2))


def of_new_views(views: np.ndarray, multiple: float, ridge: float = RIDGE) -> dict[str, float]:
    """The neighbourhood of every first view among the other views of all images, its own image's included.

    Returns:
        `own`, the mean share of Σ|w| on the own image's views; `size`, the median effective neighbourhood size; `loss`,
        E‖q(z₁) − Z₂′‖² of the kernel predictor q, Z₂′ the other views of z₁'s image.
    """
    others = views[1:]
    samples = others.reshape(-1, views.shape[-1])
    kernel = Gaussian(multiple * median_bandwidth(samples))
    weights = np.asarray(neighbourhood_weights(views[0], samples, kernel, ridge=ridge), np.float64)
    by_image = (np.abs(weights) / np.abs(weights).sum(1, keepdims=True)).reshape(len(weights), *others.shape[:2]).sum(1)
    predicted = weights @ np.tile(others.mean(0), (len(others), 1))
    return {
        "own": float(np.diagonal(by_image).mean()),
        "size": float(np.median(neighbourhood_size(weights))),
        "loss": float(((predicted[None] - others) ** 2).sum(-1).mean()),
        "chance": 1 / views.shape[1],
    }


def compute(fast: bool) -> pd.DataFrame:
    """Rows "weight": one point's weights in the plane; "width", "training": shares of own views; "flow", "path"."""
    with jax.enable_x64(True):
        parts = [_plane(), _widths(fast), _training(fast), *_flows()]
    return pd.concat(parts, ignore_index=True)


def _plane() -> pd.DataFrame:
    views = circle(8, 12, 0.2)
    samples = views[1:].reshape(-1, 2)
    rows = []
    for multiple, ridge in ((1.0, 1e-3), (NARROW, RIDGE)):
        kernel = Gaussian(multiple * median_bandwidth(samples))
        weights = np.asarray(neighbourhood_weights(views[0, :1], samples, kernel, ridge=ridge))[0]
        for (x, y), weight, image in zip(samples, weights, np.tile(np.arange(12), 7), strict=True):
            rows.append(("weight", multiple, ridge, x, y, image, weight, *views[0, 0]))
    return pd.DataFrame(rows, columns=["part", "multiple", "ridge", "x", "y", "image", "weight", "at_x", "at_y"])


def _widths(fast: bool) -> pd.DataFrame:
    rows = []
    for encoder, all_views in encoded_views(fast).items():
        views = all_views[:, : 100 if fast else IMAGES]
        found = byol_neighbourhood(views, ridge=1e-3)
        losses = {name: float(getattr(found, name)) for name in ("positive_distance", "linear_loss", "kernel_loss",
                                                                 "conditional_variance")}  # fmt: skip
        rows.append({"part": "default", "encoder": encoder, **losses, "own": float(found.own_share.mean()),
                     "size": float(np.median(found.size)), "chance": 1 / views.shape[1]})  # fmt: skip
        for multiple in FEW if fast else MULTIPLES:
            rows.append({"part": "width", "encoder": encoder, "multiple": multiple, **of_new_views(views, multiple)})
    return pd.DataFrame(rows)


def _training(fast: bool) -> pd.DataFrame:
    steps, found = trained_views(fast)
    return pd.DataFrame(
        {"part": "training", "variant": variant, "seed": seed, "step": step, **of_new_views(views, NARROW)}
        for variant in TRAINED
        for seed, path in enumerate(found[variant])
        for step, views in list(zip(steps, path, strict=True))[:: 5 if fast else 2]
    )


def _flows() -> list[pd.DataFrame]:
    inputs, num_steps = circle(8, 12, 0.35), 600
    tables = []
    for name, options in FLOWS.items():
        flow = byol_flow(inputs, num_steps=num_steps, key=jax.random.key(3), **options)
        for when, step in (("start", 0), ("end", num_steps)):
            points = np.asarray(flow.views[step]).reshape(-1, 2)
            where = {"x": points[:, 0], "y": points[:, 1], "image": np.tile(np.arange(12), 8)}
            tables.append(pd.DataFrame({"part": "flow", "flow": name, "when": when, **where}))
        kept = np.unique(np.linspace(0, num_steps, 51).round().astype(int))
        curves = {"dep": flow.dependence, "second_moment": flow.second_moment}
        path: dict[str, Any] = {curve: np.asarray(values)[kept] for curve, values in curves.items()}
        path["least"] = _least_variance(np.asarray(flow.views)[kept])
        tables.append(pd.DataFrame({"part": "path", "flow": name, "step": kept, **path}))
    return tables


def _least_variance(views: np.ndarray) -> list[float]:
    """The variance of z in its weakest direction."""
    return [float(np.linalg.eigvalsh(np.cov(step.reshape(-1, 2).T, bias=True))[0]) for step in views]


def part_of(table: pd.DataFrame, part: str) -> Any:
    """Those of one part of the table."""
    return table[table.part == part]


def draw(table: pd.DataFrame) -> Figure:
    """A point's weights and shares along training; shares, sizes and flows in numbers; the flows' pictures."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(7.2, 6.5))
    halves: Any = figure.subfigures(2, 1, height_ratios=(4.6, 1.9))
    upper, lower = halves
    (wide, narrow, along), (width, size, path) = upper.subplots(2, 3)
    for axis, (_, part) in zip((narrow, wide), part_of(table, "weight").groupby("multiple"), strict=True):
        _weights(axis, part)
    _along(along, part_of(table, "training"))
    widths = part_of(table, "width")
    for encoder, (colour, marker) in ENCODER_LOOKS.items():
        part = widths[widths.encoder == encoder]
        best = part.loc[part.loss.idxmin()]
        for axis, column in ((width, "own"), (size, "size")):
            axis.plot(part.multiple, part[column], marker, color=colour, linestyle="-", label=encoder,
                      markerfacecolor="white")  # fmt: skip
            axis.plot(best.multiple, best[column], marker, color=colour, markersize=6.5)
    for axis, name in ((width, "share on own views"), (size, "effective size")):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks([0.125, 0.25, 0.5, 1], ["⅛", "¼", "½", "1"])
        axis.set(xlabel="bandwidth / median distance", title=f"Encoders: {name}")
    chance = widths.chance.iloc[0]
    width.axhline(chance, color="0.4", linewidth=1, zorder=0)
    width.text(1, chance, "equal weights", fontsize=7.5, color="0.35", ha="right", va="bottom")
    size.legend()
    _paths(path, part_of(table, "path"))
    flows = part_of(table, "flow")
    for axis, (name, look) in zip(lower.subplots(1, len(FLOWS)), FLOW_LOOKS.items(), strict=True):
        _flow(axis, flows[flows.flow == name], look)
        axis.set_title(name, fontsize=8)
    return figure


def _weights(axis: Axes, part: pd.DataFrame) -> None:
    share = part.weight.abs() / part.weight.abs().sum()
    own, size = share[part.image == 0].sum(), 1 / (share**2).sum()
    for sign, colour in ((1, "C0"), (-1, "C1")):
        of = np.sign(part.weight) == sign
        axis.scatter(part.x[of], part.y[of], 900 * share[of], color=colour, alpha=0.45, linewidths=0)
    axis.plot(part.x, part.y, ".", color="0.45", markersize=1.5)
    axis.plot(part.x[part.image == 0], part.y[part.image == 0], "o", color="k", markerfacecolor="none", markersize=4,
              markeredgewidth=0.7)  # fmt: skip
    axis.plot(part.at_x.iloc[0], part.at_y.iloc[0], "k+", markersize=9, markeredgewidth=1.6)
    multiple = part.multiple.iloc[0]
    name = "median distance" if multiple == 1 else f"{multiple:g} × median"
    axis.set_title(f"σ = {name}, ε = {part.ridge.iloc[0]:g}:\nown {100 * own:.0f} %, size {size:.0f}", fontsize=8.5)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=(-1.6, 1.6), ylim=(-1.45, 1.45))
    axis.spines[:].set_visible(False)


def _along(axis: Axes, part: pd.DataFrame) -> None:
    for variant, look in TRAINED.items():
        for seed, run in part[part.variant == variant].groupby("seed"):
            axis.plot(run.step, run.own, look, linewidth=1.2, label=variant if seed == 0 else None)
    axis.set_xscale("symlog", linthresh=1)
    axis.set(xlim=(0, part.step.max()), ylim=(0, None), xlabel="step", title="Training: share on own views")
    axis.legend()


def _paths(axis: Axes, part: pd.DataFrame) -> None:
    for name, look in FLOW_LOOKS.items():
        path = part[part.flow == name]
        axis.plot(path.step, np.maximum(path.least, 1e-9), look)
    axis.set(yscale="log", ylim=(1e-8, 10), xlabel="step", title="Flows: least variance of z")


def _flow(axis: Axes, part: pd.DataFrame, look: str) -> None:
    start, end = (part[part.when == when] for when in ("start", "end"))
    axis.plot(start.x, start.y, ".", color="0.75", markersize=2)
    axis.scatter(end.x, end.y, 5, c=np.cos(2 * np.pi * end.image / 12), cmap="viridis")
    axis.plot([-0.7, 0.7], [-2.2, -2.2], look)
    axis.set(aspect="equal", xlim=(-2.5, 2.5), ylim=(-2.4, 2.1), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def caption(table: pd.DataFrame) -> Caption:
    """Where the weight lies before and after training, and which flows collapse."""
    widths = part_of(table, "width").set_index("encoder")
    narrow = widths[widths.multiple == NARROW]
    best = pd.DataFrame({name: widths.loc[name].iloc[widths.loc[name].loss.argmin()] for name in ENCODER_LOOKS}).T
    default = part_of(table, "default").set_index("encoder")
    runs = part_of(table, "training")
    first, last = (runs[runs.step == step].groupby("variant").own.mean() for step in (0, runs.step.max()))
    paths = part_of(table, "path")
    begin, end = (paths[paths.step == step].set_index("flow") for step in (0, paths.step.max()))
    whole, from_identity, *others = FLOWS
    ratios = [end.second_moment[name] / begin.second_moment[name] for name in others]
    flat = begin.least[from_identity] / end.least[from_identity]
    names = list(ENCODER_LOOKS)
    shrinks = all(one.own[name] > 2 * one.own["untrained"] for one in (narrow, best) for name in names[1:])
    grows = all(
        run.own.iloc[-1] > run.own.iloc[0] for _, run in runs[runs.variant == "BYOL"].groupby("seed")
    )  # fmt: skip
    held = shrinks and grows and max(ratios) < 1e-3 and end.dep[whole] > begin.dep[whole] and table.own.max() <= 1
    listed = lambda values, form: ", ".join(f"{values[name]:{form}} ({name})" for name in names)  # noqa: E731
    share = {
        name: listed(100 * one.own, ".1f") for name, one in (("narrow", narrow), ("best", best), ("default", default))
    }
    return Caption(
        "BYOL's neighbourhoods, and what keeps them from collapse",
        "The best predictor is a conditional mean, in an RKHS a mean of targets with weights (K + nεI)⁻¹k(z): the "
        "views near z decide, and training shrinks this neighbourhood to the image's own views. Without predictor or "
        "without stop-gradient the representation collapses.",
        f"A new view among {round(1 / narrow.chance.iloc[0])} images, σ = ¼ of the median distance, ε = {RIDGE:g}: its "
        f"image's other views carry {share['narrow']} % of Σ|w| (equal weights: {100 * narrow.chance.iloc[0]:.1f} %), "
        f"and the effective size is {listed(narrow['size'], '.0f')}. At the σ that predicts best (full markers): "
        f"{share['best']} %. So even after training most of the weight lies on other images. The defaults of "
        f"`byol_neighbourhood`, σ = median and ε = 0.001, are wide here: {share['default']} %, the view itself "
        f"counted, and sizes of {default['size'].min():.0f} to {default['size'].max():.0f}. BYOL on digits: from "
        f"{100 * first['BYOL']:.1f} to {100 * last['BYOL']:.1f} %; without predictor too from "
        f"{100 * first['no predictor']:.1f} to {100 * last['no predictor']:.1f} %, as σ shrinks with the collapsing "
        f"views. Linear encoder: dep goes from {begin.dep[whole]:.2f} to {end.dep[whole]:.2f} with predictor and "
        f"stop-gradient; without one of them E‖Z‖² falls below {max(ratios):.0e} of its start. With both, but a "
        f"predictor that starts at I, the least variance falls by a factor of {flat:.0f}: the start decides, and the "
        "predictor's rate (ours).",
        "Held in direction: training multiplies the weight on own views, and only the flow with predictor and "
        "stop-gradient, the predictor starting at 0, keeps both directions. The neighbourhood does not shrink to the "
        "own views alone."
        if held
        else "Did not hold: the share of own views did not grow with training, or another flow collapsed than stated.",
    )
