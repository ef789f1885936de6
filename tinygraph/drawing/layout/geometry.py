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
from tinygraph.drawing.style.formula import SPACE, Runs, width_of, words

__all__ = [
    "Box",
    "Chip",
    "Lane",
    "Layout",
    "Placed",
    "Point",
    "Rect",
    "RectIndex",
    "Route",
    "grown",
    "meets",
    "segments",
    "stack_layouts",
]

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
    """A label on an edge between two nodes of the graph; ``ink`` is "value" or "grad"."""

    rect: Rect
    runs: Runs
    ink: str
    ends: tuple[int, int]


class Lane(NamedTuple):
    """A band across the picture; its name begins at (x, y)."""

    top: float
    bottom: float
    name: str
    words: str
    depth: int
    x: float
    y: float

    @property
    def runs(self) -> Runs:
        """Its name: the shape, and what the lane holds."""
        return (*words(self.name + SPACE * 2 if self.name else "", "bold"), *words(self.words))

    @property
    def title(self) -> Rect:
        """The rectangle of its name."""
        return self.x - 4, self.y - 13, self.x + width_of(self.runs, 10.5) + 4, self.y + 5


class Box(NamedTuple):
    """The frame of a scope around its cards."""

    rect: Rect
    name: str
    depth: int


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


def stack_layouts(parts: Sequence[Layout]) -> Layout:
    """Put layouts below each other."""
    y, moved = 0.0, []
    for part in parts:
        moved.append(shift_layout(part, y))
        y += part.height + 14
    return Layout(
        max(part.width for part in parts),
        y - 14,
        cards=tuple(card for part in moved for card in part.cards),
        routes=tuple(route for part in moved for route in part.routes),
        chips=tuple(chip for part in moved for chip in part.chips),
        lanes=tuple(lane for part in moved for lane in part.lanes),
        boxes=tuple(box for part in moved for box in part.boxes),
    )


def shift_layout(part: Layout, dy: float) -> Layout:
    """Move a layout down."""

    def shift_rect(rect: Rect) -> Rect:
        return rect[0], rect[1] + dy, rect[2], rect[3] + dy

    def shift_line(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((x, y + dy) for x, y in points)

    return Layout(
        part.width,
        part.height,
        tuple(c._replace(y=c.y + dy) for c in part.cards),
        tuple(r._replace(forward=shift_line(r.forward), backward=shift_line(r.backward)) for r in part.routes),
        tuple(c._replace(rect=shift_rect(c.rect)) for c in part.chips),
        tuple(lane._replace(top=lane.top + dy, bottom=lane.bottom + dy, y=lane.y + dy) for lane in part.lanes),
        tuple(b._replace(rect=shift_rect(b.rect)) for b in part.boxes),
    )


def segments(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Yield the two ends of each straight piece of a line."""
    return zip(points, points[1:], strict=False)


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

    def hits(self, rect: Rect) -> list[int]:
        """Return the numbers of the rectangles that meet this one."""
        near = dict.fromkeys(k for cell in self.cells(rect) for k in self.buckets.get(cell, ()))
        return [k for k in near if meets(self.rects[k], rect)]
