"""Compare two graphs node by node: which nodes are in both, which in one alone, and how far the numbers are apart."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.lazy_import import Later
from tinygraph.graph.data import Graph, Node, Summary
from tinygraph.graph.scopes import is_leaf

__all__ = ["Difference", "Gap", "diff"]

TRIES = 8  # consumers that are looked at to find the one that a consumer in the other graph is


class Gap(NamedTuple):
    """How far one node's numbers are apart in two graphs.

    Attributes:
        a: id of the node in the first graph.
        b: id of the node in the second.
        label: what the first graph calls it; the second, where the first has no name.
        value: the greatest difference between elements of the two values; None where a graph does not list them.
        grad: likewise of the two gradients.
    """

    a: int
    b: int
    label: str
    value: float | None
    grad: float | None


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
        (a, b), alone = map(clean, self.names), (len(self.only_a), len(self.only_b))
        return f"<Difference: {len(self.shared)} nodes are in both, {alone[0]} in {a} alone, {alone[1]} in {b} alone>"

    @functools.cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """For each node that is in both, the greatest difference of its value and of its gradient.

        >>> from tinygraph import Tensor, snapshot
        >>> one, other = (snapshot(Tensor(x, name="x") * 3) for x in ([1.0, 2.0], [1.0, 2.5]))
        >>> [(gap.label, gap.value) for gap in diff(one, other).gaps]
        [('x', 0.5), ('3', 0.0), ('#2', 1.5)]
        """
        found = []
        for i, j in self.shared:
            n, m = self.a.nodes[i], self.b.nodes[j]
            label = self.a.label(i) if n.name or not m.name else m.name
            found.append(Gap(i, j, label, greatest_gap(n.value, m.value), greatest_gap(n.grad, m.grad)))
        return tuple(found)

    def greatest(self) -> str:
        """Say how far the values of the nodes that are in both are apart at most, and the gradients; "" if not at all.

        Nodes whose elements a graph does not list are left out.
        """
        said = []
        values = [(gap.value or 0.0, gap.label) for gap in self.gaps]
        grads = [(gap.grad or 0.0, gap.label) for gap in self.gaps]
        for what, gaps in (("values", values), ("gradients", grads)):
            most, label = max(gaps, key=lambda gap: gap[0], default=(0.0, ""))
            if most:
                said.append(f"of {what} {write_gap(most)} ({label})")
        return f"greatest difference: {', '.join(said)}" if said else ""

    def table(self) -> str:
        """Return the greatest difference of each value and gradient as text, a line for each node that is in both."""
        rows = [
            ("", "value", "gradient"),
            *((gap.label, write_gap(gap.value), write_gap(gap.grad)) for gap in self.gaps),
        ]
        wide = [max(len(row[k]) for row in rows) for k in range(3)]
        return "\n".join(f"{row[0]:<{wide[0]}}  {row[1]:>{wide[1]}}  {row[2]:>{wide[2]}}".rstrip() for row in rows)


def diff(a: Graph, b: Graph, names: tuple[str, str] = ("a", "b")) -> Difference:
    """Find which nodes two graphs share and which one of them has alone.

    Two leaves are equal if name, kind and shape are; two results are if op, parameters and operands are. A named
    operand counts as equal to one of that name and shape, however it was computed. From there on, and from the outputs,
    nodes are paired whose op, parameters and shape are equal and whose neighbours are paired: so what lies behind a
    change is shared. A leaf is then paired also if one graph has no name for it, another name, or its transpose.

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
    pairing = Pairing(a, b)
    pairing.pair_equal()
    pairing.extend()
    shared = tuple(sorted(pairing.there.items()))
    only_a = tuple(n.id for n in a.nodes if n.id not in pairing.there)
    only_b = tuple(n.id for n in b.nodes if n.id not in pairing.back)
    return Difference(a, b, names, shared, only_a, only_b)


class Pairing:
    """Which node of one graph is which of another."""

    def __init__(self, a: Graph, b: Graph) -> None:
        self.a, self.b = a, b
        self.there: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.kinds = [*map(kind_of, a.nodes)], [*map(kind_of, b.nodes)]
        self.leaf_names = [{n.name for n in g.nodes if n.op is None} for g in (a, b)]

    def pair(self, i: int, j: int) -> None:
        """Note a pair."""
        self.there[i], self.back[j] = j, i

    def pair_equal(self) -> None:
        """Pair what is computed in the same way from the leaves on, in order where several are equal."""
        waiting: dict[int, collections.deque[int]] = {}
        for key, n in zip(identify_nodes(self.b), self.b.nodes, strict=True):
            waiting.setdefault(key, collections.deque()).append(n.id)
        for key, n in zip(identify_nodes(self.a), self.a.nodes, strict=True):
            if waiting.get(key):
                self.pair(n.id, waiting[key].popleft())

    def extend(self) -> None:
        """Go on from pairs to their neighbours: through what uses them, and through what they are made of."""
        queue = collections.deque(sorted(self.there.items()))
        ends = [(i, j) for i, j in zip(self.a.outputs, self.b.outputs, strict=False) if self.fits(i, j)]
        for i, j in ends:
            self.pair(i, j)
            queue.append((i, j))
        while queue:
            i, j = queue.popleft()
            for found in (*self.behind(i, j), *self.before(i, j)):
                if self.fits(*found):
                    self.pair(*found)
                    queue.append(found)

    def behind(self, i: int, j: int) -> Iterator[tuple[int, int]]:
        """Yield pairs of consumers that use two nodes in the same way, and may be the same."""
        waiting: dict[Any, list[int]] = {}
        for c, place in uses(self.b, j):
            if c not in self.back:
                waiting.setdefault((place, self.kinds[1][c]), []).append(c)
        for c, place in uses(self.a, i):
            candidates = waiting.get((place, self.kinds[0][c]), [])
            for d in candidates[:TRIES]:
                if self.fits(c, d):
                    candidates.remove(d)
                    yield c, d
                    break

    def before(self, i: int, j: int) -> Iterator[tuple[int, int]]:
        """Yield pairs of operands at the same place; for a leaf and the transpose of a leaf, the two leaves."""
        for e, f in zip(self.a.nodes[i].inputs, self.b.nodes[j].inputs, strict=False):
            p, q = e.source, f.source
            if is_leaf(self.a.nodes[p]) != is_leaf(self.b.nodes[q]):
                p, q = untransposed(self.a, p), untransposed(self.b, q)
            yield p, q

    def fits(self, i: int, j: int) -> bool:
        """Whether two nodes that have no partner may be the same: no two of their operands have other partners."""
        if i in self.there or j in self.back:
            return False
        n, m = self.a.nodes[i], self.b.nodes[j]
        if is_leaf(n) or is_leaf(m):
            return is_leaf(n) and is_leaf(m) and self.leaves_fit(n, m)
        if self.kinds[0][i] != self.kinds[1][j] or len(n.inputs) != len(m.inputs):
            return False
        return not any(self.apart(p, q) for p, q in self.before(i, j))

    def apart(self, p: int, q: int) -> bool:
        """Whether two nodes both have partners, which are not each other."""
        return p in self.there and q in self.back and self.there[p] != q

    def leaves_fit(self, n: Node, m: Node) -> bool:
        """Whether two leaves may be the same, by name, shape and value."""
        if n.name != m.name and (n.name in self.leaf_names[1] - {None} or m.name in self.leaf_names[0] - {None}):
            return False
        if n.kind == m.kind == "constant" and not (n.name or m.name):
            return n.shape == m.shape and listed(n) == listed(m)
        return n.shape == m.shape or (len(n.shape) == 2 and n.shape == m.shape[::-1])


def kind_of(node: Node) -> Any:
    """Return what two nodes must have in common to be one. The key of an index may be an operand or a parameter."""
    params = [p for p in node.params if p[0] != "key"] if node.op == "index" else node.params
    return node.kind if is_leaf(node) else (node.kind, node.op, repr(params), node.shape)


def untransposed(graph: Graph, i: int) -> int:
    """Return the operand of a transpose; any other node as it is."""
    return graph.nodes[i].inputs[0].source if graph.nodes[i].op == "transpose" else i


def listed(node: Node) -> str:
    """Return the elements of a value as text, in which NaN equals NaN."""
    return repr(node.value.values) if node.value else ""


def uses(graph: Graph, i: int) -> Iterator[tuple[int, int]]:
    """Yield who uses node ``i``, and as which operand."""
    for c in dict.fromkeys(c for c, _ in graph.consumers[i]):
        for place, edge in enumerate(graph.nodes[c].inputs):
            if edge.source == i:
                yield c, place


def identify_nodes(graph: Graph) -> list[int]:
    """Return a hash for each node, of its op and operands; a named operand counts by its name alone."""
    found: list[int] = []
    as_operand: list[int] = []
    for node in graph.nodes:
        if is_leaf(node):
            value = node.value.values if node.kind == "constant" and not node.name and node.value else None
            found.append(hash((node.kind, node.name, node.shape, repr(value))))
        else:
            operands = tuple(as_operand[e.source] for e in node.inputs)
            found.append(hash((node.op, repr(node.params), node.shape, operands)))
        as_operand.append(hash((node.name, node.shape)) if node.name else found[-1])
    return found


def greatest_gap(x: Summary | None, y: Summary | None) -> float | None:
    """Return the greatest difference between elements of two arrays of which one may be transposed.

    Equal infinities, and NaN in both, differ by 0. None says that an array is not there, or not listed whole.
    """
    if x is None or y is None or x.values is None or y.values is None or len(x.values) != len(y.values):
        return None
    if not x.values:
        return 0.0
    try:
        left, right = (np.array(s.values, float).reshape(s.shape) for s in (x, y))
    except (TypeError, ValueError):  # what is no number
        return None
    right = right if left.shape == right.shape else right.T
    if left.shape != right.shape:
        return None
    with np.errstate(all="ignore"):
        gap = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0.0, np.abs(left - right))
    return float(np.where(np.isnan(gap), math.inf, gap).max())


def write_gap(gap: float | None) -> str:
    """Return a difference as text."""
    return "–" if gap is None else f"{gap:.2g}"
