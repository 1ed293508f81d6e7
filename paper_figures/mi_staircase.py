"""Bounds on the information of Gaussians in d = 20 against its value, with the exact critic and with trained ones."""

import math
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerneldep.information import BOUNDS, Baselined, Bilinear, Separable, estimate_mi, get_bound
from kerneldep.information.tasks import CorrelatedGaussian
from paper_figures.figures import Caption

DIM, BATCH = 20, 64
STEPS = (2.0, 4.0, 6.0, 8.0, 10.0)
"""I, in nats."""

TITLES = {
    "infonce": "InfoNCE",
    "interpolated": r"$I_\alpha$, $\alpha = 0.01$",
    "nwj": "NWJ",
    "tuba": "TUBA",
    "jensen_shannon": "Jensen–Shannon",
    "donsker_varadhan": "Donsker–Varadhan",
    "mine": "MINE",
    "smile": "SMILE, clip 5",
    "club": "CLUB",
    "leave_one_out": "leave-one-out",
}
TRAINED = {name: (name,) for name in BOUNDS if name not in ("smile", "leave_one_out")} | {
    "jensen_shannon": ("jensen_shannon", "smile"),
    "club": ("club", "leave_one_out"),
}
"""What a critic is trained for, and the bounds that it then is put into: those with the same training objective."""

WIDTH = 64


def inputs(fast: bool) -> str:
    """Nothing but the source."""
    return ""


def compute(fast: bool) -> pd.DataFrame:
    """Mean, deviation and quantiles of each bound over batches: exact critic, then trained ones.

    With `fast`, K = 64 alone, and of trained critics a bilinear one, for InfoNCE at I = 4.
    """
    batches = {64: (1, 200)} if fast else {64: (2, 1000), 256: (2, 100), 1024: (8, 16)}
    return pd.concat([exact(batches), trained(fast)], ignore_index=True)


def exact(batches: dict[int, tuple[int, int]]) -> pd.DataFrame:
    """The bounds at their best critic: log r, 1 + log r for NWJ. Of other K than 64, InfoNCE alone.

    Args:
        batches: {K: (m, R)} for m times R batches, R at once.
    """
    tasks = [CorrelatedGaussian(information, DIM) for information in STEPS]
    scores_of = jax.jit(lambda pairs: [jax.vmap(task.critic)(*pair) for task, pair in zip(tasks, pairs, strict=True)])
    rows = []
    for size, (parts, repeats) in batches.items():
        names = tuple(BOUNDS) if size == BATCH else ("infonce",)
        found: list[list[dict[str, jax.Array]]] = [[] for _ in tasks]
        for part in range(parts):
            key = jax.random.fold_in(jax.random.key(size), part)
            scores = scores_of([drawn(task, key, repeats, size) for task in tasks])
            for one, of_task in zip(found, scores, strict=True):
                one.append(values(of_task, np.float32(1), names))
        for task, one in zip(tasks, found, strict=True):
            rows += [summary("exact", name, size, task, np.concatenate([part[name] for part in one])) for name in names]
    return pd.DataFrame(rows)


def trained(fast: bool) -> pd.DataFrame:
    """The bounds with critics that were trained for them, on as many new pairs as they were given."""
    rows = []
    num_batches, num_steps = (200, 200) if fast else (1000, 2000)
    scores_of = eqx.filter_jit(lambda critic, x, y: jax.vmap(critic)(x, y))
    for objective in ("infonce",) if fast else TRAINED:
        for information in (4.0,) if fast else STEPS:
            task = CorrelatedGaussian(information, DIM)
            found = estimate_mi(
                *task.sample(jax.random.key(1), num_batches * BATCH),
                objective,
                Bilinear(DIM, DIM, key=jax.random.key(4)) if fast else untrained(objective),
                key=jax.random.key(2),
                batch_size=BATCH,
                num_steps=num_steps,
                learning_rate=3e-2 if fast else 3e-3,
            )
            x, y = drawn(task, jax.random.key(3), num_batches, BATCH)
            columns = values(scores_of(found.critic, x, y), np.float32(0), tuple(BOUNDS))
            rows += [summary("trained", name, BATCH, task, columns[name]) for name in TRAINED[objective]]
    return pd.DataFrame(rows)


def untrained(objective: str) -> Separable | Baselined:
    """A small separable critic; for TUBA with a baseline of its own."""
    critic = Separable(DIM, DIM, features=32, width=WIDTH, depth=1, key=jax.random.key(4))
    if objective != "tuba":
        return critic
    return Baselined(critic, eqx.nn.MLP(DIM, "scalar", WIDTH, 1, key=jax.random.key(5)))


def drawn(task: CorrelatedGaussian, key: jax.Array, repeats: int, size: int) -> tuple[jax.Array, jax.Array]:
    """Batches of pairs [repeats, K, d]."""
    x, y = task.sample(key, repeats * size)
    return x.reshape(repeats, size, -1), y.reshape(repeats, size, -1)


@eqx.filter_jit
def values(scores: jax.Array, shift: jax.Array | np.floating, names: tuple[str, ...]) -> dict[str, jax.Array]:
    """The bounds of each of R score matrices [R, K, K]; NWJ's of the scores + shift."""
    shifts = {"nwj": shift}
    return jax.lax.map(lambda s: {name: get_bound(name).value(s + shifts.get(name, 0.0)) for name in names}, scores)


def summary(critic: str, name: str, size: int, task: CorrelatedGaussian, column: jax.Array | np.ndarray) -> dict:
    """One row of the table."""
    column = np.asarray(column, np.float64)
    low, high = np.quantile(column, [0.1, 0.9])
    ceiling = get_bound(name).ceiling(size)
    return {
        "critic": critic,
        "bound": name,
        "pairs": size,
        "information": task.information,
        "mean": column.mean(),
        "sd": column.std(ddof=1),
        "low": low,
        "high": high,
        "batches": len(column),
        "ceiling": ceiling if math.isfinite(ceiling) else math.nan,
        "stated_mean": stated_mean(name, task) if critic == "exact" else math.nan,
        "stated_sd": stated_sd(name, size, task) if critic == "exact" else math.nan,
    }


def stated_mean(name: str, task: CorrelatedGaussian) -> float:
    """The exact critic's expectation where it has a closed form.

    I of NWJ and its kin, dρ²/(1 − ρ²) = I + KL(p(x)p(y) ‖ p(x, y)) of CLUB.
    """
    if name in ("nwj", "tuba", "jensen_shannon"):
        return task.information
    return task.dim * task.correlation**2 / task.conditional_variance if name == "club" else math.nan


def stated_sd(name: str, size: int, task: CorrelatedGaussian) -> float:
    """The exact critic's standard deviation of a batch's NWJ.

    The joint mean has variance dρ²/K. The product term's K(K − 1) ratios r(x_i, y_j) are uncorrelated but for (i, j)
    with (j, i), whose covariance is E r(x, y′)r(x′, y) − 1 = (1 − ρ⁴)^{−d} − 1. With the joint mean they have none.
    """
    if name not in ("nwj", "tuba", "jensen_shannon"):
        return math.nan
    rho_squared = task.correlation**2
    mirrored = math.exp(-task.dim * math.log1p(-(rho_squared**2))) - 1
    return math.sqrt(task.dim * rho_squared / size + (task.ratio_variance + mirrored) / (size * (size - 1)))


def draw(table: pd.DataFrame) -> Figure:
    """Top: every bound against I; bottom: InfoNCE for several K, and deviations over batches."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(7.2, 6.4))
    parts: Any = figure.subfigures(2, 1, height_ratios=(4, 2.4))
    upper, lower = parts
    axes = upper.subplots(2, 5, sharex=True, sharey=True)
    for axis, name in zip(axes.flat, BOUNDS, strict=True):
        staircase(axis, _part(table, bound=name, pairs=BATCH))
        side = {"lower": "lower bound", "upper": "upper bound *", "neither": "neither"}[get_bound(name).kind]
        axis.set_title(f"{TITLES[name]}\n{side}", fontsize=8.5)
    axes[0, 0].set(xlim=(1.2, 10.8), xticks=STEPS, ylim=(-3, 20), yticks=[0, 5, 10, 15, 20])
    for axis in axes[:, 0]:
        axis.set_ylabel("nats")
    for axis in axes[1]:
        axis.set_xlabel("I (nats)")
    upper.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    left, right = lower.subplots(1, 2)
    ceilings(left, _part(table, critic="exact", bound="infonce"))
    deviations(right, _part(table, critic="exact", pairs=BATCH))
    return figure


def _part(table: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    """The rows with these values."""
    for column, value in columns.items():
        table = table.loc[table[column] == value, :]
    return table


def staircase(axis: Axes, table: pd.DataFrame) -> None:
    """One bound beside I and its ceiling: mean over batches, and the middle 80 % of them."""
    known, learned = _part(table, critic="exact"), _part(table, critic="trained")
    axis.plot(STEPS, STEPS, color="k", linewidth=0.8, label="I")
    axis.fill_between(known.information, known.low, known.high, color="C5", alpha=0.5, linewidth=0)
    axis.plot(known.information, known["mean"], color="C0", marker="o", label="exact critic")
    if len(learned):
        axis.vlines(learned.information, learned.low, learned.high, color="C1", linewidth=1)
        axis.plot(learned.information, learned["mean"], color="C1", linestyle="--", linewidth=1.2, marker="s",
                  markerfacecolor="w", label="trained critic")  # fmt: skip
    axis.axhline(known.ceiling.iloc[0], color="0.35", linestyle=":", label="ceiling")


def ceilings(axis: Axes, table: pd.DataFrame) -> None:
    """InfoNCE with the exact critic, for each K."""
    axis.plot(STEPS, STEPS, color="k", linewidth=0.8)
    for number, (size, part) in enumerate(table.groupby("pairs")):
        colour, marker = ("C0", "C2", "C3")[number], "o^D"[number]
        axis.fill_between(part.information, part.low, part.high, color=colour, alpha=0.25, linewidth=0)
        axis.plot(part.information, part["mean"], color=colour, marker=marker, label=f"K = {size}")
        axis.axhline(part.ceiling.iloc[0], color=colour, linestyle=":")
    axis.set(xlabel="I (nats)", ylabel="nats", title="InfoNCE, exact critic (dotted: log K)", xticks=STEPS)
    axis.legend()


def deviations(axis: Axes, table: pd.DataFrame) -> None:
    """Standard deviation over batches with the exact critic."""
    shown = {"nwj": "C3D", "donsker_varadhan": "C1s", "smile": "C4v", "interpolated": "C2^", "infonce": "C0o"}
    stated = table[table.bound == "nwj"]
    axis.plot(stated.information, stated.stated_sd, color="k", linestyle="--", label="NWJ, stated")
    for name, look in shown.items():
        part = table[table.bound == name]
        axis.plot(part.information, part["sd"], look + "-", label=TITLES[name])
    axis.set(xlabel="I (nats)", ylabel="nats", yscale="log", xticks=STEPS, ylim=(0.02, 3e4))
    axis.set_title(f"Deviation over batches, exact critic, K = {BATCH}")
    axis.set_yticks([0.1, 1, 10, 100])
    axis.legend(ncols=2, loc="upper left", columnspacing=1.2)


def caption(table: pd.DataFrame) -> Caption:
    """What each bound says of I = 10, and whether sides, ceilings and closed forms held."""
    table = table.assign(error=table["sd"] / np.sqrt(table.batches))
    of = {key: part.set_index("information") for key, part in table.groupby(["critic", "bound", "pairs"])}
    known = {name: of["exact", name, BATCH] for name in BOUNDS}
    learned = {name: of["trained", name, BATCH] for name in BOUNDS if ("trained", name, BATCH) in of}
    infonce, nwj, club = known["infonce"], known["nwj"], known["club"]
    largest = table.pairs.max()
    low, high = table.information.min(), table.information.max()
    ratio = learned["infonce"]["mean"] / infonce["mean"].loc[learned["infonce"].index]

    below = (
        all(
            (known[name]["mean"] < known[name].index + 4 * known[name].error).all()
            for name in ("infonce", "interpolated")
        )
        and not (table["mean"] > table.ceiling).any()
    )
    above = all(
        (known[name]["mean"] > known[name].index).all() for name in ("donsker_varadhan", "smile", "leave_one_out")
    )
    stated = bool(((club["mean"] - club.stated_mean).abs() < 5 * club.error).all())
    stated &= abs(nwj["mean"][low] - low) < 5 * nwj.error[low] and abs(nwj["sd"][low] / nwj.stated_sd[low] - 1) < 0.25
    unseen = nwj["sd"][high] < 0.1 * nwj.stated_sd[high]
    close = bool((ratio < 1).all() and (ratio > (0.7 if len(ratio) == 1 else 0.9)).all())
    held = below and above and stated and unseen and close

    def at_top(name: str) -> str:
        return f"{known[name]['mean'][high]:.2f}"

    with_more = f"; at K = {largest} and I = {high:g} it is {of['exact', 'infonce', largest]['mean'][high]:.3f}"
    return Caption(
        "Bounds on mutual information: a ceiling, or a variance, or no side",
        "Gaussians, d = 20, of information I. InfoNCE cannot exceed log K. NWJ, TUBA and Jensen–Shannon have no "
        "ceiling, but a variance that grows like e^{2I}. One batch's Donsker–Varadhan, MINE and SMILE are on no side "
        "of I; CLUB and leave-one-out are above it with the true conditional only (*). (The bounds are the "
        "literature's; the exact deviation of a batch's NWJ and the ceiling 1 + log((K − 1)/α) of I_α are ours.)",
        f"Exact critic, {int(infonce.batches[high])} batches of K = {BATCH}: InfoNCE is "
        f"{', '.join(f'{value:.3f}' for value in infonce['mean'])} at I = {', '.join(f'{i:g}' for i in infonce.index)} "
        f"(log {BATCH} = {infonce.ceiling[high]:.3f}{with_more if largest > BATCH else ''}). At I = {high:g}: I_α "
        f"{at_top('interpolated')}, NWJ {at_top('nwj')} (its expectation is I), Donsker–Varadhan "
        f"{at_top('donsker_varadhan')}, SMILE {at_top('smile')}, leave-one-out {at_top('leave_one_out')}, CLUB "
        f"{at_top('club')} (off the panel; stated {club.stated_mean[high]:.2f}). NWJ's standard deviation over batches "
        f"is {nwj['sd'][low]:.3f} at I = {low:g} (stated {nwj.stated_sd[low]:.3f}), and {nwj['sd'][high]:.1f} at "
        f"I = {high:g}, where in truth it is {nwj.stated_sd[high]:.0f}: the batches that make it up were never drawn, "
        f"and the sample does not warn. {_of_trained(learned, ratio, high)} Bands and bars hold the middle 80 % of "
        "batches; marks are means.",
        "Held: sides and ceilings, and closed forms where a sample can show them. At high I every bound fails in a way "
        "of its own: which says most tells little."
        if held
        else "Did not hold: a bound is on the wrong side, or a closed form or the trained InfoNCE is missed.",
    )


def _of_trained(learned: dict[str, pd.DataFrame], ratio: pd.Series, high: float) -> str:
    """What trained critics reach."""
    shares = f"{ratio.min():.2f}" + (f" to {ratio.max():.2f}" if len(ratio) > 1 else "")
    if len(learned) < len(BOUNDS):
        return f"A bilinear critic reaches {shares} of the exact one's InfoNCE after a few steps."
    nwj, mine, club = (learned[name].loc[high] for name in ("nwj", "mine", "club"))
    return (
        f"A trained critic (separable, two networks {DIM}–{WIDTH}–32) reaches {shares} of the exact one's InfoNCE. "
        f"Trained for NWJ at I = {high:g} it gives {nwj['mean']:.1f} (standard "
        f"deviation {nwj['sd']:.0f} over batches), for MINE {mine['mean']:.1f}: there training breaks down. CLUB "
        f"({club['mean']:.1f}) and leave-one-out, trained by InfoNCE down the columns, and SMILE, trained as "
        "Jensen–Shannon, are on no side."
    )
