"""Samples spread over devices, in processes of their own: value and gradient are those of one device."""

import os
import socket
import subprocess
import sys


def started(*arguments: int) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-m", "tests.dependence.on_devices", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finish(process: subprocess.Popen) -> None:
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert output.strip().endswith("same")


def test_eight_devices():
    finish(started(8))


def test_two_processes():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = [started(1, 2, index, port) for index in range(2)]
    for process in processes:
        finish(process)
