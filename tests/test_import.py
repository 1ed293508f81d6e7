"""Importing kerneldep starts nothing, and what it offers is documented."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import kerneldep

MODULES = ["kerneldep", *(module.name for module in pkgutil.walk_packages(kerneldep.__path__, "kerneldep."))]

SCRIPT = """
import sys, time
import equinox, jax, jax.numpy, numpy  # what it builds on
start = time.perf_counter()
import kerneldep
seconds = time.perf_counter() - start
from jax._src import xla_bridge
arrays = [
    f"{name}.{key}"
    for name, module in list(sys.modules.items())
    if name.startswith("kerneldep")
    for key, value in vars(module).items()
    if isinstance(value, jax.Array)
]
heavy = {"matplotlib", "pandas", "sklearn", "optax"} & set(sys.modules)
print(xla_bridge.backends_are_initialized(), arrays, sorted(heavy), seconds)
"""


def test_import_starts_no_backend_makes_no_array_and_is_quick():
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    *state, seconds = done.stdout.split()
    assert state == ["False", "[]", "[]"]
    assert float(seconds) < 5  # a fraction of a second on an idle machine


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert len(inspect.getdoc(thing) or "") > 20, f"{name}.{public}"
