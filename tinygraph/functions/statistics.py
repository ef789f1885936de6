"""Variance and standard deviation, composed of ops."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.registry import implements
from tinygraph.engine.types import Axis, Value
from tinygraph.ops.elementwise import equal, sqrt, square, where
from tinygraph.ops.keywords import accept_dim
from tinygraph.ops.reduce import mean as average

__all__ = ["std", "var"]


@implements(np.var, method="var")
@accept_dim
def var(x: Value, axis: Axis = None, keepdims: bool = False, correction: float = 0, mean: Value = None) -> Value:
    """Take the variance over ``axis``: the mean of ``(x - mean)²``.

    Args:
        x: of any shape.
        axis: one axis, several, or None for all. A bool in its place is PyTorch's ``unbiased``.
        keepdims: keep the axes, with length 1.
        correction: the sum of squares is divided by n - correction, where n is the number of values. 0 gives the
            variance of the values themselves, 1 the unbiased estimate from a sample; NumPy's name is ``ddof``.
        mean: the means, if they are known, with length 1 along ``axis``. Gradients go to them, too.

    Returns:
        The variance, in units of x².

    Raises:
        ValueError: there are not more values than ``correction``.

    >>> var(np.array([1.0, 3.0]))
    np.float64(1.0)
    """
    if isinstance(axis, bool):  # PyTorch's first argument may be ``unbiased``
        correction = int(axis)
        axis = None
    squares = square(x - (average(x, axis, True) if mean is None else mean))
    biased = average(squares, axis, keepdims)
    number = squares.size // max(biased.size, 1)
    if correction and number <= correction:
        raise ValueError(f"var: {number} values less a correction of {correction} leave nothing to divide by")
    return biased * (number / (number - correction)) if correction else biased


@implements(np.std, method="std")
@accept_dim
def std(x: Value, axis: Axis = None, keepdims: bool = False, correction: float = 0, mean: Value = None) -> Value:
    """Take the standard deviation over ``axis``: the root of `var`. Where it is 0 its derivative is 0, as in PyTorch.

    Args:
        x: of any shape.
        axis: as in `var`.
        keepdims: as in `var`.
        correction: as in `var`.
        mean: as in `var`.

    Returns:
        The standard deviation, in units of x.

    Raises:
        ValueError: as `var`.

    >>> std(np.array([1.0, 3.0]))
    array(1.)
    """
    v = var(x, axis, keepdims, correction, mean)
    is_flat = equal(v, 0)
    return where(is_flat, 0, sqrt(where(is_flat, 1, v)))  # the root has no slope at 0
