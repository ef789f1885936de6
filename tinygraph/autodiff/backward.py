"""One derivation, two walks: a line run on arrays is the backward pass, run on Tensors it records one.

Either walk meets each node once, results before what they are made of. What a broadcast copied on the way forward is
added up here, at the edge from a node to its input, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from tinygraph.engine.context import CONTEXT, within
from tinygraph.engine.errors import clean, explain, written_at
from tinygraph.engine.tensor import Record, Tensor
from tinygraph.engine.types import Array, Value
from tinygraph.kernels.lazy_product import SMALL, Summand, undo_broadcast
from tinygraph.kernels.references import is_alone
from tinygraph.ops.shape import sum_to

__all__ = ["Derivative", "order_of", "walk", "walk_recorded"]

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
    heapify(ready := [(-node.id, node) for node in grads if node.op])
    while ready:
        node = heappop(ready)[1]  # the newest: all that it was used for has been met
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
                    heappush(ready, (-x.id, x))
            elif grads[x].size >= SMALL and is_alone(grads, x) and gx.dtype == grads[x].dtype:
                grads[x] += gx
            else:
                grads[x] = grads[x] + gx
        if free:
            node.saved, node.inputs = None, ()


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
    return RuntimeError(clean(f"the graph behind {node.name or node.op} was freed by backward(retain_graph=False)"))


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
    return sorted(seen, key=attrgetter("id"), reverse=True)


class Derivative(str):
    """The scope "grad", which also says what records in it: the derivative line of input ``i`` of a node.

    Where gradients of one value are added up, that value is the node, and ``i`` is -1. Of the whole walk, ``roots``
    are what it started from, and ``totals`` gives the number of each value's gradient by that of the value.
    """

    def __init__(self, node: Record, i: int, roots: tuple[Record, ...], totals: dict[int, int]) -> None:
        self.node, self.i, self.roots, self.totals = node, i, roots, totals

    def __new__(cls, *_: Any) -> Derivative:
        """Make the name."""
        return super().__new__(cls, "grad")


def walk_recorded(order: Iterable[Record], grads: dict[Record, Tensor], only: Collection[Record] | None = None) -> None:
    """Carry gradients back as Tensors: the same lines, called with Tensors, record."""
    walk_facts: tuple[tuple[Record, ...], dict[int, int]] = tuple(grads), {}
    around = [name for name in CONTEXT.get().scope if isinstance(name, Derivative)]  # inside of a fused op's derivative
    for node in (n for n in order if n.op and n in grads):
        op: Any = node.op
        wanted = [args is not None and (only is None or x in only) for x, args in zip(node.inputs, node.saved or ())]
        pulled, scope = iter(op.pull_recorded(node, grads[node], wanted)), node.scope[len(around) :]
        for i, x in enumerate(node.inputs):
            with within(scope=(*(around or [Derivative(node, i, *walk_facts)]), *scope)):
                if (gx := next(pulled)) is not None and gx.shape != x.shape:
                    gx = sum_to(gx, x.shape) if op.builtin else fit_to_operand(node, i, gx)
            if gx is not None:
                with within(scope=(*(around or [Derivative(x, -1, *walk_facts)]), *scope)):
                    grads[x] = grads[x] + gx if x in grads else gx
    walk_facts[1].update({x.id: g.node.id for x, g in grads.items() if isinstance(g, Tensor)})
