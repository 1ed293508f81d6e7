"""The share of rejections where there is nothing to find: the recorded study, and small ones."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from experiments.independence import level
from experiments.independence.level import FAMILIES, Cell

RECORD = pathlib.Path(level.__file__).parent.parent / "records/independence/level.csv"
SMALL = [("exact", "discrete", 20), ("asymptotic", "normal", 50), ("joint", "normal", 20)]
SMALL += [
    ("two-sample", "heavy-tailed", 20),
    ("conditional", "smooth in z", 50),
    ("series", "autoregression, 0.5", 100),
]


def test_recorded_levels_are_what_is_allowed():
    table = pd.read_csv(RECORD)
    expected = {
        (test, n, law)
        for family in FAMILIES.values()
        for test in family.tests
        for n in family.sizes
        for law in family.laws
    }
    assert set(zip(table.test, table.n, table.law, strict=True)) == expected
    assert (table.repeats >= 1000).all()
    for _, row in table.iterrows():
        for share, (low, high) in zip((row["rejected_0.01"], row["rejected_0.05"]), level.allowed(row), strict=True):
            assert low <= share <= high, (*row,)


@pytest.mark.parametrize(("family", "law", "n"), SMALL, ids=lambda value: str(value))
def test_levels_of_a_small_study(family, law, n):
    repeats = 100
    for test, p_values in level.p_values_of(Cell(family, law, n, repeats)).items():
        row = {"family": family, "test": test, "n": n, "repeats": repeats}
        for threshold, (low, high) in zip(level.LEVELS, level.allowed(row), strict=True):
            assert low <= np.mean(p_values <= threshold) <= high
