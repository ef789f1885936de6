"""Selecting elements by place or by a condition, composed of indexing and choosing.

Indices and conditions are constants: no gradient goes to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index as index_of
from tinygraph.ops.indexing import scatter as add_at
from tinygraph.ops.joining import stack
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.shape import broadcast_to, common_shape, flatten, reshape
from tinygraph.ops.sorting import add_along_axis, take_along_axis

__all__ = [
    "choose", "compress", "extract", "gather", "index_add", "index_select", "masked_select", "scatter_add", "select",
    "take",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def accept_numbers(function: F) -> F:
    """Let a function of elements along an axis take a 0-d x, as PyTorch's do: as a row of one."""

    @functools.wraps(function)
    def call(x: Value, dim: int, index: Value, *values: Any, **params: Any) -> Any:
        if x.shape:
            return function(x, dim, index, *values, **params)
        values = tuple(reshape(v, (-1,)) if getattr(v, "shape", None) == () else v for v in values)
        return reshape(function(reshape(x, (1,)), dim, integers(index).reshape(-1), *values, **params), ())

    return cast(F, call)


def integers(indices: Value) -> Any:
    """Return indices as an array of integers."""
    found = array_of(indices)
    return found if hasattr(found, "shape") else np.asarray(found, None if np.size(found) else np.int64)


@implements(np.take, method="take")
@accept_dim
def take(x: Value, indices: Value, axis: int | None = None, mode: str = "raise") -> Value:
    """Take elements by their places along an axis.

    Args:
        x: of any shape.
        indices: integers of any shape.
        axis: along which axis; None counts the elements as they lie in one row.
        mode: what happens to a place outside: "raise", "wrap" or "clip".

    Returns:
        The elements; the axes of ``indices`` stand in the place of ``axis``.

    Raises:
        IndexError: there is no such place.
        ValueError: another ``mode``.

    >>> take(Tensor([1.0, 2.0, 3.0]), [2, 0]).data
    array([3., 1.])
    """
    x, axis = (flatten(x), 0) if axis is None else (x, axis)
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    places, n = integers(indices), x.shape[axis]
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"take: mode={mode!r} is not known: it is 'raise', 'wrap' or 'clip'")
    places = places % n if mode == "wrap" else places.clip(0, n - 1) if mode == "clip" else places
    return index_of(x, (slice(None),) * axis + (places,))


@implements(method="index_select")
@accept_numbers
def index_select(x: Value, dim: int, index: Value) -> Value:
    """Take places along an axis, as ``torch.index_select``.

    Args:
        x: of any shape.
        dim: the axis.
        index: integers, a vector.

    Returns:
        The elements there.

    Raises:
        IndexError: there is no such place.

    >>> index_select(Tensor([[1.0, 2.0]]), 1, np.array([1, 1])).data
    array([[2., 2.]])
    """
    return take(x, index, dim)


@implements(method="gather")
def gather(x: Value, dim: int, index: Value, *, sparse_grad: bool = False) -> Value:
    """Take elements by places along an axis, each row by its own, as ``torch.gather``.

    Args:
        x: of any shape.
        dim: the axis along which the places count.
        index: integers of as many axes as x, nowhere longer than x but along ``dim``.
        sparse_grad: taken, and without effect.

    Returns:
        The elements, of the shape of ``index``.

    Raises:
        IndexError: there is no such place.
        TypeError: ``dim`` is no number, or ``index`` has no integers.
        ValueError: the shapes do not fit.

    >>> gather(Tensor([[1.0, 2.0], [3.0, 4.0]]), 1, np.array([[1], [0]])).data
    array([[2.],
           [3.]])
    """
    places = integers(index)
    if not isinstance(dim, int | np.integer):
        raise TypeError(f"gather takes the number of an axis first, not {type(dim).__name__}: x.gather(dim, index)")
    if places.dtype.kind not in "iu":
        raise TypeError(f"gather: index has {places.dtype}; places are integers: x.gather(dim, index)")
    return take_along_axis(corner(x, dim, places, "gather"), index, dim)


def corner(x: Value, dim: int, places: Any, what: str) -> Value:
    """Return the part of x that places of a smaller shape reach: all of it along ``dim``."""
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    fits = len(places.shape) == len(x.shape)
    if not fits or any(n > m for a, (n, m) in enumerate(zip(places.shape, x.shape, strict=True)) if a != dim):
        raise ValueError(f"{what}: indices of shape {places.shape} do not fit {x.shape} along axis {dim}")
    if all(n == m for a, (n, m) in enumerate(zip(places.shape, x.shape, strict=True)) if a != dim):
        return x
    key = tuple(slice(None) if a == dim else slice(n) for a, n in enumerate(places.shape))
    return index_of(x, key)


def placed(src: Value, dim: int, places: Any, shape: tuple[int, ...]) -> Value:
    """Return zeros of a shape, with src added at places along an axis."""
    src = index_of(src, tuple(slice(n) for n in places.shape)) if src.shape != places.shape else src
    small = tuple(n if a == dim % len(shape) else m for a, (n, m) in enumerate(zip(shape, places.shape, strict=True)))
    added = add_along_axis(src, places, dim, small)
    return added if small == tuple(shape) else add_at(added, tuple(slice(n) for n in small), tuple(shape))


@implements(method="scatter_add")
@accept_numbers
def scatter_add(x: Value, dim: int, index: Value, src: Value) -> Value:
    """Add into a copy of x by places along an axis, as ``torch.scatter_add``. Repeats add up.

    Args:
        x: of any shape.
        dim: the axis along which the places count.
        index: integers, of as many axes as x.
        src: what to add: at least of the shape of ``index``.

    Returns:
        x with ``src`` added.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit.

    >>> scatter_add(np.zeros(2), 0, np.array([1, 1]), Tensor([1.0, 2.0])).data
    array([0., 3.])
    """
    places = integers(index)
    corner(array_of(x), dim, places, "scatter_add")
    return x + placed(src, dim, places, x.shape)


@implements(method="scatter")
def scatter_method(x: Value, dim: int, index: Value, src: Value) -> Value:
    """Put into a copy of x by places along an axis, as PyTorch's ``x.scatter(dim, index, src)``; the last one stays.

    Args:
        x: of any shape.
        dim: the axis along which the places count.
        index: integers, of as many axes as x.
        src: what to put there: a number, or an array at least of the shape of ``index``.

    Returns:
        x with ``src`` in those places.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit.

    >>> Tensor([1.0, 2.0]).scatter(0, np.array([1]), 5.0).data
    array([1., 5.])
    """
    places = integers(index)
    numbers = np.arange(places.size).reshape(places.shape)
    last = np.full(x.shape, -1)
    reached = corner(last, dim, places, "scatter")
    np.put_along_axis(reached, places, numbers, dim)  # of several that go to one place, the last one stays
    src = src if hasattr(src, "shape") else np.asarray(src, x.dtype)
    src = index_of(src, tuple(slice(n) for n in places.shape)) if src.shape else broadcast_to(src, places.shape)
    return put_in(x, last, src)


def put_in(x: Value, last: Array, values: Value) -> Value:
    """Put values into a copy of x: ``last`` has for each of its elements the number of the value there, or -1."""
    if not (last >= 0).any():
        return x
    taken = index_of(in_row(values), np.maximum(last, 0))
    return where(last >= 0, taken, x)


def in_row(x: Value) -> Value:
    """Lay all elements out in one row, if they do not lie so."""
    return x if len(x.shape) == 1 else flatten(x)


@implements(method="index_add")
@accept_numbers
def index_add(x: Value, dim: int, index: Value, source: Value, alpha: float = 1) -> Value:
    """Add rows into a copy of x at places along an axis, as ``torch.index_add``. Repeats add up.

    Args:
        x: of any shape.
        dim: the axis.
        index: integers, a vector: for each row of ``source`` its place.
        source: rows along ``dim``.
        alpha: what they are multiplied by.

    Returns:
        x with the rows added.

    Raises:
        IndexError: there is no such place.

    >>> index_add(np.zeros(2), 0, [1, 1], Tensor([1.0, 2.0])).data
    array([0., 3.])
    """
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    added = add_at(source, (slice(None),) * dim + (integers(index),), tuple(x.shape))
    return x + (added if alpha == 1 else added * alpha)


@implements(method="masked_select")
def masked_select(x: Value, mask: Value) -> Value:
    """Take the elements where ``mask`` holds, in one row, as ``torch.masked_select``.

    Args:
        x: of any shape.
        mask: booleans that broadcast against x.

    Returns:
        A vector.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> masked_select(Tensor([1.0, 2.0]), np.array([False, True])).data
    array([2.])
    """
    shape = np.broadcast_shapes(x.shape, np.shape(array_of(mask)))
    return index_of(broadcast_to(x, shape), np.broadcast_to(array_of(mask), shape))


@implements(np.extract)
def extract(condition: Value, x: Value) -> Value:
    """Take the elements where a condition holds, in one row.

    Args:
        condition: booleans, as many as x has elements.
        x: of any shape.

    Returns:
        A vector.

    Raises:
        IndexError: there are more conditions than elements.

    >>> extract([True, False], Tensor([1.0, 2.0])).data
    array([1.])
    """
    return index_of(flatten(x), np.flatnonzero(np.ravel(array_of(condition))))


@implements(np.compress)
@accept_dim
def compress(condition: Value, x: Value, axis: int | None = None) -> Value:
    """Take the places along an axis where a condition holds.

    Args:
        condition: booleans, a vector.
        x: of any shape.
        axis: along which axis; None counts the elements as they lie in one row.

    Returns:
        The elements there.

    Raises:
        IndexError: there are more conditions than places.

    >>> compress([False, True], Tensor([[1.0, 2.0]]), axis=1).data
    array([[2.]])
    """
    return take(x, np.flatnonzero(np.asarray(array_of(condition))), axis)


@implements(method="compress")
def compress_method(x: Value, condition: Value, axis: int | None = None) -> Value:
    """Take the places where a condition holds: ``x.compress(condition, axis)``, as `compress`."""
    return compress(condition, x, axis)


@implements(np.choose)
def choose(choice: Any, choices: Sequence[Value], mode: str = "raise") -> Value:
    """Take each element from one of several arrays.

    Args:
        choice: integers: from which array.
        choices: arrays that broadcast.
        mode: as in `take`.

    Returns:
        An array of the common shape.

    Raises:
        IndexError, ValueError: there is no such array.

    >>> choose(np.array([1, 0]), [Tensor([1.0, 2.0]), np.array([3.0, 4.0])]).data
    array([3., 2.])
    """
    shape = common_shape(choice, *choices)
    rows = stack([broadcast_to(x if hasattr(x, "shape") else np.asarray(x), shape) for x in choices])
    places, n = np.broadcast_to(integers(choice), shape), len(choices)
    places = places % n if mode == "wrap" else places.clip(0, n - 1) if mode == "clip" else places
    if mode == "raise" and places.size and not (places >= 0).all():
        raise ValueError(f"choose: an index is negative; there are {n} arrays, counted from 0")
    return index_of(take_along_axis(rows, places[None], 0), 0)


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Value], default: Value = 0) -> Value:
    """Take each element from the first array whose condition holds there.

    Args:
        condlist: arrays of booleans.
        choicelist: for each of them an array.
        default: what stands where no condition holds.

    Returns:
        An array of the common shape.

    Raises:
        ValueError: the lists are empty, or of different lengths.

    >>> select([np.array([True, False])], [Tensor([1.0, 2.0])], 9.0).data
    array([1., 9.])
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(f"select: {len(condlist)} conditions and {len(choicelist)} arrays: give as many, at least one")
    found = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        found = where(condition, choice, found)
    return found


@implements(method="select")
def select_method(x: Value, dim: int, index: int) -> Value:
    """Take one place of an axis, which goes: PyTorch's ``x.select(dim, index)``."""
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    return index_of(x, (slice(None),) * dim + (index,))
