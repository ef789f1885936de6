"""Numbers that are exact: rationals and their square roots, with exp and log as far as their identities go.

Two formulas that are equal give the same number here, to the last digit, and two that differ do not. exp is taken as a
power of a rational, which has all that makes it an exponential: exp(a + b) = exp(a) exp(b). A logarithm is a number so
large that it can be told from all others in a sum, and exp undoes it. Any other function is a number that belongs to
its name and its argument, of which nothing else is known.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["Exact", "Undecided", "exact_function"]

BASE = Fraction(3, 2)
STEP = 12  # exp of a multiple of 1/12 is exact
FAR = Fraction(2**400)  # the first logarithm; a number of the batch is far smaller
MOST_LOGS = 48


class Undecided(Exception):
    """A function that is not known exactly."""


def for_each(operator: Callable[[Exact, Any], Exact]) -> Callable[[Exact, Any], Exact]:
    """Leave an array to NumPy, which calls the operator for each element."""

    def call(x: Exact, y: Any) -> Exact:
        found: Exact = NotImplemented if isinstance(y, np.ndarray) else operator(x, y)
        return found

    return call


class Exact:
    """A sum of rationals times square roots of whole numbers without square factors.

    Args:
        terms: of each such whole number, the rational; 1 is the number 1.
    """

    __slots__ = ("terms",)
    guessed = False  # whether a function was met of which nothing is known
    logs: list[Exact] = []  # noqa: RUF012 - shared by all: the arguments of the logarithms, in order

    def __init__(self, terms: Mapping[int, Fraction]) -> None:
        self.terms = {d: c for d, c in terms.items() if c}

    @classmethod
    def of(cls, x: Any) -> Exact:
        """Return a number as an exact one."""
        return x if isinstance(x, Exact) else cls({1: Fraction(x)})

    @for_each
    def __add__(self, other: Any) -> Exact:
        terms = dict(self.terms)
        for d, c in Exact.of(other).terms.items():
            terms[d] = terms[d] + c if d in terms else c
        return Exact(terms)

    __radd__ = __add__

    def __neg__(self) -> Exact:
        return Exact({d: -c for d, c in self.terms.items()})

    @for_each
    def __sub__(self, other: Any) -> Exact:
        return self + -Exact.of(other)

    @for_each
    def __rsub__(self, other: Any) -> Exact:
        return Exact.of(other) + -self

    @for_each
    def __mul__(self, other: Any) -> Exact:
        terms: dict[int, Fraction] = {}
        for d, c in self.terms.items():
            for e, b in Exact.of(other).terms.items():
                common = math.gcd(d, e)
                root = d // common * (e // common)
                product = c * b if common == 1 else c * b * common
                terms[root] = terms[root] + product if root in terms else product
        return Exact(terms)

    __rmul__ = __mul__

    def inverse(self) -> Exact:
        """Return 1 over it; a root is taken out of the denominator by what makes its square."""
        roots = [d for d in self.terms if d != 1]
        if not roots:
            return Exact({1: 1 / self.terms.get(1, Fraction(0))})
        prime = smallest_factor(roots[-1])
        other = Exact({d: -c if d % prime == 0 else c for d, c in self.terms.items()})
        return other * (self * other).inverse()

    @for_each
    def __truediv__(self, other: Any) -> Exact:
        return self * Exact.of(other).inverse()

    @for_each
    def __rtruediv__(self, other: Any) -> Exact:
        return Exact.of(other) * self.inverse()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Exact | int | Fraction) and self.terms == Exact.of(other).terms

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __float__(self) -> float:
        return math.fsum(float(c) * math.sqrt(d) for d, c in self.terms.items())

    def __gt__(self, other: Any) -> bool:
        return float(self) > float(other)

    def __lt__(self, other: Any) -> bool:
        return float(self) < float(other)

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __repr__(self) -> str:
        return " + ".join(f"{c}" if d == 1 else f"{c}√{d}" for d, c in self.terms.items()) or "0"

    def rational(self) -> Fraction | None:
        """Return it as a rational; None if a root is left."""
        return self.terms.get(1, Fraction(0)) if self.terms.keys() <= {1} else None

    def sqrt(self) -> Exact:
        """Take the square root."""
        value = self.rational()
        if value is None or value < 0:
            raise Undecided("sqrt")
        whole, free = square_parts(value.numerator * value.denominator)
        return Exact({free: Fraction(whole, value.denominator)})

    def exp(self) -> Exact:
        """Take the exponential, of which only its identities are true."""
        value = self.rational()
        if value is None:
            return free("exp", self)
        found = Exact.of(1)
        for k in reversed(range(len(Exact.logs))):
            times = round(value / FAR ** (k + 1))
            if times:
                value -= times * FAR ** (k + 1)
                for _ in range(abs(times)):
                    found = found * Exact.logs[k] if times > 0 else found / Exact.logs[k]
        steps = value * STEP
        return found * (Exact.of(BASE ** int(steps)) if steps.denominator == 1 else free("exp", Exact.of(value)))

    def log(self) -> Exact:
        """Take the logarithm: exp undoes it."""
        if self not in Exact.logs:
            if len(Exact.logs) == MOST_LOGS:
                raise Undecided("log")
            Exact.logs.append(self)
        return Exact.of(FAR ** (Exact.logs.index(self) + 1))

    def sigmoid(self) -> Exact:
        """Take 1/(1 + exp(-x))."""
        return 1 / (1 + (-self).exp())

    def tanh(self) -> Exact:
        """Take 1 - 2/(1 + exp(2x))."""
        return 1 - 2 / (1 + (2 * self).exp())


@functools.cache
def smallest_factor(n: int) -> int:
    """Return the smallest prime factor of a number above 1."""
    return next((p for p in range(2, math.isqrt(n) + 1) if not n % p), n)


@functools.cache
def square_parts(n: int) -> tuple[int, int]:
    """Return (a, b) with n = a² b, b without a square factor.

    >>> square_parts(72)
    (6, 2)
    """
    whole, free, p = 1, 1, 2
    root = math.isqrt(n)
    if root * root == n:
        return root, 1
    while p * p <= n:
        if p > 10**5:
            raise Undecided("sqrt")
        while not n % (p * p):
            whole, n = whole * p, n // (p * p)
        if not n % p:
            free, n = free * p, n // p
        p += 1
    return whole, free * n


def free(name: str, *args: Any) -> Exact:
    """Return the number that belongs to a function and its arguments."""
    Exact.guessed = True
    digest = hashlib.sha256(repr((name, [sorted(Exact.of(a).terms.items()) for a in args])).encode()).digest()
    return Exact.of(Fraction(int.from_bytes(digest[:4], "big") + 1, 10**9 + 7))


def exact_function(name: str, *args: Any, **params: Any) -> Any:
    """Apply an elementwise function to arrays of exact numbers.

    Raises:
        Undecided: it is not known exactly, as where it compares.
    """
    if name in ("exp", "log", "sqrt", "tanh", "sigmoid"):
        return np.frompyfunc(lambda x: getattr(Exact.of(x), name)(), 1, 1)(args[0])
    choice: Any = CHOICES.get(name)
    if choice:
        return np.frompyfunc(choice, len(args), 1)(*args)
    if params:
        raise Undecided(name)
    return np.frompyfunc(lambda *xs: free(name, *xs), len(args), 1)(*args)


CHOICES = {
    "abs": lambda x: x if x > 0 else -x,
    "sign": lambda x: Exact.of((x > 0) - (x < 0)),
    "relu": lambda x: x if x > 0 else Exact.of(0),
    "greater": lambda x, y: Exact.of(int(x > y)),
    "equal": lambda x, y: Exact.of(int(x == y)),
    "maximum": lambda x, y: x if x > y else y,
    "minimum": lambda x, y: x if x < y else y,
    "where": lambda condition, x, y: x if condition else y,
}
