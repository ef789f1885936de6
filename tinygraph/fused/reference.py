"""The closed form in array operations, for arrays of any library: exact because it computes in float64.

Both normalizations are here at once: they differ only in the axes along which γ and β are repeated.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from tinygraph.engine.types import Array, Shape
from tinygraph.functions.checks import check_variance

Axes: TypeAlias = tuple[int, ...]


def forward(
    name: str, x: Array, gamma: Array | None, beta: Array | None, averaged: Axes, repeated: Axes, eps: float
) -> tuple[Array, Array, Array]:
    """Normalize over the axes ``averaged``; return y, the mean and 1/σ."""
    centred = as_float64(x)
    mean = centred.mean(axis=averaged, keepdims=True)
    centred = centred - mean
    v = (centred * centred).mean(axis=averaged, keepdims=True)
    check_variance(name, v, eps)
    rstd = 1 / np.sqrt(v + eps)
    y = centred * rstd
    y = y if gamma is None else y * align_with(gamma, x.shape, repeated)
    y = y if beta is None else y + align_with(beta, x.shape, repeated)
    return y.astype(x.dtype), mean.reshape(-1), rstd.reshape(-1)


def backward(
    g: Array,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    mean: Array,
    rstd: Array,
    averaged: Axes,
    repeated: Axes,
) -> tuple[Array, Array | None, Array | None]:
    """Return the gradients of `forward` in x, γ and β."""
    g, rstd = as_float64(g), align_with(rstd, x.shape, averaged)
    x_hat = (as_float64(x) - align_with(mean, x.shape, averaged)) * rstd
    scaled = g if gamma is None else g * align_with(gamma, x.shape, repeated)
    offset, slope = (p.mean(axis=averaged, keepdims=True) for p in (scaled, scaled * x_hat))
    dx = rstd * (scaled - offset - x_hat * slope)
    dgamma = None if gamma is None else (g * x_hat).sum(axis=repeated).astype(gamma.dtype)
    dbeta = None if beta is None else g.sum(axis=repeated).astype(beta.dtype)
    return dx.astype(x.dtype), dgamma, dbeta


def as_float64(x: Array) -> Array:
    """Return an array in float64, or as it is where it is wider."""
    return x.astype(np.result_type(x.dtype, np.float64))


def align_with(p: Array, shape: Shape, repeated: Axes) -> Array:
    """Give p length 1 along the axes ``repeated``, so that it broadcasts against ``shape``."""
    return p.reshape([1 if a in repeated else n for a, n in enumerate(shape)])
