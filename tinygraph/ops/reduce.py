"""Reductions: axes go, by sum, mean, max, min or log-sum-exp; the derivative puts the axes back.

On arrays it puts them back with length 1, since whatever meets that gradient next broadcasts; on Tensors
the copy is an op of its own, so that it is drawn.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import Tensor
from tinygraph.kernels.column_sums import column_sums
from tinygraph.ops.elementwise import astype, equal, exp
from tinygraph.ops.shape import broadcast_to, reshape

Axis = int | Sequence[int] | None
SAMPLES = [sample((2, 3, 4), axis=a, keepdims=k) for a in (None, 0, -1, (0, 2)) for k in (False, True)] + [sample(())]
reduction = functools.partial(op, family="reduction", samples=SAMPLES)


def reduced(shape: tuple[int, ...], axis: Any) -> tuple[tuple[int, ...], int]:
    """Return the shape with length 1 where it is reduced; and how many elements go into one, to divide by."""
    return without(shape, axis if axis is None or type(axis) in (int, tuple) else operator.index(axis))


@functools.lru_cache(4096)
def without(shape: tuple[int, ...], over: int | tuple[int, ...] | None) -> tuple[tuple[int, ...], int]:
    """Do what `reduced` says, and remember it.

    Of an empty array the number is 1, since there is nothing to divide. NumPy takes any axis of a 0-d array.
    """
    given: Any = over if isinstance(over, tuple) else (over,)
    axes = {a % len(shape) for a in given} if shape and over is not None else set(range(len(shape)))
    return tuple(1 if i in axes else n for i, n in enumerate(shape)), math.prod(shape[i] for i in axes) or 1


def kept(g: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool = False) -> Any:
    """Put the reduced axes of ``g`` back, with length 1; a single number broadcasts as it is."""
    if keepdims or not shape or (axis is None and not isinstance(g, Tensor)):
        return g
    lengths, _ = reduced(shape, axis)
    return reshape(g, lengths) if isinstance(g, Tensor) else g.reshape(lengths)


def spread(g: Any, shape: tuple[int, ...], axis: Axis, keepdims: bool) -> Any:
    """Undo a reduction of ``shape`` over ``axis``: put the axes back, and copy along them where that is drawn."""
    g = kept(g, shape, axis, keepdims)
    return broadcast_to(g, shape) if isinstance(g, Tensor) else g


def to_extreme(g: Any, x: Any, out: Any, axis: Axis, keepdims: bool) -> Any:
    """Send ``g`` to the elements of ``x`` that equal their extreme ``out``: they share it equally."""
    ties = astype(equal(x, kept(out, x.shape, axis, keepdims)), g.dtype)
    return kept(g, x.shape, axis, keepdims) * (ties / sum(ties, axis, True))


@reduction(
    r"\sum_{$axis} $x",
    np.sum,
    method="sum",
    onnx="ReduceSum",
    says="Adds up $x over $axis.",
    x=("1", lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims)),
)
def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - NumPy's name
    """Add up over ``axis`` (one, several, or None for all).

    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([4., 6.], op=sum)
    """
    return x.sum(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{mean}_{$axis} $x",
    np.mean,
    method="mean",
    onnx="ReduceMean",
    says="Averages $x over $axis.",
    x=("1/$n", lambda g, x_shape, axis, keepdims: spread(g * (1 / reduced(x_shape, axis)[1]), x_shape, axis, keepdims)),
)
def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Average over ``axis`` (one, several, or None for all).

    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    Tensor([2., 3.], op=mean)
    """
    if not x.shape:
        return x.sum(axis=axis, keepdims=keepdims) / 1  # NumPy's mean takes no axis of one number, its sum does
    if type(x) is not np.ndarray or x.dtype.char not in "fd" or not x.size:
        return x.mean(axis=axis, keepdims=keepdims)
    rows = type(axis) in (int, tuple) and axis in (0, (0,)) and not keepdims
    out = column_sums(x) if rows else np.add.reduce(x, axis=axis, keepdims=keepdims)  # x.mean has 2 µs of Python
    return out * (out.size / x.size)


@reduction(
    r"\max_{$axis} $x",
    (np.max, np.amax),
    method="max amax",
    onnx="ReduceMax",
    says="Takes the largest of $x over $axis.",
    x=(r"[$x = \max]", to_extreme),
)
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - NumPy's name
    """Take the largest over ``axis``. Ties share the gradient equally, as in ``torch.amax``.

    >>> max(Tensor([[1.0, 2.0], [3.0, 0.0]]), axis=0)
    Tensor([3., 2.], op=max)
    """
    return x.max(axis=axis, keepdims=keepdims)


@reduction(
    r"\min_{$axis} $x",
    (np.min, np.amin),
    method="min amin",
    onnx="ReduceMin",
    says="Takes the smallest of $x over $axis.",
    x=(r"[$x = \min]", to_extreme),
)
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:  # noqa: A001 - NumPy's name
    """Take the smallest over ``axis``. Ties share the gradient equally, as in ``torch.amin``.

    >>> min(Tensor([[1.0, 2.0], [3.0, 0.0]]), axis=0)
    Tensor([1., 0.], op=min)
    """
    return x.min(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{argmax}_{$axis} $x",
    np.argmax,
    method="argmax",
    onnx="ArgMax",
    says="Finds where $x is largest.",
    samples=[sample((2, 3), axis=1), sample((4,)), sample((2, 3), axis=0, keepdims=True)],
)
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Find the place of the largest element (the first, if it ties). Not differentiable.

    >>> argmax(Tensor([1.0, 5.0, 2.0]))
    Tensor(1, dtype=int64, op=argmax, requires_grad=False)
    """
    return x.argmax(axis=axis, keepdims=keepdims)


@reduction(
    r"\operatorname{logsumexp}_{$axis} $x",
    method="logsumexp",
    onnx="ReduceLogSumExp",
    says="Takes the logarithm of the summed e^$x.",
    x=(
        "e^{$x-$out}",
        lambda g, x, out, axis, keepdims: (
            kept(g, x.shape, axis, keepdims) * exp(x - kept(out, x.shape, axis, keepdims))
        ),
    ),
)
def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """Take ``log(sum(exp(x)))`` over ``axis`` without overflow.

    >>> logsumexp(Tensor([1000.0, 1000.0]))
    Tensor(1000.69314718, op=logsumexp)
    """
    if not x.size:
        return np.full_like(x.sum(axis=axis, keepdims=keepdims), -math.inf)
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0).astype(top.dtype)
    out = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return out if keepdims else out.reshape(x.max(axis=axis).shape)
