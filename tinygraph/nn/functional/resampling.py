"""Arrays made larger or smaller by reading between their elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tinygraph.engine.types import Value
from tinygraph.ops import adaptive
from tinygraph.ops.resampling import resample
from tinygraph.ops.windows import lengths

__all__ = ["interpolate"]

MODES = {"linear": (1, "linear"), "bilinear": (2, "linear"), "trilinear": (3, "linear"), "bicubic": (2, "cubic")}
PLAIN = ("nearest", "nearest-exact", "area")


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
        antialias: False: there is no filter here before an array is made smaller.

    Returns:
        (N, C, …), of the lengths asked for.

    Raises:
        ValueError: the mode is another or not for so many axes, or not one of ``size`` and ``scale_factor`` is given.
        NotImplementedError: ``antialias`` is asked for.

    >>> interpolate(np.array([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    array([[[1. , 1.5, 2.5, 3. ]]])
    """
    rank = len(x.shape) - 2
    if antialias:
        raise NotImplementedError("interpolate: antialias is not here: average first, with nn.functional.avg_pool2d")
    if rank < 1 or mode not in (*MODES, *PLAIN) or MODES.get(mode, (rank,))[0] != rank:
        known = ", ".join([*PLAIN, *(name for name, (axes, _) in MODES.items() if axes == rank)])
        raise ValueError(f"interpolate: mode {mode!r} is not for an array of shape {tuple(x.shape)}; there is {known}")
    if align_corners is not None and mode in PLAIN:
        raise ValueError(f"interpolate: align_corners has no meaning in mode {mode!r}: leave it None")
    before = tuple(x.shape[2:])
    after, scales = sizes(before, size, scale_factor)
    if recompute_scale_factor:
        if scale_factor is None:
            raise ValueError("interpolate: recompute_scale_factor goes with scale_factor, and that is not given")
        scales = None
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
