"""Each floor imports only from floors above it, and the library from nothing that plots or runs experiments."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FLOORS = [
    "_check",
    "kernels",
    "features",
    "dependence",
    "information",
    "independence",
    "objectives",
    "analysis",
    "sklearn",
]
OUTSIDE = {"matplotlib", "pandas", "IPython", "experiments", "paper_figures", "notebooks", "tests"}
CORE = {"jax", "equinox", "jaxtyping", "numpy", "scipy", "kerneldep"}
OPTIONAL = {"numba", "optax", "sklearn", "tqdm"}
"""Extras, imported inside the functions that need them."""
ADAPTERS = {"sklearn.py": "sklearn", "independence/compiled.py": "numba"}
"""Modules that nothing in kerneldep imports may import the package they adapt to: its classes are their bases."""


def imports(path: pathlib.Path) -> list[tuple[str, bool]]:
    """Absolute names of the modules a file imports, and whether it does so at module level."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    package = path.relative_to(ROOT).with_suffix("").parts
    package = package[:-1]  # of the file's own package, also for __init__
    found = []
    for node in ast.walk(tree):
        top = id(node) not in inside
        if isinstance(node, ast.Import):
            found += [(alias.name, top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            # `from . import x` may name a module.
            found += [(module, top)] if node.module else [(f"{module}.{alias.name}", top) for alias in node.names]
    return found


def files(folder: str) -> list[pathlib.Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("kerneldep"), ids=lambda path: str(path.relative_to(ROOT)))
def test_floors(path):
    parts = path.relative_to(ROOT / "kerneldep").with_suffix("").parts
    own = (
        FLOORS.index(parts[0]) if parts[0] in FLOORS else len(FLOORS)
    )  # the package's own __init__ is the ground floor
    for module, top in imports(path):
        name, *rest = module.split(".")
        assert name not in OUTSIDE, f"{path.name} imports {module}"
        if name == "kerneldep":
            assert not rest or rest[0] in FLOORS, f"{path.name} imports {module}, which is on no floor"
            assert not rest or FLOORS.index(rest[0]) <= own, f"{path.name} imports {module} from below"
            assert not rest or f"{rest[0]}.py" not in ADAPTERS, f"{path.name} imports the adapter {module}"
        elif name in OPTIONAL:
            adapts = ADAPTERS.get(str(path.relative_to(ROOT / "kerneldep"))) == name
            assert adapts or not top, f"{path.name} imports {module} at module level"
        elif name not in CORE:
            assert name in __import__("sys").stdlib_module_names, f"{path.name} imports {module}"


@pytest.mark.parametrize("folder", ["experiments", "kerneldep"])
def test_nothing_imports_figures_or_notebooks(folder):
    assert files(folder)
    for path in files(folder):
        for module, _ in imports(path):
            assert module.split(".")[0] not in {"paper_figures", "notebooks", "tests"}, f"{path} imports {module}"
