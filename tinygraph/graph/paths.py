"""A gradient split by path: what comes back along each way from y to x, whose sum is the gradient.

Each way is walked with the derivative lines of its ops, alone; so what one path contributes is a fact, also
where it is zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.lazy_import import Later
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.graph.data import Graph
from tinygraph.graph.snapshot import pull

__all__ = ["Path", "Paths", "paths"]

MOST = 1000  # ways; their number grows with the power of the diamonds


class Path(NamedTuple):
    """One way from x to y: the names on it, and the part of the gradient that came along it."""

    route: tuple[str, ...]
    gradient: Any

    def __str__(self) -> str:
        return (
            " → ".join(self.route) + "\n" + np.array2string(np.asarray(self.gradient), precision=4, suppress_small=True)
        )


class Paths(tuple[Path, ...]):
    """The ways from x to y, shortest first: each a `Path`. What came along them adds up to the whole gradient."""

    svg = Later("tinygraph.drawing.formats.svg", "svg_paths")
    _repr_mimebundle_ = Later("tinygraph.drawing.api", "mimebundle")

    @property
    def total(self) -> Any:
        """The whole gradient."""
        return sum(path.gradient for path in self)

    def __str__(self) -> str:
        return "\n\n".join(map(str, (*self, Path(("the whole gradient",), self.total))))


def paths(x: Tensor, y: Tensor, gradient: Any = None) -> Paths:
    """Split the gradient that reaches ``x`` from ``y`` by the way it came.

    Args:
        x: a tensor that y was computed from.
        y: any tensor.
        gradient: upstream gradient of y, of its shape; 1 for a scalar.

    Returns:
        `Paths`, to draw or to print: a `Path` for each way, shortest first; their gradients add up to the whole.

    Raises:
        TypeError: x or y is no Tensor.
        ValueError: no gradient goes from y to x, there are more than 1,000 ways, or y is no scalar and no
            ``gradient`` is given.

    >>> x = Tensor([1.0, 2.0], name="x")
    >>> for path in paths(x, ((x * x).named("q") + x).named("y"), np.ones(2)):
    ...     print(path.route, path.gradient)
    ('x', 'y') [1. 1.]
    ('x', 'q', 'y') [1. 2.]
    ('x', 'q', 'y') [1. 2.]
    """
    for name, tensor in (("x", x), ("y", y)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"paths: {name} must be a Tensor, not {type(tensor).__name__}")
    if gradient is None:
        if y.size != 1:
            raise ValueError(f"paths: y has shape {y.shape}: give its upstream gradient")
        gradient = np.ones_like(y.data)
    gradient = np.broadcast_to(array_of(gradient), y.shape)
    leads = leading_to(x.node, y.node)
    if y.node not in leads:
        raise ValueError(f"paths: no gradient goes from {y.name or 'y'} to {x.name or 'x'}")
    found: list[Path] = []
    stack: list[tuple[Record, Any, tuple[Record, ...]]] = [(y.node, gradient, ())]
    while stack:
        node, g, after = stack.pop()
        if node is x.node:
            found.append(Path(tuple(called(n) for n in (node, *after)), g))
            if len(found) > MOST:
                raise ValueError(f"paths: more than {MOST} ways lead from x to y")
            continue
        for source, gx in zip(node.inputs, pull(node, g), strict=True):
            if gx is not None and source in leads:
                stack.append((source, np.broadcast_to(gx, source.shape), (node, *after)))
    return Paths(sorted(found, key=lambda p: len(p.route)))


def leading_to(x: Record, y: Record) -> set[Record]:
    """Return the nodes that lie between x and y, both included."""
    order, stack, seen = [], [y], {y}
    while stack:
        node = stack.pop()
        order.append(node)
        for source, args in zip(node.inputs, node.saved or (), strict=False):
            if isinstance(source, Record) and args is not None and source not in seen:
                seen.add(source)
                stack.append(source)
    leads = {x} & seen
    for node in sorted(order, key=lambda n: n.id):
        if any(isinstance(s, Record) and s in leads for s in node.inputs):
            leads.add(node)
    return leads


def called(node: Record) -> str:
    """Return what to call a node: its name, or its op."""
    return node.name or (node.op.name if node.op else "a leaf")


def route(graph: Graph, *names: str) -> tuple[set[int], set[tuple[int, int]]]:
    """Return the nodes and edges on the ways from the first of some named nodes through the others to the last.

    Raises:
        KeyError: a name is none of the graph's.
        ValueError: no way leads from one to the next.
    """
    stops = [graph.find(name).id for name in names]
    nodes: set[int] = set(stops)
    edges: set[tuple[int, int]] = set()
    for start, end in zip(stops, stops[1:], strict=False):
        after = {start}
        for n in graph.nodes[start:]:
            if any(e.source in after for e in n.inputs):
                after.add(n.id)
        if end not in after:
            raise ValueError(f"no way leads from {graph.label(start)} to {graph.label(end)}")
        reached = {end}
        for n in reversed(graph.nodes[: end + 1]):
            for e in n.inputs if n.id in reached else ():
                if e.source in after:
                    reached.add(e.source)
                    edges.add((e.source, n.id))
        nodes |= reached
    return nodes, edges
