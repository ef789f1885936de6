"""What both normalizations do around their kernels: check, merge axes, pick the route, and give results their form.

A kernel sees an array with its axes merged into a few, channels or features second, and its parameters as vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions.checks import check_batch, check_eps, check_shapes, check_variance
from tinygraph.fused import reference
from tinygraph.kernels.route import choose_route

Axes: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[Array, Array] | Array  # two arrays, or one with two rows: mean and 1/σ; dγ and dβ
Pass: TypeAlias = Callable[..., Any]


class Passes(NamedTuple):
    """The kernels of one library.

    ``forward(x, gamma, beta, eps, y, dtype)`` writes y and returns (mean, 1/σ), and whether means are far from 0. It
    returns None in place of the first where a variance is too large for the dtype.
    ``backward(x, dy, gamma, statistics, far, dx, dtype)`` writes dx and returns (dγ, dβ).
    """

    forward: Callable[..., tuple[Pair | None, bool]]
    backward: Callable[..., Pair]


class Plan(NamedTuple):
    """All that shape and dtype decide: how an array becomes what a kernel takes, and its results come back."""

    name: str  # of the op
    routes: Mapping[str, Passes]
    averaged: Axes  # the axes that are averaged over
    repeated: Axes  # the axes along which γ and β are the same
    parameter_shape: Shape  # of γ and β
    lengths: Shape  # of the merged axes
    order: Axes  # of the axes of x, as they are merged
    inverse: Axes | None  # None where that is the order of x
    dtype: np.dtype[Any]  # to compute in

    @classmethod
    def of(
        cls,
        name: str,
        routes: Mapping[str, Passes],
        shape: Shape,
        dtype: np.dtype[Any],
        averaged: Axes,
        parameters: Axes,
        merged: tuple[Axes, ...],
    ) -> Plan:
        """Make the plan for arrays of a shape: γ and β lie along the axes ``parameters``, each of ``merged`` is one.

        Of two values, dx is ε/σ² of dy: float32 has not the digits for it, and float64 computes.
        """
        check_batch(name, shape, dtype, averaged)
        order, axes = sum(merged, ()), tuple(range(len(shape)))
        has_two_values = math.prod(shape[a] for a in averaged) == 2
        return cls(
            name,
            routes,
            averaged,
            repeated=tuple(a for a in axes if a not in parameters),
            parameter_shape=tuple(shape[a] for a in parameters),
            lengths=tuple(math.prod(shape[a] for a in group) for group in merged),
            order=order,
            inverse=None if order == axes else tuple(map(order.index, axes)),
            dtype=np.dtype(np.float64 if has_two_values else np.promote_types(dtype, np.float32)),
        )

    def merge_axes(self, x: Array) -> Array:
        """Return x with its axes merged; a view of it, where it lies so in memory."""
        x = x.transpose(self.order) if self.inverse else x
        return x if x.shape == self.lengths else x.reshape(self.lengths)

    def allocate(self, x: Array) -> Array:
        """Return memory for a result of the shape of x, its axes in the order of the kernels."""
        return np.empty_like(x, order="C", shape=[x.shape[a] for a in self.order] if self.inverse else None)

    def restore_axes(self, y: Array) -> Array:
        """Put the axes of a result back into the order of x."""
        return y.transpose(self.inverse) if self.inverse else y

    def forward(self, x: Array, gamma: Array | None, beta: Array | None, eps: float) -> tuple[Any, ...]:
        """Return y, and the fields of `Saved`.

        Where the variance of a channel overflows the sums of a kernel, the reference computes all channels.
        """
        for p in (gamma, beta):
            if p is not None and getattr(p, "shape", None) != self.parameter_shape:
                check_shapes(self.name, x, self.parameter_shape, gamma=gamma, beta=beta)
        check_eps(self.name, eps)
        name = choose_route(x)
        if name != "plain":
            y = self.allocate(x)
            out = y.reshape(self.lengths)
            found, far = self.routes[name].forward(self.merge_axes(x), gamma, beta, eps, out, self.dtype)
            if found is not None:
                if eps == 0:
                    check_variance(self.name, 1 / found[1], eps)
                return self.restore_axes(y), *Saved(found, far, name, self)
        y, *statistics = reference.forward(self.name, x, gamma, beta, self.averaged, self.repeated, eps)
        return y, *Saved((statistics[0], statistics[1]), False, "plain", self)

    def backward(self, g: Array, operands: Any, saved: Saved) -> tuple[Array, Array | None, Array | None]:
        """Return the gradients in x, γ and β; None for a parameter that is None or a plain number."""
        x, gamma, beta = operands
        if saved.route == "plain":
            mean, rstd = saved.statistics
            return reference.backward(g, x, gamma, beta, mean, rstd, self.averaged, self.repeated)
        dx = self.allocate(x)
        dgamma, dbeta = self.routes[saved.route].backward(
            self.merge_axes(x), self.merge_axes(g), gamma, saved.statistics, saved.far, dx.reshape(self.lengths),
            self.dtype,
        )  # fmt: skip
        return self.restore_axes(dx), match_parameter(dgamma, gamma), match_parameter(dbeta, beta)


class Saved(NamedTuple):
    """What a forward leaves for its backward, beside the operands."""

    statistics: Pair  # the mean and 1/σ of each channel, float64
    far: bool  # whether means are far from 0
    route: str  # whose kernels ran
    plan: Plan


def backward(g: Array, operands: Any, extras: tuple[Any, ...], **_: Any) -> tuple[Array, Array | None, Array | None]:
    """Return the gradients of an op whose forward is `Plan.forward`."""
    saved = Saved(*extras)
    return saved.plan.backward(g, operands, saved)


def match_parameter(dp: Array, p: Array | None) -> Array | None:
    """Give the gradient of a parameter the shape and dtype of the parameter; None where that is no array."""
    if p is None or not hasattr(p, "dtype"):
        return None
    return (dp if dp.shape == p.shape else dp.reshape(p.shape)).astype(p.dtype)


# What the kernels for NumPy and Numba share.


def adapt_to_cpu(forward: Pass, backward: Pass) -> Passes:
    """Make a route of kernels that take contiguous arrays of one dtype, and a parameter for every channel."""

    def run_forward(
        x: Array, gamma: Array | None, beta: Array | None, eps: float, y: Array, dtype: np.dtype[Any]
    ) -> Any:
        out = y if y.dtype == dtype else np.empty(y.shape, dtype)
        parameters = per_channel(gamma, x, 1, dtype), per_channel(beta, x, 0, dtype)
        found = forward(contiguous(x, dtype), *parameters, float(eps), out)
        if out is not y:
            y[...] = out
        return found

    def run_backward(
        x: Array, dy: Array, gamma: Array | None, statistics: Pair, far: bool, dx: Array, dtype: np.dtype[Any]
    ) -> Any:
        out = dx if dx.dtype == dtype else np.empty(dx.shape, dtype)
        gamma = per_channel(gamma, x, 1, dtype)
        sums = backward(contiguous(x, dtype), contiguous(dy, dtype), gamma, statistics, far, out)
        if out is not dx:
            dx[...] = out
        return sums

    return Passes(run_forward, run_backward)


def centre_where_far(normalize: Pass, differentiate: Pass, axis: int) -> Passes:
    """Make a route of kernels that lose digits far from 0: there they get x minus its mean, rounded to x's dtype.

    ``normalize(x, gamma, beta, eps, y, statistics)`` writes the last two and returns whether a mean is far from 0;
    ``differentiate(x, dy, gamma, statistics, dx, sums)`` writes the last two. Statistics lie along ``axis`` of x.
    """

    def forward(x: Array, gamma: Array, beta: Array, eps: float, y: Array) -> tuple[Array | None, bool]:
        statistics = np.empty((2, x.shape[axis]))
        far = normalize(x, gamma, beta, eps, y, statistics)
        if far:
            shift = statistics[0].astype(x.dtype)
            if normalize(x - shift[:, None], gamma, beta, eps, y, statistics) and has_overflow(statistics):
                return None, far
            statistics[0] += shift
        return statistics, far

    def backward(x: Array, dy: Array, gamma: Array, statistics: Array, far: bool, dx: Array) -> Array:
        sums = np.empty((2, len(gamma)))
        if far:
            shift = statistics[0].astype(x.dtype)
            x, statistics = x - shift[:, None], np.stack([statistics[0] - shift, statistics[1]])
        differentiate(x, dy, gamma, statistics, dx, sums)
        return sums

    return adapt_to_cpu(forward, backward)


def mean_and_rstd(s: Value, q: Value, n: int, eps: float) -> tuple[Value, Value]:
    """Return mean and 1/σ of n values from Σx and Σx²."""
    mean = s / n
    return mean, 1 / np.sqrt(np.maximum(q / n - mean * mean, 0.0) + eps)


def is_far(mean: Array, rstd: Array, limit: float) -> bool:
    """Whether x must be centred before it is summed: a mean is ``limit`` σ from 0, or a square was too large."""
    return not ((np.abs(mean * rstd) <= limit).all() and rstd.all())


def has_overflow(statistics: Array) -> bool:
    """Whether a variance overflowed: the mean is finite, and 1/σ is 0 or, as inf - inf, NaN."""
    mean, rstd = statistics
    return bool((np.isfinite(mean) & ~(rstd > 0)).any())


def contiguous(x: Array, dtype: np.dtype[Any]) -> Array:
    """Return an array contiguous, in a dtype."""
    return marked_writable(x.astype(dtype, "C", copy=False))


def per_channel(p: Array | None, x: Array, default: float, dtype: np.dtype[Any]) -> Array:
    """Return a parameter with a value for each channel of x."""
    if p is None:
        return np.full(x.shape[1], default, dtype)
    p = np.asarray(p, dtype, "C")
    return marked_writable(p if p.ndim == 1 else p.reshape(-1))


def marked_writable(x: Array) -> Array:
    """Return an array that is not marked as read-only, over the same memory.

    Kernels do not write into their inputs, but Numba would compile them once more for read-only ones.
    """
    if x.flags.writeable:
        return x
    interface = {**x.__array_interface__, "data": (x.__array_interface__["data"][0], False)}
    return np.asarray(SimpleNamespace(__array_interface__=interface, owner=x))
