"""Points, rectangles, and the finished layout that a format writes down.

A `Layout` is geometry alone: numbers, and the cards and texts that stand at them. y grows downwards.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.card import Card
from tinygraph.drawing.layout.grid import Link, Way
from tinygraph.drawing.style.formula import SPACE, Runs, clip_runs, scope_runs, width_of, words

__all__ = [
    "TITLE",
    "Box",
    "Chip",
    "Lane",
    "Layout",
    "Placed",
    "Point",
    "Rect",
    "RectIndex",
    "Route",
    "Rule",
    "bends",
    "centre_layout",
    "grown",
    "join_layouts",
    "meets",
    "number_parts",
    "segments",
    "stack_layouts",
]

TITLE, LONGEST = 10.0, 220.0  # font size of the name of a box, and how long it may be if the box is no longer
Point = tuple[float, float]
Rect = tuple[float, float, float, float]  # left, top, right, bottom


class Placed(NamedTuple):
    """A card and the top left corner of where it stands."""

    card: Card
    x: float
    y: float

    @property
    def rect(self) -> Rect:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.card.width, self.y + self.card.height

    @property
    def middle(self) -> float:
        """The x of its middle."""
        return self.x + self.card.width / 2


class Route(NamedTuple):
    """The lines of an edge: forward points from source to target, and backward points from target to source."""

    link: Link
    way: Way
    forward: tuple[Point, ...]
    backward: tuple[Point, ...]


class Chip(NamedTuple):
    """A label on an edge between two nodes of the graph; ``ink`` is "value" or "grad".

    ``empty`` is a box to fill in, with no more than the number of the contribution in it. ``back`` is the label of
    the backward line, where one chip stands on both lines of an edge.
    """

    rect: Rect
    runs: Runs
    ink: str
    ends: tuple[int, int]
    empty: bool = False
    size: float = 11.0
    back: Runs = ()


class Lane(NamedTuple):
    """A band across the picture, or from ``left`` to ``right``; its name begins at (x, y)."""

    top: float
    bottom: float
    name: str
    words: str
    depth: int
    x: float
    y: float
    left: float | None = None
    right: float | None = None

    @property
    def runs(self) -> Runs:
        """Its name: the shape, and what the lane holds."""
        return (*words(self.name + SPACE * 2 if self.name else "", "bold"), *words(self.words))

    @property
    def title(self) -> Rect:
        """The rectangle of its name."""
        return self.x - 4, self.y - 13, self.x + width_of(self.runs, 11) + 4, self.y + 5


class Box(NamedTuple):
    """The frame of a scope around its cards, or around some of them; ``entry`` is which entry into a scope it is of.

    Its name begins at ``x``; a number follows it where there are further boxes of this entry.
    """

    rect: Rect
    name: str
    depth: int
    entry: int
    x: float
    split: bool = False

    @property
    def runs(self) -> Runs:
        """Its name, as it is written."""
        return clip_runs((*words("▾ "), *scope_runs(self.name)), TITLE, max(LONGEST, self.rect[2] - self.x - 10))

    @property
    def title(self) -> Rect:
        """The rectangle of its name, with room for a number."""
        numbered = self._replace(name=f"{self.name} (9/9)", split=False) if self.split else self
        return self.x - 4, self.rect[1] + 2, self.x + width_of(numbered.runs, TITLE) + 4, self.rect[1] + 18


class Rule(NamedTuple):
    """A line across the picture, or from ``left`` to ``right``, with words in its middle."""

    y: float
    words: str
    left: float | None = None
    right: float | None = None

    def runs(self, room: float) -> Runs:
        """Return as many of its words as there is room for: a whole part of the sentence, if one fits."""
        whole = words(self.words)
        parts = [words(self.words.rpartition(mark)[0]) for mark in ";,"]
        fitting = (runs for runs in (whole, *parts) if runs and width_of(runs, 11) <= room - 50)
        return next(fitting, clip_runs(whole, 11, room))


@dataclasses.dataclass(frozen=True)
class Layout:
    """A drawing as geometry: its size in pixels, and everything that stands in it."""

    width: float
    height: float
    cards: tuple[Placed, ...]
    routes: tuple[Route, ...]
    chips: tuple[Chip, ...]
    lanes: tuple[Lane, ...]
    boxes: tuple[Box, ...]
    rules: tuple[Rule, ...] = ()


def number_parts(layout: Layout) -> Layout:
    """Name the parts of a scope that is drawn in several boxes, row by row: "encoder (1/2)", "encoder (2/2)"."""
    parts: dict[int, list[Box]] = defaultdict(list)
    for box in layout.boxes:
        parts[box.entry].append(box)
    boxes = tuple(
        box._replace(name=f"{box.name} ({1 + parts[box.entry].index(box)}/{count})", split=False)
        if (count := len(parts[box.entry])) > 1
        else box
        for box in layout.boxes
    )
    return dataclasses.replace(layout, boxes=boxes)


def stack_layouts(parts: Sequence[Layout], gap: float) -> Layout:
    """Put layouts below each other, ``gap`` apart."""
    y, moved = 0.0, []
    for part in parts:
        moved.append(shift_layout(part, y))
        y += part.height + gap
    return Layout(
        max(part.width for part in parts),
        y - gap,
        cards=tuple(card for part in moved for card in part.cards),
        routes=tuple(route for part in moved for route in part.routes),
        chips=tuple(chip for part in moved for chip in part.chips),
        lanes=tuple(lane for part in moved for lane in part.lanes),
        boxes=tuple(box for part in moved for box in part.boxes),
        rules=tuple(rule for part in moved for rule in part.rules),
    )


def join_layouts(parts: Sequence[Layout], gap: float) -> Layout:
    """Put layouts beside each other, ``gap`` apart; each lane and each rule ends with its own."""
    x, height, moved = 0.0, max(part.height for part in parts), []
    for part in parts:
        end = part.width - 8.0
        lanes = tuple(lane._replace(left=8.0, right=end) for lane in part.lanes)
        rules = tuple(rule._replace(left=8.0, right=end) for rule in part.rules)
        moved.append(shift_layout(dataclasses.replace(part, lanes=lanes, rules=rules), 0.0, x))
        x += part.width + gap
    return dataclasses.replace(
        stack_layouts([dataclasses.replace(p, height=0.0) for p in moved], 0.0), width=x - gap, height=height
    )


def centre_layout(part: Layout, width: float) -> Layout:
    """Put a layout into the middle of a wider page: lanes keep their width, rules take the page's."""
    if part.width >= width:
        return part
    end = part.width - 8.0
    lanes = tuple(lane._replace(left=8.0, right=end) if lane.left is None else lane for lane in part.lanes)
    moved = shift_layout(dataclasses.replace(part, lanes=lanes), 0.0, (width - part.width) / 2)
    return dataclasses.replace(moved, width=width)


def shift_layout(part: Layout, dy: float, dx: float = 0.0) -> Layout:
    """Move a layout down, and to the right."""

    def shift_rect(rect: Rect) -> Rect:
        return rect[0] + dx, rect[1] + dy, rect[2] + dx, rect[3] + dy

    def shift_line(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x + dx, y + dy) for x, y in points)

    def shift_x(x: float | None) -> float | None:
        return None if x is None else x + dx

    def shift_lane(lane: Lane) -> Lane:
        top, bottom, left, right = lane.top + dy, lane.bottom + dy, shift_x(lane.left), shift_x(lane.right)
        return lane._replace(top=top, bottom=bottom, x=lane.x + dx, y=lane.y + dy, left=left, right=right)

    return Layout(
        part.width,
        part.height,
        tuple(c._replace(x=c.x + dx, y=c.y + dy) for c in part.cards),
        tuple(r._replace(forward=shift_line(r.forward), backward=shift_line(r.backward)) for r in part.routes),
        tuple(c._replace(rect=shift_rect(c.rect)) for c in part.chips),
        tuple(map(shift_lane, part.lanes)),
        tuple(b._replace(rect=shift_rect(b.rect), x=b.x + dx) for b in part.boxes),
        tuple(rule._replace(y=rule.y + dy, left=shift_x(rule.left), right=shift_x(rule.right)) for rule in part.rules),
    )


def segments(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Yield the two ends of each straight piece of a line."""
    return zip(points, points[1:], strict=False)


def bends(points: Sequence[Point], radius: float = 26.0) -> Iterator[tuple[Point, Point, Point]]:
    """Yield where each corner of a line begins to be round, the corner, and where the round ends."""
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        legs = [abs(corner[0] - p[0]) + abs(corner[1] - p[1]) for p in (before, after)]
        first = 1.0 if before == points[0] else 0.5
        last = 1.0 if after == points[-1] else 0.5
        r = min(radius, legs[0] * first, legs[1] * last)
        yield toward(corner, before, r), corner, toward(corner, after, r)


def toward(a: Point, b: Point, r: float) -> Point:
    """Return the point at distance r from a, towards b."""
    length = abs(b[0] - a[0]) + abs(b[1] - a[1]) or 1.0
    return a[0] + (b[0] - a[0]) / length * r, a[1] + (b[1] - a[1]) / length * r


def grown(rect: Rect, by: float) -> Rect:
    """Return a rectangle that is larger on each side."""
    return rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by


def meets(a: Rect, b: Rect) -> bool:
    """Whether two rectangles have more than an edge in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


class RectIndex:
    """Rectangles in buckets, so that finding those which meet another one is quick."""

    SIZE = 120.0

    def __init__(self, rects: Iterable[Rect] = ()) -> None:
        self.rects: list[Rect] = []
        self.buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
        for rect in rects:
            self.add(rect)

    def cells(self, rect: Rect) -> Iterator[tuple[int, int]]:
        """Return the buckets that a rectangle lies in."""
        x0, y0, x1, y1 = (int(v // self.SIZE) for v in rect)
        return ((x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1))

    def add(self, rect: Rect) -> None:
        """Add a rectangle."""
        for cell in self.cells(rect):
            self.buckets[cell].append(len(self.rects))
        self.rects.append(rect)

    def is_free(self, rect: Rect) -> bool:
        """Whether no rectangle meets this one."""
        left, top, right, bottom = rect
        rects, size = self.rects, self.SIZE
        for x in range(int(left // size), int(right // size) + 1):
            for y in range(int(top // size), int(bottom // size) + 1):
                for k in self.buckets.get((x, y), ()):
                    a, b, c, d = rects[k]
                    if left < c and a < right and top < d and b < bottom:
                        return False
        return True

    def hits(self, rect: Rect) -> list[int]:
        """Return the numbers of the rectangles that meet this one."""
        near = dict.fromkeys(k for cell in self.cells(rect) for k in self.buckets.get(cell, ()))
        return [k for k in near if meets(self.rects[k], rect)]
