"""What goes with accuracy along the training of several objectives: distance, InfoNCE, dep and HSIC(Z, Z)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paper_figures.figures import Caption
from paper_figures.training_logs import logs_hash, training_logs

MEASURES = {
    "byol_distance": "BYOL's distance",
    "infonce": "InfoNCE",
    "dep": "dep",
    "hsic_zz": "HSIC(Z, Z)",
    "knn": "k-NN accuracy",
}
TEMPERATURE = "0.2"
CLEAR = 0.5  # rank correlation from which on two quantities move together


def inputs(fast: bool) -> str:
    """The logs."""
    return logs_hash(fast)


def compute(fast: bool) -> pd.DataFrame:
    """The quantities at each observation of each run, and what the figure is for in the same units."""
    logs = training_logs(fast)
    renamed = {name: table.rename(columns={f"infonce_{TEMPERATURE}": "infonce"}) for name, table in logs.items()}
    columns = ["objective", "step", *MEASURES, "mean_norm_squared"]
    rows: list[Any] = [table.assign(objective=name)[columns] for name, table in renamed.items()]
    return pd.concat(rows, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Left: dep, and right BYOL's distance, against k-NN accuracy along each run; below, all rank correlations."""
    import matplotlib.pyplot as plt

    objectives = list(dict.fromkeys(table.objective))
    figure = plt.figure(figsize=(7.2, 5.4))
    axes = figure.subplot_mosaic([["dep", "byol"], ["matrix", "matrix"]], height_ratios=(1.15, 1))
    for panel, measure in (("dep", "dep"), ("byol", "byol_distance")):
        for index, name in enumerate(objectives):
            run: Any = table[table.objective == name]
            axes[panel].plot(run[measure], 100 * run.knn, color=f"C{index}", linewidth=1, label=name)
            axes[panel].plot(run[measure].iloc[-1], 100 * run.knn.iloc[-1], "o", color=f"C{index}", markersize=4)
        axes[panel].set(xlabel=MEASURES[measure], ylabel="held-out k-NN %")
    figure.legend(*axes["dep"].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(objectives), 4))
    found = correlations(table)
    matrix = axes["matrix"]
    matrix.imshow(found.to_numpy(), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    matrix.set_xticks(range(found.shape[1]), _pairs(found), fontsize=7)
    matrix.set_yticks(range(len(found)), [str(name) for name in found.index])
    for i, row in enumerate(found.to_numpy()):
        for j, value in enumerate(row):
            dark = abs(value) > 0.6
            text = "–" if np.isnan(value) else f"{value:+.2f}"
            matrix.text(j, i, text, ha="center", va="center", fontsize=7, color="w" if dark else "k")
    matrix.set(title="Spearman's rank correlation along each run")
    matrix.grid(visible=False)
    return figure


def correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation of each pair of quantities, a row for each objective; NaN where one does not move."""
    names = list(MEASURES)
    pairs = [(first, second) for i, first in enumerate(names) for second in names[i + 1 :]]
    rows: dict[Any, dict[str, float]] = {
        objective: {
            f"{MEASURES[first]} ~ {MEASURES[second]}": _spearman(run[first], run[second]) for first, second in pairs
        }
        for objective, run in table.groupby("objective", sort=False)
    }
    return pd.DataFrame(list(rows.values()), index=pd.Index(rows))


def _pairs(found: pd.DataFrame) -> list[str]:
    """The columns, short enough for an axis."""
    short = {"BYOL's distance": "distance", " accuracy": "", " ~ ": "\n"}
    names = [str(name) for name in found.columns]
    for long, brief in short.items():
        names = [name.replace(long, brief) for name in names]
    return names


def caption(table: pd.DataFrame) -> Caption:
    """Along how many runs dep and accuracy rise together, and where they do not."""
    error = (table.dep - (1 - table.byol_distance / 2 - table.mean_norm_squared)).abs().max()
    found: Any = correlations(table)
    accuracy = {measure: found[f"{MEASURES[measure]} ~ k-NN accuracy"] for measure in MEASURES if measure != "knn"}
    along = (accuracy["dep"] > CLEAR) & (accuracy["byol_distance"] < -CLEAR)
    odd = [f"{name} (dep {accuracy['dep'][name]:+.2f}, distance {accuracy['byol_distance'][name]:+.2f})"
           for name in found.index[~along]]  # fmt: skip
    ends: Any = table.groupby("objective", sort=False).last()
    between = {measure: _spearman(ends[measure], ends.knn) for measure in accuracy}
    shown = "; ".join(f"{MEASURES[name]} {one.min():+.2f} to {one.max():+.2f}" for name, one in accuracy.items())
    if error > 1e-4:
        verdict = "Did not hold: the numbers are not of one representation. "
    elif 2 * along.sum() <= len(found):
        verdict = f"Did not hold along {', '.join(odd)}. "
    else:
        verdict = f"Held along {along.sum()} of {len(found)} runs" + (
            f", not along {', '.join(odd)}. " if odd else ". "
        )
    points = table.objective.value_counts().to_numpy().min()
    return Caption(
        "Dependence and accuracy along training",
        "Along the training of most of these objectives, whatever they optimise, dependence on identity and k-NN "
        "accuracy rise together and BYOL's distance falls (dep = 1 − ℓ/2 − ‖E Z‖² ties the two); which run ends most "
        "accurate is not for dep to say.",
        f"Rank correlations with k-NN accuracy over {points} points of each run (held: beyond ±{CLEAR:g}): "
        f"{shown}. Between the ends of the {len(found)} runs: "
        f"{'; '.join(f'{MEASURES[name]} {value:+.2f}' for name, value in between.items())}. "
        f"dep = 1 − ℓ/2 − ‖E Z‖² to {error:.0e}. All of the same views of held-out images, cosine kernel, InfoNCE at "
        f"τ = {TEMPERATURE} with the population denominator.",
        verdict
        + "One seed each. Along one run everything moves with time, so that a correlation there says little; between "
        "runs there are few points.",
    )


def _spearman(first: Any, second: Any) -> float:
    if first.nunique() < 2 or second.nunique() < 2:
        return float("nan")
    return float(first.rank().corr(second.rank()))
