"""A cell for each node and a way for each edge, in a grid that has no sizes yet.

A node's row lies in the lane of its kind (one row for each example, shared by all, scalar); its column is its
depth. An edge takes the simplest way along cells that are free, so that it cannot run through a card.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.order import order_rows
from tinygraph.drawing.style.conventions import shape_text
from tinygraph.graph.batch import with_batch
from tinygraph.graph.data import Edge, Graph, Node

__all__ = ["CellPlan", "Link", "Way", "choose_way", "lane_kinds", "links_of", "plan_cells", "shade_of"]


STACK = 4  # more leaves of one op than so many stand below each other, so many in a column


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
class CellPlan:
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


def lane_kinds(graph: Graph) -> list[tuple[int, str]]:
    """Return, for each node, the kind of its lane, ordered from top to bottom, and what that lane is called."""
    carried = [n.batch for n in with_batch(graph).nodes]
    scalar = [math.prod(n.shape) == 1 for n in graph.nodes]
    if any(carried):
        found = [0 if carried[n.id] else 2 if scalar[n.id] else 1 for n in graph.nodes]
        firsts = {axes[0] for axes in carried if axes}
        what = "row" if 0 in firsts else "column" if firsts == {1} else "slice"
        titles = {0: f"one {what} for each example", 1: "shared by all examples", 2: "one scalar"}
        return [(kind, titles[kind]) for kind in found]
    ranks = [0 if scalar[n.id] else max(len(n.shape), 1) for n in graph.nodes]
    return [(99 - r, f"{r} ax{'is' if r == 1 else 'es'}" if r else "one scalar") for r in ranks]


def shade_of(title: str) -> int:
    """Return how dark a lane is, by what it holds: the same in every row of a picture.

    >>> shade_of("one row for each example"), shade_of("shared by all examples"), shade_of("one scalar")
    (0, 1, 2)
    """
    return 2 if title == "one scalar" else 1 if title in ("shared by all examples", "1 axis") else 0


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
    graph: Graph, nodes: Sequence[int], links: Sequence[Link], level: Mapping[int, tuple[int, int]]
) -> dict[int, float]:
    """Return each node's column: its depth, where a value that is copied up stands under what it is copied into.

    ``level`` is the (lane, row) of each node as far as known. A fraction is a column of its own between two.
    """
    return ColumnFinder(graph, nodes, links, level).find()


class ColumnFinder:
    """Finds the columns of one drawing, in four passes over ``column``.

    ``under`` is the node that stands below another one, in its column; ``claimed`` are the computed nodes that do;
    ``extra`` are the leaves of a node for which there is no room below it; ``start`` are the inputs at the left.
    """

    def __init__(
        self, graph: Graph, nodes: Sequence[int], links: Sequence[Link], level: Mapping[int, tuple[int, int]]
    ) -> None:
        self.graph, self.nodes, self.level = graph, nodes, level
        into, out = defaultdict(list), defaultdict(list)
        for link in links:
            into[link.v].append(link.u)
            out[link.u].append(link.v)
        self.into, self.out = into, out
        self.leaf = {i: is_leaf(graph.nodes[i]) for i in nodes}
        self.start = {
            i
            for i in nodes
            if self.leaf[i]
            and graph.nodes[i].kind == "input"
            and not any(level[i][0] > level[consumer][0] for consumer in out[i])
        }
        self.column: dict[int, float] = dict.fromkeys(self.start, 0.0)
        self.under: dict[int, int] = {}
        self.claimed: set[int] = set()
        self.extra: dict[int, list[int]] = {}

    def find(self) -> dict[int, float]:
        """Return the column of each node."""
        self.place_results()
        self.pull_right()
        self.place_extra_leaves()
        for i in self.nodes:
            consumers = [self.column[w] for w in self.out[i] if w in self.column]
            self.column.setdefault(i, min(consumers, default=0.0))
        return self.column

    def place_results(self) -> None:
        """Put each computed node right of its operands, or above or below one of them."""
        slotted: set[tuple[int, float]] = set()  # where a node has a line straight down to a lower lane
        for v in self.nodes:
            if self.leaf[v]:
                continue
            self.choose_under(v)
            at = max((self.column[u] + self.step(u, v) for u in self.into[v] if u in self.column), default=0.0)
            lane = self.level[v][0]
            while (lane, at) in slotted:
                at += 1
            below = self.under.get(v)
            if below in self.into[v] and below is not None and self.level[below][0] > lane:
                slotted.add((lane, at))
            self.column[v] = at
        last = max(self.column.values(), default=0.0) + 1
        self.column |= {v: last for v in self.nodes if self.graph.nodes[v].kind == "stub" and self.into[v]}

    def choose_under(self, v: int) -> None:
        """Choose the operand that stands below node ``v``: a computed one from a lower level, else a leaf."""
        operands = list(dict.fromkeys(self.into[v]))
        makers = [u for u in operands if self.level[u] > self.level[v] and not self.leaf[u] and u not in self.claimed]
        if makers:
            self.under[v] = makers[-1]
            self.claimed.add(makers[-1])
        leaves = [u for u in operands if self.leaf[u] and u not in self.column and self.out[u][0] == v]
        if leaves:
            self.under.setdefault(v, leaves[-1])
        self.extra[v] = [u for u in leaves if self.under.get(v) != u]

    def step(self, u: int, v: int) -> float:
        """Return how many columns node ``v`` stands right of its operand ``u``: none if one is below the other."""
        if self.level[u] > self.level[v] and self.under.get(v) == u:
            return 0.0
        if self.level[u][0] < self.level[v][0] and len(set(self.out[u])) == 1 and u not in self.under:
            self.under[u] = v
            return 0.0
        return 1.0

    def pull_right(self) -> None:
        """Move nodes that stand below another one into its column, and inputs next to their first consumer."""
        column = self.column
        for v, u in reversed(self.under.items()):
            if u in self.claimed and column[u] < column[v] and all(column[v] <= column[w] for w in self.out[u]):
                column[u] = column[v]
            if self.leaf[u]:
                column[u] = column[v]
        for i in self.start:
            if self.out[i]:
                lane = self.level[i][0]
                column[i] = max(0.0, min(column[w] - (self.level[w][0] <= lane) for w in self.out[i]))

    def place_extra_leaves(self) -> None:
        """Put further leaves of a node left of it, in the column before or in a new one between the two."""
        column, level = self.column, self.level
        taken = {(level[i][0], column[i]) for i in column}
        for v in sorted(self.extra, key=lambda v: (column[v], v)):
            deep = 1 if len(self.extra[v]) <= STACK else STACK
            for n, u in enumerate(reversed(self.extra[v])):
                k = n // deep
                at = column[v] - 1
                if level[u][0] == level[v][0]:
                    at = column[v] - 0.5  # in rows of their own
                elif k or deep > 1 or at < 0 or (level[u][0], at) in taken:
                    at = column[v] - 0.5 - 0.01 * k
                column[u] = at
                taken.add((level[u][0], at))


def is_leaf(node: Node) -> bool:
    """Whether a node is made from no other, nor continued from another row."""
    return node.op is None and (node.kind not in ("scope", "stub") or "again" in dict(node.params))


def rows_of(
    graph: Graph, nodes: Sequence[int], links: Sequence[Link], lane: dict[int, int], column: dict[int, int]
) -> dict[int, int]:
    """Return each node's row in its lane. An edge reserves its source's row up to its target; others go below."""
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
    hangs = {i: is_leaf(graph.nodes[i]) and graph.nodes[i].kind != "input" for i in nodes}
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


def links_of(graph: Graph, hidden: Collection[int] = ()) -> tuple[list[int], list[Link]]:
    """Return the nodes that have a card, which ``hidden`` have not, and the edges between them."""
    shown = [n.id for n in graph.nodes if not graph.is_number(n.id) or n.id in graph.outputs]
    nodes = [i for i in shown if i not in hidden]
    drawn = set(nodes)
    edges = [(e, v) for v in nodes for e in graph.nodes[v].inputs if e.source in drawn]
    return nodes, [Link(k, e.source, v, e, e.grad is not None) for k, (e, v) in enumerate(edges)]


def plan_cells(graph: Graph, nodes: Sequence[int], links: Sequence[Link], kinds: Sequence[tuple[int, str]]) -> CellPlan:
    """Give every node a cell; ``nodes`` are in topological order."""
    lane, names = lanes_of(graph, nodes, kinds)
    column = number_columns(columns_of(graph, nodes, links, {i: (lane[i], 0) for i in nodes}))
    row = rows_of(graph, nodes, links, lane, column)
    # Rows that hang below an edge are like lanes: what is used above may stand under its consumer there, too.
    again = number_columns(columns_of(graph, nodes, links, {i: (lane[i], row[i]) for i in nodes}))
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

    def finish(rows: dict[int, int]) -> CellPlan:
        columns = free_leaves(graph, links, rows, column)
        width = 1 + max(columns.values(), default=0)
        return CellPlan(tuple(nodes), lane, rows, columns, names, tuple(first), count, width, tuple(links))

    plan = finish(whole)
    ordered = order_rows(whole, column, [(link.u, link.v) for link in links], first, count)
    return plan if ordered == whole else min(plan, finish(ordered), key=count_crossings)


def free_leaves(graph: Graph, links: Sequence[Link], row: Mapping[int, int], column: dict[int, int]) -> dict[int, int]:
    """Return the columns after each leaf that a card keeps from its consumer above has moved to the left of it."""
    taken = {(row[i], c) for i, c in column.items()}
    uses: dict[int, set[int]] = defaultdict(set)
    for link in links:
        uses[link.u].add(link.v)
    found: dict[int, float] = dict(column)
    for u, consumers in uses.items():
        v, c = min(consumers), column[u]
        between = range(min(row[u], row[v]) + 1, max(row[u], row[v]))
        if (
            len(consumers) > 1
            or not is_leaf(graph.nodes[u])
            or column[v] != c
            or all((r, c) not in taken for r in between)
        ):
            continue
        taken.remove((row[u], c))
        found[u] = c - 1 if c and (row[u], c - 1) not in taken else c - 0.5
        taken.add((row[u], c - 1))
    return number_columns(found)


def number_columns(column: dict[int, float]) -> dict[int, int]:
    """Number the columns 0, 1, 2, …"""
    place = {c: k for k, c in enumerate(sorted(set(column.values())))}
    return {i: place[c] for i, c in column.items()}


# ------------------------------------------------------------------------------------------------------------ ways


class Way(NamedTuple):
    """How an edge goes: the sides of the cards it leaves and enters, and the gutters and channels in between.

    Gutter g is left of column g, channel r above row r. ``kind`` says which of them are used, in order;
    ``channel`` is -1 where none is.
    """

    kind: str
    leave: str
    enter: str
    gutters: tuple[int, ...] = ()
    channel: int = -1


def choose_way(plan: CellPlan, link: Link) -> Way:
    """Choose the simplest way between two cells that meets no card."""
    ru, cu, rv, cv = plan.row[link.u], plan.column[link.u], plan.row[link.v], plan.column[link.v]
    down = rv > ru
    between = range(min(ru, rv) + 1, max(ru, rv))
    if cv > cu and ru == rv and plan.free([ru], range(cu + 1, cv)):
        return Way("H", "right", "left")
    if cu == cv and plan.free(between, [cu]):
        return Way("V", "bottom" if down else "top", "top" if down else "bottom")
    if cv > cu and ru != rv:
        onward = range(ru + 1, rv + 1) if down else range(rv, ru)
        back = range(ru, rv) if down else range(rv + 1, ru + 1)
        if plan.free(onward, [cu]) and plan.free([rv], range(cu, cv)):
            return Way("LV", "bottom" if down else "top", "left")
        if plan.free(back, [cv]) and plan.free([ru], range(cu + 1, cv + 1)):
            return Way("LH", "right", "top" if down else "bottom")
        if cv == cu + 1 or plan.free([ru], range(cu + 1, cv)):
            return Way("G", "right", "left", (cv,))
        if plan.free([rv], range(cu + 1, cv)):
            return Way("G", "right", "left", (cu + 1,))
        leave, enter = ("bottom", "top") if down else ("top", "bottom")
        if plan.free(between, [cu]):
            return Way("Z", leave, enter, (), rv if down else rv + 1)
        if plan.free(between, [cv]):
            return Way("Z", leave, enter, (), ru + 1 if down else ru)
    if cu == cv:
        return Way("G", "right", "right", (cu + 1,))
    channel = rv if down else rv + 1
    return Way("GG", "right", "left", (cu + 1, cv), channel)


def corners(plan: CellPlan, link: Link, way: Way) -> list[tuple[int, int]]:
    """Return where an edge turns, in cells: column c is at 2c and the gutter left of it at 2c − 1, rows likewise."""
    x, y, end = 2 * plan.column[link.u], 2 * plan.row[link.u], (2 * plan.column[link.v], 2 * plan.row[link.v])
    gutters, channel = [2 * gutter - 1 for gutter in way.gutters], 2 * way.channel - 1
    if way.kind == "LV":
        turns = [(x, end[1])]
    elif way.kind == "LH":
        turns = [(end[0], y)]
    elif way.kind == "G":
        turns = [(gutters[0], y), (gutters[0], end[1])]
    elif way.kind == "Z":
        turns = [(x, channel), (end[0], channel)]
    elif way.kind == "GG":
        turns = [(gutters[0], y), (gutters[0], channel), (gutters[1], channel), (gutters[1], end[1])]
    else:
        turns = []
    return [(x, y), *turns, end]


def count_crossings(plan: CellPlan) -> int:
    """Return how often edges cross."""
    flat, upright = [], []
    for link in plan.links:
        for (x0, y0), (x1, y1) in itertools.pairwise(corners(plan, link, choose_way(plan, link))):
            if y0 == y1:
                flat.append((y0, min(x0, x1), max(x0, x1)))
            else:
                upright.append((x0, min(y0, y1), max(y0, y1)))
    return sum(low < y < high and left < x < right for x, low, high in upright for y, left, right in flat)
