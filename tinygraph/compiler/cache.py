"""Sources of kernels lie in a folder, each under its digest, so that Numba keeps their machine code beside them.

The folder is ``TINYGRAPH_CACHE``, or ``tinygraph`` in the user's folder for caches. Where it cannot be written, kernels
are compiled in memory. Processes may write at once: a file appears whole, and a digest has one content.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygraph.compiler import elementary
from tinygraph.compiler.kernel import digest
from tinygraph.kernels import threads
from tinygraph.kernels.jit import OPTIONS, Kernel, announce_compiling, load_numba, register_callees, version

EXACT = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}  # of Numba: nothing in another order
HEAD = """\
import math

import numpy as np
from tinygraph.compiler.elementary import {names}
from tinygraph.kernels.threads import enter, leave, mark_done, tickets, wait_for

F = np.float32


"""


def cache_folder() -> Path:
    """Return the folder of kernels."""
    if named := os.environ.get("TINYGRAPH_CACHE"):
        return Path(named)
    base = os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "tinygraph"


def clear_cache() -> tuple[Path, int]:
    """Remove all kernels from the folder; return it, and how many there were."""
    folder = cache_folder()
    files = list(folder.glob("kernel_*.py"))
    for file in files:
        file.unlink(missing_ok=True)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder, len(files)


def head() -> str:
    """Return what stands above the kernel in each file."""
    names = [name for name, x in vars(elementary).items() if callable(x) and x.__module__ == elementary.__name__]
    return HEAD.format(names=", ".join(sorted(n for n in names if n not in ("F", "Number"))))


@functools.cache
def register() -> Any:
    """Let Numba compile what kernels call; return Numba."""
    numba = load_numba()
    for name, x in vars(elementary).items():
        if callable(x) and getattr(x, "__module__", "") == elementary.__name__ and name != "Number":
            numba.extending.register_jitable(**EXACT)(x)
    for function in (threads.enter, threads.leave, threads.mark_done, threads.tickets, threads.wait_for):
        if not hasattr(function, "registered"):
            register_callees(function)
            numba.extending.register_jitable(**OPTIONS)(function)
    return numba


class Library:
    """A kernel that Numba compiles for the types of its arguments, and keeps on disk where that is possible."""

    def __init__(self, source: str) -> None:
        numba = register()
        self.source = head() + source
        self.module, on_disk = load(self.source)
        make = functools.partial(numba.njit, nogil=True, **OPTIONS)
        try:
            self.compiled: Callable[..., Any] = make(cache=on_disk)(self.module.kernel)
        except RuntimeError:  # Numba finds no folder for machine code
            self.compiled = make()(self.module.kernel)
        self.lock, self.is_ready = threading.Lock(), False

    def compiled_for(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Return the machine code for such arguments; the first time takes long, and says so."""
        if not self.is_ready:
            with self.lock:
                timer = threading.Timer(Kernel.patience, announce_compiling)
                timer.start()
                try:
                    numba = load_numba()
                    self.compiled.compile(tuple(map(numba.typeof, args)))  # type: ignore[attr-defined]
                finally:
                    timer.cancel()
                self.is_ready = True
        return self.compiled


@functools.cache
def library(source: str) -> Library:
    """Return the kernel of a source, loaded once."""
    return Library(source)


def load(source: str) -> tuple[ModuleType, bool]:
    """Return a source as a module, and whether it is a file that machine code can be kept beside."""
    name = f"kernel_{digest(source + version().hex())}"
    file = cache_folder() / f"{name}.py"
    with contextlib.suppress(OSError):
        if not (file.exists() and file.read_text(encoding="utf-8") == source):
            write_whole(file, source)
        spec: Any = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Numba looks there
        spec.loader.exec_module(module)
        return module, os.access(file.parent, os.W_OK)
    module = ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - source of our own
    sys.modules[name] = module
    return module, False


def write_whole(file: Path, text: str) -> None:
    """Write a file so that nobody sees a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=file.parent, prefix=file.stem, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(path, file)
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
