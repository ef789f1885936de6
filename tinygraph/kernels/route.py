"""Which kernel runs is decided here, by the type and the size of the array, and nowhere else.

==================================================================  ========================================
array                                                               route
==================================================================  ========================================
``cupy.ndarray`` of float16, float32 or float64                     "cupy": CUDA kernels
``numpy.ndarray`` of float32 or float64, from `COMPILED` elements   "numba", where Numba is installed
``numpy.ndarray`` of float16, float32 or float64                    "numpy": few passes, and products of BLAS
anything else                                                       "plain": array operations in float64
==================================================================  ========================================

The environment variable ``TINYGRAPH_FUSED`` names another route ("plain", "numpy" or "numba") for the arrays
that it can take.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np

from tinygraph.engine.lazy_import import install_hint
from tinygraph.kernels import llvm as instructions

COMPILED = 1 << 12  # elements from which Numba is worth its start
TILE = 100_000  # elements of a tile for NumPy, 400 KB in float32, where an operation finds what the last one wrote
RUN = 8192  # elements of a dot product; for longer ones OpenBLAS wakes its threads
OPTIONS = {"error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}  # of Numba; NaN stays NaN
ROUTES = ("plain", "numpy", "numba")


def route(x: Any) -> str:
    """Return which kernel takes an array: "plain", "numpy", "numba" or "cupy".

    >>> route(np.ones(3, np.float32))
    'numpy'
    """
    return route_of(type(x), x.dtype, x.size >= COMPILED, os.environ.get("TINYGRAPH_FUSED", ""))


@functools.lru_cache(1024)
def route_of(array: type, dtype: Any, large: bool, wanted: str) -> str:
    """Do what `route` says, and remember it."""
    if wanted not in ("", *ROUTES):
        raise ValueError(f"TINYGRAPH_FUSED is {wanted!r}; there are {', '.join(ROUTES)}")
    cupy = array.__module__.startswith("cupy") and array.__name__ == "ndarray"
    kind = "numpy" if array is np.ndarray else "cupy" if cupy else ""
    if wanted == "plain" or not kind or dtype.char not in "efd" or not dtype.isnative:
        return "plain"
    if kind == "cupy" or wanted == "numpy" or dtype.char == "e" or not (wanted or large):
        return kind
    if numba():
        return "numba"
    if wanted:
        raise ModuleNotFoundError(f"TINYGRAPH_FUSED asks for Numba, which is not there: {install_hint('jit')}")
    return "numpy"


@functools.cache
def numba() -> Any:
    """Return Numba, imported when it is first needed; None where it is absent or does not fit Python or NumPy."""
    try:
        module = importlib.import_module("numba") if importlib.util.find_spec("numba") else None
    except ImportError:
        return None
    if module:
        instructions.teach(module)
    return module


class Kernel:
    """A function that Numba compiles when it is first called with arrays of a dtype, as its first argument has.

    The machine code is kept on disk where Numba finds a folder for it, and only in memory where it does not.
    """

    patience = 2.0  # seconds of compiling before somebody is told why they wait

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.made: dict[str, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        """Call it, compiled."""
        return self.made_for(args)(*args)

    def made_for(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Return what is compiled for such arguments."""
        return self.made.get(args[0].dtype.char) or self.compile(args)

    def compile(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """Compile for the types of these arguments, and say so if it takes long."""
        started = time.perf_counter()
        timer = threading.Timer(Kernel.patience, tell)
        timer.start()
        try:
            try:
                made = compiled(self.function, args, cache=True)
            except Exception:  # no folder can be written, or what lies there cannot be read
                made = compiled(self.function, args, cache=False)
        finally:
            timer.cancel()
            Kernel.patience = max(0.0, Kernel.patience - (time.perf_counter() - started))
        self.made[args[0].dtype.char] = made
        return made


def compiled(function: Callable[..., Any], args: tuple[Any, ...], cache: bool) -> Callable[..., Any]:
    """Return a function as machine code for the types of these arguments."""
    made = numba().njit(stamped(function), nogil=True, cache=cache, **OPTIONS)
    admit_callees(function)
    made.compile(tuple(map(numba().typeof, args)))
    return made


def stamped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that Numba will not take for the one of another version of this folder.

    It keeps machine code for as long as the file of a kernel is the same, whatever has become of those that the kernel
    calls; but what a function encloses belongs to the key.
    """
    code = function.__code__.replace(co_freevars=("version",))
    return FunctionType(code, function.__globals__, function.__name__, None, (CellType(version()),))


@functools.cache
def version() -> bytes:
    """Return a digest of the files from which kernels are made."""
    import hashlib  # these two take as long to load as the rest of this file
    from pathlib import Path

    package = Path(__file__).parents[1]
    files = [file for folder in ("kernels", "fused") for file in sorted((package / folder).rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


@functools.cache
def admit_callees(function: Callable[..., Any]) -> None:
    """Tell Numba that it may compile the plain functions that a function calls by their names."""
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if inspect.isfunction(called) and called.__module__ != instructions.__name__:
            admit_callees(called)
            numba().extending.register_jitable(**OPTIONS)(called)


def tell() -> None:
    """Say on stderr, once, what takes so long."""
    Kernel.patience = threading.TIMEOUT_MAX
    print(
        "tinygraph: compiling fused kernels with Numba (once; they are kept on disk where that is possible)",
        file=sys.stderr,
    )
