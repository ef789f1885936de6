"""Limits on the time and the memory of a student's code; where the system has none, a thread watches."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygraph.teach.grading.runs import CLOCK, TimeUpError

__all__ = ["check_seconds", "limit_memory", "memory_in_use", "stopped_after", "watch"]

EVERY = 0.05  # seconds between two looks


def limit_memory(megabytes: float) -> bool:
    """Ask the system to refuse memory beyond what is in use now and some more; return whether it does.

    Args:
        megabytes: how much more.
    """
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + int(megabytes * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):  # Windows has no such limit, macOS does not say what is in use
        return False
    return True


def memory_in_use() -> float:
    """Return how many megabytes of memory this process uses; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    except ImportError:
        return windows_memory()


def windows_memory() -> float:
    """Return the megabytes that Windows says this process uses."""
    library = getattr(ctypes, "windll", None)
    if library is None:
        return 0.0
    counters = (ctypes.c_size_t * 10)()
    counters[0] = ctypes.sizeof(counters)
    handle = ctypes.c_void_p(library.kernel32.GetCurrentProcess())
    ok = library.psapi.GetProcessMemoryInfo(handle, ctypes.byref(counters), ctypes.c_ulong(counters[0]))
    return counters[2] / 2**20 if ok else 0.0


def watch(seconds: float, megabytes: float, stop: Callable[[str, Any], None]) -> None:
    """Start a thread that calls ``stop`` when a student's code takes too long, or too much memory.

    Args:
        seconds: for one call of a student's function.
        megabytes: of the process, beyond what is in use now.
        stop: is told "time" or "memory", and the frame that the main thread is in.
    """
    main, most = threading.main_thread().ident, memory_in_use() + megabytes

    def look() -> None:
        while True:
            time.sleep(EVERY)
            started = CLOCK.started
            if started is not None:
                late = time.monotonic() - started > seconds
                if late or memory_in_use() > most:
                    stop("time" if late else "memory", sys._current_frames().get(main or 0))

    threading.Thread(target=look, daemon=True).start()


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise `TimeUpError` in this thread where a call of a student's code takes too long, also in an endless loop.

    It is raised between two lines of Python: a call of NumPy is not broken off.

    Args:
        seconds: for one call.
    """
    done, me = threading.Event(), threading.get_ident()

    def look() -> None:
        while not done.wait(EVERY):
            with CLOCK.lock:
                if CLOCK.thread == me and CLOCK.started is not None and time.monotonic() - CLOCK.started > seconds:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(me), ctypes.py_object(TimeUpError))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def check_seconds(name: str, seconds: float) -> None:
    """Refuse a limit that is none.

    Raises:
        ValueError: it is not above 0.
    """
    if not seconds > 0 or math.isnan(seconds):
        raise ValueError(f"{name}: seconds is {seconds}; it must be above 0")
