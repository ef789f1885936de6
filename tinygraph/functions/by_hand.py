"""Batch norm forward and backward by hand, a line a step: the oracle, and the answer to an exercise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygraph.functions.checks import Axis, axes_of, check_batch, check_eps, check_shapes, check_variance, unaveraged

__all__ = ["batch_norm_stepwise"]


def batch_norm_stepwise(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, dy: np.ndarray, *, axis: Axis = 0, eps: float = 1e-5
) -> dict[str, np.ndarray]:
    """Run batch norm forward and backward by hand, a line a node, as the exercise of CS231n asks.

    Every value and every gradient has a name, in the order in which it is found, so that a solution can be
    compared line by line. ``d`` before a name means the gradient of the loss in it; where a value is used
    twice, its two contributions are numbered, then added.

    Args:
        x, gamma, beta, axis, eps: arrays, as in `batch_norm`.
        dy: upstream gradient, of the shape of x.

    Returns:
        The names and arrays of all steps. Parameters and statistics keep length 1 along ``axis``, but for
        ``dgamma`` and ``dbeta``, which have the shape of gamma.

    Raises:
        ValueError, TypeError: as `batch_norm`; and ValueError where dy has not the shape of x.

    Source: CS231n assignment 2, ``batchnorm_backward``.

    >>> steps = batch_norm_stepwise(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.array([[1.0], [0.0]]))
    >>> list(steps)[:5], steps["dbeta"]
    (['mu', 'x_c', 'q', 'v', 'sigma'], array([1.]))
    """
    axes = axes_of(axis, x, "batch_norm_stepwise")
    check_shapes("batch_norm_stepwise", x, unaveraged(x.shape, axes), gamma=gamma, beta=beta)
    check_shapes("batch_norm_stepwise", x, x.shape, dy=dy)
    check_batch("batch_norm_stepwise", x.shape, x.dtype, axes)
    check_eps("batch_norm_stepwise", eps)
    n = math.prod(x.shape[a] for a in axes)
    column = [1 if a in axes else length for a, length in enumerate(x.shape)]
    over = lambda a: a.sum(axes, keepdims=True)
    s: dict[str, Any] = {}
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
    s["dbeta"] = over(s["dy"]).reshape(beta.shape)  # β was copied to every row: add the rows
    s["ds"] = s["dy"]
    s["dgamma"] = over(s["ds"] * s["x_hat"]).reshape(gamma.shape)
    s["dx_hat"] = s["ds"] * gamma.reshape(column)
    s["dx_c1"] = s["dx_hat"] / s["sigma"]
    s["dsigma"] = over(s["dx_hat"] * -s["x_c"] / s["sigma"] ** 2)
    s["dv"] = s["dsigma"] / (2 * s["sigma"])
    s["dq"] = np.ones_like(x) * s["dv"] / n  # v was a mean: every row gets 1/n
    s["dx_c2"] = s["dq"] * 2 * s["x_c"]
    s["dx_c"] = s["dx_c1"] + s["dx_c2"]
    s["dx1"] = s["dx_c"]
    s["dmu"] = -over(s["dx_c"])
    s["dx2"] = np.ones_like(x) * s["dmu"] / n
    s["dx"] = s["dx1"] + s["dx2"]
    return s
