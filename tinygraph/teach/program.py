"""Forward and backward as one program: what a graph computes, then each gradient, a step for each line of a derivative.

The backward pass is the recorded one. Nothing is derived here: the steps are the ops that the derivative lines made.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.grad import grad
from tinygraph.engine.context import within
from tinygraph.engine.tensor import Parameter, Tensor
from tinygraph.engine.types import Shape
from tinygraph.graph.data import Graph, Node
from tinygraph.graph.run import leaf_value
from tinygraph.graph.snapshot import snapshot
from tinygraph.graph.values import parameters_of
from tinygraph.ops.later import find_op

__all__ = ["Contribution", "Program", "make_up", "record_program"]

WHOLE = 1 << 62  # every value of the program is kept, however large
MOST = 1024  # elements of a leaf whose numbers are written down


@dataclasses.dataclass(frozen=True)
class Contribution:
    """What one use of a value sends back to it.

    Attributes:
        user: id of the node that used the value.
        edge: which of its inputs the value is.
        ops: ids of the ops that the derivative line recorded, in order; () where the gradient passes as it is.
        result: id of the node whose value is the contribution.
    """

    user: int
    edge: int
    ops: tuple[int, ...]
    result: int


@dataclasses.dataclass(frozen=True)
class Program:
    """A computation and its backward pass.

    Attributes:
        graph: all of it, with the value of every node.
        outputs: ids of what is differentiated.
        forward: ids of the nodes of the way forward, in order; leaves are among them.
        backward: ids of the nodes that have a gradient, in the order in which the gradients are computed.
        gradient: of each of these, the id of the node whose value its gradient is.
        contributions: what its uses send back to it, in that order; () of an output that is used for nothing more.
        upstream: of each output, the id of the leaf that the backward pass starts from.
        wrt: ids of the leaves whose gradients are wanted.
        made_up: ids of the leaves whose values the graph does not hold: `make_up` has numbers in their place.
    """

    graph: Graph
    outputs: tuple[int, ...]
    forward: tuple[int, ...]
    backward: tuple[int, ...]
    gradient: Mapping[int, int]
    contributions: Mapping[int, tuple[Contribution, ...]]
    upstream: Mapping[int, int]
    wrt: tuple[int, ...]
    made_up: tuple[int, ...]


def record_program(what: Tensor | Graph | Sequence[Tensor], wrt: Sequence[str | Tensor] | None = None) -> Program:
    """Return the program of a computation and of its backward pass.

    A fused op becomes what it is defined as. Where an output is no scalar, the backward pass starts from a leaf
    ``dy`` of its shape.

    Args:
        what: a Tensor, several, or a graph as `snapshot` makes it.
        wrt: names of leaves, or leaves, whose gradients are wanted; without it, all that require one.

    Returns:
        The program. The same graph gives the same program.

    Raises:
        TypeError: ``what`` is none of these.
        ValueError: no gradient is wanted, a name is none of the leaves, or a node stands for several ops.

    >>> from tinygraph import Tensor
    >>> program = record_program((Tensor([1.0, 2.0], name="x") * 3).named("y"))
    >>> [program.graph.nodes[i].name for i in program.wrt], len(program.contributions[program.wrt[0]])
    (['x'], 1)
    """
    graph, wanted = graph_of(what, wrt)
    unknown = [n.id for n in graph.nodes if n.op is None and not is_held(n)]
    values: list[Any] = []
    for node in graph.nodes:
        values.append(replay(node, values, unknown))
    outputs = [values[i] for i in graph.outputs if isinstance(values[i], Tensor) and values[i].requires_grad]
    if not outputs or not wanted:
        raise ValueError("source: no gradient is wanted: make an input a Tensor or a Parameter")
    starts = [upstream_of(y) for y in outputs]
    inputs = [values[i] for i in wanted]
    gradients = [g for g in grad(outputs, inputs, starts, create_graph=True, allow_unused=True) if g is not None]
    groups = outputs, starts, inputs, [values[i] for i in unknown], gradients
    whole = snapshot(*(t for group in groups for t in group), values=WHOLE)
    ids = iter(whole.outputs)
    ys, upstream, xs, made_up, dxs = ([next(ids) for _ in group] for group in groups)
    whole = dataclasses.replace(whole, outputs=tuple(dict.fromkeys([*ys, *dxs])), notes=())
    return trace(whole, dict(zip(ys, upstream, strict=True)), xs, made_up)


def graph_of(what: Any, wrt: Sequence[str | Tensor] | None) -> tuple[Graph, list[int]]:
    """Return the graph of what is given, and the ids of the leaves whose gradients are wanted."""
    tensors = [x for x in wrt or () if isinstance(x, Tensor)]
    if isinstance(what, Graph):
        graph = what
    else:
        ys = list(what) if isinstance(what, list | tuple) else [what]
        if not ys or not all(isinstance(y, Tensor) for y in ys):
            raise TypeError(f"source takes a Tensor, several, or a Graph, not {type(what).__name__}")
        graph = snapshot(*ys, *tensors, values=MOST)
        graph = dataclasses.replace(graph, outputs=graph.outputs[: len(ys)])
    leaves = [n for n in graph.nodes if n.op is None and n.requires_grad]
    if wrt is None:
        return graph, [n.id for n in leaves if graph.consumers[n.id]]
    found = []
    for x in wrt:
        name = (x.name or "") if isinstance(x, Tensor) else x
        hits = [n.id for n in leaves if name in (n.name, f"#{n.id}")]
        if len(hits) != 1:
            known = ", ".join(graph.label(n.id) for n in leaves)
            raise ValueError(f"source: wrt={name!r} is {len(hits)} of the leaves that require a gradient: {known}")
        found += hits
    return graph, found


def is_held(node: Node) -> bool:
    """Whether the graph holds the value of a leaf, and not its statistics alone."""
    return node.value is not None and node.value.values is not None


def replay(node: Node, values: Sequence[Any], unknown: Sequence[int]) -> Any:
    """Return the value of a node, made again from those before it: a Tensor, or a constant as it was given."""
    if node.op is None:
        array = leaf_value(node) if is_held(node) else make_up(node.shape, node.dtype, unknown.index(node.id))
        if node.kind == "constant" and is_held(node) and not node.name:
            return array
        kind = Parameter if node.kind == "parameter" else Tensor
        return kind(array, name=node.name, requires_grad=node.requires_grad)
    made = find_op(node.op)
    if made is None:
        raise ValueError(f"source: node {node.id} is made by {node.op!r}, which is no op that is registered here")
    with within(scope=node.scope):
        out = (made.definition or made)(*(values[e.source] for e in node.inputs), **parameters_of(node))
    return out.named(node.name) if node.name and isinstance(out, Tensor) else out


def make_up(shape: Shape, dtype: str, seed: int) -> Any:
    """Return numbers for a leaf whose own are not in the graph; they are positive, so that logarithms exist."""
    if not dtype.startswith("float"):
        return np.zeros(shape, dtype)
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(dtype)


def upstream_of(y: Tensor) -> Tensor:
    """Return the leaf that the backward pass of ``y`` starts from: 1 for a scalar, numbers without a pattern else."""
    array = np.ones(()) if not y.shape else np.random.default_rng(1).standard_normal(y.shape).round(2)
    return Tensor(array.astype(y.dtype), name="seed", requires_grad=False)


def trace(graph: Graph, upstream: Mapping[int, int], wrt: Sequence[int], made_up: Sequence[int]) -> Program:
    """Find in a recorded backward pass what is the gradient of what."""
    forward = ancestors(graph, upstream)
    ops: dict[tuple[int, int], list[int]] = defaultdict(list)
    for node in graph.nodes:
        if node.derives is not None:
            ops[node.derives].append(node.id)
    reached = set(wrt)
    for i in forward:
        if any(e.source in reached and sends_back(graph, i, k) for k, e in enumerate(graph.nodes[i].inputs)):
            reached.add(i)
    gradient = dict(upstream)
    parts: dict[int, list[Contribution]] = defaultdict(list)
    order = []
    for i in reversed(forward):
        if i not in reached or i not in gradient:
            continue
        if parts[i]:  # what came back is added up, when all of it is there
            gradient[i] = max([*ops[i, -1], *([] if ops[i, -1] else [parts[i][-1].result])])
        order.append(i)
        for k, e in enumerate(graph.nodes[i].inputs):
            if e.source in reached and sends_back(graph, i, k):
                mine = tuple(ops[i, k])
                parts[e.source].append(Contribution(i, k, mine, max(mine, default=gradient[i])))
                gradient.setdefault(e.source, -1)
    return Program(
        graph, tuple(upstream), tuple(forward), tuple(order), {i: gradient[i] for i in order},
        {i: tuple(parts[i]) for i in order}, upstream, tuple(wrt), tuple(made_up),
    )  # fmt: skip


def sends_back(graph: Graph, i: int, k: int) -> bool:
    """Whether a node sends a gradient to its input ``k``: whether that wants one and there is a derivative line."""
    node = graph.nodes[i]
    op = find_op(node.op)
    lines = op.lines if op else ()
    line = lines[min(k, len(lines) - 1)] if lines else None
    return line is not None and graph.nodes[node.inputs[k].source].requires_grad


def ancestors(graph: Graph, ends: Iterable[int]) -> list[int]:
    """Return the ids of some nodes and of all that they are made from, in order."""
    found, stack = set(ends), list(ends)
    while stack:
        new = {e.source for e in graph.nodes[stack.pop()].inputs} - found
        found |= new
        stack += new
    return sorted(found)
