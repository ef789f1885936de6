"""A graph in the DOT language: nodes with values and gradients, edges both ways, scopes as clusters.

Labels are HTML-like, so that numbers stand in tables. Every string of a user is escaped.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinygraph.drawing.formats.text import brief_value, contribution, definition, shape_and_dtype, spell
from tinygraph.drawing.formats.text_gradients import Rows, group_gradients
from tinygraph.drawing.layout.labels import is_unused_leaf
from tinygraph.drawing.layout.mirror import is_mirrored
from tinygraph.drawing.style.conventions import MOST_CARDS, TABLE_COLUMNS, TABLE_ROWS, numeral, state_words
from tinygraph.drawing.style.formula import SUBSCRIPT, to_unicode
from tinygraph.drawing.style.highlight import Highlight, Show, named_in, read_show
from tinygraph.drawing.style.names import name_text
from tinygraph.drawing.style.numbers import short_number
from tinygraph.drawing.style.palette import LIGHT
from tinygraph.engine.errors import clean
from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.options import op_words
from tinygraph.graph.scopes import check_names, fit, is_leaf, known_in

if TYPE_CHECKING:
    import graphviz

FORWARD, BACKWARD, LINE, INK, MUTED = (LIGHT[name] for name in ("value", "grad", "strong", "ink", "muted"))
FILL = {"input": "data", "constant": "card", "parameter": "parameter", "reduction": "reduction", "fused": "fused",
        "scope": "scopefill", "gradient": "gradient"}  # fmt: skip
PALE = LIGHT["line"]
WORDS = ("both", "forward", "gradient", "backward")
DEPTH = 50  # of boxes in each other; what is deeper is drawn in the last of them


def to_dot(
    graph: Graph, *, show: Show = "both", depth: int | None = None, expand: Sequence[str] = (), title: str | None = None
) -> str:
    """Write a graph in the DOT language.

    Args:
        graph: from `snapshot`.
        show: "both"; "forward", without gradients and the edges that they come along; "gradient", with a node for each
            gradient, or "backward", with these alone; "memory" and "health", which say in a last line of a node what it
            keeps or what is wrong with it; "path=x,y" or a tuple of names, which leave all else pale.
        depth: scopes deeper than this are collapsed; where none is given, as many as it takes to leave 200 cards.
        expand: paths of scopes that stay open.
        title: a heading.

    Returns:
        DOT source. The same graph gives the same source.

    Raises:
        ValueError: ``show`` is none of these, the graph has no gradient to show, no way leads through the names, or
            ``expand`` names no scope.
        KeyError: a name in ``show`` is none of the graph's.

    >>> from tinygraph import Tensor, snapshot
    >>> print(snapshot((Tensor([1.0], name="x") * 3).named("y")).to_dot().splitlines()[0])
    // made by tinygraph: 3 nodes, 1 of them a number in a definition
    """
    import graphviz

    whole, word = graph, show if isinstance(show, str) and show in WORDS else "both"
    expand = (*expand, *(path for name in named_in(show) if (path := "/".join(graph.find(name).scope))))
    picture = rows_of(graph, word, depth, expand)
    graph = picture.graph
    marks = Highlight(word) if word == show else read_show(graph, show)
    shown = [n for n in graph.nodes if not graph.is_number(n.id) and n.id not in picture.hidden]
    numbers = sum(graph.is_number(n.id) for n in graph.nodes)
    folded = f", {numbers} of them a number in a definition" if numbers else ""
    inside = sum(n.kind == "scope" for n in shown)
    folded += f"; {len(shown)} are shown, {inside} of them collapsed scopes" if inside else ""
    comment = f"made by tinygraph: {len(whole)} nodes{folded}"
    dot = graphviz.Digraph("tinygraph", comment=comment)
    font = {"fontname": "Helvetica", "fontsize": "10"}
    dot.attr(
        "graph",
        rankdir="LR",
        nodesep="0.35",
        ranksep="0.6",
        label=caption(graph, title, marks),
        labelloc="b",
        fontcolor=MUTED,
        **font,
    )
    dot.attr("node", shape="plain", fontcolor=INK, **font)
    dot.attr("edge", fontname="Helvetica", fontsize="9")
    add_clusters(dot, picture, marks, shown, ())
    kept = {n.id for n in shown}
    for node in shown:
        for edge in (e for e in node.inputs if e.source in kept):
            if node.id in picture.formulas:  # from right to left, though it leads on: gradients run back
                dot.edge(
                    f"n{node.id}", f"n{edge.source}", color=BACKWARD, style="dashed", arrowtail="empty", dir="back"
                )
            else:
                add_edges(dot, graph, node, edge, marks)
    return str(dot.source)


def rows_of(graph: Graph, show: str, depth: int | None, expand: Sequence[str]) -> Rows:
    """Return the graph that is drawn; one of gradients has a node for each."""
    if show in ("both", "forward"):
        return Rows(fit(graph, MOST_CARDS, depth, expand), frozenset(), {})
    if not is_mirrored(graph, show):
        read_show(graph, "gradient")  # which says how to get gradients
    check_names(graph, expand)

    def close(values: Graph) -> Graph:
        return fit(values, MOST_CARDS // 2, depth, known_in(values, expand))

    return group_gradients(graph, close, contribution, show)


def caption(graph: Graph, title: str | None, marks: Highlight) -> str:
    """Return the title, the legend and the notes, as an HTML-like label."""
    forward = f'<font color="{FORWARD}">━▶ forward value</font>'
    show = marks.show
    said = "gradient × local derivative" if show == "both" else "gradient (∂· = ∂L/∂·)"
    backward = f'<font color="{BACKWARD}">╌▷ backward: {said}</font>'
    legend = "   ".join([forward] * (show != "backward") + [backward] * (show != "forward"))
    heading = [f'<font point-size="16"><b>{dot_text(title, 200)}</b></font>'] if title else []
    notes = [dot_text(note, 400) for note in (marks.caption, *graph.notes) if note]
    return "<" + "<br/>".join([*heading, legend, *notes]) + ">"


def add_clusters(
    dot: graphviz.Digraph, picture: Rows, marks: Highlight, nodes: list[Node], scope: tuple[str, ...]
) -> None:
    """Add the nodes of a scope, and its inner scopes as clusters."""
    inner: dict[str, list[Node]] = {}
    for node in nodes:
        # A leaf is drawn outside of the boxes: it belongs to whoever made it.
        path = () if is_leaf(node) or node.id in picture.formulas else node.scope[:DEPTH]
        if path[: len(scope)] == scope and len(path) > len(scope):
            inner.setdefault(path[len(scope)], []).append(node)
        else:
            dot.node(f"n{node.id}", label=node_table(picture, marks, node))
    for name, members in inner.items():
        path = (*scope, name)
        with dot.subgraph(name="cluster_" + hashlib.sha256(repr(path).encode()).hexdigest()[:16]) as box:
            colors = {"color": LIGHT["line"], "bgcolor": LIGHT["lane0"], "fontcolor": MUTED}
            box.attr(label=f"<{dot_text(name_text(name))}>", style="rounded", **colors)
            add_clusters(box, picture, marks, members, path)


def node_table(picture: Rows, marks: Highlight, node: Node) -> str:
    """Return a node as a table: its definition, its shape, its value, its gradient."""
    graph, formula = picture.graph, picture.formulas.get(node.id)
    loss = node.id in graph.outputs and node.shape == ()
    fill = LIGHT["loss" if loss else FILL.get(node.family, "elementwise")]
    ink = LIGHT["fusedink"] if node.family == "fused" else INK
    thick, style = (
        (3 if node.kind in ("parameter", "scope") else 1),
        (' style="dashed"' if node.kind == "constant" else ' style="rounded"'),
    )
    made = formula or definition(graph, node.id)
    kind = dot_text(f"{op_words(graph, node)} · {shape_and_dtype(node)}" if formula is None else shape_and_dtype(node))
    label = dot_text(made.split("  (")[0] if is_leaf(node) else made, 80)
    rows = [
        f'<tr><td bgcolor="{fill}"><font color="{ink}"><i><b>{label}</b></i></font></td></tr>',
        f'<tr><td><font color="{MUTED}" point-size="8">{kind}</font></td></tr>',
        f"<tr><td>{array_table(node.value, FORWARD if formula is None else BACKWARD)}</td></tr>",
    ]
    if node.requires_grad and not is_unused_leaf(graph, node):
        g = (
            array_table(node.grad, BACKWARD)
            if node.grad
            else f'<font color="{MUTED}">{state_words(node.grad_state)}</font>'
        )
        name = dot_text(f"∂L/∂{spell(graph.label(node.id))}")
        rows.append(f'<tr><td><font color="{BACKWARD}" point-size="8">{name}</font></td></tr>')
        rows.append(f"<tr><td>{g}</td></tr>")
    elif node.kind != "constant" and not node.requires_grad and not picture.formulas:
        rows.append(f'<tr><td><font color="{MUTED}" point-size="8">no grad</font></td></tr>')
    line = LINE
    if node.id in marks.strong:
        thick, line = 4, LIGHT["bad"] if node.id in marks.sick else FORWARD
    if badge := marks.badges.get(node.id):
        color = LIGHT["bad"] if badge.startswith("!") else INK
        rows.append(f'<tr><td><font color="{color}">{dot_text(badge.removeprefix("!"), 80)}</font></td></tr>')
    frame = f'border="{thick}" color="{line}" cellborder="0" cellspacing="0" cellpadding="3"{style}'
    table = f"<<table {frame}>{''.join(rows)}</table>>"
    if marks.nodes is not None and node.id not in marks.nodes:
        table = re.sub("|".join((FORWARD, BACKWARD, INK, MUTED)), PALE, table)
    return table


def array_table(s: Summary | None, color: str) -> str:
    """Return an array as a table of numbers, or in words where it is too large."""
    if s is None:
        return ""
    columns = s.shape[-1] if s.shape else 1
    rows = len(s.values) // max(columns, 1) if s.values else 0
    if not s.values or len(s.shape) > 2 or rows > TABLE_ROWS or columns > TABLE_COLUMNS:
        span = f"<br/>[{short_number(s.min)}, {short_number(s.max)}]" if s.min is not None else ""
        said = "empty" if 0 in s.shape else brief_value(s)
        return f'<font color="{color}">{dot_text(said)}{span}</font>'
    if rows * columns == 1:
        return f'<font color="{color}">{dot_text(short_number(s.values[0]))}</font>'
    lines = [s.values[r * columns : (r + 1) * columns] for r in range(rows)]
    cells = "".join("<tr>" + "".join(f"<td>{dot_text(short_number(v))}</td>" for v in line) + "</tr>" for line in lines)
    return f'<table border="1" color="{color}" cellborder="0" cellspacing="0" cellpadding="2">{cells}</table>'


def add_edges(dot: graphviz.Digraph, graph: Graph, node: Node, edge: Edge, marks: Highlight) -> None:
    """Draw an operand's edge, and the one on which its gradient comes back."""
    pale = marks.edges is not None and (edge.source, node.id) not in marks.edges
    forward, back = (PALE, PALE) if pale else (FORWARD, BACKWARD)
    a, b = f"n{edge.source}", f"n{node.id}"
    axes = graph.copied_axes(node.id, edge)
    source = graph.nodes[edge.source]
    name = (
        "" if "," in (node.op or "") else f"{edge.operand} "
    )  # of several ops in one node none has this operand alone
    operand = f"{name}{shape_and_dtype(source)}" + (f" copy ×{edge.copies} ↑" if axes else "")
    dot.edge(a, b, color=forward, fontcolor=forward, label=f"<{dot_text(operand, 80)}>")
    if not (marks.show == "both" and node.requires_grad and source.requires_grad):
        return
    uses = [(c, e) for c, e in graph.consumers[edge.source] if graph.nodes[c].requires_grad]
    count = f"{numeral(uses.index((node.id, edge)))} " if len(uses) > 1 else ""
    found = graph.facts(node.id, spell, edge)
    local = to_unicode(edge.partial, lambda hole: found.get(hole, hole)) or (node.op or "")
    summed = f"Σ{','.join(map(str, axes)).translate(SUBSCRIPT)} (· {local}) ↓" if axes else f"× {local}"
    dot.edge(b, a, color=back, fontcolor=back, style="dashed", arrowhead="empty", constraint="false",
             label=f"<{dot_text(count + summed, 80)}>")  # fmt: skip


def dot_text(label: str, most: int = 60) -> str:
    """Return a string that is only text in an HTML-like label: cut, without control characters, escaped."""
    kept = clean(label[: most + 1])
    return html.escape(kept if len(kept) <= most else kept[: most - 1] + "…") or " "  # an empty label is an error
