"""Sources of kernels lie in a folder, each under its digest, so that Numba keeps their machine code beside them.

The folder is ``TINYGRAPH_CACHE``, or ``tinygraph`` in the user's folder for caches. Where it cannot be written, kernels
are compiled in memory. Processes may write at once: a file appears whole, and a digest has one content.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import os
import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygraph.compiler import elementary
from tinygraph.compiler.kernel import digest
from tinygraph.kernels import threads
from tinygraph.kernels.jit import (
    OPTIONS,
    Kernel,
    announce_compiling,
    compile_for,
    load_numba,
    register_callees,
    version,
)

EXACT = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}  # of Numba: nothing in another order
ELEMENTARY = [x for x in vars(elementary).values() if inspect.isfunction(x)]
HEAD = f"""\
import math

import numpy as np
from tinygraph.compiler.elementary import {", ".join(sorted(f.__name__ for f in ELEMENTARY))}
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
    from tinygraph.graph.files import remove_partial_files

    folder = cache_folder()
    files = list(folder.glob("kernel_*.py"))
    for file in files:
        file.unlink(missing_ok=True)
        remove_partial_files(file)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    return folder, len(files)


@functools.cache
def register() -> Any:
    """Let Numba compile what kernels call; return Numba."""
    numba = load_numba()
    for exact in ELEMENTARY:
        numba.extending.register_jitable(**EXACT)(exact)
    for function in (threads.enter, threads.leave, threads.mark_done, threads.tickets, threads.wait_for):
        register_callees(function)
        numba.extending.register_jitable(**OPTIONS)(function)
    return numba


class Library:
    """A kernel that Numba compiles for the types of its arguments, and keeps on disk where that is possible."""

    def __init__(self, source: str) -> None:
        numba, (module, on_disk) = register(), load(HEAD + source)
        make = functools.partial(numba.njit, nogil=True, **OPTIONS)
        try:
            self.compiled: Any = make(cache=on_disk)(module.kernel)
        except RuntimeError:  # Numba finds no folder for machine code
            self.compiled = make()(module.kernel)
        self.lock, self.is_ready = threading.Lock(), False

    def compiled_for(self, args: tuple[Any, ...]) -> Any:
        """Return the machine code for such arguments; the first time takes long, and says so."""
        if not self.is_ready:
            with self.lock:
                timer = threading.Timer(Kernel.patience, announce_compiling)
                timer.start()
                try:
                    compile_for(self.compiled, args)
                finally:
                    timer.cancel()
                self.is_ready = True
        return self.compiled


library = functools.cache(Library)  # a source is loaded once


def load(source: str) -> tuple[ModuleType, bool]:
    """Return a source as a module, and whether it is a file that machine code can be kept beside."""
    called = Path(elementary.__file__).read_text(encoding="utf-8")  # machine code has it inside
    name = f"kernel_{digest(source + version().hex() + called)}"
    file = cache_folder() / f"{name}.py"
    with contextlib.suppress(OSError):
        if not (file.exists() and file.read_text(encoding="utf-8") == source):
            from tinygraph.graph.files import whole_file  # not needed where kernels are there

            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as stream:
                stream.write(source.encode())
        spec: Any = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Numba looks there
        spec.loader.exec_module(module)
        return module, os.access(file.parent, os.W_OK)
    module = ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 - source of our own
    sys.modules[name] = module
    return module, False
