"""Why the regulariser, and what it costs: the loss over code-books, and which starts near collapse are trapped."""

import hashlib
from typing import Any

import jax
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerneldep.analysis import codebook_loss, codebook_views, collapse, collapse_flow, near_collapse
from paper_figures.figures import ROOT, Caption

GAMMA, IMAGES, DIM = 3.0, 48, 32
BOOKS = {0.0: ("C0-", "o"), 1.0: ("C2--", "s"), 3.0: ("C1-", "^"), 6.0: ("k:", "D")}
"""γ of the code-books, each with its look."""
NUMBERS = np.arange(1, DIM)
SCATTERS = {  # standard deviations about the collapsed point
    "every direction alike": np.full(DIM - 1, 0.01),
    "4 strong, others 1/100": np.where(NUMBERS <= 4, 0.1, 1e-3),
    "4 strong, others 1/10⁴": np.where(NUMBERS <= 4, 0.1, 1e-5),
    "4 directions only": np.where(NUMBERS <= 4, 0.01, 0.0),
}
LOOKS = ("C0-", "C2--", "C4-.", "k:")
MARKERS = "osDX"
NETWORKS = ROOT / "experiments" / "ssl" / "collapse.csv"


def inputs(fast: bool) -> str:
    """The record of networks trained with several γ."""
    return hashlib.sha256(NETWORKS.read_bytes()).hexdigest()[:16]


def compute(fast: bool) -> pd.DataFrame:
    """Rows "book", "flow", "trap", "sweep" from code-books and free vectors, "network" from the record."""
    with jax.enable_x64(True):
        parts = [_books(fast), _flows(fast), _traps(fast), _sweep(fast), _networks()]
    return pd.concat(parts, ignore_index=True)


def _books(fast: bool) -> pd.DataFrame:
    books = (1, 2, 8, 16, 64) if fast else (1, 2, 4, 8, 16, 64, 256, 1024)
    most, rows = max(books), []
    for codes in books:
        views = codebook_views(codes, most)
        found = collapse(np.pad(views, ((0, 0), (0, 0), (0, most - codes))))  # one shape, one compilation
        for gamma in BOOKS:
            closed = float(codebook_loss(codes, gamma))
            rows.append(("book", codes, gamma, float(found.loss(gamma)), closed, float(found.dependence)))
    return pd.DataFrame(rows, columns=["part", "codes", "gamma", "loss", "closed_form", "dep"])


def _start(scales: np.ndarray) -> jax.Array:
    return near_collapse(jax.random.key(1), IMAGES, scales)


def _num_steps(fast: bool) -> int:
    return 250 if fast else 500


def _flows(fast: bool) -> pd.DataFrame:
    tables, shown = [], np.arange(201)
    for name, scales in SCATTERS.items():
        flow = collapse_flow(_start(scales), GAMMA, num_steps=_num_steps(fast))
        path = {"step": shown, "loss": flow.losses[shown], "rank": flow.path.participation_ratio[shown]}
        tables.append(pd.DataFrame({"part": "flow", "start": name, "gamma": GAMMA, **path}))
    return pd.concat(tables)


def _ends(scales: np.ndarray, weights: np.ndarray, fast: bool) -> list[dict[str, float]]:
    """How a flow starts and ends, for each γ."""
    start, rows = _start(scales), []
    for gamma in weights:
        flow = collapse_flow(start, gamma, num_steps=_num_steps(fast))
        ends = {"loss": flow.losses, "dep": flow.path.dependence, "rank": flow.path.participation_ratio}
        begun = {f"{name}_start": float(values[0]) for name, values in ends.items()}
        critical = float(flow.path.critical_gamma[0])
        rows.append({"gamma": gamma, "critical_gamma": critical, **begun, **{n: float(v[-1]) for n, v in ends.items()}})
    return rows


def _traps(fast: bool) -> pd.DataFrame:
    numbers = (2, 16, 31) if fast else (2, 3, 5, 8, 12, 15, 20, 24, 28, 31)
    weights = np.array([0.0, 3.5, 4.5]) if fast else np.arange(0, 6.5, 0.5)
    return pd.DataFrame(
        {"part": "trap", "directions": number, **row}
        for number in numbers
        for row in _ends(np.where(number >= NUMBERS, 0.01, 0.0), weights, fast)
    )


def _sweep(fast: bool) -> pd.DataFrame:
    few, many = (0, 1, 3), (0, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6)
    return pd.DataFrame(
        {"part": "sweep", "start": name, **row}
        for name, scales in SCATTERS.items()
        for row in _ends(scales, np.asarray(few if fast else many, float), fast)
    )


def _networks() -> pd.DataFrame:
    renamed = {
        "scale c": "scale",
        "projector norm": "norm",
        "loss at start": "loss_start",
        "loss at end": "loss",
        "rank start": "rank_start",
        "rank end": "rank",
    }
    return pd.read_csv(NETWORKS).rename(columns=renamed).assign(part="network")


def part_of(table: pd.DataFrame, part: str) -> Any:
    """Those of one part of the table."""
    return table[table.part == part]


def draw(table: pd.DataFrame) -> Figure:
    """The loss over code-books; the loss along flows; what is trapped; the rank that a flow ends with, against γ."""
    import matplotlib.pyplot as plt

    figure, ((book, flow), (trap, sweep)) = plt.subplots(2, 2, figsize=(7.2, 5.6))
    _draw_books(book, part_of(table, "book"))
    flows = part_of(table, "flow")
    for name, look in zip(SCATTERS, LOOKS, strict=True):
        part = flows[flows.start == name]
        flow.plot(part.step, part.loss, look, label=name)
    flow.axhline(0, color="0.4", linewidth=1, zorder=0)
    flow.set(xlim=(0, 150), xlabel="step", ylabel="loss", title=f"Scatter about one point, γ = {GAMMA:g}")
    _draw_traps(trap, part_of(table, "trap"))
    _draw_sweep(sweep, part_of(table, "sweep"))
    top, bottom = (axis.get_legend_handles_labels() for axis in (sweep, trap))
    figure.legend(*top, loc="outside upper center", ncols=4, columnspacing=1.2)
    figure.legend(*bottom, loc="outside lower center", ncols=5, columnspacing=1.2)
    return figure


def _draw_books(axis: Axes, part: pd.DataFrame) -> None:
    """Lines from the closed form's γ and C, points as measured on views."""
    codes = np.geomspace(1, part.codes.max(), 200)
    for gamma, (look, marker) in BOOKS.items():
        share = 1 / codes
        axis.plot(codes, -(1 - share) + gamma * np.sqrt(share * (1 - share)), look, linewidth=1.3)
        points = part[part.gamma == gamma]
        axis.plot(points.codes, points.loss, look[:2].rstrip("-:") + marker, markersize=4.5, label=f"γ = {gamma:g}")
        if gamma > 0:
            axis.plot(1 + gamma**2, 0, "|", color="k", markersize=12, markeredgewidth=1.2)
    axis.axhline(0, color="0.4", linewidth=1, zorder=0)
    axis.set_xscale("log", base=2)
    axis.set_xticks(4 ** np.arange(6), [f"{codes:,}" for codes in 4 ** np.arange(6)])
    axis.set(xlabel="orthogonal codes $C$", ylabel="loss", title=r"Code-books; bars at $C = 1 + \gamma^2$")
    axis.legend(ncols=2)


def _draw_traps(axis: Axes, part: pd.DataFrame) -> None:
    weights = np.linspace(0, part.gamma.max(), 100)
    axis.plot(weights, weights**2, "k", linewidth=1, label="directions = γ²")
    critical = part.groupby("directions").critical_gamma.first()
    axis.plot(critical, critical.index, color="0.5", linestyle="--", linewidth=1, label="loss = 0 at the start")
    out = part.dep > part.dep_start
    barrier = out & (part.loss_start > 0)
    looks: list[tuple[Any, dict[str, Any], str]] = [
        (out & ~barrier, {"marker": "o", "color": "C0"}, "spreads"),
        (barrier, {"marker": "^", "color": "C2", "markersize": 5}, "spreads, from a loss > 0"),
        (~out, {"marker": "x", "color": "C1", "markersize": 4}, "collapses"),
    ]
    for chosen, look, name in looks:
        axis.plot(part.gamma[chosen], part.directions[chosen], linestyle="none", label=name, **look)
    axis.set(ylim=(0, 33.5), xlabel="γ", ylabel="directions of the scatter", title="Which starts are trapped")


def _draw_sweep(axis: Axes, part: pd.DataFrame) -> None:
    for number, (name, look) in enumerate(zip(SCATTERS, LOOKS, strict=True)):
        of: Any = part[part.start == name]
        reached = of["rank"].where(of.dep > of.dep_start, 0)
        axis.plot(of.gamma, reached, look, linewidth=1.2, marker=MARKERS[number], markersize=4, label=name)
    axis.set_xscale("symlog", linthresh=0.1)
    axis.set_xticks([0, 0.1, 1, 3, 6], ["0", "0.1", "1", "3", "6"])
    axis.set(xlabel="γ", ylabel="(tr Σ)²/‖Σ‖² at the end", title="What the regulariser spreads")


def caption(table: pd.DataFrame) -> Caption:
    """The stated numbers, and how well rank against γ² tells what is trapped."""
    parts = ("book", "flow", "trap", "sweep", "network")
    books, flows, traps, sweep, networks = (part_of(table, part) for part in parts)
    error = (books.loss - books.closed_form).abs().max()
    of_three = books[books.gamma == GAMMA].set_index("codes").loss
    shown = ", ".join(f"{of_three[codes]:+.3f} at C = {codes:,}" for codes in (2, 8, 16, int(books.codes.max())))
    deps = books[books.gamma == 0].set_index("codes").dep
    escapes = traps.dep > traps.dep_start
    wrong = int((escapes != (traps.directions > traps.gamma**2)).sum())
    positive = int((escapes & (traps.loss_start > 0)).sum())
    left = {name: part.step[part.loss < -0.05].min() for name, part in flows.groupby("start")}
    alike, weak, weaker, few = SCATTERS
    without, some = (sweep[sweep.gamma == gamma].set_index("start")["rank"] for gamma in (0, 1))
    high, three = (networks[networks.gamma == gamma] for gamma in (6, 3))
    held = error < 1e-6 and wrong == 0 and positive > 0 and np.isnan(left[few])
    return Caption(
        "Why the regulariser, and what it costs",
        "C orthogonal codes have loss −(1 − 1/C) + γ√((1/C)(1 − 1/C)): without γ few codes are nearly as good as many; "
        "with it the loss is below that of full collapse, 0, only for C > 1 + γ². So γ spreads, and it traps: near "
        "collapse a scatter of rank below γ² falls back (the rank is ours).",
        f"Code-books at γ = {GAMMA:g}: {shown}; measured on views the same to {max(error, 1e-8):.0e}. dep alone is "
        f"{deps[64]:.3f} at C = 64 and {deps.iloc[-1]:.3f} at C = {deps.index[-1]:,.0f}. Gradient flow of {IMAGES} "
        f"free unit vectors in {DIM} dimensions: of {len(traps)} starts {int(escapes.sum())} spread, and “rank > γ²” "
        f"tells which in all but {wrong}. The sign of the loss does not: {positive} that spread start from a positive "
        f"one. At γ = {GAMMA:g} a loss of −0.05 takes {left[alike]:.0f} steps with {alike}, and {left[weak]:.0f} and "
        f"{left[weaker]:.0f} where all but 4 directions are 10² and 10⁴ times weaker: a plateau "
        f"near collapse. With 4 alone it never comes. From {weak}, the participation ratio ends at {without[weak]:.1f} "
        f"with γ = 0, at {some[weak]:.1f} with γ = 1. Networks (experiments/ssl/collapse.csv): at γ = 3 all "
        f"{len(three)} start from a loss of {three.loss_start.min():+.2f} or more and "
        f"{int((three.state == 'learns').sum())} learn; at γ = 6 {int((high.state == 'collapsed').sum())} of "
        f"{len(high)} collapse and {int((high.state == 'learns').sum())} learn.",
        "Held. Free vectors, all views of an image alike, and the linear kernel show the loss's own landscape, not a "
        "network's: there scatter within images and the kernel's length scale count too."
        if held
        else "Did not hold: a loss is not its closed form, or rank against γ² does not tell what is trapped.",
    )
