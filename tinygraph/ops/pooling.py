"""Pooling averages windows, or takes their largest; every derivative is a window op again, linear in the gradient.

Along the rows of each window first, then along its columns: that takes kh + kw steps, not kh · kw.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.ops.convolution import Pair, pair, taps, window
from tinygraph.ops.linear import matmul

__all__ = ["adaptive_avg_pool2d", "at_largest", "avg_pool2d", "avg_unpool2d", "max_pool2d", "to_largest"]


class Pool(NamedTuple):
    """How pooling windows lie over images (…, H, W): places of the rows, of the columns, and the padding."""

    down: list[slice]
    across: list[slice]
    padding: tuple[int, int]
    apart: tuple[bool, bool]  # whether no two windows share a row, and whether none share a column

    def padded(self, x: Array, value: float) -> Array:
        """Surround images with a value."""
        if not any(self.padding):
            return x
        out = np.full_like(x, value, shape=self.around(x.shape))
        self.inside(out, x.shape)[...] = x
        return out

    def around(self, shape: Shape) -> Shape:
        """Return the shape of images with their padding."""
        return (*shape[:-2], shape[-2] + 2 * self.padding[0], shape[-1] + 2 * self.padding[1])

    def inside(self, x: Array, shape: Shape) -> Array:
        """Return the images, of ``shape``, within their padding."""
        top, left = self.padding
        return x[..., top : top + shape[-2], left : left + shape[-1]]


def pool(shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Pool:
    """Return how pooling windows lie over images of ``shape``; raise if they do not fit."""
    kernel, paddings = pair(kernel_size, "kernel_size", 1), pair(padding, "padding", 0)
    strides = kernel if stride is None else pair(stride, "stride", 1)
    if len(shape) < 2:
        raise ValueError(f"images are (…, H, W), not {shape}")
    if any(2 * p > k for p, k in zip(paddings, kernel, strict=True)):
        raise ValueError(f"padding {paddings} is more than half of the kernel {kernel}: a window would see it alone")
    taken = []
    for n, k, s, p in zip(shape[-2:], kernel, strides, paddings, strict=True):
        if n + 2 * p < k:
            raise ValueError(f"no window fits: kernel {kernel}, images of {shape[-2:]} with padding {paddings}")
        taken.append(taps(k, s, 1, (n + 2 * p - k) // s + 1))
    apart = (kernel[0] <= strides[0], kernel[1] <= strides[1])
    return Pool(taken[0], taken[1], paddings, apart)


def spread_back(g: Value, shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Value:
    """Return the gradient of an average in images of ``shape``."""
    return avg_unpool2d(g, kernel_size, stride, padding, shape[-2:])


def add_into(out: Array, key: Any, values: Array, apart: bool) -> None:
    """Add into ``out``, which is 0 at ``key`` if windows lie apart."""
    if apart:
        out[key] = values
    else:
        out[key] += values


POOLED: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 4, 6), {"kernel_size": 2}),
    ((1, 2, 7, 5), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    ((2, 5, 5), {"kernel_size": 2, "stride": 3}),
]


def pooled_shape(shape: Shape, options: dict[str, Any]) -> Shape:
    """Return the shape of a pooling."""
    p = pool(shape, **{"stride": None, "padding": 0, **options})
    return (*shape[:-2], *(len(range(*tap[0].indices(tap[0].stop))) for tap in (p.down, p.across)))


@window(
    r"\operatorname{avg} $x", onnx="AveragePool", says="Averages each window of $x.",
    samples=[sample(shape, **options) for shape, options in POOLED],
    x=("1/k", lambda g, x_shape, kernel_size, stride, padding: spread_back(g, x_shape, kernel_size, stride, padding)),
)  # fmt: skip
def avg_pool2d(x: Value, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Value:
    """Average windows of images, as ``torch.nn.functional.avg_pool2d``: the zeros of the padding count.

    Args:
        x: images (…, H, W).
        kernel_size: size of a window, in pixels: one number, or one for rows and one for columns.
        stride: step between windows, likewise; the kernel's size unless given.
        padding: rows and columns of zeros on either side, likewise; at most half of the kernel's size.

    Returns:
        (…, H', W') with H' = (H + 2·padding - kernel) // stride + 1.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> avg_pool2d(Tensor([[1.0, 2.0], [3.0, 6.0]]))
    Tensor([[3.]], op=avg_pool2d)
    """
    p = pool(x.shape, kernel_size, stride, padding)
    x = p.padded(x, 0)
    rows = functools.reduce(np.add, (x[..., tap, :] for tap in p.down))
    return functools.reduce(np.add, (rows[..., tap] for tap in p.across)) * (1 / (len(p.down) * len(p.across)))


@window(
    r"\operatorname{avg}^{\mathsf T} $x", says="Gives each pixel of a window an equal share of $x.",
    samples=[sample(pooled_shape(shape, options), **options, size=shape[-2:]) for shape, options in POOLED],
    x=("1/k", lambda g, kernel_size, stride, padding: avg_pool2d(g, kernel_size, stride, padding)),
)  # fmt: skip
def avg_unpool2d(
    x: Value, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0, size: Shape = (1, 1)
) -> Value:
    """Give each pixel of a window an equal share: the gradient of `avg_pool2d`, for images of ``size``.

    Args:
        x: (…, H', W'), one number for each window.
        kernel_size: as in `avg_pool2d`.
        stride: as in `avg_pool2d`.
        padding: as in `avg_pool2d`.
        size: (H, W), the size of the images.

    Returns:
        (…, H, W): each pixel has x / (kh·kw) of every window that it lies in.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> avg_unpool2d(Tensor([[4.0]]), size=(2, 2))
    Tensor([[1., 1.],
            [1., 1.]], op=avg_unpool2d)
    """
    shape = (*x.shape[:-2], *size)
    p = pool(shape, kernel_size, stride, padding)
    x = x * (1 / (len(p.down) * len(p.across)))
    around = p.around(shape)
    if all(p.apart) and around[-2:] == (x.shape[-2] * len(p.down), x.shape[-1] * len(p.across)):  # windows are tiles
        return p.inside(np.repeat(np.repeat(x, len(p.across), -1), len(p.down), -2), shape)
    rows = np.zeros_like(x, shape=(*x.shape[:-1], around[-1]), order="C")
    for tap in p.across:
        add_into(rows, (..., tap), x, p.apart[1])
    out = np.zeros_like(x, shape=around, order="C")
    for tap in p.down:
        add_into(out, (..., tap, slice(None)), rows, p.apart[0])
    return p.inside(out, shape)


def find_firsts(parts: list[Array]) -> tuple[Array, list[Array]]:
    """Return the largest of ``parts``, elementwise; and for each part where it is the first that is the largest."""
    largest = functools.reduce(np.maximum, parts)
    masks: list[Array] = []
    free: Any = True
    for part in parts[:-1]:
        here = part == largest
        masks.append(here if free is True else here & free)
        free = ~here if free is True else free & ~here
    return largest, [*masks, free]


def pick_largest(g: Value, x: Value, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Value:
    """Return the gradient of `to_largest` in what it sends."""
    return at_largest(g, x, kernel_size, stride, padding)


def find_largest(x: Array, p: Pool) -> tuple[list[Array], list[Array]]:
    """Return the rows in which windows have their largest pixels, and for all rows the columns; the first ones."""
    rows, columns = find_firsts([x[..., tap] for tap in p.across])
    return find_firsts([rows[..., tap, :] for tap in p.down])[1], columns


@window(
    r"$g [$x = \max]", says="Sends $g to the largest of each window of $x.",
    samples=[sample(pooled_shape(shape, options), shape, **options) for shape, options in POOLED],
    g=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: pick_largest(g, x, kernel_size, stride, padding)),
    x=None,
)  # fmt: skip
def to_largest(g: Value, x: Value, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Value:
    """Send ``g`` to the largest of each window of ``x``: the gradient of `max_pool2d`, linear in g.

    Args:
        g: (…, H', W'), one number for each window.
        x: images (…, H, W).
        kernel_size: as in `max_pool2d`.
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.

    Returns:
        (…, H, W): the sums of g at the pixels that are the largest of a window, 0 elsewhere.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> to_largest(Tensor([[5.0]]), np.array([[1.0, 2.0], [2.0, 0.0]]))
    Tensor([[0., 5.],
            [0., 0.]], op=to_largest)
    """
    p = pool(x.shape, kernel_size, stride, padding)
    around = p.padded(x, -math.inf)
    rows, columns = find_largest(around, p)
    spread = np.zeros_like(g, shape=(*around.shape[:-1], g.shape[-1]), order="C")
    for tap, mask in zip(p.down, rows, strict=True):
        add_into(spread, (..., tap, slice(None)), g * mask, p.apart[0])
    out = np.zeros_like(g, shape=around.shape, order="C")
    for tap, mask in zip(p.across, columns, strict=True):
        add_into(out, (..., tap), spread * mask, p.apart[1])
    return p.inside(out, x.shape)


@window(
    r"$y[$x = \max]", says="Takes $y where $x is the largest of its window.",
    samples=[sample(shape, shape, **options) for shape, options in POOLED],
    y=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: to_largest(g, x, kernel_size, stride, padding)),
    x=None,
)  # fmt: skip
def at_largest(y: Value, x: Value, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Value:
    """Take ``y`` where ``x``, of the same shape, is the largest of its window: the transpose of `to_largest`.

    Args:
        y: (…, H, W).
        x: images (…, H, W).
        kernel_size: as in `max_pool2d`.
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.

    Returns:
        (…, H', W'): for each window, y at the place of the largest x.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> at_largest(Tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [2.0, 0.0]]))
    Tensor([[2.]], op=at_largest)
    """
    p = pool(x.shape, kernel_size, stride, padding)
    rows, columns = find_largest(p.padded(x, -math.inf), p)
    y = p.padded(y, 0)
    y = functools.reduce(np.add, [y[..., tap] * mask for tap, mask in zip(p.across, columns, strict=True)])
    return functools.reduce(np.add, [y[..., tap, :] * mask for tap, mask in zip(p.down, rows, strict=True)])


@window(
    r"\max $x", onnx="MaxPool", says="Takes the largest of each window of $x.",
    samples=[sample(shape, **options) for shape, options in POOLED],
    x=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: to_largest(g, x, kernel_size, stride, padding)),
)  # fmt: skip
def max_pool2d(x: Value, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Value:
    """Take the largest of each window. Of equal ones the first, by rows, has the gradient, as in PyTorch.

    Args:
        x: images (…, H, W).
        kernel_size: as in `avg_pool2d`.
        stride: as in `avg_pool2d`.
        padding: as in `avg_pool2d`; it is never the largest.

    Returns:
        (…, H', W') with H' = (H + 2·padding - kernel) // stride + 1.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> max_pool2d(Tensor([[1.0, 2.0], [3.0, 6.0]]))
    Tensor([[6.]], op=max_pool2d)
    """
    p = pool(x.shape, kernel_size, stride, padding)
    x = p.padded(x, -math.inf)
    rows = functools.reduce(np.maximum, [x[..., tap, :] for tap in p.down])
    return functools.reduce(np.maximum, [rows[..., tap] for tap in p.across])


def adaptive_avg_pool2d(x: Value, output_size: int | Sequence[int | None]) -> Value:
    """Average windows that tile images into ``output_size``, as ``torch.nn.functional.adaptive_avg_pool2d``.

    Window i of n along an axis of length H goes from ⌊iH/n⌋ to ⌈(i+1)H/n⌉. Averages along an axis are a
    matrix product; where n divides H, they are `avg_pool2d`.

    Args:
        x: images (…, H, W).
        output_size: (H', W'), or one number for both; None leaves an axis as long as it is.

    Returns:
        (…, H', W').

    Raises:
        ValueError: a length is no integer of at least 1.

    >>> adaptive_avg_pool2d(Tensor([[1.0, 2.0, 6.0]]), (1, 2))
    Tensor([[1.5, 4. ]], op=matmul)
    """
    lengths, both = tuple(x.shape[-2:]), output_size if isinstance(output_size, Sequence) else (output_size,) * 2
    size = pair([lengths[i % 2] if n is None else n for i, n in enumerate(both)], "output_size", 1)
    if all(n % m == 0 for n, m in zip(lengths, size, strict=True)):
        return avg_pool2d(x, tuple(n // m for n, m in zip(lengths, size, strict=True)))
    rows, columns = (averages(array_of(x), n, m) for n, m in zip(lengths, size, strict=True))
    return matmul(matmul(rows, x), columns.T)


def averages(x: Array, length: int, count: int) -> Array:
    """Return the matrix (count, length) that averages ``count`` windows of an axis, as an array like ``x``."""
    out = np.zeros_like(x, shape=(count, length), order="C")
    for i in range(count):
        start, stop = i * length // count, -(-(i + 1) * length // count)
        out[i, start:stop] = 1 / (stop - start)
    return out
