"""What the normalizations check of their arguments, before any op runs."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.tensor import Tensor, array_of

Axis = int | Sequence[int]


def named(x: Any, name: str) -> Any:
    """Name a Tensor; leave an array alone."""
    return x.named(name) if isinstance(x, Tensor) else x


def shape_of(what: str, x: Any) -> tuple[int, ...]:
    """Return the shape of ``x``, or raise where it is no array."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{what}: x must be an array or a Tensor, not {type(x).__name__}: convert it with numpy.array")
    return x.shape


def axes_of(axis: Axis, x: Any, what: str) -> tuple[int, ...]:
    """Return ``axis``, of the array ``x``, as sorted, non-negative numbers."""
    axes = tuple(map(operator.index, axis if isinstance(axis, (tuple, Sequence)) else (axis,)))  # asks a tuple first
    return sorted_axes(axes, len(shape_of(what, x)), what)


@functools.lru_cache(4096)
def sorted_axes(axes: tuple[int, ...], ndim: int, what: str) -> tuple[int, ...]:
    """Return them sorted and not negative, or raise for ``what`` they are."""
    if not axes or any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        given = axes[0] if len(axes) == 1 else axes
        raise ValueError(f"{what}: axis={given} does not name different axes of an array with {ndim} axes")
    return tuple(sorted(a % ndim for a in axes))


def check_floating(what: str, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise where there is nothing to normalize."""
    if dtype.kind != "f":
        raise TypeError(f"{what}: x must be of floating point, not {dtype}: convert it with .astype(numpy.float32)")
    if 0 in shape:
        raise ValueError(f"{what}: x is empty: its shape is {shape}")


@functools.lru_cache(4096)
def check_batch(what: str, shape: tuple[int, ...], dtype: Any, axes: tuple[int, ...]) -> None:
    """As `check_floating`; and raise where there is one value to take a variance of. Done once for each of these."""
    check_floating(what, shape, dtype)
    if all(shape[a] == 1 for a in axes):
        raise ValueError(
            f"{what}: one value per channel (shape {shape}, averaged over axes {axes}) has variance 0, and the "
            "output would be β whatever x is"
            + ": take a larger batch, or batch_norm_inference with statistics from training"
            * (what == "batch_norm")
        )


def check_eps(what: str, eps: float) -> None:
    """Raise where eps is negative, or no number."""
    if not eps >= 0:
        raise ValueError(f"{what}: eps is {eps}; it is added to a variance and must not be negative")


def check_variance(what: str, v: Any, eps: float) -> None:
    """Raise where nothing is added to a variance of 0."""
    if eps == 0 and not (array_of(v) != 0).all():
        raise ValueError(
            f"{what}: eps is 0 and the variance of a channel is 0: the quotient is undefined; take eps > 0"
        )


@functools.lru_cache(4096)
def unaveraged(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of the axes that are not in ``axes``: the shape of γ and β."""
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def are_first(axes: tuple[int, ...]) -> bool:
    """Whether sorted axes are the first ones, so that what has the others broadcasts."""
    return not axes or axes[-1] < len(axes)


def check_shapes(what: str, x: Any, shape: tuple[int, ...], **parameters: Any) -> None:
    """Raise where a parameter is given and has not ``shape``."""
    for name, p in parameters.items():
        if p is not None and (found := p.shape if hasattr(p, "shape") else np.shape(p)) != shape:
            raise ValueError(f"{what}: {name} has shape {found}; x of shape {x.shape} needs {shape}")
