"""A graph as text: each node is a row, and wires on the left lead from each value to those made from it.

A wire runs down from the row that makes a value to the last row that uses it; so the number of wires at a
row is the number of values that are alive there.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from tinygraph.drawing.layout.card import without_dust
from tinygraph.drawing.layout.labels import dust_of, is_rounding, is_unused_leaf
from tinygraph.drawing.style.conventions import CIRCLED, NOUGHT, STATE, numeral, plural
from tinygraph.drawing.style.formula import SUBSCRIPT, is_enclosed, to_unicode
from tinygraph.drawing.style.numbers import short_number
from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.diff import Difference
from tinygraph.graph.scopes import at_depth, check_names

BLUE, ORANGE, DIM, OFF = "\x1b[34m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
ROLE = {"input": "(input)", "parameter": "(param)", "constant": "(constant)"}
MOST_NUMBERS = 12  # an array of more elements is shown as mean ± std
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

    An array of up to 12 elements stands as its numbers, a semicolon after each row, unless ``width`` is too small for
    that; a larger one as mean ± standard deviation. The last column says where a gradient comes from: ``∂y·3`` is
    (∂L/∂y)·3.

    Args:
        graph: from `snapshot`.
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
       value       shape  numbers  ∂L/∂·             gradient from (∂· = ∂L/∂·)
    ◆  x  (input)  (2,)   1 2      not computed yet  ∂y·3
    ●  y = x × 3   (2,)   3 6      not computed yet
    """
    if not (width is None or isinstance(width, int)):
        raise ValueError(f"width is {width!r}; of a text it is a number of characters")
    check_names(graph, expand)
    graph = graph if depth is None else at_depth(graph, depth, expand)
    shown = row_order(graph)
    wires = list(wiring(graph, shown))
    for most in (MOST_NUMBERS, 6, 3, 1):  # fewer numbers where they are too wide
        table = chart(graph, shown, wires, columns or {}, most)
        if ascii:
            table = [[to_ascii(cell) for cell in row] for row in table]
        padded = pad_cells(table)
        full = ["  ".join(row).rstrip() for row in padded]
        if width is None or max(map(cells, full)) <= width:
            break
    lines = [cut_line(line, width) for line in full]
    if color:
        lines = [color_row(line, row) for line, row in zip(lines, padded, strict=True)]
    for place, path in reversed(headings(graph, shown)):
        line = (
            " " * (max(map(len, wires), default=0) + 2)
            + ("> " if ascii else "▾ ")
            + (to_ascii(path) if ascii else path)
        )
        lines.insert(place + 1, f"{DIM}{line}{OFF}" if color else line)
    first = to_ascii(header(graph, shown)) if ascii else header(graph, shown)
    notes = ["", *(f"note: {note}" for note in graph.notes)] if graph.notes else []
    return "\n".join([cut_line(first, width), "", *lines, *notes])


def chart(
    graph: Graph, shown: Sequence[int], wires: Sequence[str], extra: Mapping[str, Mapping[int, str]], most: int
) -> list[list[str]]:
    """Return the cells of the table, its head first; arrays of up to ``most`` elements stand as numbers."""
    arrays = [s for i in shown for s in (graph.nodes[i].value, graph.nodes[i].grad) if s and s.shape != ()]
    small = [has_few(s, most) for s in arrays]
    what = "numbers" if all(small) else "numbers or mean ± std" if any(small) else "mean ± std"
    table = [["", "value", "shape", what, "∂L/∂·", *extra, "gradient from (∂· = ∂L/∂·)"]]
    for i, wire in zip(shown, wires, strict=True):
        node = graph.nodes[i]
        table.append([
            wire, definition(graph, i), shape_and_dtype(node), brief_value(node.value, most),
            brief_gradient(graph, node, most), *(found.get(i, "") for found in extra.values()), origins(graph, i),
        ])  # fmt: skip
    return table


def pad_cells(table: Sequence[Sequence[str]]) -> list[list[str]]:
    """Fill the cells of each column up to one width."""
    widths = [max(map(cells, column)) for column in zip(*table, strict=True)]
    return [[cell + " " * (w - cells(cell)) for cell, w in zip(row, widths, strict=True)] for row in table]


def text_diff(found: Difference, *, width: int | None = None, ascii: bool = False, color: bool = False) -> str:  # noqa: A002 - names what the option gives
    """Write two graphs below each other, with a column that says what the other one has, too.

    Args:
        found: what `diff` found.
        width: cut rows that are longer, in characters; None cuts none.
        ascii: use ASCII alone, with Greek letters spelled out.
        color: values blue and gradients orange, for a terminal.

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


def row_order(graph: Graph) -> list[int]:
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
        if graph.copied_axes(i, e) and not graph.is_number(e.source):
            found[e.operand] += "↑"
    return f"{label} = {to_unicode(node.tex, lambda hole: found.get(hole, hole))}"


def formula_text(graph: Graph, i: int) -> str:
    """Write how a node is made, without its name."""
    found = graph.facts(i, one_line)
    return to_unicode(graph.nodes[i].tex, lambda hole: found.get(hole, hole))


def origins(graph: Graph, i: int) -> str:
    """Say where the gradient of node ``i`` comes from: a contribution of each consumer, numbered."""
    node = graph.nodes[i]
    if not node.requires_grad:
        return ""
    parts = ["the seed"] if i in graph.outputs and node.grad_state == "computed" else []
    parts += [contribution(graph, c, e) for c, e in graph.consumers[i] if graph.nodes[c].requires_grad]
    return "  ".join(f"{numeral(k)} {part}" for k, part in enumerate(parts)) if len(parts) > 1 else "".join(parts)


def contribution(graph: Graph, consumer: int, edge: Edge) -> str:
    """Write one contribution to a gradient: ``Σ₀ ∂x̂·(−x_c/σ²)``, where ∂x̂ is the gradient of the consumer x̂."""
    node = graph.nodes[consumer]
    above = gradient_symbol(one_line(graph.label(consumer)))
    if node.family in ("fused", "linear") or not edge.partial:
        return f"{above} through {node.op}" if node.op else above
    found = graph.facts(consumer, one_line, edge)
    local = to_unicode(edge.partial, lambda hole: found.get(hole, hole))
    axes = ",".join(map(str, graph.copied_axes(consumer, edge))).translate(SUBSCRIPT)
    summed = f"Σ{axes} " if axes else ""
    if local in ("1", "−1"):
        after = {"reduction": " copied", "shape": f" through {node.op}"}.get(node.family, "")
        return f"{local.removesuffix('1')}{summed}{above}{after}"
    copied = " copied" if node.family == "reduction" and local.startswith("1/") else ""
    if local.startswith("1/") and not any(c in local for c in " +−"):
        return f"{summed}{above}{local[1:]}{copied}"
    factor = f"({local})" if any(c in local for c in " +−") and not is_enclosed(local) else local
    return f"{summed}{above}·{factor}{copied}"


def gradient_symbol(label: str) -> str:
    """Write the gradient of a value that is called ``label``, in brackets where the name is no single word.

    >>> gradient_symbol("x̂"), gradient_symbol("#8"), gradient_symbol("log p")
    ('∂x̂', '∂#8', '∂(log p)')
    """
    return f"∂{label}" if re.fullmatch(r"#?[\w\u0300-\u036f′']+", label) else f"∂({label})"


def shape_and_dtype(node: Node) -> str:
    """Write a shape as Python does, and the dtype where it is not the usual one."""
    usual = node.dtype in ("float64", "float32")
    return str(tuple(node.shape)) if usual else f"{tuple(node.shape)} {node.dtype}"


def has_few(s: Summary, most: int) -> bool:
    """Whether an array is shown as its numbers: it has at most ``most``, and they are known."""
    return bool(s.values) and len(s.values or ()) <= most


def brief_value(s: Summary | None, most: int = 1) -> str:
    """Write an array as its numbers, row by row, or as mean ± standard deviation and what is wrong with it.

    Args:
        s: the array, or None for nothing.
        most: an array of more elements is summarized.

    >>> from tinygraph import Tensor, snapshot
    >>> s = snapshot(Tensor([[1.0, -0.5], [2.0, 1e-17]])).nodes[0].value
    >>> brief_value(s, 4), brief_value(s)
    ('1 −0.5; 2 0', '0.625 ± 0.96')
    """
    if s is None:
        return ""
    if has_few(s, most):
        return numbers_in_rows(s)
    wrong = "".join(f" {count} {what}" for count, what in ((s.nans, "NaN"), (s.infs, "inf")) if count)
    s = without_dust(s)
    if s.mean is None:
        return wrong.strip()
    return f"{short_number(s.mean)} ± {short_number(s.std)}{wrong}"


def numbers_in_rows(s: Summary) -> str:
    """Write every number of an array; a semicolon ends a row of the last axis."""
    values = s.values or ()
    largest = max((abs(v) for v in values if isinstance(v, int | float) and math.isfinite(v)), default=0.0)
    dust = 0.0 if len(values) == 1 else dust_of(s.dtype, largest)
    found = [short_number(0.0 if isinstance(v, float) and abs(v) < dust else v, largest) for v in values]
    row = s.shape[-1] if s.shape else 1
    return "; ".join(" ".join(found[k : k + row]) for k in range(0, len(found), row))


def brief_gradient(graph: Graph, node: Node, most: int = 1) -> str:
    """Write a gradient, or why there is none; nothing for a leaf that was not used."""
    if node.grad is None:
        return "" if is_unused_leaf(graph, node) else STATE[node.grad_state]
    return NOUGHT if is_rounding(graph, node) else brief_value(node.grad, most)


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
    left += (", …" if len(inputs) > 4 else "") + (" " if left else "")
    right += ", …" if len(graph.outputs) > 4 else ""
    return f"{plural(count, 'op')} · {left}→ {right}{legend}"


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


def color_row(line: str, row: Sequence[str]) -> str:
    """Color the value column of a row blue and the gradient columns orange, as far as the line goes."""
    start = len("  ".join(row[:3])) + 2
    middle = len("  ".join(row[:4])) + 2
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
