"""Functions that NumPy alone has: polynomials, covariances, sequences, pieces of a function.

They have no names in tinygraph: NumPy's own names find them when they are called with a Tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import normalize_axis_tuple

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Value
from tinygraph.functions.products import convolve
from tinygraph.ops.diagonals import diagonal
from tinygraph.ops.elementwise import abs as size_of
from tinygraph.ops.elementwise import astype, exp, log, sqrt
from tinygraph.ops.indexing import backwards, index, part, scatter
from tinygraph.ops.joining import concatenate, stack
from tinygraph.ops.reduce import mean
from tinygraph.ops.shape import expand_dims, moveaxis, reshape, swapaxes

__all__: list[str] = []


def as_value(x: Value) -> Value:
    """Return numbers and lists as an array."""
    return x if hasattr(x, "shape") else np.asarray(x)


implements(np.fabs)(size_of)


@implements(*filter(None, [getattr(np, "astype", None)]))  # from NumPy 2.1 on
def convert(x: Value, dtype: npt.DTypeLike) -> Value:
    """Convert to a dtype."""
    return astype(x, dtype)


@implements(np.conjugate, np.real, np.real_if_close, method="conj conjugate")
def real(x: Tensor) -> Tensor:
    """Return x: it is real."""
    return x


@implements(np.linspace)
def linspace(
    start: Value, stop: Value, num: int = 50, endpoint: bool = True, retstep: bool = False, axis: int = 0
) -> Any:
    """Go from start to stop in equal steps, along a new axis."""
    start, stop = as_value(start), as_value(stop)
    shape = np.broadcast_shapes(start.shape, stop.shape)
    pieces = num - 1 if endpoint else num
    share = np.arange(num) / max(pieces, 1)
    column = reshape(share, (-1, *(1 for _ in shape)))
    found = start * (1 - column) + stop * column
    found = moveaxis(found, 0, axis) if axis else found
    return (found, (stop - start) / pieces if pieces else math.nan) if retstep else found


@implements(np.logspace)
def logspace(start: Value, stop: Value, num: int = 50, endpoint: bool = True, base: Any = 10.0, axis: int = 0) -> Value:
    """Raise a base to numbers in equal steps."""
    return base ** linspace(start, stop, num, endpoint, axis=axis)


@implements(np.geomspace)
def geomspace(start: Value, stop: Value, num: int = 50, endpoint: bool = True, axis: int = 0) -> Value:
    """Go from start to stop, both above 0, in steps of one ratio."""
    low, high = as_value(start), as_value(stop)
    if not ((array_of(low) > 0).all() and (array_of(high) > 0).all()):
        raise ValueError("geomspace of a Tensor goes between numbers above 0")
    return exp(linspace(log(low), log(high), num, endpoint, axis=axis))


@implements(np.cov)
@composite
def cov(m: Value, y: Value = None, rowvar: bool = True, bias: bool = False, ddof: Any = None) -> Value:
    """Take the covariances of variables, which are the rows unless ``rowvar`` is False."""
    rows = [reshape(x, (1, -1)) if len(x.shape) < 2 else x if rowvar else swapaxes(x, 0, 1)
            for x in (as_value(m), y if y is None else as_value(y)) if x is not None]  # fmt: skip
    x = concatenate(rows) if len(rows) > 1 else rows[0]
    divisor = x.shape[1] - (ddof if ddof is not None else 0 if bias else 1)
    if divisor <= 0:
        raise ValueError(f"cov: {x.shape[1]} observations leave nothing to divide by")
    centred = x - mean(x, 1, True)
    found = centred @ swapaxes(centred, 0, 1) / divisor
    return reshape(found, [n for n in found.shape if n > 1])


@implements(np.corrcoef)
@composite
def corrcoef(x: Value, y: Value = None, rowvar: bool = True) -> Value:
    """Take the correlations of variables: covariances over the product of the standard deviations."""
    c = cov(x, y, rowvar)
    if not c.shape:
        return c / c
    spread = sqrt(diagonal(c))
    return c / expand_dims(spread, 0) / expand_dims(spread, 1)


@implements(np.unwrap)
def unwrap(p: Value, discont: Any = None, axis: int = -1, period: float = 2 * math.pi) -> Value:
    """Add whole periods, so that neighbours differ by half of one at most."""
    values = array_of(p)
    return p + (np.unwrap(values, discont, axis, period=period) - values)


@implements(np.trim_zeros)
def trim_zeros(filt: Value, trim: str = "fb") -> Value:
    """Leave out the zeros at the ends of a vector."""
    places = np.flatnonzero(array_of(filt))
    start = places[0] if "f" in trim.lower() and len(places) else 0
    stop = places[-1] + 1 if "b" in trim.lower() and len(places) else len(filt) if len(places) else 0
    return part(filt, 0, int(start), int(stop))


@implements(np.bincount)
def bincount(x: Value, weights: Value = None, minlength: int = 0) -> Value:
    """Add up the weights of each number; counts alone are no Tensor's."""
    places = np.asarray(array_of(x))
    if weights is None:
        return np.bincount(places, minlength=minlength)
    return scatter(as_value(weights), (places,), (max(int(places.max(initial=-1)) + 1, minlength),))


@implements(np.piecewise)
def piecewise(x: Value, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Value:
    """Evaluate each function where its condition holds, and nowhere else; the last condition that holds counts."""
    conditions = np.asarray(array_of(condlist), bool)
    conditions = conditions[None] if conditions.shape == x.shape or not conditions.shape else conditions
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~conditions.any(0, keepdims=True)])
    if len(funclist) != len(conditions):
        raise ValueError(f"piecewise: {len(conditions)} conditions and {len(funclist)} functions")
    found: Value = np.zeros_like(array_of(x))
    for i, (condition, function) in enumerate(zip(conditions, funclist, strict=True)):
        here = condition & ~conditions[i + 1 :].any(0)
        if callable(function):
            found = found + scatter(function(index(x, here), *args, **kw), here, tuple(x.shape))
        else:
            found = found + here * as_value(function)
    return found


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Value, *args: Any, **kwargs: Any) -> Value:
    """Call a function with each vector along an axis."""
    (axis,) = normalize_axis_tuple(axis, len(arr.shape))
    rows = moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    found = [as_value(func1d(row, *args, **kwargs)) for row in reshape(rows, (-1, rows.shape[-1]))]
    inner = found[0].shape
    together = reshape(stack(found), (*lead, *inner))
    return moveaxis(together, tuple(range(len(lead), len(lead) + len(inner))), tuple(range(axis, axis + len(inner))))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Value, axes: int | Sequence[int]) -> Value:
    """Call a function with one axis after the other, each kept."""
    for axis in normalize_axis_tuple(axes, len(a.shape)):
        found = func(a, axis)
        a = expand_dims(found, axis) if len(found.shape) < len(a.shape) else found
    return a


@implements(np.polyval)
@composite
def polyval(p: Value, x: Value) -> Value:
    """Evaluate a polynomial, whose highest coefficient comes first, by Horner's rule."""
    found: Value = 0
    for coefficient in as_value(p):
        found = found * x + coefficient
    return found


def of_one_length(a: Value, b: Value) -> list[Value]:
    """Put zeros before the shorter polynomial."""
    both = [reshape(as_value(x), (-1,)) for x in (a, b)]
    n = max(x.shape[0] for x in both)
    return [concatenate([np.zeros(n - x.shape[0], x.dtype), x]) if x.shape[0] < n else x for x in both]


@implements(np.polyadd)
def polyadd(a1: Value, a2: Value) -> Value:
    """Add polynomials."""
    a, b = of_one_length(a1, a2)
    return a + b


@implements(np.polysub)
def polysub(a1: Value, a2: Value) -> Value:
    """Subtract polynomials."""
    a, b = of_one_length(a1, a2)
    return a - b


@implements(np.polymul)
def polymul(a1: Value, a2: Value) -> Value:
    """Multiply polynomials."""
    return convolve(as_value(a1), as_value(a2))


@implements(np.polyder)
def polyder(p: Value, m: int = 1) -> Value:
    """Differentiate a polynomial m times."""
    for _ in range(m):
        p = part(p, 0, None, -1) * np.arange(p.shape[0] - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Value, m: int = 1, k: Any = None) -> Value:
    """Integrate a polynomial m times; k are the constants."""
    constants = np.broadcast_to(np.zeros(m) if k is None else np.asarray(k), (m,))
    for constant in constants:
        p = concatenate([p / np.arange(p.shape[0], 0, -1), np.asarray([constant], p.dtype)])
    return p


@implements(np.vander)
def vander(x: Value, N: int | None = None, increasing: bool = False) -> Value:
    """Put the powers of a vector side by side, the highest first."""
    n = x.shape[0] if N is None else N
    powers = stack([x**k for k in range(n)], 1)
    return powers if increasing else backwards(powers, 1)
