"""Where everything stands: lanes across, columns by depth, and edges that never run through a card.

Pure geometry. A *plan* gave each node a cell and each edge a way along free cells. The *layout* gives columns,
rows, gutters and channels the room that cards, tracks and chips need, so that what the plan keeps apart
cannot meet on paper; and it breaks what is too wide for a page into tiers.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinygraph.drawing.layout.card import Card, card_of, stub_card, usual_dtype
from tinygraph.drawing.layout.edge_labels import Index, Point, Rect, chip_labels, chip_width, grown, places
from tinygraph.drawing.layout.grid import Link, Plan, Way, kinds_of, links_of, plan, way
from tinygraph.drawing.style.formula import SPACE, Runs, width_of, words
from tinygraph.graph.data import Edge, Graph, Node

__all__ = ["Box", "Chip", "Lane", "Layout", "Placed", "Route", "lay_out", "scale"]

TRACK = 13.0  # between two lines that run side by side
PAIR = 2 * TRACK
MARGIN = 14.0
FRAME, HEADED = 9.0, 21.0  # from one frame of a box to the next inside it, and where its name stands between
LEFT, TOP, RIGHT, BOTTOM = range(4)
Cells = tuple[int, int, int, int, int, str]  # of a scope: first column and row, last ones, depth, name
TIERS, FITS = 8, 0.85  # most tiers that are tried; a picture that fits its page as well as this is not broken


class Placed(NamedTuple):
    """A card and the top left corner of where it stands."""

    card: Card
    x: float
    y: float

    @property
    def rect(self) -> Rect:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.card.width, self.y + self.card.height

    @property
    def middle(self) -> float:
        """The middle, across."""
        return self.x + self.card.width / 2


class Route(NamedTuple):
    """The lines of an edge: forward points from source to target, and backward points from target to source."""

    link: Link
    way: Way
    forward: tuple[Point, ...]
    backward: tuple[Point, ...]


class Chip(NamedTuple):
    """A label on an edge between two nodes of the graph; ``ink`` is "value" or "grad"."""

    rect: Rect
    runs: Runs
    ink: str
    ends: tuple[int, int]


class Lane(NamedTuple):
    """A band across the picture; its name begins at (x, y)."""

    top: float
    bottom: float
    name: str
    words: str
    depth: int
    x: float
    y: float

    @property
    def runs(self) -> Runs:
        """Its name: shape, and what is in it."""
        return (*words(self.name + SPACE * 2 if self.name else "", "bold"), *words(self.words))

    @property
    def title(self) -> Rect:
        """Where its name stands."""
        return self.x - 4, self.y - 13, self.x + width_of(self.runs, 10.5) + 4, self.y + 5


class Box(NamedTuple):
    """A scope around its cards."""

    rect: Rect
    name: str
    depth: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """A drawing as geometry."""

    width: float
    height: float
    cards: tuple[Placed, ...]
    routes: tuple[Route, ...]
    chips: tuple[Chip, ...]
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]


def lay_out(
    graph: Graph, detail: int = 2, show: str = "both", *, chips: bool = True, boxes: Sequence[Any] = (),
    badges: Mapping[int, str] | None = None, page: Point = (1600.0, 900.0), most: float | None = None,
) -> Layout:  # fmt: skip
    """Lay a graph out.

    Args:
        graph: the graph as it is to be drawn, already folded and collapsed.
        detail: 0 symbols, 1 summaries, 2 numbers.
        show: "forward", "backward" or "both".
        chips: write local derivatives on the edges.
        boxes: (path, members) of the scopes that are drawn around their nodes.
        badges: a last line on some cards.
        page: the picture is broken into as many tiers as fill a page of these proportions best;
        most: or into as many as it takes to be no wider than this.

    Returns:
        A `Layout`. The same graph gives the same layout.
    """
    nodes, links = links_of(graph)
    kinds = kinds_of(graph)
    whole = Drawing(graph, plan(graph, nodes, links, kinds), detail, show, chips, boxes, badges)
    layout = whole.layout()
    count, best = 1, layout
    if most is not None:
        return best if best.width <= most else stacked(filled(graph, whole, links, kinds, most))
    while scale(best, page) < FITS and count < TIERS and count < whole.p.columns:
        count += 1
        found = tiered(graph, whole, tiers_of(whole, count), links, kinds)
        if scale(found, page) > scale(best, page):
            best = found
        elif count > 2 and scale(found, page) < 0.8 * scale(best, page):
            break
    return best


def scale(layout: Layout, page: Point) -> float:
    """Return by how much a layout must shrink to fit a page."""
    return min(page[0] / layout.width, page[1] / layout.height)


def tiered(
    graph: Graph, whole: Drawing, tiers: dict[int, int], links: Sequence[Link], kinds: Sequence[tuple[int, str]]
) -> Layout:
    """Break a drawing into tiers."""
    return stacked([tier(graph, whole, links, kinds, tiers, n) for n in range(1 + max(tiers.values()))])


def filled(
    graph: Graph, whole: Drawing, links: Sequence[Link], kinds: Sequence[tuple[int, str]], room: float
) -> list[Layout]:
    """Return tiers that take as many columns as there is room for, but one at least."""
    p, start, found = whole.p, 0, []
    while start < p.columns:
        best: Layout | None = None
        for end in range(start + 1, p.columns + 1):
            tiers = {i: (p.column[i] >= start) + (p.column[i] >= end) for i in p.nodes}
            wide = tier(graph, whole, links, kinds, tiers, 1)
            if best is not None and wide.width > room:
                break
            best, after = wide, end
        found.append(best)
        start = after
    return [layout for layout in found if layout is not None]


def tier(
    graph: Graph, whole: Drawing, links: Sequence[Link], kinds: Sequence[tuple[int, str]], tiers: dict[int, int], n: int
) -> Layout:
    """Lay one tier out."""
    options = whole.detail, whole.show, whole.chipped, whole.scopes, whole.badges
    part = cut_out(graph, whole.p.nodes, links, kinds, tiers, n)
    return Drawing(part.graph, plan(*part), *options).layout()


class Tier(NamedTuple):
    """One line of a picture that is broken into several: the graph with stubs, and what of it stands here."""

    graph: Graph
    nodes: list[int]
    links: list[Link]
    kinds: list[tuple[int, str]]


def tiers_of(whole: Drawing, count: int) -> dict[int, int]:
    """Return the tier of each node: the columns are cut where the fewest edges cross, into parts of about one width."""
    p = whole.p
    cuts: list[int] = []
    crossing = [0.0] * (p.columns + 1)
    reach: dict[int, int] = defaultdict(int)  # lines of one source end in one stub
    for link in p.links:
        reach[link.u] = max(reach[link.u], p.column[link.v])
    for u, last in reach.items():
        for c in range(p.column[u] + 1, last + 1):
            crossing[c] += 1
    for left, _, right, _, _, _ in whole.scoped_cells():
        for c in range(left + 1, right + 1):
            crossing[c] += 0.5
    width = whole.left[-1]
    for n in range(1, count):
        target = width * n / count
        later = range(cuts[-1] + 1 if cuts else 1, p.columns)
        near = [c for c in later if abs(whole.left[c] - target) < 0.3 * width / count]
        near = near or sorted(later, key=lambda c: abs(whole.left[c] - target))[:1]
        if near:
            cuts.append(min(near, key=lambda c: (crossing[c] + 5 * abs(whole.left[c] - target) / (width / count), c)))
    return {i: sum(p.column[i] >= c for c in cuts) for i in p.nodes}


def cut_out(
    graph: Graph,
    nodes: Sequence[int],
    links: Sequence[Link],
    kinds: Sequence[tuple[int, str]],
    tiers: dict[int, int],
    n: int,
) -> Tier:
    """Cut a tier out of a picture; a value that is used in a later one ends in a stub and begins there from another."""
    stubs: list[Node] = []
    ins: dict[int, int] = {}
    outs: dict[int, int] = {}
    found: list[Link] = []
    for link in links:
        here, there = tiers[link.u], tiers[link.v]
        if here == n == there:
            found.append(link)
        elif here == n and link.u not in outs:
            outs[link.u] = len(graph.nodes) + len(stubs)
            stubs.append(stub(graph, link.u, outs[link.u], (Edge(link.u, "x"),)))
            found.append(Link(-1, link.u, outs[link.u], Edge(link.u, "x"), link.back))
        elif there == n:
            if link.u not in ins:
                ins[link.u] = len(graph.nodes) + len(stubs)
                stubs.append(stub(graph, link.u, ins[link.u], ()))
            found.append(link._replace(u=ins[link.u]))
    later = {link.u for link in links if link.back and tiers[link.v] > n}
    found = [
        link._replace(k=k, back=link.back or (link.v >= len(graph.nodes) and link.u in later))
        for k, link in enumerate(found)
    ]
    mine = [*ins.values(), *(i for i in nodes if tiers[i] == n), *outs.values()]
    place = {v: k for k, v in [*ins.items(), *outs.items()]}
    more = [kinds[place[node.id]] for node in stubs]
    return Tier(Graph((*graph.nodes, *stubs), graph.outputs, graph.notes), mine, found, [*kinds, *more])


def stub(graph: Graph, source: int, place: int, edges: tuple[Edge, ...]) -> Node:
    """Return the end of a value that goes on in a later tier, or its beginning there."""
    node = graph.nodes[source]
    op, name = "stub" if edges else None, node.name or f"#{source}"
    facts = (("source", source),)
    return Node(place, op, "stub", "stub", node.shape, node.dtype, name, inputs=edges, params=facts)


def stacked(parts: Sequence[Layout]) -> Layout:
    """Put tiers below each other."""
    y, moved = 0.0, []
    for part in parts:
        moved.append(shifted(part, y))
        y += part.height + 14
    return Layout(
        max(part.width for part in parts),
        y - 14,
        *(
            tuple(x for part in moved for x in getattr(part, name))
            for name in ("cards", "routes", "chips", "lanes", "boxes")
        ),
    )


def shifted(part: Layout, dy: float) -> Layout:
    """Move a layout down."""

    def down(rect: Rect) -> Rect:
        return rect[0], rect[1] + dy, rect[2], rect[3] + dy

    def lower(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x, y + dy) for x, y in points)

    return Layout(
        part.width,
        part.height,
        tuple(c._replace(y=c.y + dy) for c in part.cards),
        tuple(r._replace(forward=lower(r.forward), backward=lower(r.backward)) for r in part.routes),
        tuple(c._replace(rect=down(c.rect)) for c in part.chips),
        tuple(lane._replace(top=lane.top + dy, bottom=lane.bottom + dy, y=lane.y + dy) for lane in part.lanes),
        tuple(b._replace(rect=down(b.rect)) for b in part.boxes),
    )


def even_cards(
    graph: Graph, p: Plan, ways: Sequence[Way], detail: int, show: str, usual: str, badges: Mapping[int, str]
) -> dict[int, Card]:
    """Compose the cards; those that straight edges join have their gradients at one height."""
    cards = {i: card_of(graph, i, detail, show, usual=usual, badge=badges.get(i, "")) for i in p.nodes}
    if detail < 2:
        return tall_stubs(p, ways, cards)
    leader = {i: i for i in p.nodes}

    def find(i: int) -> int:
        while leader[i] != i:
            i = leader[i]
        return i

    for link, w in zip(p.links, ways, strict=True):
        if w.kind == "H":
            leader[find(link.u)] = find(link.v)
    rooms: dict[int, float] = defaultdict(float)
    for i in p.nodes:
        rooms[find(i)] = max(rooms[find(i)], cards[i].room)
    even = {
        i: c
        if c.room >= rooms[find(i)] or c.kind in ("scope", "stub")
        else card_of(graph, i, detail, show, rooms[find(i)], usual, badges.get(i, ""))
        for i, c in cards.items()
    }
    return tall_stubs(p, ways, even)


def tall_stubs(p: Plan, ways: Sequence[Way], cards: dict[int, Card]) -> dict[int, Card]:
    """Make a stub as tall as its lines ask, or as the card that it stands beside, so that they are straight."""
    lines: dict[int, int] = defaultdict(int)
    for link in p.links:
        lines[link.u] += 1 + link.back
    for i, card in cards.items():
        if card.kind == "stub" and 16 + 9 * lines[i] > card.height:
            cards[i] = stub_card(card, 16 + 9 * lines[i])
    for link, w in zip(p.links, ways, strict=True):
        for stub, other in ((link.u, link.v), (link.v, link.u)):
            if w.kind == "H" and cards[stub].kind == "stub" and cards[other].kind != "stub":
                beside = cards[other]
                cards[stub] = stub_card(cards[stub], beside.height, beside.value, beside.grad)
    return cards


def within(scoped: Sequence[Cells], cells: Cells) -> list[int]:
    """Return how many boxes inside one stand at its left, top, right and bottom, one around the other."""
    left, top, right, bottom, depth, _ = cells
    inner = [c for c in scoped if c[4] > depth and left <= c[0] and c[2] <= right and top <= c[1] and c[3] <= bottom]
    return [len({c[4] for c in inner if c[side] == cells[side]}) for side in range(4)]


class Drawing:
    """One drawing on its way from plan to paper."""

    def __init__(
        self,
        graph: Graph,
        p: Plan,
        detail: int,
        show: str,
        chips: bool,
        boxes: Sequence[Any],
        badges: Mapping[int, str] | None,
    ) -> None:
        self.graph, self.p, self.detail, self.show, self.scopes = graph, p, detail, show, boxes
        self.chipped, self.badges = chips, badges
        self.ways = [way(p, link) for link in p.links]
        self.cards = even_cards(graph, p, self.ways, detail, show, usual_dtype(graph), badges or {})
        self.labels = chip_labels(graph, p, show) if chips else {}
        self.back = [show != "forward" and link.back for link in p.links]

    def layout(self) -> Layout:
        """Give everything its place."""
        self.tracks()
        self.grid()
        self.ports()
        routes = [self.route(link, w) for link, w in zip(self.p.links, self.ways, strict=True)]
        routes = [r for r in routes if r.forward or r.backward]
        self.name_lanes(routes)
        chips = self.chips(routes)
        right = max([self.width, *(c.rect[2] + MARGIN for c in chips)])
        return Layout(right, self.height, tuple(self.at[i] for i in self.p.nodes), tuple(routes), tuple(chips),
                      tuple(self.lanes), tuple(self.boxes))  # fmt: skip

    # -- how wide gutters and channels are

    def tracks(self) -> None:
        """Put lines that share a gutter or a channel side by side, and count how many there are."""
        p = self.p
        lines: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)
        for link, w in zip(p.links, self.ways, strict=True):
            ru, cu, rv, cv = p.row[link.u], p.column[link.u], p.row[link.v], p.column[link.v]
            if w.kind == "G":
                lines["g", w.gutters[0]].append((min(ru, rv), max(ru, rv), link.k))
            elif w.kind == "Z":
                lines["c", w.channel].append((min(cu, cv), max(cu, cv), link.k))  # type: ignore[index]
            elif w.kind == "GG":
                r = w.channel or 0
                lines["g", w.gutters[0]].append((min(ru, r - 1), max(ru, r), link.k))
                lines["g", w.gutters[1]].append((min(rv, r - 1), max(rv, r), link.k))
                lines["c", r].append((cu, cv, link.k))
        self.track: dict[tuple[str, int, int], int] = {}
        self.count: dict[tuple[str, int], int] = {}
        for place, spans in sorted(lines.items()):
            ends: list[int] = []
            for low, high, k in sorted(spans):
                free = next((t for t, end in enumerate(ends) if end < low), len(ends))
                ends[free:] = [high, *ends[free + 1 :]]
                self.track[place[0], place[1], k] = free
            self.count[place] = len(ends)

    def grid(self) -> None:
        """Place columns, rows, cards and lanes."""
        p, cards = self.p, self.cards
        gap = 40.0 if self.detail else 34.0
        gutter = [gap] * (p.columns + 1)
        gutter[0], gutter[-1] = MARGIN + (10 if self.detail else 18), MARGIN + 8
        for (what, place), n in self.count.items():
            if what == "g":
                gutter[place] = max(gutter[place], 22 + PAIR * n + (place == p.columns) * 8)
        for link, w in zip(p.links, self.ways, strict=True):
            near = p.column[link.v] == p.column[link.u] + 1
            for ink in ("value", "grad"):
                runs = self.labels.get((link.k, ink))
                if runs and near and w.kind == "H":
                    gutter[p.column[link.v]] = max(gutter[p.column[link.v]], chip_width(runs) + 12)
        wide = [max((cards[i].width for i in p.nodes if p.column[i] == c), default=0.0) for c in range(p.columns)]
        tall = [max((cards[i].height for i in p.nodes if p.row[i] == r), default=0.0) for r in range(p.rows)]
        channel = [30.0] * (p.rows + 1)
        for r in range(p.rows + 1):
            busy = any(
                w.kind in ("V", "LV", "LH", "Z") and min(p.row[a.u], p.row[a.v]) < r <= max(p.row[a.u], p.row[a.v])
                for a, w in zip(p.links, self.ways, strict=True)
            )
            chipped = busy and bool(self.labels)
            channel[r] = (52.0 if chipped else 30.0) + PAIR * self.count.get(("c", r), 0)
        strip = 30.0
        for first in p.first:
            channel[first] = max(channel[first], 30.0) + (14.0 if first else 0)
        channel[0] = strip + PAIR * self.count.get(("c", 0), 0)
        scoped = self.scoped_cells()
        frames: dict[tuple[int, int], int] = defaultdict(int)  # boxes around each other that end at an edge
        for cells in scoped:
            for side, (edge, inner) in enumerate(zip(cells[:4], within(scoped, cells), strict=True)):
                frames[side, edge] = max(frames[side, edge], 1 + inner)
        for (side, edge), count in frames.items():
            rooms = channel if side in (TOP, BOTTOM) else gutter
            rooms[edge + (side in (RIGHT, BOTTOM))] += (HEADED if side == TOP else FRAME) * count
        self.left: list[float] = []
        x = 0.0
        for c in range(p.columns):
            x += gutter[c]
            self.left.append(x)
            x += wide[c]
        self.left.append(x + gutter[-1])
        self.wide, self.tall, self.gutter, self.channel = wide, tall, gutter, channel
        self.width = x + gutter[-1]
        self.top: list[float] = []
        y = 0.0
        self.lanes: list[Lane] = []
        starts = []
        for r in range(p.rows):
            if r in p.first:
                starts.append(y + (max(channel[r] - 34.0, channel[r] * 0.5) if r else 0.0))
            y += channel[r]
            self.top.append(y)
            y += tall[r]
        self.height = y + max(16.0, channel[p.rows] - 14)
        for k, start in enumerate(starts):
            end = starts[k + 1] if k + 1 < len(starts) else self.height
            self.lanes.append(Lane(start, end, *p.names[k], k, 20.0, start + 17))
        self.at = {
            i: Placed(cards[i], self.left[p.column[i]] + (wide[p.column[i]] - cards[i].width) / 2, self.top[p.row[i]])
            for i in p.nodes
        }
        self.boxes = [self.box(cells, within(scoped, cells)) for cells in scoped]

    def scoped_cells(self) -> list[Cells]:
        """Return the cells of each scope's box, inner ones first; a box that would hold strangers is left out."""
        p, found = self.p, []
        for path, members in sorted(self.scopes, key=lambda s: -len(s[0])):
            inside = [i for i in members if i in p.row]
            if not inside or sum(not self.graph.is_number(i) for i in members) < 2:
                continue
            left, right = min(p.column[i] for i in inside), max(p.column[i] for i in inside)
            top, bottom = min(p.row[i] for i in inside), max(p.row[i] for i in inside)
            own = set(inside)
            strangers = [
                i for (r, c), i in p.taken.items() if left <= c <= right and top <= r <= bottom and i not in own
            ]
            if not strangers:
                found.append((left, top, right, bottom, len(path), path[-1]))
        return found

    def box(self, cells: Cells, inner: Sequence[int]) -> Box:
        """Draw a scope's box around its cells; each box inside it pushes it out."""
        left, top, right, bottom, depth, name = cells
        x0 = self.left[left] - 10 - FRAME * inner[LEFT]
        x1 = self.left[right] + self.wide[right] + 10 + FRAME * inner[RIGHT]
        y0 = self.top[top] - 24 - HEADED * inner[TOP]
        y1 = self.top[bottom] + self.tall[bottom] + 10 + FRAME * inner[BOTTOM]
        return Box((x0, y0, x1, y1), name, depth)

    # -- where lines leave and enter

    def ports(self) -> None:
        """Give each end of each line its own place on the side of its card."""
        p = self.p
        self.port: dict[tuple[int, int, str], float] = {}  # (link, node, f or b): x on top or bottom, else y
        self.levels = self.straight()
        self.used: dict[tuple[int, int], list[float]] = defaultdict(list)  # heights of lines where a row meets a gutter
        self.fallen: dict[int, list[tuple[float, int, int]]] = defaultdict(list)  # in a column: x and rows of lines
        for link in p.links:
            for which in "fb" if self.back[link.k] else "f":
                if (link.k, which) in self.levels:
                    for gutter in range(p.column[link.u] + 1, p.column[link.v] + 1):
                        self.used[p.row[link.u], gutter].append(self.levels[link.k, which])
        sides: dict[tuple[int, str], list[tuple[Link, Way]]] = defaultdict(list)
        for link, w in zip(self.p.links, self.ways, strict=True):
            sides[link.u, w.leave].append((link, w))
            sides[link.v, w.enter].append((link, w))
        for (i, side), ends in sides.items():
            if side in ("top", "bottom"):
                self.middle(i, [link for link, w in ends if w.kind == "V"])
        for (i, side), ends in sides.items():
            (self.across if side in ("top", "bottom") else self.along)(i, side, ends)

    def spread(self, i: int, count: int) -> float:
        """Return how far from the middle the lines of a straight pair stand, where there are ``count`` pairs."""
        half = self.at[i].card.width / 2
        return min(11.0 if half > 50 else 8.0, 0.8 * (half - 14) / (2 * max(count, 1)))

    def middle(self, i: int, links: Sequence[Link]) -> None:
        """Put straight lines up or down into the middle of a side; both ends agree, for their cards share a middle."""
        p, placed = self.p, self.at[i]
        spread = min(self.spread(i, len(links)), *(self.spread(j, len(links)) for a in links for j in (a.u, a.v)), 99.0)
        for k, link in enumerate(links):
            centre = placed.middle + (k - (len(links) - 1) / 2) * 4 * spread
            self.port[link.k, i, "f"] = centre - (spread if self.back[link.k] else 0)
            self.port[link.k, i, "b"] = centre + spread
            if link.u == i:
                rows = min(p.row[link.u], p.row[link.v]), max(p.row[link.u], p.row[link.v])
                self.fallen[p.column[i]] += [(self.port[link.k, i, which], *rows) for which in "fb"]

    def across(self, i: int, side: str, ends: Sequence[tuple[Link, Way]]) -> None:
        """Spread lines over the top or bottom of a card: straight ones in the middle, others towards their ends."""
        p, placed = self.p, self.at[i]
        half = placed.card.width / 2
        pitch = TRACK if half > 50 else 11.0
        middle = [e for e in ends if e[1].kind == "V"]
        spread = self.spread(i, len(middle))

        def other(link: Link) -> int:
            return link.v if link.u == i else link.u

        left = sorted(
            (e for e in ends if e[1].kind != "V" and p.column[other(e[0])] < p.column[i]),
            key=lambda e: (p.column[other(e[0])], e[0].k),
        )
        right = sorted(
            (e for e in ends if e[1].kind != "V" and p.column[other(e[0])] >= p.column[i]),
            key=lambda e: (-p.column[other(e[0])], e[0].k),
        )
        core = 2 * spread * len(middle) + 6 if middle else 0.0
        for group, sign in ((left, -1.0), (right, 1.0)):
            lines = sum(1 + self.back[link.k] for link, _ in group)
            if not lines:
                continue
            room = half - 10 - core
            step = min(pitch, room / max(lines, 1))
            x = half - 14 if half > 50 else half - 11
            x = min(x, core + step * lines) if half > 90 and not middle else x
            for link, w in group:
                outer_forward = self.forward_outside(link, w, i, side, sign)
                for which in ("fb" if outer_forward else "bf") if self.back[link.k] else "f":
                    rows = (p.row[i], p.row[other(link)] if w.channel is None else w.channel - 0.5)
                    rows = math.floor(min(rows)), math.ceil(max(rows))
                    self.port[link.k, i, which] = self.clear(i, placed.middle + sign * x, *rows)
                    x -= step

    def clear(self, i: int, x: float, low: int, high: int) -> float:
        """Return the place nearest to x on a side where no other line of the column runs in these rows."""
        placed, lines = self.at[i], self.fallen[self.p.column[i]]
        near = [u for u, a, b in lines if a <= high and low <= b]
        tries = [x, *(x + sign * 1.5 * step for step in range(1, 80) for sign in (1, -1))]
        inside = [t for t in tries if placed.x + 7 <= t <= placed.rect[2] - 7]
        found = next((t for gap in (7.0, 4.0, 2.0) for t in inside if all(abs(t - u) >= gap for u in near)), x)
        lines.append((found, low, high))
        return found

    def forward_outside(self, link: Link, w: Way, i: int, side: str, sign: float) -> bool:
        """Whether the forward line is the outer one of a pair on the top or bottom of a card."""
        if w.kind == "LV":  # leaves the source vertically, towards the right
            return side == "bottom"
        if w.kind == "LH":  # enters the target vertically, from the left
            return side == "bottom"
        if w.kind == "Z":
            return (link.u == i) == (sign > 0)
        return sign > 0

    def straight(self) -> dict[tuple[int, str], float]:
        """Return the height of each straight line: it leaves the right block of one card and meets the other card."""
        found: dict[tuple[int, str], float] = {}
        twins: dict[tuple[int, int], int] = defaultdict(int)
        for link, w in zip(self.p.links, self.ways, strict=True):
            if w.kind != "H":
                continue
            u, v = self.at[link.u], self.at[link.v]
            twin = twins[link.u, link.v]
            twins[link.u, link.v] += 1
            small = (u if u.card.height <= v.card.height else v).card
            ranges = {"f": (u, u.card.value, v, v.card.value), "b": (v, v.card.grad, u, u.card.grad)}
            for which, (mine, block, other, theirs) in ranges.items():
                low, high = max(u.y, v.y) + 7, min(u.rect[3], v.rect[3]) - 7
                both = max(mine.y + block[0], other.y + theirs[0]), min(mine.y + block[1], other.y + theirs[1])
                y = sum(both) / 2 if both[0] <= both[1] else mine.y + sum(block) / 2
                found[link.k, which] = min(max(y + 6 * twin, low), high)
            if found[link.k, "f"] > found[link.k, "b"] - 8:  # one card ends before the other's gradient begins
                found[link.k, "f"], found[link.k, "b"] = (
                    u.y + sum(block) / 2 + 6 * twin for block in (small.value, small.grad)
                )
        return found

    def along(self, i: int, side: str, ends: Sequence[tuple[Link, Way]]) -> None:
        """Spread lines over the left or right side, each at the height of its block, away from other lines."""
        p, placed = self.p, self.at[i]
        card = placed.card
        low, high = placed.y + 8, placed.rect[3] - 8
        for which, block in (("f", card.value), ("b", card.grad)):
            for link, w in sorted(ends, key=lambda e: e[0].k):
                if w.kind == "H":
                    self.port[link.k, i, which] = self.levels[link.k, which]
                elif which == "f" or self.back[link.k]:
                    other = link.v if link.u == i else link.u
                    down = 1 if p.row[other] >= p.row[i] else -1
                    base = placed.y + sum(block) / 2
                    tries = [base, *(base + sign * step * 1.5 for step in range(1, 90) for sign in (down, -down))]
                    inside = [t for t in tries if low <= t <= high]
                    gutters = self.crossed(link, w, i, side)
                    used = [u for g in gutters for u in self.used[p.row[i], g]]
                    free = (t for gap in (9.0, 6.0, 4.0, 2.0) for t in inside if all(abs(t - u) >= gap for u in used))
                    y = self.port[link.k, i, which] = next(free, base)
                    for g in gutters:
                        self.used[p.row[i], g].append(y)

    def crossed(self, link: Link, w: Way, i: int, side: str) -> range:
        """Return the gutters that the level part of a line crosses, next to one of its cards."""
        cu, cv = self.p.column[link.u], self.p.column[link.v]
        if w.kind in ("LV", "LH"):
            return range(cu + 1, cv + 1)
        turn = w.gutters[0] if i == link.u else w.gutters[-1]
        if i == link.u:
            return range(cu + 1, turn + 1)
        return range(turn, turn + 1) if side == "right" else range(turn, cv + 1)

    # -- lines

    def route(self, link: Link, w: Way) -> Route:
        """Draw the lines of an edge."""
        forward = self.line(link, w, "f") if self.show != "backward" or not self.back[link.k] else ()
        backward = tuple(reversed(self.line(link, w, "b"))) if self.back[link.k] else ()
        return Route(link, w, forward, backward)

    def line(self, link: Link, w: Way, which: str) -> tuple[Point, ...]:
        """Return the corners of one line, from source to target."""
        u, v = self.at[link.u], self.at[link.v]
        a, b = self.port[link.k, link.u, which], self.port[link.k, link.v, which]
        start = {"right": u.rect[2], "top": u.y, "bottom": u.rect[3]}[w.leave]
        end = {"left": v.x, "right": v.rect[2], "top": v.y, "bottom": v.rect[3]}[w.enter]
        if w.kind == "H":
            return (start, a), (end, b)
        if w.kind == "V":
            return (a, start), (a, end)
        if w.kind == "LV":
            return (a, start), (a, b), (end, b)
        if w.kind == "LH":
            return (start, a), (b, a), (b, end)
        if w.kind == "G":
            x = self.gutter_x(w.gutters[0], link, which)
            return (start, a), (x, a), (x, b), (end, b)
        y = self.channel_y(w.channel or 0, link, which)
        if w.kind == "Z":
            return (a, start), (a, y), (b, y), (b, end)
        x, z = self.gutter_x(w.gutters[0], link, which), self.gutter_x(w.gutters[1], link, which)
        return (start, a), (x, a), (x, y), (z, y), (z, b), (end, b)

    def gutter_x(self, g: int, link: Link, which: str) -> float:
        """Return where a line runs in a gutter."""
        right = self.left[g] if g < self.p.columns else self.width
        x = (
            right
            - self.gutter[g]
            + 11
            + PAIR * self.track["g", g, link.k]
            + (self.gutter[g] - 22 - PAIR * self.count["g", g]) / 2
        )
        down = self.p.row[link.v] >= self.p.row[link.u]
        same = self.p.column[link.u] == self.p.column[link.v]
        forward_right = down != same
        return x + TRACK * (0.5 + ((which == "f") == forward_right)) if self.back[link.k] else x + TRACK

    def channel_y(self, r: int, link: Link, which: str) -> float:
        """Return where a line runs in a channel."""
        bottom = self.top[r] if r < self.p.rows else self.height
        y = bottom - self.channel[r] / 2 - PAIR * self.count["c", r] / 2 + PAIR * self.track["c", r, link.k]
        return y + TRACK * (0.5 + (which == "b"))

    # -- chips

    def name_lanes(self, routes: Sequence[Route]) -> None:
        """Write the name of each lane at the left, or as far to the right as lines ask."""
        lines = Index([p.rect for p in self.at.values()])
        for r in routes:
            for points in (r.forward, r.backward):
                for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                    lines.add((min(x0, x1) - 3, min(y0, y1) - 1, max(x0, x1) + 3, max(y0, y1) + 1))
        for box in self.boxes:
            x0, y0, x1, y1 = box.rect
            for border in (
                (x0, y0, x0 + 30 + 7.0 * len(box.name), y0 + 20),
                (x0, y0, x0, y1),
                (x1, y0, x1, y1),
                (x0, y1, x1, y1),
            ):
                lines.add(grown(border, 2))
        for k, lane in enumerate(self.lanes):
            shifts = [20.0 + 12 * n for n in range(int(self.width // 12))]
            brief = lane._replace(words="" if lane.name else re.split(" by | for ", lane.words)[0])
            tries = [
                place
                for named in (lane, brief)
                for place in (named, named._replace(y=lane.bottom - 9), *(named._replace(x=x) for x in shifts))
            ]
            fits = (t for t in tries if t.title[2] < self.width - 12 and not lines.hits(t.title))
            self.lanes[k] = next(fits, brief)

    def chips(self, routes: Sequence[Route]) -> list[Chip]:
        """Put each label on its line where it covers no card, no other label and if possible no other line."""
        cards = Index([p.rect for p in self.at.values()])
        chips, lines = Index([]), Index([])
        owner: list[tuple[int, str]] = []
        for lane in self.lanes:
            chips.add(lane.title)
        for box in self.boxes:
            chips.add((box.rect[0] + 4, box.rect[1] + 2, box.rect[0] + 24 + 7.0 * len(box.name), box.rect[1] + 18))
        for r in routes:
            for ink, points in (("value", r.forward), ("grad", r.backward)):
                for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                    lines.add((min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
                    owner.append((r.link.k, ink))
        found = []
        for ink in ("grad", "value"):
            for r in sorted(routes, key=lambda r: (r.way.kind != "H", r.link.k)):
                runs = self.labels.get((r.link.k, ink))
                points = r.backward if ink == "grad" else r.forward
                if not runs or not points:
                    continue
                best: tuple[float, Rect] | None = None
                for cost, rect in places(points, chip_width(runs), ink):
                    if (
                        rect[0] < 12
                        or rect[1] < 2
                        or rect[3] > self.height - 2
                        or cards.hits(grown(rect, 2))
                        or chips.hits(grown(rect, 1.5))
                    ):
                        continue
                    crossed = sum(owner[k] != (r.link.k, ink) for k in lines.hits(rect))
                    if best is None or cost + 10 * crossed < best[0]:
                        best = cost + 10 * crossed, rect
                    if best[0] <= cost:
                        break
                if best:
                    chips.add(best[1])
                    found.append(Chip(best[1], runs, ink, (r.link.edge.source, r.link.v)))
        return found
