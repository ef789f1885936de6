r"""A picture as TikZ: the layout that the SVG has, at the same places, in commands that LaTeX reads.

Coordinates are pixels of the layout; one pixel is 3/4 pt unless a width is asked for. The id of a card's node is its id
in the graph: ``(n5)``. Text is written in ASCII for pdfLaTeX; where it has letters that pdfLaTeX does not know, such as
Chinese, the first line of the file asks for LuaLaTeX.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tinygraph.drawing.fitting import UNITS
from tinygraph.drawing.formats.frames import Frame
from tinygraph.drawing.formats.legend import SIZE as KEY_SIZE
from tinygraph.drawing.formats.legend import Key
from tinygraph.drawing.formats.svg import (
    PageSize,
    Writer,
    arrow_points,
    at,
    bar_width,
    chip_base,
    compose_picture,
    cut_end,
    inset,
)
from tinygraph.drawing.layout.card import BODY, CELL, Bars, Item, Outline, Table, Text
from tinygraph.drawing.layout.geometry import TITLE, Box, Chip, Lane, Placed, Point, Rect, Route, Rule, bends
from tinygraph.drawing.style.conventions import TINTS
from tinygraph.drawing.style.formula import clip_runs, width_of, words
from tinygraph.drawing.style.highlight import Show
from tinygraph.drawing.style.latex import latex_run, number, size_of
from tinygraph.drawing.style.themes import THEMES, blend
from tinygraph.graph.batch import Batch
from tinygraph.graph.data import Graph

__all__ = ["tikz", "tikz_step"]

POINT = 0.75  # points of a pixel, so that 8 pixels, the smallest letter, are 6 pt
PDFLATEX = r"""\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage{tikz,amssymb}"""
LUALATEX = r"""\usepackage{fontspec}
\usepackage{tikz,amssymb}"""
OTHER_LETTERS = r"""\providecommand\tgcjk{\IfFontExistsTF{FandolHei-Regular.otf}{\fontspec{FandolHei-Regular.otf}}%
 {\IfFontExistsTF{Noto Sans CJK SC}{\fontspec{Noto Sans CJK SC}}{}}}
\providecommand\tgother{\IfFontExistsTF{DejaVu Sans}{\fontspec{DejaVu Sans}}{}}
\providecommand\tgletter[3]{{#1\iffontchar\font`#2 #2\else\sffamily[U+#3]\fi}}"""
MACROS = r"""\providecommand\tgtext[1]{}%
\renewcommand\tgtext[6]{\node[inner sep=0pt,outer sep=0pt,anchor=base #4,text=#5] at (#1,#2) {\tgsize{#3}#6};}%
\providecommand\tgsize[1]{}%
\renewcommand\tgsize[1]{\fontsize{#1}{#1}\selectfont}%"""
ANCHOR = {"start": "west", "middle": "", "end": "east"}


def tikz(
    graph: Graph,
    *,
    detail: int | str = "auto",
    theme: str = "light",
    show: Show = "both",
    width: float | str | None = None,
    height: float | str | None = None,
    depth: int | None = None,
    expand: Sequence[str] = (),
    title: str | None = None,
    blank: str | Sequence[str] = (),
    batch: Batch = None,
    legend: bool = True,
    caption: bool = True,
    font_size: float | None = None,
    document: bool = True,
) -> str:
    r"""Write a graph as one TikZ picture, which looks like the SVG.

    Args:
        graph: from `snapshot`.
        detail: as in `svg`.
        theme: "light", "dark", "print" or "transparent".
        show: as in `svg`.
        width: of the picture, such as "506pt"; no letter in it is smaller than 6 pt.
        height: the greatest, likewise.
        depth: as in `svg`.
        expand: as in `svg`.
        title: a heading.
        blank: as in `svg`.
        batch: as in `svg`.
        legend: as in `svg`.
        caption: as in `svg`.
        font_size: as in `svg`.
        document: whether to write a document that compiles alone; without, a part for ``\input``.

    Returns:
        LaTeX, whose first lines say which engine and packages it takes. The same graph gives the same text.

    Raises:
        ValueError: an option is not known, or ``expand`` names no scope.
        KeyError: a name in ``blank`` is none of the graph's.

    >>> from tinygraph import Tensor, snapshot
    >>> "(n2) at" in tikz(snapshot((Tensor([1.0], name="x") * 3).named("y")))
    True
    """
    check_theme(theme)
    written, page, _ = compose_picture(
        graph, detail=detail, theme=theme, show=show, width=width, height=height, depth=depth, expand=expand,
        title=title, legend=legend, caption=caption, font_size=font_size, blank=blank, batch=batch,
    )  # fmt: skip
    picture = Picture(written, page)
    return write_document(picture.commands(picture.parts()), document)


def tikz_step(frame: Frame, *, document: bool = True) -> str:
    """Write one picture of a computation as TikZ.

    Args:
        frame: from `frames_of`.
        document: as in `tikz`.

    Returns:
        LaTeX.

    Raises:
        ValueError: the theme follows a reader's system.
    """
    film, number = frame.frames, frame.number
    check_theme(film.theme)
    done = film.done(number)
    highlight = film.highlight(number, done)
    written = Writer(
        film.graph, film.drawn, film.layout, film.theme, film.title, highlight, legend=False, caption=False
    )
    w, h = film.place.canvas
    picture = Picture(written, film.page() or PageSize(w, h, w))
    return write_document(picture.commands(picture.step_parts(frame, done)), document)


def check_theme(theme: str) -> None:
    """Refuse the theme that a paper cannot have."""
    if theme == "auto":
        raise ValueError("tikz: theme 'auto' follows a reader's system, and a paper has none; take 'light' or 'dark'")


def write_document(commands: Iterable[str], document: bool) -> str:
    """Return a file of these commands."""
    return "\n".join(wrap_document([*commands], document)) + "\n"


def wrap_document(body: list[str], document: bool) -> list[str]:
    """Put a picture into a document, or say above it what the document around it needs."""
    plain = all(line.isascii() for line in body)
    engine, packages = ("pdflatex", PDFLATEX) if plain else ("lualatex", LUALATEX)
    needs = "tikz, amssymb" if plain else "fontspec, tikz, amssymb; it has letters that pdfLaTeX does not know"
    other = [] if plain else [OTHER_LETTERS]
    head = [f"% !TeX program = {engine}", "% made by tinygraph: the node of a card is (n) and its id in the graph"]
    if not document:
        return [*head, f"% for \\input; the document around it needs the packages {needs}", *other, *body]
    start = [r"\documentclass[border=0pt]{standalone}", packages, r"\begin{document}"]
    return [*head, f"% packages: {needs}", *start, *other, *body, r"\end{document}"]


class Picture:
    """Writes the commands of one picture."""

    def __init__(self, written: Writer, page: PageSize) -> None:
        length = POINT if page.unit in ("", "px") else 1 / UNITS["pt"] if page.unit == "pt" else 72.27 / 96
        self.written, self.page, self.unit = written, page, page.width / page.across * length
        self.colors = THEMES[written.theme]
        self.used: dict[str, str] = {}

    def commands(self, parts: Iterable[str]) -> Iterator[str]:
        """Yield the picture that has these parts: its colours first, which are known last."""
        drawn = list(parts)
        yield rf"\begin{{tikzpicture}}[{self.vectors()},line join=round]"
        yield MACROS
        for name, color in sorted(self.used.items()):
            yield rf"\definecolor{{{name}}}{{HTML}}{{{color.lstrip('#')}}}"
        yield from drawn
        yield r"\end{tikzpicture}"

    def vectors(self) -> str:
        """Return the options that say how large a pixel is."""
        return f"x={number(self.unit)}pt,y=-{number(self.unit)}pt"

    def color(self, name: str, color: str = "") -> str:
        """Return the name of a colour in LaTeX, and remember to define it."""
        self.used[f"tg-{name}"] = color or self.colors[name]
        return f"tg-{name}"

    def parts(self) -> Iterator[str]:
        """Yield what is drawn, from back to front."""
        written, layout = self.written, self.written.layout
        yield from self.paper(-written.head, written.height - written.head)
        for lane in layout.lanes:
            yield from self.lane(lane)
        for rule in layout.rules:
            yield from self.rule(rule)
        for box in layout.boxes:
            yield self.frame(box)
        for route in layout.routes:
            yield from self.route(route)
        for placed in layout.cards:
            yield from self.card(placed)
        for chip in layout.chips:
            yield from self.chip(chip)
        for box in layout.boxes:
            yield self.name(box)
        for x, y, key in written.below.keys(written.width):
            yield from self.key(key, x, layout.height + y)
        for line in written.below.texts(written.width):
            yield self.text(line._replace(y=layout.height + line.y))

    def step_parts(self, frame: Frame, done: dict[int, set[str]]) -> Iterator[str]:
        """Yield what is drawn of a computation up to a step."""
        film = frame.frames
        canvas, head = film.place.canvas, film.head()
        yield from self.paper(-head, canvas[1] - head)
        for kind, _, part in film.shown(frame.number, done):
            yield from getattr(self, kind)(part)
        panel = film.panel(frame.number)
        x, y, _, _ = panel.rect
        yield self.fill("card", rectangle(panel.rect), self.round(10))
        for ink, left, wide in panel.bars:
            yield self.fill(ink, rectangle((left, y - 1, left + wide, y + 2)))
        yield self.line("line", rectangle(panel.rect), 1.1, self.round(10))
        yield self.text(panel.said)
        usual = self.unit
        self.unit *= panel.scale
        x, y = panel.start
        yield rf"\begin{{scope}}[shift={{({at(x)},{at(y)})}},{self.vectors()}]"
        for item in panel.items:
            yield from self.item(item, False)
        yield r"\end{scope}"
        self.unit = usual

    def paper(self, top: float, bottom: float) -> Iterator[str]:
        """Draw what is behind everything, and the heading."""
        written, across = self.written, self.page.across
        left = (written.width - across) / 2
        frame = rectangle((left, top, left + across, bottom))
        yield rf"\useasboundingbox {frame};" if written.theme == "transparent" else self.fill("paper", frame)
        if written.title:
            heading = clip_runs(words(written.title, "bold"), 19, across - 40)
            yield self.text(Text(left + across / 2, top + 28, heading, 19, "ink"))

    def lane(self, lane: Lane) -> Iterator[str]:
        """Draw a band and its name."""
        rect = (lane.left or 8.0, lane.top, lane.right or self.written.width - 8.0, lane.bottom)
        faint = "fill opacity=.45" if self.written.theme == "transparent" else ""
        yield self.fill(f"lane{min(lane.depth, 2)}", rectangle(rect), faint)
        if lane.name or lane.words:
            yield self.text(Text(lane.x, lane.y, lane.runs, 10.5, "muted", "start"))

    def box(self, box: Box) -> Iterator[str]:
        """Draw the frame of a scope and its name."""
        yield self.frame(box)
        yield self.name(box)

    def frame(self, box: Box) -> str:
        """Draw the frame of a scope."""
        return self.line("line", rectangle(box.rect), 1.2, self.round(12))

    def name(self, box: Box) -> str:
        """Write the name of a scope."""
        return self.text(Text(box.x, box.rect[1] + 14, box.runs, TITLE, "muted", "start"))

    def key(self, key: Key, x: float, y: float) -> Iterator[str]:
        """Draw an entry of the legend: its sample, and its words."""
        box = rectangle((x, y - 10, x + 18, y + 3))
        line = f"({at(x)},{at(y - 3)}) -- ({at(x + 21)},{at(y - 3)})"
        if key.sample == "value":
            yield self.line("value", line, 1.6)
            yield self.fill("value", polygon(arrow_points((x + 21, y - 3), (x + 30, y - 3), 4.2)))
        elif key.sample == "grad":
            yield self.line("grad", line, 1.6, self.dashes(6, 4))
            head = polygon(arrow_points((x + 21, y - 3), (x + 30, y - 3), 4.4))
            yield self.line("grad", head, 1.4, f"fill={self.color('card')}")
        elif key.sample in ("card", "stub"):
            thick = key.family in ("parameter", "scope")
            dashes = self.dashes(4, 3) if key.sample == "stub" or key.family == "constant" else ""
            yield self.fill(head_color(key.family or "stub"), box, self.round(3))
            color, wide = ("strong", 2.6) if thick else ("line", 1.1)
            yield self.line(color, box, wide, ",".join(filter(None, [self.round(3), dashes])))
        elif key.sample:
            ink, sign = ("held", "◆") if key.sample == "held" else ("grad", "①②")
            yield self.text(Text(x, y + 1, words(sign), 12, ink, "start"))
        yield self.text(Text(x + key.room, y + 0.5, words(key.words), KEY_SIZE, "muted", "start"))

    def fill(self, color: str, path: str, options: str = "", value: str = "") -> str:
        """Fill a path."""
        return rf"\fill[{', '.join(filter(None, [self.color(color, value), options]))}] {path};"

    def line(self, color: str, path: str, wide: float, options: str = "") -> str:
        """Draw a path with a line that is ``wide`` pixels wide."""
        stroke = f"line width={number(wide * self.unit)}pt"
        return rf"\draw[{','.join(filter(None, [self.color(color), stroke, options]))}] {path};"

    def dashes(self, on: float, off: float) -> str:
        """Return the option for a dashed line, in pixels."""
        return f"dash pattern=on {number(on * self.unit)}pt off {number(off * self.unit)}pt"

    def round(self, radius: float) -> str:
        """Return the option for rounded corners, in pixels."""
        return f"rounded corners={number(radius * self.unit)}pt"

    def text(self, item: Text) -> str:
        """Write a line of text."""
        body = "".join(latex_run(run, item.size, self.unit) for run in item.runs)
        place = f"{{{at(item.x)}}}{{{at(item.y)}}}{{{size_of(item.size, self.unit)}}}{{{ANCHOR[item.anchor]}}}"
        return rf"\tgtext{place}{{{self.color(item.ink)}}}{{{body}}}"

    def rule(self, rule: Rule) -> Iterator[str]:
        """Draw a line across the picture, and what it says in its middle."""
        left, right = rule.left or 8.0, rule.right or self.written.width - 8.0
        said = rule.runs(right - left - 16)
        half = width_of(said, 11) / 2 + 8
        for x0, x1 in ((left, (left + right) / 2 - half), ((left + right) / 2 + half, right)):
            yield self.line("muted", f"({at(x0)},{at(rule.y)}) -- ({at(x1)},{at(rule.y)})", 1.4)
        yield self.text(Text((left + right) / 2, rule.y + 3.6, said, 11, "muted"))

    def route(self, route: Route) -> Iterator[str]:
        """Draw the lines of an edge and their heads."""
        edges = self.written.highlight.edges
        faint = edges is not None and (route.link.edge.source, route.link.v) not in edges
        yield from [r"\begin{scope}[opacity=.3]"] * faint
        if route.forward:
            points, head = cut_end(route.forward, 9.0)
            yield self.line("value", curved(points), self.wide(route, "value"))
            yield self.fill("value", polygon(arrow_points(head, route.forward[-1], 4.2)))
        if route.backward:
            points, head = cut_end(route.backward, 10.0)
            yield self.line("grad", curved(points), self.wide(route, "grad"), self.dashes(6, 4))
            tip = polygon(arrow_points(head, inset(head, route.backward[-1]), 4.4))
            yield self.line("grad", tip, 1.4, f"fill={self.color('card')}")
        yield from [r"\end{scope}"] * faint

    def wide(self, route: Route, ink: str) -> float:
        """Return how wide a line is: one that this step follows is thick."""
        link = route.link
        return 3.2 if (link.edge.source, link.v, link.edge.operand, ink) in self.written.highlight.thick else 1.6

    def chip(self, chip: Chip) -> Iterator[str]:
        """Write a label on an edge."""
        edges = self.written.highlight.edges
        hushed = edges is not None and chip.ends not in edges
        path = rectangle(chip.rect)
        yield self.fill("card", path, self.round(6))
        if chip.empty:
            yield self.line("grad", path, 1, self.round(6))
        x0, y0, x1, y1 = chip.rect
        middle = x0 + 10 if chip.empty else (x0 + x1) / 2
        base = chip_base(chip)
        if chip.back:
            x = x0 + 3.5 + width_of(chip.runs, chip.size)
            yield self.text(Text(x, base, chip.runs, chip.size, "muted" if hushed else chip.ink, "end"))
            yield self.line("line", f"({at(x + 3.5)},{at(y0 + 3)}) -- ({at(x + 3.5)},{at(y1 - 3)})", 1.1)
            yield self.text(Text(x + 7, base, chip.back, chip.size, "muted" if hushed else "grad", "start"))
            return
        yield self.text(Text(middle, base, chip.runs, chip.size, "muted" if hushed else chip.ink))

    def card(self, placed: Placed) -> Iterator[str]:
        """Draw a card, and what stands on it."""
        card, highlight = placed.card, self.written.highlight
        known = card.node < len(self.written.drawn.nodes)
        x0, y0, x1, y1 = placed.rect
        faint = highlight.nodes is not None and card.node not in highlight.nodes
        yield from [r"\begin{scope}[opacity=.3]"] * faint
        name = f"n{card.node}" if known else f"stub{card.node}-{placed.y:.0f}"
        size = f"minimum width={number(card.width * self.unit)}pt,minimum height={number(card.height * self.unit)}pt"
        middle = f"({at(placed.middle)},{at((y0 + y1) / 2)})"
        options = f"inner sep=0pt,outer sep=0pt,{self.round(11)},fill={self.color('card')}"
        yield rf"\node[{options},{size}] ({name}) at {middle} {{}};"
        head = y0 + card.header
        fill = head_color(card.family)
        if card.header >= card.height:
            yield self.fill(fill, rectangle(placed.rect), self.round(11))
        elif card.header:
            top = f"({at(x0)},{at(y0)}) -- ({at(x1)},{at(y0)})"
            path = f"({at(x0)},{at(head)}) {{[{self.round(11)}] -- {top}}} -- ({at(x1)},{at(head)}) -- cycle"
            yield self.fill(fill, path)
        color, wide, dashes = "line", 1.1, ""
        if card.kind in ("parameter", "scope"):
            color, wide = "strong", 2.6
        if card.node in highlight.strong:
            color, wide = ("bad" if card.node in highlight.sick else "value"), 3.0
        if card.node in highlight.current:
            color, wide = "ink", 3.6
        if card.kind in ("constant", "stub"):
            dashes = "," + self.dashes(4, 3)
        yield self.line(color, rectangle(placed.rect), wide, self.round(11) + dashes)
        for item in card.items:
            yield from self.item(moved(item, placed), card.family == "fused" and item.y < card.header)
        for held in card.held:  # the line of a parameter
            line = placed.y + min(item.y for item in held.items)
            yield rf"\coordinate (n{held.node}) at ({at(placed.middle)},{at(line)});"
            for item in held.items:
                yield from self.item(moved(item, placed), False)
        yield from [r"\end{scope}"] * faint

    def item(self, item: Item, inverse: bool) -> Iterator[str]:
        """Draw one thing on a card."""
        if isinstance(item, Text):
            yield self.text(item._replace(ink="fused" + item.ink) if inverse else item)
        elif isinstance(item, Table):
            yield from self.table(item)
        elif isinstance(item, Bars):
            step, bottom = item.width / len(item.bars), item.y + item.height
            wide = bar_width(step)
            rects = []
            for k, bar in enumerate(item.bars):
                left = item.x + k * step
                rects.append(rectangle((left, bottom - max(bar * item.height, 0.6), left + wide, bottom)))
            yield self.fill(item.ink, " ".join(rects))
        elif isinstance(item, Outline):
            dashes = {"none": "," + self.dashes(1.5, 2.5), "pending": "," + self.dashes(5, 3)}.get(item.ink, "")
            yield self.line("grad" if item.ink == "unused" else "muted", rectangle(item.box), 1, self.round(4) + dashes)

    def table(self, table: Table) -> Iterator[str]:
        """Draw a table: tinted cells, thin rules, a border, and its numbers."""
        left, top, right, bottom = table.box
        numbers = []
        y = table.y
        for row in table.cells:
            x = table.x
            for (text, tint), w in zip(row, table.columns, strict=True):
                yield self.fill(*self.tint(table.ink, tint, rectangle((x, y, x + w, y + CELL))))
                ink = "zero" if tint == 0 else "ink"
                if text:
                    numbers.append(self.text(Text(x + w / 2, y + CELL - 4.4, words(text), BODY, ink)))
                x += w
            y += CELL
        rules = [
            f"({at(left)},{at(top + CELL * k)}) -- ({at(right)},{at(top + CELL * k)})"
            for k in range(1, len(table.cells))
        ]
        x = left
        for w in table.columns[:-1]:
            x += w
            rules.append(f"({at(x)},{at(top)}) -- ({at(x)},{at(bottom)})")
        if rules:
            yield self.line("card", " ".join(rules), 0.6)
        yield self.line(table.ink, rectangle(table.box), 1.2)
        yield from numbers

    def tint(self, ink: str, tint: int, path: str) -> tuple[str, str, str, str]:
        """Return the arguments that fill a cell."""
        c = self.colors
        if tint < 0:
            return "nan", path, "", blend(c["card"], c["bad"], 0.3)
        share = 0.2 + 0.8 * tint / TINTS if tint else 0.0
        return f"{ink}{tint}", path, "", blend(c[ink + "0"], c[ink + "6"], share)


HEADS = {"input": "data", "shape": "elementwise", "linear": "elementwise", "window": "elementwise",
         "scope": "scopefill", "stub": "card"}  # fmt: skip


def head_color(family: str) -> str:
    """Return what colour of the theme the head of a card has."""
    name = HEADS.get(family, family)
    return name if name in THEMES["light"] else "elementwise"


def moved(item: Item, placed: Placed) -> Item:
    """Move what stands on a card to where the card is."""
    return item._replace(x=item.x + placed.middle, y=item.y + placed.y)


def rectangle(rect: Rect) -> str:
    """Write a rectangle."""
    return f"({at(rect[0])},{at(rect[1])}) rectangle ({at(rect[2])},{at(rect[3])})"


def polygon(points: Sequence[Point]) -> str:
    """Write a closed line."""
    return " -- ".join(f"({at(x)},{at(y)})" for x, y in points) + " -- cycle"


def curved(points: Sequence[Point]) -> str:
    """Write a line through corners, rounded as far as there is room."""
    out = [f"({at(points[0][0])},{at(points[0][1])})"]
    for a, corner, b in bends(points):
        near = [(p[0] + 2 / 3 * (corner[0] - p[0]), p[1] + 2 / 3 * (corner[1] - p[1])) for p in (a, b)]
        first, second = (f"({at(x)},{at(y)})" for x, y in near)
        out.append(f"({at(a[0])},{at(a[1])}) .. controls {first} and {second} .. ({at(b[0])},{at(b[1])})")
    out.append(f"({at(points[-1][0])},{at(points[-1][1])})")
    return " -- ".join(out)
