"""Threads share work: all of it is done, once, with the same bits; and nobody waits for a thread that failed."""

from __future__ import annotations

import threading
import types
from typing import Any

import numpy as np
import pytest

from tests.cases import close
from tests.fused_cases import CASES, FUSED, make_batch, passes
from tinygraph import fused
from tinygraph.fused import batch
from tinygraph.kernels import jit, threads
from tinygraph.kernels.llvm import fetch_add
from tinygraph.kernels.threads import LINE, pieces_done, sweep


@pytest.mark.parametrize("offset", [0.5, 1e4])
@pytest.mark.parametrize(("name", "shape", "axis"), [CASES[1], CASES[5], CASES[13]])
def test_threads_change_no_number(name, shape, axis, offset, way, threads_of):
    inputs = make_batch(name, shape, axis, np.float32, offset)
    found = []
    for count in (1, 4):
        threads_of(count)
        found += [passes(FUSED[name], inputs, axis=axis) for _ in range(20 if count > 1 else 1)]
    for again in found[1:]:
        for a, b in zip(found[0], again, strict=True):
            assert np.array_equal(a, b)


def test_share_does_all_once_and_raises_what_a_piece_raises(threads_of):
    threads_of(4)
    done, lock = [], threading.Lock()

    def work(piece: int) -> None:
        with lock:
            done.append(piece)

    threads.share(work, range(50), threads.SHARED + 1)
    assert sorted(done) == list(range(50))
    with pytest.raises(ZeroDivisionError):
        threads.share(lambda piece: 1 / (piece - 7), range(50), threads.SHARED + 1)


def test_a_helper_that_comes_late_touches_nothing(threads_of):
    pytest.importorskip("numba")
    threads_of(2)
    queue, count = threads.start_helpers()
    assert count == 1
    busy, kernel = threading.Event(), batch.numba.normalize_rows
    queue.put((busy.wait, ()))
    x = np.random.default_rng(0).standard_normal((64, 8), np.float32)
    y, parameters = np.empty_like(x), (np.ones(8, np.float32), np.zeros(8, np.float32), 1e-5)
    room = np.empty((2, 2, 8)), np.empty((2, 8), np.float32)
    far = threads.run_on_all(kernel, 2, x, y, np.empty((2, 8)), parameters, 1, room)
    close(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), 1e-5)
    y[:] = 7
    busy.set()
    done = threading.Event()
    queue.put((done.set, ()))
    assert done.wait(10) and not far and (y == 7).all()


@jit.Kernel
def slowly(out, team):
    """Write two numbers: the caller writes the first, and a helper the other, in its own time."""
    counters, _, is_caller = team
    for i in sweep(team, 2):
        while is_caller and fetch_add(counters, LINE, 0) < 2:  # until a helper has taken the other ticket
            pass
        for _ in range(0 if is_caller else 1_000_000):
            pieces_done(team, 0)
        out[i] = 1


def test_the_caller_waits_for_what_a_helper_has_begun(threads_of):
    pytest.importorskip("numba")
    threads_of(2)
    out = np.zeros(2)
    threads.run_on_all(slowly, 2, out)
    assert out.tolist() == [1, 1]


def test_a_call_that_fails_keeps_nobody_waiting(threads_of):
    """A helper that has taken a ticket waits for the caller: also when that was interrupted."""
    pytest.importorskip("numba")
    threads_of(2)
    kernel, x = batch.numba.normalize_rows, np.ones((64, 8), np.float32)
    queue, _ = threads.start_helpers()

    def interrupted(*args: Any) -> bool:
        counters, _, is_caller = args[-1]
        if is_caller:
            while counters[LINE] < 2:  # until the helper has taken all tickets
                pass
            raise KeyboardInterrupt
        return compiled(*args)

    room = np.empty((2, 2, 8)), np.empty((2, 8), np.float32)
    args = x, np.empty_like(x), np.empty((2, 8)), (x[0], x[0], 1e-5), 1, room
    compiled = kernel.compiled_for((*args, (np.zeros(threads.COUNTERS, np.int64), threads.WAKEUPS, True)))
    with pytest.raises(KeyboardInterrupt):
        threads.run_on_all(types.SimpleNamespace(compiled_for=lambda args: interrupted), 2, *args)
    done = threading.Event()
    queue.put((done.set, ()))
    assert done.wait(10), "the helper waits for what will not come"


def test_work_does_not_pile_up_behind_a_helper(threads_of):
    pytest.importorskip("numba")
    threads_of(2)
    queue, _ = threads.start_helpers()
    busy = threading.Event()
    queue.put((busy.wait, ()))
    for _ in range(5):
        fused.batch_norm(np.random.default_rng(0).standard_normal((64, 80)))
        threads.share(abs, range(3), 1 << 30)
    assert queue.qsize() <= 2
    busy.set()
