"""What a test returns."""

import dataclasses
import html
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class TestResult:
    """The outcome of a test; unpacks like SciPy's: `statistic, p_value = result`.

    Attributes:
        statistic: of the data as they are.
        p_value: at most α with probability at most α where the null hypothesis holds: exactly so in permutation tests
            of independent samples, nearly or in a limit in the others, as each says of itself.
        method: the test, in words.
        n: number of samples.
        alpha: the level α that `rejected` is about.
        settings: what the test was run with.
        null: the statistic's values under the null hypothesis that were drawn, None where it was not sampled.
    """

    __test__ = False  # pytest: this is no class of tests

    statistic: float
    p_value: float
    method: str
    n: int
    alpha: float = 0.05
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    null: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[float]:
        """Statistic and p-value."""
        return iter((self.statistic, self.p_value))

    def __getitem__(self, index: int) -> float:
        """Of the same two."""
        return (self.statistic, self.p_value)[index]

    @property
    def pvalue(self) -> float:
        """The p-value, as SciPy spells it."""
        return self.p_value

    @property
    def rejected(self) -> bool:
        """Whether p ≤ α."""
        return self.p_value <= self.alpha

    def _rows(self) -> list[tuple[str, str]]:
        settings = [(name.replace("_", " "), _shown(value)) for name, value in self.settings.items()]
        decision = "rejected" if self.rejected else "not rejected"
        return [
            ("statistic", f"{self.statistic:.6g}"),
            ("p-value", f"{self.p_value:.4g}"),
            (f"null hypothesis at α = {self.alpha:g}", decision),
            ("n", f"{self.n:,}"),
            *settings,
        ]

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join([self.method, *(f"  {name:<{width}}  {value}" for name, value in rows)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<table><caption><b>{html.escape(self.method)}</b></caption><tbody>{rows}</tbody></table>"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
