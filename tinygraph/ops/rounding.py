"""Whole numbers, remainders, signs and bounds: functions that bend or jump.

A function that moves in steps has no derivative line: its result requires no gradient, and says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.tensor import array_of
from tinygraph.engine.types import Value
from tinygraph.ops.elementwise import ANY, PAIRS, astype, equal, sign, where
from tinygraph.ops.exponentials import exp2

__all__ = [
    "ceil", "copysign", "divmod", "fix", "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "heaviside", "ldexp",
    "mod", "modf", "nan_to_num", "positive", "remainder", "rint", "round", "signbit", "trunc",
]  # fmt: skip

APART = [sample((4, 3), (4, 3), low=0.6), sample((4, 1), (3,), low=0.6), sample((3,), (), low=-2.0, high=-0.6)]


@op(r"\lfloor $x \rfloor", np.floor, method="floor", onnx="Floor", says="Rounds $x down.", samples=ANY)
def floor(x: Value) -> Value:
    """Round down to a whole number. It moves in steps, so no gradient passes.

    Args:
        x: of any shape.

    Returns:
        The greatest whole number that is not above x, of the shape and dtype of x. It requires no gradient.

    >>> floor(Tensor([1.5, -1.5]))
    Tensor([ 1., -2.], op=floor, requires_grad=False)
    """


@op(r"\lceil $x \rceil", np.ceil, method="ceil", onnx="Ceil", says="Rounds $x up.", samples=ANY)
def ceil(x: Value) -> Value:
    """Round up to a whole number. It moves in steps, so no gradient passes.

    Args:
        x: of any shape.

    Returns:
        The least whole number that is not below x, of the shape and dtype of x. It requires no gradient.

    >>> ceil(Tensor([1.5, -1.5]))
    Tensor([ 2., -1.], op=ceil, requires_grad=False)
    """


@op(
    r"\operatorname{trunc} $x", (np.trunc, np.fix), method="trunc fix",
    says="Drops what is behind the point of $x.", samples=ANY,
)  # fmt: skip
def trunc(x: Value) -> Value:
    """Round towards 0, to a whole number. It moves in steps, so no gradient passes.

    Args:
        x: of any shape.

    Returns:
        x without what is behind the point, of the shape and dtype of x. It requires no gradient.

    >>> trunc(Tensor([1.5, -1.5]))
    Tensor([ 1., -1.], op=trunc, requires_grad=False)
    """


@op(
    r"\operatorname{round} $x", (np.round, np.around), method="round __round__", onnx="Round",
    says="Rounds $x to the nearest number of $decimals decimals.",
    samples=[*ANY, sample((4, 3), decimals=1), sample((3,), low=-90.0, high=90.0, decimals=-1)],
)  # fmt: skip
def round(x: Value, decimals: int | None = None) -> Value:  # noqa: A001 - NumPy's name
    """Round to the nearest number of so many decimals, half to even. It moves in steps, so no gradient passes.

    Args:
        x: of any shape.
        decimals: digits behind the point; a negative number of them stands before it. None is 0.

    Returns:
        Of the shape and dtype of x. It requires no gradient.

    >>> round(Tensor([0.5, 1.5, 2.25]), 1)
    Tensor([0.5, 1.5, 2.2], op=round, requires_grad=False)
    """
    return np.round(x, decimals or 0)


@implements(np.rint, method="rint")
def rint(x: Value) -> Value:
    """Round to the nearest whole number, half to even, as `round`.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x. It requires no gradient.

    >>> rint(np.array([0.5, 1.5]))
    array([0., 2.])
    """
    return round(x)


@op(
    r"\lfloor $x/$y \rfloor", np.floor_divide, method="__floordiv__ __rfloordiv__ floor_divide",
    says="Divides $x by $y and rounds down.", samples=APART,
)  # fmt: skip
def floor_divide(x: Value, y: Value) -> Value:
    """Divide and round down: ``x // y``. It moves in steps, so no gradient passes.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Whole numbers, of the common shape and dtype, as NumPy finds them. They require no gradient.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> floor_divide(Tensor([5.0, -5.0]), 3)
    Tensor([ 1., -2.], op=floor_divide, requires_grad=False)
    """


@op(
    r"$x - $y\lfloor $x/$y \rfloor", np.remainder, method="__mod__ __rmod__ remainder mod", onnx="Mod",
    says="Takes the remainder of $x divided by $y.", samples=APART,
    x=("1", lambda g: g),
    y=(r"-\lfloor $x/$y \rfloor", lambda g, x, y: -(g * floor_divide(x, y))),
)  # fmt: skip
def remainder(x: Value, y: Value) -> Value:
    """Take the remainder, which has the sign of y: ``x % y``.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x - y ⌊x/y⌋, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> remainder(Tensor([5.0, -5.0]), 3)
    Tensor([2., 1.], op=remainder)
    """


@op(
    r"\operatorname{fmod}($x, $y)", np.fmod, method="fmod",
    says="Takes the remainder of $x divided by $y, with the sign of $x.", samples=APART,
    x=("1", lambda g: g),
    y=(r"-\operatorname{trunc}($x/$y)", lambda g, x, y: -(g * trunc(x / y))),
)  # fmt: skip
def fmod(x: Value, y: Value) -> Value:
    """Take the remainder, which has the sign of x, as C does.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x - y trunc(x/y), of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> fmod(Tensor([5.0, -5.0]), 3)
    Tensor([ 2., -2.], op=fmod)
    """


@implements(np.divmod, method="__divmod__ __rdivmod__")
def divmod(x: Value, y: Value) -> tuple[Value, Value]:  # noqa: A001 - NumPy's name
    """Divide and round down, and take the remainder: ``divmod(x, y)`` is ``(x // y, x % y)``.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        `floor_divide` and `remainder`.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> divmod(np.array([5.0]), 3)
    (array([1.]), array([2.]))
    """
    return floor_divide(x, y), remainder(x, y)


@implements(np.modf)
def modf(x: Value) -> tuple[Value, Value]:
    """Take apart what is behind the point and what is before it.

    Args:
        x: of any shape.

    Returns:
        `frac`, whose derivative is 1, and `trunc`.

    >>> modf(np.array([1.5]))
    (array([0.5]), array([1.]))
    """
    return frac(x), trunc(x)


@implements(method="frac")
@composite
def frac(x: Value) -> Value:
    """Take what is behind the point, with the sign of x. Its derivative is 1.

    Args:
        x: of any shape.

    Returns:
        x - trunc x, of the shape and dtype of x.

    >>> frac(np.array([1.5, -1.5]))
    array([ 0.5, -0.5])
    """
    return x - trunc(x)


@implements(np.ldexp, method="ldexp")
@composite
def ldexp(x: Value, exponent: Value) -> Value:
    """Multiply by a power of 2.

    Args:
        x: of any shape.
        exponent: whole numbers, of a shape that broadcasts against that of x.

    Returns:
        x × 2^exponent, of the common shape and the dtype of x.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> ldexp(np.array([1.5]), 2)
    array([6.])
    """
    return x * astype(exp2(exponent), x.dtype)


@op(
    r"H($x)", np.heaviside, method="heaviside", says="Gives 0, $y or 1 as $x is below, at or above 0.", samples=PAIRS,
)  # fmt: skip
def heaviside(x: Value, y: Value) -> Value:
    """Take the step function: 0 below 0, 1 above, and y at 0. It moves in steps, so no gradient passes.

    Args:
        x: a number, or an array of any shape.
        y: what stands where x is 0: a number, or an array whose shape broadcasts against that of x.

    Returns:
        0, y or 1, of the common shape and dtype. It requires no gradient, as in PyTorch.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> heaviside(Tensor([-1.0, 0.0, 2.0]), 0.5)
    Tensor([0. , 0.5, 1. ], op=heaviside, requires_grad=False)
    """


@op(
    r"|$x|\operatorname{sign} $y", np.copysign, method="copysign", says="Gives $x the sign of $y.", samples=PAIRS,
    x=(r"\operatorname{sign} $x \operatorname{sign} $y", lambda g, x, out: g * (sign(x) * sign(out))),
    y=None,
)  # fmt: skip
def copysign(x: Value, y: Value) -> Value:
    """Give x the sign of y. Its derivative in x is 0 where x is 0; in y there is none, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x. Minus zero counts as negative.

    Returns:
        |x| with the sign of y, of the common shape and dtype, as NumPy finds them.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> copysign(Tensor([3.0]), -1.0)
    Tensor([-3.], op=copysign)
    """


def first_takes(g: Value, x: Value, y: Value, out: Value, first: bool) -> Value:
    """Return the gradient of x, or of y, where ``out`` is one of them: x where it is both, or neither is a number."""
    of_x, of_y = (g, 0) if first else (0, g)
    return where(equal(x, out), of_x, where(equal(y, out), of_y, of_x))


@op(
    r"\operatorname{fmax}($x, $y)", np.fmax, method="fmax",
    says="Keeps the larger of $x and $y, or the one that is a number.", samples=PAIRS,
    x=(r"[$x \ge $y]", lambda g, x, y, out: first_takes(g, x, y, out, True)),
    y=("[$y > $x]", lambda g, x, y, out: first_takes(g, x, y, out, False)),
)  # fmt: skip
def fmax(x: Value, y: Value) -> Value:
    """Keep the larger, and the other one where one is nan. A tie sends the gradient to x, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Of the common shape and dtype, as NumPy finds them; nan where both are.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> fmax(Tensor([1.0, np.nan]), 3)
    Tensor([3., 3.], op=fmax)
    """


@op(
    r"\operatorname{fmin}($x, $y)", np.fmin, method="fmin",
    says="Keeps the smaller of $x and $y, or the one that is a number.", samples=PAIRS,
    x=(r"[$x \le $y]", lambda g, x, y, out: first_takes(g, x, y, out, True)),
    y=("[$y < $x]", lambda g, x, y, out: first_takes(g, x, y, out, False)),
)  # fmt: skip
def fmin(x: Value, y: Value) -> Value:
    """Keep the smaller, and the other one where one is nan. A tie sends the gradient to x, as in PyTorch.

    Args:
        x: a number, or an array of any shape.
        y: a number, or an array whose shape broadcasts against that of x.

    Returns:
        Of the common shape and dtype, as NumPy finds them; nan where both are.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> fmin(Tensor([1.0, np.nan]), 3)
    Tensor([1., 3.], op=fmin)
    """


@op(
    r"\operatorname{finite} $x", np.nan_to_num, method="nan_to_num", says="Replaces what is no number in $x.",
    samples=ANY,
    x=(r"[|$x| < \infty]", lambda g, x, out: where(equal(x, out), g, 0)),
)  # fmt: skip
def nan_to_num(x: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Value:
    """Replace nan, and infinities. Where one is replaced no gradient passes.

    Args:
        x: of any shape.
        nan: what stands for nan; 0 unless given.
        posinf: what stands for inf; the greatest finite number unless given.
        neginf: what stands for -inf; the least finite number unless given.

    Returns:
        Of the shape and dtype of x.

    >>> nan_to_num(Tensor([1.0, np.nan]))
    Tensor([1., 0.], op=nan_to_num)
    """
    x = x if hasattr(x, "dtype") else np.asarray(x)
    if x.dtype.kind != "f":  # whole numbers are numbers
        return +x
    most = np.finfo(x.dtype).max
    out = np.where(np.isnan(x), 0.0 if nan is None else nan, x)
    out = np.where(out == np.inf, most if posinf is None else posinf, out)
    return np.where(out == -np.inf, -most if neginf is None else neginf, out).astype(x.dtype, copy=False)


@implements(np.positive, method="positive")
def positive(x: Value) -> Value:
    """Leave x as it is: ``+x``.

    Args:
        x: of any shape.

    Returns:
        x itself, if it is a Tensor.

    >>> positive(np.array([-1.0]))
    array([-1.])
    """
    return +x


@implements(np.signbit, method="signbit")
def signbit(x: Value) -> Any:
    """Tell where the sign is a minus, also of 0 and nan.

    Args:
        x: of any shape.

    Returns:
        Booleans: a plain array, as comparisons give.

    >>> signbit(Tensor([-0.0, 1.0]))
    array([ True, False])
    """
    return np.signbit(array_of(x))


mod, fix = remainder, trunc
