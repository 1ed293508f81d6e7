"""What InfoNCE can show at most (I6 of the theory): log K, the temperature's ceiling and the dimension's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array
from matplotlib.figure import Figure

import kerneldep as kd
from paper_figures.encoded_views import encoded_views, encoders
from paper_figures.figures import Caption

TEMPERATURES = (0.1, 0.2, 0.5)
LOOKS = {"untrained": ("0.45", "D"), "InfoNCE": ("C1", "s"), "SSL-HSIC": ("C0", "o")}
DIMS = {2: ("C3", "v"), 3: ("C2", "^"), 8: ("C4", "P")}
"""Of the free vectors that are optimised."""
CLIMBED = 0.2
"""The temperature at which they are."""


def inputs(fast: bool) -> str:
    """The encoders whose views are taken."""
    return encoders(fast)


def _measured(
    views: np.ndarray, num_candidates: int, draws: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """Mean and standard error of log K − L_K over batches of K images with two of their views, for each τ."""
    num_views, num_images, _ = views.shape
    batches = []
    for _ in range(draws):
        images = rng.choice(num_images, num_candidates, replace=False)
        batches.append(views[rng.choice(num_views, 2, replace=False)][:, images])

    @jax.jit
    def values(batches: Array) -> Array:
        def one(batch: Array) -> Array:
            scores = batch[0] @ batch[1].T
            return jnp.stack([kd.information.infonce(scores / temperature) for temperature in TEMPERATURES])

        return jax.lax.map(one, batches)

    found = np.asarray(values(jnp.asarray(np.stack(batches))))
    return list(zip(found.mean(0), found.std(0, ddof=1) / draws**0.5, strict=True))


@functools.partial(jax.jit, static_argnames="steps")
def _climb(start: Array, num_candidates: Array, temperature: float, steps: int) -> Array:
    """The largest log K − L_K that gradient ascent reaches over the first K of two sets of unit vectors [2, n, d]."""

    def normalised(free: Array) -> Array:
        return free / jnp.linalg.norm(free, axis=-1, keepdims=True)

    used = jnp.arange(start.shape[1]) < num_candidates

    def value(free: Array) -> Array:
        left, right = normalised(free)
        scores = jnp.where(used[None, :], left @ right.T / temperature, -jnp.inf)
        log_share = jnp.diagonal(left @ right.T) / temperature - jax.nn.logsumexp(scores, axis=1)
        return jnp.log(num_candidates) + jnp.where(used, log_share, 0).sum() / num_candidates

    def step(free: Array, _: None) -> tuple[Array, None]:
        return normalised(free + 0.7 * temperature * num_candidates * jax.grad(value)(free)), None

    return value(jax.lax.scan(step, normalised(start), None, length=steps)[0])


def compute(fast: bool) -> pd.DataFrame:
    """Rows "ceiling": `reachable_infonce`; "measured": features of the encoders; "climb": free vectors, optimised.

    The ceiling without a dimension is that of d ≥ K − 1. Of three starts of a climb the best is kept.
    """
    rng = np.random.default_rng(0)
    encoded = encoded_views(fast)
    dim, num_images = encoded["untrained"].shape[-1], encoded["untrained"].shape[1]
    rows = []
    with jax.enable_x64(True):
        for candidates in 2 ** np.arange(1, 17):
            for d in (None, dim):
                ceilings = kd.analysis.reachable_infonce(int(candidates), np.array(TEMPERATURES), d)
                rows += [
                    {"part": "ceiling", "dim": d, "temperature": tau, "candidates": candidates, "value": float(ceiling)}
                    for tau, ceiling in zip(TEMPERATURES, ceilings, strict=True)
                ]
        counts = [int(k) for k in 2 ** np.arange(1, 10) if k <= num_images]
        for candidates in counts[1::2] if fast else counts:
            for encoder, views in encoded.items():
                found = _measured(views.astype(float), candidates, 10 if fast else 60, rng)
                rows += [
                    {"part": "measured", "encoder": encoder, "dim": dim, "temperature": temperature,
                     "candidates": candidates, "value": mean, "error": error}
                    for temperature, (mean, error) in zip(TEMPERATURES, found, strict=True)
                ]  # fmt: skip
        sizes = (2, 4, 8, 16) if fast else (2, 3, 4, 6, 9, 16, 32, 64)
        start = rng.normal(size=(1 if fast else 3, 2, max(sizes), max(DIMS)))
        climb = jax.jit(jax.vmap(_climb, (0, None, None, None)), static_argnums=3)
        for d in DIMS:
            free = np.where(np.arange(max(DIMS)) < d, start, 0)  # zeros stay: one program for every dimension
            for candidates in sizes:
                best = climb(free, float(candidates), CLIMBED, 200 if fast else 1000).max()
                ceiling = kd.analysis.reachable_infonce(candidates, CLIMBED, d)
                rows.append(
                    {"part": "climb", "dim": d, "temperature": CLIMBED, "candidates": candidates, "value": float(best),
                     "ceiling": float(ceiling)}
                )  # fmt: skip
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """Three temperatures, with what real features reach; and free vectors in few dimensions."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6))
    ceilings, measured, climbs = _parts(table)
    dim = int(measured.dim.iloc[0])
    for axis, temperature in zip(axes.flat, TEMPERATURES, strict=False):
        part = ceilings[ceilings.temperature == temperature]
        free, limited = part.query("dim.isna()"), part.query("dim == @dim")
        axis.plot(free.candidates, np.log(free.candidates), "k:", label=r"$\log K$")
        axis.plot(free.candidates, free.value, "0.35", linestyle="--", label=r"ceiling, $d \geq K - 1$")
        axis.plot(limited.candidates, limited.value, "k", linewidth=1.2, label=f"ceiling, $d = {dim}$")
        for encoder, (colour, marker) in LOOKS.items():
            one = measured.query("temperature == @temperature and encoder == @encoder")
            axis.plot(one.candidates, one.value, color=colour, marker=marker, linewidth=1, label=encoder)
        lowest = min(-0.5, measured.value.min() - 0.3)
        axis.set(ylim=(lowest, 11.6), title=f"features of real images, τ = {temperature:g}")
    few = axes[1, 1]
    sizes = np.unique(climbs.candidates)
    few.plot(sizes, np.log(sizes), "k:")
    few.plot(sizes, _simplex(sizes, CLIMBED), "0.35", linestyle="--")
    for d, (colour, marker) in DIMS.items():
        one = climbs[climbs.dim == d]
        few.plot(one.candidates, one.ceiling, color=colour, linewidth=1.2)
        few.plot(one.candidates, one.value, marker, color=colour, markersize=5, label=f"$d = {d}$")
    few.set(title=f"free vectors, optimised, τ = {CLIMBED:g}", ylim=(0, None))
    few.legend(loc="upper left", title="marks: reached\nlines: ceiling", title_fontsize=8)
    for axis in axes.flat:
        axis.set_xscale("log", base=2)
        axis.set_xlabel("candidates $K$")
    for axis in axes[:, 0]:
        axis.set_ylabel(r"$\log K - L_K$ (nats)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, columnspacing=1.2)
    return figure


def _parts(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each kind."""
    return [table.query("part == @part") for part in ("ceiling", "measured", "climb")]


def _simplex(candidates: np.ndarray, temperature: float) -> np.ndarray:
    """The ceiling for d ≥ K − 1."""
    return np.log(candidates) - np.log1p((candidates - 1) * np.exp(-candidates / ((candidates - 1) * temperature)))


def caption(table: pd.DataFrame) -> Caption:
    """The ceilings at K = 1024, whether anything is above, and what binds the real features."""
    ceilings, measured, climbs = _parts(table)
    dim, largest = int(measured.dim.iloc[0]), int(measured.candidates.max())
    limited = ceilings[ceilings.dim == dim].set_index(["temperature", "candidates"]).value
    allowed = limited.loc[list(zip(measured.temperature, measured.candidates, strict=True))].to_numpy()
    above = int((measured.value.to_numpy() > allowed).sum() + (climbs.value > climbs.ceiling + 1e-7).sum())
    at_1024 = ceilings[(ceilings.candidates == 1024) & ceilings.dim.isna()].set_index("temperature").value
    simplex = ceilings[ceilings.dim.isna() & (ceilings.candidates == 65536)].set_index("temperature").value
    last = measured[measured.candidates == largest].set_index(["encoder", "temperature"]).value
    room = climbs[climbs.candidates - 1 <= climbs.dim]
    missed = float((room.ceiling - room.value).abs().max())
    tight = climbs[climbs.candidates - 1 > climbs.dim]
    gap = tight.ceiling - tight.value
    cold = "; ".join(
        f"τ = {t:g}: " + ", ".join(f"{last[name, t]:.2f} ({name})" for name in LOOKS) + f" of {limited[t, largest]:.2f}"
        for t in TEMPERATURES
    )
    held = above == 0 and missed < 1e-3 and bool((at_1024.round(2) == [6.89, 4.87, 2.00]).all())
    return Caption(
        "InfoNCE has a ceiling, and it is seldom log K",
        "log K − L_K, read as mutual information, is at most log K; with unit vectors at most log K − log(1 + (K − 1)"
        "e^{−K/((K−1)τ)}), reached where d ≥ K − 1; and in d dimensions, for every K, at most −log E e^{(s−1)/τ} with "
        "s the cosine of two uniform points (for finite K the last is ours).",
        f"At K = 1024: {', '.join(f'{at_1024[t]:.2f} (τ = {t:g})' for t in TEMPERATURES)} against log K = 6.93. At K = "
        f"65,536 in d = {dim}: {', '.join(f'{limited[t, 65536]:.2f}' for t in TEMPERATURES)}; without the dimension "
        f"{', '.join(f'{simplex[t]:.2f}' for t in TEMPERATURES)}; log K = 11.09. Features at K = {largest}: {cold}. "
        f"Optimised vectors come within {missed:.0e} nats of the ceiling where d ≥ K − 1, and stay {gap.min():.3f} to "
        f"{gap.max():.2f} below it where not (in few dimensions many vectors nearly reach it, a few more than d + 1 do "
        f"not). Above their ceiling: {above} values.",
        "Held. For d < K − 1 the ceiling is only a bound. It says what a temperature and a dimension can show, not how "
        "much information there is; and features at a low τ can fall far below it, even below 0."
        if held
        else "Did not hold: a value is above its ceiling, a stated ceiling is off, or the simplex was not reached.",
    )
