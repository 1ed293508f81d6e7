"""The caption of the correlations follows the numbers, whatever record they come from."""

import numpy as np
import pandas as pd

from paper_figures import correlations


def runs(**slopes):
    """A run for each objective, along which k-NN accuracy goes with dep by this slope."""
    steps = np.arange(8)
    distance = 1.6 - 0.1 * steps
    tables = [
        pd.DataFrame({
            "objective": name,
            "step": steps,
            "byol_distance": distance,
            "infonce": np.cos(steps),
            "dep": 1 - distance / 2 - 0.02,
            "hsic_zz": 0.1,
            "knn": 0.4 - slope * distance / 2,
            "mean_norm_squared": 0.02,
        })
        for name, slope in slopes.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def test_rank_correlations_along_each_run():
    found = correlations.correlations(runs(a=0.1, b=-0.1))
    assert found["dep ~ k-NN accuracy"].round(6).tolist() == [1.0, -1.0]
    assert found["BYOL's distance ~ dep"].round(6).tolist() == [-1.0, -1.0]
    assert found["HSIC(Z, Z) ~ k-NN accuracy"].isna().all()  # it does not move
    assert found.shape == (2, 10)


def test_the_verdict_says_along_which_runs_it_holds():
    verdicts = {
        "Held along 2 of 2 runs. ": runs(a=0.1, b=0.2),
        "Held along 2 of 3 runs, not along c (dep -1.00, distance +1.00). ": runs(a=0.1, b=0.2, c=-0.1),
        "Did not hold along b (dep -1.00, distance +1.00), c (dep -1.00": runs(a=0.1, b=-0.2, c=-0.1),
        "Did not hold: the numbers are not of one representation. ": runs(a=0.1).assign(dep=0.9),
    }
    for start, table in verdicts.items():
        assert correlations.caption(table).verdict.startswith(start)
