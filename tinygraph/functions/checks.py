"""Checks of the arguments of normalizations. They run before any op does."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of
from tinygraph.engine.types import Shape, Value

Axis = int | Sequence[int]


def label(x: Value, name: str) -> Value:
    """Give a Tensor a name, for drawings and errors; return an array as it is."""
    return x.named(name) if isinstance(x, Tensor) else x


def seldom(condition: Value) -> bool:
    """Return whether a condition on values holds that rarely does, and then makes another computation of a function.

    A compiled function is made for where it does not hold, and calls the function itself where it does.
    """
    return bool(condition.seldom() if hasattr(condition, "seldom") else condition)


def shape_of(what: str, x: Value) -> Shape:
    """Return the shape of ``x``; raise if it is no array."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{what}: x must be an array or a Tensor, not {type(x).__name__}: convert it with numpy.array")
    shape: Shape = x.shape
    return shape


def axes_of(axis: Axis, x: Value, what: str) -> Shape:
    """Return ``axis`` of the array ``x`` as a sorted tuple of numbers from 0 on."""
    axes = tuple(
        map(operator.index, axis if isinstance(axis, (tuple, Sequence)) else (axis,))
    )  # a tuple is found fastest
    return sort_axes(axes, len(shape_of(what, x)), what)


@functools.lru_cache(4096)
def sort_axes(axes: Shape, ndim: int, what: str) -> Shape:
    """Return the axes sorted and from 0 on; raise, in the name of ``what``, if there is no such axis, or one twice."""
    if not axes or any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        given = axes[0] if len(axes) == 1 else axes
        raise ValueError(f"{what}: axis={given} does not name different axes of an array with {ndim} axes")
    return tuple(sorted(a % ndim for a in axes))


def check_floating(what: str, shape: Shape, dtype: np.dtype[Any]) -> None:
    """Raise if x is not of floating point, or is empty."""
    if dtype.kind != "f":
        raise TypeError(f"{what}: x must be of floating point, not {dtype}: convert it with .astype(numpy.float32)")
    if 0 in shape:
        raise ValueError(f"{what}: x is empty: its shape is {shape}")


@functools.lru_cache(4096)
def check_batch(what: str, shape: Shape, dtype: np.dtype[Any], axes: Shape) -> None:
    """Check as `check_floating` does, and that each variance is of more than one value; once for each shape."""
    check_floating(what, shape, dtype)
    if all(shape[a] == 1 for a in axes):
        advice = ": take a larger batch, or batch_norm_inference with statistics from training"
        advice = advice if what == "batch_norm" else ""
        raise ValueError(
            f"{what}: one value per channel (shape {shape}, averaged over axes {axes}) has variance 0, and the "
            f"output would be β whatever x is{advice}"
        )


def check_eps(what: str, eps: float) -> None:
    """Raise if eps is negative or NaN."""
    if not eps >= 0:
        raise ValueError(f"{what}: eps is {eps}; it is added to a variance and must not be negative")


def check_variance(what: str, v: Value, eps: float) -> None:
    """Raise if a variance is 0 and eps is, too."""
    if eps == 0 and not (array_of(v) != 0).all():
        raise ValueError(
            f"{what}: eps is 0 and the variance of a channel is 0: the quotient is undefined; take eps > 0"
        )


@functools.lru_cache(4096)
def unaveraged_shape(shape: Shape, axes: Shape) -> Shape:
    """Return the lengths of the axes that are not in ``axes``: the shape of γ and β."""
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def are_first(axes: Shape) -> bool:
    """Whether sorted axes are the first ones of an array: then an array of the other axes broadcasts against it."""
    return not axes or axes[-1] < len(axes)


def check_shapes(what: str, x: Value, shape: Shape, **parameters: Value) -> None:
    """Raise if a parameter is given and has another shape than ``shape``."""
    for name, p in parameters.items():
        if p is not None and (found := p.shape if hasattr(p, "shape") else np.shape(p)) != shape:
            raise ValueError(f"{what}: {name} has shape {found}; x of shape {x.shape} needs {shape}")
