"""A graph as SVG: each part of the layout becomes a few elements.

Every string of a user goes through `escaped`; every coordinate through `at`, so that the same graph gives
the same bytes.
"""
# ruff: noqa: E501 - a line of SVG reads best whole

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.card import (
    BODY,
    CELL,
    FEW_PARTS,
    Bars,
    Card,
    Item,
    Outline,
    Table,
    Text,
    add_heading,
    array_block,
    put_in_row,
    statistics_text,
)
from tinygraph.drawing.layout.edge_labels import CHIP_SIZE
from tinygraph.drawing.layout.geometry import Chip, Lane, Layout, Placed, Point, Route
from tinygraph.drawing.layout.labels import is_rounding
from tinygraph.drawing.layout.place import lay_out, scale_to_fit
from tinygraph.drawing.style.conventions import MOST_CARDS, NOUGHT, numeral, shape_text
from tinygraph.drawing.style.formula import Run, clip_runs, font_size, name_runs, text_of, width_of, words
from tinygraph.drawing.style.highlight import Highlight, Show, read_show
from tinygraph.drawing.style.text_width import wrap
from tinygraph.drawing.style.themes import THEMES, style
from tinygraph.graph.data import Graph, Node, Summary
from tinygraph.graph.diff import Difference, diff
from tinygraph.graph.paths import Path
from tinygraph.graph.scopes import fit, scopes
from tinygraph.graph.simplify import inline

__all__ = ["document", "pixels", "svg", "svg_diff", "svg_paths", "xml_text"]

PAGE, LEGIBLE = (1600.0, 900.0), 0.62  # pixels of a slide, and how small a picture may be made to fit it
KEY_GAP = 22.0  # between two entries of the legend
UNITS = {"px": 1.0, "pt": 96 / 72, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
FAMILY = {"input": "data"}  # what is drawn as what
FAMILY_WORDS = {"data": "data", "constant": "constant", "parameter": "parameter", "elementwise": "elementwise", "shape": "shape",
                "linear": "linear", "window": "window", "reduction": "reduction", "loss": "loss", "fused": "fused op",
                "scope": "collapsed scope"}  # fmt: skip
KEYS = (("data",), ("constant",), ("parameter",), ("elementwise", "linear", "window", "shape"), ("reduction",), ("loss",),
        ("fused",), ("scope",))  # fmt: skip


def svg(
    graph: Graph,
    *,
    detail: int | str = "auto",
    theme: str = "light",
    show: Show = "both",
    width: float | str | None = None,
    depth: int | None = None,
    expand: Sequence[str] = (),
    title: str | None = None,
) -> str:
    """Draw a graph as SVG.

    Args:
        graph: from `snapshot`.
        detail: 0 symbols, 1 summaries, 2 numbers; "auto" takes 2 up to 15 nodes, 1 up to 60, 0 above.
        theme: "light", "dark", "print" (line style carries everything), "transparent", or "auto", which
            follows the reader's ``prefers-color-scheme``.
        show: "forward", "backward", "both", "memory", "health", "path=x,y" or a tuple of names.
        width: of the picture, in pixels or as "506pt"; no text in it is smaller than 6 pt.
        depth: scopes deeper than this are collapsed; None collapses as many as it takes to fit.
        expand: paths of scopes to leave open, such as ``"net/bn1"``.
        title: a heading.

    Returns:
        An SVG document. The same graph gives the same bytes.

    Raises:
        ValueError: an option is not known, or ``expand`` names no scope.

    >>> from tinygraph import Tensor, snapshot
    >>> svg(snapshot((Tensor([1.0], name="x") * 3).named("y")), detail=0).startswith("<svg")
    True
    """
    check_options(detail, theme)
    drawn = fit(inline(graph), MOST_CARDS, depth, expand)
    highlight = read_show(drawn, show)
    count = sum(not drawn.is_number(n.id) for n in drawn.nodes)
    most = None if width is None else pixels(width)
    levels = [detail] if isinstance(detail, int) else list(range(automatic_detail(count), -1, -1))
    for level in levels:
        layout = lay_out(
            drawn, level, highlight.show, chips=count <= 60, boxes=scopes(drawn), badges=highlight.badges, most=most
        )
        room = most or math.inf
        if layout.width <= room and layout.height < 1.5 * room and (most or scale_to_fit(layout, PAGE) > LEGIBLE):
            break
    if most is not None and layout.width > most:
        note = f"{width} is too narrow for letters of 6 pt: this drawing needs {layout.width:.0f} px"
        highlight = highlight._replace(caption=f"{highlight.caption}; {note}" if highlight.caption else note)
    return Writer(graph, drawn, layout, theme, title, highlight).document(width)


def check_options(detail: int | str, theme: str) -> None:
    """Refuse options that are not known."""
    if detail not in (0, 1, 2, "auto"):
        raise ValueError(f"detail is {detail!r}; it must be 0, 1, 2 or 'auto'")
    if theme not in THEMES:
        raise ValueError(f"theme is {theme!r}; it must be one of {', '.join(THEMES)}")


def pixels(width: float | str) -> float:
    """Return a length in pixels."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(px|pt|mm|cm|in)?\s*", str(width))
    if not found or not float(found[1]):
        raise ValueError(f"width is {width!r}; it must be a number of pixels, or a length such as '506pt'")
    return float(found[1]) * UNITS[found[2] or "px"]


def automatic_detail(count: int) -> int:
    """Return the greatest detail at which ``count`` cards are legible."""
    return 2 if count <= 15 else 1 if count <= 60 else 0


def svg_diff(
    found: Difference,
    *,
    detail: int | str = "auto",
    theme: str = "light",
    width: float | str | None = None,
    title: str | None = None,
) -> str:
    """Draw two graphs below each other: what they share steps back, what differs is outlined.

    Args:
        found: what `diff` found.
        detail: 0 symbols, 1 summaries, 2 numbers; "auto" takes 1 up to 60 nodes, 0 above.
        theme: as in `svg`.
        width: of the picture, in pixels or as "506pt"; no text in it is smaller than 6 pt.
        title: what readers of the page hear; by default, which two are compared.

    Returns:
        An SVG document.

    Raises:
        ValueError: an option is not known.

    >>> from tinygraph import Tensor, diff, snapshot
    >>> x = Tensor([1.0], name="x")
    >>> svg_diff(diff(snapshot((x * 2).named("y")), snapshot((x + x).named("y")))).startswith("<svg")
    True
    """
    check_options(detail, theme)
    drawn = diff(fit(inline(found.a), MOST_CARDS), fit(inline(found.b), MOST_CARDS))
    count = max(sum(not g.is_number(n.id) for n in g.nodes) for g in (drawn.a, drawn.b))
    level = detail if isinstance(detail, int) else min(automatic_detail(count), 1)
    most = None if width is None else pixels(width)
    parts: list[Writer] = []
    for whole, graph, alone, own, name in (
        (found.a, drawn.a, found.only_a, drawn.only_a, found.names[0]),
        (found.b, drawn.b, found.only_b, drawn.only_b, found.names[1]),
    ):
        strong = frozenset(own)
        said = f"{len(whole) - len(alone)} of {len(whole)} nodes are in both; those of {name} alone are outlined"
        edges = frozenset((e.source, i) for i in own for e in graph.nodes[i].inputs)
        highlight = Highlight("both", strong=strong, nodes=strong, edges=edges, caption=said)
        layout = lay_out(graph, level, "both", chips=False, boxes=scopes(graph), most=most)
        parts.append(Writer(whole, graph, layout, theme, name, highlight, f"{len(parts)}-"))
    w, y, body = max(p.width for p in parts), 0.0, []
    for part in parts:
        body += [f'<g transform="translate({at((w - part.width) / 2)} {at(y)})">', *part.body(), "</g>"]
        y += part.height
    name = title or f"{found.names[0]} and {found.names[1]}, compared"
    about = ". ".join(f"{part.title}: {part.description()}" for part in parts)
    return document(body, w, y, theme, name, about, width)


def svg_paths(found: Sequence[Path], *, theme: str = "light", title: str | None = None) -> str:
    """Draw a gradient that was split by path: a table for each way, and their sum.

    Args:
        found: what `tinygraph.paths` found: the names on each way, and its part of the gradient.
        theme: as in `svg`.
        title: what readers of the page hear; "The gradient, split by path" if not given.

    Returns:
        An SVG document.

    Raises:
        ValueError: there is no path.

    >>> from tinygraph import Tensor, paths
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> svg_paths(paths(x, (x * x).named("y"), np.ones(2))).startswith("<svg")
    True
    """
    check_options("auto", theme)
    if not found:
        raise ValueError("svg_paths: there is no path to draw")
    shape = tuple(found[0][1].shape)
    columns = [part.ravel().tolist() for _, part in found]
    sums = [math.fsum(parts) for parts in zip(*columns, strict=True)]
    largest = max((abs(v) for column in columns for v in column), default=0.0)
    blocks = []
    for k, values in enumerate([*columns, sums]):
        values = [0.0 if abs(v) < 1e-12 * largest else v for v in values]
        arrow = Run("\xa0→\xa0", "roman")
        way = (
            [run for n, name in enumerate(found[k][0]) for run in ((arrow,) * (n > 0) + name_runs(name))]
            if k < len(found)
            else []
        )
        mark = words(
            f"{numeral(k)} " if k < min(len(found), FEW_PARTS) else "" if k < len(found) else "the whole gradient"
        )
        blocks.append(add_heading((*mark, *way), array_block(summary_of(shape, values), "grad"), "grad"))
    row = put_in_row(blocks, ["+"] * (len(found) - 1) + ["="], "grad")
    w, h = row.width + 40, row.height + 26
    items = tuple(item._replace(y=item.y + 12) for item in row.items)
    card = Card(0, w, h, 0.0, "input", "input", items, (0, 0), (0, 0), 0.0, "")
    layout = Layout(w + 24, h + 20, (Placed(card, 12, 8),), (), (), (), ())
    empty = Graph((), ())
    return Writer(empty, empty, layout, theme, title or "The gradient, split by path", Highlight("both")).document()


def summary_of(shape: tuple[int, ...], values: Sequence[float]) -> Summary:
    """Return the summary of numbers in C order, without a histogram."""
    mean = math.fsum(values) / max(len(values), 1)
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(len(values), 1))
    low, high = min(values, default=0.0), max(values, default=0.0)
    return Summary(
        shape, "float64", mean, std, low, high, list(values).count(0.0), 0, 0, 8 * len(values), values=tuple(values)
    )


# ---------------------------------------------------------------------------------------------------------- letters

UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
SAFE = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def xml_text(text: str) -> str:
    """Write any string as XML text or attribute."""
    return "".join(SAFE.get(c, c) for c in UNSAFE.sub("\ufffd", text))


def at(x: float) -> str:
    """Write a coordinate."""
    text = f"{x:.1f}"
    return text[:-2] if text.endswith(".0") else text


def document(
    body: Sequence[str], w: float, h: float, theme: str, name: str, about: str, width: float | str | None = None
) -> str:
    """Put a drawing of w × h into an SVG document."""
    unit = re.sub(r"[\d.\s]", "", str(width)) or "px"
    most = w if width is None else pixels(width) / UNITS[unit]
    unit = "" if width is None else unit
    size = f'width="{at(most)}{unit}" height="{at(most * h / w)}{unit}"'
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tg-{theme}" viewBox="0 0 {at(w)} {at(h)}" {size} '
        'xml:space="preserve" role="img" aria-labelledby="tg-title tg-desc">',
        f'<title id="tg-title">{xml_text(name)}</title>',
        f'<desc id="tg-desc">{xml_text(about)}</desc>',
        f"<style>\n{style(theme)}\n</style>",
        *([] if theme == "transparent" else [f'<rect class="paper" width="{at(w)}" height="{at(h)}"/>']),
        *body,
        "</svg>\n",
    ])  # fmt: skip


class Key(NamedTuple):
    """One entry of the legend: its drawing and its words."""

    width: float
    draw: str
    words: str


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
    ) -> None:
        self.graph, self.drawn, self.layout, self.theme = graph, drawn, layout, theme
        self.title, self.highlight, self.prefix = title, highlight, prefix
        self.out: list[str] = []
        keys, room = self.legend(), layout.width - 30
        wide = [key.words for key in keys if key.width - KEY_GAP > room]
        self.rows = self.wrap_keys([key for key in keys if key.words not in wide], layout.width - 40)
        self.captions = [line for said in (*wide, *self.write_captions()) for line in wrap(said, 9.5, room)]
        self.head = 46.0 if title else 8.0
        self.width = layout.width
        self.height = self.head + layout.height + 26.0 + 20.0 * len(self.rows) + 15.0 * len(self.captions)

    def document(self, width: float | str | None = None) -> str:
        """Return the whole SVG, of a width that is asked for."""
        return document(
            self.body(), self.width, self.height, self.theme, self.title or self.name(), self.description(), width
        )

    def body(self) -> list[str]:
        """Return what stands between the style sheet and the end."""
        layout, w = self.layout, self.width
        if self.title:
            self.text(Text(w / 2, 28, clip_runs(words(self.title, "bold"), 19, w - 40), 19, "ink"))
        self.put(f'<g transform="translate(0 {at(self.head)})">')
        for lane in layout.lanes:
            self.lane(lane)
        for box in layout.boxes:
            x0, y0, x1, y1 = box.rect
            self.put(
                f'<rect class="scope" x="{at(x0)}" y="{at(y0)}" width="{at(x1 - x0)}" height="{at(y1 - y0)}" rx="12"/>'
            )
            self.text(
                Text(
                    x0 + 10,
                    y0 + 14,
                    clip_runs((*words("▾ "), *words(box.name, "bold")), 9.5, x1 - x0 - 20),
                    9.5,
                    "muted",
                    "start",
                )
            )
        for line in layout.routes:
            self.route(line)
        for placed in layout.cards:
            self.card(placed)
        for chip in layout.chips:
            self.chip(chip)
        self.put("</g>")
        y = self.head + layout.height + 24.0
        for row in self.rows:
            total = math.fsum(k.width for k in row)
            x = max(20.0, (w - total) / 2)
            for key in row:
                self.put(f'<g transform="translate({at(x)} {at(y)})">{key.draw}</g>')
                x += key.width
            y += 20
        for caption in self.captions:
            self.text(Text(w / 2, y, clip_runs(words(caption), 9.5, w - 30), 9.5, "muted"))
            y += 15
        return self.out

    def put(self, line: str) -> None:
        """Write a line."""
        self.out.append(line)

    def name(self) -> str:
        """Name the picture."""
        return "Computation of " + ", ".join(self.graph.label(i)[:60] for i in self.graph.outputs[:4])

    def description(self) -> str:
        """List the nodes in order."""
        lines = []
        for n in self.drawn.nodes:
            if not self.drawn.is_number(n.id):
                lines.append(
                    f"{self.drawn.label(n.id)[:80]}: {n.op or n.kind}, {shape_text(n.shape)}{sources(self.drawn, n)}"
                )
        return "; ".join(lines)

    # -- text

    def text(self, item: Text, extra: str = "") -> None:
        """Write a line of text."""
        self.put(line_of(item, extra))

    # -- parts

    def lane(self, lane: Lane) -> None:
        """Draw a band and its name."""
        shade = min(lane.depth, 2)
        opacity = ' fill-opacity=".45"' if self.theme == "transparent" else ""
        self.put(
            f'<rect class="lane{shade}"{opacity} x="8" y="{at(lane.top)}" width="{at(self.layout.width - 16)}" height="{at(lane.bottom - lane.top)}"/>'
        )
        self.text(Text(lane.x, lane.y, lane.runs, 10.5, "muted", "start"))

    def route(self, route: Route) -> None:
        """Draw the lines of an edge and their heads."""
        link = route.link
        source = link.edge.source
        back = self.highlight.edges is not None and (source, link.v) not in self.highlight.edges
        fade = ' class="faint"' if back else ""
        self.put(f'<g id="{self.prefix}e{source}-{link.v}-{link.k}"{fade}>')
        if route.forward:
            points, head = cut_end(route.forward, 9.0)
            self.put(f'<path class="value-line" d="{curve(points)}"/>')
            self.put(f'<path class="value" d="{arrow(head, route.forward[-1], 4.2)}"/>')
        if route.backward:
            points, head = cut_end(route.backward, 10.0)
            self.put(f'<path class="grad-line" d="{curve(points)}"/>')
            self.put(f'<path class="grad-head" d="{arrow(head, inset(head, route.backward[-1]), 4.4)}"/>')
        self.put("</g>")

    def chip(self, chip: Chip) -> None:
        """Draw a label on an edge."""
        x0, y0, x1, y1 = chip.rect
        hushed = self.highlight.edges is not None and chip.ends not in self.highlight.edges
        self.put(
            f'<g class="chip"><rect class="card" x="{at(x0)}" y="{at(y0)}" width="{at(x1 - x0)}" height="{at(y1 - y0)}" rx="6"/>'
        )
        self.text(Text((x0 + x1) / 2, y1 - 4.6, chip.runs, CHIP_SIZE, "muted" if hushed else chip.ink))
        self.put("</g>")

    def card(self, placed: Placed) -> None:
        """Draw a card."""
        card = placed.card
        node = self.drawn.nodes[card.node] if card.node < len(self.drawn.nodes) else None
        family = FAMILY.get(card.family, card.family)
        w, h, head = card.width, card.height, card.header
        radius = 11.0
        thick = "strong" if card.kind in ("parameter", "scope") else "edge"
        thick = (
            ("marked" if card.node in self.highlight.sick else "chosen")
            if card.node in self.highlight.strong
            else thick
        )
        dash = " dashed" if card.kind in ("constant", "stub") else ""
        name = f"n{node.id}" if node else f"stub{placed.card.node}-{at(placed.y)}"
        back = self.highlight.nodes is not None and card.node not in self.highlight.nodes
        fade = " faint" if back else ""
        scope = (
            f' data-scope="{xml_text("/".join((*node.scope, node.name or "")))}" tabindex="0"'
            if node and node.kind == "scope"
            else ""
        )
        self.put(
            f'<g id="{self.prefix}{name}" class="node{fade}"{scope} transform="translate({at(placed.middle)} {at(placed.y)})">'
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
        self.put("</g>")

    def tip(self, node: Node) -> str:
        """Write the text that is shown while the pointer rests on a card."""
        path = "/".join((*node.scope, node.name or f"#{node.id}"))
        facts = [path[:300], f"{node.op or node.kind} {shape_text(node.shape)} {node.dtype}"]
        if node.value is not None:
            facts.append(f"value {statistics_text(node.value)}")
        if node.grad is not None:
            facts.append(f"gradient {NOUGHT if is_rounding(self.drawn, node) else statistics_text(node.grad)}")
        if node.says:
            facts.append(self.drawn.sentence(node.id)[:300])
        return "\n".join(facts)

    def item(self, item: Item, inverse: bool) -> None:
        """Draw one thing on a card."""
        if isinstance(item, Text):
            self.text(item._replace(ink="fused" + item.ink) if inverse else item)
        elif isinstance(item, Table):
            self.grid(item)
        elif isinstance(item, Bars):
            step = item.width / len(item.bars)
            path = "".join(
                f"M{at(item.x + k * step)} {at(item.y + item.height)}h{at(step - 0.8)}v-{at(max(bar * item.height, 0.6))}h-{at(step - 0.8)}z"
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
                lines.append(
                    f'<text class="sans {ink}" x="{at(x + w / 2)}" y="{at(y + CELL - 4.4)}" font-size="{at(BODY)}" text-anchor="middle">{xml_text(text)}</text>'
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
            self.put(f'<path class="{table.ink}-rule" d="{inner}"/>')
        self.put(
            f'<rect class="{table.ink}-line table" x="{at(left)}" y="{at(top)}" width="{at(right - left)}" height="{at(bottom - top)}"/>'
        )
        self.out += lines

    # -- legend and caption

    def legend(self) -> list[Key]:
        """Explain what is in this picture, and nothing else."""
        keys: list[Key] = []
        if len(self.layout.cards) < 2:
            return keys
        if any(r.forward for r in self.layout.routes):
            draw = '<path class="value-line" d="M0 -3H22"/><path class="value" d="M30 -3l-9 -4.2v8.4z"/>'
            keys.append(self.key(draw, 36, "forward value"))
        if any(r.backward for r in self.layout.routes):
            draw = '<path class="grad-line" d="M0 -3H20"/><path class="grad-head" d="M30 -3l-9 -4.4v8.8z"/>'
            keys.append(self.key(draw, 36, "backward gradient × local derivative"))
        present = {FAMILY.get(p.card.family, p.card.family) for p in self.layout.cards}
        for families in KEYS:
            said = [FAMILY_WORDS[family] for family in families if family in present]
            if said:
                thick = "strong" if families[0] in ("parameter", "scope") else "edge"
                dash = " dashed" if families[0] == "constant" else ""
                box = 'y="-10" width="18" height="13" rx="3"/>'
                draw = f'<rect class="card" {box}<rect class="h-{families[0]}" {box}<rect class="{thick}{dash}" {box}'
                keys.append(self.key(draw, 24, ", ".join(said)))
        if any("①" in text_of(c.runs) for c in self.layout.chips):
            keys.append(
                self.key('<text class="sans grad" y="1" font-size="12">①②</text>', 30, "contributions that are added")
            )
        if any(p.card.kind == "stub" for p in self.layout.cards):
            keys.append(
                self.key(
                    '<rect class="dashed edge" y="-10" width="18" height="13" rx="3"/>', 24, "goes on in another row"
                )
            )
        if len({lane.depth for lane in self.layout.lanes}) > 1:
            keys.append(self.key("", 0, "lanes: ↓ reduces, ↑ broadcasts, backward swaps them"))
        return keys

    def key(self, draw: str, room: float, said: str) -> Key:
        """Make an entry of the legend."""
        line = line_of(Text(room, 0.5, words(said), 9.5, "muted", "start"))
        return Key(room + width_of(words(said), 9.5) + KEY_GAP, draw + line, said)

    def wrap_keys(self, keys: Sequence[Key], room: float) -> list[list[Key]]:
        """Break the legend into lines."""
        rows: list[list[Key]] = [[]]
        used = 0.0
        for key in keys:
            if rows[-1] and used + key.width > room:
                rows.append([])
                used = 0.0
            rows[-1].append(key)
            used += key.width
        return [row for row in rows if row]

    def write_captions(self) -> list[str]:
        """Say how much of the graph is shown, and what its reader must know."""
        shown = sum(p.card.kind != "stub" for p in self.layout.cards)
        count = len(self.graph.nodes)
        lines = []
        inside = sum(dict(n.params).get("nodes", 0) for n in self.drawn.nodes if n.kind == "scope")
        folded = sum(n.kind == "scope" for n in self.drawn.nodes)
        if count and shown != count:
            where = [f"{inside} inside {folded} collapsed card{'s' * (folded > 1)} ▸"] if folded else []
            where += ["the others inside the formulas"] if count > shown + inside - folded else []
            lines.append(f"{count} nodes, {shown} shown; {', '.join(where)}")
        return [*([self.highlight.caption] if self.highlight.caption else []), *lines, *self.graph.notes]


def sources(graph: Graph, node: Node) -> str:
    """Say what a node is made from."""
    names = [graph.label(e.source)[:40] for e in node.inputs]
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


def arrow(base: Point, tip: Point, half: float) -> str:
    """Draw a head from the middle of its base to its tip."""
    (x0, y0), (x1, y1) = base, tip
    dx, dy = (0.0, half) if y0 == y1 else (half, 0.0)
    return f"M{at(x1)} {at(y1)}L{at(x0 + dx)} {at(y0 + dy)}L{at(x0 - dx)} {at(y0 - dy)}z"


def curve(points: Sequence[Point], radius: float = 26.0) -> str:
    """Draw a line through corners, rounded as far as there is room."""
    out = [f"M{at(points[0][0])} {at(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        legs = [abs(corner[0] - p[0]) + abs(corner[1] - p[1]) for p in (before, after)]
        first = 1.0 if before == points[0] else 0.5
        last = 1.0 if after == points[-1] else 0.5
        r = min(radius, legs[0] * first, legs[1] * last)
        a, b = (toward(corner, p, r) for p in (before, after))
        out.append(f"L{at(a[0])} {at(a[1])}Q{at(corner[0])} {at(corner[1])} {at(b[0])} {at(b[1])}")
    out.append(f"L{at(points[-1][0])} {at(points[-1][1])}")
    return "".join(out)


def toward(a: Point, b: Point, r: float) -> Point:
    """Return the point at distance r from a, towards b."""
    length = abs(b[0] - a[0]) + abs(b[1] - a[1]) or 1.0
    return a[0] + (b[0] - a[0]) / length * r, a[1] + (b[1] - a[1]) / length * r
