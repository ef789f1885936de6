"""Windows laid out side by side, and added up again: each is the derivative of the other. And elements rearranged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.types import Axis, Shape, Value
from tinygraph.ops.convolution import Frame, batched, frame
from tinygraph.ops.indexing import index
from tinygraph.ops.shape import moveaxis, reshape, transpose
from tinygraph.ops.windows import Lengths, lengths, window

__all__ = [
    "channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "sliding_window_view", "unfold", "unfold_axis",
]  # fmt: skip


def frame_of(shape: Shape, kernel_size: Lengths, stride: Lengths, padding: Lengths, dilation: Lengths) -> Frame:
    """Return how windows lie over images (N, C, …) or (C, …); one number as kernel is for two axes."""
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    kernel = lengths(kernel_size, "kernel_size", 1, rank)
    if len(shape) not in (rank + 1, rank + 2):
        raise ValueError(f"images have {rank + 1} axes, or {rank + 2} with the batch, not the shape {shape}")
    return frame(shape, (1, shape[-1 - rank], *kernel), stride, padding, dilation, 1)


CASES: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 4, 5), {"kernel_size": (2, 3)}),
    ((2, 5, 6), {"kernel_size": (3, 2), "dilation": (1, 2), "padding": 1, "stride": (2, 3)}),
    ((1, 2, 7), {"kernel_size": (3,), "stride": 2}),
]


def unfolded_shape(shape: Shape, options: dict[str, Any]) -> Shape:
    """Return the shape of the windows of a sample."""
    f = frame_of(shape, **{"stride": 1, "padding": 0, "dilation": 1, **options})
    return *shape[: len(shape) - len(f.shape)], f.shape[0] * math.prod(f.kernel), math.prod(f.size)


@window(
    r"\operatorname{unfold} $x", says="Lays the windows of $x out, one a column.",
    samples=[sample(shape, **options) for shape, options in CASES],
    x=("1", lambda g, x_shape, kernel_size, dilation, padding, stride: fold(  # type: ignore[has-type]
        g, x_shape[-len(kernel_size) if isinstance(kernel_size, tuple | list) else -2 :], kernel_size, dilation,
        padding, stride)),
)  # fmt: skip
def unfold(
    x: Value, kernel_size: Lengths = 1, dilation: Lengths = 1, padding: Lengths = 0, stride: Lengths = 1
) -> Value:
    """Lay the windows of images out as columns, as ``torch.nn.functional.unfold``.

    A convolution is a matrix product with them. Axes of windows are two, or as many as ``kernel_size`` has numbers.

    Args:
        x: images (N, C, H, W), or (C, H, W).
        kernel_size: size of a window, in pixels: one number, or one for each axis.
        dilation: step between the pixels of a window, likewise.
        padding: zeros on either side, likewise.
        stride: step between windows, likewise.

    Returns:
        (N, C·kh·kw, number of windows), or without N.

    Raises:
        ValueError: no window fits, or an option is out of range.

    >>> unfold(Tensor(np.arange(4.0).reshape(1, 1, 4)), (1, 2)).data
    array([[0., 1., 2.],
           [1., 2., 3.]])
    """
    f = frame_of(x.shape, kernel_size, stride, padding, dilation)
    xs = batched(x, len(f.kernel))
    rows = f.shape[0] * math.prod(f.kernel)
    out = np.moveaxis(f.columns(xs).reshape(rows, math.prod(f.size), len(xs)), -1, 0)
    return out.reshape(*x.shape[: len(x.shape) - len(f.shape)], rows, math.prod(f.size))


@window(
    r"\operatorname{fold} $x", onnx="Col2Im", says="Adds the columns of $x, each a window, up into images.",
    samples=[
        sample(unfolded_shape(shape, options), output_size=shape[-len(options["kernel_size"]) :], **options)
        for shape, options in CASES
    ],
    x=("1", lambda g, kernel_size, dilation, padding, stride: unfold(g, kernel_size, dilation, padding, stride)),
)  # fmt: skip
def fold(
    x: Value, output_size: Lengths = 1, kernel_size: Lengths = 1, dilation: Lengths = 1, padding: Lengths = 0,
    stride: Lengths = 1,
) -> Value:  # fmt: skip
    """Add windows up into images, as ``torch.nn.functional.fold``: the transpose of `unfold`.

    Args:
        x: (N, C·kh·kw, number of windows), or without N.
        output_size: (H, W), the size of the images, or one number for both.
        kernel_size: as in `unfold`.
        dilation: as in `unfold`.
        padding: as in `unfold`.
        stride: as in `unfold`.

    Returns:
        (N, C, H, W), or without N.

    Raises:
        ValueError: the windows of such images are not as many as x has, or an option is out of range.

    >>> fold(Tensor(np.ones((2, 3))), (1, 4), (1, 2)).data
    array([[[1., 2., 2., 1.]]])
    """
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    kernel = lengths(kernel_size, "kernel_size", 1, rank)
    if len(x.shape) not in (2, 3) or x.shape[-2] % math.prod(kernel):
        raise ValueError(f"x is (N, C·kernel, windows) with a kernel of {math.prod(kernel)} pixels, not {x.shape}")
    channels = x.shape[-2] // math.prod(kernel)
    shape = (*x.shape[:-2], channels, *lengths(output_size, "output_size", 1, rank))
    f = frame_of(shape, kernel, stride, padding, dilation)
    if math.prod(f.size) != x.shape[-1]:
        raise ValueError(f"images of {shape[-rank:]} have {math.prod(f.size)} windows; x has {x.shape[-1]}")
    images = x if len(x.shape) == 3 else x[None]
    columns = np.moveaxis(images, 0, -1).reshape(1, x.shape[-2], x.shape[-1] * len(images))
    return f.images(columns).reshape(shape)


@implements(method="unfold")
def unfold_axis(x: Value, dimension: int, size: int, step: int) -> Value:
    """Slide a window along an axis, as ``Tensor.unfold`` of PyTorch: the windows' elements are a new last axis.

    Args:
        x: (…, n, …).
        dimension: the axis.
        size: length of a window, 1 … n.
        step: how far a window moves at a time, 1 or more.

    Returns:
        (…, number of windows, …, size).

    Raises:
        ValueError: no window fits, the step is less than 1, or x has no axis.

    >>> unfold_axis(np.arange(5), 0, 3, 2)
    array([[0, 1, 2],
           [2, 3, 4]])
    """
    if not x.shape:
        raise ValueError("unfold: x is a number, and has no axis along which a window could slide")
    axis = dimension % len(x.shape)
    if not 0 < size <= x.shape[axis] or step < 1:
        raise ValueError(f"unfold: windows of {size} elements, {step} apart, do not fit an axis of {x.shape[axis]}")
    starts = np.arange((x.shape[axis] - size) // step + 1) * step
    taken = index(x, (*(slice(None),) * axis, starts[:, None] + np.arange(size)))
    return moveaxis(taken, axis + 1, -1)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x: Value, window_shape: int | Sequence[int], axis: Axis = None) -> Value:
    """Slide a window along axes, a step at a time, as NumPy's: the windows' elements are new last axes, copied.

    Args:
        x: of any shape.
        window_shape: length of the window along each axis.
        axis: the axes; all, in order, unless given.

    Returns:
        The number of windows along each axis, then the axes of a window.

    Raises:
        ValueError: no window fits, or there are more lengths than axes.

    >>> sliding_window_view(Tensor(np.arange(4.0)), 3).data
    array([[0., 1., 2.],
           [1., 2., 3.]])
    """
    sizes = (window_shape,) if isinstance(window_shape, int) else tuple(window_shape)
    axes = tuple(range(len(x.shape))) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    if len(sizes) != len(axes):
        raise ValueError(f"sliding_window_view: {len(sizes)} lengths for the {len(axes)} axes {axes}")
    rank = len(x.shape)
    for a, size in zip(axes, sizes, strict=True):
        x = unfold_axis(x, a % rank, size, 1)
    return x


@composite
def pixel_shuffle(x: Value, upscale_factor: int) -> Value:
    """Make r² channels the pixels of one, r times as large each way, as ``torch.pixel_shuffle``.

    Args:
        x: (…, C·r², H, W).
        upscale_factor: r, 1 or more.

    Returns:
        (…, C, H·r, W·r).

    Raises:
        ValueError: r² does not divide the channels.

    Source: Shi et al. 2016, equation 4.

    >>> pixel_shuffle(np.arange(4).reshape(4, 1, 1), 2)
    array([[[0, 1],
            [2, 3]]])
    """
    r, (*lead, channels, h, w) = upscale_factor, x.shape
    if r < 1 or channels % r**2:
        raise ValueError(f"pixel_shuffle: {r}² does not divide the {channels} channels of {tuple(x.shape)}")
    n = len(lead)
    y = reshape(x, (*lead, channels // r**2, r, r, h, w))
    y = transpose(y, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(y, (*lead, channels // r**2, h * r, w * r))


@composite
def pixel_unshuffle(x: Value, downscale_factor: int) -> Value:
    """Make each r × r pixels r² channels of one pixel, as ``torch.pixel_unshuffle``: undo `pixel_shuffle`.

    Args:
        x: (…, C, H·r, W·r).
        downscale_factor: r, 1 or more.

    Returns:
        (…, C·r², H, W).

    Raises:
        ValueError: r does not divide the lengths.

    >>> pixel_unshuffle(np.arange(4).reshape(1, 2, 2), 2).ravel()
    array([0, 1, 2, 3])
    """
    r, (*lead, channels, h, w) = downscale_factor, x.shape
    if r < 1 or h % r or w % r:
        raise ValueError(f"pixel_unshuffle: {r} does not divide the pixels of {tuple(x.shape)}")
    n = len(lead)
    y = reshape(x, (*lead, channels, h // r, r, w // r, r))
    y = transpose(y, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(y, (*lead, channels * r**2, h // r, w // r))


@composite
def channel_shuffle(x: Value, groups: int) -> Value:
    """Deal channels out in turn: those of g groups (1, 1, …, 2, 2, …) become (1, 2, …, 1, 2, …).

    Args:
        x: (N, C, …).
        groups: g, which divides C.

    Returns:
        Of the shape of x.

    Raises:
        ValueError: g does not divide C.

    Source: Zhang et al. 2018, section 3.1.

    >>> channel_shuffle(np.arange(4).reshape(1, 4, 1), 2).ravel()
    array([0, 2, 1, 3])
    """
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"channel_shuffle: groups={groups} does not divide the {x.shape[1]} channels")
    y = reshape(x, (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]))
    return reshape(transpose(y, (0, 2, 1, *range(3, len(y.shape)))), x.shape)
