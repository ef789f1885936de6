"""What type checkers and editors know of the methods that ops install on Tensor, written from the methods themselves.

``python -m tinygraph.exchange.stubs`` writes ``tinygraph/engine/tensor_methods.pyi``; a test says when it is not
current. The module exists for type checkers alone: Tensor inherits from it where they read.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygraph.engine.tensor
from tinygraph.engine.tensor import Tensor
from tinygraph.ops.keywords import SYNONYMS
from tinygraph.ops.later import load_all

__all__ = ["stub_text"]

PATH = Path(tinygraph.engine.tensor.__file__).with_name("tensor_methods.pyi")
OPENING = '''"""The methods that ops install on Tensor: ``python -m tinygraph.exchange.stubs`` writes this file."""

import builtins
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import ArrayLike, Axis, Shape, Value

class TensorMethods:
'''
KNOWN = {"Any", "ArrayLike", "Axis", "Iterator", "None", "Sequence", "Shape", "Tensor", "Value", "bool", "float", "int"}
KNOWN |= {"list", "npt", "DTypeLike", "str", "tuple"}
RESULTS = {"Any": "Tensor", "Value": "Tensor", "list[Value]": "list[Tensor]"}
# These take the lengths or axes one by one, or as one sequence.
SPREAD = {"reshape": "*shape: int | Sequence[int]", "permute": "*dims: int | Sequence[int]"}
SPREAD |= {"transpose": "*axes: int | Sequence[int] | None"}
LEFT_OUT = {"__annotations__", "__array_function__", "__array_ufunc__", "__doc__", "__module__", "__weakref__"}


def stub_text() -> str:
    """Write the stub of what is installed on Tensor now.

    Returns:
        The text of ``tensor_methods.pyi``.

    >>> "def exp(self) -> Tensor: ..." in stub_text()
    True
    """
    load_all()
    source = ast.parse(inspect.getsource(tinygraph.engine.tensor))
    (body,) = (node for node in source.body if isinstance(node, ast.ClassDef) and node.name == "Tensor")
    written = {node.name for node in ast.walk(body) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(body):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            written |= {target.id for target in targets if isinstance(target, ast.Name)}
    lines: list[str] = []
    for name, thing in sorted(vars(Tensor).items()):
        is_slot = inspect.isdatadescriptor(thing) and not isinstance(thing, property)
        is_method = callable(thing) or isinstance(thing, property)
        if name in written or name in LEFT_OUT or is_slot or not is_method:
            continue
        if isinstance(thing, property):
            lines += ["    @property", f"    def {name}(self) -> Tensor: ..."]
        else:
            lines.append(f"    def {name}({arguments(name, thing)}) -> {result(thing)}: ...")
    return OPENING + "\n".join(lines) + "\n"


def arguments(name: str, method: Callable[..., Any]) -> str:
    """Return the arguments of a method as a stub has them, with PyTorch's names of axes as keywords."""
    if name in SPREAD:
        return f"self, {builtin(SPREAD[name])}"
    parameters = list(inspect.signature(method).parameters.values())[1:]
    parts = ["self", *map(argument, parameters)]
    known = {p.name: p for p in parameters}
    synonyms = [(theirs, known[ours]) for theirs, ours in SYNONYMS.items() if ours in known and theirs not in known]
    if synonyms:
        parts += [
            *["*"] * all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters),
            *("unbiased: builtins.bool = ..." if n == "unbiased" else argument(p.replace(name=n)) for n, p in synonyms),
        ]
    return ", ".join(parts)


def argument(parameter: inspect.Parameter) -> str:
    """Return one argument with its type and default."""
    star = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    text = f"{star}{parameter.name}: {annotation(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    simple = parameter.default is None or isinstance(parameter.default, int | float | str)
    return f"{text} = {parameter.default!r}" if simple else f"{text} = ..."


def annotation(given: Any) -> str:
    """Return a type that the stub knows; what it does not know is Any."""
    text = given if isinstance(given, str) else "Any"
    names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    return builtin(text) if names <= KNOWN else "Any"


def builtin(text: str) -> str:
    """Return a type whose ``int`` is Python's: within the class that is the method of this name."""
    return re.sub(r"\b(bool|float|int)\b", r"builtins.\1", text)


def result(method: Callable[..., Any]) -> str:
    """Return the type of what a method returns: an op of a Tensor returns a Tensor."""
    text = annotation(inspect.signature(method).return_annotation)
    return RESULTS.get(text, text)


if __name__ == "__main__":
    PATH.write_text(stub_text(), encoding="utf-8")
    print(f"wrote {PATH}")
