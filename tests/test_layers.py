"""Imports run down only: from later folders to earlier ones, never in a circle; and the files show the architecture."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path

import tinygraph

PACKAGE = Path(tinygraph.__file__).parent

# The story in its order: a folder imports what stands before it, and nothing after. `bench` and `cli` may import all.
FOLDERS = (
    "engine", "kernels", "ops", "autodiff", "functions", "graph", "fused", "drawing", "exchange", "verify", "sums",
    "compiler", "teach", "nn", "optim", "train", "bench", "cli",
)  # fmt: skip
ALIASES = (
    "data",
    "fft",
    "linalg",
    "nets",
    "checkpoint",
    "training",
    "moved",
)  # public paths of modules in `train`, and old paths
ENGINE_LINES = 1300
BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)  # what statements lie in


def name_of(file: Path) -> str:
    """Name of a module within the package: ``ops.reduce``; the package itself is ''."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def floor(module: str) -> int:
    """Place of a module's folder in the story; `tinygraph` itself and its aliases stand between train and bench."""
    folder = module.partition(".")[0]
    if folder in ("", *ALIASES):
        return FOLDERS.index("bench") - 1
    if folder == "__main__":
        return len(FOLDERS)
    assert folder in FOLDERS, f"tinygraph.{module} is in no folder of the story: move it, or give its folder a place"
    return FOLDERS.index(folder)


@functools.cache
def syntax(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@functools.cache
def imports(module: str) -> list[tuple[str, int]]:
    """The modules of the package that a module imports, with line numbers; what only type checkers see is left out."""

    modules: list[tuple[str, int]] = []
    left: list[ast.AST] = [syntax(module)]
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"tinygraph.{module}, line {node.lineno}: write the import in full"
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            left += [child for child in ast.iter_child_nodes(node) if isinstance(child, BLOCKS)]
            continue
        for name in found:
            path = name.split(".")
            if path[0] == "tinygraph":
                inside = [".".join(path[1:n]) for n in range(len(path), 0, -1)]
                modules.append((next(m for m in inside if m in MODULES), node.lineno))
    return modules


def test_imports_run_down():
    wrong = [
        f"tinygraph/{MODULES[module].relative_to(PACKAGE)}:{line} imports tinygraph.{other}, which stands above it"
        for module in MODULES
        for other, line in imports(module)
        if floor(other) > floor(module)
    ]
    assert not wrong


def test_no_circles():
    """Within a folder, too, imports have an order."""
    below = {module: {other for other, _ in imports(module)} - {module} for module in MODULES}
    while free := [module for module, others in below.items() if not others]:
        for module in free:
            del below[module]
        for others in below.values():
            others -= set(free)
    assert not below, f"these import each other, or hang on a circle: {below}"


def test_every_folder_has_a_place():
    assert {d.name for d in PACKAGE.iterdir() if (d / "__init__.py").exists()} == set(FOLDERS)


def test_the_ground_floor_needs_numpy_alone():
    import_lines = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)
    found = {
        name
        for file in (PACKAGE / "engine").glob("*.py")
        for name in import_lines.findall(file.read_text(encoding="utf-8"))
    }
    import sys

    assert found - set(sys.stdlib_module_names) <= {"numpy", "tinygraph", "cupy", "cupyx"}  # CuPy where it is asked for


def test_a_renderer_reads_the_graph_and_knows_no_engine():
    renderers = [m for m in MODULES if re.match(r"drawing\.(layout|style|formats)\b", m)]
    assert renderers
    for module in renderers:
        for other, line in imports(module):
            known = re.match(r"(drawing|graph)\b|engine\.(errors|lazy_import)$", other)
            assert known, f"{module}:{line} imports {other}"


def test_each_file_opens_with_its_rule():
    for module in MODULES:
        opening = ast.get_docstring(syntax(module))
        assert opening, f"tinygraph.{module} has no docstring"
        assert opening.splitlines()[0].endswith((".", ":", ";")) or len(opening.splitlines()) > 1, module


def test_the_engine_is_small():
    files = [file for folder in ("engine", "autodiff") for file in (PACKAGE / folder).rglob("*.py")]
    lines = {str(file.relative_to(PACKAGE)): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert sum(lines.values()) < ENGINE_LINES, f"the engine has grown to {sum(lines.values())} lines: {lines}"


def test_the_documentation_has_the_same_folders():
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)) == FOLDERS


def test_no_module_hides_a_public_function():
    """``import tinygraph.draw`` would put the module in the function's place."""
    for module in MODULES:
        if module not in ("", "__main__"):
            importlib.import_module(f"tinygraph.{module}")
    hidden = [n for n in tinygraph.__all__ if inspect.ismodule(getattr(tinygraph, n)) and n != "fused"]
    assert not hidden
    public = set(tinygraph.__all__) - {"fused"}
    from tinygraph.moved import MOVED

    assert not public & {name.split(".")[0] for name in (*MODULES, *(old.removeprefix("tinygraph.") for old in MOVED))}
