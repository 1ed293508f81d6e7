import dataclasses
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.ssl import diagnostics, runs
from experiments.ssl import evaluate as evaluation
from experiments.ssl.config import Config, EvaluationConfig, ModelConfig
from experiments.ssl.export import export
from experiments.ssl.features import FrozenEncoder, Split, frozen
from experiments.ssl.linear_sgd import fit_sgd_probe
from experiments.ssl.models import make_encoder
from tests.experiments.made_up import made_up_run

CONFIG = Config(
    augment=dataclasses.replace(Config().augment, size=4),
    model=ModelConfig(widths=(4,), blocks=(0,), projector_hidden=4, projector_dim=4, eval_size=8),
    evaluation=EvaluationConfig(every=1, sgd_epochs=6, label_shares=(0.1,)),
)


def coloured(n, seed):
    """Images of three classes, each mostly of one channel."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n).astype(np.int32)
    images = random.integers(0, 120, (n, 16, 16, 3))
    images[np.arange(n), :, :, labels] += 60
    return Split(images.astype(np.uint8), labels)


class MeanColour(eqx.Module):
    dim: int = 3

    def __call__(self, images, statistics=None):
        return images.mean((1, 2)), []


class Tiny(eqx.Module):
    encoder: MeanColour = MeanColour()

    def projector(self, features):
        return features - features.mean(), []


def test_few_labels_are_a_share_of_each_class_and_always_the_same():
    labels = np.repeat(np.arange(4), [1000, 500, 100, 20]).astype(np.int32)
    rows = evaluation.labelled_rows(labels, 0.1)
    assert np.bincount(labels[rows]).tolist() == [100, 50, 10, 2]
    assert len(np.unique(rows)) == len(rows)
    assert not (np.diff(labels[rows]) >= 0).all()  # shuffled, as the probe's choice of penalty wants them
    np.testing.assert_array_equal(rows, evaluation.labelled_rows(labels, 0.1))
    assert np.bincount(labels[evaluation.labelled_rows(labels, 0.001)]).tolist() == [2, 2, 2, 2]


def test_the_sgd_probe_learns_what_is_linear_in_features_of_crops():
    train, new = coloured(300, 0), coloured(100, 1)
    encoder = FrozenEncoder(MeanColour(), [], 8)  # pyright: ignore[reportArgumentType]
    known = encoder(train.images)
    probe = fit_sgd_probe(encoder, train, known, CONFIG)
    assert float(probe.accuracy(encoder(new.images), new.labels)) > 0.95
    again = fit_sgd_probe(encoder, train, known, CONFIG)
    np.testing.assert_array_equal(probe.weights, again.weights)
    none = dataclasses.replace(CONFIG, evaluation=EvaluationConfig(sgd_epochs=0))
    np.testing.assert_array_equal(fit_sgd_probe(encoder, train, known, none).weights, 0)


def test_every_probe_of_every_representation(monkeypatch):
    images = {"train": coloured(90, 0), "heldout": coloured(40, 1)}
    monkeypatch.setattr(evaluation, "_BASELINES", {})
    network = SimpleNamespace(encoder=MeanColour())
    found = evaluation.evaluate(network, network, images, CONFIG)["heldout"]  # pyright: ignore[reportArgumentType]
    plain, weighted = {"knn", "linear"}, {"knn_weighted_20", "knn_weighted_200"}
    assert set(found["raw"]) == plain
    assert set(found["untrained"]) == plain | {"linear_10%"}
    assert set(found["trained"]) == plain | weighted | {"linear_10%", "linear_sgd"}
    assert min(found["trained"].values()) > 0.9
    assert found["trained"]["knn"] == found["untrained"]["knn"]

    linear = eqx.nn.Linear(1, 1, key=jax.random.key(0))
    # Another run with the same baselines computes none; with other labels, it does.
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "_accuracies", lambda *_, **__: {"heldout": {"knn": 0.5}})
        again = evaluation.evaluate(network, network, images, CONFIG)["heldout"]  # pyright: ignore[reportArgumentType]
        assert again == {**found, "trained": {"knn": 0.5}}
        other = images | {"heldout": Split(images["heldout"].images, 2 - images["heldout"].labels)}
        changed = evaluation.evaluate(network, network, other, CONFIG)["heldout"]  # pyright: ignore[reportArgumentType]
        assert changed["raw"] == {"knn": 0.5}
        for scale in (1.0, 2.0):  # encoders that differ in numbers alone
            one = SimpleNamespace(encoder=eqx.tree_at(lambda e: e.weight, linear, jnp.full((1, 1), scale)))
            patch.setattr(evaluation, "_accuracies", lambda *_, scale=scale, **__: {"heldout": {"knn": scale}})
            again = evaluation.evaluate(one, network, images, CONFIG)["heldout"]  # pyright: ignore[reportArgumentType]
            assert again["untrained"] == {"knn": scale}


def test_diagnostics_are_the_plain_formulas():
    random = np.random.default_rng(0)
    z = random.normal(size=(40, 5)) + 0.5 * random.normal(size=(2, 40, 5)) + 0.3
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    found = diagnostics.representation_diagnostics(jnp.asarray(z, jnp.float32))
    flat = z.reshape(-1, 5)
    gram, positive = flat @ flat.T, (z[0] * z[1]).sum(-1).mean()
    centring = np.eye(80) - 1 / 80
    expected = {
        "dep": positive - gram.mean(),
        "hsic_zz": np.trace(gram @ centring @ gram @ centring) / 80**2,
        "expected_variance": gram.var(1).mean(),
        "mean_norm_squared": (flat.mean(0) ** 2).sum(),
        "byol_distance": ((z[0] - z[1]) ** 2).sum(-1).mean(),
    }
    for temperature in (0.2, 0.5):
        log_means = np.mean([np.log(np.mean(np.exp(row / temperature))) for row in gram])
        expected[f"infonce_{temperature}"] = log_means - positive / temperature
        expected[f"gap_{temperature}"] = log_means - gram.mean() / temperature
        expected[f"half_variance_{temperature}"] = 0.5 * expected["expected_variance"] / temperature**2
    values = np.linalg.eigvalsh(np.cov(flat.T, bias=True))
    expected["participation_ratio"] = values.sum() ** 2 / (values**2).sum()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-4, abs=1e-6), name
    assert set(found) - set(expected) == {"uniformity", "effective_rank"}
    assert found["dep"] == pytest.approx(1 - found["byol_distance"] / 2 - found["mean_norm_squared"], abs=1e-5)


def test_the_observer_looks_at_held_out_images_and_the_network_alone():
    images = {"train": coloured(60, 0), "heldout": coloured(40, 1)}
    observe = diagnostics.observer(images, CONFIG)
    state = SimpleNamespace(network=Tiny())
    first = observe(state)
    assert first == observe(state)
    assert np.isfinite(list(first.values())).all()
    assert first["knn"] > 0.5
    with pytest.raises(ValueError, match='"heldout" is not in data.probe'):
        diagnostics.observer({"train": images["train"]}, CONFIG)


def test_export_writes_the_features_that_were_evaluated(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RESULTS", tmp_path)
    images, new = coloured(100, 0), coloured(20, 1)
    data = SimpleNamespace(
        train_images=images.images, train_labels=images.labels, test_images=new.images, test_labels=new.labels
    )
    monkeypatch.setattr("experiments.data.load", lambda name: data)
    config = dataclasses.replace(
        CONFIG, data=dataclasses.replace(CONFIG.data, name="digits", probe=("heldout", "test"))
    )
    run = made_up_run(tmp_path, config, 0.4)
    with pytest.raises(SystemExit, match="fits 0 runs whose encoder is kept"):
        export(run.name)
    encoder = make_encoder(config.model, key=jax.random.key(1))
    eqx.tree_serialise_leaves(run.folder / "encoder.eqx", encoder)
    path = export(run.name[:12])
    assert path == run.folder / "features.npz"
    with np.load(path) as arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
        assert shapes == {f"{split}_{what}": (n, *d) for split, n in (("train", 80), ("heldout", 20), ("test", 20))
                          for what, d in (("features", (4,)), ("labels", ()))}  # fmt: skip
        represent = frozen(encoder, Split(images.images[:80], images.labels[:80]), config)
        np.testing.assert_allclose(arrays["heldout_features"], represent(images.images[80:]), rtol=1e-5)
        np.testing.assert_array_equal(arrays["test_labels"], new.labels)
