"""Resampling reads arrays between their elements: each result is a weighted sum of a few elements along each axis.

The sums are linear, so the derivative is the same sums read backward (`resample_back`), and theirs is `resample`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.kernels.arrays import scatter_add
from tinygraph.ops.windows import plain, window

__all__ = ["resample", "resample_back"]

MODES = ("nearest", "nearest-exact", "linear", "cubic")
Curve = Callable[[Array], Array]
Scales = Sequence[float | None] | None


class Taps(NamedTuple):
    """Along one axis: for each result, which elements it is made of, and how much each counts; (taps, results)."""

    places: Array
    weights: Array


def sources(before: int, after: int, align_corners: bool, scale: float | None) -> Array:
    """Return where each of ``after`` results lies among ``before`` elements, as real numbers."""
    i = np.arange(after)
    if align_corners:
        return i * ((before - 1) / (after - 1) if after > 1 else 0.0)
    step = 1 / scale if scale else before / after
    found: Array = (i + 0.5) * step - 0.5
    return found


def find_taps(before: int, after: int, mode: str, align_corners: bool, scale: float | None, rank: int) -> Taps:
    """Return which elements of an axis the results are made of.

    As many results as elements are these, and "nearest" over two axes takes each element of twice as many results
    twice, whatever the scale: so does PyTorch.
    """
    nearest, exact = mode.startswith("nearest"), mode == "nearest-exact"
    special = rank == 2 and not exact if nearest else before == after and mode == "linear"
    if special and after in (before, 2 * before):
        return Taps((np.arange(after) // (after // before))[None], np.ones((1, after)))
    if nearest:
        step = 1 / scale if scale else before / after
        at = np.floor(((np.arange(after) + exact * 0.5) * step).astype(np.float32)).astype(np.int64)
        return Taps(np.minimum(at, before - 1)[None], np.ones((1, after)))
    at = sources(before, after, align_corners, scale)
    if mode == "linear":
        at = np.maximum(at, 0.0)
        first = np.minimum(at.astype(np.int64), before - 1)
        share = np.clip(at - first, 0.0, 1.0)
        return Taps(np.stack([first, np.minimum(first + 1, before - 1)]), np.stack([1 - share, share]))
    first = np.floor(at).astype(np.int64)
    places = np.clip(np.stack([first - 1, first, first + 1, first + 2]), 0, before - 1)
    return Taps(places, np.stack(cubic_weights(at - first)))


def cubic_weights(t: Any) -> list[Any]:
    """Return the weights of four elements about a place: of those one before, at, one and two after its floor.

    Args:
        t: how far the place is above its floor, 0 … 1: an array or a Tensor.
    """
    a = -0.75  # Keys 1981, with the factor that PyTorch has
    first, second = [((a + 2) * d - (a + 3)) * d * d + 1 for d in (t, 1 - t)]
    before, last = [((a * d - 5 * a) * d + 8 * a) * d - 4 * a for d in (t + 1, 2 - t)]
    return [before, first, second, last]


def all_taps(before: Shape, after: Shape, mode: str, align_corners: bool, scales: Scales) -> list[Taps]:
    """Return the taps of each axis; raise if the options do not fit."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
    if min(after, default=1) < 1 or min(before, default=1) < 1:
        raise ValueError(f"lengths are at least 1, not {before} and {after}")
    each = scales or (None,) * len(after)
    return [find_taps(n, m, mode, align_corners, s, len(after)) for n, m, s in zip(before, after, each, strict=True)]


def weighted(x: Array, weights: Array, axis: int) -> Array:
    """Multiply x by weights along an axis, counted from the end; all weights 1 change nothing."""
    if (weights == 1).all():
        return x
    factor = np.zeros_like(x, shape=(len(weights), *(1,) * (-1 - axis)), order="C")
    if type(x) is np.ndarray:
        factor[...] = weights.reshape(factor.shape)
    else:
        for i, weight in enumerate(weights.tolist()):
            factor[i] = weight
    product: Array = x * factor
    return product


def along(axis: int, places: Array) -> tuple[Any, ...]:
    """Return the index of places along an axis, counted from the end."""
    return (..., places, *(slice(None),) * (-1 - axis))


def gather(x: Array, taps: Taps, axis: int) -> Array:
    """Make the results along an axis."""
    take: Curve = (lambda at: x.take(at, axis)) if type(x) is np.ndarray else (lambda at: x[along(axis, at)])
    pairs = zip(taps.places, taps.weights, strict=True)
    out: Array = functools.reduce(np.add, (weighted(take(at), weights, axis) for at, weights in pairs))
    return out


def spread(g: Array, taps: Taps, axis: int, length: int) -> Array:
    """Send what belongs to results to the elements that they were made of: the transpose of `gather`."""
    shape = list(g.shape)
    shape[axis] = length
    out = np.zeros_like(g, shape=shape, order="C")
    for at, weights in zip(taps.places, taps.weights, strict=True):
        part = weighted(g, weights, axis)
        if type(g) is np.ndarray:
            starts = np.flatnonzero(np.diff(at, prepend=-1))  # places only rise: equal ones stand together
            out[along(axis, at[starts])] += np.add.reduceat(part, starts, axis=axis)
        else:
            scatter_add(out, along(axis, at), part)
    return out


# Shapes, sizes and options of the samples.
CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 2, 3, 4), (6, 8), {}),
    ((1, 2, 5), (7,), {"mode": "nearest-exact"}),
    ((2, 1, 5), (3,), {"mode": "linear", "scales": (0.7,)}),
    ((1, 2, 4, 3), (3, 5), {"mode": "linear", "align_corners": True}),
    ((1, 1, 2, 3, 2), (3, 2, 4), {"mode": "linear"}),
    ((1, 2, 5, 4), (7, 3), {"mode": "cubic"}),
]


@window(
    r"\operatorname{resize} $x", onnx="Resize", says="Reads $x at $size places, between its elements.",
    samples=[sample(shape, size=size, **options) for shape, size, options in CASES],
    x=(r"\operatorname{resize}^{\mathsf T}", lambda g, x_shape, size, mode, align_corners, scales: resample_back(  # type: ignore[has-type]
        g, tuple(x_shape[-len(size):]), mode, align_corners, scales)),
)  # fmt: skip
def resample(
    x: Value, size: Shape = (), mode: str = "nearest", align_corners: bool = False, scales: Scales = None
) -> Value:
    """Read an array at evenly spaced places along its last axes, as ``torch.nn.functional.interpolate``.

    Args:
        x: (…, *lengths).
        size: how many places there are along each of the last axes.
        mode: "nearest" (the element before), "nearest-exact", "linear" or "cubic".
        align_corners: whether the first and the last place are the first and the last element; else the places are the
            middles of equal parts of the axis. It is for "linear" and "cubic".
        scales: places for each element of an axis, where these are not the quotient of the lengths; None otherwise.

    Returns:
        (…, *size).

    Raises:
        ValueError: the mode is another, or a length is 0.

    >>> resample(Tensor([1.0, 3.0]), (4,), "linear")
    Tensor([1. , 1.5, 2.5, 3. ], op=resample)
    """
    x = plain(x)
    taps = all_taps(tuple(x.shape[len(x.shape) - len(size) :]), tuple(size), mode, align_corners, scales)
    for axis, found in zip(range(-1, -len(size) - 1, -1), reversed(taps), strict=True):  # long runs are copied last
        x = gather(x, found, axis)
    return x


@window(
    r"\operatorname{resize}^{\mathsf T} $x", says="Sends each of $x to the elements that it was read from.",
    samples=[
        sample((*shape[: -len(size)], *size), size=shape[-len(size) :], **options) for shape, size, options in CASES
    ],
    x=(r"\operatorname{resize}", lambda g, x_shape, size, mode, align_corners, scales: resample(
        g, tuple(x_shape[-len(size):]), mode, align_corners, scales)),
)  # fmt: skip
def resample_back(
    x: Value, size: Shape = (), mode: str = "nearest", align_corners: bool = False, scales: Scales = None
) -> Value:
    """Send results to the elements that they were read from: the gradient of `resample`.

    Args:
        x: one number for each result, (…, *lengths).
        size: the lengths of the axes that were read.
        mode: as in `resample`.
        align_corners: as in `resample`.
        scales: as in `resample`.

    Returns:
        (…, *size): for each element the sum of the results, each times the weight that it had in them.

    Raises:
        ValueError: the mode is another, or a length is 0.

    >>> resample_back(Tensor([1.0, 1.0, 1.0]), (2,))
    Tensor([2., 1.], op=resample_back)
    """
    taps = all_taps(tuple(size), tuple(x.shape[len(x.shape) - len(size) :]), mode, align_corners, scales)
    for axis, found, length in zip(range(-len(size), 0), taps, size, strict=True):
        x = spread(x, found, axis, length)
    return x
