"""Special functions: the error function and its kin; and those of Gamma and Bessel, by the extra ``special``: SciPy."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygraph.engine.context import composite
from tinygraph.engine.lazy_import import install_hint
from tinygraph.engine.op import op
from tinygraph.engine.registry import implements, sample
from tinygraph.engine.types import Value
from tinygraph.kernels.arrays import backend_of
from tinygraph.ops.elementwise import ANY, clip, equal, exp, greater, log, sigmoid, where
from tinygraph.ops.exponentials import log1p

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "expit", "gammaln", "i0", "i1", "lgamma", "log_ndtr", "logit", "ndtr",
    "polygamma", "xlog1py",
]  # fmt: skip

POSITIVE = [sample((4, 3), low=0.3, high=5.0), sample((), low=0.3, high=5.0)]
INSIDE = [sample((4, 3), low=0.1, high=0.9), sample((), low=0.1, high=0.9)]


def from_scipy(name: str, *args: Any) -> Any:
    """Call a function of SciPy, or of CuPy, on numbers and one array; the result has the array's dtype."""
    array = args[-1] if hasattr(args[-1], "dtype") else np.asarray(args[-1], np.float64)
    try:
        library = importlib.import_module(("cupyx." if backend_of(array) == "cupy" else "") + "scipy.special")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{name} needs SciPy: {install_hint('special')}") from None
    dtype = np.result_type(array.dtype, np.float16)
    return getattr(library, name)(*args[:-1], array).astype(dtype, copy=False)


# W. J. Cody's coefficients of erf x / x in x², for x up to 0.46875, of erfc x exp x² in x up to 4,
# and of x (x erfc x exp x² - 1/√π) in 1/x² above.
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
BEYOND = (
    (-1.63153871373020978e-2, -3.05326634961232344e-1, -3.60344899949804439e-1, -1.25781726111229246e-1,
     -1.60837851487422766e-2, -6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip


def divide_polynomials(coefficients: Sequence[Sequence[float]], x: Value) -> Value:
    """Evaluate the quotient of two polynomials. Their coefficients start with the highest power."""
    above, below = (polynomial(c, x) for c in coefficients)
    return above / below


def polynomial(coefficients: Sequence[float], x: Value) -> Value:
    """Evaluate a polynomial by Horner's rule, in one array."""
    total = x * coefficients[0]
    for c in coefficients[1:-1]:
        total += c
        total *= x
    total += coefficients[-1]
    return total


@op(
    r"\operatorname{erf} $x", method="erf", onnx="Erf",
    says="Gives the chance that a normal error of variance 1/2 is within $x.",
    samples=[*ANY, sample((7,), low=-6.0, high=6.0)],
    x=(r"2\exp(-$x^2)/\sqrt\pi", lambda g, x: g * (2 / math.pi**0.5 * exp(-(x * x)))),
)  # fmt: skip
def erf(x: Value) -> Value:
    """Take the error function, within 1e-15 in float64.

    Args:
        x: of any shape.

    Returns:
        Numbers between -1 and 1, of the shape and dtype of x.

    Source: W. J. Cody 1969, "Rational Chebyshev approximations for the error function".

    >>> erf(Tensor([0.0, 1.0]))
    Tensor([0.        , 0.84270079], op=erf)
    """
    size = np.abs(x)
    y = np.minimum(size, 6.0).astype(np.result_type(size.dtype, np.float32), copy=False)  # from 6 on it is 1
    out = np.where(y <= 0.46875, y * divide_polynomials(NEAR, y * y), 1 - np.exp(-y * y) * divide_polynomials(FAR, y))
    return np.copysign(out, x).astype(size.dtype, copy=False)


def tail(x: Value) -> Value:
    """Return erfc of arrays of x, 0.46875 or more: below 1e-300 it is 0."""
    value = divide_polynomials(FAR, np.minimum(x, 4.0))
    if (x >= 4).any():
        far = np.clip(x, 4.0, 27.0)
        small = 1 / (far * far)
        beyond = (small * divide_polynomials(BEYOND, small) + math.pi**-0.5) / far
        value = np.where(x < 4, value, beyond)
    return np.exp(-x * x) * value


@op(
    r"\operatorname{erfc} $x", method="erfc", says="Takes 1 less the error function of $x.",
    samples=[*ANY, sample((7,), low=-6.0, high=6.0)],
    x=(r"-2\exp(-$x^2)/\sqrt\pi", lambda g, x: g * (-2 / math.pi**0.5 * exp(-(x * x)))),
)  # fmt: skip
def erfc(x: Value) -> Value:
    """Take ``1 - erf(x)``, which keeps its digits where x is large.

    Args:
        x: of any shape.

    Returns:
        Numbers between 0 and 2, of the shape and dtype of x.

    Source: W. J. Cody 1969, "Rational Chebyshev approximations for the error function".

    >>> erfc(Tensor([0.0, 3.0]))
    Tensor([1.0000000e+00, 2.2090497e-05], op=erfc)
    """
    size = np.abs(x)
    dtype = np.result_type(size.dtype, np.float16)
    y = size.astype(np.result_type(dtype, np.float32), copy=False)
    near = 1 - y * divide_polynomials(NEAR, np.minimum(y * y, 0.25))
    above = np.where(y <= 0.46875, near, tail(np.maximum(y, 0.46875)))
    return np.where(x < 0, 2 - above, above).astype(dtype, copy=False)


@op(
    r"\operatorname{erf}^{-1} $x", method="erfinv", says="Gives the number whose error function is $x.",
    samples=[sample((4, 3), low=-0.9, high=0.9)],
    x=(r"\sqrt\pi\exp($out^2)/2", lambda g, out: g * (math.pi**0.5 / 2 * exp(out * out))),
)  # fmt: skip
def erfinv(x: Value) -> Value:
    """Take the inverse of `erf`. It needs SciPy: the extra ``special``.

    Args:
        x: of any shape, -1 to 1; infinite at either end.

    Returns:
        Of the shape and dtype of x.

    >>> erfinv(Tensor([0.0]))
    Tensor([0.], op=erfinv)
    """
    return from_scipy("erfinv", x)


@op(
    r"\ln|\Gamma($x)|", method="lgamma gammaln", says="Takes the logarithm of the Gamma function of $x.",
    samples=POSITIVE,
    x=(r"\psi($x)", lambda g, x: g * psi(x)),
)  # fmt: skip
def gammaln(x: Value) -> Value:
    """Take the logarithm of the size of the Gamma function. It needs SciPy: the extra ``special``.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x; infinite at 0, -1, -2, ….

    >>> gammaln(Tensor([1.0, 3.0]))
    Tensor([0.        , 0.69314718], op=gammaln)
    """
    return from_scipy("gammaln", x)


@op(
    r"\psi^{($n)}($x)", says="Takes derivative number $n of the digamma function of $x.",
    samples=[*POSITIVE, sample((4, 3), low=0.3, high=5.0, n=1), sample((3,), low=0.3, high=5.0, n=2)],
    x=(r"\psi^{($n+1)}($x)", lambda g, x, n: g * psi(x, n + 1)),
)  # fmt: skip
def psi(x: Value, n: int = 0) -> Value:
    """Take a derivative of the digamma function: what `digamma` and `polygamma` record.

    Args:
        x: of any shape; infinite at 0, -1, -2, ….
        n: which derivative, 0 or more.

    Returns:
        Of the shape and dtype of x.

    >>> psi(Tensor([1.0]))
    Tensor([-0.57721566], op=psi)
    """
    if not n:
        return from_scipy("psi", x)
    return (-1) ** (n + 1) * float(math.factorial(n)) * from_scipy("zeta", float(n + 1), x)


@implements(method="digamma")
def digamma(x: Value) -> Value:
    """Take the digamma function, the derivative of `gammaln`. It needs SciPy: the extra ``special``.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x.

    >>> digamma(np.array([1.0]))
    array([-0.57721566])
    """
    return psi(x)


def polygamma(n: int, x: Value) -> Value:
    """Take derivative number n of `digamma`. It needs SciPy: the extra ``special``.

    Args:
        n: which derivative, 0 or more.
        x: of any shape.

    Returns:
        Of the shape and dtype of x.

    Raises:
        ValueError: n is below 0.

    >>> polygamma(1, np.array([1.0]))
    array([1.64493407])
    """
    if n < 0:
        raise ValueError(f"polygamma: n is {n}; it must be 0 or more")
    return psi(x, int(n))


@implements(method="polygamma")
def polygamma_of(x: Value, n: int) -> Value:
    """Take derivative number n of `digamma`, as a method: ``x.polygamma(1)``."""
    return polygamma(n, x)


@op(
    "I_0($x)", np.i0, method="i0", says="Takes the modified Bessel function of order 0 of $x.",
    samples=[*ANY, sample((4,), low=3.0, high=12.0)],
    x=("I_1($x)", lambda g, x: g * i1(x)),
)  # fmt: skip
def i0(x: Value) -> Value:
    """Take the modified Bessel function of the first kind, of order 0. It needs SciPy: the extra ``special``.

    Args:
        x: of any shape.

    Returns:
        1 or more, of the shape and dtype of x.

    >>> i0(Tensor([0.0]))
    Tensor([1.], op=i0)
    """
    return from_scipy("i0", x)


def over_itself(x: Value, above: Value, at_zero: float) -> Value:
    """Return above / x, and its limit where x is 0."""
    is_zero = equal(x, 0)
    return where(is_zero, at_zero, above / where(is_zero, 1, x))


@op(
    "I_1($x)", says="Takes the modified Bessel function of order 1 of $x.",
    samples=[*ANY, sample((4,), low=3.0, high=12.0)],
    x=("I_0($x) - I_1($x)/$x", lambda g, x, out: g * (i0(x) - over_itself(x, out, 0.5))),
)  # fmt: skip
def i1(x: Value) -> Value:
    """Take the modified Bessel function of the first kind, of order 1. It needs SciPy: the extra ``special``.

    Args:
        x: of any shape.

    Returns:
        Of the shape and dtype of x.

    >>> i1(Tensor([0.0]))
    Tensor([0.], op=i1)
    """
    return from_scipy("i1", x)


@op(
    r"-$x\ln $x", says="Multiplies minus $x by its logarithm; 0 at 0.", samples=POSITIVE,
    x=(r"-\ln $x - 1", lambda g, x: -(g * (log(x) + 1))),
)  # fmt: skip
def entr(x: Value) -> Value:
    """Take ``-x log(x)``, and 0 at 0: what an entropy is a sum of. Its derivative at 0 is infinite.

    Args:
        x: of any shape; -inf below 0.

    Returns:
        Of the shape and dtype of x.

    >>> entr(Tensor([0.0, 1.0]))
    Tensor([ 0., -0.], op=entr)
    """
    out = -x * np.log(np.where(x > 0, x, 1.0))
    return np.where(x < 0, -math.inf, np.where(x == 0, 0.0, out)).astype(out.dtype, copy=False)


@op(
    r"$x\ln(1+$y)", says="Multiplies $x by the logarithm of 1 + $y; 0 where $x is 0.",
    samples=[sample((4, 3), (4, 3), low=0.5), sample((4, 1), (3,), low=0.5)],
    x=(r"\ln(1+$y)", lambda g, x, y: g * log1p(where(equal(x, 0), where(greater(y, -1), y, 0), y))),
    y=("$x/(1+$y)", lambda g, x, y: g * (x / (1 + y))),
)  # fmt: skip
def xlog1py(x: Value, y: Value) -> Value:
    """Take ``x log(1 + y)``, and 0 where x is 0, also at y = -1.

    Args:
        x: a number, or an array of any shape.
        y: -1 or more: a number, or an array whose shape broadcasts against that of x.

    Returns:
        x ln(1 + y), of the common shape and dtype, as NumPy finds them; nan where y is nan.

    Raises:
        ValueError: the shapes do not broadcast.

    >>> xlog1py(Tensor([0.0, 2.0]), np.array([-1.0, 0.0]))
    Tensor([0., 0.], op=xlog1py)
    """
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log1p(np.where(x == 0, 0.0, y)))


@implements(method="logit")
@composite
def logit(x: Value, eps: float | None = None) -> Value:
    """Take the inverse of the sigmoid: ``log(x / (1 - x))``.

    Args:
        x: probabilities of any shape.
        eps: x is limited to eps … 1 - eps first, if it is given.

    Returns:
        Of the shape and dtype of x.

    >>> logit(np.array([0.5]))
    array([0.])
    """
    x = x if eps is None else clip(x, eps, 1 - eps)
    return log(x / (1 - x))


@composite
def ndtr(x: Value) -> Value:
    """Take the chance that a normal variable is below x.

    Args:
        x: of any shape.

    Returns:
        Numbers between 0 and 1, of the shape and dtype of x.

    >>> ndtr(np.array([0.0]))
    array([0.5])
    """
    return 0.5 * erfc(x * -math.sqrt(0.5))


@composite
def log_ndtr(x: Value) -> Value:
    """Take the logarithm of `ndtr`; finite down to x = -37.

    Args:
        x: of any shape.

    Returns:
        Numbers below 0, of the shape and dtype of x.

    >>> log_ndtr(np.array([0.0]))
    array([-0.69314718])
    """
    return log(ndtr(x))


expit, lgamma = sigmoid, gammaln
