"""The corners of every line, and the free places of the texts that stand beside lines: names of lanes, and labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.edge_labels import chip_width, label_places
from tinygraph.drawing.layout.geometry import Chip, Lane, Placed, Point, Rect, RectIndex, Route, grown, segments
from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.layout.ports import Ports
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.layout.spacing import PAIR, TRACK, Grid, Tracks

__all__ = ["draw_routes", "name_lanes", "place_chips"]


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
        back = self.sketch.back[link.k]
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
        plan, grid, tracks = self.sketch.plan, self.grid, self.tracks
        right = grid.left[gutter] if gutter < plan.columns else grid.width
        free = grid.gutter[gutter] - 22 - PAIR * tracks.count["gutter", gutter]
        x = right - grid.gutter[gutter] + 11 + PAIR * tracks.number["gutter", gutter, link.k] + free / 2
        down = plan.row[link.v] >= plan.row[link.u]
        same = plan.column[link.u] == plan.column[link.v]
        forward_right = down != same
        return x + TRACK * (0.5 + ((which == "f") == forward_right)) if self.sketch.back[link.k] else x + TRACK

    def channel_y(self, channel: int, link: Link, which: str) -> float:
        """Return where a line runs in a channel."""
        grid, tracks = self.grid, self.tracks
        bottom = grid.top[channel] if channel < self.sketch.plan.rows else grid.height
        middle = bottom - grid.channel[channel] / 2 - PAIR * tracks.count["channel", channel] / 2
        return middle + PAIR * tracks.number["channel", channel, link.k] + TRACK * (0.5 + (which == "b"))


def side_of(placed: Placed, side: str) -> float:
    """Return the coordinate of one side of a card: x of left and right, y of top and bottom."""
    return placed.rect[("left", "top", "right", "bottom").index(side)]


def name_lanes(grid: Grid, routes: Sequence[Route]) -> tuple[Lane, ...]:
    """Write the name of each lane at the left, or as far to the right as lines ask; shorter where it has no room."""
    taken = RectIndex(placed.rect for placed in grid.cards.values())
    for route in routes:
        for points in (route.forward, route.backward):
            for (x0, y0), (x1, y1) in segments(points):
                taken.add((min(x0, x1) - 3, min(y0, y1) - 1, max(x0, x1) + 3, max(y0, y1) + 1))
    for box in grid.boxes:
        x0, y0, x1, y1 = box.rect
        heading, left, right = (x0, y0, x0 + 30 + 7.0 * len(box.name), y0 + 20), (x0, y0, x0, y1), (x1, y0, x1, y1)
        for border in (heading, left, right, (x0, y1, x1, y1)):
            taken.add(grown(border, 2))
    return tuple(name_lane(lane, grid.width, taken) for lane in grid.lanes)


def name_lane(lane: Lane, width: float, taken: RectIndex) -> Lane:
    """Return a lane whose name covers nothing; where that is impossible, its short name where it was."""
    shifts = [20.0 + 12 * n for n in range(int(width // 12))]
    brief = lane._replace(words="" if lane.name else re.split(" by | for ", lane.words)[0])
    tries = [
        place
        for named in (lane, brief)
        for place in (named, named._replace(y=lane.bottom - 9), *(named._replace(x=x) for x in shifts))
    ]
    return next((t for t in tries if t.title[2] < width - 12 and not taken.hits(t.title)), brief)


def place_chips(sketch: Sketch, grid: Grid, lanes: Sequence[Lane], routes: Sequence[Route]) -> list[Chip]:
    """Put each label on its line where it covers no card, no other label and if possible no other line."""
    placer = ChipPlacer(grid, lanes, routes)
    found = []
    for ink in ("grad", "value"):
        for route in sorted(routes, key=lambda r: (r.way.kind != "H", r.link.k)):
            runs = sketch.labels.get((route.link.k, ink))
            points = route.backward if ink == "grad" else route.forward
            if runs and points and (rect := placer.best_place(points, chip_width(runs), (route.link.k, ink))):
                placer.chips.add(rect)
                found.append(Chip(rect, runs, ink, (route.link.edge.source, route.link.v)))
    return found


class ChipPlacer:
    """Finds room for labels one after the other: ``chips`` are the rectangles that labels and names take so far."""

    def __init__(self, grid: Grid, lanes: Sequence[Lane], routes: Sequence[Route]) -> None:
        self.height = grid.height
        self.cards = RectIndex(placed.rect for placed in grid.cards.values())
        self.chips = RectIndex(lane.title for lane in lanes)
        self.lines = RectIndex()
        self.owner: list[tuple[int, str]] = []  # of each piece of a line: its link and its ink
        for box in grid.boxes:
            left, top, *_ = box.rect
            self.chips.add((left + 4, top + 2, left + 24 + 7.0 * len(box.name), top + 18))
        for route in routes:
            for ink, points in (("value", route.forward), ("grad", route.backward)):
                for (x0, y0), (x1, y1) in segments(points):
                    self.lines.add((min(x0, x1) - 1, min(y0, y1) - 1, max(x0, x1) + 1, max(y0, y1) + 1))
                    self.owner.append((route.link.k, ink))

    def best_place(self, points: Sequence[Point], width: float, line: tuple[int, str]) -> Rect | None:
        """Return the cheapest free place for a label on its line, which is (link, ink); None where there is none."""
        best: tuple[float, Rect] | None = None
        for cost, rect in label_places(points, width, line[1]):
            if not self.is_free(rect):
                continue
            crossed = sum(self.owner[k] != line for k in self.lines.hits(rect))
            if best is None or cost + 10 * crossed < best[0]:
                best = cost + 10 * crossed, rect
            if best[0] <= cost:
                break  # no later place is cheaper
        return best and best[1]

    def is_free(self, rect: Rect) -> bool:
        """Whether a rectangle lies in the picture and meets no card and no label."""
        inside = rect[0] >= 12 and rect[1] >= 2 and rect[3] <= self.height - 2
        return inside and not self.cards.hits(grown(rect, 2)) and not self.chips.hits(grown(rect, 1.5))
