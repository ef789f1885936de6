"""A gradient split by path: each path from y back to x carries one part, and the parts add up to the gradient.

Each part is computed by the derivative lines of the ops on its path alone; so it is known also where it is zero.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.lazy_import import Later
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Array, ArrayLike
from tinygraph.graph.data import Graph
from tinygraph.graph.records import behind, differentiated_inputs, pull_back

__all__ = ["Path", "Paths", "paths", "route"]

MOST = 1000  # paths; where values branch and join again, their number doubles each time


class Path(NamedTuple):
    """One path from x to y.

    Attributes:
        route: the names of the values on it, x first.
        gradient: the part of the gradient of x that came along it; of x's shape.
    """

    route: tuple[str, ...]
    gradient: Array

    def __str__(self) -> str:
        part = np.array2string(np.asarray(self.gradient), precision=4, suppress_small=True)
        return f"{clean(' → '.join(self.route))}\n{part}"


class Paths(tuple[Path, ...]):
    """The paths from x to y, shortest first: each a `Path`. Their gradients add up to the whole gradient."""

    svg = Later("tinygraph.drawing.formats.svg", "svg_paths")
    _repr_mimebundle_ = Later("tinygraph.drawing.api", "mimebundle")

    @property
    def total(self) -> Array:
        """The whole gradient, of x's shape."""
        return functools.reduce(operator.add, (path.gradient for path in self))

    def __str__(self) -> str:
        return "\n\n".join(map(str, (*self, Path(("the whole gradient",), self.total))))


def paths(x: Tensor, y: Tensor, gradient: Tensor | ArrayLike | None = None) -> Paths:
    """Split the gradient that reaches ``x`` from ``y`` by the paths along which it comes.

    Args:
        x: a tensor that y was computed from.
        y: any tensor.
        gradient: upstream gradient of y, of its shape; 1 for a scalar.

    Returns:
        `Paths`, to draw or to print: a `Path` for each, shortest first; their gradients add up to the whole.

    Raises:
        TypeError: x or y is no Tensor.
        ValueError: no gradient goes from y to x, there are more than 1,000 paths, or y is no scalar and no
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
    between = records_between(x.node, y.node)
    if y.node not in between:
        raise ValueError(f"paths: no gradient goes from {clean(y.name or 'y')} to {clean(x.name or 'x')}")
    found: list[Path] = []
    seed = np.broadcast_to(array_of(gradient), y.shape)
    stack: list[tuple[Record, Any, tuple[Record, ...]]] = [(y.node, seed, ())]
    while stack:
        record, g, after = stack.pop()
        if record is x.node:
            found.append(Path(tuple(label_of(r) for r in (record, *after)), g))
            if len(found) > MOST:
                raise ValueError(f"paths: more than {MOST} ways lead from x to y")
            continue
        for source, gx in zip(record.inputs, pull_back(record, g), strict=True):
            if gx is not None and source in between:
                stack.append((source, np.broadcast_to(gx, source.shape), (record, *after)))
    return Paths(sorted(found, key=lambda path: len(path.route)))


def records_between(x: Record, y: Record) -> set[Record]:
    """Return the records on all paths from y back to x, both included; none if there is no path."""
    found: set[Record] = set()
    for record in behind([y], differentiated_inputs):
        if record is x or not found.isdisjoint(differentiated_inputs(record)):
            found.add(record)
    return found


def label_of(record: Record) -> str:
    """Return what to call a record: its name, or its op."""
    return record.name or (record.op.name if record.op else "a leaf")


def route(graph: Graph, *names: str) -> tuple[set[int], set[tuple[int, int]]]:
    """Find all ways from the first of some named nodes, through the others in turn, to the last.

    Args:
        graph: any graph.
        names: of two nodes or more, as `Graph.find` takes them; earlier values first.

    Returns:
        The ids of the nodes on these ways, and their edges as (source, consumer) pairs.

    Raises:
        KeyError: a name is none of the graph's.
        ValueError: no way leads from one to the next.

    >>> from tinygraph import snapshot
    >>> x = Tensor([1.0], name="x")
    >>> nodes, edges = route(snapshot((x * x + 1).named("y")), "x", "y")
    >>> sorted(nodes), sorted(edges)
    ([0, 1, 3], [(0, 1), (1, 3)])
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
            raise ValueError(f"no way leads from {clean(graph.label(start))} to {clean(graph.label(end))}")
        reached = {end}
        for n in reversed(graph.nodes[: end + 1]):
            for e in n.inputs if n.id in reached else ():
                if e.source in after:
                    reached.add(e.source)
                    edges.add((e.source, n.id))
        nodes |= reached
    return nodes, edges
