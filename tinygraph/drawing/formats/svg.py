"""A graph as SVG: each part of the layout becomes a few elements.

Every string of a user goes through `escaped`; every coordinate through `at`, so that the same graph gives
the same bytes.
"""
# ruff: noqa: E501 - a line of SVG reads best whole

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tinygraph.drawing.fitting import UNITS, Fitted, Room, fit_gradients, fit_picture, pixels, room_for
from tinygraph.drawing.formats.legend import SIZE as KEY_SIZE
from tinygraph.drawing.formats.legend import Key, below, family_class
from tinygraph.drawing.layout.blank import blank_graph, blank_layout, names_in, read_blank
from tinygraph.drawing.layout.card import (
    BODY,
    CELL,
    Bars,
    Held,
    Item,
    Outline,
    Table,
    Text,
    statistics_text,
)
from tinygraph.drawing.layout.distances import COMPACT
from tinygraph.drawing.layout.geometry import (
    TITLE,
    Box,
    Chip,
    Lane,
    Layout,
    Placed,
    Point,
    Route,
    Rule,
    bends,
    centre_layout,
)
from tinygraph.drawing.layout.grid import Link
from tinygraph.drawing.layout.labels import is_rounding, picture_name
from tinygraph.drawing.layout.mirror import is_mirrored
from tinygraph.drawing.style.conventions import NOUGHT, shape_text
from tinygraph.drawing.style.formula import LEAST, Run, clip_runs, font_size, width_of, words
from tinygraph.drawing.style.highlight import Highlight, Show
from tinygraph.drawing.style.names import cut_text, name_text, path_text
from tinygraph.drawing.style.themes import THEMES, style
from tinygraph.graph.batch import Batch, with_batch
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.options import op_words

__all__ = ["document", "pixels", "svg", "xml_text"]

ENLARGED = 1.3  # a picture that is narrower than asked is enlarged by so much at most
CAPITAL = 0.8  # how high a capital is, in em, and a little above it


def svg(
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
) -> str:
    """Draw a graph as SVG.

    Args:
        graph: from `snapshot`.
        detail: 0 symbols, 1 summaries, 2 numbers; "auto" takes what is legible.
        theme: "light", "dark", "print" (line style carries everything), "transparent", or "auto", which
            follows the reader's ``prefers-color-scheme``.
        show: "forward", "backward", "both", "gradient", "memory", "health", "path=x,y" or a tuple of names.
        width: of the picture, in pixels or as "506pt"; no text in it is smaller than 6 pt, and it is no higher than a
            page of this width.
        height: the greatest, likewise.
        depth: scopes deeper than this are collapsed; None collapses as many as it takes to be legible.
        expand: paths of scopes to leave open, such as ``"net/bn1"``.
        title: a heading.
        blank: what is left out for a reader to fill in, everything else staying in its place: "values", "gradients",
            "derivatives" (the labels of the gradient arrows), or names such as ``["x̂", "∂σ"]``.
        batch: name of the input whose first axis is the batch, or several; or names with the axis of each; () where
            there is none. It is found where none is given.
        legend: explain colours and lines below the picture.
        caption: say below it how much is shown, and what its reader must know.
        font_size: of the smallest letters, in points; 6 where a width is given.

    Returns:
        An SVG document. The same graph gives the same bytes.

    Raises:
        ValueError: an option is not known, ``expand`` names no scope, ``batch`` no value or axis, or there are no
            gradients to leave out.
        KeyError: a name in ``blank`` is none of the graph's.

    >>> from tinygraph import Tensor, snapshot
    >>> svg(snapshot((Tensor([1.0], name="x") * 3).named("y")), detail=0).startswith("<svg")
    True
    """
    return draw_picture(
        graph, detail=detail, theme=theme, show=show, width=width, height=height, depth=depth, expand=expand,
        title=title, legend=legend, caption=caption, font_size=font_size, blank=blank, batch=batch,
    )[0]  # fmt: skip


def draw_picture(
    graph: Graph, *, detail: int | str = "auto", theme: str = "light", show: Show = "both",
    width: float | str | None = None, height: float | str | None = None, depth: int | None = None,
    expand: Sequence[str] = (), title: str | None = None, legend: bool = True, caption: bool = True,
    font_size: float | None = None, blank: str | Sequence[str] = (), batch: Batch = None,
) -> tuple[str, Fitted]:  # fmt: skip
    """Draw a graph as SVG; return it, and what it shows. The arguments are those of `svg`."""
    writer, page, fitted = compose_picture(
        graph, detail=detail, theme=theme, show=show, width=width, height=height, depth=depth, expand=expand,
        title=title, legend=legend, caption=caption, font_size=font_size, blank=blank, batch=batch,
    )  # fmt: skip
    return writer.document(page), fitted


def compose_picture(
    graph: Graph, *, detail: int | str, theme: str, show: Show, width: float | str | None, height: float | str | None,
    depth: int | None, expand: Sequence[str], title: str | None, legend: bool, caption: bool, font_size: float | None,
    blank: str | Sequence[str], batch: Batch,
) -> tuple[Writer, PageSize, Fitted]:  # fmt: skip
    """Lay a graph out with the options of `svg`; return what stands where, how large it is, and what it shows."""
    check_options(detail, theme)
    graph = with_batch(graph, batch)
    room = room_for(width, height, font_size)

    def writer_of(fitted: Fitted) -> Writer:
        drawn, layout, highlight, said, _ = fitted
        compact = room.spacing is COMPACT
        layout = centre_layout(layout, room.width if compact else min(room.width, layout.height))  # for its legend
        return Writer(
            graph, drawn, layout, theme, title, highlight, legend=legend, caption=caption, said=said, compact=compact
        )

    def size(fitted: Fitted) -> Point:
        return writer_of(fitted).size

    fit: Callable[..., Fitted] = fit_gradients if is_mirrored(graph, show) else fit_picture
    fitted = fit(graph, room, detail=detail, show=show, depth=depth, expand=expand, size=size, keep=names_in(blank))
    if room.narrow and fitted.layout.width > room.width * 1.001:
        needs = f"{fitted.layout.width * room.scale:.0f} px"
        warnings.warn(f"{width} is too narrow for letters of this size: this drawing needs {needs}", stacklevel=4)
    if blank:
        blanks = read_blank(fitted.drawn, blank)
        fitted = fitted._replace(drawn=blank_graph(fitted.drawn, blanks), layout=blank_layout(fitted.layout, blanks))
    writer = writer_of(fitted)
    return writer, size_of(writer.size, room, width, height, writer.compact), fitted


def size_of(size: Point, room: Room, width: float | str | None, height: float | str | None, compact: bool) -> PageSize:
    """Return how large a picture is in its file: as asked, but its letters are not much over the smallest."""
    w, h = size
    scale = room.scale if width is None and height is None else room.scale * ENLARGED
    if height is not None:
        scale = min(scale, pixels(height) / h)
    if width is None:
        return PageSize(w * scale, h * scale, w)
    full = pixels(width)
    enlarged = room.scale if compact else scale  # more of it on a page is worth more than larger letters
    scale = min(scale, enlarged, full / w, max(room.scale, room.height * room.scale / h))
    return PageSize(full, h * scale, full / scale, re.sub(r"[\d.\s]", "", str(width)) or "px")


def automatic_detail(count: int) -> int:
    """Return the greatest detail at which ``count`` cards are legible."""
    return 2 if count <= 15 else 1 if count <= 60 else 0


def check_options(detail: int | str, theme: str) -> None:
    """Refuse options that are not known."""
    if detail not in (0, 1, 2, "auto"):
        raise ValueError(f"detail is {detail!r}; it must be 0, 1, 2 or 'auto'")
    if theme not in THEMES:
        raise ValueError(f"theme is {theme!r}; it must be one of {', '.join(THEMES)}")


# ---------------------------------------------------------------------------------------------------------- letters

UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
SAFE = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def xml_text(text: str) -> str:
    """Write any string as XML text or attribute."""
    return "".join(SAFE.get(c, c) for c in UNSAFE.sub("\ufffd", text))


def at(x: float) -> str:
    """Write a coordinate."""
    text = f"{x:.1f}"
    return text[:-2] if text.endswith(".0") else text


PREFIX = "\0"  # of each id, until the whole drawing is known; no other part of a document can have this character


class PageSize(NamedTuple):
    """How large a picture is in its file, in pixels; ``across`` of the drawing's pixels lie side by side in it."""

    width: float
    height: float
    across: float
    unit: str = ""


def document(
    body: Sequence[str],
    w: float,
    h: float,
    theme: str,
    name: str,
    about: str,
    page: PageSize | None = None,
    prefix: str | None = None,
) -> str:
    """Put a drawing of w × h into an SVG document, in the middle of its page.

    Each id begins with ``prefix``. Where none is given it comes from the content, so that two pictures in one page
    have different ids, and one picture the same ids every time.
    """
    page = page or PageSize(w, h, w)
    left, w = (w - page.across) / 2, page.across
    unit = UNITS[page.unit or "px"]
    size = f'width="{at(page.width / unit)}{page.unit}" height="{at(page.height / unit)}{page.unit}"'
    text = "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tg-{theme}" viewBox="{at(left)} 0 {at(w)} {at(h)}" {size} '
        f'xml:space="preserve" role="img" aria-labelledby="{PREFIX}title {PREFIX}desc">',
        f'<title id="{PREFIX}title">{xml_text(name)}</title>',
        f'<desc id="{PREFIX}desc">{xml_text(about)}</desc>',
        f"<style>\n{style(theme)}\n</style>",
        *([] if theme == "transparent" else [f'<rect class="paper" x="{at(left)}" width="{at(w)}" height="{at(h)}"/>']),
        *body,
        "</svg>\n",
    ])  # fmt: skip
    if prefix is None:
        prefix = f"tg{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    return text.replace(PREFIX, xml_text(prefix))


class Writer:
    """Writes one document: the picture, then its legend and what its reader must know."""

    def __init__(
        self,
        graph: Graph,
        drawn: Graph,
        layout: Layout,
        theme: str,
        title: str | None,
        highlight: Highlight,
        prefix: str = "",
        *,
        legend: bool = True,
        caption: bool = True,
        said: str = "",
        compact: bool = False,
    ) -> None:
        self.graph, self.drawn, self.layout, self.theme = graph, drawn, layout, theme
        self.title, self.highlight, self.prefix = title, highlight, prefix
        self.said, self.compact, self.legend, self.caption = said, compact, legend, caption
        self.out: list[str] = []
        self.below = below(graph, drawn, layout, highlight, said, legend=legend, caption=caption, compact=compact)
        self.head = 46.0 if title else 4.0 if compact else 8.0
        self.width = layout.width
        self.height = self.head + layout.height + self.below.height

    @property
    def size(self) -> Point:
        """Width and height of the whole picture."""
        return self.width, self.height

    def document(self, page: PageSize | None = None, prefix: str | None = None) -> str:
        """Return the whole SVG, of a size and with a prefix of ids that are asked for."""
        name, about = self.title or self.name(), self.description()
        return document(self.body(), self.width, self.height, self.theme, name, about, page, prefix)

    def body(self) -> list[str]:
        """Return what stands between the style sheet and the end."""
        layout, w = self.layout, self.width
        if self.title:
            self.text(Text(w / 2, 28, clip_runs(words(self.title, "bold"), 19, w - 40), 19, "ink"))
        self.put(f'<g transform="translate(0 {at(self.head)})">')
        for lane in layout.lanes:
            self.lane(lane)
        for rule in layout.rules:
            self.rule(rule)
        for box in layout.boxes:
            self.box(box)
        for line in layout.routes:
            self.route(line)
        for placed in layout.cards:
            self.card(placed)
        for chip in layout.chips:
            self.chip(chip)
        self.put("</g>")
        end = self.head + layout.height
        for x, y, key in self.below.keys(w):
            self.put(f'<g transform="translate({at(x)} {at(end + y)})">{self.key(key)}</g>')
        for said in self.below.texts(w):
            self.text(said._replace(y=end + said.y))
        return self.out

    def put(self, line: str) -> None:
        """Write a line."""
        self.out.append(line)

    def name(self) -> str:
        """Name the picture."""
        return picture_name(self.graph)

    def description(self) -> str:
        """List the nodes in order."""
        lines = []
        for n in self.drawn.nodes:
            if not self.drawn.is_number(n.id):
                name = cut_text(name_text(self.drawn.label(n.id)), 80)
                lines.append(f"{name}: {op_words(self.drawn, n)}, {shape_text(n.shape)}{sources(self.drawn, n)}")
        return "; ".join(lines)

    # -- text

    def text(self, item: Text, extra: str = "") -> None:
        """Write a line of text."""
        self.put(line_of(item, extra))

    # -- parts

    def lane(self, lane: Lane) -> None:
        """Draw a band and its name."""
        shade = min(lane.depth, 2)
        left, right = lane.left or 8.0, lane.right or self.layout.width - 8.0
        opacity = ' fill-opacity=".45"' if self.theme == "transparent" else ""
        self.put(
            f'<rect class="lane{shade}"{opacity} x="{at(left)}" y="{at(lane.top)}" width="{at(right - left)}" height="{at(lane.bottom - lane.top)}"/>'
        )
        if lane.name or lane.words:
            self.text(Text(lane.x, lane.y, lane.runs, 11, "muted", "start"))

    def rule(self, rule: Rule) -> None:
        """Draw a line across the picture, and what it says in its middle."""
        left, right = rule.left or 8.0, rule.right or self.width - 8.0
        middle, said = (left + right) / 2, rule.runs(right - left - 16)
        half = width_of(said, 11) / 2 + 8
        for x0, x1 in ((left, middle - half), (middle + half, right)):
            self.put(f'<path class="divide" d="M{at(x0)} {at(rule.y)}H{at(x1)}"/>')
        self.text(Text(middle, rule.y + 3.6, said, 11, "muted"))

    def box(self, box: Box) -> None:
        """Draw the frame of a scope and its name."""
        x0, y0, x1, y1 = box.rect
        self.put(
            f'<rect class="scope" x="{at(x0)}" y="{at(y0)}" width="{at(x1 - x0)}" height="{at(y1 - y0)}" rx="12"/>'
        )
        self.text(Text(box.x, y0 + 14, box.runs, TITLE, "muted", "start"))

    def route(self, route: Route) -> None:
        """Draw the lines of an edge and their heads."""
        link = route.link
        source = link.edge.source
        back = self.highlight.edges is not None and (source, link.v) not in self.highlight.edges
        fade = ' class="faint"' if back else ""
        self.put(f'<g id="{PREFIX}{self.prefix}e{source}-{link.v}-{link.k}"{fade}>')
        if route.forward:
            points, head = cut_end(route.forward, 9.0)
            self.put(f'<path class="value-line{self.stress(link, "value")}" d="{curve(points)}"/>')
            self.put(f'<path class="value" d="{arrow(head, route.forward[-1], 4.2)}"/>')
        if route.backward:
            points, head = cut_end(route.backward, 10.0)
            self.put(f'<path class="grad-line{self.stress(link, "grad")}" d="{curve(points)}"/>')
            self.put(f'<path class="grad-head" d="{arrow(head, inset(head, route.backward[-1]), 4.4)}"/>')
        self.put("</g>")

    def stress(self, link: Link, ink: str) -> str:
        """Return the class of a line that is thick, with a space before it; "" of any other."""
        return " thick" if (link.edge.source, link.v, link.edge.operand, ink) in self.highlight.thick else ""

    def chip(self, chip: Chip) -> None:
        """Draw a label on an edge."""
        x0, y0, x1, y1 = chip.rect
        hushed = self.highlight.edges is not None and chip.ends not in self.highlight.edges
        frame = "card box" if chip.empty else "card"
        self.put(
            f'<g class="chip"><rect class="{frame}" data-ends="{chip.ends[0]}-{chip.ends[1]}" x="{at(x0)}" y="{at(y0)}" width="{at(x1 - x0)}" height="{at(y1 - y0)}" rx="6"/>'
        )
        base = chip_base(chip)
        if chip.back:
            x = x0 + 3.5 + width_of(chip.runs, chip.size)
            self.text(Text(x, base, chip.runs, chip.size, "muted" if hushed else chip.ink, "end"))
            self.put(f'<path class="edge" d="M{at(x + 3.5)} {at(y0 + 3)}V{at(y1 - 3)}"/>')
            self.text(Text(x + 7, base, chip.back, chip.size, "muted" if hushed else "grad", "start"))
        else:
            middle = x0 + 10 if chip.empty else (x0 + x1) / 2
            self.text(Text(middle, base, chip.runs, chip.size, "muted" if hushed else chip.ink))
        self.put("</g>")

    def card(self, placed: Placed) -> None:
        """Draw a card."""
        card = placed.card
        node = self.drawn.nodes[card.node] if card.node < len(self.drawn.nodes) else None
        family = family_class(card.family)
        w, h, head = card.width, card.height, card.header
        radius = 11.0
        thick = "strong" if card.kind in ("parameter", "scope") else "edge"
        thick = (
            ("marked" if card.node in self.highlight.sick else "chosen")
            if card.node in self.highlight.strong
            else thick
        )
        thick = "now" if card.node in self.highlight.current else thick
        dash = " dashed" if card.kind in ("constant", "stub") else ""
        name = f"n{node.id}" if node else f"stub{placed.card.node}-{at(placed.y)}"
        back = self.highlight.nodes is not None and card.node not in self.highlight.nodes
        fade = " faint" if back else ""
        family = "scope" if back and family == "fused" else family  # faded letters need a pale ground
        scope = (
            f' data-scope="{xml_text("/".join((*node.scope, node.name or "")))}" tabindex="0"'
            if node and node.kind == "scope"
            else ""
        )
        self.put(
            f'<g id="{PREFIX}{self.prefix}{name}" class="node{fade}"{scope} transform="translate({at(placed.middle)} {at(placed.y)})">'
        )
        if node:
            self.put(f"<title>{xml_text(self.tip(node))}</title>")
        half = at(w / 2)
        self.put(f'<rect class="card" x="-{half}" width="{at(w)}" height="{at(h)}" rx="{at(radius)}"/>')
        if head >= h:
            self.put(f'<rect class="h-{family}" x="-{half}" width="{at(w)}" height="{at(h)}" rx="{at(radius)}"/>')
        elif head:
            r = at(radius)
            self.put(
                f'<path class="h-{family}" d="M-{half} {at(head)}V{r}a{r} {r} 0 0 1 {r} -{r}H{at(w / 2 - radius)}a{r} {r} 0 0 1 {r} {r}V{at(head)}z"/>'
            )
        self.put(f'<rect class="{thick}{dash}" x="-{half}" width="{at(w)}" height="{at(h)}" rx="{at(radius)}"/>')
        for item in card.items:
            self.item(item, family == "fused" and item.y < head)
        for held in card.held:
            self.held(held)
        self.put("</g>")

    def held(self, held: Held) -> None:
        """Draw the line of a parameter on the card of its consumer."""
        back = self.highlight.nodes is not None and held.node not in self.highlight.nodes
        self.put(f'<g id="{PREFIX}{self.prefix}n{held.node}" class="held{" faint" * back}">')
        self.put(f"<title>{xml_text(self.tip(self.drawn.nodes[held.node]))}</title>")
        for item in held.items:
            self.item(item, False)
        self.put("</g>")

    def tip(self, node: Node) -> str:
        """Write the text that is shown while the pointer rests on a card."""
        path = path_text((*node.scope, node.name or f"#{node.number}"))
        facts = [cut_text(path, 300), f"{op_words(self.drawn, node)} {shape_text(node.shape)} {node.dtype}"]
        if node.value is not None:
            facts.append(f"value {statistics_text(node.value)}")
        if node.grad is not None:
            facts.append(f"gradient {NOUGHT if is_rounding(self.drawn, node) else statistics_text(node.grad)}")
        if node.says:
            facts.append(cut_text(self.drawn.sentence(node.id, name_text), 300))
        return "\n".join(facts)

    def item(self, item: Item, inverse: bool) -> None:
        """Draw one thing on a card."""
        if isinstance(item, Text):
            self.text(item._replace(ink="fused" + item.ink) if inverse else item)
        elif isinstance(item, Table):
            self.grid(item)
        elif isinstance(item, Bars):
            step = item.width / len(item.bars)
            wide = bar_width(step)
            path = "".join(
                f"M{at(item.x + k * step)} {at(item.y + item.height)}h{at(wide)}v-{at(max(bar * item.height, 0.6))}h-{at(wide)}z"
                for k, bar in enumerate(item.bars)
            )
            self.put(f'<path class="{item.ink}" d="{path}"/>')
        elif isinstance(item, Outline):
            self.put(
                f'<rect class="f-{item.ink}" x="{at(item.x)}" y="{at(item.y)}" width="{at(item.width)}" height="{at(item.height)}" rx="4"/>'
            )

    def grid(self, table: Table) -> None:
        """Draw a table: tinted cells, thin rules, a border."""
        tints: dict[str, list[str]] = {}
        lines = []
        y = table.y
        for row in table.cells:
            x = table.x
            for (text, tint), w in zip(row, table.columns, strict=True):
                name = f"{table.ink[0]}{tint}" if tint >= 0 else "x"
                tints.setdefault(name, []).append(f"M{at(x)} {at(y)}h{at(w)}v{at(CELL)}h-{at(w)}z")
                ink = "zero" if tint == 0 else "ink"
                if text:
                    lines.append(
                        f'<text class="sans {ink} of-{table.ink}" x="{at(x + w / 2)}" y="{at(y + CELL - 3.9)}" font-size="{at(BODY)}" text-anchor="middle">{xml_text(text)}</text>'
                    )
                x += w
            y += CELL
        left, top, right, bottom = table.box
        for name, paths in sorted(tints.items()):
            self.put(f'<path class="{name}" d="{"".join(paths)}"/>')
        inner = "".join(f"M{at(left)} {at(top + CELL * k)}H{at(right)}" for k in range(1, len(table.cells)))
        inner += "".join(
            f"M{at(left + math.fsum(table.columns[:k]))} {at(top)}V{at(bottom)}" for k in range(1, len(table.columns))
        )
        if inner:
            empty = not any(text for row in table.cells for text, _ in row)
            self.put(f'<path class="{table.ink}-{"line" if empty else "rule"} rule" d="{inner}"/>')
        self.put(
            f'<rect class="{table.ink}-line table" x="{at(left)}" y="{at(top)}" width="{at(right - left)}" height="{at(bottom - top)}"/>'
        )
        self.out += lines

    # -- legend

    def key(self, key: Key) -> str:
        """Write an entry of the legend: its sample, and its words."""
        box = 'y="-10" width="18" height="13" rx="3"/>'
        thick = "strong" if key.family in ("parameter", "scope") else "edge"
        dash = " dashed" if key.family == "constant" else ""
        sample = {
            "value": '<path class="value-line" d="M0 -3H22"/><path class="value" d="M30 -3l-9 -4.2v8.4z"/>',
            "grad": '<path class="grad-line" d="M0 -3H20"/><path class="grad-head" d="M30 -3l-9 -4.4v8.8z"/>',
            "card": f'<rect class="card" {box}<rect class="h-{key.family}" {box}<rect class="{thick}{dash}" {box}',
            "held": '<text class="sans held" y="1" font-size="12">◆</text>',
            "parts": '<text class="sans grad" y="1" font-size="12">①②</text>',
            "stub": f'<rect class="dashed edge" {box}',
            "": "",
        }[key.sample]
        return sample + line_of(Text(key.room, 0.5, words(key.words), KEY_SIZE, "muted", "start"))


def bar_width(step: float) -> float:
    """Return how wide a bar is: there is a little paper between two, also between very many."""
    return max(step - 0.8, 0.6 * step)


def chip_base(chip: Chip) -> float:
    """Return the y of the line that the letters of a label stand on: an exponent stays within a low label."""
    _, y0, _, y1 = chip.rect
    raised = [run.rise for run in (*chip.runs, *chip.back) if run.rise > 0]
    highest = max(raised) * chip.size + CAPITAL * LEAST if raised else 0.0
    return max((y0 + y1) / 2 + 0.36 * chip.size, min(y0 + highest, y1 - 0.24 * chip.size))


def sources(graph: Graph, node: Node) -> str:
    """Say what a node is made from."""
    names = [cut_text(name_text(graph.label(e.source)), 40) for e in node.inputs]
    return " from " + ", ".join(names) if names else ""


def line_of(item: Text, extra: str = "") -> str:
    """Write a line of text: runs as tspans, raised and lowered by dy."""
    size = item.size
    anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
    first = item.runs[0] if item.runs else Run("")
    if len(item.runs) <= 1 and not first.rise and first.scale == 1:
        body, face = xml_text(first.text), first.face
    else:
        face, parts, height = "sans", [], 0.0
        for run in item.runs:
            lift = run.rise * size
            dy = f' dy="{small_length(height - lift)}"' if abs(height - lift) > 0.01 else ""
            small = f' font-size="{small_length(font_size(run, size))}"' if run.scale != 1 else ""
            parts.append(f'<tspan class="{run.face}"{dy}{small}>{xml_text(run.text)}</tspan>')
            height = lift
        body = "".join(parts)
    return f'<text class="{face} {item.ink}" x="{at(item.x)}" y="{at(item.y)}" font-size="{at(size)}"{anchor}{extra}>{body}</text>'


def small_length(x: float) -> str:
    """Write a small length."""
    return f"{x:.2f}".rstrip("0").rstrip(".")


def cut_end(points: Sequence[Point], by: float) -> tuple[list[Point], Point]:
    """Cut the end of a line to make room for its head; return the line and where the head begins."""
    (x0, y0), (x1, y1) = points[-2], points[-1]
    length = abs(x1 - x0) + abs(y1 - y0) or 1.0
    cut = min(by / length, 1.0)
    head = x1 - (x1 - x0) * cut, y1 - (y1 - y0) * cut
    return [*points[:-1], head], head


def inset(base: Point, tip: Point) -> Point:
    """Move the tip of an outlined head in by its own stroke."""
    (x0, y0), (x1, y1) = base, tip
    length = abs(x1 - x0) + abs(y1 - y0) or 1.0
    return x1 - (x1 - x0) / length * 1.2, y1 - (y1 - y0) / length * 1.2


def arrow_points(base: Point, tip: Point, half: float) -> tuple[Point, Point, Point]:
    """Return the corners of a head from the middle of its base to its tip."""
    x0, y0 = base
    dx, dy = (0.0, half) if y0 == tip[1] else (half, 0.0)
    return tip, (x0 + dx, y0 + dy), (x0 - dx, y0 - dy)


def arrow(base: Point, tip: Point, half: float) -> str:
    """Draw a head from the middle of its base to its tip."""
    return "M" + "L".join(f"{at(x)} {at(y)}" for x, y in arrow_points(base, tip, half)) + "z"


def curve(points: Sequence[Point]) -> str:
    """Draw a line through corners, rounded as far as there is room."""
    out = [f"M{at(points[0][0])} {at(points[0][1])}"]
    for a, corner, b in bends(points):
        out.append(f"L{at(a[0])} {at(a[1])}Q{at(corner[0])} {at(corner[1])} {at(b[0])} {at(b[1])}")
    out.append(f"L{at(points[-1][0])} {at(points[-1][1])}")
    return "".join(out)
