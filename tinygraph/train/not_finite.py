"""Find the first value of a graph that is NaN or infinite, and say what made it."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.tensor import Tensor
from tinygraph.graph.data import Graph, Node, Summary
from tinygraph.graph.snapshot import snapshot

__all__ = ["NotFinite", "RunsAway", "first_not_finite"]


class NotFinite(ArithmeticError):
    """A loss or a gradient is nan or infinite; the message names the first value that is."""


class RunsAway(ArithmeticError):
    """A loss has grown far above the first one: the steps are too long, most often."""


def first_not_finite(loss: Tensor) -> str:
    """Say which value of a graph is the first that is nan or infinite; or else which gradient, on the way back.

    Args:
        loss: any tensor; where ``backward()`` has run from it, gradients are looked at too.

    Returns:
        A sentence with the value's name, op and scope, and how large the op's operands are.

    >>> x = Tensor([1.0, -1.0], name="x")
    >>> with np.errstate(invalid="ignore"):
    ...     loss = sqrt(x).named("r").sum()
    >>> first_not_finite(loss)
    'the first value that is not finite is r = sqrt(x): 1 nan of 2, made of x up to 1'
    """
    with np.errstate(all="ignore"):  # the ops run again
        graph = snapshot(loss, values=0)
    if bad := [node for node in graph.nodes if is_broken(node.value)]:
        node = bad[0]
        return f"the first value that is not finite is {describe_node(graph, node, node.value)}"
    if bad := [node for node in graph.nodes if is_broken(node.grad)]:
        node = bad[-1]  # backward comes to the last node first
        return f"the first gradient that is not finite is that of {describe_node(graph, node, node.grad)}"
    return "every value of its graph is finite"


def is_broken(found: Summary | None) -> bool:
    """Whether an array has an element that is nan or infinite."""
    return found is not None and found.nans + found.infs > 0


def describe_node(graph: Graph, node: Node, found: Summary | None) -> str:
    """Say what a node is, how many elements of its value or gradient are not finite, and how large its operands are."""
    assert found is not None
    sources = [graph.nodes[edge.source] for edge in node.inputs]
    counts = " and ".join(f"{n} {what}" for n, what in ((found.nans, "nan"), (found.infs, "infinite")) if n)
    formula = f"{node.op}({', '.join(map(name_of, sources))})" if node.op else ""
    label = " = ".join(filter(None, [node.name, formula])) or node.kind
    operands = " and ".join(f"{name_of(s)} up to {largest(s.value):.3g}" for s in sources)
    path = "/".join(node.scope)
    where = f" in {path}" if path and path.replace("/", ".") not in (node.name or "") else ""  # its name may say it
    return clean(
        f"{label}{where}: {counts} of {math.prod(found.shape)}" + (f", made of {operands}" if operands else "")
    )


def name_of(node: Node) -> str:
    """Return what to call a node in a sentence."""
    return node.name or (f"{node.op}(…)" if node.op else node.kind)


def largest(found: Summary | None) -> float:
    """Return the largest magnitude among the finite elements of an array."""
    ends = (found.min, found.max) if found else ()
    return max((abs(x) for x in ends if x is not None), default=math.nan)
