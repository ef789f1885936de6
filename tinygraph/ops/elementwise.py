"""Elementwise ops: one output element from one element of each operand, after broadcasting.

Their derivative lines may meet a gradient that is smaller than the result, where all its rows are equal
(a mean hands back one row): it broadcasts, as everything here does.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygraph.engine.op import op
from tinygraph.engine.registry import sample
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import Value

PAIRS = [sample((4, 3), (4, 3)), sample((4, 3), (3,)), sample((4, 1), (1, 3)), sample((), (2, 3)), sample((2,), ())]
POSITIVE = [sample((4, 3), (4, 3), low=0.5), sample((4, 3), (1, 3), low=0.5), sample((4, 1), (3,), low=0.5)]
ANY = [sample((4, 3)), sample(())]
ABOVE = [sample((4, 3), low=0.5)]


@op(
    r"$x + $y",
    np.add,
    method="__add__ __radd__ add",
    onnx="Add",
    samples=PAIRS,
    says="Adds $x and $y.",
    x=("1", lambda g: g),
    y=("1", lambda g: g),
)
def add(x: Any, y: Any) -> Any:
    """Add, elementwise with broadcasting: ``x + y``.

    >>> add(Tensor([1.0, 2.0]), 3)
    Tensor([4., 5.], op=add)
    """


@op(
    r"$x - $y",
    np.subtract,
    method="__sub__ __rsub__ sub subtract",
    onnx="Sub",
    samples=PAIRS,
    says="Subtracts $y from $x.",
    x=("1", lambda g: g),
    y=("-1", lambda g: -g),
)
def sub(x: Any, y: Any) -> Any:
    """Subtract, elementwise with broadcasting: ``x - y``.

    >>> sub(Tensor([1.0, 2.0]), 3)
    Tensor([-2., -1.], op=sub)
    """


@op(
    r"$x \times $y",
    np.multiply,
    method="__mul__ __rmul__ mul multiply",
    onnx="Mul",
    samples=PAIRS,
    says="Multiplies $x by $y.",
    x=("$y", lambda g, y: g * y),
    y=("$x", lambda g, x: g * x),
)
def mul(x: Any, y: Any) -> Any:
    """Multiply, elementwise with broadcasting: ``x * y``.

    >>> mul(Tensor([1.0, 2.0]), 3)
    Tensor([3., 6.], op=mul)
    """


@op(
    r"$x \div $y",
    np.divide,
    method="__truediv__ __rtruediv__ div divide",
    onnx="Div",
    samples=POSITIVE,
    says="Divides $x by $y.",
    x=("1/$y", lambda g, y: g / y),
    y=("-$x/$y^2", lambda g, y, out: -(g * out / y)),
)
def div(x: Any, y: Any) -> Any:
    """Divide, elementwise with broadcasting: ``x / y``. Division by zero gives inf or nan, as in NumPy.

    >>> div(Tensor([1.0, 2.0]), 4)
    Tensor([0.25, 0.5 ], op=div)
    """


@op(
    "-$x",
    np.negative,
    method="__neg__ neg negative",
    onnx="Neg",
    samples=ANY,
    says="Flips the sign of $x.",
    x=("-1", lambda g: -g),
)
def neg(x: Any) -> Any:
    """Negate: ``-x``.

    >>> neg(Tensor([1.0, -2.0]))
    Tensor([-1.,  2.], op=neg)
    """


@op(
    "$x^{$y}",
    np.power,
    method="__pow__ __rpow__ pow",
    onnx="Pow",
    says="Raises $x to the power $y.",
    samples=[*POSITIVE, sample((3,), (), low=0.5)],
    x=("$y$x^{$y-1}", lambda g, x, y: g * slope_of_power(x, y)),
    y=(r"$out\ln $x", lambda g, x, out: g * (out * ln_base(x, out))),
)
def power(x: Any, y: Any) -> Any:
    """Raise to a power, elementwise with broadcasting: ``x ** y``.

    The derivative in ``x`` at ``y = 0`` is 0, and so is the one in ``y`` at ``x = 0`` for ``y >= 0``, as in
    PyTorch; so integer powers of negative and zero ``x`` have finite derivatives of every order.

    >>> power(Tensor([1.0, -2.0]), 3)
    Tensor([ 1., -8.], op=power)
    """


def slope_of_power(x: Value, y: Value) -> Value:
    """Return y x^(y-1), the derivative of x^y in x. Where y is 0 it is 0, also at x = 0.

    Its own derivative in y is not: at y = 0 it is 1/x. A Tensor y therefore takes the form y x^y / x there.
    """
    slope = y * x ** one_less(y)
    if not getattr(y, "requires_grad", False):
        return slope
    at_zero = where(equal(x, 0), False, equal(y, 0))
    base = where(at_zero, x, 1)
    return where(at_zero, y * base**y / base, slope)


def one_less(y: Value) -> Value:
    """Return y - 1, but 1 where y is 0: there the factor y makes the product 0, whatever the power is."""
    if isinstance(y, int | float):
        return y - 1 if y else 1
    return where(equal(y, 0), 1, y - 1)


def ln_base(x: Any, out: Any) -> Any:
    """Return ln x, but 0 where x is 0 and was raised to 0 or more."""
    if isinstance(x, int | float):
        return float(np.log(x or 1))  # a Python number leaves float32 alone
    return log(where(greater(out, 1), x, where(equal(x, 0), 1, x)))


@op("$x^2", np.square, method="square", samples=ANY, says="Squares $x.", x=("2$x", lambda g, x: 2 * g * x))
def square(x: Any) -> Any:
    """Square: ``x ** 2``.

    >>> square(Tensor([1.0, -2.0]))
    Tensor([1., 4.], op=square)
    """


@op(
    r"\sqrt{$x}",
    np.sqrt,
    method="sqrt",
    onnx="Sqrt",
    samples=ABOVE,
    says="Takes the square root of $x.",
    x=("1/(2$out)", lambda g, out: g / (2 * out)),
)
def sqrt(x: Any) -> Any:
    """Take the square root; nan below 0, and an infinite derivative at 0, as in PyTorch.

    >>> sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.], op=sqrt)
    """


@op(
    "e^{$x}",
    np.exp,
    method="exp",
    onnx="Exp",
    samples=ANY,
    says="Takes the exponential of $x.",
    x=("$out", lambda g, out: g * out),
)
def exp(x: Any) -> Any:
    """Take the exponential.

    >>> exp(Tensor([0.0]))
    Tensor([1.], op=exp)
    """


@op(
    r"\ln $x",
    np.log,
    method="log",
    onnx="Log",
    samples=ABOVE,
    says="Takes the natural logarithm of $x.",
    x=("1/$x", lambda g, x: g / x),
)
def log(x: Any) -> Any:
    """Take the natural logarithm; -inf at 0 and nan below, as in NumPy.

    >>> log(Tensor([1.0]))
    Tensor([0.], op=log)
    """


@op(
    "|$x|",
    np.absolute,
    method="__abs__ abs absolute",
    onnx="Abs",
    samples=ANY,
    says="Drops the sign of $x.",
    x=(r"\operatorname{sign} $x", lambda g, x: g * sign(x)),
)
def abs(x: Any) -> Any:  # noqa: A001 - NumPy's name
    """Take the absolute value; its derivative at 0 is 0.

    >>> abs(Tensor([1.0, -2.0]))
    Tensor([1., 2.], op=abs)
    """


@op(
    r"\operatorname{sign} $x",
    np.sign,
    method="sign",
    onnx="Sign",
    samples=ANY,
    says="Gives -1, 0 or 1 as $x is below, at or above 0.",
)
def sign(x: Any) -> Any:
    """Give the sign: -1, 0 or 1. It is piecewise constant, so no gradient passes.

    >>> sign(Tensor([3.0, -2.0]))
    Tensor([ 1., -1.], op=sign, requires_grad=False)
    """


@op(r"[$x > $y]", np.greater, onnx="Greater", samples=PAIRS, says="Marks where $x is above $y.")
def greater(x: Any, y: Any) -> Any:
    """Mark where ``x > y``. Recorded, so that a drawn gradient stays a function of its inputs.

    >>> greater(Tensor([3.0, -2.0]), 0)
    Tensor([ True, False], dtype=bool, op=greater, requires_grad=False)
    """


@op(r"[$x = $y]", np.equal, onnx="Equal", samples=PAIRS, says="Marks where $x equals $y.")
def equal(x: Any, y: Any) -> Any:
    """Mark where ``x == y``. Recorded, so that a drawn gradient stays a function of its inputs.

    >>> equal(Tensor([3.0, -2.0]), 3)
    Tensor([ True, False], dtype=bool, op=equal, requires_grad=False)
    """


@op(
    r"\operatorname{clip}($x)",
    np.clip,
    method="clip clamp",
    onnx="Clip",
    samples=[sample((4, 3), min=-1.0, max=1.0), sample((4, 3), min=0.0), sample((3,), max=0.5)],
    says="Holds $x between $min and $max.",
    x=(r"[$min \le $x \le $max]", lambda g, x, min, max: inside(g, x, min, max)),
)
def clip(x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - NumPy's names
    """Hold between ``min`` and ``max`` (numbers, arrays or None). At a bound the gradient passes, as in PyTorch.

    Raises:
        TypeError: a bound is a Tensor: it would get no gradient.

    >>> clip(Tensor([-3.0, 0.5, 3.0]), -1, 1)
    Tensor([-1. ,  0.5,  1. ], op=clip)
    """
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        raise TypeError("clip does not differentiate in its bounds: take minimum and maximum, or their .data")
    return +x if min is None and max is None else np.clip(x, min, max)  # NumPy 2.0 wants a bound


def inside(g: Any, x: Any, low: Any, high: Any) -> Any:
    """Keep ``g`` where ``low <= x <= high``; None is no bound."""
    g = g if low is None else where(greater(low, x), 0, g)
    return g if high is None else where(greater(x, high), 0, g)


@op(
    r"\max($x, $y)",
    np.maximum,
    method="maximum",
    onnx="Max",
    samples=PAIRS,
    says="Keeps the larger of $x and $y.",
    x=(r"[$x > $y]", lambda g, x, y: to_greater(g, x, y)),
    y=(r"[$y > $x]", lambda g, x, y: to_greater(g, y, x)),
)
def maximum(x: Any, y: Any) -> Any:
    """Keep the larger, elementwise with broadcasting. A tie sends half the gradient to each, as in PyTorch.

    >>> maximum(Tensor([1.0, 5.0]), 3)
    Tensor([3., 5.], op=maximum)
    """


@op(
    r"\min($x, $y)",
    np.minimum,
    method="minimum",
    onnx="Min",
    samples=PAIRS,
    says="Keeps the smaller of $x and $y.",
    x=(r"[$x < $y]", lambda g, x, y: to_greater(g, y, x)),
    y=(r"[$y < $x]", lambda g, x, y: to_greater(g, x, y)),
)
def minimum(x: Any, y: Any) -> Any:
    """Keep the smaller, elementwise with broadcasting. A tie sends half the gradient to each, as in PyTorch.

    >>> minimum(Tensor([1.0, 5.0]), 3)
    Tensor([1., 3.], op=minimum)
    """


def to_greater(g: Any, x: Any, y: Any) -> Any:
    """Keep ``g`` where x > y, and half of it where they tie."""
    return where(greater(x, y), g, where(equal(x, y), 0.5 * g, 0))


@op(
    r"\operatorname{where}($condition, $x, $y)",
    np.where,
    onnx="Where",
    samples=[sample((4, 3), (4, 3), (3,)), sample((3,), (4, 3), ())],
    says="Takes $x where $condition holds and $y elsewhere.",
    x=("[$condition]", lambda g, condition: where(condition, g, 0)),
    y=(r"[\neg $condition]", lambda g, condition: where(condition, 0, g)),
)
def where(condition: Any, x: Any, y: Any) -> Any:
    """Choose ``x`` where ``condition`` holds (is not 0) and ``y`` elsewhere, with broadcasting.

    >>> where(np.array([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.], op=where)
    """
    return np.where(condition, x, y)


@op(
    r"\tanh $x",
    np.tanh,
    method="tanh",
    onnx="Tanh",
    samples=ANY,
    says="Squashes $x into -1 to 1.",
    x=("1-$out^2", lambda g, out: g * (1 - out * out)),
)
def tanh(x: Any) -> Any:
    """Take the hyperbolic tangent.

    >>> tanh(Tensor([0.0]))
    Tensor([0.], op=tanh)
    """


@op(
    r"\operatorname{sigmoid} $x",
    method="sigmoid",
    onnx="Sigmoid",
    says="Squashes $x into 0 to 1.",
    samples=[*ANY, sample((5,), low=-30.0, high=30.0)],
    x=("$out(1-$out)", lambda g, out: g * (out * (1 - out))),
)
def sigmoid(x: Any) -> Any:
    """Take the logistic function 1/(1 + e^-x), as (1 + tanh(x/2))/2, which cannot overflow.

    >>> sigmoid(Tensor([0.0]))
    Tensor([0.5], op=sigmoid)
    """
    return 0.5 * np.tanh(0.5 * x) + 0.5


@op(
    r"\operatorname{relu} $x",
    method="relu",
    onnx="Relu",
    samples=ANY,
    says="Sets what is below 0 to 0.",
    x=("[$x > 0]", lambda g, out: g * sign(out)),
)
def relu(x: Any) -> Any:
    """Keep what is above 0: ``max(x, 0)``. The derivative at 0 is 0.

    >>> relu(Tensor([1.0, -2.0]))
    Tensor([1., 0.], op=relu)
    """
    return np.maximum(x, 0.0)


@op(
    r"\mathrm{$dtype}($x)",
    method="astype",
    onnx="Cast",
    says="Converts $x to $dtype.",
    samples=[sample((4, 3), dtype="float32"), sample((3,), dtype="float64")],
    x=("1", lambda g, x_dtype: astype(g, x_dtype)),
)
def astype(x: Any, dtype: Any = np.float32) -> Any:
    """Convert to another dtype; the gradient is converted back. To an integer type no gradient passes.

    >>> astype(Tensor([1.5]), np.float32)
    Tensor([1.5], dtype=float32, op=astype)
    """
    return x.astype(dtype, copy=False)


@op(
    r"\ln(e^{$x} + e^{$y})",
    np.logaddexp,
    method="logaddexp",
    samples=PAIRS,
    says="Adds e^$x and e^$y and takes the logarithm.",
    x=(r"\operatorname{sigmoid}($x-$y)", lambda g, x, y: g * sigmoid(x - y)),
    y=(r"\operatorname{sigmoid}($y-$x)", lambda g, x, y: g * sigmoid(y - x)),
)
def logaddexp(x: Any, y: Any) -> Any:
    """Take ``log(exp(x) + exp(y))`` without overflow; ``logaddexp(0, x)`` is softplus.

    >>> logaddexp(0.0, Tensor([0.0, 1000.0]))
    Tensor([6.93147181e-01, 1.00000000e+03], op=logaddexp)
    """


# W. J. Cody's coefficients of erf x / x in x², for x up to 0.46875, and of erfc x exp x² in x above it.
NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
FAR = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip


def quotient(coefficients: Any, x: Any) -> Any:
    """Evaluate the quotient of two polynomials, highest powers first."""
    above, below = (functools.reduce(lambda total, c: total * x + c, c) for c in coefficients)
    return above / below


@op(
    r"\operatorname{erf} $x",
    method="erf",
    onnx="Erf",
    samples=[*ANY, sample((7,), low=-6.0, high=6.0)],
    says="Gives the chance that a normal error of variance 1/2 is within $x.",
    x=(r"2e^{-$x^2}/\sqrt\pi", lambda g, x: g * (2 / math.pi**0.5 * exp(-(x * x)))),
)
def erf(x: Any) -> Any:
    """Take the error function, within 1e-15 in float64.

    Source: W. J. Cody 1969, "Rational Chebyshev approximations for the error function".

    >>> erf(Tensor([0.0, 1.0]))
    Tensor([0.        , 0.84270079], op=erf)
    """
    size = np.abs(x)
    y = np.minimum(size, 6.0).astype(np.result_type(size.dtype, np.float32), copy=False)  # from 6 on it is 1
    out = np.where(y <= 0.46875, y * quotient(NEAR, y * y), 1 - np.exp(-y * y) * quotient(FAR, y))
    return np.copysign(out, x).astype(size.dtype, copy=False)
