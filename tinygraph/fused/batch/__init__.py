r"""Batch norm in one op: a sweep over x for the statistics, a sweep for the output, and likewise on the way back.

Every route saves the operands, and the mean m and r = 1/σ of each channel, nothing else, and computes

.. math:: y = (x - m) a + \beta, \quad dx = a (dy - s/n - (x - m) r p/n), \quad d\gamma = p, \quad d\beta = s,

with :math:`a = \gamma r`, :math:`s = \sum dy` and :math:`p = r \sum dy (x - m)`. Sums run in float32 over a tile
and in float64 over the tiles. Σx and Σx² lose the digits that the mean has above σ; where those are many
(|m| r > 4), the mean is subtracted from x first, and the sweep is made again.

An array comes to the kernels as (N, C, L): C channels, and the averaged axes on either side of them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Array, Shape, Value
from tinygraph.functions import normalization as composites
from tinygraph.functions.checks import Axis, axes_of
from tinygraph.fused.batch import cuda, numba, numpy
from tinygraph.fused.fused_op import fused
from tinygraph.fused.normalization import Axes, Plan, Saved, backward

ROUTES = {"numpy": numpy.ROUTE, "numba": numba.ROUTE, "cupy": cuda.ROUTE}


@fused(
    r"\operatorname{batch\_norm}($x)",
    says="Normalizes each channel of $x over the batch, then scales by $gamma and shifts by $beta.",
    onnx="BatchNormalization",
    samples=[
        sample((5, 3), (3,), (3,)), sample((4, 3), (3,), (3,), axis=(0,), eps=0.0),
        sample((4, 3, 2, 2), (3,), (3,), axis=(0, 2, 3)), sample((3, 2, 5), (2,), (2,), axis=(0, 2)),
        sample((3, 6), (3,), (3,), axis=-1), sample((3, 2, 2, 3), (2, 3), (2, 3), axis=(0, 2)),
        sample((2, 3, 2), (), (), axis=(0, 1, 2)),
    ],
    definition=composites.batch_norm, backward=backward,
)  # fmt: skip
def batch_norm(x: Value, gamma: Value = None, beta: Value = None, *, axis: Axis = 0, eps: float = 1e-5) -> Value:
    r"""Normalize each channel over the batch, then scale and shift, in one op.

    It computes what `tinygraph.batch_norm` does, its definition. Recorded derivatives (``create_graph=True``) are those
    of the definition, and so they are right at every order.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta, \quad \mu = \mathrm{mean}\, x,
              \quad v = \mathrm{mean}\, (x - \mu)^2

    Args:
        x: (N, D), or (N, C, H, W) with ``axis=(0, 2, 3)``; floating point, more than one value per channel.
        gamma: scale γ, (D,) or (C,): the axes of x that are not averaged; None is no scale.
        beta: shift β, of the same shape; None is no shift.
        axis: the axes that are averaged over.
        eps: ε ≥ 0, in units of x², which is added to the biased variance; it may be 0 if no variance is 0.

    Returns:
        y, of the shape and dtype of x; dimensionless times the units of gamma. In float32 its error is near
        1e-6, relative to the largest y, also where means are 10⁴ standard deviations.

    Raises:
        TypeError: x is not of floating point.
        ValueError: x is empty or has one value per channel; gamma or beta has another shape; eps is
            negative, or 0 where a variance is 0.

    Source: Ioffe and Szegedy 2015, Algorithm 1.

    >>> batch_norm(np.array([[1.0], [3.0]]), np.array([2.0]), np.array([1.0]), eps=0.0)
    array([[-1.],
           [ 3.]])
    """
    axes = axes_of(axis, x, "batch_norm")
    return plan_for(x.shape, x.dtype, axes).forward(x, gamma, beta, eps)


@functools.lru_cache(1024)
def plan_for(shape: Shape, dtype: np.dtype[Any], averaged: Axes) -> Plan:
    """Return the plan for arrays of a shape, averaged over some axes."""
    axes = tuple(range(len(shape)))
    channels = tuple(a for a in axes if a not in averaged)
    first, last = (channels[0], channels[-1] + 1) if channels else (0, 0)
    are_together = channels == axes[first:last]
    merged = (axes[:first], channels, axes[last:]) if are_together else (averaged, channels, ())
    return Plan.of("batch_norm", ROUTES, shape, dtype, averaged, channels, merged)


def batch_norm_statistics(y: Tensor) -> tuple[Array, Array]:
    """Return the mean and the biased variance of each channel that `batch_norm` computed on its way to y.

    Args:
        y: what `batch_norm` returned for Tensors; recorded, and its graph not yet freed by a backward pass.

    Returns:
        The mean and the variance, each (C,), float64, in the units of x and of x².

    Raises:
        TypeError: y is no recorded result of `batch_norm`.
        ValueError: its graph was freed.

    >>> mean, variance = batch_norm_statistics(batch_norm(Tensor([[1.0], [3.0]])))
    >>> float(mean[0]), round(float(variance[0]), 6)
    (2.0, 1.0)
    """
    if not isinstance(y, Tensor) or y.node.op is not batch_norm.op:  # type: ignore[attr-defined]
        raise TypeError("batch_norm_statistics: y must be a Tensor that fused.batch_norm returned, and recorded")
    inputs = next(filter(None, y.node.saved or ()), None)
    if inputs is None:
        raise ValueError("batch_norm_statistics: the graph of y was freed: ask before backward(retain_graph=False)")
    mean, rstd = Saved(*inputs[1]).statistics
    return mean, rstd**-2.0 - y.node.params["eps"]
