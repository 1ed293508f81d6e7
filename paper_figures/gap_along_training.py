"""InfoNCE + dep beside ½E Var and ½HSIC(Z, Z) along the training of several objectives, at two temperatures."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from experiments.ssl.diagnostics import TEMPERATURES
from paper_figures.figures import Caption
from paper_figures.training_logs import logs_hash, training_logs

COLUMNS, DIGITS, FAIR = 4, 1e-4, 0.2  # panels in a row; the record has six digits; what counts as a fair expansion


def inputs(fast: bool) -> str:
    """The logs."""
    return logs_hash(fast)


def compute(fast: bool) -> pd.DataFrame:
    """The gap and what it is taken for, a row for each run, temperature and step; everything with k = cos/τ."""
    tables: list[Any] = []
    for name, log in training_logs(fast).items():
        for temperature in TEMPERATURES:
            columns = {key: log[f"{key}_{temperature:g}"] for key in ("infonce", "gap", "half_variance")}
            logged = pd.DataFrame({
                "objective": name,
                "temperature": temperature,
                "step": log.step,
                "dependence": log.dep / temperature,
                **columns,
                "half_hsic": log.hsic_zz / (2 * temperature**2),
                "effective_rank": log.effective_rank,
            })  # fmt: skip
            tables.append(logged)
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """A panel for each run, in nats; the last has ½E Var as a share of the gap for all."""
    import matplotlib.pyplot as plt

    objectives = list(dict.fromkeys(table.objective))
    lines = -(-(len(objectives) + 1) // COLUMNS)
    figure, grid = plt.subplots(lines, COLUMNS, figsize=(7.2, 1.9 * lines + 0.6), sharex=True)
    *panels, share = grid.ravel()[: len(objectives) + 1]
    for axis in grid.ravel()[len(objectives) + 1 :]:
        axis.remove()
    for axis, name in zip(panels, objectives, strict=True):
        for index, (temperature, run) in enumerate(table[table.objective == name].groupby("temperature")):
            colour, label = f"C{index}", rf"$\tau = {temperature:g}$: "
            axis.plot(run.step, run.gap, color=colour, label=label + r"$L_{\mathrm{InfoNCE}} + \mathrm{dep}$")
            axis.plot(run.step, run.half_variance, "--", color=colour, label=label + r"$\frac{1}{2}\,$E Var")
            axis.plot(run.step, run.half_hsic, ":", color=colour, label=label + r"$\frac{1}{2}\,$HSIC$(Z, Z)$")
            share.plot(run.step, run.half_variance / run.gap, color=colour, linewidth=0.8)
        axis.set(title=name, yscale="log", ylim=(0.5 * table.half_hsic.min(), 1.6 * table.half_variance.max()))
        if axis not in grid[:, 0]:
            axis.tick_params(labelleft=False)
    for axis in grid[:, 0]:
        axis.set_ylabel("nats")
    share.axhline(1, color="0.35", linewidth=0.8, zorder=0)
    share.set(title="½E Var / gap, all runs")
    for axis in (*panels[-COLUMNS + 1 :], share):
        axis.set_xlabel("step")
        axis.tick_params(labelbottom=True)
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, handlelength=2.6, labelspacing=0.3
    )
    return figure


def caption(table: pd.DataFrame) -> Caption:
    """How near the expansion stays, on which side, and whether what must hold exactly does."""
    error = (table.infonce + table.dependence - table.gap).abs().max()
    share = table.half_variance / table.gap
    by_temperature = dict(iter(share.groupby(table.temperature)))
    off = {temperature: (one - 1).abs().max() for temperature, one in by_temperature.items()}
    low, high = min(off), max(off)
    ends: Any = table[table.temperature == low].groupby("objective", sort=False).last()
    share_at_end = (ends.half_variance / ends.gap).sort_values()
    related = share_at_end.rank().corr(ends.effective_rank.rank())
    ranges = "; ".join(f"τ = {t:g}: {one.min():.2f} to {one.max():.2f}" for t, one in by_temperature.items())
    regularisers = table.half_hsic / table.half_variance
    exact = error < DIGITS and (table.gap > 0).all() and 0.5 < regularisers.min() <= regularisers.max() <= 1 + DIGITS
    held = exact and off[high] < FAIR
    return Caption(
        "The gap between InfoNCE and dependence along training",
        "Whatever a method trains on, L_InfoNCE + dep stays near ½E Var along all of its training, unless the "
        "temperature is low; HSIC(Z, Z), whose root is SSL-HSIC's regulariser, is most of E Var.",
        f"½E Var as a share of the gap, over all steps of {len(ends)} runs: {ranges}. At τ = {low:g} it ends at "
        f"{', '.join(f'{value:.2f} ({name})' for name, value in share_at_end.items())}: the less the more spread the "
        f"representation (rank correlation with its effective rank {related:+.2f}). HSIC(Z, Z) as a share of E Var: "
        f"{regularisers.min():.2f} to {regularisers.max():.2f}; the rest is the variance of mean similarities. "
        f"L_InfoNCE = gap − dep to {error:.0e} (six digits are logged). "
        "All of the same two views of held-out images, population denominator.",
        (
            f"Held at τ = {high:g}, where the expansion is off by at most {100 * off[high]:.0f} %; at τ = {low:g} it "
            f"is off by up to {100 * off[low]:.0f} %, to either side, and gives no more than the size. "
            if held
            else "Did not hold: the numbers are not of one representation, or the expansion is off. "
        )
        + "One seed each.",
    )
