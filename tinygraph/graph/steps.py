"""A computation a step at a time: forward node by node, then backward edge by edge, in the order of the engine.

`steps` is the order, `product_of` the arithmetic of one step backward. Both are data: what draws, animates or teaches
goes through the same steps.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.run import leaf_value
from tinygraph.graph.scopes import is_leaf
from tinygraph.graph.values import parameters_of, summarize
from tinygraph.ops.later import find_op

__all__ = ["Product", "Step", "product_of", "steps"]

DIGITS = 1e-6  # of a product that is to equal the contribution; float32 has seven


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a computation.

    Attributes:
        kind: "given": the leaves have their values; "value": a node, or a collapsed scope, is computed; "seed": the
            gradient that the backward pass starts with; "part": what goes back along an edge; "sum": the contributions
            to a gradient are added.
        node: id of the node whose value or gradient is made; None of "given".
        edge: of "part": (id of the node that the gradient comes from, which of its inputs the edge is).
        number: of "part": which of several contributions it is, counted from 0; None where it is the only one.
    """

    kind: str
    node: int | None = None
    edge: tuple[int, int] | None = None
    number: int | None = None

    @property
    def forward(self) -> bool:
        """Whether it belongs to the forward pass."""
        return self.kind in ("given", "value")


def steps(graph: Graph) -> list[Step]:
    """Return the steps of a computation.

    Args:
        graph: any graph; where it has no gradients, there are no steps backward.

    Returns:
        The leaves, then each node in the order in which it was computed; then, from the newest node to the oldest, what
        its gradient sends along each of its edges. Where the last of several contributions has come, they are added.

    >>> from tinygraph import Tensor, snapshot
    >>> x = Tensor([3.0], name="x")
    >>> y = (x * x).sum().named("y")
    >>> y.backward()
    >>> [step.kind for step in steps(snapshot(y))]
    ['given', 'value', 'value', 'seed', 'part', 'part', 'part', 'sum']
    """
    made = [not is_leaf(n) for n in graph.nodes]
    found = [] if all(made) else [Step("given")]
    found += [Step("value", n.id) for n in graph.nodes if made[n.id]]
    parts = {n.id: [e for _, e in graph.consumers[n.id] if e.grad is not None] for n in graph.nodes}
    seeded = {i for i in graph.outputs if is_seeded(graph.nodes[i], parts[i])}
    found += [Step("seed", i) for i in sorted(seeded, reverse=True)]
    waiting = {i: len(edges) for i, edges in parts.items()}
    for node in reversed(graph.nodes):
        for k, edge in enumerate(node.inputs):
            if edge.grad is None:
                continue
            i = edge.source
            several = len(parts[i]) + (i in seeded) > 1
            number = next(n for n, e in enumerate(parts[i]) if e is edge) if len(parts[i]) > 1 else None
            found.append(Step("part", i, (node.id, k), number))
            waiting[i] -= 1
            if several and not waiting[i]:
                found.append(Step("sum", i))
    return found


def is_seeded(node: Node, parts: Sequence[Edge]) -> bool:
    """Whether a backward pass started from an output: its gradient is more than the sum of its contributions."""
    if node.grad is None or not parts:
        return node.grad is not None
    total = math.fsum(e.grad.mean or 0.0 for e in parts if e.grad)
    scale = max(abs(x.mean or 0.0) for x in (node.grad, *(e.grad for e in parts if e.grad)))
    return abs((node.grad.mean or 0.0) - total) > DIGITS * scale


# -------------------------------------------------------------------------------------------------------- products


@dataclasses.dataclass(frozen=True)
class Product:
    """The multiplication in a step backward: upstream × local = product, of which the contribution is made.

    Attributes:
        upstream: the gradient that comes from above; of a reduction, with its axes put back.
        local: the local derivative.
        product: of both, before copies are added up.
        sign: "×" elementwise, "@" of matrices.
        turned: whether the local derivative stands first: xᵀ @ upstream.
        then: what makes the contribution of the product: "sum" over ``axes``, "copy", "transpose"; "" if nothing.
        axes: axes of the product that are added up.
    """

    upstream: Summary
    local: Summary
    product: Summary
    sign: str = "×"
    turned: bool = False
    then: str = ""
    axes: tuple[int, ...] = ()


def product_of(whole: Graph, drawn: Graph, step: Step, values: int = 4096) -> Product | None:
    """Return the multiplication of a step backward as numbers.

    Args:
        whole: the graph as `snapshot` made it, with every op.
        drawn: the same graph, in which some ops may stand for several; ``step`` is one of its steps.
        step: of the kind "part".
        values: arrays of up to this many elements are listed in what is returned.

    Returns:
        The product; None where the edge is no product of two arrays (a reshape, a convolution), the op is not known,
        or an array is too large for its numbers to be in the graph. A product that is returned gives the contribution.
    """
    if step.edge is None:
        return None
    consumer = drawn.nodes[step.edge[0]]
    edge = consumer.inputs[step.edge[1]]
    chain = ops_between(whole, consumer, edge)
    if not chain or consumer.grad is None or edge.grad is None:
        return None
    try:
        upstream, target = leaf_value(grad_node(consumer)), summary_array(edge.grad)
        found = multiply(whole, chain, np.asarray(upstream, float), target)
    except (ValueError, LookupError):  # an array is not in the graph, or an op is not known here
        return None
    if found is None:
        return None
    up, local, product, rest = found
    return Product(summarize(up, values), summarize(local, values), summarize(product, values), **rest)


def grad_node(node: Node) -> Node:
    """Return a node whose value is the gradient of another."""
    return dataclasses.replace(node, value=node.grad)


def summary_array(s: Summary) -> Any:
    """Return the array of a summary that lists its elements."""
    if s.values is None:
        raise ValueError("the elements are not listed")
    return np.array(s.values, float).reshape(s.shape)


def ops_between(whole: Graph, consumer: Node, edge: Edge) -> list[tuple[Node, int]]:
    """Return the ops that a drawn edge goes through, with the input of each, from the consumer down; [] if none.

    A drawn node keeps the very summaries of the nodes that it stands for, and these tell where it comes from.
    """
    places = {id(e.grad): (n, k) for n in whole.nodes for k, e in enumerate(n.inputs) if e.grad is not None}
    found: list[tuple[Node, int]] = []
    at = places.get(id(edge.grad))
    while at is not None:
        found.insert(0, at)
        if at[0].value is consumer.value:
            return found
        users = whole.consumers[at[0].id]
        at = places.get(id(users[0][1].grad)) if len(users) == 1 else None
    return []


def derivative_line(whole: Graph, node: Node, k: int) -> Any:
    """Return the derivative line of input ``k`` as a function of the gradient alone."""
    op = find_op(node.op)
    if op is None or not op.plain or op.variadic or op.lines[k] is None:
        raise LookupError(node.op)
    known = parameters_of(node)
    known["out"] = leaf_value(node)
    for e in node.inputs:
        source = whole.nodes[e.source]
        known |= {f"{e.operand}_shape": source.shape, f"{e.operand}_dtype": source.dtype}
        if e.operand in op.asks[k]:
            known[e.operand] = leaf_value(source)
    args = [known[ask] for ask in op.asks[k]]
    return lambda g: op.lines[k](g, *args)


def multiply(
    whole: Graph, chain: Sequence[tuple[Node, int]], g: Any, target: Any
) -> tuple[Any, Any, Any, dict[str, Any]] | None:
    """Return upstream, local, product, and what is done with it; None where it does not give ``target``."""
    with np.errstate(all="ignore"):
        families = [node.family for node, _ in chain]
        if families[0] == "linear" and set(families[1:]) <= {"shape"}:
            found = multiply_matrices(whole, chain, g)
        elif set(families) <= {"elementwise", "reduction"} and "reduction" not in families[1:]:
            found = multiply_elements(whole, chain, g, target.shape)
        else:
            found = None
        if found is None:
            return None
        _, _, product, rest = found
        made = product.T if rest["then"] == "transpose" else product
        made = made.sum(axis=rest["axes"]).reshape(target.shape) if rest["then"] == "sum" else made
        same = np.allclose(np.broadcast_to(made, target.shape), target, rtol=DIGITS, atol=DIGITS * largest(product))
    return found if same else None


def largest(array: Any) -> float:
    """Return the greatest magnitude in an array; 0 of an empty one."""
    return float(np.abs(array).max()) if array.size else 0.0


def multiply_matrices(whole: Graph, chain: Sequence[tuple[Node, int]], g: Any) -> Any:
    """Return the product of matrices in a step back through ``x @ y``."""
    node, k = chain[0]
    operands = [np.asarray(leaf_value(whole.nodes[e.source]), float) for e in node.inputs]
    if node.op != "matmul" or any(a.ndim != 2 for a in operands):
        return None
    rest = {"sign": "@", "turned": k == 1, "then": "transpose" if len(chain) > 1 else "", "axes": ()}
    local = operands[1 - k].T
    return g, local, local @ g if k else g @ local, rest


def multiply_elements(whole: Graph, chain: Sequence[tuple[Node, int]], g: Any, shape: tuple[int, ...]) -> Any:
    """Return the product of elements in a step back through elementwise ops, of which the first may be a reduction."""
    top, k = chain[0]
    local = np.ones(top.shape)
    for node, place in chain:
        local = np.broadcast_to(local, np.broadcast_shapes(local.shape, node.shape))
        local = np.asarray(derivative_line(whole, node, place)(local), float)
    if top.family == "reduction":
        source = whole.nodes[top.inputs[k].source].shape
        axis = dict(top.params).get("axis")
        axis = axis.get("tuple") if isinstance(axis, dict) else axis
        axes = range(len(source)) if axis is None else axis if isinstance(axis, list | tuple) else (axis,)
        over = {int(a) % len(source) for a in axes} if source else set()
        g = g.reshape([1 if a in over else n for a, n in enumerate(source)]) if len(chain) == 1 or g.size > 1 else g
    product = g * local
    if product.size < math.prod(shape):
        return g, local, product, {"then": "copy", "axes": ()}
    lead = product.ndim - len(shape)
    axes = tuple(a for a, n in enumerate(product.shape) if a < lead or shape[a - lead] != n)
    return g, local, product, {"then": "sum" if axes else "", "axes": axes}
