"""Rearranging: elements in another order, or copied, composed of indexing, reshaping and broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Axis, Shape, Value
from tinygraph.ops.indexing import index, part
from tinygraph.ops.joining import join
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.shape import broadcast_to, common_shape, expand_dims, flatten, moveaxis, reshape, swapaxes

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "broadcast_tensors", "flip", "fliplr", "flipud",
    "meshgrid", "movedim", "repeat", "repeat_interleave", "roll", "rollaxis", "rot90", "swapdims", "tile", "unflatten",
]  # fmt: skip


@implements(np.flip)
@accept_dim
def flip(x: Value, axis: Axis = None) -> Value:
    """Reverse the order along axes.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.

    Returns:
        The same elements, of the shape of x.

    Raises:
        AxisError: x has no such axis.

    >>> flip(Tensor([1.0, 2.0, 3.0])).data
    array([3., 2., 1.])
    """
    axes = normalize_axis_tuple(range(len(x.shape)) if axis is None else axis, len(x.shape))
    return index(x, tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(len(x.shape))))


@implements(np.fliplr, method="fliplr")
def fliplr(x: Value) -> Value:
    """Reverse the columns.

    Args:
        x: of two axes or more.

    Returns:
        x, its axis 1 reversed.

    Raises:
        ValueError: x has less than two axes.

    >>> fliplr(Tensor([[1.0, 2.0]])).data
    array([[2., 1.]])
    """
    if len(x.shape) < 2:
        raise ValueError(f"fliplr: x has shape {x.shape}, and must have two axes or more")
    return flip(x, 1)


@implements(np.flipud, method="flipud")
def flipud(x: Value) -> Value:
    """Reverse the rows.

    Args:
        x: of one axis or more.

    Returns:
        x, its axis 0 reversed.

    Raises:
        AxisError: x has no axis.

    >>> flipud(Tensor([[1.0], [2.0]])).data
    array([[2.],
           [1.]])
    """
    return flip(x, 0)


@implements(np.rot90, method="rot90")
def rot90(x: Value, k: int = 1, axes: Sequence[int] = (0, 1)) -> Value:
    """Turn by right angles, from the first of two axes towards the second.

    Args:
        x: of two axes or more.
        k: how many right angles; below 0, the other way.
        axes: the plane in which to turn.

    Returns:
        The same elements.

    Raises:
        ValueError: the axes are not two different ones of x.

    >>> rot90(Tensor([[1.0, 2.0], [3.0, 4.0]])).data
    array([[2., 4.],
           [1., 3.]])
    """
    a, b = normalize_axis_tuple(axes, len(x.shape))
    if k % 4 == 0:
        return flip(x, ())
    if k % 4 == 2:
        return flip(x, (a, b))
    return swapaxes(flip(x, b), a, b) if k % 4 == 1 else flip(swapaxes(x, a, b), b)


@implements(np.roll, method="roll")
@accept_dim
def roll(x: Value, shift: int | Sequence[int], axis: Axis = None) -> Value:
    """Move elements along axes; what leaves at the end comes in at the beginning.

    Args:
        x: of any shape.
        shift: by how many places, for each axis; below 0, towards the beginning.
        axis: one axis, several, or None: all elements then lie in one row.

    Returns:
        The same elements, of the shape of x.

    Raises:
        ValueError: the numbers of shifts and axes do not fit.

    >>> roll(Tensor([1.0, 2.0, 3.0]), 1).data
    array([3., 1., 2.])
    """
    if axis is None:
        return reshape(roll(flatten(x), shift, 0), x.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    rolled = x
    for by, a in zip(shifts.tolist(), axes.tolist(), strict=True):
        (a,) = normalize_axis_tuple(a, len(x.shape))
        if by := by % (x.shape[a] or 1):
            rolled = join(part(rolled, a, -by), part(rolled, a, None, -by), axis=a)
    return rolled if rolled is not x else flip(x, ())  # a value of its own, even where nothing moves


@implements(np.tile)
def tile(x: Value, reps: int | Sequence[int]) -> Value:
    """Lay copies of an array side by side.

    Args:
        x: of any shape.
        reps: how many copies along each axis, from the last one on; more numbers than axes add axes in front.

    Returns:
        An array, each axis as many times as long.

    Raises:
        ValueError: a number is negative.

    >>> tile(Tensor([1.0, 2.0]), 2).data
    array([1., 2., 1., 2.])
    """
    counts = (reps,) if isinstance(reps, int | np.integer) else tuple(reps)
    rank = max(len(counts), len(x.shape))
    counts, lengths = (1,) * (rank - len(counts)) + counts, (1,) * (rank - len(x.shape)) + tuple(x.shape)
    apart = reshape(x, [n for length in lengths for n in (1, length)])
    copied = broadcast_to(apart, tuple(n for pair in zip(counts, lengths, strict=True) for n in pair))
    return reshape(copied, [a * b for a, b in zip(counts, lengths, strict=True)])


@implements(method="tile")
def tile_method(x: Value, *reps: Any) -> Value:
    """Lay copies side by side: ``x.tile(2, 1)`` or ``x.tile((2, 1))``, as `tile`."""
    return tile(x, reps[0] if len(reps) == 1 else reps)


@implements(method="flip")
def flip_method(x: Value, *axes: Any, axis: Axis = None, dims: Axis = None) -> Value:
    """Reverse axes: ``x.flip(0, 1)``, ``x.flip((0, 1))`` or ``x.flip(dims=(0, 1))``, as `flip`."""
    given = axes[0] if len(axes) == 1 else axes or None
    return flip(x, next((a for a in (given, axis, dims) if a is not None), None))


@implements(np.repeat, method="repeat_interleave")
@accept_dim
def repeat(x: Value, repeats: Any, axis: int | None = None) -> Value:
    """Copy each element so many times in place, as ``numpy.repeat`` and ``torch.repeat_interleave``.

    Args:
        x: of any shape.
        repeats: a number, or one for each place along ``axis``.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        An array that is longer along ``axis``.

    Raises:
        ValueError: the number of repeats does not fit.

    >>> repeat(Tensor([1.0, 2.0]), 2).data
    array([1., 1., 2., 2.])
    """
    if axis is None:
        x, axis = flatten(x), 0
    (axis,) = normalize_axis_tuple(axis, len(x.shape))
    counts = np.asarray(array_of(repeats))
    if counts.size == 1:
        n = int(counts.reshape(()))
        apart = expand_dims(x, axis + 1)
        copied = broadcast_to(apart, (*x.shape[: axis + 1], n, *x.shape[axis + 1 :]))
        return reshape(copied, (*x.shape[:axis], x.shape[axis] * n, *x.shape[axis + 1 :]))
    return index(x, (slice(None),) * axis + (np.repeat(np.arange(x.shape[axis]), counts),))


repeat_interleave = repeat


@implements(method="repeat")
def repeat_method(x: Value, *repeats: Any, axis: int | None = None) -> Value:
    """Copy each element in place where the call can mean nothing else: ``x.repeat(2, axis=0)``.

    ``x.repeat(2)`` copies elements in NumPy, and the whole in PyTorch.

    Raises:
        TypeError: it is not said along which axis.
    """
    if axis is None or len(repeats) != 1:
        raise TypeError(
            f"repeat{repeats} copies each element in NumPy, and lays out copies of the whole in PyTorch: "
            "write x.repeat_interleave(n, axis), or x.tile(n, …)"
        )
    return repeat(x, *repeats, axis)


@implements(np.meshgrid)
def meshgrid(*xs: Value, indexing: str = "xy", sparse: bool = False) -> tuple[Value, ...]:
    """Lay vectors out as the coordinates of a grid.

    Args:
        xs: vectors, one for each axis of the grid.
        indexing: "xy" as NumPy has it, where the first vector runs along axis 1; or "ij", along axis 0.
        sparse: leave the copies out: the results broadcast to the grid.

    Returns:
        An array for each vector, each of the shape of the grid.

    Raises:
        ValueError: another ``indexing``.

    >>> [x.shape for x in meshgrid(Tensor([1.0, 2.0]), Tensor([1.0, 2.0, 3.0]), indexing="ij")]
    [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing={indexing!r} is not known: it is 'xy' or 'ij'")
    flat = [reshape(x, (-1,)) for x in xs]
    places = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        places[:2] = 1, 0
    shape = [0] * len(xs)
    for place, x in zip(places, flat, strict=True):
        shape[place] = x.shape[0]
    spread = [
        reshape(x, [-1 if i == place else 1 for i in range(len(xs))]) for place, x in zip(places, flat, strict=True)
    ]
    return tuple(x if sparse else broadcast_to(x, tuple(shape)) for x in spread)


@implements(np.broadcast_arrays)
def broadcast_arrays(*xs: Value) -> tuple[Value, ...]:
    """Copy arrays to their common shape, as ``numpy.broadcast_arrays`` and ``torch.broadcast_tensors``.

    Args:
        xs: arrays whose shapes broadcast.

    Returns:
        All of them, in one shape.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> [x.shape for x in broadcast_arrays(Tensor([1.0, 2.0]), Tensor([[3.0]]))]
    [(1, 2), (1, 2)]
    """
    shape = common_shape(*xs)
    return tuple(broadcast_to(x, shape) for x in xs)


broadcast_tensors = broadcast_arrays


def to_axes(rank: int, places: Callable[[Shape], Shape]) -> Callable[..., Any]:
    """Return a function that gives arrays at least so many axes; ``places`` says the new shape."""

    def call(*xs: Value) -> Any:
        given = [x if hasattr(x, "shape") else np.asarray(x) for x in xs]
        found = [x if len(x.shape) >= rank else reshape(x, places(x.shape)) for x in given]
        return found[0] if len(found) == 1 else tuple(found)

    return call


def atleast_1d(*xs: Value) -> Any:
    """Make vectors of numbers.

    Args:
        xs: arrays of any shape.

    Returns:
        The array, or a tuple of them; a number has become one of shape (1,).

    >>> atleast_1d(Tensor(1.0)).shape
    (1,)
    """
    return to_axes(1, lambda shape: (1,))(*xs)


def atleast_2d(*xs: Value) -> Any:
    """Make matrices of numbers and vectors.

    Args:
        xs: arrays of any shape.

    Returns:
        The array, or a tuple of them; a vector has become a row.

    >>> atleast_2d(Tensor([1.0, 2.0])).shape
    (1, 2)
    """
    return to_axes(2, lambda shape: (1, *shape) if shape else (1, 1))(*xs)


def atleast_3d(*xs: Value) -> Any:
    """Make arrays of three axes of what has less.

    Args:
        xs: arrays of any shape.

    Returns:
        The array, or a tuple of them; a vector is of shape (1, n, 1), a matrix (n, m, 1), as in NumPy.

    >>> atleast_3d(Tensor([1.0, 2.0])).shape
    (1, 2, 1)
    """
    return to_axes(3, lambda shape: ((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)])(*xs)


for _function in (atleast_1d, atleast_2d, atleast_3d):
    implements(getattr(np, _function.__name__))(_function)


@implements(np.rollaxis)
def rollaxis(x: Value, axis: int, start: int = 0) -> Value:
    """Move an axis before another one; `moveaxis` is easier to read.

    Args:
        x: of any shape.
        axis: the axis to move.
        start: before which axis.

    Returns:
        The same elements.

    Raises:
        AxisError: x has no such axis.

    >>> rollaxis(Tensor(np.ones((2, 3, 4))), 2).shape
    (4, 2, 3)
    """
    n = len(x.shape)
    (axis,), start = normalize_axis_tuple(axis, n), start + n if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


@implements(method="unflatten")
def unflatten(x: Value, dim: int, sizes: Sequence[int]) -> Value:
    """Make several axes of one, as ``torch.unflatten``.

    Args:
        x: of any shape.
        dim: the axis.
        sizes: the lengths that it becomes; one may be -1.

    Returns:
        The same elements.

    Raises:
        ValueError: the lengths do not fit.

    >>> unflatten(Tensor(np.ones((2, 6))), 1, (2, 3)).shape
    (2, 2, 3)
    """
    (dim,) = normalize_axis_tuple(dim, len(x.shape))
    return reshape(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


movedim, swapdims = moveaxis, swapaxes
