"""An error says what, where and what to do: NumPy's message, the scope, the op, its operands, the caller's line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.context import CONTEXT

INSIDE = (str(Path(__file__).parent), np.__path__[0], "<__array_function__")  # frames that are nobody's own code


def describe(x: Any) -> str:
    """Name an operand for an error message: ``x̂ = div float32[32,3]``."""
    node = getattr(x, "node", None)
    array = x.data if node else x
    if not hasattr(array, "dtype"):
        return repr(array)
    made = [node.name or "", node.op.name if node.op else ""] if node else []
    return " ".join([" = ".join(filter(None, made)), f"{array.dtype}[{','.join(map(str, array.shape))}]"]).strip()


def explain(error: Exception, name: str, operands: Sequence[Any]) -> Exception:
    """Say where an op failed: NumPy's message, the scope, the op, its operands and the caller's line."""
    path = "/".join((*CONTEXT.get().scope, name))
    message = f"{error} | in {path}({', '.join(map(describe, operands))}){caller()}"
    kind = next((k for k in (TypeError, IndexError, ValueError, MemoryError) if isinstance(error, k)), RuntimeError)
    return kind(message)


def caller() -> str:
    """Return `` at train.py:41``: the nearest line outside of tinygraph and NumPy."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
    return f" at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


