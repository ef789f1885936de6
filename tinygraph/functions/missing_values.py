"""Reductions and scans that pass over NaN: those that do not, with the NaNs replaced. No gradient goes to a NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Axis, Value
from tinygraph.ops.elementwise import astype, equal, sqrt, square, where
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import argmax, argmin
from tinygraph.ops.reduce import max as largest
from tinygraph.ops.reduce import min as smallest
from tinygraph.ops.reduce import sum as total
from tinygraph.ops.scans import cumprod, cumsum, prod

__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum",
    "nanvar",
]  # fmt: skip


def replaced(x: Value, value: float) -> Value:
    """Put a value where x is NaN, which alone equals nothing."""
    return where(equal(x, x), x, value)


def count(x: Value, axis: Axis, keepdims: bool) -> Value:
    """Count what is no NaN."""
    return total(astype(equal(x, x), x.dtype), axis, keepdims)


@implements(np.nansum, method="nansum")
@accept_dim
@composite
def nansum(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Add up what is no NaN.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes, with length 1.

    Returns:
        The sums; 0 where there is nothing else.

    Raises:
        IndexError: x has no such axis.

    >>> nansum(Tensor([1.0, np.nan])).item()
    1.0
    """
    return total(replaced(x, 0), axis, keepdims)


@implements(np.nanprod)
@accept_dim
@composite
def nanprod(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Multiply what is no NaN.

    Args:
        x: of any shape.
        axis: as in `nansum`.
        keepdims: as in `nansum`.

    Returns:
        The products; 1 where there is nothing else.

    Raises:
        IndexError: x has no such axis.

    >>> nanprod(Tensor([2.0, np.nan])).item()
    2.0
    """
    return prod(replaced(x, 1), axis, keepdims)


@implements(np.nanmean, method="nanmean")
@accept_dim
@composite
def nanmean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Average what is no NaN.

    Args:
        x: of any shape.
        axis: as in `nansum`.
        keepdims: as in `nansum`.

    Returns:
        The means; NaN where there is nothing else.

    Raises:
        IndexError: x has no such axis.

    >>> nanmean(Tensor([2.0, np.nan])).item()
    2.0
    """
    with np.errstate(invalid="ignore"):
        return total(replaced(x, 0), axis, keepdims) / count(x, axis, keepdims)


@implements(np.nanvar)
@accept_dim
@composite
def nanvar(x: Value, axis: Axis = None, keepdims: bool = False, correction: float = 0, mean: Value = None) -> Value:
    """Take the variance of what is no NaN.

    Args:
        x: of any shape.
        axis: as in `nansum`.
        keepdims: as in `nansum`.
        correction: as in `var`.
        mean: as in `var`.

    Returns:
        The variances; NaN where there are not more values than ``correction``.

    Raises:
        IndexError: x has no such axis.

    >>> nanvar(Tensor([1.0, np.nan, 3.0])).item()
    1.0
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = nanmean(x, axis, True) if mean is None else mean
        squares = total(square(where(equal(x, x), x - centre, 0)), axis, keepdims)
        number = count(x, axis, keepdims) - correction
        return squares / where(array_of(number) > 0, number, math.nan)


@implements(np.nanstd)
@accept_dim
@composite
def nanstd(x: Value, axis: Axis = None, keepdims: bool = False, correction: float = 0, mean: Value = None) -> Value:
    """Take the standard deviation of what is no NaN. Where it is 0 its derivative is 0.

    Args:
        x: of any shape.
        axis: as in `nansum`.
        keepdims: as in `nansum`.
        correction: as in `var`.
        mean: as in `var`.

    Returns:
        The roots of `nanvar`.

    Raises:
        IndexError: x has no such axis.

    >>> nanstd(Tensor([1.0, np.nan, 3.0])).item()
    1.0
    """
    v = nanvar(x, axis, keepdims, correction, mean)
    is_flat = equal(v, 0)
    return where(is_flat, 0, sqrt(where(is_flat, 1, v)))


def extreme(reduce: Any, x: Value, worst: float, axis: Axis, keepdims: bool) -> Value:
    """Reduce what is no NaN; what is nothing else gives NaN."""
    found = reduce(replaced(x, worst), axis, keepdims)
    nothing = np.asarray(np.isnan(array_of(x)).all(axis=axis, keepdims=keepdims))
    return where(nothing, math.nan, found) if nothing.any() else found


@implements(np.nanmax)
@accept_dim
@composite
def nanmax(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the largest of what is no NaN. Ties share the gradient equally.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: as in `nansum`.
        keepdims: as in `nansum`.

    Returns:
        The largest; NaN where there is nothing else.

    Raises:
        ValueError: there is nothing to choose from.

    >>> nanmax(Tensor([2.0, np.nan])).item()
    2.0
    """
    return extreme(largest, x, -math.inf, axis, keepdims)


@implements(np.nanmin)
@accept_dim
@composite
def nanmin(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the smallest of what is no NaN. Ties share the gradient equally.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: as in `nansum`.
        keepdims: as in `nansum`.

    Returns:
        The smallest; NaN where there is nothing else.

    Raises:
        ValueError: there is nothing to choose from.

    >>> nanmin(Tensor([2.0, np.nan])).item()
    2.0
    """
    return extreme(smallest, x, math.inf, axis, keepdims)


@implements(np.nanargmax)
@accept_dim
@composite
def nanargmax(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Find where the largest of what is no NaN is. Not differentiable.

    Args:
        x: of any shape.
        axis: as in `argmax`.
        keepdims: as in `argmax`.

    Returns:
        Integers, which require no gradient.

    Raises:
        ValueError: there is nothing but NaN.

    >>> nanargmax(Tensor([np.nan, 2.0])).item()
    1
    """
    return argmax(checked(x, -math.inf, axis, "nanargmax"), axis, keepdims)


@implements(np.nanargmin)
@accept_dim
@composite
def nanargmin(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Find where the smallest of what is no NaN is. Not differentiable.

    Args:
        x: of any shape.
        axis: as in `argmax`.
        keepdims: as in `argmax`.

    Returns:
        Integers, which require no gradient.

    Raises:
        ValueError: there is nothing but NaN.

    >>> nanargmin(Tensor([np.nan, 2.0])).item()
    1
    """
    return argmin(checked(x, math.inf, axis, "nanargmin"), axis, keepdims)


def checked(x: Value, value: float, axis: Axis, what: str) -> Value:
    """Replace NaN; raise where there is nothing else."""
    if np.isnan(array_of(x)).all(axis=axis).any():
        raise ValueError(f"{what}: there is nothing but NaN to choose from")
    return replaced(x, value)


@implements(np.nancumsum)
@accept_dim
@composite
def nancumsum(x: Value, axis: int | None = None) -> Value:
    """Sum what is no NaN up to each place.

    Args:
        x: of any shape.
        axis: as in `cumsum`.

    Returns:
        The running sums.

    Raises:
        IndexError: x has no such axis.

    >>> nancumsum(Tensor([1.0, np.nan, 2.0])).data
    array([1., 1., 3.])
    """
    return cumsum(replaced(x, 0), axis)


@implements(np.nancumprod)
@accept_dim
@composite
def nancumprod(x: Value, axis: int | None = None) -> Value:
    """Multiply what is no NaN up to each place.

    Args:
        x: of any shape.
        axis: as in `cumprod`.

    Returns:
        The running products.

    Raises:
        IndexError: x has no such axis.

    >>> nancumprod(Tensor([1.0, np.nan, 2.0])).data
    array([1., 1., 2.])
    """
    return cumprod(replaced(x, 1), axis)
