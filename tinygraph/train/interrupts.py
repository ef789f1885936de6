"""Ctrl-C asks a long run to stop; the run stops where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let a run finish its step when Ctrl-C is pressed.

    Inside the ``with`` block the first SIGINT or SIGTERM only sets a flag, and the second does what it always does.
    Only the main thread receives signals: in another thread nothing changes.

    Yields:
        A function that says whether a signal has come.

    >>> with interruptible() as asked:
    ...     for step in range(1000):
    ...         if step == 3 or asked():
    ...             break
    >>> step
    3
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
