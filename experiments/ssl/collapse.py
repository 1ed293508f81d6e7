"""When SSL-HSIC starts in its collapsed solution and stays there: a grid of short runs.

Near collapse, the loss is (γ‖Σ‖_F − tr Σ_between)/c² with Σ the projections' covariance, below the 0 of full
collapse only where the participation ratio (tr Σ)²/‖Σ‖²_F exceeds γ²; elsewhere a run can leave, but after a plateau.
"""

import csv
from dataclasses import replace
from itertools import product
from pathlib import Path

from experiments.ssl.config import load_preset
from experiments.ssl.records import markdown, write_rows
from experiments.ssl.runs import find_or_train, write
from experiments.ssl.suites import STUDY_WIDTHS

FOLDER = Path(__file__).parent
CSV = FOLDER / "collapse.csv"
README = FOLDER / "README.md"
BEGIN, END = "<!-- collapse table -->", "<!-- end of collapse table -->"
HEADER = (
    "gamma",
    "scale c",
    "projector norm",
    "loss at start",
    "loss at end",
    "dep",
    "rank start",
    "rank end",
    "state",
    "k-NN %",
    "untrained k-NN %",
    "linear %",
    "untrained linear %",
)
EPOCHS, STEPS_AN_EPOCH, BATCH = 6, 39, 128


def main(force: bool = False) -> None:
    """Trains the grid, writes the CSV, and puts the table into the README."""
    preset = load_preset("cpu-quick", "ssl_hsic")
    rows = []
    for gamma, scale, norm in product((1.0, 3.0, 6.0), (0.5, 1.0), (False, True)):
        config = replace(
            preset,
            preset="collapse",
            objective=replace(preset.objective, parameters={"gamma": gamma, "scale": scale}),
            data=replace(preset.data, num_train=STEPS_AN_EPOCH * BATCH, probe=("heldout",)),
            model=replace(preset.model, widths=STUDY_WIDTHS, projector_norm=norm),
            training=replace(preset.training, epochs=EPOCHS, batch_size=BATCH),
        )
        run = find_or_train(config, force=force)
        metrics, rank = run.metrics(), run.summary["effective_rank"]
        first, last, dep = metrics["loss"][0], metrics["loss"][-5:].mean(), metrics["dep"][-5:].mean()
        state = "collapsed" if rank["trained"] < 2 or dep < 0.02 else ("at the barrier" if last > -0.02 else "learns")
        numbers = (f"{gamma:g}", f"{scale:g}", "yes" if norm else "no", f"{first:+.3f}", f"{last:+.3f}")
        ranks = (f"{rank['untrained']:.1f}", f"{rank['trained']:.1f}")
        accuracy = run.summary["accuracy"]["heldout"]
        probes = tuple(
            f"{100 * accuracy[which][name]:.1f}" for name in ("knn", "linear") for which in ("trained", "untrained")
        )
        rows.append((*numbers, f"{dep:.3f}", *ranks, state, *probes))
        write_rows(CSV, HEADER, rows)
    update_readme()


def update_readme() -> None:
    """Copies the CSV into the README's table."""
    with CSV.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    fresh = f"{before}{BEGIN}\n{markdown(header, rows)}\n{END}{after}"
    write(README, lambda path: path.write_text(fresh, encoding="utf-8"))
