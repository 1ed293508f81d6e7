import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.data import DataUnavailable
from experiments.ssl import __main__ as command_line
from experiments.ssl import evaluate, records, runs
from experiments.ssl.config import Config, ModelConfig, ObjectiveConfig, TrainingConfig, config_hash, load_preset
from experiments.ssl.log import TrainingDiverged
from experiments.ssl.models import make_encoder
from experiments.ssl.optimisers import learning_rate_schedule
from experiments.ssl.train import batch_order, num_calls, train
from kerneldep.objectives import SSLHSIC, InfoNCE

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
TINY = Config(
    augment=dataclasses.replace(Config().augment, size=8),
    model=ModelConfig(widths=(4,), blocks=(0,), projector_hidden=4, projector_dim=4, predictor_hidden=4),
    training=TrainingConfig(epochs=1, batch_size=8, steps_per_call=2),
)


def test_same_seed_same_metrics():
    first, again = (train(TINY, InfoNCE(), IMAGES, progress=False) for _ in range(2))
    assert first.metrics["loss"].shape == (4,)  # three steps an epoch, rounded up to whole calls
    np.testing.assert_array_equal(first.metrics["loss"], again.metrics["loss"])
    before, after = (eqx.filter(network, eqx.is_array) for network in (first.untrained, first.network))
    moved = [float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)]
    assert max(moved) > 0
    other = train(dataclasses.replace(TINY, seed=1), InfoNCE(), IMAGES, progress=False)
    assert other.metrics["loss"][0] != first.metrics["loss"][0]


def test_target_network_predictor_and_learned_scale_train():
    objective = SSLHSIC(target="ema", learn_scale=True, num_features=16)
    trained = train(TINY, objective, IMAGES, progress=False)
    assert np.isfinite(trained.metrics["loss"]).all()
    assert trained.metrics["scale"][-1] != trained.metrics["scale"][0]


class Broken(eqx.Module):
    num_views: int = 2
    predictor: bool = False
    target: str = "none"

    def init(self, dim, *, key):
        return jnp.zeros((), jnp.int32)

    def trainable(self):
        return jax.tree.map(lambda _: False, self)

    def __call__(self, outputs, state, *, key):
        loss = (outputs.projections**2).mean() + jnp.where(state == 1, jnp.nan, 0.0)
        return loss, {"term": loss}, state + 1


def test_a_loss_that_is_not_finite_stops_training_with_a_report():
    with pytest.raises(TrainingDiverged, match=r"step 1 has a loss that is not finite .*term nan") as caught:
        train(TINY, Broken(), IMAGES, progress=False)
    assert len(caught.value.metrics["loss"]) == 2


def test_an_epoch_sees_each_image_once():
    order = np.asarray(batch_order(10, 5, 3, key=jax.random.key(0)))
    assert order.shape == (5, 3)
    assert len(np.unique(order[:3])) == 9
    assert not np.array_equal(order[0], order[3])


def test_steps_and_learning_rate():
    assert num_calls(TINY, 24) == (2, 2)
    with pytest.raises(ValueError, match="do not fill a batch of 8"):
        num_calls(TINY, 7)
    schedule = learning_rate_schedule(dataclasses.replace(TINY.optimiser, learning_rate=1.0, warmup=0.1), 100)
    np.testing.assert_allclose([schedule(s) for s in (0, 10, 100)], [0, 1, 0], atol=1e-6)


def test_the_hash_is_stable_and_sees_every_choice():
    assert config_hash(Config()) == config_hash(Config())
    parameters = ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1})
    first, reordered, fewer = (config_hash(Config(objective=ObjectiveConfig("x", p))) for p in parameters)
    assert first == reordered != fewer
    assert config_hash(dataclasses.replace(Config(), seed=1)) != config_hash(Config())
    assert load_preset("smoke", "ssl_hsic").name.startswith("ssl_hsic-smoke-seed0-")


def test_presets_are_read_and_wrong_names_explained():
    for objective in ("ssl_hsic", "infonce"):
        config = load_preset("cpu-quick", objective, seed=2)
        assert config.seed == 2
        assert config.data.probe == ("heldout", "test")
        assert runs.make_objective(config.objective).num_views == 2
    with pytest.raises(ValueError, match="cpu-quick"):
        load_preset("none such", "infonce")
    with pytest.raises(ValueError, match="no objective 'nothing'"):
        runs.make_objective(ObjectiveConfig("nothing"))


def test_without_cifar10_a_run_is_that_of_the_digits(monkeypatch, capsys):
    def missing(**_):
        raise DataUnavailable("no files")

    monkeypatch.setattr("experiments.data.cifar10.load", missing)
    images, config = runs._resolve(load_preset("cpu-quick", "infonce"))
    assert images.name == config.data.name == "digits"
    assert "digits in place of CIFAR-10" in capsys.readouterr().out
    splits = evaluate.splits(images, config)
    assert {name: len(split.images) for name, split in splits.items()} == {"train": 1038, "heldout": 259, "test": 500}


def test_a_smoke_run_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "RESULTS", tmp_path / "runs")
    monkeypatch.setattr(records, "RECORDS", tmp_path / "records")
    command_line.main(["train", "--preset", "smoke", "--training.epochs", "1", "--data.num-train", "128"])
    (run,) = runs.all_runs()
    written = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert set(written) == {"config.json", "metrics.csv", "summary.json", "encoder.eqx", "views.npz"}
    assert set(run.summary["accuracy"]["heldout"]) == {"raw", "untrained", "trained"}
    assert run.metrics()["loss"].shape == (2,)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["training"]["epochs"] == 1

    assert run.summary["flops_per_second"] == run.summary["flops_per_image"] * run.summary["images_per_second"]

    views = run.views()
    assert views["projections"].shape == (4, 200, 8)
    assert views["features_untrained"].shape == (4, 200, 16)
    np.testing.assert_allclose(np.linalg.norm(views["projections"], axis=-1), 1, atol=1e-4)
    encoder = make_encoder(load_preset("smoke", "ssl_hsic").model, key=jax.random.key(9))
    eqx.tree_deserialise_leaves(run.folder / "encoder.eqx", encoder)

    capsys.readouterr()
    command_line.main(["train", "--preset", "smoke", "--training.epochs", "1", "--data.num-train", "128"])
    assert "Reusing" in capsys.readouterr().out
    assert written == {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert runs.load_run(run.name).summary == run.summary
    with pytest.raises(FileNotFoundError, match="no finished run"):
        runs.load_run("infonce-none-seed0-00000000")

    folder = records.record("demo", [run])
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in kept} == {"config.json", "metrics.csv", "summary.json", "curves.png", "README.md"}
    text = (folder / "README.md").read_text(encoding="utf-8") + (folder / run.name / "summary.json").read_text()
    assert str(tmp_path) not in text
    assert "untrained encoder" in text
