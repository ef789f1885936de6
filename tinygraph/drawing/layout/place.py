"""Where everything stands: lanes across, columns by depth, and edges that never run through a card.

Pure geometry, in five steps, each of which returns what the next ones read: a `Sketch` (cells, cards, ways), its
`Tracks`, its `Grid`, its `Ports`, and the `Layout`. What the plan keeps apart in cells cannot meet on paper. What
is too wide for a page is broken into tiers, each laid out alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.geometry import Layout, Point, stack_layouts
from tinygraph.drawing.layout.grid import Link, lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.ports import find_ports
from tinygraph.drawing.layout.routes import draw_routes, name_lanes, place_chips
from tinygraph.drawing.layout.sketch import Options, Sketch, scope_cells, sketch_of
from tinygraph.drawing.layout.spacing import MARGIN, Grid, assign_tracks, size_grid
from tinygraph.graph.data import Edge, Graph, Node
from tinygraph.graph.scopes import Scope

__all__ = ["lay_out", "scale_to_fit"]

TIERS, FITS = 8, 0.85  # most tiers that are tried; a picture that fits its page as well as this is not broken


def lay_out(
    graph: Graph, detail: int = 2, show: str = "both", *, chips: bool = True, boxes: Sequence[Scope] = (),
    badges: Mapping[int, str] | None = None, page: Point = (1600.0, 900.0), most: float | None = None,
) -> Layout:  # fmt: skip
    """Lay a graph out.

    Args:
        graph: the graph as it is to be drawn, already folded and collapsed.
        detail: 0 symbols, 1 summaries, 2 numbers.
        show: "forward", "backward" or "both".
        chips: write local derivatives on the edges.
        boxes: the scopes that are drawn as boxes around their nodes.
        badges: a last line on some cards, by node.
        page: width and height in pixels; the picture is broken into as many tiers as fill a page of these
            proportions best.
        most: greatest width in pixels; if given, the picture is broken into as many tiers as it takes.

    Returns:
        A `Layout`. The same graph gives the same layout.
    """
    nodes, links = links_of(graph)
    whole = Tier(graph, nodes, links, lane_kinds(graph))
    options = Options(detail, show, chips, boxes, badges)
    sketch = sketch_of(graph, plan_cells(*whole), options)
    layout = finish_layout(sketch)
    if most is not None:
        return layout if layout.width <= most else stack_layouts(fill_tiers(whole, sketch, most))
    count, best, grid = 1, layout, size_grid(sketch, assign_tracks(sketch))
    while scale_to_fit(best, page) < FITS and count < TIERS and count < sketch.plan.columns:
        count += 1
        tiers = split_columns(sketch, grid, count)
        found = stack_layouts([lay_tier_out(whole, options, tiers, n) for n in range(1 + max(tiers.values()))])
        if scale_to_fit(found, page) > scale_to_fit(best, page):
            best = found
        elif count > 2 and scale_to_fit(found, page) < 0.8 * scale_to_fit(best, page):
            break
    return best


def finish_layout(sketch: Sketch) -> Layout:
    """Give everything in a sketch its place."""
    tracks = assign_tracks(sketch)
    grid = size_grid(sketch, tracks)
    routes = draw_routes(sketch, tracks, grid, find_ports(sketch, grid))
    lanes = name_lanes(grid, routes)
    chips = place_chips(sketch, grid, lanes, routes)
    width = max([grid.width, *(chip.rect[2] + MARGIN for chip in chips)])
    cards = tuple(grid.cards[i] for i in sketch.plan.nodes)
    return Layout(width, grid.height, cards, tuple(routes), tuple(chips), lanes, grid.boxes)


def scale_to_fit(layout: Layout, page: Point) -> float:
    """Return by how much a layout must shrink to fit a page."""
    return min(page[0] / layout.width, page[1] / layout.height)


# ----------------------------------------------------------------------------------------------------------- tiers


class Tier(NamedTuple):
    """One line of a picture that is broken into several: the graph with stubs, and which part of it stands here."""

    graph: Graph
    nodes: Sequence[int]
    links: Sequence[Link]
    kinds: Sequence[tuple[int, str]]


def fill_tiers(whole: Tier, sketch: Sketch, room: float) -> list[Layout]:
    """Return tiers of as many columns as there is room for, but of one at least."""
    plan, start, found = sketch.plan, 0, []
    while start < plan.columns:
        best: Layout | None = None
        for end in range(start + 1, plan.columns + 1):
            tiers = {i: (plan.column[i] >= start) + (plan.column[i] >= end) for i in plan.nodes}
            layout = lay_tier_out(whole, sketch.options, tiers, 1)
            if best is not None and layout.width > room:
                break
            best, after = layout, end
        assert best is not None
        found.append(best)
        start = after
    return found


def lay_tier_out(whole: Tier, options: Options, tiers: Mapping[int, int], n: int) -> Layout:
    """Lay tier ``n`` out; ``tiers`` gives the tier of each node."""
    tier = cut_tier(whole, tiers, n)
    return finish_layout(sketch_of(tier.graph, plan_cells(*tier), options))


def split_columns(sketch: Sketch, grid: Grid, count: int) -> dict[int, int]:
    """Return the tier of each node: the columns are cut where the fewest edges cross, into parts of about one width."""
    plan, width = sketch.plan, grid.width
    crossing = [0.0] * (plan.columns + 1)
    reach: dict[int, int] = defaultdict(int)  # of each source, the last column it is used in: its lines end in one stub
    for link in plan.links:
        reach[link.u] = max(reach[link.u], plan.column[link.v])
    for u, last in reach.items():
        for c in range(plan.column[u] + 1, last + 1):
            crossing[c] += 1
    for cells in scope_cells(sketch):
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
    return {i: sum(plan.column[i] >= c for c in cuts) for i in plan.nodes}


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
            stubs.append(stub_node(graph, link.u, outs[link.u], (Edge(link.u, "x"),)))
            found.append(Link(-1, link.u, outs[link.u], Edge(link.u, "x"), link.back))
        elif there == n:
            if link.u not in ins:
                ins[link.u] = len(graph.nodes) + len(stubs)
                stubs.append(stub_node(graph, link.u, ins[link.u], ()))
            found.append(link._replace(u=ins[link.u]))
    later = {link.u for link in whole.links if link.back and tiers[link.v] > n}
    found = [
        link._replace(k=k, back=link.back or (link.v >= len(graph.nodes) and link.u in later))
        for k, link in enumerate(found)
    ]
    mine = [*ins.values(), *(i for i in whole.nodes if tiers[i] == n), *outs.values()]
    source = {stub: i for i, stub in [*ins.items(), *outs.items()]}
    more = [whole.kinds[source[node.id]] for node in stubs]
    return Tier(Graph((*graph.nodes, *stubs), graph.outputs, graph.notes), mine, found, [*whole.kinds, *more])


def stub_node(graph: Graph, source: int, place: int, edges: tuple[Edge, ...]) -> Node:
    """Return the end of a value that goes on in a later tier, or its beginning there."""
    node = graph.nodes[source]
    op, name = "stub" if edges else None, node.name or f"#{source}"
    facts = (("source", source),)
    return Node(place, op, "stub", "stub", node.shape, node.dtype, name, inputs=edges, params=facts)
