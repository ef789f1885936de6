"""Functions of angles and their inverses, circular and hyperbolic. Angles are in radians."""

from __future__ import annotations

import math

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.types import Value
from tinygraph.ops.elementwise import ANY, PAIRS, equal, sqrt, where

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan",
    "atan2", "atanh", "cos", "cosh", "deg2rad", "degrees", "rad2deg", "radians", "sin", "sinc", "sinh", "tan",
]  # fmt: skip

WITHIN_ONE = [sample((4, 3), low=-0.9, high=0.9), sample((), low=-0.9, high=0.9)]


@op(
    r"\sin $x", np.sin, method="sin", onnx="Sin", says="Takes the sine of $x.", samples=ANY,
    x=(r"\cos $x", lambda g, x: g * cos(x)),
)  # fmt: skip
def sin(x: Value) -> Value:
    """Take the sine.

    Args:
        x: angles of any shape, in radians.

    Returns:
        Numbers between -1 and 1, of the shape and dtype of x.

    >>> sin(Tensor([0.0]))
    Tensor([0.], op=sin)
    """


@op(
    r"\cos $x", np.cos, method="cos", onnx="Cos", says="Takes the cosine of $x.", samples=ANY,
    x=(r"-\sin $x", lambda g, x: -(g * sin(x))),
)  # fmt: skip
def cos(x: Value) -> Value:
    """Take the cosine.

    Args:
        x: angles of any shape, in radians.

    Returns:
        Numbers between -1 and 1, of the shape and dtype of x.

    >>> cos(Tensor([0.0]))
    Tensor([1.], op=cos)
    """


@op(
    r"\tan $x", np.tan, method="tan", onnx="Tan", says="Takes the tangent of $x.",
    samples=[sample((4, 3), low=-1.2, high=1.2), sample((), low=-1.2, high=1.2)],
    x=("1+$out^2", lambda g, out: g * (1 + out * out)),
)  # fmt: skip
def tan(x: Value) -> Value:
    """Take the tangent.

    Args:
        x: angles of any shape, in radians.

    Returns:
        sin x / cos x, of the shape and dtype of x.

    >>> tan(Tensor([0.0]))
    Tensor([0.], op=tan)
    """


@op(
    r"\arcsin $x", np.arcsin, method="arcsin asin", onnx="Asin", says="Gives the angle whose sine is $x.",
    samples=WITHIN_ONE,
    x=(r"1/\sqrt{1-$x^2}", lambda g, x: g / sqrt((1 - x) * (1 + x))),
)  # fmt: skip
def arcsin(x: Value) -> Value:
    """Take the inverse of the sine; nan outside of -1 to 1, and an infinite derivative at either end.

    Args:
        x: of any shape, -1 to 1.

    Returns:
        Angles between -π/2 and π/2, of the shape and dtype of x.

    >>> arcsin(Tensor([0.0]))
    Tensor([0.], op=arcsin)
    """


@op(
    r"\arccos $x", np.arccos, method="arccos acos", onnx="Acos", says="Gives the angle whose cosine is $x.",
    samples=WITHIN_ONE,
    x=(r"-1/\sqrt{1-$x^2}", lambda g, x: -(g / sqrt((1 - x) * (1 + x)))),
)  # fmt: skip
def arccos(x: Value) -> Value:
    """Take the inverse of the cosine; nan outside of -1 to 1, and an infinite derivative at either end.

    Args:
        x: of any shape, -1 to 1.

    Returns:
        Angles between 0 and π, of the shape and dtype of x.

    >>> arccos(Tensor([1.0]))
    Tensor([0.], op=arccos)
    """


@op(
    r"\arctan $x", np.arctan, method="arctan atan", onnx="Atan", says="Gives the angle whose tangent is $x.",
    samples=ANY,
    x=("1/(1+$x^2)", lambda g, x: g / (1 + x * x)),
)  # fmt: skip
def arctan(x: Value) -> Value:
    """Take the inverse of the tangent.

    Args:
        x: of any shape.

    Returns:
        Angles between -π/2 and π/2, of the shape and dtype of x.

    >>> arctan(Tensor([0.0]))
    Tensor([0.], op=arctan)
    """


def size_of_point(x: Value, y: Value) -> Value:
    """Return x² + y², but 1 at (0, 0)."""
    squares = x * x + y * y
    return where(equal(squares, 0), 1, squares)


@op(
    r"\operatorname{arctan2}($y, $x)", np.arctan2, method="arctan2 atan2",
    says="Gives the angle of the point ($x, $y).", samples=PAIRS,
    y=("$x/($x^2+$y^2)", lambda g, y, x: g * (x / size_of_point(x, y))),
    x=("-$y/($x^2+$y^2)", lambda g, y, x: -(g * (y / size_of_point(x, y)))),
)  # fmt: skip
def arctan2(y: Value, x: Value) -> Value:
    """Take the angle of the point (x, y), counted from the positive x axis, elementwise with broadcasting.

    At (0, 0) it jumps: its derivatives there are 0, as in PyTorch.

    Args:
        y: height of the point: a number, or an array of any shape.
        x: a number, or an array whose shape broadcasts against that of y.

    Returns:
        Angles between -π and π, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> arctan2(Tensor([0.0]), 1.0)
    Tensor([0.], op=arctan2)
    """


@op(
    r"\sinh $x", np.sinh, method="sinh", onnx="Sinh", says="Takes the hyperbolic sine of $x.", samples=ANY,
    x=(r"\cosh $x", lambda g, x: g * cosh(x)),
)  # fmt: skip
def sinh(x: Value) -> Value:
    """Take the hyperbolic sine: (eˣ - e⁻ˣ)/2.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x. It overflows to inf.

    >>> sinh(Tensor([0.0]))
    Tensor([0.], op=sinh)
    """


@op(
    r"\cosh $x", np.cosh, method="cosh", onnx="Cosh", says="Takes the hyperbolic cosine of $x.", samples=ANY,
    x=(r"\sinh $x", lambda g, x: g * sinh(x)),
)  # fmt: skip
def cosh(x: Value) -> Value:
    """Take the hyperbolic cosine: (eˣ + e⁻ˣ)/2.

    Args:
        x: of any shape.

    Returns:
        1 or more, of the shape and dtype of x. It overflows to inf.

    >>> cosh(Tensor([0.0]))
    Tensor([1.], op=cosh)
    """


@op(
    r"\operatorname{arcsinh} $x", np.arcsinh, method="arcsinh asinh", onnx="Asinh",
    says="Gives the number whose hyperbolic sine is $x.", samples=ANY,
    x=(r"1/\sqrt{1+$x^2}", lambda g, x: g / sqrt(1 + x * x)),
)  # fmt: skip
def arcsinh(x: Value) -> Value:
    """Take the inverse of the hyperbolic sine.

    Args:
        x: of any shape.

    Returns:
        ln(x + √(x² + 1)), of the shape and dtype of x.

    >>> arcsinh(Tensor([0.0]))
    Tensor([0.], op=arcsinh)
    """


@op(
    r"\operatorname{arccosh} $x", np.arccosh, method="arccosh acosh", onnx="Acosh",
    says="Gives the number, 0 or above, whose hyperbolic cosine is $x.", samples=[sample((4, 3), low=1.2, high=4.0)],
    x=(r"1/\sqrt{$x^2-1}", lambda g, x: g / sqrt((x - 1) * (x + 1))),
)  # fmt: skip
def arccosh(x: Value) -> Value:
    """Take the inverse of the hyperbolic cosine; nan below 1, and an infinite derivative at 1.

    Args:
        x: of any shape, 1 or more.

    Returns:
        ln(x + √(x² - 1)), of the shape and dtype of x.

    >>> arccosh(Tensor([1.0]))
    Tensor([0.], op=arccosh)
    """


@op(
    r"\operatorname{arctanh} $x", np.arctanh, method="arctanh atanh", onnx="Atanh",
    says="Gives the number whose hyperbolic tangent is $x.", samples=WITHIN_ONE,
    x=("1/(1-$x^2)", lambda g, x: g / ((1 - x) * (1 + x))),
)  # fmt: skip
def arctanh(x: Value) -> Value:
    """Take the inverse of the hyperbolic tangent; infinite at -1 and 1, and nan outside.

    Args:
        x: of any shape, -1 to 1.

    Returns:
        ln((1 + x)/(1 - x))/2, of the shape and dtype of x.

    >>> arctanh(Tensor([0.0]))
    Tensor([0.], op=arctanh)
    """


@op(
    r"\operatorname{sinc}^{($order)} $x", np.sinc, method="sinc",
    says="Divides the sine of π $x by π $x.",
    samples=[*ANY, sample((5,), low=-0.2, high=0.2), sample((3,), order=1), sample((3,), low=2.0, high=9.0, order=2)],
    x=(r"\operatorname{sinc}^{($order+1)} $x", lambda g, x, order: g * sinc(x, order + 1)),
)  # fmt: skip
def sinc(x: Value, order: int = 0) -> Value:
    """Take sin(πx)/(πx), which is 1 at 0, or one of its derivatives.

    Near 0 it is a sum of powers, so that derivatives of every order are right there, too. (PyTorch's second one at 0
    is 0; it is -π²/3.)

    Args:
        x: of any shape.
        order: which derivative; 0 is the function itself.

    Returns:
        Of the shape and dtype of x.

    >>> sinc(Tensor([0.0, 0.5]))
    Tensor([1.        , 0.63661977], op=sinc)
    """
    x = x if hasattr(x, "dtype") else np.asarray(x)
    z = (math.pi * x.astype(np.result_type(x.dtype, np.float64), copy=False)).reshape(-1)
    is_near = np.abs(z) < 1 + 0.5 * order
    far = np.where(is_near, 1.0, z)
    sine, cosine = np.sin(far), np.cos(far) if order else None
    out = sine / far
    for n in range(1, order + 1):  # of z f = sin z: z f⁽ⁿ⁾ + n f⁽ⁿ⁻¹⁾ is the n-th derivative of the sine
        out = ((sine, cosine)[n % 2] * (-1) ** (n // 2) - n * out) / far
    out[is_near] = sum_of_powers(z[is_near], order)
    return (out * math.pi**order).reshape(x.shape).astype(np.result_type(x.dtype, np.float16), copy=False)


def sum_of_powers(z: Value, order: int) -> Value:
    """Return the derivative of that order of sin z / z for a small z: of 1 - z²/3! + z⁴/5! - …, by Horner's rule."""
    first, squares, total = (order + 1) // 2, z * z, 0.0 * z
    for k in reversed(range(first, first + 10 + order)):
        total *= squares
        total += (-1) ** k * math.perm(2 * k, order) / math.factorial(2 * k + 1)
    return total * z if order % 2 else total


@implements(np.degrees, np.rad2deg, method="rad2deg")
@composite
def degrees(x: Value) -> Value:
    """Convert radians to degrees.

    Args:
        x: angles of any shape, in radians.

    Returns:
        x × 180/π, of the shape and dtype of x.

    >>> degrees(np.array([np.pi]))
    array([180.])
    """
    return x * (180 / math.pi)


@implements(np.radians, np.deg2rad, method="deg2rad")
@composite
def radians(x: Value) -> Value:
    """Convert degrees to radians.

    Args:
        x: angles of any shape, in degrees.

    Returns:
        x × π/180, of the shape and dtype of x.

    >>> radians(np.array([180.0])) / np.pi
    array([1.])
    """
    return x * (math.pi / 180)


asin, acos, atan, atan2, asinh, acosh, atanh = arcsin, arccos, arctan, arctan2, arcsinh, arccosh, arctanh
rad2deg, deg2rad = degrees, radians
