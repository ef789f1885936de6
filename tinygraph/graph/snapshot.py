"""From live tensors to the graph as data, and back: `snapshot` and `run`.

A training step keeps only what its derivative lines need. A snapshot shows every value all the same: it
runs the ops again from the leaves, and says so where a leaf has changed since.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import freed, order_of, walk
from tinygraph.engine.arrays import to_numpy
from tinygraph.engine.tensor import Leaf, Record, Tensor
from tinygraph.graph import data
from tinygraph.graph.data import Graph, Summary
from tinygraph.graph.scopes import with_leaf_scopes
from tinygraph.graph.values import encoded, summary

__all__ = ["snapshot"]


def snapshot(*tensors: Tensor, values: int = 64) -> Graph:
    """Return the computation behind some tensors as data.

    Every value is included, also those that the graph does not keep. Where ``backward()`` has run from one
    of the tensors, so is every gradient, with the contribution along every edge.

    Args:
        tensors: the outputs.
        values: arrays of up to this many elements are included whole, larger ones as a summary.

    Returns:
        A `Graph`; its ``notes`` say where values are not those of the forward pass.

    Raises:
        TypeError: there is no tensor, or one of them is something else.
        RuntimeError: the graph was freed by ``backward(retain_graph=False)``.

    >>> x = Tensor([1.0, 2.0], name="x")
    >>> graph = snapshot((x * 3).named("y"))
    >>> [graph.label(node.id) for node in graph.nodes]
    ['x', '3', 'y']
    """
    if not tensors or not all(isinstance(t, Tensor) for t in tensors):
        found = ", ".join(type(t).__name__ for t in tensors) or "none"
        raise TypeError(f"snapshot takes one Tensor or more, not {found}")
    order = behind(t.node for t in tensors)
    with np.errstate(all="ignore"):  # of an overflow or a division by zero NumPy has warned when it was computed
        arrays, notes = replayed(order, {t.node: t.data for t in tensors})
        grads, parts = gradients([t.node for t in tensors])
    place: dict[Any, int] = {}
    nodes: list[data.Node] = []
    for x in order:
        edges = []
        for i, source in enumerate(x.inputs):
            key = source if isinstance(source, Record) else id(source)
            if key not in place:
                place[key] = len(nodes)
                nodes.append(constant_as_data(len(nodes), summary(source, values)))
            part = parts.get((x, i))
            edges.append(edge_as_data(x, i, place[key], None if part is None else summary(part, values)))
        place[x] = len(nodes)
        g = grads.get(x)
        state = "none" if not x.needs else "pending" if not grads else "unused" if g is None else "computed"
        shown = summary(arrays[x], values), None if g is None else summary(g, values)
        nodes.append(node_as_data(x, len(nodes), tuple(edges), *shown, state))
    notes += notes_on_sums([t.node for t in tensors], grads)
    return with_leaf_scopes(Graph(tuple(nodes), tuple(place[t.node] for t in tensors), tuple(notes)))


def constant_as_data(place: int, value: Summary) -> data.Node:
    """Return an operand that is no Tensor as a node."""
    return data.Node(place, None, "constant", "constant", value.shape, value.dtype, value=value)


def edge_as_data(x: Record, i: int, source: int, part: Summary | None) -> data.Edge:
    """Return operand ``i`` of a live node as an edge."""
    op: Any = x.op
    k = 0 if op.variadic else i
    size = math.prod(np.shape(x.inputs[i]) if not isinstance(x.inputs[i], Record) else x.inputs[i].shape)
    copies = math.prod(x.shape) // size if op.elementwise and size else 1
    return data.Edge(source, op.operands[k], op.partials[k], copies, part)


def node_as_data(
    x: Record, place: int, edges: tuple[data.Edge, ...], value: Summary, grad: Summary | None, state: str
) -> data.Node:
    """Return a live node as data."""
    common: dict[str, Any] = {"shape": value.shape, "dtype": value.dtype, "name": x.name, "scope": x.scope}
    common |= {"inputs": edges, "requires_grad": x.needs, "value": value, "grad": grad, "grad_state": state}
    if isinstance(x, Leaf):
        return data.Node(place, None, x.kind, x.kind, **common)
    op: Any = x.op
    params = tuple((name, encoded(param)) for name, param in x.params.items())
    saved = sum(a.nbytes for a in kept_by(x))
    return data.Node(place, op.name, "op", op.family, params=params, tex=op.tex, says=op.says, saved=saved, **common)


def behind(roots: Iterable[Record]) -> list[Record]:
    """Return every node that ``roots`` were made from, differentiated or not, inputs first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.op and not node.inputs:
            raise freed(node)
        new = {x for x in node.inputs if isinstance(x, Record)} - seen
        seen |= new
        stack += new
    return sorted(seen, key=lambda node: node.id)


def replayed(order: list[Record], known: dict[Record, Any]) -> tuple[dict[Record, Any], list[str]]:
    """Return the value of every node, by running the ops again; and what to note about them.

    What the graph still holds is compared with what comes out. If it differs, a leaf has changed since the
    forward pass; then what it holds is shown.
    """
    known = {**held(order), **known}
    arrays: dict[Record, Any] = {}
    changed = []
    for node in order:
        if isinstance(node, Leaf):
            arrays[node] = node.data
            continue
        op: Any = node.op
        out = op.value(*(arrays[x] if isinstance(x, Record) else x for x in node.inputs), **node.params)
        if node in known and not np.array_equal(to_numpy(known[node]), to_numpy(out), equal_nan=out.dtype.kind == "f"):
            changed.append(node)
            out = known[node]
        arrays[node] = out
    if not changed:
        return arrays, []
    count = "1 value is shown as it was" if len(changed) == 1 else f"{len(changed)} values are shown as they were"
    leaves = [x.name or "an unnamed leaf" for x in behind(changed[:1]) if isinstance(x, Leaf) and x.kind != "constant"]
    return arrays, [
        f"a leaf has changed since the forward pass ({', '.join(leaves)}): "
        f"{count} then, the others as they would be now"
    ]


def held(order: list[Record]) -> dict[Record, Any]:
    """Return the results that derivative lines keep: their own ``out``, or the operand of a consumer."""
    found: dict[Record, Any] = {}
    for node in order:
        op = node.op
        if op is None or not op.plain:
            continue
        sources = dict(zip(op.operands, node.inputs), out=node)
        for asks, args in zip(op.asks, node.saved or ()):
            for ask, array in zip(asks, args or ()):
                if isinstance(sources.get(ask), Record) and not isinstance(sources[ask], Leaf):
                    found[sources[ask]] = array
    return found


def gradients(roots: list[Record]) -> tuple[dict[Record, Any], dict[tuple[Record, int], Any]]:
    """Run backward again from where it has run, and return every gradient and every contribution to one."""
    grads: dict[Record, Any] = {r: r.seed for r in roots if r.seed is not None}
    sent: dict[Record, list[Any]] = {}
    walk(grads, set(order_of(grads)), watch=lambda node, gx: sent.setdefault(node, []).append(gx))
    parts: dict[tuple[Record, int], Any] = {}
    for node, contributions in sent.items():
        wanted = [i for i, args in enumerate(node.saved or ()) if args is not None]
        parts |= {(node, i): np.broadcast_to(gx, node.inputs[i].shape) for i, gx in zip(wanted, contributions)}
    return {x: np.broadcast_to(g, x.shape) for x, g in grads.items()}, parts


def notes_on_sums(roots: list[Record], grads: dict[Record, Any]) -> list[str]:
    """Say which leaves have a ``.grad`` that is the sum of more backward passes than the drawing shows."""
    shown = collections.Counter(x for root in set(roots) if root.seed is not None for x in order_of([root]))
    more: dict[int, list[str]] = {}
    for x in grads:
        if isinstance(x, Leaf) and x.grad is not None and x.passes > shown[x]:
            more.setdefault(x.passes, []).append(f"{x.name or 'an unnamed leaf'}.grad")
    return [
        f"{listed(names)} {'holds' if len(names) == 1 else 'hold'} the sum of {count} backward passes; "
        f"the drawing shows the last one {'alone' if len(set(roots)) == 1 else 'from each output'}"
        for count, names in more.items()
    ]


def listed(names: list[str], most: int = 4) -> str:
    """Write names as a list; of many, the first few and how many more there are."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def pull(node: Record, g: Any) -> list[Any]:
    """Return what ``node``, whose gradient is g, sends to each of its inputs; None where nothing goes."""
    sent: list[Any] = []
    to = {x for x in node.inputs if isinstance(x, Record)}
    walk({node: g}, to, watch=lambda at, gx: sent.extend([gx] * (at is node)))
    wanted = iter(sent)
    return [None if args is None else next(wanted) for args in node.saved or ()]


def kept_by(node: Record) -> list[Any]:
    """Return the arrays that the derivative lines of a node keep, each once."""
    found: dict[int, Any] = {}
    stack: list[Any] = list(node.saved or ())
    while stack:
        item = stack.pop()
        if isinstance(item, tuple):
            stack += item
        elif hasattr(item, "nbytes"):
            found[id(item)] = item
    return list(found.values())
