"""Exponentials, logarithms, roots and reciprocals, other than those of every day."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.types import Value
from tinygraph.ops.elementwise import ABOVE, ANY, PAIRS, astype, equal, greater, log, power, sigmoid, where

__all__ = [
    "cbrt", "exp2", "expm1", "float_power", "hypot", "log1p", "log2", "log10", "logaddexp2", "reciprocal", "rsqrt",
    "xlogy",
]  # fmt: skip

LN2, LN10 = math.log(2), math.log(10)


@op(
    "2^{$x}", np.exp2, method="exp2", says="Raises 2 to the power $x.", samples=ANY,
    x=(r"$out\ln 2", lambda g, out: g * (out * LN2)),
)  # fmt: skip
def exp2(x: Value) -> Value:
    """Raise 2 to a power.

    Args:
        x: of any shape.

    Returns:
        2 to the power x, of the shape and dtype of x. It overflows to inf.

    >>> exp2(Tensor([3.0]))
    Tensor([8.], op=exp2)
    """


@op(
    "e^{$x}-1", np.expm1, method="expm1", says="Takes the exponential of $x, less 1.",
    samples=[*ANY, sample((5,), low=-1e-6, high=1e-6)],
    x=("$out+1", lambda g, out: g * (out + 1)),
)  # fmt: skip
def expm1(x: Value) -> Value:
    """Take ``exp(x) - 1``, which keeps its digits where x is small.

    Args:
        x: of any shape.

    Returns:
        eˣ - 1, of the shape and dtype of x. It overflows to inf.

    >>> expm1(Tensor([0.0]))
    Tensor([0.], op=expm1)
    """


@op(
    r"\ln(1+$x)", np.log1p, method="log1p", says="Takes the natural logarithm of 1 + $x.",
    samples=[sample((4, 3), low=-0.8, high=3.0), sample((), low=-0.8, high=3.0)],
    x=("1/(1+$x)", lambda g, x: g / (1 + x)),
)  # fmt: skip
def log1p(x: Value) -> Value:
    """Take ``log(1 + x)``, which keeps its digits where x is small; -inf at -1 and nan below.

    Args:
        x: of any shape, greater than -1.

    Returns:
        ln(1 + x), of the shape and dtype of x.

    >>> log1p(Tensor([0.0]))
    Tensor([0.], op=log1p)
    """


@op(
    r"\log_2 $x", np.log2, method="log2", says="Takes the logarithm of $x to base 2.", samples=ABOVE,
    x=(r"1/($x\ln 2)", lambda g, x: g / (x * LN2)),
)  # fmt: skip
def log2(x: Value) -> Value:
    """Take the logarithm to base 2; -inf at 0 and nan below.

    Args:
        x: of any shape, greater than 0.

    Returns:
        Of the shape and dtype of x.

    >>> log2(Tensor([8.0]))
    Tensor([3.], op=log2)
    """


@op(
    r"\log_{10} $x", np.log10, method="log10", says="Takes the logarithm of $x to base 10.", samples=ABOVE,
    x=(r"1/($x\ln 10)", lambda g, x: g / (x * LN10)),
)  # fmt: skip
def log10(x: Value) -> Value:
    """Take the logarithm to base 10; -inf at 0 and nan below.

    Args:
        x: of any shape, greater than 0.

    Returns:
        Of the shape and dtype of x.

    >>> log10(Tensor([1000.0]))
    Tensor([3.], op=log10)
    """


@op(
    r"\log_2(2^{$x} + 2^{$y})", np.logaddexp2, method="logaddexp2",
    says="Adds 2^$x and 2^$y and takes the logarithm to base 2.", samples=PAIRS,
    x=(r"\operatorname{sigmoid}(($x-$y)\ln 2)", lambda g, x, y: g * sigmoid((x - y) * LN2)),
    y=(r"\operatorname{sigmoid}(($y-$x)\ln 2)", lambda g, x, y: g * sigmoid((y - x) * LN2)),
)  # fmt: skip
def logaddexp2(x: Value, y: Value) -> Value:
    """Take ``log2(2**x + 2**y)`` without overflow.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> logaddexp2(Tensor([2.0]), 2.0)
    Tensor([3.], op=logaddexp2)
    """


@op(
    "$x^{1/3}", np.cbrt, method="cbrt", says="Takes the cube root of $x.",
    samples=[*ABOVE, sample((3,), low=-2.0, high=-0.5)],
    x=("1/(3$out^2)", lambda g, out: g / (3 * out * out)),
)  # fmt: skip
def cbrt(x: Value) -> Value:
    """Take the cube root; its derivative at 0 is infinite.

    Args:
        x: of any shape, of either sign.

    Returns:
        The root, of the shape and dtype of x.

    >>> cbrt(Tensor([-8.0]))
    Tensor([-2.], op=cbrt)
    """


@op(
    "1/$x", np.reciprocal, method="reciprocal", onnx="Reciprocal", says="Divides 1 by $x.", samples=ABOVE,
    x=("-1/$x^2", lambda g, out: -(g * (out * out))),
)  # fmt: skip
def reciprocal(x: Value) -> Value:
    """Divide 1 by x; inf at 0.

    Args:
        x: of any shape, floating point: NumPy gives 0 for most integers.

    Returns:
        1/x, of the shape and dtype of x.

    >>> reciprocal(Tensor([4.0]))
    Tensor([0.25], op=reciprocal)
    """


@op(
    r"1/\sqrt{$x}", method="rsqrt", says="Divides 1 by the square root of $x.", samples=ABOVE,
    x=(r"-1/(2$x\sqrt{$x})", lambda g, out: g * (-0.5 * out * out * out)),
)  # fmt: skip
def rsqrt(x: Value) -> Value:
    """Divide 1 by the square root: inf at 0, and nan below.

    Args:
        x: of any shape, greater than 0.

    Returns:
        1/√x, of the shape and dtype of x.

    >>> rsqrt(Tensor([4.0]))
    Tensor([0.5], op=rsqrt)
    """
    return 1 / np.sqrt(x)


@op(
    r"\sqrt{$x^2+$y^2}", np.hypot, method="hypot", says="Gives the length of the vector ($x, $y).", samples=PAIRS,
    x=("$x/$out", lambda g, x, out: g * (x / out)),
    y=("$y/$out", lambda g, y, out: g * (y / out)),
)  # fmt: skip
def hypot(x: Value, y: Value) -> Value:
    """Take the length of the vector (x, y) without overflow. At (0, 0) it has no derivative: nan, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        √(x² + y²), of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> hypot(Tensor([3.0]), 4.0)
    Tensor([5.], op=hypot)
    """


def base_that_counts(x: Value, y: Value) -> Value:
    """Return y, but 1 where x is 0 and y has no logarithm."""
    return where(equal(x, 0), where(greater(0, y), 1, where(equal(y, 0), 1, y)), y)


@op(
    r"$x\ln $y", method="xlogy", says="Multiplies $x by the logarithm of $y; 0 where $x is 0.",
    samples=[sample((4, 3), (4, 3), low=0.5), sample((4, 1), (3,), low=0.5)],
    x=(r"\ln $y", lambda g, x, y: g * log(base_that_counts(x, y))),
    y=("$x/$y", lambda g, x, y: g * (x / y)),
)  # fmt: skip
def xlogy(x: Value, y: Value) -> Value:
    """Take ``x log(y)``, and 0 where x is 0, also at y = 0: what an entropy is made of.

    Args:
        x: a number, or an array of any shape.
        y: 0 or more: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x ln y, of the common shape and dtype, as NumPy finds them; nan where y is nan.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> xlogy(Tensor([0.0, 2.0]), np.array([0.0, 1.0]))
    Tensor([0., 0.], op=xlogy)
    """
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(np.where(x == 0, 1.0, y)))


@implements(np.float_power, method="float_power")
@composite
def float_power(x: Value, y: Value) -> Value:
    """Raise to a power in float64, whatever the dtypes are.

    Args:
        x: the base, of any shape.
        y: the exponent: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x to the power y, in float64.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> float_power(np.array([2], np.float32), 3)
    array([8.])
    """
    x, y = (astype(a, np.float64) if hasattr(a, "dtype") else float(a) for a in (x, y))
    return power(x, y)
