"""Where the time goes: by op and by scope, forward and backward apart. No profile, no cost.

While a profile runs, the array function and the derivative lines of each op are wrapped in a clock. Afterwards they
are what they were. There is one profile at a time, and it counts the ops of every thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from tinygraph.drawing.formats.notebook import bundle, line_html, table_html
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.errors import clean
from tinygraph.engine.op import Function, Op
from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Record
from tinygraph.graph.data import Graph
from tinygraph.kernels.arrays import synchronize
from tinygraph.kernels.lazy_product import Summand
from tinygraph.ops.later import load_all

__all__ = ["Profile", "profile"]

MOST_ROWS = 20  # of a table

# Whether this thread is inside a measured call. A derivative line may call ops: their time is part of the line's.
IN_MEASURED_CALL: ContextVar[bool] = ContextVar("in_measured_call", default=False)


@dataclasses.dataclass
class Entry:
    """What one op took in one scope, in one direction.

    Attributes:
        op: name of the op.
        scope: names of the boxes around it, outer before inner.
        phase: "forward" or "backward".
        calls: how often it was called.
        seconds: time of all its calls, in seconds.
        nbytes: bytes of all its results.
    """

    op: str
    scope: tuple[str, ...]
    phase: str
    calls: int = 0
    seconds: float = 0.0
    nbytes: int = 0


class Profile:
    """What was measured; ``str`` of it is a table.

    Attributes:
        seconds: length of the whole block, in seconds. What the entries leave of it is the recording, and the code of
            the caller. With several threads the entries may add up to more.

    >>> with tg.profile() as p:
    ...     y = Tensor(np.ones(3)) * 2
    >>> p.seconds > 0
    True
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._entries: dict[tuple[str, tuple[str, ...], str], Entry] = {}
        self._lock = threading.Lock()

    @property
    def entries(self) -> list[Entry]:
        """One entry for each op, scope and phase, slowest first. Time is that of the array functions alone."""
        return sorted(self._entries.values(), key=lambda e: -e.seconds)

    def with_clock(self, function: Function, op: str, scope: tuple[str, ...] | None, phase: str) -> Function:
        """Return ``function`` with a clock that adds to one entry. A scope of None is the one it is called in."""

        def call(*args: Any, **params: Any) -> Any:
            if IN_MEASURED_CALL.get():
                return function(*args, **params)
            where = CONTEXT.get().scope if scope is None else scope
            nbytes, token = 0, IN_MEASURED_CALL.set(True)
            started = time.perf_counter()
            try:
                out = function(*args, **params)
                for array in out if isinstance(out, tuple | list) else (out,):
                    if not isinstance(array, Summand):  # no array yet; to ask for its size would make one
                        synchronize(array)
                        nbytes += getattr(array, "nbytes", 0)
                return out
            finally:
                seconds = time.perf_counter() - started
                IN_MEASURED_CALL.reset(token)
                self._add(Entry(op, where, phase, 1, seconds, nbytes))

        return call

    def _add(self, new: Entry) -> None:
        """Add one call to its entry; threads take turns."""
        with self._lock:
            add(self._entries.setdefault((new.op, new.scope, new.phase), Entry(new.op, new.scope, new.phase)), new)

    def by(self, *fields: str) -> list[tuple[tuple[Any, ...], Entry]]:
        """Group the entries by some of their fields, and add up the rest.

        Args:
            fields: names of fields of an entry: "op", "scope", "phase".

        Returns:
            Pairs of the fields' values and the sum of the entries that have them, slowest first.

        >>> with profile() as p:
        ...     y = Tensor([1.0, 2.0]) * 2
        >>> [(op, phase, sums.calls) for (op, phase), sums in p.by("op", "phase")]
        [('mul', 'forward', 1)]
        """
        sums: dict[tuple[Any, ...], Entry] = {}
        for e in self.entries:
            add(sums.setdefault(tuple(getattr(e, field) for field in fields), Entry(e.op, e.scope, e.phase)), e)
        return sorted(sums.items(), key=lambda item: -item[1].seconds)

    def __str__(self) -> str:
        lines = [self._first_line(), ""]
        for field in ("op", "scope"):
            lines += [*align(self._cells(field)), ""]
        return "\n".join(lines[:-1])

    def __repr__(self) -> str:
        return f"<Profile: {self._first_line()}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        tables = [table_html(head, rows) for head, *rows in map(self._cells, ("op", "scope"))]
        return bundle(str(self), line_html(self._first_line()), *tables)

    def _first_line(self) -> str:
        inside = sum(e.seconds for e in self.entries)
        return f"{write_seconds(self.seconds)} in all, {write_seconds(inside)} of it in array functions"

    def _cells(self, field: str) -> list[tuple[str, ...]]:
        """Return the head and the rows of a table by op or by scope, slowest first; the 20th row may be a sum."""
        sums = [
            ((clean(name if isinstance(name, str) else "/".join(name)) or "top level", phase), e)
            for (name, phase), e in self.by(field, "phase")
        ]
        if len(sums) > MOST_ROWS:
            rest = Entry("", (), "")
            for _, e in sums[MOST_ROWS - 1 :]:
                add(rest, e)
            sums = [*sums[: MOST_ROWS - 1], ((f"{len(sums) - MOST_ROWS + 1} others", ""), rest)]
        head = (field, "", "calls", "time", "share", "bytes")
        return [head, *((*names, *figures(e, self.seconds)) for names, e in sums)]

    def to_json(self) -> str:
        """Write the profile as JSON.

        Returns:
            ``{"seconds": …, "entries": [{"op", "scope", "phase", "calls", "seconds", "nbytes"}, …]}``.

        >>> with profile() as p:
        ...     pass
        >>> p.to_json().endswith('"entries": []}')
        True
        """
        return json.dumps({"seconds": self.seconds, "entries": [dataclasses.asdict(e) for e in self.entries]})

    def columns(self, graph: Graph) -> dict[str, dict[int, str]]:
        """Write the mean time of each node's op in its scope, to be shown beside a graph.

        Args:
            graph: a snapshot of what was measured.

        Returns:
            ``{"forward": {node id: time}, "backward": {…}}``, the ``columns`` of ``graph.text``.

        >>> x = Tensor([1.0, 2.0], name="x")
        >>> with profile() as p:
        ...     y = x * 2
        >>> list(p.columns(snapshot(y))["forward"])
        [2]
        """
        columns: dict[str, dict[int, str]] = {}
        for phase in ("forward", "backward"):
            entries = {(e.op, e.scope): e for e in self.entries if e.phase == phase}
            measured = {n.id: entries[n.op, n.scope] for n in graph.nodes if n.op and (n.op, n.scope) in entries}
            columns[phase] = {i: write_seconds(e.seconds / e.calls) for i, e in measured.items()}
        return columns


def add(total: Entry, more: Entry) -> None:
    """Add the figures of one entry to another."""
    total.calls += more.calls
    total.seconds += more.seconds
    total.nbytes += more.nbytes


def figures(e: Entry, whole: float) -> tuple[str, ...]:
    """Write calls, time, share of the whole and bytes of an entry."""
    share = f"{100 * e.seconds / whole:.0f} %" if whole else ""
    return str(e.calls), write_seconds(e.seconds), share, write_bytes(e.nbytes)


def align(cells: Sequence[Sequence[str]]) -> list[str]:
    """Write rows of cells as lines of a table: two columns of words, then figures."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rows_of_text = ([f"{cell:{'<' if k < 2 else '>'}{widths[k]}}" for k, cell in enumerate(line)] for line in cells)
    return ["  ".join(row).rstrip() for row in rows_of_text]


def write_seconds(seconds: float) -> str:
    """Write a time with its unit: 12 µs, 3.4 ms, 1.2 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def write_bytes(count: int) -> str:
    """Write a number of bytes with its unit: 512 B, 4.1 kB, 16.8 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


@contextlib.contextmanager
def profile() -> Iterator[Profile]:
    """Measure the ops called inside a ``with`` block, in every thread: time, calls and bytes, by op and by scope.

    Yields:
        A `Profile`, complete when the block ends.

    Raises:
        RuntimeError: another profile is running.

    >>> x = Tensor(np.ones((4, 3)))
    >>> with profile() as p:
    ...     (x * x).sum().backward()
    >>> sorted((e.op, e.phase, e.calls) for e in p.entries)
    [('mul', 'backward', 2), ('mul', 'forward', 1), ('sum', 'backward', 1), ('sum', 'forward', 1)]
    """
    load_all()  # an op that is defined inside would not be measured
    ops = list(OPS.values())
    if any("lines_for" in vars(op) for op in ops):
        raise RuntimeError("a profile is running already; there is one at a time")
    measured = Profile()
    before = [(op.forward, op.plain) for op in ops]
    for op in ops:
        op.forward = measured.with_clock(op.forward, op.name, None, "forward")
        vars(op)["lines_for"] = lines_with_clocks(measured, op)
        op.plain = False  # so that the walk asks for lines, and says for which node
    started = time.perf_counter()
    try:
        yield measured
    finally:
        measured.seconds = time.perf_counter() - started
        for op, (forward, plain) in zip(ops, before, strict=True):
            op.forward, op.plain = forward, plain
            del vars(op)["lines_for"]


def lines_with_clocks(measured: Profile, op: Op) -> Callable[[Record, Any], list[Function | None]]:
    """Return an op's ``lines_for``, whose lines are measured in the scope of the node that they are for."""
    lines_for, is_fused = op.lines_for, op.definition is not None

    def lines(node: Record, g: Any) -> list[Function | None]:
        def with_clock(function: Function) -> Function:
            return measured.with_clock(function, op.name, node.scope, "backward")

        if is_fused:  # its kernel runs when it is asked for lines
            gradients = with_clock(lambda: [line() for line in lines_for(node, g) if line])()
            return [lambda *_, gx=gx: gx for gx in gradients]
        return [line and with_clock(line) for line in lines_for(node, g)]

    return lines
