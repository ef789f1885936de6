"""A graph as Mermaid text: lanes as subgraphs, families as classes, every string of a user in character codes.

Mermaid refuses texts of 50,000 characters and more, so scopes collapse until it is shorter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from tinygraph.drawing.layout.grid import lane_kinds, links_of
from tinygraph.drawing.layout.labels import call_runs, definition_runs, is_loss, label_runs
from tinygraph.drawing.style.conventions import MOST_CARDS, plural, shape_text
from tinygraph.drawing.style.formula import name_runs, plain_text
from tinygraph.drawing.style.names import cut_text
from tinygraph.drawing.style.palette import LIGHT
from tinygraph.graph.batch import Batch, with_batch
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.options import op_words
from tinygraph.graph.scopes import fit
from tinygraph.graph.simplify import inline

__all__ = ["mermaid"]

MOST = 50_000  # Mermaid's own limit, in characters
THEME = {
    "primaryColor": LIGHT["elementwise"], "primaryBorderColor": LIGHT["strong"], "primaryTextColor": LIGHT["ink"],
    "lineColor": LIGHT["value"], "clusterBkg": LIGHT["lane0"], "clusterBorder": LIGHT["line"],
    "edgeLabelBackground": LIGHT["card"],
}  # fmt: skip
INIT = f"%%{{init: {json.dumps({'theme': 'base', 'themeVariables': THEME})}}}%%"
PLAIN = f"stroke:{LIGHT['strong']},color:{LIGHT['ink']}"
CLASSES = {
    "input": f"fill:{LIGHT['data']},{PLAIN}",
    "constant": f"fill:{LIGHT['card']},stroke-dasharray:4 3,{PLAIN}",
    "parameter": f"fill:{LIGHT['parameter']},stroke-width:3px,{PLAIN}",
    "reduction": f"fill:{LIGHT['reduction']},{PLAIN}",
    "loss": f"fill:{LIGHT['loss']},{PLAIN}",
    "fused": f"fill:{LIGHT['fused']},stroke:{LIGHT['fused']},color:{LIGHT['fusedink']}",
    "scope": f"fill:{LIGHT['scopefill']},stroke-width:3px,{PLAIN}",
}


def mermaid(graph: Graph, *, depth: int | None = None, expand: Sequence[str] = (), batch: Batch = None) -> str:
    """Write a graph as a Mermaid flowchart.

    Args:
        graph: from `snapshot`.
        depth: scopes deeper than this are collapsed; None collapses as many as Mermaid's limit asks for.
        expand: paths of scopes that stay open.
        batch: name of the input whose first axis is the batch, or several; or names with the axis of each; () where
            there is none. It is found where none is given.

    Returns:
        Mermaid text, under 50,000 characters. The same graph gives the same text.

    Raises:
        ValueError: it is too long at this depth, ``expand`` names no scope, or ``batch`` no value or axis.

    >>> from tinygraph import Tensor, snapshot
    >>> mermaid(snapshot((Tensor([1.0], name="x") * 3).named("y"))).splitlines()[1]
    'flowchart LR'
    """
    small = inline(with_batch(graph, batch))
    for limit in (MOST_CARDS, 100, 50, 25):
        text = flowchart(fit(small, limit, depth, expand))
        if len(text) < MOST:
            return text
    raise ValueError(f"mermaid: {len(text)} characters, and Mermaid takes less than {MOST}: give a smaller depth")


def flowchart(graph: Graph) -> str:
    """Write the chart of a graph as it stands."""
    nodes, links = links_of(graph)
    kinds = lane_kinds(graph)
    out = [INIT, "flowchart LR"]
    for place, (kind, title) in enumerate(sorted({kinds[i] for i in nodes})):
        out += [f'  subgraph lane{place}["{mermaid_text(title)}"]', "    direction LR"]
        out += ["    " + node_line(graph, graph.nodes[i]) for i in nodes if kinds[i][0] == kind]
        out.append("  end")
    for link in links:
        source, target = graph.nodes[link.u], graph.nodes[link.v]
        note = ""
        if target.kind != "scope" and graph.copied_axes(link.v, link.edge):
            note = f"copy ×{link.edge.copies}"
        elif target.family == "reduction" and math.prod(source.shape) > math.prod(target.shape):
            note = "reduce"
        arrow = "↑ " if kinds[link.u][0] > kinds[link.v][0] else "↓ " if kinds[link.u][0] < kinds[link.v][0] else ""
        out.append(f"  n{link.u} " + (f'-- "{arrow}{note}" ' if note else "") + f"--> n{link.v}")
    for k, note in enumerate(graph.notes):
        out.append(f'  note{k}["note: {mermaid_text(note, 400)}"]:::note')
    present = {node_class(graph, graph.nodes[i]) for i in nodes}
    out += [f"  classDef {name} {style}" for name, style in CLASSES.items() if name in present]
    out += [f"  classDef note fill:none,stroke:none,color:{LIGHT['ink']}"] if graph.notes else []
    return "\n".join(out) + "\n"


def node_class(graph: Graph, node: Node) -> str:
    """Return the class of a node, or nothing for the usual one."""
    name = "loss" if is_loss(graph, node.id) else node.family
    return name if name in CLASSES else ""


def node_line(graph: Graph, node: Node) -> str:
    """Write one node: its name, and how it is made."""
    if node.kind == "scope":
        about = dict(node.params)
        times = f"×{about['repeat']} · " if about.get("repeat", 1) > 1 else ""
        counts = about.get("options") or plural(about.get("ops", 0), "op")
        name, made = f"▸ {plain_text(call_runs(graph, node))}", f"{times}{counts} · {shape_text(node.shape)}"
    elif node.op is None:
        name, made = plain_text(label_runs(graph, node.id)), f"{node.kind} {shape_text(node.shape)}"
    else:
        name, made = (
            plain_text(name_runs(node.name)) if node.name else op_words(graph, node),
            plain_text(definition_runs(graph, node.id)),
        )
    kind = node_class(graph, node)
    return f'n{node.id}["{mermaid_text(name, 60)}<br/><small>{mermaid_text(made, 80)}</small>"]' + (
        f":::{kind}" if kind else ""
    )


def mermaid_text(text: str, most: int = 80) -> str:
    """Write text so that Mermaid shows it and reads nothing into it: all but letters and digits as character codes."""
    text = cut_text(text, most)
    plain = set(" ·,.()=+−÷×√Σ▸…↑↓²³")
    return "".join(c if c.isalnum() or c in plain else f"#{ord(c)};" if c.isprintable() else " " for c in text)
