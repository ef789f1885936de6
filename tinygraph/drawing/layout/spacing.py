"""How much room lines, cards, labels and boxes need, and the coordinates that follow from it.

The first two steps from a sketch to a layout: `Tracks` puts lines that run side by side on tracks of their own,
then `Grid` gives columns, rows, gutters and channels their sizes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tinygraph.drawing.layout.boxes import Cells
from tinygraph.drawing.layout.distances import Spacing
from tinygraph.drawing.layout.edge_labels import chip_width
from tinygraph.drawing.layout.geometry import Box, Lane, Placed
from tinygraph.drawing.layout.grid import Link, Way, shade_of
from tinygraph.drawing.layout.sketch import Sketch

__all__ = ["Grid", "Tracks", "assign_tracks", "size_grid"]

LEFT, TOP, RIGHT, BOTTOM = range(4)


@dataclasses.dataclass(frozen=True)
class Tracks:
    """The tracks in gutters (between columns) and channels (between rows), numbered from left and top.

    ``number`` is the track of a link by ("gutter" or "channel", which one, link); ``count`` is how many there are.
    """

    number: Mapping[tuple[str, int, int], int]
    count: Mapping[tuple[str, int], int]


def assign_tracks(sketch: Sketch) -> Tracks:
    """Give links that share a stretch of a gutter or a channel different tracks."""
    plan = sketch.plan
    spans: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)  # (first, last, link)
    for link, way in zip(plan.links, sketch.ways, strict=True):
        ru, cu, rv, cv = plan.row[link.u], plan.column[link.u], plan.row[link.v], plan.column[link.v]
        if way.kind == "G":
            spans["gutter", way.gutters[0]].append((min(ru, rv), max(ru, rv), link.k))
        elif way.kind == "Z":
            spans["channel", way.channel].append((min(cu, cv), max(cu, cv), link.k))
        elif way.kind == "GG":
            r = way.channel
            spans["gutter", way.gutters[0]].append((min(ru, r - 1), max(ru, r), link.k))
            spans["gutter", way.gutters[1]].append((min(rv, r - 1), max(rv, r), link.k))
            spans["channel", r].append((min(cu, cv), max(cu, cv), link.k))
    number: dict[tuple[str, int, int], int] = {}
    count: dict[tuple[str, int], int] = {}
    for (kind, place), found in spans.items():
        ends: list[int] = []  # of each track, where its last line ends
        for low, high, k in sorted(found):
            track = next((t for t, end in enumerate(ends) if end < low), len(ends))
            ends[track:] = [high, *ends[track + 1 :]]
            number[kind, place, k] = track
        count[kind, place] = len(ends)
    return Tracks(number, count)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The coordinates of columns and rows, and what stands in them.

    ``left`` and ``top`` are where columns and rows begin (``left`` has one more: the right edge), ``wide`` and
    ``tall`` their sizes; ``gutter[c]`` is the room left of column c, ``channel[r]`` the room above row r.
    """

    width: float
    height: float
    left: tuple[float, ...]
    top: tuple[float, ...]
    wide: tuple[float, ...]
    tall: tuple[float, ...]
    gutter: tuple[float, ...]
    channel: tuple[float, ...]
    cards: Mapping[int, Placed]
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]


def size_grid(sketch: Sketch, tracks: Tracks) -> Grid:
    """Place columns, rows, cards, lanes and boxes."""
    plan, cards, space = sketch.plan, sketch.cards, sketch.options.spacing
    wide = [max((cards[i].width for i in plan.nodes if plan.column[i] == c), default=0.0) for c in range(plan.columns)]
    tall = [max((cards[i].height for i in plan.nodes if plan.row[i] == r), default=0.0) for r in range(plan.rows)]
    gutter, channel = gutter_widths(sketch, tracks), channel_heights(sketch, tracks)
    scopes = sketch.scopes
    add_frames(scopes, space, gutter, channel)
    pads = title_pads(sketch)
    for c in range(plan.columns):
        gutter[c] += max((pad for cells, pad in zip(scopes, pads, strict=True) if cells.left == c), default=0.0)
    left, x = [], 0.0
    for c in range(plan.columns):
        x += gutter[c]
        left.append(x)
        x += wide[c]
    left.append(x + gutter[-1])
    top, starts, y = [], [], 0.0
    for r in range(plan.rows):
        if r in plan.first:
            starts.append(y + (max(channel[r] - space.heading, channel[r] * 0.5) if r else 0.0))
        y += channel[r]
        top.append(y)
        y += tall[r]
    lines = tracks.count.get(("channel", plan.rows), 0)
    height = y + max(space.foot, channel[plan.rows] - (space.channel / 2 if lines else 14.0))
    ends = [*starts[1:], height]
    lanes = [
        Lane(start, end, *plan.names[k], shade_of(plan.names[k][1]), 20.0, start + 17)
        for k, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    placed = {
        i: Placed(cards[i], left[plan.column[i]] + (wide[plan.column[i]] - cards[i].width) / 2, top[plan.row[i]])
        for i in plan.nodes
    }
    grid = Grid(
        left[-1], height, tuple(left), tuple(top), tuple(wide), tuple(tall), tuple(gutter), tuple(channel),
        placed, tuple(lanes), boxes=(),
    )  # fmt: skip
    boxes = tuple(
        scope_box(grid, space, cells, inner_frames(scopes, cells), pad) for cells, pad in zip(scopes, pads, strict=True)
    )
    lowest = max((box.rect[3] for box in boxes), default=0.0) + space.margin
    return dataclasses.replace(grid, boxes=boxes, height=max(height, lowest))


def gutter_widths(sketch: Sketch, tracks: Tracks) -> list[float]:
    """Return the room left of each column and right of the last, for the tracks and the labels in it."""
    plan, detail, space = sketch.plan, sketch.options.detail, sketch.options.spacing
    gutter = [space.gutter if detail else space.bare_gutter] * (plan.columns + 1)
    gutter[0], gutter[-1] = space.margin + (10 if detail else 18), space.margin + 8
    for (kind, place), n in tracks.count.items():
        if kind == "gutter":
            gutter[place] = max(gutter[place], space.turn + space.pair * n + (8 if place == plan.columns else 0))
    for link, way in zip(plan.links, sketch.ways, strict=True):
        after = plan.column[link.v]
        if way.kind == "H" and after == plan.column[link.u] + 1:
            for ink in ("value", "grad"):
                if runs := sketch.labels.get((link.k, ink)):
                    gutter[after] = max(gutter[after], chip_width(runs, space) + space.chip)
    return [room + sketch.extra.get(("gutter", c), 0.0) for c, room in enumerate(gutter)]


def channel_heights(sketch: Sketch, tracks: Tracks) -> list[float]:
    """Return the room above each row and below the last, for the tracks, the labels and the names of lanes in it."""
    plan, space = sketch.plan, sketch.options.spacing

    def is_crossed(link: Link, way: Way, r: int) -> bool:
        rows = plan.row[link.u], plan.row[link.v]
        return way.kind in ("V", "LV", "LH", "Z") and min(rows) < r <= max(rows)

    channel = []
    for r in range(plan.rows + 1):
        labelled = sketch.labels and any(is_crossed(*line, r) for line in zip(plan.links, sketch.ways, strict=True))
        channel.append(
            (space.crossed if labelled else space.channel) + space.pair * tracks.count.get(("channel", r), 0)
        )
    for first in plan.first:
        channel[first] = max(channel[first], space.channel) + (space.lane if first else 0)
    channel[0] = space.first + space.pair * tracks.count.get(("channel", 0), 0)
    return [room + sketch.extra.get(("channel", r), 0.0) for r, room in enumerate(channel)]


def inner_frames(scopes: Sequence[Cells], cells: Cells) -> list[int]:
    """Return how many boxes inside one stand at its left, top, right and bottom, one around the other."""
    left, top, right, bottom, depth, *_ = cells
    inner = [
        c
        for c in scopes
        if c.depth > depth and left <= c.left and c.right <= right and top <= c.top and c.bottom <= bottom
    ]
    return [len({c.depth for c in inner if c[side] == cells[side]}) for side in range(4)]


def add_frames(scopes: Sequence[Cells], space: Spacing, gutter: list[float], channel: list[float]) -> None:
    """Add the room that boxes around each other need to the gutters and channels where they end."""
    frames: dict[tuple[int, int], int] = defaultdict(int)
    for cells in scopes:
        for side, inner in enumerate(inner_frames(scopes, cells)):
            frames[side, int(cells[side])] = max(frames[side, int(cells[side])], 1 + inner)
    for (side, edge), count in frames.items():
        rooms = channel if side in (TOP, BOTTOM) else gutter
        rooms[edge + (side in (RIGHT, BOTTOM))] += (space.headed if side == TOP else space.frame) * count


def title_pads(sketch: Sketch) -> list[float]:
    """Return how much further to the left each box begins, for its own name or that of a box inside it."""
    own = [sketch.extra.get(("title", k), 0.0) for k in range(len(sketch.scopes))]
    if not any(own):
        return own
    return [
        max(
            pad
            for pad, inner in zip(own, sketch.scopes, strict=True)
            if inner.left == cells.left and cells.holds(inner)
        )
        for cells in sketch.scopes
    ]


def scope_box(grid: Grid, space: Spacing, cells: Cells, inner: Sequence[int], pad: float) -> Box:
    """Return a scope's box around its cells; each box inside it pushes it out."""
    x0 = grid.left[cells.left] - space.inner - space.frame * inner[LEFT] - pad
    x1 = grid.left[cells.right] + grid.wide[cells.right] + space.inner + space.frame * inner[RIGHT]
    y0 = grid.top[cells.top] - space.name - space.headed * inner[TOP]
    y1 = grid.top[cells.bottom] + grid.tall[cells.bottom] + space.inner + space.frame * inner[BOTTOM]
    return Box((x0, y0, x1, y1), cells.name, cells.depth, cells.entry, x0 + 10, cells.split)
