"""A program as a picture: a box for each kernel, and in it a band for each sweep over memory.

A band says which arrays are read, what is summed and what is written; between two bands stands what is settled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.compiler.algebra import Expression, below
from tinygraph.compiler.kernel import LETTERS, Kernel
from tinygraph.compiler.plan import PlanStep, ProgramPlan
from tinygraph.compiler.program import Step
from tinygraph.compiler.values import Value
from tinygraph.drawing.formats.svg import at, document, line_of
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.style.formula import words
from tinygraph.drawing.style.text_width import shorten, width
from tinygraph.drawing.style.themes import THEMES
from tinygraph.verify.profiling import write_bytes

__all__ = ["svg"]

SIGNS = {"add": " + ", "sub": " − ", "mul": " · ", "div": " / "}
WIDEST, ACROSS, LINE, GAP = 260.0, 1080.0, 19.0, 34.0  # of a line of a band; of a row of boxes; between lines and boxes


class Band(NamedTuple):
    """A column of a box: its head, the arrays that it reads, and lines below."""

    head: str
    reads: list[str]
    lines: list[str]

    @property
    def width(self) -> float:
        """How wide it is."""
        chips = sum(width(x, 13) + 22 for x in self.reads)
        return max(34.0, chips, *(width(x, 13) for x in (*self.lines, self.head))) + 22


def svg(plans: Sequence[ProgramPlan], theme: str = "light") -> str:
    """Draw plans, one below the other.

    Args:
        plans: from `Compiled.plan`.
        theme: "light", "dark", "auto", "print" or "transparent".

    Returns:
        An SVG document.
    """
    if theme not in THEMES:
        raise ValueError(f"draw: theme is {theme!r}; it must be one of {', '.join(THEMES)}")
    lanes = [[(way, *lane(plan, way)) for way in ("step", "forward", "backward")] for plan in plans]
    right = max(520.0, *(wide for ways in lanes for _, _, wide, _ in ways))
    body, y = list[str](), 10.0
    for plan, ways in zip(plans, lanes, strict=True):
        body.append(text(24, y + 24, shorten(plan.title, 17, right - 24, "bold"), 17, "ink", "bold"))
        y += 44
        for way, boxes, _, tall in ways:
            if boxes:
                body.append(rect(f"lane{int(way == 'backward')}", 8, y, right + 8, tall))
                body += [text(24, y + 20, way, 13, "muted", "bold"), *group(boxes, 24, y + 30)]
                y += tall
        least = f"at least {write_bytes(plan.least[0])} to read and {write_bytes(plan.least[1])} to write; "
        body.append(text(24, y + 16, f"{least}kept for backward: {write_bytes(plan.kept)}", 12, "muted"))
        y += 36
    return document(body, right + 24, y, theme, plans[0].title, "Kernels and their sweeps")


def lane(plan: ProgramPlan, way: str) -> tuple[list[str], float, float]:
    """Draw the steps of a way from left to right, in as many rows as it takes; return it, its right end and height."""
    out, x, y, tall, right = list[str](), 0.0, 0.0, 0.0, 0.0
    for step, does in zip(plan.program.steps, plan.steps, strict=True):
        if does.way != way or not does.sweeps:
            continue
        part, w, h = box(step, does)
        if x + w > ACROSS - 24 and x:
            x, y, tall = 0.0, y + tall + 20, 0.0
        elif x:
            out.append(f'<path class="value-line" d="M{at(x - GAP + 4)} {at(y + 22)}H{at(x - 10)}"/>')
            out.append(f'<path class="value" d="M{at(x - 3)} {at(y + 22)}l-9 -4.2v8.4z"/>')
        out += group(part, x, y)
        x, tall, right = x + w + GAP, max(tall, h), max(right, x + w)
    return out, right + 24, y + tall + 46


def box(step: Step, does: PlanStep) -> tuple[list[str], float, float]:
    """Draw a kernel or a call at the origin; return it, and its width and height."""
    bands = bands_of(step.kernel) if step.kernel else []
    moved = f"{write_bytes(does.reads)} in, {write_bytes(does.writes)} out"
    tall = max((len(b.lines) * LINE + (56 if b.reads else 32) for b in bands), default=0)
    out, x = list[str](), 10.0
    for band in bands:
        out += column(band, x, 34, tall)
        x += band.width + 6
    w, h = max(x + 4, width(does.what, 14, "bold") + width(moved, 12) + 38), tall + 46 if bands else 34.0
    head = [text(12, 22, does.what, 14, "ink", "bold"), text(w - 12, 22, moved, 12, "muted", end="end")]
    return [rect("card", 0, 0, w, h, 8), rect("strong", 0, 0, w, h, 8), *head, *out], w, h


def column(band: Band, x: float, y: float, tall: float) -> list[str]:
    """Draw a band; what is settled between two has no ground of its own."""
    middle, out = x + band.width / 2, list[str]()
    if band.head.startswith("sweep"):
        out.append(rect("h-elementwise", x, y, band.width, tall, 5))
    out.append(text(middle, y + 18, band.head, 12, "muted", end="middle"))
    left = middle - sum(width(name, 13) + 22 for name in band.reads) / 2 + 3
    for name in band.reads:
        w = width(name, 13) + 16
        out += [rect(ink, left, y + 27, w, 21, 10) for ink in ("card", "edge")]
        out.append(text(left + w / 2, y + 42, name, 13, "ink", end="middle"))
        left += w + 6
    first = y + (66 if band.reads else 42)
    for k, line in enumerate(band.lines):
        out.append(text(middle, first + k * LINE, line, 13, "value" if "=" in line else "ink", end="middle"))
    return out


def bands_of(kernel: Kernel) -> list[Band]:
    """Return the sweeps of a kernel, and what is settled before each and in the end."""
    bands, letters = list[Band](), dict[Expression, str]()
    for s in range(kernel.sweeps):
        full, lines, known = list[Expression](), list[str](), len(letters)
        for p in kernel.passes(s):
            sums, stores = kernel.work((s, p))
            full += [r.args[0] for r in sums] + [e for _, e in stores]
            lines += [formula(r, kernel, letters) for r in sums]
            lines += [f"{label(kernel.targets[k][0])} = {formula(e, kernel, letters)}" for k, e in stores]
        then = [*settled(kernel, s), *list(letters.values())[known:]]
        bands += [Band("then" if s else "before", [], list(dict.fromkeys(then)))] * bool(then)
        read = [label(e.info[0]) for e in below(full) if e.op == "in" and kernel.is_full(e)]
        lines = [shorten(line, 13, WIDEST) for line in dict.fromkeys(lines)]
        bands.append(Band(f"sweep {s + 1}", list(dict.fromkeys(read)), lines))
    last = settled(kernel, kernel.sweeps)
    return [*bands, Band("then", [], last)] if last else bands


def settled(kernel: Kernel, sweep: int) -> list[str]:
    """Return the names of the small values that are known when a sweep begins, and not before."""
    found = [e for p in kernel.passes(sweep) for e in kernel.settled((sweep, p)) if e.op != "pivot"]
    return [called(e.name) for e in found if e.name]


def label(v: Value) -> str:
    """Return what an array is called: by its name, or by what made it."""
    return called(v.name or getattr(v.facts.get("function"), "name", "") or v.op)


def called(name: str) -> str:
    """Return what a value is called, in the letters of formulas."""
    d = name.startswith("d") and name[1:] in LONG
    return "g" if name == "upstream gradient" else "d" * d + LONG.get(name[d:], name[d:])


def small_name(e: Expression) -> str:
    """Return the name of a small value, if it has one: of one that is rounded or copied, that of the value itself."""
    while e.op in ("copy", "high"):
        e = e.args[0]
    if e.op in ("in", "pivot"):
        return called(e.info[0].name) + "₀" * (e.op == "pivot")
    return called(e.name)


def formula(e: Expression, kernel: Kernel, letters: dict[Expression, str], inside: str = "") -> str:
    """Write an expression of inputs and of small values; a small one without a name gets a letter."""
    if e.op == "const":
        return f"{e.info:.4g}"
    if inside and not kernel.is_full(e):
        return small_name(e) or letters.setdefault(e, "abcdehklpq"[len(letters) % 10])
    if e.op == "in":
        return label(e.info[0])
    parts = [formula(a, kernel, letters, e.op) for a in e.args]
    if e.op == "mul" and e.args[0] is e.args[1]:
        return f"{parts[0]}²"
    if e.op in SIGNS:
        written = SIGNS[e.op].join(parts)
        return f"({written})" if e.op in ("add", "sub") and inside in ("mul", "div", "sub", "sum", "neg") else written
    if e.op == "sum":
        return f"Σ {parts[0]}"
    return f"−{parts[0]}" if e.op == "neg" else f"{e.op}({', '.join(parts)})"


def text(x: float, y: float, said: str, large: float, ink: str, face: str = "sans", end: str = "start") -> str:
    """Write a line of text."""
    return line_of(Text(x, y, words(said, face), large, ink, end))


def rect(ink: str, x: float, y: float, w: float, h: float, radius: float = 0) -> str:
    """Draw a rectangle."""
    thick = ' stroke-width="1.6"' * (ink == "strong")
    round_ = f' rx="{at(radius)}"' * bool(radius)
    return f'<rect class="{ink}"{thick} x="{at(x)}" y="{at(y)}" width="{at(w)}" height="{at(h)}"{round_}/>'


def group(parts: Sequence[str], x: float, y: float) -> list[str]:
    """Move what is drawn at the origin."""
    return [f'<g transform="translate({at(x)} {at(y)})">', *parts, "</g>"]


LONG = {word: letter for letter, word in LETTERS.items()}  # γ for gamma
