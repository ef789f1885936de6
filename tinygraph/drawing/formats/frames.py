"""One layout, many pictures: a computation a step at a time, in which nothing moves.

The finished graph is laid out once. A frame leaves out what its step has not reached, outlines where it is, and shows
the arithmetic of the step in a panel that has one place on the canvas.
"""
# ruff: noqa: E501 - a line of SVG reads best whole

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tinygraph.drawing.fitting import MOST, NEARLY, SLIDE, SNUG, may_fit, pixels, room_for, steps_of
from tinygraph.drawing.formats.svg import PREFIX, PageSize, Writer, at, check_options, document
from tinygraph.drawing.layout.blank import empty_item
from tinygraph.drawing.layout.card import Block, Card, Item, Text
from tinygraph.drawing.layout.distances import NORMAL
from tinygraph.drawing.layout.geometry import Layout, Placed, Point, Route, centre_layout, grown
from tinygraph.drawing.layout.labels import picture_name
from tinygraph.drawing.layout.panel import Told, arithmetic, tell, write_texts
from tinygraph.drawing.layout.place import finish_picture, size_of, sketch_picture
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.style.formula import plain_text, words
from tinygraph.drawing.style.highlight import Highlight
from tinygraph.engine.lazy_import import Later
from tinygraph.graph.batch import Batch, with_batch
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.scopes import check_names, is_leaf, scopes
from tinygraph.graph.simplify import inline
from tinygraph.graph.steps import Step, product_of, steps

__all__ = ["Frame", "Frames", "at_step", "frame_upto", "frames_of"]

MOST_STEPS = 200
LARGEST = 1.35  # the panel is drawn larger than the cards, as far as there is room
PAD, GAP = 12.0, 36.0  # around what is in the panel, and between its texts and its tables
COUNT = 150.0  # the width of "step 18 of 26 · backward", and a gap
LEAST_ROOM = 200.0  # for the graph beside a large panel
NOTHING = Layout(0.0, 0.0, (), (), (), (), ())
SECONDS = 1.8  # that an animation shows a step


class Place(NamedTuple):
    """Where the panel is: the canvas, the panel's rectangle, its scale, and where its texts and its tables begin."""

    canvas: tuple[float, float]
    rect: tuple[float, float, float, float]
    scale: float
    texts: tuple[float, float]
    tables: tuple[float, float]


class Panel(NamedTuple):
    """What the panel of a step shows: its rectangle, the bars of its progress (colour, left, width), and its texts.

    ``items`` are texts and tables; they are drawn from ``start`` on, and larger by ``scale``.
    """

    rect: tuple[float, float, float, float]
    bars: Sequence[tuple[str, float, float]]
    said: Text
    start: tuple[float, float]
    scale: float
    items: Sequence[Item]


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture of a computation.

    Attributes:
        frames: all of them.
        number: which it is, counted from 0.
    """

    frames: Frames
    number: int

    @property
    def step(self) -> Step:
        """What is done in it: the kind, the node and the edge, whose ids are those of ``frames.drawn``."""
        return self.frames.steps[self.number]

    @property
    def title(self) -> str:
        """Its heading, as plain text: ``∂L/∂σ = Σ rows (∂L/∂x̂ × −xc/σ2)``."""
        return plain_text(self.frames.told[self.number].heading)

    @property
    def caption(self) -> str:
        """A sentence that says what is done in it."""
        return self.frames.told[self.number].sentence

    def svg(self) -> str:
        """Return the picture. The same graph gives the same bytes."""
        return self.frames.svg(self.number)


@dataclasses.dataclass(frozen=True)
class Frames:
    """A computation as pictures of one layout; `tinygraph.frames` makes it.

    It has a length, can be iterated, and ``frames[3]`` is a `Frame`.

    Attributes:
        graph: the graph as it was given.
        drawn: the graph that is drawn, in which some ops stand inside a formula.
        steps: what is done in each picture.
        told: each step in words.
        tables: the arithmetic of each step.
        layout: of the last picture, which has everything.
        theme: the colours.
        title: a heading on every picture.
        width: of the pictures, in pixels or as "506pt".
    """

    graph: Graph
    drawn: Graph
    steps: tuple[Step, ...]
    told: tuple[Told, ...]
    tables: tuple[Block, ...]
    layout: Layout
    theme: str = "light"
    title: str | None = None
    width: float | str | None = None

    save = Later("tinygraph.drawing.film", "save")

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Frame]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, number: int) -> Frame:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} frames, counted from 0; there is no frame {number}")
        return Frame(self, number % len(self))

    def __repr__(self) -> str:
        return f"<Frames: {len(self)} steps of {self.graph!r}>"

    def at(self, upto: int | str) -> Frame:
        """Return the picture up to a step.

        Args:
            upto: a number as the pictures show it, from 1; or a name: "σ" is where its value is computed, "∂σ" where
                its gradient is whole.

        Raises:
            ValueError: there is no such step.
            KeyError: the name is none of the graph's.
        """
        if isinstance(upto, int):
            if not 1 <= upto <= len(self):
                raise ValueError(f"upto is {upto}; this graph has the steps 1 to {len(self)}")
            return self[upto - 1]
        node, forward = read_upto(self.graph, upto)
        card = next((n for n in self.drawn.nodes if node.id in n.parts), None)
        if card and card.kind == "scope" and node.kind != "scope":
            path = "/".join(node.scope)
            raise ValueError(f"upto is {upto!r}; it stands inside ▸ {card.name}, which expand={path!r} opens")
        given = forward and node.op is None
        found = [
            k
            for k, step in enumerate(self.steps)
            if step.forward == forward and ((card and step.node == card.id) or (step.kind == "given" and given))
        ]
        if not found:
            raise ValueError(f"upto is {upto!r}; no gradient comes to {node.name or upto}" + (
                "" if any(not s.forward for s in self.steps) else ": call backward() first"))  # fmt: skip
        return self[found[-1]]

    # -- the canvas

    @functools.cached_property
    def texts(self) -> tuple[Block, ...]:
        """The texts of each step as they stand in the panel."""
        return tuple(map(write_texts, self.told))

    def laid_out(self, parts: Sequence[Sketch], *, draft: bool = False) -> Frames:
        """Return these pictures with a layout of the graph; of a draft no more than the size is known."""
        w, h = size_of(parts)
        layout = dataclasses.replace(NOTHING, width=w, height=h) if draft else finish_picture(parts)
        film = dataclasses.replace(self, layout=layout)
        if draft or film.place.rect[0] > 8:  # the panel is beside the graph
            return film
        return dataclasses.replace(film, layout=centre_layout(layout, film.place.canvas[0]))

    @property
    def scale(self) -> float:
        """How large the pictures are on a slide: 1 or more if their letters can be read."""
        return size_on_slide(self.place)

    @functools.cached_property
    def place(self) -> Place:
        """Where the panel is: below the graph or beside it, whichever fills a slide better."""
        return max((self.place_below(), self.place_below(stacked=True), self.place_beside()), key=size_on_slide)

    def room(self) -> tuple[float, float, float, float]:
        """Return the width and height that the texts need, and those that the tables need."""
        return (
            max(b.width for b in self.texts), max(b.height for b in self.texts),
            max(b.width for b in self.tables), max(b.height for b in self.tables),
        )  # fmt: skip

    def rooms(self) -> Iterator[Point]:
        """Yield the room of a slide that the panel leaves for the graph: above it, and to its left."""
        for stacked in (False, True):
            if (size := self.panel_size(stacked))[0] <= SLIDE[0] - 16 - 2 * PAD:
                yield SLIDE[0], max(SLIDE[1] - self.head() - size[1] - 2 * PAD - 22, LEAST_ROOM)
                break
        yield max(SLIDE[0] - self.panel_size(True)[0] - 2 * PAD - 8, LEAST_ROOM), SLIDE[1] - self.head()

    def panel_size(self, stacked: bool) -> Point:
        """Return the size of what is in a panel: its texts, and its tables to their right or below them.

        At the top right the number of the step has room.
        """
        texts, high, tables, tall = self.room()
        return (
            (max(texts + COUNT, tables), high + tall + 8)
            if stacked
            else (texts + GAP + tables + COUNT, max(high, tall))
        )

    def head(self) -> float:
        """Return the height of what stands above the graph."""
        return 42.0 if self.title else 8.0

    def place_below(self, *, stacked: bool = False) -> Place:
        """Put the panel below the graph: texts on the left, tables on the right, or below them."""
        texts, high, _, tall = self.room()
        wide, height = self.panel_size(stacked)
        top = self.head() + self.layout.height + 8
        scale = enlarged((wide, height), (self.layout.width - 16, SLIDE[1] - top - 14))
        w = max(self.layout.width, wide * scale + 2 * PAD + 16)
        rect = (8.0, top, w - 16, height * scale + 2 * PAD + 6)
        where = (0.0, high + 8) if stacked else (texts + GAP, (height - tall) / 2)
        return Place((w, top + rect[3] + 8), rect, scale, (0.0, 0.0 if stacked else (height - high) / 2), where)

    def place_beside(self) -> Place:
        """Put the panel to the right of the graph: texts above tables."""
        _, high, _, tall = self.room()
        wide, height = self.panel_size(True)[0], high + 14 + tall
        top, left = self.head(), self.layout.width
        scale = enlarged((wide, height), (SLIDE[0] - left - 8, max(self.layout.height, SLIDE[1] - top) - 14))
        tallest = max(self.layout.height - 8, height * scale + 2 * PAD + 6)
        canvas = (left + wide * scale + 2 * PAD + 8, top + max(self.layout.height, tallest + 8))
        rect = (left, top + 4, wide * scale + 2 * PAD, tallest)
        return Place(canvas, rect, scale, (0.0, 0.0), (0.0, high + 14))

    # -- what is there at a step

    def done(self, number: int) -> dict[int, set[str]]:
        """Return what each node has after a step: "value", "grad" and its contributions "grad0", "grad1"."""
        found: dict[int, set[str]] = {}
        for step in self.steps[: number + 1]:
            if step.kind == "given":
                found |= {n.id: {"value"} for n in self.drawn.nodes if is_leaf(n)}
            elif step.node is not None:
                whole = step.kind in ("seed", "sum") or step.number is None
                part = "value" if step.kind == "value" else "grad" if whole else f"grad{step.number}"
                found.setdefault(step.node, set()).add(part)
        return found

    def highlight(self, number: int, done: dict[int, set[str]]) -> Highlight:
        """Return what is outlined and what is pale at a step."""
        step, nodes = self.steps[number], self.drawn.nodes
        reached = frozenset(i for i, parts in done.items() if "value" in parts)
        edges = {(e.source, n.id) for n in nodes for e in n.inputs if n.id in reached}
        links = [route.link for route in self.layout.routes]
        edges |= {(link.edge.source, link.v) for link in links if link.v >= len(nodes) and link.edge.source in reached}
        thick: set[tuple[int, int, str, str]] = set()
        if step.kind == "value" and step.node is not None:
            thick = {(e.source, step.node, e.operand, "value") for e in nodes[step.node].inputs}
        if step.edge is not None:
            edge = nodes[step.edge[0]].inputs[step.edge[1]]
            thick = {(edge.source, step.edge[0], edge.operand, "grad")}
        stubs = (placed for placed in self.layout.cards if placed.card.kind == "stub")
        reached |= {stub.card.node for stub in stubs if "value" in done.get(self.source_of(stub), ())}
        current = frozenset() if step.node is None else frozenset({step.node})
        return Highlight("both", nodes=reached, edges=frozenset(edges), current=current, thick=frozenset(thick))

    def came(self, number: int) -> set[tuple[int, int, str]]:
        """Return the edges (source, target, operand) along which gradients have gone back."""
        edges = [step.edge for step in self.steps[: number + 1] if step.edge is not None]
        found = [(self.drawn.nodes[v].inputs[k], v) for v, k in edges]
        return {(edge.source, v, edge.operand) for edge, v in found}

    # -- writing

    def shown(self, number: int, done: dict[int, set[str]]) -> Iterator[tuple[str, int, Any]]:
        """Yield what a picture shows, in the order in which it is drawn: the kind of each part, its number, and itself.

        The kinds are the names of the methods of a writer; what has one number has one place.
        """
        came, layout = self.came(number), self.layout
        yield from (("lane", k, lane) for k, lane in enumerate(layout.lanes))
        yield from (("box", k, box) for k, box in enumerate(layout.boxes))
        ids = range(len(self.drawn.nodes))  # what begins at no stub
        direct = {(r.link.edge.source, r.link.v) for r in layout.routes if r.link.u in ids and r.link.v in ids}
        for k, route in enumerate(layout.routes):
            yield "route", k, route if self.has_gone_back(route, came, direct) else route._replace(backward=())
        for k, placed in enumerate(layout.cards):
            card = placed.card
            card = card if card.kind == "stub" else card_after(card, done.get(card.node, set()))
            yield "card", k, placed._replace(card=card)
        for k, chip in enumerate(layout.chips):
            source, v = chip.ends
            if "value" in done.get(v, ()) if chip.ink == "value" else any(e[:2] == (source, v) for e in came):
                yield "chip", k, chip

    def parts(self, number: int) -> dict[tuple[str, int], str]:
        """Return the pieces of a picture as SVG, in the order in which they are drawn."""
        done = self.done(number)
        writer = Writer(self.graph, self.drawn, self.layout, self.theme, None, self.highlight(number, done))
        found: dict[tuple[str, int], str] = {}
        for kind, k, part in self.shown(number, done):
            getattr(writer, kind)(part)
            found[kind, k] = "\n".join(writer.out)
            writer.out.clear()
        found["panel", number] = "\n".join(self.panel_svg(number, writer))
        return found

    def source_of(self, stub: Placed) -> int:
        """Return the node that a stub stands for: that of the line that ends or begins at it."""
        x0, y0, x1, y1 = grown(stub.rect, 3)
        for route in self.layout.routes:
            at_v, i = route.link.v == stub.card.node, stub.card.node
            if i in (route.link.u, route.link.v) and route.forward:
                x, y = route.forward[-1 if at_v else 0]
                if x0 <= x <= x1 and y0 <= y <= y1:
                    return route.link.edge.source
        return -1

    def has_gone_back(self, route: Route, came: set[tuple[int, int, str]], direct: set[tuple[int, int]]) -> bool:
        """Whether the gradient of an edge has gone back; of one that goes on in another row, whether one of these has."""
        link = route.link
        if link.v < len(self.drawn.nodes):
            return (link.edge.source, link.v, link.edge.operand) in came
        return any(e[0] == link.edge.source and e[:2] not in direct for e in came)

    def panel(self, number: int) -> Panel:
        """Return what the panel shows: how far the computation is, what the step does, and its arithmetic."""
        place = self.place
        x, y, w, h = place.rect
        y -= self.head()
        count, forward = len(self), sum(step.forward for step in self.steps)
        bars = []
        for ink, start, end in (("value", 0, min(number + 1, forward)), ("grad", forward, max(number + 1, forward))):
            if end > start:
                bars.append((ink, x + 10 + (w - 20) * start / count, (w - 20) * (end - start) / count))
        which = "forward" if self.steps[number].forward else "backward"
        said = Text(x + w - 10, y + 16, words(f"step {number + 1} of {count} · {which}"), 10.5, "muted", "end")
        tables, texts = self.tables[number], self.texts[number]
        items: list[Item] = []
        for block, (left, top), middle in ((texts, place.texts, 0.0), (tables, place.tables, tables.width / 2)):
            items += [item._replace(x=item.x + left + middle, y=item.y + top) for item in block.items]
        return Panel((x, y, x + w, y + h), bars, said, (x + PAD, y + PAD + 3), place.scale, items)

    def panel_svg(self, number: int, writer: Writer) -> list[str]:
        """Write the panel."""
        panel = self.panel(number)
        x, y, right, bottom = panel.rect
        frame = f'x="{at(x)}" y="{at(y)}" width="{at(right - x)}" height="{at(bottom - y)}" rx="10"/>'
        writer.put(f'<rect class="card" {frame}')
        for ink, left, wide in panel.bars:
            writer.put(f'<rect class="{ink}" x="{at(left)}" y="{at(y - 1)}" width="{at(wide)}" height="3"/>')
        writer.put(f'<rect class="edge" {frame}')
        writer.text(panel.said)
        left, top = panel.start
        writer.put(f'<g class="panel" transform="translate({at(left)} {at(top)}) scale({panel.scale:.3f})">')
        for item in panel.items:
            writer.item(item, False)
        writer.put("</g>")
        return writer.out

    def opening(self) -> list[str]:
        """Return what stands above the graph."""
        if not self.title:
            return []
        writer = Writer(self.graph, self.drawn, self.layout, self.theme, self.title, Highlight("both"))
        writer.text(Text(self.place.canvas[0] / 2, 28, words(self.title, "bold"), 19, "ink"))
        return writer.out

    def svg(self, number: int) -> str:
        """Return one picture.

        Args:
            number: which, counted from 0.
        """
        body = [
            *self.opening(),
            f'<g transform="translate(0 {at(self.head())})">',
            *self.parts(number).values(),
            "</g>",
        ]
        frame = self[number]
        name = f"{self.name()}, step {number + 1} of {len(self)}: {frame.title}"
        return document(body, *self.place.canvas, self.theme, name, frame.caption, self.page())

    def page(self) -> PageSize | None:
        """Return how large each picture is in its file; None for its own size."""
        w, h = self.place.canvas
        if self.width is None:
            return None
        wide = pixels(self.width)
        return PageSize(wide, wide * h / w, w, re.sub(r"[\d.\s]", "", str(self.width)) or "px")

    def name(self) -> str:
        """Return what the pictures are of."""
        return self.title or picture_name(self.graph)

    def animated(self, seconds: float = SECONDS) -> str:
        """Return all pictures in one SVG that plays by itself, and stands still where a reader wants no motion.

        Args:
            seconds: that each step is shown.

        Returns:
            An SVG. What several steps have in common is in it once.
        """
        count = len(self)
        shown: dict[tuple[str, int], dict[str, list[int]]] = {}
        for k in range(count):
            for key, piece in self.parts(k).items():
                shown.setdefault(key, {}).setdefault(piece, []).append(k)
        order = {kind: k for k, kind in enumerate(("lane", "box", "route", "card", "chip", "panel"))}
        spans: dict[tuple[int, int], str] = {}
        body = [*self.opening(), f'<g transform="translate(0 {at(self.head())})">']
        for _, pieces in sorted(shown.items(), key=lambda item: (order[item[0][0]], item[0][1])):
            for k, (piece, when) in enumerate(pieces.items()):
                if len(when) == count:
                    body.append(piece)
                    continue
                names = [spans.setdefault(span, f"{PREFIX}{span[0]}-{span[1]}") for span in spans_of(when)]
                once = re.sub(r' id="[^"]*"', "", piece) if k else piece
                for name in names:
                    body.append(f'<g class="tg-step {name}">{once}</g>')
                    once = re.sub(r' id="[^"]*"', "", once)
        body.append("</g>")
        rules = [f"<style>.tg-step{{visibility:hidden}}{','.join(f'.{name}' for (_, b), name in spans.items() if b == count - 1)}"
                 "{visibility:visible}", "@media (prefers-reduced-motion:no-preference){"]  # fmt: skip
        for (a, b), name in spans.items():
            first, last = (f"{100 * k / count:.3f}%" for k in (a, b + 1))
            start = "" if a == 0 else "0%{visibility:hidden}"
            end = "" if b == count - 1 else f"{last}{{visibility:hidden}}"
            rules.append(f"@keyframes {name}{{{start}{first}{{visibility:visible}}{end}}}")
            rules.append(f".{name}{{animation:{name} {seconds * count:g}s step-end infinite}}")
        rules.append("}</style>")
        return document(
            [*rules, *body], *self.place.canvas, self.theme, self.name(), "; ".join(f.title for f in self), self.page()
        )


def read_upto(graph: Graph, upto: str) -> tuple[Node, bool]:
    """Return the node that a name of a step means, and whether its value is meant, or else its gradient.

    Args:
        graph: any graph.
        upto: the name of a value, or that of its gradient: "∂σ" or "∂L/∂σ". Where the gradient was recorded, it is
            the value of a node of its own.

    Raises:
        KeyError: there is no such name; the message lists those that there are.
    """
    value = re.sub("^∂([^/∂]*/∂)?", "", upto)
    if value == upto or any(n.name == upto for n in graph.nodes):
        return graph.find(upto), True
    node = graph.find(value)
    recorded = next((n for n in graph.nodes if any(i == node.id for i, _ in n.gradient_of)), None)
    return recorded or node, recorded is not None


def spans_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return numbers in ascending order as spans without gaps: (first, last)."""
    found: list[tuple[int, int]] = []
    for k in numbers:
        if found and found[-1][1] == k - 1:
            found[-1] = (found[-1][0], k)
        else:
            found.append((k, k))
    return found


def card_after(card: Card, parts: set[str]) -> Card:
    """Return a card as it is when ``parts`` of it are known: other contributions are empty, what has not begun is left out."""
    started = {"value": "value" in parts, "grad": any(p.startswith("grad") for p in parts)}

    def keep(item: Item) -> Iterator[Item]:
        kind = getattr(item, "of", "").rstrip("0123456789") or item.ink
        if not started.get(kind, True):
            return
        of = getattr(item, "of", "")
        yield from (item,) if of in {"", *parts} else empty_item(item)

    return dataclasses.replace(card, items=tuple(new for item in card.items for new in keep(item)))


def size_on_slide(place: Place) -> float:
    """Return how large a canvas is on a slide."""
    return min(SLIDE[0] / place.canvas[0], SLIDE[1] / place.canvas[1])


def enlarged(size: Point, room: Point) -> float:
    """Return how much larger than the cards what is in a panel is drawn, in a room that has the panel's border, too."""
    return max(1.0, min(LARGEST, *((have - 2 * PAD) / max(takes, 1) for have, takes in zip(room, size, strict=True))))


def fit_frames(
    graph: Graph, detail: int | str, depth: int | None, expand: Sequence[str], keep: Sequence[str], **about: Any
) -> Frames:
    """Choose what is shown of a graph beside a panel, and lay it out: the first that is legible, else the nearest.

    ``about`` are theme, title and width.
    """
    whole = inline(graph)
    check_names(whole, expand)
    opened = (*expand, *(path for name in keep if (path := "/".join(whole.find(name).scope))))
    film: Frames | None = None
    best: tuple[float, Frames, Sequence[Sketch]] | None = None
    for step in steps_of(whole, detail, depth, opened, keep):
        if best and not (step.chips and may_fit(step, room_for(), MOST, 1.0)):
            continue
        drawn = step.graph
        if film is None or film.drawn is not drawn:
            film = Frames(graph, drawn, *tell_steps(graph, drawn), NOTHING, **about)
        spacings = (NORMAL, SNUG) if step.detail == 2 else (step.spacing or NORMAL,)
        for spacing, page in itertools.product(spacings, film.rooms()):
            parts = sketch_picture(
                drawn, step.detail, boxes=scopes(drawn), ranges=step.ranges, page=page, spacing=spacing
            )
            scale = film.laid_out(parts, draft=True).scale
            if scale >= NEARLY and (found := film.laid_out(parts)).scale >= 1:
                return found
            best = max(best or (0.0, film, parts), (scale, film, parts), key=lambda each: each[0])
        if detail == 2:
            break
    assert best is not None
    return best[1].laid_out(best[2])


def tell_steps(graph: Graph, drawn: Graph) -> tuple[tuple[Step, ...], tuple[Told, ...], tuple[Block, ...]]:
    """Return the steps of a computation, each in words and in tables."""
    order = steps(drawn)
    products = [product_of(graph, drawn, step) for step in order]
    told = tuple(tell(drawn, step, p) for step, p in zip(order, products, strict=True))
    return tuple(order), told, tuple(arithmetic(drawn, step, p) for step, p in zip(order, products, strict=True))


def frames_of(
    graph: Graph,
    *,
    detail: int | str = "auto",
    theme: str = "light",
    width: float | str | None = None,
    depth: int | None = None,
    expand: Sequence[str] = (),
    title: str | None = None,
    batch: Batch = None,
    most: int = MOST_STEPS,
    upto: int | str | None = None,
) -> Frames:
    """Return a computation as pictures of one layout, a step each.

    Args:
        graph: from `snapshot`.
        detail: 0 symbols, 1 summaries, 2 numbers; "auto" takes 2 up to 15 nodes, 1 up to 60, 0 above.
        theme: as in `svg`.
        width: of each picture, in pixels or as "506pt".
        depth: scopes deeper than this are collapsed.
        expand: paths of scopes to leave open.
        title: a heading on every picture.
        batch: as in `svg`.
        most: how many steps there may be.
        upto: the step of which a picture is wanted, as `Frames.at` takes it: what it names is not collapsed, and
            there may be any number of steps.

    Returns:
        The pictures; each is drawn when it is asked for.

    Raises:
        ValueError: an option is not known, or there are more steps than ``most``.

    >>> from tinygraph import Tensor, snapshot
    >>> [frame.title for frame in frames_of(snapshot((Tensor([1.0], name="x") * 3).named("y")))]
    ['What is given', 'y = x × 3']
    """
    check_options(detail, theme)
    graph = with_batch(graph, batch)
    name = read_upto(graph, upto)[0].name if isinstance(upto, str) else None
    keep = [name] if name and depth is None and name not in graph.repeated_names else []
    film = fit_frames(graph, detail, depth, expand, keep, theme=theme, title=title, width=width)
    if upto is None and len(film) > most:
        raise ValueError(
            f"frames: this graph has {len(film)} steps, more than {most}: close scopes with depth=, or allow them all "
            f"with most={len(film)}"
        )
    return film


def frame_upto(graph: Graph, upto: int | str, **options: Any) -> Frame:
    """Return one picture of a computation.

    Args:
        graph: from `snapshot`.
        upto: which, as `Frames.at` takes it.
        options: those of `frames_of`.
    """
    return frames_of(graph, upto=upto, **options).at(upto)


def at_step(write: Callable[[Frame], str]) -> Callable[..., str]:
    """Return what writes a graph as it is at a step; it takes the options of `frames_of`, of which ``upto`` says which.

    Args:
        write: writes one picture.
    """

    @functools.wraps(frames_of)
    def written(graph: Graph, **options: Any) -> str:
        return write(frame_upto(graph, **options))

    return written
