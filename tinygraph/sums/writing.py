"""Formulas as text and as LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from tinygraph.drawing.style.latex import latex_name
from tinygraph.graph.data import write_number
from tinygraph.graph.simplify import latex_number
from tinygraph.sums.form import Form

__all__ = ["Code", "Latex", "Text", "ascii_name"]

SUM, PRODUCT, POWER, ATOM = range(4)
UP = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
DOWN = str.maketrans("0123456789,", "₀₁₂₃₄₅₆₇₈₉,")
LONG = 10**5  # a fraction with a greater denominator is written as a decimal
MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot", "\u2032": "prime"}
INFIX = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}
Piece = tuple[str, int]


class Text:
    """Writes formulas in a line.

    Args:
        axes: gives the subscript of a Σ; "" where all run over the same axes.
    """

    dot, minus, times = " ", "−", "·"

    def __init__(self, axes: Callable[[frozenset[int]], str] = lambda axes: "") -> None:
        self.axes = axes

    def __call__(self, form: Form) -> str:
        """Write a formula."""
        return self.piece(form)[0]

    def piece(self, form: Form) -> Piece:
        """Write a formula, and say how tightly it holds together."""
        if form.kind == "leaf":
            return self.name(form.parts[1]), ATOM
        if form.kind == "number":
            return self.product(form.parts[0], ())
        if form.kind == "product":
            if form.parts[0] == -1 and [(f.kind, p) for f, p in form.parts[1]] == [("sum", 1)]:
                return self.turned(form.parts[1][0][0]), SUM
            return self.product(*form.parts)
        if form.kind == "sum":
            return self.sum(form.parts[0]), SUM
        if form.kind == "function":
            return self.function(form.parts[0], form.parts[1], dict(form.parts[2]))
        name, inside, axes = form.parts
        return self.reduction(name, inside, self.axes(axes)), self.level_of(name)

    def name(self, name: str) -> str:
        """Write a name."""
        return name

    def sum(self, parts: Sequence[tuple[Form, Fraction]]) -> str:
        """Write a sum: what is added first, what is simple first."""
        terms = sorted(parts, key=lambda item: (item[1] < 0, weight(*item)))
        out = ""
        for term, c in terms:
            sign = self.minus if c < 0 else "+"
            text = self.product(abs(c), as_factors(term))[0] if term.kind != "number" else self.number(abs(c))
            if term.kind == "product":
                text = self.product(abs(c) * term.parts[0], term.parts[1])[0]
            out += f" {sign} {text}" if out else text if c > 0 else f"{self.minus}{text}"
        return out

    def product(self, coefficient: Fraction, factors: Sequence[tuple[Form, int]]) -> Piece:
        """Write a product as a quotient."""
        ordered = sorted(factors, key=lambda item: rank(item[0]))
        turned = next((f for f, p in factors if p == 1 and f.kind == "sum" and is_mostly_minus(f)), None)
        turned = turned if coefficient < 0 else None  # -(a - b) is b - a
        coefficient = coefficient if turned is None else -coefficient
        up = [(self.turned(form), SUM) if form is turned else self.power(form, p) for form, p in ordered if p > 0]
        down = [self.power(form, -p) for form, p in ordered if p < 0]
        sign, number = (self.minus if coefficient < 0 else ""), abs(coefficient)
        above = number if is_decimal(number) else Fraction(number.numerator)
        below = Fraction(1) if is_decimal(number) else Fraction(number.denominator)
        if above != 1 or not up:
            up.insert(0, (self.number(above), ATOM))
        if below != 1:
            down.insert(0, (self.number(below), ATOM))
        text, level = self.quotient(up, down)
        return (sign + text, SUM) if sign else (text, level)

    def turned(self, form: Form) -> str:
        """Write a sum with all signs turned."""
        return self.sum([(term, -c) for term, c in form.parts[0]])

    def quotient(self, up: list[Piece], down: list[Piece]) -> Piece:
        """Write a fraction; a bracket stands after it."""
        brackets = [piece for piece in up if piece[1] == SUM]
        if down and brackets and len(brackets) < len(up):
            front, _ = self.quotient([piece for piece in up if piece[1] != SUM], down)
            return self.dot.join([front, *self.in_product(brackets)]), PRODUCT
        above = up[0][0] if len(up) == 1 and (up[0][1] > SUM or not down) else self.dot.join(self.in_product(up))
        if not down:
            return above, up[0][1] if len(up) == 1 else PRODUCT
        alone = len(down) == 1 and down[0][1] >= POWER
        below = down[0][0] if len(down) == 1 else self.dot.join(self.in_product(down))
        return f"{above}/{below if alone else self.bracket(below)}", PRODUCT

    def in_product(self, pieces: list[Piece]) -> list[str]:
        """Return the factors of a product; a Σ that is not the last one stands in brackets."""
        last = len(pieces) - 1
        return [
            self.bracket(text) if level < PRODUCT or (level == PRODUCT and k < last) else text
            for k, (text, level) in enumerate(pieces)
        ]

    def power(self, form: Form, p: int) -> Piece:
        """Write a power."""
        text, level = self.piece(form)
        if p == 1:
            return text, level
        return (self.bracket(text) if level < ATOM else text) + self.raised(p), POWER

    def bracket(self, text: str) -> str:
        """Put a formula in brackets."""
        return f"({text})"

    def raised(self, p: int) -> str:
        """Write an exponent."""
        return str(p).translate(UP)

    def number(self, value: Fraction) -> str:
        """Write a number that is not negative."""
        return str(value) if value.denominator == 1 else write_number(float(value))

    def level_of(self, name: str) -> int:
        """Return how tightly a reduction holds together."""
        return PRODUCT if name == "sum" else ATOM

    def reduction(self, name: str, inside: Form, axes: str) -> str:
        """Write a reduction."""
        word = {"sum": "Σ", "first": "first"}.get(name, name)
        text, level = self.piece(inside)
        if name == "sum" and level >= PRODUCT:
            return f"{word}{axes.translate(DOWN)} {text}"
        return f"{word}{axes.translate(DOWN)}({text})"

    def function(self, name: str, args: Sequence[Form], params: dict[str, object]) -> Piece:
        """Write a function."""
        pieces = [self.piece(a) for a in args]
        if name in INFIX:
            a, b = pieces
            level = SUM if name in ("add", "sub") else PRODUCT
            left = a[0] if a[1] >= level else self.bracket(a[0])
            right = b[0] if b[1] > level or (name in ("add",) and b[1] >= level) else self.bracket(b[0])
            return f"{left} {self.infix(name)} {right}", level
        if name == "neg":
            return f"{self.minus}{pieces[0][0] if pieces[0][1] >= PRODUCT else self.bracket(pieces[0][0])}", SUM
        if name == "square":
            return (pieces[0][0] if pieces[0][1] == ATOM else self.bracket(pieces[0][0])) + self.raised(2), POWER
        return self.call(name, [text for text, _ in pieces], pieces), ATOM

    def infix(self, name: str) -> str:
        """Write the sign of an op between its operands."""
        return INFIX[name]

    def call(self, name: str, args: list[str], pieces: list[Piece]) -> str:
        """Write a function of arguments."""
        if name == "sqrt":
            return f"√{args[0]}" if pieces[0][1] == ATOM else f"√({args[0]})"
        return f"{name}({', '.join(args)})"


class Latex(Text):
    """Writes formulas as LaTeX."""

    dot, minus, times = r"\,", "-", r"\,"

    def name(self, name: str) -> str:
        """Write a name."""
        return latex_name(name)

    def bracket(self, text: str) -> str:
        """Put a formula in brackets."""
        return rf"\left({text}\right)"

    def raised(self, p: int) -> str:
        """Write an exponent."""
        return f"^{{{p}}}"

    def number(self, value: Fraction) -> str:
        """Write a number that is not negative."""
        return latex_number(super().number(value))

    def quotient(self, up: list[Piece], down: list[Piece]) -> Piece:
        """Write a fraction; what is long stands beside it."""
        if not down:
            return super().quotient(up, down)
        long = [piece for piece in up if piece[1] < POWER]
        short = [piece for piece in up if piece[1] >= POWER]
        above = self.dot.join(text for text, _ in short) or "1"
        below = down[0][0] if len(down) == 1 else self.dot.join(self.in_product(down))
        if len(long) == len(up) == 1 and long[0][1] == SUM:
            return rf"\frac{{{long[0][0]}}}{{{below}}}", PRODUCT
        return self.dot.join([rf"\frac{{{above}}}{{{below}}}", *self.in_product(long)]), PRODUCT

    def reduction(self, name: str, inside: Form, axes: str) -> str:
        """Write a reduction."""
        text, level = self.piece(inside)
        below = f"_{{{axes}}}" if axes else ""
        if name == "sum":
            return rf"\sum{below} {text if level >= PRODUCT else self.bracket(text)}"
        return rf"\operatorname{{{name}}}{below}{self.bracket(text)}"

    def infix(self, name: str) -> str:
        """Write the sign of an op between its operands."""
        return {"add": "+", "sub": "-", "mul": r"\times", "div": r"\div"}[name]

    def call(self, name: str, args: list[str], pieces: list[Piece]) -> str:
        """Write a function of arguments."""
        if name == "sqrt":
            return rf"\sqrt{{{args[0]}}}"
        if name == "exp":
            return f"e^{{{args[0]}}}"
        word = r"\ln" if name == "log" else r"\tanh" if name == "tanh" else rf"\operatorname{{{name}}}"
        return word.replace("_", r"\_") + self.bracket(", ".join(args))


class Code(Text):
    """Writes formulas as NumPy code, with names in ASCII.

    Args:
        axes: gives the axes of a Σ.
    """

    dot, minus, times = "*", "-", "*"

    def name(self, name: str) -> str:
        """Write a name."""
        return ascii_name(name)

    def raised(self, p: int) -> str:
        """Write an exponent."""
        return f"**{p}"

    def number(self, value: Fraction) -> str:
        """Write a number that is not negative."""
        return str(value) if value.denominator == 1 else repr(float(value))

    def reduction(self, name: str, inside: Form, axes: str) -> str:
        """Write a reduction."""
        text, level = self.piece(inside)
        return f"{text if level == ATOM else self.bracket(text)}.{name}({axes})"

    def level_of(self, name: str) -> int:
        """Return how tightly a reduction holds together."""
        return ATOM

    def call(self, name: str, args: list[str], pieces: list[Piece]) -> str:
        """Write a function of arguments."""
        return f"{'np' if hasattr(np, name) else 'tg'}.{name}({', '.join(args)})"


def ascii_name(name: str) -> str:
    """Return a name in ASCII: x_hat of x̂, sigma of σ.

    >>> ascii_name("x̂"), ascii_name("σ"), ascii_name("log p")
    ('x_hat', 'sigma', 'log_p')
    """
    out = ""
    for c in unicodedata.normalize("NFD", name):
        known = unicodedata.name(c, "")
        is_greek = "GREEK SMALL LETTER" in known
        out += known.rpartition(" ")[2].lower() if is_greek else f"_{MARKS[c]}" if c in MARKS else c
    return re.sub(r"\W", "_", out)


def is_mostly_minus(form: Form) -> bool:
    """Whether half of the terms of a sum are subtracted, or more."""
    minus: int = sum(c < 0 for _, c in form.parts[0])
    return 2 * minus >= len(form.parts[0])


def as_factors(form: Form) -> tuple[tuple[Form, int], ...]:
    """Return a form as factors."""
    return form.parts[1] if form.kind == "product" else ((form, 1),)


def is_decimal(value: Fraction) -> bool:
    """Whether a number is written as a decimal, and not as a fraction."""
    return value.denominator > LONG or (value.denominator > 1 and value < Fraction(1, 1000) and value.numerator != 1)


def rank(form: Form) -> tuple[int, int, int, str]:
    """Return where a factor stands in a product: names first, then what is reduced, then what is in brackets."""
    kinds = {"number": 0, "leaf": 1, "function": 2, "reduction": 4, "sum": 5, "product": 3}
    is_upstream = form.kind == "leaf" and bool(re.match(r"d\w|seed", form.parts[1]))
    place = kinds[form.kind] if form.kind != "reduction" or form.parts[0] != "sum" else 6
    return place, len(form.axes), 0 if is_upstream else 1, ""


def weight(form: Form, c: Fraction) -> tuple[bool, int, int]:
    """Return how heavy a term is: light ones stand first, and a small number such as ε last."""
    reductions = sum(part.kind == "reduction" for part in (form, *form.inputs))
    return form.kind == "number" and abs(c) < Fraction(1, 100), reductions, len(form.inputs)
