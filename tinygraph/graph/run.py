"""Compute a graph again from its leaves: a `Graph` is also a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.errors import clean
from tinygraph.engine.types import Value
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.values import WEAK, parameters_of
from tinygraph.ops.later import find_op

__all__ = ["run"]


def run(graph: Graph, /, **inputs: Value) -> Any:
    """Run a graph again: on arrays it computes, on Tensors it records.

    Args:
        graph: from `snapshot` or ``Graph.from_json``.
        inputs: arrays or Tensors for leaves, by name; all leaves of a name get the same. A leaf that is not given
            has the value in the graph.

    Returns:
        The output, or a tuple of them.

    Raises:
        TypeError: a name is none of the graph's leaves.
        ValueError: a leaf is too large for its value to be in the graph, and is not given; an op is not known here,
            or fails; the message names the node.

    >>> from tinygraph import Tensor, snapshot
    >>> x = Tensor([1.0, 2.0], name="x")
    >>> run(snapshot(x * 3), x=np.array([5.0, 7.0]))
    array([15., 21.])
    """
    names = {node.name for node in graph.nodes if node.op is None and node.name}
    if unknown := sorted(inputs.keys() - names):
        known = clean(", ".join(sorted(names)))
        raise TypeError(f"run: {clean(', '.join(unknown))}: no leaf has that name; the leaves are {known}")
    results: list[Any] = []
    for node in graph.nodes:
        if node.op is None:
            results.append(inputs[node.name] if node.name in inputs else leaf_value(node))
        else:
            results.append(call_op(node, [results[e.source] for e in node.inputs]))
    outputs = tuple(results[i] for i in graph.outputs)
    return outputs[0] if len(outputs) == 1 else outputs


def call_op(node: Node, operands: list[Any]) -> Any:
    """Call the op of a node; an error names the node."""
    op = find_op(node.op)
    if op is None:
        raise ValueError(f"run: node {node.id} is made by the op {node.op!r}, which is not registered here")
    try:
        return op(*operands, **parameters_of(node))
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"run: node {node.id}, {node.op}: {error}") from error


def leaf_value(node: Node) -> Any:
    """Return the array of a node from its summary; of a weak operand the Python number, or None."""
    if node.value is None or node.value.values is None:
        what = f"the {node.dtype}{list(node.shape)} of {clean(node.name or 'a leaf')} (node {node.id})"
        raise ValueError(f"run: the graph does not hold {what}: give it, by name")
    if node.dtype in WEAK and not node.shape:
        return node.value.values[0]  # it has no dtype of its own, so the result has that of the other operand
    try:
        return np.array(node.value.values, node.dtype).reshape(node.shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"run: node {node.id} holds no {node.dtype}{list(node.shape)}: {error}") from None
