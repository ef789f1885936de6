"""Sorting finds places, and takes the elements from there: the gradient of an element goes back to its place.

`take_along_axis` and `add_along_axis` are each other's derivative. Places are integers: no gradient goes to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.kernels.arrays import add_along, take_along
from tinygraph.ops.indexing import index, part
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.scans import accumulate
from tinygraph.ops.shape import flatten, reshape, shaping

__all__ = [
    "add_along_axis", "argsort", "cummax", "cummin", "kthvalue", "partition", "running_max", "sort", "take_along_axis",
    "topk",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
PLACED = [
    sample((4, 3), (2, 3), low=0, high=3, axis=0),
    sample((2, 4), (2, 5), low=0, high=3, axis=-1),
    sample((4, 1), (1, 3), low=0, high=3, axis=0),
]


class Extremes(NamedTuple):
    """Elements, and where they were found: integers, which carry no gradient."""

    values: Value
    indices: Value


@shaping(
    r"$x[$indices]", (np.take_along_axis,), onnx="GatherElements",
    says="Takes the elements of $x at $indices along axis $axis.",
    samples=PLACED,
    x=("1", lambda g, x_shape, indices, axis: add_along_axis(g, indices, axis, x_shape)),  # type: ignore[has-type]
    indices=None,
)  # fmt: skip
def take_along_axis(x: Value, indices: Value, axis: int = -1) -> Value:
    """Take elements by their places along an axis, each row by places of its own.

    Args:
        x: of any shape.
        indices: integers of as many axes as x, that broadcast against it but for ``axis``.
        axis: the axis along which they count.

    Returns:
        The elements, of the shape of ``indices`` (broadcast). What is taken twice gets both gradients.

    Raises:
        IndexError: there is no such place, or the indices are no integers.
        ValueError: the numbers of axes differ.

    >>> take_along_axis(Tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[1], [0]]), 1)
    Tensor([[2.],
            [3.]], op=take_along_axis)
    """
    return take_along(x, indices, axis)


@shaping(
    r"$x\to[$indices]", onnx="ScatterElements", says="Adds $x into zeros of shape $shape at $indices along axis $axis.",
    samples=[sample(s.shapes[1] if s.shapes[0] != (4, 1) else (1, 3), s.shapes[1], low=0, high=3, shape=s.shapes[0],
                    **s.params) for s in PLACED],
    x=("1", lambda g, indices, axis: take_along_axis(g, indices, axis)), indices=None,
)  # fmt: skip
def add_along_axis(x: Value, indices: Value, axis: int = -1, shape: Shape = ()) -> Value:
    """Add into zeros of ``shape`` by places along an axis: the derivative of `take_along_axis`. Repeats add up.

    Args:
        x: of the shape that taking with ``indices`` gives.
        indices: integers: places along ``axis``.
        axis: the axis along which they count.
        shape: lengths of the axes of the result.

    Returns:
        Zeros of that shape, with the elements of x added at their places.

    Raises:
        IndexError: there is no such place.

    >>> add_along_axis(Tensor([1.0, 2.0, 3.0]), np.array([0, 1, 0]), 0, (2,))
    Tensor([4., 2.], op=add_along_axis)
    """
    return add_along(x, indices, axis, shape)


@implements(method="take_along_dim")
@accept_dim
def take_along_dim(x: Value, indices: Value, axis: int | None = None) -> Value:
    """Take elements by their places, as PyTorch's ``x.take_along_dim(indices, dim)``.

    Args:
        x: of any shape.
        indices: as for `take_along_axis`.
        axis: as for `take_along_axis`; None lays elements and indices out in one row first.

    Returns:
        The elements, of the shape of ``indices``.

    Raises:
        IndexError, ValueError: as for `take_along_axis`.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).take_along_dim(np.array([[3]])).data
    array([4.])
    """
    return take_along_axis(flatten(x), flatten(indices), 0) if axis is None else take_along_axis(x, indices, axis)


@shaping(
    r"\operatorname{argsort} $x", (np.argsort,), method="argsort", says="Finds where the sorted elements of $x lie.",
    samples=[sample((4, 3)), sample((4, 3), axis=0), sample((5,), descending=True), sample((2, 3), axis=None)],
)  # fmt: skip
def argsort(x: Value, axis: int | None = -1, descending: bool = False, stable: bool = True, kind: Any = None) -> Value:
    """Find the places of the elements in order of size. Equal elements keep their order. Not differentiable.

    Args:
        x: of any shape.
        axis: the axis along which to sort; None lays all elements out in one first.
        descending: the largest first.
        stable: taken, and without effect: sorting is always stable.
        kind: NumPy's word for ``stable``, likewise.

    Returns:
        Integers, of the shape of x. They require no gradient. NaN comes last; first where ``descending``.

    Raises:
        IndexError: x has no such axis.

    >>> argsort(Tensor([3.0, 1.0, 2.0])).data
    array([1, 2, 0])
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    if not x.shape:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    turned = (slice(None),) * (axis % len(x.shape)) + (slice(None, None, -1),)
    return x.shape[axis] - 1 - np.argsort(x[turned], axis=axis, kind="stable")[turned]


@implements(np.sort, method="sort")
@accept_dim
@composite
def sort(x: Value, axis: int | None = -1, descending: bool = False, stable: bool = True, kind: Any = None) -> Value:
    """Sort along an axis. `argsort` says where each element was; its gradient goes there.

    Args:
        x: of any shape.
        axis: the axis along which to sort; None lays all elements out in one first.
        descending: the largest first.
        stable: taken, and without effect: equal elements always keep their order.
        kind: NumPy's word for ``stable``, likewise.

    Returns:
        The values alone, of the shape of x.

    Raises:
        IndexError: x has no such axis.

    >>> sort(Tensor([3.0, 1.0, 2.0])).data
    array([1., 2., 3.])
    """
    x, axis = (flatten(x), 0) if axis is None else (x, axis)
    return take_along_axis(x, argsort(x, axis, descending), axis) if x.shape else x


@implements(np.partition)
@accept_dim
def partition(x: Value, kth: Any, axis: int | None = -1) -> Value:
    """Sort along an axis: then the element ``kth`` is in its place, smaller ones before it, larger ones after it.

    Args:
        x: of any shape.
        kth: a place, or several.
        axis: as in `sort`.

    Returns:
        The values in order, which is one of the orders that `numpy.partition` may return.

    Raises:
        ValueError: there is no such place.

    >>> partition(Tensor([3.0, 1.0, 2.0]), 1).data
    array([1., 2., 3.])
    """
    n = np.prod(x.shape) if axis is None else x.shape[axis]
    if any(not -n <= k < n for k in np.atleast_1d(kth)):
        raise ValueError(f"partition: kth={kth} is no place of an axis of length {n}")
    return sort(x, axis)


@implements(np.argpartition, method="argpartition")
@accept_dim
def argpartition(x: Value, kth: Any, axis: int | None = -1) -> Value:
    """Find the places of the elements as `partition` orders them. Not differentiable.

    Args:
        x: of any shape.
        kth: a place, or several.
        axis: as in `argsort`.

    Returns:
        Integers, which require no gradient.

    >>> argpartition(Tensor([3.0, 1.0, 2.0]), 1).data
    array([1, 2, 0])
    """
    return argsort(x, axis)


def accept_numbers(function: F) -> F:
    """Let a function that finds elements along an axis take a 0-d array, as PyTorch's do: as a row of one."""

    @functools.wraps(function)
    def call(x: Value, *args: Any, **params: Any) -> Any:
        if x.shape:
            return function(x, *args, **params)
        return Extremes(*(reshape(part, ()) for part in function(reshape(x, (1,)), *args, **params)))

    return cast(F, call)


@implements(method="topk")
@accept_dim
@accept_numbers
@composite
def topk(x: Value, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Extremes:  # noqa: A002 - PyTorch's name
    """Take the k largest elements along an axis, the largest first, as ``torch.topk``.

    Args:
        x: of any shape.
        k: how many.
        axis: along which axis.
        largest: False for the k smallest.
        sorted: taken, and without effect: they are always in order.

    Returns:
        ``values``, and ``indices``: where they were, integers without a gradient.

    Raises:
        ValueError: there are not so many.

    >>> topk(Tensor([3.0, 1.0, 2.0]), 2).values.data
    array([3., 2.])
    """
    if not 0 <= k <= x.shape[axis]:
        raise ValueError(f"topk: k={k} of an axis of length {x.shape[axis]}")
    places = part(argsort(x, axis, largest), axis, None, k)
    return Extremes(take_along_axis(x, places, axis), places)


@implements(method="kthvalue")
@accept_dim
@accept_numbers
@composite
def kthvalue(x: Value, k: int, axis: int = -1, keepdims: bool = False) -> Extremes:
    """Take the k-th smallest element along an axis, counted from 1, as ``torch.kthvalue``.

    Args:
        x: of any shape.
        k: 1 for the smallest.
        axis: along which axis.
        keepdims: keep that axis, with length 1.

    Returns:
        ``values``, and ``indices``: where they were, integers without a gradient.

    Raises:
        ValueError: there are not so many.

    >>> kthvalue(Tensor([3.0, 1.0, 2.0]), 2).values.item()
    2.0
    """
    if not 1 <= k <= x.shape[axis]:
        raise ValueError(f"kthvalue: k={k} counts from 1, of an axis of length {x.shape[axis]}")
    places = part(argsort(x, axis), axis, k - 1, k)
    found = Extremes(take_along_axis(x, places, axis), places)
    first = (slice(None),) * (axis % len(x.shape)) + (0,)
    return found if keepdims else Extremes(*(index(part, first) for part in found))


@shaping(
    r"\max_{\leq i} $x", says="Takes the largest of $x up to each place along axis $axis.",
    samples=[sample((4, 3), axis=0), sample((2, 5), axis=-1)],
    x=("1", lambda g, x, out, axis: add_along_axis(
        g, last_of_largest(array_of(x), array_of(out), axis), axis, x.shape)),
)  # fmt: skip
def running_max(x: Value, axis: int = 0) -> Value:
    """Take the largest element up to each place. The gradient goes to the last of equal ones.

    Args:
        x: of any shape.
        axis: along which axis.

    Returns:
        The elements, of the shape of x.

    Raises:
        IndexError: x has no such axis.

    >>> running_max(Tensor([1.0, 3.0, 2.0])).data
    array([1., 3., 3.])
    """
    return accumulate(np.maximum, x, axis)


def last_of_largest(x: Value, largest: Any, axis: int) -> Any:
    """Return where the largest element up to each place is; of equal ones the last, or the last NaN."""
    is_new = (x >= largest) | np.isnan(x)
    column = [n if i == axis % len(x.shape) else 1 for i, n in enumerate(x.shape)]
    numbers = np.cumsum(np.ones_like(is_new, np.int64, shape=column), axis=axis) - 1
    return accumulate(np.maximum, np.where(is_new, numbers, 0), axis)


@implements(method="cummax")
@accept_dim
@accept_numbers
def cummax(x: Value, axis: int) -> Extremes:
    """Take the largest element up to each place, as ``torch.cummax``; of equal ones the last.

    Args:
        x: of any shape.
        axis: along which axis.

    Returns:
        ``values``, and ``indices``: where they were, plain integers without a gradient.

    Raises:
        IndexError: x has no such axis.

    >>> cummax(Tensor([1.0, 3.0, 2.0]), 0).values.data
    array([1., 3., 3.])
    """
    values = running_max(x, axis)
    return Extremes(values, last_of_largest(array_of(x), array_of(values), axis))


@implements(method="cummin")
@accept_dim
@accept_numbers
def cummin(x: Value, axis: int) -> Extremes:
    """Take the smallest element up to each place, as ``torch.cummin``; of equal ones the last.

    Args:
        x: of any shape.
        axis: along which axis.

    Returns:
        ``values``, and ``indices``: where they were, plain integers without a gradient.

    Raises:
        IndexError: x has no such axis.

    >>> cummin(Tensor([3.0, 1.0, 2.0]), 0).values.data
    array([3., 1., 1.])
    """
    values = -running_max(-x, axis)
    return Extremes(values, last_of_largest(-array_of(x), -array_of(values), axis))
