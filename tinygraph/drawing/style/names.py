r"""Names that are mathematics, read into a tree: ``W^{(1)}``, ``\tilde{h}``, ``\mu_B``, ``a^(1)``, ``x_train``, ``h'``.

A name that is not written as LaTeX writes it, or has a command that is not known here, is only a name: it is shown
letter by letter, and never an error.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["ACCENTS", "COMMANDS", "GREEK", "Atom", "cut_text", "is_latex", "name_text", "parse_name", "path_text"]


class Atom(NamedTuple):
    """A piece of a formula.

    ``kind`` is "symbol" (a letter, digit or operator), "word" (upright), "hole" (an operand or a fact, by
    name), "group", "root", "sup" or "sub"; the last four have ``parts``. In a name there are "plain" (upright, with no
    space around it) and "accent" (a combining mark on its part), too.
    """

    kind: str
    text: str = ""
    parts: tuple[Atom, ...] = ()


LONGEST, DEEPEST = 80, 6  # characters and braces of a name that is read as mathematics
TOKEN = re.compile(
    r"\\([A-Za-z]+|.)|([{}^_])|(['′]+)|([A-Za-z]{3,})|([^\W\d_][\u0300-\u036f\u20d7]*)|(\d+(?:\.\d+)?|.)", re.S
)
LETTER = re.compile(r"([^\W\d_][\u0300-\u036f]*)(?:_?\{?(\d+|[₀-₉]+)\}?|_\{?([^\W_]{1,8})\}?)?([′']*)", re.S)
SCRIPT = re.compile(r"\([^()]*\)|[+-]?[^\W_]+|[*+†∗⊤-]")  # what ^ and _ take where no brace follows
UNSUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "zeta": "ζ", "eta": "η", "theta": "θ", "iota": "ι",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "epsilon": "ε", "varepsilon": "ε",
    "vartheta": "ϑ", "varphi": "φ", "varsigma": "ς", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ",
    "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
COMMANDS = {
    "ell": "ℓ", "partial": "∂", "nabla": "∇", "infty": "∞", "prime": "′", "ast": "∗", "star": "⋆", "cdot": "·",
    "times": "×", "odot": "⊙", "pm": "±", "top": "⊤", "dagger": "†", "to": "→", "circ": "∘", "sum": "Σ", "prod": "Π",
    "ldots": "…", "dots": "…", "cdots": "…", "mid": "|", "|": "‖", "lVert": "‖", "rVert": "‖", "in": "∈", "neq": "≠",
    "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "langle": "⟨", "rangle": "⟩", ",": "\u2009", ";": "\u2009",
    ":": "\u2009", " ": "\u2009", "!": "", "left": "", "right": "",
    **{c: c for c in "_%#$&{}"},
}  # fmt: skip
WORDS = {"log", "ln", "exp", "max", "min", "tanh", "softmax", "argmax", "arg", "sin", "cos", "det", "tr", "sup", "inf"}
ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304",
    "overline": "\u0304", "dot": "\u0307", "ddot": "\u0308", "check": "\u030c", "vec": "\u20d7",
}  # fmt: skip
UPRIGHT = {"mathrm", "text", "textrm", "operatorname", "mathsf", "textsf", "mathbf", "textbf", "mathtt", "texttt"}
FONTS = {"mathit", "boldsymbol", "bm", "mathcal", "mathbb"}
SCRIPTED = {"mathcal": {"L": "ℒ"}, "mathbb": {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "C": "ℂ"}}
SUP = dict(zip("0123456789+-−=()abcdefghijklmnoprstuvwxyzT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ", strict=True))
SUB = dict(zip("0123456789+-−=(),aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎,ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))


def is_latex(name: str) -> bool:
    """Whether a name has what only LaTeX has: a command, a brace or an exponent."""
    return any(c in name for c in "\\{^") and parse_name(name) is not None


@functools.lru_cache(maxsize=4096)
def parse_name(name: str) -> tuple[Atom, ...] | None:
    r"""Read a name as mathematics.

    Args:
        name: any text.

    Returns:
        Its pieces, or None where it is no mathematics that is known here.

    >>> [atom.kind for atom in parse_name(r"\hat{x}_i")], parse_name("C:\\temp"), parse_name("batch_norm")
    (['accent', 'sub'], None, None)
    """
    if found := LETTER.fullmatch(name):
        letter, digits, word, primes = found.groups()
        sub = (digits or word or "").translate(UNSUB)
        below = (Atom("sub", "", letters(sub)),) if sub else ()
        above = (Atom("plain", "′" * len(primes)),) if primes else ()
        return (accented(letter), *above, *below)
    if len(name) > LONGEST or not any(c in name for c in "\\{^"):
        return None
    inner = name[1:-1] if len(name) > 2 and name[0] == name[-1] == "$" else name
    try:
        atoms, rest = Reader(inner).sequence(0, 0)
    except ValueError:
        return None
    return atoms if rest == len(inner) and to_text(atoms).strip() else None


def letters(text: str) -> tuple[Atom, ...]:
    """Return an index: a letter in italics, a word or number upright."""
    return (Atom("symbol" if len(text) == 1 and text.isalpha() else "plain", text),)


def accented(letter: str) -> Atom:
    """Return a letter, with its accents as atoms around it."""
    atom = Atom("symbol", letter[0])
    for mark in letter[1:]:
        atom = Atom("accent", mark, (atom,))
    return atom


class Reader:
    """Reads LaTeX of a name. Each method takes where to begin and returns what it read, and where that ends.

    Raises:
        ValueError: this is none.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def sequence(self, i: int, depth: int) -> tuple[tuple[Atom, ...], int]:
        """Read up to a closing brace, or the end."""
        atoms: list[Atom] = []
        while i < len(self.name) and self.name[i] != "}":
            if self.name[i] in "^_":
                kind = "sup" if self.name[i] == "^" else "sub"
                before = [atom.kind for atom in atoms[-2:] if atom.kind in ("sup", "sub")]
                if not atoms or kind in before[-1:] or (len(before) == 2 and kind in before):
                    raise ValueError  # nothing to raise, or raised twice
                parts, i = self.script(i + 1, depth)
                atoms.append(Atom(kind, "", parts))
            else:
                atom, i = self.atom(i, depth)
                atoms.append(atom)
        return tuple(atoms), i

    def script(self, i: int, depth: int) -> tuple[tuple[Atom, ...], int]:
        """Read an exponent or index: a group, a command, or, as names are written, a word or a bracket."""
        if self.name[i : i + 1] in ("{", "\\"):
            atom, i = self.atom(i, depth)
            return atom.parts if atom.kind == "group" else (atom,), i
        found = SCRIPT.match(self.name, i)
        if not found:
            raise ValueError
        text = found[0].replace("-", "−")
        return letters("⊤" if text == "T" and self.name[i - 1] == "^" else text), found.end()

    def atom(self, i: int, depth: int) -> tuple[Atom, int]:
        """Read a letter, a number, a group or a command with what it applies to."""
        found = TOKEN.match(self.name, i)
        if not found or depth > DEEPEST:
            raise ValueError
        command, mark, primes, word, letter, other = found.groups()
        i = found.end()
        if mark == "{":
            parts, i = self.sequence(i, depth + 1)
            if self.name[i : i + 1] != "}" or not parts:
                raise ValueError
            return Atom("group", "", parts), i + 1
        if command:
            return self.command(command, i, depth)
        if mark or other == "\\":
            raise ValueError
        if letter:
            return accented(letter), i
        return Atom("plain", "′" * len(primes) if primes else word or other.replace("-", "−")), i

    def command(self, command: str, i: int, depth: int) -> tuple[Atom, int]:
        """Read what a command stands for."""
        if command in GREEK:
            return Atom("symbol", GREEK[command]), i
        if command in COMMANDS:
            return Atom("plain", COMMANDS[command]), i
        if command in WORDS:
            return Atom("plain", command + " " * (self.name[i : i + 1].isalpha() or self.name[i : i + 1] == "\\")), i
        if command in ("sqrt", "frac"):
            first, i = self.argument(i, depth)
            if command == "sqrt":
                return Atom("root", "", first), i
            second, i = self.argument(i, depth)
            return Atom("group", "", (*bracketed(first), Atom("plain", "/"), *bracketed(second))), i
        if command not in ACCENTS and command not in UPRIGHT and command not in FONTS:
            raise ValueError
        parts, i = self.argument(i, depth)
        if command in UPRIGHT:
            return upright(parts), i
        if command in FONTS:
            known = SCRIPTED.get(command, {})
            return Atom("group", "", tuple(p._replace(text=known.get(p.text, p.text)) for p in parts)), i
        if len(parts) != 1:
            raise ValueError
        return Atom("accent", ACCENTS[command], parts), i

    def argument(self, i: int, depth: int) -> tuple[tuple[Atom, ...], int]:
        """Read what a command applies to."""
        atom, i = self.atom(i, depth + 1)
        return atom.parts if atom.kind == "group" else (atom,), i


def upright(parts: tuple[Atom, ...]) -> Atom:
    """Return letters upright, as a word."""
    if all(part.kind in ("symbol", "plain") for part in parts):
        return Atom("plain", "".join(part.text for part in parts))
    return Atom("group", "", parts)


def bracketed(parts: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """Return one side of a fraction, in brackets where it is more than a letter with its indices."""
    single = sum(part.kind not in ("sup", "sub") for part in parts) == 1
    return parts if single else (Atom("plain", "("), *parts, Atom("plain", ")"))


def name_text(name: str) -> str:
    r"""Write a name as one line of Unicode: LaTeX as the mathematics that it is, any other name as it stands.

    >>> [name_text(name) for name in (r"\hat{x}_i", "W^{(1)}", r"\mu_B", "x_train", r"\oops{x}")]
    ['x̂ᵢ', 'W⁽¹⁾', 'μ_B', 'x_train', '\\oops{x}']
    """
    atoms = parse_name(name) if is_latex(name) or "'" in name else None
    return name if atoms is None else to_text(atoms)


def path_text(path: Iterable[str]) -> str:
    r"""Write the path of a scope, or of a node in one, as one line of Unicode.

    >>> path_text([r"\theta", "fc1"])
    'θ/fc1'
    """
    return "/".join(map(name_text, path))


def cut_text(text: str, most: int) -> str:
    """Return a text, or of a longer one the beginning and an ellipsis: ``most`` characters.

    >>> cut_text("batch", 5), cut_text("batch norm", 5)
    ('batch', 'batc…')
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def to_text(atoms: tuple[Atom, ...]) -> str:
    """Write pieces of a name as Unicode."""
    out = ""
    for atom in atoms:
        inner = to_text(atom.parts)
        if atom.kind in ("sup", "sub"):
            out += script_text(inner, atom.kind == "sup")
        elif atom.kind == "root":
            out += f"√{inner}" if len(inner) == 1 else f"√({inner})"
        elif atom.kind == "accent":
            out += unicodedata.normalize("NFC", inner[:1] + atom.text) + inner[1:]
        else:
            out += atom.text + inner
    return out


def script_text(text: str, raised: bool) -> str:
    """Write a text above or below the line in Unicode: where letters are missing, behind a ^ or _.

    >>> script_text("(1)", True), script_text("BC", False), script_text("B", False)
    ('⁽¹⁾', '_BC', '_B')
    """
    table = SUP if raised else SUB
    if all(c in table or c == "⊤" for c in text) and not (text.isalpha() and len(text) > 2):
        return "".join("ᵀ" if c == "⊤" else table[c] for c in text)
    if text.strip("′†∗*⊤") == "":
        return text
    plain = text.isalnum() and unicodedata.normalize("NFKC", text) == text  # σ² is no single letter
    single = len(text) == 1 or text[0] + text[-1] == "()" or plain
    return ("^" if raised else "_") + (text if single else f"({text})")
