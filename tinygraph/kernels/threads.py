"""Work on many elements is shared among as many threads as there are cores, or as ``OMP_NUM_THREADS`` allows.

A thread that is free takes the next piece, so that a helper that wakes late, or whose core is busy, delays nobody.
Helpers are Python threads that sleep while there is no work: a pool that spins, as OpenMP's do, slows down every matrix
product beside it. But to wake a thread takes as long as a sweep over a megabyte. So a compiled kernel is called once by
each thread, for all of its sweeps (`run_on_all`). Inside it the threads divide the pieces of each sweep with a few
shared counters: `tickets` hands out the pieces, `wait_for` waits until all are done. Three rules:

- A kernel allocates before it takes its first ticket, because a helper that has taken one must not fail.
- If the calling thread fails, `run_on_all` sets the counters so that no helper waits for it.
- A thread that waits long yields its core: there may be more threads than cores, and the other one has to run.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.kernels.blas import one_thread
from tinygraph.kernels.llvm import fetch_add, yield_core

if TYPE_CHECKING:
    from typing import Protocol

    class Compiles(Protocol):
        """What `run_on_all` runs: a kernel."""

        def compiled_for(self, args: tuple[Any, ...], /) -> Callable[..., Any]:
            """Return the machine code for such arguments."""


Piece = TypeVar("Piece")
Work: TypeAlias = tuple[Callable[..., object], tuple[Any, ...]]  # a function and its arguments
Team: TypeAlias = tuple[Array, Array, bool]  # counters of this call, wake-ups of all calls, whether this is the caller

SHARED = 1 << 19  # elements above which a second thread is worth waking for a sweep
MANY = 1 << 24  # products of matrices above which one is
PIECE = 1 << 18  # elements of a piece, for a compiled kernel
MOST_THREADS = 8  # more would wait for memory
LINGER = 4000  # times a helper looks for the next kernel before it sleeps, some 40 µs in all
PATIENCE = 1000  # times a thread looks at a counter before it yields its core
LINE = 8  # counters to a cache line: two counters on one line would slow each other down
COUNTERS = 7 * LINE  # the number of the call, then of each of three steps: pieces taken, pieces done
WAKEUPS = np.zeros(1, np.int64)  # counts the kernels that have begun


@functools.cache
def start_helpers() -> tuple[SimpleQueue[Work], int]:
    """Start the threads that help the calling one; return the queue that they take work from, and their number."""
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(int(limit) if limit.isdigit() else cores, cores, MOST_THREADS) - 1
    queue: SimpleQueue[Work] = SimpleQueue()
    for _ in range(count):
        threading.Thread(target=serve, args=(queue,), name="tinygraph", daemon=True).start()
    return queue, count


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=start_helpers.cache_clear)  # threads do not survive a fork


def serve(queue: SimpleQueue[Work]) -> None:
    """Do what the queue has, one after another, and keep no reference to it."""
    while True:
        function, args = queue.get()
        with contextlib.suppress(Exception):  # where memory runs out, the calling thread goes on alone
            function(*args)
        del function, args


def share(work: Callable[[Piece], object], pieces: Sequence[Piece], elements: int) -> None:
    """Call ``work(piece)`` for every piece, with the help of other threads where there are elements enough."""
    if elements <= SHARED or len(pieces) == 1:
        for piece in pieces:
            work(piece)
        return
    queue, count = start_helpers()
    remaining, begun = deque(pieces), list[bool]()
    ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def work_off() -> None:
        while True:
            try:
                piece = remaining.popleft()
            except IndexError:
                return
            work(piece)

    def help_out(context: Context) -> None:
        begun.append(True)
        try:
            context.run(work_off)  # with np.errstate of the calling thread
            ended.put(None)
        except BaseException as error:
            remaining.clear()
            ended.put(error)

    for _ in range(min(count, len(pieces) - 1) - queue.qsize()):
        queue.put((help_out, (copy_context(),)))
    try:
        work_off()
    finally:
        remaining.clear()  # a helper that begins later finds nothing to do
        errors = list(filter(None, (ended.get() for _ in begun)))
    if errors:
        raise errors[0]


def share_products(work: Callable[[Piece], object], pieces: Sequence[Piece], products: int, x: Any) -> None:
    """Share work that consists of matrix products of NumPy's, where there are ``products`` multiplications enough.

    BLAS then uses one thread for each piece: its own threads would fight ours.
    """
    if type(x) is not np.ndarray or not start_helpers()[1]:
        for piece in pieces:
            work(piece)
        return
    with one_thread() as is_calm:
        share(work, pieces, products if is_calm and products >= MANY else 0)


def piece_count(size: int, most: int = PIECE) -> int:
    """Return into how many pieces to split an array. Sums depend on it, so the number of threads must not matter."""
    return 1 if size <= PIECE else 4 * -(-size // (4 * most))


def split_evenly(length: int, count: int) -> tuple[int, int]:
    """Split ``length`` into at most ``count`` equal pieces; return the length of one, and their number."""
    each = -(-length // min(count, length))
    return each, -(-length // each)


def run_on_all(kernel: Compiles, count: int, *args: Any, steps: int = 3) -> Any:
    """Call a kernel that works on ``count`` pieces in this thread and in helpers; return what it returns here.

    It has at most ``steps`` steps. Its last argument is a `Team`; the calling thread must be the last to return. A
    helper that begins after that finds no ticket, and touches nothing.
    """
    counters = np.zeros((2 * steps + 1) * LINE, np.int64)
    of_caller = (*args, (counters, WAKEUPS, True))
    compiled = kernel.compiled_for(of_caller)
    try:
        if count > 1:
            queue, most = start_helpers()
            for _ in range(min(most, count - 1) - queue.qsize()):  # what waits in the queue keeps its arrays alive
                queue.put((compiled, (*args, (counters, WAKEUPS, False))))
        return compiled(*of_caller)
    except BaseException:  # out of memory, or interrupted
        counters[:] = 1 << 60  # no ticket is left, and nobody waits
        raise


# What compiled kernels call. A step has two counters: 2 * step + 1 for tickets, 2 * step + 2 for pieces done.


def enter(team: Team) -> None:
    """Begin a kernel: the caller announces it, and helpers that linger in the last one leave it."""
    counters, wakeups, is_caller = team
    if is_caller:
        fetch_add(counters, 0, fetch_add(wakeups, 0, 1) + 1)


def tickets(team: Team, step: int, count: int) -> Iterator[int]:
    """Yield the pieces of a step that are this thread's, each when the last one is done."""
    counters = team[0]
    piece = fetch_add(counters, (2 * step + 1) * LINE, 1)
    while piece < count:
        yield piece
        mark_done(team, step)
        piece = fetch_add(counters, (2 * step + 1) * LINE, 1)


def mark_done(team: Team, step: int) -> None:
    """Count a piece of a step as done."""
    fetch_add(team[0], (2 * step + 2) * LINE, 1)


def pieces_done(team: Team, step: int) -> int:
    """Return how many pieces of a step are done."""
    return fetch_add(team[0], (2 * step + 2) * LINE, 0)


def wait_for(team: Team, step: int, count: int) -> None:
    """Wait until ``count`` pieces of a step are done; yield the core if that takes long."""
    looks = 0
    while pieces_done(team, step) < count:
        looks += 1
        if looks > PATIENCE:
            yield_core()


def leave(team: Team, step: int, count: int) -> None:
    """End a kernel: the caller when the last step is done; a helper when the next kernel begins, or after a while.

    So the helper is awake for the next kernel. And the caller finds Python's lock free: if the helper held it, the
    caller would sleep, and to wake takes long.
    """
    counters, wakeups, is_caller = team
    if is_caller:
        wait_for(team, step, count)
        return
    for _ in range(LINGER):
        if fetch_add(wakeups, 0, 0) != fetch_add(counters, 0, 0):
            return


def sweep(team: Team, count: int) -> Iterator[int]:
    """Run a kernel of one step: enter, yield the pieces that are this thread's, and leave."""
    enter(team)
    for piece in tickets(team, 0, count):  # noqa: UP028 - Numba has no "yield from"
        yield piece
    leave(team, 0, count)
