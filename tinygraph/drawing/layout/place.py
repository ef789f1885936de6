"""Where everything stands: lanes across, columns by depth, and edges that never run through a card.

Pure geometry, in five steps, each of which returns what the next ones read: a `Sketch` (cells, cards, ways), its
`Tracks`, its `Grid`, its `Ports`, and the `Layout`. What the plan keeps apart in cells cannot meet on paper. What
is too wide for a page is broken into tiers, each laid out alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from tinygraph.drawing.layout.card import grow_card
from tinygraph.drawing.layout.distances import NORMAL, Spacing
from tinygraph.drawing.layout.edge_labels import chip_width
from tinygraph.drawing.layout.geometry import Layout, Point, number_parts, stack_layouts
from tinygraph.drawing.layout.grid import Link, Way, lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.inside import places
from tinygraph.drawing.layout.ports import APART, find_ports
from tinygraph.drawing.layout.routes import HEAD, draw_routes, name_boxes, name_lanes, place_chips
from tinygraph.drawing.layout.sketch import Options, Sketch, sketch_of
from tinygraph.drawing.layout.spacing import Grid, assign_tracks, size_grid
from tinygraph.drawing.layout.tiers import Tier, choose_cuts, cut_tier, repeat_leaves, tiers_between
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import Scope

__all__ = [
    "LEGEND",
    "finish_layout",
    "finish_picture",
    "grid_of",
    "lay_out",
    "scale_into",
    "size_of",
    "sketch_picture",
    "worth",
]

ROUNDS = 8  # most layouts that are tried until lines and labels have room
WIDE = 300.0  # how wide a card may grow for a label below it
TIERS, TRIES = 8, 3  # most rows that a picture is broken into, and how many numbers of rows are tried
STRIP, LEGEND = 2.6, 60.0  # a picture that is more times wider than high, its legend included, is a strip
STUBS, LOWER = 150.0, 0.85  # what breaking a row adds to its width, and how much lower its parts are, about


def lay_out(graph: Graph, detail: int = 2, show: str = "both", **options: Any) -> Layout:
    """Lay a graph out: what `sketch_picture` takes, finished. The same graph gives the same layout."""
    return finish_picture(sketch_picture(graph, detail, show, **options))


def finish_picture(parts: Sequence[Sketch]) -> Layout:
    """Lay the rows of a picture out, below each other."""
    return number_parts(stack_layouts([finish_layout(part) for part in parts], parts[0].options.spacing.tier))


def size_of(parts: Sequence[Sketch]) -> Point:
    """Return about how wide and high a picture becomes."""
    grids = [grid_of(part) for part in parts]
    between = parts[0].options.spacing.tier * (len(grids) - 1)
    return max(g.width for g in grids), sum(g.height for g in grids) + between


def sketch_picture(
    graph: Graph, detail: int = 2, show: str = "both", *, chips: bool = True, boxes: Sequence[Scope] = (),
    badges: Mapping[int, str] | None = None, page: Point = (1600.0, 900.0), most: float | None = None,
    spacing: Spacing = NORMAL, inside: Mapping[int, Sequence[int]] = MappingProxyType({}), ranges: bool = True,
) -> list[Sketch]:  # fmt: skip
    """Sketch a graph in as many rows as its room asks for.

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
        spacing: the distances of a page or of a column.
        inside: the parameters that stand on the card of a node.
        ranges: say the least and the greatest element at detail 1.

    Returns:
        A sketch of each row.
    """
    nodes, links = links_of(graph, places(inside))
    whole = Tier(graph, nodes, links, lane_kinds(graph))
    plan = plan_cells(*whole)
    if (repeated := repeat_leaves(whole, plan)) is not whole:
        whole, plan = repeated, plan_cells(*repeated)
    options = Options(detail, show, chips, boxes, badges, spacing, inside, ranges, {})
    sketch = sketch_of(whole.graph, plan, options)
    if most is None:
        return break_rows(whole, sketch, page)
    if grid_of(sketch).width <= most:
        return [sketch]
    return sketch_tiers(whole, options, fill_tiers(whole, sketch, most))


def break_rows(whole: Tier, sketch: Sketch, page: Point) -> list[Sketch]:
    """Return the tiers of the picture that fills a page best; it is not broken where it fits as it is."""
    grid = grid_of(sketch)
    best, most = [sketch], worth(page, grid.width, grid.height)
    likely = [(scale_into(page, grid.width / n + STUBS, grid.height * n * LOWER), n) for n in range(2, TIERS + 1)]
    for hope, count in sorted(likely, key=lambda found: (-found[0], found[1]))[:TRIES]:
        if most >= 1 or count > sketch.plan.columns or hope < most * 0.6:
            break
        tiers = tiers_between(whole, sketch.plan, choose_cuts(sketch, grid, count))
        parts = sketch_tiers(whole, sketch.options, tiers)
        scale = worth(page, *size_of(parts))
        if scale > most:
            best, most = parts, scale
    return best


def worth(page: Point, width: float, height: float) -> float:
    """Return how large a picture is on its page; half as much where it is a long strip."""
    return scale_into(page, width, height) * (0.5 if width > STRIP * (height + LEGEND) and width > page[0] / 2 else 1.0)


def grid_of(sketch: Sketch) -> Grid:
    """Return the coordinates of a sketch."""
    return size_grid(sketch, assign_tracks(sketch))


def finish_layout(sketch: Sketch) -> Layout:
    """Give everything in a sketch its place; where that leaves no room for lines or labels, make room and try again."""
    for _ in range(ROUNDS):
        layout, lacking = try_layout(sketch)
        grown = make_room(sketch, lacking)
        if grown is sketch:
            break
        sketch = grown
    return layout


class Lacking(NamedTuple):
    """What has no room: lines at cards, labels on links, and names of boxes (how much wider these must be)."""

    lines: Mapping[tuple[int, str], int]
    labels: Sequence[int]
    names: Mapping[int, float]


def try_layout(sketch: Sketch) -> tuple[Layout, Lacking]:
    """Give everything in a sketch its place, and say what has no room."""
    tracks = assign_tracks(sketch)
    grid = size_grid(sketch, tracks)
    ports = find_ports(sketch, grid)
    routes = draw_routes(sketch, tracks, grid, ports)
    boxes, narrow = name_boxes(grid, routes)
    grid = dataclasses.replace(grid, boxes=boxes)
    lanes = name_lanes(grid, routes)
    chips = place_chips(sketch, grid, lanes, routes)
    width = max([grid.width, *(chip.rect[2] + sketch.options.spacing.margin for chip in chips.placed)])
    cards = tuple(grid.cards[i] for i in sketch.plan.nodes)
    layout = Layout(width, grid.height, cards, tuple(routes), chips.placed, lanes, boxes)
    return layout, Lacking(ports.short, chips.crowded, narrow)


def make_room(sketch: Sketch, lacking: Lacking) -> Sketch:
    """Return a sketch with larger cards where lines have no room, and wider gutters where labels have none."""
    cards, extra = dict(sketch.cards), dict(sketch.extra)
    for (i, side), count in lacking.lines.items():
        more = APART * count
        cards[i] = grow_card(cards[i], more if side == "width" else 0.0, more if side == "height" else 0.0)
    gutters: dict[tuple[str, int], float] = {("title", k): room for k, room in lacking.names.items()}
    for k in lacking.labels:
        link, way = sketch.plan.links[k], sketch.ways[k]
        runs = [sketch.labels[k, ink] for ink in ("value", "grad") if (k, ink) in sketch.labels]
        width = max(chip_width(label, sketch.options.spacing) for label in runs)
        for place, room in room_for_label(sketch, link, way, width):
            gutters[place] = max(gutters.get(place, 0.0), room)
        for i in {link.u, link.v} if way.kind == "V" else ():  # other lines keep to the ends of a wider side
            cards[i] = grow_card(cards[i], min(width / 3, max(0.0, WIDE - cards[i].width)), 0.0)
    for place, room in gutters.items():
        extra[place] = extra.get(place, 0.0) + room
    if cards == sketch.cards and extra == sketch.extra:
        return sketch
    return dataclasses.replace(sketch, cards=cards, extra=extra)


def room_for_label(sketch: Sketch, link: Link, way: Way, width: float) -> list[tuple[tuple[str, int], float]]:
    """Return which gutters or channels a label on this edge needs, and how much more of them."""
    plan = sketch.plan
    if way.kind == "H":
        turned = any(plan.column[link.v] in other.gutters for other in sketch.ways)
        return [(("gutter", plan.column[link.v]), width + 8 if turned else HEAD + 6)]
    if way.gutters:
        return [(("gutter", way.gutters[0]), width)]
    if way.kind in ("LV", "LH"):
        return [(("gutter", plan.column[link.v if way.kind == "LV" else link.u] + (way.kind == "LH")), width / 2)]
    return [(("channel", max(plan.row[link.u], plan.row[link.v])), 22.0)]


def scale_into(page: Point, width: float, height: float) -> float:
    """Return by how much a picture must shrink to fit a page."""
    return min(page[0] / width, page[1] / height)


def sketch_tiers(whole: Tier, options: Options, tiers: Mapping[int, int]) -> list[Sketch]:
    """Sketch every tier; ``tiers`` gives the tier of each node."""
    number = {tier: n for n, tier in enumerate(sorted(set(tiers.values())))}
    tiers = {i: number[tier] for i, tier in tiers.items()}
    return [sketch_tier(whole, options, tiers, n) for n in range(len(number))]


def sketch_tier(whole: Tier, options: Options, tiers: Mapping[int, int], n: int) -> Sketch:
    """Sketch tier ``n``; ``tiers`` gives the tier of each node."""
    tier = cut_tier(whole, tiers, n)
    return sketch_of(tier.graph, plan_cells(*tier), options)


def fill_tiers(whole: Tier, sketch: Sketch, room: float) -> dict[int, int]:
    """Return the tier of each node: of as many columns as there is room for, but of one at least."""
    plan, grid, start, cuts = sketch.plan, grid_of(sketch), 0, []

    def fits(end: int) -> bool:
        tiers = tiers_between(whole, plan, [start, end])
        return 1 not in tiers.values() or grid_of(sketch_tier(whole, sketch.options, tiers, 1)).width <= room

    while start < plan.columns:
        end = start + 1
        while end < plan.columns and grid.left[end + 1] - grid.left[start] < room - STUBS / 2:
            end += 1
        guess = end
        while end > start + 1 and not fits(end):
            end -= 1
        while guess <= end < plan.columns and fits(end + 1):
            end += 1
        cuts.append(end)
        start = end
    return tiers_between(whole, plan, cuts[:-1])
