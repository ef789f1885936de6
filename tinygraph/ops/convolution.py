"""Convolution: three ops, each of which is the derivative of the others, over 1, 2 or 3 axes.

``conv``, ``conv_transpose`` and ``conv_weight`` are one trilinear form ⟨y, x ∗ w⟩, read in its three directions. The
windows of a few images at a time are laid out as a matrix, small enough for the cache. Backward lays them out again, so
that no memory is held for them. If Numba is installed, convolutions of few channels run in the compiled loops of
``kernels/convolution.py``, which need no matrix.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.kernels.arrays import scratch
from tinygraph.kernels.threads import MANY, share_products
from tinygraph.ops.windows import Lengths, Padding, lengths, plain, resolve_padding, spelled, taps, window

__all__ = [
    "conv1d", "conv1d_weight", "conv2d", "conv2d_weight", "conv3d", "conv3d_weight", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d",
]  # fmt: skip


EVEN = 4  # threads that may share the tiles of a batch
WIDE = 64  # pixels of an image with which a matrix product is as fast as with more
SMALL = 1 << 18  # bytes of windows up to which one tile is enough
FEW = 4  # images that are copied one by one
ALL = slice(None)


class Frame(NamedTuple):
    """How windows lie over images of ``shape`` (C, *lengths of the axes)."""

    shape: Shape
    kernel: Shape
    stride: Shape
    padding: tuple[tuple[int, int], ...]  # before and after each axis
    dilation: Shape
    groups: int
    size: Shape  # number of windows along each axis

    @property
    def padded(self) -> Shape:
        """Return the shape of an image with its padding."""
        return (self.shape[0], *(n + sum(p) for n, p in zip(self.shape[1:], self.padding, strict=True)))

    @property
    def inside(self) -> tuple[slice, ...]:
        """Return where the image lies within its padding."""
        return (slice(None), *(slice(p, p + n) for n, (p, _) in zip(self.shape[1:], self.padding, strict=True)))

    @property
    def channels(self) -> int:
        """Return the number of channels that a window sees."""
        return self.shape[0] // self.groups

    def tiles(self, x: Array, out: int) -> list[slice]:
        """Cut the batch into tiles, so many images at a time that their windows fit into the cache.

        A number of tiles that is a multiple of `EVEN` keeps all threads busy to the end. But where the weights, for
        ``out`` channels, are more than the windows, it would only be more work to go through them so often.
        """
        each = x.dtype.itemsize * self.shape[0] * math.prod(self.kernel) * math.prod(self.size)
        step = max(1, scratch(x) // max(each, 1))
        weights = x.dtype.itemsize * out * self.channels * math.prod(self.kernel)
        if (
            math.prod(self.kernel) * max(self.stride) == 1
            and self.padded == self.shape
            and math.prod(self.size) >= WIDE
        ):
            step = 1  # the windows of an image are its pixels: nothing is copied
        elif x.shape[0] * each > max(SMALL, 2 * weights):
            step = min(step, -(-x.shape[0] // (EVEN * -(-x.shape[0] // (EVEN * step)))))
        return cut(x.shape[0], step)

    def products(self, x: Array, out: int) -> int:
        """Return how many multiplications a convolution of images to ``out`` channels needs."""
        return len(x) * out * math.prod(self.size) * math.prod(self.kernel) * self.channels

    def places(self, axis: int) -> list[tuple[Any, ...]]:
        """Return, for each pixel of a window along an axis, an index of where it lies in all windows."""
        found = taps(self.kernel[axis], self.stride[axis], self.dilation[axis], self.size[axis])
        after = (slice(None),) * (len(self.kernel) - axis)  # the axes that follow, and the images
        return [(..., tap, *after) for tap in found]

    def columns(self, x: Array, chunk: slice = ALL) -> Array:
        """Copy the windows of images (n, C, …) into a matrix: (groups, C/groups · kernel, windows · n).

        Its rows are in the order of the weights; of each group, those of a ``chunk`` of its channels. The last axis of
        the windows is copied first. The images are the last axis of all, so that long runs of memory are copied.
        """
        x = x.reshape(len(x), self.groups, self.channels, *self.shape[1:])[:, :, chunk]
        if len(x) == 1 and self.padded == self.shape:
            out = images_last(x)  # as it lies
        else:
            out = np.zeros_like(x, shape=(*x.shape[1:3], *self.padded[1:], len(x)), order="C")
            inside = out[(slice(None), *self.inside)]
            if len(x) <= FEW:  # NumPy would copy runs as short as that
                for i, image in enumerate(x):
                    inside[..., i] = image
            else:
                inside[...] = images_last(x)
        rows = x.shape[2] * math.prod(self.kernel)
        for axis in reversed(range(len(self.kernel))):
            places = self.places(axis)
            if len(places) == 1:
                out = out[places[0]][:, :, None]
                continue
            first = out[places[0]]
            copied = np.empty_like(x, shape=(*first.shape[:2], len(places), *first.shape[2:]), order="C")
            for i, place in enumerate(places):
                copied[:, :, i] = out[place]
            out = copied
        return out.reshape(self.groups, rows, math.prod(self.size) * len(x))

    def images(self, columns: Array) -> Array:
        """Add the windows of a matrix up into images (n, C, …): the transpose of `columns`, also of some channels."""
        n = columns.shape[2] // math.prod(self.size)
        channels = columns.shape[1] // math.prod(self.kernel)
        out = columns.reshape(self.groups, channels, *self.kernel, *self.size, n)
        for axis, length in enumerate(self.padded[1:]):
            shape = list(out[:, :, 0].shape)
            shape[axis - len(self.kernel) - 1] = length
            spread = np.zeros_like(columns, shape=shape, order="C")
            for i, place in enumerate(self.places(axis)):
                spread[place] += out[:, :, i]
            out = spread
        return images_first(out[(slice(None), *self.inside)])

    def rows(self, y: Array) -> Array:
        """Arrange results (n, O, *size), one for each window, as `columns` does: (groups, O/groups, windows · n)."""
        return images_last(y).reshape(self.groups, y.shape[1] // self.groups, -1)

    def weights(self, w: Array, chunk: slice = ALL) -> Array:
        """Arrange weights (O, C/groups, *kernel) as `columns` does: (groups, O/groups, C/groups · kernel)."""
        w = w.reshape(self.groups, w.shape[0] // self.groups, self.channels, -1)[:, :, chunk]
        return w.reshape(*w.shape[:2], -1)

    def options(self, shape: Shape) -> str:
        """Say how large the padding of images of ``shape`` is."""
        same = all(a == b for a, b in self.padding)
        return f"{shape} with padding {tuple(a for a, _ in self.padding) if same else self.padding}"


def frame(x_shape: Shape, w_shape: Shape, stride: Lengths, padding: Padding, dilation: Lengths, groups: int) -> Frame:
    """Return how windows of weights lie over images (N, C, …) or (C, …); raise if they do not fit."""
    options = [tuple(n) if isinstance(n, list) else n for n in (stride, padding, dilation)]
    return frame_once(tuple(x_shape), tuple(w_shape), *options, groups)


@functools.lru_cache(1024)
def frame_once(x_shape: Shape, w_shape: Shape, stride: Any, padding: Any, dilation: Any, groups: int) -> Frame:
    """Return what `frame` does: for the three ops of a convolution once."""
    rank = len(w_shape) - 2
    strides, dilations = lengths(stride, "stride", 1, rank), lengths(dilation, "dilation", 1, rank)
    channels, out, sizes = x_shape[-1 - rank], w_shape[0], x_shape[-rank:]
    if groups < 1 or channels % groups or out % groups:
        raise ValueError(f"groups={groups} must divide the channels of images ({channels}) and of the result ({out})")
    if channels // groups != w_shape[1]:
        raise ValueError(
            f"images of shape {x_shape} in {groups} group{'s' * (groups > 1)} have {channels // groups} channels a "
            f"group; weights of shape {w_shape} take {w_shape[1]}"
        )
    paddings = resolve_padding(padding, w_shape[2:], strides, dilations)
    size = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(sizes, w_shape[2:], strides, paddings, dilations, strict=True)
    )
    f = Frame((channels, *sizes), w_shape[2:], strides, paddings, dilations, groups, size)
    if min(size) < 1 or min(w_shape[2:]) < 1:
        raise ValueError(
            f"no window fits: the kernel {w_shape[2:]} with dilation {dilations} is larger than images of "
            f"{f.options(sizes)}"
        )
    return f


def check_ranks(x: Array, w: Array, rank: int, what: str = "images are (N, C, {}) or (C, {})") -> None:
    """Raise if images or weights have no axes for ``rank`` lengths."""
    if len(w.shape) != rank + 2 or len(x.shape) not in (rank + 1, rank + 2):
        axes = ("L", "H, W", "D, H, W")[rank - 1]
        kernel = ("k", "kh, kw", "kd, kh, kw")[rank - 1]
        raise ValueError(
            f"{what.replace('{}', axes)} and weights (O, C/groups, {kernel}), not {tuple(x.shape)} and {tuple(w.shape)}"
        )


def compiled_windows(f: Frame, out: int, x: Array, y: Array) -> Any:
    """Return the windows for the compiled loops; None if those do not take these arrays."""
    from tinygraph.kernels import convolution  # Numba is looked for when it is first needed

    takes = convolution.can_compile(f.products(x, out), out // f.groups, math.prod(f.kernel), x, y)
    return convolution.Windows.of(f) if takes else None


def cut(count: int, step: int) -> list[slice]:
    """Cut a length into slices of ``step``."""
    return [slice(start, start + step) for start in range(0, count, max(step, 1))]


def chunks(channels: int, tiles: Sequence[slice], count: int) -> list[slice]:
    """Return what threads share of channels: parts where there is one tile and work enough, else all at once."""
    return cut(channels, -(-channels // EVEN)) if len(tiles) == 1 and count >= MANY else [ALL]


def images_last(x: Array) -> Array:
    """Put the first axis last. (`numpy.moveaxis` takes five times as long to start.)"""
    return x.transpose(*range(1, len(x.shape)), 0)


def images_first(x: Array) -> Array:
    """Put the last axis first."""
    return x.transpose(len(x.shape) - 1, *range(len(x.shape) - 1))


def batched(x: Array, rank: int) -> Array:
    """Return a batch of images; a single one becomes a batch of one."""
    return plain(x if len(x.shape) == rank + 2 else x[None])


def correlate(x: Array, w: Array, rank: int, options: tuple[Any, ...]) -> Array:
    """Slide filters over images: what ``conv`` computes."""
    check_ranks(x, w, rank)
    f = frame(x.shape, w.shape, *options)
    xs, w = batched(x, rank), plain(w)
    out = np.empty_like(xs, shape=(len(xs), len(w), *f.size), dtype=np.result_type(x.dtype, w.dtype), order="C")
    if windows := compiled_windows(f, len(w), xs, w):
        windows.correlate(f, xs, w, out)
    else:
        weights, tiles, count = f.weights(w), f.tiles(xs, len(w)), f.products(xs, len(w))
        filters = weights.shape[1]

        def slide(tile: slice) -> None:
            columns, part = f.columns(xs[tile]), out[tile]
            shape = (f.groups, filters, columns.shape[2])
            rows = part.reshape(shape) if len(part) == 1 else np.empty_like(out, shape=shape, order="C")

            def multiply(some: slice) -> None:
                np.matmul(weights[:, some], columns, out=rows[:, some])

            share_products(multiply, chunks(filters, tiles, count), count, xs)
            if len(part) > 1:
                part[...] = images_first(rows.reshape(*out.shape[1:], -1))

        share_products(slide, tiles, count, xs)
    return out if len(x.shape) == rank + 2 else out[0]


def lay_down(x: Array, w: Array, rank: int, output_padding: Lengths, options: tuple[Any, ...]) -> Array:
    """Put filters at pixels and add them up: what ``conv_transpose`` computes."""
    check_ranks(x, w, rank, "x is (N, O, {}) or (O, {})")
    stride, padding, dilation, groups = options
    if x.shape[-1 - rank] != w.shape[0]:
        raise ValueError(f"x has {x.shape[-1 - rank]} channels and w {w.shape[0]}: {x.shape} and {w.shape}")
    strides, dilations = lengths(stride, "stride", 1, rank), lengths(dilation, "dilation", 1, rank)
    extras = lengths(output_padding, "output_padding", 0, rank)
    if any(e >= s for e, s in zip(extras, strides, strict=True)):
        raise ValueError(f"output_padding {extras} must be less than the stride {strides}")
    paddings = resolve_padding(padding, w.shape[2:], strides, dilations)
    pixels = tuple(
        (n - 1) * s - sum(p) + d * (k - 1) + e + 1
        for n, k, s, p, d, e in zip(x.shape[-rank:], w.shape[2:], strides, paddings, dilations, extras, strict=True)
    )
    if min(pixels) < 1:
        raise ValueError(f"nothing is left of the result: the padding {padding} takes all of its pixels away")
    f = frame((w.shape[1] * groups, *pixels), w.shape, *options)
    xs, w = batched(x, rank), plain(w)
    out = np.empty_like(xs, shape=(len(xs), *f.shape), dtype=np.result_type(x.dtype, w.dtype), order="C")
    if windows := compiled_windows(f, len(w), xs, w):
        windows.spread(f, xs, w, out)
    else:
        tiles, count = f.tiles(xs, len(w)), f.products(xs, len(w))
        images = out.reshape(len(out), f.groups, f.channels, *f.shape[1:])

        def spread(tile: slice) -> None:
            rows = f.rows(xs[tile])

            def add_up(chunk: slice) -> None:
                images[tile, :, chunk] = f.images(f.weights(w, chunk).transpose(0, 2, 1) @ rows)

            share_products(add_up, chunks(f.channels, tiles, count), count, xs)

        share_products(spread, tiles, count, xs)
    return out if len(x.shape) == rank + 2 else out[0]


def weigh(x: Array, y: Array, rank: int, kernel: Shape, options: tuple[Any, ...]) -> Array:
    """Multiply windows by results and add up: what ``conv_weight`` computes."""
    xs, ys, groups = batched(x, rank), batched(y, rank), options[-1]
    shape = (ys.shape[1], xs.shape[1] // max(groups, 1), *kernel)
    f = frame(x.shape, shape, *options)
    if (xs.shape[0], *f.size) != (ys.shape[0], *ys.shape[2:]):
        raise ValueError(f"y has shape {ys.shape}; the windows of x call for {(xs.shape[0], ys.shape[1], *f.size)}")
    if windows := compiled_windows(f, shape[0], xs, ys):
        weights: Array = windows.weigh(f, xs, ys).reshape(shape).astype(x.dtype)
        return weights
    tiles, count = f.tiles(xs, shape[0]), f.products(xs, shape[0])
    parts = chunks(f.channels, tiles, count)
    make = np.empty_like if tiles else np.zeros_like
    out = make(xs, shape=shape, dtype=np.result_type(x.dtype, y.dtype), order="C")
    sums = [out, *(np.empty_like(out) for _ in range(min(EVEN, len(tiles)) - 1))]

    def multiply(first: int, tile: slice, rows: Array, chunk: slice) -> None:
        total, columns = f.weights(sums[first], chunk), f.columns(xs[tile], chunk).transpose(0, 2, 1)
        if tile == tiles[first]:
            np.matmul(rows, columns, out=total)
        else:
            total += rows @ columns

    def add_up(first: int) -> None:  # every so many tiles: the order does not depend on the number of threads
        for tile in tiles[first::EVEN]:
            share_products(functools.partial(multiply, first, tile, f.rows(ys[tile])), parts, count, xs)

    share_products(add_up, range(len(sums) if tiles else 0), count, xs)
    for other in sums[1:]:
        out += other
    return out


# Shapes of images, of weights, and options: each rule of the geometry is in one of them.
Case = tuple[Shape, Shape, dict[str, Any]]
CASES: dict[int, list[Case]] = {
    1: [
        ((2, 4, 7), (2, 2, 3), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
        ((2, 6), (3, 2, 4), {"padding": "same"}),
    ],
    2: [
        ((2, 3, 5, 4), (2, 3, 3, 2), {}),
        ((2, 1, 6, 5), (3, 1, 2, 3), {"stride": 2, "padding": 1}),
        ((1, 4, 6, 7), (2, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
        ((2, 2, 3, 3), (4, 1, 1, 1), {"groups": 2}),
        ((1, 2, 7, 7), (2, 2, 2, 2), {"stride": 3, "dilation": 2}),
        ((2, 4, 3), (2, 2, 2, 3), {"padding": "same"}),
    ],
    3: [
        ((1, 2, 4, 3, 3), (2, 1, 2, 3, 1), {"stride": (2, 1, 1), "padding": (0, 1, 0), "groups": 2}),
        ((1, 3, 2, 4), (2, 1, 2, 2, 2), {"dilation": (1, 1, 2), "padding": "same"}),
    ],
}  # fmt: skip


def out_shape(x_shape: Shape, w_shape: Shape, options: dict[str, Any]) -> Shape:
    """Return the shape of the result of a convolution."""
    f = frame(x_shape, w_shape, **{"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **options})
    return *x_shape[: -len(f.shape)], w_shape[0], *f.size


def left_over(x_shape: Shape, kernel: Shape, stride: Lengths, padding: Padding, dilation: Lengths) -> Shape:
    """Return how many rows and columns at the end are in no window."""
    rank = len(kernel)
    strides, dilations = lengths(stride, "stride", 1, rank), lengths(dilation, "dilation", 1, rank)
    paddings = resolve_padding(padding, kernel, strides, dilations)
    return tuple(
        (n + sum(p) - d * (k - 1) - 1) % s
        for n, k, s, p, d in zip(x_shape[-rank:], kernel, strides, paddings, dilations, strict=True)
    )


def rest_of(x: Shape, w: Shape, options: dict[str, Any]) -> Shape:
    """Return the ``output_padding`` with which a transposed convolution gives images of shape ``x``."""
    return left_over(x, w[2:], options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1))


def define(rank: int) -> tuple[Any, Any, Any]:
    """Make the three ops for windows over ``rank`` axes."""

    def to_images(y: Value, w: Value, shape: Shape, *options: Any) -> Value:
        """Return the gradient of a convolution in images of ``shape``, from that of its result."""
        stride, padding, dilation, groups = options
        extra = left_over(shape, w.shape[2:], stride, padding, dilation)
        return conv_transpose(y, w, stride, padding, extra, groups, dilation)

    def to_weights(x: Value, y: Value, shape: Shape, *options: Any) -> Value:
        """Return the gradient of a convolution in weights of ``shape``, from that of its result."""
        return conv_weight(x, y, shape[2:], *options)

    @window(
        r"$x \ast $w", onnx="Conv", says="Slides the filters $w over the images $x.",
        samples=[sample(x, w, **options) for x, w, options in CASES[rank]],
        x=(r"\ast^{\mathsf T} $w", lambda g, x_shape, w, stride, padding, dilation, groups: to_images(
            g, w, x_shape, stride, padding, dilation, groups)),
        w=(r"$x \star", lambda g, x, w_shape, stride, padding, dilation, groups: to_weights(
            x, g, w_shape, stride, padding, dilation, groups)),
    )  # fmt: skip
    @spelled(rank)
    def conv(
        x: Value, w: Value, stride: Lengths = 1, padding: Padding = 0, dilation: Lengths = 1, groups: int = 1
    ) -> Value:
        r"""Slide filters over ARRAYS: cross-correlation, as ``torch.nn.functional.convRANK`` without a bias.

        Each result is the sum, over channels c and the pixels i of a window, of
        :math:`x_{c,\,sr + di - p} \; w_{o,c,i}`, where r is the place of the window, s the stride, d the dilation and
        p the padding.

        Args:
            x: ARRAYS (N, C, AXES), or one of them (C, AXES).
            w: filters (O, C/groups, KERNEL).
            stride: step between windows, in pixels, at least 1: EACH.
            padding: zeros on either side, in pixels, likewise, at least 0; "valid" for none; or "same", which keeps
                the lengths of the axes and takes stride 1.
            dilation: step between the pixels of a window, likewise; at least 1.
            groups: into how many groups the channels are divided; a filter sees the channels of its own group.

        Returns:
            (N, O, RESULTS) with H' = (H + 2·padding - dilation·(kh - 1) - 1) // stride + 1; without N, none.

        Raises:
            ValueError: shapes do not fit, or no window does.

        >>> convRANK(Tensor(np.ones((1, 1, ONES3))), np.ones((1, 1, ONES2))).data.ravel()
        array([2., 2.])
        """
        return correlate(x, w, rank, (stride, padding, dilation, groups))

    @window(
        r"$x \ast^{\mathsf T} $w", onnx="ConvTranspose",
        says="Lays filters $w down at each pixel of $x and adds them up.",
        samples=[
            sample(out_shape(x, w, options), w, **options, output_padding=rest_of(x, w, options))
            for x, w, options in CASES[rank]
        ],
        x=(r"\ast $w", lambda g, w, stride, padding, dilation, groups: conv(g, w, stride, padding, dilation, groups)),
        w=(r"\star $x", lambda g, x, w_shape, stride, padding, dilation, groups: to_weights(
            g, x, w_shape, stride, padding, dilation, groups)),
    )  # fmt: skip
    @spelled(rank)
    def conv_transpose(
        x: Value,
        w: Value,
        stride: Lengths = 1,
        padding: Padding = 0,
        output_padding: Lengths = 0,
        groups: int = 1,
        dilation: Lengths = 1,
    ) -> Value:
        """Put a filter at every pixel, times the pixel, and add them up: the gradient of `convRANK` in its ARRAYS.

        Args:
            x: (N, O, RESULTS), or (O, RESULTS).
            w: (O, C/groups, KERNEL): the filters of the `convRANK` whose transpose this is.
            stride: as in `convRANK`.
            padding: as in `convRANK`.
            output_padding: how many pixels to add at the end of each axis, less than the stride: those that no window
                of that `convRANK` reached.
            groups: as in `convRANK`.
            dilation: as in `convRANK`.

        Returns:
            (N, C, AXES) with H = (H' - 1)·stride - 2·padding + dilation·(kh - 1) + output_padding + 1; without N, none.

        Raises:
            ValueError: shapes do not fit, or ``output_padding`` is not less than ``stride``.

        >>> conv_transposeRANK(Tensor(np.ones((1, 1, ONES2))), np.ones((1, 1, ONES2))).data.ravel()
        array([1., 2., 1.])
        """
        return lay_down(x, w, rank, output_padding, (stride, padding, dilation, groups))

    @window(
        r"$x \star $y", says="Multiplies every window of $x with its pixel of $y and adds up over images and windows.",
        samples=[sample(x, out_shape(x, w, options), kernel=w[2:], **options) for x, w, options in CASES[rank]],
        x=(r"$y \ast^{\mathsf T}", lambda g, x_shape, y, stride, padding, dilation, groups: to_images(
            y, g, x_shape, stride, padding, dilation, groups)),
        y=(r"$x \ast", lambda g, x, stride, padding, dilation, groups: conv(x, g, stride, padding, dilation, groups)),
    )  # fmt: skip
    @spelled(rank)
    def conv_of_weight(
        x: Value,
        y: Value,
        kernel: Sequence[int] = (1,) * rank,
        stride: Lengths = 1,
        padding: Padding = 0,
        dilation: Lengths = 1,
        groups: int = 1,
    ) -> Value:
        """Multiply each window by its result and add up: the gradient of `convRANK` in its filters.

        Args:
            x: ARRAYS (N, C, AXES), or (C, AXES).
            y: gradient of the result, (N, O, RESULTS), or (O, RESULTS).
            kernel: (KERNEL), the size of the filters.
            stride: as in `convRANK`.
            padding: as in `convRANK`.
            dilation: as in `convRANK`.
            groups: as in `convRANK`.

        Returns:
            (O, C/groups, KERNEL).

        Raises:
            ValueError: shapes do not fit.

        >>> convRANK_weight(Tensor(np.ones((1, 1, ONES3))), np.ones((1, 1, ONES2)), [ONES2]).data.ravel()
        array([2., 2.])
        """
        return weigh(x, y, rank, tuple(kernel), (stride, padding, dilation, groups))

    conv_weight = conv_of_weight
    return conv, conv_transpose, conv_weight


conv1d, conv_transpose1d, conv1d_weight = define(1)
conv2d, conv_transpose2d, conv2d_weight = define(2)
conv3d, conv_transpose3d, conv3d_weight = define(3)
