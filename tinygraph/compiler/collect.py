"""Collect what does not vary: γ (x - μ) / σ + β is (x - h) a + b, with two numbers for each channel.

They are made once, in float64. h is μ to the digits of x, and what x cannot hold of μ goes into b. A product is never
multiplied out over x - μ: that difference is what has digits.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from tinygraph.compiler.algebra import TRUTHS, Algebra, Expression, Loops, below


class Terms(NamedTuple):
    """A full expression as a sum: full expressions, each with its coefficient, and a rest; those are small."""

    factors: dict[Expression, Expression]
    rest: Expression

    @property
    def is_plain(self) -> bool:
        """Whether only numbers stand before the full expressions: then there is nothing to collect."""
        return all(c.op == "const" for c in self.factors.values())


class Collector:
    """Collects what does not vary in expressions that vary along all of some loops."""

    def __init__(self, algebra: Algebra, loops: Loops) -> None:
        self.algebra, self.loops = algebra, loops
        self.memo = dict[Expression, Terms]()
        self.known = dict[Expression, Expression]()  # each full expression, collected

    def __call__(self, root: Expression) -> Expression:
        """Return an expression, collected."""
        for e in below([root]):
            if e.axes == self.loops and e not in self.memo:
                self.memo[e] = found = self.terms(e)
                self.known[e] = self.as_it_is(e) if found.is_plain else self.added(found)
        return self.known.get(root, root)

    def as_it_is(self, e: Expression) -> Expression:
        """Return an expression whose operands are collected; what is compared has to stay the same to the last bit."""
        if e.op in TRUTHS:
            return e
        args = (self.known.get(a, a) for a in e.args)
        return self.algebra(e.op, *args, over=e.over, info=e.info) if e.args else e

    def added(self, found: Terms) -> Expression:
        """Return terms as one expression."""
        a = self.algebra
        whole = functools.reduce(lambda x, y: a("add", x, y), (a("mul", x, c) for x, c in found.factors.items()))
        exact = found.rest.op in ("in", "const")  # has no more digits than a full value
        return a("add", whole, found.rest if exact else a("high", found.rest))

    def terms(self, e: Expression) -> Terms:
        """Return the terms of an expression; those of its operands are known."""
        a, (x, y) = self.algebra, (*e.args, *e.args)[:2] if e.args else (e, e)
        minus = a.const(-1)
        if e.op == "neg":
            return self.scaled(minus, self.memo[x])
        if e.op == "mul" and (x in self.memo) != (y in self.memo):
            small, full = (y, x) if x in self.memo else (x, y)
            found = self.memo[full]
            if all((small.axes | c.axes) < self.loops for c in (*found.factors.values(), found.rest)):
                return self.scaled(small, found)
        if e.op in ("add", "sub") and e.axes == x.axes == y.axes:
            left, right = self.side(x), self.side(y)
            if not (left.is_plain and right.is_plain):
                return self.total(left, self.scaled(minus, right) if e.op == "sub" else right)
        elif e.op in ("add", "sub") and x in self.memo:
            return self.shifted(e.op, x, y)
        elif e.op in ("add", "sub") and y in self.memo:
            found = self.shifted(e.op, y, x)
            return self.scaled(minus, found) if e.op == "sub" else found
        return Terms({self.as_it_is(e): a.const(1)}, a.const(0))

    def shifted(self, op: str, full: Expression, small: Expression) -> Terms:
        """Return the terms of a full value and a small one that is added, or taken off."""
        a, found = self.algebra, self.memo[full]
        sign = a.const(-1 if op == "sub" else 1)
        if not found.is_plain:
            return self.total(found, Terms({}, a("mul", sign, small)))
        if small.op in ("in", "const"):
            return Terms({a(op, self.known[full], small): a.const(1)}, a.const(0))
        near = a(op, self.known[full], a("high", small))
        return Terms({near: a.const(1)}, a("mul", sign, a("low", small)))

    def side(self, e: Expression) -> Terms:
        """Return the terms of an operand; what is plain stays whole, with both parts of what is taken off it."""
        found = self.memo[e]
        return Terms({self.known[e]: self.algebra.const(1)}, self.algebra.const(0)) if found.is_plain else found

    def scaled(self, c: Expression, found: Terms) -> Terms:
        """Return terms times what is small."""
        a = self.algebra
        rest = a.zero if found.rest.info == 0 else a("mul", c, found.rest)
        return Terms({x: a("mul", c, d) for x, d in found.factors.items()}, rest)

    def total(self, x: Terms, y: Terms) -> Terms:
        """Return the sum of terms."""
        a, factors = self.algebra, dict(x.factors)
        for e, c in y.factors.items():
            factors[e] = a("add", factors[e], c) if e in factors else c
        return Terms(factors, a("add", x.rest, y.rest))
