"""Differences between neighbours, and what undoes them: slopes and areas of sampled curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Axis, Value
from tinygraph.ops.elementwise import where
from tinygraph.ops.indexing import index, part
from tinygraph.ops.joining import concatenate
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import sum as total
from tinygraph.ops.scans import cumprod, cumsum
from tinygraph.ops.shape import broadcast_to, flatten, reshape

__all__ = [
    "cumulative_prod", "cumulative_sum", "cumulative_trapezoid", "ediff1d", "gradient", "interp", "trapezoid",
]  # fmt: skip


def as_value(x: Value) -> Value:
    """Return numbers and lists as an array."""
    return x if hasattr(x, "shape") else np.asarray(x)


@implements(np.diff, method="diff")
@accept_dim
@composite
def diff(x: Value, n: int = 1, axis: int = -1, prepend: Value = None, append: Value = None) -> Value:
    """Take the differences between neighbours, n times: ``numpy.diff(x)`` or ``x.diff()``.

    Args:
        x: of one axis or more.
        n: how many times.
        axis: along which axis.
        prepend: what stands before x: a number, or an array that fits but along ``axis``.
        append: what stands after x, likewise.

    Returns:
        x[1:] - x[:-1], n elements shorter.

    Raises:
        ValueError: x has no axis, or n is negative.

    >>> np.diff(Tensor([1.0, 4.0, 9.0])).data
    array([3., 5.])
    """
    if n < 0 or not x.shape:
        raise ValueError(f"diff: n={n} of shape {x.shape}: n must not be negative, and x must have an axis")
    (axis,) = normalize_axis_tuple(axis, len(x.shape))

    def beside(value: Any) -> list[Value]:
        value = as_value(value)
        one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        return [value if value.shape else broadcast_to(value, one)]

    parts = [] if prepend is None or prepend is np._NoValue else beside(prepend)
    parts += [x, *([] if append is None or append is np._NoValue else beside(append))]
    x = concatenate(parts, axis) if len(parts) > 1 else x
    for _ in range(n):
        x = part(x, axis, 1) - part(x, axis, None, -1)
    return x


@implements(np.ediff1d)
def ediff1d(x: Value, to_end: Value = None, to_begin: Value = None) -> Value:
    """Take the differences between the elements as they lie in one row.

    Args:
        x: of any shape.
        to_end: what to put behind the differences.
        to_begin: what to put before them.

    Returns:
        A vector.

    >>> ediff1d(Tensor([1.0, 4.0, 9.0])).data
    array([3., 5.])
    """
    parts = [flatten(as_value(v)) for v in (to_begin,) if v is not None]
    parts += [diff(flatten(x)), *(flatten(as_value(v)) for v in (to_end,) if v is not None)]
    return concatenate(parts) if len(parts) > 1 else parts[0]


@implements(np.gradient)
@accept_dim
def gradient(x: Value, *varargs: Any, axis: Axis = None, edge_order: int = 1, spacing: Any = None) -> Any:
    """Take the slope of a sampled function at each place: central differences, one-sided at the ends.

    Args:
        x: values, of two places or more along each axis.
        varargs: how far apart the places are: a number for all axes or one for each, or the coordinates of the
            places. 1 unless given.
        axis: one axis, or several, or None for all.
        edge_order: 1 or 2: of which order the differences at the ends are.
        spacing: PyTorch's argument for ``varargs``: a number, or a list with an entry for each axis.

    Returns:
        The slopes, of the shape of x; a tuple of them where there are several axes.

    Raises:
        ValueError: there are too few places, or the spacing does not fit.

    >>> gradient(Tensor([1.0, 2.0, 4.0])).data
    array([1. , 1.5, 2. ])
    """
    axes = normalize_axis_tuple(range(len(x.shape)) if axis is None else axis, len(x.shape))
    if spacing is not None:
        varargs = tuple(spacing) if isinstance(spacing, list | tuple) else (spacing,)
    one_for_all = len(varargs) == 1 and np.ndim(array_of(varargs[0])) == 0
    given = [*varargs] * (len(axes) if one_for_all else 1) or [1] * len(axes)
    if len(given) != len(axes) or edge_order not in (1, 2):
        raise ValueError(f"gradient: {len(given)} spacings for {len(axes)} axes, edge_order={edge_order} (1 or 2)")
    found = [
        slope(x, h if np.ndim(array_of(h)) == 0 else as_value(h), a, edge_order)
        for h, a in zip(given, axes, strict=True)
    ]
    return found[0] if len(found) == 1 else tuple(found)


@composite
def slope(x: Value, h: Value, axis: int, edge_order: int) -> Value:
    """Take the slope along an axis; h is the distance of the places, or all their coordinates."""
    n, apart = x.shape[axis], np.ndim(array_of(h)) > 0
    if n < edge_order + 1 or (apart and h.shape != (n,)):
        raise ValueError(f"gradient: {n} places along axis {axis}: it takes edge_order + 1, and as many coordinates")
    column = [-1 if i == axis else 1 for i in range(len(x.shape))]
    steps = reshape(part(h, 0, 1) - part(h, 0, None, -1), column) if apart else h
    before, after = (part(steps, axis, *s) if apart else h for s in ((None, -1), (1, None)))
    low, middle, high = (part(x, axis, *s) for s in ((None, -2), (1, -1), (2, None)))
    if apart:
        change = before * before * high - after * after * low + (after * after - before * before) * middle
        inner = change / (before * after * (before + after))
    else:
        inner = (high - low) / (2 * h)
    ends = []
    for side in (0, -1):  # the places at an end, from the edge inwards
        order = (0, 1, 2) if side == 0 else (-1, -2, -3)
        values = [part(x, axis, i, i + 1 or None) for i in order[: edge_order + 1]]
        gaps = [part(steps, axis, i, i + 1 or None) if apart else h for i in order[:edge_order]]
        ends.append(edge(values, gaps) if side == 0 else -edge(values, gaps))
    return concatenate([ends[0], inner, ends[1]], axis)


def edge(values: list[Value], gaps: list[Value]) -> Value:
    """Take the slope at an end from the values beside it: of a line through two, or a parabola through three."""
    if len(values) == 2:
        return (values[1] - values[0]) / gaps[0]
    (first, second, third), (a, b) = values, gaps
    return -(2 * a + b) / (a * (a + b)) * first + (a + b) / (a * b) * second - a / (b * (a + b)) * third


def areas(y: Value, x: Value, dx: Value, axis: int) -> Value:
    """Return the area under each piece of a broken line."""
    (axis,) = normalize_axis_tuple(axis, len(y.shape))
    both = (part(y, axis, 1) + part(y, axis, None, -1)) * 0.5
    if x is None:
        return both * dx
    x = as_value(x)
    if len(x.shape) == 1:
        x = reshape(x, [-1 if i == axis else 1 for i in range(len(y.shape))])
    return both * diff(x, 1, axis)


@implements(*filter(None, [getattr(np, "trapezoid", None), getattr(np, "trapz", None)]))
@accept_dim
@composite
def trapezoid(y: Value, x: Value = None, dx: Value = 1.0, axis: int = -1) -> Value:
    """Take the area under a broken line.

    Args:
        y: heights, of one axis or more.
        x: the places of the heights, a vector or of the shape of y; None for equal distances.
        dx: the distance, where x is not given.
        axis: along which axis.

    Returns:
        The areas: one axis less than y.

    Raises:
        ValueError: the shapes do not fit.

    >>> trapezoid(Tensor([1.0, 2.0, 3.0])).item()
    4.0
    """
    return total(areas(y, x, dx, axis), axis)


@accept_dim
@composite
def cumulative_trapezoid(y: Value, x: Value = None, dx: Value = 1.0, axis: int = -1) -> Value:
    """Take the area under a broken line up to each place, as ``torch.cumulative_trapezoid``.

    Args:
        y: as in `trapezoid`.
        x: as in `trapezoid`.
        dx: as in `trapezoid`.
        axis: as in `trapezoid`.

    Returns:
        The running areas, one place less than y.

    Raises:
        ValueError: the shapes do not fit.

    >>> cumulative_trapezoid(Tensor([1.0, 2.0, 3.0])).data
    array([1.5, 4. ])
    """
    return cumsum(areas(y, x, dx, axis), axis)


def from_nothing(scan: Any, x: Value, axis: int | None, include_initial: bool, first: float, what: str) -> Value:
    """Scan along an axis, with or without what a scan starts from."""
    if axis is None and len(x.shape) != 1:
        raise ValueError(f"{what}: x has shape {x.shape}: give axis=")
    (axis,) = normalize_axis_tuple(0 if axis is None else axis, len(x.shape))
    found = scan(x, axis)
    if not include_initial:
        return found
    start = np.full((*x.shape[:axis], 1, *x.shape[axis + 1 :]), first, x.dtype)
    return concatenate([start, found], axis)


@implements(*filter(None, [getattr(np, "cumulative_sum", None)]))  # from NumPy 2.1 on
@accept_dim
def cumulative_sum(x: Value, axis: int | None = None, include_initial: bool = False) -> Value:
    """Sum the elements up to each place, as `cumsum`.

    Args:
        x: of any shape.
        axis: along which axis; a vector needs none.
        include_initial: begin with 0.

    Returns:
        The running sums.

    Raises:
        ValueError: x has several axes, and none is named.

    >>> cumulative_sum(Tensor([1.0, 2.0]), include_initial=True).data
    array([0., 1., 3.])
    """
    return from_nothing(cumsum, x, axis, include_initial, 0.0, "cumulative_sum")


@implements(*filter(None, [getattr(np, "cumulative_prod", None)]))
@accept_dim
def cumulative_prod(x: Value, axis: int | None = None, include_initial: bool = False) -> Value:
    """Multiply the elements up to each place, as `cumprod`.

    Args:
        x: of any shape.
        axis: along which axis; a vector needs none.
        include_initial: begin with 1.

    Returns:
        The running products.

    Raises:
        ValueError: x has several axes, and none is named.

    >>> cumulative_prod(Tensor([2.0, 3.0]), include_initial=True).data
    array([1., 2., 6.])
    """
    return from_nothing(cumprod, x, axis, include_initial, 1.0, "cumulative_prod")


@implements(np.interp)
@composite
def interp(x: Value, xp: Value, fp: Value, left: Value = None, right: Value = None, period: Any = None) -> Value:
    """Read a broken line at the places x. Gradients go to x, and to the places and heights of its corners.

    Args:
        x: of any shape.
        xp: places of the corners, a rising vector.
        fp: their heights.
        left: what stands left of the first corner; its height unless given.
        right: what stands right of the last; its height unless given.
        period: of the line, if it has one.

    Returns:
        The heights, of the shape of x. At a corner the slope is that of the piece on its right.

    Raises:
        ValueError: xp and fp are no vectors of one length, or the period is 0.

    >>> interp(Tensor([0.5]), [0.0, 1.0], [2.0, 4.0]).data
    array([3.])
    """
    x, xp, fp = map(as_value, (x, xp, fp))
    if len(xp.shape) != 1 or xp.shape != fp.shape or not xp.shape[0] or period == 0:
        raise ValueError(f"interp: xp of shape {xp.shape} and fp of shape {fp.shape} must be vectors of one length")
    if period is not None:
        x, xp, left, right = (
            x - np.floor(array_of(x) / period) * period,
            xp - np.floor(array_of(xp) / period) * period,
            None,
            None,
        )
        order = np.argsort(array_of(xp), kind="stable")
        xp, fp = index(xp, order), index(fp, order)
        xp = concatenate([part(xp, 0, -1) - period, xp, part(xp, 0, None, 1) + period])
        fp = concatenate([part(fp, 0, -1), fp, part(fp, 0, None, 1)])
    n, at = xp.shape[0], array_of(x)
    low = np.clip(np.searchsorted(array_of(xp), at, side="right") - 1, 0, max(n - 2, 0))
    high = np.minimum(low + 1, n - 1)
    width = index(xp, high) - index(xp, low) if n > 1 else 1.0
    y = index(fp, low) + (index(fp, high) - index(fp, low)) * ((x - index(xp, low)) / width)
    y = where(at < array_of(xp)[0], index(fp, 0) if left is None else left, y)
    return where(at > array_of(xp)[-1], index(fp, -1) if right is None else right, y)
