"""Expressions over loops, and the rules about Σ that make them smaller.

Every expression is made once, by `Algebra`, and simplified as it is made. An expression knows the loops that it varies
along. What holds for any sum are the rules of `tinygraph.sums.rules`; here is what a kernel needs beside them:

- what does not vary is multiplied together, and turned over once, before it meets what does;
- a sum of squares is multiplied out (`multiplied_out`) where that saves a sweep, and only about a pivot: x is taken
  less a number that lies among its values, because E[x²] - E[x]² loses all digits far from 0.

The form keeps products and sums of two, in the order in which they were written: that is the order of rounding.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from tinygraph.compiler.loops import Axes, Loop, flat
from tinygraph.compiler.values import REDUCTIONS, VIEWS, Value
from tinygraph.sums.rules import OF_ANY

Loops = frozenset[Loop]
NONE: Loops = frozenset()
TRUTHS = ("greater", "equal", "less", "finite")  # what is true or false
TERMS = 8  # more than so many sums are not worth a sweep


class Expression:
    """An op of ``args``. A reduction has the loops that it goes ``over``.

    ``info`` is the number of a "const"; the array of an "in", and its loops in the order of memory; of a "pivot" also
    the loops along which a value is chosen; of an "iota" the loop that it counts.
    """

    __slots__ = ("args", "axes", "id", "info", "name", "op", "over")

    op: str
    args: tuple[Expression, ...]
    over: Loops
    axes: Loops
    info: Any
    id: int
    name: str

    @property
    def parts(self) -> tuple[str, Expression, Loops]:
        """A reduction as rules take it: its op, what is reduced, and over which loops."""
        return self.op, self.args[0], self.over


class Algebra:
    """Makes every expression once, and simplified.

    Args:
        length: of each loop.
        sets: the loops of values; what has as many as none other is small, and in float64.
    """

    def __init__(self, length: dict[Loop, int], sets: Iterable[Loops] = ()) -> None:
        self.length, self.made = length, dict[Any, Expression]()
        self.largest = largest(sets)
        self.zero = self.const(0)

    def const(self, value: float) -> Expression:
        """Return a number."""
        return self("const", info=float(value))

    def count(self, loops: Iterable[Loop]) -> int:
        """Return how often loops run in all."""
        return math.prod(self.length[a] for a in loops)

    def __call__(self, op: str, *args: Expression, over: Loops = NONE, info: Any = None) -> Expression:
        """Return an expression, simplified."""
        if op in ("sum", "max", "min"):
            found = self.reduction(op, args[0], over)
        elif op in ("add", "sub", "mul", "div"):
            found = self.arithmetic(op, *args)
            args = args if op in ("sub", "div") else tuple(sorted(args, key=lambda a: a.id))
        elif op == "neg":
            found = self.negated(args[0])
        else:
            found = None
        return found or self.make(op, args, over, info)

    def make(self, op: str, args: tuple[Expression, ...], over: Loops, info: Any) -> Expression:
        """Return an expression as it is, made once."""
        key = op, args, over, info, math.copysign(1, info) if op == "const" else 0
        if key not in self.made:
            self.made[key] = e = Expression()
            e.op, e.args, e.over, e.info, e.id, e.name = op, args, over, info, len(self.made), ""
            own: Iterable[Loop] = ()
            if op == "in":
                own = info[1]
            elif op == "pivot":
                own = set(info[1]) - info[2]
            elif op == "iota":
                own = (info,)
            e.axes = frozenset(own).union(*(a.axes for a in args)) - over
        return self.made[key]

    def negated(self, x: Expression) -> Expression | None:
        """Return -x, if that is something simpler."""
        if x.op == "const":
            return self.const(-x.info)
        return x.args[0] if x.op == "neg" else None

    def arithmetic(self, op: str, x: Expression, y: Expression) -> Expression | None:
        """Return what a sum, a difference, a product or a quotient comes to, if that is something simpler."""
        a, b = (e.info if e.op == "const" else None for e in (x, y))
        if a is not None and b is not None:
            with_zero = math.nan if op == "div" and not b else b
            return self.const(
                {"add": a + b, "sub": a - b, "mul": a * b, "div": a / with_zero if with_zero else math.nan}[op]
            )
        if b == (op in ("mul", "div")):
            return x
        if a == (op == "mul") and op in ("add", "mul"):
            return y
        if op in ("add", "sub") and y.op == "neg":
            return self("sub" if op == "add" else "add", x, y.args[0])
        if op == "mul" and "neg" in (x.op, y.op):
            x, y = (x, y) if x.op == "neg" else (y, x)
            return self("neg", self("mul", x.args[0], y))
        if op == "div" and y.op != "const" and y.axes not in self.largest:
            return self.turned_over(x, y)
        return self.gathered(x, y) if op == "mul" else None

    def turned_over(self, x: Expression, y: Expression) -> Expression | None:
        """Divide by what does not vary along all loops: multiply by what it is turned over, which is made once."""
        numbers = [a for a in y.args if a.op == "const"] if y.op == "mul" else []
        if numbers and numbers[0].info:  # 1 / 2σ is ½ (1 / σ)
            rest = next(a for a in y.args if a is not numbers[0])
            return self("div", self("mul", x, self.const(1 / numbers[0].info)), rest)
        return None if x is self.const(1) else self("mul", x, self("div", self.const(1), y))

    def gathered(self, x: Expression, y: Expression) -> Expression | None:
        """Multiply what does not vary into another such factor."""
        small, large = sorted((x, y), key=lambda e: len(e.axes))
        if large.op == "mul" and small.axes < large.axes:
            a, b = sorted(large.args, key=lambda e: len(e.axes))
            if a.axes < large.axes and (a.axes <= small.axes or small.axes <= a.axes):
                return self("mul", b, self("mul", a, small))
        return None

    def reduction(self, op: str, x: Expression, over: Loops) -> Expression | None:
        """Return what a reduction comes to by the rules of `tinygraph.sums`, if that is something simpler."""
        if op != "sum":  # the largest of equal numbers is the number
            return None if over and over <= x.axes else self.reduce(op, x, over & x.axes)
        if not over:
            return x
        form = self.plain_reduction(op, x, over)
        for rule in OF_ANY:
            if (found := rule(self, form)) is not None:
                return cast(Expression, found)
        ordered = self.product_of(*self.factors_of(x))
        return None if ordered is x else self.reduce(op, ordered, over)

    # What the rules ask for. A coefficient is a float here, and a product is made of two.

    def factors_of(self, e: Expression) -> tuple[float, dict[Expression, int]]:
        """Take an expression as a product: return its coefficient and the power of each factor."""
        coefficient, powers, stack = 1.0, dict[Expression, int](), [e]
        while stack:
            x = stack.pop()
            if x.op in ("mul", "neg"):
                coefficient *= -1 if x.op == "neg" else 1
                stack += x.args[::-1]
            elif x.op == "const":
                coefficient *= x.info
            else:
                powers[x] = powers.get(x, 0) + 1
        return coefficient, powers

    def terms_of(self, e: Expression) -> dict[Expression, int]:
        """Take an expression as a sum: return the sign of each term."""
        if e.op not in ("add", "sub") or e.args[0] is e.args[1]:
            return {e: 1}
        return {e.args[0]: 1, e.args[1]: -1 if e.op == "sub" else 1}

    def product_of(self, coefficient: float, powers: Mapping[Expression, int]) -> Expression:
        """Return a coefficient times powers of factors, what varies least first."""
        ordered = sorted(powers, key=lambda e: (len(e.axes), e.id))
        return self.product(self.const(coefficient), *(e for e in ordered for _ in range(powers[e])))

    def product(self, *factors: Expression) -> Expression:
        """Multiply."""
        return functools.reduce(lambda a, b: self("mul", a, b), factors)

    def scaled(self, coefficient: float, e: Expression) -> Expression:
        """Multiply by a number."""
        return self("mul", e, self.const(coefficient))

    def total_of(self, terms: Iterable[tuple[Expression, float]]) -> Expression:
        """Add terms, each times a coefficient; -1 takes off."""
        whole = self.zero
        for e, c in terms:
            whole = self("sub", whole, e) if c == -1 else self("add", whole, self.scaled(c, e))
        return whole

    def reduce(self, op: str, e: Expression, over: Loops) -> Expression:
        """Reduce over some loops, by the rules."""
        return self(op, e, over=over) if over else e

    def plain_reduction(self, op: str, e: Expression, over: Loops) -> Expression:
        """Return a reduction as it stands."""
        return self.make(op, (e,), over, None)

    # From values.

    def of(self, root: Value, axes: Axes, memo: dict[Value, Expression]) -> Expression:
        """Return a value as an expression."""
        pending = [root]
        while pending:
            v = pending[-1]
            missing = [a for a in v.args if a not in memo] if v.is_fusible else []
            if v in memo or not missing:
                if v not in memo:
                    memo[v] = e = self.translated(v, [memo[a] for a in v.args] if v.is_fusible else [], axes)
                    e.name = e.name or v.name
                pending.pop()
            else:
                pending += missing
        return memo[root]

    def translated(self, v: Value, args: list[Expression], axes: Axes) -> Expression:
        """Return a value, whose operands are expressions, as an expression."""
        if v.op == "const":
            return self.const(v.facts["value"])
        if v.is_array:
            return self("in", info=(v, flat(axes[v])))
        if v.op in VIEWS:
            return args[0]
        if v.op in ("pick", "put"):
            return self.chosen(v, args, axes)
        if v.op in REDUCTIONS:
            return self.reduced(v, args[0], frozenset(a for i in v.facts["axes"] for a in axes[v.args[0]][i] or ()))
        if v.op == "square" or (v.op == "power" and args[1].op == "const" and args[1].info == 2.0):
            return self("mul", args[0], args[0])
        if v.op == "power" and args[1].op == "const" and args[1].info == 0.5:
            return self("sqrt", args[0])
        if v.op == "power" and args[1].op == "const" and args[1].info == 1.0:
            return args[0]
        if v.op == "astype":
            return self("where", args[0], self.const(1), self.const(0)) if v.args[0].dtype.kind == "b" else args[0]
        return self(v.op, *args)

    def reduced(self, v: Value, x: Expression, over: Loops) -> Expression:
        """Return a reduction; a logarithm of summed exponentials takes the largest off first."""
        if v.op == "logsumexp":
            top = self("max", x, over=over)
            top = self("where", self("finite", top), top, self.const(0))
            return self("add", self("log", self("sum", self("exp", self("sub", x, top)), over=over)), top)
        found = self(v.op if v.op in ("max", "min") else "sum", x, over=over)
        return self("mul", found, self.const(1 / self.count(over))) if v.op == "mean" else found

    def chosen(self, v: Value, args: list[Expression], axes: Axes) -> Expression:
        """Return an index with a label for each example, as a sum over all classes of which one counts."""
        whole, labels = v.args[0] if v.op == "pick" else v, args[1]
        loops = axes[whole][v.facts["at"]] or ()
        if not loops:  # one class
            return args[0]
        place = functools.reduce(
            lambda a, b: self("add", a, b),
            [self("mul", self("iota", info=a), self.const(self.count(loops[i + 1 :]))) for i, a in enumerate(loops)],
        )
        wrapped = self(
            "where", self("less", labels, self.const(0)), self("add", labels, self.const(self.count(loops))), labels
        )
        chosen = self("where", self("equal", place, wrapped), args[0], self.const(0))
        return self("sum", chosen, over=frozenset(loops)) if v.op == "pick" else chosen

    def swapped(
        self, root: Expression, swap: dict[Expression, Expression], memo: dict[Expression, Expression]
    ) -> Expression:
        """Return an expression with some parts swapped for others."""
        for e in below([root], memo):
            if e in swap or not e.args:
                memo[e] = swap.get(e, e)
            else:
                memo[e] = new = self(e.op, *(memo[a] for a in e.args), over=e.over, info=e.info)
                new.name = new.name or e.name
        return memo[root]


def largest(sets: Iterable[Loops]) -> set[Loops]:
    """Return the sets that are part of no other."""
    every = set(sets)
    return {a for a in every if not any(a < b for b in every)}


Node = TypeVar("Node", Expression, Value)


def below(roots: Iterable[Node], done: Iterable[Node] = ()) -> list[Node]:
    """Return all that expressions or values are made of, operands first; what is in ``done`` is left out."""
    order: dict[Node, None] = {}
    pending = list(roots)[::-1]
    while pending:
        e = pending[-1]
        missing = [] if e in order or e in done else [a for a in e.args if a not in order and a not in done]
        if missing:
            pending += missing[::-1]
        else:
            pending.pop()
            if e not in done:
                order.setdefault(e)
    return list(order)


def about_pivot(algebra: Algebra, e: Expression, over: Loops) -> tuple[Expression, Expression] | None:
    """Take x + b - μ, of an input x and what does not vary, as x - p and p + b - μ; None of anything else."""
    if e.op == "in" and e.axes & over:
        pivot = algebra("pivot", info=(*e.info, over))
        return algebra("sub", e, pivot), pivot
    for x, other in itertools.permutations(e.args) if e.op in ("add", "sub") else ():
        if (e.op == "add" or x is e.args[0]) and not other.axes & over and (found := about_pivot(algebra, x, over)):
            return found[0], algebra(e.op, found[1], other)
    return None


def multiplied_out(algebra: Algebra, clock: Callable[[Expression], Any], r: Expression) -> Expression | None:
    """Return a sum of what is known late as sums of what is known earlier; None where it is no polynomial of that.

    (x - μ)² becomes (x - p)² + 2 (x - p) (p - μ) + (p - μ)², whose first two factors need no μ. What has no pivot is
    not multiplied: (x w - μ)² stays, because Σ (x w)² loses all digits far from 0.
    """
    late = clock(r.args[0])
    one = algebra.const(1)

    def times(m: Expression | None, n: Expression | None) -> Expression | None:
        return n if m is None else m if n is None else algebra("mul", m, n)

    def terms(e: Expression) -> list[tuple[Expression, Expression | None]] | None:
        """Return pairs of a factor that does not vary, and the rest; None where there are too many, or none."""
        if not e.axes & r.over:
            return [(e, None)]
        if clock(e) < late:
            return [(one, e)]
        if found := about_pivot(algebra, e, r.over):
            return [(one, found[0]), (found[1], None)]
        if e.op not in ("neg", "add", "sub", "mul"):
            return None
        is_product = e.op == "mul" and all(a.axes & r.over for a in e.args)
        if is_product and not all(clock(a) < late or about_pivot(algebra, a, r.over) for a in e.args):
            return None
        sides = [terms(a) for a in e.args]
        if None in sides or sum(map(len, sides)) > TERMS:  # type: ignore[arg-type]
            return None
        if e.op == "mul":
            return [(algebra("mul", c, d), times(m, n)) for c, m in sides[0] or () for d, n in sides[1] or ()]
        last = sides[-1] or []
        if e.op in ("neg", "sub"):
            last = [(algebra("neg", c), m) for c, m in last]
        return last if e.op == "neg" else [*(sides[0] or []), *last]

    found = terms(r.args[0])
    if found is None or len(found) > TERMS or r.op != "sum":
        return None

    def total(m: Expression | None) -> Expression:
        return algebra.const(algebra.count(r.over)) if m is None else algebra("sum", m, over=r.over)

    return functools.reduce(lambda a, b: algebra("add", a, b), [algebra("mul", c, total(m)) for c, m in found])


def about_maxima(algebra: Algebra, order: Iterable[Expression]) -> dict[Expression, Expression]:
    """Return exponentials that add up to 1, as softmax has them, as quotients: the sum has their numerators already.

    exp(a - (m + log Σ exp(a - m))) = exp(a - m) / Σ exp(a - m).
    """
    found = {}
    for e in order:
        if e.op != "exp" or e.args[0].op != "sub" or e.args[0].args[1].op != "add":
            continue
        a, total = e.args[0].args
        for m, log in itertools.permutations(total.args):
            above = algebra("exp", algebra("sub", a, m))
            if log.op == "log" and log.args[0] is algebra.reduce("sum", above, log.args[0].over):
                found[e] = algebra("div", above, log.args[0])
    return found


def about_means(algebra: Algebra, order: Iterable[Expression]) -> dict[Expression, Expression]:
    """Return sums of products with x - μ as sums with x - h, h being μ to the digits of x.

    x - h takes one step, and x - μ two. What x cannot hold of μ is taken off the sum instead, if Σ f is there anyway:
    Σ f (x - μ) = Σ f (x - h) - (μ - h) Σ f.
    """
    found, sums = {}, {r: algebra.factors_of(r.args[0]) for r in order if r.op == "sum"}
    for r, (coefficient, factors) in sums.items():
        for d in factors:
            if d.op != "sub" or d.args[0].op != "in" or d.axes not in algebra.largest or d.args[1].axes & r.over:
                continue
            x, mean = d.args
            f = algebra.product_of(coefficient, {e: n - (e is d) for e, n in factors.items()})
            if mean.op in ("in", "const", "high", "pivot") or (total := algebra("sum", f, over=r.over)) not in sums:
                continue
            near = algebra("sub", x, algebra("high", mean))
            about = algebra("sum", algebra("mul", f, near), over=r.over)
            found[r] = algebra("sub", about, algebra("mul", algebra("low", mean), total))
    return found


def about_pivots(algebra: Algebra, order: Sequence[Expression]) -> dict[Expression, Expression]:
    """Return sums of inputs that have a pivot as sums about it: Σ (x + b) = Σ (x - p) + n (p + b)."""
    pivots, replaced = {e for e in order if e.op == "pivot"}, {}
    for r in order:
        found = about_pivot(algebra, r.args[0], r.over) if r.op == "sum" else None
        if found and found[0].args[1] in pivots and found[0] is not r.args[0]:
            rest = algebra("mul", found[1], algebra.const(algebra.count(r.over)))
            replaced[r] = algebra("add", algebra("sum", found[0], over=r.over), rest)
    return replaced
