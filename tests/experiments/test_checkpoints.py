"""Checkpoints: what is written comes back, damage is found, and a run in pieces is the run in one piece."""

import dataclasses
import os
import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.data import digits
from experiments.ssl import checkpoints as module
from experiments.ssl.checkpoints import Checkpoints, Damaged, Interrupted, caught, read_header
from experiments.ssl.config import config_hash, load_preset
from experiments.ssl.train import train
from kerneldep.objectives import SSLHSIC

STATE = (jnp.arange(3.0), {"count": jnp.asarray(7)}, "not an array", None)
METRICS = {"step": np.arange(2), "loss": np.asarray([0.5, np.inf], np.float32)}
SMOKE = load_preset("smoke", "ssl_hsic")
SPEED = {"seconds", "images_per_second"}  # all other metrics are the run's own


def written(folder, *steps):
    checkpoints = Checkpoints(folder / "checkpoints", "hash")
    for step in steps:
        progress = {"step": step, "seconds": 1.5, "cpu_seconds": 2.5, "starts": [0]}
        checkpoints.write((STATE[0] + step, *STATE[1:]), METRICS, {}, progress)
    return checkpoints


def test_what_is_written_comes_back_and_two_are_kept(tmp_path):
    checkpoints = written(tmp_path, 10, 20, 30)
    assert [path.name for path in checkpoints.files()] == ["step-000000030.checkpoint", "step-000000020.checkpoint"]
    found = checkpoints.latest(STATE)
    assert found is not None
    assert found.progress == {"step": 30, "seconds": 1.5, "cpu_seconds": 2.5, "starts": [0]}
    assert found.observations == {}
    assert found.state[2:] == STATE[2:]
    np.testing.assert_array_equal(found.state[0], STATE[0] + 30)
    for name, values in METRICS.items():
        np.testing.assert_array_equal(found.metrics[name], values, strict=True)
    checkpoints.remove()
    assert not checkpoints.folder.exists()
    assert checkpoints.latest(STATE) is None


@pytest.mark.parametrize("damage", ["one bit", "cut short", "empty"])
def test_a_damaged_checkpoint_is_found_and_the_one_before_it_used(tmp_path, damage):
    checkpoints = written(tmp_path, 10, 20)
    newest = checkpoints.files()[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes({"one bit": content, "cut short": content[: len(content) // 2], "empty": b""}[damage])
    with pytest.raises(Damaged, match="do not have the SHA-256"):
        read_header(newest)
    with pytest.warns(UserWarning, match=r"step-000000020\.checkpoint is damaged"):
        found = checkpoints.latest(STATE)
    assert found is not None
    assert found.progress["step"] == 10


def test_another_configuration_or_structure_is_refused(tmp_path):
    checkpoints = written(tmp_path, 10)
    with pytest.raises(ValueError, match="is of the configuration hash .* not of other"):
        Checkpoints(checkpoints.folder, "other").latest(STATE)
    with pytest.raises(ValueError, match="another structure"):
        checkpoints.latest((jnp.arange(4.0), *STATE[1:]))


def test_an_interrupted_write_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoints = written(tmp_path, 10)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, 20)
    assert len(list(checkpoints.folder.iterdir())) == 2  # with what was being written
    found = checkpoints.latest(STATE)
    assert found is not None
    assert found.progress["step"] == 10
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_first_signal_is_noted_and_a_later_one_acts(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 60)  # this machine may be busy
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background shells ignore it
    try:
        with caught() as signals:
            assert signals.number == 0
            # Raised in this thread: `os.kill` may be answered by another one, later.
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # at once: as good as the first
            assert signals.number == signal.SIGINT
            signals.time -= 61
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, inherited)


def test_twenty_steps_are_ten_and_ten_more_bit_for_bit(tmp_path, capsys):
    pytest.importorskip("sklearn")
    training = dataclasses.replace(SMOKE.training, epochs=5, batch_size=16, steps_per_call=5, ema_schedule="cosine")
    config = dataclasses.replace(SMOKE, training=training, evaluation=dataclasses.replace(SMOKE.evaluation, every=5))
    objective, images = SSLHSIC(target="ema", learn_scale=True), digits.load().train_images[:64]
    checkpoints = Checkpoints(tmp_path / "checkpoints", config_hash(config))

    def run(interrupt, **options):
        def observe(state):
            if interrupt and state.step == 10:
                os.kill(os.getpid(), signal.SIGTERM)
            return {"moment": float((state.network.projector.output**2).mean())}

        return train(config, objective, images, observe=observe, progress=False, **options)

    whole = run(False)
    with pytest.raises(Interrupted, match="stopped at step 10 of 20") as stopped:
        run(True, checkpoints=checkpoints)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert "run again to go on" in capsys.readouterr().err
    resumed = run(False, checkpoints=checkpoints)

    assert resumed.progress["starts"] == [0, 10]
    assert whole.observations["step"].tolist() == [0, 5, 10, 15, 20]
    for name, values in (whole.metrics | whole.observations).items():
        if name not in SPEED:
            np.testing.assert_array_equal((resumed.metrics | resumed.observations)[name], values, err_msg=name)
    for one, other in zip(
        *(jax.tree.leaves(eqx.filter((run.network, run.objective), eqx.is_array)) for run in (whole, resumed)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other, strict=True)
    # The last state is there too, for an evaluation that is interrupted.
    assert [path.name for path in checkpoints.files()] == ["step-000000020.checkpoint", "step-000000010.checkpoint"]
