"""Batch norm forward and backward by hand, one step on each line: a check of the graph, and the answer to exercises."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.types import Array
from tinygraph.functions.checks import (
    Axis,
    axes_of,
    check_batch,
    check_eps,
    check_shapes,
    check_variance,
    unaveraged_shape,
)

__all__ = ["batch_norm_stepwise"]


def batch_norm_stepwise(
    x: Array, gamma: Array, beta: Array, dy: Array, *, axis: Axis = 0, eps: float = 1e-5
) -> dict[str, Array]:
    """Run batch norm forward and backward by hand, one node on each line, as the exercise of CS231n asks.

    Every value and every gradient has a name, in the order in which it is computed, so that a solution can be compared
    line by line. ``dx`` is the gradient of the loss in x. A value that is used twice has two contributions to its
    gradient, which are numbered and then added.

    Args:
        x: array (N, D), or (N, C, H, W) with ``axis=(0, 2, 3)``, of floating point.
        gamma: scale γ, (D,) or (C,).
        beta: shift β, (D,) or (C,).
        dy: upstream gradient, of the shape of x.
        axis: the axes that are averaged over.
        eps: ε ≥ 0, which is added to the biased variance.

    Returns:
        The name and the array of each step. Statistics have length 1 along ``axis``; ``dgamma`` and ``dbeta`` have
        the shape of gamma.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError if dy has another shape than x.

    Source: CS231n assignment 2, ``batchnorm_backward``.

    >>> steps = batch_norm_stepwise(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.array([[1.0], [0.0]]))
    >>> list(steps)[:5], steps["dbeta"]
    (['mu', 'x_c', 'q', 'v', 'sigma'], array([1.]))
    """
    axes = axes_of(axis, x, "batch_norm_stepwise")
    check_shapes("batch_norm_stepwise", x, unaveraged_shape(x.shape, axes), gamma=gamma, beta=beta)
    check_shapes("batch_norm_stepwise", x, x.shape, dy=dy)
    check_batch("batch_norm_stepwise", x.shape, x.dtype, axes)
    check_eps("batch_norm_stepwise", eps)
    n = math.prod(x.shape[a] for a in axes)
    column = [1 if a in axes else length for a, length in enumerate(x.shape)]
    s: dict[str, Array] = {}

    def over(a: Array) -> Array:
        """Add up over the batch."""
        return np.asarray(a.sum(axes, keepdims=True))

    s["mu"] = over(x) / n
    s["x_c"] = x - s["mu"]
    s["q"] = s["x_c"] ** 2
    s["v"] = over(s["q"]) / n
    check_variance("batch_norm_stepwise", s["v"], eps)
    s["sigma"] = np.sqrt(s["v"] + eps)
    s["x_hat"] = s["x_c"] / s["sigma"]
    s["s"] = gamma.reshape(column) * s["x_hat"]
    s["y"] = s["s"] + beta.reshape(column)
    s["dy"] = dy
    s["dbeta"] = over(s["dy"]).reshape(beta.shape)  # β was copied to every row: the copies' gradients add up
    s["ds"] = s["dy"]
    s["dgamma"] = over(s["ds"] * s["x_hat"]).reshape(gamma.shape)
    s["dx_hat"] = s["ds"] * gamma.reshape(column)
    s["dx_c1"] = s["dx_hat"] / s["sigma"]
    s["dsigma"] = over(s["dx_hat"] * -s["x_c"] / s["sigma"] ** 2)
    s["dv"] = s["dsigma"] / (2 * s["sigma"])
    s["dq"] = np.ones_like(x) * s["dv"] / n  # v is a mean: each row gets 1/n of its gradient
    s["dx_c2"] = s["dq"] * 2 * s["x_c"]
    s["dx_c"] = s["dx_c1"] + s["dx_c2"]
    s["dx1"] = s["dx_c"]
    s["dmu"] = -over(s["dx_c"])
    s["dx2"] = np.ones_like(x) * s["dmu"] / n
    s["dx"] = s["dx1"] + s["dx2"]
    return s
