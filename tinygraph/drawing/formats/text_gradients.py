"""The rows of a gradient graph in text: one for each gradient, with all ops that made it in one formula."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from tinygraph.drawing.layout.labels import contributions
from tinygraph.drawing.layout.mirror import Gradient, Mirrored, mirror, upstream
from tinygraph.drawing.style.formula import Runs, plain_text
from tinygraph.drawing.style.names import name_text
from tinygraph.graph.data import Edge, Graph

__all__ = ["Rows", "group_gradients"]

Spell = Callable[[Graph, int, Edge], str]


class Rows(NamedTuple):
    """A graph in which each gradient is one node, the nodes that have no row, and what the gradients are equal to."""

    graph: Graph
    hidden: frozenset[int]
    formulas: dict[int, str]


def group_gradients(
    graph: Graph, close: Callable[[Graph], Graph] | None, contribution: Spell, show: str = "both"
) -> Rows:
    """Put all ops of a gradient into one node.

    Args:
        graph: one that holds gradients, recorded or computed.
        close: collapses what is not to be shown in the graph of the values of a band; None where all stay open.
        contribution: writes what an operand gets from the gradient of its consumer.
        show: "backward" leaves the values out.
    """
    found = mirror(graph, show, close=close)
    shown = {c for band in found.bands for c in band.cards}
    nodes = []
    given = {c: graph.nodes[i].name or "∂" for band in found.bands if band.stage < 0 for c, i in band.origin.items()}
    formulas: dict[int, str] = {}
    for node in found.graph.nodes:
        edges = tuple(
            dataclasses.replace(e, source=found.again.get(e.source, e.source), grad=None) for e in node.inputs
        )
        node = dataclasses.replace(node, inputs=edges, requires_grad=False)
        if gradient := found.gradients.get(node.id):
            name = plain_text(gradient.name)
            own = given.get(node.id, "∂")  # the name that a person gave it
            start = f"{own} = " if own[0] != "∂" and gradient.parts else ""
            formulas[node.id] = f"{start}{name} = {formula(found, gradient, contribution)}"
            node = dataclasses.replace(node, name=name, scope=(name.partition("/")[0],), family="gradient")
        nodes.append(node)
    hidden = frozenset(n.id for n in nodes if show == "backward" and n.id not in shown)
    return Rows(Graph(tuple(nodes), found.graph.outputs, graph.notes), frozenset(found.again) | hidden, formulas)


def formula(found: Mirrored, gradient: Gradient, contribution: Spell) -> str:
    """Write what a gradient is equal to: ``Σ₀ ∂x̂·(−x_c/σ²)``."""
    if not gradient.parts:
        said = plain_text(gradient.below)
        return "1  (the seed)" if said == "the seed" else f"({said})" if said else ""
    whole = gradient.graph
    if whole and gradient.here:
        ways = contributions(whole, gradient.i)
        return " + ".join(
            term(whole, consumer, contribution(whole, consumer, edge), plain_text(runs))
            for (consumer, edge), (_, runs) in zip(ways, gradient.parts, strict=True)
        )

    def write(source: int, runs: Runs) -> str:
        return " ".join(plain_text(upstream(runs, found.gradients[source].name) if source >= 0 else runs).split())

    return " + ".join(write(*part) for part in gradient.parts)


def term(graph: Graph, consumer: int, said: str, derivative: str) -> str:
    """Write one contribution; where it goes through a product of matrices, as one, and through a card, say which."""
    above, through, _ = said.partition(" through ")
    if through and "·" in derivative:
        return " ".join(derivative.replace("·", f" {above} ").split())
    node = graph.nodes[consumer]
    return f"{said} through ▸ {name_text(node.name or '')}" if node.kind == "scope" else said
