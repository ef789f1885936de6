"""Reductions drop axes, by sum, mean, max, min, log-sum-exp or a norm. Their derivatives put the axes back.

On arrays an axis comes back with length 1, since the next op broadcasts. On Tensors it comes back in full length, by an
op of its own, so that the copy is drawn.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Axis, Shape, Value
from tinygraph.kernels.column_sums import column_sums
from tinygraph.ops.elementwise import abs as size_of
from tinygraph.ops.elementwise import astype, equal, exp, power, where
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.shape import broadcast_to, reshape

SAMPLES = [sample((2, 3, 4), axis=a, keepdims=k) for a in (None, 0, -1, (0, 2)) for k in (False, True)] + [sample(())]
reduction = functools.partial(op, family="reduction", samples=SAMPLES)


def keep_axes(shape: Shape, axis: Any) -> tuple[Shape, int]:
    """Return the shape with length 1 along reduced axes, and how many elements each result is made of."""
    return keep_axes_once(shape, axis if axis is None or type(axis) in (int, tuple) else operator.index(axis))


@functools.lru_cache(4096)
def keep_axes_once(shape: Shape, axis: Axis) -> tuple[Shape, int]:
    """Compute `keep_axes`, once for each shape and axis.

    For an empty array the number is 1, so that nothing is divided by 0. A 0-d array has no axis to keep.
    """
    given = axis if isinstance(axis, Sequence) else range(len(shape)) if axis is None else (axis,)
    axes = {a % len(shape) for a in given} if shape else set()
    return tuple(1 if i in axes else n for i, n in enumerate(shape)), math.prod(shape[i] for i in axes) or 1


def restore_axes(g: Value, shape: Shape, axis: Axis, keepdims: bool = False) -> Value:
    """Put the reduced axes of ``g`` back, with length 1. A 0-d array may stay as it is: it broadcasts."""
    if keepdims or not shape or (axis is None and not isinstance(g, Tensor)):
        return g
    lengths, _ = keep_axes(shape, axis)
    return reshape(g, lengths) if isinstance(g, Tensor) else g.reshape(lengths)


def spread(g: Value, shape: Shape, axis: Axis, keepdims: bool) -> Value:
    """Send ``g`` to all elements that were reduced: put the axes back; for Tensors, also copy along them."""
    g = restore_axes(g, shape, axis, keepdims)
    return broadcast_to(g, shape) if isinstance(g, Tensor) else g


def share(shape: Shape, axis: Axis) -> float:
    """Return the weight of one element in a mean: 1/n."""
    return 1 / keep_axes(shape, axis)[1]


def share_with_ties(g: Value, x: Value, out: Value, axis: Axis, keepdims: bool) -> Value:
    """Send ``g`` to the elements of ``x`` that equal the extreme ``out``; several share it equally."""
    ties = astype(equal(x, restore_axes(out, x.shape, axis, keepdims)), g.dtype)
    return restore_axes(g, x.shape, axis, keepdims) * (ties / sum(ties, axis, True))


@reduction(
    r"\sum_{$axis} $x", np.sum, method="sum", onnx="ReduceSum", says="Adds up $x over $axis.",
    x=("1", lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims)),
)  # fmt: skip
def sum(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A001 - NumPy's name
    """Add up over ``axis`` (one, several, or None for all).

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The sums, of the shape of x without the axes that are reduced. A sum of nothing is 0.

    Raises:
        IndexError: x has no such axis.

    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.], op=sum)
    """
    return x.sum(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{mean}_{$axis} $x", np.mean, method="mean", onnx="ReduceMean", says="Averages $x over $axis.",
    x=("1/$n", lambda g, x_shape, axis, keepdims: spread(g * share(x_shape, axis), x_shape, axis, keepdims)),
)  # fmt: skip
def mean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Average over ``axis`` (one, several, or None for all).

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The averages, of the shape of x without the axes that are reduced. Of no elements they are nan.

    Raises:
        IndexError: x has no such axis.

    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2., 3.], op=mean)
    """
    if not x.shape:
        return x.sum(axis=axis, keepdims=keepdims) / 1  # NumPy's mean takes no axis of one number, its sum does
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return x.mean(axis=axis, keepdims=keepdims)
    if type(axis) in (int, tuple) and axis in (0, (0,)) and not keepdims:
        out = column_sums(x)
    else:  # 2 µs faster than x.mean
        out = np.add.reduce(x, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]
    return out * (out.size / x.size)


def check_axis(name: str, axis: Axis) -> None:
    """Raise if a second array stands where an axis belongs, as it does in ``torch.max(x, y)``."""
    if isinstance(axis, Tensor | np.ndarray):
        raise TypeError(f"{name} takes one array: of two, write {name}imum(x, y)")


@reduction(
    r"\max_{$axis} $x", (np.max, np.amax), method="max amax", onnx="ReduceMax",
    says="Takes the largest of $x over $axis.",
    x=(r"[$x = \max]", share_with_ties),
)  # fmt: skip
def max(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A001 - NumPy's name
    """Take the largest over ``axis``. Ties share the gradient equally, as in ``torch.amax``.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The largest elements, of the shape of x without the axes that are reduced.

    Raises:
        IndexError: x has no such axis.
        TypeError: ``axis`` is an array: the larger of two arrays is `maximum`.
        ValueError: there is nothing to choose from.

    >>> max(Tensor([[1.0, 2.0], [3.0, 0.0]]), axis=0)
    Tensor([3., 2.], op=max)
    """
    check_axis("max", axis)
    return x.max(axis=axis, keepdims=keepdims)


@reduction(
    r"\min_{$axis} $x", (np.min, np.amin), method="min amin", onnx="ReduceMin",
    says="Takes the smallest of $x over $axis.",
    x=(r"[$x = \min]", share_with_ties),
)  # fmt: skip
def min(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A001 - NumPy's name
    """Take the smallest over ``axis``. Ties share the gradient equally, as in ``torch.amin``.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The smallest elements, of the shape of x without the axes that are reduced.

    Raises:
        IndexError: x has no such axis.
        TypeError: ``axis`` is an array: the smaller of two arrays is `minimum`.
        ValueError: there is nothing to choose from.

    >>> min(Tensor([[1.0, 2.0], [3.0, 0.0]]), axis=0)
    Tensor([1., 0.], op=min)
    """
    check_axis("min", axis)
    return x.min(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{argmax}_{$axis} $x", np.argmax, method="argmax", onnx="ArgMax", says="Finds where $x is largest.",
    samples=[sample((2, 3), axis=1), sample((4,)), sample((2, 3), axis=0, keepdims=True)],
)  # fmt: skip
def argmax(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Find the place of the largest element, the first if there are several. Not differentiable.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: one axis, or None for all: then the place is that in the flattened array.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        Integers, of the shape of x without the axes that are reduced. They require no gradient.

    Raises:
        IndexError: x has no such axis.
        ValueError: there is nothing to choose from.

    >>> argmax(Tensor([1.0, 5.0, 2.0]))
    Tensor(1, dtype=int64, op=argmax, requires_grad=False)
    """
    return x.argmax(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{argmin}_{$axis} $x", np.argmin, method="argmin", onnx="ArgMin", says="Finds where $x is smallest.",
    samples=[sample((2, 3), axis=1), sample((4,)), sample((2, 3), axis=0, keepdims=True)],
)  # fmt: skip
def argmin(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Find the place of the smallest element, the first if there are several. Not differentiable.

    Args:
        x: of any shape; of at least one element along ``axis``.
        axis: as in `argmax`.
        keepdims: as in `argmax`.

    Returns:
        Integers, of the shape of x without the axes that are reduced. They require no gradient.

    Raises:
        IndexError: x has no such axis.
        ValueError: there is nothing to choose from.

    >>> argmin(Tensor([1.0, 5.0, 0.0]))
    Tensor(2, dtype=int64, op=argmin, requires_grad=False)
    """
    return x.argmin(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{logsumexp}_{$axis} $x", method="logsumexp", onnx="ReduceLogSumExp",
    says="Takes the logarithm of the summed e^$x.",
    x=("e^{$x-$out}", lambda g, x, out, axis, keepdims: (
        restore_axes(g, x.shape, axis, keepdims) * exp(x - restore_axes(out, x.shape, axis, keepdims)))),
)  # fmt: skip
def logsumexp(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take ``log(sum(exp(x)))`` over ``axis`` without overflow.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        ln Σ eˣ, of the shape of x without the axes that are reduced. Of no elements it is -inf.

    Raises:
        IndexError: x has no such axis.

    >>> logsumexp(Tensor([1000.0, 1000.0]))
    Tensor(1000.69314718, op=logsumexp)
    """
    if not x.size:
        return np.full_like(x.sum(axis=axis, keepdims=keepdims), -math.inf)
    top = x.max(axis=axis, keepdims=True)  # what exp then takes is at most 0
    top = np.where(np.isfinite(top), top, 0).astype(top.dtype)
    out = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return out if keepdims else out.reshape(x.max(axis=axis).shape)


def quotient_or_zero(g: Value, out: Value) -> Value:
    """Divide; 0 where ``out`` is 0."""
    is_zero = equal(out, 0)
    return where(is_zero, 0, g / where(is_zero, 1, out))


@reduction(
    r"{\|$x\|_2}_{$axis}", onnx="ReduceL2", says="Takes the length of $x over $axis.",
    x=(r"\frac{$x}{$out}", lambda g, x, out, axis, keepdims: x * restore_axes(
        quotient_or_zero(g, out), x.shape, axis, keepdims)),
)  # fmt: skip
def l2_norm(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Take the Euclidean length over ``axis``: √Σx². Where it is 0 its derivative is 0, as in PyTorch.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The lengths, of the shape of x without the axes that are reduced. Of no elements it is 0.

    Raises:
        IndexError: x has no such axis.

    >>> l2_norm(Tensor([3.0, 4.0]))
    Tensor(5., op=l2_norm)
    """
    return np.sqrt((x * x).sum(axis=axis, keepdims=keepdims))


@implements(np.linalg.vector_norm, method="norm")
@accept_dim
def norm(x: Value, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A002 - NumPy's name
    """Take the norm of vectors, which lie along ``axis``: ∥x∥₂, or ∥x∥ₚ = (Σ|x|ᵖ)^(1/p).

    Args:
        x: of any shape.
        ord: p: a number, ∞ for the largest |x|, -∞ for the smallest, 0 for how many are not 0; 2 unless given, for
            which "fro" is another name.
        axis: one axis, several, or None for all: x is then one long vector, of whatever shape it is.
        keepdims: keep the axes that are reduced, with length 1.

    Returns:
        The norms, of the shape of x without the axes that are reduced. Where a norm is 0 its derivative is 0.

    Raises:
        ValueError: ``ord`` is the name of another norm: `numpy.linalg.norm` has those of matrices.

    >>> norm(Tensor([3.0, -4.0])), norm(Tensor([3.0, -4.0]), 1)
    (Tensor(5., op=l2_norm), Tensor(7., op=sum))
    """
    if ord in (None, 2, "fro"):
        return l2_norm(x, axis, keepdims)
    if isinstance(ord, str):
        raise ValueError(f"norm: {ord!r} is a norm of matrices: write numpy.linalg.norm(x, {ord!r})")
    if ord == 0:
        return sum(astype(1 - equal(x, 0), x.dtype), axis, keepdims)
    size = size_of(x)
    if ord in (1, math.inf, -math.inf):
        return (sum if ord == 1 else max if ord > 0 else min)(size, axis, keepdims)
    if ord < 1:  # a power has no slope at 0 then
        nothing = equal(size, 0)
        powers = where(nothing, 0.0 if ord > 0 else math.inf, power(where(nothing, 1.0, size), ord))
    else:
        powers = power(size, ord)
    total = sum(powers, axis, keepdims)
    is_zero = equal(total, 0)  # the root has no slope there
    return where(is_zero, 0, power(where(is_zero, 1, total), 1 / ord))
