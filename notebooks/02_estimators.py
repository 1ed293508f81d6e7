# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: kerneldep
#     language: python
#     name: kerneldep
# ---

# %% [markdown]
# # Which estimator of HSIC?
#
# **Question.** HSIC of n samples costs n² kernel evaluations, and there are half a dozen ways around that. Which one is
# best for your n, your dimension d and the error you can bear? This lesson measures it, and ends with a chooser, standard
# errors, data larger than memory, several devices, single precision, and the choice of a kernel.

# %%
import os
import pathlib
import tempfile
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import nnls

import kerneldep as kd
from kerneldep.dependence import HSICState, batches_of, hsic_ranking
from kerneldep.kernels import AutomaticRelevance, Gaussian, bandwidth_grid, median_bandwidth

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # a small version, for tests
jax.config.update("jax_enable_x64", True)  # for the comparisons of precision; what is timed is float32
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90
print(f"{len(jax.devices())} device(s), {jax.default_backend()}, {os.cpu_count()} cores")

# %% [markdown]
# ## What is estimated, and by what
#
# $$\mathrm{HSIC}(X,Y) = \|C_{XY}\|^2 = \mathbb E\,k(X,X')\,l(Y,Y') - 2\,\mathbb E\,k(X,X')\,l(Y,Y'') +
#   \mathbb E\,k(X,X')\;\mathbb E\,l(Y,Y').$$
#
# With n pairs of dimension d (both sides) there are
#
# | estimator | time | memory beside the data | bias | variance |
# |---|---|---|---|---|
# | `Biased()` V-statistic | $n^2d$ | $n$ + a tile | $+O(1/n)$ | $O(1/n)$; if independent $O(1/n^2)$ |
# | `Unbiased()` U-statistic | $n^2d$ | $n$ + a tile | 0 | the same |
# | `Block(b)` mean of U over blocks | $nbd$ | $b^2$ | 0 | + $O(1/nb)$ |
# | `Incomplete(R)` mean over $nR$ 4-samples | $nRd$ | $nd$ | 0 | + $O(1/nR)$ |
# | `RandomFourier(D)`; `orthogonal`, `quasi` | $nD(d+D)$ | $D^2$ + a tile | that of V, or of U with `unbiased=True` | + $O(1/D)$, given the samples; smaller constants |
# | `Nystrom(m)`; `"uniform"`, `"leverage"`, `"kmeans++"` | $nm(d+m)+m^3$ | $m^2$ + a tile | V of a kernel $\hat K \preceq K$: downwards; of U: no sign | + as fast as the eigenvalues of $K$ fall |
#
# The first two are exact: no n × n matrix is held, but every pair is visited. The others are linear in n. `+` is on top of the
# exact estimator's own variance: an approximation that is much better than the **sampling error** of the data buys nothing.
# So the yardstick below is the U-statistic's standard error, `hsic_variance(x, y) ** 0.5`.
#
# The data: $Y = |X| + \tfrac12\varepsilon$, coordinate by coordinate: strong dependence, no correlation. Errors are relative to
# $\sqrt{\mathrm{HSIC}(X,X)\,\mathrm{HSIC}(Y,Y)}$, that is, they are errors of CKA: 0.01 is an error in its second decimal.

# %%
N = 2000 if FAST else 8000
DIMS = (2,) if FAST else (2, 20)
SEEDS = 6 if FAST else 12


def sample(n, d, seed=0):
    """Dependent, uncorrelated pairs [n, d], single precision."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return (jnp.asarray(one, jnp.float32) for one in (x, np.abs(x) + 0.5 * rng.normal(size=(n, d))))


class Problem:
    """Data and kernels, with what the exact estimators say of them."""

    def __init__(self, n, d):
        self.x, self.y = sample(n, d)
        self.kernels = Gaussian(median_bandwidth(self.x)), Gaussian(median_bandwidth(self.y))
        self.exact = float(kd.hsic(self.x, self.y, *self.kernels))
        k, l = self.kernels
        self.norm = float(kd.hsic(self.x, self.x, k, k) * kd.hsic(self.y, self.y, l, l)) ** 0.5
        self.bias = float(kd.hsic(self.x, self.y, *self.kernels, estimator=kd.Biased())) - self.exact
        self.sampling = float(kd.hsic_variance(self.x, self.y, *self.kernels)) ** 0.5


problems = {d: Problem(N, d) for d in DIMS}
exact_table = pd.DataFrame(
    {
        f"d = {d}": {
            "HSIC, unbiased": of.exact,
            "relative (CKA)": of.exact / of.norm,
            "its standard error, relative": of.sampling / of.norm,
            "biased − unbiased, relative": of.bias / of.norm,
            "biased − unbiased, in standard errors": of.bias / of.sampling,
        }
        for d, of in problems.items()
    }
)
exact_table.round(5)

# %% [markdown]
# Already a lesson: the V-statistic's bias is of order 1/n but not small, and in high dimension, where Gram matrices are nearly
# diagonal, it is many standard errors. It cancels in a permutation test, which compares like with like; as a *number* take
# `Unbiased()`, or `unbiased=True` with features (it costs no more). All below is unbiased.
#
# ## Error against cost
#
# For every estimator and size: the root mean square distance from the exact value *of the same data* over random features,
# landmarks, or orders of the samples, and the fastest call's time without compilation.

# %%
FAMILIES = {  # name: (make an estimator of a size, its sizes)
    "RandomFourier": (lambda s: kd.RandomFourier(s, unbiased=True), (32, 512) if FAST else (32, 128, 512)),
    "… orthogonal": (
        lambda s: kd.RandomFourier(s, orthogonal=True, unbiased=True),
        () if FAST else (32, 512),
    ),
    "… quasi": (lambda s: kd.RandomFourier(s, quasi=True, unbiased=True), (512,) if FAST else (32, 128, 512)),
    "Nystrom": (lambda s: kd.Nystrom(s, unbiased=True), (16, 64) if FAST else (16, 64, 256)),
    "… leverage": (lambda s: kd.Nystrom(s, "leverage", unbiased=True), () if FAST else (16, 256)),
    "… kmeans++": (lambda s: kd.Nystrom(s, "kmeans++", unbiased=True), () if FAST else (16, 64, 256)),
    "Block": (kd.Block, (128,) if FAST else (32, 128, 512)),
    "Incomplete": (kd.Incomplete, (32,) if FAST else (8, 32, 128)),
}


def timed(function):
    """The value and the seconds of a call, to the last instruction."""
    start = time.perf_counter()
    value = jax.block_until_ready(function())
    return value, time.perf_counter() - start


def measure(problem, estimator):
    """Errors over seeds, relative; the fastest call after the first, which compiles."""
    errors, seconds = [], []
    for seed in range(-1, SEEDS if estimator.random else 3 * SEEDS):
        x, y = problem.x, problem.y
        if not estimator.random:  # there the order of the samples is what varies
            order = np.random.default_rng(seed + 1).permutation(len(x))
            x, y = x[order], y[order]
        key = jax.random.key(seed + 1) if estimator.random else None
        value, second = timed(lambda x=x, y=y, key=key: kd.hsic(x, y, *problem.kernels, estimator=estimator, key=key))
        if seed >= 0:
            errors.append((float(value) - problem.exact) / problem.norm)
            seconds.append(second)
    return float(np.mean(np.square(errors)) ** 0.5), min(seconds)


rows = []
for d, problem in problems.items():
    for family, (make, sizes) in FAMILIES.items():
        rows += [(d, family, size, *measure(problem, make(size))) for size in sizes]
measured = pd.DataFrame(rows, columns=["d", "family", "size", "error", "seconds"])

exact_rows = []
for d in DIMS:
    for n in (64, N) if FAST else (64, N // 4, N):  # the first shows what a call costs, whatever n
        x, y = sample(n, d)
        calls = [timed(lambda x=x, y=y, d=d: kd.hsic(x, y, *problems[d].kernels))[1] for _ in range(4)]
        exact_rows.append((d, n, min(calls[1:])))
exact_times = pd.DataFrame(exact_rows, columns=["d", "n", "seconds"])

# %%
LOOKS = {  # colour by kind, marker and line by variant
    "RandomFourier": ("C0", "o", "-"),
    "… orthogonal": ("C0", "s", "--"),
    "… quasi": ("C0", "^", ":"),
    "Nystrom": ("C1", "o", "-"),
    "… leverage": ("C1", "s", "--"),
    "… kmeans++": ("C1", "^", ":"),
    "Block": ("C2", "D", "-"),
    "Incomplete": ("C3", "v", "-"),
}
figure, axes = plt.subplots(len(DIMS), 2, figsize=(7.2, 0.8 + 2.5 * len(DIMS)), sharey="row", squeeze=False)
for row, d in enumerate(DIMS):
    problem = problems[d]
    for column, against in enumerate(("size", "seconds")):
        axis = axes[row, column]
        for family, (colour, marker, line) in LOOKS.items():
            part = measured.query("d == @d and family == @family").sort_values("size")
            milli = 1000 if against == "seconds" else 1
            axis.plot(part[against] * milli, part.error, color=colour, marker=marker, linestyle=line, label=family)
        axis.axhline(problem.sampling / problem.norm, color="k", linewidth=1, label="sampling error of the exact one")
        axis.set(xscale="log", yscale="log", title=f"d = {d}, n = {N:,}")
    exact_time = exact_times.query("d == @d and n == @N").seconds.iloc[0]
    axes[row, 1].axvline(1000 * exact_time, color="k", linewidth=1, linestyle="-.", label="time of the exact one")
    axes[row, 0].set_ylabel("RMS error / √(HSIC(X,X) HSIC(Y,Y))")
axes[-1, 0].set_xlabel("size: features D, landmarks m, block b, offsets R")
axes[-1, 1].set_xlabel("time of a call / ms")
handles, labels = axes[0, 1].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# Read it so: what lies **below the solid black line** is as good as exact for these data; what lies **right of the dash-dotted
# line** is slower than exact. Only the lower left quarter is worth having.

# %%


def slope(d, family):
    """Of log error against log size."""
    part = measured.query("d == @d and family == @family")
    return float(np.polyfit(np.log(part["size"]), np.log(part.error), 1)[0])


slopes = pd.DataFrame(
    {f"d = {d}": {f: slope(d, f) for f, (_, sizes) in FAMILIES.items() if len(sizes) > 1} for d in DIMS}
)
slopes.round(2)

# %% [markdown]
# - **Random features** fall like $D^{-1/2}$ in every dimension: one more digit costs a hundred times the features, ten thousand
#   times the products. Quasi-Monte-Carlo frequencies fall faster, most of all in low dimension; orthogonal ones make no
#   difference to HSIC here.
# - **`Block`** falls like $b^{-1/2}$ and begins near the sampling error: the cheapest way to a result that is nearly as good as
#   the data. The weaker the dependence (d = 20), the larger the blocks that this takes. **`Incomplete`** begins there too and
#   falls with the number of its 4-samples, at a cost for each that is higher than a block's.
# - **Nyström** follows the kernel's eigenvalues: in low dimension few landmarks give many digits, most of all those of `"kmeans++"`,
#   which spread out; in high dimension the spectrum is flat, and landmarks do worse than random features.
#
# ## A chooser
#
# From the measurements: times by a cost model with non-negative coefficients beside the cost $t_0$ of any call:
# $c\,n^2$ for exact, $n(c_0 + c_1 s + c_2 s^2)$ for features of size $s$, $n(c_0 + c_1 s)$ for the rest; errors by
# interpolation in the size. The errors of features do not depend on n, those of `Block` and `Incomplete` fall like $n^{-1/2}$.
# Beyond the measured sizes errors are taken to fall like $s^{-1/2}$; Nyström's are not extrapolated.

# %%


def terms(family, n, size):
    """Those of the cost model, [..., terms]."""
    n, size = np.broadcast_arrays(np.asarray(n, float), np.asarray(size, float))
    powers = (
        [n**2]
        if family == "exact"
        else [n, n * size]
        if family in ("Block", "Incomplete")
        else [n, n * size, n * size**2]
    )
    return np.stack(powers, -1)


def fitted(family, n, size, seconds):
    """Non-negative least squares on relative errors."""
    seconds = np.maximum(seconds, 1e-5)
    return nnls(terms(family, n, size) / seconds[:, None], np.ones(len(seconds)))[0]


call = exact_times.query("n == 64").set_index("d").seconds.to_dict()
costs = {
    (d, family): fitted(family, N, part["size"], part.seconds.to_numpy() - call[d])
    for (d, family), part in measured.groupby(["d", "family"])
}
costs |= {
    (d, "exact"): fitted("exact", part.n, 0, part.seconds.to_numpy() - call[d])
    for d, part in exact_times.query("n > 64").groupby("d")
}


def predicted(family, n, d, size=0):
    """Seconds of a call."""
    return float(call[d] + terms(family, n, size) @ costs[d, family])


def needed_size(part, family, target, n):
    """The smallest size whose error is at most the target; None if there is none."""
    sizes, errors = part["size"].to_numpy(float), np.minimum.accumulate(part.error.to_numpy())
    limit = {"Block": n / 8, "Incomplete": n / 6}.get(family, 8192)
    if family in ("Block", "Incomplete"):
        errors = errors * (N / n) ** 0.5
    if target >= errors[0]:
        size = sizes[0]
    elif target >= errors[-1]:
        size = np.exp(np.interp(-np.log(target), -np.log(errors), np.log(sizes)))
    elif LOOKS[family][0] == "C1":
        return None
    else:
        size = sizes[-1] * (errors[-1] / target) ** 2
    size = 2 ** int(np.ceil(np.log2(size) - 1e-9)) if LOOKS[family][0] == "C0" else int(np.ceil(size))
    return size if size <= limit else None


def which(n, d, relative_error, patience=1.0):
    """An estimator for n samples of dimension d (the nearest measured).

    Exact, if that takes no more than `patience` seconds; else the fastest whose error is small enough.

    Returns:
        Its family, its size, its seconds, and whether the target is finer than the sampling error of n samples.
    """
    d = min(DIMS, key=lambda one: abs(np.log(one / d)))
    found = [("exact", 0, predicted("exact", n, d))]
    for family, part in measured.query("d == @d").groupby("family"):
        size = needed_size(part.sort_values("size"), family, relative_error, n)
        if size is not None:
            found.append((family, size, predicted(family, n, d, size)))
    resolution = problems[d].sampling / problems[d].norm * (N / n) ** 0.5
    best = found[0] if found[0][2] <= patience else min(found, key=lambda one: one[2])
    return *best, bool(relative_error < resolution)


which(5000, 2, 0.001), which(1_000_000, 20, 0.001)

# %%
COUNTS, TARGETS = 10.0 ** np.arange(3, 7.25, 0.5), (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
SHADES = {"exact": "#bdbdbd", "C0": "#9fcbe8", "C1": "#f2b48a", "C2": "#8fd6bd", "C3": "#ebc9db"}
LETTER = {"exact": "", "C0": "D", "C1": "m", "C2": "b", "C3": "R"}


def duration(seconds):
    """In a readable unit."""
    unit, length = next(
        (one for one in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)) if seconds >= one[1]), ("ms", 1e-3)
    )
    return f"{seconds / length:.0f} {unit}" if seconds >= 9.5 * length else f"{seconds / length:.1f} {unit}"


chosen = {d: [[which(n, d, target) for n in COUNTS] for target in TARGETS] for d in DIMS}
figure, axes = plt.subplots(len(DIMS), 1, figsize=(7.4, 0.7 + 3 * len(DIMS)), sharex=True, squeeze=False)
for axis, d in zip(axes[:, 0], DIMS, strict=True):
    for i, line in enumerate(chosen[d]):
        for j, (family, size, seconds, _) in enumerate(line):
            kind = family if family == "exact" else LOOKS[family][0]
            axis.add_patch(
                plt.Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=SHADES[kind], edgecolor="w", linewidth=0.5)
            )
            variant = f"\n{family.removeprefix('… ')}" if family.startswith("…") else ""
            label = "exact" if family == "exact" else f"{LETTER[kind]} = {size}{variant}"
            axis.text(j, i, f"{label}\n{duration(seconds)}", ha="center", va="center", fontsize=7)
    finer = np.asarray([[one[-1] for one in line] for line in chosen[d]])
    edges = np.arange(len(COUNTS) + 1) - 0.5
    axis.stairs((~finer).sum(0) - 0.5, edges, baseline=None, color="k", linewidth=1.8)
    axis.set(xlim=(-0.5, len(COUNTS) - 0.5), ylim=(len(TARGETS) - 0.5, -0.5), title=f"d = {d}")
    axis.set_yticks(range(len(TARGETS)), [f"{target:g}" for target in TARGETS])
    axis.set_xticks(range(len(COUNTS)), [f"$10^{{{np.log10(n):.1f}}}$".replace(".0", "") for n in COUNTS])
    axis.set_ylabel("error from exact, relative")
    axis.grid(False)
axes[-1, 0].set_xlabel("samples n")
names = {"exact": "exact", "C0": "RandomFourier(D)", "C1": "Nystrom(m)", "C2": "Block(b)", "C3": "Incomplete(R)"}
patches = [plt.Rectangle((0, 0), 1, 1, color=SHADES[of], label=name) for of, name in names.items()]
patches.append(plt.Line2D([], [], color="k", linewidth=1.2, label="below: finer than the sampling error"))
figure.legend(handles=patches, loc="outside upper center", ncols=3)
plt.show()

# %%
rows = []
for d in DIMS:
    for n in (1e4, 1e5, 1e6):
        resolution = problems[d].sampling / problems[d].norm * (N / n) ** 0.5
        family, size, seconds, _ = which(n, d, resolution)
        rows.append(
            (d, int(n), resolution, f"{family} {size or ''}", duration(seconds), duration(predicted("exact", n, d)))
        )
columns = ["d", "n", "sampling error", "as good as that", "its time", "exact takes"]
resolution_table = pd.DataFrame(rows, columns=columns).set_index(["d", "n"])
resolution_table.round(5)

# %% [markdown]
# **Below the line** a target is finer than what n samples say about the population at all: ask for it only to reproduce the
# exact number. Honestly: visiting all pairs is hard to beat. Tiles run at the speed of `exp`, and one second of a
# small machine is enough for all pairs of some $10^4$ samples; a GPU moves that further. (Times are this computer's; the
# errors are not.)
#
# - *While exact takes a second*: `Unbiased()`, without a thought.
# - *Beyond, for the size of a dependence*: `Block`, which also knows its own error. Shuffle first.
# - *Many digits in low dimension*: `Nystrom(m, "kmeans++")`.
# - *Streams, states to merge, values near independence* (below): features, `Nystrom` in low dimension,
#   `RandomFourier(D, quasi=True)` else.
#
# ## Standard errors
#
# `hsic_variance(x, y)` is the variance of the U-statistic to first order in 1/n, and that of `Block(b)` comes from the spread of its
# blocks. Compare with the truth: the spread of estimates over many data sets. One compiled program does them all.

# %%
SMALL, REPLICATIONS, BLOCK = 400, 100 if FAST else 400, kd.Block(20)
FOURIER = kd.RandomFourier(128, quasi=True, unbiased=True)


@jax.jit
def replicate(xs, ys, keys):
    k, l = problems[2].kernels

    def one(arguments):
        x, y, key = arguments
        return (
            kd.hsic(x, y, k, l, estimator=FOURIER, key=key),
            kd.hsic(x, y, k, l),
            kd.hsic_variance(x, y, k, l) ** 0.5,
            kd.hsic(x, y, k, l, estimator=BLOCK),
            kd.hsic_variance(x, y, k, l, estimator=BLOCK) ** 0.5,
        )

    return jax.lax.map(one, (xs, ys, keys))


many_x, many_y = (one.reshape(REPLICATIONS, SMALL, 2) for one in sample(REPLICATIONS * SMALL, 2, seed=1))
shuffled = jnp.asarray(np.random.default_rng(2).permuted(np.asarray(many_y), axis=1))  # along the samples: independent
keys = jax.random.split(jax.random.key(2), REPLICATIONS)
replicated = {
    data: [np.asarray(values) / problems[2].norm for values in replicate(many_x, of_y, keys)]
    for data, of_y in (("dependent", many_y), ("independent", shuffled))
}
rows = []
for data, (fourier, exact, exact_error, block, block_error) in replicated.items():
    both = (
        ("Unbiased()", exact, exact_error),
        (f"Block({BLOCK.size})", block, block_error),
        ("RandomFourier(128, quasi)", fourier, None),
    )
    for name, value, error in both:
        distance, spread = np.mean((value - exact) ** 2) ** 0.5, value.std(ddof=1)
        estimated = np.nan if error is None else np.mean(error**2) ** 0.5
        rows.append((data, name, value.mean(), spread, estimated, estimated / spread, distance))
columns = [
    "data",
    "estimator",
    "mean",
    "spread (truth)",
    "estimated standard error",
    "ratio",
    "RMS distance from exact",
]
errors_table = pd.DataFrame(rows, columns=columns).set_index(["data", "estimator"])
errors_table.round(5)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9))
for axis, (data, (_, exact, exact_error, block, block_error)) in zip(axes, replicated.items(), strict=True):
    for colour, name, value, error in (
        ("C0", "Unbiased()", exact, exact_error),
        ("C1", f"Block({BLOCK.size})", block, block_error),
    ):
        axis.hist(error, bins=30, density=True, alpha=0.5, color=colour, label=f"{name}: estimates")
        line = "--" if colour == "C0" else "-"
        axis.axvline(value.std(ddof=1), color=colour, linewidth=2, linestyle=line, label=f"{name}: spread (truth)")
    axis.set(title=data, xlabel="standard error, relative")
axes[0].set_ylabel("density")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# For dependent data both are right. For independent data the exact estimator's first-order term vanishes: its spread is of
# order 1/n, not normal, and what `hsic_variance` returns is not its variance. Use a permutation test there. `Block` is right in
# both cases and pays for it with the wider spread; at independence its variance is about n/b times that of the exact one. Features follow the
# exact estimator even there: their error shrinks with HSIC itself, which the last column shows.
#
# ## More data than memory
#
# Features need one pass: their sums are sufficient, and sums of parts merge. Here a file on disk that is never read whole; the
# state is $D^2$ numbers whatever n is.

# %%
LONG, BATCH = (2**14, 2**12) if FAST else (3 * 2**16, 2**14)
k, l = Gaussian(3.0), Gaussian(3.0)
features = kd.RandomFourier(256, unbiased=True)
with tempfile.TemporaryDirectory() as folder:
    for name, array in zip("xy", sample(LONG, 10, seed=3), strict=True):
        np.save(pathlib.Path(folder) / f"{name}.npy", np.asarray(array))
    x, y = (np.load(pathlib.Path(folder) / f"{name}.npy", mmap_mode="r") for name in "xy")
    batches = batches_of(x, y, BATCH)
    state, seconds = timed(lambda: kd.hsic_stream(batches, k, l, estimator=features, key=jax.random.key(0)))
    numbers = sum(leaf.size for leaf in jax.tree.leaves(state.sums))
    print(
        f"{state.count:,} samples in {len(batches)} batches: {seconds:.1f} s with compilation; {numbers:,} numbers kept"
    )

    # Two halves, as two processes would do it, with the same features; then merged.
    origins = {"origin_x": state.origin_x[0], "origin_y": state.origin_y[0]}
    empty = HSICState.create(state.of_x.maps, state.of_y.maps, **origins, unbiased=True)
    halves = []
    for part in (slice(None, LONG // 2), slice(LONG // 2, None)):
        half = empty
        for batch in batches_of(x[part], y[part], BATCH):
            half = half.update(*batch)
        halves.append(half)
    merged = halves[0].merge(halves[1])

    # The same key on all the data at once draws the same features.
    at_once = kd.hsic(np.asarray(x), np.asarray(y), k, l, estimator=features, key=jax.random.key(0))
    del x, y, batches, batch  # closes the files
stream_table = pd.Series(
    {
        "hsic_stream(…).finalise()": float(state.finalise()),
        "two halves merged": float(merged.finalise()),
        "hsic(…) at once, the same key": float(at_once),
        "hsic_stream(…).cka()": float(state.cka()),
    }
)
stream_table

# %% [markdown]
# ## More than one device
#
# The exact estimators spread samples over all devices of a mesh; each keeps its own, and they meet those of the others around a
# ring. The value is that of one device. This kernel may have only one (printed at the top), and then nothing moves:

# %%
mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("samples",))
problem = problems[2]
on_mesh = kd.hsic(problem.x, problem.y, *problem.kernels, mesh=mesh)
print(f"{mesh.size} device(s): {float(on_mesh):.8f}; without a mesh {problem.exact:.8f}")

# %% [markdown]
# On several machines every process runs the same program with its own samples, and all get the same number:
#
# ```python
# import jax, kerneldep as kd
# from jax.sharding import Mesh, NamedSharding, PartitionSpec
#
# jax.distributed.initialize()                                  # one process a machine; Slurm and TPUs are recognised
# mesh = Mesh(jax.devices(), ("samples",))                      # the devices of all machines
# sharding = NamedSharding(mesh, PartitionSpec("samples"))
# x = jax.make_array_from_process_local_data(sharding, my_x)    # [n, d], of which this machine holds my_x
# y = jax.make_array_from_process_local_data(sharding, my_y)
# value = kd.hsic(x, y, mesh=mesh)
# ```
#
# ## Single precision
#
# HSIC is a small difference of large sums. Here constants that it does not depend on are taken off first: from the data their
# centre, from each Gram matrix about its mean. So float32 keeps its digits, and an offset of the data costs none. (Samples are
# rounded to multiples of $2^{-10}$, which are exact in float32 even beside $10^4$.) The dense textbook formula is there to compare.

# %%


def textbook(x, y, k, l):
    """tr(KHLH)/n² with ‖x‖² + ‖x′‖² − 2xᵀx′, in the precision of the data."""

    def gram(points, kernel):
        squares = (points**2).sum(1)
        distances = jnp.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0)
        return jnp.exp(-distances / (2 * kernel.bandwidth.astype(points.dtype) ** 2))

    centring = jnp.eye(len(x), dtype=x.dtype) - jnp.asarray(1 / len(x), x.dtype)
    return jnp.trace(gram(x, k) @ centring @ gram(y, l) @ centring) / len(x) ** 2


grid_x, grid_y = (jnp.round(one[:2000] * 1024) / 1024 for one in (problem.x, problem.y))
wide = grid_x.astype(jnp.float64), grid_y.astype(jnp.float64)
references = {
    "kd.hsic, Biased()": lambda *arguments: kd.hsic(*arguments, estimator=kd.Biased()),
    "textbook formula": textbook,
}
truth = float(kd.hsic(*wide, *problem.kernels, estimator=kd.Biased()))
precision = pd.DataFrame(
    {
        name: {
            f"float32, offset {offset:g}": abs(
                float(function(grid_x + jnp.float32(offset), grid_y + jnp.float32(offset), *problem.kernels)) - truth
            )
            / problem.norm
            for offset in (0, 1e4)
        }
        for name, function in references.items()
    }
).T
print("Error relative to √(HSIC(X,X) HSIC(Y,Y)):")
precision.map("{:.1e}".format)

# %% [markdown]
# ## Which kernel?
#
# The estimator was the smaller choice. A kernel looks at one scale, and the median of distances, the default, is the scale of the *data*, not of
# the dependence. A fair criterion is the signal in standard errors, $\widehat{\mathrm{HSIC}}/\hat\sigma$, which asymptotically decides a
# test's power. A bandwidth is a traced number: a grid costs one compilation. Below, $Y = \sin(\omega X) + $ noise.

# %%
rng = np.random.default_rng(4)
MULTIPLES = 9
scales = {}
for frequency in (1, 4, 16):
    x = rng.normal(size=600)
    y = np.sin(frequency * x) + 0.3 * rng.normal(size=600)
    l = Gaussian(median_bandwidth(y))
    grid = bandwidth_grid(x, num=MULTIPLES)
    ratios = [float(kd.hsic(x, y, Gaussian(s), l) / kd.hsic_variance(x, y, Gaussian(s), l) ** 0.5) for s in grid]
    scales[frequency] = np.asarray(grid / median_bandwidth(x)), np.asarray(ratios)

figure, axis = plt.subplots(figsize=(4.6, 2.8))
for number, (frequency, (multiples, ratios)) in enumerate(scales.items()):
    axis.plot(multiples, ratios, color=f"C{number}", marker="os^"[number], label=f"ω = {frequency}")
axis.axvline(1, color="k", linewidth=1, linestyle="-.")
axis.text(1.08, axis.get_ylim()[1], "median", va="top", fontsize=8)
axis.set_xscale("log", base=2)
axis.set(
    xlabel="bandwidth / median distance", ylabel="HSIC / standard error", title="Finer dependence, smaller bandwidth"
)
axis.legend()
plt.show()

# %% [markdown]
# (Choose on one half of the data and test on the other: the largest of nine ratios is no longer what it was.)
#
# ### Which columns?
#
# `hsic_ranking` scores the columns one by one. That misses columns that matter only *together*: below
# $Y = \mathrm{sign}(X_0 X_1) + \cos 2X_2 + $ noise, and $X_0$, $X_1$ alone say nothing. A length scale for every coordinate,
# `AutomaticRelevance`, trained on the same criterion by gradient ascent, finds all three: scales of useless columns grow.

# %%
HALF, WIDTH, STEPS = 400, 6, 20 if FAST else 60
x = rng.normal(size=(2 * HALF, WIDTH))
y = np.sign(x[:, 0] * x[:, 1]) + np.cos(2 * x[:, 2]) + 0.3 * rng.normal(size=2 * HALF)
train, test = (x[:HALF], y[:HALF]), (x[HALF:], y[HALF:])
ranking = np.asarray(hsic_ranking(*train))
l = Gaussian(median_bandwidth(train[1]))


@jax.jit
@jax.value_and_grad
def signal(log_scales, x, y):
    kernel = AutomaticRelevance(Gaussian(1.0), jnp.exp(log_scales))
    return kd.hsic(x, y, kernel, l) / jnp.sqrt(kd.hsic_variance(x, y, kernel, l) + 1e-10)


scale = jnp.full(WIDTH, jnp.log(median_bandwidth(train[0])))
before = float(signal(scale, *test)[0])
path, first, second = [scale], 0.0, 0.0
for step in range(1, STEPS + 1):  # Adam; the same as optax.adam(0.1)
    _, gradient = signal(scale, *train)
    first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
    scale = scale + 0.1 * (first / (1 - 0.9**step)) / (jnp.sqrt(second / (1 - 0.999**step)) + 1e-8)
    path.append(scale)
after, path = float(signal(scale, *test)[0]), np.exp(np.stack(path))
print(
    f"HSIC in standard errors on the other half: {before:.1f} at the median bandwidth, {after:.1f} at the learned scales"
)

figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.7))
axes[0].bar(range(WIDTH), ranking, color=["C0"] * 3 + ["#bdbdbd"] * 3)
axes[0].set(xlabel="column", ylabel="CKA of the column and Y", title="One by one: hsic_ranking")
for column in range(WIDTH):
    matters = column < 3
    axes[1].plot(
        path[:, column],
        color=f"C{column}" if matters else "#8c8c8c",
        linestyle="-" if matters else ":",
        label=f"column {column}" if matters else ("columns 3–5" if column == 3 else None),
    )
axes[1].set(xlabel="step", ylabel="length scale (unit of X)", yscale="log", title="Together: AutomaticRelevance")
axes[1].legend()
plt.show()

# %% [markdown]
# ## Exercise
#
# Your file is sorted by the first coordinate of Y. What happens to `Block`, and what to `hsic_stream`?
#
# <details><summary>Solution</summary>
#
# Within a block of neighbours the sorted coordinate of Y hardly varies, so that its part of the dependence goes unseen. The
# estimate falls, and its standard error does not warn. Shuffle once. The sums of `hsic_stream` do not depend on the order, but its features do:
# bandwidth and landmarks come from the first batch. Give the kernels yourself, or shuffle.
#
# </details>

# %%
problem, block = problems[2], kd.Block(128)
ordered = jnp.argsort(problem.y[:, 0])
by_order = {
    "as they came": kd.hsic(problem.x, problem.y, *problem.kernels, estimator=block) / problem.norm,
    "sorted": kd.hsic(problem.x[ordered], problem.y[ordered], *problem.kernels, estimator=block) / problem.norm,
}
{name: round(float(value), 4) for name, value in by_order.items()}

# %% [markdown]
# ## What we found
#
# Every assertion is about errors, none about times.

# %%
errors = measured.set_index(["d", "family", "size"]).error
ratio = errors_table.ratio
spread, distance = errors_table["spread (truth)"], errors_table["RMS distance from exact"]
fourier = "RandomFourier(128, quasi)"
assert all(of.bias > 0 for of in problems.values())  # the V-statistic's
assert all(abs(slope(d, "RandomFourier") + 0.5) < 0.25 for d in DIMS)  # D^(−1/2) in every dimension
assert errors[2, "… quasi", 512] < 0.5 * errors[2, "RandomFourier", 512]
assert slope(2, "Nystrom") < -1  # faster than any sampling, where the spectrum falls fast
assert all(which(1e7, d, 0.01)[0] != "exact" for d in DIMS)
assert (abs(ratio["dependent"].drop(fourier) - 1) < 0.2).all()  # standard errors are right …
assert abs(ratio["independent", "Block(20)"] - 1) < 0.2
assert not abs(ratio["independent", "Unbiased()"] - 1) < 0.2  # … but that one
assert (
    0.7 < spread["independent", "Block(20)"] / spread["independent", "Unbiased()"] / (SMALL / BLOCK.size) ** 0.5 < 1.4
)
assert distance["independent", fourier] < 0.2 * distance["dependent", fourier]
assert np.allclose(stream_table.iloc[1:3], stream_table.iloc[0], rtol=1e-3)
assert abs(float(on_mesh) - problems[2].exact) < 1e-6 * problems[2].norm
numbers_of = precision.loc["kd.hsic, Biased()"]
assert (numbers_of < 1e-6).all()  # float32, with and without the offset
assert precision.loc["textbook formula"].iloc[1] > 1e-2
assert all(multiples[ratios.argmax()] < 1 for multiples, ratios in scales.values())
assert scales[16][1].max() > 3 * scales[16][1][MULTIPLES // 2]  # the median is blind to fine dependence
assert ranking.argmax() == 2
assert np.abs(ranking[:2]).max() < 0.2 * ranking[2]
assert set(np.argsort(path[-1])[:3]) == {0, 1, 2}
assert after > 2 * before
assert float(by_order["sorted"]) < 0.8 * float(by_order["as they came"])
if not FAST:
    assert problems[20].bias > 3 * problems[20].sampling
    assert all(abs(slope(d, "Block") + 0.5) < 0.25 for d in DIMS)
    assert all(-0.75 < slope(d, "Incomplete") < 0 for d in DIMS)
    assert errors[2, "… kmeans++", 256] < 0.01 * errors[20, "… kmeans++", 256]
