"""Convolution: three ops, each of which is the derivative of the others.

`conv2d`, `conv_transpose2d` and `conv2d_weight` are one trilinear form ⟨y, x ∗ w⟩, read in its three directions. The
windows of a few images at a time are laid out as a matrix, small enough for the cache. Backward lays them out again, so
that no memory is held for them. If Numba is installed, large convolutions run in the compiled loops of
``kernels/convolution.py``, which need no matrix.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.kernels.arrays import scratch

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d"]

window = functools.partial(op, family="window")
Pair = int | Sequence[int]


def pair(n: Pair, what: str, least: int) -> tuple[int, int]:
    """Return one number for rows and one for columns; a single number is for both."""
    both = tuple(n) if isinstance(n, Sequence) else (n, n)
    if len(both) != 2 or any(int(a) != a or a < least for a in both):
        raise ValueError(f"{what} must be an integer of at least {least}, or a pair of them, not {n}")
    return int(both[0]), int(both[1])


def taps(kernel: int, stride: int, dilation: int, count: int) -> list[slice]:
    """Return, for each pixel of a window, its places in all ``count`` windows along an axis."""
    return [slice(i * dilation, i * dilation + stride * (count - 1) + 1, stride) for i in range(kernel)]


class Frame(NamedTuple):
    """How windows lie over images of ``shape`` (C, H, W)."""

    shape: Shape
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    size: tuple[int, int]  # number of windows: down, and across

    @property
    def down(self) -> list[slice]:
        """Return, for each row of a window, where it lies in all windows."""
        return taps(self.kernel[0], self.stride[0], self.dilation[0], self.size[0])

    @property
    def across(self) -> list[slice]:
        """Return, for each column of a window, where it lies in all windows."""
        return taps(self.kernel[1], self.stride[1], self.dilation[1], self.size[1])

    @property
    def padded(self) -> Shape:
        """Return the shape of an image with its padding."""
        return (self.shape[0], *(n + 2 * p for n, p in zip(self.shape[1:], self.padding, strict=True)))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Return where the image lies within its padding."""
        return (slice(None), *(slice(p, p + n) for n, p in zip(self.shape[1:], self.padding, strict=True)))

    def tiles(self, x: Array) -> list[slice]:
        """Cut the batch into tiles, so many images at a time that their windows fit into the cache."""
        each = x.dtype.itemsize * self.shape[0] * math.prod(self.kernel) * math.prod(self.size)
        step = max(1, scratch(x) // max(each, 1))
        return [slice(start, start + step) for start in range(0, x.shape[0], step)]

    def columns(self, x: Array) -> Array:
        """Copy the windows of images (n, C, H, W) into a matrix: (groups, kernel · C/groups, windows · n).

        The columns of the windows are copied first, then their rows. The images are the last axis, so that both copy
        long runs of memory.
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

    def images(self, columns: Array) -> Array:
        """Add the windows of a matrix up into images: the transpose of `columns`."""
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

    def rows(self, y: Array) -> Array:
        """Arrange results (n, O, *size), one for each window, as `columns` does: (groups, O/groups, windows · n)."""
        return y.transpose(1, 2, 3, 0).reshape(self.groups, y.shape[1] // self.groups, -1)

    def weights(self, w: Array) -> Array:
        """Arrange weights (O, C/groups, *kernel) as `columns` does: (groups, O/groups, kernel · C/groups)."""
        return w.transpose(0, 2, 1, 3).reshape(self.groups, w.shape[0] // self.groups, -1)


def frame(x_shape: Shape, w_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Frame:
    """Return how windows of weights lie over images; raise if they do not fit."""
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


def compiled_windows(f: Frame, out: int, x: Array, y: Array) -> Any:
    """Return the windows for the compiled loops; None if those do not take these arrays."""
    from tinygraph.kernels import convolution  # Numba is looked for when it is first needed

    products = len(x) * out * math.prod(f.size) * math.prod(f.kernel) * f.shape[0] // f.groups
    return convolution.Windows.of(f) if convolution.can_compile(products, x, y) else None


def to_images(y: Value, w: Value, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Value:
    """Return the gradient of a convolution in images of ``shape``, from that of its result."""
    extra = left_over(shape, w.shape[2:], stride, padding, dilation)
    return conv_transpose2d(y, w, stride, padding, extra, groups, dilation)


def to_weights(x: Value, y: Value, shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Value:
    """Return the gradient of a convolution in weights of ``shape``, from that of its result."""
    return conv2d_weight(x, y, shape[2:], stride, padding, dilation, groups)


def left_over(x_shape: Shape, kernel: Shape, stride: Pair, padding: Pair, dilation: Pair) -> tuple[int, int]:
    """Return how many rows and columns at the end are in no window."""
    strides, paddings, dilations = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    rows, columns = (
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(x_shape[2:], kernel, strides, paddings, dilations, strict=True)
    )
    return rows, columns


# Shapes of images, of weights, and options: each rule of the geometry is in one of them.
CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 3, 5, 4), (2, 3, 3, 2), {}),
    ((2, 1, 6, 5), (3, 1, 2, 3), {"stride": 2, "padding": 1}),
    ((1, 4, 6, 7), (2, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
    ((2, 2, 3, 3), (4, 1, 1, 1), {"groups": 2}),
    ((1, 2, 7, 7), (2, 2, 2, 2), {"stride": 3, "dilation": 2}),
]


def out_shape(x_shape: Shape, w_shape: Shape, options: dict[str, Any]) -> Shape:
    """Return the shape of the result of a convolution."""
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
def conv2d(x: Value, w: Value, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1) -> Value:
    r"""Slide filters over images: cross-correlation, as ``torch.nn.functional.conv2d`` without a bias.

    .. math:: y_{n,o,r,q} = \sum_{c,i,j} x_{n,\,c,\,sr+di-p,\,sq+dj-p}\; w_{o,c,i,j}

    Args:
        x: images (N, C, H, W).
        w: filters (O, C/groups, kh, kw).
        stride: step between windows, in pixels, at least 1: one number, or one for rows and one for columns.
        padding: rows and columns of zeros on either side, likewise; at least 0.
        dilation: step between the pixels of a window, likewise; at least 1.
        groups: into how many groups the channels are divided; a filter sees the channels of its own group.

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
    if windows := compiled_windows(f, len(w), x, w):
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
    x: Value,
    w: Value,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Value:
    """Put a filter at every pixel, times the pixel, and add them up: the gradient of `conv2d` in its images.

    Args:
        x: (N, O, H', W').
        w: (O, C/groups, kh, kw): the filters of the `conv2d` whose transpose this is.
        stride: as in `conv2d`.
        padding: as in `conv2d`.
        output_padding: how many rows and columns to add at the end, less than the stride: the pixels that no window
            of that `conv2d` reached.
        groups: as in `conv2d`.
        dilation: as in `conv2d`.

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
    if windows := compiled_windows(f, len(w), x, w):
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
    x: Value, y: Value, kernel: Shape = (1, 1), stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
) -> Value:
    """Multiply each window by its result and add up: the gradient of `conv2d` in its filters.

    Args:
        x: images (N, C, H, W).
        y: gradient of the result, (N, O, H', W').
        kernel: (kh, kw), the size of the filters.
        stride: as in `conv2d`.
        padding: as in `conv2d`.
        dilation: as in `conv2d`.
        groups: as in `conv2d`.

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
    if windows := compiled_windows(f, shape[0], x, y):
        return windows.weigh(f, x, y).reshape(shape).astype(x.dtype)
    out = np.zeros_like(x, shape=shape, dtype=np.result_type(x.dtype, y.dtype), order="C")
    for tile in f.tiles(x):
        products = f.rows(y[tile]) @ f.columns(x[tile]).transpose(0, 2, 1)
        out += products.reshape(shape[0], kernel[0], shape[1], kernel[1]).transpose(0, 2, 1, 3)
    return out
