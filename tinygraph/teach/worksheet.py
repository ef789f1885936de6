"""Worksheets: the figure with blanks, a question for each line of the answer key, and the key on the same layout.

Here is what a sheet says; ``worksheet.typ`` and `worksheet_html` say where it stands. Both get it as data, so that no
name of a user is read as markup, and a sheet has no answers in its file.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from tinygraph.drawing.api import EngineMissing, find_typst, fonts_of, run_typst, write
from tinygraph.drawing.formats.printing import printable
from tinygraph.drawing.style.numbers import short_number
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.gradients import passes, values_of
from tinygraph.teach.language import Language, language_of
from tinygraph.teach.latex import LatexPrinter
from tinygraph.teach.mathematics import Tree, read_latex
from tinygraph.teach.mutants import questions_of
from tinygraph.teach.numbers import draw_programs, with_values
from tinygraph.teach.printer import Line, Printer
from tinygraph.teach.program import Contribution, Program, record_program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.worksheet_figure import BLEED, HEAD, MARGIN, Choice, Paper, Picture, choose_figure
from tinygraph.teach.worksheet_html import html_of_sheets, view_of

__all__ = ["worksheet"]

PAPERS = {"a4": (595.28, 841.89), "letter": (612.0, 792.0)}  # width and height in points
ROOM_OF_GIVEN = 130.0  # points that the numbers that are given take, about
MOST_CELLS, MOST_COLUMNS = 64, 12  # of a table to fill in
MOST_COPIES = 500
ENDINGS = (".pdf", ".html")
GROUPS = ("forward", "backward")
CHINESE = (
    "Noto Serif CJK SC", "Source Han Serif SC", "Songti SC", "STSong", "SimSun", "Noto Sans CJK SC",
    "Source Han Sans SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "AR PL SungtiL GB", "AR PL UMing CN", "Droid Sans Fallback",
)  # fmt: skip


def worksheet(
    what: Tensor | Graph | Sequence[Tensor],
    path: str | os.PathLike[str],
    *,
    key: str | os.PathLike[str] | None = None,
    ask: str | Sequence[str] = "backward",
    blank: str | Sequence[str] | None = None,
    wrt: Sequence[str | Tensor] | None = None,
    title: str | None = None,
    points: int | Mapping[str, int] = 2,
    paper: str = "a4",
    lang: str = "en",
    ascii: bool = False,  # noqa: A002 - the word that users know
    copies: int = 1,
    seed: int | None = None,
) -> Path:
    """Write an exercise to print: the figure with blanks, questions, room to write; and its key on the same layout.

    Each line of the answer key is a question: a gradient, or one of its parts where a value was used several times. The
    key has the line of code, the formula and the numbers.

    Args:
        what: a Tensor, several, or a graph as `snapshot` makes it.
        path: of the sheet: ``.pdf``, which the package typst prints, or ``.html``, which a browser prints.
        key: of the key; none is written unless given. It may have the other ending.
        ask: "backward", "forward" (compute each value), or names: "σ" is a value, "dσ" its gradient and all its parts,
            "dx_1" one of them; or several of these.
        blank: what is left out of the figure, as in `draw`: "gradients", "values", "derivatives" or names; unless it is
            given, what is asked for, and the labels of the gradient arrows.
        wrt: leaves, or their names, whose gradients are wanted; without it, all that require one.
        title: on the first page.
        points: of each question, or by name; a question that has none gets 2.
        paper: "a4" or "letter".
        lang: "en" or "zh".
        ascii: spell names in the code in ASCII: ``sigma`` for σ.
        copies: how many sheets, each with other numbers, stand in the file; the key has them in the same order.
        seed: of these numbers. With a seed, one copy has other numbers, too; without one, it has those of ``what``.

    Returns:
        The path of the sheet.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: an option is not known, a name is no question, or there is nothing to ask.
        EngineMissing: typst, or a font with Chinese letters, is not installed; the message says how to get it.

    >>> import tempfile, pathlib
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> sheet = worksheet((x * x).sum().named("L"), folder / "sheet.html", key=folder / "key.html")
    >>> ["dt1 * x" in file.read_text() for file in (sheet, folder / "key.html")]
    [False, True]
    """
    outs = [(Path(path), False)] + ([(Path(key), True)] if key is not None else [])
    options = check_options(outs, paper, copies, points)
    texts = language_of(lang)
    program = record_program(what, wrt)
    if copies > 1 or seed is not None:
        shown = [line.node for line in Printer(program, numpy_spelling()).lines]
        programs: Iterable[Program] = itertools.islice(draw_programs(program, shown, seed or 0), copies)
    else:
        programs = [whole_seeds(program)]
    words = (ask,) if isinstance(ask, str) else tuple(ask)
    makers: list[SheetMaker] = []
    for k, p in enumerate(programs, 1):
        makers.append(SheetMaker(p, texts, words, ascii, points, paper=options, title=title, number=k * (copies > 1)))
        makers[-1].draw(blank, makers[0].choice)  # all of one class have one figure
    contents = [(out, file_of(makers, out.suffix.lower(), texts, options, is_key)) for out, is_key in outs]
    for out, content in contents:  # when both could be made
        write(out, content)
    return outs[0][0]


def check_options(outs: Sequence[tuple[Path, bool]], paper: str, copies: int, points: Any) -> Paper:
    """Refuse options that are not known; return the paper."""
    for path, _ in outs:
        if path.suffix.lower() not in ENDINGS:
            raise ValueError(f"worksheet: the ending is {path.suffix!r}; it must be one of {' '.join(ENDINGS)}")
    if len({path.resolve() for path, _ in outs}) < len(outs):
        raise ValueError(f"worksheet: sheet and key are one file, {outs[0][0]}; give the key another name")
    if paper.lower() not in PAPERS:
        raise ValueError(f"worksheet: paper is {paper!r}; it must be one of {', '.join(PAPERS)}")
    if not 1 <= copies <= MOST_COPIES:
        raise ValueError(f"worksheet: copies is {copies}; it must be 1 to {MOST_COPIES}")
    for count in points.values() if isinstance(points, Mapping) else (points,):
        if not isinstance(count, int) or not 0 <= count <= 1000:
            raise ValueError(f"worksheet: points is {count!r}; it must be a whole number from 0 to 1000")
    return Paper(paper.lower(), *PAPERS[paper.lower()])


def whole_seeds(program: Program) -> Program:
    """Return a program whose upstream gradients, where they were made up, are whole numbers."""
    starts = [program.graph.nodes[i] for i in program.upstream.values()]
    rng = np.random.default_rng(0)
    leaves = {n.id: rng.integers(-3, 4, n.shape).astype(n.dtype) for n in starts if n.shape}
    return with_values(program, leaves) if leaves else program


# -- the questions


@dataclasses.dataclass(frozen=True)
class Item:
    """A question.

    Attributes:
        line: of the answer key.
        formula: the same line as mathematics.
        text: what is asked, and in it code between two marks.
        points: that it counts.
    """

    line: Line
    formula: Tree
    head: Tree
    text: str
    points: int


class FormulaPrinter(LatexPrinter):
    """Writes the lines of an answer key as mathematics: the same lines that the code has."""

    def __init__(self, program: Program, code: Printer) -> None:
        self.code = code
        super().__init__(program)

    def reads_best_inside(self, node: Node) -> bool:
        """Whether a node has no line of its own in the code."""
        return node.id not in self.code.name


class SheetMaker:
    """Makes the data of one sheet."""

    def __init__(
        self, program: Program, texts: Language, ask: Sequence[str], ascii: bool,  # noqa: A002 - the name of the option
        points: int | Mapping[str, int], *, paper: Paper, title: str | None, number: int,
    ) -> None:  # fmt: skip
        self.program, self.graph, self.texts, self.paper, self.number = program, program.graph, texts, paper, number
        self.printer = Printer(program, numpy_spelling(), ascii=ascii)
        formulas = FormulaPrinter(program, self.printer).lines
        self.formula = {(line.node, line.of, line.part): line for line in formulas}
        self.title = title
        self.items = self.ask(ask, points)
        self.choice: Choice | None = None
        self.pictures: list[Picture]

    def ask(self, words: Sequence[str], points: int | Mapping[str, int]) -> list[Item]:
        """Return the questions that are asked for, in the order of the key."""
        found = {"forward": [line for line in self.printer.lines if line.part == "forward"],
                 "backward": [q.line for q in questions_of(self.printer)]}  # fmt: skip
        lines = found["forward"] + found["backward"]
        names = {line.name: [line] for line in lines}
        for line in found["backward"]:  # the name of a gradient stands for all its parts
            whole = self.printer.gradients[line.of].text
            names.setdefault(f"∂{self.graph.nodes[line.of].name}", []).append(line)
            if whole != line.name:
                names.setdefault(whole, []).insert(0, line)
        wanted: list[Line] = []
        for word in words:
            if word not in found and word not in names:
                known = ", ".join(line.name for line in lines)
                raise ValueError(f"worksheet: ask={word!r} is no question; write forward, backward, or some of {known}")
            wanted += found.get(word) or names.get(word, [])
        if not wanted:
            raise ValueError("worksheet: there is nothing to ask")
        if isinstance(points, Mapping) and (bad := [name for name in points if name not in names]):
            raise ValueError(f"worksheet: points has {bad[0]!r}, which is no question")
        self.asked = {(line.node, line.of, line.part) for line in wanted}
        return [self.item(line, points) for line in lines if (line.node, line.of, line.part) in self.asked]

    def item(self, line: Line, points: int | Mapping[str, int]) -> Item:
        """Return the question whose answer is a line."""
        count = points if isinstance(points, int) else points.get(line.name, 2)
        formal = self.formula.get((line.node, line.of, line.part))
        empty: Tree = ["row", []]
        if formal is None:
            return Item(line, empty, empty, self.question(line), count)
        return Item(
            line, read_latex(f"{formal.name} = {formal.value}"), read_latex(formal.name), self.question(line), count
        )

    def question(self, line: Line) -> str:
        """Return the text of a question."""
        if line.part == "forward":
            return self.text("ask_value", name=line.name, code=line.value)
        value, parts = self.printer.label(line.of), self.program.contributions[line.of]
        count = len(parts) + (line.of in self.program.upstream)
        mine = [other for other in self.printer.lines if other.part == "backward" and other.of == line.of]
        k = mine.index(line) - (line.of in self.program.upstream)
        if count == 1:
            return self.text("ask_gradient", name=line.name, value=value, made=self.made(parts[0]))
        if k < len(parts):
            return self.text("ask_part", name=line.name, value=value, count=len(parts), made=self.made(parts[k]))
        return self.text("ask_whole", name=line.name, value=value)

    def made(self, part: Contribution) -> str:
        """Return the line of the way forward through which a contribution comes back."""
        i = part.user
        while i not in self.printer.name:  # it stands inside the line of its only consumer
            i = self.graph.consumers[i][0][0]
        return next(f"{line.name} = {line.value}" for line in self.printer.lines if line.node == i)

    def text(self, key: str, **facts: object) -> str:
        """Return a text of the language; names and code in it stand between marks."""
        marked = {k: v if k in ("count", "page", "pages", "number") else f"\0{v}\0" for k, v in facts.items()}
        return self.texts.text(f"worksheet.{key}", **marked)

    # -- the figure

    def draw(self, blank: str | Sequence[str] | None, choice: Choice | None) -> None:
        """Draw the figure with blanks and the whole one, which have one layout.

        Args:
            blank: what is left out; None for what is asked for.
            choice: how it is drawn; None to choose.
        """
        graph, _ = values_of(self.graph, passes(self.graph)[0], self.program.forward)
        usual = self.blanks(graph)
        words = usual if blank is None else (blank,) if isinstance(blank, str) else tuple(blank)
        is_forward = words == usual and all(part == "forward" for *_, part in self.asked)
        self.choice = choice or choose_figure(graph, self.paper, words, "forward" if is_forward else "both")
        drawn = [self.choice.picture(graph, left_out) for left_out in (words, ())]
        self.pictures = [dataclasses.replace(p, svg=self.texts.picture(p.svg)) for p in drawn]

    def blanks(self, graph: Graph) -> tuple[str, ...]:
        """Return what the figure must not tell: the values or gradients that are asked for."""
        found: list[str] = []
        for part, all_of_them, mark in (("forward", "values", ""), ("backward", "gradients", "∂")):
            asked = {of if part == "backward" else node for node, of, where in self.asked if where == part}
            names = [self.graph.nodes[i].name or "" for i in sorted(asked)]
            lines = [line for line in self.printer.lines if line.part == part]
            is_all = {line.of if part == "backward" else line.node for line in lines} - set(
                self.program.upstream
            ) <= asked
            alone = all(name and sum(n.name == name for n in graph.nodes) == 1 for name in names)
            found += [all_of_them] if asked and (is_all or not alone) else [mark + name for name in names]
            found += ["derivatives"] if asked and part == "backward" else []
        return tuple(found)

    # -- what is given

    def given(self) -> list[dict[str, Any]]:
        """Return the numbers that a reader needs and that are not asked for: the leaves, and what the answers use."""
        is_backward = any(part == "backward" for *_, part in self.asked)
        used = {word for item in self.items for word in words_of(item.line.value)}
        found = []
        for line in self.printer.lines:
            is_leaf = self.graph.nodes[line.node].op is None and (line.part == "given" or is_backward)
            if (line.node, line.of, line.part) in self.asked or not (is_leaf or line.name in used):
                continue
            if not is_leaf and line.part == "forward" and self.pictures[1].has_numbers and not self.blanked(line.node):
                continue
            found.append(
                {"code": line.name, "shape": shape_words(self.graph.nodes[line.node]), "cells": self.cells(line)}
            )
        return found

    def blanked(self, i: int) -> bool:
        """Whether the figure does not show a value because others are asked for."""
        return "values" in self.pictures[0].blank

    def cells(self, line: Line) -> list[list[str]]:
        """Return the numbers of a line's value, row by row; none of a large array."""
        node = self.graph.nodes[line.node]
        if not node.value or node.value.values is None or not 0 < math.prod(node.shape) <= MOST_CELLS:
            return []
        columns = node.shape[-1] if node.shape else 1
        if columns > MOST_COLUMNS:
            return []
        largest = max((abs(v) for v in node.value.values if math.isfinite(v)), default=0.0)
        cells = [number_text(v, largest) for v in node.value.values]
        return [cells[k : k + columns] for k in range(0, len(cells), columns)]

    def is_rounded(self, line: Line) -> bool:
        """Whether a number of a line is written with fewer digits than it has."""
        value = self.graph.nodes[line.node].value
        return any(math.isfinite(v) and not is_exact(v) for v in (value.values or () if value else ()))

    # -- all of it

    def sheet(self, is_key: bool) -> dict[str, Any]:
        """Return the data of the sheet, or of its key."""
        part = "backward" if any(item.line.part == "backward" for item in self.items) else "forward"
        outputs = ", ".join(self.printer.label(i) for i in self.program.outputs)
        given, numbers = self.given(), [self.cells(item.line) for item in self.items]
        lines = [line for line in self.printer.lines if self.cells(line)]
        picture = self.pictures[is_key]
        plain = self.texts.text(f"worksheet.title_{part}", name=outputs)
        return {
            "title": self.title if self.title is not None else plain,
            "number": self.texts.text("worksheet.copy", number=self.number) if self.number else "",
            "pictures": [strip | {"view": view_of(strip)} for strip in map(dataclasses.asdict, picture.strips)],
            "landscape": picture.landscape, "here": picture.here,
            "given_first": picture.landscape or picture.empty > ROOM_OF_GIVEN,
            "svg": picture.svg, "given": given, "how": self.how(part),
            "rounded": self.text("rounded") if any(map(self.is_rounded, lines)) else "",
            "total": sum(item.points for item in self.items),
            "questions": [self.entry(k, item, cells)
                          for k, (item, cells) in enumerate(zip(self.items, numbers, strict=True), 1)],
        }  # fmt: skip

    def how(self, part: str) -> list[list[str]]:
        """Return what a reader is to do, in pieces of text and code."""
        if part == "forward":
            return pieces_of(self.text("how_forward"))
        item = next(item for item in self.items if item.line.part == "backward")
        return pieces_of(self.text("how_backward", name=item.line.name, value=self.printer.label(item.line.of)))

    def entry(self, k: int, item: Item, cells: list[list[str]]) -> dict[str, Any]:
        """Return the data of one question, and of its answer: the sheet has its room, and the key shows it."""
        node = self.graph.nodes[item.line.node]
        return {
            "number": k, "code": item.line.name, "head": item.head, "shape": shape_words(node),
            "text": pieces_of(item.text), "points": self.texts.text("worksheet.points", count=item.points),
            "asks_code": item.line.part == "backward", "lines": lines_of(f"{item.line.name} = {item.line.value}"),
            "tall": depth_of(item.formula), "wide": max((len(c) for row in cells for c in row), default=1),
            "cells": cells, "answer": {"code": item.line.value, "formula": item.formula},
        }  # fmt: skip


def pieces_of(text: str) -> list[list[str]]:
    """Return a text in pieces: words, and code that stood between marks."""
    return [["code" if k % 2 else "words", piece] for k, piece in enumerate(text.split("\0")) if piece]


def words_of(code: str) -> set[str]:
    """Return the names in a line of code."""
    return set(re.findall(r"[^\s()\[\]{},.:+\-*/@=<>!&|%~]+", code))


def lines_of(code: str) -> int:
    """Return how many lines of the paper a line of code may take."""
    return -(-len(code) // 80)


def depth_of(tree: Tree) -> int:
    """Return how high a formula is: 1, and one more for each fraction in a fraction."""
    inner = tree[1] if tree[0] == "row" else tree[1:]
    below = max((depth_of(item) for item in inner if isinstance(item, list) and item), default=0)
    return below + (tree[0] == "frac") if tree[0] != "sym" else 0


def shape_words(node: Node) -> str:
    """Return the shape of a value as Python writes it."""
    return str(tuple(node.shape)).replace(" ", "\xa0")  # which stays on one line


def number_text(value: Any, largest: float = 0.0) -> str:
    """Write a number as a person does: a short one as it is, others in three digits, with a true minus.

    >>> number_text(-0.0), number_text(-0.0625), number_text(2.0), number_text(1 / 3)
    ('0', '−0.0625', '2', '0.333')
    """
    exact = is_exact(value)
    return exact.replace("-", "−") if exact else short_number(value, largest)


def is_exact(value: Any) -> str:
    """Return a number that is short to write, as Python does; "" of another."""
    if not isinstance(value, float) or not math.isfinite(value):
        return "" if isinstance(value, float) else str(value)
    text = str(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(float(f"{value:.12g}"))
    return text if len(text.lstrip("-")) <= 6 and "e" not in text else ""


# -- the file


def file_of(makers: Sequence[SheetMaker], ending: str, texts: Language, paper: Paper, is_key: bool) -> bytes:
    """Return the sheets, or their keys, as a file."""
    names = ("name", "date", "score", "page", "given", "code", "work", "numbers", "key", "figure")
    data = {
        "lang": texts.code, "paper": paper.name, "width": paper.width, "height": paper.height, "margin": MARGIN,
        "head": HEAD, "bleed": BLEED, "key": is_key, "texts": {name: texts.texts["worksheet"][name] for name in names},
        "sheets": [maker.sheet(is_key) for maker in makers],  # the answers are in both, so that a sheet has their room
    }  # fmt: skip
    return html_of_sheets(data).encode() if ending == ".html" else print_sheets(data)


def print_sheets(data: dict[str, Any]) -> bytes:
    """Return sheets as PDF. The same sheets give the same bytes.

    Raises:
        EngineMissing: typst is not installed, or no font with the letters of the sheet.
    """
    what, other = "a worksheet as .pdf", ".html"
    known = find_typst(what, other)[1]
    sheets = [sheet | {"svg": printable(sheet["svg"])} for sheet in data["sheets"]]
    text = json.dumps(data | {"sheets": sheets}, ensure_ascii=False)
    fonts = []
    if any(unicodedata.name(c, "").startswith(("CJK", "FULLWIDTH")) for c in set(text)):
        fonts = [name for name in CHINESE if name in known.families()]
        if not fonts:
            fonts_of.cache_clear()  # one may be there at the next try
            raise EngineMissing(
                "no font with Chinese letters is installed: install one, such as fonts-noto-cjk; .html needs none here"
            )
    template = files("tinygraph.teach").joinpath("worksheet.typ").read_bytes()
    return bytes(run_typst(template, {"data": text, "fonts": json.dumps(fonts[:1])}, "pdf", what, other))
