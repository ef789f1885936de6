r"""Layer norm in one op: a row is read once and stays in the cache until its output, or its dx, is written.

Every route saves the operands, and the mean m and r = 1/σ of each row, nothing else, and computes, with
x̂ = (x - m) r,

.. math:: y = \gamma \hat x + \beta, \quad dx = r (\gamma dy - s/n - \hat x p/n), \quad
          d\gamma = \sum_{rows} dy\, \hat x, \quad d\beta = \sum_{rows} dy,

with :math:`s = \sum \gamma dy` and :math:`p = \sum \gamma dy\, \hat x` of each row. Before x̂ is taken, the leading
part of the mean is subtracted from x; the part of m that float32 cannot hold is subtracted after that.

An array comes to the kernels as (M, D): M rows, each averaged over its D values.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygraph.engine.registry import sample
from tinygraph.engine.types import Shape, Value
from tinygraph.functions import normalization as composites
from tinygraph.functions.checks import Axis, axes_of
from tinygraph.fused.fused_op import fused
from tinygraph.fused.layer import cuda, numba, numpy
from tinygraph.fused.normalization import Axes, Plan, backward

ROUTES = {"numpy": numpy.ROUTE, "numba": numba.ROUTE, "cupy": cuda.ROUTE}


@fused(
    r"\operatorname{layer\_norm}($x)",
    says="Normalizes each example of $x over its own features, then scales by $gamma and shifts by $beta.",
    onnx="LayerNormalization",
    samples=[
        sample((5, 3), (3,), (3,)), sample((4, 3), (3,), (3,), axis=(-1,), eps=0.0),
        sample((2, 3, 4), (3, 4), (3, 4), axis=(1, 2)), sample((3, 2, 5), (3,), (3,), axis=0),
        sample((3, 2, 4), (3, 4), (3, 4), axis=(0, 2)), sample((6,), (6,), (6,)),
    ],
    definition=composites.layer_norm, backward=backward,
)  # fmt: skip
def layer_norm(x: Value, gamma: Value = None, beta: Value = None, *, axis: Axis = -1, eps: float = 1e-5) -> Value:
    r"""Normalize each example over its own features, then scale and shift each feature, in one op.

    It computes what `tinygraph.layer_norm` does, its definition. Recorded derivatives (``create_graph=True``) are those
    of the definition, and so they are right at every order.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{v + \epsilon}} + \beta, \quad \mu = \mathrm{mean}\, x,
              \quad v = \mathrm{mean}\, (x - \mu)^2

    Args:
        x: (N, …, D), floating point, more than one value along ``axis``.
        gamma: scale γ, of the shape of x along ``axis``; None is no scale.
        beta: shift β, of the same shape; None is no shift.
        axis: the axes that are averaged over, as a rule the last ones.
        eps: as in `batch_norm`.

    Returns:
        y, of the shape and dtype of x; dimensionless times the units of gamma. In float32 its error is near
        1e-6, relative to the largest y, also where means are 10⁴ standard deviations.

    Raises:
        TypeError: x is not of floating point.
        ValueError: x is empty or has one value to average; gamma or beta has another shape; eps is
            negative, or 0 where a variance is 0.

    Source: Ba, Kiros and Hinton 2016, equation 4.

    >>> layer_norm(np.array([[1.0, 3.0]]), np.array([2.0, 2.0]), np.array([1.0, 1.0]), eps=0.0)
    array([[-1.,  3.]])
    """
    axes = axes_of(axis, x, "layer_norm")
    return plan_for(x.shape, x.dtype, axes).forward(x, gamma, beta, eps)


@functools.lru_cache(1024)
def plan_for(shape: Shape, dtype: np.dtype[Any], averaged: Axes) -> Plan:
    """Return the plan for arrays of a shape, averaged over some axes."""
    examples = tuple(a for a in range(len(shape)) if a not in averaged)
    return Plan.of("layer_norm", ROUTES, shape, dtype, averaged, averaged, (examples, averaged))
