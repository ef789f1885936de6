"""A cell for each node and a way for each edge, in a grid that has no sizes yet.

A node's row lies in the lane of what carries the batch, or not; its column is its depth. An edge takes the
plainest way along cells that are free, so that on paper it cannot run through a card.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.batch_axis import batch_axes
from tinygraph.drawing.layout.card import shape_text
from tinygraph.graph.data import Edge, Graph

__all__ = ["Link", "Plan", "Way", "kinds_of", "links_of", "plan", "way"]


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
