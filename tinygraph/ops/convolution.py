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

from tinygraph.engine.arrays import scratch
from tinygraph.engine.op import op
from tinygraph.engine.registry import sample

__all__ = ["conv2d", "conv2d_weight", "conv_transpose2d"]

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
    from tinygraph.kernels import convolution  # when it is needed: it stands beside ops that are made of these

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
