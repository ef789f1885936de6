"""Graph -> Graph: steps that a reader need not see apart become one node, and nothing else changes.

The result is a picture of the computation, not a program: a node that stands for several has an ``op``
that no registry knows, such as "add, sqrt".
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from tinygraph.graph.data import Edge, Graph, Node

__all__ = ["inline", "latex_number"]


def inline(graph: Graph) -> Graph:
    """Write unnamed steps into the formula of their only consumer, where the chain rule stays one line.

    ``σ = √(v + ε)`` becomes one node, and so does ``L = Σ w y``: one of the two derivatives is 1, so the
    derivative of both together is the other.

    Args:
        graph: any graph.

    Returns:
        A graph with fewer nodes; values, gradients and contributions of those that stay are untouched.

    >>> from tinygraph import Tensor, snapshot
    >>> graph = snapshot(((Tensor([3.0], name="v") + 1) ** 0.5).named("σ"))
    >>> [node.op for node in graph.nodes if node.op], [node.op for node in inline(graph).nodes if node.op]
    (['add', 'power'], ['add, power'])
    """
    nodes = list(graph.nodes)
    gone: set[int] = set()
    for i, node in enumerate(graph.nodes):
        if node.op == "reshape" and is_reshaped_leaf(graph, node) and i not in graph.outputs:
            leaf = nodes[node.inputs[0].source]
            same: dict[str, Any] = {"shape": node.shape, "name": leaf.name or node.name, "batch": node.batch}
            nodes[i] = dataclasses.replace(leaf, id=i, members=leaf.parts, **same)
            gone.add(leaf.id)
            continue
        if i in graph.outputs or not (graph.inlines(i) or is_transposed_weight(graph, node)):
            continue
        consumer = graph.consumers[i][0][0]
        if (joined := merge(graph, node, nodes[consumer])) is not None:
            nodes[consumer] = joined
            gone.add(i)
    return without(nodes, graph, gone)


def is_reshaped_leaf(graph: Graph, node: Node) -> bool:
    """Whether a reshape only fits a leaf to its consumer: nothing else uses the leaf, and no other name appears."""
    leaf = graph.nodes[node.inputs[0].source]
    return (
        leaf.op is None
        and len(graph.consumers[leaf.id]) == 1
        and node.name in (leaf.name, None, "")
        and leaf.id not in graph.outputs
    )


def is_transposed_weight(graph: Graph, node: Node) -> bool:
    """Whether a node is the transpose of a weight for one product, as in a linear layer: it is drawn as x Wᵀ."""
    if node.op != "transpose" or node.name or len(node.shape) != 2:
        return False
    leaf, users = graph.nodes[node.inputs[0].source], graph.consumers[node.id]
    is_weight = leaf.kind == "parameter" and len(graph.consumers[leaf.id]) == 1
    return is_weight and len(users) == 1 and graph.nodes[users[0][0]].op == "matmul"


def merge(graph: Graph, inner: Node, outer: Node) -> Node | None:
    """Return ``outer`` with ``inner`` written into its formula, or None where that would hide a product."""
    edge = next(e for e in outer.inputs if e.source == inner.id)
    live = [e for e in inner.inputs if not graph.is_number(e.source)]
    single = [e.operand for e in outer.inputs].count(edge.operand) == 1
    one_is_1 = edge.partial in ("", "1") or all(e.partial in ("", "1") for e in live)
    needs_result = any("$out" in e.partial for e in inner.inputs)
    adds_copies_up = outer.family == "reduction" and any(e.copies > 1 for e in live)
    if adds_copies_up or not single or not one_is_1 or outer.family == "fused" or needs_result or not live:
        return None
    holes = name_holes(graph, inner, outer, edge)
    formula = fill_some(inner.tex, holes)
    turns = inner.op == "transpose"
    sum_of_products = inner.op in ("mul", "div") and outer.op in ("add", "sub")
    bare = turns or sets_apart(outer.tex, edge.operand) or sum_of_products
    here = {edge.operand: formula if bare else f"({formula})"}
    in_product = {edge.operand: formula if turns else f"({formula})"}
    edges: list[Edge] = []
    for e in outer.inputs:
        if e is not edge:
            edges.append(dataclasses.replace(e, partial=fill_some(e.partial, in_product)))
            continue
        upper = fill_some(edge.partial, in_product)
        for f in live:
            lower = fill_some(f.partial, holes)
            chain = rf"({upper})^{{\mathsf T}}" if turns else lower if edge.partial in ("", "1") else upper
            name = holes[f.operand][1:]
            edges.append(dataclasses.replace(f, operand=name, partial=chain, copies=f.copies * edge.copies))
    op, tex = f"{inner.op}, {outer.op}", fill_some(outer.tex, here)
    says = "" if f"${edge.operand}" in outer.says else outer.says  # the operand is no value of its own any more
    saved, members = outer.saved + inner.saved, (*inner.parts, *outer.parts)
    return dataclasses.replace(outer, op=op, tex=tex, says=says, inputs=tuple(edges), saved=saved, members=members)


def name_holes(graph: Graph, inner: Node, outer: Node, edge: Edge) -> dict[str, str]:
    """Return what each operand of ``inner`` is in the joint formula: a number, or a hole of a name not yet used."""
    taken = {e.operand for e in outer.inputs} | {name for name, _ in outer.params} | {"out", "n", "xs"}
    holes: dict[str, str] = {}
    for e in inner.inputs:
        if graph.is_number(e.source):
            holes[e.operand] = latex_number(graph.label(e.source))
            continue
        name = edge.operand + e.operand
        while name in taken:
            name += e.operand
        taken.add(name)
        holes[e.operand] = f"${name}"
    return holes


def sets_apart(tex: str, hole: str) -> bool:
    """Whether a template needs no brackets around an operand: a root, bracket or exponent is there, or a sum."""
    return bool(re.search(rf"[{{(|]\${hole}[}})|]", tex)) or tex.startswith(r"\sum")


def fill_some(template: str, holes: dict[str, str]) -> str:
    """Fill some of the holes of a template, and leave the others open."""
    return re.sub(r"\$([A-Za-z]+)", lambda m: holes.get(m[1], m[0]), template)


def latex_number(text: str) -> str:
    """Return a number in LaTeX: 1e-05 is a power of ten, and inf a sign."""
    mantissa, e, power = text.partition("e")
    if not e or not power.lstrip("+-").isdigit():
        return text.replace("inf", r"\infty")
    return ("" if mantissa == "1" else mantissa + r" \times ") + f"10^{{{int(power)}}}"


def without(nodes: list[Node], graph: Graph, gone: set[int]) -> Graph:
    """Return a graph of ``nodes`` but for those in ``gone`` and for numbers that nothing uses any more."""
    used = {e.source for n in nodes if n.id not in gone for e in n.inputs} | set(graph.outputs)
    left = [n for n in nodes if n.id not in gone and (n.id in used or not graph.is_number(n.id))]
    place = {n.id: k for k, n in enumerate(left)}
    renumbered = [n.moved(place[n.id], place) for n in left]
    return Graph(tuple(renumbered), tuple(place[i] for i in graph.outputs), graph.notes)
