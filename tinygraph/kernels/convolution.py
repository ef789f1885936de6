"""Convolution and its two transposes, compiled: one window at a time, over a tile of images on the last axis.

`tinygraph.ops.convolution` calls these where Numba is installed; they compute what its own matrix products do. A window
is a list of offsets into the padded images of a tile. So stride, dilation and groups become two lists of integers, and
the loops need not know of them. Four rows are added to a sum at a time: it is then read and written a quarter as often.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from tinygraph.engine.types import Array, Shape
from tinygraph.kernels.jit import Kernel
from tinygraph.kernels.route import choose_route
from tinygraph.kernels.threads import share

if TYPE_CHECKING:
    from tinygraph.ops.convolution import Frame

__all__ = ["Windows", "can_compile"]

LEAST = 1 << 16  # products from which the copy into tiles is worthwhile
MOST_OUTPUTS = 16  # channels of the result, in a group, up to which no matrix product is faster
IMAGES = 64  # in a tile: their values at one place fill some cache lines

Geometry: TypeAlias = tuple[Array, Array, int, int]  # taps, places, elements from group to group, number of groups


def few_outputs(images: int, outputs: int, kernel: int) -> bool:
    """Whether compiled loops are faster than matrix products, by the channels of the result in a group.

    They are where these are few and the images many, whose values lie side by side. It was measured for 1 to 64
    channels, kernels of 1 to 25 pixels and batches of 1 to 256 (docs/decisions/fused.md).
    """
    return outputs <= min(images**2 // 64, MOST_OUTPUTS if kernel > 1 else 1)


def can_compile(products: int, outputs: int, kernel: int, *arrays: Any) -> bool:
    """Whether compiled code computes a convolution of these arrays, images first, faster than matrix products do.

    It needs ``products`` multiplications; a group has so many ``outputs``, and a window so many pixels.
    """
    first = arrays[0]
    return (
        products >= LEAST
        and type(first) is np.ndarray
        and first.dtype.char in "fd"
        and all(type(a) is np.ndarray and a.dtype == first.dtype for a in arrays)
        and few_outputs(len(first), outputs, kernel)
        and choose_route(first) == "numba"
    )


class Windows(NamedTuple):
    """Where the windows of padded images (C, …) begin, and where their elements are, counted from there."""

    places: Array  # (windows,)
    taps: Array  # (C/groups · kernel,)
    group: int  # from one group of channels to the next
    size: Shape

    @classmethod
    def of(cls, frame: Frame) -> Windows:
        """Return the windows of a `tinygraph.ops.convolution.Frame`."""
        place = np.arange(math.prod(frame.padded)).reshape(frame.padded)
        first: Any = (0, *(slice(0, s * (n - 1) + 1, s) for s, n in zip(frame.stride, frame.size, strict=True)))
        tap = (slice(0, d * (k - 1) + 1, d) for d, k in zip(frame.dilation, frame.kernel, strict=True))
        taps: Any = (slice(frame.channels), *tap)
        return cls(place[first].ravel(), place[taps].ravel(), frame.channels * place[0].size, frame.size)

    def geometry(self, groups: int) -> Geometry:
        """Return what the kernels need to know."""
        return self.taps, self.places, self.group, groups

    def correlate(self, frame: Frame, x: Array, w: Array, out: Array) -> None:
        """Slide filters over images: `conv2d`."""
        weights = np.array(w.reshape(len(w), -1))

        def work(tile: slice) -> None:
            images = pad_images(frame, x[tile])
            rows = np.empty((len(w), len(self.places), images.shape[-1]), x.dtype)
            slide(images.reshape(-1), weights, self.geometry(frame.groups), rows)
            out[tile] = np.moveaxis(rows.reshape(len(w), *self.size, -1), -1, 0)

        share(work, cut_images(len(x)), out.size * len(self.taps))

    def spread(self, frame: Frame, y: Array, w: Array, out: Array) -> None:
        """Lay filters down at every pixel and add up: `conv_transpose2d`."""
        weights = np.array(w.reshape(len(w), -1))

        def work(tile: slice) -> None:
            rows = put_images_last(y[tile])
            images = np.zeros((*frame.padded, rows.shape[-1]), y.dtype)
            lay_down(
                rows.reshape(len(w), len(self.places), -1), weights, self.geometry(frame.groups), images.reshape(-1)
            )
            out[tile] = np.moveaxis(images[frame.inside], -1, 0)

        share(work, cut_images(len(y)), y.size * len(self.taps))

    def weigh(self, frame: Frame, x: Array, y: Array) -> Array:
        """Multiply windows with results: `conv2d_weight`, as (O, C/groups · kernel)."""
        cuts = cut_images(len(x))
        sums = np.zeros((len(cuts), y.shape[1], len(self.taps)))

        def work(number: int) -> None:
            images, rows = pad_images(frame, x[cuts[number]]), put_images_last(y[cuts[number]])
            rows = rows.reshape(len(rows), len(self.places), -1)
            multiply(images.reshape(-1), rows, self.geometry(frame.groups), sums[number])

        share(work, range(len(cuts)), y.size * len(self.taps))
        total: Array = sums.sum(0)
        return total


def cut_images(count: int) -> list[slice]:
    """Cut a batch of ``count`` images into tiles."""
    return [slice(start, start + IMAGES) for start in range(0, count, IMAGES)]


def put_images_last(x: Array) -> Array:
    """Return (n, C, …) as (C, …, n)."""
    return np.ascontiguousarray(np.moveaxis(x, 0, -1))


def pad_images(frame: Frame, x: Array) -> Array:
    """Return images (n, C, …), padded, as (C, …, n)."""
    if not any(map(any, frame.padding)):
        return put_images_last(x)
    images = np.zeros((*frame.padded, len(x)), x.dtype)
    images[frame.inside] = np.moveaxis(x, 0, -1)
    return images


# Each loop over m is over the images of a tile, which are neighbours in memory. Rows that a loop does not change are
# looked up before it.


def row_of(x: Array, place: int, n: int) -> Array:  # pragma: no cover
    """Return the values of all images at a place. A slice lets the compiler know that no index is negative."""
    return x[place * n : place * n + n]


@Kernel
def slide(x: Array, w: Array, geometry: Geometry, out: Array) -> None:  # pragma: no cover
    """Set out[o, p] to the sum of w[o, t] · x[place p + tap t]."""
    taps, places, group, groups = geometry
    n, each, count = out.shape[2], w.shape[0] // groups, taps.size
    for p in range(places.size):
        for k in range(groups):
            start, outputs = places[p] + k * group, range(k * each, (k + 1) * each)
            for o in outputs:
                out[o, p][:] = 0
            for t in range(0, count - 3, 4):
                a, b = row_of(x, start + taps[t], n), row_of(x, start + taps[t + 1], n)
                c, d = row_of(x, start + taps[t + 2], n), row_of(x, start + taps[t + 3], n)
                for o in outputs:
                    row, wa, wb, wc, wd = out[o, p], w[o, t], w[o, t + 1], w[o, t + 2], w[o, t + 3]
                    for m in range(n):
                        row[m] += wa * a[m] + wb * b[m] + wc * c[m] + wd * d[m]
            for t in range(count // 4 * 4, count):
                a = row_of(x, start + taps[t], n)
                for o in outputs:
                    row, wa = out[o, p], w[o, t]
                    for m in range(n):
                        row[m] += wa * a[m]


@Kernel
def lay_down(y: Array, w: Array, geometry: Geometry, x: Array) -> None:  # pragma: no cover
    """Add w[o, t] · y[o, p] into x[place p + tap t]."""
    taps, places, group, groups = geometry
    n, each = y.shape[2], w.shape[0] // groups
    for p in range(places.size):
        for k in range(groups):
            start, last = places[p] + k * group, (k + 1) * each
            for o in range(k * each, last - 3, 4):
                a, b, c, d = y[o, p], y[o + 1, p], y[o + 2, p], y[o + 3, p]
                for t in range(taps.size):
                    row, wa, wb, wc, wd = row_of(x, start + taps[t], n), w[o, t], w[o + 1, t], w[o + 2, t], w[o + 3, t]
                    for m in range(n):
                        row[m] += wa * a[m] + wb * b[m] + wc * c[m] + wd * d[m]
            for o in range(last - each % 4, last):
                a = y[o, p]
                for t in range(taps.size):
                    row, wa = row_of(x, start + taps[t], n), w[o, t]
                    for m in range(n):
                        row[m] += wa * a[m]


@Kernel
def multiply(x: Array, y: Array, geometry: Geometry, out: Array) -> None:  # pragma: no cover
    """Add the sums of y[o, p] · x[place p + tap t] over places and images into out[o, t]."""
    taps, places, group, groups = geometry
    n, each, count = y.shape[2], y.shape[0] // groups, taps.size
    for p in range(places.size):
        for k in range(groups):
            start, outputs = places[p] + k * group, range(k * each, (k + 1) * each)
            for t in range(0, count - 3, 4):
                a, b = row_of(x, start + taps[t], n), row_of(x, start + taps[t + 1], n)
                c, d = row_of(x, start + taps[t + 2], n), row_of(x, start + taps[t + 3], n)
                for o in outputs:
                    row = y[o, p]
                    sa = sb = sc = sd = x.dtype.type(0)
                    for m in range(n):
                        v = row[m]
                        sa += v * a[m]
                        sb += v * b[m]
                        sc += v * c[m]
                        sd += v * d[m]
                    out[o, t] += sa
                    out[o, t + 1] += sb
                    out[o, t + 2] += sc
                    out[o, t + 3] += sd
            for t in range(count // 4 * 4, count):
                a = row_of(x, start + taps[t], n)
                for o in outputs:
                    row, sa = y[o, p], x.dtype.type(0)
                    for m in range(n):
                        sa += row[m] * a[m]
                    out[o, t] += sa
