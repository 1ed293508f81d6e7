"""The command line, with tyro and on a machine without it."""

import csv

import pytest

from experiments.ssl import __main__ as command_line
from experiments.ssl import config, options
from experiments.ssl.config import load_preset
from experiments.ssl.records import RECORDS


@pytest.fixture(params=["tyro", "argparse"])
def parser(request, monkeypatch):
    if request.param == "argparse":
        monkeypatch.setattr(options, "tyro", None)
    return request.param


def parse(*args):
    return options.parse(command_line.COMMANDS, args)


def test_commands(parser):
    assert parse("train") == (command_line.Train(), [])
    command, rest = parse("train", "--objective", "byol", "--seed", "2", "--no-resume", "--training.epochs", "5")
    assert command == command_line.Train(objective="byol", seed=2, resume=False)
    assert rest == ["--training.epochs", "5"]
    assert parse("suite", "quick", "--force")[0] == command_line.Suite("quick", force=True)
    assert parse("sweep")[0] == command_line.Sweep("all")
    assert parse("sweep", "gamma", "--preset", "smoke")[0] == command_line.Sweep("gamma", preset="smoke")
    assert parse("compare", "a", "b*")[0].runs in (("a", "b*"), ["a", "b*"])
    assert parse("export", "a")[0] == command_line.Export("a")
    assert parse("summary")[0] == command_line.Summary()
    with pytest.raises(SystemExit):
        parse("suite")


def test_choices_change_a_preset(parser):
    base = load_preset("smoke", "infonce")
    changed = options.change(
        base, ["--training.epochs", "5", "--optimiser.learning-rate", "0.5", "--data.name", "cifar10"]
    )
    assert changed.training.epochs == 5
    assert changed.optimiser.learning_rate == 0.5
    assert changed.data.name == "cifar10"
    assert changed.model == base.model
    with pytest.raises(SystemExit):
        options.change(base, ["--training.nothing", "5"])
    with pytest.raises(SystemExit):
        options.change(base, ["--training.epochs", "0.5"])


def test_without_tyro_values_keep_their_types(monkeypatch):
    monkeypatch.setattr(options, "tyro", None)
    base = load_preset("smoke", "infonce")
    changed = options.change(
        base, ["--model.widths", "(4, 8)", "--model.projector-norm", "False", "--augment.blur", "1"]
    )
    assert changed.model.widths == (4, 8)
    assert changed.model.projector_norm is False
    assert isinstance(changed.augment.blur, float)
    with pytest.raises(SystemExit, match="pairs such as"):
        options.change(base, ["--training.epochs"])


def test_parameters_of_objectives(parser):
    base = load_preset("smoke", "ssl_hsic")
    args = ["--objective.parameters.gamma", "5", "--seed", "2", "--objective.parameters.num-features=64"]
    changed = options.change(base, [*args, "--objective.parameters.target", "ema"])
    assert changed.objective.parameters == {"gamma": 5.0, "scale": 0.5, "num_features": 64, "target": "ema"}
    assert isinstance(changed.objective.parameters["gamma"], float)
    assert changed.seed == 2
    with pytest.raises(SystemExit, match="needs a value"):
        options.change(base, ["--objective.parameters.gamma"])
    with pytest.raises(SystemExit, match=r"parameters.gamma is high: it must be like 3.0"):
        options.change(base, ["--objective.parameters.gamma", "high"])


def test_the_recorded_choices_can_be_made_again():
    with (RECORDS / "choices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {options.change(load_preset("cpu-quick", row["objective"]), row["options"].split()).name for row in rows}
    assert len(names) == len(rows) == 25


def test_several_values_without_tyro(monkeypatch):
    monkeypatch.setattr(options, "tyro", None)
    base = load_preset("smoke", "ssl_hsic")
    for text, probe in (("test", ("test",)), ("heldout,test", ("heldout", "test")), ("('test',)", ("test",))):
        assert options.change(base, ["--data.probe", text]).data.probe == probe
    assert options.change(base, ["--model.widths", "4,8"]).model.widths == (4, 8)
    for args, message in (
        (["--model.encoder", "resnet-18"], "encoder can be patches, pyramid, resnet18, not resnet-18"),
        (["--data.probe", "heldout,train"], "probe can be heldout, test, not train"),
        (["--training.epochs", "five"], "must be like 2"),
    ):
        with pytest.raises(SystemExit, match=message):
            options.change(base, args)


def test_choices_of_presets_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "PRESETS", tmp_path)
    (tmp_path / "mine.toml").write_text('[optimiser]\nname = "LARS"\n')
    with pytest.raises(ValueError, match="name can be adamw, sgd, lars, not LARS"):
        load_preset("mine", "ssl_hsic")


def test_wrong_names_are_explained():
    with pytest.raises(SystemExit, match="There is no suite 'slow'; there are quick"):
        command_line.main(["suite", "slow"])
    with pytest.raises(SystemExit, match="There is no sweep 'width'; there are all, gamma"):
        command_line.main(["sweep", "width"])
    with pytest.raises(SystemExit, match="Unknown options: --training.epochs 5"):
        command_line.main(["summary", "--training.epochs", "5"])
