"""Compare two graphs node by node: which nodes are in both, and which in one alone."""

from __future__ import annotations

import dataclasses

from tinygraph.engine.lazy_import import Later
from tinygraph.graph.data import Graph

__all__ = ["Difference", "diff"]


@dataclasses.dataclass(frozen=True)
class Difference:
    """What two graphs share, and what one of them has alone.

    Attributes:
        a: the first graph.
        b: the second graph.
        names: what to call them.
        shared: pairs of ids of equal nodes, that in ``a`` first.
        only_a: ids of the nodes that ``a`` alone has.
        only_b: ids of the nodes that ``b`` alone has.
    """

    a: Graph
    b: Graph
    names: tuple[str, str]
    shared: tuple[tuple[int, int], ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]

    svg = Later("tinygraph.drawing.formats.svg", "svg_diff")
    text = Later("tinygraph.drawing.formats.text", "text_diff")
    _repr_mimebundle_ = Later("tinygraph.drawing.api", "mimebundle")

    def __repr__(self) -> str:
        (a, b), alone = self.names, (len(self.only_a), len(self.only_b))
        return f"<Difference: {len(self.shared)} nodes are in both, {alone[0]} in {a} alone, {alone[1]} in {b} alone>"


def diff(a: Graph, b: Graph, names: tuple[str, str] = ("a", "b")) -> Difference:
    """Find which nodes two graphs share and which one of them has alone.

    Two leaves are equal if name, kind and shape are; two results are if op, parameters and operands are. A named
    operand counts as equal to one of that name and shape, however it was computed.

    Args:
        a: a graph, such as that of a composed batch norm.
        b: the graph to compare it with, such as that of the fused one.
        names: what to call them.

    Returns:
        A `Difference`, to draw or to print; every id of both graphs is in it once.

    Raises:
        TypeError: one of them is no `Graph`.

    >>> from tinygraph import Tensor, snapshot
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> diff(snapshot((x * x).named("y")), snapshot((x**2).named("y")), names=("product", "power"))
    <Difference: 1 nodes are in both, 1 in product alone, 2 in power alone>
    """
    if bad := [type(g).__name__ for g in (a, b) if not isinstance(g, Graph)]:
        raise TypeError(f"diff takes two Graphs, not {bad[0]}: of a Tensor, take a snapshot")
    waiting: dict[int, list[int]] = {}
    for key, n in zip(identify_nodes(b), b.nodes, strict=True):
        waiting.setdefault(key, []).append(n.id)
    shared = []
    for key, n in zip(identify_nodes(a), a.nodes, strict=True):
        if waiting.get(key):
            shared.append((n.id, waiting[key].pop(0)))
    left, right = {i for i, _ in shared}, {j for _, j in shared}
    only_a = tuple(n.id for n in a.nodes if n.id not in left)
    only_b = tuple(n.id for n in b.nodes if n.id not in right)
    return Difference(a, b, names, tuple(shared), only_a, only_b)


def identify_nodes(graph: Graph) -> list[int]:
    """Return a hash for each node, of its op and operands; a named operand counts by its name alone."""
    found: list[int] = []
    as_operand: list[int] = []
    for node in graph.nodes:
        if node.op is None and node.kind != "scope":
            value = node.value.values if node.kind == "constant" and not node.name and node.value else None
            found.append(hash((node.kind, node.name, node.shape, repr(value))))
        else:
            operands = tuple(as_operand[e.source] for e in node.inputs)
            found.append(hash((node.op, repr(node.params), node.shape, operands)))
        as_operand.append(hash((node.name, node.shape)) if node.name else found[-1])
    return found
