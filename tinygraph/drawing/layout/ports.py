"""Where lines leave and enter cards: each end of each line has its own place on the side of its card."""

from __future__ import annotations

import dataclasses
import math
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.layout.sketch import Sketch
from tinygraph.drawing.layout.spacing import Grid

__all__ = ["APART", "Ports", "find_ports"]

End = tuple[Link, Way]
APART = 9.5  # between two lines that end at one side of a card: their heads do not meet


@dataclasses.dataclass(frozen=True)
class Ports:
    """The end of each line by (link, node, "f" for forward or "b" for backward): x on top or bottom, y on a side.

    ``short`` counts, by (node, "width" or "height"), the lines for which a card has no room.
    """

    at: Mapping[tuple[int, int, str], float]
    short: Mapping[tuple[int, str], int]


def find_ports(sketch: Sketch, grid: Grid) -> Ports:
    """Give each end of each line a place where it keeps clear of the other lines."""
    finder = PortFinder(sketch, grid)
    return Ports(finder.find(), finder.short)


class PortFinder:
    """Finds the ports of one drawing: later lines avoid where earlier ones run, so the order matters.

    ``levels`` are the heights of straight lines, ``used`` the heights taken where a row meets a gutter, and
    ``fallen`` the vertical lines of a column: x, first row, last row.
    """

    def __init__(self, sketch: Sketch, grid: Grid) -> None:
        self.plan, self.ways, self.back, self.cards = sketch.plan, sketch.ways, sketch.back, grid.cards
        self.track = sketch.options.spacing.track
        self.port: dict[tuple[int, int, str], float] = {}
        self.short: Counter[tuple[int, str]] = Counter()
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
        twins: dict[tuple[int, int], list[int]] = defaultdict(list)  # what joins the same two cards
        for link, way in zip(self.plan.links, self.ways, strict=True):
            if way.kind == "H":
                twins[link.u, link.v].append(link.k)
        for (i, j), links in twins.items():
            forward, backward = self.level_pair(i, j)
            last = forward + APART * (len(links) - 1)
            if any(self.back[k] for k in links):
                backward = max(backward, last + APART)
                last = backward + APART * (len(links) - 1)
            over = max(0.0, last - min(self.cards[i].rect[3], self.cards[j].rect[3]) + 7)
            over = min(over, max(0.0, forward - max(self.cards[i].y, self.cards[j].y) - 8))
            for n, k in enumerate(links):
                found[k, "f"], found[k, "b"] = forward + APART * n - over, backward + APART * n - over
            for c in (i, j):
                self.short[c, "height"] += max(0, math.ceil((last - over - self.cards[c].rect[3] + 7) / APART))
        return found

    def level_pair(self, i: int, j: int) -> tuple[float, float]:
        """Return the heights of the forward and of the backward line between two cards in a row."""
        u, v = self.cards[i], self.cards[j]
        small = (u if u.card.height <= v.card.height else v).card
        low, high = max(u.y, v.y) + 7, min(u.rect[3], v.rect[3]) - 7
        found = []
        for mine, block, other, theirs in ((u, u.card.value, v, v.card.value), (v, v.card.grad, u, u.card.grad)):
            both = max(mine.y + block[0], other.y + theirs[0]), min(mine.y + block[1], other.y + theirs[1])
            y = sum(both) / 2 if both[0] <= both[1] else mine.y + sum(block) / 2
            found.append(min(max(y, low), high))
        if found[0] > found[1] - 8:  # one card ends before the other's gradient begins
            found = [u.y + sum(block) / 2 for block in (small.value, small.grad)]
        return found[0], found[1]

    def half_gap(self, i: int, count: int) -> float:
        """Return how far from the middle the two lines of a straight pair stand, where there are ``count`` pairs."""
        half = self.cards[i].card.width / 2
        most = 24.0 if count > 1 else 11.0 if half > 50 else 8.0  # between two pairs there is a label
        return min(most, 0.8 * (half - 14) / (2 * max(count, 1)))

    def place_in_middle(self, i: int, links: Sequence[Link]) -> None:
        """Put straight lines up or down into the middle of a side; both ends agree, for their cards share a middle."""
        plan, count = self.plan, len(links)
        gaps = [self.half_gap(j, count) for link in links for j in (link.u, link.v)]
        gap = min([self.half_gap(i, count), *gaps, 99.0])
        if links and gap < APART / 2:
            for j in {i, *(j for link in links for j in (link.u, link.v))}:
                self.short[j, "width"] += count
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
        pitch = self.track if half > 50 else min(self.track, 11.0)
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
        steps = range(1, math.ceil(placed.card.width / 1.5))
        tries = [x, *(x + sign * 1.5 * step for step in steps for sign in (1, -1))]
        inside = [t for t in tries if placed.x + 7 <= t <= placed.rect[2] - 7]
        gap, found = first_clear(inside, near, x)
        self.short[i, "width"] += gap < APART
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
        steps = range(1, math.ceil(placed.card.height / 1.5))
        tries = [base, *(base + sign * step * 1.5 for step in steps for sign in (down, -down))]
        inside = [t for t in tries if placed.y + 8 <= t <= placed.rect[3] - 8]
        used = [u for gutter in gutters for u in self.used[row[i], gutter]]
        gap, found = first_clear(inside, used, base)
        self.short[i, "height"] += gap < APART
        return found

    def crossed_gutters(self, link: Link, way: Way, i: int, side: str) -> range:
        """Return the gutters that the level part of a line crosses, next to one of its cards."""
        cu, cv = self.plan.column[link.u], self.plan.column[link.v]
        if way.kind in ("LV", "LH"):
            return range(cu + 1, cv + 1)
        turn = way.gutters[0] if i == link.u else way.gutters[-1]
        if i == link.u:
            return range(cu + 1, turn + 1)
        return range(turn, turn + 1) if side == "right" else range(turn, cv + 1)


def first_clear(tries: Sequence[float], used: Sequence[float], otherwise: float) -> tuple[float, float]:
    """Return the first place that is far enough from those in use, and how far: less where there is no room."""
    lines = [-math.inf, *sorted(used), math.inf]
    for gap in (APART, 7.0, 4.0, 2.0):
        for t in tries:
            above = bisect(lines, t)
            if t - lines[above - 1] >= gap and lines[above] - t >= gap:
                return gap, t
    return 0.0, otherwise


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
