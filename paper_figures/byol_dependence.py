"""BYOL's distance against dependence on identity along training, and ‖E Z‖², which parts them."""

from typing import Any

import numpy as np
import pandas as pd
from jax import enable_x64
from matplotlib.figure import Figure

import kerneldep as kd
from paper_figures.byol_training import BATCH, VARIANTS, trained_views, training
from paper_figures.figures import Caption

LOOKS = {
    "BYOL": ("C0", "-", "o"),
    "with output norm": ("C2", "--", "s"),
    "no target network": ("C5", "-.", "^"),
    "no batch norm": ("C1", "-", "v"),
    "no predictor": ("k", ":", "D"),
    "output norm alone": ("C3", (0, (4, 1, 1, 1, 1, 1)), "P"),
}


def inputs(fast: bool) -> str:
    """The training, which is another module's."""
    return training()


def compute(fast: bool) -> pd.DataFrame:
    """ℓ, ‖E Z‖² and dep of test images' views at some steps of each run; every quantity from its own definition."""
    steps, found = trained_views(fast)
    rows = []
    with enable_x64(True):
        for variant in VARIANTS:
            for seed, path in enumerate(found[variant]):
                for step, z in zip(steps, path, strict=True):
                    distance = np.mean([((one - other) ** 2).sum(-1).mean() for one in z for other in z])
                    dep = kd.dependence.positive_dependence(z, kd.kernels.Linear(), estimate="population")
                    rows.append((variant, seed, step, distance, (z.mean((0, 1)) ** 2).sum(), float(dep)))
    columns = ["variant", "seed", "step", "positive_distance", "mean_norm_squared", "dep"]
    table = pd.DataFrame(rows, columns=columns)
    num_views, num_images, dim = found["BYOL"].shape[2:]
    return table.assign(views=num_views, images=num_images, dim=dim)


def draw(table: pd.DataFrame) -> Figure:
    """Left: the plane of distance and dep; right: both for BYOL, and ‖E Z‖² of every variant, against steps."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(7.2, 4.6))
    axes = figure.subplot_mosaic([["plane", "byol"], ["plane", "mean"]], width_ratios=(1.25, 1))
    plane, byol, mean = axes["plane"], axes["byol"], axes["mean"]
    widest = 1.05 * table.positive_distance.max()
    for level, at, text in (
        (0, 0.0, r"$\|\mathrm{E}Z\|^2 = 0$"),
        (0.25, 1.12, "0.25"),
        (0.5, 0.93, "0.5"),
        (0.75, 0.4, "0.75"),
    ):
        plane.plot([0, widest], [1 - level, 1 - level - widest / 2], color="0.8", linewidth=1, zorder=0)
        plane.text(at, 1 - level - at / 2, text, color="0.35", fontsize=7.5, va="bottom", ha="right")
    for variant, (colour, line, marker) in LOOKS.items():
        for seed, run in table[table.variant == variant].groupby("seed"):
            plane.plot(run.positive_distance, run.dep, color=colour, linestyle=line, linewidth=1.2,
                       label=variant if seed == 0 else None)  # fmt: skip
            plane.plot(run.positive_distance.iloc[0], run.dep.iloc[0], marker, color=colour, markerfacecolor="white")
            plane.plot(run.positive_distance.iloc[-1], run.dep.iloc[-1], marker, color=colour, markersize=5)
            mean.plot(run.step, run.mean_norm_squared, color=colour, linestyle=line, linewidth=1.2)
    for seed, run in table[table.variant == "BYOL"].groupby("seed"):
        byol.plot(run.step, 1 - run.positive_distance / 2, "--", color="0.35", linewidth=1.2,
                  label=r"$1 - \ell/2$" if seed == 0 else None)  # fmt: skip
        byol.plot(run.step, run.dep, "C0", linewidth=1.2, label="dep" if seed == 0 else None)
    plane.set(xlabel=r"BYOL's distance $\ell = \mathrm{E}_{pos}\|Z - Z'\|^2$", ylabel="dep, linear kernel",
              xlim=(widest, -0.03), ylim=(0, 1.04), title="From start (open) to end (full)")  # fmt: skip
    figure.legend(*plane.get_legend_handles_labels(), loc="outside upper center", ncols=3, handlelength=3.2)
    byol.set(ylim=(0, 1.04), title=r"BYOL: the gap is $\|\mathrm{E}Z\|^2$")
    byol.legend(loc="lower right")
    mean.set(xlabel="step", ylabel=r"$\|\mathrm{E}Z\|^2$", title="Every variant")
    for axis in (byol, mean):
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, table.step.max())
    return figure


def caption(table: pd.DataFrame) -> Caption:
    """Whether the identity holds, what ‖E Z‖² does, and the sign of the relation in each variant."""
    error = (table.dep - (1 - table.positive_distance / 2 - table.mean_norm_squared)).abs().max()
    measures = ["positive_distance", "mean_norm_squared", "dep"]
    kept = table.set_index(["variant", "seed"])
    start, end = (kept.loc[kept.step == step, measures] for step in (0, kept.step.max()))
    raised, fallen = ["BYOL", "with output norm", "no target network"], ["no batch norm", "no predictor"]
    moved: Any = (end - start).groupby("variant")
    held = error < 1e-6 and (moved.max().positive_distance < 0).all()
    held &= (moved.min().dep[raised] > 0).all() and (moved.max().dep[fallen] < 0).all()
    means: list[Any] = [one.groupby("variant").mean() for one in (start, end)]
    first, last = means
    runs: dict[Any, Any] = dict(iter(table.groupby(["variant", "seed"])))
    related: Any = pd.Series({key: run.positive_distance.corr(run.dep) for key, run in runs.items()}).groupby(level=0)
    shown = "; ".join(f"{name} {related.min()[name]:+.2f} to {related.max()[name]:+.2f}" for name in VARIANTS)
    peak = table.mean_norm_squared[table.variant == "BYOL"].idxmax()
    run = runs["BYOL", table.seed[peak]]
    least = run.loc[run.dep.idxmin()]
    alone = table[table.variant == "output norm alone"].groupby("step").dep.mean()
    limit = np.ceil(1e3 * table.mean_norm_squared[table.variant == "with output norm"].max()) / 1e3
    return Caption(
        "BYOL's distance is dependence while the mean stands still",
        "For unit vectors, one network for both views and the linear kernel, dep = 1 − ℓ/2 − ‖E Z‖² with "
        "ℓ = E_pos‖Z − Z′‖². Lowering BYOL's distance raises dependence on identity as far as ‖E Z‖² stays, which "
        "batch norm and the target network are argued to see to.",
        f"The identity holds to {error:.0e} at every point. Means over {table.seed.nunique()} seeds: in BYOL ℓ goes "
        f"from {first.positive_distance['BYOL']:.2f} to {last.positive_distance['BYOL']:.2f} and dep from "
        f"{first.dep['BYOL']:.2f} to {last.dep['BYOL']:.2f}, more than ℓ alone would give: ‖E Z‖² does not stay, it "
        f"falls from {first.mean_norm_squared['BYOL']:.2f} to {last.mean_norm_squared['BYOL']:.2f}. It can rise at "
        f"first: in one run from {run.mean_norm_squared.iloc[0]:.3f} to {run.mean_norm_squared.max():.3f}, ℓ falls and "
        f"so does dep, from {run.dep.iloc[0]:.3f} to {least.dep:.3f} at step {least.step:.0f}. With batch norm of the "
        f"output it stays below {limit:.3f}. Without a target network dep ends at {last.dep['no target network']:.2f}. "
        f"Without predictor, or without batch norm, ℓ ends at {last.positive_distance['no predictor']:.3f} and "
        f"{last.positive_distance['no batch norm']:.3f}, ‖E Z‖² at {last.mean_norm_squared['no predictor']:.2f} and "
        f"{last.mean_norm_squared['no batch norm']:.2f}, and dep falls. Output norm with neither predictor nor "
        f"stop-gradient: dep up to {alone.max():.2f}, then down to {alone.iloc[-1]:.2f} as ℓ falls on. Correlation of "
        f"ℓ with dep along a run: {shown}.",
        (
            "The identity held. That a lower distance is more dependence held with predictor and batch norm, and did "
            "not without either. "
            if held
            else "Did not hold: the identity is off, or dep did not move as stated. "
        )
        + f"A small experiment: perceptrons, 8 × 8 digits, {table.step.max():,} steps of {BATCH} images, random "
        f"starts, measured on {table['views'].iloc[0]} views of {table.images.iloc[0]} test images. What collapses "
        "here need not elsewhere: Richemond et al. (2020) train BYOL without batch statistics.",
    )
