"""An error says what, where and what to do: NumPy's message, the scope, the op, its operands, the caller's line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np

from tinygraph.engine.context import CONTEXT

INSIDE = (*(f"{p}{os.sep}" for p in (Path(__file__).parents[1], np.__path__[0])), "<__array_function__", "<op ")


def clean(text: str) -> str:
    """Return a text in which nothing steers a terminal: escapes, line breaks and marks of direction become spaces."""
    return "".join(c if c.isprintable() or category(c) == "Zs" else " " for c in text)


def describe(x: Any) -> str:
    """Name an operand for an error message: ``x̂ = div float32[32,3]``."""
    node = getattr(x, "node", None)
    array = x.data if node else x
    if not hasattr(array, "dtype"):
        return repr(array)
    made = " = ".join(filter(None, [node.name, node.op and node.op.name])) if node else ""
    library = "" if library_of(array) == "numpy" else library_of(array)
    return " ".join(filter(None, [clean(made), library, f"{array.dtype}[{','.join(map(str, array.shape))}]"]))


def library_of(array: Any) -> str:
    """Return the library that an array is of: numpy, cupy."""
    return type(array).__module__.partition(".")[0]


def explain(error: Exception, name: str, operands: Sequence[Any]) -> Exception:
    """Say where an op failed: NumPy's message, the scope, the op, its operands and the caller's line."""
    path = clean("/".join((*CONTEXT.get().scope, name)))
    arrays = [getattr(x, "_data", x) for x in operands if hasattr(x, "shape") and not isinstance(x, np.generic)]
    if len(libraries := sorted(set(map(library_of, arrays)))) > 1:
        error = TypeError(f"arrays of {' and '.join(libraries)} do not mix: move one with tinygraph.asarray")
    kinds = (TypeError, IndexError, np.linalg.LinAlgError, ValueError, MemoryError)
    kind = next((k for k in kinds if isinstance(error, k)), RuntimeError)
    return kind(f"{str(error).strip()} | in {path}({', '.join(map(describe, operands))}){caller()}")


def caller() -> str:
    """Return `` at train.py:41``: the nearest line outside of tinygraph and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return f" at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def written_at(function: Any) -> str:
    """Return where a function is written: `` (layers.py:12)``; nothing where that is not known."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""
