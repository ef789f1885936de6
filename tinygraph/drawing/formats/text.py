"""A graph as text: a row a node, wires on the left that show which value goes where.

A wire runs down from the row that makes a value to the last row that uses it; so the number of wires at a
row is the number of values that are alive there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tinygraph.drawing.layout.card import NOUGHT, is_rounding
from tinygraph.drawing.style.formula import SUBSCRIPT, is_enclosed, to_unicode
from tinygraph.graph.data import Edge, Graph, Node, Summary, number
from tinygraph.graph.diff import Difference
from tinygraph.graph.scopes import at_depth, check_names

BLUE, ORANGE, DIM, OFF = "\x1b[34m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
ROLE = {"input": "(input)", "parameter": "(param)", "constant": "(constant)"}
STATE = {"none": "no grad", "pending": "not computed", "unused": "None"}
ASCII = str.maketrans(
    {
        "●": "o", "◆": "*", "■": "#", "▸": ">", "▾": ">", "│": "|", "─": "-", "├": "+", "┤": "+", "┼": "+",
        "╰": "`", "╯": "'", "┴": "+",
        "×": "*", "÷": "/", "·": "*", "−": "-", "±": "+-", "Σ": "sum", "√": "sqrt", "∂": "d", "↑": "^", "↓": "v",
        "…": "...", "⊙": "*", "≤": "<=", "≥": ">=", "→": "->", "¬": "not ", "∞": "inf", "ᵀ": "^T", "\u2009": " ",
        **{c: f"({i + 1})" for i, c in enumerate(CIRCLED)},
        **dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", (f"^{d}" for d in "0123456789-"), strict=True)),
        **dict(zip("₀₁₂₃₄₅₆₇₈₉₋", (f"_{d}" for d in "0123456789-"), strict=True)),
    }
)  # fmt: skip
ACCENTS = {"\u0302": "_hat", "\u0303": "_tilde", "\u0304": "_bar", "\u0307": "_dot"}  # of mathematics, alone


def text(
    graph: Graph,
    *,
    width: int | None = None,
    ascii: bool = False,  # noqa: A002 - names what the option gives
    color: bool = False,
    columns: Mapping[str, Mapping[int, str]] | None = None,
    depth: int | None = None,
    expand: Sequence[str] = (),
) -> str:
    """Write a graph as a table with wires.

    Args:
        width: cut rows that are longer, in characters; None cuts none.
        ascii: use ASCII alone, with Greek letters spelled out.
        color: values blue and gradients orange, for a terminal.
        columns: further columns: heading -> node id -> text.
        depth: scopes deeper than this are one row each; where none is given, all is shown.
        expand: paths of scopes that stay open.

    Returns:
        Lines, without a newline at the end. The same graph gives the same text.

    Raises:
        ValueError: width is no number of characters, depth is negative, or expand names no scope.

    >>> from tinygraph import Tensor, snapshot
    >>> print(snapshot((Tensor([1.0, 2.0], name="x") * 3).named("y")).text())
    1 op · x float64(2,) → y (2,)
    <BLANKLINE>
       value       shape  mean ± std  ∂L/∂·         gradient from
    ◆  x  (input)  (2,)   1.5 ± 0.5   not computed  y·3
    ●  y = x × 3   (2,)   4.5 ± 1.5   not computed
    """
    if not (width is None or isinstance(width, int)):
        raise ValueError(f"width is {width!r}; of a text it is a number of characters")
    check_names(graph, expand)
    graph = graph if depth is None else at_depth(graph, depth, expand)
    shown = rows(graph)
    wires = list(wiring(graph, shown))
    depth = max((len(w) for w in wires), default=0)
    extra = columns or {}
    table = [["", "value", "shape", "mean ± std", "∂L/∂·", *extra, "gradient from"]]
    for i, wire in zip(shown, wires, strict=True):
        node = graph.nodes[i]
        table.append(
            [
                wire.ljust(depth),
                definition(graph, i),
                shape_and_dtype(node),
                brief_value(node.value),
                brief_gradient(graph, node),
            ]
        )
        table[-1] += [*(found.get(i, "") for found in extra.values()), origins(graph, i)]
    if ascii:
        table = [[to_ascii(cell) for cell in row] for row in table]
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        padded = [cell + " " * (w - cells(cell)) for cell, w in zip(row, widths, strict=True)]
        lines.append(color_row(cut_line("  ".join(padded).rstrip(), width), padded if color else []))
    for place, path in reversed(headings(graph, shown)):
        line = " " * (depth + 2) + ("> " if ascii else "▾ ") + (to_ascii(path) if ascii else path)
        lines.insert(place + 1, f"{DIM}{line}{OFF}" if color else line)
    first = to_ascii(header(graph, shown)) if ascii else header(graph, shown)
    notes = ["", *(f"note: {note}" for note in graph.notes)] if graph.notes else []
    return "\n".join([cut_line(first, width), "", *lines, *notes])


def text_diff(found: Difference, *, width: int | None = None, ascii: bool = False, color: bool = False) -> str:  # noqa: A002
    """Write two graphs below each other, with a column that says what the other one has, too.

    Args:
        found: what `diff` found.
        width, ascii, color: as in `text`.

    Returns:
        Lines, without a newline at the end.
    """
    charts = []
    for graph, alone, (own, other) in (
        (found.a, found.only_a, found.names),
        (found.b, found.only_b, found.names[::-1]),
    ):
        marks = {n.id: "also" for n in graph.nodes if n.id not in set(alone)}
        charts.append(f"{own}: {text(graph, width=width, ascii=ascii, color=color, columns={f'in {other}': marks})}")
    return "\n\n".join(charts)


def rows(graph: Graph) -> list[int]:
    """Return the nodes in the order of their rows: an op in its turn, a leaf just before it is first used."""
    order: list[int] = []
    seen: set[int] = set()
    for node in graph.nodes:
        if is_leaf(node) and graph.consumers[node.id]:
            continue
        for i in [*(e.source for e in node.inputs), node.id]:
            if i not in seen and not graph.is_number(i):
                seen.add(i)
                order.append(i)
    return order


def is_leaf(node: Node) -> bool:
    """Whether a node is made from no other: neither an op nor a collapsed scope."""
    return node.op is None and node.kind != "scope"


def wiring(graph: Graph, shown: list[int]) -> Iterator[str]:
    """Yield the wires left of each row."""
    uses = {i: {c for c, _ in graph.consumers[i]} for i in shown}
    columns: list[int | None] = []
    for i in shown:
        node = graph.nodes[i]
        sources = [k for k, live in enumerate(columns) if live is not None and i in uses[live]]
        ending = [k for k in sources if uses[columns[k]] == {i}]  # type: ignore[index]
        free = ending or [k for k, live in enumerate(columns) if live is None]
        here = min(free, default=len(columns))
        columns += [None] * (here + 1 - len(columns))
        marks = [" " if live is None else "│" for live in columns]
        low, high = min([here, *sources]), max([here, *sources])
        for k in range(low, high):
            marks[k] = "┼" if marks[k] == "│" else "─" if k > low else marks[k]
        for k in sources:
            outer = k in (low, high)
            if k in ending:
                marks[k] = ("╰" if k == low else "╯") if outer else "┴"
            else:
                marks[k] = ("├" if k == low else "┤") if outer else "┼"
        marks[here] = "●" if node.op else "◆" if is_leaf(node) else "■"
        spans = ["─" if low <= k < high else " " for k in range(len(marks))]
        yield "".join(mark + span for mark, span in zip(marks, spans, strict=True)).rstrip()
        for k in sources:
            uses[columns[k]].discard(i)  # type: ignore[index]
            columns[k] = None if k in ending else columns[k]
        columns[here] = i if uses[i] else None
        while columns and columns[-1] is None:
            columns.pop()


def definition(graph: Graph, i: int) -> str:
    """Write how a node is made: ``x̂ = x_c ÷ σ↑``, the arrow marking what was broadcast."""
    node, label = graph.nodes[i], one_line(graph.label(i))
    if node.kind == "scope":
        return f"▸ {label}  ({dict(node.params)['ops']} ops)"
    if node.op is None:
        return f"{label}  {ROLE[node.kind]}"
    found = graph.facts(i, one_line)
    for e in node.inputs:
        if graph.inlines(e.source):
            found[e.operand] = f"({formula_text(graph, e.source)})"
        found[e.operand] += "↑" * (bool(graph.copied_axes(i, e)) and not graph.is_number(e.source))
    return f"{label} = {to_unicode(node.tex, lambda hole: found.get(hole, hole))}"


def formula_text(graph: Graph, i: int) -> str:
    """Write how a node is made, without its name."""
    found = graph.facts(i, one_line)
    return to_unicode(graph.nodes[i].tex, lambda hole: found.get(hole, hole))


def origins(graph: Graph, i: int) -> str:
    """Say where the gradient of node ``i`` comes from: the consumers and local derivatives, numbered."""
    node = graph.nodes[i]
    if not node.requires_grad:
        return ""
    parts = ["the seed"] if i in graph.outputs and node.grad_state == "computed" else []
    parts += [contribution(graph, c, e) for c, e in graph.consumers[i] if graph.nodes[c].requires_grad]
    return "  ".join(f"{numeral(k)} {part}" for k, part in enumerate(parts)) if len(parts) > 1 else "".join(parts)


def numeral(k: int) -> str:
    """Return ①, ②, …: the number of a contribution."""
    return CIRCLED[k] if k < len(CIRCLED) else f"({k + 1})"


def contribution(graph: Graph, consumer: int, edge: Edge) -> str:
    """Write one contribution to a gradient: ``Σ₀ x̂·(−x_c/σ²)``, the gradient of a consumer named by its label."""
    node, label = graph.nodes[consumer], one_line(graph.label(consumer))
    if node.family in ("fused", "linear") or not edge.partial:
        return f"{label} through {node.op}" if node.op else label
    found = graph.facts(consumer, one_line, edge)
    local = to_unicode(edge.partial, lambda hole: found.get(hole, hole))
    axes = ",".join(map(str, graph.copied_axes(consumer, edge))).translate(SUBSCRIPT)
    summed = f"Σ{axes} " if axes else ""
    if local in ("1", "−1"):
        return f"{'−' * (local != '1')}{summed}{label}" + {"reduction": " copied", "shape": f" through {node.op}"}.get(
            node.family, ""
        )
    factor = f"({local})" if any(c in local for c in " +−") and not is_enclosed(local) else local
    return f"{summed}{label}·{factor}" + " copied" * (node.family == "reduction" and local.startswith("1/"))


def shape_and_dtype(node: Node) -> str:
    """Write a shape as Python does, and the dtype where it is not the usual one."""
    usual = node.dtype in ("float64", "float32")
    return "(" + ", ".join(map(str, node.shape)) + "," * (len(node.shape) == 1) + ")" + f" {node.dtype}" * (not usual)


def brief_value(s: Summary | None) -> str:
    """Write a value in a few characters: the number, or mean ± standard deviation, and what is wrong with it."""
    if s is None:
        return ""
    if s.values and len(s.values) == 1:
        return rounded(s.values[0])
    wrong = "".join(f" {count} {what}" for count, what in ((s.nans, "nan"), (s.infs, "inf")) if count)
    if s.mean is None:
        return wrong.strip()
    dust = abs(s.mean) < 1e-6 * max(abs(s.min or 0), abs(s.max or 0))  # what rounding leaves of a zero
    return f"{rounded(0 if dust else s.mean)} ± {rounded(s.std)}{wrong}"


def brief_gradient(graph: Graph, node: Node) -> str:
    """Write a gradient; the four states look different."""
    if node.grad is None:
        return STATE[node.grad_state]
    return NOUGHT if is_rounding(graph, node) else brief_value(node.grad)


def rounded(x: Any) -> str:
    """Write a number in three digits; −0 is 0."""
    if isinstance(x, bool) or not isinstance(x, int | float):
        return str(x)
    return number(float(f"{x:.3g}") + 0.0).replace("-", "−")


def header(graph: Graph, shown: list[int]) -> str:
    """Say in one line what the graph is."""
    count = sum(dict(n.params)["ops"] if n.kind == "scope" else n.op is not None for n in graph.nodes)
    inputs = [graph.nodes[i] for i in shown if graph.nodes[i].kind == "input"]
    left = ", ".join(f"{one_line(graph.label(n.id))} {n.dtype}{shape_and_dtype(n).split(' f')[0]}" for n in inputs[:4])
    right = ", ".join(
        one_line(graph.label(i))
        + (
            f" = {brief_value(graph.nodes[i].value)}"
            if not graph.nodes[i].shape
            else f" {shape_and_dtype(graph.nodes[i])}"
        )
        for i in graph.outputs[:4]
    )
    copied = any(graph.copied_axes(n.id, e) and not graph.is_number(e.source) for n in graph.nodes for e in n.inputs)
    legend = " · ↑ broadcast, undone by Σ over axis ₀" if copied else ""
    left += ", …" * (len(inputs) > 4)
    right += ", …" * (len(graph.outputs) > 4)
    return f"{count} op{'s' * (count != 1)} · {left}{' ' * bool(left)}→ {right}{legend}"


def headings(graph: Graph, shown: list[int]) -> list[tuple[int, str]]:
    """Return the rows (numbered from 0) above which the ops of another scope begin, with its path."""
    found = []
    current: tuple[str, ...] = ()
    for place, i in enumerate(shown):
        node = graph.nodes[i]
        if not is_leaf(node) and node.scope != current:
            current = node.scope
            found.append((place, one_line("/".join(current)) or "top level"))
    return found


def one_line(label: str) -> str:
    """Return a label without line breaks and control characters, and not longer than a column can be."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in label[:200])
    return kept if len(label) <= 40 else kept[:39] + "…"


def cells(line: str) -> int:
    """Return how many character cells a terminal uses: none for a combining mark, two for a wide letter."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def cut_line(line: str, width: int | None) -> str:
    """Cut a line that is too long for the terminal."""
    if width is None or cells(line) <= width:
        return line
    while cells(line) > width - 1:
        line = line[:-1]
    return line + "…"


def color_row(line: str, cells_of_row: list[str]) -> str:
    """Color the value column of a row blue and the gradient columns orange, as far as the line goes."""
    if not cells_of_row:
        return line
    start = len("  ".join(cells_of_row[:3])) + 2
    middle = len("  ".join(cells_of_row[:4])) + 2
    return f"{line[:start]}{BLUE}{line[start:middle]}{ORANGE}{line[middle:]}{OFF}"


def to_ascii(line: str) -> str:
    """Spell a line in ASCII: operators by their keys, Greek letters by their names, accents by theirs."""
    line = unicodedata.normalize("NFC", line).translate(ASCII)
    return "".join(c if c.isascii() else _letter_to_ascii(c) for c in unicodedata.normalize("NFD", line))


def _letter_to_ascii(c: str) -> str:
    if unicodedata.combining(c):
        return ACCENTS.get(c, "")
    name = unicodedata.name(c, "")
    letter = name.rpartition(" ")[2].lower()
    return (
        letter if name.startswith("GREEK SMALL LETTER") else letter.title() if name.startswith("GREEK CAPITAL") else "?"
    )
