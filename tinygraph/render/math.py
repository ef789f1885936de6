r"""The LaTeX of the ops, read once into a tree: what a picture, a terminal or a page writes is a walk over it.

Labels of users never pass through LaTeX here: ``$x`` stays a hole in the tree until it is written, so a
name with a backslash or a brace in it is only a name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

TOKEN = re.compile(r"\\([A-Za-z]+|.)|\$([A-Za-z]+)|([{}^_])|(\s+)|(\d+(?:\.\d+)?|.)", re.S)
SYMBOLS = {
    "div": "÷", "times": "×", "cdot": "·", "sum": "Σ", "uparrow": "↑", "downarrow": "↓", "to": "→", "le": "≤",
    "ge": "≥", "neg": "¬", "odot": "⊙", ",": "\u2009", "partial": "∂", "infty": "∞",
}  # fmt: skip
SPACED = {"÷", "×", "+", "-", "=", ">", "<", "≤", "≥", "→", "⊙"}
WORDS = {"ln", "max", "min", "tanh", "exp", "log"}
SUPERSCRIPT = str.maketrans("0123456789+-−T", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ")
SUBSCRIPT = str.maketrans("0123456789+-−,", "₀₁₂₃₄₅₆₇₈₉₊₋₋,")


class Atom(NamedTuple):
    """A piece of a formula.

    ``kind`` is "symbol" (a letter, digit or operator), "word" (upright), "hole" (an operand or a fact, by
    name), "group", "root", "sup" or "sub"; the last four have ``parts``.
    """

    kind: str
    text: str = ""
    parts: tuple[Atom, ...] = ()


@functools.lru_cache(maxsize=1024)
def parse(tex: str) -> tuple[Atom, ...]:
    r"""Read LaTeX: letters, ``\frac``-free operators, ``\sqrt{}``, ``^``, ``_``, ``\operatorname{}`` and ``$holes``.

    >>> [atom.kind for atom in parse(r"\\sqrt{$x} + 1")]
    ['root', 'symbol', 'symbol']
    """
    tokens = [m for m in TOKEN.finditer(tex) if not m[4]]
    atoms, rest = _sequence(tokens, 0)
    if rest != len(tokens):
        raise ValueError(f"unbalanced braces in the formula {tex!r}")
    return atoms


def _sequence(tokens: list[re.Match[str]], i: int) -> tuple[tuple[Atom, ...], int]:
    atoms = []
    while i < len(tokens) and tokens[i][3] != "}":
        atom, i = _atom(tokens, i)
        atoms.append(atom)
    return tuple(atoms), i


def _atom(tokens: list[re.Match[str]], i: int) -> tuple[Atom, int]:
    command, hole, mark, _, plain_text = tokens[i].groups()
    if hole:
        return Atom("hole", hole), i + 1
    if mark == "{":
        parts, i = _sequence(tokens, i + 1)
        return Atom("group", "", parts), i + 1
    if mark:
        inner, i = _atom(tokens, i + 1)
        return Atom("sup" if mark == "^" else "sub", "", inner.parts if inner.kind == "group" else (inner,)), i
    if command == "sqrt":
        inner, i = _atom(tokens, i + 1)
        return Atom("root", "", inner.parts), i
    if command in ("operatorname", "mathrm", "mathsf"):
        inner, i = _atom(tokens, i + 1)
        letters = inner.parts or (inner,)
        if all(a.kind == "symbol" for a in letters):
            return Atom("word", "".join(a.text for a in letters)), i
        return Atom("group", "", letters), i
    if command:
        return (Atom("word", command) if command in WORDS else Atom("symbol", SYMBOLS.get(command, command))), i + 1
    return Atom("symbol", plain_text), i + 1


def plain(tex: str, fact: Callable[[str], str]) -> str:
    r"""Write a formula as one line of Unicode; ``fact`` gives the text of a hole.

    >>> plain(r"\\sqrt{$x + $y}", {"x": "v", "y": "ε"}.get)
    '√(v + ε)'
    """
    return _plain(parse(tex), fact).strip()


def _plain(atoms: tuple[Atom, ...], fact: Callable[[str], str]) -> str:
    out = ""
    for i, atom in enumerate(atoms):
        inner = _plain(atom.parts, fact)
        if atom.kind == "hole":
            out += fact(atom.text)
        elif atom.kind == "word":
            after = atoms[i + 1].kind if i + 1 < len(atoms) else ""
            out += atom.text + " " * (after in ("hole", "word"))
        elif atom.kind == "group":
            out += inner
        elif atom.kind == "root":
            out += f"√({inner})" if len(inner) > 1 and not inner.isalnum() else f"√{inner}"
        elif atom.kind in ("sup", "sub") and inner:
            table, mark = (SUPERSCRIPT, "^") if atom.kind == "sup" else (SUBSCRIPT, "_")
            raised = inner.translate(table)
            small = all(c not in inner or c in "," for c in raised)
            out += raised if small else f"{mark}({inner})" if len(inner) > 1 else mark + inner
            if atom.kind == "sub" and i + 1 < len(atoms):
                out += " "
        elif atom.text in SPACED:
            binary = bool(out) and out[-1] not in "([ "
            out += f" {atom.text} " if binary else atom.text.replace("-", "−")
        else:
            out += atom.text
    return out.replace(" - ", " − ")
