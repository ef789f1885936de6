"""Poolings that return places, too; what undoes them; and power-average pooling. Over 1, 2 and 3 axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.kernels.arrays import asarray, backend_of, to_numpy
from tinygraph.ops import pooling as ops
from tinygraph.ops.adaptive import Size, take_largest
from tinygraph.ops.elementwise import abs as absolute
from tinygraph.ops.elementwise import relu, sign
from tinygraph.ops.indexing import scatter
from tinygraph.ops.shape import reshape
from tinygraph.ops.windows import Lengths, lengths, spelled

__all__ = [
    "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices",
    "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def unpooled_size(before: Shape, kernel: Shape, stride: Shape, padding: Shape, wanted: Any) -> Shape:
    """Return how long the axes were before a maximum pooling; ``wanted`` tells among those that fit."""
    usual = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(before, stride, padding, kernel, strict=True)]
    if wanted is None:
        return tuple(usual)
    size = tuple(wanted)[-len(before) :]
    if len(size) != len(before) or any(abs(a - b) >= s for a, b, s in zip(size, usual, stride, strict=True)):
        raise ValueError(f"max_unpool: output_size {tuple(wanted)} is not within a stride {stride} of {tuple(usual)}")
    return size


def place(x: Value, indices: Value, size: Shape) -> Value:
    """Put the elements of x (…, *windows) at places of zeros (…, *size); of two for one place the last one counts."""
    rank = len(size)
    at = to_numpy(array_of(indices))
    if at.shape != tuple(x.shape) or at.dtype.kind not in "iu":
        raise ValueError(
            f"max_unpool: indices must be integers of the shape {tuple(x.shape)}, not {at.dtype}{at.shape}"
        )
    count, windows = math.prod(size), math.prod(at.shape[-rank:])
    at = at.reshape(-1, windows)
    if at.size and (at.min() < 0 or at.max() >= count):
        raise ValueError(f"max_unpool: indices go from {at.min()} to {at.max()}; there are {count} places")
    rows, key = reshape(x, at.shape), (np.arange(len(at))[:, None], at)
    last = np.zeros((len(at), count), np.int64)
    last[key] = np.arange(windows)
    counts = last[key] == np.arange(windows)
    if not counts.all():
        factor = np.zeros_like(array_of(x), shape=at.shape, order="C")
        factor[np.nonzero(counts)] = 1
        rows = rows * factor
    return reshape(scatter(rows, key, (len(at), count)), (*x.shape[:-rank], *size))


def define(rank: int) -> tuple[Any, ...]:
    """Make the functions for windows over ``rank`` axes."""
    average, largest = getattr(ops, f"avg_pool{rank}d"), getattr(ops, f"max_pool{rank}d")

    @spelled(rank)
    def max_pool(
        x: Value,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """Take the largest of each window. Of equal ones the first, by rows, has the gradient, as in PyTorch.

        Args:
            x: ARRAYS (…, AXES).
            kernel_size: size of a window, in pixels: EACH.
            stride: step between windows, likewise; the kernel's size unless given.
            padding: pixels on either side, which are never the largest, likewise; at most half of the kernel's size.
            dilation: step between the pixels of a window, likewise.
            ceil_mode: whether a last window may reach out of the array and its padding, so that no pixel is left out.
            return_indices: whether to return the places of the largest pixels, too, as `max_unpoolRANK` takes them.

        Returns:
            (…, RESULTS); with ``return_indices`` a pair of that and an array of integers. These carry no gradient.

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> max_poolRANK(np.array([1.0, 2.0, 6.0, 3.0]).reshape(ONES4), [ONES2], return_indices=True)[1].ravel()
        array([1, 2])
        """
        options = (lengths(kernel_size, "kernel_size", 1, rank), stride, padding, dilation, ceil_mode)
        y = largest(x, *options)
        if not return_indices:
            return y
        like = array_of(x)
        numbers = np.arange(math.prod(like.shape[-rank:])).reshape(like.shape[-rank:])
        there = np.broadcast_to(asarray(numbers, backend_of(like)), like.shape)
        return y, ops.at_largest(there, like, *options)

    @spelled(rank)
    def max_unpool(
        x: Value,
        indices: Value,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        output_size: Sequence[int] | None = None,
    ) -> Value:
        """Put what `max_poolRANK` took back to where it was, among zeros. Of two for one place the last one counts.

        Args:
            x: (…, RESULTS), one number for each window.
            indices: integers of that shape, from ``max_poolRANK(…, return_indices=True)``.
            kernel_size: of that pooling.
            stride: of that pooling.
            padding: of that pooling.
            output_size: the lengths of the axes before that pooling, where they are no multiple of the stride; axes in
                front of these may be named, too.

        Returns:
            (…, AXES).

        Raises:
            ValueError: an index has no place, or ``output_size`` is not that of such a pooling.

        >>> max_unpoolRANK(np.array([2.0, 6.0]).reshape(ONES2), np.array([1, 2]).reshape(ONES2), [ONES2]).ravel()
        array([0., 2., 6., 0.])
        """
        kernel = lengths(kernel_size, "kernel_size", 1, rank)
        strides = kernel if stride is None else lengths(stride, "stride", 1, rank)
        paddings = lengths(padding, "padding", 0, rank)
        return place(x, indices, unpooled_size(tuple(x.shape[-rank:]), kernel, strides, paddings, output_size))

    @spelled(rank)
    def adaptive_max_pool(x: Value, output_size: Size, return_indices: bool = False) -> Any:
        """Take the largest of windows that tile ARRAYS, as `tinygraph.adaptive_max_poolRANK`.

        Args:
            x: ARRAYS (…, AXES).
            output_size: (RESULTS), or one number for all; None leaves an axis as long as it is.
            return_indices: whether to return the places of the largest pixels, too.

        Returns:
            (…, RESULTS); with ``return_indices`` a pair of that and an array of integers. These carry no gradient.

        Raises:
            ValueError: a length is no integer of at least 1.

        >>> adaptive_max_poolRANK(np.array([1.0, 2.0, 6.0]).reshape(ONES3), (ONES2,), True)[1].ravel()
        array([1, 2])
        """
        y, places = take_largest(x, output_size, rank)
        return (y, places) if return_indices else y

    @spelled(rank)
    def lp_pool(
        x: Value, norm_type: float, kernel_size: Lengths, stride: Lengths | None = None, ceil_mode: bool = False
    ) -> Value:
        r"""Take the p-norm of each window: :math:`(\sum x^p)^{1/p}`.

        Args:
            x: ARRAYS (…, AXES).
            norm_type: p, above 0.
            kernel_size: size of a window, in pixels: EACH.
            stride: step between windows, likewise; the kernel's size unless given.
            ceil_mode: whether a last window may reach out of the array, so that no pixel is left out; its sum is then
                scaled up to a whole window, as PyTorch does.

        Returns:
            (…, RESULTS).

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> lp_poolRANK(np.array([3.0, 4.0]).reshape(ONES2), 2, [ONES2]).ravel()
        array([5.])
        """
        kernel = lengths(kernel_size, "kernel_size", 1, rank)
        mean = average(x**norm_type, kernel, stride, 0, ceil_mode)
        return (sign(mean) * relu(absolute(mean)) * math.prod(kernel)) ** (1 / norm_type)

    return max_pool, max_unpool, adaptive_max_pool, lp_pool


def define_pairs(rank: int, max_pool: Any, adaptive_max_pool: Any) -> tuple[Any, Any]:
    """Make the functions that always return places, too."""

    @spelled(rank)
    def max_pool_of_with_indices(
        x: Value,
        kernel_size: Lengths,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Value, Any]:
        """Take the largest of each window and its place, as `max_poolRANK` with ``return_indices=True``.

        Args:
            x: ARRAYS (…, AXES).
            kernel_size: size of a window, in pixels: EACH.
            stride: step between windows, likewise; the kernel's size unless given.
            padding: pixels on either side, likewise.
            dilation: step between the pixels of a window, likewise.
            ceil_mode: whether a last window may reach out.
            return_indices: taken, and without effect.

        Returns:
            A pair: (…, RESULTS), and an array of integers of that shape.

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> max_poolRANK_with_indices(np.array([1.0, 2.0, 6.0, 3.0]).reshape(ONES4), [ONES2])[1].ravel()
        array([1, 2])
        """
        pair: tuple[Value, Any] = max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, True)
        return pair

    @spelled(rank)
    def adaptive_max_pool_of_with_indices(
        x: Value, output_size: Size, return_indices: bool = False
    ) -> tuple[Value, Any]:
        """Take the largest of each window and its place, as `adaptive_max_poolRANK` with ``return_indices=True``.

        Args:
            x: ARRAYS (…, AXES).
            output_size: (RESULTS), or one number for all; None leaves an axis as long as it is.
            return_indices: taken, and without effect.

        Returns:
            A pair: (…, RESULTS), and an array of integers of that shape.

        Raises:
            ValueError: a length is no integer of at least 1.

        >>> adaptive_max_poolRANK_with_indices(np.array([1.0, 2.0, 6.0]).reshape(ONES3), (ONES2,))[1].ravel()
        array([1, 2])
        """
        pair: tuple[Value, Any] = adaptive_max_pool(x, output_size, True)
        return pair

    return max_pool_of_with_indices, adaptive_max_pool_of_with_indices


max_pool1d, max_unpool1d, adaptive_max_pool1d, lp_pool1d = define(1)
max_pool2d, max_unpool2d, adaptive_max_pool2d, lp_pool2d = define(2)
max_pool3d, max_unpool3d, adaptive_max_pool3d, lp_pool3d = define(3)
max_pool1d_with_indices, adaptive_max_pool1d_with_indices = define_pairs(1, max_pool1d, adaptive_max_pool1d)
max_pool2d_with_indices, adaptive_max_pool2d_with_indices = define_pairs(2, max_pool2d, adaptive_max_pool2d)
max_pool3d_with_indices, adaptive_max_pool3d_with_indices = define_pairs(3, max_pool3d, adaptive_max_pool3d)
