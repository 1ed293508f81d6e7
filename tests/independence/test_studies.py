"""The studies of level and power: what is recorded, and small ones."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from experiments.independence import level, power
from experiments.independence.level import FAMILIES, Cell

RECORDS = pathlib.Path(level.__file__).parent.parent / "records/independence"
SMALL = [
    ("exact", "discrete", 20),
    ("asymptotic", "normal", 50),
    ("joint", "normal", 20),
    ("two-sample", "heavy-tailed", 20),
    ("conditional", "smooth in z", 50),
    ("series", "autoregression, 0.5", 100),
]
SAME_STATISTIC = {
    "hyppo Hsic": "permutation",
    "hyppo Dcorr": "distance, permutation",
    "dcor": "distance, V-statistic",
}


def test_recorded_levels_are_what_is_allowed():
    table = pd.read_csv(RECORDS / "level.csv")
    expected = {
        (test, n, law)
        for family in FAMILIES.values()
        for test in family.tests
        for n in family.sizes
        for law in family.laws
    }
    assert set(zip(table.test, table.n, table.law, strict=True)) == expected
    assert (table.repeats >= 1000).all()
    for _, row in table[~table.test.isin(level.INVALID)].iterrows():
        for share, (low, high) in zip((row["rejected_0.01"], row["rejected_0.05"]), level.allowed(row), strict=True):
            assert low <= share <= high, (*row,)
    shuffled = table[table.test.isin(level.INVALID) & (table.law == "autoregression, 0.8")]
    assert (shuffled["rejected_0.05"] > 0.3).all()  # else the series are no test of the others


@pytest.mark.parametrize(("family", "law", "n"), SMALL, ids=str)
def test_levels_of_a_small_study(family, law, n):
    repeats = 40
    found = level.p_values_of(Cell(family, law, n, repeats))
    for test, p_values in ((test, of) for test, of in found.items() if test not in level.INVALID):
        row = {"family": family, "test": test, "law": law, "n": n, "repeats": repeats}
        for threshold, (low, high) in zip(level.LEVELS, level.allowed(row), strict=True):
            assert low <= np.mean(p_values <= threshold) <= high


def test_recorded_powers_are_not_behind_those_of_peers():
    """Of one statistic not by more than three standard errors anywhere; with many kernels ahead where it counts."""
    table = pd.read_csv(RECORDS / "power.csv").set_index(["test", "shape", "strength"])
    for peer, own in SAME_STATISTIC.items():
        theirs, ours = table.loc[peer], table.loc[own]
        error = np.hypot(theirs.standard_error, ours.standard_error)
        behind = theirs.power - ours.power
        assert (behind <= 3 * error + 1 / theirs.repeats).all(), behind[behind > 3 * error]
    mean = table.power.groupby("test").mean()
    assert mean["aggregated"] > max(mean[peer] for peer in SAME_STATISTIC)


def test_a_small_study_of_power(monkeypatch):
    monkeypatch.setattr(power, "OWN", ("permutation", "aggregated"))
    found = power.p_values_of(power.Cell("sine", 0.8, 20, None))
    rejected = {test: np.mean(np.array(p_values) <= power.LEVEL) for test, p_values in found.items()}
    assert rejected["aggregated"] >= rejected["permutation"] + 0.25
