"""Shape ops lay elements out anew, or copy them, and compute nothing. What an op copies, its derivative adds up.

`broadcast_to` and `sum_to` are each other's derivative.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Shape, Value
from tinygraph.ops.keywords import accept_dim

# Some lines call an op that is defined further down, where mypy does not know its type yet: "has-type".
shaping = functools.partial(op, family="shape")


@shaping(
    r"$x\uparrow", np.broadcast_to, method="broadcast_to", onnx="Expand", says="Copies $x to shape $shape.",
    samples=[sample((4, 1), shape=(5, 4, 3)), sample((), shape=(2, 3)), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: sum_to(g, x_shape)),  # type: ignore[has-type]
)  # fmt: skip
def broadcast_to(x: Value, shape: Shape = ()) -> Value:
    """Copy along new axes and along axes of length 1, as NumPy broadcasts. The derivative sums the copies.

    Args:
        x: of a shape that broadcasts to ``shape``.
        shape: lengths of the axes of the result.

    Returns:
        Copies of x, of that shape.

    Raises:
        ValueError: x does not broadcast to that shape.

    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2))
    Tensor([[1., 2.],
            [1., 2.]], op=broadcast_to)
    """
    return np.broadcast_to(x, shape)


@shaping(
    r"$x\downarrow", says="Adds up the copies in $x, down to shape $shape.",
    samples=[sample((5, 4, 3), shape=(4, 1)), sample((2, 3), shape=()), sample((3,), shape=(3,))],
    x=("1", lambda g, x_shape: broadcast_to(g, x_shape)),
)  # fmt: skip
def sum_to(x: Value, shape: Shape = ()) -> Value:
    """Undo a broadcast from ``shape``: sum the axes along which it copied.

    Args:
        x: of a shape to which ``shape`` broadcasts.
        shape: lengths of the axes of the result.

    Returns:
        The sums, of that shape.

    Raises:
        ValueError: ``shape`` does not broadcast to the shape of x.

    >>> sum_to(Tensor([[1.0, 2.0], [3.0, 4.0]]), (2,))
    Tensor([4., 6.], op=sum_to)
    """
    lead = len(x.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(i + lead for i, n in enumerate(shape) if n == 1 != x.shape[i + lead])
    out = x.sum(axis=axes, keepdims=True) if axes else x
    out = out.reshape(out.shape[lead:]) if lead else out
    if out.shape != tuple(shape):
        raise ValueError(f"sum_to: {x.shape} is no broadcast of {tuple(shape)}")
    return out


@shaping(
    r"$x", onnx="Reshape", says="Lays $x out in shape $shape.",
    samples=[sample((4, 3), shape=(2, -1)), sample((4,), shape=4), sample((1,), shape=())],
    x=("1", lambda g, x_shape: reshape(g, x_shape)),  # type: ignore[has-type]
)  # fmt: skip
def reshape(x: Value, shape: int | Sequence[int] = (-1,)) -> Value:
    """Lay the elements out in another shape, in C order; one length may be -1.

    Args:
        x: of any shape.
        shape: lengths of the new axes, or one length; one of them may be -1, for what is left.

    Returns:
        The same elements, of that shape.

    Raises:
        ValueError: the number of elements does not fit.

    >>> reshape(Tensor([1.0, 2.0]), (2, 1)).shape
    (2, 1)
    """
    return x.reshape(shape)


@shaping(
    r"$x^{\mathsf T}", np.transpose, onnx="Transpose", says="Reorders the axes of $x.",
    samples=[sample((2, 3, 4)), sample((2, 3, 4), axes=(1, 2, 0)), sample((2, 3, 4), axes=(-1, 0, 1)), sample((3,))],
    x=("1", lambda g, axes: transpose(g, invert(axes))),  # type: ignore[has-type]
)  # fmt: skip
def transpose(x: Value, axes: Sequence[int] | None = None) -> Value:
    """Reorder the axes; reverse them if ``axes`` is None.

    Args:
        x: of any shape.
        axes: for each axis of the result, which axis of x it is; None reverses them.

    Returns:
        The same elements, with the axes in that order.

    Raises:
        ValueError: ``axes`` does not name each axis of x once.

    >>> transpose(Tensor(np.ones((2, 3)))).shape
    (3, 2)
    """
    return np.transpose(x, axes)


def invert(axes: Sequence[int] | None) -> Sequence[int] | None:
    """Return the permutation that undoes ``axes``."""
    return None if axes is None else [int(i) for i in np.argsort([a % len(axes) for a in axes])]


@implements(np.swapaxes, method="swapaxes swapdims")
def swapaxes(x: Value, axis1: int, axis2: int) -> Value:
    """Swap two axes.

    Args:
        x: of any shape.
        axis1: one axis.
        axis2: the other one.

    Returns:
        The same elements, with the two axes swapped.

    Raises:
        IndexError: x has no such axis.

    >>> swapaxes(Tensor(np.ones((2, 3))), 0, 1).shape
    (3, 2)
    """
    order = list(range(len(x.shape)))
    a, b = (normalize_axis_tuple(axis, len(order))[0] for axis in (axis1, axis2))
    order[a], order[b] = b, a
    return transpose(x, order)


@implements(np.moveaxis, method="moveaxis movedim")
def moveaxis(x: Value, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Move axes to new places; the others keep their order.

    Args:
        x: of any shape.
        source: the axes to move: one, or several.
        destination: for each of them its place in the result.

    Returns:
        The same elements, with the axes in their new order.

    Raises:
        ValueError: x has no such axis, or the numbers of axes and places differ.

    >>> moveaxis(Tensor(np.ones((2, 3, 4))), 0, -1).shape
    (3, 4, 2)
    """
    moved = normalize_axis_tuple(source, len(x.shape))
    order = [i for i in range(len(x.shape)) if i not in moved]
    for place, axis in sorted(zip(normalize_axis_tuple(destination, len(x.shape)), moved, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


@implements(np.expand_dims)
@accept_dim
def expand_dims(x: Value, axis: int | Sequence[int]) -> Value:
    """Insert axes of length 1, at the places ``axis`` of the result.

    Args:
        x: of any shape.
        axis: the place of the new axis in the result, or several.

    Returns:
        The same elements with more axes.

    Raises:
        ValueError: there is no such place, or one is named twice.

    >>> expand_dims(Tensor([1.0]), (0, 2)).shape
    (1, 1, 1)
    """
    return reshape(x, np.expand_dims(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.squeeze, method="squeeze")
@accept_dim
def squeeze(x: Value, axis: int | Sequence[int] | None = None) -> Value:
    """Drop axes of length 1: all, or those named.

    Args:
        x: of any shape.
        axis: the axis to drop, several, or None for all of length 1.

    Returns:
        The same elements with fewer axes.

    Raises:
        ValueError: an axis is longer than 1, or x has no such axis.

    >>> squeeze(Tensor([[1.0]])).shape
    ()
    """
    return reshape(x, np.squeeze(np.broadcast_to(0, x.shape), axis).shape)


@implements(np.ravel, method="flatten ravel")
def flatten(x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    """Lay the axes ``start_dim`` … ``end_dim`` out in one: all of them unless given, as ``torch.flatten``.

    Args:
        x: of any shape.
        start_dim: the first of the axes that become one.
        end_dim: the last of them.

    Returns:
        The same elements, in C order. A 0-d array becomes one of shape (1,).

    Raises:
        ValueError: there is no such axis, or ``start_dim`` comes after ``end_dim``.

    >>> flatten(Tensor([[1.0, 2.0]])).shape
    (2,)
    >>> flatten(np.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = x.shape or (1,)
    start, end = (normalize_axis_tuple(axis, len(shape))[0] for axis in (start_dim, end_dim))
    if start > end:
        raise ValueError(f"flatten: axis {start_dim} of {shape} comes after axis {end_dim}")
    return reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@shaping(
    r"$x", np.copy, method="clone copy", says="Copies $x.", samples=[sample((4, 3)), sample(())],
    x=("1", lambda g: g),
)  # fmt: skip
def clone(x: Value) -> Value:
    """Copy: the result shares no memory with ``x``, and gradients pass as they are.

    Args:
        x: of any shape.

    Returns:
        A copy of x.

    >>> x = np.ones(2)
    >>> clone(x) is x
    False
    """
    return x.copy()


def spread_arguments(call: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method take its tuple spread out, as NumPy's do: ``t.reshape(2, 3)``."""

    @functools.wraps(call)
    def method(x: Value, *n: Any, **params: Any) -> Value:
        return call(x, *(n if len(n) == 1 else (n,) if n else ()), **params)

    return method


implements(np.reshape)(reshape)
implements(method="reshape")(spread_arguments(reshape))
implements(method="permute")(spread_arguments(transpose))
Tensor.T = property(transpose, doc="The tensor with its axes reversed.")  # type: ignore[assignment, method-assign]


def common_shape(*xs: Any) -> Shape:
    """Return the shape to which arrays and numbers broadcast."""
    return np.broadcast_shapes(*(x.shape if hasattr(x, "shape") else np.shape(x) for x in xs))
