"""The public names: all there, all documented, each with an example, and importing them is light."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import tinygraph

HIDDEN = {
    "abs",
    "compile",
    "divmod",
    "max",
    "min",
    "pow",
    "round",
    "sum",
}  # public, and not in ``__all__``: these are Python's
NAMES = sorted(set(tinygraph.__all__) - {"OPS", "fused"} | HIDDEN)
MODULES = (
    "bench",
    "fused",
    "nn",
    "nn.module",
    "nn.functional",
    "nn.init",
    "nn.utils",
    "nn.parametrizations",
    "optim",
    "optim.swa_utils",
    "data",
    "linalg",
    "fft",
    "nets",
    "checkpoint",
    "training",
)
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Source):(.*)$", re.M)


def public() -> Iterator[tuple[str, Any]]:
    """Yield every public function and class, with its path; an error class needs no arguments."""
    yield from ((name, getattr(tinygraph, name)) for name in NAMES)
    for path in MODULES:
        module = importlib.import_module(f"tinygraph.{path}")
        for name in module.__all__:
            thing = getattr(module, name)
            if not inspect.ismodule(thing) and (path == "fused" or name not in NAMES):
                yield f"{path}.{name}", thing


PUBLIC = {
    path: thing
    for path, thing in public()
    if callable(thing) and not (inspect.isclass(thing) and issubclass(thing, Exception))
}
METHODS = {  # of the parts of a net, which users call and override
    f"{path}.{name}": method
    for path, thing in PUBLIC.items()
    if inspect.isclass(thing) and path.startswith("nn.")
    for name, method in vars(thing).items()
    if inspect.isfunction(method) and not name.startswith("_")
}


def sections(thing: Any) -> dict[str, str]:
    """The sections of a docstring by title, the text before them under ''; a class has its own docstring."""
    text = inspect.cleandoc((vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or "")
    found, title = {"": ""}, ""
    for line in text.partition(">>>")[0].splitlines():
        if (head := SECTION.match(line)) and not line.startswith(" "):
            title = head[1]
            found[title] = f"    {head[2].strip()}\n" if head[2].strip() else ""
        elif title and line and not line.startswith(" "):
            title = ""
        else:
            found[title] += f"{line}\n"
    return found


def entries(section: str) -> list[str]:
    """What stands before the colon of each entry of a section."""
    return [line.partition(":")[0].strip() for line in section.splitlines() if re.match(r"    \S", line)]


def arguments(thing: Any) -> list[str]:
    """The names of a callable's arguments."""
    return [name for name in inspect.signature(thing).parameters if name != "self"]


def raises(thing: Any) -> bool:
    """Whether a function raises in its own body, and not only in what it calls."""
    function: Callable[..., Any] = inspect.unwrap(getattr(getattr(thing, "op", thing), "function", thing))
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


def returns(thing: Any) -> bool:
    """Whether a function is annotated to return something."""
    return inspect.signature(thing).return_annotation not in ("None", None, inspect.Signature.empty)


def test_public_names_are_introduced():
    wrong = []
    for name, thing in PUBLIC.items():
        first = sections(thing)[""].partition("\n")[0]
        if not first or not (first[0].isupper() or name in ("hvp", "jvp", "vjp")):
            wrong.append(f"{name} has no first sentence: {first!r}")
        if ">>>" not in (thing.__doc__ or ""):
            wrong.append(f"{name} has no example")
    assert wrong == []


def undescribed(name: str, thing: Any) -> Iterator[str]:
    """What the docstring of a callable leaves out: arguments, results, errors."""
    found = sections(thing)
    wanted, given = arguments(thing), entries(found.get("Args", found.get("Attributes", "")))
    given = [entry.partition(" (")[0].strip("\\*") for entry in given]
    if given != wanted and ("Args" in found or not set(wanted) <= set(given)):
        yield f"{name} describes {given} of {wanted}"
    told = not inspect.isfunction(thing) or not returns(thing) or found.keys() & {"Returns", "Yields"}
    if not told and (wanted or name in PUBLIC):
        yield f"{name} does not say what it returns"
    if inspect.isfunction(thing) and name in PUBLIC and raises(thing) and "Raises" not in found:
        yield f"{name} does not say when it raises"


def test_arguments_results_and_errors_are_described():
    assert [text for name, thing in (PUBLIC | METHODS).items() for text in undescribed(name, thing)] == []


def test_star_import_leaves_builtins_alone():
    assert not set(tinygraph.__all__) & set(dir(builtins))


def test_all_is_complete():
    of = {n: getattr(tinygraph, n) for n in dir(tinygraph) if not n.startswith("_")}
    public = {n for n, v in of.items() if not inspect.ismodule(v)} - HIDDEN
    assert public == set(tinygraph.__all__) - {"fused"}


def test_import_loads_no_extra():
    """What draws, compares or trains, and what it stands on, is loaded only when used."""
    extras = {"graphviz", "numba", "matplotlib", "cupy", "torch", "pygraphviz", "tinygraph.graph", "tinygraph.nn"}
    code = f"import sys, tinygraph; print(*{extras} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
