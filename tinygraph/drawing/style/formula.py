r"""The LaTeX of the ops, read once into a tree, from which pictures, terminals and pages write the formula.

Labels of users never pass through LaTeX here: ``$x`` stays a hole in the tree until it is written, so a
name with a backslash or a brace in it is only a name.
"""

from __future__ import annotations

import functools
import itertools
import re
import reprlib
from collections.abc import Callable, Iterable
from math import fsum
from typing import NamedTuple

from tinygraph.drawing.style.names import Atom, is_latex, parse_name, script_text
from tinygraph.drawing.style.text_width import shorten, width
from tinygraph.graph.schema import BRACES, is_whole

TOKEN = re.compile(r"\\([A-Za-z]+|.)|\$([A-Za-z]+)|([{}^_])|(\s+)|(\d+(?:\.\d+)?|.)", re.S)
SYMBOLS = {
    "div": "÷", "times": "×", "cdot": "·", "sum": "Σ", "uparrow": "↑", "downarrow": "↓", "to": "→", "le": "≤",
    "ge": "≥", "ast": "∗", "star": "⋆", "neg": "¬", "odot": "⊙", ",": "\u2009", "partial": "∂", "infty": "∞", "pi": "π",
    "|": "‖", "prod": "Π", "Gamma": "Γ", "psi": "ψ", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉",
}  # fmt: skip
SPACED = {"∗", "÷", "×", "+", "-", "=", ">", "<", "≤", "≥", "→", "⊙"}
WORDS = {"ln", "max", "min", "exp", "log", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"}
SUPERSCRIPT = str.maketrans("0123456789+-−T", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻ᵀ")
SUBSCRIPT = str.maketrans("0123456789+-−,", "₀₁₂₃₄₅₆₇₈₉₊₋₋,")


@functools.lru_cache(maxsize=1024)
def parse(tex: str) -> tuple[Atom, ...]:
    r"""Read LaTeX: letters, ``\frac``-free operators, ``\sqrt{}``, ``^``, ``_``, ``\operatorname{}`` and ``$holes``.

    >>> [atom.kind for atom in parse(r"\sqrt{$x} + 1")]
    ['root', 'symbol', 'symbol']
    """
    if not is_whole(tex):
        advice = f"its braces must close, at most {BRACES} deep, and each ^, _ and root have an operand"
        raise ValueError(f"the LaTeX {reprlib.repr(tex)} cannot be read: {advice}")
    return _sequence([m for m in TOKEN.finditer(tex) if not m[4]], 0)[0]


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
        return Atom("root", "", inner.parts if inner.kind == "group" else (inner,)), i
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
            filled = fact(atom.text)
            apart = out[-1:].isdigit() and (filled[:1] == "#" or (filled[:2].isalpha() and len(filled) > 1))
            out += " " * apart + filled
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
PLAIN = re.compile(r"[^\W\d_]+|[^\W_]\w*(\.\w+)+")  # a word, or a path such as fc1.weight
SPACE = "\xa0"  # a plain space at the end of a run is dropped by some renderers
SMALL, UP, DOWN = 0.72, 0.42, -0.22
LEAST = 10.0  # pixels of the drawing: no letter is smaller


def font_size(run: Run, size: float) -> float:
    """Return the size of a run in text of a size."""
    return size if run.scale == 1 else max(size * run.scale, min(LEAST, size))


def width_of(runs: Iterable[Run], size: float) -> float:
    """Return how wide a row of runs is at font size ``size``."""
    return fsum(width(run.text, font_size(run, size), run.face) for run in runs)


@functools.lru_cache(maxsize=4096)
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
    if parts := gradient_parts(name):
        of, value = map(bracket_runs, parts)
        return join_runs((Run("∂", "roman"), *of, Run("/∂", "roman"), *value))
    if (atoms := parse_name(name)) is not None:
        return clip_runs(join_runs(_atom_runs(atoms, words)), 1.0, room)
    if " " in name and len(name) <= 24:
        tokens = [name_runs(token) if token else () for token in name.split(" ")]
        return tuple(run for k, runs in enumerate(tokens) for run in ((Run(SPACE, "roman"),) * (k > 0) + runs))
    return words(shorten(name, 1, room), "roman" if len(name) <= 24 and PLAIN.fullmatch(name) else "sans")


def scope_runs(name: str) -> Runs:
    r"""Write the name of a scope, or of the first and last of a row: mathematics as such, any other name in bold.

    >>> scope_runs("fc1"), scope_runs(r"\theta")
    ((Run(text='fc1', face='bold', scale=1.0, rise=0.0),), (Run(text='θ', face='serif', scale=1.0, rise=0.0),))
    """
    ends = name.split(" … ")
    if is_latex(name) or (len(ends) == 2 and None not in map(parse_name, ends)):
        return join_runs(tuple(run for k, end in enumerate(ends) for run in (*words(" … ") * k, *name_runs(end))))
    return words(name, "bold")


def gradient_parts(name: str) -> tuple[str, str] | None:
    """Return L and x of the name ∂L/∂x; None if a name is no gradient's.

    >>> gradient_parts("∂P/∂(∂L/∂x)"), gradient_parts("x")
    (('P', '(∂L/∂x)'), None)
    """
    depth = 0
    for k, c in enumerate(name[:200]) if name.startswith("∂") else ():
        depth += (c == "(") - (c == ")")
        if not depth and name.startswith("/∂", k):
            return name[1:k], name[k + 2 :]
    return None


def bracket_runs(name: str) -> Runs:
    """Write a name that may stand in brackets."""
    if name.startswith("(") and name.endswith(")"):
        return (Run("(", "roman"), *name_runs(name[1:-1]), Run(")", "roman"))
    return name_runs(name)


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
            filled = fact(atom.text)
            apart = out and filled and not out[-1].rise and out[-1].text[-1:].isdigit() and filled[0].face != "serif"
            out += (
                [Run("\u2009", "roman")]
                if apart and (filled[0].text[:1] == "#" or filled[0].text[:1].isalpha())
                else []
            )
            out += filled
        elif atom.kind == "word":
            out.append(Run(atom.text + SPACE * (after in ("hole", "word")), "roman"))
        elif atom.kind == "plain":
            out.append(Run(atom.text.replace(" ", SPACE), "roman"))
        elif atom.kind == "accent":
            first, *rest = _atom_runs(atom.parts, fact)
            out += [first._replace(text=first.text[:1] + atom.text + first.text[1:]), *rest]
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


def plain_text(runs: Iterable[Run]) -> str:
    """Return runs as one line of Unicode, exponents and indices as such.

    >>> plain_text(name_runs("x_c") + number_runs("1e-07"))
    'x_c10⁻⁷'
    """
    return _plain_text(list(runs), 1.0, 0.0).replace(SPACE, " ")


def _plain_text(runs: list[Run], scale: float, rise: float) -> str:
    out, i = "", 0
    while i < len(runs):
        if runs[i].scale > scale - 0.01:
            out, i = out + runs[i].text, i + 1
            continue
        below = max(run.scale for run in itertools.takewhile(lambda run: run.scale < scale - 0.01, runs[i:]))
        end = i
        while end < len(runs) and runs[end].scale < below + 0.01:
            if runs[end].scale > below - 0.01 and (runs[end].rise > rise) != (runs[i].rise > rise):
                break
            end += 1
        inner = _plain_text(runs[i:end], below, runs[i].rise)
        out, i = out + script_text(inner, runs[i].rise > rise), end
    return out


def clip_runs(runs: Runs, size: float, room: float) -> Runs:
    """Return the runs, or as much of them as fits ``room`` with an ellipsis."""
    if width_of(runs, size) <= room:
        return runs
    out: list[Run] = []
    for run in runs:
        own = width(run.text, font_size(run, size), run.face)
        if own > room - width("…", size, run.face):
            return (*out, run._replace(text=shorten(run.text + "…", font_size(run, size), max(room, 0), run.face)))
        out.append(run)
        room -= own
    return tuple(out)
