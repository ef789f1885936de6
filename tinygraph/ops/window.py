"""Window ops: convolution and pooling; every derivative is a window op again, linear in the gradient.

`conv2d`, `conv_transpose2d` and `conv2d_weight` are one trilinear form ⟨y, x ∗ w⟩ read in its three
directions, so each is the derivative of the others. The windows of a few images at a time are laid out in
scratch that stays in cache, and laid out again on the way back: nothing of them is kept. Where Numba is
installed, large ones go through the compiled loops of ``fused/convolution.py``, which lay nothing out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.device import scratch
from tinygraph.dispatch import sample
from tinygraph.op import op
from tinygraph.ops.linear import matmul
from tinygraph.tensor import array_of

__all__ = [
    "adaptive_avg_pool2d", "at_largest", "avg_pool2d", "avg_unpool2d", "conv2d", "conv2d_weight", "conv_transpose2d",
    "max_pool2d", "to_largest",
]  # fmt: skip

window = functools.partial(op, family="window")
Shape = tuple[int, ...]
Pair = int | Sequence[int]


def pair(n: Pair, what: str, least: int) -> tuple[int, int]:
    """Return a length for rows and one for columns; a single one is for both."""
    both = tuple(n) if isinstance(n, Sequence) else (n, n)
    if len(both) != 2 or any(int(a) != a or a < least for a in both):
        raise ValueError(f"{what} must be an integer of at least {least}, or a pair of them, not {n}")
    return int(both[0]), int(both[1])


def taps(kernel: int, stride: int, dilation: int, count: int) -> list[slice]:
    """Return, for each place in a window, where the ``count`` windows along an axis have it."""
    return [slice(i * dilation, i * dilation + stride * (count - 1) + 1, stride) for i in range(kernel)]


# Convolution ------------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """How windows lie over images of ``shape`` (C, H, W)."""

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    size: tuple[int, int]  # how many windows, down and across

    @property
    def down(self) -> list[slice]:
        """Return where the rows of the windows are."""
        return taps(self.kernel[0], self.stride[0], self.dilation[0], self.size[0])

    @property
    def across(self) -> list[slice]:
        """Return where the columns of the windows are."""
        return taps(self.kernel[1], self.stride[1], self.dilation[1], self.size[1])

    @property
    def padded(self) -> Shape:
        """Return the shape of an image with its padding."""
        return (self.shape[0], *(n + 2 * p for n, p in zip(self.shape[1:], self.padding, strict=True)))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Return where the image lies within its padding."""
        return (slice(None), *(slice(p, p + n) for n, p in zip(self.shape[1:], self.padding, strict=True)))

    def tiles(self, x: Any) -> list[slice]:
        """Cut the batch into as many images at a time as have windows that fit into scratch."""
        each = x.dtype.itemsize * self.shape[0] * math.prod(self.kernel) * math.prod(self.size)
        step = max(1, scratch(x) // max(each, 1))
        return [slice(start, start + step) for start in range(0, x.shape[0], step)]

    def columns(self, x: Any) -> Any:
        """Lay out the windows of images (n, C, H, W): (groups, kernel · C/groups, windows · n).

        First the columns of the windows are gathered, then their rows; the images come last, so that
        either copies long runs.
        """
        images = np.zeros_like(x, shape=(*self.padded, len(x)), order="C")
        images[self.inside] = x.transpose(1, 2, 3, 0)
        channels, height, _, n = images.shape
        strips = images[:, None, :, self.across[0]]
        if self.kernel[1] > 1:
            strips = np.empty_like(x, shape=(channels, self.kernel[1], height, self.size[1], n), order="C")
            for j, tap in enumerate(self.across):
                strips[:, j] = images[:, :, tap]
        strips = strips.reshape(self.groups, -1, *strips.shape[1:])
        blocks = strips[:, None, :, :, self.down[0]]
        if self.kernel[0] > 1:
            shape = (self.groups, self.kernel[0], *strips.shape[1:3], *self.size, n)
            blocks = np.empty_like(x, shape=shape, order="C")
            for i, tap in enumerate(self.down):
                blocks[:, i] = strips[:, :, :, tap]
        return blocks.reshape(self.groups, -1, math.prod(self.size) * n)

    def images(self, columns: Any) -> Any:
        """Add windows that are laid out up into images: what `columns` copied, this sums."""
        channels, height, width = self.padded
        n = columns.shape[2] // math.prod(self.size)
        blocks = columns.reshape(self.groups, self.kernel[0], -1, self.kernel[1], *self.size, n)
        strips = np.zeros_like(columns, shape=(self.groups, *blocks.shape[2:4], height, self.size[1], n), order="C")
        for i, tap in enumerate(self.down):
            strips[:, :, :, tap] += blocks[:, i]
        strips = strips.reshape(channels, *strips.shape[2:])
        images = np.zeros_like(columns, shape=(channels, height, width, n), order="C")
        for j, tap in enumerate(self.across):
            images[:, :, tap] += strips[:, j]
        return images[self.inside].transpose(3, 0, 1, 2)

    def rows(self, y: Any) -> Any:
        """Lay out one value a window, (n, O, *size): (groups, O/groups, windows · n), in the order of `columns`."""
        return y.transpose(1, 2, 3, 0).reshape(self.groups, y.shape[1] // self.groups, -1)

    def weights(self, w: Any) -> Any:
        """Lay out weights (O, C/groups, *kernel): (groups, O/groups, kernel · C/groups), in the order of `columns`."""
        return w.transpose(0, 2, 1, 3).reshape(self.groups, w.shape[0] // self.groups, -1)


def frame(x_shape: Shape, w_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Frame:
    """Return how windows of weights lie over images, or say what does not fit."""
    if len(x_shape) != 4 or len(w_shape) != 4:
        raise ValueError(f"images are (N, C, H, W) and weights (O, C/groups, kh, kw), not {x_shape} and {w_shape}")
    strides, paddings, dilations = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    channels, out = x_shape[1], w_shape[0]
    if groups < 1 or channels % groups or out % groups:
        raise ValueError(f"groups={groups} must divide the channels of images ({channels}) and of the result ({out})")
    if channels // groups != w_shape[1]:
        raise ValueError(
            f"images of shape {x_shape} in {groups} group{'s' * (groups > 1)} have {channels // groups} channels a "
            f"group; weights of shape {w_shape} take {w_shape[1]}"
        )
    size = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x_shape[2:], w_shape[2:], strides, paddings, dilations, strict=True)
    ]
    if min(size) < 1 or min(w_shape[2:]) < 1:
        raise ValueError(
            f"no window fits: the kernel {w_shape[2:]} with dilation {dilations} is larger than images of "
            f"{x_shape[2:]} with padding {paddings}"
        )
    return Frame(x_shape[1:], w_shape[2:], strides, paddings, dilations, groups, (size[0], size[1]))


def compiled(f: Frame, out: int, x: Any, y: Any) -> Any:
    """Return the windows for compiled loops, where those take these arrays of ``len(x)`` images; None where not."""
    from tinygraph.fused import convolution  # when it is needed: it stands beside ops that are made of these

    products = len(x) * out * math.prod(f.size) * math.prod(f.kernel) * f.shape[0] // f.groups
    return convolution.Windows.of(f) if convolution.takes(products, x, y) else None


def to_images(y: Any, w: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """Return the gradient of a convolution in images of ``shape``, from that of its result."""
    extra = left_over(shape, w.shape[2:], stride, padding, dilation)
    return conv_transpose2d(y, w, stride, padding, extra, groups, dilation)


def to_weights(x: Any, y: Any, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Any:
    """Return the gradient of a convolution in weights of ``shape``, from that of its result."""
    return conv2d_weight(x, y, shape[2:], stride, padding, dilation, groups)


def left_over(x_shape: Shape, kernel: Shape, stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """Return how many rows and columns at the end no window reaches."""
    strides, paddings, dilations = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    rows, columns = (
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(x_shape[2:], kernel, strides, paddings, dilations, strict=True)
    )
    return rows, columns


# Shapes of images and weights, and the options, that show each rule of the geometry once.
CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 3, 5, 4), (2, 3, 3, 2), {}),
    ((2, 1, 6, 5), (3, 1, 2, 3), {"stride": 2, "padding": 1}),
    ((1, 4, 6, 7), (2, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
    ((2, 2, 3, 3), (4, 1, 1, 1), {"groups": 2}),
    ((1, 2, 7, 7), (2, 2, 2, 2), {"stride": 3, "dilation": 2}),
]


def out_shape(x_shape: Shape, w_shape: Shape, options: dict[str, Any]) -> Shape:
    """Return the shape of a convolution."""
    f = frame(x_shape, w_shape, **{"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options})
    return x_shape[0], w_shape[0], *f.size


@window(
    r"$x \ast $w", onnx="Conv", says="Slides the filters $w over the images $x.",
    samples=[sample(x, w, **options) for x, w, options in CASES],
    x=(r"\ast^{\mathsf T} $w", lambda g, x_shape, w, stride, padding, dilation, groups: to_images(
        g, w, x_shape, stride, padding, dilation, groups)),
    w=(r"$x \star", lambda g, x, w_shape, stride, padding, dilation, groups: to_weights(
        x, g, w_shape, stride, padding, dilation, groups)),
)  # fmt: skip
def conv2d(x: Any, w: Any, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1) -> Any:
    r"""Slide filters over images: cross-correlation, as ``torch.nn.functional.conv2d``; add a bias to the result.

    .. math:: y_{n,o,r,q} = \sum_{c,i,j} x_{n,\,c,\,sr+di-p,\,sq+dj-p}\; w_{o,c,i,j}

    Args:
        x: images (N, C, H, W).
        w: filters (O, C/groups, kh, kw).
        stride, padding, dilation: step between windows, zeros on either side, step within a window; in
            pixels, one number or one for rows and one for columns.
        groups: cuts the channels of both into as many parts that do not meet.

    Returns:
        (N, O, H', W') with H' = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1.

    Raises:
        ValueError: shapes do not fit, or no window does.

    >>> conv2d(Tensor(np.ones((1, 1, 3, 3))), np.ones((1, 1, 2, 2))).data[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    f = frame(x.shape, w.shape, stride, padding, dilation, groups)
    out = np.empty_like(x, shape=(x.shape[0], w.shape[0], *f.size), dtype=np.result_type(x.dtype, w.dtype), order="C")
    if windows := compiled(f, len(w), x, w):
        windows.correlate(f, x, w, out)
        return out
    weights = f.weights(w)
    for tile in f.tiles(x):
        out[tile] = (weights @ f.columns(x[tile])).reshape(*out.shape[1:], -1).transpose(3, 0, 1, 2)
    return out


@window(
    r"$x \ast^{\mathsf T} $w", onnx="ConvTranspose", says="Lays filters $w down at each pixel of $x and adds them up.",
    samples=[
        sample(out_shape(x, w, options), w, **options, output_padding=left_over(
            x, w[2:], options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1)))
        for x, w, options in CASES
    ],
    x=(r"\ast $w", lambda g, w, stride, padding, dilation, groups: conv2d(g, w, stride, padding, dilation, groups)),
    w=(r"\star $x", lambda g, x, w_shape, stride, padding, dilation, groups: to_weights(
        g, x, w_shape, stride, padding, dilation, groups)),
)  # fmt: skip
def conv_transpose2d(
    x: Any, w: Any, stride: Pair = 1, padding: Pair = 0, output_padding: Pair = 0, groups: int = 1, dilation: Pair = 1
) -> Any:
    """Lay filters down at every pixel and add up: the gradient of `conv2d` in its images, as PyTorch names it.

    Args:
        x: (N, O, H', W').
        w: (O, C/groups, kh, kw): the filters of the `conv2d` whose transpose this is.
        output_padding: rows and columns more at the end, less than the stride: where that `conv2d` had
            pixels that no window reached.
        stride, padding, dilation, groups: as in `conv2d`.

    Returns:
        (N, C, H, W) with H = (H' - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1.

    Raises:
        ValueError: shapes do not fit, or ``output_padding`` is not less than ``stride``.

    >>> conv_transpose2d(Tensor(np.ones((1, 1, 1, 2))), np.ones((1, 1, 1, 2))).data[0, 0]
    array([[1., 2., 1.]])
    """
    if len(x.shape) != 4 or len(w.shape) != 4 or x.shape[1] != w.shape[0]:
        raise ValueError(f"x is (N, O, H', W') and w (O, C/groups, kh, kw), the same O; not {x.shape} and {w.shape}")
    strides, paddings, dilations = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    extras = pair(output_padding, "output_padding", 0)
    if any(e >= s for e, s in zip(extras, strides, strict=True)):
        raise ValueError(f"output_padding {extras} must be less than the stride {strides}")
    pixels = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, k, s, p, d, e in zip(x.shape[2:], w.shape[2:], strides, paddings, dilations, extras, strict=True)
    )
    shape = (x.shape[0], w.shape[1] * groups, *pixels)
    f = frame(shape, w.shape, stride, padding, dilation, groups)
    out = np.empty_like(x, shape=shape, dtype=np.result_type(x.dtype, w.dtype), order="C")
    if windows := compiled(f, len(w), x, w):
        windows.spread(f, x, w, out)
        return out
    weights = f.weights(w).transpose(0, 2, 1)
    for tile in f.tiles(x):
        out[tile] = f.images(weights @ f.rows(x[tile]))
    return out


@window(
    r"$x \star $y", says="Multiplies every window of $x with its pixel of $y and adds up over images and windows.",
    samples=[sample(x, out_shape(x, w, options), kernel=w[2:], **options) for x, w, options in CASES],
    x=(r"$y \ast^{\mathsf T}", lambda g, x_shape, y, stride, padding, dilation, groups: to_images(
        y, g, x_shape, stride, padding, dilation, groups)),
    y=(r"$x \ast", lambda g, x, stride, padding, dilation, groups: conv2d(x, g, stride, padding, dilation, groups)),
)  # fmt: skip
def conv2d_weight(
    x: Any, y: Any, kernel: Shape = (1, 1), stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
) -> Any:
    """Multiply windows with results: the gradient of `conv2d` in its filters.

    Args:
        x: images (N, C, H, W).
        y: gradient of the result, (N, O, H', W').
        kernel: (kh, kw), the size of the filters.
        stride, padding, dilation, groups: as in `conv2d`.

    Returns:
        (O, C/groups, kh, kw).

    Raises:
        ValueError: shapes do not fit.

    >>> conv2d_weight(Tensor(np.ones((1, 1, 3, 3))), np.ones((1, 1, 2, 2)), (2, 2)).data[0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    shape = (y.shape[1], x.shape[1] // max(groups, 1), *kernel)
    f = frame(x.shape, shape, stride, padding, dilation, groups)
    if (x.shape[0], *f.size) != (y.shape[0], *y.shape[2:]):
        raise ValueError(f"y has shape {y.shape}; the windows of x call for {(x.shape[0], y.shape[1], *f.size)}")
    if windows := compiled(f, shape[0], x, y):
        return windows.weigh(f, x, y).reshape(shape).astype(x.dtype)
    out = np.zeros_like(x, shape=shape, dtype=np.result_type(x.dtype, y.dtype), order="C")
    for tile in f.tiles(x):
        products = f.rows(y[tile]) @ f.columns(x[tile]).transpose(0, 2, 1)
        out += products.reshape(shape[0], kernel[0], shape[1], kernel[1]).transpose(0, 2, 1, 3)
    return out


# Pooling: first along the rows of each window, then along its columns. ------------------------------------------------


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
