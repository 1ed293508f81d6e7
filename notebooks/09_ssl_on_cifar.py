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
# # An encoder trained on dependence alone
#
# **Question.** SSL-HSIC asks one thing of an encoder: that a view of an image tell *which image* it is a view of. It is shown no labels.
# Does such an encoder know what is *in* the images? And do the quantities of the theory move in real training as they should?
#
# We train a small encoder on 10,000 images of CIFAR-10 (minutes on two CPU cores), and look at it. Whatever is looked at here is
# held-out training images; the test images were seen once, at the end of each recorded run.

# %%
import io
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, display

from experiments import data
from experiments.ssl import tables
from experiments.ssl.config import PRESETS, load_preset
from experiments.ssl.features import draw_views, frozen, splits
from experiments.ssl.records import RECORDS
from experiments.ssl.runs import Run, find_or_train
from experiments.ssl.train import untrained_network
from kerneldep.analysis import codebook_views, collapse
from paper_figures import gap_along_training
from paper_figures.training_logs import training_logs

FAST = bool(os.environ.get("KERNELDEP_FAST"))  # a run of seconds on scikit-learn's digits, for tests
LIVE = "KERNELDEP_FAST" not in os.environ  # progress bars are for people
plt.style.use("../paper_figures/style.mplstyle")
plt.rcParams["figure.dpi"] = 90

run = find_or_train(load_preset("smoke" if FAST else "cpu-quick", "ssl_hsic"), progress=LIVE)
config, summary = run.config(), run.summary
images = splits(data.load(config.data.name), config)
classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
if config.data.name == "digits":
    classes = [str(digit) for digit in range(10)]
print(
    f"{summary['num_train']:,} images of {summary['data']}, {config.training.epochs} epochs, "
    f"{summary['num_parameters']:,} parameters, seed {config.seed}: {summary['train_seconds']:.0f} s on "
    f"{summary.get('machine', summary['device'])}"
)

# %% [markdown]
# Without CIFAR-10, on disk or to be had, all of this runs on scikit-learn's digits: the line above says which.
#
# ## What a view keeps
#
# Two views of an image are positives. Whatever the augmentation destroys cannot help to tell images apart, and whatever it keeps can. It is
# the only place where we say what matters. On the left the images, then six views of each.


# %%
def montage(rows):
    """Images [rows, columns, s, s, 3] in [0, 1] as one picture, and the side of a cell."""
    rows = np.asarray(rows)
    count, columns, side = rows.shape[:3]
    cells = np.ones((count, columns, side + 2, side + 2, 3))
    cells[:, :, 1:-1, 1:-1] = rows
    return cells.transpose(0, 2, 1, 3, 4).reshape(count * (side + 2), -1, 3), side + 2


def larger(pictures, side=32):
    """Pixels repeated up to a side."""
    factor = side // pictures.shape[-2]
    return pictures.repeat(factor, axis=-3).repeat(factor, axis=-2)


def show(figure):
    """A figure of photographs, as JPEG: as PNG it would be several times larger."""
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=85, bbox_inches="tight", pil_kwargs={"quality": 75})
    plt.close(figure)
    display(Image(file.getvalue(), format="jpeg"))


heldout = images["heldout"]
firsts = [int(np.flatnonzero(heldout.labels == label)[0]) for label in range(10)]  # of each class, not chosen
shown = heldout.images[firsts]
views = np.clip(np.asarray(draw_views(shown[::2], 6, config.augment, seed=0)) * 0.25 + 0.5, 0, 1)  # [M, B, s, s, 3]
rows = np.concatenate([shown[::2, None] / 255, larger(views.swapaxes(0, 1))], axis=1)
picture, _ = montage(rows)
figure, axis = plt.subplots(figsize=(5, 3.6))
axis.imshow(picture)
axis.axvline(33.5, color="k", linewidth=1)
axis.set_axis_off()
show(figure)

# %% [markdown]
# ## The loss and its two terms
#
# $$L = -\mathrm{dep} + \gamma\sqrt{\mathrm{HSIC}(Z, Z)},$$
#
# with $\mathrm{dep} = \mathbb E_{\text{pos}} k - \mathbb E\, k$ the dependence on identity. Full collapse has $L = 0$.

# %%
metrics = run.metrics()
gamma = config.objective.parameters["gamma"]
penalty = gamma * np.sqrt(metrics["hsic_zz"])
figure, axis = plt.subplots(figsize=(6.2, 2.6))
axis.plot(metrics["step"], penalty, "C1", linewidth=0.9, label=rf"${gamma:g}\,\sqrt{{\mathrm{{HSIC}}(Z, Z)}}$")
axis.plot(metrics["step"], metrics["loss"], "k", linewidth=0.9, label="loss")
axis.plot(metrics["step"], -metrics["dep"], "C0", linewidth=0.9, label="−dep")
axis.axhline(0, color="0.6", linewidth=0.8)
axis.set(xlabel="step")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Most of the gain is dependence, and comes early. Self-dependence is held where it was, which is the point of penalising it: telling
# images apart by a few large differences would raise both.
#
# ## Who are an image's neighbours?
#
# The first held-out image of each class, and its five nearest among the training images by the cosine of features: under the
# encoder before training, and after. A frame says that the class is the same. Nobody told the encoder about classes.

# %%
encoders = {"untrained": untrained_network(config).encoder, "trained": run.encoder()}
features = {}
for name, encoder in encoders.items():
    represent = frozen(encoder, images["train"], config)
    features[name] = {split: represent(images[split].images) for split in ("train", "heldout")}


def unit(x):
    """Rows of norm 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def neighbours(name, count=20):
    """The nearest training images of each held-out one [n, count]."""
    cosine = unit(features[name]["heldout"]) @ unit(features[name]["train"]).T
    nearest = np.argpartition(-cosine, count, axis=1)[:, :count]
    order = np.take_along_axis(-cosine, nearest, 1).argsort(1)
    return np.take_along_axis(nearest, order, 1)


found = {name: neighbours(name) for name in encoders}
same = {name: images["train"].labels[near] == heldout.labels[:, None] for name, near in found.items()}
figure, axes = plt.subplots(1, 2, figsize=(6.4, 5.7))
for axis, (name, near) in zip(axes, found.items(), strict=True):
    nearest = images["train"].images[near[firsts, :5]]
    picture, side = montage(np.concatenate([shown[:, None], nearest], axis=1) / 255)
    axis.imshow(picture)
    axis.axvline(side - 0.5, color="k", linewidth=1)
    for row, column in np.argwhere(same[name][firsts, :5]):
        corner = ((column + 1) * side, row * side)
        axis.add_patch(plt.Rectangle(corner, side - 1, side - 1, fill=False, edgecolor="C1", linewidth=2))
    axis.set(title=name, xticks=[])
    axis.set_yticks((np.arange(10) + 0.5) * side, classes if axis is axes[0] else [""] * 10)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
show(figure)
purity = pd.Series({name: matches[:, :5].mean() for name, matches in same.items()})
print("Share of the five nearest of the same class, over all held-out images:", purity.round(3).to_dict())

# %% [markdown]
# Before training, neighbours share colour and layout: sky is sky. After it they more often share what is in the picture, and are still
# wrong more often than not. The accuracy of a vote of the twenty nearest, and of a linear classifier, by the run's own evaluation:

# %%
evaluated = pd.DataFrame(summary["accuracy"]["heldout"]).T[["knn", "linear"]]
evaluated.round(3)

# %% [markdown]
# ## A map
#
# t-SNE of the features of some held-out images: near points have near features, and distances across the map mean nothing. Coloured by
# class, which neither encoder nor map was told.

# %%
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

# Paul Tol's "muted"
COLOURS = ["332288", "88CCEE", "44AA99", "117733", "999933", "DDCC77", "CC6677", "882255", "AA4499", "BBBBBB"]
count = 200 if FAST else 1000
figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.9))
maps = {}
for axis, name in zip(axes, encoders, strict=True):
    tsne = TSNE(init="pca", metric="cosine", random_state=0, max_iter=250 if FAST else 500)
    with threadpool_limits(1):  # on a busy machine its threads wait for each other
        maps[name] = tsne.fit_transform(features[name]["heldout"][:count])
    for label, colour in enumerate(COLOURS):
        points = maps[name][heldout.labels[:count] == label]
        axis.scatter(*points.T, s=6, color=f"#{colour}", linewidths=0, label=classes[label])
    axis.set(title=name, xticks=[], yticks=[])
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, markerscale=3)
plt.show()

# %% [markdown]
# ## What moves along training
#
# Seven objectives from the same untrained encoder (of 128 channels; their projectors end in a batch norm or not, as the presets say; batches of 128), measured at every
# half epoch on the same two views of 256 held-out images, whatever each trains on; recorded in `experiments/records/b3`, one seed each.
# The kernel is the cosine of projections; probes are of features, and know 2,000 training images only.

# %%
logs = training_logs(False)
PANELS = {"dep": "dep", "hsic_zz": "HSIC(Z, Z)", "effective_rank": "effective rank", "knn": "held-out k-NN"}
figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.6), sharex=True)
for axis, (quantity, label) in zip(axes.flat, PANELS.items(), strict=True):
    for name, log in logs.items():
        axis.plot(log.step, log[quantity], linewidth=1.2, label=name)
    axis.set(ylabel=label)
for axis in axes[1]:
    axis.set_xlabel("step")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
plt.show()
ends = pd.DataFrame({name: log.iloc[-1] for name, log in logs.items()}).T
ends[["dep", "hsic_zz", "mean_norm_squared", "effective_rank", "knn", "linear"]].round(3).sort_values("knn")

# %% [markdown]
# Dependence on identity ends higher than it began under every loss. The highest is not the best: SimSiam has slightly more of it than
# SSL-HSIC, in fewer directions. Between the runs accuracy goes with *effective rank*, the exponential of the entropy of the covariance's
# eigenvalues: it ends highest under Barlow Twins, CorInfoMax and InfoNCE. SSL-HSIC has less of it, and hardly less accuracy. (One seed and
# ten epochs, which is little for BYOL and SimSiam; seven runs.)
#
# ## The gap of InfoNCE
#
# InfoNCE is $-\mathrm{dep}$ plus a gap, which is $\tfrac12\mathbb E\,\mathrm{Var}\,k$ to second order
# ([notebook 01](01_infonce_vs_hsic.ipynb)). Is it so along real training?

# %%
gaps = gap_along_training.compute(False)
gap_along_training.draw(gaps)
plt.show()
caption = gap_along_training.caption(gaps)
print(caption.found, caption.verdict, sep="\n\n")

# %% [markdown]
# ## How good are they?
#
# Recorded runs, accuracy in per cent on the test images, mean ± standard deviation where there are several seeds; `b3` are the runs
# above, with their wider encoder, and `quick-3-seeds` those like ours. Raw pixels and the same encoder untrained are what has to be beaten.

# %%
records = {}
for path in sorted(RECORDS.glob("*/*/summary.json")):
    records.setdefault(path.parents[1].name, []).append(Run(path.parent))
parts = []
for name, runs in records.items():
    header, *lines = tables.table(runs)
    part = pd.DataFrame(lines, columns=header).query("images == 'test'")
    parts.append(part.assign(record=name)[["record", "representation", "k-NN %", "linear %"]])
comparison = pd.concat(parts).set_index(["record", "representation"])
comparison

# %%
by_preset = {one.config().preset for runs in records.values() for one in runs}
unmeasured = sorted({path.stem for path in PRESETS.glob("*.toml")} - by_preset - {"smoke"})
print("Presets without a record, not yet measured:", ", ".join(unmeasured) or "none")


def margin(objective):
    """Points above the better of raw pixels and the untrained encoder, on test images, by probe: mean over seeds."""
    seeds = [one for one in records["quick-3-seeds"] if one.config().objective.name == objective]
    tested = [one.summary["accuracy"]["test"] for one in seeds]
    means = {
        kind: {probe: np.mean([100 * one[kind][probe] for one in tested]) for probe in ("knn", "linear")}
        for kind in ("raw", "untrained", "trained")
    }
    return {
        probe: value - max(means["raw"][probe], means["untrained"][probe]) for probe, value in means["trained"].items()
    } | {"seeds": len(seeds)}


margins = pd.DataFrame({objective: margin(objective) for objective in ("ssl_hsic", "infonce")}).T.astype({"seeds": int})
margins.round(1)

# %% [markdown]
# ## Exercise
#
# Suppose that an encoder knows the ten classes perfectly, and nothing else: each image is mapped to its class's code, and the ten codes are
# orthogonal. What is its loss at $\gamma = 3$, with the linear kernel? Would SSL-HSIC find it?
#
# <details><summary>Solution</summary>
#
# With $C$ equally likely orthogonal codes $\mathrm{dep} = 1 - 1/C$ and $\mathrm{HSIC}(Z, Z) = \frac1C(1 - \frac1C)$, so that
#
# $$L = 1/C - 1 + \gamma\sqrt{(1 - 1/C)/C},$$
#
# which is negative only for $C > 1 + \gamma^2$: with ten codes it is $-0.9 + 3 \cdot 0.3 = 0$, that of full collapse. The loss wants
# images told apart, more finely than by class ([notebook 07](07_why_the_regulariser.ipynb)). Classes emerge all the same, since
# what survives augmentation is shared within them. Our run ends well below 0.
#
# </details>

# %%
classes_alone = collapse(codebook_views(10))
of_classes = float(classes_alone.loss(3.0))
print(
    f"dep {classes_alone.dependence:.3f}, HSIC(Z, Z) {classes_alone.self_dependence:.3f}, loss {round(of_classes, 4) + 0:.4f}"
)

# %% [markdown]
# ## What we found

# %%
assert np.allclose(metrics["loss"], penalty - metrics["dep"], atol=1e-3)  # the loss is its two terms
for name, near in found.items():  # these are the encoders that the run's summary speaks of
    votes = np.eye(10)[images["train"].labels[near]].sum(1).argmax(1)
    assert abs((votes == heldout.labels).mean() - evaluated.knn[name]) < 0.02
for log in logs.values():
    assert np.allclose(log.dep, 1 - log.byol_distance / 2 - log.mean_norm_squared, atol=1e-4)
    assert (log.expected_variance >= log.hsic_zz).all()
    assert log.dep.iloc[-1] > log.dep.iloc[0]
assert np.allclose(gaps.infonce, gaps.gap - gaps.dependence, atol=1e-4)  # the decomposition
share = (gaps.half_variance / gaps.gap).groupby(gaps.temperature)
assert (share.max() - 1)[0.5] < 0.2
assert (1 - share.min())[0.5] < 0.2  # the expansion, where it is fair
assert (share.max() - share.min())[0.2] > 2 * (share.max() - share.min())[0.5]  # and where it is less so
assert set(ends.nlargest(3, "effective_rank").index) == {"barlow_twins", "corinfomax", "infonce"}
assert ends.knn.rank().corr(ends.effective_rank.rank()) > 0.8
assert ends.knn.nlargest(4)["ssl_hsic"] > ends.knn.max() - 0.03
assert ends.dep["simsiam"] > ends.dep["ssl_hsic"]
assert margins[["knn", "linear"]].min().min() >= 5  # points above the better baseline, three seeds
assert (margins.seeds == 3).all()
assert abs(of_classes) < 1e-5
if summary["data"] == "cifar10":
    assert purity["trained"] > purity["untrained"] + 0.03
    assert metrics["loss"][-1] < -0.05
