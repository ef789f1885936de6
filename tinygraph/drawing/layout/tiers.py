"""A picture in several rows: where it is broken, and the stubs that stand for values from elsewhere in it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.grid import CellPlan, Link
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.layout.spacing import Grid
from tinygraph.graph.data import Edge, Graph, Node

__all__ = ["Tier", "choose_cuts", "cut_tier", "repeat_leaves", "tiers_between"]

NEAR = 2  # columns from a leaf to its use, with which it goes into the next row
FAR, MANY = 4, 2  # columns from the first use of a leaf to one for which it stands again; or used in more than so many


class Tier(NamedTuple):
    """One line of a picture that is broken into several: the graph with stubs, and which part of it stands here."""

    graph: Graph
    nodes: Sequence[int]
    links: Sequence[Link]
    kinds: Sequence[tuple[int, str]]


def choose_cuts(sketch: Sketch, grid: Grid, count: int) -> list[int]:
    """Return the columns at which tiers begin: where the fewest edges cross, so that tiers are of about one width."""
    plan, width = sketch.plan, grid.width
    crossing = [0.0] * (plan.columns + 1)
    reach: dict[int, int] = defaultdict(int)  # of each source, the last column it is used in: its lines end in one stub
    for link in plan.links:
        reach[link.u] = max(reach[link.u], plan.column[link.v])
    for u, last in reach.items():
        for c in range(plan.column[u] + 1, last + 1):
            crossing[c] += 1
    for cells in sketch.scopes:
        for c in range(cells.left + 1, cells.right + 1):
            crossing[c] += 0.5
    cuts: list[int] = []
    for n in range(1, count):
        target = width * n / count
        later = range(cuts[-1] + 1 if cuts else 1, plan.columns)
        near = [c for c in later if abs(grid.left[c] - target) < 0.3 * width / count]
        near = near or sorted(later, key=lambda c: abs(grid.left[c] - target))[:1]
        if near:
            cuts.append(min(near, key=lambda c: (crossing[c] + 5 * abs(grid.left[c] - target) / (width / count), c)))
    return cuts


def tiers_between(whole: Tier, plan: CellPlan, cuts: Sequence[int]) -> dict[int, int]:
    """Return the tier of each node where these columns begin one; a leaf goes with its only use, if that is near."""
    tiers = {i: sum(plan.column[i] >= c for c in cuts) for i in plan.nodes}
    uses: dict[int, set[int]] = defaultdict(set)
    for link in plan.links:
        uses[link.u].add(link.v)
    for i, found in uses.items():
        node, there = whole.graph.nodes[i], {tiers[v] for v in found}
        near = min(plan.column[v] for v in found) - plan.column[i] <= NEAR
        if node.op is None and node.kind != "scope" and len(there) == 1 and near:
            tiers[i] = there.pop()
    return tiers


def repeat_leaves(whole: Tier, plan: CellPlan) -> Tier:
    """Return a picture in which a leaf stands again, as a stub, at each use that is far off.

    Several that a collapsed scope uses again share one stub and one line.
    """
    graph = whole.graph
    again: dict[int, dict[int, list[Link]]] = defaultdict(dict)  # by consumer and leaf
    for link in far_uses(whole, plan):
        again[link.v].setdefault(link.u, []).append(link)
    if not again:
        return whole
    stubs: list[Node] = []
    moved: dict[int, int] = {}  # the stub at which a link begins; -1 if it is not drawn
    before: dict[int, list[int]] = defaultdict(list)
    kinds = list(whole.kinds)
    for v, leaves in again.items():
        together = graph.nodes[v].kind == "scope" and len(leaves) > 2
        for group in [list(leaves)] if together else [[u] for u in leaves]:
            place = len(graph.nodes) + len(stubs)
            facts = (("again", True), ("sources", tuple(group)))
            stubs.append(stub_node(graph, group[0], place, (), facts))
            before[v].append(place)
            kinds.append(whole.kinds[group[0]])
            for u in group:
                moved |= {link.k: place if u == group[0] else -1 for link in leaves[u]}
    links = [link._replace(u=moved.get(link.k, link.u)) for link in whole.links if moved.get(link.k) != -1]
    links = [link._replace(k=k) for k, link in enumerate(links)]
    nodes = [i for v in whole.nodes for i in (*before[v], v)]
    return Tier(dataclasses.replace(graph, nodes=(*graph.nodes, *stubs)), nodes, links, kinds)


def far_uses(whole: Tier, plan: CellPlan) -> list[Link]:
    """Return the uses of leaves that are far from the first, or in another one of many columns."""

    def is_input(i: int) -> bool:
        return whole.graph.nodes[i].kind == "input"

    used: dict[int, set[int]] = defaultdict(set)
    for link in whole.links:
        node = whole.graph.nodes[link.u]
        if not node.op and node.kind in ("input", "parameter", "constant"):
            used[link.u].add(plan.column[link.v])
    return [
        link
        for link in whole.links
        if (columns := used.get(link.u))
        and plan.column[link.v] > min(columns)
        and ((len(columns) > MANY and not is_input(link.u)) or plan.column[link.v] - min(columns) >= FAR)
    ]


def cut_tier(whole: Tier, tiers: Mapping[int, int], n: int) -> Tier:
    """Cut a tier out of a picture; a value that is used in a later one ends in a stub and begins there from another."""
    graph = whole.graph
    stubs: list[Node] = []
    ins: dict[int, int] = {}
    outs: dict[int, int] = {}
    found: list[Link] = []
    for link in whole.links:
        here, there = tiers[link.u], tiers[link.v]
        if here == n == there:
            found.append(link)
        elif here == n and link.u not in outs:
            outs[link.u] = len(graph.nodes) + len(stubs)
            rows = sorted({tiers[other.v] + 1 for other in whole.links if other.u == link.u and tiers[other.v] > n})
            stubs.append(stub_node(graph, link.u, outs[link.u], (Edge(link.u, "x"),), (("to", tuple(rows)),)))
            found.append(Link(-1, link.u, outs[link.u], Edge(link.u, "x"), link.back))
        elif there == n:
            if link.u not in ins:
                ins[link.u] = len(graph.nodes) + len(stubs)
                stubs.append(stub_node(graph, link.u, ins[link.u], (), (("from", here + 1),)))
            found.append(link._replace(u=ins[link.u]))
    later = {link.u for link in whole.links if link.back and tiers[link.v] > n}
    found = [
        link._replace(k=k, back=link.back or (link.v >= len(graph.nodes) and link.u in later))
        for k, link in enumerate(found)
    ]
    mine = [*ins.values(), *(i for i in whole.nodes if tiers[i] == n), *outs.values()]
    source = {stub: i for i, stub in [*ins.items(), *outs.items()]}
    more = [whole.kinds[source[node.id]] for node in stubs]
    return Tier(dataclasses.replace(graph, nodes=(*graph.nodes, *stubs)), mine, found, [*whole.kinds, *more])


def stub_node(
    graph: Graph, source: int, place: int, edges: tuple[Edge, ...], facts: tuple[tuple[str, object], ...]
) -> Node:
    """Return the end of a value that goes on in a later tier, its beginning there, or a leaf that stands again."""
    node = graph.nodes[source]
    source = dict(node.params).get("source", source) if node.kind == "stub" else source
    op, name = "stub" if edges else None, node.name or f"#{node.number}"
    params = (("source", source), *facts)
    return Node(place, op, "stub", "stub", node.shape, node.dtype, name, inputs=edges, params=params)
