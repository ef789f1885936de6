"""Kernels are plain functions that Numba compiles when they are first called, and keeps on disk.

A kernel calls other plain functions by their names; those are compiled along with it. Of processes that need the same
kernel at the same time, one compiles it, and the others wait for its file.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CellType, FunctionType
from typing import Any, TextIO, TypeAlias

from tinygraph.kernels import llvm

try:
    import fcntl
except ModuleNotFoundError:  # Windows: each process compiles
    fcntl = None  # type: ignore[assignment]

OPTIONS = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}  # of Numba; NaN stays NaN
LOOK = 0.02  # seconds from one look at another process's lock to the next
LOOKS = 3000  # then its process has been stopped, or lost with its machine, and we compile ourselves

Function: TypeAlias = Callable[..., Any]


@functools.cache
def load_numba() -> Any:
    """Return Numba, imported when it is first needed; None where it is absent or does not fit Python or NumPy."""
    try:
        numba = importlib.import_module("numba") if importlib.util.find_spec("numba") else None
    except ImportError:
        return None
    if numba:
        llvm.define_instructions(numba)
    return numba


class Kernel:
    """A function that Numba compiles for a dtype when it is first called with one: that of its first argument.

    The machine code is kept on disk where Numba finds a folder for it, else in memory.
    """

    patience = 2.0  # seconds of compiling, of all kernels, after which a message says why it takes long

    def __init__(self, function: Function) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.compiled: dict[str, Function] = {}  # by the letter of the dtype

    def __call__(self, *args: Any) -> Any:
        """Call the compiled function."""
        return self.compiled_for(args)(*args)

    def compiled_for(self, args: tuple[Any, ...]) -> Function:
        """Return the function that is compiled for such arguments."""
        return self.compiled.get(args[0].dtype.char) or self.compile(args)

    def compile(self, args: tuple[Any, ...]) -> Function:
        """Compile for the types of these arguments, and say so if it takes long."""
        started = time.perf_counter()
        timer = threading.Timer(Kernel.patience, announce_compiling)
        timer.start()
        try:
            try:
                compiled = compile_function(self.function, args, cache=True)
            except Exception:  # no folder can be written, or a file in it cannot be read
                compiled = compile_function(self.function, args, cache=False)
        finally:
            timer.cancel()
            Kernel.patience = max(0.0, Kernel.patience - (time.perf_counter() - started))
        self.compiled[args[0].dtype.char] = compiled
        return compiled


def compile_function(function: Function, args: tuple[Any, ...], cache: bool) -> Function:
    """Return a function as machine code for the types of these arguments."""
    numba = load_numba()
    compiled: Function = numba.njit(with_version(function), nogil=True, cache=cache, **OPTIONS)
    register_callees(function)
    compile_for(compiled, args)
    return compiled


def compile_for(dispatcher: Any, args: tuple[Any, ...]) -> None:
    """Compile a function of Numba's for the types of these arguments, or load what another process has compiled."""
    with lock_of(dispatcher):
        dispatcher.compile(tuple(map(load_numba().typeof, args)))


@contextlib.contextmanager
def lock_of(dispatcher: Any) -> Iterator[None]:
    """Be the only process that compiles a function that Numba keeps on disk, where the file system has locks."""
    folder = dispatcher.stats.cache_path
    with contextlib.ExitStack() as stack:
        if folder and fcntl:
            with contextlib.suppress(OSError):
                name = f"{dispatcher.__module__}.{dispatcher.__name__}.lock"
                wait_for_lock(stack.enter_context(open(os.path.join(folder, name), "a")))
        yield


def wait_for_lock(file: TextIO) -> None:
    """Take the lock of a file, which ends with this process or when the file is closed; give up after a minute.

    Raises:
        OSError: the file system has no locks.
    """
    for _ in range(LOOKS):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(LOOK)


def with_version(function: Function) -> Function:
    """Return a copy of a function that encloses `version`, so that Numba's key for the code on disk contains it.

    Numba's key has the time stamp of the file of a kernel, and the values that the kernel encloses. It does not have
    the files of the functions that the kernel calls.
    """
    code = function.__code__.replace(co_freevars=("version",))
    return FunctionType(code, function.__globals__, function.__name__, None, (CellType(version()),))


@functools.cache
def version() -> bytes:
    """Return a digest of all files that kernels are compiled from."""
    import hashlib  # these two take as long to load as the rest of this file
    from pathlib import Path

    package = Path(__file__).parents[1]
    files = [file for folder in ("kernels", "fused") for file in sorted((package / folder).rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


@functools.cache
def register_callees(function: Function) -> None:
    """Let Numba compile the plain functions that a function calls by their names, and those that they call.

    They become part of the kernel. As functions of their own they have a name that all kernels of a process share: the
    first one that is compiled or loaded then serves all, and as the compiler has rounded it elsewhere, the bits of a
    result would depend on which kernels were there before, and on whether they came from disk.
    """
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if inspect.isfunction(called) and called.__module__ != llvm.__name__:
            register_callees(called)
            load_numba().extending.register_jitable(**OPTIONS, forceinline=True)(called)


def announce_compiling() -> None:
    """Say on stderr, once, what takes so long."""
    Kernel.patience = threading.TIMEOUT_MAX
    print(
        "tinygraph: compiling fused kernels with Numba (once; they are kept on disk where that is possible)",
        file=sys.stderr,
    )
