"""The result of a comparison, as data and as a table. How the figures are measured is in `comparison`."""

from __future__ import annotations

import dataclasses
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygraph.drawing.formats.notebook import bundle, folded_html, line_html
from tinygraph.verify.profiling import write_bytes

__all__ = ["Certificate", "Figure"]

ORDERS = ("value", "1st", "2nd", "3rd")  # order of the derivative
DIFFERENCES = 1e-3  # relative distance that a right derivative may have from central differences
WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        case: name of the data: "as given", "uniform", "uniform + 100", …
        dtype: precision in which the function ran.
        function: "composed", "fused" or "torch".
        quantity: "y", "dx", …, "jvp"; "d²x", … and "d³x", …: the derivative of the gradient along random
            directions, once and twice.
        order: order of the derivative, 0 … 3.
        error: greatest difference from composed in float64, divided by its greatest element.
        apart: the same, from composed in the same precision.
        tolerance: greatest error that rounding can explain.
        ok: True if the error is within tolerance; for fused and torch also if it is no worse than composed's.
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


@dataclasses.dataclass(frozen=True, repr=False)
class Certificate:
    """The result of `compare`. ``str()`` gives the table, ``ok`` the verdict.

    Attributes:
        composed: name of the reference.
        fused: name of the function that is judged.
        inputs: name, dtype and shape of each input.
        seed: seed of the random upstream gradients, directions and data.
        rows: every figure.
        reference: order of a derivative -> its error in composed, beside central differences in float64.
        kept: function -> bytes that it keeps for backward: beyond the inputs, and of the inputs.
        seconds: function -> median time of forward and backward; empty if they were not timed.
        runs: number of runs of which that is the median.
        notes: what else a reader should know.

    >>> certificate = compare(lambda x: x * x, lambda x: x**2, np.array([1.0, 2.0]), time=False)
    >>> certificate.ok, certificate.failures
    (True, ())
    """

    composed: str
    fused: str
    inputs: tuple[str, ...]
    seed: int
    rows: tuple[Figure, ...]
    reference: Mapping[str, float]
    kept: Mapping[str, tuple[int, int]]
    seconds: Mapping[str, float]
    runs: int
    notes: tuple[str, ...]

    @property
    def failures(self) -> tuple[Figure, ...]:
        """The figures of the fused function that are beyond tolerance, those of float64 first."""
        failed = [row for row in self.rows if row.function == "fused" and not row.ok]
        return tuple(sorted(failed, key=lambda row: row.dtype, reverse=True))

    @property
    def ok(self) -> bool:
        """True if all figures of the fused function are right, and the reference itself is right."""
        return not self.failures and all(error <= DIFFERENCES for error in self.reference.values())

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        for derivative, error in self.reference.items():
            if not error <= DIFFERENCES:
                return (
                    f"✗ {self.composed}, the reference, is itself wrong: its {derivative} derivative is off by "
                    f"{write_error(error)} from central differences"
                )
        count = sum(row.function == "fused" for row in self.rows)
        if not self.failures:
            return f"✓ {self.fused} computes {self.composed}: all {count} figures agree, up to the third derivative"
        first = self.failures[0]
        why = "rounding cannot explain that" if first.dtype == "float64" else "float32 can do better"
        how = f"off by {write_error(first.error)}, where {write_error(first.tolerance)} is allowed; {why}"
        return (
            f"✗ {self.fused} does not compute {self.composed}: {len(self.failures)} of {count} figures are off. First "
            f"{first.quantity} ({first.case}, {first.dtype}): "
            f"{how if math.isfinite(first.error) else 'it has no finite value, and the reference has one'}"
        )

    def to_json(self) -> str:
        """Write the certificate as JSON.

        Returns:
            An object of all attributes, with ``ok`` and ``verdict``; a number that is not finite is null.

        >>> certificate = compare(lambda x: x * x, lambda x: x**2, np.array([1.0, 2.0]), time=False)
        >>> certificate.to_json().splitlines()[1]
        ' "ok": true,'
        """
        facts = {"ok": self.ok, "verdict": self.verdict, **dataclasses.asdict(self)}
        return json.dumps(finite_or_none(facts), ensure_ascii=False, indent=1, allow_nan=False)

    def __str__(self) -> str:
        return "\n".join(certificate_lines(self))

    def __repr__(self) -> str:
        return f"<Certificate: {self.verdict}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        _, _, lines = str(self).partition("\n\n")  # all below the verdict
        plain = f"{self.verdict}\nprint() of it shows all {len(self.rows)} figures"
        return bundle(plain, line_html(self.verdict), folded_html(f"all {len(self.rows)} figures", lines))


def finite_or_none(value: Any) -> Any:
    """Return a tree of dicts and lists for JSON, with None for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite_or_none(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def certificate_lines(c: Certificate) -> Iterator[str]:
    """Yield the lines of a certificate."""
    yield from textwrap.wrap(c.verdict, WIDTH, subsequent_indent="  ")
    yield ""
    yield from textwrap.wrap(f"inputs    {', '.join(c.inputs)}", WIDTH, subsequent_indent=" " * 10)
    if len({row.case for row in c.rows}) > 1:
        yield f"data      {c.inputs[0].split()[0]} as given; from 'uniform' on, drawn again between its extremes"
    yield "errors    greatest difference ÷ greatest element, against composed in float64,"
    off = ", ".join(f"{write_error(error)} ({order})" for order, error in c.reference.items())
    yield f"          whose derivatives differ from central differences by {off}"
    yield ""
    yield from table_lines(c.rows)
    yield ""
    gradients = ", ".join(dict.fromkeys(row.quantity for row in c.rows if row.order == 1 and row.quantity[0] == "d"))
    legend = f"y value · {gradients} gradients of Σ w⊙y, w random · jvp how y moves along a random v"
    yield from textwrap.wrap(legend, WIDTH)
    yield "2nd, 3rd derivatives of those gradients along v, then along a random u: the worst of all inputs"
    yield "✗ beyond tolerance; only fused is judged · ≈ beyond it too, but no worse than composed"
    yield ""
    yield from cost_lines(c)
    yield from [""] if c.notes else []
    for note in c.notes:
        yield from textwrap.wrap(note, WIDTH, initial_indent="• ", subsequent_indent="  ")


def table_lines(rows: Sequence[Figure]) -> Iterator[str]:
    """Yield a line for each function in each case and precision."""
    low = list(dict.fromkeys(row.quantity for row in rows if row.order < 2))
    column = {q: q for q in low} if len(low) < 8 else {q: {"y": "y", "d": "grad", "j": "jvp"}[q[0]] for q in low}
    lines: dict[tuple[str, str, str], dict[str, list[Figure]]] = {}
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
        figures = "".join(write_cell(cells[name], width) for name, width in widths.items())
        right = all(row.ok for found in cells.values() for row in found)
        verdict = "" if function != "fused" else "✓" if right else "✗"
        yield f"{data:<{room}}{precision:<10}{function:<8}{figures} {verdict}".rstrip()


def write_cell(rows: Sequence[Figure], width: int) -> str:
    """Write the worst of some figures, with its mark."""
    worst = max(rows, key=lambda row: (not row.ok, row.error))
    mark = "✗" if not worst.ok else "≈" if worst.error > worst.tolerance else " "
    return f"{write_error(worst.error):>{width - 1}}{mark}"


def cost_lines(c: Certificate) -> Iterator[str]:
    """Yield the lines on memory and time."""
    yield f"{'':<38}" + "".join(f"{name:>12}" for name in c.kept)
    for i, what in enumerate(("kept for backward, beyond the inputs", "kept for backward, of the inputs")):
        yield f"{what:<38}" + "".join(f"{write_bytes(found[i]):>12}" for found in c.kept.values())
    if c.seconds:
        ratio = c.seconds["fused"] / c.seconds["composed"]
        yield f"{'time, forward and backward':<38}" + "".join(f"{1e3 * t:>9.3g} ms" for t in c.seconds.values())
        yield f"{'time, as a ratio':<38}{1:>12}{ratio:>12.2f}    median of {c.runs} runs in turns"


def write_error(error: float) -> str:
    """Write an error with one digit."""
    return "0" if error == 0 else f"{error:.0e}" if math.isfinite(error) else "∞"
