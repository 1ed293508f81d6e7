"""What each objective costs, and SSL-HSIC exactly, with random features, and in the way of its authors' code."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.way import Way, rows

DIM, VIEWS, FEATURES, FEW_FEATURES, GAMMA, SCALE = 128, 2, 512, 192, 3.0, 0.5
BATCHES = (256, 1024, 4096)
GRID = (64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
DRAWS = 256

LEFT_OUT = {
    ("kernel_vicreg", 4096): "left out: B³, two eigendecompositions of a matrix of side 4,096 take minutes",
    ("hsic_bottleneck", 4096): "left out: (MB)³, three inverses of a matrix of side 8,192 take minutes",
}

ALL_PAIRS = ("ssl_hsic", "infonce", "dcl")
"""Similarities of all pairs among the MB views."""

VIEW_PAIRS = ("alignment_uniformity", "sfrik", "sdmi", "jmi")
"""Those within each view, or between two."""

COVARIANCE = ("barlow_twins", "vicreg", "w_mse", "corinfomax", "gaussian_mi", "spectral_contrastive")

OWN, FEW, PLAIN, EXACT, PAPER = (
    "kerneldep, features",
    "kerneldep, few features",
    "kerneldep, features, independent draws",
    "kerneldep, exact",
    "the paper's way",
)

NOTE = f"""
Loss and gradient in one compiled call, M = {VIEWS} views [B, {DIM}] in float32, n = B, each objective with its
defaults; the gradient is by the projections (predictions, where the objective has a predictor) and by the objective's
own parameters. `compile_s` is how much longer the first call took; `temporary_mb` is what the compiled program holds
besides arguments and results, `peak_mb` includes compilation. `floor_s` counts only the matrix products of loss and
gradient that the formula needs, at the rate measured in this run: 3m²d for the pairs within m vectors (each once
forward, twice backward), 6B²d for those between two views, 3Bd² for a view's covariance. Elsewhere (losses of positive
pairs alone, factorisations, critics, slices) no floor is given. The supervised HSIC bottleneck has the views for inputs
and ten classes.

SSL-HSIC: D = {FEATURES} random features, as kerneldep computes them (two draws of {FEATURES // 2}: {FEATURES // 4}
frequencies each, cosine and sine, placed by scrambled Sobol' points, or drawn independently; also with only
{FEW_FEATURES} features) and in the paper's way, a re-implementation in JAX (two draws of {FEATURES} cosines of random
phase; amplitudes by lookup in a table of a Bessel-function density). The inverse multiquadric kernel with c = {SCALE},
γ = {GAMMA:g}. `over_kerneldep` is relative to the {FEATURES} features by Sobol' points. The crossover is where the
exact Gram matrices begin to take longer, between two sizes by interpolation on the logarithm.

Variance: over {DRAWS} draws on the same views, B = 256; `mean` beside the exact value shows that there is no bias
beyond its `standard_error`. `times_faster_at_equal_variance` is the ratio of median times at B = 1,024 times the ratio
of variances, as if time were proportional to D and variance to 1/D: rough, so that the row of {FEW_FEATURES} features,
whose variance is nearer to that of the paper's way, checks it.
"""


def views(batch: int) -> np.ndarray:
    """Unit vectors [M, B, d] about one centre an image."""
    rng = np.random.default_rng(0)
    found = rng.standard_normal((1, batch, DIM)) + 0.5 * rng.standard_normal((VIEWS, batch, DIM))
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)


def stepped(loss: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Loss and gradient by the first argument, compiled at the first call."""
    import jax

    held: dict[str, Any] = {}

    def call() -> dict[str, Any]:
        if not held:
            held["step"] = jax.jit(jax.value_and_grad(loss)).lower(*arguments).compile()
            held["temporary_mb"] = held["step"].memory_analysis().temp_size_in_bytes / 1e6
        value, _ = jax.block_until_ready(held["step"](*arguments))
        return {"loss": value, "temporary_mb": held["temporary_mb"]}

    return call


def objective(name: str, batch: int) -> Callable[[], Any]:
    """An objective by its name."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from kerneldep.objectives import Outputs, get_objective

    one = get_objective(name)
    z = jnp.asarray(views(batch))
    labels = jnp.arange(batch, dtype=jnp.int32) % 10
    predictions = jnp.roll(z, 1, axis=2) if one.predictor else None
    outputs = Outputs(z, predictions, z if one.target != "none" else None, z, labels)
    state = one.init(DIM, key=jax.random.key(0))
    trained, fixed = eqx.partition(one, one.trainable())

    def loss(varied: Any, outputs: Any, state: Any, key: Any) -> Any:
        parameters, online = varied
        field = "predictions" if one.predictor else "projections"
        outputs = eqx.tree_at(lambda tree: getattr(tree, field), outputs, online)
        return eqx.combine(parameters, fixed)(outputs, state, key=key)[0]

    return stepped(loss, (trained, predictions if one.predictor else z), outputs, state, jax.random.key(1))


def ssl_hsic(way: str, batch: int) -> Callable[[], Any]:
    """SSL-HSIC's loss in one of its ways."""
    import jax
    import jax.numpy as jnp

    from kerneldep.objectives.ssl_hsic import safe_root

    terms = terms_of(way)

    def loss(z: Any, key: Any) -> Any:
        dependence, self_dependence = terms(z, key)
        return -dependence + GAMMA * safe_root(self_dependence)

    return stepped(loss, jnp.asarray(views(batch)), jax.random.key(1))


def terms_of(way: str) -> Callable[[Any, Any], Any]:
    """dep and HSIC(Z, Z) of views and a key."""
    import jax.numpy as jnp

    from kerneldep.kernels import InverseMultiquadric
    from kerneldep.objectives import ssl_hsic_terms
    from tests.benchmarks import paper_way

    if way == PAPER:
        table = tuple(map(jnp.asarray, paper_way.amplitudes(DIM)))
        return lambda z, key: paper_way.terms(z, SCALE, table, FEATURES, key)
    kernel, features = InverseMultiquadric(SCALE), {EXACT: None, FEW: FEW_FEATURES}.get(way, FEATURES)
    options = {"estimate": "paper", "num_features": features, "quasi": way != PLAIN}
    return lambda z, key: ssl_hsic_terms(z, kernel, **options, key=key)


def names() -> tuple[str, ...]:
    """Of the registry."""
    from kerneldep.objectives import objective_names

    return objective_names()


def registered() -> dict[str, Way]:
    """A way for each objective of the registry."""
    return {
        name: Way(partial(objective, name), tuple(b for b in BATCHES if (name, b) not in LEFT_OUT)) for name in names()
    }


SSL_HSIC = {
    OWN: Way(partial(ssl_hsic, OWN), GRID),
    EXACT: Way(partial(ssl_hsic, EXACT), GRID),
    FEW: Way(partial(ssl_hsic, FEW), BATCHES),
    PLAIN: Way(partial(ssl_hsic, PLAIN), BATCHES),
    PAPER: Way(partial(ssl_hsic, PAPER), BATCHES),
}
WAYS = registered() | SSL_HSIC


def floor_operations(name: str, batch: int) -> float | None:
    """Operations of the products without which loss and gradient cannot be had."""
    if name in ALL_PAIRS:
        return 3.0 * (VIEWS * batch) ** 2 * DIM
    if name in VIEW_PAIRS:  # 3B²d within each of the two, 6B²d between them
        return 3.0 * VIEWS * batch**2 * DIM
    return 3.0 * VIEWS * batch * DIM**2 if name in COVARIANCE else None


def tables(peers: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Costs of all, the ways of SSL-HSIC, their crossover and their variances."""
    yield "objectives", sorted(costs(peers), key=lambda row: (row["n"], names().index(row["way"])))
    found = [spread(row) for row in rows("objectives", SSL_HSIC, peers, OWN)]
    yield "ssl_hsic", found
    yield "ssl_hsic_crossover", crossover(found)
    times = {row["way"]: row["median_s"] for row in found if row["n"] == 1024 and "median_s" in row}
    yield "ssl_hsic_variance", variances(times)


def spread(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its value and its compilation in columns of their own."""
    row = dict(row)
    remark = row.pop("remark", "")
    value = row.pop("value", {})
    if "first_s" in row:
        row["compile_s"] = row["first_s"] - row["median_s"]
    return row | value | {"remark": remark}


def costs(peers: str | None) -> Iterator[dict[str, Any]]:
    """Each objective at each batch size beside its floor."""
    from tests.benchmarks.machine import product_rate

    for row in rows("objectives", registered(), peers):
        row = spread(row)
        del row["over_kerneldep"]  # there is none to compare with
        operations, remark = floor_operations(row["way"], row["n"]), row.pop("remark")
        floor = operations / product_rate() if operations else None
        over = row["median_s"] / floor if floor and "median_s" in row else None
        yield row | {"floor_s": floor, "over_floor": over, "remark": remark}
    for (name, batch), why in LEFT_OUT.items():
        if name in names():
            yield {"n": batch, "way": name, "dtype": "float32", "remark": why}


def crossover(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batch size from which on random features are faster than exact Gram matrices."""
    seconds = {(row["way"], row["n"]): row["median_s"] for row in found if "median_s" in row}
    ratios = {n: seconds[EXACT, n] / seconds[OWN, n] for n in GRID if {(EXACT, n), (OWN, n)} <= seconds.keys()}
    sizes = sorted(ratios)
    slower = [n for n in sizes if ratios[n] < 1]
    if not slower or slower[-1] == sizes[-1]:
        where = sizes[0] if not slower else None
        return [{"crossover": where, "remark": "below the grid" if where else "above the grid"}]
    below = slower[-1]
    above = sizes[sizes.index(below) + 1]
    low, high = np.log(ratios[below]), np.log(ratios[above])
    where = np.exp(np.log(below) + (np.log(above) - np.log(below)) * -low / (high - low))
    return [{"below": below, "above": above, "crossover": round(float(where)), "remark": ""}]


def variances(times: dict[str, float]) -> list[dict[str, Any]]:
    """Mean and variance of the terms over draws of features."""
    import jax
    import jax.numpy as jnp

    z = jnp.asarray(views(256))

    def draws(way: str, number: int) -> dict[str, np.ndarray]:
        terms, keys = terms_of(way), jax.random.split(jax.random.key(2), number)
        found = jax.jit(lambda z, keys: jax.lax.map(lambda key: jnp.stack(terms(z, key)), keys))(z, keys)
        dependence, self_dependence = np.asarray(found, np.float64).T
        loss = -dependence + GAMMA * np.sqrt(np.maximum(self_dependence, 0))
        return {"dep": dependence, "hsic_zz": self_dependence, "loss": loss}

    exact = {term: values[0] for term, values in draws(EXACT, 1).items()}
    by_way = {way: draws(way, DRAWS) for way in (PAPER, PLAIN, OWN, FEW)}
    table = []
    for term in exact:
        paper = by_way[PAPER][term].var(ddof=1)
        for way, values in by_way.items():
            variance = values[term].var(ddof=1)
            row = {
                "term": term,
                "way": way,
                "draws": DRAWS,
                "exact": exact[term],
                "mean": values[term].mean(),
                "standard_error": (variance / DRAWS) ** 0.5,
                "variance": variance,
                "paper_variance_over_this": paper / variance,
            }
            if PAPER in times and way in times:
                row["paper_time_over_this"] = times[PAPER] / times[way]
                row["times_faster_at_equal_variance"] = times[PAPER] / times[way] * paper / variance
            table.append(row)
    return table
