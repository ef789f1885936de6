"""The figure of a worksheet: with all its numbers where its letters stay large enough, and its rows on pages."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from tinygraph.drawing.fitting import SMALLEST_PT, Fitted
from tinygraph.drawing.formats.svg import draw_picture
from tinygraph.drawing.style.formula import LEAST
from tinygraph.graph.data import Graph

__all__ = ["BLEED", "HEAD", "MARGIN", "Choice", "Paper", "Picture", "choose_figure"]

MARGIN, HEAD = 42.0, 46.0  # points: left and right; above and below, where the header and the page number stand
BLEED = 14.0  # points by which a figure may stand out into each margin
FIRST = 100.0  # points of the title, the line for the name and what to do, on the first page
MOST_PAGES = 2  # of a figure with all its numbers


class Paper(NamedTuple):
    """A paper, and the room for text on a page of it, in points."""

    name: str
    width: float
    height: float

    @property
    def room(self) -> tuple[float, float]:
        """Width and height inside the margins."""
        return self.width - 2 * MARGIN, self.height - 2 * HEAD


@dataclasses.dataclass(frozen=True)
class Strip:
    """A part of a picture, on one page: from ``left`` and ``top``, in its own pixels; and its size in points."""

    left: float
    top: float
    width: float
    height: float
    points: tuple[float, float]

    def scaled(self, scale: float) -> Strip:
        """Return it in another size."""
        return dataclasses.replace(self, points=(self.points[0] * scale, self.points[1] * scale))


@dataclasses.dataclass(frozen=True)
class Picture:
    """The figure of a sheet.

    Attributes:
        svg: all of it.
        strips: its rows, so that a page ends between two.
        landscape: whether it needs a page on its side.
        has_numbers: whether it shows all values.
        empty: how much of a page stays empty in it, in points.
        here: how many rows stand where the figure begins; the others stand on top of the next page, and questions
            fill the first.
        blank: what was left out.
    """

    svg: str
    strips: tuple[Strip, ...]
    landscape: bool
    has_numbers: bool
    empty: float
    here: int
    blank: tuple[str, ...]


class Choice(NamedTuple):
    """How a figure is drawn, on pages of this room."""

    width: float
    height: float
    landscape: bool
    detail: int
    depth: int | None
    show: Literal["both", "forward"]

    @property
    def tall(self) -> float:
        """How high the figure may be: with all numbers it may go on over pages; else it leaves room for questions."""
        return self.height * (20 if self.detail == 2 else 1 if self.landscape else 0.6)

    def fit(self, graph: Graph, blank: Sequence[str]) -> tuple[str, Fitted, bool]:
        """Draw it; return also whether no letter is too small."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            svg, fitted = draw_picture(
                graph, width=f"{self.width:.0f}pt", height=f"{self.tall:.0f}pt", detail=self.detail,
                depth=self.depth, theme="print", show=self.show, legend=False, caption=False, blank=blank,
            )  # fmt: skip
        return svg, fitted, not caught and fitted.scale >= 1

    def picture(self, graph: Graph, blank: Sequence[str]) -> Picture:
        """Draw it for pages; letters shrink, to the least, where that saves one."""
        room = self.height - (0 if self.landscape else FIRST)
        svg, fitted, _ = self.fit(graph, blank)
        strips = tuple(strips_of(svg, fitted))
        unit = strips[0].points[0] / strips[0].width
        least = min(1.0, SMALLEST_PT / LEAST / unit)
        scales = [1 - k / 8 * (1 - least) for k in range(9)]
        pages = [pages_of([s.scaled(scale) for s in strips], self.height, room) for scale in scales]
        emptiness = [(count, empty > room / 4) for count, empty in pages]
        best = emptiness.index(min(emptiness))
        empty = pages[best][1]
        shown = tuple(s.scaled(scales[best]) for s in strips)
        here = rows_here(shown, self.height, room) if empty > room / 4 else len(shown)
        return Picture(svg, shown, self.landscape, self.detail == 2, empty, here, tuple(blank))


def choose_figure(
    graph: Graph, paper: Paper, blank: Sequence[str], show: Literal["both", "forward"] = "both"
) -> Choice:
    """Choose how a figure is drawn: with all numbers if its letters are large enough then, upright if it can be."""
    (w, h), everything = paper.room, 99
    upright, side = (w + 2 * BLEED, h, False), (paper.height - 2 * MARGIN, paper.width - 2 * HEAD, True)
    for width, height, landscape in (upright, side):
        choice = Choice(width, height, landscape, 2, everything, show)
        svg, fitted, legible = choice.fit(graph, blank)
        if legible and pages_of(list(strips_of(svg, fitted)), height, height)[0] <= MOST_PAGES:
            return choice
    for detail, depth in ((0, everything), (0, None)):
        for width, height, landscape in (upright, side):
            choice = Choice(width, height, landscape, detail, depth, show)
            if choice.fit(graph, blank)[2]:
                return choice
    return Choice(*side, 0, None, show)


def strips_of(svg: str, fitted: Fitted) -> Iterator[Strip]:
    """Yield the rows of a picture."""
    view = re.search(r'viewBox="([^"]+)"', svg)
    size = dict(re.findall(r' (width|height)="([\d.]+)pt"', svg.partition(">")[0]))
    assert view is not None
    left, start, width, height = map(float, view[1].split())
    unit = float(size["width"]) / width
    lanes = fitted.layout.lanes
    rows = [b.top for a, b in itertools.pairwise(lanes) if b.top > a.bottom + 1 and b.depth == 0]
    for top, bottom in itertools.pairwise([start, *rows, start + height]):
        yield Strip(left, top, width, bottom - top, (width * unit, (bottom - top) * unit))


def pages_of(strips: Sequence[Strip], height: float, left: float) -> tuple[float, float]:
    """Return how many pages the rows of a picture take, and what stays empty before the last row.

    ``left`` is free on the first page; no row may be higher than a page: else there are infinitely many.
    """
    pages, empty = 1.0, 0.0
    for strip in strips:
        if strip.points[1] > left:
            pages, empty, left = pages + 1, empty + left, height
        if strip.points[1] > left:
            return math.inf, empty
        left -= strip.points[1]
    return pages, empty


def rows_here(strips: Sequence[Strip], height: float, left: float) -> int:
    """Return how many rows stand on the first page: none if one page holds all; all if the next does not hold the rest.

    ``left`` is free on the first page.
    """
    ends = list(itertools.accumulate(s.points[1] for s in strips))
    first = 0 if ends[-1] <= height else sum(end <= left for end in ends)
    return first if sum(s.points[1] for s in strips[first:]) <= height else len(strips)
