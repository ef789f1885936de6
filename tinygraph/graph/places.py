"""Note where in a program each value is made: a line of a file. No notes, no cost.

While notes are taken, a new record looks for its caller's line. Before and afterwards records have no such code.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygraph.engine.errors import INSIDE, clean
from tinygraph.engine.tensor import Leaf, Record

__all__ = ["record_places"]

FOLDERS: list[str] = []  # of the blocks that are open, inner last: only lines of files in there count; "" is any
ONE_AT_A_TIME = threading.Lock()
make_leaf = Leaf.__init__


@contextlib.contextmanager
def record_places(folder: str | os.PathLike[str] | None = None) -> Iterator[None]:
    """Note in which line each value is made that is computed inside a ``with`` block, in every thread.

    A snapshot has the line as ``at``, and the page that `draw` writes shows it. Each op takes some microseconds longer.

    Args:
        folder: only lines of files in this folder count; any file outside of tinygraph and NumPy unless given.

    Returns:
        A context for a ``with`` statement.

    >>> from tinygraph import Tensor, snapshot
    >>> with record_places():
    ...     y = Tensor([1.0], name="x") * 2
    >>> [node.at.rpartition(":")[2] for node in snapshot(y).nodes]
    ['2', '', '2']
    """
    with ONE_AT_A_TIME:
        FOLDERS.append("" if folder is None else os.path.join(os.path.abspath(folder), ""))
        Record.__init__ = note_place  # type: ignore[method-assign, assignment]
        Leaf.__init__ = make_leaf_and_note  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        with ONE_AT_A_TIME:
            FOLDERS.pop()
            if not FOLDERS:
                del Record.__init__
                Leaf.__init__ = make_leaf  # type: ignore[method-assign]


def note_place(record: Record) -> None:
    """Note where a record is made; what an op makes has no other ``__init__``."""
    vars(record)["at"] = place()


def make_leaf_and_note(leaf: Leaf, *args: Any, **params: Any) -> None:
    """Make a leaf, and note where."""
    make_leaf(leaf, *args, **params)
    note_place(leaf)


def place() -> str:
    """Return the nearest line outside of tinygraph and NumPy, as "model.py:12"; nothing where there is none."""
    frame, folder = sys._getframe(1), FOLDERS[-1] if FOLDERS else ""
    while frame:
        file = frame.f_code.co_filename
        if not file.startswith(INSIDE) and file.startswith(folder):
            return clean(f"{Path(file).name}:{frame.f_lineno}")
        frame = frame.f_back  # type: ignore[assignment]
    return ""
