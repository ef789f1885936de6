"""Find the first value of a graph that is NaN or infinite, and say what made it."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph, Summary
from tinygraph.graph.data import Node as GraphNode
from tinygraph.graph.snapshot import snapshot

__all__ = ["NotFinite", "first_not_finite"]


class NotFinite(ArithmeticError):
    """A loss or a gradient is nan or infinite; the message names the first value that is."""


def first_not_finite(loss: Tensor) -> str:
    """Say which value of a graph is the first that is nan or infinite: forward, or else on the way back.

    >>> x = Tensor([1.0, -1.0], name="x")
    >>> with np.errstate(invalid="ignore"):
    ...     loss = sqrt(x).named("r").sum()
    >>> first_not_finite(loss)
    'the first value that is not finite is r = sqrt(x): 1 nan of 2, made of x up to 1'
    """
    with np.errstate(all="ignore"):  # the ops run again
        graph = snapshot(loss, values=0)
    bad = {node.id for node in graph.nodes if broken(node.value)}
    if bad:
        first = min(bad)
        return f"the first value that is not finite is {told(graph, first, graph.nodes[first].value)}"
    back = [node.id for node in graph.nodes if broken(node.grad)]
    if back:
        first = max(back)
        return f"the first gradient that is not finite is that of {told(graph, first, graph.nodes[first].grad)}"
    return "every value of its graph is finite"


def broken(found: Summary | None) -> bool:
    """Whether an array has an element that is nan or infinite."""
    return found is not None and found.nans + found.infs > 0


def told(graph: Graph, i: int, found: Summary | None) -> str:
    """Write a node's place and name, what is wrong in an array of it, and how large is what it was made of."""
    assert found is not None
    node, sources = graph.nodes[i], [graph.nodes[edge.source] for edge in graph.nodes[i].inputs]
    counts = " and ".join(f"{n} {what}" for n, what in ((found.nans, "nan"), (found.infs, "infinite")) if n)
    label = node.name or ("" if node.op else node.kind)
    label += f"{' = ' if label else ''}{node.op}({', '.join(map(called, sources))})" * bool(node.op)
    made = " and ".join(f"{called(s)} up to {largest(s.value):.3g}" for s in sources)
    where = f" in {'/'.join(node.scope)}" * bool(node.scope)
    return f"{label}{where}: {counts} of {math.prod(found.shape)}" + f", made of {made}" * bool(made)


def called(node: GraphNode) -> str:
    """Return what to call a node in a sentence."""
    return node.name or (f"{node.op}(…)" if node.op else node.kind)


def largest(found: Summary | None) -> float:
    """Return the largest magnitude among the finite elements of an array."""
    ends = (found.min, found.max) if found else ()
    return max((abs(x) for x in ends if x is not None), default=math.nan)
