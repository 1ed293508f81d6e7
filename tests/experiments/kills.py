"""`kill -9` at random moments of training: what is lost, and that the run still ends as if nothing had happened.

    python -m tests.experiments.kills 50 --record       # writes kills.csv beside this file

One run is killed again and again; each process resumes from what the one before it left. Processes are forked before
JAX starts a device, which saves importing it each time, and share compiled programs.
"""

import argparse
import csv
import dataclasses
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

from experiments.ssl.checkpoints import Checkpoints, Damaged, read_header
from experiments.ssl.config import Config, EvaluationConfig, ModelConfig, TrainingConfig
from experiments.ssl.train import train
from kerneldep.objectives import InfoNCE

RECORD = Path(__file__).parent / "kills.csv"
EVERY, STEPS_PER_CALL, STEPS_PER_KILL = 10, 5, 60
BATCH, IMAGES = 8, 40
HEADER = ("kill", "asked at step", "last step", "checkpoint at step", "steps lost", "half-written", "damaged")


def config_of(steps: int) -> Config:
    """A network of a few hundred parameters: what is tested does not depend on it."""
    return Config(
        augment=dataclasses.replace(Config().augment, size=8),
        model=ModelConfig(widths=(4,), blocks=(0,), projector_hidden=4, projector_dim=4),
        training=TrainingConfig(steps * BATCH // IMAGES, BATCH, STEPS_PER_CALL, checkpoint_every=EVERY),
        evaluation=EvaluationConfig(every=1),
    )


def work(config: Config, checkpoints: Checkpoints, report: int) -> None:
    """A process's part: train on, say each call's last step, and at the end a hash of everything."""
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)

    def observe(state):
        os.write(report, f"{int(state.step)}\n".encode())
        return {"step so far": float(state.step)}

    trained = train(config, InfoNCE(), images, checkpoints=checkpoints, observe=observe, progress=False)
    whole = hashlib.sha256(trained.metrics["loss"].tobytes() + trained.observations["step so far"].tobytes())
    for leaf in jax.tree.leaves(eqx.filter(trained.network, eqx.is_array)):
        whole.update(np.asarray(leaf).tobytes())
    os.write(report, f"{whole.hexdigest()} {len(trained.progress['starts'])}\n".encode())


def start(config: Config, *all_checkpoints: Checkpoints) -> tuple[int, int]:
    """The process id of a new process that trains one run after another, and where it reports."""
    reports, report = os.pipe()
    process = os.fork()
    if process:
        os.close(report)
        return process, reports
    status = 1
    try:
        os.close(reports)
        for checkpoints in all_checkpoints:
            work(config, checkpoints, report)
        status = 0
    finally:
        os._exit(status)


def run_to_the_end(config: Config, *all_checkpoints: Checkpoints) -> list[list[str]]:
    """For each the hash at the end, and how many processes left a checkpoint."""
    process, reports = start(config, *all_checkpoints)
    with open(reports) as lines:
        ends = [line.split() for line in lines if " " in line]
    if os.waitpid(process, 0)[1]:
        raise SystemExit("training failed")
    return ends


def kill_once(config: Config, checkpoints: Checkpoints, at: int, delay: float) -> int:
    """Starts a process, kills it a moment after it reports step `at`, and returns the last step it reported."""
    process, reports = start(config, checkpoints)
    step = 0
    with open(reports) as lines:
        for line in lines:
            if " " in line:
                raise SystemExit("the run was over before the kill")
            step = int(line)
            if step >= at:
                time.sleep(delay)
                os.kill(process, signal.SIGKILL)
                break
        for line in lines:  # what it still said
            step = int(line.split()[0])
    os.waitpid(process, 0)
    return step


def look(checkpoints: Checkpoints) -> tuple[int, int, int]:
    """The step of the newest sound checkpoint, how many are half-written beside it, how many damaged."""
    found, damaged = 0, 0
    for path in checkpoints.files():
        try:
            found = max(found, read_header(path)[0]["step"])
        except Damaged:
            damaged += 1
    return found, len(list(checkpoints.folder.glob(".step-*"))), damaged


def main(kills: int, record: bool, seed: int) -> None:
    """Kills a run that often and checks that it loses at most `EVERY` finished steps each time, in the end none."""
    warnings.filterwarnings("ignore", message="os.fork")
    config, chance = config_of(kills * STEPS_PER_KILL), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", f"{folder}/compiled")
        jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of a short run
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        checkpoints, rows = Checkpoints(Path(folder, "killed"), "kills"), []
        before = 0
        for kill in range(kills):
            at = before + chance.randint(1, 2 * EVERY)
            step = kill_once(config, checkpoints, at, chance.uniform(0, 0.03))
            before, partial, damaged = look(checkpoints)
            rows.append((kill, at, step, before, step - before, partial, damaged))
            if step - before > EVERY or damaged:
                raise SystemExit(f"Too much is lost: {dict(zip(HEADER, rows[-1], strict=True))}")
        (resumed, *_), (whole, *_) = run_to_the_end(config, checkpoints, Checkpoints(Path(folder, "whole"), "kills"))
    if resumed != whole:
        raise SystemExit(f"After {kills} kills the run ends differently: {resumed} and not {whole}.")
    if record:
        with RECORD.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *rows])
    lost = [row[4] for row in rows]
    print(f"{kills} kills, at most {max(lost)} steps lost with checkpoints every {EVERY}, the same end bit for bit")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(main(**vars(parser.parse_args())))
