"""The card of a node: texts, tables and bars, and where they stand around the middle of its top edge.

A card knows no other card. Its place on the page is found by the modules beside this one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.distances import COMPACT, NORMAL, Spacing
from tinygraph.drawing.layout.inside import gradient_part, gradient_start, name_part
from tinygraph.drawing.layout.labels import (
    call_runs,
    contributions,
    definition_runs,
    dust_of,
    fact_runs,
    gradient_name,
    is_loss,
    is_nameless,
    is_rounding,
    is_unused_leaf,
    label_runs,
    loss_name,
    number_of,
    via_runs,
)
from tinygraph.drawing.style.conventions import (
    CIRCLED,
    NOUGHT,
    TABLE_COLUMNS,
    TABLE_ROWS,
    TINTS,
    numeral,
    plural,
    shape_text,
    state_words,
)
from tinygraph.drawing.style.formula import (
    SPACE,
    Run,
    Runs,
    clip_runs,
    join_runs,
    name_runs,
    plain_text,
    width_of,
    words,
)
from tinygraph.drawing.style.numbers import narrow_number
from tinygraph.drawing.style.text_width import width
from tinygraph.graph.data import Graph, Node, Summary, brief_name
from tinygraph.graph.options import op_words

__all__ = ["Bars", "Card", "Held", "Outline", "Table", "Text", "card_of"]

WIDEST = 250.0  # of a title, in pixels
FEW_PARTS = 9  # more contributions than this are not numbered
TITLE, SMALL, BODY, LINE = 16.0, 10.0, 10.0, 11.0  # font sizes; a line is all that a card at detail 1 says of an array
CELL = 15.0  # height of a cell
LEADING = 17.0  # from line to line at detail 1


class Text(NamedTuple):
    """A line of text; ``ink`` names its colour, ``anchor`` is "start", "middle" or "end".

    ``of`` says whose numbers are in it: "value", "grad", "grad0" for the first contribution, or "" for none. ``left``
    is what stays of it when they are taken out.
    """

    x: float
    y: float
    runs: Runs
    size: float
    ink: str
    anchor: str = "middle"
    of: str = ""
    left: Runs = ()

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle that it needs: left, top, right, bottom."""
        w = width_of(self.runs, self.size)
        left = self.x - {"start": 0.0, "middle": w / 2, "end": w}[self.anchor]
        return left, self.y - self.size, left + w, self.y + 0.3 * self.size


class Table(NamedTuple):
    """A table: its top left corner, the width of each column, and (text, tint 0 … 6) of each cell.

    ``of`` is as in `Text`.
    """

    x: float
    y: float
    columns: tuple[float, ...]
    cells: tuple[tuple[tuple[str, int], ...], ...]
    ink: str
    of: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + math.fsum(self.columns), self.y + CELL * len(self.cells)


class Bars(NamedTuple):
    """A sparkline: heights from 0 to 1; ``of`` as in `Text`."""

    x: float
    y: float
    width: float
    height: float
    bars: tuple[float, ...]
    ink: str
    of: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.width, self.y + self.height


class Outline(NamedTuple):
    """An empty box around a line that says why there is no gradient; ``ink`` is the state."""

    x: float
    y: float
    width: float
    height: float
    ink: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.width, self.y + self.height


class Held(NamedTuple):
    """The line of a parameter on the card of its consumer."""

    node: int
    items: tuple[Item, ...]


Item = Text | Table | Bars | Outline
Span = tuple[float, float]  # top and bottom


@dataclasses.dataclass(frozen=True)
class Card:
    """One node as it is drawn. Coordinates are in pixels from the middle of the top edge.

    Attributes:
        node: id of the node.
        width: of the card.
        height: of the card.
        header: height of the coloured head.
        family: what colour the head has: the family of the op, or "input", "parameter", "loss", …
        kind: of the node.
        items: what stands on it.
        value: top and bottom of the value; its lines leave there.
        grad: top and bottom of the gradient.
        room: height of the value's block; cards of a row agree on it.
        title: its first line, as plain text.
        held: the parameters that stand on it.
    """

    node: int
    width: float
    height: float
    header: float
    family: str
    kind: str
    items: tuple[Item, ...]
    value: Span
    grad: Span
    room: float
    title: str
    held: tuple[Held, ...] = ()


# --------------------------------------------------------------------------------------------------------- numbers


def tint(x: object, largest: float) -> int:
    """Return how strongly a cell is coloured, from 0 to 6, by magnitude; -1 where it is no finite number.

    What is larger than the ``largest`` is masked, and as pale as a zero.
    """
    if isinstance(x, bool):
        return TINTS * x
    if not isinstance(x, int | float) or not math.isfinite(x):
        return -1
    return max(1, math.ceil(abs(x) / largest * TINTS - 1e-9)) if 0 < abs(x) <= largest else 0


def table_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return the rows and columns of an array written as a table, or None if it is larger than 6 × 8."""
    size = math.prod(shape)
    if not size or size > TABLE_ROWS * TABLE_COLUMNS:
        return None
    if len(shape) < 2:
        return (1, size) if size <= TABLE_COLUMNS else None
    cuts = [(math.prod(shape[:k]), math.prod(shape[k:])) for k in range(len(shape) - 1, 0, -1)]
    return next(((r, c) for r, c in cuts if r <= TABLE_ROWS and c <= TABLE_COLUMNS), None)


def make_table(summary: Summary | None, ink: str, of: str = "", least: float = 21.0) -> Table | None:
    """Lay the elements out as a table with its top middle at (0, 0), or return None if they are too many."""
    lies = table_shape(summary.shape) if summary is not None and summary.values is not None else None
    if summary is None or lies is None or summary.values is None:
        return None
    rows, columns = lies
    finite = [abs(v) for v in unmasked(summary)]
    largest = max(finite, default=0.0)
    cells = [
        [(narrow_number(v, largest), tint(v, largest)) for v in summary.values[r * columns :][:columns]]
        for r in range(rows)
    ]
    widest = max(width(text, BODY) for row in cells for text, _ in row)
    across = max(least, widest + 6)
    return Table(-across * columns / 2, 0.0, (across,) * columns, tuple(map(tuple, cells)), ink, of)


def unmasked(s: Summary) -> list[float]:
    """Return the listed elements that the statistics regard: finite, and not masked."""
    least = s.min if s.masked and s.min is not None else -math.inf
    return [v for v in s.values or () if isinstance(v, int | float) and math.isfinite(v) and v >= least]


def statistics_text(s: Summary, ranges: bool = True) -> str:
    """Write mean ± std [min, max], or the number; without ``ranges``, mean ± std."""
    if s.values is not None and len(s.values) == 1:
        return narrow_number(s.values[0])
    s = without_dust(s)
    if s.mean is None or s.std is None:
        return f"{s.dtype}, {math.prod(s.shape)} elements" if not s.nans and not s.infs else "nothing finite"
    spread = f"{narrow_number(s.mean)} ± {narrow_number(s.std)}"
    span = f"  [{narrow_number(s.min)}, {narrow_number(s.max)}]" if ranges else ""
    return spread + span + (f" · {s.masked} masked" if s.masked else "")


def without_dust(s: Summary) -> Summary:
    """Set the mean to 0 where it is only what rounding leaves of a zero."""
    largest = max(abs(s.min or 0.0), abs(s.max or 0.0))
    return dataclasses.replace(s, mean=0.0) if s.mean and abs(s.mean) < dust_of(s.dtype, largest) else s


def count_oddities(s: Summary) -> str:
    """Count the zeros, NaN and infinities, where there are any."""
    found = ((s.zeros, "zeros" if s.zeros > 1 else "zero"), (s.nans, "NaN"), (s.infs, "inf"), (s.masked, "masked"))
    return " · ".join(f"{count} {what}" for count, what in found if count)


# ---------------------------------------------------------------------------------------------------------- blocks


class Block(NamedTuple):
    """Items below each other around x = 0, from y = 0 down."""

    items: Sequence[Item]
    width: float
    height: float


EMPTY = Block((), 0, 0)


def move_items(items: Sequence[Item], dx: float, dy: float) -> list[Item]:
    """Move items."""
    return [item._replace(x=item.x + dx, y=item.y + dy) for item in items]


def array_block(s: Summary, ink: str, of: str = "") -> Block:
    """Show an array: its elements in a table, or its statistics above a histogram; ``of`` as in `Text`."""
    if not s.shape:
        text = words(statistics_text(s))
        return Block([Text(0, 12, text, 11.0, ink, of=of)], width_of(text, 11.0), 16)
    if table := make_table(s, ink, of):
        return Block([table], math.fsum(table.columns), CELL * len(table.cells))
    s = without_dust(s)
    lines = (
        [f"{narrow_number(s.mean)} ± {narrow_number(s.std)}", f"[{narrow_number(s.min)}, {narrow_number(s.max)}]"]
        if s.mean is not None
        else []
    )
    lines = lines if len(s.values or ()) != 1 else [statistics_text(s)]
    items: list[Item] = [Text(0, 11 + 13 * k, words(line), LINE, ink, of=of) for k, line in enumerate(lines)]
    y = 3 + 13.0 * len(lines)
    if s.values is not None and not s.histogram and s.mean is not None and s.max != s.min:
        finite = unmasked(s)
        low, high = float(s.min or 0), float(s.max or 0)
        places = [min(int((v - low) / (high - low) * 16), 15) for v in finite]
        counts: Sequence[int] = [places.count(k) for k in range(16)]
    else:
        counts = s.histogram
    if any(counts):
        items.append(Bars(-44, y + 3, 88, 20, tuple(c / max(counts) for c in counts), ink, of))
        y += 26
    if odd := count_oddities(s):
        items.append(Text(0, y + 9, words(odd), SMALL, "bad" if s.nans or s.infs else "muted", of=of))
        y += 13
    return Block(items, max([90.0, *(item.box[2] * 2 for item in items)]), y)


def add_heading(heading: Runs, block: Block, ink: str) -> Block:
    """Put a heading above a block."""
    text = Text(0, 9, heading, SMALL, ink)
    across = max(block.width, width_of(heading, SMALL))
    return Block([text, *move_items(block.items, 0, 14)], across, block.height + 14)


def put_in_row(blocks: Sequence[Block], signs: Sequence[str], ink: str) -> Block:
    """Put blocks in a row with a sign before each but the first; they stand on one line."""
    gap, tallest = 13.0, max(b.height for b in blocks)
    across = math.fsum(b.width for b in blocks) + gap * (len(blocks) - 1)
    items: list[Item] = []
    x = -across / 2
    for k, block in enumerate(blocks):
        if k:
            items.append(Text(x + gap / 2, tallest / 2 + 11, words(signs[k - 1], "bold"), 13.0, ink))
            x += gap
        items += move_items(block.items, x + block.width / 2, tallest - block.height)
        x += block.width
    return Block(items, across, tallest)


def column_sum_texts(table: Table, s: Summary) -> list[Item]:
    """Write the sum of each column under a table."""
    columns = len(table.columns)
    rows = [s.values[k * columns :][:columns] for k in range(len(table.cells))]  # type: ignore[index]
    largest = max((abs(v) for row in rows for v in row), default=0.0)
    sums = [math.fsum(column) for column in zip(*rows, strict=True)]
    sums = [0.0 if abs(v) < 1e-12 * largest * len(rows) else v for v in sums]
    y, x = table.box[3] + 13, table.x
    return [
        Text(x + w * (k + 0.5), y, words(narrow_number(v, largest), "bold"), SMALL, "grad", of=table.of)
        for k, (w, v) in enumerate(zip(table.columns, sums, strict=True))
    ]


def gradient_block(graph: Graph, node: Node) -> Block:
    """Show the gradient: its table, or the ledger of contributions, or why there is none."""
    heading = gradient_name(graph, node.id)
    if node.grad is None:
        return state_block(graph, node)
    if is_rounding(graph, node):
        text = words(NOUGHT)
        return add_heading(
            heading, Block([Text(0, 11, text, BODY, "grad", of="grad")], width_of(text, BODY), 16), "grad"
        )
    parts = contributions(graph, node.id)
    seeded = node.id in graph.outputs and node.shape
    if len(parts) < 2 or len(parts) + bool(seeded) > FEW_PARTS:
        return add_heading(heading, array_block(node.grad, "grad", "grad"), "grad")
    tables = [make_table(e.grad, "grad", f"grad{k}") for k, (_, e) in enumerate(parts)]
    total = make_table(node.grad, "grad", "grad")
    if total is None or not all(tables) or len(parts) > 3 or seeded:
        lines = [
            join_runs(
                (
                    Run(f"{numeral(k)} via{SPACE}", "sans"),
                    *via_runs(graph, c),
                    Run(f"{SPACE}{SPACE}‖·‖ {narrow_number(e.grad.norm if e.grad else 0)}".replace(" ", SPACE), "sans"),
                )
            )
            for k, (c, e) in enumerate(parts)
        ]
        left = [join_runs((*words(f"{numeral(k)} via "), *via_runs(graph, c))) for k, (c, _) in enumerate(parts)]
        block = add_heading(heading, array_block(node.grad, "grad", "grad"), "grad")
        items = [
            *(Text(0, 9 + 12 * k, line, SMALL, "grad", of=f"grad{k}", left=left[k]) for k, line in enumerate(lines)),
            *move_items(block.items, 0, 12 * len(lines) + 3),
        ]
        return Block(
            items, max([block.width, *(width_of(line, SMALL) for line in lines)]), block.height + 12 * len(lines) + 3
        )
    blocks = []
    summed = len(total.cells) > 1
    for k, ((c, e), table) in enumerate(zip([*parts, (-1, None)], [*tables, total], strict=True)):
        if table is None:
            continue
        s: Summary = e.grad if e else node.grad  # type: ignore[assignment]
        head = (
            join_runs((Run(f"{numeral(k)} via{SPACE}", "sans"), *via_runs(graph, c)))
            if e
            else tuple(Run(r.text, r.face, r.scale, r.rise) for r in heading)
        )
        sums = column_sum_texts(table, s) if summed else []
        block = Block([table, *sums], math.fsum(table.columns), table.box[3] + 17 * summed)
        blocks.append(add_heading(head, block, "grad"))
    signs = ["+"] * (len(parts) - 1) + ["="]
    row = put_in_row(blocks, signs, "grad")
    if not summed:
        return row
    sigma = Text(-row.width / 2 - 8, row.height - 4, words("Σ", "bold"), SMALL, "grad")
    return Block([*row.items, sigma], row.width + 20, row.height)


def state_block(graph: Graph, node: Node) -> Block:
    """Say why there is no gradient: each reason in a frame of its own."""
    text = words(state_words(node.grad_state))
    if node.grad_state != "none":
        text = join_runs((*gradient_name(graph, node.id), Run(SPACE + SPACE, "sans"), *text))
    across = width_of(text, SMALL) + 14
    frame = Outline(-across / 2, 2, across, 16, node.grad_state)
    return Block([frame, Text(0, 13, text, SMALL, "grad" if node.grad_state == "unused" else "muted")], across, 19)


# ----------------------------------------------------------------------------------------------------------- cards


def subtitle_runs(graph: Graph, node: Node, usual: str, copied: str) -> Runs:
    """Write the second line: the op, the shape, what is broadcast."""
    parts: list[Runs] = [words(op_words(graph, node)), words(shape_text(node.shape))]
    for e in node.inputs:
        if (
            e.copies > 1
            and node.family == "elementwise"
            and graph.copied_axes(node.id, e)
            and not graph.is_number(e.source)
        ):
            parts.append((*label_runs(graph, e.source), *words(f" {copied}{e.copies}")))
    if node.dtype != usual or (node.kind == "input" and usual != "float64"):
        parts.append(words(node.dtype))
    if not node.name and node.kind != "constant":
        parts.append(words(f"#{node.number}"))
    return join_runs(run for k, part in enumerate(parts) for run in (*words(" · " if k else ""), *part))


def heading_runs(graph: Graph, node: Node) -> Runs:
    """Write the first line: ``x̂ = x_c ÷ σ``."""
    if node.op is None:
        return (*name_runs(node.name), *number_of(graph, node)) if node.name else label_runs(graph, node.id, "constant")
    made = definition_runs(graph, node.id)
    if not made or made == fact_runs(graph, node.id).get(node.inputs[0].operand if node.inputs else ""):
        made = join_runs((*words(f"{node.op} ", "roman"), *made))  # a formula that says nothing: reshape x
    name = (*name_runs(node.name), *number_of(graph, node)) if node.name else ()
    return join_runs((*name, Run(f"{SPACE}={SPACE}", "roman"), *made)) if name else made


def card_of(
    graph: Graph, i: int, detail: int, show: str = "both", room: float = 0.0, usual: str = "float64", badge: str = "",
    *, inside: Sequence[int] = (), ranges: bool = True, spacing: Spacing = NORMAL,
) -> Card:  # fmt: skip
    """Compose the card of node ``i``.

    Args:
        graph: the graph.
        i: id of the node.
        detail: 0 symbols, 1 summaries, 2 numbers.
        show: "forward" leaves out gradients, "backward" and "both" show them.
        room: least height of the value's block, in pixels, so that cards of a row agree.
        usual: the dtype that need not be named.
        badge: a last line, such as what the node keeps in memory; one that begins with "!" is a warning.
        inside: the parameters that stand on it.
        ranges: say the least and the greatest element at detail 1.
        spacing: the sizes of a page or of a column.

    Returns:
        The card; coordinates are from the middle of its top edge.
    """
    node = graph.nodes[i]
    family = "loss" if is_loss(graph, i) and node.family != "fused" else node.family
    if badge:
        card = card_of(graph, i, detail, show, room, usual, inside=inside, ranges=ranges, spacing=spacing)
        return with_badge(card, badge)
    if inside:
        card = card_of(graph, i, detail, show, room, usual, ranges=ranges, spacing=spacing)
        return with_parameters(graph, card, inside, detail, show)
    if node.kind == "scope":
        return scope_card(graph, node, detail, ranges, spacing)
    if node.kind == "stub":
        return short_stub(graph, node, spacing)
    if detail == 0:
        return symbol_card(graph, node, family, spacing)
    ran = detail == 2 or any(graph.nodes[j].grad is not None for j in graph.outputs)
    asked = show != "forward" and ran and node.kind != "constant" and (node.requires_grad or detail == 2)
    gradients = asked and not is_unused_leaf(graph, node)
    if detail == 1 or not node.shape:
        return summary_card(graph, node, family, usual, gradients, room, ranges, spacing)
    return number_card(graph, node, family, usual, gradients, room, spacing)


def with_badge(card: Card, badge: str) -> Card:
    """Add a last line to a card; one that begins with "!" is a warning."""
    ink = "bad" if badge.startswith("!") else "ink"
    last = Text(0, card.height + 9, words(badge.removeprefix("!")), SMALL, ink)
    across = max(card.width, width_of(last.runs, SMALL) + 18)
    header = card.header + 18 if card.header == card.height else card.header
    return dataclasses.replace(card, width=across, height=card.height + 18, header=header, items=(*card.items, last))


def with_parameters(graph: Graph, card: Card, inside: Sequence[int], detail: int, show: str) -> Card:
    """Add a line for each parameter below all else on a card."""
    size = LINE if detail else SMALL
    across, y, held = card.width, card.height, []
    for i in inside:
        name, product = name_part(graph, i), gradient_part(graph, i, detail) if show != "forward" else ()
        product = clip_runs(product, size, WIDEST)
        first = width_of(name, size) + (10 if product else 0)
        whole = first + width_of(product, size)
        ink = "muted" if graph.nodes[i].kind == "constant" else "held"
        texts = [Text(-whole / 2, y + size - 1, name, size, ink, "start")]
        if product:
            left = gradient_start(graph, i) if detail and graph.nodes[i].grad else ()
            of = "grad" * bool(left)
            texts.append(Text(first - whole / 2, y + size - 1, product, size, "grad", "start", of=of, left=left))
        held.append(Held(i, tuple(texts)))
        across, y = max(across, whole + 18), y + size + 6
    return dataclasses.replace(card, width=across, height=y, held=tuple(held))


def short_stub(graph: Graph, node: Node, space: Spacing) -> Card:
    """Compose the card at the end of a line that goes on in another row: the name of the value."""
    source = graph.nodes[dict(node.params)["source"]]
    formula = is_nameless(graph, source.id) and source.op
    runs = definition_runs(graph, source.id) if formula else label_runs(graph, source.id)
    runs = clip_runs(runs, 12.0, space.stub)
    facts = dict(node.params)
    rows, shared = facts.get("to", ()), facts.get("sources", ())
    if len(shared) > 1:
        names = [(*words(", " if k else ""), *label_runs(graph, j)) for k, j in enumerate(shared)]
        runs = clip_runs(tuple(run for name in names for run in name), 12.0, 150)
    said = facts.get("said") or (
        f"from row {facts['from']}" if "from" in facts else f"the same {len(shared)} again" if len(shared) > 1 else ""
    )
    if rows:
        said = (
            f"to row {rows[0]}" if len(rows) == 1 else f"to rows {', '.join(map(str, rows[:3]))}{'…' * (len(rows) > 3)}"
        )
    return end_card(node.id, runs, said)


def end_card(i: int, runs: Runs, said: str) -> Card:
    """Compose a stub: what is called so stands elsewhere, where ``said`` tells."""
    across = max(width_of(runs, 12.0) + 18, width_of(words(said), SMALL) + 14, 48.0)
    items = (
        Text(0, 24 - 6 * bool(said), runs, 12.0, "muted"),
        *(Text(0, 32, words(w), SMALL, "muted") for w in (said,) if w),
    )
    return Card(i, across, 40.0, 40.0, "stub", "stub", items, (8, 14), (26, 32), 0.0, "")


def head_block(graph: Graph, node: Node, usual: str, space: Spacing) -> tuple[Runs, Block]:
    """Return the title of a card, and its head: the title above a line on op and shape."""
    narrow = space is COMPACT
    title = clip_runs(heading_runs(graph, node), space.title, WIDEST)
    below = clip_runs(subtitle_runs(graph, node, usual, "×" if narrow else "broadcast ×"), SMALL, WIDEST)
    across = max(width_of(title, space.title) + space.pad, width_of(below, SMALL) + min(space.pad, 16), space.least)
    y = (15.0, 27.0, 32.0) if narrow else (19.0, 32.5, 39.0)
    texts = [Text(0, y[0], title, space.title, "ink"), Text(0, y[1], below, SMALL, "muted")]
    return title, Block(texts, across, y[2])


def summary_card(
    graph: Graph, node: Node, family: str, usual: str, gradients: bool, room: float, ranges: bool, space: Spacing
) -> Card:
    """Compose a card whose value and gradient are a line each."""
    title, head = head_block(graph, node, usual, space)
    said = statistics_text(node.value, ranges) if node.value else "value not kept"
    lines = [(words(said), "value", "value" * bool(node.value))]
    if gradients:
        lines.append((gradient_line(graph, node, ranges), "grad" if node.grad else "muted", "grad" * bool(node.grad)))
    items, across, y = head.items, head.width, head.height + 3
    spans: list[Span] = []
    for line, ink, of in lines:
        left = gradient_line_start(graph, node) if of == "grad" else ()
        items = [*items, Text(0, y + 12, line, LINE, ink, of=of, left=left)]
        across = max(across, width_of(line, LINE) + 18)
        spans.append((y + 2, y + 16))
        y += LEADING
    return Card(node.id, across, y + 3, head.height, family, node.kind, tuple(items), spans[0], spans[-1], room,
                plain_text(title))  # fmt: skip


def gradient_line(graph: Graph, node: Node, ranges: bool) -> Runs:
    """Write a gradient in one line: ``∂L/∂x = ①+② = 0 ± 1.29``, or why there is none."""
    shown = statistics_text(node.grad, ranges) if node.grad else state_words(node.grad_state)
    shown = NOUGHT if is_rounding(graph, node) else shown
    return join_runs((*gradient_line_start(graph, node), *words(shown)))


def gradient_line_start(graph: Graph, node: Node) -> Runs:
    """Write what stands before the number in the line of a gradient."""
    if not node.requires_grad:
        return ()
    count = len(contributions(graph, node.id))
    marks = "+".join(CIRCLED[:count]) if 1 < count <= FEW_PARTS and node.grad else ""
    sign = f" = {marks} = " if marks else " = " if node.grad else "  "
    return join_runs((*gradient_name(graph, node.id), *words(sign)))


def number_card(
    graph: Graph, node: Node, family: str, usual: str, gradients: bool, room: float, space: Spacing
) -> Card:
    """Compose a card whose value and gradient are tables of numbers, or statistics with a histogram."""
    title, head = head_block(graph, node, usual, space)
    y = head.height + 3
    block = add_heading(words("value"), array_block(node.value, "value", "value"), "value") if node.value else EMPTY
    items = [*head.items, *move_items(block.items, 0, y)]
    across = max(head.width, block.width + 18)
    used = max(block.height, room)
    value = grad = (y + 14, y + max(block.height, 20))
    y += used + 4
    if gradients:
        below = gradient_block(graph, node)
        items += move_items(below.items, 0, y)
        across = max(across, below.width + 18)
        grad = (y + 14, y + below.height - 4) if node.grad else (y + 4, y + below.height - 2)
        y += below.height
    said = plain_text(title)
    return Card(node.id, across, y + 7, head.height, family, node.kind, tuple(items), value, grad, used, said)


def symbol_card(graph: Graph, node: Node, family: str, space: Spacing) -> Card:
    """Compose a card of detail 0: the name and how it is made."""
    made = definition_runs(graph, node.id) if node.op else words(f"{node.kind} {shape_text(node.shape)}")
    if node.name:
        title, sub = (*name_runs(node.name), *number_of(graph, node)), made
    elif node.op:
        title, sub = made, words(f"{op_words(graph, node)} · #{node.number}")
    else:
        title, sub = words("constant"), words(shape_text(node.shape))
    title, sub = clip_runs(title, space.title, 170), clip_runs(sub, BODY, 170)
    across = max(space.least, width_of(title, space.title) + space.pad + 2, width_of(sub, BODY) + space.pad)
    h = 2.5 * space.line
    items = (Text(0, space.line + 1, title, space.title, "ink"), Text(0, 2 * space.line, sub, BODY, "muted"))
    value, grad = (0.2 * h, 0.44 * h), (0.56 * h, 0.8 * h)
    return Card(node.id, across, h, h, family, node.kind, items, value, grad, 0.0, plain_text(title))


def scope_card(graph: Graph, node: Node, detail: int, ranges: bool, space: Spacing) -> Card:
    """Compose the card of a collapsed scope: what is in it, its output, its gradient; or the course over repeats."""
    about = dict(node.params)
    brief = brief_name(node)
    ops = (node.name or "").removeprefix(brief or "").removeprefix(": ")
    call = call_runs(graph, dataclasses.replace(node, name=brief))
    title = clip_runs((Run(f"▸{SPACE}", "sans"), *call), 12.5, space.widest)
    counts = [about.get("options") or plural(about.get("ops", 0), "op")] if about.get("ops", 1) else []
    if about.get("parameters"):
        counts.append(plural(about["parameters"], "parameter"))
    counts.append(shape_text(node.shape))
    if about.get("repeat", 1) > 1:
        counts.insert(0, f"×{about['repeat']}")
    lines = [clip_runs(words(line), SMALL, space.widest) for line in scope_lines(ops, counts, space)]
    across = max(width_of(title, 12.5), *(width_of(line, SMALL) for line in lines)) + min(space.pad + 2, 22)
    items: list[Item] = [Text(0, 17, title, 12.5, "ink")]
    items += [Text(0, 30 + 12 * k, line, SMALL, "muted") for k, line in enumerate(lines)]
    header = y = 25.0 + 12 * len(lines)
    value = grad = (y + 4, y + 14)
    courses = about.get("courses") or []
    if courses:
        ends = [words(f"{narrow_number(course[0])} → {narrow_number(course[-1])}") for _, _, course in courses]
        across = max(across, space.widest, 120 + space.bars + max(width_of(end, BODY) for end in ends))
        left = -across / 2 + 12
        for (name, ink, course), end in zip(courses, ends, strict=True):
            finite = [c for c in course if math.isfinite(c)]
            top = max(map(abs, finite), default=0.0) or 1.0
            heights = tuple(min(abs(c) / top, 1.0) if math.isfinite(c) else 1.0 for c in course)
            items.append(Text(left, y + 14, words(name), BODY, ink, "start"))
            of = ink if ink in ("value", "grad") else ""
            items.append(Bars(left + 84, y + 3, space.bars, 14, heights, ink, of))
            items.append(Text(across / 2 - 12, y + 14, end, BODY, ink, "end", of))
            y += 20
        value, grad = (header + 4, header + 16), (header + 24, header + 36)
        y += 3
    elif detail:
        line = words(statistics_text(node.value, ranges)) if node.value else words("value not kept")
        items.append(Text(0, y + 14, line, LINE, "value", of="value" * bool(node.value)))
        across = max(across, width_of(line, LINE) + 18)
        y += 20
        if node.grad is not None:
            mine = words("out") if is_nameless(graph, node.id) else label_runs(graph, node.id)
            start = join_runs((Run("‖∂", "sans"), *loss_name(graph), Run("/∂", "sans"), *mine, *words("‖  ")))
            runs = join_runs((*start, *words(narrow_number(node.grad.norm or 0))))
            items.append(Text(0, y + 12, runs, LINE, "grad", of="grad", left=start))
            across = max(across, width_of(runs, LINE) + 18)
            grad = (y + 1, y + 15)
            y += LEADING
        y += 3
    else:
        y += 9
        value, grad = (10, 20), (26, 38)
    return Card(node.id, across, y, header, "scope", "scope", tuple(items), value, grad, 0.0, plain_text(title))


def scope_lines(ops: str, counts: Sequence[str], space: Spacing) -> list[str]:
    """Return the lines below the name of a collapsed scope: its ops if listed, then one; in a column two if long."""
    whole = " · ".join(counts)
    if space is not COMPACT or width_of(words(whole), SMALL) <= space.widest:
        below = [whole]
    else:
        below = [line for line in (" · ".join(counts[:-1]), counts[-1]) if line]
    return [ops, *below] if ops else below


def grow_card(card: Card, width: float, height: float) -> Card:
    """Make a card wider and higher by so much; what stands on a card without blocks keeps to its middle."""
    whole = card.header >= card.height
    items = tuple(item._replace(y=item.y + height / 2) for item in card.items) if whole else card.items
    header = card.header + height if whole else card.header
    return dataclasses.replace(
        card, width=card.width + width, height=card.height + height, header=header, items=items
    )  # fmt: skip


def stub_card(card: Card, height: float, value: Span | None = None, grad: Span | None = None) -> Card:
    """Make a stub taller; its ports are at the heights that are given, or in its upper and its lower half."""
    items = tuple(item._replace(y=item.y + (height - card.height) / 2) for item in card.items)
    value, grad = value or (8, height / 2), grad or (height / 2, height - 8)
    return dataclasses.replace(card, height=height, header=height, items=items, value=value, grad=grad)
