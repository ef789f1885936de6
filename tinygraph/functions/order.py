"""Order statistics: medians and quantiles, made of sorted elements and their weights.

Where elements tie, the gradient goes to the one that a stable sort puts in the place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Axis, Value
from tinygraph.functions.products import as_array
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index
from tinygraph.ops.joining import stack
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import keep_axes, mean
from tinygraph.ops.reduce import max as largest
from tinygraph.ops.reduce import min as smallest
from tinygraph.ops.reduce import sum as total
from tinygraph.ops.shape import broadcast_to, flatten, reshape, squeeze, transpose
from tinygraph.ops.sorting import Extremes, accept_numbers, sort, take_along_axis

__all__ = [
    "average", "median", "mode", "nanmedian", "nanpercentile", "nanquantile", "percentile", "ptp", "quantile",
]  # fmt: skip

# Hyndman and Fan: the virtual place of the quantile q among n values is n q + a + q (1 - a - b) - 1.
CONTINUOUS = {
    "linear": (1.0, 1.0), "weibull": (0.0, 0.0), "hazen": (0.5, 0.5), "interpolated_inverted_cdf": (0.0, 1.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
ROUNDED: dict[str, Any] = {"lower": np.floor, "higher": np.ceil, "nearest": np.round}
METHODS = (*CONTINUOUS, *ROUNDED, "midpoint")


def places_of(q: Value, n: Any, method: str) -> tuple[Any, Any, Value]:
    """Return the two places around the quantile q of n values, and the weight of the second, which moves with q."""
    a, b = CONTINUOUS.get(method, (1.0, 1.0))
    virtual = n * q + (a + q * (1 - a - b)) - 1
    inside = np.clip(array_of(virtual), 0, np.maximum(n - 1, 0))
    if method in ROUNDED:
        place = ROUNDED[method](inside).astype(int)
        return place, place, 0.0
    low, high = np.floor(inside), np.ceil(inside)
    if method == "midpoint":
        weight: Value = np.where(high > low, 0.5, 0.0)
    else:
        weight = where(inside == array_of(virtual), virtual - low, 0.0)  # beyond the ends it stays there
    return low.astype(int), high.astype(int), weight


def in_rows(x: Value, axis: Axis) -> Value:
    """Lay the axes that are reduced out in the last one."""
    rank = len(x.shape)
    axes = normalize_axis_tuple(range(rank) if axis is None else axis, rank)
    kept = [i for i in range(rank) if i not in axes]
    n = math.prod(x.shape[a] for a in axes)
    moved = x if [*kept, *axes] == list(range(rank)) else transpose(x, [*kept, *axes])
    return reshape(moved, (*(x.shape[i] for i in kept), n))


def quantiles(what: str, x: Value, q: Value, axis: Axis, keepdims: bool, method: str, skip_nan: bool) -> Value:
    """Take quantiles over axes; several q make a first axis."""
    if method not in METHODS:
        raise ValueError(f"{what}: method={method!r} is not known: it is one of {', '.join(METHODS)}")
    asked = np.asarray(array_of(q), np.float64)
    shares = flatten(q) if isinstance(q, Tensor) else asked.ravel()
    if not x.shape:  # a number counts as a row of one, as in PyTorch
        normalize_axis_tuple(0 if axis is None else axis, 1)
        axis, keepdims = None, False
    if not ((asked >= 0) & (asked <= 1)).all():
        raise ValueError(f"{what}: q={q} is no share of all: quantiles are from 0 to 1, percentiles from 0 to 100")
    rows = sort(in_rows(x, axis), -1)
    if not rows.shape[-1]:
        raise ValueError(f"{what}: there is nothing to choose from: x has shape {x.shape}")
    missing = np.isnan(array_of(rows))
    n: Any = (~missing).sum(axis=-1, keepdims=True) if skip_nan else rows.shape[-1]
    found = [between(rows, missing, *places_of(p, n, method), skip_nan) for p in shares]
    kept, _ = keep_axes(x.shape, axis)
    shaped = [reshape(y, kept if keepdims else rows.shape[:-1]) for y in found]
    return shaped[0] if not asked.shape else reshape(stack(shaped), (*asked.shape, *shaped[0].shape))


def between(rows: Value, missing: Value, low: Value, high: Value, weight: Value, skip_nan: bool) -> Value:
    """Weigh two places of each sorted row; a row with a NaN, or of nothing else where they are skipped, gives NaN."""

    def take(place: Any) -> Value:
        if skip_nan:
            return take_along_axis(rows, place, -1)
        return index(rows, (Ellipsis, slice(int(place), int(place) + 1)))

    y = take(low)
    if isinstance(weight, Tensor) or np.any(weight):
        is_number = not isinstance(weight, Tensor) and not np.ndim(weight)
        y = y + (take(high) - y) * (float(weight) if is_number else weight.astype(y.dtype))
    spoilt = missing[..., :1] if skip_nan else missing[..., -1:]
    return where(spoilt, math.nan, y) if spoilt.any() else y


@implements(np.quantile, method="quantile")
@accept_dim
@composite
def quantile(
    x: Value, q: Value, axis: Axis = None, keepdims: bool = False, method: str = "linear", interpolation: str = ""
) -> Value:
    """Take the value below which a share q of all lies.

    Args:
        x: of any shape.
        q: the share, from 0 to 1, or several: they make the first axis. Gradients go to it, too.
        axis: one axis, several, or None for all.
        keepdims: keep the axes, with length 1.
        method: how two neighbours are weighed: "linear", "lower", "higher", "nearest", "midpoint", or a continuous
            method of NumPy's.
        interpolation: PyTorch's name of ``method``.

    Returns:
        The quantiles. Where x has a NaN, NaN.

    Raises:
        ValueError: q is not from 0 to 1, there is nothing to choose from, or the method is another.

    >>> quantile(Tensor([1.0, 2.0, 4.0]), 0.75).item()
    3.0
    """
    return quantiles("quantile", x, q, axis, keepdims, interpolation or method, False)


@implements(np.nanquantile, method="nanquantile")
@accept_dim
@composite
def nanquantile(
    x: Value, q: Value, axis: Axis = None, keepdims: bool = False, method: str = "linear", interpolation: str = ""
) -> Value:
    """Take the value below which a share q of all that are no NaN lies.

    Args:
        x: of any shape.
        q: as in `quantile`.
        axis: as in `quantile`.
        keepdims: as in `quantile`.
        method: as in `quantile`.
        interpolation: as in `quantile`.

    Returns:
        The quantiles; NaN where there is nothing else.

    Raises:
        ValueError: as in `quantile`.

    >>> nanquantile(Tensor([1.0, np.nan, 2.0, 4.0]), 0.75).item()
    3.0
    """
    return quantiles("nanquantile", x, q, axis, keepdims, interpolation or method, True)


@implements(np.percentile)
@accept_dim
@composite
def percentile(x: Value, q: Value, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Value:
    """Take the value below which q percent lie: `quantile` in percent.

    Args:
        x: of any shape.
        q: from 0 to 100, or several.
        axis: as in `quantile`.
        keepdims: as in `quantile`.
        method: as in `quantile`.

    Returns:
        The percentiles.

    Raises:
        ValueError: as in `quantile`.

    >>> percentile(Tensor([1.0, 2.0, 4.0]), 75).item()
    3.0
    """
    return quantiles("percentile", x, as_array(q) / 100, axis, keepdims, method, False)


@implements(np.nanpercentile)
@accept_dim
@composite
def nanpercentile(x: Value, q: Value, axis: Axis = None, keepdims: bool = False, method: str = "linear") -> Value:
    """Take the value below which q percent of all that are no NaN lie.

    Args:
        x: of any shape.
        q: from 0 to 100, or several.
        axis: as in `quantile`.
        keepdims: as in `quantile`.
        method: as in `quantile`.

    Returns:
        The percentiles; NaN where there is nothing else.

    Raises:
        ValueError: as in `quantile`.

    >>> nanpercentile(Tensor([1.0, np.nan, 2.0, 4.0]), 75).item()
    3.0
    """
    return quantiles("nanpercentile", x, as_array(q) / 100, axis, keepdims, method, True)


@implements(np.median, method="median")
@accept_dim
@composite
def median(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the middle value; of an even number the mean of the two in the middle, where PyTorch takes the lower.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes, with length 1.

    Returns:
        The medians. Where x has a NaN, NaN.

    Raises:
        ValueError: there is nothing to choose from.

    >>> median(Tensor([1.0, 2.0, 4.0, 7.0])).item()
    3.0
    """
    return quantiles("median", x, 0.5, axis, keepdims, "midpoint", False)


@implements(np.nanmedian, method="nanmedian")
@accept_dim
@composite
def nanmedian(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the middle of the values that are no NaN.

    Args:
        x: of any shape.
        axis: as in `median`.
        keepdims: as in `median`.

    Returns:
        The medians; NaN where there is nothing else.

    Raises:
        ValueError: there is nothing to choose from.

    >>> nanmedian(Tensor([1.0, np.nan, 2.0, 4.0])).item()
    2.0
    """
    return quantiles("nanmedian", x, 0.5, axis, keepdims, "midpoint", True)


@implements(method="mode")
@accept_dim
@accept_numbers
@composite
def mode(x: Value, axis: int = -1, keepdims: bool = False) -> Extremes:
    """Take the value that is there most often along an axis, as ``torch.mode``; of several the least.

    Args:
        x: of any shape.
        axis: along which axis.
        keepdims: keep that axis, with length 1.

    Returns:
        ``values``, and ``indices``: the last place of each, integers without a gradient.

    Raises:
        ValueError: there is nothing to choose from.

    >>> mode(Tensor([3.0, 1.0, 3.0])).values.item()
    3.0
    """
    axis = normalize_axis_index(axis, len(x.shape))
    if not x.shape[axis]:
        raise ValueError(f"mode: there is nothing to choose from: x has shape {x.shape}")
    array = np.moveaxis(array_of(x), axis, -1)
    order = np.argsort(array, axis=-1, kind="stable")
    rows = np.take_along_axis(array, order, -1)
    is_new = np.concatenate([np.ones_like(rows[..., :1], bool), rows[..., 1:] != rows[..., :-1]], -1)
    numbers = np.arange(rows.shape[-1])
    runs = numbers - np.maximum.accumulate(np.where(is_new, numbers, 0), axis=-1)
    found = np.take_along_axis(order, runs.argmax(axis=-1)[..., None], -1)  # the end of the first of the longest runs
    places = np.moveaxis(found, -1, axis)
    values = take_along_axis(x, places, axis)
    return Extremes(values, places) if keepdims else Extremes(squeeze(values, axis), np.squeeze(places, axis))


@implements(np.average)
@accept_dim
@composite
def average(x: Value, axis: Axis = None, weights: Value = None, returned: bool = False, keepdims: bool = False) -> Any:
    """Take the mean, each value with a weight.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        weights: of the shape of x, or a vector along ``axis``; gradients go to them, too.
        returned: return the sums of the weights, too.
        keepdims: keep the axes, with length 1.

    Returns:
        Σwx / Σw; and Σw of the same shape where ``returned``.

    Raises:
        ValueError: the weights do not fit.

    >>> average(Tensor([1.0, 3.0]), weights=np.array([3.0, 1.0])).item()
    1.5
    """
    if weights is None:
        y = mean(x, axis, keepdims)
        return (y, np.full(y.shape, keep_axes(x.shape, axis)[1], y.dtype)) if returned else y
    w = weights if hasattr(weights, "shape") else np.asarray(weights, x.dtype)
    if w.shape != x.shape:
        axes = normalize_axis_tuple(range(len(x.shape)) if axis is None else axis, len(x.shape))
        if axis is None or tuple(w.shape) != tuple(x.shape[a] for a in axes):
            raise ValueError(f"average: weights of shape {w.shape} do not fit x of shape {x.shape} along axis {axis}")
        order = np.argsort(axes).tolist()
        w = reshape(transpose(w, order), [x.shape[i] if i in axes else 1 for i in range(len(x.shape))])
    w = broadcast_to(w, x.shape)
    sums = total(w, axis, keepdims)
    y = total(x * w, axis, keepdims) / sums
    return (y, sums) if returned else y


@implements(np.ptp)
@accept_dim
@composite
def ptp(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the range: the largest less the smallest.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes, with length 1.

    Returns:
        max x - min x.

    Raises:
        ValueError: there is nothing to choose from.

    >>> ptp(Tensor([1.0, 4.0])).item()
    3.0
    """
    return largest(x, axis, keepdims) - smallest(x, axis, keepdims)
