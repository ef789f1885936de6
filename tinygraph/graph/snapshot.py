"""From live tensors to the graph as data. Every value is in it, also those that a training step does not keep.

A training step keeps only what its derivative lines need. A snapshot computes the other values again from the
leaves, and its notes say where a leaf has changed since.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import walk
from tinygraph.engine.tensor import Leaf, Record, Tensor
from tinygraph.engine.types import Array
from tinygraph.graph.data import Edge, Graph, Node, Summary, write_number
from tinygraph.graph.gradients import name_gradients
from tinygraph.graph.records import (
    behind,
    behind_with_values,
    derivative,
    differentiated_inputs,
    given_names,
    kept_arrays,
)
from tinygraph.graph.scopes import with_leaf_scopes
from tinygraph.graph.values import encode, summarize
from tinygraph.kernels.arrays import to_numpy

__all__ = ["snapshot"]


def snapshot(*tensors: Tensor, values: int = 64) -> Graph:
    """Return the computation behind some tensors as data.

    Every value is included, also those that the live graph does not keep. Where ``backward()`` has run from one
    of the tensors, so is every gradient, with the contribution along every edge.

    Args:
        tensors: the outputs, one or more, of any shape.
        values: arrays of up to this many elements are included whole, larger ones as statistics; 0 or more.

    Returns:
        A `Graph`. Its ``notes`` say where values are not those of the forward pass, and where the ``.grad`` of a
        leaf holds more than the backward pass that is shown.

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
    roots = [t.node for t in tensors]
    records = behind_with_values(roots)
    with np.errstate(all="ignore"):  # NumPy has warned of a division by zero when it was computed
        arrays, notes = compute_again(records, {t.node: t.data for t in tensors})
        grads, parts = collect_gradients(roots)
    place: dict[Any, int] = {}  # of a record, or of a constant by its id
    nodes: list[Node] = []
    name_given = given_names(records)
    for record in records:
        edges = []
        for i, source in enumerate(record.inputs):
            key = source if isinstance(source, Record) else id(source)
            if key not in place:
                place[key] = len(nodes)
                nodes.append(
                    constant_node(len(nodes), summarize(source, values, masks=True), name_given(record, source))
                )
            part = parts.get((record, i))
            edges.append(operand_edge(record, i, place[key], None if part is None else summarize(part, values)))
        place[record] = len(nodes)
        g = grads.get(record)
        value, grad = summarize(arrays[record], values, masks=True), None if g is None else summarize(g, values)
        state = "none" if not record.needs else "pending" if not grads else "unused" if g is None else "computed"
        nodes.append(record_node(record, len(nodes), tuple(edges), value, grad, state))
    notes += notes_on_sums(roots, grads)
    nodes = with_derivatives(nodes, {record: i for record, i in place.items() if isinstance(record, Record)})
    graph = with_leaf_scopes(Graph(tuple(nodes), tuple(place[root] for root in roots), tuple(notes)))
    return name_gradients(graph) if any(n.gradient_of for n in nodes) else graph


def with_derivatives(nodes: list[Node], place: Mapping[Record, int]) -> list[Node]:
    """Return the nodes, those that a recorded backward pass made with what they derive; ``place`` is of each record."""
    by_number = {record.id: i for record, i in place.items()}
    passes: dict[int, dict[int, int]] = {}  # the totals of each backward pass, by their identity
    found = list(nodes)
    for record, i in place.items():
        if (made := derivative(record)) and made.node in place:
            found[i] = dataclasses.replace(found[i], derives=(place[made.node], made.i))
            passes[id(made.totals)] = made.totals
    for number, totals in enumerate(passes.values()):
        for value, gradient in totals.items():
            if value in by_number and gradient in by_number:
                node = found[by_number[gradient]]
                of = (*node.gradient_of, (by_number[value], number))
                found[node.id] = dataclasses.replace(node, gradient_of=of)
    return found


def constant_node(place: int, value: Summary, name: str | None = None) -> Node:
    """Return the node of an operand that is no Tensor: an input if a module was given it under a name."""
    kind = "input" if name else "constant"
    return Node(place, None, kind, kind, value.shape, value.dtype, name, value=value)


def operand_edge(record: Record, i: int, source: int, part: Summary | None) -> Edge:
    """Return operand ``i`` of a record as an edge from node ``source``; ``part`` is the gradient that it sent there."""
    op: Any = record.op
    operand, k = record.inputs[i], 0 if op.variadic else i
    size = math.prod(operand.shape if isinstance(operand, Record) else np.shape(operand))
    copies = math.prod(record.shape) // size if op.elementwise and size else 1
    partial = op.partials[k]
    if op.name == "power" and i == 0 and isinstance(record.inputs[1], int | float):
        partial = slope_of_power(float(record.inputs[1]))
    return Edge(source, op.operands[k], partial, copies, part)


def slope_of_power(exponent: float) -> str:
    """Return the template of the derivative of x to the power of a number, with what can be computed computed.

    >>> slope_of_power(2), slope_of_power(0.5), slope_of_power(-1), slope_of_power(1)
    ('2$x', '0.5$x^{-0.5}', '-$x^{-2}', '1')
    """
    if exponent in (0, 1):
        return str(int(exponent))
    factor = "-" if exponent == -1 else write_number(exponent)
    return factor + ("$x" if exponent == 2 else f"$x^{{{write_number(exponent - 1)}}}")


def record_node(
    record: Record, place: int, edges: tuple[Edge, ...], value: Summary, grad: Summary | None, state: str
) -> Node:
    """Return a record as a node."""
    common: dict[str, Any] = {
        "shape": value.shape,
        "dtype": value.dtype,
        "name": record.name,
        "scope": tuple(map(str, record.scope)),
        "at": getattr(record, "at", ""),
    }
    common |= {"inputs": edges, "requires_grad": record.needs, "value": value, "grad": grad, "grad_state": state}
    if isinstance(record, Leaf):
        return Node(place, None, record.kind, record.kind, **common)
    op: Any = record.op
    params = tuple((name, encode(param)) for name, param in record.params.items())
    saved = sum(array.nbytes for array in kept_arrays(record.saved))
    return Node(place, op.name, "op", op.family, params=params, tex=op.tex, says=op.says, saved=saved, **common)


def compute_again(records: list[Record], outputs: dict[Record, Array]) -> tuple[dict[Record, Array], list[str]]:
    """Return the value of every record, by running the ops again from the leaves; and what to note about them.

    A value that the live graph still has is compared with the new one. Where they differ, a leaf has changed since
    the forward pass, and the old value is shown.
    """
    old = {**kept_results(records), **outputs}
    arrays: dict[Record, Array] = {}
    changed = []
    for record in records:
        if isinstance(record, Leaf):
            arrays[record] = record.data
            continue
        op: Any = record.op
        new = op.value(*(arrays[x] if isinstance(x, Record) else x for x in record.inputs), **record.params)
        if record in old and not np.array_equal(to_numpy(old[record]), to_numpy(new), equal_nan=new.dtype.kind == "f"):
            changed.append(record)
            new = old[record]
        arrays[record] = new
    if not changed:
        return arrays, []
    count = "1 value is shown as it was" if len(changed) == 1 else f"{len(changed)} values are shown as they were"
    leaves = [x.name or "an unnamed leaf" for x in behind(changed[:1]) if isinstance(x, Leaf) and x.kind != "constant"]
    return arrays, [
        f"a leaf has changed since the forward pass ({', '.join(leaves)}): "
        f"{count} then, the others as they would be now"
    ]


def kept_results(records: list[Record]) -> dict[Record, Array]:
    """Return the results that derivative lines keep: their own ``out``, or an operand that was computed."""
    found: dict[Record, Array] = {}
    for record in records:
        op = record.op
        if op is None or not op.plain:
            continue
        sources = {**dict(zip(op.operands, record.inputs, strict=False)), "out": record}
        for names, args in zip(op.asks, record.saved or (), strict=False):
            for name, array in zip(names, args or (), strict=False):
                source = sources.get(name)
                if isinstance(source, Record) and not isinstance(source, Leaf):
                    found[source] = array
    return found


def collect_gradients(roots: list[Record]) -> tuple[dict[Record, Array], dict[tuple[Record, int], Array]]:
    """Walk back again from the outputs where ``backward()`` has started, with the gradients that it started with.

    Returns:
        The gradient of each record, and what each record sent to its input ``i``.
    """
    grads: dict[Record, Array] = {root: root.seed for root in roots if root.seed is not None}
    sent: dict[Record, list[Array]] = {}
    goals = set(behind(grads, differentiated_inputs))
    walk(grads, goals, keep=goals, watch=lambda record, gx: sent.setdefault(record, []).append(gx))
    parts: dict[tuple[Record, int], Array] = {}
    for record, contributions in sent.items():
        wanted = [i for i, args in enumerate(record.saved or ()) if args is not None]
        for i, gx in zip(wanted, contributions, strict=True):
            parts[record, i] = np.broadcast_to(gx, record.inputs[i].shape)
    return {x: np.broadcast_to(g, x.shape) for x, g in grads.items()}, parts


def notes_on_sums(roots: list[Record], grads: dict[Record, Array]) -> list[str]:
    """Say which leaves have a ``.grad`` that is the sum of more backward passes than the drawing shows."""
    started = {root for root in roots if root.seed is not None}
    shown = collections.Counter(x for root in started for x in behind([root], differentiated_inputs))
    leaves_by_passes: dict[int, list[str]] = {}
    for x in sorted(grads, key=attrgetter("id")):
        if isinstance(x, Leaf) and x.grad is not None and x.passes > shown[x]:
            leaves_by_passes.setdefault(x.passes, []).append(f"{x.name or 'an unnamed leaf'}.grad")
    last = "the last one alone" if len(started) == 1 else "the last one from each output"
    return [
        f"{join_names(names)} {'holds' if len(names) == 1 else 'hold'} the sum of {passes} backward passes; "
        f"the drawing shows {last}"
        for passes, names in leaves_by_passes.items()
    ]


def join_names(names: list[str], most: int = 4) -> str:
    """Write names as a list; of many, the first few and how many more there are."""
    if len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
