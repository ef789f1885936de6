"""A graph as text: each node is a row, and wires on the left lead from each value to those made from it.

A wire runs down from the row that makes a value to the last row that uses it; so the number of wires at a
row is the number of values that are alive there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from tinygraph.drawing.formats.text_gradients import group_gradients
from tinygraph.drawing.layout.card import unmasked, without_dust
from tinygraph.drawing.layout.labels import call_runs, dust_of, is_rounding, is_unused_leaf
from tinygraph.drawing.style.conventions import CIRCLED, NOUGHT, numeral, plural, state_words
from tinygraph.drawing.style.formula import SUBSCRIPT, is_enclosed, plain_text, to_unicode
from tinygraph.drawing.style.names import SUB, SUP, name_text, path_text
from tinygraph.drawing.style.numbers import short_number
from tinygraph.engine.errors import clean
from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.diff import Difference
from tinygraph.graph.options import op_words
from tinygraph.graph.scopes import at_depth, check_names, is_leaf, known_in

BLUE, ORANGE, DIM, OFF = "\x1b[34m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
ROLE = {"input": "(input)", "parameter": "(param)", "constant": "(constant)"}
MOST_WIRES = 120  # characters
MOST_NUMBERS = 12  # an array of more elements is shown as mean ± std
ASCII = str.maketrans(
    {
        "●": "o", "◆": "*", "■": "#", "▸": ">", "▾": ">", "│": "|", "─": "-", "├": "+", "┤": "+", "┼": "+",
        "╰": "`", "╯": "'", "┴": "+",
        "×": "*", "÷": "/", "·": "*", "−": "-", "±": "+-", "Σ": "sum", "√": "sqrt", "∂": "d", "↑": "^", "↓": "v",
        "…": "...", "⊙": "*", "≤": "<=", "≥": ">=", "→": "->", "¬": "not ", "∞": "inf", "\u2009": " ",
        "✓": "ok", "✗": "wrong", "≈": "~", "≠": "!=", "∥": "||", "←": "<-", "↔": "<->", "∘": "o", "•": "*", "⋯": "...",
        "–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "━": "=", "╌": "-", "∏": "prod", "≡": "==",
        "α": "alpha", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")",
        **{c: f"({i + 1})" for i, c in enumerate(CIRCLED)},
        "′": "'", "∗": "*", "⋆": "*", "⟨": "<", "⟩": ">", "‖": "||", "∇": "grad", "ℓ": "l", "ℒ": "L", "⊤": "T",
    }
)  # fmt: skip
RAISED = "".join(c for c in SUP.values() if not c.isascii())
LOWERED = "".join(c for c in SUB.values() if not c.isascii())
LEVEL = str.maketrans({above: c for table in (SUP, SUB) for c, above in table.items() if c != "−"})
SCRIPTS = re.compile(f"[{RAISED}]+|[{LOWERED}]+")
NARROWEST = 10  # characters of a row
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
    at: bool = False,
) -> str:
    """Write a graph as a table with wires.

    An array of up to 12 elements stands as its numbers, a semicolon after each row, unless ``width`` is too small for
    that; a larger one as mean ± standard deviation. The last column says where a gradient comes from: ``∂y·3`` is
    (∂L/∂y)·3. Where a backward pass was recorded, each gradient has a row instead, and all its ops are one formula.

    Args:
        graph: from `snapshot`.
        width: cut rows that are longer, in characters, 10 or more; None cuts none.
        ascii: use ASCII alone, with Greek letters spelled out.
        color: values blue and gradients orange, for a terminal.
        columns: further columns: heading -> node id -> text.
        depth: scopes deeper than this are one row each; where none is given, all is shown.
        expand: paths of scopes that stay open.
        at: a column that says in which line each value was made, as `tinygraph.record_places` noted it.

    Returns:
        Lines, without a newline at the end. The same graph gives the same text.

    Raises:
        ValueError: width is no number of characters or below 10, depth is negative, expand names no scope, or no
            line was noted for ``at``.

    >>> from tinygraph import Tensor, snapshot
    >>> print(snapshot((Tensor([1.0, 2.0], name="x") * 3).named("y")).text())
    1 op · x float64(2,) → y (2,)
    <BLANKLINE>
       value       shape  numbers  ∂L/∂·             gradient from (∂· = ∂L/∂·)
    ◆  x  (input)  (2,)   1 2      not computed yet  ∂y·3
    ●  y = x × 3   (2,)   3 6      not computed yet
    """
    if not (width is None or (isinstance(width, int) and width >= NARROWEST)):
        raise ValueError(f"width is {width!r}; of a text it is a number of characters, {NARROWEST} or more")
    check_names(graph, expand)
    if at and not any(node.at for node in graph.nodes):
        raise ValueError("text: no line was noted in this graph: make it inside of `with tinygraph.record_places():`")
    whole, first = graph, header(graph, row_order(graph))
    hidden: Collection[int] = ()
    formulas: dict[int, str] | None = None
    if any(n.gradient_of for n in graph.nodes) and not columns:
        close = None if depth is None else lambda values: at_depth(values, depth, known_in(values, expand))
        graph, hidden, formulas = group_gradients(graph, close, contribution)
    elif depth is not None:
        graph = at_depth(graph, depth, expand)
        first = header(graph, row_order(graph))
    columns = {**(columns or {}), **({"made at": {n.id: made_at(whole, n) for n in graph.nodes}} if at else {})}
    shown = [i for i in row_order(graph) if i not in hidden]
    wires = [wire if len(wire) <= MOST_WIRES else wire[: MOST_WIRES - 1] + "…" for wire in wiring(graph, shown)]
    for most in (MOST_NUMBERS, 6, 3, 1):  # fewer numbers where they are too wide
        spell = to_ascii if ascii else clean
        table = [[spell(cell) for cell in row] for row in chart(graph, shown, wires, columns, most, formulas)]
        padded = pad_cells(table)
        full = ["  ".join(row).rstrip() for row in padded]
        if width is None or max(map(cells, full)) <= width:
            break
    lines = [cut_line(line, width) for line in full]
    if color:
        lines = [color_row(line, row) for line, row in zip(lines, padded, strict=True)]
    for place, path in reversed(headings(graph, shown)):
        line = " " * (max(map(len, wires), default=0) + 2) + ("> " if ascii else "▾ ") + spell(path)
        lines.insert(place + 1, f"{DIM}{line}{OFF}" if color else line)
    first = spell(first)
    notes = ["", *(f"note: {clean(note)}" for note in graph.notes)] if graph.notes else []
    return "\n".join([cut_line(first, width), "", *lines, *notes])


def chart(
    graph: Graph, shown: Sequence[int], wires: Sequence[str], extra: Mapping[str, Mapping[int, str]], most: int,
    formulas: Mapping[int, str] | None = None,
) -> list[list[str]]:  # fmt: skip
    """Return the cells of the table, its head first; arrays of up to ``most`` elements stand as numbers.

    ``formulas`` are those of gradients that have rows of their own; then there are no columns for gradients.
    """
    arrays = [s for i in shown for s in (graph.nodes[i].value, graph.nodes[i].grad) if s and s.shape != ()]
    small = [has_few(s, most) for s in arrays]
    what = "numbers" if all(small) else "numbers or mean ± std" if any(small) else "mean ± std"
    if formulas is not None:
        table = [["", "value or gradient (∂· = ∂L/∂·)", "shape", what, *extra]]
        for i, wire in zip(shown, wires, strict=True):
            node = graph.nodes[i]
            said = formulas.get(i) or definition(graph, i)
            more = (found.get(i, "") for found in extra.values())
            table.append([wire, said, shape_and_dtype(node), brief_value(node.value, most), *more])
        return table
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
    """Write two graphs below each other, with a column that says what the other one has, too; then how far both differ.

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
        chart_of = text(graph, width=width, ascii=ascii, color=color, columns={f"in {other}": marks})
        charts.append(f"{clean(own)}: {chart_of}")
    if said := found.greatest():
        charts.append(to_ascii(clean(said)) if ascii else clean(said))
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
    node, label = graph.nodes[i], spell(graph.label(i))
    if node.kind == "scope":
        about = dict(node.params)
        times = f" ×{about['repeat']}" if about.get("repeat", 1) > 1 else ""
        counts = about.get("options") or plural(about["ops"], "op")
        return f"▸ {one_line(plain_text(call_runs(graph, node)))}{times}  ({counts})"
    if node.op is None:
        return f"{label}  {ROLE.get(node.kind, f'({one_line(node.kind)})')}"
    found = graph.facts(i, spell)
    for e in node.inputs:
        if graph.inlines(e.source):
            found[e.operand] = f"({formula_text(graph, e.source)})"
        if graph.copied_axes(i, e) and not graph.is_number(e.source):
            found[e.operand] += "↑"
    options = f"  ({op_words(graph, node)})" if op_words(graph, node) != node.op else ""
    return f"{label} = {to_unicode(node.tex, lambda hole: found.get(hole, hole))}{options}"


def made_at(graph: Graph, node: Node) -> str:
    """Say in which line a node was made; of a collapsed one, in which its first was."""
    lines = [line for line in dict.fromkeys(graph.nodes[i].at for i in node.parts) if line]
    return clean(lines[0]) + " …" * (len(lines) > 1) if lines else ""


def formula_text(graph: Graph, i: int) -> str:
    """Write how a node is made, without its name."""
    found = graph.facts(i, spell)
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
    above = gradient_symbol(spell(graph.label(consumer)))
    if node.family in ("fused", "linear") or not edge.partial:
        return f"{above} through {node.op}" if node.op else above
    found = graph.facts(consumer, spell, edge)
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
    return f"∂{label}" if re.fullmatch(r"#?[\w\u0300-\u036f′']+(#\d+)?", label) else f"∂({label})"


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
    wrong = "".join(
        f" {count} {what}" for count, what in ((s.nans, "NaN"), (s.infs, "inf"), (s.masked, "masked")) if count
    )
    s = without_dust(s)
    if s.mean is None:
        return wrong.strip()
    return f"{short_number(s.mean)} ± {short_number(s.std)}{wrong}"


def numbers_in_rows(s: Summary) -> str:
    """Write every number of an array; a semicolon ends a row of the last axis."""
    values = s.values or ()
    largest = max(map(abs, unmasked(s)), default=0.0)
    dust = 0.0 if len(values) == 1 else dust_of(s.dtype, largest)
    found = [short_number(0.0 if isinstance(v, float) and abs(v) < dust else v, largest) for v in values]
    row = s.shape[-1] if s.shape else 1
    return "; ".join(" ".join(found[k : k + row]) for k in range(0, len(found), row))


def brief_gradient(graph: Graph, node: Node, most: int = 1) -> str:
    """Write a gradient, or why there is none; nothing for a leaf that was not used."""
    if node.grad is None:
        return "" if is_unused_leaf(graph, node) else state_words(node.grad_state)
    return NOUGHT if is_rounding(graph, node) else brief_value(node.grad, most)


def header(graph: Graph, shown: list[int]) -> str:
    """Say in one line what the graph is."""
    count = sum(dict(n.params)["ops"] if n.kind == "scope" else n.op is not None for n in graph.nodes)
    inputs = [graph.nodes[i] for i in shown if graph.nodes[i].kind == "input"]
    left = ", ".join(f"{spell(graph.label(n.id))} {n.dtype}{shape_and_dtype(n).split(' f')[0]}" for n in inputs[:4])
    right = ", ".join(
        spell(graph.label(i))
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
            found.append((place, one_line(path_text(current)) or "top level"))
    return found


def spell(label: str) -> str:
    """Return a label as a reader writes it on one line: LaTeX in Unicode."""
    return one_line(name_text(label))


def one_line(label: str) -> str:
    """Return a label without line breaks and control characters, and not longer than a column can be."""
    kept = clean(label[:200])
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
    line = SCRIPTS.sub(lambda m: f"{'^' if m[0][0] in RAISED else '_'}{m[0].translate(LEVEL)}", line)
    line = unicodedata.normalize("NFC", clean(line)).translate(ASCII)
    return "".join(c if c.isascii() else _letter_to_ascii(c) for c in unicodedata.normalize("NFD", line))


def _letter_to_ascii(c: str) -> str:
    if unicodedata.combining(c):
        return ACCENTS.get(c, "")
    name = unicodedata.name(c, "")
    letter = name.rpartition(" ")[2].lower()
    return (
        letter if name.startswith("GREEK SMALL LETTER") else letter.title() if name.startswith("GREEK CAPITAL") else "?"
    )
