"""Two instructions of a processor for which Python has no word, told to Numba's compiler in LLVM's terms.

Nothing else in the project speaks to that compiler. After a change here, touch the files of the kernels, as for `crew`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

CACHE_LINE = 64  # bytes


def advance(counters: np.ndarray, place: int, by: int) -> int:
    """Add to a counter that other threads add to, and return what it was."""
    raise NotImplementedError("advance is for compiled kernels")


def fetch(x: np.ndarray) -> None:
    """Have a vector loaded into the cache while other work is done."""


@functools.cache
def teach(numba: Any) -> None:
    """Tell Numba what `advance` and `fetch` are."""
    from llvmlite import ir

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
