"""Compare two graphs node by node: what they share, and what is replaced."""

from __future__ import annotations

import dataclasses
from typing import Any

from tinygraph.engine.lazy_import import Later
from tinygraph.graph.data import Graph

__all__ = ["Difference", "diff"]


@dataclasses.dataclass(frozen=True)
class Difference:
    """What two graphs have in common: pairs of ids, and the ids that only the one or the other has."""

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
    """Find what two graphs share and what the one has in place of the other.

    Two nodes are the same if they are leaves of one name, kind and shape, or the same op with the same
    parameters on the same operands; an operand that has a name is the same as one of that name and shape.

    Args:
        a, b: graphs, such as a composed batch norm and the fused one.
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
    keys: dict[Any, list[int]] = {}
    for key, n in zip(identities(b), b.nodes, strict=True):
        keys.setdefault(key, []).append(n.id)
    shared = []
    for key, n in zip(identities(a), a.nodes, strict=True):
        if keys.get(key):
            shared.append((n.id, keys[key].pop(0)))
    left, right = {i for i, _ in shared}, {j for _, j in shared}
    return Difference(
        a, b, names,
        tuple(sorted(shared)),
        tuple(n.id for n in a.nodes if n.id not in left),
        tuple(n.id for n in b.nodes if n.id not in right),
    )  # fmt: skip


def identities(graph: Graph) -> list[Any]:
    """Return a hash of what each node is: its op and its operands, of which a named one is what its name says."""
    own: list[Any] = []
    seen: list[Any] = []
    for node in graph.nodes:
        if node.op is None and node.kind != "scope":
            value = node.value.values if node.kind == "constant" and not node.name and node.value else None
            own.append(hash((node.kind, node.name, node.shape, repr(value))))
        else:
            own.append(hash((node.op, repr(node.params), node.shape, tuple(seen[e.source] for e in node.inputs))))
        seen.append(hash((node.name, node.shape)) if node.name else own[-1])
    return own
