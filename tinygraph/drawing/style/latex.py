r"""Text as LaTeX: in ASCII, with the commands that pdfLaTeX knows, and mathematics where a name or a symbol is such.

A letter that pdfLaTeX does not know becomes ``\tgletter``, which takes LuaLaTeX and a font that has it.
"""

from __future__ import annotations

import re
import unicodedata

from tinygraph.drawing.style.conventions import CIRCLED
from tinygraph.drawing.style.formula import Run, font_size, gradient_parts
from tinygraph.drawing.style.names import GREEK, SUB, SUP, Atom, parse_name

__all__ = ["latex_name", "latex_run", "latex_text", "number", "size_of"]

FACES = {"sans": r"\sffamily ", "bold": r"\sffamily\bfseries ", "roman": r"\rmfamily ", "serif": r"\rmfamily ",
         "mono": r"\ttfamily "}  # fmt: skip
LETTERS = {c: "\\" + name for name, c in reversed(GREEK.items()) if name not in ("epsilon", "Upsilon")}
MARKS = {"\u0302": "hat", "\u0304": "bar", "\u0303": "tilde", "\u0307": "dot", "\u0308": "ddot", "\u030c": "check",
         "\u20d7": "vec"}  # fmt: skip
MATH = {
    "·": r"\cdot", "×": r"\times", "÷": r"\div", "−": "-", "±": r"\pm", "Σ": r"\Sigma", "Π": r"\Pi", "↑": r"\uparrow",
    "↓": r"\downarrow", "→": r"\to", "√": r"\surd", "∂": r"\partial", "∇": r"\nabla", "‖": r"\|", "∗": r"\ast",
    "⋆": r"\star", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "¬": r"\neg", "⊙": r"\odot", "∞": r"\infty", "∈": r"\in",
    "▸": r"\blacktriangleright", "▾": r"\blacktriangledown", "′": r"{}^\prime", "⊤": r"{\scriptstyle\top}",
    "†": r"\dagger", "∘": r"\circ", "⟨": r"\langle", "⟩": r"\rangle", "ℓ": r"\ell", "ℒ": r"\mathcal{L}",
    "ℝ": r"\mathbb{R}", "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}", "ℂ": r"\mathbb{C}", "<": "<", ">": ">", "|": "|",
    "ϑ": r"\vartheta", "≈": r"\approx", "⌀": r"\varnothing", "∅": r"\varnothing", "●": r"\bullet", "✓": r"\checkmark",
    "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil",
    "◆": r"\blacklozenge", "■": r"\blacksquare", "♦": r"\blacklozenge",
}  # fmt: skip
MATH |= {above: f"^{{{c}}}" for c, above in SUP.items() if not above.isascii() and c != "−"}
MATH |= {below: f"_{{{LETTERS.get(c, c)}}}" for c, below in SUB.items() if not below.isascii() and c != "−"}
PLAIN = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", '"': r"\textquotedbl{}", "…": r"\dots{}", "–": "--",
    "—": "---", "\u2009": r"\,", "\xa0": "~", " ": " ", **{c: f"{{{c}}}" for c in "-',`!?"},
    "ß": r"\ss{}", "ø": r"\o{}", "Ø": r"\O{}", "æ": r"\ae{}", "Æ": r"\AE{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
}  # fmt: skip
PLAIN |= {c: rf"\textcircled{{\scalebox{{.75}}{{{k}}}}}" for k, c in enumerate(CIRCLED, 1)}
ACUTE = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0307": ".", "\u0308": '"',
         "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0306": "u", "\u0327": "c", "\u0328": "k"}  # fmt: skip
ASIAN = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "HALFWIDTH", "BOPOMOFO")
CLUSTER = re.compile(r"[^\u0300-\u036f\u20d7][\u0300-\u036f\u20d7]*|[\u0300-\u036f\u20d7]", re.S)


def number(x: float) -> str:
    """Write a length."""
    return f"{x:.3f}".rstrip("0").rstrip(".")


def size_of(size: float, unit: float) -> str:
    """Write the size of letters, never rounded down."""
    return number(size * unit + 0.0005)


def latex_run(run: Run, size: float, unit: float) -> str:
    """Write a run of text: its face, and its size and height where they are not those of the line."""
    body = "".join(latex_cluster(c, run.face == "serif") for c in CLUSTER.findall(run.text[:4000]))
    body = FACES[run.face] + body
    if run.scale != 1:
        body = rf"\tgsize{{{size_of(font_size(run, size), unit)}}}{body}"
    return rf"\raisebox{{{number(run.rise * size * unit)}pt}}{{{body}}}" if run.rise else f"{{{body}}}"


def latex_cluster(cluster: str, italic: bool) -> str:
    """Write a letter with its accents; ``italic`` letters are mathematics."""
    letter, marks = cluster[0], cluster[1:]
    core = (
        LETTERS.get(letter) or MATH.get(letter) or (letter if italic and letter.isascii() and letter.isalpha() else "")
    )
    if marks and not core and letter.isascii() and letter.isalnum() and all(m in MARKS for m in marks):
        core = rf"\mathrm{{{letter}}}"
    if core and all(m in MARKS for m in marks):
        for mark in marks:
            core = rf"\{MARKS[mark]}{{{core}}}"
        return f"${core}$"
    return "".join(map(latex_letter, unicodedata.normalize("NFC", cluster)))


def latex_letter(c: str) -> str:
    """Write one character as text, in ASCII where there is a command for it."""
    if c in PLAIN:
        return PLAIN[c]
    if c.isascii():
        return c if c.isprintable() else "~"
    first, marks = (found := unicodedata.normalize("NFD", c))[0], found[1:]
    if first.isascii() and first.isalpha() and marks in ACUTE:
        return rf"\{ACUTE[marks]}{{{first}}}"
    if not c.isprintable() or unicodedata.category(c) in ("Co", "Cs", "Cn"):
        return "~"
    font = "tgcjk" if unicodedata.name(c, "").startswith(ASIAN) else "tgother"
    return rf"\tgletter\{font}{{{c}}}{{{ord(c):04X}}}"


def latex_text(text: str) -> str:
    r"""Write text outside of mathematics.

    Args:
        text: any text.

    >>> print(latex_text("σ² & café"))
    $\sigma$$^{2}$ \& caf\'{e}
    """
    return "".join(latex_cluster(c, False) for c in CLUSTER.findall(text))


def latex_name(name: str) -> str:
    r"""Write a name inside of mathematics; what is no mathematics is text there.

    Args:
        name: any name.

    >>> print(latex_name("x̂_i"), latex_name("W^(1)"), latex_name("batch_norm"))
    \hat{x}_{i} W^{(1)} \text{batch\_norm}
    """
    if parts := gradient_parts(name):
        return rf"\partial {latex_factor(parts[0])}/\partial {latex_factor(parts[1])}"
    atoms = parse_name(name)
    if atoms is None:
        return rf"\text{{{latex_text(name if len(name) <= 24 else name[:23] + '…')}}}"
    return to_latex(atoms)


def latex_factor(name: str) -> str:
    """Write a name where a quotient, as that of a gradient is, stands in brackets."""
    inner = name[1:-1] if name.startswith("(") and name.endswith(")") else name
    return f"({latex_name(inner)})" if gradient_parts(inner) else latex_name(name)


def to_latex(atoms: tuple[Atom, ...]) -> str:
    """Write pieces of a name inside of mathematics."""
    out = ""
    for atom in atoms:
        inner = to_latex(atom.parts)
        if atom.kind in ("sup", "sub"):
            out += f"{'^' if atom.kind == 'sup' else '_'}{{{inner}}}"
        elif atom.kind == "root":
            out += rf"\sqrt{{{inner}}}"
        elif atom.kind == "accent":
            out += rf"\{MARKS[atom.text]}{{{inner}}}" if atom.text in MARKS else inner
        elif atom.kind == "group":
            out += inner
        elif atom.text.isalpha() and atom.text.isascii() and atom.kind == "plain" and len(atom.text) > 1:
            out += rf"\mathrm{{{atom.text}}}"
        else:
            out += "".join(map(math_letter, atom.text))
    return out


def math_letter(c: str) -> str:
    """Write one character inside of mathematics."""
    if found := LETTERS.get(c) or MATH.get(c):
        return found + " " * found[-1].isalpha()
    return c if c.isascii() and (c.isalnum() or c in "()+=,.:;/*|<> ") else rf"\text{{{latex_letter(c)}}}"
