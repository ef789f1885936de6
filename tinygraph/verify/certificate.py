"""What a comparison found, as data and as a table: it knows the figures and nothing of how they were got."""

from __future__ import annotations

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygraph.verify.profiling import write_bytes

__all__ = ["Certificate", "Row"]

ORDERS = ("value", "1st", "2nd", "3rd")  # order of the derivative
DIFFERENCES = 1e-3  # how far from central differences a right derivative may be
WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        case: which data: "as given", "uniform", "uniform + 100", …
        dtype: in which precision the function ran.
        function: "composed", "fused" or "torch".
        quantity: "y", "dx", …, "jvp"; "d²x", … and "d³x", …: the derivative of the gradient along random
            directions, once and twice.
        order: order of the derivative, 0 … 3.
        error: greatest difference relative to the greatest element, against composed in float64.
        apart: the same, against composed in the same precision.
        tolerance: up to which a difference is put down to rounding.
        ok: whether the error is; for a function other than composed, whether it is or is no worse than composed.
    """

    case: str
    dtype: str
    function: str
    quantity: str
    order: int
    error: float
    apart: float
    tolerance: float
    ok: bool


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What `compare` found. ``str()`` gives the table, ``ok`` the verdict.

    Attributes:
        composed, fused: names of the functions.
        inputs: name, dtype and shape of each input.
        seed: of the random cotangent, directions and data.
        rows: every figure.
        reference: by how much the derivatives of composed differ from central differences, in float64.
        kept: for each function, bytes kept for backward: beyond the inputs, and of the inputs.
        seconds: for each function, median time of forward and backward; empty where not timed.
        runs: how many runs that is the median of.
        notes: what else a reader should know.
    """

    composed: str
    fused: str
    inputs: tuple[str, ...]
    seed: int
    rows: tuple[Row, ...]
    reference: Mapping[str, float]
    kept: Mapping[str, tuple[int, int]]
    seconds: Mapping[str, float]
    runs: int
    notes: tuple[str, ...]

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows of the fused function that are beyond tolerance, those of float64 first."""
        failed = [row for row in self.rows if row.function == "fused" and not row.ok]
        return tuple(sorted(failed, key=lambda row: row.dtype, reverse=True))

    @property
    def ok(self) -> bool:
        """Whether the fused function is right in all its rows, and the reference that says so is right itself."""
        return not self.failures and all(error <= DIFFERENCES for error in self.reference.values())

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        for derivative, error in self.reference.items():
            if not error <= DIFFERENCES:
                return (
                    f"✗ {self.composed}, the reference, is itself wrong: its {derivative} derivative is off by "
                    f"{short(error)} from central differences"
                )
        count = sum(row.function == "fused" for row in self.rows)
        if not self.failures:
            return f"✓ {self.fused} computes {self.composed}: all {count} figures agree, up to the third derivative"
        first = self.failures[0]
        why = "rounding cannot explain that" if first.dtype == "float64" else "float32 can do better"
        how = f"off by {short(first.error)}, where {short(first.tolerance)} is allowed; {why}"
        return (
            f"✗ {self.fused} does not compute {self.composed}: {len(self.failures)} of {count} figures are off. First "
            f"{first.quantity} ({first.case}, {first.dtype}): "
            f"{how if math.isfinite(first.error) else 'it has no finite value, and the reference has one'}"
        )

    def to_json(self) -> str:
        """Return all of it as JSON, with ``ok`` and ``verdict``; a number that is not finite is null."""
        facts = {"ok": self.ok, "verdict": self.verdict, **dataclasses.asdict(self)}
        return json.dumps(plain(facts), ensure_ascii=False, indent=1, allow_nan=False)

    def __str__(self) -> str:
        return "\n".join(page(self))


def plain(value: Any) -> Any:
    """Return a tree for JSON, with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def page(c: Certificate) -> Iterator[str]:
    """Yield the lines of a certificate."""
    yield from textwrap.wrap(c.verdict, WIDTH, subsequent_indent="  ")
    yield ""
    yield from textwrap.wrap(f"inputs    {', '.join(c.inputs)}", WIDTH, subsequent_indent=" " * 10)
    if len({row.case for row in c.rows}) > 1:
        yield f"data      {c.inputs[0].split()[0]} as given; from 'uniform' on, drawn anew between its extremes"
    yield "errors    greatest difference ÷ greatest element, against composed in float64,"
    off = ", ".join(f"{short(error)} ({order})" for order, error in c.reference.items())
    yield f"          whose derivatives differ from central differences by {off}"
    yield ""
    yield from table(c.rows)
    yield ""
    gradients = ", ".join(dict.fromkeys(row.quantity for row in c.rows if row.order == 1 and row.quantity[0] == "d"))
    legend = f"y value · {gradients} gradients of Σ w⊙y, w random · jvp how y moves along a random v"
    yield from textwrap.wrap(legend, WIDTH)
    yield "2nd, 3rd derivatives of those gradients along v, then along a random u: the worst of all inputs"
    yield "✗ beyond tolerance; only fused is judged · ≈ beyond it too, but no worse than composed"
    yield ""
    yield from costs(c)
    yield from [""] if c.notes else []
    for note in c.notes:
        yield from textwrap.wrap(note, WIDTH, initial_indent="• ", subsequent_indent="  ")


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each function in each case and precision."""
    low = list(dict.fromkeys(row.quantity for row in rows if row.order < 2))
    column = {q: q for q in low} if len(low) < 8 else {q: {"y": "y", "d": "grad", "j": "jvp"}[q[0]] for q in low}
    lines: dict[tuple[str, str, str], dict[str, list[Row]]] = {}
    for row in rows:
        line = lines.setdefault((row.case, row.dtype, row.function), {})
        line.setdefault(column.get(row.quantity, ORDERS[row.order]), []).append(row)
    widths = {name: max(7, len(name) + 1) for name in (*column.values(), "2nd", "3rd")}
    room = max([16, *(len(case) + 2 for case, _, _ in lines)])
    head = f"{'data':<{room}}precision function" + "".join(f"{name:>{w - 1}} " for name, w in widths.items())
    yield head.rstrip()
    yield "─" * (len(head) + 1)
    before = ("", "")
    for (case, dtype, function), cells in lines.items():
        data, precision = "" if case == before[0] else case, "" if (case, dtype) == before else dtype
        before = case, dtype
        figures = "".join(cell(cells[name], width) for name, width in widths.items())
        right = all(row.ok for found in cells.values() for row in found)
        verdict = "" if function != "fused" else "✓" if right else "✗"
        yield f"{data:<{room}}{precision:<10}{function:<8}{figures} {verdict}".rstrip()


def cell(rows: Sequence[Row], width: int) -> str:
    """Write the worst figure, and its mark."""
    worst = max(rows, key=lambda row: (not row.ok, row.error))
    mark = "✗" if not worst.ok else "≈" if worst.error > worst.tolerance else " "
    return f"{short(worst.error):>{width - 1}}{mark}"


def costs(c: Certificate) -> Iterator[str]:
    """Yield the lines on memory and time."""
    yield f"{'':<38}" + "".join(f"{name:>12}" for name in c.kept)
    for i, what in enumerate(("kept for backward, beyond the inputs", "kept for backward, of the inputs")):
        yield f"{what:<38}" + "".join(f"{write_bytes(found[i]):>12}" for found in c.kept.values())
    if c.seconds:
        ratio = c.seconds["fused"] / c.seconds["composed"]
        yield f"{'time, forward and backward':<38}" + "".join(f"{1e3 * t:>9.3g} ms" for t in c.seconds.values())
        yield f"{'time, as a ratio':<38}{1:>12}{ratio:>12.2f}    median of {c.runs} runs in turns"


def short(error: float) -> str:
    """Write an error with one digit."""
    return "0" if error == 0 else f"{error:.0e}" if math.isfinite(error) else "∞"
