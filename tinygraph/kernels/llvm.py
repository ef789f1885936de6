"""What a compiled kernel does and Python has no word for, told to Numba's compiler in LLVM's terms.

Nothing else in the project speaks to that compiler.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from typing import Any

import numpy as np

CACHE_LINE = 64  # bytes
YIELD = "tinygraph_give_way"  # what compiled code calls the system's function


def advance(counters: np.ndarray, place: int, by: int) -> int:
    """Add to a counter that other threads add to, and return what it was."""
    raise NotImplementedError("advance is for compiled kernels")


def fetch(x: np.ndarray) -> None:
    """Have a vector loaded into the cache while other work is done."""


def give_way() -> None:
    """Let another thread have this core, if one is waiting for it."""


def system_yield() -> Any:
    """Return the system's function for that."""
    if sys.platform == "win32":
        return ctypes.windll.kernel32.SwitchToThread
    return ctypes.CDLL(None).sched_yield


@functools.cache
def teach(numba: Any) -> None:
    """Tell Numba what `advance`, `fetch` and `give_way` are."""
    from llvmlite import binding, ir

    binding.add_symbol(YIELD, ctypes.cast(system_yield(), ctypes.c_void_p).value)

    def address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.gep(array.data, [args[1]])

    @numba.extending.intrinsic
    def fetch_add(typing: Any, counters: Any, place: Any, by: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.atomic_rmw("add", address(context, builder, signature, args), args[2], "acq_rel")

        return numba.int64(counters, numba.int64, numba.int64), generate

    @numba.extending.intrinsic
    def prefetch(typing: Any, x: Any, place: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            number, byte = ir.IntType(32), ir.IntType(8).as_pointer()
            takes = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            function = builder.module.declare_intrinsic("llvm.prefetch", [byte], takes)
            where = builder.bitcast(address(context, builder, signature, args), byte)
            builder.call(function, [where, number(0), number(2), number(1)])  # to read, soon, and it is data
            return context.get_dummy_value()

        return numba.void(x, numba.int64), generate

    @numba.extending.intrinsic
    def yield_core(typing: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            known = builder.module.globals.get(YIELD)
            builder.call(known or ir.Function(builder.module, ir.FunctionType(ir.IntType(32), []), YIELD), [])
            return context.get_dummy_value()

        return numba.void(), generate

    @numba.extending.overload(give_way)
    def giving_way() -> Any:
        def call() -> Any:
            yield_core()

        return call

    @numba.extending.overload(advance)
    def advancing(counters: Any, place: Any, by: Any) -> Any:
        def add(counters: Any, place: Any, by: Any) -> Any:
            return fetch_add(counters, place, by)

        return add

    @numba.extending.overload(fetch)
    def fetching(x: Any) -> Any:
        def lines(x: Any) -> Any:
            for i in range(0, x.size, CACHE_LINE // x.itemsize):
                prefetch(x, i)

        return lines
