"""A kernel sees the axes of an array merged into a few, and its parameters as vectors of float64."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


class Plan(NamedTuple):
    """How an array becomes what a kernel takes, and its results come back."""

    axes: tuple[int, ...]  # those that are averaged over
    kept: tuple[int, ...]  # the shape of γ and β
    lengths: tuple[int, ...]  # of the merged axes
    order: tuple[int, ...]  # of the axes of x, as they are merged
    inverse: tuple[int, ...] | None  # None where that is the order of x

    @classmethod
    def of(cls, shape: tuple[int, ...], axes: tuple[int, ...], kept: tuple[int, ...], *merged: tuple[int, ...]) -> Plan:
        """Make the plan that merges these axes; γ and β lie along ``kept``."""
        order, every = sum(merged, ()), tuple(range(len(shape)))
        inverse = None if order == every else tuple(map(order.index, every))
        lengths = tuple(math.prod(shape[a] for a in some) for some in merged)
        return cls(axes, tuple(shape[a] for a in kept), lengths, order, inverse)

    def arranged(self, x: Any) -> Any:
        """Return x with its axes merged; a view of it, where it lies so in memory."""
        return (x.transpose(self.order) if self.inverse else x).reshape(self.lengths)

    def empty(self, x: Any) -> Any:
        """Return memory for a result, its axes in this order."""
        return np.empty_like(x, order="C", shape=[x.shape[a] for a in self.order] if self.inverse else None)

    def restored(self, y: Any) -> Any:
        """Put the axes of a result back."""
        return y.transpose(self.inverse) if self.inverse else y


def like(dp: Any, p: Any) -> Any:
    """Give the gradient of a parameter its shape and dtype; None for what is no array."""
    return dp.reshape(p.shape).astype(p.dtype) if hasattr(p, "dtype") else None


def vector(p: Any, length: int, default: float, dtype: Any = np.float64) -> np.ndarray:
    """Return a parameter with a value a channel."""
    return np.full(length, default, dtype) if p is None else np.asarray(p, dtype).reshape(-1)


def precision(dtype: Any, n: int) -> Any:
    """Return the dtype to compute in. Of n = 2 values, dx is ε/σ² of dy: float32 has not the digits for it."""
    return np.float64 if n == 2 else np.promote_types(dtype, np.float32)
