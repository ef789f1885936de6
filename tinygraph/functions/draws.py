"""Random arrays that are drawn inside of a function, as dropout does.

A function that is compiled draws them anew at each call, and all its derivatives must see those of that call. So what
draws says so here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy.typing as npt

from tinygraph.engine.types import Array, Shape

__all__ = ["DRAWS", "drawn"]

Draw = Callable[[], Any]
DRAWS: ContextVar[Callable[[Shape, Any, Draw], Any] | None] = ContextVar("tinygraph.draws", default=None)


def drawn(shape: Shape, dtype: npt.DTypeLike, draw: Draw) -> Array:
    """Return a random array, as ``draw()`` makes it, or as who compiles this gives it.

    Args:
        shape: of the array.
        dtype: of an element.
        draw: draws it.
    """
    give = DRAWS.get()
    found: Array = draw() if give is None else give(shape, dtype, draw)
    return found
