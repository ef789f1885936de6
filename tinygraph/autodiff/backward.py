"""One derivation, two walks: a line run on arrays is the backward pass, run on Tensors it records one.

Either walk meets each node once, results before what they are made of. What a broadcast copied on the way
forward is added up here, at the edge, and nowhere else.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any

import numpy as np

from tinygraph.autodiff.lazy_product import LARGE, SMALL, Summand, basis, multiplied_out, summand, undo_broadcast
from tinygraph.engine.context import within
from tinygraph.engine.tensor import Record
from tinygraph.ops.shape import sum_to

__all__ = ["freed", "order_of", "walk", "walk_recorded"]

AGE = attrgetter("id")


def walk(
    grads: dict[Record, Any],
    only: Collection[Record] | None = None,
    free: bool = False,
    watch: Callable[[Record, Any], Any] | None = None,
) -> None:
    """Carry gradients back as arrays. ``grads`` starts as the seeds; at the end it has those of the leaves.

    The newest node comes first, so all that it was used for has been met. With ``only``, gradients go
    nowhere else, and all of them stay in ``grads``; ``watch`` sees each contribution, in the order of inputs.
    Where nobody looks, a large one may be a `Summand` on its way.
    """
    recent: list[Any] = []  # the last sum over copies, for `undo_broadcast`
    seeds = list(grads.values())
    owned: set[Record] = set()  # whose gradient, a large array, nobody else holds: it can be added into
    ready = sorted((node for node in grads if node.op), key=AGE)  # the newest is last, and new ones are often newest
    while ready:
        node = ready.pop()
        op: Any = node.op
        saved, shape = node.saved, node.shape
        if saved is None:
            raise freed(node)
        g = grads.pop(node) if only is None else grads[node]
        elementwise, large = op.elementwise, g.size >= SMALL
        heir = lazy = None
        if large and only is None:
            heir = node if node in owned else None
            lazy = g.size >= LARGE and elementwise and op.plain and not watch and (heir or kept(g, seeds))
        if not elementwise and g.shape != shape:
            g = np.broadcast_to(g, shape)
        for x, line, args in zip(node.inputs, op.lines if op.plain else op.lines_for(node, g), saved):
            if args is None or (only is not None and x not in only):
                continue
            if not large:
                gx = line(g, *args)
                if elementwise and x.shape != shape:
                    gx = undo_broadcast(gx, shape, x.shape)
            elif elementwise and x.shape != shape:
                gx = undo_broadcast(line(summand(g, x.shape), *args), shape, x.shape, recent if lazy else None)
            elif lazy and args and (small := copied(x)):
                gx = line(summand(g, small), *args)
                if type(gx) is Summand and (x in grads or not gx.is_scaled()):
                    gx = gx.product()
            else:
                gx = line(multiplied_out(g), *args)
            if watch:
                watch(node, gx)
            if x not in grads:
                grads[x] = gx
                if x.op is not None:
                    if ready and x.id < ready[-1].id:
                        insort(ready, x, key=AGE)
                    else:
                        ready.append(x)
            elif x in owned or type(grads[x]) is Summand:
                recent.clear()  # it may be of what changes now
                if type(grads[x]) is Summand:
                    grads[x] = grads[x].product(in_place=x in owned)
                    owned.add(x)
                grads[x] += gx
                continue
            else:
                grads[x] = gx = grads[x] + gx
            if not large:
                continue
            array, source = basis(gx), basis(g)
            if array is not source and array.base is not None:  # a view, of g as a rule: then nobody is alone with g
                owned.discard(heir)
                heir = None
            elif array.shape == x.shape and not watch:
                if array is not source:
                    owned.add(x)
                elif heir is node:  # nobody else held g; now this input does, unless another one gets it too
                    owned.add(heir := x)
                else:
                    owned.discard(heir)
        if free:
            node.saved, node.inputs = None, ()


def kept(g: Any, seeds: list[Any]) -> bool:
    """Whether a gradient is there for as long as it may wait, or waits already: a seed is the caller's."""
    return type(g) is Summand or any(g is seed for seed in seeds)


def copied(x: Record) -> Any:
    """Return the shape of an operand that node ``x`` copies along another; None where it copies none."""
    if x.op is not None and x.op.elementwise:
        for operand in x.inputs:
            if (shape := getattr(operand, "shape", ())) and shape != x.shape:
                return shape
    return None


def freed(node: Record) -> RuntimeError:
    """Say that what a node was made of is gone: not that it was made of nothing."""
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
            raise freed(node)
        for x, args in zip(node.inputs, node.saved):
            if args is not None and x not in seen:
                seen.add(x)
                stack.append(x)
    return sorted(seen, key=AGE, reverse=True)


def walk_recorded(order: Iterable[Record], grads: dict[Record, Any], only: Collection[Record] | None = None) -> None:
    """Carry gradients back as Tensors: the same lines, called with Tensors, record."""
    for node in order:
        if node.op is None or node not in grads:
            continue
        wanted = [args is not None and (only is None or x in only) for x, args in zip(node.inputs, node.saved or ())]
        with within(scope=("grad", *node.scope)):
            for x, gx in zip(node.inputs, node.op.recorded(node, grads[node], wanted)):
                if gx is not None:
                    gx = sum_to(gx, x.shape) if gx.shape != x.shape else gx
                    grads[x] = grads[x] + gx if x in grads else gx
