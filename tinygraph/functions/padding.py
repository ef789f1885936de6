"""Padding in every mode of NumPy and PyTorch: a constant is an op of its own, the others join parts of the array."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.registry import implements
from tinygraph.engine.types import Value
from tinygraph.ops import padding
from tinygraph.ops.indexing import backwards, index, part
from tinygraph.ops.joining import join
from tinygraph.ops.reduce import max as largest
from tinygraph.ops.reduce import mean
from tinygraph.ops.reduce import min as smallest
from tinygraph.ops.shape import broadcast_to, reshape

__all__ = ["pad"]

PYTORCH = {"replicate": "edge", "circular": "wrap"}  # its name of a mode -> NumPy's
Side = Callable[[Value, int, int, bool, Any], Value]  # of x, axis, length, whether it comes first, an option


@implements(np.pad)
def pad(
    x: Value,
    pad_width: int | Sequence[Any] = 0,
    mode: str = "constant",
    constant_values: Any = 0.0,
    end_values: Any = 0.0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Value:
    """Surround an array, in the modes of ``numpy.pad``; below 0 a width cuts off.

    Args:
        x: of any shape.
        pad_width: how many elements to add: one number for all sides, a pair (before, after) for all axes, or a
            pair for each axis.
        mode: "constant"; "edge" (PyTorch: "replicate") repeats the edge; "reflect" mirrors x at its edge, "symmetric"
            beside it; "wrap" (PyTorch: "circular") begins again; "linear_ramp" goes to ``end_values``; "mean",
            "median", "maximum", "minimum".
        constant_values: the number to surround x with, or one for each side, as ``pad_width``.
        end_values: where a ramp ends, likewise.
        stat_length: of how many elements at the edge a mean, median or extreme is taken; all unless given.
        reflect_type: "even", or "odd": what is mirrored is also turned upside down at the edge.

    Returns:
        x within its surroundings.

    Raises:
        ValueError: ``mode`` is another one, ``pad_width`` does not fit the axes of x, or there is nothing to repeat.

    >>> pad(Tensor([1.0]), 1)
    Tensor([0., 1., 0.], op=pad)
    >>> pad(Tensor([1.0, 2.0, 3.0]), 1, "reflect").data
    array([2., 1., 2., 3., 2.])
    """
    widths = np.broadcast_to(np.asarray(pad_width), (len(x.shape), 2))
    if (widths < 0).any():
        x = index(
            x, tuple(slice(max(-b, 0), n + min(a, 0)) for n, (b, a) in zip(x.shape, widths.tolist(), strict=True))
        )
        pad_width = np.maximum(widths, 0).tolist()
    mode = PYTORCH.get(mode, mode)
    if mode == "constant":
        return padding.pad(x, pad_width, mode, constant_values)
    if mode not in SIDES:
        raise ValueError(f"pad: mode={mode!r} is not known: it is 'constant', {', '.join(map(repr, SIDES))}")
    options = {"linear_ramp": end_values, "reflect": reflect_type, "symmetric": reflect_type}
    return pad_sides(x, np.maximum(widths, 0), mode, options.get(mode, stat_length))


@composite
def pad_sides(x: Value, widths: Any, mode: str, option: Any) -> Value:
    """Pad one axis after the other; a later one repeats what was added along an earlier one."""
    numbers = mode == "linear_ramp" or (mode in STATISTICS and option is not None)
    options = (
        np.broadcast_to(np.asarray(option, object), widths.shape) if numbers else np.full(widths.shape, option, object)
    )
    for axis, sides in enumerate(widths.tolist()):
        if not any(sides):
            continue
        if not x.shape[axis]:
            raise ValueError(f"pad: axis {axis} has no element to repeat; mode 'constant' needs none")
        x = pad_axis(x, axis, sides, mode, options[axis].tolist())
    return x


def pad_axis(x: Value, axis: int, sides: Sequence[int], mode: str, options: Sequence[Any]) -> Value:
    """Pad both sides of an axis."""
    n = x.shape[axis]
    if mode == "reflect" and n == 1:
        mode = "edge"
    reach = {"reflect": n - 1, "symmetric": n, "wrap": n}.get(mode, max(sides))
    if max(sides) > reach:
        if options[0] == "odd":  # the mirror image of the mirror image, and so on
            steps = [min(s, reach) for s in sides]
            near = pad_axis(x, axis, steps, mode, options)
            return pad_axis(near, axis, [s - t for s, t in zip(sides, steps, strict=True)], mode, options)
        places = np.pad(np.arange(n), sides, mode=mode)  # type: ignore[call-overload]
        return index(x, (slice(None),) * axis + (places,))
    parts = [SIDES[mode](x, axis, length, first, option) for length, first, option in
             zip(sides, (True, False), options, strict=True) if length]  # fmt: skip
    return join(*parts[: bool(sides[0])], x, *parts[bool(sides[0]) :], axis=axis)


def edge(x: Value, axis: int, length: int, first: bool, option: Any) -> Value:
    """Repeat the edge."""
    return repeated(part(x, axis, None, 1) if first else part(x, axis, -1), axis, length)


def repeated(x: Value, axis: int, length: int) -> Value:
    """Copy along an axis of length 1."""
    return broadcast_to(x, (*x.shape[:axis], length, *x.shape[axis + 1 :]))


def wrap(x: Value, axis: int, length: int, first: bool, option: Any) -> Value:
    """Begin again."""
    return part(x, axis, -length) if first else part(x, axis, None, length)


def mirrored(x: Value, axis: int, length: int, first: bool, option: Any, skip: int = 0) -> Value:
    """Mirror what is near the edge: at it, or beside it."""
    n = x.shape[axis]
    near = part(x, axis, skip, length + skip) if first else part(x, axis, n - length - skip, n - skip)
    near = backwards(near, axis)
    return near if option != "odd" else 2 * (part(x, axis, None, 1) if first else part(x, axis, -1)) - near


def ramp(x: Value, axis: int, length: int, first: bool, option: Any) -> Value:
    """Go from the edge to a number in equal steps."""
    share = np.arange(length) / length if first else np.arange(length)[::-1] / length
    share = reshape(share.astype(x.dtype), [-1 if i == axis else 1 for i in range(len(x.shape))])
    return edge(x, axis, length, first, None) * share + option * (1 - share)


def median_of(x: Value, axis: int, keepdims: bool) -> Value:
    """Take the median; its module is loaded when it is needed."""
    return importlib.import_module("tinygraph.functions.order").median(x, axis, keepdims)


STATISTICS: dict[str, Callable[..., Value]] = {
    "mean": mean, "median": median_of, "maximum": largest, "minimum": smallest,
}  # fmt: skip


def statistic(mode: str) -> Side:
    """Return how to repeat a number of what is near the edge."""

    def side(x: Value, axis: int, length: int, first: bool, option: Any) -> Value:
        n = x.shape[axis] if option is None else min(int(option), x.shape[axis])
        if n < 1:
            raise ValueError(f"pad: stat_length={option} leaves nothing to take a {mode} of")
        near = part(x, axis, None, n) if first else part(x, axis, -n)
        return repeated(STATISTICS[mode](near, axis, True), axis, length)

    return side


SIDES: dict[str, Side] = {
    "edge": edge, "wrap": wrap, "linear_ramp": ramp,
    "reflect": functools.partial(mirrored, skip=1), "symmetric": functools.partial(mirrored, skip=0),
    **{mode: statistic(mode) for mode in STATISTICS},
}  # fmt: skip
