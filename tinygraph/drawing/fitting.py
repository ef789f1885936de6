"""What is shown of a graph, and how large: from all of it, step by step, to what is legible in its room.

A drawing has letters of 10 pixels and more. So its room is a page of 1600 × 900 of its pixels where it is to be read on
a slide of 1920 × 1080 with letters of 12; and 843 of its pixels are the 506 pt of a paper, with letters of 6 pt.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tinygraph.drawing.layout.distances import COMPACT, NORMAL, Spacing
from tinygraph.drawing.layout.geometry import Layout, Point
from tinygraph.drawing.layout.inside import parameters_inside, places
from tinygraph.drawing.layout.mirror import Mirrored, mirror
from tinygraph.drawing.layout.mirror_rows import MirroredRow, finish_columns, sketch_rows, split_bands
from tinygraph.drawing.layout.place import finish_picture, scale_into, size_of, sketch_picture, worth
from tinygraph.drawing.layout.sketch import Options, Sketch
from tinygraph.drawing.style.formula import LEAST
from tinygraph.drawing.style.highlight import Highlight, Show, named_in, read_show
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import at_depth, check_names, chunks, close_library, fold, fold_runs, known_in, scopes
from tinygraph.graph.simplify import inline

__all__ = [
    "MOST",
    "NEARLY",
    "SLIDE",
    "SNUG",
    "STRETCHES",
    "UNITS",
    "Fitted",
    "Room",
    "Step",
    "count_cards",
    "fit_gradients",
    "fit_picture",
    "may_fit",
    "pixels",
    "room_for",
    "scaled",
    "taller_rooms",
]

SLIDE = 1600.0, 900.0  # the page of a picture for which no width is asked
SMALLEST_PT, SLIDE_SHARE = 6.0, 1 / 160  # of letters: in points, and of a screen's width: 12 px of 1920
NARROW = 600.0  # pixels of the drawing: a column in which labels beside the arrows may take too much
PAPER = 800.0  # pixels: what is narrower is a column of a paper, and drawn compactly
MOST, MOST_NUMBERS = 40, 15  # cards of a picture, and of one with all numbers
STRETCHES = MOST, 30, 20, 14, 10, 7, 5, 3, 2, 1  # of ops, in a picture in which nothing else helps
MOST_BY_HAND = 200  # cards where the reader asked for all numbers, or for these scopes
CELL = {0: (110.0, 62.0), 1: (170.0, 100.0), 2: (200.0, 150.0)}  # the least room of a card and its lines, about
COLUMN = 960.0  # pixels: how high a column of a paper is, 720 pt
MOST_PAGES = 1.29  # how high a picture of a given width may be at most
NARROW_COLUMN = 400.0  # pixels: in a paper a column of a mirrored picture takes so much, or more
MOST_ROWS, MOST_COLUMNS = 6, 6  # of a mirrored picture
SNUG = COMPACT._replace(label=15.0, widest=210.0)  # of a slide that shows much: its labels have raised letters
LEAVES = ("constant", "parameter")  # that may stand on the card of the op that uses them
NARROWER = 0.96  # rows are broken at so much of the width where labels took more than was thought
STRETCH = "stretches of ops"
NEARLY = 0.97  # a draft of this scale may fit when it is laid out
FOOT = 90.0  # pixels above and below the drawing: its margin, two lines of a legend and a caption
SMALLER = "letters are small here: detail 1 and 0, and the closing of scopes by a depth, make larger ones"
CLOSER = ("no local derivatives", "things closer")
TOO_NARROW, TOO_SMALL = (f"too {how} for gradients below their values" for how in ("narrow", "small"))
DETAILS = ("formulas alone", "mean and spread", "all numbers")
UNITS = {"px": 1.0, "pt": 96 / 72, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}


class Room(NamedTuple):
    """The room of a picture, in pixels of the drawing.

    Attributes:
        width: the greatest.
        height: the greatest.
        scale: how large a pixel of the drawing is in the file, at most.
        narrow: whether rows are broken at the width, as in a paper; if not, where it fills a page best.
        spacing: how far things stand apart.
        bound: whether the height is that of a page, and no other was asked for.
    """

    width: float
    height: float
    scale: float
    narrow: bool
    spacing: Spacing
    bound: bool = False


class Fitted(NamedTuple):
    """What is drawn.

    Attributes:
        drawn: the graph with what collapsed.
        layout: where all stands.
        highlight: what is emphasized.
        said: where it does not fit, what was tried.
        scale: by how much it must shrink to fit its room; 1 or more if it fits.
    """

    drawn: Graph
    layout: Layout
    highlight: Highlight
    said: str
    scale: float


class Step(NamedTuple):
    """One way to show a graph; ``said`` is how it differs from the one before."""

    graph: Graph
    detail: int
    ranges: bool
    said: str
    chips: bool = True
    spacing: Spacing | None = None  # that of the room


def pixels(length: float | str, what: str = "width") -> float:
    """Return a length in pixels.

    Args:
        length: a number of pixels, or a text such as "506pt".
        what: the option, for the message.

    Raises:
        ValueError: it is no length.

    >>> pixels("72pt")
    96.0
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(px|pt|mm|cm|in)?\s*", str(length))
    if not found or not float(found[1]):
        raise ValueError(f"{what} is {length!r}; it must be a number of pixels, or a length such as '506pt'")
    return float(found[1]) * UNITS[found[2] or "px"]


def room_for(width: float | str | None = None, height: float | str | None = None, letters: float | None = None) -> Room:
    """Return the room of a picture.

    Args:
        width: of the file; None for that of a slide.
        height: of the file; None for a page of this width.
        letters: size of the smallest letters, in points; 6, or 12 of the 1920 pixels of a slide.

    Raises:
        ValueError: a length is none.
    """
    if letters is not None and not 1 <= letters <= 72:
        raise ValueError(f"font_size is {letters!r}; it must be 1 to 72 points")
    if width is None and height is None:
        scale = 1.0 if letters is None else letters * UNITS["pt"] / LEAST
        return Room(*SLIDE, scale, False, NORMAL)
    w = None if width is None else pixels(width)
    h = None if height is None else pixels(height, "height")
    if w is None:
        assert h is not None
        w = h * SLIDE[0] / SLIDE[1]
    smallest = max(SMALLEST_PT * UNITS["pt"], w * SLIDE_SHARE) if letters is None else letters * UNITS["pt"]
    scale = smallest / LEAST
    tall = page_height(w) if h is None else h
    return Room(w / scale, tall / scale, scale, width is not None, COMPACT if w < PAPER else NORMAL, h is None)


def page_height(width: float) -> float:
    """Return how high a picture of this width may be: a page, or in a narrow column more of one, as in a paper."""
    page = width * math.sqrt(2)
    return max(page, min(MOST_PAGES * page, COLUMN))


def taller_rooms(room: Room) -> list[Room]:
    """Return a room that is a third higher than a page, for what does not fit a page; none where that is asked."""
    highest = room.width * math.sqrt(2) * MOST_PAGES
    return (
        [room._replace(height=highest, bound=False)]
        if room.bound and room.narrow and room.height < 0.99 * highest
        else []
    )


def fit_picture(
    graph: Graph,
    room: Room,
    *,
    detail: int | str = "auto",
    show: Show = "both",
    depth: int | None = None,
    expand: Sequence[str] = (),
    size: Callable[[Fitted], Point],
    keep: Sequence[str] = (),
) -> Fitted:
    """Choose what is shown of a graph, and lay it out: the first step at which it fits.

    Args:
        graph: from `snapshot`.
        room: what the picture may take.
        detail: 0, 1 or 2, or "auto".
        show: what to emphasize; what it names stays open.
        depth: scopes that are deeper collapse, and no others.
        expand: paths of scopes that stay open.
        size: returns width and height of the whole picture, with its title and legend.
        keep: names of nodes that have to be in the picture.

    Returns:
        The first step that fits; if none does, the one that is nearest.

    Raises:
        ValueError: ``expand`` names no scope, or depth is negative.
        KeyError: ``show`` names no node.
    """
    whole = inline(graph)
    check_names(whole, expand)
    named = (*named_in(show), *keep)
    opened = (*expand, *("/".join(whole.find(name).scope) for name in named))
    enough = 0.0 if detail == 2 and not room.narrow else 1.0  # who asks for all numbers gets them
    limit = MOST if enough and not expand else MOST_BY_HAND
    best: Draft | None = None
    tried, seen = [], []
    narrow, tight = room.narrow and room.width < NARROW, room.spacing is COMPACT
    for step in steps_of(whole, detail, depth, opened, named, narrow, tight):
        tried.append(step.said)
        last = step
        if not may_fit(step, room, limit, enough):
            continue
        if (key := (len(step.graph), step.detail, step.ranges and step.detail == 1, *step[4:])) in seen:
            continue
        seen.append(key)
        draft = draft_of(step, room, show)
        if draft.scale >= enough * NEARLY:
            found = finish(draft, room, size)
            for most in (room.width * NARROWER, room.width**2 / found.layout.width):
                if not room.narrow or found.layout.width <= room.width:
                    break
                draft = draft_of(step, room, show, most)  # labels took more room than was thought
                found = finish(draft, room, size)
            if found.scale >= enough:
                return found if found.scale >= NEARLY else found._replace(said=SMALLER)
            draft = draft._replace(scale=found.scale)
        if best is None or draft.scale > best.scale:
            best = draft
    best = best or draft_of(last, room, show)
    for taller in taller_rooms(room):
        return fit_picture(graph, taller, detail=detail, show=show, depth=depth, expand=expand, size=size, keep=keep)
    return unless_it_fits(finish(best, room, size), enough, tried, room, size)


def unless_it_fits(
    found: Fitted, enough: float, tried: Sequence[str], room: Room, size: Callable[[Fitted], Point]
) -> Fitted:
    """Say what was tried where the nearest does not fit, though it may; these words take room, too."""
    return found if found.scale >= enough else scaled(found._replace(said=in_vain(tried, room)), room, size)


def in_vain(tried: Sequence[str], room: Room) -> str:
    """Say what was tried; in a column, where each line of it makes the picture higher, the last."""
    steps = list(dict.fromkeys(tried))
    kept = ["…", steps[-1]] if room.narrow and room.width < NARROW and len(steps) > 2 else steps
    return f"tried for larger letters, in vain: {', '.join(kept)}" if len(steps) > 1 else ""


class Draft(NamedTuple):
    """A step that is sketched, and about the scale at which it fits."""

    drawn: Graph
    parts: Sequence[Sketch]
    highlight: Highlight
    scale: float


def draft_of(step: Step, room: Room, show: Show, most: float | None = None) -> Draft:
    """Sketch a step, in rows of ``most`` pixels: that takes a fraction of the time of laying it out."""
    drawn = step.graph
    highlight = read_show(drawn, show)
    apart = {*highlight.badges, *highlight.strong, *(highlight.nodes or ())}
    inside = parameters_inside(drawn, apart) if step.detail < 2 else {}
    page = room.width, room.height - FOOT
    parts = sketch_picture(
        drawn, step.detail, highlight.show, boxes=scopes(drawn), badges=highlight.badges, inside=inside,
        ranges=step.ranges, chips=step.chips, spacing=step.spacing or room.spacing, page=page,
        most=(most or room.width) if room.narrow else None,
    )  # fmt: skip
    return Draft(drawn, parts, highlight, scale_into((room.width, room.height), *size_of(parts)))


def finish(draft: Draft, room: Room, size: Callable[[Fitted], Point]) -> Fitted:
    """Lay a draft out."""
    return scaled(Fitted(draft.drawn, finish_picture(draft.parts), draft.highlight, "", 1.0), room, size)


def scaled(found: Fitted, room: Room, size: Callable[[Fitted], Point]) -> Fitted:
    """Return it with the scale at which it fits."""
    return found._replace(scale=min(have / takes for have, takes in zip(room[:2], size(found), strict=True)))


def count_cards(step: Step) -> int:
    """Return how many cards a step has."""
    graph = step.graph
    held = len(places(parameters_inside(graph))) if step.detail < 2 else 0
    return sum(not graph.is_number(n.id) for n in graph.nodes) - held


def may_fit(step: Step, room: Room, most: int, enough: float) -> bool:
    """Whether a step could fit: a count of its cards, for laying it out takes longer."""
    count = count_cards(step)
    w, h = CELL[step.detail]
    return count <= most and enough * count * w * h <= room.width * room.height


def steps_of(
    graph: Graph,
    detail: int | str,
    depth: int | None,
    opened: Sequence[str],
    named: Sequence[str] = (),
    narrow: bool = False,
    tight: bool = False,
) -> Iterator[Step]:
    """Yield what may be shown, from all of it to the least; before ops are cut, things stand closer, and labels go.

    Where the room is ``tight`` things stand close all the time, and in a ``narrow`` column labels do not come back.
    Scopes that are ``opened`` and nodes that are ``named`` stay.
    """
    levels = [detail] if isinstance(detail, int) else [1, 0]
    if depth is not None:
        graph = at_depth(graph, depth, opened)
    if detail == "auto" and count_cards(Step(graph, 2, True, "")) <= MOST_NUMBERS:
        yield Step(graph, 2, True, DETAILS[2])
    if 1 in levels:
        yield Step(graph, 1, True, DETAILS[1])
        yield Step(graph, 1, False, "no least and greatest")
    if levels != [1] and (depth is not None or detail != "auto"):
        yield Step(graph, levels[-1], True, DETAILS[levels[-1]])
    last = [(False, None)] if tight else [(True, SNUG), (False, SNUG)]
    if depth is not None:
        yield from (Step(graph, 0, False, CLOSER[chips], chips, spacing) for chips, spacing in last if levels[-1] == 0)
        return
    shown: list[Graph] = []
    for found, said in variants(graph, opened, named):
        if said == STRETCH and levels[-1] == 0:
            for (chips, spacing), closed in itertools.product(last, shown):
                yield Step(closed, 0, False, CLOSER[chips], chips, spacing)
            shown = []
        shown += [found] * (said != STRETCH)
        for level in levels:
            what = DETAILS[0] if level == 0 and levels != [0] and said != STRETCH else said
            yield Step(found, level, level == 2, what, chips=said != STRETCH or not narrow or levels[-1] > 0)


def variants(graph: Graph, opened: Sequence[str], named: Sequence[str] = ()) -> Iterator[tuple[Graph, str]]:
    """Yield graphs of fewer and fewer cards, each with what collapsed."""
    graph = close_library(graph, opened)
    yield graph, "softmax, losses and repeated layers closed"
    yield folded(graph, opened), "equal blocks and runs of ops folded"
    graph = close_library(graph, opened, all_of_it=True)
    yield folded(graph, opened), "layers closed"
    for level in range(max((len(n.scope) for n in graph.nodes), default=0) - 1, -1, -1):
        graph = at_depth(graph, level, opened)
        yield folded(graph, opened), f"scopes closed to depth {level}"
    if not opened:
        yield fold_runs(fold(graph), all_of_it=True), STRETCH
    graph = folded(graph, opened)
    for count in STRETCHES:
        yield chunks(graph, count, named), STRETCH


def folded(graph: Graph, opened: Sequence[str]) -> Graph:
    """Return the graph with equal blocks in one card, and equal runs of ops unless something must stay open."""
    graph = fold(graph, opened)
    return graph if opened else fold_runs(graph)


# -------------------------------------------------------------------------------------------------------- mirrored


def fit_gradients(graph: Graph, room: Room, *, show: str, size: Callable[[Fitted], Point], **options: Any) -> Fitted:
    """Lay out values and, below them, their gradients; in a room that is too small for that, as any graph.

    The arguments are those of `fit_picture`.
    """
    why = TOO_NARROW if room.narrow else TOO_SMALL

    def size_and_why(other: Fitted) -> Point:
        return size(other._replace(said=other.said or why))

    found = fit_mirrored(graph, room, show=show, size=size, **options)
    if found.scale >= 1 or (options["detail"] == 2 and not room.narrow):
        return found
    other = fit_picture(graph, room, show="both" if show == "gradient" else show, size=size_and_why, **options)
    return other._replace(said=other.said or why) if other.scale > found.scale else found


class MirroredStep(NamedTuple):
    """One way to show values and their gradients: what collapses, and which leaves stand on cards."""

    close: Callable[[Graph], Graph]
    detail: int
    ranges: bool
    hold: tuple[str, ...]
    said: str


class MirroredDraft(NamedTuple):
    """A step that is sketched, in columns of rows, and about the scale at which it fits its room."""

    graph: Graph
    columns: Sequence[Sequence[MirroredRow]]
    room: Room
    scale: float


def fit_mirrored(
    graph: Graph, room: Room, *, detail: int | str, show: str, depth: int | None, expand: Sequence[str],
    size: Callable[[Fitted], Point], keep: Sequence[str] = (),
) -> Fitted:  # fmt: skip
    """Choose what is shown of values and, below them, of their gradients, and lay it out: the first step that fits.

    The arguments are those of `fit_picture`. Each step is tried in one row, then in more.
    """
    check_names(inline(graph), expand)
    opened = (*expand, *("/".join(graph.find(name).scope) for name in keep))
    enough = 0.0 if detail == 2 and not room.narrow else 1.0
    limit = 2 * (MOST if enough and not expand else MOST_BY_HAND)
    rooms = [room, *taller_rooms(room)]
    steps, last = mirrored_steps(graph, detail, depth, opened, keep)
    best: MirroredDraft | None = None
    tried, seen = [], set()

    def finish(draft: MirroredDraft) -> Fitted:
        layout = finish_columns(draft.columns)
        return scaled(Fitted(draft.graph, layout, Highlight("both"), "", 1.0), draft.room, size)

    for place, step in [*itertools.product(rooms, steps), *itertools.product(rooms[-1:], last)]:
        found = mirror(graph, show, step.close, step.hold)
        count = sum(len(band.cards) for band in found.bands)
        tried.append(step.said)
        key = place, count, len(found.graph), step[1:4]
        w, h = CELL[step.detail]
        too_many = count > limit or enough * count * w * h > place.width * place.height
        if key in seen or (best is not None and too_many):
            continue
        seen.add(key)
        for draft in sorted(mirrored_drafts(found, step, place), key=lambda draft: -min(draft.scale, 1.0)):
            if draft.scale >= enough * NEARLY:
                fitted = finish(draft)
                if fitted.scale >= enough:
                    return fitted
                draft = draft._replace(scale=min(draft.scale, fitted.scale))
            best = draft if best is None or draft.scale > best.scale else best
    assert best is not None
    return unless_it_fits(finish(best), enough, tried, best.room, size)


def mirrored_drafts(found: Mirrored, step: MirroredStep, room: Room) -> Iterator[MirroredDraft]:
    """Yield a picture in rows, and in columns, until one nearly fits; with about the scale at which it does."""
    page = room.width, room.height - FOOT
    for spacing in (room.spacing, *([SNUG] if room.spacing is not COMPACT else [])):
        options = Options(step.detail, "forward", True, found.boxes, None, spacing, found.inside, step.ranges)
        shapes = [(1, rows) for rows in range(1, MOST_ROWS + 1)]
        bands = len(found.bands)
        most = min(bands, max(3, bands // 4), MOST_COLUMNS, int(room.width / NARROW_COLUMN) if room.narrow else bands)
        shapes += [(columns, 1) for columns in range(2, most + 1)]
        stop = False
        for across, rows in shapes:
            if stop and across == 1:
                continue
            columns = [sketch_rows(part, options, rows) for part in split_bands(found, across)]
            if len(columns[0]) < rows:
                stop = True
                continue
            sizes = [size_of([row.sketch for row in column]) for column in columns]
            w, h = sum(s[0] for s in sizes), max(s[1] for s in sizes)
            scale = scale_into(page, w, h) if room.narrow else worth(page, w, h)
            yield MirroredDraft(found.graph, columns, room, scale)
            if scale >= NEARLY:
                return
            stop = stop or h > page[1] / 0.9 or w < page[0] * 0.3


def mirrored_steps(
    graph: Graph, detail: int | str, depth: int | None, opened: Sequence[str], named: Sequence[str]
) -> tuple[list[MirroredStep], list[MirroredStep]]:
    """Return what may be shown, from all of it to the least; and what is shown where nothing of that fits."""
    levels = [detail] if isinstance(detail, int) else [1, 0]
    steps: list[MirroredStep] = []

    def whole(values: Graph) -> Graph:
        return values if depth is None else at_depth(values, depth, known_in(values, opened))

    if detail == 2 or (detail == "auto" and len(graph) - sum(map(graph.is_number, range(len(graph)))) <= MOST_NUMBERS):
        steps.append(MirroredStep(whole, 2, True, (), DETAILS[2]))
    for level in levels if detail != 2 else ():
        steps.append(MirroredStep(whole, level, True, LEAVES[:1], DETAILS[level]))
        if level == 1:
            steps.append(MirroredStep(whole, 1, False, LEAVES[:1], "no least and greatest"))
        steps.append(MirroredStep(whole, level, False, LEAVES, "parameters on cards"))
    if depth is not None:
        return steps, []
    deepest = max((len(n.scope) for n in graph.nodes if n.scope[:1] != ("grad",)), default=0)
    said = ["layers and scopes closed"] * (3 + deepest) + [STRETCH] * (len(STRETCHES) + (not opened))
    closed = [
        MirroredStep(functools.partial(variant, opened, named, k), level, level == 2, LEAVES, what)
        for k, what in enumerate(said)
        for level in levels
    ]
    first = (3 + deepest) * len(levels)
    return steps + closed[:first], closed[first:]


def variant(opened: Sequence[str], named: Sequence[str], k: int, graph: Graph) -> Graph:
    """Return the graph of number ``k`` among those of fewer and fewer cards; what is not in it need not stay."""
    names = {n.name for n in graph.nodes}
    kept = [name for name in named if name in names]
    for found, _ in itertools.islice(variants(graph, known_in(graph, opened), kept), k + 1):
        graph = found
    return graph
