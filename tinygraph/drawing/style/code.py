"""A formula as a line of NumPy, as a person would write it: ``-x_c / σ**2``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tinygraph.drawing.style.formula import is_enclosed, parse
from tinygraph.drawing.style.names import Atom

__all__ = ["numpy_code"]

SIGNS = {"+": " + ", "-": " - ", "×": " * ", "·": " * ", "⊙": " * ", "÷": " / ", "/": " / ", "=": " == ", ">": " > ",
         "<": " < ", "≤": " <= ", "≥": " >= ", ",": ", ", "(": "(", ")": ")", "[": "(", "]": ")"}  # fmt: skip
NAMED = {"ln": "np.log", "log": "np.log", "exp": "np.exp", "max": "np.maximum", "min": "np.minimum", "pi": "np.pi",
         "sign": "np.sign", "where": "np.where", **{name: f"np.{name}" for name in (
             "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
             "arctanh", "round", "trunc", "fmod", "fmax", "fmin")}}  # fmt: skip
Fact = Callable[[str], str | None]  # the text of a hole; None where there is none
REDUCED = {"Σ": "sum", "mean": "mean", "max": "max", "min": "min"}


def numpy_code(tex: str, fact: Fact) -> str | None:
    r"""Write a formula of the ops in NumPy.

    Args:
        tex: LaTeX with ``$holes``.
        fact: gives the text of a hole.

    Returns:
        An expression, or None where the formula has something that is not written as one.

    >>> numpy_code(r"-$x/$y^2", {"x": "x_c", "y": "σ"}.get), numpy_code(r"\sum_{$axis} $x", {"x": "y", "axis": "0"}.get)
    ('-x_c / σ**2', 'y.sum(axis=0)')
    """
    atoms = parse(tex)
    if atoms and atoms[0].text in REDUCED and (atoms[0].text == "Σ" or (len(atoms) > 1 and atoms[1].kind == "sub")):
        rest, axis = atoms[1:], ""
        if rest and rest[0].kind == "sub":
            rest, axis = rest[1:], "".join(fact(a.text) or "" if a.kind == "hole" else a.text for a in rest[0].parts)
        of = expression(rest, fact)
        given = f"axis={f'({axis})' if ',' in axis else axis}" if axis else ""
        return of and f"{bracketed(of)}.{REDUCED[atoms[0].text]}({given})"
    return expression(atoms, fact)


def bracketed(code: str) -> str:
    """Put brackets around what is no single name, call or bracket."""
    return code if re.fullmatch(r"[\w.\u0300-\u036f]+", code) or is_enclosed(code) else f"({code})"


def expression(atoms: Sequence[Atom], fact: Fact) -> str | None:
    """Write atoms as an expression; None if one of them is not written in NumPy."""
    out, k = "", 0
    while k < len(atoms):
        piece, used = operand(atoms[k:], fact)
        if used:
            if piece is None:
                return None
            out += " * " if re.search(r"[\w)\u0300-\u036f]$", out) else ""
            out += piece
            k += used
            continue
        sign = SIGNS.get(atoms[k].text) if atoms[k].kind == "symbol" else None
        if atoms[k].text in ("\u2009", " "):
            sign = ""
        if sign is None:
            return None
        if sign == "(" and out and (out[-1].isalnum() or out[-1] == ")"):
            out += " * "
        unary = sign == " - " and (not out or out[-1] in "( ")
        out += "-" if unary else sign
        k += 1
    comparisons = sum(out.count(sign) for sign in (" < ", " <= ", " > ", " >= "))
    return out.strip() or None if comparisons < 2 else None


def operand(atoms: Sequence[Atom], fact: Fact) -> tuple[str | None, int]:
    """Write the operand that atoms begin with, and how many atoms it takes; 0 if they begin with none."""
    first, after = atoms[0], atoms[1:]
    raised = after[0] if after and after[0].kind == "sup" else None
    if first.kind == "word" or (first.kind == "symbol" and first.text in NAMED and first.text != "pi"):
        return call(NAMED.get(first.text, first.text), after, fact)
    if first.kind == "symbol" and first.text == "e" and raised:
        inner = expression(raised.parts, fact)
        return inner and f"np.exp({inner})", 2
    if first.kind == "root":
        inner = expression(first.parts, fact)
        base = inner and f"np.sqrt({inner})"
    elif first.kind == "hole":
        base = fact(first.text)
    elif first.kind == "group":
        inner = expression(first.parts, fact)
        base = inner and bracketed(inner)
    elif first.kind == "symbol" and (first.text[0].isdigit() or first.text == "pi"):
        base = NAMED.get(first.text, first.text)
    else:
        return None, 0
    if not base or not raised:
        return base or None, 1
    if raised.parts and raised.parts[0].text == "T":
        return f"{base}.T", 2
    power = expression(raised.parts, fact)
    return power and f"{base}**{bracketed(power)}", 2


def call(name: str, after: Sequence[Atom], fact: Fact) -> tuple[str | None, int]:
    """Write a function of what stands behind its name."""
    if after and after[0].text == "(":
        depth = 0
        for k, atom in enumerate(after):
            depth += (atom.text == "(") - (atom.text == ")")
            if not depth:
                inner = expression(after[1:k], fact)
                return inner and f"{name}({inner})", k + 2
    argument, used = operand(after, fact) if after else (None, 0)
    return argument and f"{name}({argument})", 1 + max(used, 1)
