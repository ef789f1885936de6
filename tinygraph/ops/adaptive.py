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
    rank = len(size)
    before = x.shape[-rank:]
    places = np.arange(math.prod(before)).reshape(before)
    out = np.empty((*x.shape[:-rank], *size), np.int64)
    cuts = [edges(n, m) for n, m in zip(before, size, strict=True)]
    for at in np.ndindex(*size):
        inside: Any = (..., *(slice(*cut[i]) for cut, i in zip(cuts, at, strict=True)))
        within = places[inside].ravel()
        out[..., *at] = within[x[inside].reshape(*x.shape[:-rank], len(within)).argmax(-1)]
    return out


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
