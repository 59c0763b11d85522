"""The shape of the source: layers, cycles, sizes, docstrings, declared names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import s3gate

ROOT = Path(s3gate.__file__).parent
MODULES = {
    ".".join(["s3gate", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60

# A module may import from its own layer and from those named, which are below it. The longest prefix decides.
LAYERS = {
    "s3gate": set(),
    "s3gate.core": set(),
    "s3gate.durable": {"s3gate.core"},
    "s3gate.xml": {"s3gate.core"},
    "s3gate.identity": {"s3gate.core", "s3gate.durable"},
    "s3gate.telemetry": {"s3gate", "s3gate.core"},
    "s3gate.setting_types": {"s3gate.core", "s3gate.identity"},
    "s3gate.settings": {"s3gate.core", "s3gate.identity", "s3gate.setting_types"},
    "s3gate.setting_hints": {"s3gate.setting_types", "s3gate.settings"},
    "s3gate.config": {"s3gate.core", "s3gate.identity", "s3gate.setting_hints", "s3gate.settings"},
    "s3gate.auth": {"s3gate.core", "s3gate.xml", "s3gate.identity"},
    "s3gate.access": {"s3gate.core", "s3gate.xml", "s3gate.identity"},
    "s3gate.storage.backend": {"s3gate.core"},
    "s3gate.storage": {"s3gate.core", "s3gate.durable", "s3gate.identity", "s3gate.storage.backend"},
    "s3gate.jobs": set(),
    "s3gate.operations": {
        "s3gate.core",
        "s3gate.xml",
        "s3gate.identity",
        "s3gate.auth",
        "s3gate.access",
        "s3gate.storage.backend",
    },
}
LAYERS["s3gate.server"] = {
    *LAYERS["s3gate.operations"],
    "s3gate",
    "s3gate.jobs",
    "s3gate.operations",
    "s3gate.setting_hints",
    "s3gate.settings",
    "s3gate.telemetry",
}
LAYERS["s3gate.bootstrap"] = {*LAYERS["s3gate.server"], "s3gate.server", "s3gate.config", "s3gate.storage"}
LAYERS["s3gate.sidecar"] = {*LAYERS["s3gate.bootstrap"], "s3gate.bootstrap", "s3gate.durable"}
LAYERS["s3gate.cli"] = {*LAYERS["s3gate.sidecar"], "s3gate.sidecar"}
LAYERS["s3gate.__main__"] = {"s3gate.cli"}

each_module = pytest.mark.parametrize("name", MODULES)


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def layer_of(name: str) -> str:
    return max((layer for layer in LAYERS if name == layer or name.startswith(f"{layer}.")), key=len)


def imported(name: str) -> Iterator[str]:
    """The modules of the package that a module imports; a name from a package counts as its module if it is one."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "s3gate")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "s3gate":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree_of(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@each_module
def test_imports_run_downwards(name: str) -> None:
    own = layer_of(name)
    wrong = {other for other in imported(name) if layer_of(other) != own and layer_of(other) not in LAYERS[own]}
    assert not wrong


def test_every_module_belongs_to_a_layer_of_its_own() -> None:
    assert [name for name in MODULES if layer_of(name) == "s3gate" and name != "s3gate"] == []


def test_there_is_no_cycle() -> None:
    graph = {name: set(imported(name)) - {name} for name in MODULES}
    while free := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in free:
            del graph[name]
    assert sorted(graph) == []


@each_module
def test_imports_stand_at_the_top_and_are_absolute(name: str) -> None:
    inside = [
        node.lineno
        for function in functions(name)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    relative = [node.lineno for node in ast.walk(tree_of(name)) if isinstance(node, ast.ImportFrom) and node.level]
    assert inside == relative == []


@each_module
def test_a_module_says_in_a_line_what_it_holds(name: str) -> None:
    docstring = ast.get_docstring(tree_of(name))
    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


@each_module
def test_public_names_are_declared_and_declared_names_are_there(name: str) -> None:
    body = tree_of(name).body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    values, imports, exported = set(), set(), []
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            if "__all__" in names:
                assert node.value is not None
                exported += ast.literal_eval(node.value)
            values |= names
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imports |= {alias.asname or alias.name for alias in node.names}
    assert len(exported) == len(set(exported))
    assert set(exported) <= defined | values | imports
    if any(not item.startswith("_") for item in defined):
        assert exported


@each_module
def test_files_and_functions_are_short(name: str) -> None:
    assert len(MODULES[name].read_text().splitlines()) <= MAX_LINES
    long = [node.name for node in functions(name) if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES]
    assert long == []


def test_only_the_composition_root_names_the_store_it_serves() -> None:
    users = {name for name in MODULES for other in imported(name) if other == "s3gate.storage.filesystem.backend"}
    assert users <= {"s3gate.bootstrap", "s3gate.storage.filesystem.cold_backend"}


def test_only_one_module_parses_xml() -> None:
    users = {
        name
        for name in MODULES
        for node in ast.walk(tree_of(name))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lxml")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "lxml" for alias in node.names))
    }
    assert users <= {"s3gate.xml.codec"}
