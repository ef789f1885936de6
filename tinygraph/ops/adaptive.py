"""Pooling into a given number of windows, made of other ops. The windows may overlap, and differ in length by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.kernels.arrays import to_numpy
from tinygraph.ops import pooling
from tinygraph.ops.indexing import index
from tinygraph.ops.linear import matmul
from tinygraph.ops.shape import reshape, transpose
from tinygraph.ops.windows import lengths, spelled

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]  # fmt: skip

Size = int | Sequence[int | None]


def edges(length: int, count: int) -> list[tuple[int, int]]:
    """Return where each of ``count`` windows along an axis begins and ends."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def averages(x: Array, length: int, count: int) -> Array:
    """Return the matrix (count, length) that averages ``count`` windows of an axis, as an array like ``x``."""
    out = np.zeros_like(x, shape=(count, length), dtype=x.dtype if x.dtype.kind == "f" else float, order="C")
    for i, (start, stop) in enumerate(edges(length, count)):
        out[i, start:stop] = 1 / (stop - start)
    return out


def resolve(shape: Shape, output_size: Size, rank: int) -> tuple[Shape, Shape]:
    """Return how long the last axes of ``shape`` are, and the number of windows along each."""
    before = tuple(shape[-rank:])
    if len(before) < rank:
        raise ValueError(f"x has shape {shape}; there are windows over {rank} axes")
    given = output_size if isinstance(output_size, Sequence) else (output_size,) * rank
    return before, lengths([before[i % rank] if n is None else n for i, n in enumerate(given)], "output_size", 1, rank)


def largest_places(x: Array, size: Shape) -> Array:
    """Return, for each of ``size`` windows, the place of its largest pixel, the first of equals, as an integer."""
    before = x.shape[-len(size) :]
    inside = []
    for n, m in zip(before, size, strict=True):
        first, stop = np.transpose(edges(n, m))[:, :, None]
        inside.append(np.minimum(first + np.arange((stop - first).max()), stop - 1)[None])
    places = places_in_windows(inside, before)[0]
    rows = x.reshape(-1, math.prod(before))
    choice = rows.take(places, 1).argmax(-1)  # what a window sees twice is not its first
    out: Array = places[np.arange(len(places)), choice].reshape(*x.shape[: -len(size)], *size)
    return out


def places_in_windows(inside: Sequence[Array], before: Shape) -> Array:
    """Return the places of the pixels in each window, (n, windows, pixels), counted by rows.

    Args:
        inside: for each axis the places along it that each window sees, (n, windows, pixels); n may be 1.
        before: how long the axes are.
    """
    rank, found = len(before), np.zeros((1,) * (2 * len(before) + 1), int)
    for axis, at in enumerate(inside):
        shape = [1] * 2 * rank
        shape[axis], shape[rank + axis] = at.shape[1:]
        found = found * before[axis] + at.reshape(len(at), *shape)
    windows, pixels = math.prod(found.shape[1 : rank + 1]), math.prod(found.shape[rank + 1 :])
    return found.reshape(len(found), windows, pixels)


def take_largest(x: Value, output_size: Size, rank: int) -> tuple[Value, Array]:
    """Return the largest of each window, and their places in each array."""
    before, size = resolve(x.shape, output_size, rank)
    places = largest_places(to_numpy(array_of(x)), size)
    count = math.prod(x.shape[:-rank])
    rows = reshape(x, (count, math.prod(before)))
    taken = index(rows, (np.arange(count)[:, None], places.reshape(count, math.prod(size))))
    return reshape(taken, (*x.shape[:-rank], *size)), places


def define(rank: int) -> tuple[Any, Any]:
    """Make the two functions for windows over ``rank`` axes."""
    average = getattr(pooling, f"avg_pool{rank}d")

    @spelled(rank)
    def adaptive_avg_pool(x: Value, output_size: Size) -> Value:
        """Average windows that tile ARRAYS into ``output_size``, as ``torch.nn.functional.adaptive_avg_poolRANK``.

        Window i of n along an axis of length H goes from ⌊iH/n⌋ to ⌈(i+1)H/n⌉. Averages along an axis are a
        matrix product; where n divides H, they are `avg_poolRANK`.

        Args:
            x: ARRAYS (…, AXES).
            output_size: (RESULTS), or one number for all; None leaves an axis as long as it is.

        Returns:
            (…, RESULTS).

        Raises:
            ValueError: a length is no integer of at least 1.

        >>> adaptive_avg_poolRANK(Tensor(np.array([1.0, 2.0, 6.0]).reshape(ONES3)), (ONES2,)).data.ravel()
        array([1.5, 4. ])
        """
        before, size = resolve(x.shape, output_size, rank)
        if all(n % m == 0 for n, m in zip(before, size, strict=True)):
            return average(x, tuple(n // m for n, m in zip(before, size, strict=True)))
        like = array_of(x)
        if size[-1] != before[-1]:
            x = matmul(x, transpose(averages(like, before[-1], size[-1])))
        for axis in range(2, rank + 1):
            n, m = before[-axis], size[-axis]
            if n != m:
                rows = reshape(x, (*x.shape[:-axis], n, math.prod(x.shape[len(x.shape) - axis + 1 :])))
                x = reshape(
                    matmul(averages(like, n, m), rows), (*x.shape[:-axis], m, *x.shape[len(x.shape) - axis + 1 :])
                )
        return x

    @spelled(rank)
    def adaptive_max_pool(x: Value, output_size: Size) -> Value:
        """Take the largest of windows that tile ARRAYS, as ``torch.nn.functional.adaptive_max_poolRANK``.

        Window i of n along an axis of length H goes from ⌊iH/n⌋ to ⌈(i+1)H/n⌉. Of equal pixels the first one, by rows,
        has the gradient.

        Args:
            x: ARRAYS (…, AXES).
            output_size: (RESULTS), or one number for all; None leaves an axis as long as it is.

        Returns:
            (…, RESULTS).

        Raises:
            ValueError: a length is no integer of at least 1.

        >>> adaptive_max_poolRANK(Tensor(np.array([1.0, 2.0, 6.0]).reshape(ONES3)), (ONES2,)).data.ravel()
        array([2., 6.])
        """
        return take_largest(x, output_size, rank)[0]

    return adaptive_avg_pool, adaptive_max_pool


adaptive_avg_pool1d, adaptive_max_pool1d = define(1)
adaptive_avg_pool2d, adaptive_max_pool2d = define(2)
adaptive_avg_pool3d, adaptive_max_pool3d = define(3)
