"""The committed figures: drawn from their tables alone, the same bytes each time, with captions from the numbers."""

import html
import json
import re

import pandas as pd
import pytest

from paper_figures import figures
from paper_figures.gallery import write_gallery

from ..thorough import thorough

pytestmark = pytest.mark.optimised

GALLERY = figures.ROOT / "paper_figures" / "gallery"
every_figure = pytest.mark.parametrize("name", figures.NAMES)


@pytest.mark.parametrize("name", thorough(figures.NAMES, ("dependence_picture", "byol_dependence").__contains__))
def test_same_table_same_bytes(name, tmp_path):
    """Beside the committed files, where the same matplotlib drew them; else beside a second drawing."""
    table = pd.read_csv(GALLERY / f"{name}.csv")
    figures.draw(figures.module(name), table, tmp_path / name)
    committed = GALLERY / f"{name}.png"
    if (tmp_path / f"{name}.png").read_bytes() != committed.read_bytes():
        figures.draw(figures.module(name), table, tmp_path / "second" / name)
        committed = tmp_path / "second" / f"{name}.png"
    for kind in ("pdf", "png"):
        first, second = (path.with_suffix(f".{kind}").read_bytes() for path in (tmp_path / f"{name}.png", committed))
        assert first == second
        assert len(first) > 10_000
    pdf = (tmp_path / f"{name}.pdf").read_bytes()
    assert b"/Type3" not in pdf  # TrueType fonts, embedded
    assert b"/FontFile2" in pdf


@every_figure
def test_committed_caption_is_that_of_the_committed_table(name):
    caption = figures.module(name).caption(pd.read_csv(GALLERY / f"{name}.csv"))
    committed = json.loads((GALLERY / f"{name}.json").read_text())
    assert vars(caption) == {field: committed[field] for field in vars(caption)}
    assert "Did not hold" not in caption.verdict
    assert not re.search(r"nan|inf\b", caption.found)


@every_figure
def test_a_bad_number_changes_the_verdict(name):
    table = pd.read_csv(GALLERY / f"{name}.csv")
    column = {
        "dependence_picture": "angle",
        "same_mi": "mutual_information",
        "infonce_vs_hsic": "gap",
        "gap_along_training": "gap",
        "temperature_gamma": "expansion",
        "log_k_ceiling": "value",
        "mi_staircase": "mean",
        "batch_bias": "mean",
        "random_features": "rmse",
        "estimators": "mean",
        "byol_neighbourhood": "own",
        "byol_dependence": "dep",
        "correlations": "dep",
        "regulariser": "loss",
        "ablations": "untrained_linear",
        "one_lens": "value",
        "witnesses": "witness_correlation",
    }[name]
    table[column] *= 3
    good = figures.module(name).caption(pd.read_csv(GALLERY / f"{name}.csv")).verdict
    assert figures.module(name).caption(table).verdict != good


@every_figure
def test_a_changed_fast_table_is_noticed(name):
    table = pd.read_csv(figures.ROOT / "paper_figures" / "fast" / f"{name}.csv")
    assert figures.difference(name, table, table) == ""
    assert figures.difference(name, table[:-1], table) != ""
    column = table.select_dtypes(float).columns[0]
    assert column in figures.difference(name, table.assign(**{column: 2 * table[column] + 1}), table)


def test_gallery_shows_every_figure_and_escapes_text(tmp_path):
    captions = {name: figures.Caption(f"<{name}>", "a < b", "1 & 2", "held") for name in figures.NAMES}
    page = write_gallery(captions, tmp_path, intro="views").read_text()
    assert re.findall(r'<img src="([^"]+)"', page) == [f"{name}.png" for name in figures.NAMES]
    for name in figures.NAMES:
        assert html.escape(f"<{name}>") in page
        assert f"<{name}>" not in page
    assert "a &lt; b" in page
    assert "1 &amp; 2" in page


def test_a_figure_is_made_again_only_when_something_changed(tmp_path, monkeypatch):
    class Module:
        calls = 0

        @staticmethod
        def inputs(fast):
            return "inputs"

        @classmethod
        def compute(cls, fast):
            cls.calls += 1
            return pd.DataFrame({"x": [1.0]})

        @staticmethod
        def draw(table):
            import matplotlib.pyplot as plt

            return plt.figure()

        @staticmethod
        def caption(table):
            return figures.Caption("title", "claim", str(table.x[0]), "held")

    monkeypatch.setattr(figures, "module", lambda name: Module)
    arguments = ("batch_bias", tmp_path)
    assert figures.make(*arguments, fast=True, force=False)[1]
    assert not figures.make(*arguments, fast=True, force=False)[1]
    assert figures.make(*arguments, fast=True, force=True)[1]
    Module.inputs = staticmethod(lambda fast: "others")
    assert figures.make(*arguments, fast=True, force=False)[1]
    assert Module.calls == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
