"""The corners of every line, and the free places of the texts that stand beside lines: names of lanes, and labels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.distances import COMPACT
from tinygraph.drawing.layout.edge_labels import chip_height, chip_width, label_places
from tinygraph.drawing.layout.geometry import (
    Box,
    Chip,
    Lane,
    Placed,
    Point,
    Rect,
    RectIndex,
    Route,
    bends,
    grown,
    segments,
)
from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.layout.ports import Ports
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.layout.spacing import Grid, Tracks

__all__ = ["HEAD", "Chips", "draw_routes", "name_boxes", "name_lanes", "place_chips"]


def draw_routes(sketch: Sketch, tracks: Tracks, grid: Grid, ports: Ports) -> list[Route]:
    """Return the lines of every edge; an edge of which nothing is shown is left out."""
    liner = Liner(sketch, tracks, grid, ports)
    routes = [liner.route(link, way) for link, way in zip(sketch.plan.links, sketch.ways, strict=True)]
    return [route for route in routes if route.forward or route.backward]


class Liner(NamedTuple):
    """Draws lines between cards; ``which`` is "f" for the forward line of an edge, "b" for the backward one."""

    sketch: Sketch
    tracks: Tracks
    grid: Grid
    ports: Ports

    def route(self, link: Link, way: Way) -> Route:
        """Return the lines of an edge."""
        back, turned = self.sketch.back[link.k], self.sketch.turned.get(link.k)
        if turned is not None:
            alone = self.line(link, way, "f")
            return Route(link, way, (), alone[::-1] if turned else alone)
        forward = self.line(link, way, "f") if self.sketch.options.show != "backward" or not back else ()
        backward = tuple(reversed(self.line(link, way, "b"))) if back else ()
        return Route(link, way, forward, backward)

    def line(self, link: Link, way: Way, which: str) -> tuple[Point, ...]:
        """Return the corners of one line, from source to target."""
        u, v = self.grid.cards[link.u], self.grid.cards[link.v]
        a, b = self.ports.at[link.k, link.u, which], self.ports.at[link.k, link.v, which]
        start, end = side_of(u, way.leave), side_of(v, way.enter)
        if way.kind == "H":
            return (start, a), (end, b)
        if way.kind == "V":
            return (a, start), (a, end)
        if way.kind == "LV":
            return (a, start), (a, b), (end, b)
        if way.kind == "LH":
            return (start, a), (b, a), (b, end)
        if way.kind == "G":
            x = self.gutter_x(way.gutters[0], link, which)
            return (start, a), (x, a), (x, b), (end, b)
        y = self.channel_y(way.channel, link, which)
        if way.kind == "Z":
            return (a, start), (a, y), (b, y), (b, end)
        x, z = (self.gutter_x(gutter, link, which) for gutter in way.gutters)
        return (start, a), (x, a), (x, y), (z, y), (z, b), (end, b)

    def gutter_x(self, gutter: int, link: Link, which: str) -> float:
        """Return where a line runs in a gutter."""
        plan, grid, tracks, space = self.sketch.plan, self.grid, self.tracks, self.sketch.options.spacing
        right = grid.left[gutter] if gutter < plan.columns else grid.width
        free = grid.gutter[gutter] - space.turn - space.pair * tracks.count["gutter", gutter]
        x = (
            right
            - grid.gutter[gutter]
            + space.turn / 2
            + space.pair * tracks.number["gutter", gutter, link.k]
            + free / 2
        )
        down = plan.row[link.v] >= plan.row[link.u]
        same = plan.column[link.u] == plan.column[link.v]
        forward_right = down != same
        return x + space.track * (0.5 + ((which == "f") == forward_right) if self.sketch.back[link.k] else 1.0)

    def channel_y(self, channel: int, link: Link, which: str) -> float:
        """Return where a line runs in a channel."""
        grid, tracks, space = self.grid, self.tracks, self.sketch.options.spacing
        bottom = grid.top[channel] if channel < self.sketch.plan.rows else grid.height
        middle = bottom - grid.channel[channel] / 2 - space.pair * tracks.count["channel", channel] / 2
        return middle + space.pair * tracks.number["channel", channel, link.k] + space.track * (0.5 + (which == "b"))


def side_of(placed: Placed, side: str) -> float:
    """Return the coordinate of one side of a card: x of left and right, y of top and bottom."""
    return placed.rect[("left", "top", "right", "bottom").index(side)]


def name_boxes(grid: Grid, routes: Sequence[Route]) -> tuple[tuple[Box, ...], dict[int, float]]:
    """Write the name of each box where no line runs; return also how much wider boxes must be to have such a place."""
    lines, narrow = RectIndex(), {}
    for route in routes:
        for points in (route.forward, route.backward):
            for (x0, y0), (x1, y1) in segments(points):
                lines.add((min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
    named = []
    for k, box in enumerate(grid.boxes):
        left, _, right, _ = box.rect
        tries = [box._replace(x=left + 10 + 6.0 * n) for n in range(1 + int((right - left) // 6))]
        free = (t for t in tries if t.title[2] < right - 2 and lines.is_free(t.title))
        found = next(free, box)
        if found is box and (box.title[2] >= right - 2 or lines.hits(box.title)):
            width = box.title[2] - box.title[0]
            blocked = [lines.rects[n][0] for n in lines.hits((left, box.title[1], right, box.title[3]))]
            narrow[k] = width + 12 - (min(blocked, default=right) - left)
        named.append(found)
    return tuple(named), {k: room for k, room in narrow.items() if room > 0}


def name_lanes(grid: Grid, routes: Sequence[Route]) -> tuple[Lane, ...]:
    """Write the name of each lane at the left, or as far to the right as lines ask; shorter where it has no room."""
    taken = RectIndex(placed.rect for placed in grid.cards.values())
    for route in routes:
        for points in (route.forward, route.backward):
            for (x0, y0), (x1, y1) in segments(points):
                taken.add((min(x0, x1) - 3, min(y0, y1) - 1, max(x0, x1) + 3, max(y0, y1) + 1))
    for box in grid.boxes:
        x0, y0, x1, y1 = box.rect
        left, right = (x0, y0, x0, y1), (x1, y0, x1, y1)
        for border in (box.title, left, right, (x0, y0, x1, y0), (x0, y1, x1, y1)):
            taken.add(grown(border, 2))
    return tuple(name_lane(lane, grid.width, taken) for lane in grid.lanes)


def name_lane(lane: Lane, width: float, taken: RectIndex) -> Lane:
    """Return a lane whose name covers nothing; where that is impossible, one without a name."""
    shifts = [20.0 + 12 * n for n in range(int(width // 12))]
    nameless = lane._replace(name="", words="")
    brief = lane._replace(words="" if lane.name else re.split(" by | for ", lane.words)[0])
    tries = [
        place
        for named in (lane, brief)
        for place in (named, named._replace(y=lane.bottom - 9), *(named._replace(x=x) for x in shifts))
    ]
    return next((t for t in tries if t.title[2] < width - 12 and taken.is_free(t.title)), nameless)


class Chips(NamedTuple):
    """The labels, and the links that have one for which there is no clear place: it covers another line, or is gone."""

    placed: tuple[Chip, ...]
    crowded: tuple[int, ...]


def place_chips(sketch: Sketch, grid: Grid, lanes: Sequence[Lane], routes: Sequence[Route]) -> Chips:
    """Put each label on its line where it covers no card, no head, no other label and if possible no other line."""
    space = sketch.options.spacing
    placer = ChipPlacer(grid, lanes, routes)
    found = place_pairs(sketch, placer, routes) if space is COMPACT else []
    done = {chip.ends for chip in found}
    crowded = []
    for ink in ("grad", "value"):
        for route in sorted(routes, key=lambda r: (r.way.kind != "H", r.link.k)):
            runs = sketch.labels.get((route.link.k, ink))
            points = route.backward if ink == "grad" else route.forward
            if not runs or not points or (route.link.edge.source, route.link.v) in done:
                continue
            size = chip_width(runs, space), chip_height(runs, space)
            cost, rect = placer.best_place(points, size, (route.link.k, ink))
            if rect:
                placer.chips.add(rect)
                found.append(Chip(rect, runs, ink, (route.link.edge.source, route.link.v), size=space.letters))
            if cost >= CROSSED:
                crowded.append(route.link.k)
    return Chips(tuple(found), tuple(crowded))


def place_pairs(sketch: Sketch, placer: ChipPlacer, routes: Sequence[Route]) -> list[Chip]:
    """Put one label on both lines of an edge that runs straight up or down, where there is room."""
    found, space = [], sketch.options.spacing
    for route in routes:
        value, grad = (sketch.labels.get((route.link.k, ink)) for ink in ("value", "grad"))
        ends = route.link.edge.source, route.link.v
        if route.way.kind != "V" or not value or not grad or not route.forward or not route.backward:
            continue
        width, height = chip_width(value, space) + chip_width(grad, space), chip_height((*value, *grad), space)
        (x0, y0), (_, y1), x1 = route.forward[0], route.forward[-1], route.backward[0][0]
        for share in (0.5, 0.35, 0.65, 0.25, 0.75):
            x, y = (x0 + x1) / 2, y0 + (y1 - y0) * share
            rect = x - width / 2, y - height / 2, x + width / 2, y + height / 2
            others = [k for k in placer.lines.hits(rect) if placer.owner[k][0] != route.link.k]
            if not others and placer.is_free(rect):
                placer.chips.add(rect)
                found.append(Chip(rect, value, "value", ends, size=space.letters, back=grad))
                break
    return found


CROSSED = 10.0  # what a label costs for each other line that it covers
HEAD, HALF_HEAD = 10.0, 5.2


class ChipPlacer:
    """Finds room for labels one after the other: ``chips`` are the rectangles that labels and names take so far."""

    def __init__(self, grid: Grid, lanes: Sequence[Lane], routes: Sequence[Route]) -> None:
        self.height = grid.height
        self.cards = RectIndex(grown(placed.rect, 2) for placed in grid.cards.values())
        self.chips = RectIndex(lane.title for lane in lanes)
        self.lines = RectIndex()
        self.owner: list[tuple[int, str]] = []  # of each piece of a line: its link and its ink
        for box in grid.boxes:
            self.chips.add(box.title)
        for route in routes:
            for ink, points in (("value", route.forward), ("grad", route.backward)):
                for (x0, y0), (x1, y1) in segments(points):
                    self.lines.add((min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
                    self.owner.append((route.link.k, ink))
                if points:
                    self.cards.add(head_of(points))
                for (x0, y0), corner, (x1, y1) in bends(points):  # a round corner runs inside the square one
                    x, y = (x0 + 2 * corner[0] + x1) / 4, (y0 + 2 * corner[1] + y1) / 4
                    for a, b in ((x0, y0), (x1, y1)):
                        self.lines.add((min(a, x) - 1, min(b, y) - 1, max(a, x) + 1, max(b, y) + 1))
                        self.owner.append((route.link.k, ink))

    def best_place(self, points: Sequence[Point], size: Point, line: tuple[int, str]) -> tuple[float, Rect | None]:
        """Return the cheapest free place for a label on its line, which is (link, ink), and its cost."""
        best: tuple[float, Rect | None] = math.inf, None
        for cost, rect in label_places(points, *size, line[1]):
            if not self.is_free(rect):
                continue
            crossed = sum(self.owner[k] != line for k in self.lines.hits(rect))
            best = min(best, (cost + CROSSED * crossed, rect), key=lambda b: b[0])
            if best[0] <= cost:
                break  # no later place is cheaper
        return best

    def is_free(self, rect: Rect) -> bool:
        """Whether a rectangle lies in the picture and meets no card, no head and no label."""
        inside = rect[0] >= 12 and rect[1] >= 2 and rect[3] <= self.height - 2
        return inside and self.cards.is_free(rect) and self.chips.is_free(grown(rect, 1.5))


def head_of(points: Sequence[Point]) -> Rect:
    """Return the rectangle of the head at the end of a line."""
    (x0, y0), (x1, y1) = points[-2], points[-1]
    if y0 == y1:
        back = x1 - HEAD if x1 >= x0 else x1 + HEAD
        return min(back, x1), y1 - HALF_HEAD, max(back, x1), y1 + HALF_HEAD
    back = y1 - HEAD if y1 >= y0 else y1 + HEAD
    return x1 - HALF_HEAD, min(back, y1), x1 + HALF_HEAD, max(back, y1)
