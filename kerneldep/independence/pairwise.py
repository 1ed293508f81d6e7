"""Tests of all pairs of columns of a table, corrected for their number."""

import contextlib
import dataclasses
import html
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from .. import _check
from .._check import ArrayLike
from .arguments import as_level, refuse_traced, warn_if_unreachable
from .gamma import gamma_test
from .result import TestResult

Correction = Literal["holm", "benjamini-hochberg", "benjamini-yekutieli", "none"]


@dataclasses.dataclass(frozen=True, eq=False)
class PairwiseResult:
    """The outcomes of tests of all pairs of d columns.

    Attributes:
        names: of the columns.
        statistic: of each pair [d, d]; NaN on the diagonal, as below.
        p_value: as each test gives it.
        adjusted: p-values after the correction, to be compared with alpha.
        correction: its name.
        alpha: the level.
        results: of each pair of names.
    """

    names: tuple[str, ...]
    statistic: Float[np.ndarray, "d d"]
    p_value: Float[np.ndarray, "d d"]
    adjusted: Float[np.ndarray, "d d"]
    correction: str
    alpha: float
    results: Mapping[tuple[str, str], TestResult] = dataclasses.field(repr=False)

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """The pairs whose adjusted p-value is at most alpha, the smallest p-value first."""
        pairs = [
            (i, j) for i, j in itertools.combinations(range(len(self.names)), 2) if self.adjusted[i, j] <= self.alpha
        ]
        pairs.sort(key=lambda pair: self.p_value[pair])
        return [(self.names[i], self.names[j]) for i, j in pairs]

    def __str__(self) -> str:
        width = max(map(len, self.names))
        head = f"Adjusted p-values ({self.correction}); * where at most {self.alpha:g}"
        lines = [
            f"{a:>{width}} – {b:<{width}}  {p:.3g}{' *' if p <= self.alpha else ''}"
            for (i, a), (j, b) in itertools.combinations(enumerate(self.names), 2)
            for p in [self.adjusted[i, j]]
        ]
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        names = [html.escape(name) for name in self.names]

        def cell(value: float) -> str:
            weight = "bold" if value <= self.alpha else "normal"
            return f"<td style='font-weight:{weight}'>{'' if np.isnan(value) else f'{value:.2g}'}</td>"

        head = "".join(f"<th>{name}</th>" for name in names)
        rows = "".join(
            f"<tr><th>{name}</th>{''.join(map(cell, row))}</tr>" for name, row in zip(names, self.adjusted, strict=True)
        )
        caption = f"Adjusted p-values ({self.correction}); bold where at most {self.alpha:g}"
        return f"<table><caption>{caption}</caption><tr><th></th>{head}</tr>{rows}</table>"


def pairwise_tests(
    table: Any,
    test: Callable[..., TestResult] = gamma_test,
    *,
    correction: Correction = "holm",
    alpha: float = 0.05,
    key: Key[Array, ""] | None = None,
    progress: bool = False,
    **options: Any,
) -> PairwiseResult:
    """Tests every pair of columns of a table for independence, and corrects the p-values for the number of pairs.

    "holm" bounds the probability of any false rejection by α whatever the dependence between tests (Holm 1979);
    "benjamini-hochberg" bounds the expected share of false ones among the rejections, for independent or positively
    dependent tests (Benjamini and Hochberg 1995); "benjamini-yekutieli" does for any (Benjamini and Yekutieli 2001).

    Args:
        table: samples as rows: a data frame, whose column names are kept, a mapping of names to columns [n] or [n, e],
            or an array [n, d].
        test: of two samples: `gamma_test` by default, since the p-value of a permutation test cannot fall below
            1/(P + 1), which many pairs ask for; or `permutation_test` with P large, or any other.
        correction: see above; or "none".
        alpha: the level.
        key: a JAX key, where the test takes one; each pair gets its own.
        progress: show a bar (needs tqdm).
        options: for the test.

    Returns:
        A `PairwiseResult`.

    Raises:
        TypeError, ValueError: as the test; fewer than two columns, unequal lengths, a missing key, an unknown
            correction.

    Warns:
        UserWarning: as the test; where Holm's correction leaves no p-value as small as alpha. (The others reject many
            hypotheses together of which none could be rejected alone.)

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise, other = rng.normal(size=(3, 200))
        >>> pairwise_tests({"x": x, "square": x**2 + 0.3 * noise, "other": other}).rejected
        [('x', 'square')]
    """
    alpha = as_level(alpha)
    if correction not in ("holm", "benjamini-hochberg", "benjamini-yekutieli", "none"):
        raise ValueError(
            f"correction is {correction!r}: 'holm', 'benjamini-hochberg', 'benjamini-yekutieli' or 'none' is needed."
        )
    columns = _columns(table)
    refuse_traced(**columns)
    pairs = list(itertools.combinations(columns, 2))
    parameters = inspect.signature(test).parameters
    if key is not None and ("key" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())):
        keys: Iterable[Any] = jax.random.split(_check.random_key(key, "each test"), len(pairs))
    else:
        keys = itertools.repeat(None)
    for what in ("num_permutations", "num_bootstraps"):
        if correction == "holm" and what in parameters:
            count = _check.as_count(options.get(what, parameters[what].default), what)
            why = f"{len(pairs)} pairs, Holm's correction and {what}={count}"
            warn_if_unreachable(len(pairs) / (count + 1), alpha, why)
    results: dict[tuple[str, str], TestResult] = {}
    with _bar(len(pairs), progress) as advance:
        for (a, b), of_pair in zip(pairs, keys, strict=False):
            random = {} if of_pair is None else {"key": of_pair}
            try:
                results[a, b] = test(columns[a], columns[b], alpha=alpha, **random, **options)
            except (TypeError, ValueError) as error:
                error.add_note(f"x is the column {a!r}, y the column {b!r}.")
                raise
            advance()
    p_values = np.array([one.p_value for one in results.values()])
    names = tuple(columns)
    return PairwiseResult(
        names,
        _square([one.statistic for one in results.values()], len(names)),
        _square(p_values, len(names)),
        _square(adjusted_p_values(p_values, correction), len(names)),
        correction,
        alpha,
        results,
    )


def adjusted_p_values(p_values: Float[np.ndarray, " m"], correction: Correction) -> Float[np.ndarray, " m"]:
    """P-values to be compared with the level itself, by one of the corrections of `pairwise_tests`."""
    if correction == "none":
        return p_values
    if correction == "holm":
        order = np.argsort(p_values)
        adjusted = np.empty(len(p_values))
        steps = p_values[order] * np.arange(len(p_values), 0, -1)
        adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
        return adjusted
    from scipy.stats import false_discovery_control  # slow to import

    return false_discovery_control(p_values, method="bh" if correction == "benjamini-hochberg" else "by")


def _columns(table: Any) -> dict[str, Any]:
    """Columns by name."""
    if isinstance(table, Mapping):
        columns = {str(name): values for name, values in table.items()}
        if len(columns) < len(table):
            raise ValueError(f"table has columns of one name: {', '.join(map(str, table))}.")
    elif hasattr(table, "columns"):  # a data frame
        if len(set(map(str, table.columns))) < len(table.columns):
            raise ValueError(f"table has columns of one name: {', '.join(map(str, table.columns))}.")
        columns = {str(name): np.asarray(table[name]) for name in table.columns}
    else:
        array = _check.as_real(table, "table")
        if array.ndim != 2:
            raise ValueError(f"table has shape {array.shape}: [n, d], samples as rows, is needed.")
        columns = {str(i): array[:, i] for i in range(array.shape[1])}
    if len(columns) < 2:
        raise ValueError(f"table has {len(columns)} column(s): two or more, of different names, are needed.")
    return columns


def _square(values: ArrayLike, d: int) -> Float[np.ndarray, "d d"]:
    """Values of the pairs i < j as a symmetric matrix."""
    square = np.full((d, d), np.nan)
    square[np.triu_indices(d, 1)] = np.asarray(values)
    return np.where(np.isnan(square), square.T, square)


@contextlib.contextmanager
def _bar(total: int, shown: bool) -> Any:
    if not shown:
        yield lambda: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError("progress=True needs tqdm: pip install 'kerneldep[train]'.") from error
    with tqdm(total=total, unit="pair") as bar:
        yield bar.update
