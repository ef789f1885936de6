"""What the terminal can show, and what may stop a command: streams that lack letters or are closed, and signals."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

__all__ = [
    "Stopped",
    "columns",
    "has_color",
    "open_streams",
    "print_lines",
    "rewrites_lines",
    "speaks_unicode",
    "stoppable",
]

SPELLED = "tinygraph.spelled"  # the name of the handler of letters that a stream lacks


class Stopped(KeyboardInterrupt):
    """SIGTERM has come; treated as Ctrl-C, but for the exit status."""


def open_streams() -> None:
    """Let all that is printed arrive: letters that a stream lacks are spelled in ASCII; a closed stream is no error.

    >>> open_streams()
    >>> "γ ≤ σ".encode("ascii", SPELLED)
    b'gamma <= sigma'
    """
    codecs.register_error(SPELLED, spell)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this process, or a window without a terminal
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it is as long as the process
        elif stream.errors in ("strict", "backslashreplace") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=SPELLED)


def spell(error: UnicodeError) -> tuple[str, int]:
    """Replace what cannot be encoded by ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from tinygraph.drawing.formats.text import to_ascii

    return to_ascii(error.object[error.start : error.end]), error.end


def print_lines(text: str, ascii: bool = False) -> None:  # noqa: A002 - named as the option
    """Print a text; with ``ascii`` in ASCII alone."""
    from tinygraph.drawing.formats.text import to_ascii

    print("\n".join(map(to_ascii, text.split("\n"))) if ascii else text)


def speaks_unicode(stream: TextIO) -> bool:
    """Whether a stream can show the letters and lines of the charts."""
    try:
        "γ̂∂Σ≤✓▾│".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def rewrites_lines(stream: TextIO) -> bool:
    """Whether a line can be written again in place: on a terminal that knows how."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_color(stream: TextIO) -> bool:
    """Whether to colour: on a terminal, unless ``NO_COLOR`` has a value (https://no-color.org)."""
    return rewrites_lines(stream) and not os.environ.get("NO_COLOR")


def columns(fallback: int = 120) -> int:
    """Return how many columns the terminal has."""
    return shutil.get_terminal_size((fallback, 24)).columns


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does: by an exception, so that files are left whole."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
