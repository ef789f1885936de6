r"""LaTeX as a tree, from which a page is written as MathML, and a PDF by typst.

It reads what `LatexPrinter` writes. A tree is a list, the first item of which says what it is: ``["frac", a, b]``; so
it can be sent as JSON, and no name of a user is read as a command.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from typing import Any

from tinygraph.drawing.style.formula import WORDS
from tinygraph.drawing.style.latex import ACUTE, LETTERS, MARKS, MATH, PLAIN

__all__ = ["Tree", "mathml", "read_latex", "to_mathml"]

Tree = list[Any]
TOKEN = re.compile(r"\\(?P<command>[A-Za-z]+|.)|(?P<mark>[{}^_])|(?P<number>\d[\d.]*)|(?P<letter>\S)", re.S)
SYMBOLS = {command.removeprefix("\\"): c for c, command in (MATH | LETTERS).items() if command.startswith("\\")}
SYMBOLS |= {"sum": "∑", "prod": "∏", "neg": "¬", "top": "⊤", "prime": "′", "|": "‖", "{": "{", "}": "}"}
ACCENTS = {command: mark for mark, command in MARKS.items()}
FACES = ("operatorname", "mathrm", "mathsf", "mathbb", "mathbf")
IGNORED = (",", "scriptstyle", "displaystyle", "bm", ";", "!")
NOTHING: Tree = ["row", []]
CHARACTERS = {text: c for c, text in PLAIN.items() if text != " "}
TEXT = re.compile(
    r"\$(?P<math>[^$]*)\$|"
    r"\\tgletter\\\w+\{(?P<letter>.)\}\{[0-9A-F]+\}|"
    r"\\(?P<accent>[`'^=.~\"rucvHk])\{(?P<base>\w)\}|"
    rf"(?P<plain>{'|'.join(map(re.escape, sorted(CHARACTERS, key=len, reverse=True)))})|(?P<other>.)",
    re.S,
)


def read_latex(tex: str) -> Tree:
    r"""Read a formula.

    Args:
        tex: a line of what `LatexPrinter` writes, without ``&``.

    Returns:
        A tree of these: ``["row", trees]``, ``["sym", letter]``, ``["num", digits]``, ``["text", words]``,
        ``["word", letters]`` of a function, ``["frac", above, below]``, ``["root", inner]``, ``["accent", inner,
        mark]``, ``["lr", inner]`` in brackets, and ``["attach", base, below, above]``.

    >>> read_latex(r"\frac{1}{\sigma}")
    ['frac', ['num', '1'], ['sym', 'σ']]
    """
    return Reader(tex).row()


class Reader:
    """Reads a formula from left to right."""

    def __init__(self, tex: str) -> None:
        self.tex, self.place = tex, 0

    def row(self, end: str = "") -> Tree:
        """Read up to the end, or up to the brace or the bracket that closes it."""
        items: list[Tree] = []
        while (token := self.next()) is not None:
            command, mark = token["command"], token["mark"]
            if mark == "}" or (command == "right" and end == "right"):
                self.place += command == "right"  # the bracket after it
                break
            if mark in ("^", "_"):
                self.attach(items, mark)
            elif (item := self.item(token)) is not None:
                items.append(item)
        return items[0] if len(items) == 1 else ["row", items]

    def next(self) -> re.Match[str] | None:
        """Return the next token; None at the end."""
        found = TOKEN.search(self.tex, self.place)
        self.place = found.end() if found else len(self.tex)
        return found

    def argument(self) -> Tree:
        """Read what a command takes: a group, or one item."""
        token = self.next()
        return NOTHING if token is None else self.item(token) or NOTHING

    def attach(self, items: list[Tree], mark: str) -> None:
        """Read what stands below or above the item before it."""
        base = items.pop() if items else NOTHING
        if base[0] != "attach":
            base = ["attach", base, NOTHING, NOTHING]
        place = 2 if mark == "_" else 3
        items.append([*base[:place], self.argument(), *base[place + 1 :]])

    def item(self, token: re.Match[str]) -> Tree | None:
        """Read an item; None of a space."""
        command = token["command"]
        if token["mark"]:
            return self.row()
        if token["number"]:
            return ["num", token["number"]]
        if token["letter"]:
            return ["sym", {"-": "−", "'": "′"}.get(token["letter"], token["letter"])]
        if command in IGNORED or command == " ":
            return None
        if command == "text":
            return read_text(self.group())
        if command == "frac":
            return ["frac", self.argument(), self.argument()]
        if command == "sqrt":
            return ["root", self.argument()]
        if command == "left":
            self.place += 1
            return ["lr", self.row("right")]
        if command in ACCENTS:
            return ["accent", self.argument(), ACCENTS[command]]
        if command in FACES:
            return ["word", letters_of(self.argument())]
        return ["word", command] if command in WORDS else ["sym", SYMBOLS.get(command, command)[:1]]

    def group(self) -> str:
        """Return what stands in braces, as it is."""
        depth, start = 0, self.place
        for place in range(start, len(self.tex)):
            if self.tex[place - 1] != "\\":
                depth += {"{": 1, "}": -1}.get(self.tex[place], 0)
            if not depth:
                self.place = place + 1
                return self.tex[start + 1 : place]
        self.place = len(self.tex)
        return self.tex[start + 1 :]


def read_text(text: str) -> Tree:
    """Read words of LaTeX: plain ones, with mathematics between dollars."""
    items: list[Tree] = []
    for found in TEXT.finditer(text):
        if found["math"] is not None:
            items.append(read_latex(found["math"]))
            continue
        c = found["letter"] or found["other"] or CHARACTERS.get(found["plain"] or "", "")
        if found["accent"]:
            mark = next(mark for mark, accent in ACUTE.items() if accent == found["accent"])
            c = unicodedata.normalize("NFC", found["base"] + mark)
        if items and items[-1][0] == "text":
            items[-1][1] += c
        else:
            items.append(["text", c])
    return items[0] if len(items) == 1 else ["row", items]


def letters_of(tree: Tree) -> str:
    """Return the letters of a tree."""
    if isinstance(tree[1], str):
        return tree[1]
    return "".join(letters_of(item) for item in tree[1]) if tree[0] == "row" else ""


def to_mathml(tree: Tree) -> str:
    """Write a formula as MathML.

    Args:
        tree: from `read_latex`.

    >>> to_mathml(read_latex("x^2"))
    '<msup><mi>x</mi><mn>2</mn></msup>'
    """
    kind, first, *rest = tree
    if kind == "row":
        gaps = [SPACE * stands_apart(a, b) for a, b in zip([NOTHING, *first], first, strict=False)]
        return f"<mrow>{''.join(gap + to_mathml(item) for gap, item in zip(gaps, first, strict=True))}</mrow>"
    if kind in ("sym", "num", "text", "word"):
        tag = {"num": "mn", "text": "mtext", "word": "mi"}.get(kind, "mi" if is_letter(first) else "mo")
        return f"<{tag}>{escape(first)}</{tag}>"
    if kind == "lr":
        return f"<mrow><mo>(</mo>{to_mathml(first)}<mo>)</mo></mrow>"
    inner = to_mathml(first)
    if kind == "root":
        return f"<msqrt>{inner}</msqrt>"
    if kind == "accent":
        return f'<mover accent="true">{inner}<mo>{SPACING.get(rest[0], rest[0])}</mo></mover>'
    if kind == "frac":
        return f"<mfrac>{inner}{to_mathml(rest[0])}</mfrac>"
    below, above = rest
    tags = ("munder", "mover", "munderover") if first == ["sym", "∑"] else ("msub", "msup", "msubsup")
    if NOTHING not in (below, above):
        return f"<{tags[2]}>{inner}{to_mathml(below)}{to_mathml(above)}</{tags[2]}>"
    tag, script = (tags[0], below) if below != NOTHING else (tags[1], above)
    return f"<{tag}>{inner}{to_mathml(script)}</{tag}>"


def stands_apart(before: Tree, item: Tree) -> bool:
    """Whether there is a gap between two items of a row: before and after a word, but not before its bracket."""
    if NOTHING in (before, item) or any(x[0] == "sym" and not is_letter(x[1]) for x in (before, item)):
        return False
    return is_word(item) or (is_word(before) and item[0] != "lr")


def is_word(tree: Tree) -> bool:
    """Whether an item is a word such as mean, a name such as dP, or one with something below it."""
    return tree[0] in ("word", "text") and len(tree[1]) > 1 if tree[0] != "attach" else is_word(tree[1])


def is_letter(symbol: str) -> bool:
    """Whether a symbol is a letter, and no operator."""
    return symbol.isalpha() or symbol in "∂∞"


def mathml(tex: str) -> str:
    """Write a formula as MathML; a word before a letter stands apart, and a slash in a name does not."""
    found = to_mathml(read_latex(tex)).replace("<mo>/</mo>", "<mtext>/</mtext>")
    return found.replace("</mfrac><mfrac>", f"</mfrac>{SPACE}<mfrac>")


SPACE = '<mspace width=".17em"/>'
SPACING = {"\u0302": "^", "\u0304": "¯", "\u0303": "~", "\u0307": "˙", "\u0308": "¨", "\u030c": "ˇ", "\u20d7": "→"}
