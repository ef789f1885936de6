"""The card of a node: texts, tables and bars, and where they stand around the middle of its top edge.

A card knows no other card. Its place on the page is found by the modules beside this one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from tinygraph.drawing.layout.labels import (
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
    via_runs,
)
from tinygraph.drawing.style.conventions import (
    CIRCLED,
    NOUGHT,
    STATE,
    TABLE_COLUMNS,
    TABLE_ROWS,
    TINTS,
    numeral,
    plural,
    shape_text,
)
from tinygraph.drawing.style.formula import SPACE, Run, Runs, clip_runs, join_runs, name_runs, text_of, width_of, words
from tinygraph.drawing.style.numbers import narrow_number
from tinygraph.drawing.style.text_width import width
from tinygraph.graph.data import Graph, Node, Summary

__all__ = ["Bars", "Card", "Outline", "Table", "Text", "card_of"]

WIDEST = 250.0  # of a title, in pixels
FEW_PARTS = 9  # more contributions than this are not numbered
TITLE, SMALL, BODY = 16.0, 9.0, 10.0  # font sizes
CELL = 16.0  # height of a cell


class Text(NamedTuple):
    """A line of text; ``ink`` names its colour, ``anchor`` is "start", "middle" or "end"."""

    x: float
    y: float
    runs: Runs
    size: float
    ink: str
    anchor: str = "middle"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle that it needs: left, top, right, bottom."""
        w = width_of(self.runs, self.size)
        left = self.x - {"start": 0.0, "middle": w / 2, "end": w}[self.anchor]
        return left, self.y - self.size, left + w, self.y + 0.3 * self.size


class Table(NamedTuple):
    """A table: its top left corner, the width of each column, and (text, tint 0 … 6) of each cell."""

    x: float
    y: float
    columns: tuple[float, ...]
    cells: tuple[tuple[tuple[str, int], ...], ...]
    ink: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + math.fsum(self.columns), self.y + CELL * len(self.cells)


class Bars(NamedTuple):
    """A sparkline: heights from 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    bars: tuple[float, ...]
    ink: str

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


# --------------------------------------------------------------------------------------------------------- numbers


def tint(x: object, largest: float) -> int:
    """Return how strongly a cell is coloured, from 0 to 6, by magnitude; -1 where it is no finite number."""
    if isinstance(x, bool):
        return TINTS * x
    if not isinstance(x, int | float) or not math.isfinite(x):
        return -1
    return max(1, math.ceil(abs(x) / largest * TINTS - 1e-9)) if x and largest else 0


def table_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return the rows and columns of an array written as a table, or None if it is larger than 6 × 8."""
    size = math.prod(shape)
    if not size or size > TABLE_ROWS * TABLE_COLUMNS:
        return None
    if len(shape) < 2:
        return (1, size) if size <= TABLE_COLUMNS else None
    cuts = [(math.prod(shape[:k]), math.prod(shape[k:])) for k in range(len(shape) - 1, 0, -1)]
    return next(((r, c) for r, c in cuts if r <= TABLE_ROWS and c <= TABLE_COLUMNS), None)


def make_table(summary: Summary | None, ink: str, x: float = 0.0, y: float = 0.0, least: float = 25.0) -> Table | None:
    """Lay the elements out as a table with its top middle at (x, y), or return None if they are too many."""
    lies = table_shape(summary.shape) if summary is not None and summary.values is not None else None
    if summary is None or lies is None or summary.values is None:
        return None
    rows, columns = lies
    finite = [abs(v) for v in summary.values if isinstance(v, int | float) and math.isfinite(v)]
    largest = max(finite, default=0.0)
    cells = [
        [(narrow_number(v, largest), tint(v, largest)) for v in summary.values[r * columns :][:columns]]
        for r in range(rows)
    ]
    widest = max(width(text, BODY) for row in cells for text, _ in row)
    across = max(least, widest + 7)
    return Table(x - across * columns / 2, y, (across,) * columns, tuple(map(tuple, cells)), ink)


def statistics_text(s: Summary) -> str:
    """Write mean ± std [min, max], or the number."""
    if s.values is not None and len(s.values) == 1:
        return narrow_number(s.values[0])
    s = without_dust(s)
    if s.mean is None or s.std is None:
        return f"{s.dtype}, {math.prod(s.shape)} elements" if not s.nans and not s.infs else "nothing finite"
    return f"{narrow_number(s.mean)} ± {narrow_number(s.std)}  [{narrow_number(s.min)}, {narrow_number(s.max)}]"


def without_dust(s: Summary) -> Summary:
    """Set the mean to 0 where it is only what rounding leaves of a zero."""
    largest = max(abs(s.min or 0.0), abs(s.max or 0.0))
    return dataclasses.replace(s, mean=0.0) if s.mean and abs(s.mean) < dust_of(s.dtype, largest) else s


def count_oddities(s: Summary) -> str:
    """Count the zeros, NaN and infinities, where there are any."""
    found = ((s.zeros, "zeros" if s.zeros > 1 else "zero"), (s.nans, "NaN"), (s.infs, "inf"))
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


def array_block(s: Summary, ink: str) -> Block:
    """Show an array: its elements in a table, or its statistics above a histogram."""
    if not s.shape:
        text = words(statistics_text(s))
        return Block([Text(0, 12, text, 11.0, ink)], width_of(text, 11.0), 16)
    if table := make_table(s, ink):
        return Block([table], math.fsum(table.columns), CELL * len(table.cells))
    s = without_dust(s)
    lines = (
        [f"{narrow_number(s.mean)} ± {narrow_number(s.std)}", f"[{narrow_number(s.min)}, {narrow_number(s.max)}]"]
        if s.mean is not None
        else []
    )
    lines = lines if len(s.values or ()) != 1 else [statistics_text(s)]
    items: list[Item] = [Text(0, 10 + 12 * k, words(line), BODY, ink) for k, line in enumerate(lines)]
    y = 3 + 12.0 * len(lines)
    if s.values is not None and not s.histogram and s.mean is not None and s.max != s.min:
        finite = [v for v in s.values if isinstance(v, int | float) and math.isfinite(v)]
        low, high = float(s.min or 0), float(s.max or 0)
        places = [min(int((v - low) / (high - low) * 16), 15) for v in finite]
        counts: Sequence[int] = [places.count(k) for k in range(16)]
    else:
        counts = s.histogram
    if any(counts):
        items.append(Bars(-44, y + 3, 88, 20, tuple(c / max(counts) for c in counts), ink))
        y += 26
    if odd := count_oddities(s):
        items.append(Text(0, y + 9, words(odd), SMALL, "bad" if s.nans or s.infs else "muted"))
        y += 13
    return Block(items, max([90.0, *(item.box[2] * 2 for item in items)]), y)


def add_heading(heading: Runs, block: Block, ink: str) -> Block:
    """Put a heading above a block."""
    text = Text(0, 9, heading, SMALL, ink)
    across = max(block.width, width_of(heading, SMALL))
    return Block([text, *move_items(block.items, 0, 14)], across, block.height + 14)


def put_in_row(blocks: Sequence[Block], signs: Sequence[str], ink: str) -> Block:
    """Put blocks in a row with a sign before each but the first; they stand on one line."""
    gap, tallest = 20.0, max(b.height for b in blocks)
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
        Text(x + w * (k + 0.5), y, words(narrow_number(v, largest), "bold"), SMALL, "grad")
        for k, (w, v) in enumerate(zip(table.columns, sums, strict=True))
    ]


def gradient_block(graph: Graph, node: Node) -> Block:
    """Show the gradient: its table, or the ledger of contributions, or why there is none."""
    heading = gradient_name(graph, node.id)
    if node.grad is None:
        return state_block(graph, node)
    if is_rounding(graph, node):
        text = words(NOUGHT)
        return add_heading(heading, Block([Text(0, 11, text, BODY, "grad")], width_of(text, BODY), 16), "grad")
    parts = contributions(graph, node.id)
    seeded = node.id in graph.outputs and node.shape
    if len(parts) < 2 or len(parts) + bool(seeded) > FEW_PARTS:
        return add_heading(heading, array_block(node.grad, "grad"), "grad")
    tables = [make_table(e.grad, "grad") for _, e in parts]
    total = make_table(node.grad, "grad")
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
        block = add_heading(heading, array_block(node.grad, "grad"), "grad")
        items = [
            *(Text(0, 9 + 12 * k, line, SMALL, "grad") for k, line in enumerate(lines)),
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
    sigma = Text(-row.width / 2 - 10, row.height - 4, words("Σ", "bold"), SMALL, "grad")
    return Block([*row.items, sigma], row.width + 24, row.height)


def state_block(graph: Graph, node: Node) -> Block:
    """Say why there is no gradient: each reason in a frame of its own."""
    text = words(STATE[node.grad_state])
    if node.grad_state != "none":
        text = join_runs((*gradient_name(graph, node.id), Run(SPACE + SPACE, "sans"), *text))
    across = width_of(text, SMALL) + 14
    frame = Outline(-across / 2, 2, across, 16, node.grad_state)
    return Block([frame, Text(0, 13, text, SMALL, "grad" if node.grad_state == "unused" else "muted")], across, 19)


# ----------------------------------------------------------------------------------------------------------- cards


def subtitle_runs(graph: Graph, node: Node, usual: str) -> Runs:
    """Write the second line: the op, the shape, what is broadcast."""
    parts: list[Runs] = [words(node.op or node.kind), words(shape_text(node.shape))]
    for e in node.inputs:
        if (
            e.copies > 1
            and node.family == "elementwise"
            and graph.copied_axes(node.id, e)
            and not graph.is_number(e.source)
        ):
            parts.append((*label_runs(graph, e.source), *words(f" broadcast ×{e.copies}")))
    if node.dtype != usual or (node.kind == "input" and usual != "float64"):
        parts.append(words(node.dtype))
    if not node.name and node.kind != "constant":
        parts.append(words(f"#{node.id}"))
    return join_runs(run for k, part in enumerate(parts) for run in (*words(" · " if k else ""), *part))


def heading_runs(graph: Graph, node: Node) -> Runs:
    """Write the first line: ``x̂ = x_c ÷ σ``."""
    if node.op is None:
        return label_runs(graph, node.id, "constant")
    made = definition_runs(graph, node.id)
    if not made or made == fact_runs(graph, node.id).get(node.inputs[0].operand if node.inputs else ""):
        made = join_runs((*words(f"{node.op} ", "roman"), *made))  # a formula that says nothing: reshape x
    return join_runs((*name_runs(node.name), Run(f"{SPACE}={SPACE}", "roman"), *made)) if node.name else made


def card_of(
    graph: Graph, i: int, detail: int, show: str = "both", room: float = 0.0, usual: str = "float64", badge: str = ""
) -> Card:
    """Compose the card of node ``i``.

    Args:
        graph: the graph.
        i: id of the node.
        detail: 0 symbols, 1 summaries, 2 numbers.
        show: "forward" leaves out gradients, "backward" and "both" show them.
        room: least height of the value's block, in pixels, so that cards of a row agree.
        usual: the dtype that need not be named.
        badge: a last line, such as what the node keeps in memory; one that begins with "!" is a warning.

    Returns:
        The card; coordinates are from the middle of its top edge.
    """
    node = graph.nodes[i]
    family = "loss" if is_loss(graph, i) and node.family != "fused" else node.family
    if badge:
        return with_badge(card_of(graph, i, detail, show, room, usual), badge)
    if node.kind == "scope":
        return scope_card(graph, node, detail)
    if node.kind == "stub":
        return short_stub(graph, node)
    if detail == 0:
        return symbol_card(graph, node, family)
    ran = detail == 2 or any(graph.nodes[j].grad is not None for j in graph.outputs)
    asked = show != "forward" and ran and node.kind != "constant" and (node.requires_grad or detail == 2)
    gradients = asked and not is_unused_leaf(graph, node)
    if detail == 1 or not node.shape:
        return summary_card(graph, node, family, usual, gradients, room)
    return number_card(graph, node, family, usual, gradients, room)


def with_badge(card: Card, badge: str) -> Card:
    """Add a last line to a card; one that begins with "!" is a warning."""
    ink = "bad" if badge.startswith("!") else "ink"
    last = Text(0, card.height + 9, words(badge.removeprefix("!")), SMALL, ink)
    across = max(card.width, width_of(last.runs, SMALL) + 18)
    header = card.header + 18 if card.header == card.height else card.header
    return dataclasses.replace(card, width=across, height=card.height + 18, header=header, items=(*card.items, last))


def short_stub(graph: Graph, node: Node) -> Card:
    """Compose the card at the end of a line that goes on in another row: the name of the value."""
    source = graph.nodes[dict(node.params)["source"]]
    formula = is_nameless(graph, source.id) and source.op
    runs = clip_runs(definition_runs(graph, source.id) if formula else label_runs(graph, source.id), 12.0, 90)
    across = max(width_of(runs, 12.0) + 18, 48.0)
    items = (Text(0, 24, runs, 12.0, "muted"),)
    return Card(node.id, across, 40.0, 40.0, "stub", "stub", items, (8, 14), (26, 32), 0.0, "")


def head_block(graph: Graph, node: Node, usual: str) -> tuple[Runs, Block]:
    """Return the title of a card, and its head: the title above a line on op and shape."""
    title = clip_runs(heading_runs(graph, node), TITLE, WIDEST)
    below = clip_runs(subtitle_runs(graph, node, usual), SMALL, WIDEST)
    across = max(width_of(title, TITLE) + 24, width_of(below, SMALL) + 18, 84.0)
    return title, Block([Text(0, 19, title, TITLE, "ink"), Text(0, 32.5, below, SMALL, "muted")], across, 39.0)


def summary_card(graph: Graph, node: Node, family: str, usual: str, gradients: bool, room: float) -> Card:
    """Compose a card whose value and gradient are a line each."""
    title, head = head_block(graph, node, usual)
    lines = [(words(statistics_text(node.value) if node.value else "value not kept"), "value")]
    if gradients:
        lines.append((gradient_line(graph, node), "grad" if node.grad else "muted"))
    items, across, y = head.items, head.width, head.height + 3
    spans: list[Span] = []
    for line, ink in lines:
        items = [*items, Text(0, y + 10, line, BODY, ink)]
        across = max(across, width_of(line, BODY) + 18)
        spans.append((y + 1, y + 14))
        y += 16
    return Card(node.id, across, y + 3, head.height, family, node.kind, tuple(items), spans[0], spans[-1], room,
                text_of(title))  # fmt: skip


def gradient_line(graph: Graph, node: Node) -> Runs:
    """Write a gradient in one line: ``∂L/∂x = ①+② = 0 ± 1.29``, or why there is none."""
    count = len(contributions(graph, node.id))
    shown = statistics_text(node.grad) if node.grad else STATE[node.grad_state]
    shown = NOUGHT if is_rounding(graph, node) else shown
    marks = "+".join(CIRCLED[:count]) if 1 < count <= FEW_PARTS and node.grad else ""
    sign = f" = {marks} = " if marks else " = " if node.grad else "  "
    return join_runs((*gradient_name(graph, node.id), *words(sign + shown))) if node.requires_grad else words(shown)


def number_card(graph: Graph, node: Node, family: str, usual: str, gradients: bool, room: float) -> Card:
    """Compose a card whose value and gradient are tables of numbers, or statistics with a histogram."""
    title, head = head_block(graph, node, usual)
    y = head.height + 3
    block = add_heading(words("value"), array_block(node.value, "value"), "value") if node.value else EMPTY
    items = [*head.items, *move_items(block.items, 0, y)]
    across = max(head.width, block.width + 24)
    used = max(block.height, room)
    value = grad = (y + 14, y + max(block.height, 20))
    y += used + 4
    if gradients:
        below = gradient_block(graph, node)
        items += move_items(below.items, 0, y)
        across = max(across, below.width + 24)
        grad = (y + 14, y + below.height - 4) if node.grad else (y + 4, y + below.height - 2)
        y += below.height
    return Card(node.id, across, y + 9, head.height, family, node.kind, tuple(items), value, grad, used, text_of(title))


def symbol_card(graph: Graph, node: Node, family: str) -> Card:
    """Compose a card of detail 0: the name and how it is made."""
    made = definition_runs(graph, node.id) if node.op else words(f"{node.kind} {shape_text(node.shape)}")
    if node.name:
        title, sub = name_runs(node.name), made
    elif node.op:
        title, sub = made, words(f"{node.op} · #{node.id}")
    else:
        title, sub = words("constant"), words(shape_text(node.shape))
    title, sub = clip_runs(title, 16.0, 170), clip_runs(sub, BODY, 170)
    across = max(86.0, width_of(title, 16.0) + 22, width_of(sub, BODY) + 18)
    items = (Text(0, 21, title, 16.0, "ink"), Text(0, 36, sub, BODY, "muted"))
    return Card(node.id, across, 46.0, 46.0, family, node.kind, items, (8, 20), (26, 38), 0.0, text_of(title))


def scope_card(graph: Graph, node: Node, detail: int) -> Card:
    """Compose the card of a collapsed scope: what is in it, its output, its gradient; or the course over repeats."""
    about = dict(node.params)
    title = clip_runs((Run(f"▸{SPACE}", "sans"), *words(node.name or node.op or "scope", "bold")), 12.5, 190)
    counts = [plural(about.get("ops", 0), "op")]
    if about.get("parameters"):
        counts.append(plural(about["parameters"], "parameter"))
    counts.append(shape_text(node.shape))
    if about.get("repeat", 1) > 1:
        counts.insert(0, f"×{about['repeat']}")
    sub = words(" · ".join(counts))
    across = max(width_of(title, 12.5), width_of(sub, SMALL)) + 22
    items: list[Item] = [Text(0, 17, title, 12.5, "ink"), Text(0, 30, sub, SMALL, "muted")]
    header = y = 37.0
    value = grad = (y + 4, y + 14)
    courses = about.get("courses") or []
    if courses:
        across = max(across, 250.0)
        left = -across / 2 + 12
        for name, ink, course in courses:
            finite = [c for c in course if math.isfinite(c)]
            top = max(map(abs, finite), default=0.0) or 1.0
            heights = tuple(min(abs(c) / top, 1.0) if math.isfinite(c) else 1.0 for c in course)
            items.append(Text(left, y + 14, words(name), BODY, ink, "start"))
            items.append(Bars(left + 84, y + 3, 72, 14, heights, ink))
            items.append(
                Text(
                    across / 2 - 12,
                    y + 14,
                    words(f"{narrow_number(course[0])} → {narrow_number(course[-1])}"),
                    BODY,
                    ink,
                    "end",
                )
            )
            y += 20
        value, grad = (header + 4, header + 16), (header + 24, header + 36)
        y += 3
    elif detail:
        line = words(statistics_text(node.value)) if node.value else words("value not kept")
        items.append(Text(0, y + 13, line, BODY, "value"))
        across = max(across, width_of(line, BODY) + 18)
        y += 18
        if node.grad is not None:
            runs = join_runs(
                (
                    Run("‖∂", "sans"),
                    *loss_name(graph),
                    Run(f"/∂out‖{SPACE}{SPACE}{narrow_number(node.grad.norm or 0)}", "sans"),
                )
            )
            items.append(Text(0, y + 11, runs, BODY, "grad"))
            grad = (y + 1, y + 14)
            y += 16
        y += 3
    else:
        y += 9
        value, grad = (10, 20), (26, 38)
    return Card(node.id, across, y, header, "scope", "scope", tuple(items), value, grad, 0.0, text_of(title))


def stub_card(card: Card, height: float, value: Span | None = None, grad: Span | None = None) -> Card:
    """Make a stub taller; its ports are at the heights that are given, or in its upper and its lower half."""
    items = tuple(item._replace(y=height / 2 + 4) for item in card.items)
    value, grad = value or (8, height / 2), grad or (height / 2, height - 8)
    return dataclasses.replace(card, height=height, header=height, items=items, value=value, grad=grad)
