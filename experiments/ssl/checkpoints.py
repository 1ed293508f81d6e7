"""Checkpoints that survive a kill: written whole or not at all, and known by their hash when damaged.

A file is one line of JSON (what it is of, lengths), the state's leaves, the metrics so far, and the SHA-256 of all
that. The order of images and all random draws are functions of the seed and the step, so they are not in it.
"""

import hashlib
import io
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

FORMAT = 1
KEPT = 2
PATIENCE_S = 1.0
DIGEST = hashlib.sha256().digest_size
Metrics = dict[str, np.ndarray]


class Damaged(RuntimeError):
    """A checkpoint whose contents are not those that were written."""


class Resumed(NamedTuple):
    """What a checkpoint holds."""

    state: Any
    metrics: Metrics
    observations: Metrics
    progress: dict[str, Any]  # "step", "seconds" and "cpu_seconds" so far, "starts": steps at which processes began


class Checkpoints:
    """The last two checkpoints of one run, in a folder of their own.

    Args:
        folder: Made when the first is written.
        config_hash: Of the run; checkpoints of another are refused.
    """

    def __init__(self, folder: Path, config_hash: str) -> None:
        self.folder, self.config_hash = folder, config_hash

    def files(self) -> list[Path]:
        """All there are, the newest first."""
        return sorted(self.folder.glob("step-*.checkpoint"), reverse=True)

    def write(self, state: Any, metrics: Metrics, observations: Metrics, progress: dict[str, Any]) -> Path:
        """Writes one beside the others, moves it into place, and removes all but the last two."""
        parts = [_leaves(state), _arrays(metrics), _arrays(observations)]
        header = {"format": FORMAT, "config": self.config_hash, "lengths": [len(part) for part in parts], **progress}
        body = b"".join([json.dumps(header).encode() + b"\n", *parts])
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{progress['step']:09d}.checkpoint"
        temporary = self.folder / f".{path.name}"  # one process writes; a kill's leftover is overwritten or cleared
        with temporary.open("wb") as file:
            file.write(body)
            file.write(hashlib.sha256(body).digest())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(self.folder)
        for old in self.files()[KEPT:]:
            old.unlink()
        return path

    def latest(self, like: Any) -> Resumed | None:
        """The newest sound checkpoint, or None; a damaged one is reported and the one before it taken.

        Args:
            like: A state of the same structure, shapes and types.

        Raises:
            ValueError: If a checkpoint is of another configuration.
        """
        for path in self.files():
            try:
                return self._read(path, like)
            except Damaged as error:
                warnings.warn(f"{error} The checkpoint before it is used, or the start.", stacklevel=2)
        return None

    def remove(self) -> None:
        """Removes all checkpoints, and what an interrupted write left."""
        if self.folder.exists():
            for path in (*self.folder.glob("step-*.checkpoint"), *self.folder.glob(".step-*.checkpoint")):
                path.unlink()
            self.folder.rmdir()

    def _read(self, path: Path, like: Any) -> Resumed:
        header, content = read_header(path)
        if header["config"] != self.config_hash or header["format"] != FORMAT:
            raise ValueError(
                f"{path} is of the configuration {header['config']} (format {header['format']}), not of "
                f"{self.config_hash} (format {FORMAT}): resume with the configuration it was made with, or start anew."
            )
        first, second, _ = header["lengths"]
        parts = content[:first], content[first : first + second], content[first + second :]
        try:
            arrays, rest = eqx.partition(like, eqx.is_array)
            state = eqx.combine(eqx.tree_deserialise_leaves(io.BytesIO(parts[0]), arrays), rest)
        except (RuntimeError, ValueError, TypeError, EOFError) as error:
            raise ValueError(
                f"{path} holds a state of another structure, written by another version: {error}"
            ) from error
        progress = {name: header[name] for name in ("step", "seconds", "cpu_seconds", "starts")}
        return Resumed(state, _dictionary(parts[1]), _dictionary(parts[2]), progress)


def read_header(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header and what follows it.

    Raises:
        Damaged: If the contents do not have the hash they end with.
    """
    content = path.read_bytes()
    body, digest = content[:-DIGEST], content[-DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise Damaged(f"{path} is damaged: its {len(content)} bytes do not have the SHA-256 they end with.")
    header, rest = body.split(b"\n", 1)
    return json.loads(header), rest


class Interrupted(SystemExit):
    """Training stopped at a signal after writing a checkpoint; the exit status is 128 + the signal's number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(128 + number)
        self.message = message
        print(message, file=sys.stderr, flush=True)  # a SystemExit with a number says nothing

    def __str__(self) -> str:
        return self.message


class Signals:
    """The first SIGINT or SIGTERM since `caught` began, as `number`, and its time; 0 if there was none."""

    number: int = 0
    time: float = 0.0


@contextmanager
def caught() -> Iterator[Signals]:
    """Notes SIGINT and SIGTERM in place of dying at once; one that comes more than a second later acts as usual.

    Signals reach the main thread alone: elsewhere this does nothing.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        if not signals.number:
            signals.number, signals.time = number, time.monotonic()
        elif time.monotonic() - signals.time > PATIENCE_S:  # `timeout` sends its signal twice at once
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield signals
    finally:
        restore()


def _leaves(tree: Any) -> bytes:
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, jax.device_get(eqx.filter(tree, eqx.is_array)))
    return file.getvalue()


def _arrays(arrays: Metrics) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _dictionary(content: bytes) -> Metrics:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _sync_folder(folder: Path) -> None:
    """The new name itself, which is the folder's, reaches the disk."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
