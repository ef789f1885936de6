"""Ask a graph for derivatives: `backward` adds them into the leaves, `grad` returns those that are asked for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.autodiff.backward import order_of, walk, walk_recorded
from tinygraph.engine.context import CONTEXT, WALK, within
from tinygraph.engine.errors import describe
from tinygraph.engine.op import zero_dimensional
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Record, Tensor, array_of
from tinygraph.engine.types import Array, ArrayLike
from tinygraph.ops.elementwise import astype

__all__ = ["grad"]

ADDING = threading.Lock()  # threads may share a parameter: one reads and adds at a time


def seeds_of(outputs: Sequence[Tensor], gradients: Sequence[Any], what: str) -> dict[Record, Any]:
    """Return the upstream gradient of each output; a missing one is 1, for a scalar."""
    found: dict[Record, Any] = {}
    if len(gradients) != len(outputs):
        raise ValueError(f"{what} must have one gradient an output: there are {len(gradients)} for {len(outputs)}")
    for y, g in zip(outputs, gradients):
        if not y.node.needs:
            reason = "" if not y.node.op or y.node.op.differentiable else f": {y.node.op.name} is not differentiable"
            raise RuntimeError(f"{describe(y)} does not require a gradient{reason}")
        if g is None and y.size != 1:
            raise RuntimeError(f"{what} starts from a scalar, and this is {describe(y)}: reduce it, or give {what}=")
        g = np.ones_like(y.data) if g is None else g
        if (shape := g.shape if hasattr(g, "shape") else np.shape(g)) != y.shape:
            raise ValueError(f"{what} of {describe(y)} must have its shape, and has {list(shape)}")
        g = g if hasattr(g, "dtype") else np.full_like(y.data, g)
        if g.dtype.kind == "c":
            raise TypeError(f"{what} of {describe(y)} must be real, and is {g.dtype}")
        if g.dtype != y.dtype and (dtype := np.result_type(g.dtype, y.dtype)) != g.dtype:
            g = astype(g, dtype)  # bytes would wrap around
        found[y.node] = found[y.node] + g if y.node in found else g
    return found


def detach_gradient(g: Array, node: Record, dtype: np.dtype[Any], others: set[int]) -> Array:
    """Return a gradient in full shape, in the dtype of its tensor, in an array that nothing else uses."""
    if g.shape != node.shape:
        g = np.broadcast_to(g, node.shape)
    if isinstance(g, np.generic):
        return np.asarray(g, dtype)
    shared = g.base is not None or id(g) in others
    others.add(id(g))
    return g.astype(dtype) if shared or g.dtype != dtype else g


@implements(method="backward")
def backward(self: Tensor, gradient: ArrayLike | Tensor | None = None, retain_graph: bool = True) -> None:
    """Add the gradient of this tensor in each leaf into the leaf's ``.grad``.

    Args:
        self: the tensor to differentiate.
        gradient: upstream gradient, of this tensor's shape; 1 for a scalar.
        retain_graph: keep the graph, so that it can be drawn and walked again, until this tensor is
            dropped; False frees it on the way.

    Raises:
        RuntimeError: no gradient reaches this tensor, it is no scalar and ``gradient`` is not given, or
            the graph was freed.
        ValueError: ``gradient`` has another shape.
    """
    root = self.node
    grads = seeds_of([self], [array_of(gradient)], "gradient")
    others = {id(seed := grads[root])}
    (WALK.get() or walk)(grads, free=not retain_graph)
    for leaf, g in grads.items():
        g = detach_gradient(g, leaf, leaf.data.dtype, others)  # type: ignore[attr-defined]
        with ADDING:
            leaf.passes = 1 if leaf.grad is None else leaf.passes + 1  # type: ignore[attr-defined]
            leaf.grad = g if leaf.grad is None else zero_dimensional(leaf.grad + g)
    if root.op is not None:
        root.seed = seed  # a drawing runs this backward pass again


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
        RuntimeError: an output is no scalar and has no ``grad_outputs``, an input is not used, or the graph was freed.
        TypeError: an output or an input is no Tensor.
        ValueError: the ``grad_outputs`` are not as many as the outputs, or one has another shape.

    >>> x = Tensor([1.0, 2.0])
    >>> first, = grad((x * x * x).sum(), x, create_graph=True)
    >>> grad(first.sum(), x)
    (array([ 6., 12.]),)
    """
    ys, xs = (list(t) if np.iterable(t) and not isinstance(t, Tensor) else [t] for t in (outputs, inputs))
    if wrong := [x for x in (*ys, *xs) if not isinstance(x, Tensor)]:
        raise TypeError(f"grad: outputs and inputs must be Tensors, not {describe(wrong[0])}")
    several = isinstance(grad_outputs, list | tuple)
    gs = [None] * len(ys) if grad_outputs is None else list(grad_outputs) if several else [grad_outputs]
    grads = seeds_of(ys, gs if create_graph else list(map(array_of, gs)), "grad_outputs")
    order = order_of(grads)
    only: set[Record] = {x.node for x in xs}
    for node in reversed(order):
        if any(x in only for x, args in zip(node.inputs, node.saved or ()) if args is not None):
            only.add(node)
    if create_graph:
        with within(scope=("grad", *CONTEXT.get().scope), recording=True):
            given = grads.items()
            grads = {y: g if isinstance(g, Tensor) else Tensor(g, name="seed", requires_grad=False) for y, g in given}
            walk_recorded([node for node in order if node in only], grads, only)
            grads |= {n: astype(grads[n], x.dtype) for x in xs if (n := x.node) in grads and grads[n].dtype != x.dtype}
    else:
        (WALK.get() or walk)(grads, only, keep={x.node for x in xs})
    others = {id(array_of(g)) for g in gs}
    found = []
    for x in xs:
        g = grads.get(x.node)
        if g is None and materialize_grads:
            g = np.zeros_like(x.data) if not create_graph else Tensor(np.zeros_like(x.data), requires_grad=False)
        elif g is None and not allow_unused:
            raise RuntimeError(f"{describe(x)} is not used by the outputs: pass allow_unused=True to get None for it")
        elif g is not None and not create_graph:
            g = detach_gradient(g, x.node, x.dtype, others)
        found.append(g)
    return tuple(found)
