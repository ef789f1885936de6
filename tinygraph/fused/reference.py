"""The closed form in array operations, for arrays of any kind: exact because float64, at home on any device.

Both normalizations are here at once: they differ only in the axes along which γ and β are copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.functions.checks import check_variance


def forward(
    what: str, x: Any, gamma: Any, beta: Any, axes: tuple[int, ...], copied: tuple[int, ...], eps: float
) -> Any:
    """Normalize over ``axes``; γ and β are the same along the axes ``copied``. Return y, the mean and 1/σ."""
    centred = widened(x)
    mean = centred.mean(axis=axes, keepdims=True)
    centred = centred - mean
    v = (centred * centred).mean(axis=axes, keepdims=True)
    check_variance(what, v, eps)
    rstd = 1 / np.sqrt(v + eps)
    y = centred * rstd
    y = y if gamma is None else y * column(gamma, x.shape, copied)
    y = y if beta is None else y + column(beta, x.shape, copied)
    return y.astype(x.dtype), mean.reshape(-1), rstd.reshape(-1)


def backward(
    g: Any, x: Any, gamma: Any, beta: Any, mean: Any, rstd: Any, axes: tuple[int, ...], copied: tuple[int, ...]
) -> Any:
    """Return the gradients of `forward` in x, γ and β."""
    g, rstd = widened(g), column(rstd, x.shape, axes)
    x_hat = (widened(x) - column(mean, x.shape, axes)) * rstd
    scaled = g if gamma is None else g * column(gamma, x.shape, copied)
    over = {"axis": axes, "keepdims": True}
    dx = rstd * (scaled - scaled.mean(**over) - x_hat * (scaled * x_hat).mean(**over))
    dgamma = None if gamma is None else (g * x_hat).sum(axis=copied).astype(gamma.dtype)
    dbeta = None if beta is None else g.sum(axis=copied).astype(beta.dtype)
    return dx.astype(x.dtype), dgamma, dbeta


def widened(x: Any) -> Any:
    """Return an array in float64, or as it is where it is wider."""
    return x.astype(np.result_type(x.dtype, np.float64))


def column(p: Any, shape: tuple[int, ...], copied: tuple[int, ...]) -> Any:
    """Lay out what is the same along the axes ``copied``, so that it broadcasts against ``shape``."""
    return p.reshape([1 if a in copied else n for a, n in enumerate(shape)])
