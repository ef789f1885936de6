"""Follow the axes that carry the batch through one op."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygraph.graph.data import Node
from tinygraph.ops.linear import spell_out

__all__ = ["NONE", "Axes", "follow_op", "keys_of", "rank_of_key", "reduced_axes"]

Axes = frozenset[int]
Operand = tuple[Axes, tuple[int, ...]]  # which axes of it carry the batch, and its shape

NONE: Axes = frozenset()
SAME_AXES = {"clone", "whole", "pad", "batch_norm", "layer_norm"}


def follow_op(node: Node, operands: Sequence[Operand]) -> Axes:
    """Return which axes of a result carry the batch; ``operands`` are in the op's order."""
    with_axes = [(axes, shape) for axes, shape in operands if axes]
    if not with_axes:
        return NONE
    axes, shape = with_axes[0]
    if node.family == "elementwise" and len(with_axes) == 1 and shape == node.shape:
        return axes
    params, rank, op = dict(node.params), len(node.shape), node.op
    if op in SAME_AXES:
        return axes if op == "pad" or len(shape) == rank else NONE
    if op in STEPS:
        try:
            return STEPS[op](node, params, operands)
        except (IndexError, KeyError, TypeError, ValueError):  # parameters in a file that do not fit the op
            return NONE
    if node.family == "elementwise" and "," not in (op or ""):
        return follow_broadcast(node, params, operands)
    if node.family == "reduction":
        gone = set(reduced_axes(params, len(shape)))
        kept = [a for a in range(len(shape)) if params.get("keepdims") or a not in gone]
        return frozenset(k for k, a in enumerate(kept) if a in axes and a not in gone)
    if node.family == "window":
        return NONE if (op or "").endswith("_weight") else frozenset({0} & axes)  # which sums over the images
    return frozenset(a for axes, s in with_axes for a in axes if a < rank and node.shape[a] == s[a])


def follow_broadcast(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch where shapes are aligned at their ends."""
    rank = len(node.shape)
    moved = [(a, a + rank - len(s), s) for axes, s in operands for a in axes]
    return frozenset(b for a, b, s in moved if b >= 0 and node.shape[b] == s[a])


def follow_transpose(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch through a new order of the axes."""
    (axes, shape), order = operands[0], params.get("axes")
    order = order.get("tuple") if isinstance(order, dict) else order
    order = [a % len(shape) for a in order] if order else list(range(len(shape)))[::-1]
    return frozenset(k for k, a in enumerate(order) if a in axes)


def follow_reshape(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch into a new shape."""
    axes, shape = operands[0]
    return frozenset(k for a in axes if (k := reshaped_axis(a, shape, node.shape)) is not None)


def reshaped_axis(axis: int, old: Sequence[int], new: Sequence[int]) -> int | None:
    """Return where ``axis`` is after a reshape; if it was split, the outermost of its parts.

    >>> reshaped_axis(0, (6, 4), (3, 2, 4)), reshaped_axis(1, (6, 4), (24,)), reshaped_axis(0, (1, 4), (1, 2, 2))
    (0, 0, 0)
    """
    if old[axis] == 1:
        return axis if axis < len(new) and new[axis] == 1 else None
    low = math.prod(old[axis + 1 :])
    high = low * old[axis]
    for k, n in enumerate(new):
        start = math.prod(new[k + 1 :])
        if n > 1 and start < high and low < start * n:
            return k
    return None


def follow_join(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch through arrays joined along an axis: no axis moves, and more examples are examples."""
    return frozenset(a for axes, _ in operands for a in axes)


def follow_matmul(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch through a matrix product: the summed axes are gone."""
    (ax, sx), (ay, sy) = operands
    rank = len(node.shape)
    found = set()
    for a in ax:
        from_end = len(sx) - a
        if len(sx) > 1 and from_end >= 2:
            found.add(rank - from_end + (len(sy) == 1))
    for a in ay:
        from_end = len(sy) - a
        if len(sy) > 1 and from_end != 2:
            found.add(rank - from_end + (len(sx) == 1) * (from_end > 2))
    return frozenset(a for a in found if 0 <= a < rank)


def follow_contract(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch through an einsum by its letter."""
    terms, right = spell_out(str(params.get("subscripts", "")), [s for _, s in operands])
    found = {term[a] for term, (axes, _) in zip(terms, operands, strict=True) for a in axes}
    return frozenset(k for k, c in enumerate(right) if c in found)


def follow_index(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch through an index: an integer takes an axis away, arrays of integers leave theirs."""
    axes, shape = operands[0]
    return frozenset(out for axis, out in indexed_axes(params.get("key"), len(shape)) if axis in axes)


def follow_scatter(node: Node, params: dict[str, Any], operands: Sequence[Operand]) -> Axes:
    """Follow the batch back to where an index took it from; rows that arrays of integers chose are examples no more."""
    keys = params.get("keys")
    keys = (keys.get("tuple") if isinstance(keys, dict) else keys) or [params.get("key")] * len(operands)
    found = set()
    for (axes, _), key in zip(operands, keys, strict=False):
        if not any(map(rank_of_key, keys_of(key))):
            found |= {axis for axis, out in indexed_axes(key, len(node.shape)) if out in axes}
    return frozenset(found)


STEPS = {
    "broadcast_to": follow_broadcast, "sum_to": follow_broadcast, "transpose": follow_transpose,
    "reshape": follow_reshape, "join": follow_join, "matmul": follow_matmul, "contract": follow_contract,
    "index": follow_index, "scatter": follow_scatter, "assemble": follow_scatter,
}  # fmt: skip


# --------------------------------------------------------------------------------------------------- parameters


def reduced_axes(params: dict[str, Any], ndim: int) -> tuple[int, ...]:
    """Return the axes that a reduction took, from its parameters."""
    axis = params.get("axis")
    axis = axis.get("tuple") if isinstance(axis, dict) else axis
    if axis is None:
        return tuple(range(ndim))
    return tuple(int(a) % max(ndim, 1) for a in (axis if isinstance(axis, list | tuple) else (axis,)))


def keys_of(key: Any) -> list[Any]:
    """Return the parts of an index, one for each axis."""
    return key["tuple"] if isinstance(key, dict) and "tuple" in key else [key]


def rank_of_key(key: Any) -> int:
    """Return how many axes an array of integers or booleans has that is part of an index; 0 of anything else."""
    if isinstance(key, dict) and "array" in key:
        return len(key["shape"])
    return 1 + rank_of_key(key[0] if key else None) if isinstance(key, list) else 0


def indexed_axes(key: Any, rank: int) -> list[tuple[int, int]]:
    """Return (axis, where it is in the result) for each axis that an index leaves; ``rank`` is that of the operand."""
    keys = keys_of(key)
    takes = [key_takes(k) for k in keys]
    found: list[tuple[int, int]] = []
    out, axis, fancy = 0, 0, None
    for k, take in zip(keys, takes, strict=True):
        if k is None:
            out += 1
        elif isinstance(k, dict) and "ellipsis" in k:
            for _ in range(rank - sum(takes)):
                found.append((axis, out))
                out, axis = out + 1, axis + 1
        elif isinstance(k, dict) and "slice" in k:
            found.append((axis, out))
            out, axis = out + 1, axis + 1
        elif leaves := rank_of_key(k):
            if fancy is None:
                fancy, out = out, out + (1 if take > 1 else leaves)
            found += [(axis + j, fancy) for j in range(take)]
            axis += take
        else:
            axis += 1
    return [*found, *((a, out + a - axis) for a in range(axis, rank))]


def key_takes(key: Any) -> int:
    """Return how many axes of an array one part of an index takes."""
    if key is None or (isinstance(key, dict) and "ellipsis" in key):
        return 0
    masks = isinstance(key, dict) and "array" in key and key.get("dtype") == "bool"
    return len(key["shape"]) if masks else 1
