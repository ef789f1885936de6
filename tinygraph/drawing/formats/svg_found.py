"""What `diff` and `paths` found, as SVG: two graphs below each other, and a gradient as the sum of its ways."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.fitting import MOST, STRETCHES, Room, Step, count_cards, may_fit, room_for, taller_rooms
from tinygraph.drawing.formats.svg import Writer, at, check_options, document, size_of
from tinygraph.drawing.layout.card import FEW_PARTS, Card, add_heading, array_block, put_in_row
from tinygraph.drawing.layout.distances import COMPACT
from tinygraph.drawing.layout.geometry import Layout, Placed, Point, centre_layout
from tinygraph.drawing.layout.inside import parameters_inside
from tinygraph.drawing.layout.place import LEGEND, lay_out, scale_into
from tinygraph.drawing.style.conventions import MOST_CARDS, numeral
from tinygraph.drawing.style.formula import Run, name_runs, words
from tinygraph.drawing.style.highlight import Highlight
from tinygraph.graph.batch import with_batch
from tinygraph.graph.data import Graph, Summary
from tinygraph.graph.diff import Difference, diff
from tinygraph.graph.paths import Path
from tinygraph.graph.scopes import chunks, fit, scopes
from tinygraph.graph.simplify import inline

__all__ = ["svg_diff", "svg_paths"]


def svg_diff(
    found: Difference,
    *,
    detail: int | str = "auto",
    theme: str = "light",
    width: float | str | None = None,
    height: float | str | None = None,
    title: str | None = None,
) -> str:
    """Draw two graphs below each other, or beside each other: what they share steps back, what differs is outlined.

    Args:
        found: what `diff` found.
        detail: 0 symbols, 1 summaries, 2 numbers; "auto" takes what is legible.
        theme: as in `svg`.
        width: of the picture, in pixels or as "506pt"; no text in it is smaller than 6 pt, and it is no higher than a
            page of this width.
        height: the greatest, likewise.
        title: what readers of the page hear; by default, which two are compared.

    Returns:
        An SVG document.

    Raises:
        ValueError: an option is not known.

    >>> from tinygraph import Tensor, diff, snapshot
    >>> x = Tensor([1.0], name="x")
    >>> svg_diff(diff(snapshot((x * 2).named("y")), snapshot((x + x).named("y")))).startswith("<svg")
    True
    """
    check_options(detail, theme)
    room = room_for(width, height)
    room = next(iter(taller_rooms(room)), room)  # two pictures
    pair = fit_pair(found, detail, theme, room)
    body = []
    for part, (x, y) in zip(pair.parts, pair.places, strict=True):
        body += [f'<g transform="translate({at(x)} {at(y)})">', *part.body(), "</g>"]
    name = title or f"{found.names[0]} and {found.names[1]}, compared"
    about = ". ".join(f"{part.title}: {part.description()}" for part in pair.parts)
    page = size_of((pair.width, pair.height), room, width, height, pair.compact)
    return document(body, pair.width, pair.height, theme, name, about, page)


class Pair(NamedTuple):
    """Two pictures, where each begins, and how large they are together."""

    parts: Sequence[Writer]
    places: Sequence[Point]
    width: float
    height: float
    compact: bool


def fit_pair(found: Difference, detail: int | str, theme: str, room: Room) -> Pair:
    """Draw two graphs with less and less of them open until they fit their room, or the nearest to it."""
    levels = [detail] if isinstance(detail, int) else [1, 0]
    whole = [inline(with_batch(graph)) for graph in (found.a, found.b)]
    best: tuple[float, Pair] | None = None
    for limit, level in itertools.product((MOST_CARDS, *STRETCHES), levels):
        a, b = (close_to(graph, limit) for graph in whole)
        asked = detail == 2 and not room.narrow
        if not asked and any(not may_fit(Step(graph, level, False, ""), room, MOST, 1.0) for graph in (a, b)):
            continue
        parts = draw_parts(found, diff(a, b), level, theme, room)
        for beside in (False, True)[: 1 if room.narrow else 2]:
            pair = put_together(parts, beside, room.spacing is COMPACT)
            scale = scale_into((room.width, room.height), pair.width, pair.height)
            if best is None or scale > best[0]:
                best = scale, pair
        if asked or (best and best[0] >= 1):
            break
    assert best is not None  # two cards may always fit
    return best[1]


def close_to(graph: Graph, limit: int) -> Graph:
    """Return a graph of at most about ``limit`` cards."""
    found = fit(graph, limit)
    return found if count_cards(Step(found, 1, False, "")) <= limit else chunks(found, limit)


def draw_parts(found: Difference, drawn: Difference, level: int, theme: str, room: Room) -> list[Writer]:
    """Draw each of two graphs by itself: ``drawn`` are these with what collapsed."""
    parts: list[Writer] = []
    page = room.width, room.height / 2 - LEGEND
    for whole, graph, alone, own, name in (
        (found.a, drawn.a, found.only_a, drawn.only_a, found.names[0]),
        (found.b, drawn.b, found.only_b, drawn.only_b, found.names[1]),
    ):
        strong = frozenset(own)
        said = f"{len(whole) - len(alone)} of {len(whole)} nodes are in both; those of {name} alone are outlined"
        edges = frozenset((e.source, i) for i in own for e in graph.nodes[i].inputs)
        highlight = Highlight("both", strong=strong, nodes=strong, edges=edges, caption=said)
        layout = lay_out(
            graph, level, "both", chips=False, boxes=scopes(graph), spacing=room.spacing, ranges=level == 2, page=page,
            inside=parameters_inside(graph, strong) if level < 2 else {}, most=room.width if room.narrow else None,
        )  # fmt: skip
        compact = room.spacing is COMPACT
        layout = centre_layout(layout, room.width) if compact else layout
        parts.append(Writer(whole, graph, layout, theme, name, highlight, f"{len(parts)}-", compact=compact))
    return parts


def put_together(parts: Sequence[Writer], beside: bool, compact: bool) -> Pair:
    """Put two pictures below each other, or beside each other."""
    a, b = parts
    if beside:
        return Pair(parts, [(0.0, 0.0), (a.width, 0.0)], a.width + b.width, max(a.height, b.height), compact)
    w = max(a.width, b.width)
    return Pair(parts, [((w - a.width) / 2, 0.0), ((w - b.width) / 2, a.height)], w, a.height + b.height, compact)


def svg_paths(found: Sequence[Path], *, theme: str = "light", title: str | None = None) -> str:
    """Draw a gradient that was split by path: a table for each way, and their sum.

    Args:
        found: what `tinygraph.paths` found: the names on each way, and its part of the gradient.
        theme: as in `svg`.
        title: what readers of the page hear; "The gradient, split by path" if not given.

    Returns:
        An SVG document.

    Raises:
        ValueError: there is no path.

    >>> from tinygraph import Tensor, paths
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> svg_paths(paths(x, (x * x).named("y"), np.ones(2))).startswith("<svg")
    True
    """
    check_options("auto", theme)
    if not found:
        raise ValueError("svg_paths: there is no path to draw")
    shape = tuple(found[0][1].shape)
    columns = [part.ravel().tolist() for _, part in found]
    sums = [math.fsum(parts) for parts in zip(*columns, strict=True)]
    largest = max((abs(v) for column in columns for v in column), default=0.0)
    blocks = []
    for k, values in enumerate([*columns, sums]):
        values = [0.0 if abs(v) < 1e-12 * largest else v for v in values]
        arrow = Run("\xa0→\xa0", "roman")
        way = (
            [run for n, name in enumerate(found[k][0]) for run in ((arrow,) * (n > 0) + name_runs(name))]
            if k < len(found)
            else []
        )
        mark = words(
            f"{numeral(k)} " if k < min(len(found), FEW_PARTS) else "" if k < len(found) else "the whole gradient"
        )
        blocks.append(add_heading((*mark, *way), array_block(summary_of(shape, values), "grad"), "grad"))
    row = put_in_row(blocks, ["+"] * (len(found) - 1) + ["="], "grad")
    w, h = row.width + 40, row.height + 26
    items = tuple(item._replace(y=item.y + 12) for item in row.items)
    card = Card(0, w, h, 0.0, "input", "input", items, (0, 0), (0, 0), 0.0, "")
    layout = Layout(w + 24, h + 20, (Placed(card, 12, 8),), (), (), (), ())
    empty = Graph((), ())
    return Writer(empty, empty, layout, theme, title or "The gradient, split by path", Highlight("both")).document()


def summary_of(shape: tuple[int, ...], values: Sequence[float]) -> Summary:
    """Return the summary of numbers in C order, without a histogram."""
    mean = math.fsum(values) / max(len(values), 1)
    std = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / max(len(values), 1))
    low, high = min(values, default=0.0), max(values, default=0.0)
    return Summary(
        shape, "float64", mean, std, low, high, list(values).count(0.0), 0, 0, 8 * len(values), values=tuple(values)
    )
