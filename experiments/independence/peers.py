"""Other packages' tests on given draws, in their own environment: prints p-values as JSON."""

import importlib
import json
import sys
import warnings
from typing import Any

import numpy as np

PERMUTATIONS = 199


def main() -> None:
    """Every test on every draw of a file."""
    dcor, hyppo = importlib.import_module("dcor"), importlib.import_module("hyppo.independence")

    def of_hyppo(test: Any, **options: Any) -> Any:
        def p_value(x: np.ndarray, y: np.ndarray, seed: int) -> float:
            chosen = test(**options)
            return float(chosen.test(x, y, reps=PERMUTATIONS, workers=1, auto=False, random_state=seed)[1])

        return p_value

    def of_dcor(x: np.ndarray, y: np.ndarray, seed: int) -> float:
        return float(
            dcor.independence.distance_covariance_test(x, y, num_resamples=PERMUTATIONS, random_state=seed).pvalue
        )

    tests = {
        "hyppo Hsic": of_hyppo(hyppo.Hsic),
        "hyppo Dcorr": of_hyppo(hyppo.Dcorr),
        "dcor": of_dcor,
    }
    with np.load(sys.argv[1]) as file:
        x, y = file["x"].astype(float), file["y"].astype(float)
    warnings.simplefilter("ignore")
    pairs = list(zip(x, y, strict=True))
    found = {name: [test(*pair, seed) for seed, pair in enumerate(pairs)] for name, test in tests.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
