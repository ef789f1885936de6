"""Imports run down only: from higher floors to lower, never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygraph

PACKAGE = Path(tinygraph.__file__).parent
ENGINE = ("tensor.py", "op.py", "grad.py")

# Floor of each module, or of each package whose modules share one.
FLOORS = {
    "context": 0, "errors": 0, "later": 0,
    "tensor": 1, "graph": 1,
    "dispatch": 2, "device": 2, "rows": 1, "summand": 2, "render": 2, "rewrite": 2, "optim": 2,
    "op": 3, "variadic": 3,
    "fused.backend": 3, "fused.crew": 3, "fused.instructions": 3,  # below the ops that go through them
    "fused.convolution": 4,
    "ops.elementwise": 4, "ops.shape": 4,
    "ops.reduce": 5, "ops.linear": 5, "ops.window": 5, "ops": 5,
    "walk": 6, "grad": 6, "trace": 6,
    "fusion": 7, "functional": 7, "functions": 7, "profiling": 7, "pathways": 7,
    "fused": 8,
    "check": 9, "comparison": 9, "certificate": 9, "drawing": 9,
    "nn": 10, "data": 10,
    "checkpoint": 11, "nets": 11, "training": 11, "": 12,
    "bench": 13,
    "cli": 14, "__main__": 14,
}  # fmt: skip


def name_of(file: Path) -> str:
    """Name of a module within the package: ``ops.reduce``; the package itself is ''."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def floor(module: str) -> int:
    """Floor of a module: its own, or that of the package it is in."""
    name = module
    while name not in FLOORS and "." in name:
        name = name.rpartition(".")[0]
    assert name in FLOORS, f"tinygraph.{module} has no floor: give it one in FLOORS, above all that it imports"
    return FLOORS[name]


def imports(module: str) -> Iterator[tuple[str, int]]:
    """The modules of the package that a module imports, with line numbers; what only type checkers see is left out."""

    def visit(node: ast.AST) -> Iterator[tuple[str, int]]:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"tinygraph.{module}, line {node.lineno}: write the import in full"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            found = []
        for name in found:
            path = name.split(".")
            if path[0] == "tinygraph":
                inside = [".".join(path[1:n]) for n in range(len(path), 0, -1)]
                yield next(m for m in inside if m in MODULES), node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    return visit(ast.parse(MODULES[module].read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down(module):
    for other, line in imports(module):
        assert floor(other) <= floor(module), (
            f"tinygraph/{MODULES[module].relative_to(PACKAGE)}:{line} imports tinygraph.{other}, "
            f"of floor {floor(other)}, from floor {floor(module)}"
        )


def test_no_circles():
    """On one floor, too, imports have an order."""
    below = {module: {other for other, _ in imports(module)} - {module} for module in MODULES}
    while free := [module for module, others in below.items() if not others]:
        for module in free:
            del below[module]
        for others in below.values():
            others -= set(free)
    assert not below, f"these import each other, or hang on a circle: {below}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.partition(".")[0] == "render"])
def test_a_renderer_reads_the_graph_and_knows_no_engine(module):
    allowed = {"graph", "rewrite", "errors"}
    assert {other for other, _ in imports(module) if other.partition(".")[0] != "render"} <= allowed


@pytest.mark.parametrize("module", MODULES)
def test_each_file_opens_with_its_rule(module):
    opening = ast.get_docstring(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    assert opening, f"tinygraph.{module} has no docstring"
    assert opening.splitlines()[0].endswith((".", ":", ";")) or len(opening.splitlines()) > 1


def test_the_engine_is_small():
    lines = {name: len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) for name in ENGINE}
    assert sum(lines.values()) < 600, f"the engine has grown: {lines}"


def test_the_table_names_no_module_that_is_gone():
    assert not FLOORS.keys() - MODULES.keys()


def test_the_documentation_has_the_same_table():
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", text, re.MULTILINE)
    names = [(name, int(n)) for n, cell in rows for name in re.findall("`(.*?)`", cell)]
    told = {name.removesuffix("/*").replace("/", "."): n for name, n in names}
    assert told == {name: n for name, n in FLOORS.items() if name not in ("", "ops", "__main__")}
