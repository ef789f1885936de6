"""Losses of numbers and of distributions, as functions: how far an output is from a target."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.nn.functional.reduction import check_reduction, check_target, in_dtype_of, reduce
from tinygraph.ops.elementwise import abs, exp, greater, log, maximum, square, where  # noqa: A004 - NumPy's names

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def weighted(what: str, loss: Value, weight: Value, reduction: str) -> Value:
    """Reduce losses, each of which counts as ``weight`` says; the mean is divided by the sum of the weights."""
    if weight is None:
        return reduce(what, loss, reduction)
    loss = loss * weight
    if reduction == "mean":
        return loss.sum() / (0 * array_of(loss) + array_of(weight)).sum()
    return reduce(what, loss, reduction)


@composite
def mse_loss(x: Value, target: Value, *, reduction: str = "mean", weight: Value = None) -> Value:
    """Average the squared difference.

    Args:
        x: of any shape.
        target: of the shape of x.
        reduction: "mean", "sum" or "none".
        weight: how much each element counts, of a shape that broadcasts to that of x; all alike unless given.

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> mse_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(2.0)
    """
    target = check_target("mse_loss", x, target)
    return weighted("mse_loss", square(x - target), weight, reduction)


@composite
def l1_loss(x: Value, target: Value, *, reduction: str = "mean", weight: Value = None) -> Value:
    """Average the absolute difference; where it is 0, so is its slope.

    Args:
        x: of any shape.
        target: of the shape of x.
        reduction: "mean", "sum" or "none".
        weight: how much each element counts, of a shape that broadcasts to that of x; all alike unless given.

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> l1_loss(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    np.float64(1.0)
    """
    target = check_target("l1_loss", x, target)
    return weighted("l1_loss", abs(x - target), weight, reduction)


@composite
def smooth_l1_loss(x: Value, target: Value, *, reduction: str = "mean", beta: float = 1.0) -> Value:
    """Average ``d² / (2 beta)`` where the difference d is below beta, and ``|d| - beta / 2`` elsewhere.

    Args:
        x: of any shape.
        target: of the shape of x.
        reduction: "mean", "sum" or "none".
        beta: where the square turns into the absolute value, in units of x; 0 gives `l1_loss`.

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, beta is negative, or the reduction is another.

    Source: Girshick 2015, equation 3.

    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), reduction="none")
    array([0.125, 2.5  ])
    """
    target = check_target("smooth_l1_loss", x, target)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta is {beta}, and may not be negative")
    d = abs(x - target)
    loss = where(greater(beta, d), square(d) * (0.5 / beta), d - 0.5 * beta) if beta else d
    return reduce("smooth_l1_loss", loss, reduction)


@composite
def huber_loss(x: Value, target: Value, reduction: str = "mean", delta: float = 1.0, weight: Value = None) -> Value:
    """Average ``d² / 2`` where the difference d is at most delta, and ``delta (|d| - delta / 2)`` elsewhere.

    Args:
        x: of any shape.
        target: of the shape of x.
        reduction: "mean", "sum" or "none".
        delta: where the square turns into a line, above 0, in units of x.
        weight: how much each element counts, of a shape that broadcasts to that of x; all alike unless given.

    Returns:
        The loss, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, delta is not positive, or the reduction is another.

    Source: Huber 1964.

    >>> huber_loss(np.array([0.5, 3.0]), np.zeros(2), "none", 2.0)
    array([0.125, 4.   ])
    """
    target = check_target("huber_loss", x, target)
    if delta <= 0:
        raise ValueError(f"huber_loss: delta is {delta}, and must be positive")
    d = abs(x - target)
    loss = where(greater(d, delta), delta * (d - 0.5 * delta), 0.5 * square(d))
    return weighted("huber_loss", loss, weight, reduction)


@composite
def kl_div(x: Value, target: Value, *, reduction: str = "mean", log_target: bool = False) -> Value:
    r"""Add up the Kullback-Leibler divergence of a target from a model: :math:`p (\ln p - x)` for each element.

    Args:
        x: log-probabilities of the model, of any shape.
        target: probabilities p, of the shape of x; with ``log_target``, their logarithms.
        reduction: "batchmean" for the divergence as it is defined, the sum divided by the length of the first axis;
            "mean" divides by the number of elements; "sum" or "none".
        log_target: whether the target is in logarithms.

    Returns:
        The loss in nats, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> kl_div(np.log([[0.5, 0.5]]), np.array([[1.0, 0.0]]), reduction="batchmean")
    np.float64(0.6931471805599453)
    """
    target = check_target("kl_div", x, target)
    if reduction != "batchmean":
        check_reduction("kl_div", reduction)
    loss = exp(target) * (target - x) if log_target else xlogx(target) - target * x
    if reduction == "batchmean":
        return loss.sum() / (x.shape[0] if x.shape else 1)
    return reduce("kl_div", loss, reduction)


def xlogx(p: Value) -> Value:
    """Return p ln p, and 0 where p is 0."""
    is_there = greater(p, 0)
    return where(is_there, p * log(where(is_there, p, 1)), 0)


@composite
def poisson_nll_loss(
    x: Value,
    target: Value,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Value:
    r"""Average minus the log-likelihood of counts: :math:`e^x - t x`, for a rate :math:`e^x`.

    Args:
        x: logarithms of the rate, of any shape; without ``log_input``, the rate itself.
        target: counts t, of the shape of x.
        log_input: whether x is in logarithms.
        full: whether to add ``ln t!`` by Stirling's formula, where t is above 1.
        eps: added to the rate before its logarithm is taken, if x is the rate.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes differ, or the reduction is another.

    >>> poisson_nll_loss(np.array([0.0]), np.array([2.0]))
    np.float64(1.0)
    """
    target = check_target("poisson_nll_loss", x, target)
    loss = exp(x) - target * x if log_input else x - target * log(x + eps)
    if full:
        is_many = greater(target, 1)
        t = where(is_many, target, 1)
        loss = loss + where(is_many, t * log(t) - t + 0.5 * log(2 * math.pi * t), 0)
    return reduce("poisson_nll_loss", loss, reduction)


@composite
def gaussian_nll_loss(
    x: Value, target: Value, var: Value, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Value:
    r"""Average minus the log-likelihood under normal errors: :math:`\frac12 (\ln v + (x - t)^2 / v)`.

    Args:
        x: expected values, of any shape.
        target: t, of a shape that broadcasts to that of x.
        var: variances v, of the shape of x, or with its last axis of length 1 or left out; or one number.
        full: whether to add the constant ``ln(2π) / 2``.
        eps: the least variance; what is below it counts as eps, and its gradient is that at eps.
        reduction: "mean", "sum" or "none".

    Returns:
        The loss in nats, 0-d; with "none", of the shape of x.

    Raises:
        ValueError: the shapes do not fit, a variance is negative, eps is not positive, or the reduction is another.

    Source: Nix and Weigend 1994.

    >>> gaussian_nll_loss(np.array([1.0]), np.array([3.0]), np.array([4.0]))
    np.float64(1.1931471805599454)
    """
    target = in_dtype_of(x, target)
    given = getattr(target, "shape", ())
    if np.broadcast_shapes(given, x.shape) != x.shape:
        raise ValueError(f"gaussian_nll_loss: the target has shape {given}, the input {x.shape}")
    shape = getattr(var, "shape", ())
    if shape == x.shape[:-1] and shape:
        var = var.reshape((*shape, 1))
    elif shape not in ((), x.shape, (*x.shape[:-1], 1)):
        raise ValueError(f"gaussian_nll_loss: var has shape {shape}, which fits no x of shape {x.shape}")
    values = array_of(var)
    if eps <= 0 or (values < 0 if not shape else (values < 0).any()):
        raise ValueError(f"gaussian_nll_loss: var may not be negative, and eps, which is {eps}, must be positive")
    var = var + (maximum(values, eps) - values)  # a step that has no slope: the gradient of v is that at eps
    loss = 0.5 * (log(var) + square(x - target) / var)
    return reduce("gaussian_nll_loss", loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)
