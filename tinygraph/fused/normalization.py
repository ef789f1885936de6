"""What both normalizations do around their kernels: check, merge axes, pick the route, and give results their form.

A kernel sees an array with its axes merged into a few, channels or features second, and its parameters as vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from tinygraph.functions.checks import check_batch, check_eps, check_shapes, check_variance
from tinygraph.fused import reference as plain
from tinygraph.kernels.route import route

Pass = Callable[..., Any]
LONG = 8192  # elements that make a row worth a call of NumPy's, where it broadcasts along rows
Axes = tuple[int, ...]
Routes = Mapping[str, tuple[Pass, Pass]]


class Plan(NamedTuple):
    """All that shape and dtype decide: how an array becomes what a kernel takes, and its results come back."""

    name: str  # of the op
    routes: Routes
    axes: Axes  # those that are averaged over
    copied: Axes  # those along which γ and β are copied
    kept: Axes  # the shape of γ and β
    lengths: Axes  # of the merged axes
    order: Axes  # of the axes of x, as they are merged
    inverse: Axes | None  # None where that is the order of x
    dtype: Any  # to compute in

    @classmethod
    def of(cls, name: str, routes: Routes, shape: Axes, dtype: Any, axes: Axes, kept: Axes, *merged: Axes) -> Plan:
        """Make the plan that merges these axes; γ and β lie along ``kept``.

        Of two values, dx is ε/σ² of dy: float32 has not the digits for it, and float64 computes.
        """
        check_batch(name, shape, dtype, axes)
        order, every = sum(merged, ()), tuple(range(len(shape)))
        inverse = None if order == every else tuple(map(order.index, every))
        lengths = tuple(math.prod(shape[a] for a in some) for some in merged)
        copied = tuple(a for a in every if a not in kept)
        two = math.prod(shape[a] for a in axes) == 2
        wide = np.float64 if two else np.promote_types(dtype, np.float32)
        return cls(name, routes, axes, copied, tuple(shape[a] for a in kept), lengths, order, inverse, np.dtype(wide))

    def arranged(self, x: Any) -> Any:
        """Return x with its axes merged; a view of it, where it lies so in memory."""
        x = x.transpose(self.order) if self.inverse else x
        return x if x.shape == self.lengths else x.reshape(self.lengths)

    def empty(self, x: Any) -> Any:
        """Return memory for a result, its axes in this order."""
        return np.empty_like(x, order="C", shape=[x.shape[a] for a in self.order] if self.inverse else None)

    def restored(self, y: Any) -> Any:
        """Put the axes of a result back."""
        return y.transpose(self.inverse) if self.inverse else y

    def forward(self, x: Any, gamma: Any, beta: Any, eps: float) -> tuple[Any, Any, Any, str, Plan]:
        """Return y; then what the way back needs: (mean, 1/σ), what else the route keeps, the route, and this plan."""
        for p in (gamma, beta):
            if p is not None and getattr(p, "shape", None) != self.kept:
                check_shapes(self.name, x, self.kept, gamma=gamma, beta=beta)
        check_eps(self.name, eps)
        kind = route(x)
        if kind == "plain":
            y, *found = plain.forward(self.name, x, gamma, beta, self.axes, self.copied, eps)
            return y, found, None, kind, self
        y = self.empty(x)
        found, rest = self.routes[kind][0](self.arranged(x), gamma, beta, eps, y.reshape(self.lengths), self.dtype)
        if eps == 0:
            check_variance(self.name, 1 / found[1], eps)
        return self.restored(y), found, rest, kind, self

    def backward(self, g: Any, operands: Any, found: Any, rest: Any, kind: str) -> Any:
        """Return the gradients in x, γ and β; None for what is no array."""
        x, gamma, beta = operands
        if kind == "plain":
            return plain.backward(g, x, gamma, beta, *found, self.axes, self.copied)
        dx = self.empty(x)
        out = dx.reshape(self.lengths)
        back = self.routes[kind][1]
        dgamma, dbeta = back(self.arranged(x), self.arranged(g), gamma, found, rest, out, self.dtype)
        return self.restored(dx), like(dgamma, gamma), like(dbeta, beta)


def backward(g: Any, operands: Any, extras: Any, **_: Any) -> Any:
    """Return the gradients of an op that keeps what `Plan.forward` returns."""
    *kept, plan = extras
    return plan.backward(g, operands, *kept)


def like(dp: Any, p: Any) -> Any:
    """Give the gradient of a parameter its shape and dtype; None for what is no array."""
    if not hasattr(p, "dtype"):
        return None
    return (dp if dp.shape == p.shape else dp.reshape(p.shape)).astype(p.dtype)


def on_cpu(forward: Pass, backward: Pass) -> tuple[Pass, Pass]:
    """Give kernels what they take: arrays that are contiguous, of one dtype, and a parameter for every channel."""

    def forth(x: Any, gamma: Any, beta: Any, eps: float, y: Any, dtype: Any) -> Any:
        out = y if y.dtype == dtype else np.empty(y.shape, dtype)
        found = forward(wide(x, dtype), vector(gamma, x, 1, dtype), vector(beta, x, 0, dtype), float(eps), out)
        if out is not y:
            y[...] = out
        return found

    def back(x: Any, dy: Any, gamma: Any, found: Any, rest: Any, dx: Any, dtype: Any) -> Any:
        out = dx if dx.dtype == dtype else np.empty(dx.shape, dtype)
        sums = backward(wide(x, dtype), wide(dy, dtype), vector(gamma, x, 1, dtype), found, rest, out)
        if out is not dx:
            dx[...] = out
        return sums

    return forth, back


def moments(s: Any, q: Any, n: int, eps: float) -> tuple[Any, Any]:
    """Return mean and 1/σ of n values from Σx and Σx²."""
    mean = s / n
    return mean, 1 / np.sqrt(np.maximum(q / n - mean * mean, 0.0) + eps)


def is_far(mean: Any, rstd: Any, limit: float) -> Any:
    """Whether x must be centred before it is summed: a mean is so many σ from 0, or a square was too large."""
    return not ((np.abs(mean * rstd) <= limit).all() and rstd.all())


def centring(normalize: Pass, differentiate: Pass, axis: int) -> tuple[Pass, Pass]:
    """Make the two passes of kernels with statistics along an axis: far from 0, they get x less what leads its mean."""

    def forward(x: Any, gamma: Any, beta: Any, eps: float, y: Any) -> Any:
        found = np.empty((2, x.shape[axis]))
        far = normalize(x, gamma, beta, eps, y, found)
        if far:
            shift = found[0].astype(x.dtype)
            normalize(x - shift[:, None], gamma, beta, eps, y, found)
            found[0] += shift
        return found, far

    def backward(x: Any, dy: Any, gamma: Any, found: Any, far: bool, dx: Any) -> Any:
        sums = np.empty((2, len(gamma)))
        if far:
            shift = found[0].astype(x.dtype)
            x, found = x - shift[:, None], np.stack([found[0] - shift, found[1]])
        differentiate(x, dy, gamma, found, dx, sums)
        return sums

    return on_cpu(forward, backward)


def wide(x: Any, dtype: Any) -> Any:
    """Return an array contiguous, in a dtype."""
    return writable(x.astype(dtype, "C", copy=False))


def vector(p: Any, x: Any, default: float, dtype: Any) -> Any:
    """Return a parameter with a value for each channel of x."""
    if p is None:
        return np.full(x.shape[1], default, dtype)
    p = np.asarray(p, dtype, "C")
    return writable(p if p.ndim == 1 else p.reshape(-1))


def writable(x: Any) -> Any:
    """Return an array that is not marked as read-only, over the same memory.

    Kernels do not write to what they are given to read, but Numba would compile them once more for it.
    """
    if x.flags.writeable:
        return x
    interface = {**x.__array_interface__, "data": (x.__array_interface__["data"][0], False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, owner=x))
