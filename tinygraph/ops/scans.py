"""Scans along an axis: running sums, products and log-sums, and the product of all.

Each scan's derivative is a scan that runs the other way. Where no element is 0, the derivative of a product divides by
the element; where one is, the products of the others are computed without a division.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Axis, Shape, Value
from tinygraph.kernels.arrays import backend_of
from tinygraph.ops.elementwise import equal, exp, where
from tinygraph.ops.indexing import backwards, part
from tinygraph.ops.joining import join, stack
from tinygraph.ops.reduce import keep_axes, reduction, restore_axes
from tinygraph.ops.shape import invert, reshape, transpose

__all__ = ["cumprod", "cumsum", "logcumsumexp", "prod"]

SCANNED = [sample((4, 3), axis=0), sample((2, 4), axis=-1), sample((2, 3), axis=None), sample((1,), axis=0)]
scan = functools.partial(op, family="shape", samples=SCANNED)


def along(function: Callable[..., Value], g: Value, shape: Shape, axis: int | None, *others: Value) -> Value:
    """Call a derivative of a scan along an axis; one along no axis, or of a number, ran over all elements in a row."""
    if axis is None or not shape:
        return reshape(function(reshape(g, (-1,)), *(reshape(x, (-1,)) for x in others), 0), shape)
    return function(g, *others, axis)


def sum_of_later(g: Value, axis: int) -> Value:
    """Sum what comes at each place and after it."""
    return backwards(cumsum(backwards(g, axis), axis), axis)


@scan(
    r"\sum_{\leq i} $x", (np.cumsum,), method="cumsum", onnx="CumSum",
    says="Sums $x up to each place along axis $axis.",
    x=("1", lambda g, x_shape, axis: along(sum_of_later, g, x_shape, axis)),
)  # fmt: skip
def cumsum(x: Value, axis: int | None = None) -> Value:
    """Sum the elements up to each place: x₀, x₀ + x₁, ….

    Args:
        x: of any shape.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        The running sums, of the shape of x, or in one axis.

    Raises:
        IndexError: x has no such axis.

    >>> cumsum(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 3., 6.], op=cumsum)
    """
    sums = np.cumsum(x, axis=axis, dtype=x.dtype if x.dtype.kind == "f" else None)
    return sums if axis is None else sums.reshape(x.shape)


def slope_of_cumprod(g: Value, x: Value, out: Value, axis: int) -> Value:
    """Sum, for each element, the later products without it."""
    if not (array_of(x) == 0).any():
        return sum_of_later(g * out, axis) / x
    first = np.ones_like(array_of(part(x, axis, None, 1)))
    before = cumprod(join(first, part(x, axis, None, -1), axis=axis), axis)
    following = join(part(x, axis, 1), np.zeros_like(first), axis=axis)  # what a later product grows by
    return before * backwards(recur(backwards(following, axis), backwards(g, axis), axis), axis)


def recur(a: Value, b: Value, axis: int) -> Value:
    """Return s with sᵢ = bᵢ + aᵢ sᵢ₋₁, each time over twice as many elements; it needs as many rounds as n has bits."""
    step, n = 1, b.shape[axis]
    while step < n:
        b = join(
            part(b, axis, None, step), part(b, axis, step) + part(a, axis, step) * part(b, axis, None, -step), axis=axis
        )
        a = join(part(a, axis, None, step), part(a, axis, step) * part(a, axis, None, -step), axis=axis)
        step *= 2
    return b


@scan(
    r"\prod_{\leq i} $x", (np.cumprod,), method="cumprod", says="Multiplies $x up to each place along axis $axis.",
    x=(r"\frac{$out}{$x}", lambda g, x, out, axis: along(slope_of_cumprod, g, x.shape, axis, x, out)),
)  # fmt: skip
def cumprod(x: Value, axis: int | None = None) -> Value:
    """Multiply the elements up to each place: x₀, x₀x₁, …. Its derivatives are right where an element is 0, too.

    Args:
        x: of any shape.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        The running products, of the shape of x, or in one axis.

    Raises:
        IndexError: x has no such axis.

    >>> cumprod(Tensor([1.0, 2.0, 3.0]))
    Tensor([1., 2., 6.], op=cumprod)
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    return np.cumprod(x, axis=axis, dtype=x.dtype if x.dtype.kind == "f" else None).reshape(x.shape)


def slope_of_logcumsumexp(g: Value, x: Value, out: Value, axis: int) -> Value:
    """Sum, over the later places, the share that each element has in them. No exponent is above 0."""
    finite = where(equal(out, -np.inf), 0, out)
    shrink = join(
        exp(part(finite, axis, None, -1) - part(finite, axis, 1)),
        np.zeros_like(array_of(part(x, axis, -1, None))),
        axis=axis,
    )
    return exp(x - finite) * backwards(recur(backwards(shrink, axis), backwards(g, axis), axis), axis)


@scan(
    r"\ln \sum_{\leq i} e^{$x}", method="logcumsumexp",
    says="Takes the logarithm of e^$x summed up to each place along axis $axis.",
    x=("e^{$x-$out}", lambda g, x, out, axis: along(slope_of_logcumsumexp, g, x.shape, axis, x, out)),
)  # fmt: skip
def logcumsumexp(x: Value, axis: int | None = None) -> Value:
    """Take ``log(cumsum(exp(x)))`` without overflow.

    Args:
        x: of any shape.
        axis: along which axis; None lays all elements out in one first.

    Returns:
        The logarithms of the running sums, of the shape of x, or in one axis.

    Raises:
        IndexError: x has no such axis.

    >>> logcumsumexp(Tensor([1000.0, 1000.0]))
    Tensor([1000.        , 1000.69314718], op=logcumsumexp)
    """
    if axis is None:
        x, axis = x.reshape(-1), 0
    return accumulate(np.logaddexp, x, axis)


def accumulate(function: np.ufunc, x: Value, axis: int) -> Any:
    """Return ``function.accumulate(x, axis)``, which CuPy has not for every function."""
    if not x.shape:
        return x.copy()
    axis = normalize_axis_index(axis, len(x.shape))
    if backend_of(x) == "numpy" and isinstance(x, np.ndarray):
        return function.accumulate(x, axis=axis)
    step, lead = 1, (slice(None),) * axis
    while step < x.shape[axis]:
        head, tail, before = ((*lead, s) for s in (slice(None, step), slice(step, None), slice(None, -step)))
        x = np.concatenate([x[head], function(x[tail], x[before])], axis=axis)
        step *= 2
    return x


def product_of_others(x: Value, axis: Axis) -> Value:
    """Multiply, for each element, all others that are reduced with it. No division: an element may be 0."""
    axes = normalize_axis_tuple(range(len(x.shape)) if axis is None else axis, len(x.shape))
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    order = (*kept, *axes)
    moved = transpose(x, order)
    rows = reshape(moved, (*moved.shape[: len(kept)], keep_axes(x.shape, axes)[1]))
    return transpose(reshape(leave_one_out(rows), moved.shape), invert(order))


def leave_one_out(x: Value) -> Value:
    """Multiply, for each element of a row, all others of it: by pairs, pairs of pairs, and so on."""
    n = x.shape[-1]
    if n < 2:
        return np.ones_like(array_of(x))
    half = n // 2
    left, right = part(x, -1, 0, 2 * half, 2), part(x, -1, 1, 2 * half, 2)
    others = leave_one_out(join(left * right, part(x, -1, 2 * half), axis=-1))
    pairs = part(others, -1, None, half)
    both = reshape(stack([right * pairs, left * pairs], axis=-1), (*x.shape[:-1], 2 * half))
    return join(both, part(others, -1, half), axis=-1)


def slope_of_prod(g: Value, x: Value, out: Value, axis: Axis, keepdims: bool) -> Value:
    """Send g times the product of the other elements to each."""
    if not x.shape:
        return g
    if (array_of(x) == 0).any():
        return restore_axes(g, x.shape, axis, keepdims) * product_of_others(x, axis)
    return restore_axes(g * out, x.shape, axis, keepdims) / x


@reduction(
    r"\prod_{$axis} $x", np.prod, method="prod", onnx="ReduceProd", says="Multiplies $x over $axis.",
    x=(r"\frac{$out}{$x}", slope_of_prod),
)  # fmt: skip
def prod(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Multiply over ``axis``. Its derivatives are right where an element is 0, too.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The products, of the shape of x without the axes that are reduced. Of no elements it is 1.

    Raises:
        IndexError: x has no such axis.

    >>> prod(Tensor([2.0, 3.0]))
    Tensor(6., op=prod)
    """
    return np.multiply.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
