r"""The LaTeX of the ops, read once into a tree, from which pictures, terminals and pages write the formula.

Labels of users never pass through LaTeX here: ``$x`` stays a hole in the tree until it is written, so a
name with a backslash or a brace in it is only a name.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from math import fsum
from typing import NamedTuple

from tinygraph.drawing.style.text_width import shorten, width

TOKEN = re.compile(r"\\([A-Za-z]+|.)|\$([A-Za-z]+)|([{}^_])|(\s+)|(\d+(?:\.\d+)?|.)", re.S)
SYMBOLS = {
    "div": "÷", "times": "×", "cdot": "·", "sum": "Σ", "uparrow": "↑", "downarrow": "↓", "to": "→", "le": "≤",
    "ge": "≥", "ast": "∗", "star": "⋆", "neg": "¬", "odot": "⊙", ",": "\u2009", "partial": "∂", "infty": "∞",
}  # fmt: skip
SPACED = {"∗", "÷", "×", "+", "-", "=", ">", "<", "≤", "≥", "→", "⊙"}
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

    >>> [atom.kind for atom in parse(r"\sqrt{$x} + 1")]
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


def to_unicode(tex: str, fact: Callable[[str], str]) -> str:
    r"""Write a formula as one line of Unicode; ``fact`` gives the text of a hole.

    >>> to_unicode(r"\sqrt{$x + $y}", {"x": "v", "y": "ε"}.get)
    '√(v + ε)'
    """
    return _to_unicode(parse(tex), fact).strip()


def _to_unicode(atoms: tuple[Atom, ...], fact: Callable[[str], str]) -> str:
    out = ""
    for i, atom in enumerate(atoms):
        inner = _to_unicode(atom.parts, fact)
        if atom.kind == "hole":
            out += fact(atom.text)
        elif atom.kind == "word":
            after = atoms[i + 1].kind if i + 1 < len(atoms) else ""
            out += f"{atom.text} " if after in ("hole", "word") else atom.text
        elif atom.kind == "group":
            out += inner
        elif atom.kind == "root":
            simple = len(inner) == 1 or inner.isalnum() or is_enclosed(inner)
            out += f"√{inner}" if simple else f"√({inner})"
        elif atom.kind in ("sup", "sub"):
            table, mark = (SUPERSCRIPT, "^") if atom.kind == "sup" else (SUBSCRIPT, "_")
            raised = inner.translate(table)
            small = all(c not in inner or c in "," for c in raised)
            out += raised if small else mark + (inner if len(inner) == 1 or is_enclosed(inner) else f"({inner})")
            out += " " if atom.kind == "sub" and i + 1 < len(atoms) and atoms[i + 1].kind == "hole" else ""
        elif atom.text in SPACED:
            binary = bool(out) and out[-1] not in "([ "
            out += f" {atom.text} " if binary else atom.text.replace("-", "−")
        else:
            out += atom.text
    return out.replace(" - ", " − ")


def is_enclosed(text: str) -> bool:
    """Whether one pair of brackets is around all of a text.

    >>> is_enclosed("(a + b)"), is_enclosed("(a) + (b)")
    (True, False)
    """
    depth = 0
    for i, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        if depth == 0:
            return i == len(text) - 1 and i > 0
    return False


class Run(NamedTuple):
    """A piece of text in one face: "serif" (italic), "roman", "sans" or "bold".

    ``scale`` is of the font size around it, ``rise`` how far above the line it stands, in em of that.
    """

    text: str
    face: str = "sans"
    scale: float = 1.0
    rise: float = 0.0


Runs = tuple[Run, ...]
SPACE = "\xa0"  # a plain space at the end of a run is dropped by some renderers
LETTER = re.compile(r"([^\W\d_][\u0300-\u036f]*)(?:_?\{?(\d+|[₀-₉]+)\}?|_\{?(\w{1,8})\}?)?[′']*", re.S)
UNSUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
SMALL, UP, DOWN = 0.72, 0.42, -0.22
LEAST = 8.0  # pixels: 6 pt, and no letter is smaller


def font_size(run: Run, size: float) -> float:
    """Return the size of a run in text of a size."""
    return size if run.scale == 1 else max(size * run.scale, min(LEAST, size))


def width_of(runs: Iterable[Run], size: float) -> float:
    """Return how wide a row of runs is at font size ``size``."""
    return fsum(width(run.text, font_size(run, size), run.face) for run in runs)


def words(text: str, face: str = "sans") -> Runs:
    """Return plain text as one run; control characters and line breaks become spaces."""
    return (
        (Run("".join(c if c.isprintable() else SPACE for c in text[:4000]).replace(" ", SPACE), face),) if text else ()
    )


@functools.lru_cache(maxsize=2048)
def name_runs(name: str, room: float = 12.0) -> Runs:
    """Write a name as mathematics if it looks like it (x_c, W₁, x̂, log p), else upright; at most ``room`` em wide.

    >>> name_runs("x_c")
    (Run(text='x', face='serif', scale=1.0, rise=0.0), Run(text='c', face='serif', scale=0.72, rise=-0.22))
    """
    pieces: list[Run] = []
    for token in name.split(" ") if len(name) <= 24 else [name]:
        found = LETTER.fullmatch(token)
        if pieces:
            pieces.append(Run(SPACE, "roman"))
        if found and (found[2] or found[3] or len(token) == len(found[1]) or token[-1] in "′'"):
            sub = (found[2] or found[3] or "").translate(UNSUB)
            pieces.append(Run(found[1] + "′" * sum(c in "′'" for c in token), "serif"))
            if sub:
                pieces.append(Run(sub, "roman" if sub.isdigit() or len(sub) > 1 else "serif", SMALL, DOWN))
        else:
            short = shorten(token, 1, room)
            pieces += words(short, "roman" if token.isalpha() and len(name) <= 24 else "sans")
    return tuple(pieces)


def number_runs(text: str) -> Runs:
    """Write a number: a true minus, and a power of ten instead of an exponent.

    >>> "".join(run.text for run in number_runs("1e-05"))
    '10−5'
    """
    mantissa, e, power = text.partition("e")
    if not e or not power.lstrip("+-").isdigit():
        return (Run(text.replace("-", "−"), "roman"),)
    head = "10" if mantissa == "1" else mantissa.replace("-", "−") + "×10"
    return (Run(head, "roman"), Run(str(int(power)).replace("-", "−"), "roman", SMALL, UP))


def formula_runs(tex: str, fact: Callable[[str], Runs]) -> Runs:
    """Write a formula as runs with true sub- and superscripts; ``fact`` gives the runs of a hole."""
    return join_runs(_atom_runs(parse(tex), fact))


def _atom_runs(atoms: tuple[Atom, ...], fact: Callable[[str], Runs]) -> list[Run]:
    out: list[Run] = []
    for i, atom in enumerate(atoms):
        after = atoms[i + 1].kind if i + 1 < len(atoms) else ""
        if atom.kind == "hole":
            out += fact(atom.text)
        elif atom.kind == "word":
            out.append(Run(atom.text + SPACE * (after in ("hole", "word")), "roman"))
        elif atom.kind == "group":
            out += _atom_runs(atom.parts, fact)
        elif atom.kind == "root":
            inner = _atom_runs(atom.parts, fact)
            text = text_of(inner)
            simple = sum(len(r.text) for r in inner if not r.rise) <= 2 or text == "( )"
            out += [Run("√", "roman"), *inner] if simple else [Run("√(", "roman"), *inner, Run(")", "roman")]
        elif atom.kind in ("sup", "sub"):
            base = UP if atom.kind == "sup" else DOWN
            inner = [r for r in _atom_runs(atom.parts, fact) if r.text]
            if text_of(inner) == "T" and out and out[-1].text == "T" and out[-1].rise > 0:
                out.pop()  # transposed twice is not transposed
                continue
            out += [Run(r.text, r.face, r.scale * SMALL, base + r.rise * SMALL) for r in inner]
            if atom.kind == "sub" and after == "hole" and out:
                out.append(Run(SPACE, "roman"))
        elif atom.text in SPACED:
            sign = atom.text.replace("-", "−")
            before = out[-1].text[-1:] if out else ""
            out.append(Run(f"{SPACE}{sign}{SPACE}" if before and before not in "([" + SPACE else sign, "roman"))
        elif atom.text == "·":
            out.append(Run(SPACE * (i + 1 == len(atoms) > 1) + "·", "roman"))
        else:
            letter = atom.text.isalpha() and len(atom.text) == 1 and atom.text not in "ΣΠ"
            gap = SPACE * (atom.text == "Σ" and after != "" and not has_index(atoms[i + 1 :]))
            out.append(Run(atom.text + gap, "serif" if letter else "roman"))
    return out


def has_index(rest: tuple[Atom, ...]) -> bool:
    """Whether what follows a Σ begins with an index."""
    return bool(rest) and rest[0].kind == "sub"


def join_runs(runs: Iterable[Run]) -> Runs:
    """Join neighbours of one face and height."""
    out: list[Run] = []
    for run in runs:
        if out and out[-1][1:] == run[1:]:
            out[-1] = run._replace(text=out[-1].text + run.text)
        elif run.text:
            out.append(run)
    return tuple(out)


def text_of(runs: Iterable[Run]) -> str:
    """Return runs as plain text."""
    return "".join(run.text for run in runs).replace(SPACE, " ")


def clip_runs(runs: Runs, size: float, room: float) -> Runs:
    """Return the runs, or as much of them as fits ``room`` with an ellipsis."""
    if width_of(runs, size) <= room:
        return runs
    out: list[Run] = []
    for run in runs:
        own = width(run.text, font_size(run, size), run.face)
        if own > room - width("…", size, run.face):
            return (*out, run._replace(text=shorten(run.text, font_size(run, size), max(room, 0), run.face)))
        out.append(run)
        room -= own
    return tuple(out)
