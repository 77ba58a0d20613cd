"""The modules build on each other, and not in a circle."""

from __future__ import annotations

import ast
import graphlib
import pathlib

import pytest

import zioflow

_SOURCE = pathlib.Path(zioflow.__file__).parent.parent


def _modules() -> dict[str, pathlib.Path]:
    """The package's modules by name; those of packages are their `__init__`."""
    found = {}
    for path in (_SOURCE / "zioflow").rglob("*.py"):
        parts = path.relative_to(_SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(name: str, path: pathlib.Path, modules: dict[str, pathlib.Path]) -> set[str]:
    """Those that a module names in any import: within functions and for types alone as well."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                within = f"{origin}.{alias.name}"
                found.add(within if within in modules else origin)
    return found & modules.keys()


def test_there_is_no_circle_of_imports():
    modules = _modules()
    graph = {name: _imports(name, path, modules) for name, path in modules.items()}
    assert "zioflow._core" in graph["zioflow.giver"]
    assert "zioflow.gateway" in graph["zioflow.native._gateway"]
    assert "zioflow.native" in graph["zioflow"]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))
