r"""The answer key as mathematics: an ``align*`` block, a line for each node and for each line of a derivative.

The formula of an op is its own LaTeX template. Nothing is written twice but what NumPy has no sign for: copies and
their sums.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from tinygraph.drawing.layout.labels import axes_words
from tinygraph.drawing.style.latex import latex_name, latex_text
from tinygraph.engine.registry import OPS
from tinygraph.engine.types import Shape
from tinygraph.graph.batch_axis import reduced_axes
from tinygraph.graph.data import fill
from tinygraph.graph.simplify import latex_number, sets_apart
from tinygraph.teach.printer import Line, Printer
from tinygraph.teach.program import Program
from tinygraph.teach.spelling import ATOM, POWER, PRODUCT, SUM, Call, Piece, copied_axes, key_text

__all__ = ["LatexPrinter", "LatexSpelling"]

LEVELS = {
    "add": SUM,
    "sub": SUM,
    "mul": PRODUCT,
    "matmul": PRODUCT,
    "square": POWER,
    "power": POWER,
    "transpose": POWER,
}
PASSES = ("reshape", "whole", "clone", "astype", "broadcast_to")  # a formula does not show what these do


class LatexSpelling:
    """Writes ops as formulas; it does for LaTeX what `Spelling` does for a language."""

    lang = "latex"

    def spell(self, c: Call) -> Piece:
        """Write one op as a formula."""
        if c.op in PASSES:
            x = c.operands[0]
            return Piece(x.text, x.level, c.shape)
        if c.op == "div":
            x, y = c.operands
            if r"\frac" in x.text:  # a fraction in a fraction is hard to read
                return Piece(rf"\frac{{1}}{{{y.text}}}\,{bracketed(x, PRODUCT)}", PRODUCT, c.shape)
            return Piece(rf"\frac{{{x.text}}}{{{y.text}}}", ATOM, c.shape)
        if c.op == "neg":
            return Piece(f"-{bracketed(c.operands[0], PRODUCT)}", SUM, c.shape)
        if c.op == "sum_to":
            return self.sum_of_copies(c)
        made = OPS[c.op]
        holes = {name: bracketed(x, self.level_of(made.tex, name, c.op)) for name, x in self.operands(c)}
        holes |= {"xs": ", ".join(x.text for x in c.operands), "out": "y"}
        facts = {name: rf"\text{{{latex_text(key_text(v, 'np'))}}}" for name, v in c.params.items() if v is not None}
        if made.family == "reduction":
            facts["axis"] = axis_text(c.operands[0].shape, c.params)
        return Piece(re.sub(r"[_^]\{\}", "", fill(made.tex, facts | holes)), LEVELS.get(c.op, PRODUCT), c.shape)

    def operands(self, c: Call) -> Any:
        """Return the operands by name; a variadic op has one name for all."""
        return zip(OPS[c.op].operands, c.operands, strict=False)

    def level_of(self, tex: str, name: str, op: str) -> int:
        """Return how tightly an operand must hold together where it stands in a template."""
        if op == "sub" and name == "y":
            return PRODUCT
        if op in ("add", "sub") or sets_apart(tex, name):
            return SUM
        return PRODUCT if op in ("mul", "matmul") else ATOM

    def sum_of_copies(self, c: Call) -> Piece:
        """Write the sum over the copies that a broadcast made."""
        x = c.operands[0]
        axes, _ = copied_axes(c.shape, x.shape)
        if not axes:
            return x
        over = "" if len(axes) == len(x.shape) else rf"_{{\text{{{latex_text(axes_words(axes, len(x.shape)))}}}}}"
        return Piece(rf"\sum{over} {bracketed(x, PRODUCT)}", PRODUCT, c.shape)

    def literal(self, array: Any) -> str:
        """Write no numbers: a formula holds for all."""
        return ""

    def random(self, shape: Shape, dtype: str, seed: int) -> str:
        """Write no numbers."""
        return ""

    def filled(self, function: str, shape: Shape, dtype: str) -> str:
        """Write the one that the way back starts from."""
        return "1"

    def preamble(self, lines: str) -> list[str]:
        """Return nothing: formulas need no imports."""
        return []

    def number(self, text: str) -> Piece:
        """Write a number."""
        return Piece(latex_number(text), SUM if text.startswith("-") else ATOM, ())


class LatexPrinter(Printer):
    """Writes the lines of a program as mathematics."""

    def __init__(self, program: Program, inside: Collection[int] | None = None) -> None:
        self.unnamed = 0
        super().__init__(program, LatexSpelling(), inside=inside)

    def take(self, wanted: str) -> str:
        """Return the name of a value; of one that has none, a letter t with a number."""
        if not wanted:
            self.unnamed += 1
        return latex_name(wanted) if wanted else f"t_{{{self.unnamed}}}"

    def take_gradient(self, i: int, part: int | None = None) -> str:
        """Return the name of a gradient: a fraction; a part of it has its number."""
        loss = "L" if len(self.program.outputs) > 1 else self.label(self.program.outputs[0])
        whole = rf"\frac{{\partial {loss}}}{{\partial {self.label(i)}}}"
        return whole if part is None else rf"\left({whole}\right)_{{{part}}}"

    def text(self) -> str:
        """Return the block."""
        rows = [f"{line.name} {self.is_what(line)}" for line in self.lines]
        return "\\begin{align*}\n  " + " \\\\\n  ".join(rows) + "\n\\end{align*}\n"

    def is_what(self, line: Line) -> str:
        """Return the right side of a line: a formula; of what is given, the shape."""
        if line.part != "given":
            return f"&= {line.value}"
        lengths = r" \times ".join(map(str, self.graph.nodes[line.node].shape))
        return rf"&\in \mathbb{{R}}^{{{lengths}}}" if lengths else r"&\in \mathbb{R}"


def axis_text(shape: Shape, params: Any) -> str:
    """Return the axes of a reduction in words."""
    axes = reduced_axes(dict(params), len(shape))
    return rf"\text{{{latex_text(axes_words(axes, len(shape)))}}}" if len(axes) < len(shape) else ""


def bracketed(x: Piece, level: int) -> str:
    """Return a formula as part of another: in brackets where it would fall apart."""
    return x.text if x.level >= level else rf"\left({x.text}\right)"
