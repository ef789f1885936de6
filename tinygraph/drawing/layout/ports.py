"""Where lines leave and enter cards: each end of each line has its own place on the side of its card."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.layout.spacing import TRACK, Grid

__all__ = ["Ports", "find_ports"]

End = tuple[Link, Way]


@dataclasses.dataclass(frozen=True)
class Ports:
    """The end of each line by (link, node, "f" for forward or "b" for backward): x on top or bottom, y on a side."""

    at: Mapping[tuple[int, int, str], float]


def find_ports(sketch: Sketch, grid: Grid) -> Ports:
    """Give each end of each line a place where it keeps clear of the other lines."""
    return Ports(PortFinder(sketch, grid).find())


class PortFinder:
    """Finds the ports of one drawing: later lines avoid where earlier ones run, so the order matters.

    ``levels`` are the heights of straight lines, ``used`` the heights taken where a row meets a gutter, and
    ``fallen`` the vertical lines of a column: x, first row, last row.
    """

    def __init__(self, sketch: Sketch, grid: Grid) -> None:
        self.plan, self.ways, self.back, self.cards = sketch.plan, sketch.ways, sketch.back, grid.cards
        self.port: dict[tuple[int, int, str], float] = {}
        self.levels = self.straight_levels()
        self.used: dict[tuple[int, int], list[float]] = defaultdict(list)
        self.fallen: dict[int, list[tuple[float, int, int]]] = defaultdict(list)

    def find(self) -> dict[tuple[int, int, str], float]:
        """Return every port: straight lines first, then those on top and bottom, and on left and right."""
        plan = self.plan
        for link in plan.links:
            for which in "fb" if self.back[link.k] else "f":
                if (link.k, which) in self.levels:
                    for gutter in range(plan.column[link.u] + 1, plan.column[link.v] + 1):
                        self.used[plan.row[link.u], gutter].append(self.levels[link.k, which])
        sides: dict[tuple[int, str], list[End]] = defaultdict(list)
        for link, way in zip(plan.links, self.ways, strict=True):
            sides[link.u, way.leave].append((link, way))
            sides[link.v, way.enter].append((link, way))
        for (i, side), ends in sides.items():
            if side in ("top", "bottom"):
                self.place_in_middle(i, [link for link, way in ends if way.kind == "V"])
        for (i, side), ends in sides.items():
            if side in ("top", "bottom"):
                self.spread_across(i, side, ends)
            else:
                self.spread_along(i, side, ends)
        return self.port

    def straight_levels(self) -> dict[tuple[int, str], float]:
        """Return the height of each straight line: it leaves the right block of one card and meets the other card."""
        found: dict[tuple[int, str], float] = {}
        twins: dict[tuple[int, int], int] = defaultdict(int)  # how many lines join the same two cards
        for link, way in zip(self.plan.links, self.ways, strict=True):
            if way.kind != "H":
                continue
            u, v = self.cards[link.u], self.cards[link.v]
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

    def half_gap(self, i: int, count: int) -> float:
        """Return how far from the middle the two lines of a straight pair stand, where there are ``count`` pairs."""
        half = self.cards[i].card.width / 2
        return min(11.0 if half > 50 else 8.0, 0.8 * (half - 14) / (2 * max(count, 1)))

    def place_in_middle(self, i: int, links: Sequence[Link]) -> None:
        """Put straight lines up or down into the middle of a side; both ends agree, for their cards share a middle."""
        plan, count = self.plan, len(links)
        gaps = [self.half_gap(j, count) for link in links for j in (link.u, link.v)]
        gap = min([self.half_gap(i, count), *gaps, 99.0])
        for k, link in enumerate(links):
            centre = self.cards[i].middle + (k - (count - 1) / 2) * 4 * gap
            self.port[link.k, i, "f"] = centre - (gap if self.back[link.k] else 0)
            self.port[link.k, i, "b"] = centre + gap
            if link.u == i:
                rows = min(plan.row[link.u], plan.row[link.v]), max(plan.row[link.u], plan.row[link.v])
                self.fallen[plan.column[i]] += [(self.port[link.k, i, which], *rows) for which in "fb"]

    def spread_across(self, i: int, side: str, ends: Sequence[End]) -> None:
        """Spread lines over the top or bottom of a card: straight ones in the middle, others towards their ends."""
        column, placed = self.plan.column, self.cards[i]
        half = placed.card.width / 2
        pitch = TRACK if half > 50 else 11.0
        straight = sum(way.kind == "V" for _, way in ends)
        core = 2 * self.half_gap(i, straight) * straight + 6 if straight else 0.0
        bent = [(link, way, other_end(link, i)) for link, way in ends if way.kind != "V"]
        left = sorted((e for e in bent if column[e[2]] < column[i]), key=lambda e: (column[e[2]], e[0].k))
        right = sorted((e for e in bent if column[e[2]] >= column[i]), key=lambda e: (-column[e[2]], e[0].k))
        for group, sign in ((left, -1.0), (right, 1.0)):
            lines = sum(1 + self.back[link.k] for link, *_ in group)
            if not lines:
                continue
            step = min(pitch, (half - 10 - core) / lines)
            x = half - 14 if half > 50 else half - 11
            x = min(x, core + step * lines) if half > 90 and not straight else x
            for link, way, other in group:
                outside_first = "fb" if forward_outside(link, way, i, side, sign) else "bf"
                row = self.plan.row[i], self.plan.row[other] if way.channel < 0 else way.channel - 0.5
                rows = math.floor(min(row)), math.ceil(max(row))
                for which in outside_first if self.back[link.k] else "f":
                    self.port[link.k, i, which] = self.clear_of_lines(i, placed.middle + sign * x, *rows)
                    x -= step

    def clear_of_lines(self, i: int, x: float, low: int, high: int) -> float:
        """Return the place nearest to x on a side where no other line of the column runs in these rows."""
        placed, lines = self.cards[i], self.fallen[self.plan.column[i]]
        near = [u for u, first, last in lines if first <= high and low <= last]
        tries = [x, *(x + sign * 1.5 * step for step in range(1, 80) for sign in (1, -1))]
        inside = [t for t in tries if placed.x + 7 <= t <= placed.rect[2] - 7]
        found = next((t for gap in (7.0, 4.0, 2.0) for t in inside if all(abs(t - u) >= gap for u in near)), x)
        lines.append((found, low, high))
        return found

    def spread_along(self, i: int, side: str, ends: Sequence[End]) -> None:
        """Spread lines over the left or right side, each at the height of its block, away from other lines."""
        card = self.cards[i].card
        for which, block in (("f", card.value), ("b", card.grad)):
            for link, way in sorted(ends, key=lambda e: e[0].k):
                if way.kind == "H":
                    self.port[link.k, i, which] = self.levels[link.k, which]
                elif which == "f" or self.back[link.k]:
                    gutters = self.crossed_gutters(link, way, i, side)
                    y = self.port[link.k, i, which] = self.clear_height(i, other_end(link, i), block, gutters)
                    for gutter in gutters:
                        self.used[self.plan.row[i], gutter].append(y)

    def clear_height(self, i: int, other: int, block: tuple[float, float], gutters: Sequence[int]) -> float:
        """Return the height nearest to the middle of a block at which no line runs through these gutters."""
        placed, row = self.cards[i], self.plan.row
        down = 1 if row[other] >= row[i] else -1
        base = placed.y + sum(block) / 2
        tries = [base, *(base + sign * step * 1.5 for step in range(1, 90) for sign in (down, -down))]
        inside = [t for t in tries if placed.y + 8 <= t <= placed.rect[3] - 8]
        used = [u for gutter in gutters for u in self.used[row[i], gutter]]
        free = (t for gap in (9.0, 6.0, 4.0, 2.0) for t in inside if all(abs(t - u) >= gap for u in used))
        return next(free, base)

    def crossed_gutters(self, link: Link, way: Way, i: int, side: str) -> range:
        """Return the gutters that the level part of a line crosses, next to one of its cards."""
        cu, cv = self.plan.column[link.u], self.plan.column[link.v]
        if way.kind in ("LV", "LH"):
            return range(cu + 1, cv + 1)
        turn = way.gutters[0] if i == link.u else way.gutters[-1]
        if i == link.u:
            return range(cu + 1, turn + 1)
        return range(turn, turn + 1) if side == "right" else range(turn, cv + 1)


def other_end(link: Link, i: int) -> int:
    """Return the node at the end of a link that is not ``i``."""
    return link.v if link.u == i else link.u


def forward_outside(link: Link, way: Way, i: int, side: str, sign: float) -> bool:
    """Whether the forward line is the outer one of a pair on the top or bottom of a card.

    ``LV`` leaves its source there, towards the right; ``LH`` enters its target there, from the left.
    """
    if way.kind in ("LV", "LH"):
        return side == "bottom"
    if way.kind == "Z":
        return (link.u == i) == (sign > 0)
    return sign > 0
