"""Activations: what nets bend values with, beside those of every day (relu, sigmoid, tanh)."""

from __future__ import annotations

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.types import Value
from tinygraph.ops.elementwise import ANY, exp, greater, sigmoid, tanh, where

__all__ = ["elu", "hardsigmoid", "hardtanh", "leaky_relu", "logsigmoid", "mish", "silu", "softplus"]

WIDE = [*ANY, sample((5,), low=-30.0, high=30.0)]


def log_of_one_plus_exp(x: Value) -> Value:
    """Return ln(1 + eˣ) of arrays, without overflow."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


@op(
    r"\ln(1 + e^{$beta $x})/$beta", onnx="Softplus", says="Bends $x: 0 far below 0, $x far above.",
    samples=[*WIDE, sample((4, 3), beta=2.0)],
    x=(r"\operatorname{sigmoid}($beta $x)", lambda g, x, beta: g * sigmoid(x if beta == 1 else beta * x)),
)  # fmt: skip
def softplus(x: Value, beta: float = 1.0) -> Value:
    """Take ``log(1 + exp(beta x)) / beta`` without overflow: relu with its corner rounded.

    Args:
        x: of any shape.
        beta: how sharp the bend is.

    Returns:
        Positive numbers, of the shape and dtype of x.

    >>> softplus(Tensor([0.0]))
    Tensor([0.69314718], op=softplus)
    """
    return log_of_one_plus_exp(x) if beta == 1 else log_of_one_plus_exp(beta * x) / beta


def slope_of_silu(x: Value) -> Value:
    """Return the derivative of x sigmoid x."""
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


@op(
    r"$x\operatorname{sigmoid} $x", says="Multiplies $x by its sigmoid.", samples=WIDE,
    x=(r"\operatorname{sigmoid} $x(1+$x(1-\operatorname{sigmoid} $x))", lambda g, x: g * slope_of_silu(x)),
)  # fmt: skip
def silu(x: Value) -> Value:
    """Multiply by the sigmoid: ``x * sigmoid(x)``, also called swish.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x.

    Source: Elfwing, Uchibe and Doya 2018, section 2.

    >>> silu(Tensor([0.0, 1.0]))
    Tensor([0.        , 0.73105858], op=silu)
    """
    return x * (0.5 * np.tanh(0.5 * x) + 0.5)


def at_most_zero(x: Value) -> Value:
    """Return x below 0, and 0 elsewhere: at 0 it counts as flat."""
    return where(greater(0, x), x, 0)


@op(
    r"\operatorname{elu} $x", onnx="Elu", says="Lets what is below 0 bend towards -$alpha.",
    samples=[*ANY, sample((4, 3), alpha=0.5)],
    x=(r"\max([$x > 0], $alpha e^{$x})", lambda g, x, alpha: where(greater(x, 0), g, g * alpha * exp(at_most_zero(x)))),
)  # fmt: skip
def elu(x: Value, alpha: float = 1.0) -> Value:
    """Keep what is above 0, and bend what is below towards -alpha: ``alpha (exp(x) - 1)``.

    The derivative at 0 is alpha, as in PyTorch.

    Args:
        x: of any shape.
        alpha: minus what far negative x tend to.

    Returns:
        Of the shape and dtype of x.

    Source: Clevert, Unterthiner and Hochreiter 2016, equation 15.

    >>> elu(Tensor([-1.0, 2.0]))
    Tensor([-0.63212056,  2.        ], op=elu)
    """
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


@op(
    r"\operatorname{leaky}\,\operatorname{relu} $x", onnx="LeakyRelu", says="Multiplies what is below 0 by $slope.",
    samples=[*ANY, sample((4, 3), slope=0.3)],
    x=(r"[$x > 0] + $slope[$x \le 0]", lambda g, x, slope: where(greater(x, 0), g, g * slope)),
)  # fmt: skip
def leaky_relu(x: Value, slope: float = 0.01) -> Value:
    """Keep what is above 0, and scale the rest. The derivative at 0 is ``slope``.

    Args:
        x: of any shape.
        slope: what values below 0 are multiplied by.

    Returns:
        Of the shape and dtype of x.

    >>> leaky_relu(Tensor([-1.0, 2.0]), 0.1)
    Tensor([-0.1,  2. ], op=leaky_relu)
    """
    return np.where(x > 0, x, slope * x)


def slope_of_mish(x: Value) -> Value:
    """Return the derivative of x tanh(ln(1 + eˣ))."""
    t = tanh(softplus(x))
    return t + x * sigmoid(x) * (1 - t * t)


@op(
    r"$x\tanh(\ln(1 + e^{$x}))", onnx="Mish", says="Multiplies $x by tanh of its softplus.", samples=WIDE,
    x=(r"\tanh s + $x(1-\tanh^2 s)\operatorname{sigmoid} $x", lambda g, x: g * slope_of_mish(x)),
)  # fmt: skip
def mish(x: Value) -> Value:
    """Multiply by tanh of the softplus s: ``x * tanh(log(1 + exp(x)))``.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x.

    Source: Misra 2019, equation 1.

    >>> mish(Tensor([0.0, 1.0]))
    Tensor([0.        , 0.86509839], op=mish)
    """
    return x * np.tanh(log_of_one_plus_exp(x))


@op(
    r"\ln\operatorname{sigmoid} $x", says="Takes the logarithm of the sigmoid of $x.", samples=WIDE,
    x=(r"\operatorname{sigmoid}(-$x)", lambda g, x: g * sigmoid(-x)),
)  # fmt: skip
def logsigmoid(x: Value) -> Value:
    """Take ``log(sigmoid(x))`` without overflow.

    Args:
        x: of any shape.

    Returns:
        Numbers below 0, of the shape and dtype of x.

    >>> logsigmoid(Tensor([0.0]))
    Tensor([-0.69314718], op=logsigmoid)
    """
    return -log_of_one_plus_exp(-x)


def pass_inside(g: Value, x: Value, low: float, high: float) -> Value:
    """Return ``g`` where ``low < x < high``, and 0 elsewhere."""
    return where(greater(x, low), where(greater(high, x), g, 0), 0)


@op(
    r"\min(\max($x, $low), $high)", says="Limits $x to $low … $high; at a bound no gradient passes.",
    samples=[*ANY, sample((4, 3), low=-0.5, high=2.0)],
    x=("[$low < $x < $high]", lambda g, x, low, high: pass_inside(g, x, low, high)),
)  # fmt: skip
def hardtanh(x: Value, low: float = -1.0, high: float = 1.0) -> Value:
    """Limit to a range, as `clip`; but at a bound no gradient passes, as in PyTorch.

    Args:
        x: of any shape.
        low: the lower bound.
        high: the upper bound.

    Returns:
        Of the shape and dtype of x.

    >>> hardtanh(Tensor([-3.0, 0.5]))
    Tensor([-1. ,  0.5], op=hardtanh)
    """
    return np.clip(x, low, high)


@op(
    r"\min(\max($x/6 + 1/2, 0), 1)", onnx="HardSigmoid", says="Approaches the sigmoid of $x by three lines.",
    samples=[*ANY, sample((7,), low=-6.0, high=6.0)],
    x=("[-3 < $x < 3]/6", lambda g, x: pass_inside(g, x, -3, 3) * (1 / 6)),
)  # fmt: skip
def hardsigmoid(x: Value) -> Value:
    """Approach the sigmoid by three lines: 0 below -3, x/6 + 1/2, and 1 above 3. At ±3 the derivative is 0.

    Args:
        x: of any shape.

    Returns:
        Numbers from 0 to 1, of the shape and dtype of x.

    >>> hardsigmoid(Tensor([-4.0, 0.0]))
    Tensor([0. , 0.5], op=hardsigmoid)
    """
    return np.clip(x + 3, 0, 6) * (1 / 6)
