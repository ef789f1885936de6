"""Pooling: windows that average, or that take the largest; each is linear in what it averages or picks."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import array_of
from tinygraph.ops.convolution import Pair, Shape, pair, taps, window
from tinygraph.ops.linear import matmul

__all__ = ["adaptive_avg_pool2d", "at_largest", "avg_pool2d", "avg_unpool2d", "max_pool2d", "to_largest"]


class Pool(NamedTuple):
    """How pooling windows lie over images (…, H, W): places of the rows, of the columns, and the padding."""

    down: list[slice]
    across: list[slice]
    padding: tuple[int, int]
    apart: tuple[bool, bool]  # whether no two windows share a row, a column

    def padded(self, x: Any, value: float) -> Any:
        """Surround images with a value."""
        if not any(self.padding):
            return x
        out = np.full_like(x, value, shape=self.around(x.shape))
        self.inside(out, x.shape)[...] = x
        return out

    def around(self, shape: Shape) -> Shape:
        """Return the shape of images with their padding."""
        return (*shape[:-2], shape[-2] + 2 * self.padding[0], shape[-1] + 2 * self.padding[1])

    def inside(self, x: Any, shape: Shape) -> Any:
        """Return the images, of ``shape``, within their padding."""
        top, left = self.padding
        return x[..., top : top + shape[-2], left : left + shape[-1]]


def pool(shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Pool:
    """Return how pooling windows lie over images of ``shape``, or say what does not fit."""
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
    apart = tuple(k <= s for k, s in zip(kernel, strides, strict=True))
    return Pool(taken[0], taken[1], paddings, apart)  # type: ignore[arg-type]


def shared(g: Any, shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Any:
    """Return the gradient of an average in images of ``shape``."""
    return avg_unpool2d(g, kernel_size, stride, padding, shape[-2:])


def put(out: Any, key: Any, values: Any, apart: bool) -> None:
    """Add into zeros; where windows lie apart nothing is there yet."""
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
    x=("1/k", lambda g, x_shape, kernel_size, stride, padding: shared(g, x_shape, kernel_size, stride, padding)),
)  # fmt: skip
def avg_pool2d(x: Any, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Any:
    """Average windows of images; zeros that pad them count, as in ``torch.nn.functional.avg_pool2d``.

    Args:
        x: images (…, H, W).
        kernel_size, stride, padding: in pixels, one number or one for rows and one for columns; the
            stride is the kernel's size unless given, the padding at most half of it.

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
    x: Any, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0, size: Shape = (1, 1)
) -> Any:
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
        put(rows, (..., tap), x, p.apart[1])
    out = np.zeros_like(x, shape=around, order="C")
    for tap in p.down:
        put(out, (..., tap, slice(None)), rows, p.apart[0])
    return p.inside(out, shape)


def firsts(parts: list[Any]) -> tuple[Any, list[Any]]:
    """Return the largest of ``parts``, elementwise, and for each part where it is the first to be that."""
    largest = functools.reduce(np.maximum, parts)
    masks: list[Any] = []
    free: Any = True
    for part in parts[:-1]:
        here = part == largest
        masks.append(here if free is True else here & free)
        free = ~here if free is True else free & ~here
    return largest, [*masks, free]


def chosen(g: Any, x: Any, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Any:
    """Return the gradient of `to_largest` in what it sends."""
    return at_largest(g, x, kernel_size, stride, padding)


def places(x: Any, p: Pool) -> tuple[list[Any], list[Any]]:
    """Return where each row of a window is first to have its largest, and each column to have its row's."""
    rows, columns = firsts([x[..., tap] for tap in p.across])
    return firsts([rows[..., tap, :] for tap in p.down])[1], columns


@window(
    r"$g [$x = \max]", says="Sends $g to the largest of each window of $x.",
    samples=[sample(pooled_shape(shape, options), shape, **options) for shape, options in POOLED],
    g=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: chosen(g, x, kernel_size, stride, padding)),
)  # fmt: skip
def to_largest(g: Any, x: Any, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Any:
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
    rows, columns = places(around, p)
    spread = np.zeros_like(g, shape=(*around.shape[:-1], g.shape[-1]), order="C")
    for tap, mask in zip(p.down, rows, strict=True):
        put(spread, (..., tap, slice(None)), g * mask, p.apart[0])
    out = np.zeros_like(g, shape=around.shape, order="C")
    for tap, mask in zip(p.across, columns, strict=True):
        put(out, (..., tap), spread * mask, p.apart[1])
    return p.inside(out, x.shape)


@window(
    r"$y[$x = \max]", says="Takes $y where $x is the largest of its window.",
    samples=[sample(shape, shape, **options) for shape, options in POOLED],
    y=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: to_largest(g, x, kernel_size, stride, padding)),
)  # fmt: skip
def at_largest(y: Any, x: Any, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Any:
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
    rows, columns = places(p.padded(x, -math.inf), p)
    y = p.padded(y, 0)
    y = functools.reduce(np.add, [y[..., tap] * mask for tap, mask in zip(p.across, columns, strict=True)])
    return functools.reduce(np.add, [y[..., tap, :] * mask for tap, mask in zip(p.down, rows, strict=True)])


@window(
    r"\max $x", onnx="MaxPool", says="Takes the largest of each window of $x.",
    samples=[sample(shape, **options) for shape, options in POOLED],
    x=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding: to_largest(g, x, kernel_size, stride, padding)),
)  # fmt: skip
def max_pool2d(x: Any, kernel_size: Pair = 2, stride: Pair | None = None, padding: Pair = 0) -> Any:
    """Take the largest of each window; the first one, by rows, has the gradient, as in PyTorch.

    Args:
        x: images (…, H, W).
        kernel_size, stride, padding: as in `avg_pool2d`; padding is never the largest.

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


def adaptive_avg_pool2d(x: Any, output_size: int | Sequence[int | None]) -> Any:
    """Average windows that tile images into ``output_size``, as ``torch.nn.functional.adaptive_avg_pool2d``.

    Window i of n along an axis of length H goes from ⌊iH/n⌋ to ⌈(i+1)H/n⌉. Averages along an axis are a
    matrix product; where n divides H, they are `avg_pool2d`.

    Args:
        x: images (…, H, W).
        output_size: (H', W'), or one number for both; None leaves an axis as long as it is.

    Returns:
        (…, H', W').

    >>> adaptive_avg_pool2d(Tensor([[1.0, 2.0, 6.0]]), (1, 2))
    Tensor([[1.5, 4. ]], op=matmul)
    """
    lengths, both = tuple(x.shape[-2:]), output_size if isinstance(output_size, Sequence) else (output_size,) * 2
    size = pair([lengths[i % 2] if n is None else n for i, n in enumerate(both)], "output_size", 1)
    if all(n % m == 0 for n, m in zip(lengths, size, strict=True)):
        return avg_pool2d(x, tuple(n // m for n, m in zip(lengths, size, strict=True)))
    rows, columns = (averages(array_of(x), n, m) for n, m in zip(lengths, size, strict=True))
    return matmul(matmul(rows, x), columns.T)


def averages(x: Any, length: int, count: int) -> Any:
    """Return the matrix (count, length) that averages ``count`` windows of an axis, as an array like ``x``."""
    out = np.zeros_like(x, shape=(count, length), order="C")
    for i in range(count):
        start, stop = i * length // count, -(-(i + 1) * length // count)
        out[i, start:stop] = 1 / (stop - start)
    return out
