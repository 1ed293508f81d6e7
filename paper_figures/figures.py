"""The list of figures, and how one is made: compute → CSV → draw → PDF and PNG."""

import dataclasses
import hashlib
import importlib
import io
import json
import os
import pathlib
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

ROOT = pathlib.Path(__file__).resolve().parent.parent
STYLE = pathlib.Path(__file__).with_name("style.mplstyle")

NAMES = (
    "dependence_picture",
    "same_mi",
    "infonce_vs_hsic",
    "gap_along_training",
    "temperature_gamma",
    "log_k_ceiling",
    "mi_staircase",
    "batch_bias",
    "random_features",
    "estimators",
    "byol_neighbourhood",
    "byol_dependence",
    "correlations",
    "regulariser",
    "ablations",
    "one_lens",
    "witnesses",
)
"""Modules of this package that draw a figure, in the gallery's order."""


@dataclasses.dataclass(frozen=True)
class Caption:
    """What a reader should know: the claim, what was found (numbers from the table), and whether the claim held."""

    title: str
    claim: str
    found: str
    verdict: str


class FigureModule(Protocol):
    """What a module named in `NAMES` offers."""

    def compute(self, fast: bool) -> pd.DataFrame: ...

    def draw(self, table: pd.DataFrame) -> Figure: ...

    def caption(self, table: pd.DataFrame) -> Caption: ...

    def inputs(self, fast: bool) -> str: ...


def module(name: str) -> FigureModule:
    """The module of a figure."""
    return cast(FigureModule, importlib.import_module(f"paper_figures.{name}"))


def fingerprint(name: str, fast: bool) -> str:
    """A hash of all a figure depends on: the library's and the figures' source, and the figure's own inputs."""
    digest = hashlib.sha256(f"{name} {fast} {module(name).inputs(fast)}".encode())
    sources = [*sorted((ROOT / "kerneldep").rglob("*.py")), ROOT / "paper_figures" / f"{name}.py", STYLE]
    for path in sources:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


TRAINED = 0.5
"""Tolerance of numbers that hang on a network trained here: another machine's rounding trains another one."""

TOLERANCES = {
    "dependence_picture": 0.02,
    "same_mi": 0.05,
    "infonce_vs_hsic": TRAINED,
    "gap_along_training": TRAINED,
    "temperature_gamma": TRAINED,
    "log_k_ceiling": TRAINED,
    "batch_bias": TRAINED,
    "byol_neighbourhood": TRAINED,
    "byol_dependence": TRAINED,
    "correlations": TRAINED,
    "mi_staircase": 0.1,
    "one_lens": TRAINED,
}
"""How far the numbers of a fast table may lie from the recorded, relative to the largest of their column."""


def difference(name: str, table: pd.DataFrame, expected: pd.DataFrame) -> str:
    """What differs between a table and the recorded one beyond the figure's tolerance (1e-3 if not stated); or ""."""
    if table.shape != expected.shape or list(table) != list(expected):
        return f"{table.shape[0]} rows of {list(table)}, recorded {expected.shape[0]} of {list(expected)}"
    for column in table:
        found, known = table[column].to_numpy(), expected[column].to_numpy()
        if known.dtype.kind != "f":
            if not table[column].equals(expected[column]):
                return f"{column} differs"
            continue
        limit = TOLERANCES.get(name, 1e-3) * np.nanmax(np.abs(known), initial=0)
        wrong = ~np.isclose(found, known, rtol=0, atol=limit, equal_nan=True)
        if wrong.any():
            row = int(wrong.argmax())
            return f"{column} is {found[row]:.6g} in row {row}, recorded {known[row]:.6g} ± {limit:.2g}"
    return ""


def captions(folder: pathlib.Path) -> dict[str, Caption]:
    """The captions of the figures that a folder holds, in the gallery's order."""
    fields = [field.name for field in dataclasses.fields(Caption)]
    stamps = {name: folder / f"{name}.json" for name in NAMES}
    records = {name: json.loads(stamp.read_text()) for name, stamp in stamps.items() if stamp.exists()}
    return {name: Caption(**{field: record[field] for field in fields}) for name, record in records.items()}


def make(name: str, folder: pathlib.Path, *, fast: bool, force: bool) -> tuple[Caption, bool]:
    """Make a figure's files in a folder, unless they are there already and up to date.

    Returns:
        The caption, and whether the figure was made anew.
    """
    figure_module = module(name)
    stamp, csv = folder / f"{name}.json", folder / f"{name}.csv"
    current = fingerprint(name, fast)
    if not force and stamp.exists() and json.loads(stamp.read_text())["fingerprint"] == current:
        return figure_module.caption(pd.read_csv(csv)), False
    write(csv, figure_module.compute(fast).to_csv(index=False, float_format="%.8g", lineterminator="\n").encode())
    table = pd.read_csv(csv)
    draw(figure_module, table, folder / name)
    caption = figure_module.caption(table)
    record = {"fingerprint": current, "fast": fast, **dataclasses.asdict(caption)}
    write(stamp, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
    return caption, True


def draw(figure_module: FigureModule, table: pd.DataFrame, stem: pathlib.Path) -> None:
    """Draw a table as PDF and PNG; the same table gives the same bytes."""
    import matplotlib.pyplot as plt

    with plt.style.context(STYLE):
        figure = figure_module.draw(table)
        metadata: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
        for kind, entries in metadata.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=entries)
            write(stem.with_suffix(f".{kind}"), buffer.getvalue())
        plt.close(figure)


def write(path: pathlib.Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)
