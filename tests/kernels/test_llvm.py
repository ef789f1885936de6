"""The instructions that kernels get beside Numba's own."""

from __future__ import annotations

import ctypes
import threading

import numpy as np
import pytest

from tinygraph.kernels import jit, llvm, threads
from tinygraph.kernels.threads import LINE, wait_for


def wait(counters):
    wait_for((counters, counters, True), 0, 3)


def test_a_thread_that_waits_long_yields_its_core():
    """A function of ours stands in for the system's, and finishes the piece that the thread waits for."""
    pytest.importorskip("numba")
    from llvmlite import binding

    counters, calls = np.zeros(threads.COUNTERS, np.int64), []
    alarm = threading.Timer(10, counters.fill, (3,))  # where it yields to nobody

    @ctypes.CFUNCTYPE(ctypes.c_int)
    def work() -> int:
        calls.append(1)
        counters[2 * LINE] += 1
        return 0

    binding.add_symbol(llvm.YIELD, ctypes.cast(work, ctypes.c_void_p).value)
    try:
        waiting = jit.compile_function(wait, (counters,), cache=False)
        alarm.start()
        waiting(counters)
    finally:
        alarm.cancel()
        binding.add_symbol(llvm.YIELD, ctypes.cast(llvm.system_yield(), ctypes.c_void_p).value)
    assert len(calls) == 3
