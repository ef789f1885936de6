"""Normalizations without a mean, or with one of another batch: RMS norm, local response, batch renormalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Shape, Value
from tinygraph.functions.checks import Axis, axes_of, check_eps, check_floating, check_shapes, label, unaveraged_shape
from tinygraph.functions.normalization import align, normalize, scale_and_shift
from tinygraph.ops.elementwise import power, sqrt, square
from tinygraph.ops.padding import pad
from tinygraph.ops.reduce import mean


@composite
def rms_norm(x: Value, weight: Value = None, *, axes: Shape = (-1,), eps: float | None = None) -> Value:
    r"""Divide each example by the root of its mean square: :math:`x / \sqrt{\mathrm{mean}\, x^2 + ε}`, times a weight.

    Source: Zhang and Sennrich 2019, equation 4.
    """
    eps = float(np.finfo(x.dtype).eps) if eps is None else eps
    rms = label(sqrt(mean(square(x), axes, True) + eps), "rms")
    x_hat = label(x / rms, "x̂")
    return x_hat if weight is None else x_hat * weight


@composite
def local_response_norm(x: Value, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Value:
    r"""Divide each channel by what its neighbours send: :math:`x / (k + α\, \mathrm{mean}\, x^2)^β`.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3, with a mean in place of the sum, as PyTorch has it.
    """
    around: list[Any] = [(0, 0)] * len(x.shape)
    around[1] = (size // 2, (size - 1) // 2)
    squares = pad(square(x), around)
    count = x.shape[1]
    total = squares[:, :count]
    for shift in range(1, size):
        total = total + squares[:, shift : shift + count]
    return x / power(k + alpha * label(total / size, "mean"), beta)


@composite
def batch_renorm(
    x: Value,
    running_mean: Value,
    running_std: Value,
    gamma: Value = None,
    beta: Value = None,
    *,
    r_max: float,
    d_max: float,
    axis: Axis = 0,
    eps: float = 1e-5,
) -> Value:
    r"""Normalize with the batch, then correct towards running statistics: :math:`y = γ (\hat x r + d) + β`.

    r = σ/σ_running and d = (μ - μ_running)/σ_running, bounded by r_max and d_max; no gradient goes through them.

    Source: Ioffe 2017, Algorithm 1.
    """
    axes, ndim = axes_of(axis, x, "batch_renorm"), len(x.shape)
    check_floating("batch_renorm", x.shape, x.dtype)
    check_eps("batch_renorm", eps)
    shape = unaveraged_shape(x.shape, axes)
    check_shapes("batch_renorm", x, shape, running_mean=running_mean, running_std=running_std, gamma=gamma, beta=beta)
    x_hat = normalize("batch_renorm", x, axes, eps, keepdims=True)
    values, old_mean, old_std = (
        array_of(a) for a in (x, align(running_mean, axes, ndim), align(running_std, axes, ndim))
    )
    mu, sigma = values.mean(axes, keepdims=True), np.sqrt(values.var(axes, keepdims=True) + eps)
    r = np.clip(sigma / old_std, 1 / r_max, r_max).astype(x.dtype)
    d = np.clip((mu - old_mean) / old_std, -d_max, d_max).astype(x.dtype)
    return scale_and_shift(label(x_hat * r + d, "x̂ r + d"), align(gamma, axes, ndim), align(beta, axes, ndim))
