"""Three things that Numba's Python lacks, defined in LLVM's terms: an atomic counter, a prefetch, a yielded core.

Nothing else in the project generates instructions for that compiler.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

from tinygraph.engine.types import Array

CACHE_LINE = 64  # bytes
YIELD = "tinygraph_yield_core"  # the name under which compiled code finds the system's function


def fetch_add(counters: Array, place: int, amount: int) -> int:
    """Add to a counter that other threads also add to, in one step, and return its value before."""
    raise NotImplementedError("fetch_add is for compiled kernels")


def prefetch(x: Array) -> None:
    """Start to load a vector into the cache; go on without it."""


def yield_core() -> None:
    """Let another thread have this core, if one is waiting for it."""


def system_yield() -> Any:
    """Return the system's function that yields a core."""
    if sys.platform == "win32":
        return ctypes.windll.kernel32.SwitchToThread
    return ctypes.CDLL(None).sched_yield


@functools.cache
def define_instructions(numba: Any) -> None:
    """Define `fetch_add`, `prefetch` and `yield_core` for kernels that Numba compiles."""
    define_fetch_add(numba)
    define_prefetch(numba)
    define_yield_core(numba)


def address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the address of an element: its array and its index are the first two of ``args``."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


def define_fetch_add(numba: Any) -> None:
    """Make `fetch_add` LLVM's atomic addition."""

    def add(typing: Any, counters: Any, place: Any, amount: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw("add", address(context, builder, signature, args), args[2], "acq_rel")

        return numba.int64(counters, numba.int64, numba.int64), generate

    add_atomically = numba.extending.intrinsic(add)

    def overload(counters: Any, place: Any, amount: Any) -> Any:
        def call(counters: Any, place: Any, amount: Any) -> Any:  # Numba wants the annotations alike, too
            return add_atomically(counters, place, amount)

        return call

    numba.extending.overload(fetch_add)(overload)


def define_prefetch(numba: Any) -> None:
    """Make `prefetch` one prefetch of LLVM's for each cache line of the vector."""
    from llvmlite import ir

    def load(typing: Any, x: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            arguments = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            function = builder.module.declare_intrinsic("llvm.prefetch", [byte], arguments)
            start = builder.bitcast(address(context, builder, signature, args), byte)
            builder.call(function, [start, number(0), number(2), number(1)])  # to read; needed soon; it is data
            return context.get_dummy_value()

        return numba.void(x, numba.int64), generate

    prefetch_line = numba.extending.intrinsic(load)

    def overload(x: Any) -> Any:
        def prefetch_lines(x: Any) -> None:
            for i in range(0, x.size, CACHE_LINE // x.itemsize):
                prefetch_line(x, i)

        return prefetch_lines

    numba.extending.overload(prefetch)(overload)


def define_yield_core(numba: Any) -> None:
    """Make `yield_core` a call of the system's function."""
    from llvmlite import binding, ir

    binding.add_symbol(YIELD, ctypes.cast(system_yield(), ctypes.c_void_p).value)

    def call(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            declared = builder.module.globals.get(YIELD)
            builder.call(declared or ir.Function(builder.module, ir.FunctionType(ir.IntType(32), []), YIELD), [])
            return context.get_dummy_value()

        return numba.void(), generate

    call_system = numba.extending.intrinsic(call)
    numba.extending.overload(yield_core)(lambda: lambda: call_system())
