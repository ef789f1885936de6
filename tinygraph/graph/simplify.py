"""Graph -> Graph: what a reader need not see apart is put together, and nothing else changes.

The result is a picture of the computation, not a program: a node that stands for several has an ``op``
that no registry knows. What it stands for is counted in its ``params``.
"""

from __future__ import annotations

import dataclasses
import re

from tinygraph.graph.data import Edge, Graph, Node

__all__ = ["inline"]


def inline(graph: Graph) -> Graph:
    """Write unnamed steps into the formula of their only consumer, where the chain rule stays one line.

    ``σ = √(v + ε)`` becomes one node, and so does ``L = Σ w y``: one of the two derivatives is 1, so the
    derivative of both together is the other.

    Args:
        graph: any graph.

    Returns:
        A graph with fewer nodes; values, gradients and contributions of those that stay are untouched.
    """
    nodes = list(graph.nodes)
    gone: set[int] = set()
    for i, node in enumerate(graph.nodes):
        if node.op == "reshape" and relabels(graph, node) and i not in graph.outputs:
            leaf = nodes[node.inputs[0].source]
            nodes[i] = dataclasses.replace(leaf, id=i, shape=node.shape, name=leaf.name or node.name)
            gone.add(leaf.id)
            continue
        if i in graph.outputs or not (graph.inlines(i) or turned(graph, node)):
            continue
        consumer = graph.consumers[i][0][0]
        if (joined := merged(graph, node, nodes[consumer])) is not None:
            nodes[consumer] = joined
            gone.add(i)
    return renumbered(nodes, graph, gone)


def relabels(graph: Graph, node: Node) -> bool:
    """Whether a node is a leaf laid out in another shape, under the same name, so that it meets its consumer."""
    leaf = graph.nodes[node.inputs[0].source]
    return (
        leaf.op is None
        and len(graph.consumers[leaf.id]) == 1
        and node.name in (leaf.name, None, "")
        and leaf.id not in graph.outputs
    )


def turned(graph: Graph, node: Node) -> bool:
    """Whether a node is the transpose of a weight for one product, as in a linear layer: x Wᵀ says it all."""
    if node.op != "transpose" or node.name or len(node.shape) != 2:
        return False
    leaf, users = graph.nodes[node.inputs[0].source], graph.consumers[node.id]
    own = leaf.kind == "parameter" and len(graph.consumers[leaf.id]) == 1
    return own and len(users) == 1 and graph.nodes[users[0][0]].op == "matmul"


def merged(graph: Graph, inner: Node, outer: Node) -> Node | None:
    """Return ``outer`` with ``inner`` written into its formula, or None where that would hide a product."""
    edge = next(e for e in outer.inputs if e.source == inner.id)
    live = [e for e in inner.inputs if not graph.is_number(e.source)]
    single = [e.operand for e in outer.inputs].count(edge.operand) == 1
    plain = edge.partial in ("", "1") or all(e.partial in ("", "1") for e in live)
    if not single or not plain or outer.family == "fused" or any("$out" in e.partial for e in inner.inputs) or not live:
        return None
    taken = {e.operand for e in outer.inputs} | {name for name, _ in outer.params} | {"out", "n", "xs"}
    holes: dict[str, str] = {}
    for e in inner.inputs:
        if graph.is_number(e.source):
            holes[e.operand] = exact(graph.label(e.source))
            continue
        name = edge.operand + e.operand
        while name in taken:
            name += e.operand
        taken.add(name)
        holes[e.operand] = f"${name}"
    formula = refilled(inner.tex, holes)
    turns = inner.op == "transpose"
    bare = turns or wraps(outer.tex, edge.operand) or (inner.op in ("mul", "div") and outer.op in ("add", "sub"))
    here = {edge.operand: formula if bare else f"({formula})"}
    in_product = {edge.operand: formula if turns else f"({formula})"}
    edges: list[Edge] = []
    for e in outer.inputs:
        if e is not edge:
            edges.append(dataclasses.replace(e, partial=refilled(e.partial, in_product)))
            continue
        for f in live:
            own, upper = refilled(f.partial, holes), refilled(edge.partial, in_product)
            chain = rf"({upper})^{{\mathsf T}}" if turns else own if edge.partial in ("", "1") else upper
            name = holes[f.operand][1:]
            edges.append(dataclasses.replace(f, operand=name, partial=chain, copies=f.copies * edge.copies))
    op = f"{inner.op}, {outer.op}"
    kept = outer.saved + inner.saved
    return dataclasses.replace(outer, op=op, tex=refilled(outer.tex, here), inputs=tuple(edges), saved=kept)


def wraps(tex: str, hole: str) -> bool:
    """Whether the template sets the operand apart already, by a root, a bracket or an exponent; or adds it up."""
    return bool(re.search(rf"[{{(|]\${hole}[}})|]", tex)) or tex.startswith(r"\sum")


def refilled(template: str, holes: dict[str, str]) -> str:
    """Fill some of the holes of a template, and leave the others open."""
    return re.sub(r"\$([A-Za-z]+)", lambda m: holes.get(m[1], m[0]), template)


def exact(text: str) -> str:
    """Write a number in LaTeX: 1e-05 is a power of ten."""
    mantissa, e, power = text.partition("e")
    if not e or not power.lstrip("+-").isdigit():
        return text
    return ("" if mantissa == "1" else mantissa + r" \times ") + f"10^{{{int(power)}}}"


def renumbered(nodes: list[Node], graph: Graph, gone: set[int]) -> Graph:
    """Return the graph without the nodes in ``gone`` and without numbers that nobody uses any more."""
    used = {e.source for n in nodes if n.id not in gone for e in n.inputs}
    drop = gone | {n.id for n in nodes if graph.is_number(n.id) and n.id not in used and n.id not in graph.outputs}
    place = {n.id: k for k, n in enumerate(n for n in nodes if n.id not in drop)}
    kept = tuple(
        dataclasses.replace(
            n, id=place[n.id], inputs=tuple(dataclasses.replace(e, source=place[e.source]) for e in n.inputs)
        )
        for n in nodes
        if n.id not in drop
    )
    return Graph(kept, tuple(place[i] for i in graph.outputs), graph.notes)


# ---------------------------------------------------------------------------------------------------------- scopes


# --------------------------------------------------------------------------------------------------------- repeats


# ------------------------------------------------------------------------------------------------------ how it fits


# ------------------------------------------------------------------------------------------------- two graphs, a way
