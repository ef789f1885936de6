"""Work on many elements is shared among as many threads as there are cores, or as ``OMP_NUM_THREADS`` allows.

Whoever is free takes the next piece, so that a helper that wakes late, or whose core is busy, holds nobody up.
Helpers are threads of Python's that sleep while there is nothing to do: a pool that spins, as those of OpenMP do,
slows every matrix product beside it down. But to wake one takes as long as a sweep over a megabyte. So a compiled
kernel is called once by each thread, for all of its sweeps (`together`); in it they draw tickets and wait for one
another at a desk, which is a few counters in memory. A kernel allocates before it draws its first ticket, for a
helper that has drawn one must not fail. If the calling thread fails, `together` lets the helpers go. Who waits long
gives way: there may be more threads at work than cores, and the one that is waited for has to run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygraph.kernels.llvm import advance, give_way

if TYPE_CHECKING:
    from tinygraph.kernels.route import Kernel

SHARED = 1 << 19  # elements above which a second thread is worth waking for a sweep
PIECE = 1 << 18  # elements of a piece, for a compiled kernel
MOST = 8  # threads; more would wait for memory
LINGER = 4000  # looks at the bell, some 40 µs in all
PATIENCE = 1000  # looks at what others have done
BELL = np.zeros(1, np.int64)  # rings as a kernel begins
LINE = 8  # counters to a cache line, so that no two threads write to the same one for different reasons
DESK = 7 * LINE  # counters: how often the bell had rung, then tickets drawn and pieces done of each of three steps


@functools.cache
def helpers() -> tuple[SimpleQueue[Any], int]:
    """Return where threads that help the calling one look for work, and how many they are."""
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count, work = min(int(limit) if limit.isdigit() else cores, cores, MOST) - 1, SimpleQueue[Any]()
    for _ in range(count):
        threading.Thread(target=serve, args=(work,), name="tinygraph", daemon=True).start()
    return work, count


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=helpers.cache_clear)  # threads do not survive a fork


def serve(work: SimpleQueue[Any]) -> None:
    """Do what comes, and hold on to none of it."""
    while True:
        function, args = work.get()
        with contextlib.suppress(Exception):  # where memory is wanting, the calling thread goes on alone
            function(*args)
        del function, args


def share(work: Callable[[Any], None], pieces: Sequence[Any], elements: int) -> None:
    """Do ``work(piece)`` for every piece, with the help of other threads where there are elements enough."""
    if elements <= SHARED or len(pieces) == 1:
        for piece in pieces:
            work(piece)
        return
    queue, count = helpers()
    left, begun, ended = deque(pieces), [], SimpleQueue[Any]()

    def take() -> None:
        while True:
            try:
                piece = left.popleft()
            except IndexError:
                return
            work(piece)

    def help_out(context: Context) -> None:
        begun.append(True)
        try:
            ended.put(context.run(take))  # np.errstate goes along
        except BaseException as error:
            left.clear()
            ended.put(error)

    for _ in range(min(count, len(pieces) - 1) - queue.qsize()):
        queue.put((help_out, (copy_context(),)))
    try:
        take()
    finally:
        left.clear()  # a helper that begins later finds nothing to do
        errors = list(filter(None, (ended.get() for _ in begun)))
    if errors:
        raise errors[0]


def pieces(size: int, most: int = PIECE) -> int:
    """Return in how many pieces to cut so many elements: not by the number of threads, for sums depend on it."""
    return 1 if size <= PIECE else 4 * -(-size // (4 * most))


def cut(length: int, count: int) -> tuple[int, int]:
    """Return how long the pieces are of which there are at most so many, and how many that makes."""
    each = -(-length // min(count, length))
    return each, -(-length // each)


def together(kernel: Kernel, count: int, *args: Any) -> Any:
    """Call a kernel that works on ``count`` pieces in this thread and in helpers; return what it returns here.

    It is given a desk, and whether its thread leads; the one that leads must return last. A helper that comes
    later finds no ticket, and touches nothing.
    """
    desk = np.zeros(DESK, np.int64)
    leading = (*args, desk, BELL, True)
    made = kernel.made_for(leading)
    try:
        if count > 1:
            queue, most = helpers()
            for _ in range(min(most, count - 1) - queue.qsize()):  # what waits there keeps its arrays
                queue.put((made, (*args, desk, BELL, False)))
        return made(*leading)
    except BaseException:  # out of memory, or interrupted
        desk[:] = 1 << 60  # no ticket is left, and nobody waits
        raise


# What kernels do at the desk.


def ticket(desk: np.ndarray, step: int) -> int:
    """Return the number of the next piece of a step."""
    return advance(desk, (2 * step + 1) * LINE, 1)


def finish(desk: np.ndarray, step: int) -> int:
    """Report a piece of a step as done, and return the number of the next one."""
    advance(desk, (2 * step + 2) * LINE, 1)
    return ticket(desk, step)


def finished(desk: np.ndarray, step: int) -> int:
    """Return how many pieces of a step are done."""
    return advance(desk, (2 * step + 2) * LINE, 0)


def meet(desk: np.ndarray, step: int, count: int) -> None:
    """Wait until so many pieces of a step are done; if that takes long, whoever does them may want this core."""
    looks = 0
    while finished(desk, step) < count:
        looks += 1
        if looks > PATIENCE:
            give_way()


def enter(desk: np.ndarray, bell: np.ndarray, leads: bool) -> None:
    """Enter a kernel: the one that leads rings for those that linger."""
    if leads:
        advance(desk, 0, advance(bell, 0, 1) + 1)


def leave(desk: np.ndarray, step: int, count: int, bell: np.ndarray, leads: bool) -> None:
    """Leave it: the one that leads when all is done; helpers when the next kernel begins, or after a while.

    So a helper is awake for that one; and the one that leads finds Python's lock free, for which it would
    else have to wait as long as it takes to wake.
    """
    if leads:
        meet(desk, step, count)
        return
    for _ in range(LINGER):
        if advance(bell, 0, 0) != advance(desk, 0, 0):
            return
