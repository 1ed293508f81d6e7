import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from experiments import lock
from experiments.ssl import runs
from experiments.ssl.config import load_preset

pytest.importorskip("fcntl")

HOLD = """
import pathlib, sys
from experiments.lock import machine
with machine(sys.argv[1], pathlib.Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [("training", "training", False), ("benchmark", "training", True), ("training", "benchmark", True)],
)
def test_trainings_share_the_machine_and_a_benchmark_has_it_alone(first, second, waits, tmp_path, capsys, monkeypatch):
    command = [sys.executable, "-c", HOLD, first, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        released = []

        def sleep(_):
            released.append(True)
            other.stdin.close()  # the other ends, and its lock with it
            other.wait(10)

        monkeypatch.setattr(lock, "time", SimpleNamespace(sleep=sleep))
        with lock.machine(second, tmp_path):
            pass
        assert bool(released) == waits
        if not waits:
            other.stdin.close()
        assert other.wait(10) == 0
    text = capsys.readouterr().out
    assert (f"Waiting for the machine: {first} by process {other.pid}." in text) == waits


def test_who_asks_for_a_run_in_training_waits_and_takes_it(tmp_path, monkeypatch):
    """Two callers, one training: the second finds the run complete when its turn comes."""
    monkeypatch.setattr(runs, "RESULTS", tmp_path)
    monkeypatch.setattr(runs, "_complete", lambda run: (run.folder / "summary.json").exists())
    started, trained = threading.Event(), []

    def carry_out(run, *_):
        trained.append(run.name)
        started.set()
        time.sleep(0.5)
        run.folder.mkdir()
        (run.folder / "summary.json").write_text("{}")
        return run

    monkeypatch.setattr(runs, "_carry_out", carry_out)
    config = load_preset("smoke", "infonce")
    with ThreadPoolExecutor(2) as two:
        first = two.submit(runs.find_or_train, config)
        assert started.wait(10)
        second = two.submit(runs.find_or_train, config)
        assert first.result().folder == second.result().folder
    assert len(trained) == 1
