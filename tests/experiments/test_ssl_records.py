"""Tables, records, comparisons, suites and sweeps, from runs that are made up: nothing here trains."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.ssl import compare, records, runs, suites, sweep
from experiments.ssl.config import PRESETS, Config, ObjectiveConfig, load_preset
from experiments.ssl.log import TrainingDiverged
from experiments.ssl.objectives import make_objective
from experiments.ssl.tables import labels, margins, mean_deviation, table
from kerneldep.objectives import objective_names
from tests.experiments.made_up import made_up_run


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RESULTS", tmp_path / "results" / "runs")
    monkeypatch.setattr(records, "RECORDS", tmp_path / "records")
    return tmp_path


def config(objective="infonce", seed=0, **parameters):
    base = load_preset("cpu-quick", objective, seed)
    return replace(base, objective=ObjectiveConfig(objective, base.objective.parameters | parameters))


def test_labels_say_what_differs(folders):
    made = [
        made_up_run(runs.RESULTS, one, 0.4)
        for one in (config("ssl_hsic"), config("ssl_hsic", gamma=1.0, target="ema"), config("infonce", seed=1))
    ]
    names = labels(made)
    assert [names[run.name] for run in made] == [
        "ssl_hsic, gamma 3, target by default",
        "ssl_hsic, gamma 1, target ema",
        "infonce",
    ]
    assert list(labels(made[:1]).values()) == ["ssl_hsic"]
    other = made_up_run(runs.RESULTS, load_preset("smoke", "infonce"), 0.4)
    assert labels([made[2], other]) == {made[2].name: "infonce, cpu-quick", other.name: "infonce, smoke"}


def test_a_table_has_means_and_deviations_over_seeds(folders):
    made = [
        made_up_run(runs.RESULTS, config(seed=seed), 0.4 + 0.01 * seed, untrained=0.3 + 0.02 * seed)
        for seed in (0, 1, 2)
    ]
    header, *rows = table(made)
    assert header == [
        "representation",
        "images",
        "k-NN %",
        "weighted k-NN, k = 20 %",
        "linear %",
        "linear from 1 % of the labels, %",
    ]
    test = [row for row in rows if row[1] == "test"]
    assert [row[0] for row in test] == ["raw pixels (digits)", "untrained encoder (digits)", "infonce (digits)"]
    assert test[2][2:] == ["41.0 ± 1.0", "42.0 ± 1.0", "46.0 ± 1.0", "31.0 ± 1.0"]
    assert test[1][2] == "32.0 ± 2.0"
    assert test[0][2] == "25.0"  # of the images alone
    assert margins(made)[1] == "infonce (digits), test: +9.0 points k-NN, +9.0 linear above the better baseline"
    assert mean_deviation([]) == "–"


def test_margins_are_over_the_same_encoder_before_training(folders):
    narrow, base = config(), config("ssl_hsic")
    wide = replace(base, model=replace(base.model, widths=(64, 128)))
    made = [
        made_up_run(runs.RESULTS, narrow, 0.40, untrained=0.30),
        made_up_run(runs.RESULTS, wide, 0.50, untrained=0.45),
    ]
    assert {line.split(" points")[0].rsplit(" ", 1)[-1] for line in margins(made)} == {"+5.0", "+10.0"}
    rows = {row[0]: row[2] for row in table(made)[1:] if row[1] == "test"}
    assert rows["untrained encoder, cpu-quick, widths [64, 96] (digits)"] == "30.0"
    assert rows["untrained encoder, cpu-quick, widths [64, 128] (digits)"] == "45.0"


def test_margins_are_over_the_baselines_of_the_same_preset(folders):
    small = made_up_run(runs.RESULTS, config(), 0.40, untrained=0.30)
    large = made_up_run(runs.RESULTS, load_preset("cpu-15min", "infonce"), 0.50, untrained=0.45)
    assert [line for line in margins([small, large]) if ", test:" in line] == [
        "infonce, cpu-15min (digits), test: +5.0 points k-NN, +5.0 linear above the better baseline",
        "infonce, cpu-quick (digits), test: +10.0 points k-NN, +10.0 linear above the better baseline",
    ]


def test_a_record_holds_what_is_needed_and_nothing_of_this_machine(folders):
    made = [made_up_run(runs.RESULTS, config(objective), 0.4, observed=True) for objective in ("infonce", "ssl_hsic")]
    folder = records.record("demo", made)
    kept = {path.name for path in (folder / made[0].name).iterdir()}
    assert kept == {"config.json", "summary.json", "metrics.csv", "observations.csv"}
    assert len((folder / made[0].name / "metrics.csv").read_text().splitlines()) == 251
    assert (folder / made[0].name / "observations.csv").read_text() == (made[0].folder / "observations.csv").read_text()
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "`python -m experiments.ssl suite demo --record` made this: 2 runs on 1,234 images of digits" in text
    assert "seed 0, 12 s a run on average, 20 s of all processor cores together (2 cores), commit abc." in text
    assert str(folders) not in text
    first = (folder / "curves.png").read_bytes()
    records.record("demo", made[:1], "another command")
    assert not (folder / made[1].name).exists()
    assert records.record("demo", made) == folder
    assert (folder / "curves.png").read_bytes() == first  # the same runs, the same bytes


def test_a_record_says_how_fast_a_device_was(folders):
    (run,) = [made_up_run(runs.RESULTS, config("infonce"), 0.4)]
    rates = {"images_per_second": 1e4, "flops_per_image": 6.5e9, "flops_per_second": 6.5e13, "share_of_matmul": 0.125}
    rates |= {"train_seconds": 99.6, "evaluate_seconds": 20.2}
    (run.folder / "summary.json").write_text(json.dumps(run.summary | rates))
    text = (records.record("demo", [run]) / "README.md").read_text(encoding="utf-8")
    assert (
        "- infonce, seed0: 100 s of training and 20 s of evaluation; 10,000 images/s, 6.5 GFLOP each: 65,000 GFLOP/s, "
        "12.5% of the device's own rate of matrix products in float32 after the run"
    ) in text


def test_comparison_of_runs_by_name_beginning_and_pattern(folders):
    made = [made_up_run(runs.RESULTS, config(seed=seed), 0.4 + 0.01 * seed, observed=seed == 0) for seed in (0, 1)]
    recorded = made_up_run(records.RECORDS / "old", config("ssl_hsic"), 0.5)
    assert {run.name for run in compare.find(["infonce-cpu-quick", "ssl*seed0-*"])} == {
        *(run.name for run in made),
        recorded.name,
    }
    assert [run.folder for run in compare.find([made[1].name])] == [made[1].folder]
    with pytest.raises(ValueError, match="No finished run fits 'byol'; there are infonce"):
        compare.find(["byol"])
    folder = compare.compare(["infonce", "ssl_hsic"])
    assert folder.parent == folders / "results" / "comparisons"
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["k-NN %"] for row in rows if row["representation"] == "infonce (digits)"] == ["40.5 ± 0.7"] * 2
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"- ssl_hsic: `{recorded.name}`" in text
    assert (folder / "figure.png").stat().st_size > 5_000


def test_a_suite_goes_on_after_what_is_done_and_records_as_it_goes(folders, monkeypatch, capsys):
    asked, recorded = [], []

    def find_or_train(one, *, force):
        asked.append(one.name)
        if one.objective.name == "byol":
            raise TrainingDiverged("byol: step 3 has a loss that is not finite", {})
        folder = runs.RESULTS / one.name
        return runs.Run(folder) if folder.exists() else made_up_run(runs.RESULTS, one, 0.4)

    monkeypatch.setattr(suites, "find_or_train", find_or_train)
    monkeypatch.setattr(suites.records, "record", lambda name, done: recorded.append((name, len(done))))
    monkeypatch.setitem(suites.SUITES, "demo", suites.Suite("cpu-quick", ("infonce", "byol", "ssl_hsic"), (0, 1)))
    done = suites.run_suite("demo", record=True)
    assert [run.name.split("-")[0] for run in done] == ["infonce", "ssl_hsic"] * 2
    assert recorded == [("demo", 1), ("demo", 2), ("demo", 3), ("demo", 4)]
    assert "Left out: byol: step 3" in capsys.readouterr().out
    assert [run.name for run in suites.run_suite("demo")] == [run.name for run in done]
    assert len(recorded) == 4


def test_the_quick_suites_are_those_that_make_runs():
    assert [one.name for one in suites.SUITES["quick"].configs()] == [
        load_preset("cpu-quick", objective).name for objective in ("ssl_hsic", "infonce")
    ]
    assert [one.seed for one in suites.SUITES["quick-3-seeds"].configs()] == [0, 0, 1, 1, 2, 2]
    assert {one.evaluation.every for one in suites.SUITES["b3"].configs()} == {39}


@pytest.mark.parametrize("name", suites.SUITES)
def test_suites_name_objectives_that_there_are(name):
    suite = suites.SUITES[name]
    assert set(suite.objectives) <= set(objective_names())
    assert (PRESETS / f"{suite.preset}.toml").exists()
    for one in suite.configs()[: len(suite.objectives)]:
        make_objective(one.objective)


@pytest.mark.parametrize("name", sweep.SWEEPS)
def test_sweeps_change_one_thing(name):
    found = sweep.SWEEPS[name].configs()
    assert len({one.name for _, one in found}) == len(found)
    for point, one in found:
        make_objective(one.objective)
        assert one.data.probe == ("heldout",)  # choices are never made on test images
        base = sweep.SWEEPS[name]._config("cpu-quick", sweep.Point(""), one.seed)
        changed = {**point.parameters, **point.training, **point.model}
        assert one == base or changed
        for part, changes in ((one.training, point.training), (one.model, point.model)):
            assert all(getattr(part, key) == value for key, value in changes.items())


def test_sweeps_share_their_runs():
    names = [one.name for each in sweep.SWEEPS.values() for _, one in each.configs()]
    assert len(names) == 80
    assert len(set(names)) == 67  # the budget: what is in several sweeps is trained once
    base = load_preset("cpu-quick", "ssl_hsic").objective.parameters
    assert base == {"gamma": 3.0, "scale": 0.5}  # as the notes of the sweeps say


def test_a_sweep_s_table_figure_and_readme(folders, monkeypatch):
    small = sweep.Sweep("γ", sweep._values("gamma", (0.5, 3.0, 10.0)), "linear", seeds=(0, 1), note="A note.")
    monkeypatch.setitem(sweep.SWEEPS, "demo", small)
    tables = []

    def find_or_train(one: Config, *, force):
        gamma = one.objective.parameters["gamma"]
        if gamma == 10 and one.seed == 1:
            raise TrainingDiverged("step 3", {})
        if (table := records.RECORDS / "sweeps" / "demo" / "table.csv").exists():
            tables.append(len(table.read_text().splitlines()) - 1)
        return made_up_run(runs.RESULTS, one, 0.4 + 0.01 * gamma + 0.02 * one.seed)

    monkeypatch.setattr(sweep, "resolved", lambda config: config)
    monkeypatch.setattr(sweep, "find_or_train", find_or_train)
    rows = sweep.run_sweep("demo")
    assert tables == [1, 2, 3, 4]  # written after each run
    assert np.isclose(float(rows[0]["knn"]), 40.5)
    assert sweep.by_value(rows, "knn") == {"0.5": [40.5, 42.5], "3": [43.0, 45.0], "10": [50.0]}
    folder = records.RECORDS / "sweeps" / "demo"
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| 0.5 | 41.5 ± 1.4 | 46.5 ± 1.4 |" in text
    assert "The loss stopped being finite: 10 (seed 1)." in text
    assert "5 runs of 6 epochs on 1,234 images of digits" in text
    assert "2 seeds, mean ± standard deviation" in text
    assert (folder / "figure.png").stat().st_size > 5_000
    with (folder / "table.csv").open(encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))
    assert [(row["value"], row["seed"]) for row in kept] == [
        ("0.5", "0"),
        ("3", "0"),
        ("10", "0"),
        ("0.5", "1"),
        ("3", "1"),
        ("10", "1"),
    ]
    assert kept[-1]["knn"] == ""
