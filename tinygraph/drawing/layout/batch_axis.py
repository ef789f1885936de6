"""Which axes of a value carry the batch: they are followed from the inputs through every op."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygraph.drawing.layout.labels import reduced_axes
from tinygraph.graph.data import Graph, Node

__all__ = ["batch_axes"]


def batch_axes(graph: Graph) -> list[frozenset[int]]:
    """Return, for each node, which of its axes carry the batch.

    The batch axis is the first axis of the inputs; it is followed through every op by what the op does to
    axes. Parameters and constants do not carry it on; a constant that meets it element by element (labels,
    weights of examples) has it too.
    """
    sources = batch_sources(graph)
    carried: list[frozenset[int]] = []
    for node in graph.nodes:
        if node.op is None and node.kind != "scope":
            carried.append(frozenset({0} if node.id in sources else ()))
        else:
            operands = [(carried[e.source], graph.nodes[e.source].shape) for e in node.inputs]
            carried.append(follow_op(node, operands))
    for node in reversed(graph.nodes):
        axes, shape = carried[node.id], node.shape
        if "," in (node.op or ""):  # several steps in one: its operands met before the last of them
            met = [(carried[e.source], graph.nodes[e.source].shape) for e in node.inputs if carried[e.source]]
            axes, shape = max(met, key=lambda a: len(a[1]), default=(axes, shape))
        elif node.family != "elementwise":
            continue
        for e in node.inputs if axes else ():
            small = graph.nodes[e.source]
            lead = len(shape) - len(small.shape)
            full = frozenset(a - lead for a in axes if a >= lead and small.shape[a - lead] == shape[a] > 1)
            if not carried[e.source] and full and small.kind != "parameter":
                carried[e.source] = full
    return carried


def batch_sources(graph: Graph) -> set[int]:
    """Return the leaves whose first axis is the batch: inputs of the highest rank; if there are none, constants."""
    for kind in ("input", "constant"):
        leaves = [n for n in graph.nodes if n.kind == kind and n.op is None and len(n.shape) >= 2]
        if kind == "constant":
            fed = {e.source for n in graph.nodes for e in n.inputs if n.family in ("linear", "window", "elementwise")}
            leaves = [n for n in leaves if n.id in fed and math.prod(n.shape) > 1][:1]
        if leaves:
            rank = max(len(n.shape) for n in leaves)
            length = next(n.shape[0] for n in leaves if len(n.shape) == rank)
            return {n.id for n in leaves if n.shape[0] == length}
    return set()


def follow_op(node: Node, operands: Sequence[tuple[frozenset[int], tuple[int, ...]]]) -> frozenset[int]:
    """Follow the axes that carry the batch through one op."""
    params = dict(node.params)
    rank = len(node.shape)
    if not any(axes for axes, _ in operands):
        return frozenset()
    axes, shape = next((a, s) for a, s in operands if a)
    if node.family == "elementwise" or node.op == "broadcast_to":
        return frozenset(
            a + rank - len(s) for carried, s in operands for a in carried if node.shape[a + rank - len(s)] == s[a]
        )
    if node.family == "reduction":
        gone = set(reduced_axes(params, len(shape)))
        kept = [a for a in range(len(shape)) if params.get("keepdims") or a not in gone]
        return frozenset(k for k, a in enumerate(kept) if a in axes and a not in gone)
    if node.op == "transpose":
        order = params.get("axes")
        order = order.get("tuple") if isinstance(order, dict) else order
        order = [a % rank for a in order] if order else list(range(rank))[::-1]
        return frozenset(k for k, a in enumerate(order) if a in axes)
    if node.op == "reshape":
        return frozenset(k for a in axes if (k := follow_reshape(a, shape, node.shape)) is not None)
    if node.op == "matmul" and len(operands) == 2:
        return follow_matmul(node.shape, operands)
    if node.op == "contract":
        left, _, right = str(params.get("subscripts", "")).replace(" ", "").partition("->")
        found = {
            t[a] for t, (carried, _) in zip(left.split(","), operands, strict=False) for a in carried if a < len(t)
        }
        if "." not in left and right:
            return frozenset(k for k, c in enumerate(right) if c in found)
    if node.op == "index":
        return follow_index(params.get("key"), axes, len(shape))
    by_place = frozenset(a for a in axes if a < rank and node.shape[a] == shape[a])
    if by_place:
        return by_place
    lengths = {shape[a] for a in axes}
    return frozenset([k for k, n in enumerate(node.shape) if n in lengths and n > 1][:1])


def follow_reshape(axis: int, old: Sequence[int], new: Sequence[int]) -> int | None:
    """Return where ``axis`` is after a reshape; if it was split, the outermost of its parts."""
    low = math.prod(old[axis + 1 :])
    high = low * old[axis]
    for k, n in enumerate(new):
        start = math.prod(new[k + 1 :])
        if n > 1 and start < high and low < start * n:
            return k
    return None


def follow_matmul(shape: Sequence[int], operands: Sequence[tuple[frozenset[int], tuple[int, ...]]]) -> frozenset[int]:
    """Follow the batch through a matrix product: the summed axes are gone."""
    (ax, sx), (ay, sy) = operands
    rank = len(shape)
    found = set()
    for a in ax:
        from_end = len(sx) - a
        if len(sx) > 1 and from_end >= 2:
            found.add(rank - from_end + (len(sy) == 1))
    for a in ay:
        from_end = len(sy) - a
        if len(sy) > 1 and from_end != 2:
            found.add(rank - from_end + (len(sx) == 1) * (from_end > 2))
    return frozenset(a for a in found if 0 <= a < rank and shape[a] > 1)


def follow_index(key: Any, axes: frozenset[int], rank: int) -> frozenset[int]:
    """Follow the batch through an index: an integer takes an axis away, arrays of integers leave one."""
    keys: list[Any] = key["tuple"] if isinstance(key, dict) and "tuple" in key else [key]
    used = sum(not (k is None or (isinstance(k, dict) and "ellipsis" in k)) for k in keys)
    found, out, axis, fancy = set(), 0, 0, None
    for k in keys:
        if k is None:
            out += 1
        elif isinstance(k, dict) and "ellipsis" in k:
            for _ in range(rank - used):
                found |= {out} if axis in axes else set()
                out, axis = out + 1, axis + 1
        elif isinstance(k, bool | int):
            axis += 1
        elif isinstance(k, dict) and "slice" in k:
            found |= {out} if axis in axes else set()
            out, axis = out + 1, axis + 1
        else:
            if fancy is None:
                fancy, out = out, out + 1
            found |= {fancy} if axis in axes else set()
            axis += 1
    for a in range(axis, rank):
        found |= {out + a - axis} if a in axes else set()
    return frozenset(found)
