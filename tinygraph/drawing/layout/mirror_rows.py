"""A mirrored gradient graph with coordinates, in as many rows or columns as its room asks for.

Where a picture is broken, each row has its part of every band: the values above, and their gradients below them. A line
that goes on in another row ends in a stub there. No line joins two bands: many of them stand in columns, like those of
a newspaper.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.boxes import scope_cells
from tinygraph.drawing.layout.card import (
    BODY,
    LINE,
    SMALL,
    TITLE,
    WIDEST,
    Block,
    Card,
    Held,
    Item,
    Text,
    array_block,
    card_of,
    end_card,
    gradient_block,
    move_items,
    statistics_text,
)
from tinygraph.drawing.layout.distances import NORMAL, Spacing
from tinygraph.drawing.layout.geometry import Layout, Rule, join_layouts, number_parts, stack_layouts
from tinygraph.drawing.layout.grid import CellPlan, Link, choose_way
from tinygraph.drawing.layout.inside import gradient_part
from tinygraph.drawing.layout.labels import contributions, is_rounding, label_runs, usual_dtype
from tinygraph.drawing.layout.mirror import BELOW, Band, Gradient, Line, Mirrored, close_columns
from tinygraph.drawing.layout.place import finish_layout, grid_of
from tinygraph.drawing.layout.sketch import Options, Sketch, stretch_stubs
from tinygraph.drawing.layout.tiers import choose_cuts
from tinygraph.drawing.style.conventions import NOUGHT
from tinygraph.drawing.style.formula import SPACE, Run, clip_runs, join_runs, plain_text, width_of, words
from tinygraph.graph.data import Edge, Node

__all__ = ["RULE", "MirroredRow", "finish_columns", "lay_out_mirrored", "sketch_rows", "split_bands"]

DERIVATIVE = "derivative"  # marks the line of a card that says a local derivative
RULE = 0.6  # how high the line between two bands is, in rows of cards, about


class MirroredRow(NamedTuple):
    """A row of a picture: its sketch, which lanes are lines between two bands, with their words, and all shades."""

    sketch: Sketch
    rules: Mapping[int, str]
    shades: Sequence[int]


class Stub(NamedTuple):
    """The end of a line that goes on in another row: of which card, and what it says."""

    card: int
    said: str


class Piece(NamedTuple):
    """The part of all bands that stands in one row, and its stubs by their numbers.

    ``headed`` says whether the first band has its heading above it, as the others have.
    """

    bands: Sequence[Band]
    stubs: Mapping[int, Stub]
    headed: bool = False


def lay_out_mirrored(
    found: Mirrored,
    detail: int = 2,
    *,
    chips: bool = True,
    spacing: Spacing = NORMAL,
    ranges: bool = True,
    rows: int = 1,
) -> Layout:
    """Lay a mirrored gradient graph out.

    Args:
        found: what `mirror` arranged.
        detail: 0 symbols, 1 summaries, 2 numbers.
        chips: write local derivatives on the lines.
        spacing: the distances of a page or of a column.
        ranges: say the least and the greatest element at detail 1.
        rows: the number of rows that it is broken into.

    Returns:
        A `Layout`, with a rule between two bands.
    """
    options = Options(detail, "forward", chips, found.boxes, None, spacing, found.inside, ranges)
    return finish_rows(sketch_rows(found, options, rows))


def sketch_rows(found: Mirrored, options: Options, count: int = 1) -> list[MirroredRow]:
    """Sketch a picture in so many rows; in fewer if it has too few columns."""
    whole = sketch_row(found, Piece(found.bands, {}, found.headed), options)
    if count < 2 or whole.sketch.plan.columns < count:
        return [whole]
    cuts = choose_cuts(whole.sketch, grid_of(whole.sketch), count)
    return [sketch_row(found, piece, options) for piece in cut_pieces(found, cuts)]


def finish_rows(rows: Sequence[MirroredRow]) -> Layout:
    """Lay rows out, below each other."""
    return number_parts(stack_layouts([finish_row(row) for row in rows], rows[0].sketch.options.spacing.tier))


def split_bands(found: Mirrored, count: int) -> list[Mirrored]:
    """Return a picture in so many columns of about one height, each with some of the bands."""
    heights = [band.rows + RULE for band in found.bands]
    sums = sorted({x for i in range(len(heights)) for x in itertools.accumulate(heights[i:])})  # as `fill_columns` adds
    columns = next(filled for most in sums if len(filled := fill_columns(found.bands, heights, most)) <= count)
    for bands in columns[1:]:  # what it is below stands in another column
        bands[0] = dataclasses.replace(bands[0], heading=head_alone(bands[0].heading))
    return [
        dataclasses.replace(found, bands=tuple(close_columns(bands)), headed=k > 0) for k, bands in enumerate(columns)
    ]


def fill_columns(bands: Sequence[Band], heights: Sequence[float], most: float) -> list[list[Band]]:
    """Put bands into columns that are no higher than ``most``, unless one band is."""
    columns: list[list[Band]] = []
    filled = 0.0
    for band, height in zip(bands, heights, strict=True):
        if not columns or filled + height > most:
            columns.append([])
            filled = 0.0
        columns[-1].append(band)
        filled += height
    return columns


def head_alone(heading: str) -> str:
    """Return a heading that speaks of no band above.

    >>> head_alone("∂L/∂ of each gradient above, in the same column; lanes mirrored")
    '∂L/∂ of each gradient; lanes mirrored'
    """
    if heading == BELOW:
        return "the gradient of each value; lanes mirrored"
    return heading.replace(" above", "").replace(", in the same column", "")


def finish_columns(columns: Sequence[Sequence[MirroredRow]]) -> Layout:
    """Lay columns out, beside each other."""
    layouts = [finish_rows(rows) for rows in columns]
    return join_layouts(layouts, 0.0) if len(layouts) > 1 else layouts[0]


def sketch_row(found: Mirrored, piece: Piece, options: Options) -> MirroredRow:
    """Compose the cards and choose the ways of a row."""
    plan, rules = join_bands(piece)
    lines = [line for band in piece.bands for line in band.lines]
    usual = usual_dtype(found.graph)

    def compose(c: int) -> Card:
        if c in piece.stubs:
            return stub_of(found, c, piece.stubs[c])
        if c in found.gradients:
            return gradient_card(found, c, options)
        inside = found.inside.get(c, ()) if options.detail < 2 else ()
        return card_of(
            found.graph, c, options.detail, "forward", usual=usual, inside=inside, ranges=options.ranges,
            spacing=options.spacing,
        )  # fmt: skip

    labels = {(k, "grad" if x.turned else "value"): x.label for k, x in enumerate(lines) if x.label and options.chips}
    turned = {k: x.to_left for k, x in enumerate(lines) if x.turned}
    ways = tuple(choose_way(plan, link) for link in plan.links)
    cards = stretch_stubs(plan, ways, {c: compose(c) for c in plan.nodes})
    more = max(piece.stubs, default=-1) + 1 - len(found.graph.nodes)
    stubs = [Node(len(found.graph.nodes) + k, None, "stub", "stub", (), "") for k in range(more)]
    graph = dataclasses.replace(found.graph, nodes=(*found.graph.nodes, *stubs)) if stubs else found.graph
    boxes = scope_cells(graph, plan, found.boxes)
    sketch = Sketch(graph, plan, options, ways, cards, labels, (False,) * len(lines), boxes, turned=turned)
    shades = [
        shade for k, band in enumerate(piece.bands) for shade in (*([0] if k or piece.headed else []), *band.shades)
    ]
    return MirroredRow(sketch, rules, shades)


def finish_row(row: MirroredRow) -> Layout:
    """Give everything in a row its place."""
    layout = finish_layout(row.sketch)
    lanes = tuple(lane._replace(depth=row.shades[k]) for k, lane in enumerate(layout.lanes) if k not in row.rules)
    rules = tuple(Rule((layout.lanes[k].top + layout.lanes[k].bottom) / 2, said) for k, said in row.rules.items())
    return dataclasses.replace(layout, lanes=lanes, rules=rules)


def join_bands(piece: Piece) -> tuple[CellPlan, dict[int, str]]:
    """Put bands below each other, an empty row between two; return also the lanes of these rows, and what they say."""
    lane: dict[int, int] = {}
    row: dict[int, int] = {}
    column: dict[int, int] = {}
    names: list[tuple[str, str]] = []
    first: list[int] = []
    rules: dict[int, str] = {}
    rows = 0
    for k, band in enumerate(piece.bands):
        if k or piece.headed:
            rules[len(names)] = band.heading
            names.append(("", ""))
            first.append(rows)
            rows += 1
        lane |= {c: len(names) + n for c, n in band.lane.items()}
        row |= {c: rows + r for c, r in band.row.items()}
        column |= {c: int(k) for c, k in band.column.items()}
        first += [rows + r for r in band.first]
        rows += band.rows
        names += band.names if band.stage >= 0 or not k else (("", ""),) * len(band.names)
    lines = [x for band in piece.bands for x in band.lines]
    links = tuple(
        Link(k, x.left, x.right, Edge(x.right if x.left in piece.stubs else x.left, "x"), False)
        for k, x in enumerate(lines)
    )
    nodes = tuple(c for band in piece.bands for c in band.cards)
    return CellPlan(nodes, lane, row, column, tuple(names), tuple(first), rows, 1 + max(column.values()), links), rules


# ------------------------------------------------------------------------------------------------------------ rows


def cut_pieces(found: Mirrored, cuts: Sequence[int]) -> Iterator[Piece]:
    """Yield the part of all bands that stands in each row, where these columns begin one."""
    tier, column = tiers_of(found, cuts)
    for n in sorted(set(tier.values())):
        here = [c for c, k in tier.items() if k == n]
        low, high = min(column[c] for c in here), max(column[c] for c in here)
        stubs: dict[int, Stub] = {}
        bands = []
        for band in found.bands:
            if any(tier[c] == n for c in band.cards):
                cutter = Cutter(band, tier, column, n, len(found.graph.nodes) + len(stubs))
                bands.append(cutter.cut(low - 1, high + 1))
                stubs |= cutter.stubs
        used = sorted({c for band in bands for c in band.column.values()})
        place = {c: k for k, c in enumerate(used)}
        yield Piece([dataclasses.replace(b, column={i: place[c] for i, c in b.column.items()}) for b in bands], stubs)


def tiers_of(found: Mirrored, cuts: Sequence[int]) -> tuple[dict[int, int], dict[int, float]]:
    """Return the row of each card, and its column; a leaf whose uses all stand in one row goes there."""
    column: dict[int, float] = {c: k for band in found.bands for c, k in band.column.items()}
    tier = {c: sum(k >= cut for cut in cuts) for c, k in column.items()}
    uses: dict[int, set[int]] = defaultdict(set)
    for line in (line for band in found.bands for line in band.lines if not line.turned):
        uses[line.left].add(tier[line.right])
    for c, there in uses.items():
        node, n = found.graph.nodes[c], min(there)
        if node.op is None and node.kind != "scope" and there == {n} and n > tier[c]:
            tier[c], column[c] = n, cuts[n - 1] - 1 + (column[c] + 1) / 1000  # left of the first column there
    for c, gradient in found.gradients.items():
        if c in tier and gradient.of in tier:
            tier[c], column[c] = tier[gradient.of], column[gradient.of]
    return tier, column


class Cutter:
    """Cuts the part of a band that stands in row ``n``."""

    def __init__(
        self, band: Band, tier: Mapping[int, int], column: Mapping[int, float], n: int, first_stub: int
    ) -> None:
        self.band, self.tier, self.n = band, tier, n
        self.cards = [c for c in band.cards if tier[c] == n]
        self.stubs: dict[int, Stub] = {}
        self.next = first_stub
        rows = sorted({band.row[c] for c in self.cards})
        lanes = sorted({band.lane[c] for c in self.cards})
        self.row = {c: rows.index(band.row[c]) for c in self.cards}
        self.lane = {c: lanes.index(band.lane[c]) for c in self.cards}
        self.lanes, self.rows = lanes, len(rows)
        self.column: dict[int, float] = {c: column[c] for c in self.cards}

    def cut(self, left: float, right: float) -> Band:
        """Return the part, with stubs in these columns and further out."""
        band = self.band
        first = [min(self.row[c] for c in self.cards if self.lane[c] == k) for k in range(len(self.lanes))]
        ends: dict[tuple[int, bool], int] = {}  # the stub of a card, at the left or at the right
        lines = []
        for line in sorted(band.lines, key=lambda x: column_gap(band, x)):
            here = [self.tier[line.left] == self.n, self.tier[line.right] == self.n]
            if all(here):
                lines.append(line)
            elif any(here):
                source = line.right if line.to_left else line.left
                begins = self.tier[source] != self.n  # the line begins in another row
                at_left = here[1]
                card = line.right if at_left else line.left
                new = (source, at_left) not in ends
                if new:
                    ends[source, at_left] = self.add_stub(source, card, begins, left if at_left else right, first)
                stub = ends[source, at_left]
                cut = line._replace(left=stub) if at_left else line._replace(right=stub)
                if begins or new:
                    lines.append(cut._replace(label=line.label if begins else ()))
        cards = (*(s for s in self.stubs if self.tier[self.stubs[s].card] != self.n), *self.cards)
        cards = (*cards, *(s for s in self.stubs if s not in cards))
        names = tuple(band.names[k] for k in self.lanes)
        return dataclasses.replace(
            band, cards=cards, row=self.row, column=self.column, lane=self.lane, first=tuple(first), rows=self.rows,
            names=names, shades=tuple(band.shades[k] for k in self.lanes), lines=tuple(lines),
        )  # fmt: skip

    def add_stub(self, source: int, card: int, begins: bool, column: float, first: Sequence[int]) -> int:
        """Add a stub beside a card: as near to its row as there is room."""
        stub, self.next = self.next, self.next + 1
        there = {self.tier[x.right if x.left == source else x.left] for x in self.band.lines if source in x[:2]}
        away = sorted(1 + k for k in there if k != self.n)
        said = f"from row {1 + self.tier[source]}" if begins else f"to row {away[0]}"
        if not begins and len(away) > 1:
            said = f"to rows {', '.join(map(str, away[:3]))}{'…' * (len(away) > 3)}"
        taken = {(self.row[s], self.column[s]) for s in self.stubs}
        out = -1 if column < self.column[card] else 1
        near = sorted(range(self.rows), key=lambda r: abs(r - self.row[card]))
        places = ((r, column + out * k) for k in itertools.count() for r in near)
        row, at = next(place for place in places if place not in taken)
        self.stubs[stub], self.row[stub], self.column[stub] = Stub(source, said), row, at
        self.lane[stub] = sum(row >= r for r in first) - 1
        return stub


def column_gap(band: Band, line: Line) -> float:
    """Return how many columns a line spans."""
    return band.column[line.right] - band.column[line.left]


# ----------------------------------------------------------------------------------------------------------- cards


def stub_of(found: Mirrored, c: int, stub: Stub) -> Card:
    """Compose the card of a stub: the name of the value or gradient, and where it goes on."""
    gradient = found.gradients.get(stub.card)
    runs = gradient.name if gradient else label_runs(found.graph, stub.card)
    return end_card(c, clip_runs(runs, 12.0, 110), stub.said)


def gradient_card(found: Mirrored, c: int, options: Options) -> Card:
    """Compose the card of a gradient: its name, its local derivative, then its value, then those of leaves inside."""
    node, shown, detail, size = found.graph.nodes[c], found.gradients[c], options.detail, options.spacing.title
    title = clip_runs(shown.title, size, WIDEST)
    below = clip_runs(shown.below, BODY, WIDEST)
    tight = size < TITLE
    across = max(
        width_of(title, size) + 12 + 12 * (not tight), width_of(below, BODY) + 18 - 8 * tight, 86.0 - 30 * tight
    )
    of = DERIVATIVE if shown.here and below else ""
    items: list[Item] = [
        Text(0, size + 4, title, size, "ink"),
        Text(0, size + 19, below, BODY, "muted", of=of),
    ]
    header = y = size + 28
    if detail and node.value:
        block = value_block(node, shown, options)
        items += move_items(block.items, 0, y + 4)
        across = max(across, block.width + 24)
        y += block.height + 10
    held = []
    for leaf in found.inside.get(c, ()) if detail < 2 else ():
        line, wide = leaf_line(found, leaf, detail, y)
        held.append(line)
        across, y = max(across, wide + 18), y + (LINE if detail else SMALL) + 6
    header = y if not detail else header
    spans = (8.0, header - 8)
    return Card(
        c, across, y, header, "gradient", "gradient", tuple(items), spans, spans, 0.0, plain_text(title), tuple(held)
    )


def leaf_line(found: Mirrored, leaf: int, detail: int, y: float) -> tuple[Held, float]:
    """Write the gradient of a leaf that stands on a card: ``◆ ∂L/∂W  ‖xᵀ ∂‖ .384``; return also how long it is."""
    shown, size = found.gradients[leaf], LINE if detail else SMALL
    assert shown.graph is not None
    part = gradient_part(shown.graph, shown.i, detail)
    runs = join_runs((Run(f"◆{SPACE}", "sans"), *shown.name, *words(f"{SPACE}{SPACE}"), *part))
    runs = clip_runs(runs, size, WIDEST)
    return Held(leaf, (Text(0, y + size - 1, runs, size, "grad", of="grad"),)), width_of(runs, size)


def value_block(node: Node, shown: Gradient, options: Options) -> Block:
    """Show a gradient in a line, as a table, or as the sum of its contributions."""
    assert node.value
    if options.detail == 1 or not node.shape:
        nought = shown.graph and is_rounding(shown.graph, shown.graph.nodes[shown.i])
        line = words(NOUGHT if nought else statistics_text(node.value, options.ranges))
        return Block([Text(0, 11, line, LINE, "grad", of="grad")], width_of(line, LINE), 14)
    if shown.graph and shown.here and len(contributions(shown.graph, shown.i)) > 1:
        return gradient_block(shown.graph, shown.graph.nodes[shown.i])
    return array_block(node.value, "grad", "grad")
