"""Putting values into a copy of an array, and reducing what comes together in one place.

Where values go is worked out on numbers of places. Elements are then taken from there, so that the derivatives are
those of indexing and of the reductions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Value
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index as index_of
from tinygraph.ops.indexing import scatter as add_at
from tinygraph.ops.joining import concatenate
from tinygraph.ops.reduce import max as largest
from tinygraph.ops.reduce import min as smallest
from tinygraph.ops.reduce import sum as total
from tinygraph.ops.scans import prod
from tinygraph.ops.selecting import accept_numbers, corner, in_row, integers, put_in
from tinygraph.ops.shape import broadcast_to, reshape

__all__ = ["index_copy", "index_fill", "index_put", "masked_scatter", "scatter_reduce"]

# Which reductions there are, and what a place that no value has counts as.
REDUCTIONS = {"sum": (total, 0.0), "prod": (prod, 1.0), "amax": (largest, -math.inf), "amin": (smallest, math.inf)}


def numbered(x: Value, key: Any) -> tuple[Array, tuple[int, ...]]:
    """Number the elements that an index takes; return the last number in each place of x, and the index's shape."""
    last = np.full(x.shape, -1)
    shape = last[key].shape
    last[key] = np.arange(math.prod(shape)).reshape(shape)  # of several that go to one place, the last one stays
    return last, shape


def rows(x: Value, dim: int, index: Value) -> tuple[Any, ...]:
    """Return the key of places along an axis."""
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    return (*(slice(None),) * dim, integers(index))


@implements(method="index_copy")
@accept_numbers
@composite
def index_copy(x: Value, dim: int, index: Value, source: Value) -> Value:
    """Put rows into a copy of x at places along an axis, as ``torch.index_copy``; of repeats the last one stays.

    Args:
        x: of any shape.
        dim: the axis.
        index: integers, a vector: for each row of ``source`` its place.
        source: rows along ``dim``.

    Returns:
        x with these rows.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit.

    >>> index_copy(np.zeros(3), 0, np.array([2, 0]), Tensor([1.0, 2.0])).data
    array([2., 0., 1.])
    """
    last, shape = numbered(x, rows(x, dim, index))
    if math.prod(shape) != math.prod(source.shape):
        raise ValueError(f"index_copy: the source has shape {tuple(source.shape)}, and the places {shape}")
    return put_in(x, last, source)


@implements(method="index_fill")
@accept_numbers
def index_fill(x: Value, dim: int, index: Value, value: Value) -> Value:
    """Put one value into a copy of x at places along an axis, as ``torch.index_fill``.

    Args:
        x: of any shape.
        dim: the axis.
        index: integers, a vector.
        value: a number, or a Tensor of no axes, to which gradients go.

    Returns:
        x with that value there.

    Raises:
        IndexError: there is no such place.

    >>> index_fill(Tensor([1.0, 2.0]), 0, np.array([1]), -1.0).data
    array([ 1., -1.])
    """
    mask = np.zeros(x.shape, bool)
    mask[rows(x, dim, index)] = True
    return where(mask, value, x)


@implements(method="index_put")
@composite
def index_put(x: Value, indices: Value, values: Value, accumulate: bool = False) -> Value:
    """Put values into a copy of x at an index, as ``torch.index_put``: what ``x[indices] = values`` would do.

    Args:
        x: of any shape.
        indices: a tuple of integers or booleans, one array for each axis.
        values: of a shape that broadcasts to that of ``x[indices]``.
        accumulate: add them to what is there, repeats too; else of repeats the last one stays.

    Returns:
        x with the values.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit.

    >>> index_put(np.zeros(2), (np.array([1, 1]),), Tensor([1.0, 2.0]), accumulate=True).data
    array([0., 3.])
    """
    key = tuple(map(integers, indices))
    last, shape = numbered(x, key)
    values = broadcast_to(values if hasattr(values, "shape") else np.asarray(values, x.dtype), shape)
    return x + add_at(values, key, tuple(x.shape)) if accumulate else put_in(x, last, values)


@implements(method="masked_scatter")
@composite
def masked_scatter(x: Value, mask: Value, source: Value) -> Value:
    """Put values, in their order, where ``mask`` holds, as ``torch.masked_scatter``.

    Args:
        x: of any shape.
        mask: booleans that broadcast against x.
        source: of any shape, of at least as many elements as there are places.

    Returns:
        x with the values.

    Raises:
        ValueError: there are too few of them, or the shapes do not broadcast.

    >>> masked_scatter(np.zeros(3), np.array([True, False, True]), Tensor([1.0, 2.0])).data
    array([1., 0., 2.])
    """
    shape = np.broadcast_shapes(x.shape, np.shape(array_of(mask)))
    holds = np.broadcast_to(array_of(mask), shape)
    count = int(holds.sum())
    if count > math.prod(source.shape):
        raise ValueError(f"masked_scatter: {count} places, and {math.prod(source.shape)} values")
    last = np.where(holds, np.cumsum(holds).reshape(shape) - 1, -1)
    return put_in(broadcast_to(x, shape), last, source)


@implements(method="scatter_reduce")
@accept_numbers
@composite
def scatter_reduce(x: Value, dim: int, index: Value, src: Value, reduce: str, *, include_self: bool = True) -> Value:
    """Reduce what goes to each place along an axis, as ``torch.scatter_reduce``. Ties share the gradient equally.

    The values of each place are laid out in a row, and the rows are reduced; they are as long as the longest.

    Args:
        x: of any shape.
        dim: the axis along which the places count.
        index: integers, of as many axes as x.
        src: values, at least of the shape of ``index``.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the element of x counts, too; where nothing else goes it always stays.

    Returns:
        Of the shape of x.

    Raises:
        IndexError: there is no such place.
        ValueError: the shapes do not fit, or there is no such reduction.

    >>> scatter_reduce(np.zeros(2), 0, np.array([1, 1]), Tensor([1.0, 3.0]), "mean", include_self=False).data
    array([0., 2.])
    """
    if reduce not in (*REDUCTIONS, "mean"):
        raise ValueError(f"scatter_reduce: reduce={reduce!r} is none of {', '.join(REDUCTIONS)} and mean")
    places = integers(index)
    numbers = np.arange(math.prod(x.shape)).reshape(x.shape)
    goes = np.take_along_axis(corner(numbers, dim, places, "scatter_reduce"), places, dim).ravel()
    counts = np.bincount(goes, minlength=numbers.size)
    order = np.argsort(goes, kind="stable")
    ranks = np.arange(goes.size) - np.repeat(np.cumsum(counts) - counts, counts)
    nothing = numbers.size + goes.size  # the number of the value that stands where a row is short
    table = np.full((numbers.size, 1 + counts.max(initial=0)), nothing)
    table[:, 0] = np.where(include_self | (counts == 0), numbers.ravel(), nothing)
    table[goes[order], 1 + ranks] = numbers.size + order
    function, neutral = REDUCTIONS.get(reduce, REDUCTIONS["sum"])
    src = index_of(src, tuple(slice(n) for n in places.shape)) if src.shape != places.shape else src
    values = concatenate([in_row(x), in_row(src), np.full_like(array_of(x), neutral, shape=(1,))])
    out = function(index_of(values, table), -1)
    out = reshape(out, x.shape) if len(x.shape) > 1 else out
    if reduce == "mean":
        out = out / np.maximum((table != nothing).sum(axis=-1), 1).reshape(x.shape).astype(out.dtype)
    return out
