"""Samples spread over devices, in processes of their own: value and gradient are those of one device."""

import socket
import subprocess
import sys

import pytest


def started(*arguments: int | str) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.dependence.on_devices", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen) -> str:
    """The last line it printed: "same", once every comparison held, or the error."""
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    return output.strip().splitlines()[-1] if process.returncode == 0 else output


@pytest.mark.parametrize("arguments", [(), pytest.param(("--all",), marks=pytest.mark.slow)], ids=["fewer", "all"])
def test_eight_devices(arguments):
    assert outcome(started(8, *arguments)) == "same"


@pytest.mark.slow
def test_two_processes():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = [started(1, 2, index, port) for index in range(2)]
    assert [outcome(process) for process in processes] == ["same", "same"]
