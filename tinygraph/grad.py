"""One derivation, two walks: a line run on arrays is the backward pass, run on Tensors it records one.

Either walk meets each node once, results before what they are made of. What a broadcast copied on the
way forward is added up here, at the edge, and nowhere else.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from tinygraph.context import CONTEXT, within
from tinygraph.dispatch import implements
from tinygraph.errors import describe
from tinygraph.op import tensor_of
from tinygraph.ops.elementwise import astype
from tinygraph.ops.shape import reshape, sum_to
from tinygraph.summand import SMALL, Summand, undo_broadcast
from tinygraph.tensor import Node, Tensor, array_of

__all__ = ["grad"]

by_id = operator.attrgetter("id")


def order_of(roots: Iterable[Node], stop: Collection[Node] = ()) -> list[Node]:
    """Return every node behind ``roots`` that gradients reach, results before what they are made of."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node.saved is None:
            raise RuntimeError(f"the graph behind {node.name or node.op} was freed by backward(retain_graph=False)")
        for x, args in zip(node.inputs, node.saved, strict=True) if node not in stop else ():
            if args is not None and x not in seen:
                seen.add(x)
                stack.append(x)
    return sorted(seen, key=by_id, reverse=True)


def walk(order: Iterable[Node], grads: dict[Node, Any], only: Collection[Node] | None, free: bool = False) -> None:
    """Carry gradients back as arrays. ``grads`` starts as the seeds; at the end it has those of the leaves.

    With ``only``, gradients go nowhere else, and all of them stay in ``grads``.
    """
    for node in order:
        if node.op is None:
            continue
        g = grads.pop(node) if only is None else grads[node]
        for x, gx in zip(node.inputs, pull(node, g, only), strict=False):
            if gx is None:
                continue
            have = grads.get(x)
            if have is None:
                grads[x] = gx
            elif gx is not g and gx.base is None and gx.shape == have.shape:
                gx += have  # nobody else holds this array
                grads[x] = gx
            else:
                grads[x] = have + gx
        if free:
            node.saved, node.inputs = None, ()


def pull(node: Node, g: Any, only: Collection[Node] | None = None) -> list[Any]:
    """Return the gradient that ``node`` sends to each of its inputs, as arrays; None where none is wanted."""
    op: Any = node.op
    shape, elementwise = node.shape, op.elementwise
    if not elementwise and g.shape != shape:
        g = np.broadcast_to(g, shape)
    if op.backward:
        args = next(args for args in node.saved or () if args)
        return list(op.backward(g, *args, **node.params))
    sent: list[Any] = []
    for x, line, args in zip(node.inputs, op.lines * len(node.inputs) if op.variadic else op.lines, node.saved, strict=False):  # type: ignore[arg-type]
        if args is None or (only is not None and x not in only):
            sent.append(None)
        elif not elementwise or x.shape == shape:
            sent.append(line(g, *args))
        else:
            gx = line(g if g.size < SMALL else Summand((g,), x.shape), *args)
            sent.append(undo_broadcast(gx, shape, x.shape))
    return sent


def walk_recorded(order: Iterable[Node], grads: dict[Node, Any], only: Collection[Node] | None = None) -> None:
    """Carry gradients back as Tensors: the same lines, called with Tensors, record."""
    for node in order:
        if node.op is None or node not in grads:
            continue
        with within(scope=("grad", *node.scope)):
            for x, gx in zip(node.inputs, pull_recorded(node, grads[node], only), strict=True):
                if gx is not None:
                    gx = sum_to(gx, x.shape) if gx.shape != x.shape else gx
                    grads[x] = grads[x] + gx if x in grads else gx


def pull_recorded(node: Node, g: Tensor, only: Collection[Node] | None) -> list[Any]:
    """Return the gradient that ``node`` sends to each input, as a Tensor. A fused op differentiates its definition."""
    op: Any = node.op
    wanted = [a is not None and (only is None or x in only) for x, a in zip(node.inputs, node.saved or (), strict=True)]
    if op.definition is None:
        return [op.line(i)(g, *op.lifted(node, i)) if want else None for i, want in enumerate(wanted)]
    operands = list(op.lifted(node, next(i for i, args in enumerate(node.saved or ()) if args)))
    for i, x in enumerate(operands):
        if isinstance(x, Tensor) and node.inputs[i] in node.inputs[:i]:
            operands[i] = reshape(x, x.shape)  # one tensor in two roles: each has its own gradient
    y = op.definition(*operands, **node.params)
    stop = {x.node for x in operands if isinstance(x, Tensor)}
    grads = {y.node: g}
    walk_recorded((n for n in order_of([y.node], stop) if n not in stop), grads)
    return [grads.get(x.node) if want else None for x, want in zip(operands, wanted, strict=True)]


def seeds(outputs: Sequence[Tensor], gradients: Sequence[Any], what: str) -> dict[Node, Any]:
    """Return the upstream gradient of each output; a missing one is 1, for a scalar."""
    found: dict[Node, Any] = {}
    for y, g in zip(outputs, gradients, strict=True):
        if not y.node.needs:
            reason = "" if not y.node.op or y.node.op.differentiable else f": {y.node.op.name} is not differentiable"
            raise RuntimeError(f"{describe(y)} does not require a gradient{reason}")
        if g is None and y.size != 1:
            raise RuntimeError(f"{what} starts from a scalar, and this is {describe(y)}: reduce it, or give {what}=")
        g = np.ones_like(y.data) if g is None else g
        g = g if hasattr(g, "dtype") else np.asarray(g, y.dtype)
        if g.shape != y.shape:
            raise ValueError(f"{what} of {describe(y)} must have its shape, and has {list(g.shape)}")
        found[y.node] = found[y.node] + g if y.node in found else g
    return found


def own(g: Any, node: Node, dtype: Any, others: set[int]) -> Any:
    """Return a gradient in full shape, in the dtype of its tensor, in an array that nothing else uses."""
    if g.shape != node.shape:
        g = np.broadcast_to(g, node.shape)
    shared = not isinstance(g, np.generic) and (g.base is not None or id(g) in others)
    others.add(id(g))
    return np.asarray(g, dtype) if isinstance(g, np.generic) else g.astype(dtype, copy=shared)


@implements(method="backward")
def backward(self: Tensor, gradient: Any = None, retain_graph: bool = True) -> None:
    """Add the gradient of this tensor in each leaf into the leaf's ``.grad``.

    Args:
        gradient: upstream gradient, of this tensor's shape; 1 for a scalar.
        retain_graph: keep the graph, so that it can be drawn and walked again, until this tensor is
            dropped; False frees it on the way.

    Raises:
        RuntimeError: no gradient reaches this tensor, it is no scalar and ``gradient`` is not given, or
            the graph was freed.
        ValueError: ``gradient`` has another shape.
    """
    root = self.node
    grads = seeds([self], [array_of(gradient)], "gradient")
    seed = grads[root]
    walk(order_of([root]), grads, None, free=not retain_graph)
    others = {id(seed)}
    for leaf, g in grads.items():
        g = own(g, leaf, leaf.data.dtype, others)  # type: ignore[attr-defined]
        leaf.grad = g if leaf.grad is None else leaf.grad + g
    if root.op is not None:
        root.grad = seed  # that backward ran from here, and with what: a drawing shows it


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    *,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Return the gradient of the summed ``outputs`` in each of ``inputs``, and leave every ``.grad`` alone.

    Args:
        outputs: what to differentiate: a Tensor or a sequence of them.
        inputs: with respect to what: leaves or intermediate values.
        grad_outputs: upstream gradient for each output, of its shape; None is 1, for a scalar.
        create_graph: return Tensors, recorded in the scope "grad", to be drawn or differentiated again.
        allow_unused: give None, not an error, for an input that no output depends on.
        materialize_grads: give zeros for such an input.

    Returns:
        A tuple, an array for each input (a Tensor with ``create_graph``), in its shape and dtype.

    Raises:
        RuntimeError: an output is no scalar and has no ``grad_outputs``, or an input is not used.

    >>> x = Tensor([1.0, 2.0])
    >>> first, = grad((x * x * x).sum(), x, create_graph=True)
    >>> grad(first.sum(), x)
    (array([ 6., 12.]),)
    """
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    gs = [None] * len(ys) if grad_outputs is None else [grad_outputs] if len(ys) == 1 else list(grad_outputs)
    gs = [gs[0][0]] if len(ys) == 1 and isinstance(gs[0], list | tuple) else gs
    grads = seeds(ys, gs if create_graph else list(map(array_of, gs)), "grad_outputs")
    order = order_of(grads)
    only = {x.node for x in xs}
    for node in reversed(order):
        if any(x in only for x, args in zip(node.inputs, node.saved or (), strict=True) if args is not None):
            only.add(node)
    order = [node for node in order if node in only]
    if create_graph:
        with within(scope=("grad", *CONTEXT.get().scope)):
            grads = {y: g if isinstance(g, Tensor) else Tensor(g, name="seed", requires_grad=False) for y, g in grads.items()}
        walk_recorded(order, grads, only)
    else:
        walk(order, grads, only)
    others: set[int] = set(map(id, gs))
    found = []
    for x in xs:
        g = grads.get(x.node)
        if g is None and materialize_grads:
            g = np.zeros_like(x.data) if not create_graph else Tensor(np.zeros_like(x.data), requires_grad=False)
        elif g is None and not allow_unused:
            raise RuntimeError(f"{describe(x)} is not used by the outputs: pass allow_unused=True to get None for it")
        elif create_graph and g is not None:
            g = g if g.dtype == x.dtype else astype(g, x.dtype)
        elif g is not None:
            g = own(g, x.node, x.dtype, others)
        found.append(g)
    return tuple(found)
