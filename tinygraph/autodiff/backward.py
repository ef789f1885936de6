"""One derivation, two walks: a line run on arrays is the backward pass, run on Tensors it records one.

Either walk meets each node once, results before what they are made of. What a broadcast copied on the way forward is
added up here, at the edge from a node to its input, and nowhere else.
"""

from __future__ import annotations

import sys
from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

from tinygraph.engine.context import within
from tinygraph.engine.errors import explain, written_at
from tinygraph.engine.tensor import Record, Tensor
from tinygraph.engine.types import Array, Value
from tinygraph.kernels.lazy_product import SMALL, Summand, undo_broadcast
from tinygraph.ops.shape import sum_to

__all__ = ["order_of", "walk", "walk_recorded"]

AGE = attrgetter("id")
Line = Callable[..., Any]  # a derivative line


def walk(
    grads: dict[Record, Array],
    only: Collection[Record] | None = None,
    keep: Collection[Record] = (),
    free: bool = False,
    watch: Callable[[Record, Array], object] | None = None,
) -> None:
    """Carry gradients back as arrays. ``grads`` starts as the seeds, and ends with the leaves and what is in ``keep``.

    With ``only``, gradients go nowhere else. ``free`` lets go of the graph on the way. ``watch`` sees each
    contribution, in the order of inputs.
    """
    ready = sorted((node for node in grads if node.op), key=AGE)
    while ready:
        node = ready.pop()  # the newest: all that it was used for has been met
        op: Any = node.op
        shape = node.shape
        if node.saved is None:
            raise freed_error(node)
        g = grads[node] if node in keep else grads.pop(node)
        if g.shape != shape and not (op.elementwise and op.builtin):
            g = np.broadcast_to(g, shape)
        lines = op.lines if op.plain else op.lines_for(node, g)
        for x, line, args in zip(node.inputs, lines if op.builtin else check_lines(node, lines), node.saved):
            if args is None or (only is not None and x not in only):
                continue
            if x.shape == shape or not (op.elementwise and op.builtin):
                gx = line(g, *args)
            else:  # x was copied: add the copies up
                gx = undo_broadcast(line(Summand((g,), x.shape) if g.size >= SMALL else g, *args), shape, x.shape)
            if watch:
                watch(node, gx)
            if x not in grads:
                grads[x] = gx
                if x.op is not None:
                    insort(ready, x, key=AGE)
            elif grads[x].size >= SMALL and is_alone(grads, x) and gx.dtype == grads[x].dtype:
                grads[x] += gx
            else:
                grads[x] = grads[x] + gx
        if free:
            node.saved, node.inputs = None, ()


def is_alone(grads: dict[Record, Array], x: Record) -> bool:
    """Whether nobody but ``grads`` holds the gradient of ``x``, so that it may be added into."""
    return grads[x].base is None and grads[x].shape == x.shape and count_references(grads, x) <= ALONE


def count_references(grads: Mapping[Any, Array], x: object) -> int:
    """Count who refers to a gradient: the dict, this call, and anybody else."""
    return sys.getrefcount(grads[x])


# What CPython counts where there is nobody else. Other interpreters, and CPython without its lock, do not count so.
COUNTS = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
ALONE = count_references({0: np.empty(0)}, 0) if COUNTS else -1


def check_lines(node: Record, lines: Iterable[Line | None]) -> list[Line | None]:
    """Return the derivative lines of an op that is not tinygraph's own, with checks of what they do and return."""
    return [line and partial(call_checked, node, i, line) for i, line in zip(range(len(node.inputs)), lines)]


def call_checked(node: Record, i: int, line: Line, g: Array, *args: Any) -> Any:
    """Call the derivative line of operand ``i``; an error says which line it is."""
    try:
        gx = line(g, *args)
        if gx is None or isinstance(gx, Tensor):
            raise TypeError(f"a derivative line must return an array here, not {type(gx).__name__}")
        gx = gx if hasattr(gx, "dtype") else np.asarray(gx, g.dtype)
        if gx.dtype.kind != "f" or (gx.base is None and type(gx) is np.ndarray and not gx.flags.writeable):
            gx = gx.astype(g.dtype, casting="same_kind" if gx.dtype.kind == "c" else "unsafe")
    except Exception as error:
        raise explain(error, place_of_line(node, i), (g, *args)) from error
    return fit_to_operand(node, i, gx)


def fit_to_operand(node: Record, i: int, gx: Value) -> Value:
    """Return the gradient of operand ``i`` in the operand's shape.

    It may have that already. In the shape of the result it is summed over the copies that broadcasting made.
    """
    op: Any = node.op
    shape, wanted = np.shape(gx), node.inputs[i].shape
    if shape == wanted:
        return gx
    fits = len(wanted) <= len(node.shape) and all(n in (1, m) for n, m in zip(wanted[::-1], node.shape[::-1]))
    was_copied = op.elementwise and node.shape != wanted and fits
    if was_copied and shape == node.shape:
        return sum_to(gx, wanted)
    allowed = f"{wanted}, as the operand" + (f", or {node.shape}, as the result" if was_copied else "")
    raise explain(ValueError(f"a gradient of shape {shape} must have {allowed}"), place_of_line(node, i), (gx,))


def place_of_line(node: Record, i: int) -> str:
    """Say whose derivative line that of operand ``i`` is, and where it is written."""
    op: Any = node.op
    k = min(i, len(op.lines) - 1)  # a variadic op has one line for all operands
    function = op.lines[k] or op.backward  # a fused op has one function in place of lines
    return f"the derivative of {op.name} in {op.operands[k]}{written_at(function)} of "


def freed_error(node: Record) -> RuntimeError:
    """Return the error which says that what a node was made of is gone: not that it was made of nothing."""
    return RuntimeError(f"the graph behind {node.name or node.op} was freed by backward(retain_graph=False)")


def order_of(roots: Iterable[Record], stop: Collection[Record] = ()) -> list[Record]:
    """Return every node behind ``roots`` that gradients reach, results before what they are made of."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node in stop:
            continue
        if node.saved is None:
            raise freed_error(node)
        for x, args in zip(node.inputs, node.saved):
            if args is not None and x not in seen:
                seen.add(x)
                stack.append(x)
    return sorted(seen, key=AGE, reverse=True)


def walk_recorded(order: Iterable[Record], grads: dict[Record, Tensor], only: Collection[Record] | None = None) -> None:
    """Carry gradients back as Tensors: the same lines, called with Tensors, record."""
    for node in order:
        op: Any = node.op
        if op is None or node not in grads:
            continue
        wanted = [args is not None and (only is None or x in only) for x, args in zip(node.inputs, node.saved or ())]
        with within(scope=("grad", *node.scope)):
            for i, (x, gx) in enumerate(zip(node.inputs, op.pull_recorded(node, grads[node], wanted))):
                if gx is not None:
                    if gx.shape != x.shape:
                        gx = sum_to(gx, x.shape) if op.builtin else fit_to_operand(node, i, gx)
                    grads[x] = grads[x] + gx if x in grads else gx
