"""Where everything stands: lanes by batch axis, columns by depth, and edges that never run through a card.

Pure geometry, in two steps. A *plan* gives each node a cell in a grid (lane and row, column) and each edge a
way along cells that are free. The *layout* then gives columns, rows, gutters and channels the room that
cards, tracks and chips need, so that what the plan keeps apart cannot meet on paper.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tinygraph.graph import Edge, Graph, Node
from tinygraph.render.cards import (
    CIRCLED,
    Card,
    axes_of,
    axes_words,
    card_of,
    local,
    parts_of,
    shape_text,
    stub_card,
    usual_dtype,
)
from tinygraph.render.math import SPACE, Runs, clip_runs, joined, text_of, width_of, words

__all__ = ["Box", "Chip", "Lane", "Layout", "Placed", "Plan", "Route", "batch_axes", "lay_out", "plan"]

Point = tuple[float, float]
Rect = tuple[float, float, float, float]
TRACK = 13.0  # between two lines that run side by side
PAIR = 2 * TRACK
MARGIN = 14.0
TIERS, FITS = 8, 0.85  # most tiers that are tried; a picture that fits its page as well as this is not broken
CHIP, CHIP_SIZE = 16.0, 9.5  # height of a chip, and its font size


# ------------------------------------------------------------------------------------------------- the batch axis


def batch_axes(graph: Graph) -> list[frozenset[int]]:
    """Return, for each node, which of its axes carry the batch.

    The batch axis is the first axis of the inputs; it is followed through every op by what the op does to
    axes. Parameters and constants do not carry it on; a constant that meets it element by element (labels,
    weights of examples) has it too.
    """
    sources = batch_sources(graph)
    carried: list[frozenset[int]] = []
    for node in graph.nodes:
        if node.op is None and node.kind != "scope":
            carried.append(frozenset({0} if node.id in sources else ()))
        else:
            operands = [(carried[e.source], graph.nodes[e.source].shape) for e in node.inputs]
            carried.append(through(node, operands))
    for node in reversed(graph.nodes):
        axes, shape = carried[node.id], node.shape
        if "," in (node.op or ""):  # several steps in one: its operands met before the last of them
            met = [(carried[e.source], graph.nodes[e.source].shape) for e in node.inputs if carried[e.source]]
            axes, shape = max(met, key=lambda a: len(a[1]), default=(axes, shape))
        elif node.family != "elementwise":
            continue
        for e in node.inputs if axes else ():
            small = graph.nodes[e.source]
            lead = len(shape) - len(small.shape)
            full = frozenset(a - lead for a in axes if a >= lead and small.shape[a - lead] == shape[a] > 1)
            if not carried[e.source] and full and small.kind != "parameter":
                carried[e.source] = full
    return carried


def batch_sources(graph: Graph) -> set[int]:
    """Return the leaves whose first axis is the batch: inputs of the highest rank; if there are none, constants."""
    for kind in ("input", "constant"):
        leaves = [n for n in graph.nodes if n.kind == kind and n.op is None and len(n.shape) >= 2]
        if kind == "constant":
            fed = {e.source for n in graph.nodes for e in n.inputs if n.family in ("linear", "window", "elementwise")}
            leaves = [n for n in leaves if n.id in fed and math.prod(n.shape) > 1][:1]
        if leaves:
            rank = max(len(n.shape) for n in leaves)
            length = next(n.shape[0] for n in leaves if len(n.shape) == rank)
            return {n.id for n in leaves if n.shape[0] == length}
    return set()


def through(node: Node, operands: Sequence[tuple[frozenset[int], tuple[int, ...]]]) -> frozenset[int]:
    """Follow the axes that carry the batch through one op."""
    params = dict(node.params)
    rank = len(node.shape)
    if not any(axes for axes, _ in operands):
        return frozenset()
    axes, shape = next((a, s) for a, s in operands if a)
    if node.family == "elementwise" or node.op == "broadcast_to":
        return frozenset(
            a + rank - len(s) for carried, s in operands for a in carried if node.shape[a + rank - len(s)] == s[a]
        )
    if node.family == "reduction":
        gone = set(axes_of(params, len(shape)))
        kept = [a for a in range(len(shape)) if params.get("keepdims") or a not in gone]
        return frozenset(k for k, a in enumerate(kept) if a in axes and a not in gone)
    if node.op == "transpose":
        order = params.get("axes")
        order = order.get("tuple") if isinstance(order, dict) else order
        order = [a % rank for a in order] if order else list(range(rank))[::-1]
        return frozenset(k for k, a in enumerate(order) if a in axes)
    if node.op == "reshape":
        return frozenset(k for a in axes if (k := reshaped(a, shape, node.shape)) is not None)
    if node.op == "matmul" and len(operands) == 2:
        return multiplied(node.shape, operands)
    if node.op == "contract":
        left, _, right = str(params.get("subscripts", "")).replace(" ", "").partition("->")
        found = {
            t[a] for t, (carried, _) in zip(left.split(","), operands, strict=False) for a in carried if a < len(t)
        }
        if "." not in left and right:
            return frozenset(k for k, c in enumerate(right) if c in found)
    if node.op == "index":
        return indexed(params.get("key"), axes, len(shape))
    by_place = frozenset(a for a in axes if a < rank and node.shape[a] == shape[a])
    if by_place:
        return by_place
    lengths = {shape[a] for a in axes}
    return frozenset([k for k, n in enumerate(node.shape) if n in lengths and n > 1][:1])


def reshaped(axis: int, old: Sequence[int], new: Sequence[int]) -> int | None:
    """Return the axis that holds, after a reshape, what was in ``axis``; the slowest, if it was split."""
    low = math.prod(old[axis + 1 :])
    high = low * old[axis]
    for k, n in enumerate(new):
        start = math.prod(new[k + 1 :])
        if n > 1 and start < high and low < start * n:
            return k
    return None


def multiplied(shape: Sequence[int], operands: Sequence[tuple[frozenset[int], tuple[int, ...]]]) -> frozenset[int]:
    """Follow the batch through a matrix product: the summed axes are gone."""
    (ax, sx), (ay, sy) = operands
    rank = len(shape)
    found = set()
    for a in ax:
        from_end = len(sx) - a
        if len(sx) > 1 and from_end >= 2:
            found.add(rank - from_end + (len(sy) == 1))
    for a in ay:
        from_end = len(sy) - a
        if len(sy) > 1 and from_end != 2:
            found.add(rank - from_end + (len(sx) == 1) * (from_end > 2))
    return frozenset(a for a in found if 0 <= a < rank and shape[a] > 1)


def indexed(key: Any, axes: frozenset[int], rank: int) -> frozenset[int]:
    """Follow the batch through an index: an integer takes an axis away, arrays of integers leave one."""
    keys: list[Any] = key["tuple"] if isinstance(key, dict) and "tuple" in key else [key]
    used = sum(not (k is None or (isinstance(k, dict) and "ellipsis" in k)) for k in keys)
    found, out, axis, fancy = set(), 0, 0, None
    for k in keys:
        if k is None:
            out += 1
        elif isinstance(k, dict) and "ellipsis" in k:
            for _ in range(rank - used):
                found |= {out} if axis in axes else set()
                out, axis = out + 1, axis + 1
        elif isinstance(k, bool | int):
            axis += 1
        elif isinstance(k, dict) and "slice" in k:
            found |= {out} if axis in axes else set()
            out, axis = out + 1, axis + 1
        else:
            if fancy is None:
                fancy, out = out, out + 1
            found |= {fancy} if axis in axes else set()
            axis += 1
    for a in range(axis, rank):
        found |= {out + a - axis} if a in axes else set()
    return frozenset(found)


# ------------------------------------------------------------------------------------------------------- the plan


class Link(NamedTuple):
    """An edge of the drawing, number ``k``, from node ``u`` to node ``v``; ``back`` if a gradient came along it.

    Where a picture is broken into tiers, one end of it may be a stub; the edge is that of the graph.
    """

    k: int
    u: int
    v: int
    edge: Edge
    back: bool


@dataclasses.dataclass(frozen=True)
class Plan:
    """Cells: each drawn node's lane, row in the whole picture, and column; and the lanes' names and first rows."""

    nodes: tuple[int, ...]
    lane: dict[int, int]
    row: dict[int, int]
    column: dict[int, int]
    names: tuple[tuple[str, str], ...]
    first: tuple[int, ...]
    rows: int
    columns: int
    links: tuple[Link, ...]

    @functools.cached_property
    def taken(self) -> dict[tuple[int, int], int]:
        """Return the node in each cell (row, column) that has one."""
        return {(self.row[i], self.column[i]): i for i in self.nodes}

    def free(self, rows: Iterable[int], columns: Iterable[int]) -> bool:
        """Whether no card stands in these cells."""
        columns = list(columns)
        return not any((r, c) in self.taken for r in rows for c in columns)


def kinds_of(graph: Graph) -> list[tuple[int, str]]:
    """Return, for each node, the kind of its lane, ordered from top to bottom, and what that lane is called."""
    carried = batch_axes(graph)
    scalar = [math.prod(n.shape) == 1 for n in graph.nodes]
    if any(carried):
        found = [0 if carried[n.id] else 2 if scalar[n.id] else 1 for n in graph.nodes]
        titles = {0: "one row for each example", 1: "shared by all examples", 2: "one scalar"}
        return [(kind, titles[kind]) for kind in found]
    ranks = [0 if scalar[n.id] else max(len(n.shape), 1) for n in graph.nodes]
    return [(99 - r, f"{r} ax{'is' if r == 1 else 'es'}" if r else "one scalar") for r in ranks]


def lanes_of(
    graph: Graph, nodes: Sequence[int], kinds: Sequence[tuple[int, str]]
) -> tuple[dict[int, int], tuple[tuple[str, str], ...]]:
    """Return each node's lane, and what the lanes are called: (shape, words)."""
    used = sorted({kinds[i] for i in nodes})
    names = []
    for kind, title in used:
        shapes = {graph.nodes[i].shape for i in nodes if kinds[i][0] == kind}
        first = {s[0] for s in shapes if s}
        name = shape_text(next(iter(shapes))) if len(shapes) == 1 else ""
        if title == "one scalar":
            name = "( )"
        elif not name and kind == 0 and len(first) == 1:
            name = f"({next(iter(first))}, …)"
        names.append((name, title))
    place = {kind: k for k, kind in enumerate(used)}
    return {i: place[kinds[i]] for i in nodes}, tuple(names)


def columns_of(
    graph: Graph, nodes: Sequence[int], links: Sequence[Link], level: dict[int, tuple[int, int]]
) -> dict[int, float]:
    """Return each node's column: its depth, where what is copied up stands under what it is copied into.

    ``level`` is the (lane, row) of each node as far as known. A fraction is a column of its own between two.
    """
    into, out = defaultdict(list), defaultdict(list)
    for link in links:
        into[link.v].append(link.u)
        out[link.u].append(link.v)
    leaf = {i: graph.nodes[i].op is None and graph.nodes[i].kind not in ("scope", "stub") for i in nodes}
    start = {
        i
        for i in nodes
        if leaf[i] and graph.nodes[i].kind == "input" and not any(level[i][0] > level[w][0] for w in out[i])
    }
    column: dict[int, float] = dict.fromkeys(start, 0.0)
    below: dict[int, int] = {}  # what stands under a node, in its column
    claimed: set[int] = set()
    extra: dict[int, list[int]] = defaultdict(list)
    slotted: set[tuple[int, float]] = set()  # where a node has a line straight down to a lower lane
    for v in nodes:
        if leaf[v]:
            continue
        under = [u for u in dict.fromkeys(into[v]) if level[u] > level[v]]
        makers = [u for u in under if not leaf[u] and u not in claimed]
        if makers:
            below[v] = makers[-1]
            claimed.add(makers[-1])
        given = [u for u in dict.fromkeys(into[v]) if leaf[u] and u not in column and out[u][0] == v]
        if given and v not in below:
            below[v] = given[-1]
        extra[v] = [u for u in given if below.get(v) != u]
        at = 0.0
        for u in into[v]:
            if u not in column:
                continue
            step = 1.0
            if level[u] > level[v] and below.get(v) == u:
                step = 0.0
            elif level[u] < level[v] and level[u][0] < level[v][0] and len(set(out[u])) == 1 and u not in below:
                step = 0.0
                below[u] = v
            at = max(at, column[u] + step)
        while (level[v][0], at) in slotted:
            at += 1
        if v in below and below[v] in into[v] and level[below[v]][0] > level[v][0]:
            slotted.add((level[v][0], at))
        column[v] = at
    last = max(column.values(), default=0.0) + 1
    column |= {v: last for v in nodes if graph.nodes[v].kind == "stub" and into[v]}
    for v, u in reversed(below.items()):
        if u in claimed and column[u] < column[v] and all(column[v] <= column[w] for w in out[u]):
            column[u] = column[v]
        if leaf[u]:
            column[u] = column[v]
    for i in start:
        if out[i]:
            column[i] = max(0.0, min(column[w] - (level[w][0] <= level[i][0]) for w in out[i]))
    taken = {(level[i][0], column[i]) for i in column}
    for v in sorted(extra, key=lambda v: (column[v], v)):
        for k, u in enumerate(reversed(extra[v])):
            at = column[v] - 1
            if k or at < 0 or (level[u][0], at) in taken or level[u][0] == level[v][0]:
                at = column[v] - 0.5 - 0.01 * k
            column[u] = at
            taken.add((level[u][0], at))
    for i in nodes:
        column.setdefault(i, min((column[w] for w in out[i] if w in column), default=0.0))
    return column


def rows_of(
    graph: Graph, nodes: Sequence[int], links: Sequence[Link], lane: dict[int, int], column: dict[int, int]
) -> dict[int, int]:
    """Return each node's row in its lane: an edge keeps its source's row free up to its target, others go below."""
    same = defaultdict(list)
    into = defaultdict(list)
    for link in links:
        if lane[link.u] == lane[link.v]:
            same[link.u].append(link.v)
            into[link.v].append(link.u)
    kept: dict[tuple[int, int, int], int] = {}  # (lane, row, column): the node that may stand there, or -1
    claims: dict[int, int] = {}
    row: dict[int, int] = {}
    order = {i: k for k, i in enumerate(nodes)}
    hangs = {i: graph.nodes[i].op is None and graph.nodes[i].kind in ("parameter", "constant") for i in nodes}
    for v in sorted(nodes, key=lambda i: (column[i], hangs[i], order[i])):
        here, at = lane[v], column[v]
        if v in claims:
            r = claims[v]
        else:
            above = [row[w] for w in same[v] if w in row and column[w] == at]
            r = max(above) + 1 if above else 0
            while kept.get((here, r, at), v) != v:
                r += 1
        row[v] = r
        kept[here, r, at] = v
        ahead = [w for w in same[v] if column[w] > at]
        if ahead:
            most = max(column[w] for w in ahead)
            ties = [w for w in ahead if column[w] == most]
            far = next(w for w in ties if not any(w in into[t] for t in ties))
            for c in range(at + 1, column[far]):
                kept.setdefault((here, r, c), -1)
            if far not in claims or claims[far] > r:
                if (here, r, column[far]) not in kept:
                    claims[far] = r
                    kept[here, r, column[far]] = far
            else:
                kept.setdefault((here, r, column[far]), far)
    return row


def links_of(graph: Graph) -> tuple[list[int], list[Link]]:
    """Return the nodes that are drawn and the edges between them."""
    nodes = [n.id for n in graph.nodes if not graph.is_number(n.id) or n.id in graph.outputs]
    shown = set(nodes)
    edges = [(e, v) for v in nodes for e in graph.nodes[v].inputs if e.source in shown]
    return nodes, [Link(k, e.source, v, e, e.grad is not None) for k, (e, v) in enumerate(edges)]


def plan(graph: Graph, nodes: Sequence[int], links: Sequence[Link], kinds: Sequence[tuple[int, str]]) -> Plan:
    """Give every node a cell; ``nodes`` are in topological order."""
    lane, names = lanes_of(graph, nodes, kinds)
    column = ranked(columns_of(graph, nodes, links, {i: (lane[i], 0) for i in nodes}))
    row = rows_of(graph, nodes, links, lane, column)
    # Rows that hang below an edge are like lanes: what is used above may stand under its consumer there, too.
    again = ranked(columns_of(graph, nodes, links, {i: (lane[i], row[i]) for i in nodes}))
    if max(again.values(), default=0) < max(column.values(), default=0):
        second = rows_of(graph, nodes, links, lane, again)
        fits = all(again[a.u] < again[a.v] or (lane[a.u], second[a.u]) != (lane[a.v], second[a.v]) for a in links)
        if fits and max(second.values()) <= max(row.values()):
            column, row = again, second
    first, count = [], 0
    for k in range(len(names)):
        first.append(count)
        count += 1 + max(row[i] for i in nodes if lane[i] == k)
    whole = {i: first[lane[i]] + row[i] for i in nodes}
    width = 1 + max(column.values(), default=0)
    return Plan(tuple(nodes), lane, whole, column, names, tuple(first), count, width, tuple(links))


def ranked(column: dict[int, float]) -> dict[int, int]:
    """Number the columns 0, 1, 2, …"""
    place = {c: k for k, c in enumerate(sorted(set(column.values())))}
    return {i: place[c] for i, c in column.items()}


# ------------------------------------------------------------------------------------------------------------ ways


class Way(NamedTuple):
    """How an edge goes: the sides of the cards it leaves and enters, and the gutters and channels in between.

    Gutter g is left of column g, channel r above row r. ``kind`` says which of them are used, in order.
    """

    kind: str
    leave: str
    enter: str
    gutters: tuple[int, ...] = ()
    channel: int | None = None


def way(p: Plan, link: Link) -> Way:
    """Choose the plainest way between two cells that meets no card."""
    ru, cu, rv, cv = p.row[link.u], p.column[link.u], p.row[link.v], p.column[link.v]
    down = rv > ru
    between = range(min(ru, rv) + 1, max(ru, rv))
    if cv > cu and ru == rv and p.free([ru], range(cu + 1, cv)):
        return Way("H", "right", "left")
    if cu == cv and p.free(between, [cu]):
        return Way("V", "bottom" if down else "top", "top" if down else "bottom")
    if cv > cu and ru != rv:
        onward = range(ru + 1, rv + 1) if down else range(rv, ru)
        back = range(ru, rv) if down else range(rv + 1, ru + 1)
        if p.free(onward, [cu]) and p.free([rv], range(cu, cv)):
            return Way("LV", "bottom" if down else "top", "left")
        if p.free(back, [cv]) and p.free([ru], range(cu + 1, cv + 1)):
            return Way("LH", "right", "top" if down else "bottom")
        if cv == cu + 1 or p.free([ru], range(cu + 1, cv)):
            return Way("G", "right", "left", (cv,))
        if p.free([rv], range(cu + 1, cv)):
            return Way("G", "right", "left", (cu + 1,))
        leave, enter = ("bottom", "top") if down else ("top", "bottom")
        if p.free(between, [cu]):
            return Way("Z", leave, enter, (), rv if down else rv + 1)
        if p.free(between, [cv]):
            return Way("Z", leave, enter, (), ru + 1 if down else ru)
    if cu == cv:
        return Way("G", "right", "right", (cu + 1,))
    channel = rv if down else rv + 1
    return Way("GG", "right", "left", (cu + 1, cv), channel)


# ------------------------------------------------------------------------------------------------------ the layout


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
        for share in (0.8, 0.65, 0.5, 0.35, 0.2, 0.0):
            if best.width > most:
                found = tiered(graph, whole, filled(whole, share * most), links, kinds)
                best = found if found.width < best.width else best
        return best
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
    options = whole.detail, whole.show, whole.chipped, whole.scopes, whole.badges
    parts = broken(graph, whole.p.nodes, links, kinds, tiers)
    return stacked([Drawing(part.graph, plan(*part), *options).layout() for part in parts])


def filled(whole: Drawing, room: float) -> dict[int, int]:
    """Return the tier of each node, where a tier takes as many columns as there is room for."""
    p, tier, start = whole.p, 0, 0
    of: list[int] = []
    for c in range(p.columns):
        if c > start and whole.left[c] + whole.wide[c] - whole.left[start] > room:
            tier, start = tier + 1, c
        of.append(tier)
    return {i: of[p.column[i]] for i in p.nodes}


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


def broken(
    graph: Graph, nodes: Sequence[int], links: Sequence[Link], kinds: Sequence[tuple[int, str]], tiers: dict[int, int]
) -> Iterable[Tier]:
    """Cut a picture into tiers; a value that is used in a later one ends in a stub and begins there from another."""
    for n in range(1 + max(tiers.values())):
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
        yield Tier(Graph((*graph.nodes, *stubs), graph.outputs, graph.notes), mine, found, [*kinds, *more])


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
    """Make a stub as tall as the card that it stands beside, so that its lines are straight."""
    for link, w in zip(p.links, ways, strict=True):
        for stub, other in ((link.u, link.v), (link.v, link.u)):
            if w.kind == "H" and cards[stub].kind == "stub" and cards[other].kind != "stub":
                cards[stub] = stub_card(cards[stub], cards[other])
    return cards


def chip_labels(graph: Graph, p: Plan, show: str) -> dict[tuple[int, str], Runs]:
    """Return what is written on edges: going back the local derivative and its reduction, going up the copy."""
    found: dict[tuple[int, str], Runs] = {}
    for link in p.links:
        node, source = graph.nodes[link.v], graph.nodes[link.edge.source]
        if node.kind in ("scope", "stub"):
            continue
        copied = graph.copied_axes(link.v, link.edge)
        crossed = p.lane[link.u] - p.lane[link.v]
        if show != "backward" and crossed > 0 and copied:
            found[link.k, "value"] = words(f"copy ×{link.edge.copies} ↑")
        if show != "backward" and crossed < 0 and node.family == "reduction" and "," not in (node.op or ""):
            over = axes_words(axes_of(dict(node.params), len(source.shape)), len(source.shape))
            found[link.k, "value"] = words(f"{node.op} over {over} ↓")
        if show == "forward" or not link.back or not link.edge.partial:
            continue
        number = [e for _, e in parts_of(graph, link.edge.source)]
        mark = (
            f"{CIRCLED[place]}{SPACE}"
            if 1 < len(number) <= len(CIRCLED) and (place := index_of(number, link.edge)) >= 0
            else ""
        )
        arrow = f"{SPACE}↓" if crossed > 0 else f"{SPACE}↑" if crossed < 0 else ""
        found[link.k, "grad"] = clip_runs(
            joined((*words(mark), *factor(graph, link, copied), *words(arrow))), CHIP_SIZE, 210
        )
    return found


def index_of(edges: Sequence[Edge], edge: Edge) -> int:
    """Return the place of this very edge."""
    return next((k for k, e in enumerate(edges) if e is edge), -1)


def factor(graph: Graph, link: Link, copied: Sequence[int]) -> Runs:
    """Write what a gradient is multiplied by on an edge, and over what it is then summed."""
    node, source = graph.nodes[link.v], graph.nodes[link.edge.source]
    runs = local(graph, link.v, link.edge)
    text = text_of(runs).strip()
    spread = node.family == "reduction" and "," not in (node.op or "")
    copies = math.prod(source.shape) // max(math.prod(node.shape), 1)
    if copied:
        total = words(f"Σ {axes_words(copied, len(node.shape))}")
        if text == "1":
            return total
        if text == "−1":
            return joined((*words("−"), *total))
        return joined((*total, *words(" (· "), *runs, *words(")")))
    if spread and copies > 1 and text == "1":
        return words(f"copy ×{copies}")
    if spread and copies > 1 and text == f"1/{copies}":
        return words(f"÷ {copies}, copy ×{copies}")
    if text.startswith(("·", "∗")) or text.endswith(("·", "⋆")) or node.family == "shape":
        return runs if text != "1" else words(f"{node.op} back")
    if text.startswith("1/"):
        return joined((*words("÷ "), *without(runs, 2)))
    if summed_up(runs):
        runs = (*words("("), *runs, *words(")"))
    return joined((*words("× "), *runs))


def summed_up(runs: Runs) -> bool:
    """Whether a formula is a sum at its outermost: a factor needs brackets around it."""
    line = "".join(run.text for run in runs if not run.rise)
    while (inner := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", line)) != line:
        line = inner
    return bool(re.search(rf"{SPACE}[−+]{SPACE}", line))


def without(runs: Runs, count: int) -> Runs:
    """Drop the first characters."""
    out = []
    for run in runs:
        cut = min(count, len(run.text))
        count -= cut
        out.append(run._replace(text=run.text[cut:]))
    return tuple(run for run in out if run.text)


def chip_width(runs: Runs) -> float:
    """Return how wide a chip is."""
    return width_of(runs, CHIP_SIZE) + 10


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
        for left, top, right, bottom, _, _ in scoped:
            gutter[left] += 9.0
            gutter[right + 1] += 9.0
            channel[top] += 21.0
            channel[bottom + 1] += 9.0
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
        self.boxes = [self.box(cells) for cells in scoped]

    def scoped_cells(self) -> list[tuple[int, int, int, int, int, str]]:
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

    def box(self, cells: tuple[int, int, int, int, int, str]) -> Box:
        """Draw a scope's box around its cells; each box inside it pushes it out."""
        left, top, right, bottom, depth, name = cells
        inner = [
            c
            for c in self.scoped_cells()
            if c[4] > depth and left <= c[0] and c[2] <= right and top <= c[1] and c[3] <= bottom
        ]

        def deep(side: int, edge: int) -> int:
            return len({c[4] for c in inner if c[side] == edge})

        x0 = self.left[left] - 10 - 9 * deep(0, left)
        x1 = self.left[right] + self.wide[right] + 10 + 9 * deep(2, right)
        y0 = self.top[top] - 24 - 21 * deep(1, top)
        y1 = self.top[bottom] + self.tall[bottom] + 10 + 9 * deep(3, bottom)
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
            tries = [lane, lane._replace(y=lane.bottom - 9), *(lane._replace(x=x) for x in shifts)]
            fits = (t for t in tries if t.title[2] < self.width - 12 and not lines.hits(t.title))
            self.lanes[k] = next(fits, lane)

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


def places(points: Sequence[Point], w: float, ink: str) -> Iterable[tuple[float, Rect]]:
    """Yield where a label could go along a line, best first: (cost, rectangle)."""
    options = []
    segments = list(zip(points, points[1:], strict=False))
    lengths = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in segments]
    longest = max(lengths)
    for (a, b), length in zip(segments, lengths, strict=True):
        flat = a[1] == b[1]
        shorter = 3.0 * (1 - length / longest)
        for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85):
            x, y = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
            off = abs(share - 0.5) * 4 + shorter
            if flat:
                inside = 0.0 if w + 8 <= length else 2.0
                for dy, cost in ((CHIP / 2 + 3, 0.0), (-CHIP / 2 - 3, 0.3), (0.0, 0.8)):
                    options.append((off + cost + inside, (x - w / 2, y + dy - CHIP / 2, x + w / 2, y + dy + CHIP / 2)))
            else:
                sign = 1.0 if ink == "grad" else -1.0
                for dx, cost in (
                    (sign * (w / 2 - 9), 0.0),
                    (0.0, 0.5),
                    (-sign * (w / 2 - 9), 0.9),
                    (sign * (w / 2 + 3), 1.0),
                    (-sign * (w / 2 + 3), 1.2),
                ):
                    options.append((off + cost, (x + dx - w / 2, y - CHIP / 2, x + dx + w / 2, y + CHIP / 2)))
    return sorted(options)


def grown(rect: Rect, by: float) -> Rect:
    """Return a rectangle that is larger on each side."""
    return rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by


class Index:
    """Rectangles in buckets, so that asking which of them meet another one is quick."""

    SIZE = 120.0

    def __init__(self, rects: Iterable[Rect]) -> None:
        self.rects: list[Rect] = []
        self.buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        for rect in rects:
            self.add(rect)

    def cells(self, rect: Rect) -> Iterable[tuple[int, int]]:
        """Return the buckets that a rectangle lies in."""
        x0, y0, x1, y1 = (int(v // self.SIZE) for v in rect)
        return ((x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1))

    def add(self, rect: Rect) -> None:
        """Take in one more."""
        for cell in self.cells(rect):
            self.buckets[cell].append(len(self.rects))
        self.rects.append(rect)

    def hits(self, rect: Rect) -> list[int]:
        """Return which rectangles meet this one."""
        near = dict.fromkeys(k for cell in self.cells(rect) for k in self.buckets.get(cell, ()))
        return [k for k in near if meets(self.rects[k], rect)]


def meets(a: Rect, b: Rect) -> bool:
    """Whether two rectangles have more than an edge in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
