"""Pooling averages windows, or takes their largest; every derivative is a window op again, linear in the gradient.

Windows lie over the last 1, 2 or 3 axes. An axis is done after the other: that takes kh + kw steps, not kh · kw.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.ops.windows import Lengths, lengths, plain, spelled, taps, window

__all__ = [
    "at_largest", "avg_pool1d", "avg_pool2d", "avg_pool3d", "avg_unpool1d", "avg_unpool2d", "avg_unpool3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "to_largest",
]  # fmt: skip

Options = dict[str, Any]


class Pool(NamedTuple):
    """How pooling windows lie over the last axes of arrays; each field has an entry for each of these axes."""

    lengths: Shape  # of the axes
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    size: Shape  # number of windows

    @property
    def axes(self) -> range:
        """Return the axes, counted from the end."""
        return range(-len(self.kernel), 0)

    @property
    def padded(self) -> Shape:
        """Return how long the axes are with their padding, up to the end of the last window."""
        ends = (s * (m - 1) + d * (k - 1) + 1 for s, m, d, k in zip(self.stride, self.size, self.dilation, self.kernel,
                                                                    strict=True))  # fmt: skip
        return tuple(max(e, n + p) for e, n, p in zip(ends, self.lengths, self.padding, strict=True))

    @property
    def is_padded(self) -> bool:
        """Whether a window sees anything but the array."""
        return any(self.padding) or self.padded != self.lengths

    def around(self, x: Array, value: float) -> Array:
        """Surround arrays with a value; for integers, minus infinity is the least one."""
        if not self.is_padded:
            return x
        if value == -math.inf and x.dtype.kind in "iu":
            value = np.iinfo(x.dtype).min
        out = np.full_like(x, value, shape=(*x.shape[: -len(self.kernel)], *self.padded), order="C")
        self.inside(out)[...] = x
        return out

    def inside(self, x: Array) -> Array:
        """Return the arrays within their padding."""
        key: Any = (..., *(slice(p, p + n) for p, n in zip(self.padding, self.lengths, strict=True)))
        images: Array = x[key]
        return images

    def places(self, axis: int) -> list[tuple[Any, ...]]:
        """Return, for each pixel of a window along an axis, an index of where it lies in all windows."""
        found = taps(self.kernel[axis], self.stride[axis], self.dilation[axis], self.size[axis])
        return [(..., tap, *(slice(None),) * (-1 - axis)) for tap in found]

    def is_apart(self, axis: int) -> bool:
        """Whether no two windows share a place along an axis."""
        return self.dilation[axis] * (self.kernel[axis] - 1) < self.stride[axis]

    @property
    def are_tiles(self) -> bool:
        """Whether windows lie side by side, and cover all."""
        sides = (m * k for m, k in zip(self.size, self.kernel, strict=True))
        return all(map(self.is_apart, self.axes)) and tuple(sides) == self.padded

    def shrink(self, function: Any, x: Array) -> Array:
        """Combine the pixels of each window by a function of two arrays."""
        for axis in self.axes:
            x = functools.reduce(function, [x[place] for place in self.places(axis)])
        return x

    def spread(self, x: Array, axis: int, masks: Sequence[Any] | None = None) -> Array:
        """Add what belongs to a window into each pixel of it along an axis, where the mask of that pixel is true."""
        shape = list(x.shape)
        shape[axis] = self.padded[axis]
        out = np.zeros_like(x, shape=shape, order="C")
        for i, place in enumerate(self.places(axis)):
            part = x if masks is None else x * masks[i]
            if self.is_apart(axis):
                out[place] = part
            else:
                out[place] += part
        return out

    def counts(self, axis: int, include_pad: bool) -> list[int]:
        """Return how many pixels of each window along an axis are counted: those in the array, or in its padding."""
        n, p = self.lengths[axis], self.padding[axis]
        first, last = (-p, n + p) if include_pad else (0, n)
        starts = [i * self.stride[axis] - p for i in range(self.size[axis])]
        return [min(start + self.kernel[axis], last) - max(start, first) for start in starts]

    def share(self, x: Array, include_pad: bool, divisor: int | None) -> Array:
        """Divide what belongs to each window by the number of its pixels, or by ``divisor``."""
        if divisor is not None:
            if not divisor:
                raise ValueError("divisor_override is 0")
            return x * (1 / divisor)
        factor = 1.0
        for axis in self.axes:
            counts = self.counts(axis, include_pad)
            if len(set(counts)) == 1:
                factor /= counts[0]
                continue
            dtype = x.dtype if x.dtype.kind == "f" else float
            each = np.zeros_like(x, shape=(len(counts), *(1,) * (-1 - axis)), dtype=dtype, order="C")
            for i, count in enumerate(counts):
                each[i] = 1 / count
            x = x * each
        return x if factor == 1 else x * factor


def pool(
    shape: Shape, kernel: Lengths, stride: Lengths | None, padding: Lengths, dilation: Lengths = 1,
    ceil_mode: bool = False, rank: int = 2,
) -> Pool:  # fmt: skip
    """Return how pooling windows lie over the last axes of ``shape``; raise if they do not fit."""
    kernels, paddings = lengths(kernel, "kernel_size", 1, rank), lengths(padding, "padding", 0, rank)
    strides = kernels if stride is None or stride == () else lengths(stride, "stride", 1, rank)
    dilations = lengths(dilation, "dilation", 1, rank)
    if len(shape) < rank:
        raise ValueError(f"{('signals', 'images', 'volumes')[rank - 1]} are (…, {'LHD'[rank - 1]}{', W' * (rank == 2)}"
                         f"{', H, W' * (rank == 3)}), not {shape}")  # fmt: skip
    reach = [d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True)]
    if any(2 * p > r for p, r in zip(paddings, reach, strict=True)):
        raise ValueError(f"padding {paddings} is more than half of the kernel {kernels}: a window would see it alone")
    size = []
    for n, r, s, p in zip(shape[-rank:], reach, strides, paddings, strict=True):
        left = n + 2 * p - r
        if left < 0 and not (ceil_mode and left > -s):
            around = f"{shape[-rank:]} with padding {paddings}"
            raise ValueError(f"no window fits: kernel {kernels}, images of {around}")
        count = (-(-left // s) if ceil_mode else left // s) + 1
        size.append(count - (ceil_mode and (count - 1) * s >= n + p))  # the last one begins within the array
    return Pool(shape[-rank:], kernels, strides, paddings, dilations, tuple(size))


# Shapes, and options: each rule of the geometry is in one of them; those of averages, then those of the largest.
MEANS: dict[int, list[tuple[Shape, Options]]] = {
    1: [((2, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False})],
    2: [
        ((2, 3, 4, 6), {"kernel_size": 2}),
        ((1, 2, 7, 5), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
        ((2, 5, 5), {"kernel_size": 2, "stride": 3}),
        ((2, 6, 5), {"kernel_size": (3, 2), "stride": 2, "padding": 1, "ceil_mode": True}),
        ((1, 4, 5), {"kernel_size": 2, "stride": 1, "divisor_override": 3}),
    ],
    3: [((1, 3, 4, 5), {"kernel_size": (2, 2, 3), "stride": (1, 2, 2), "padding": (0, 1, 1)})],
}
LARGEST: dict[int, list[tuple[Shape, Options]]] = {
    1: [((2, 7), {"kernel_size": (3,), "stride": 2, "padding": 1, "ceil_mode": True})],
    2: [
        ((2, 3, 4, 6), {"kernel_size": (2, 2)}),
        ((1, 2, 7, 5), {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
        ((2, 5, 5), {"kernel_size": (2, 2), "stride": 3}),
        ((1, 6, 7), {"kernel_size": (2, 3), "stride": 2, "padding": (0, 1), "dilation": (3, 2), "ceil_mode": True}),
    ],
    3: [((1, 3, 4, 5), {"kernel_size": (2, 2, 3), "stride": (1, 2, 2), "padding": (0, 1, 1)})],
}


def pooled_shape(shape: Shape, options: Options, rank: int) -> Shape:
    """Return the shape of a pooling."""
    known: Any = {
        name: options.get(name, default) for name, default in (("stride", None), ("padding", 0), ("dilation", 1))
    }
    found = pool(shape, options["kernel_size"], **known, ceil_mode=options.get("ceil_mode", False), rank=rank)
    return *shape[:-rank], *found.size


def define_average(rank: int) -> tuple[Any, Any]:
    """Make the op that averages windows over ``rank`` axes, and its derivative."""

    @window(
        r"\operatorname{avg} $x", onnx="AveragePool", says="Averages each window of $x.",
        samples=[sample(shape, **options) for shape, options in MEANS[rank]],
        x=("1/k", lambda g, x_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override:
           avg_unpool(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
                      x_shape[-rank:])),
    )  # fmt: skip
    @spelled(rank)
    def avg_pool(
        x: Value,
        kernel_size: Lengths = 2,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Value:
        """Average windows of ARRAYS, as ``torch.nn.functional.avg_poolRANK``.

        Args:
            x: ARRAYS (…, AXES).
            kernel_size: size of a window, in pixels: EACH.
            stride: step between windows, likewise; the kernel's size unless given.
            padding: zeros on either side, likewise; at most half of the kernel's size.
            ceil_mode: whether a last window may reach out of the array and its padding, so that no pixel is left out.
            count_include_pad: whether the padding counts as pixels of a window.
            divisor_override: what sums are divided by, in place of the number of pixels.

        Returns:
            (…, RESULTS) with H' = (H + 2·padding - kernel) // stride + 1, rounded up in ``ceil_mode``.

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> avg_poolRANK(Tensor(np.ones((ONES6))), [ONES2]).data.ravel()
        array([1., 1., 1.])
        """
        p = pool(x.shape, kernel_size, stride, padding, 1, ceil_mode, rank)
        return p.share(p.shrink(np.add, p.around(plain(x), 0)), count_include_pad, divisor_override)

    @window(
        r"\operatorname{avg}^{\mathsf T} $x", says="Gives each pixel of a window an equal share of $x.",
        samples=[
            sample(pooled_shape(shape, options, rank), **options, size=shape[-rank:]) for shape, options in MEANS[rank]
        ],
        x=("1/k", lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override:
           avg_pool(g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)),
    )  # fmt: skip
    @spelled(rank)
    def avg_unpool(
        x: Value,
        kernel_size: Lengths = 2,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        size: Shape = (1,) * rank,
    ) -> Value:
        """Give each pixel of a window an equal share: the gradient of `avg_poolRANK`, for ARRAYS of ``size``.

        Args:
            x: (…, RESULTS), one number for each window.
            kernel_size: as in `avg_poolRANK`.
            stride: as in `avg_poolRANK`.
            padding: as in `avg_poolRANK`.
            ceil_mode: as in `avg_poolRANK`.
            count_include_pad: as in `avg_poolRANK`.
            divisor_override: as in `avg_poolRANK`.
            size: (AXES), the size of the ARRAYS.

        Returns:
            (…, AXES): each pixel has its share of every window that it lies in.

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> avg_unpoolRANK(Tensor(np.ones((ONES1))), [ONES2], size=(ONES2,)).data.ravel()
        array([0.5, 0.5])
        """
        p = pool((*x.shape[:-rank], *size), kernel_size, stride, padding, 1, ceil_mode, rank)
        x = p.share(plain(x), count_include_pad, divisor_override)
        for axis in p.axes:
            x = np.repeat(x, p.kernel[axis], axis) if p.are_tiles else p.spread(x, axis)
        return p.inside(x) if p.is_padded else x

    return avg_pool, avg_unpool


avg_pool1d, avg_unpool1d = define_average(1)
avg_pool2d, avg_unpool2d = define_average(2)
avg_pool3d, avg_unpool3d = define_average(3)


def find_firsts(parts: list[Array]) -> tuple[Array, list[Array]]:
    """Return the largest of ``parts``, elementwise; and for each part where it is the first that is the largest.

    A part that is no number is the largest, as in PyTorch.
    """
    largest = functools.reduce(np.maximum, parts)
    some_nan = bool(np.isnan(largest).any())
    masks: list[Array] = []
    free: Any = True
    for part in parts[:-1]:
        here = (part == largest) | np.isnan(part) if some_nan else part == largest
        masks.append(here if free is True else here & free)
        free = ~here if free is True else free & ~here
    return largest, [*masks, free]


def find_largest(x: Array, p: Pool) -> dict[int, list[Array]]:
    """Return in which places along each axis windows have their largest pixel, the first one of equals.

    The masks of an axis are for windows along the axes behind it, and for all places of the axes before it.
    """
    masks, x = {}, p.around(plain(x), -math.inf)
    for axis in reversed(p.axes):
        x, masks[axis] = find_firsts([x[place] for place in p.places(axis)])
    return masks


def rank_of(kernel_size: Lengths) -> int:
    """Return over how many axes windows lie; one number is for images."""
    return len(kernel_size) if isinstance(kernel_size, Sequence) else 2


ALL_LARGEST = [(shape, options, rank) for rank, cases in LARGEST.items() for shape, options in cases]


@window(
    r"$g [$x = \max]", says="Sends $g to the largest of each window of $x.",
    samples=[sample(pooled_shape(*case), case[0], **case[1]) for case in ALL_LARGEST],
    g=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding, dilation, ceil_mode:
       at_largest(g, x, kernel_size, stride, padding, dilation, ceil_mode)),  # type: ignore[has-type]
    x=None,
)  # fmt: skip
def to_largest(
    g: Value,
    x: Value,
    kernel_size: Lengths = 2,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Value:
    """Send ``g`` to the largest of each window of ``x``: the gradient of `max_pool2d` and its like, linear in g.

    Args:
        g: one number for each window, (…, H', W') for images.
        x: (…, H, W), or with as many last axes as ``kernel_size`` has numbers.
        kernel_size: as in `max_pool2d`: a number for each axis; one number is for two axes.
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.
        dilation: as in `max_pool2d`.
        ceil_mode: as in `max_pool2d`.

    Returns:
        Of the shape of x: the sums of g at the pixels that are the largest of a window, 0 elsewhere.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> to_largest(Tensor([[5.0]]), np.array([[1.0, 2.0], [2.0, 0.0]]))
    Tensor([[0., 5.],
            [0., 0.]], op=to_largest)
    """
    p = pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, rank_of(kernel_size))
    masks = find_largest(x, p)
    for axis in p.axes:
        g = p.spread(g, axis, masks[axis])
    return p.inside(g)


@window(
    r"$y[$x = \max]", says="Takes $y where $x is the largest of its window.",
    samples=[sample(shape, shape, **options) for shape, options, _ in ALL_LARGEST],
    y=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding, dilation, ceil_mode:
       to_largest(g, x, kernel_size, stride, padding, dilation, ceil_mode)),
    x=None,
)  # fmt: skip
def at_largest(
    y: Value,
    x: Value,
    kernel_size: Lengths = 2,
    stride: Lengths | None = None,
    padding: Lengths = 0,
    dilation: Lengths = 1,
    ceil_mode: bool = False,
) -> Value:
    """Take ``y`` where ``x``, of the same shape, is the largest of its window: the transpose of `to_largest`.

    Args:
        y: of the shape of x.
        x: as in `to_largest`.
        kernel_size: as in `to_largest`.
        stride: as in `max_pool2d`.
        padding: as in `max_pool2d`.
        dilation: as in `max_pool2d`.
        ceil_mode: as in `max_pool2d`.

    Returns:
        For each window, y at the place of the largest x.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> at_largest(Tensor([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [2.0, 0.0]]))
    Tensor([[2.]], op=at_largest)
    """
    p = pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, rank_of(kernel_size))
    masks, y = find_largest(x, p), p.around(y, 0)
    for axis in reversed(p.axes):
        places = zip(p.places(axis), masks[axis], strict=True)
        y = functools.reduce(np.add, [y[place] * mask for place, mask in places])
    return y


def define_largest(rank: int) -> Any:
    """Make the op that takes the largest of windows over ``rank`` axes."""

    @window(
        r"\max $x", onnx="MaxPool", says="Takes the largest of each window of $x.",
        samples=[sample(shape, **options) for shape, options in LARGEST[rank]],
        x=(r"[$x = \max]", lambda g, x, kernel_size, stride, padding, dilation, ceil_mode: to_largest(
            g, x, lengths(kernel_size, "kernel_size", 1, rank), stride, padding, dilation, ceil_mode)),
    )  # fmt: skip
    @spelled(rank)
    def max_pool(
        x: Value,
        kernel_size: Lengths = 2,
        stride: Lengths | None = None,
        padding: Lengths = 0,
        dilation: Lengths = 1,
        ceil_mode: bool = False,
    ) -> Value:
        """Take the largest of each window. Of equal ones the first, by rows, has the gradient, as in PyTorch.

        Args:
            x: ARRAYS (…, AXES).
            kernel_size: size of a window, in pixels: EACH.
            stride: step between windows, likewise; the kernel's size unless given.
            padding: pixels on either side, which are never the largest, likewise; at most half of the kernel's size.
            dilation: step between the pixels of a window, likewise.
            ceil_mode: whether a last window may reach out of the array and its padding, so that no pixel is left out.

        Returns:
            (…, RESULTS) with H' = (H + 2·padding - dilation·(kernel - 1) - 1) // stride + 1, rounded up in
            ``ceil_mode``.

        Raises:
            ValueError: no window fits, or an option is out of range.

        >>> max_poolRANK(Tensor(np.array([1.0, 2.0, 6.0, 3.0]).reshape(ONES4)), [ONES2]).data.ravel()
        array([2., 6.])
        """
        p = pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode, rank)
        return p.shrink(np.maximum, p.around(plain(x), -math.inf))

    return max_pool


max_pool1d, max_pool2d, max_pool3d = map(define_largest, (1, 2, 3))
