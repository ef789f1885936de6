"""NumPy's matrix products run on threads of BLAS's own. While ours share work, the two would fight for the same cores.

So BLAS is told to use the calling thread alone for that while. The package ``threadpoolctl`` knows how to tell any
BLAS; where it is not installed, the OpenBLAS that comes with NumPy's wheels is told here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["one_thread"]

NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads", "openblas_{}_num_threads")


class Library(NamedTuple):
    """A BLAS that is loaded."""

    get: Callable[[], int]  # how many threads it uses
    set: Callable[[int], Any]


@functools.cache
def libraries() -> tuple[Library, ...]:
    """Return each BLAS of this process that can be told how many threads to use."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return tuple(bundled())
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(Library(lib.get_num_threads, lib.set_num_threads) for lib in found)


def bundled() -> Iterator[Library]:
    """Yield the OpenBLAS that lies beside NumPy."""
    folder = Path(np.__file__).parent
    for file in sorted([*folder.parent.glob("numpy.libs/*openblas*"), *folder.glob(".dylibs/*openblas*")]):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(file))
            for name in NAMES:
                if hasattr(library, name.format("set")):
                    yield Library(getattr(library, name.format("get")), getattr(library, name.format("set")))
                    break


class Calm:
    """How many callers want BLAS to use one thread, and how many threads each library had before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.callers = 0
        self.before: list[int] = []


CALM = Calm()


@contextlib.contextmanager
def one_thread() -> Iterator[bool]:
    """Let BLAS use the calling thread alone; yield whether it does. Threads may do so at the same time."""
    with CALM.lock:
        if not CALM.callers:
            CALM.before = [library.get() for library in libraries()]
            for library in libraries():
                library.set(1)
        CALM.callers += 1
    try:
        yield bool(libraries())
    finally:
        with CALM.lock:
            CALM.callers -= 1
            if not CALM.callers:
                for library, count in zip(libraries(), CALM.before, strict=True):
                    library.set(count)
