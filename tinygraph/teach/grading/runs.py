"""One run of a student's function: what its lines assigned, what it returned or where it stopped."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import difflib
import functools
import gc
import io
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.teach.grading.instrument import Instrumented, NoSourceError

__all__ = ["CLOCK", "Crash", "Event", "Key", "Run", "Subject", "TimeUpError", "is_number", "quiet"]

Key = tuple[int, str, int]
PRINTED = 2000  # letters of what a student prints that are kept


@dataclasses.dataclass(frozen=True)
class Event:
    """One assignment: the line, the variable, how often this line had assigned it before, and the value."""

    line: int
    name: str
    count: int
    value: Any

    @property
    def key(self) -> Key:
        """What it is called in another run."""
        return self.line, self.name, self.count


@dataclasses.dataclass(frozen=True)
class Crash:
    """Where a function stopped.

    Attributes:
        kind: of the error.
        message: its text.
        line: of the student's file.
        shapes: of the arrays that this line names.
        in_function: whether the line is one of the function itself, and not of one that it calls.
        like: of a name that is not there, names that are.
    """

    kind: str
    message: str
    line: int
    shapes: Mapping[str, tuple[int, ...]]
    in_function: bool = True
    like: tuple[str, ...] = ()


@dataclasses.dataclass
class Run:
    """What a run did.

    Attributes:
        events: assignments, in order.
        result: what was returned.
        line: of the ``return``.
        crash: where it stopped, if it did.
        changed: line and variable at which an argument was first found to be changed in place.
        printed: what it printed.
        counts: its variables that are whole numbers above 1.
    """

    events: list[Event]
    result: Any = None
    line: int = 0
    crash: Crash | None = None
    changed: tuple[int, str] | None = None
    printed: str = ""
    counts: dict[str, int] = dataclasses.field(default_factory=dict)


class TimeUpError(BaseException):
    """A student's code took too long; no ``except Exception`` of it stops this."""


class Clock:
    """Since when a student's code has been running, and in which thread; a watchdog reads it."""

    started: float | None = None
    thread = 0

    def __init__(self) -> None:
        self.lock = threading.Lock()


CLOCK = Clock()


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keep what is printed, and let warnings pass.

    The garbage collector waits meanwhile: `TimeUpError` would be printed and lost in one of its callbacks.
    """
    kept, collecting = io.StringIO(), gc.isenabled()
    gc.disable()
    CLOCK.started, CLOCK.thread = time.monotonic(), threading.get_ident()
    try:
        with silent(kept):
            yield kept
    finally:
        with CLOCK.lock:
            CLOCK.started = None
        if collecting:
            gc.enable()


@contextlib.contextmanager
def silent(kept: io.StringIO) -> Iterator[None]:
    """Keep what is printed, and let warnings pass."""
    with (
        contextlib.redirect_stdout(kept),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


class Subject:
    """A student's function, ready to be run.

    Args:
        function: as the student wrote it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.source: Instrumented | None
        try:
            self.source = Instrumented(function)
        except NoSourceError:
            self.source = None
        code = getattr(function, "__code__", None)
        self.name = getattr(function, "__name__", "backward")
        self.file = self.source.file if self.source else getattr(code, "co_filename", "?")
        self.line = self.source.line if self.source else getattr(code, "co_firstlineno", 0)

    def text(self, line: int) -> str:
        """Return the code of a line."""
        return self.source.text(line) if self.source else ""

    def run(self, arguments: Sequence[Any], fixes: Mapping[Key, Any], code: Any = None) -> Run:
        """Run the function on copies of arguments.

        Args:
            arguments: dout and cache, or others.
            fixes: what is assigned in the place of some values.
            code: of a changed function; its own unless given. Where that stops is not looked for.
        """
        given = copy.deepcopy(list(arguments))
        before = [] if fixes or code else [(a, a.copy()) for a in arrays_in(given)]  # seen the first time
        run, counts = Run([]), dict[tuple[int, str], int]()

        def watch(line: int, name: str) -> None:
            if run.changed is None and any(not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in before):
                run.changed = (line, name)

        def check(line: int, name: str, value: Any) -> Any:
            watch(line, name)
            count = counts.get((line, name), 0)
            counts[line, name] = count + 1
            if (line, name, count) in fixes:
                value = fixes[line, name, count].copy()
            elif type(value) is int and value > 1:
                run.counts[name] = value
                return value
            elif not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiub":
                return value
            run.events.append(Event(line, name, count, np.array(value)))
            return value

        def fix(line: int, name: str, value: Any) -> Any:  # of a changed function only the result is of interest
            count = counts.get((line, name), 0)
            counts[line, name] = count + 1
            return fixes[line, name, count].copy() if (line, name, count) in fixes else value

        def back(line: int, value: Any) -> Any:
            watch(line, "return")
            run.line = line
            return value

        function = self.source.bind(fix if code else check, back, code) if self.source else self.function
        with quiet() as kept:
            try:
                run.result = function(*given)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a student's code may end in any way, exit() too
                run.crash = Crash(type(error).__name__, "", 0, {}) if code else self.crash(error)
        watch(run.line, "return")
        run.printed = kept.getvalue()[:PRINTED]
        return run

    def crash(self, error: BaseException) -> Crash:
        """Say where a run stopped: in the innermost line of the student's file."""
        frames = [(f, line) for f, line in traceback.walk_tb(error.__traceback__)]
        mine = [(f, line) for f, line in frames if f.f_code.co_filename == self.file]
        frame, line = mine[-1] if mine else frames[-1]
        names = names_in(self.text(line))
        shapes = {n: v.shape for n in names if isinstance(v := frame.f_locals.get(n), np.ndarray)}
        message = " ".join(str(error).split())
        kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
        there = [n for n in (*frame.f_locals, *frame.f_globals) if not n.startswith("__")]
        wanted = getattr(error, "name", None) if isinstance(error, NameError) else None
        like = tuple(difflib.get_close_matches(wanted, there, 2, 0.7)) if wanted else ()
        return Crash(kind, message, line, shapes, frame.f_code.co_name == self.name, like)


@functools.lru_cache(maxsize=256)
def names_in(text: str) -> tuple[str, ...]:
    """Return the names in a line of code, in order."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return tuple(dict.fromkeys(n.id for n in sorted(nodes, key=lambda n: n.col_offset)))


def arrays_in(value: Any) -> Iterator[Any]:
    """Yield the arrays in nested lists, tuples and dictionaries."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from arrays_in(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from arrays_in(part)


def is_number(value: Any) -> bool:
    """Whether a value is an array of numbers, or a number."""
    return isinstance(value, np.ndarray | np.generic | float | int) and np.asarray(value).dtype.kind in "fiub"
