"""How much room lines, cards, labels and boxes need, and the coordinates that follow from it.

The first two steps from a sketch to a layout: `Tracks` puts lines that run side by side on tracks of their own,
then `Grid` gives columns, rows, gutters and channels their sizes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tinygraph.drawing.layout.edge_labels import chip_width
from tinygraph.drawing.layout.geometry import Box, Lane, Placed
from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.layout.sketch import Cells, Sketch, scope_cells

__all__ = ["MARGIN", "PAIR", "TRACK", "Grid", "Tracks", "assign_tracks", "size_grid"]

TRACK = 13.0  # between two lines that run side by side
PAIR = 2 * TRACK  # a forward line and its backward line
MARGIN = 14.0
FRAME, HEADED = 9.0, 21.0  # from the frame of a box to the next one inside it, and where its name stands between them
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
            spans["channel", r].append((cu, cv, link.k))
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
    plan, cards = sketch.plan, sketch.cards
    wide = [max((cards[i].width for i in plan.nodes if plan.column[i] == c), default=0.0) for c in range(plan.columns)]
    tall = [max((cards[i].height for i in plan.nodes if plan.row[i] == r), default=0.0) for r in range(plan.rows)]
    gutter, channel = gutter_widths(sketch, tracks), channel_heights(sketch, tracks)
    scopes = scope_cells(sketch)
    add_frames(scopes, gutter, channel)
    left, x = [], 0.0
    for c in range(plan.columns):
        x += gutter[c]
        left.append(x)
        x += wide[c]
    left.append(x + gutter[-1])
    top, starts, y = [], [], 0.0
    for r in range(plan.rows):
        if r in plan.first:
            starts.append(y + (max(channel[r] - 34.0, channel[r] * 0.5) if r else 0.0))
        y += channel[r]
        top.append(y)
        y += tall[r]
    height = y + max(16.0, channel[plan.rows] - 14)
    ends = [*starts[1:], height]
    lanes = [
        Lane(start, end, *plan.names[k], k, 20.0, start + 17)
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
    boxes = tuple(scope_box(grid, cells, inner_frames(scopes, cells)) for cells in scopes)
    return dataclasses.replace(grid, boxes=boxes)


def gutter_widths(sketch: Sketch, tracks: Tracks) -> list[float]:
    """Return the room left of each column and right of the last, for the tracks and the labels in it."""
    plan, detail = sketch.plan, sketch.options.detail
    gutter = [40.0 if detail else 34.0] * (plan.columns + 1)
    gutter[0], gutter[-1] = MARGIN + (10 if detail else 18), MARGIN + 8
    for (kind, place), n in tracks.count.items():
        if kind == "gutter":
            gutter[place] = max(gutter[place], 22 + PAIR * n + (8 if place == plan.columns else 0))
    for link, way in zip(plan.links, sketch.ways, strict=True):
        after = plan.column[link.v]
        if way.kind == "H" and after == plan.column[link.u] + 1:
            for ink in ("value", "grad"):
                if runs := sketch.labels.get((link.k, ink)):
                    gutter[after] = max(gutter[after], chip_width(runs) + 12)
    return gutter


def channel_heights(sketch: Sketch, tracks: Tracks) -> list[float]:
    """Return the room above each row and below the last, for the tracks, the labels and the names of lanes in it."""
    plan = sketch.plan

    def is_crossed(link: Link, way: Way, r: int) -> bool:
        rows = plan.row[link.u], plan.row[link.v]
        return way.kind in ("V", "LV", "LH", "Z") and min(rows) < r <= max(rows)

    channel = []
    for r in range(plan.rows + 1):
        labelled = sketch.labels and any(is_crossed(*line, r) for line in zip(plan.links, sketch.ways, strict=True))
        channel.append((52.0 if labelled else 30.0) + PAIR * tracks.count.get(("channel", r), 0))
    for first in plan.first:
        channel[first] = max(channel[first], 30.0) + (14.0 if first else 0)
    channel[0] = 30.0 + PAIR * tracks.count.get(("channel", 0), 0)
    return channel


def inner_frames(scopes: Sequence[Cells], cells: Cells) -> list[int]:
    """Return how many boxes inside one stand at its left, top, right and bottom, one around the other."""
    left, top, right, bottom, depth, _ = cells
    inner = [
        c
        for c in scopes
        if c.depth > depth and left <= c.left and c.right <= right and top <= c.top and c.bottom <= bottom
    ]
    return [len({c.depth for c in inner if c[side] == cells[side]}) for side in range(4)]


def add_frames(scopes: Sequence[Cells], gutter: list[float], channel: list[float]) -> None:
    """Add the room that boxes around each other need to the gutters and channels where they end."""
    frames: dict[tuple[int, int], int] = defaultdict(int)
    for cells in scopes:
        for side, inner in enumerate(inner_frames(scopes, cells)):
            frames[side, int(cells[side])] = max(frames[side, int(cells[side])], 1 + inner)
    for (side, edge), count in frames.items():
        rooms = channel if side in (TOP, BOTTOM) else gutter
        rooms[edge + (side in (RIGHT, BOTTOM))] += (HEADED if side == TOP else FRAME) * count


def scope_box(grid: Grid, cells: Cells, inner: Sequence[int]) -> Box:
    """Return a scope's box around its cells; each box inside it pushes it out."""
    x0 = grid.left[cells.left] - 10 - FRAME * inner[LEFT]
    x1 = grid.left[cells.right] + grid.wide[cells.right] + 10 + FRAME * inner[RIGHT]
    y0 = grid.top[cells.top] - 24 - HEADED * inner[TOP]
    y1 = grid.top[cells.bottom] + grid.tall[cells.bottom] + 10 + FRAME * inner[BOTTOM]
    return Box((x0, y0, x1, y1), cells.name, cells.depth)
