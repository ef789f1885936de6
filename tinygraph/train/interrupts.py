"""Ctrl-C asks a long run to stop; the run stops where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["interruptible"]


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Let a run finish its step when Ctrl-C is pressed.

    Inside the ``with`` block the first SIGINT or SIGTERM only sets a flag, and the second does what it always does.
    Only the main thread receives signals: in another thread nothing changes.

    Yields:
        A function that returns the number of the signal that has come, and 0 as long as none has.

    >>> with interruptible() as asked:
    ...     for step in range(1000):
    ...         if step == 3 or asked():
    ...             break
    >>> step
    3
    """
    asked = [0]
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked[0] = number
        signal.signal(number, before[number])

    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked[0]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
