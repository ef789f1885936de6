"""Assembling arrays from others, and taking them apart, under NumPy's and PyTorch's names: made of join and index."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.ops.indexing import index, part, split, take_parts, unbind
from tinygraph.ops.joining import concatenate
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.rearranging import atleast_1d, atleast_2d, atleast_3d
from tinygraph.ops.shape import broadcast_to, flatten, moveaxis, reshape

__all__ = [
    "append", "array_split", "block", "chunk", "column_stack", "delete", "dsplit", "dstack", "hsplit", "hstack",
    "insert", "narrow", "resize", "row_stack", "tensor_split", "unstack", "vsplit", "vstack",
]  # fmt: skip

Arrays = Sequence[Value]


def each(function: Any, arrays: Arrays) -> list[Value]:
    """Call a function with each of several arrays."""
    return [function(x) for x in arrays]


@implements(np.vstack)
def vstack(tensors: Arrays) -> Value:
    """Put arrays below each other; a vector is a row.

    Args:
        tensors: arrays whose shapes differ along the first axis alone.

    Returns:
        All their elements.

    Raises:
        ValueError: the shapes do not fit.

    >>> vstack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]).shape
    (2, 2)
    """
    return concatenate(each(atleast_2d, tensors), 0)


row_stack = vstack


@implements(np.hstack)
def hstack(tensors: Arrays) -> Value:
    """Put arrays beside each other: along axis 1, vectors along axis 0.

    Args:
        tensors: arrays whose shapes differ along that axis alone.

    Returns:
        All their elements.

    Raises:
        ValueError: the shapes do not fit.

    >>> hstack([Tensor([1.0, 2.0]), Tensor([3.0])]).data
    array([1., 2., 3.])
    """
    arrays = each(atleast_1d, tensors)
    return concatenate(arrays, 0 if arrays and len(arrays[0].shape) == 1 else 1)


@implements(np.dstack)
def dstack(tensors: Arrays) -> Value:
    """Put arrays behind each other, along axis 2.

    Args:
        tensors: arrays whose shapes differ along axis 2 alone.

    Returns:
        All their elements.

    Raises:
        ValueError: the shapes do not fit.

    >>> dstack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]).shape
    (1, 2, 2)
    """
    return concatenate(each(atleast_3d, tensors), 2)


@implements(np.column_stack)
def column_stack(tensors: Arrays) -> Value:
    """Put vectors beside each other as the columns of a matrix; a matrix keeps its columns.

    Args:
        tensors: vectors and matrices of as many rows.

    Returns:
        A matrix.

    Raises:
        ValueError: the shapes do not fit.

    >>> column_stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])]).data
    array([[1., 3.],
           [2., 4.]])
    """
    arrays = each(atleast_1d, tensors)
    return concatenate([reshape(x, (-1, 1)) if len(x.shape) == 1 else x for x in arrays], 1)


@implements(np.block)
def block(arrays: Any) -> Value:
    """Assemble an array of blocks that stand in nested lists, the innermost beside each other.

    Args:
        arrays: an array, or a list of such.

    Returns:
        The blocks in one array.

    Raises:
        ValueError: the shapes do not fit, or the lists are not nested alike.

    >>> a = Tensor([[1.0]])
    >>> block([[a, a], [a, a]]).shape
    (2, 2)
    """
    depth = depth_of(arrays)
    return joined(arrays, depth, max(depth, *(len(np.shape(array_of(x))) for x in leaves_of(arrays))))


def depth_of(nested: Any) -> int:
    """Return how deep lists are nested; raise if not everywhere alike."""
    if not isinstance(nested, list):
        return 0
    depths = {depth_of(x) for x in nested}
    if len(depths) != 1:
        raise ValueError("block: the lists are empty, or nested deeper in one place than in another")
    return 1 + depths.pop()


def leaves_of(nested: Any) -> list[Any]:
    """Return the arrays in nested lists."""
    return [x for part in nested for x in leaves_of(part)] if isinstance(nested, list) else [nested]


def joined(nested: Any, depth: int, rank: int) -> Value:
    """Join nested lists, the outermost along the first of their axes; each array has at least ``rank`` axes."""
    if isinstance(nested, list):
        return concatenate([joined(x, depth - 1, rank) for x in nested], -depth)
    x = atleast_1d(nested) if rank else nested
    return reshape(x, (1,) * (rank - len(x.shape)) + tuple(x.shape))


@implements(np.append)
def append(x: Value, values: Value, axis: int | None = None) -> Value:
    """Join two arrays at the end of the first.

    Args:
        x: of any shape.
        values: of a shape that differs along ``axis`` alone.
        axis: along which axis; None lays both out in one first.

    Returns:
        A new array.

    Raises:
        ValueError: the shapes do not fit.

    >>> append(Tensor([1.0]), [2.0, 3.0]).data
    array([1., 2., 3.])
    """
    return concatenate([x, values if hasattr(values, "shape") else np.asarray(values)], axis)


def rearranged(function: Any, x: Value, axis: int | None) -> Value:
    """Return the elements that a function of NumPy's puts where, along an axis: it is called with their places."""
    if axis is None:
        x, axis = flatten(x), 0
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    return index(x, (slice(None),) * axis + (function(np.arange(x.shape[axis])),))


@implements(np.delete)
def delete(x: Value, obj: Any, axis: int | None = None) -> Value:
    """Leave places out.

    Args:
        x: of any shape.
        obj: the places along ``axis``: a number, a slice, a list, or booleans.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        A new array.

    Raises:
        IndexError: there is no such place.

    >>> delete(Tensor([1.0, 2.0, 3.0]), 1).data
    array([1., 3.])
    """
    return rearranged(lambda places: np.delete(places, array_of(obj)), x, axis)


@implements(np.insert)
def insert(x: Value, obj: Any, values: Value, axis: int | None = None) -> Value:
    """Put values before places.

    Args:
        x: of any shape.
        obj: the places along ``axis``, as they count before anything is put in.
        values: what to put there: numbers or arrays that broadcast.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        A new array, in the dtype of x.

    Raises:
        IndexError: there is no such place.

    >>> insert(Tensor([1.0, 3.0]), 1, 2.0).data
    array([1., 2., 3.])
    """
    if axis is None:
        x, axis = flatten(x), 0
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    values = values if hasattr(values, "shape") else np.asarray(values, x.dtype)
    n = x.shape[axis]
    one = np.ndim(array_of(obj)) == 0 and not isinstance(obj, slice)
    if one:  # NumPy's rule for a single place: the first axis of the values lies along the axis
        lead = (1,) * (len(x.shape) - len(values.shape))
        values = moveaxis(reshape(values, (*lead, *values.shape)), 0, axis)
    flat = np.insert(np.arange(n), array_of(obj), np.full(values.shape[axis], n) if one else n)
    new = np.flatnonzero(flat == n)
    shape = (*x.shape[:axis], len(new), *x.shape[axis + 1 :])
    order = flat.copy()
    order[new] = n + np.arange(len(new))
    values = broadcast_to(values, shape)
    if not one and not isinstance(obj, slice) and len(np.shape(array_of(obj))):
        asked = np.asarray(array_of(obj))
        asked = np.flatnonzero(asked) if asked.dtype == bool else np.where(asked < 0, asked + n, asked)
        values = index(values, (slice(None),) * axis + (np.argsort(asked, kind="stable"),))
    both = concatenate([x, values.astype(x.dtype)], axis)
    return index(both, (slice(None),) * axis + (order,))


@implements(np.resize)
def resize(x: Value, new_shape: int | Sequence[int]) -> Value:
    """Lay the elements out in another shape, over and over again, as many as it takes.

    Args:
        x: of any shape.
        new_shape: lengths of the axes.

    Returns:
        An array of that shape; a method of NumPy's of this name fills up with zeros instead.

    Raises:
        ValueError: a length is negative.

    >>> resize(Tensor([1.0, 2.0]), 3).data
    array([1., 2., 1.])
    """
    return index(flatten(x), np.resize(np.arange(int(np.prod(x.shape))), new_shape))


def sections(n: int, count: int) -> list[int]:
    """Return the places at which an axis of length n is cut into so many parts, the longer ones first."""
    if count < 1:
        raise ValueError(f"array_split: {count} is no number of sections")
    return [n // count * i + min(i, n % count) for i in range(1, count)]


@implements(np.array_split, method="tensor_split")
@accept_dim
def array_split(x: Value, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Value]:
    """Cut along an axis, into sections that may differ by one in length, or before each index.

    Args:
        x: of any shape.
        indices_or_sections: how many sections, or the indices before which to cut.
        axis: the axis to cut.

    Returns:
        A list of the sections.

    Raises:
        ValueError: there is no such axis, or the number of sections is not positive.

    >>> [piece.shape for piece in array_split(Tensor([1.0, 2.0, 3.0]), 2)]
    [(2,), (1,)]
    """
    axis = normalize_axis_index(axis, len(x.shape))
    places = np.asarray(array_of(indices_or_sections))
    if places.ndim > 1 or (places.dtype.kind not in "iu" and places.size):
        wanted = "a whole number, or a sequence of them"
        raise TypeError(f"array_split: indices_or_sections is {indices_or_sections!r}; it must be {wanted}")
    cuts = places.tolist() if places.ndim else sections(x.shape[axis], int(places))
    pieces: list[Value] = split(x, cuts, axis)
    return pieces


tensor_split = array_split


@implements(np.hsplit, method="hsplit")
def hsplit(x: Value, indices_or_sections: int | Sequence[int]) -> list[Value]:
    """Cut along axis 1; a vector along axis 0.

    Args:
        x: of one axis or more.
        indices_or_sections: as in `split`.

    Returns:
        A list of the sections.

    Raises:
        ValueError: as in `split`.

    >>> [piece.shape for piece in hsplit(Tensor([[1.0, 2.0]]), 2)]
    [(1, 1), (1, 1)]
    """
    pieces: list[Value] = split(x, indices_or_sections, 1 if len(x.shape) > 1 else 0)
    return pieces


@implements(np.vsplit, method="vsplit")
def vsplit(x: Value, indices_or_sections: int | Sequence[int]) -> list[Value]:
    """Cut along axis 0.

    Args:
        x: of two axes or more.
        indices_or_sections: as in `split`.

    Returns:
        A list of the sections.

    Raises:
        ValueError: x has less than two axes; or as in `split`.

    >>> [piece.shape for piece in vsplit(Tensor([[1.0], [2.0]]), 2)]
    [(1, 1), (1, 1)]
    """
    if len(x.shape) < 2:
        raise ValueError(f"vsplit: x has shape {x.shape}, and must have two axes or more")
    pieces: list[Value] = split(x, indices_or_sections, 0)
    return pieces


@implements(np.dsplit, method="dsplit")
def dsplit(x: Value, indices_or_sections: int | Sequence[int]) -> list[Value]:
    """Cut along axis 2.

    Args:
        x: of three axes or more.
        indices_or_sections: as in `split`.

    Returns:
        A list of the sections.

    Raises:
        ValueError: x has less than three axes; or as in `split`.

    >>> [piece.shape for piece in dsplit(Tensor([[[1.0, 2.0]]]), 2)]
    [(1, 1, 1), (1, 1, 1)]
    """
    if len(x.shape) < 3:
        raise ValueError(f"dsplit: x has shape {x.shape}, and must have three axes or more")
    pieces: list[Value] = split(x, indices_or_sections, 2)
    return pieces


@implements(method="chunk")
@accept_dim
def chunk(x: Value, chunks: int, axis: int = 0) -> list[Value]:
    """Cut along an axis into parts of one length, the last one shorter, as ``torch.chunk``.

    Args:
        x: of any shape.
        chunks: how many parts at most.
        axis: the axis to cut.

    Returns:
        A list of the parts.

    Raises:
        ValueError: ``chunks`` is not positive.

    >>> [piece.shape for piece in chunk(Tensor([1.0, 2.0, 3.0]), 2)]
    [(2,), (1,)]
    """
    if chunks < 1:
        raise ValueError(f"chunk: {chunks} is no number of parts")
    axis = normalize_axis_index(axis, len(x.shape))
    pieces: list[Value] = split_by_size(x, max(-(-x.shape[axis] // chunks), 1), axis)
    return pieces


@implements(method="split")
@accept_dim
def split_by_size(x: Value, split_size: int | Sequence[int], axis: int = 0) -> list[Value]:
    """Cut into parts of given lengths: ``x.split(3)`` or ``x.split([1, 2])``, as PyTorch's method.

    Args:
        x: of any shape.
        split_size: the length of a part, or of each part.
        axis: the axis to cut.

    Returns:
        A list of the parts.

    Raises:
        ValueError: the lengths do not add up to that of the axis.

    >>> [piece.shape for piece in Tensor([1.0, 2.0, 3.0]).split(2)]
    [(2,), (1,)]
    """
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    n = x.shape[axis]
    if isinstance(split_size, int | np.integer):
        if split_size < 1:
            raise ValueError(f"split: {split_size} is no length of a part")
        edges = [*range(0, n, int(split_size)), n] if n else [0, 0]
    else:
        edges = [0, *itertools.accumulate(split_size)]
        if edges[-1] != n:
            raise ValueError(f"split: the lengths {list(split_size)} add up to {edges[-1]}, and axis {axis} has {n}")
    return list(take_parts(x, [(slice(None),) * axis + (slice(a, b),) for a, b in itertools.pairwise(edges)]))


@implements(method="narrow")
def narrow(x: Value, dim: int, start: int, length: int) -> Value:
    """Take a part of an axis, as ``torch.narrow``.

    Args:
        x: of any shape.
        dim: the axis.
        start: the first place.
        length: how many.

    Returns:
        x[…, start : start + length, …].

    Raises:
        IndexError: it reaches outside of x.

    >>> narrow(Tensor([1.0, 2.0, 3.0]), 0, 1, 2).data
    array([2., 3.])
    """
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    start = start + x.shape[dim] if start < 0 else start
    if length < 0 or not 0 <= start <= x.shape[dim] - length:
        raise IndexError(f"narrow: {length} from place {start} on reach outside of an axis of length {x.shape[dim]}")
    return part(x, dim, start, start + length)


unstack = unbind
