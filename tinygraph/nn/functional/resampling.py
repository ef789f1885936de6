"""Arrays made larger or smaller by reading between their elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.types import Array, Value
from tinygraph.nn.functional.reduction import beside
from tinygraph.ops import adaptive
from tinygraph.ops.resampling import resample
from tinygraph.ops.windows import lengths

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

MODES = {"linear": (1, "linear"), "bilinear": (2, "linear"), "trilinear": (3, "linear"), "bicubic": (2, "cubic")}
PLAIN = ("nearest", "nearest-exact", "area")


def triangle(x: Array) -> Array:
    """Return the weights of elements at distances x of a result, when it is read between two of them."""
    found: Array = np.maximum(1 - abs(x), 0)
    return found


def cubic(x: Array) -> Array:
    """Return the same when it is read among four: Keys 1981, with the factor -1/2 that images are filtered with."""
    x, a = abs(x), -0.5
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


FILTERS = {"bilinear": (triangle, 1), "bicubic": (cubic, 2)}  # and how far they reach, in elements


def distance(before: int, after: int, align_corners: bool, scale: float | None) -> float:
    """Return how far two results lie apart, in elements."""
    if align_corners:
        return (before - 1) / (after - 1) if after > 1 else 0.0
    return 1 / scale if scale else before / after


def filter_weights(before: int, after: int, step: float, curve: Callable[[Array], Array], reach: int) -> Array:
    """Return the matrix (after, before) that reads an axis through a filter as wide as the results lie apart."""
    width = max(step, 1.0)
    centers = step * (np.arange(after)[:, None] + 0.5)
    first = np.maximum((centers - reach * width + 0.5).astype(int), 0)
    last = np.minimum((centers + reach * width + 0.5).astype(int), before)
    at = np.arange(before)
    found = np.where((at >= first) & (at < last), curve((at - centers + 0.5) / width), 0.0)
    weights: Array = found / found.sum(1, keepdims=True)
    return weights


def interpolate(
    x: Value,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Value:
    """Make signals, images or volumes larger or smaller.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: lengths of the axes of the result: one number, or one for each.
        scale_factor: how many times as long they become, in place of ``size``: one number, or one for each.
        mode: "nearest" (the element before), "nearest-exact", "linear" (one axis), "bilinear" or "bicubic" (two),
            "trilinear" (three), or "area": the average of all that a result covers.
        align_corners: whether the first and last results are the first and last elements; None is False. It is for the
            linear and cubic modes.
        recompute_scale_factor: whether the lengths of the result, which are whole numbers, say how far its elements lie
            apart, in place of ``scale_factor``.
        antialias: whether a filter as wide as a result's share of the elements comes first, so that a smaller image has
            no patterns that the larger had not; for "bilinear" and "bicubic".

    Returns:
        (N, C, …), of the lengths asked for.

    Raises:
        ValueError: the mode is another or not for so many axes or options, or not one of ``size`` and ``scale_factor``
            is given.

    >>> interpolate(np.array([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    rank = len(x.shape) - 2
    if rank < 1 or mode not in (*MODES, *PLAIN) or MODES.get(mode, (rank,))[0] != rank:
        known = ", ".join([*PLAIN, *(name for name, (axes, _) in MODES.items() if axes == rank)])
        raise ValueError(f"interpolate: mode {mode!r} is not for an array of shape {tuple(x.shape)}; there is {known}")
    if align_corners is not None and mode in PLAIN:
        raise ValueError(f"interpolate: align_corners has no meaning in mode {mode!r}: leave it None")
    if antialias and mode not in FILTERS:
        raise ValueError(f"interpolate: antialias is for the modes {' and '.join(FILTERS)}, not {mode!r}")
    before = tuple(x.shape[2:])
    after, scales = sizes(before, size, scale_factor)
    if recompute_scale_factor:
        if scale_factor is None:
            raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, and that is not given")
        scales = None
    if antialias:
        for axis, (n, m) in enumerate(zip(before, after, strict=True)):
            step = distance(n, m, bool(align_corners), scales[axis] if scales else None)
            weights = beside(x, filter_weights(n, m, step, *FILTERS[mode]).astype(x.dtype))
            x = weights @ x if axis == 0 else x @ weights.T
        return x
    if mode == "area":
        pooled: Any = getattr(adaptive, f"adaptive_avg_pool{rank}d")(x, after)
        return pooled
    return resample(x, after, MODES.get(mode, (rank, mode))[1], bool(align_corners), scales)


def sizes(before: Sequence[int], size: Any, scale_factor: Any) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Return the lengths of a result, and the scales that are no quotients of lengths."""
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give size= or scale_factor=, and not both")
    rank = len(before)
    if size is not None:
        return lengths(size, "size", 1, rank), None
    scales = tuple(map(float, scale_factor)) if isinstance(scale_factor, Sequence) else (float(scale_factor),) * rank
    after = [math.floor(n * s) for n, s in zip(before, scales, strict=True)]
    if min(after, default=1) < 1:
        raise ValueError(f"interpolate: scale_factor {scale_factor} leaves nothing of the lengths {tuple(before)}")
    exact = all(n * s == m for n, s, m in zip(before, scales, after, strict=True))
    return tuple(after), None if exact else scales


def upsample(
    x: Value,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Value:
    """Make signals, images or volumes larger or smaller, as `interpolate`, whose older name it is.

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: lengths of the axes of the result: one number, or one for each.
        scale_factor: how many times as long they become, in place of ``size``.
        mode: as for `interpolate`.
        align_corners: whether the first and last results are the first and last elements; None is False.

    Returns:
        (N, C, …), of the lengths asked for.

    Raises:
        ValueError: as `interpolate`.

    >>> upsample(np.array([[[1.0, 3.0]]]), scale_factor=2)
    array([[[1., 1., 3., 3.]]])
    """
    return interpolate(x, size, scale_factor, mode, align_corners)


def upsample_nearest(
    x: Value, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Value:
    """Repeat elements: `interpolate` in the mode "nearest".

    Args:
        x: (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: lengths of the axes of the result: one number, or one for each.
        scale_factor: how many times as long they become, in place of ``size``.

    Returns:
        (N, C, …), of the lengths asked for.

    Raises:
        ValueError: not one of ``size`` and ``scale_factor`` is given.

    >>> upsample_nearest(np.array([[[1.0, 3.0]]]), 4)
    array([[[1., 1., 3., 3.]]])
    """
    return interpolate(x, size, scale_factor)


def upsample_bilinear(
    x: Value, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Value:
    """Read images between their pixels, from corner to corner: "bilinear" with ``align_corners=True``.

    Args:
        x: (N, C, H, W).
        size: (H', W'), or one number for both.
        scale_factor: how many times as large, in place of ``size``.

    Returns:
        (N, C, H', W').

    Raises:
        ValueError: x is not of four axes, or not one of ``size`` and ``scale_factor`` is given.

    >>> upsample_bilinear(np.array([[[[1.0, 3.0]]]]), (1, 3))
    array([[[[1., 2., 3.]]]])
    """
    return interpolate(x, size, scale_factor, "bilinear", True)
