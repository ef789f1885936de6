"""Elementwise ops make one element of the result from one element of each operand, after broadcasting.

A derivative line may get a gradient ``g`` that is smaller than the result, where all its rows are equal: a mean sends
back one row. It broadcasts, as everything here does.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import Tensor
from tinygraph.engine.types import ArrayLike, Value

F = TypeVar("F", bound=Callable[..., Any])
PAIRS = [sample((4, 3), (4, 3)), sample((4, 3), (3,)), sample((4, 1), (1, 3)), sample((), (2, 3)), sample((2,), ())]
POSITIVE = [sample((4, 3), (4, 3), low=0.5), sample((4, 3), (1, 3), low=0.5), sample((4, 1), (3,), low=0.5)]
ANY = [sample((4, 3)), sample(())]
ABOVE = [sample((4, 3), low=0.5)]


@op(
    r"$x + $y", np.add, method="__add__ __radd__ add", onnx="Add", says="Adds $x and $y.", samples=PAIRS,
    x=("1", lambda g: g),
    y=("1", lambda g: g),
)  # fmt: skip
def add(x: Value, y: Value) -> Value:
    """Add, elementwise with broadcasting: ``x + y``.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x + y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> add(Tensor([1.0, 2.0]), 3)
    Tensor([4., 5.], op=add)
    """


@op(
    r"$x - $y", np.subtract, method="__sub__ __rsub__ sub subtract", onnx="Sub", says="Subtracts $y from $x.",
    samples=PAIRS,
    x=("1", lambda g: g),
    y=("-1", lambda g: -g),
)  # fmt: skip
def sub(x: Value, y: Value) -> Value:
    """Subtract, elementwise with broadcasting: ``x - y``.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x - y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> sub(Tensor([1.0, 2.0]), 3)
    Tensor([-2., -1.], op=sub)
    """


@op(
    r"$x \times $y", np.multiply, method="__mul__ __rmul__ mul multiply", onnx="Mul", says="Multiplies $x by $y.",
    samples=PAIRS,
    x=("$y", lambda g, y: g * y),
    y=("$x", lambda g, x: g * x),
)  # fmt: skip
def mul(x: Value, y: Value) -> Value:
    """Multiply, elementwise with broadcasting: ``x * y``.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x × y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> mul(Tensor([1.0, 2.0]), 3)
    Tensor([3., 6.], op=mul)
    """


@op(
    r"$x \div $y", np.divide, method="__truediv__ __rtruediv__ div divide true_divide", onnx="Div",
    says="Divides $x by $y.", samples=POSITIVE,
    x=("1/$y", lambda g, y: g / y),
    y=("-$x/$y^2", lambda g, y, out: -(g * out / y)),
)  # fmt: skip
def div(x: Value, y: Value) -> Value:
    """Divide, elementwise with broadcasting: ``x / y``. Division by zero gives inf or nan, as in NumPy.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x / y, of the common shape and dtype, as NumPy finds them. Integers give floating point.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> div(Tensor([1.0, 2.0]), 4)
    Tensor([0.25, 0.5 ], op=div)
    """


@op(
    "-$x", np.negative, method="__neg__ neg negative", onnx="Neg", says="Flips the sign of $x.", samples=ANY,
    x=("-1", lambda g: -g),
)  # fmt: skip
def neg(x: Value) -> Value:
    """Negate: ``-x``.

    Args:
        x: of any shape.

    Returns:
        -x, of the shape and dtype of x.

    >>> neg(Tensor([1.0, -2.0]))
    Tensor([-1.,  2.], op=neg)
    """


@op(
    "$x^{$y}", np.power, method="__pow__ __rpow__ pow", onnx="Pow", says="Raises $x to the power $y.",
    samples=[*POSITIVE, sample((3,), (), low=0.5)],
    x=("$y$x^{$y-1}", lambda g, x, y: g * slope_of_power(x, y)),
    y=(r"$out\ln $x", lambda g, x, out: g * (out * log_of_base(x, out))),
)  # fmt: skip
def power(x: Value, y: Value) -> Value:
    """Raise to a power, elementwise with broadcasting: ``x ** y``.

    The derivative in ``x`` at ``y = 0`` is 0, and so is the one in ``y`` at ``x = 0`` for ``y >= 0``, as in
    PyTorch; so integer powers of negative and zero ``x`` have finite derivatives of every order.

    Args:
        x: the base, of any shape.
        y: the exponent: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x to the power y, of the common shape and dtype, as NumPy finds them. It is nan where x < 0 and y is no
        whole number.

    Raises:
        ValueError: the shapes do not broadcast.

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


def log_of_base(x: Value, out: Value) -> Value:
    """Return ln x, but 0 where x is 0 and the power ``out`` is not inf."""
    if isinstance(x, int | float):
        return float(np.log(x or 1))  # a Python number leaves float32 alone
    return log(where(greater(out, 1), x, where(equal(x, 0), 1, x)))


@op("$x^2", np.square, method="square", says="Squares $x.", samples=ANY, x=("2$x", lambda g, x: 2 * g * x))
def square(x: Value) -> Value:
    """Square: ``x ** 2``.

    Args:
        x: of any shape.

    Returns:
        x², of the shape and dtype of x.

    >>> square(Tensor([1.0, -2.0]))
    Tensor([1., 4.], op=square)
    """


@op(
    r"\sqrt{$x}", np.sqrt, method="sqrt", onnx="Sqrt", says="Takes the square root of $x.", samples=ABOVE,
    x=("1/(2$out)", lambda g, out: g / (2 * out)),
)  # fmt: skip
def sqrt(x: Value) -> Value:
    """Take the square root; nan below 0, and an infinite derivative at 0, as in PyTorch.

    Args:
        x: of any shape, 0 or greater.

    Returns:
        The root, of the shape and dtype of x.

    >>> sqrt(Tensor([4.0, 9.0]))
    Tensor([2., 3.], op=sqrt)
    """


@op(
    "e^{$x}", np.exp, method="exp", onnx="Exp", says="Takes the exponential of $x.", samples=ANY,
    x=("$out", lambda g, out: g * out),
)  # fmt: skip
def exp(x: Value) -> Value:
    """Take the exponential.

    Args:
        x: of any shape.

    Returns:
        e to the power x, of the shape and dtype of x. It overflows to inf.

    >>> exp(Tensor([0.0]))
    Tensor([1.], op=exp)
    """


@op(
    r"\ln $x", np.log, method="log", onnx="Log", says="Takes the natural logarithm of $x.", samples=ABOVE,
    x=("1/$x", lambda g, x: g / x),
)  # fmt: skip
def log(x: Value) -> Value:
    """Take the natural logarithm; -inf at 0 and nan below, as in NumPy.

    Args:
        x: of any shape, greater than 0.

    Returns:
        ln x, of the shape and dtype of x.

    >>> log(Tensor([1.0]))
    Tensor([0.], op=log)
    """


@op(
    "|$x|", (np.absolute, np.fabs), method="__abs__ abs absolute", onnx="Abs", says="Drops the sign of $x.",
    samples=ANY,
    x=(r"\operatorname{sign} $x", lambda g, x: g * sign(x)),
)  # fmt: skip
def abs(x: Value) -> Value:  # noqa: A001 - NumPy's name
    """Take the absolute value; its derivative at 0 is 0.

    Args:
        x: of any shape.

    Returns:
        |x|, of the shape and dtype of x.

    >>> abs(Tensor([1.0, -2.0]))
    Tensor([1., 2.], op=abs)
    """


@op(
    r"\operatorname{sign} $x", np.sign, method="sign sgn", onnx="Sign",
    says="Gives -1, 0 or 1 as $x is below, at or above 0.", samples=ANY,
)  # fmt: skip
def sign(x: Value) -> Value:
    """Give the sign: -1, 0 or 1. It is piecewise constant, so no gradient passes.

    Args:
        x: of any shape.

    Returns:
        -1, 0 or 1, of the shape and dtype of x. It requires no gradient.

    >>> sign(Tensor([3.0, -2.0]))
    Tensor([ 1., -1.], op=sign, requires_grad=False)
    """


@op(r"[$x > $y]", forward=np.greater, onnx="Greater", says="Marks where $x is above $y.", samples=PAIRS)
def greater(x: Value, y: Value) -> Value:
    """Mark where ``x > y``. Recorded, so that a drawn gradient stays a function of its inputs.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Booleans, of the common shape. They require no gradient.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> greater(Tensor([3.0, -2.0]), 0)
    Tensor([ True, False], dtype=bool, op=greater, requires_grad=False)
    """


@op(r"[$x = $y]", forward=np.equal, onnx="Equal", says="Marks where $x equals $y.", samples=PAIRS)
def equal(x: Value, y: Value) -> Value:
    """Mark where ``x == y``. Recorded, so that a drawn gradient stays a function of its inputs.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Booleans, of the common shape. They require no gradient.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> equal(Tensor([3.0, -2.0]), 3)
    Tensor([ True, False], dtype=bool, op=equal, requires_grad=False)
    """


def accept_tensor_bounds(function: F) -> F:
    """Let clip take Tensors as bounds, which are operands of an op of their own."""

    @functools.wraps(function)
    def call(x: Value, min: Value = None, max: Value = None) -> Value:  # noqa: A002 - NumPy's names
        if not isinstance(min, Tensor) and not isinstance(max, Tensor):
            return function(x, min, max)
        return clip_between(x, -math.inf if min is None else min, math.inf if max is None else max)

    return cast(F, call)


@implements(np.clip, method="clip clamp")
@accept_tensor_bounds
@op(
    r"\operatorname{clip}($x)", onnx="Clip", says="Limits $x to $min … $max.",
    samples=[sample((4, 3), min=-1.0, max=1.0), sample((4, 3), min=0.0), sample((3,), max=0.5)],
    x=(r"[$min \le $x \le $max]", lambda g, x, min, max: pass_within(g, x, min, max)),
)  # fmt: skip
def clip(x: Value, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Value:  # noqa: A002 - NumPy's names
    """Limit to the range from ``min`` to ``max``. At a bound the gradient passes, as in PyTorch.

    Args:
        x: of any shape.
        min: lower bound: a number, an array or Tensor that broadcasts against x, or None for none.
        max: upper bound, likewise.

    Returns:
        x, min or max, whichever is in the middle, of the shape and dtype of x.

    >>> clip(Tensor([-3.0, 0.5, 3.0]), -1, 1)
    Tensor([-1. ,  0.5,  1. ], op=clip)
    """
    return +x if min is None and max is None else np.clip(x, min, max)  # NumPy 2.0 needs a bound


def pass_within(g: Value, x: Value, low: ArrayLike | None, high: ArrayLike | None) -> Value:
    """Return ``g`` where ``low <= x <= high``, and 0 elsewhere. None is no bound."""
    g = g if low is None else where(greater(low, x), 0, g)
    return g if high is None else where(greater(x, high), 0, g)


@op(
    r"\min(\max($x, $low), $high)", onnx="Clip", says="Limits $x to $low … $high.",
    samples=[sample((4, 3), (3,), (4, 1)), sample((4, 3), (4, 3), (), low=-1.0)],
    x=(r"[$low \le $x \le $high]", lambda g, x, low, high: where(greater(low, x), 0, where(greater(x, high), 0, g))),
    low=("[$x < $low]", lambda g, x, low, high: where(greater(low, x), where(greater(high, low), g, 0), 0)),
    high=("[$x > $high]", lambda g, x, low, high: where(greater(maximum(x, low), high), g, 0)),
)  # fmt: skip
def clip_between(x: Value, low: Value, high: Value) -> Value:
    """Limit to the range from ``low`` to ``high``, which get gradients too: what `clip` calls for Tensors as bounds.

    At a bound the gradient goes to x, as in PyTorch; where the bounds meet, what is outside of them has none.

    Args:
        x: a number, or an array of any shape.
        low: lower bound, likewise; -inf is none.
        high: upper bound, likewise; inf is none. Where it is below the lower one, it counts.

    Returns:
        Of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> clip_between(Tensor([-3.0, 3.0]), -1.0, Tensor(1.0))
    Tensor([-1.,  1.], op=clip_between)
    """
    return np.clip(x, low, high)


@op(
    r"\max($x, $y)", np.maximum, method="maximum", onnx="Max", says="Keeps the larger of $x and $y.", samples=PAIRS,
    x=(r"[$x > $y]", lambda g, x, y: send_to_greater(g, x, y)),
    y=(r"[$y > $x]", lambda g, x, y: send_to_greater(g, y, x)),
)  # fmt: skip
def maximum(x: Value, y: Value) -> Value:
    """Keep the larger, elementwise with broadcasting. A tie sends half the gradient to each, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        The larger of x and y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> maximum(Tensor([1.0, 5.0]), 3)
    Tensor([3., 5.], op=maximum)
    """


@op(
    r"\min($x, $y)", np.minimum, method="minimum", onnx="Min", says="Keeps the smaller of $x and $y.", samples=PAIRS,
    x=(r"[$x < $y]", lambda g, x, y: send_to_greater(g, y, x)),
    y=(r"[$y < $x]", lambda g, x, y: send_to_greater(g, x, y)),
)  # fmt: skip
def minimum(x: Value, y: Value) -> Value:
    """Keep the smaller, elementwise with broadcasting. A tie sends half the gradient to each, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        The smaller of x and y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> minimum(Tensor([1.0, 5.0]), 3)
    Tensor([1., 3.], op=minimum)
    """


def send_to_greater(g: Value, x: Value, y: Value) -> Value:
    """Return ``g`` where x > y, half of it where they are equal, and 0 elsewhere."""
    return where(greater(x, y), g, where(equal(x, y), 0.5 * g, 0))


@op(
    r"\operatorname{where}($condition, $x, $y)", np.where, onnx="Where",
    says="Takes $x where $condition holds and $y elsewhere.",
    samples=[sample((4, 3), (4, 3), (3,)), sample((3,), (4, 3), ())],
    condition=None,
    x=("[$condition]", lambda g, condition: where(condition, g, 0)),
    y=(r"[\neg $condition]", lambda g, condition: where(condition, 0, g)),
)  # fmt: skip
def where(condition: Value, x: Value, y: Value) -> Value:
    """Choose ``x`` where ``condition`` holds (is not 0) and ``y`` elsewhere, with broadcasting.

    Args:
        condition: booleans, or numbers that count as true if they are not 0.
        x: what is taken where the condition holds.
        y: what is taken elsewhere.

    Returns:
        Elements of x and y, of the common shape of all three and the common dtype of x and y.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> where(np.array([True, False]), Tensor([1.0, 2.0]), 0.0)
    Tensor([1., 0.], op=where)
    """
    return np.where(condition, x, y)


@op(
    r"\tanh $x", np.tanh, method="tanh", onnx="Tanh", says="Squashes $x into -1 to 1.", samples=ANY,
    x=("1-$out^2", lambda g, out: g * (1 - out * out)),
)  # fmt: skip
def tanh(x: Value) -> Value:
    """Take the hyperbolic tangent.

    Args:
        x: of any shape.

    Returns:
        Numbers between -1 and 1, of the shape and dtype of x.

    >>> tanh(Tensor([0.0]))
    Tensor([0.], op=tanh)
    """


@op(
    r"\operatorname{sigmoid} $x", method="sigmoid", onnx="Sigmoid", says="Squashes $x into 0 to 1.",
    samples=[*ANY, sample((5,), low=-30.0, high=30.0)],
    x=("$out(1-$out)", lambda g, out: g * (out * (1 - out))),
)  # fmt: skip
def sigmoid(x: Value) -> Value:
    """Take the logistic function 1/(1 + e^-x), as (1 + tanh(x/2))/2, which cannot overflow.

    Args:
        x: of any shape.

    Returns:
        Numbers between 0 and 1, of the shape and dtype of x.

    >>> sigmoid(Tensor([0.0]))
    Tensor([0.5], op=sigmoid)
    """
    return 0.5 * np.tanh(0.5 * x) + 0.5


@op(
    r"\operatorname{relu} $x", method="relu", onnx="Relu", says="Sets what is below 0 to 0.", samples=ANY,
    x=("[$x > 0]", lambda g, out: g * sign(out)),
)  # fmt: skip
def relu(x: Value) -> Value:
    """Keep what is above 0: ``max(x, 0)``. The derivative at 0 is 0.

    Args:
        x: of any shape.

    Returns:
        x or 0, of the shape and dtype of x.

    >>> relu(Tensor([1.0, -2.0]))
    Tensor([1., 0.], op=relu)
    """
    return np.maximum(x, 0.0)


@op(
    r"\mathrm{$dtype}($x)", method="astype", onnx="Cast", says="Converts $x to $dtype.",
    samples=[sample((4, 3), dtype="float32"), sample((3,), dtype="float64")],
    x=("1", lambda g, x_dtype: astype(g, x_dtype)),
)  # fmt: skip
def astype(x: Value, dtype: npt.DTypeLike = np.float32) -> Value:
    """Convert to another dtype; the gradient is converted back. To an integer type no gradient passes.

    Args:
        x: of any shape.
        dtype: any NumPy dtype, or its name.

    Returns:
        x in that dtype.

    Raises:
        TypeError: there is no such dtype.

    >>> astype(Tensor([1.5]), np.float32)
    Tensor([1.5], dtype=float32, op=astype)
    """
    return x.astype(dtype, copy=False)


@op(
    r"\ln(e^{$x} + e^{$y})", np.logaddexp, method="logaddexp", says="Adds e^$x and e^$y and takes the logarithm.",
    samples=PAIRS,
    x=(r"\operatorname{sigmoid}($x-$y)", lambda g, x, y: g * sigmoid(x - y)),
    y=(r"\operatorname{sigmoid}($y-$x)", lambda g, x, y: g * sigmoid(y - x)),
)  # fmt: skip
def logaddexp(x: Value, y: Value) -> Value:
    """Take ``log(exp(x) + exp(y))`` without overflow; ``logaddexp(0, x)`` is softplus.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        ln(eˣ + eʸ), of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> logaddexp(0.0, Tensor([0.0, 1000.0]))
    Tensor([6.93147181e-01, 1.00000000e+03], op=logaddexp)
    """


@op(
    r"$x \odot $mask", onnx="Dropout", says="Sets elements of $x to 0 with probability $p, and scales the others up.",
    samples=[sample((4, 3), (4, 3)), sample((4, 3), (4, 3), p=0.1)],
    x=("$mask", lambda g, mask: g * mask),
    mask=("$x", lambda g, x: g * x),
)  # fmt: skip
def dropout(x: Value, mask: Value, p: float = 0.5) -> Value:
    """Multiply by a mask that was drawn: 0 with probability p, else 1 / (1 - p). The layer is `nn.Dropout`.

    Args:
        x: of any shape.
        mask: of the shape of x.
        p: what the mask was drawn with; it changes nothing, and drawings say it.

    Returns:
        x × mask.

    >>> dropout(Tensor([1.0, 2.0]), np.array([0.0, 2.0]))
    Tensor([0., 4.], op=dropout)
    """
    return x * mask
