"""Where the time goes: by op and by scope, forward and backward apart. Off, it costs nothing, for it is not there.

While a profile runs, each op's array function and derivative lines are wrapped; afterwards they are what
they were. One profile at a time: it counts the ops of every thread.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tinygraph.autodiff.lazy_product import Summand
from tinygraph.engine.arrays import synchronize
from tinygraph.engine.context import CONTEXT
from tinygraph.engine.registry import OPS
from tinygraph.graph.data import Graph

__all__ = ["Profile", "profile"]


@dataclasses.dataclass
class Entry:
    """What one op did in one scope, in one direction: ``phase`` is "forward" or "backward"."""

    op: str
    scope: tuple[str, ...]
    phase: str
    calls: int = 0
    seconds: float = 0.0
    nbytes: int = 0


class Profile:
    """What was measured; ``str`` of it is a table.

    Attributes:
        entries: one for each op, scope and phase; seconds are of the array functions alone, and bytes are
            those of their results.
        seconds: of the whole block, so that the rest is the recording and the caller's own.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, tuple[str, ...], str], Entry] = {}
        self.seconds = 0.0
        self.inside = False  # a line may call ops: their time is the line's

    @property
    def entries(self) -> list[Entry]:
        """The entries, slowest first."""
        return sorted(self.found.values(), key=lambda e: -e.seconds)

    def timed(self, function: Callable[..., Any], op: str, scope: tuple[str, ...] | None, phase: str) -> Any:
        """Return ``function``, measured under that heading; a scope of None is the one it is called in."""

        def call(*args: Any, **params: Any) -> Any:
            if self.inside:
                return function(*args, **params)
            where = CONTEXT.get().scope if scope is None else scope
            entry = self.found.setdefault((op, where, phase), Entry(op, where, phase))
            self.inside = True
            started = time.perf_counter()
            try:
                out = function(*args, **params)
                for array in out if isinstance(out, tuple | list) else (out,):
                    if not isinstance(array, Summand):  # which is no array, and would become one
                        synchronize(array)
                        entry.nbytes += getattr(array, "nbytes", 0)
                return out
            finally:
                entry.seconds += time.perf_counter() - started
                entry.calls += 1
                self.inside = False

        return call

    def by(self, *fields: str) -> list[tuple[tuple[Any, ...], Entry]]:
        """Return the entries added up over what is not in ``fields``: ``by("op", "phase")``, slowest first."""
        sums: dict[tuple[Any, ...], Entry] = {}
        for e in self.entries:
            total = sums.setdefault(tuple(getattr(e, field) for field in fields), Entry(e.op, e.scope, e.phase))
            for figure in ("calls", "seconds", "nbytes"):
                setattr(total, figure, getattr(total, figure) + getattr(e, figure))
        return sorted(sums.items(), key=lambda item: -item[1].seconds)

    def __str__(self) -> str:
        inside = sum(e.seconds for e in self.entries)
        lines = [f"{span(self.seconds)} in all, {span(inside)} of it in array functions", ""]
        for heading, field in (("op", "op"), ("scope", "scope")):
            lines += [*table(heading, self.by(field, "phase"), self.seconds), ""]
        return "\n".join(lines[:-1])

    def to_json(self) -> str:
        """Return the entries as JSON: ``{"seconds", "entries": [{"op", "scope", "phase", "calls", …}]}``."""
        return json.dumps({"seconds": self.seconds, "entries": [dataclasses.asdict(e) for e in self.entries]})

    def columns(self, graph: Graph) -> dict[str, dict[int, str]]:
        """Return the mean time of each node's op in its scope, as ``columns`` of ``graph.text``."""
        found: dict[str, dict[int, str]] = {}
        for phase in ("forward", "backward"):
            entries = {(e.op, e.scope): e for e in self.entries if e.phase == phase}
            here = {n.id: entries[n.op, n.scope] for n in graph.nodes if n.op and (n.op, n.scope) in entries}
            found[phase] = {i: span(e.seconds / e.calls) for i, e in here.items()}
        return found


def table(heading: str, rows: Iterable[tuple[tuple[Any, ...], Entry]], whole: float) -> list[str]:
    """Write sums as lines of a table."""
    cells = [(heading, "", "calls", "time", "share", "bytes")]
    for (name, phase), e in rows:
        label = name if isinstance(name, str) else "/".join(name) or "top level"
        share = f"{100 * e.seconds / whole:.0f} %" if whole else ""
        cells.append((label, phase, str(e.calls), span(e.seconds), share, amount(e.nbytes)))
    widths = [max(map(len, column)) for column in zip(*cells)]
    left = lambda cell, k: cell.ljust(widths[k]) if k < 2 else cell.rjust(widths[k])
    return ["  ".join(left(cell, k) for k, cell in enumerate(line)).rstrip() for line in cells]


def span(seconds: float) -> str:
    """Write a time with its unit: 12 µs, 3.4 ms, 1.2 s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def amount(count: int) -> str:
    """Write a number of bytes with its unit: 512 B, 4.1 kB, 16.8 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


@contextlib.contextmanager
def profile() -> Iterator[Profile]:
    """Measure the ops called inside a ``with`` block: time, calls and bytes, by op and by scope.

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
    ops = list(OPS.values())
    if any("lines_for" in vars(op) for op in ops):
        raise RuntimeError("a profile is running already; there is one at a time")
    found = Profile()
    before = [(op.forward, op.plain) for op in ops]
    for op in ops:
        op.forward = found.timed(op.forward, op.name, None, "forward")
        op.lines_for = with_scopes(found, op)  # type: ignore[method-assign]
        op.plain = False  # so that the walk asks for lines, and says for which node
    started = time.perf_counter()
    try:
        yield found
    finally:
        found.seconds = time.perf_counter() - started
        for op, (forward, plain) in zip(ops, before):
            op.forward, op.plain = forward, plain
            del op.lines_for


def with_scopes(found: Profile, op: Any) -> Callable[..., Any]:
    """Return what gives the lines of an op, measured in the scope of the node that they are for."""
    lines_for, fused = op.lines_for, op.definition is not None

    def lines(node: Any, g: Any) -> list[Any]:
        if fused:  # its kernel runs when it is asked for lines
            kernel = lambda: [line() for line in lines_for(node, g)]
            return [lambda *_, gx=gx: gx for gx in found.timed(kernel, op.name, node.scope, "backward")()]
        return [line and found.timed(line, op.name, node.scope, "backward") for line in lines_for(node, g)]

    return lines
