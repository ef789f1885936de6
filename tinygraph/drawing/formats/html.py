"""A graph as one offline page: pan, zoom, search, cards that open in their place, and what there is to know of a node.

The first picture is that of `svg`. The inside of every collapsed card is drawn beforehand as a picture of its own. To
open a card the page makes room for it in the picture around it: what is right of the card moves right, what is below
moves down, and lines grow longer. So nothing is laid out again, any number of cards may be open, and the size of the
page is that of all pictures once.
"""
# ruff: noqa: E501 - a line of HTML reads best whole

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

from tinygraph.drawing.fitting import Fitted
from tinygraph.drawing.formats.details import Measured, Strings, card_row, node_rows, runs_html
from tinygraph.drawing.formats.insides import Whole, numbered, tagged
from tinygraph.drawing.formats.svg import PREFIX, Writer, at, automatic_detail, compose_picture, xml_text
from tinygraph.drawing.layout.geometry import Box, Placed
from tinygraph.drawing.layout.inside import parameters_inside
from tinygraph.drawing.layout.labels import loss_name, picture_name
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.conventions import shape_text
from tinygraph.drawing.style.highlight import Highlight
from tinygraph.drawing.style.names import name_text
from tinygraph.drawing.style.palette import DARK, LIGHT
from tinygraph.drawing.style.themes import style
from tinygraph.graph.batch import Batch, with_batch
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.options import op_words
from tinygraph.graph.scopes import count_cards, scopes
from tinygraph.graph.simplify import inline

__all__ = ["html", "html_of"]

MOST = 4000  # cards that open
MANY, SOME = (
    1500,
    120,
)  # nodes from which the insides of cards are drawn as formulas alone; up to which with all numbers
WIDEST = 1300.0  # pixels of the inside of a card: what is wider is broken into rows
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
VARIABLES = {
    "paper": "paper",
    "ink": "ink",
    "line": "line",
    "accent": "value",
    "muted": "muted",
    "grad": "grad",
    "card": "card",
}


def variables(colors: dict[str, str]) -> str:
    """Return a theme as CSS variables of the page."""
    return ";".join(f"--{name}:{colors[key]}" for name, key in VARIABLES.items())


STYLE = (
    f":root{{color-scheme:light dark;{variables(LIGHT)}}}\n@media (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}\n"
    + Path(__file__).with_name("page.css").read_text(encoding="utf-8")
)

Key = frozenset[int]  # the ops that a card stands for


class Picture(NamedTuple):
    """A picture of the page: its drawing, and the numbers of nodes and pictures that stand in it by the place of a node.

    Equal blocks share a drawing; ``numbers`` and ``opens`` are empty where it is of one picture alone.
    """

    drawing: int
    numbers: Sequence[int] = ()
    opens: Sequence[int] = ()


class Drawing(NamedTuple):
    """Lines of SVG, and the size of what they draw."""

    width: float
    height: float
    lines: Sequence[str]


class PageWriter(Writer):
    """Writes a picture whose cards and boxes say what they are of, so that the page can open, find and explain them."""

    opens: Callable[[Node], int]  # the number of the picture inside of a card; -1 if it does not open
    closes: Callable[[int], int]  # the same for the box of an entry into a scope

    def card(self, placed: Placed) -> None:
        """Draw a card as a button."""
        start = len(self.out)
        super().card(placed)
        self.out[start:] = [line for line in self.out[start:] if not line.startswith("<title>")]
        node = self.drawn.nodes[placed.card.node] if placed.card.node < len(self.drawn.nodes) else None
        if node is None or not node.members:
            return
        k = self.opens(node) if node.kind == "scope" else -1
        named = name_text(node.name or f"#{node.number}")[:80]
        said = f"{named}: {op_words(self.drawn, node)} {shape_text(node.shape)}" if k < 0 else f"{named}, collapsed"
        does = (
            f'data-open="{k}" aria-expanded="false"'
            if k >= 0
            else f'data-node="{node.number}"'
            if node.kind != "scope"
            else ""
        )
        self.out[start] = self.out[start].replace(
            ' class="', f' {does} role="button" tabindex="0" aria-label="{xml_text(said)}" class="', 1
        ).replace(f' data-scope="{xml_text("/".join((*node.scope, node.name or "")))}" tabindex="0"', "")  # fmt: skip

    def held(self, held: Any) -> None:
        """Draw the line of a parameter as a button."""
        start = len(self.out)
        super().held(held)
        node = self.drawn.nodes[held.node]
        if node.members:
            self.out[start] = self.out[start].replace(" class=", f' data-node="{node.number}" class=', 1)

    def box(self, box: Box) -> None:
        """Draw the frame of a scope, whose name closes it."""
        start = len(self.out)
        super().box(box)
        if (k := self.closes(box.entry)) >= 0:
            does = f'class="close" data-close="{k}" role="button" tabindex="0" aria-expanded="true" aria-label="{xml_text(name_text(box.name)[:80])}, open"'
            self.out[start + 1 :] = [f"<g {does}>", *self.out[start + 1 :], "</g>"]


class Pages:
    """The pictures of a page: 0 is the first, 1 all of the graph collapsed, then the inside of each card of these."""

    def __init__(self, graph: Graph, theme: str, detail: int | str, show: str) -> None:
        self.graph, self.theme, self.detail, self.show = graph, theme, detail, show
        self.whole = inline(graph)
        self.parts = Whole(self.whole)
        self.base = 10 ** len(str(len(graph)))  # what a drawing that is shared has in the place of numbers
        self.drawings: list[Drawing] = []
        self.shared: dict[Any, int] = {}
        self.pictures: dict[int, Picture] = {}
        self.number: dict[Key, int] = {}
        self.cards: dict[int, Node] = {}  # the card that opens a picture
        self.parents: dict[int, list[int]] = defaultdict(list)  # the pictures that have such a card
        self.home: dict[int, int] = {}  # the picture in which a node has its card, if not in the first
        self.first: list[int] = []  # the nodes that have a card in the first picture
        self.now = 1  # the picture that is being drawn

    def draw(self, first: Writer, fitted: Fitted) -> None:
        """Draw all pictures, of which one is laid out already."""
        self.draw_inside(range(len(self.graph)))
        self.draw_insides()
        self.now = 0
        drawing = self.write(PageWriter(
            self.graph, fitted.drawn, first.layout, self.theme, first.title, first.highlight, legend=first.legend,
            caption=first.caption, said=fitted.said, compact=first.compact,
        ))  # fmt: skip
        self.pictures[0] = Picture(self.add(drawing))
        self.first = self.shown(fitted.drawn)
        self.draw_insides()

    def draw_insides(self) -> None:
        """Draw the insides of cards that have none yet, those of cards in these, too."""
        while waiting := [k for k in self.cards if k not in self.pictures]:
            for k in waiting:
                self.now = k
                self.draw_inside(self.cards[k].members)

    def draw_inside(self, members: Sequence[int]) -> None:
        """Draw the inside of a card; of a large graph, once for equal cards."""
        drawn = self.parts.inside(members)
        for number in self.shown(drawn):
            self.home.setdefault(number, self.now)
        if isinstance(self.detail, int):
            level = self.detail
        else:
            level = automatic_detail(count_cards(drawn))
            level = 0 if len(self.graph) > MANY else min(level, 1) if len(self.graph) > SOME else level
        if level or len(self.graph) <= MANY:
            self.pictures[self.now] = Picture(self.add(self.lay_out(drawn, level, self.opens)))
            return
        alike, key = numbered(drawn, self.base)
        if key not in self.shared:
            self.shared[key] = self.add(self.lay_out(alike, level, lambda node: self.base + node.id))
        opens = [self.opens(n) if n.kind == "scope" else -1 for n in drawn.nodes]
        self.pictures[self.now] = Picture(self.shared[key], [n.number for n in drawn.nodes], opens)

    def lay_out(self, drawn: Graph, level: int, opens: Callable[[Node], int]) -> Drawing:
        """Lay a picture out, and write it."""
        held = parameters_inside(drawn) if level < 2 else {}
        layout = lay_out(drawn, level, self.show, boxes=scopes(drawn), inside=held, most=WIDEST)
        highlight = Highlight(self.show)
        writer = PageWriter(self.graph, drawn, layout, self.theme, None, highlight, legend=False, caption=False)
        return self.write(writer, opens)

    def write(self, writer: PageWriter, opens: Callable[[Node], int] | None = None) -> Drawing:
        """Write a picture."""
        drawn = writer.drawn
        writer.opens, writer.closes = opens or self.opens, lambda _: -1
        if opens is None:  # the first: its boxes are cards elsewhere
            entries = [self.key(i for m in s.members for i in drawn.nodes[m].members) for s in scopes(drawn)]
            writer.closes = lambda entry: self.number.get(entries[entry], -1)
        lines = [line for part in writer.body() for line in part.replace(PREFIX, "p~-").split("\n")]
        return Drawing(writer.width, writer.height, lines)

    def add(self, drawing: Drawing) -> int:
        """Keep a drawing; return its number."""
        self.drawings.append(drawing)
        return len(self.drawings) - 1

    def shown(self, drawn: Graph) -> list[int]:
        """Return the nodes that have a card, or a line of a card, in a picture."""
        return [n.number for n in drawn.nodes if n.members and n.kind not in ("scope", "stub")]

    def key(self, members: Iterable[int]) -> Key:
        """Return what identifies a card, whatever picture it is in."""
        return frozenset(i for i in members if self.graph.nodes[i].op)

    def opens(self, node: Node) -> int:
        """Return the number of the picture inside of a card; -1 if it does not open."""
        key = self.key(node.members)
        if not key or (key not in self.number and len(self.number) > MOST):
            return -1
        k = self.number.setdefault(key, len(self.number) + 2)
        self.cards.setdefault(k, node)
        if self.now not in self.parents[k]:
            self.parents[k].append(self.now)
        return k


def html(
    graph: Graph,
    *,
    title: str | None = None,
    detail: int | str = "auto",
    theme: str = "auto",
    show: Any = "both",
    width: float | str | None = None,
    height: float | str | None = None,
    depth: int | None = None,
    expand: Sequence[str] = (),
    blank: str | Sequence[str] = (),
    batch: Batch = None,
    legend: bool = True,
    caption: bool = True,
    profile: Measured | None = None,
) -> str:
    """Write a graph as a page that works offline: any collapsed card opens in its place, any node can be found.

    Args:
        graph: from `snapshot`.
        title: a heading.
        detail: as in `svg`, also of what is inside of cards.
        theme: as in `svg`; "auto" follows the reader's system.
        show: as in `svg`, of the first picture.
        width: as in `svg`, of the first picture.
        height: likewise.
        depth: scopes deeper than this are collapsed at first.
        expand: paths of scopes that are open at first.
        blank: as in `svg`; such a page has nothing beside its picture, so that it does not tell the answers.
        batch: as in `svg`.
        legend: as in `svg`.
        caption: as in `svg`.
        profile: what `tinygraph.profile` measured of this computation: the page then says how long ops took.

    Returns:
        An HTML document. The same graph gives the same bytes.

    Raises:
        ValueError: an option is not known, ``expand`` names no scope, or ``blank`` and ``profile`` come together.

    >>> from tinygraph import Tensor, snapshot
    >>> html(snapshot((Tensor([1.0], name="x") * 3).named("y")), title="y").splitlines()[0]
    '<!DOCTYPE html>'
    """
    whole = tagged(with_batch(graph, batch))
    first, page, fitted = compose_picture(
        whole, detail=detail, theme=theme, show=show, width=width, height=height, depth=depth, expand=expand,
        title=None, legend=legend, caption=caption, font_size=None, blank=blank, batch=None,
    )  # fmt: skip
    name = title or picture_name(graph)
    if blank and profile is not None:
        raise ValueError("html: a page with blank= has its picture alone, so it has no place for the times of profile=")
    if blank:
        return page_of(name, first.document(page))
    pages = Pages(whole, theme, detail, show if show in ("forward", "backward") else "both")
    pages.draw(first, fitted)
    return write_page(name, first, pages, profile)


def html_of(draw: Callable[..., str]) -> Callable[..., str]:
    """Return a function that writes a page of one SVG; it takes the options of ``draw``, which writes the SVG."""

    @functools.wraps(draw)
    def write(what: Any, **options: Any) -> str:
        picture = draw(what, **{"theme": "auto", **options})
        name = picture.partition("<title")[2].partition(">")[2].partition("</title>")[0]
        return page_of(unescape(name), picture)

    return write


def page_of(name: str, picture: str) -> str:
    """Write a page of one SVG."""
    return document(name, picture, {})


def write_page(name: str, first: Writer, pages: Pages, measured: Measured | None) -> str:
    """Write a page of many pictures: the first is in it as SVG, the others as numbers of lines that they share."""
    strings, lines = Strings(), Strings()
    drawings = [
        [round(d.width, 1), round(d.height, 1), [lines(line) for line in d.lines]] if k != pages.pictures[0].drawing else []
        for k, d in enumerate(pages.drawings)
    ]  # fmt: skip
    home = {n.id: pages.home.get(n.number, 1) for n in pages.whole.nodes}
    data = {
        "nodes": node_rows(pages.graph, pages.whole, home, strings, measured),
        "cards": {k: card_row(pages.graph, node, strings, measured) for k, node in pages.cards.items()},
        "parents": pages.parents,
        "first": pages.first,
        "within": {i: n.number for n in pages.whole.nodes for i in n.members if i != n.number},
        "loss": runs_html(loss_name(pages.whole)),
        "drawings": drawings,
        "pictures": {k: [p.drawing, p.numbers, p.opens] for k, p in pages.pictures.items() if k},
        "base": pages.base,
        "lines": lines.all,
        "strings": strings.all,
    }
    shown = pages.drawings[pages.pictures[0].drawing]
    about = xml_text(first.description())
    svg = "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tg-{pages.theme}" viewBox="0 0 {at(shown.width)} {at(shown.height)}" '
        f'width="{at(shown.width)}" height="{at(shown.height)}" xml:space="preserve" role="group" aria-label="{xml_text(name)}" aria-describedby="about">',
        f"<style>{style(pages.theme)}</style>",
        f'<desc id="about">{about}</desc>',
        '<g class="picture">', *(line.replace("p~-", "p0-") for line in shown.lines), "</g>", "</svg>",
    ])  # fmt: skip
    return document(name, svg, data)


def policy_of(script: str) -> str:
    """Return the policy of a page in which this script runs, and no other, and nothing is fetched.

    Args:
        script: what stands in the page's only script.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def document(name: str, picture: str, data: dict[str, Any]) -> str:
    """Write the page around a picture."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("</", "<\\/").replace("<!", "<\\u0021")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy_of(SCRIPT)}">
<title>{xml_text(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<header><h1>{xml_text(name)}</h1>
<div id="seek"><input id="find" type="search" placeholder="find a node ( / )" aria-label="find a node" autocomplete="off" aria-controls="list"><span id="hits" role="status"></span><ul id="list" hidden></ul></div>
<div id="tools"><button id="overview" hidden>overview</button><button id="less" aria-label="zoom out">−</button><button id="more" aria-label="zoom in">+</button><button id="fit">fit</button></div></header>
<div id="room"><main tabindex="0" aria-label="drawing: drag to move, pinch or wheel to zoom, choose a card to read about it or a ▸ card to open it">
{picture}
</main><aside id="about-node" aria-label="about the chosen card" hidden></aside></div>
<script type="application/json" id="data">{text}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""
