"""A program as a picture: a box for each kernel, and in it a band for each sweep over memory.

A band says which arrays are read, what is summed and what is written; between two bands stands what is settled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.compiler.algebra import Expression, below
from tinygraph.compiler.kernel import LETTERS, Kernel
from tinygraph.compiler.plan import ProgramPlan, bytes_read, plan_step, size
from tinygraph.compiler.program import Step
from tinygraph.compiler.values import Value
from tinygraph.drawing.formats.svg import at, document, line_of
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.style.formula import words
from tinygraph.drawing.style.text_width import shorten, width
from tinygraph.drawing.style.themes import THEMES

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
    body, titles, y, right = list[str](), list[tuple[int, float, str]](), 10.0, 520.0
    if theme not in THEMES:
        raise ValueError(f"draw: theme is {theme!r}; it must be one of {', '.join(THEMES)}")
    for plan in plans:
        titles.append((len(body), y + 24, plan.title))
        y += 44
        for way in ("step", "forward", "backward"):
            steps = [step for step in plan.program.steps if (found := plan_step(step)).way == way and found.sweeps]
            if steps:
                part, wide, y = lane(steps, way, y)
                body += part
                right = max(right, wide)
        least = f"at least {count(plan.least[0])} to read and {count(plan.least[1])} to write; "
        body.append(text(24, y + 16, f"{least}kept for backward: {count(plan.kept)}", 12, "muted"))
        y += 36
    for i, top, title in reversed(titles):
        body.insert(i, text(24, top, shorten(title, 17, right - 24, "bold"), 17, "ink", "bold"))
    lane_width = f'width="{at(right + 8)}"'
    body = [line.replace('width="LANE"', lane_width) for line in body]
    return document(body, right + 24, y, theme, plans[0].title, "Kernels and their sweeps")


def lane(steps: Sequence[Step], way: str, top: float) -> tuple[list[str], float, float]:
    """Draw the steps of a way from left to right, in as many rows as it takes; return it, its right end and bottom."""
    out, x, y, tall, right = list[str](), 24.0, top + 30, 0.0, 0.0
    for i, step in enumerate(steps):
        part, w, h = box(step)
        if i and x + w > ACROSS:
            x, y, tall = 24.0, y + tall + 20, 0.0
        elif i:
            middle = y + 22
            out.append(f'<path class="value-line" d="M{at(x - GAP + 4)} {at(middle)}H{at(x - 10)}"/>')
            out.append(f'<path class="value" d="M{at(x - 3)} {at(middle)}l-9 -4.2v8.4z"/>')
        out += [f'<g transform="translate({at(x)} {at(y)})">', *part, "</g>"]
        x, tall, right = x + w + GAP, max(tall, h), max(right, x + w)
    place = f'x="8" y="{at(top)}" width="LANE" height="{at(y + tall - top + 16)}"'
    ground = f'<rect class="lane{int(way == "backward")}" {place}/>'
    return [ground, text(24, top + 20, way, 13, "muted", "bold"), *out], right, y + tall + 16


def box(step: Step) -> tuple[list[str], float, float]:
    """Draw a kernel or a call at the origin; return it, and its width and height."""
    name, read = ("kernel", bytes_read(step.kernel)) if step.kernel else (plan_step(step).what, size(step.reads))
    bands = bands_of(step.kernel) if step.kernel else []
    moved = f"{count(read)} in, {count(size(step.makes))} out"
    tall = max((len(b.lines) * LINE + (56 if b.reads else 32) for b in bands), default=0)
    out, x = list[str](), 10.0
    for band in bands:
        out += column(band, x, 34, tall)
        x += band.width + 6
    w = max(x + 4, width(name, 14, "bold") + width(moved, 12) + 38)
    head = [text(12, 22, name, 14, "ink", "bold"), text(w - 12, 22, moved, 12, "muted", end="end")]
    h = tall + 46 if bands else 34.0
    frame = f'x="0" y="0" width="{at(w)}" height="{at(h)}" rx="8"/>'
    return [f'<rect class="card" {frame}<rect class="strong" stroke-width="1.6" {frame}', *head, *out], w, h


def column(band: Band, x: float, y: float, tall: float) -> list[str]:
    """Draw a band; what is settled between two has no ground of its own."""
    middle, out = x + band.width / 2, list[str]()
    if band.head.startswith("sweep"):
        out.append(
            f'<rect class="h-elementwise" x="{at(x)}" y="{at(y)}" width="{at(band.width)}" height="{at(tall)}" rx="5"/>'
        )
    out.append(text(middle, y + 18, band.head, 12, "muted", end="middle"))
    left = middle - sum(width(name, 13) + 22 for name in band.reads) / 2 + 3
    for name in band.reads:
        w = width(name, 13) + 16
        out.append(f'<rect class="card" x="{at(left)}" y="{at(y + 27)}" width="{at(w)}" height="21" rx="10"/>')
        out.append(f'<rect class="edge" x="{at(left)}" y="{at(y + 27)}" width="{at(w)}" height="21" rx="10"/>')
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
    found = [
        e for e in kernel.order if not kernel.is_full(e) and kernel.at[e][0] == sweep and e.op not in ("in", "pivot")
    ]
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


def count(n: int) -> str:
    """Write a number of bytes."""
    return f"{n / 1e6:.1f} MB" if n >= 1e6 else f"{n / 1e3:.0f} KB" if n >= 1e3 else f"{n} bytes"


LONG = {word: letter for letter, word in LETTERS.items()}  # γ for gamma
