"""Expressions as sums of products. Equal expressions are one object, so that a dict finds what is there twice.

Subtraction, negation, division, squares and means vanish into these six kinds:

===========  ==========================================  ==========================================================
kind         parts                                       means
===========  ==========================================  ==========================================================
leaf         (key, name)                                 an array that is given; ``key`` tells it from all others
number       (value,)                                    a Fraction: 1e-5 is 1/100000, so equal numbers are equal
product      (coefficient, ((form, power), …))           powers are whole numbers and not 0
sum          (((form, coefficient), …),)                 a number among the terms is (ONE, value)
function     (name, (form, …), ((param, value), …))      elementwise: exp, sqrt, where, …
reduction    (name, form, axes)                          "sum", "max", "min", "logsumexp"; "first" is the first value
===========  ==========================================  ==========================================================
"""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

__all__ = ["NOWHERE", "Applied", "Form", "Former", "behind", "factors_of", "terms_of"]

NOWHERE: frozenset[int] = frozenset()
Axes = frozenset[int]


class Form:
    """An expression. `Former` makes it; two that are equal are one object.

    Attributes:
        kind: "leaf", "number", "product", "sum", "function" or "reduction".
        parts: what it is made of; the table above has them.
        axes: the loops that it varies along.
        stage: the number of reductions on the longest way to it: what is known after so many sweeps.
        id: its place among all that the former has made; what it is made of has smaller ones.
        unit: the loops along which it is one-hot: 1 in one place, else 0.
        inputs: the forms that it is made of, in order.
    """

    __slots__ = ("axes", "id", "inputs", "kind", "parts", "stage", "unit")

    def __init__(self, kind: str, parts: tuple[Any, ...], axes: Axes, stage: int, number: int) -> None:
        self.kind, self.parts, self.axes, self.stage, self.id = kind, parts, axes, stage, number
        self.unit: Axes = NOWHERE
        self.inputs: tuple[Form, ...] = ()
        if kind == "product":
            self.inputs = tuple(form for form, _ in parts[1])
        elif kind == "sum":
            self.inputs = tuple(form for form, _ in parts[0])
        elif kind == "function":
            self.inputs = tuple(parts[1])
        elif kind == "reduction":
            self.inputs = (parts[1],)

    @property
    def value(self) -> Fraction | None:
        """The value of a number; None of anything else."""
        return self.parts[0] if self.kind == "number" else None

    def __repr__(self) -> str:
        return f"<Form {self.id}: {self}>"

    def __str__(self) -> str:
        parts = self.parts
        if self.kind in ("leaf", "number"):
            return str(parts[self.kind == "leaf"])
        if self.kind == "product":
            factors = [inner(factor) + (f"^{p}" if p != 1 else "") for factor, p in parts[1]]
            return "·".join([*([] if parts[0] == 1 else [str(parts[0])]), *factors])
        if self.kind == "sum":
            return " + ".join(inner(term) if c == 1 else f"{c}·{inner(term)}" for term, c in parts[0])
        if self.kind == "function":
            return f"{parts[0]}({', '.join(map(str, parts[1]))})"
        return f"{parts[0]}{sorted(parts[2])}[{parts[1]}]"


def inner(form: Form) -> str:
    """Write a form as part of another."""
    return f"({form})" if form.kind == "sum" else str(form)


class Applied(NamedTuple):
    """A rule that was applied.

    Attributes:
        rule: its letter.
        before: what stood there.
        after: what stands there now.
        node: id of the node of the graph that was being lifted; None outside of `lift`.
    """

    rule: str
    before: Form
    after: Form
    node: int | None


def factors_of(form: Form) -> tuple[Fraction, dict[Form, int]]:
    """Take an expression as a product: return its coefficient and the power of each factor."""
    if form.kind == "number":
        return form.parts[0], {}
    if form.kind == "product":
        return form.parts[0], dict(form.parts[1])
    return Fraction(1), {form: 1}


def terms_of(form: Form) -> dict[Form, Fraction]:
    """Take an expression as a sum: return the coefficient of each term."""
    return dict(form.parts[0]) if form.kind == "sum" else {form: Fraction(1)}


def behind(forms: Iterable[Form], stop: Collection[Form] = ()) -> list[Form]:
    """Return some forms and all that they are made of, what is needed first; nothing behind those in ``stop``."""
    found: set[Form] = set()
    stack = list(forms)
    while stack:
        form = stack.pop()
        if form not in found:
            found.add(form)
            stack += () if form in stop else form.inputs
    return sorted(found, key=operator.attrgetter("id"))


class Former:
    """Makes forms, each once, and applies the rules where it does.

    Args:
        lengths: of each loop, how often it runs.
        rules: those that hold, from `rules.RULES`, the first that fits first.
        pool: forms of another former, to go on with: then equal forms are the same objects for both.
    """

    def __init__(
        self, lengths: Mapping[int, int], rules: Iterable[Any] = (), pool: dict[Hashable, Form] | None = None
    ) -> None:
        self.lengths = lengths
        self.pool: dict[Hashable, Form] = {} if pool is None else pool
        self.rules_of: dict[str, list[Any]] = {}
        for rule in rules:
            self.rules_of.setdefault(rule.of, []).append(rule)
        self.resting = ""  # letters of rules that do not hold for the moment
        self.log: list[Applied] = []
        self.node: int | None = None  # what is being lifted
        self.makers: dict[Form, set[int | None]] = {}  # of each reduction, the nodes that compute it
        self.one = self.number(1)
        self.zero = self.number(0)

    factors_of, terms_of = staticmethod(factors_of), staticmethod(terms_of)  # what rules ask a maker for

    # Making, without a rule.

    def make(self, kind: str, parts: tuple[Any, ...], axes: Axes, stage: int) -> Form:
        """Return the form of these parts: the one that there is, or a new one."""
        key = (kind, *parts)
        found = self.pool.get(key)
        if found is None:
            found = self.pool[key] = Form(kind, parts, axes, stage, len(self.pool))
        return found

    def number(self, value: Any) -> Form:
        """Return a number: an int, a Fraction, or a finite float, which is taken as the decimal that it prints as."""
        exact = value if isinstance(value, int | Fraction) else Fraction(repr(float(value)))
        return self.make("number", (Fraction(exact),), NOWHERE, 0)

    def leaf(self, key: Hashable, name: str, axes: Iterable[int] = (), unit: Iterable[int] = ()) -> Form:
        """Return an array that is given.

        Args:
            key: tells it from all others, as the id of its node does.
            name: what it is called.
            axes: the loops that it varies along.
            unit: those along which it is one-hot.
        """
        form = self.make("leaf", (key, name), frozenset(axes), 0)
        form.unit = frozenset(unit)
        return form

    def product(self, *forms: Form) -> Form:
        """Multiply."""
        coefficient, powers = Fraction(1), dict[Form, int]()
        for form in forms:
            c, factors = factors_of(form)
            coefficient *= c
            for factor, p in factors.items():
                powers[factor] = powers.get(factor, 0) + p
        return self.product_of(coefficient, powers)

    def product_of(self, coefficient: Fraction, powers: Mapping[Form, int]) -> Form:
        """Return a coefficient times powers of factors."""
        left = {form: 1 if form.unit and p > 0 else p for form, p in self.join_roots(powers).items() if p}
        if not left or not coefficient:
            return self.number(coefficient)
        ordered = tuple(sorted(left.items(), key=lambda item: item[0].id))
        if coefficient == 1 and len(ordered) == 1 and ordered[0][1] == 1:
            return ordered[0][0]
        found = self.make(
            "product", (coefficient, ordered), union(form.axes for form in left), max(form.stage for form in left)
        )
        return self.by_rule("product", found) or found

    def join_roots(self, powers: Mapping[Form, int]) -> Mapping[Form, int]:
        """Write u beside its root as a power of the root: √u √u = u, whichever way round it came."""
        roots = [form for form in powers if form.kind == "function" and form.parts[0] == "sqrt"]
        for root in roots:
            inside = root.parts[1][0]
            if inside in powers:
                powers = {f: p + 2 * powers[inside] if f is root else p for f, p in powers.items() if f is not inside}
        return powers

    def power(self, form: Form, p: int) -> Form:
        """Raise to a whole power. 0 to a negative one is a leaf that nothing is known of."""
        coefficient, factors = factors_of(form)
        if not coefficient and p < 0:
            return self.make("function", ("power", (form,), (("exponent", p),)), NOWHERE, 0)
        return self.product_of(coefficient**p, {factor: q * p for factor, q in factors.items()})

    def scaled(self, coefficient: Fraction | int, form: Form) -> Form:
        """Multiply by a number."""
        c, factors = factors_of(form)
        return self.product_of(c * coefficient, factors)

    def total(self, *forms: Form) -> Form:
        """Add."""
        return self.total_of((form, Fraction(1)) for form in forms)

    def total_of(self, terms: Iterable[tuple[Form, Fraction | int]]) -> Form:
        """Add terms, each times a coefficient."""
        found: dict[Form, Fraction] = {}
        for form, c in terms:
            for term, d in self.flat(form, Fraction(c)):
                found[term] = found.get(term, Fraction(0)) + d
        left = sorted(((term, c) for term, c in found.items() if c), key=lambda item: item[0].id)
        if not left:
            return self.zero
        if len(left) == 1:
            return self.scaled(left[0][1], left[0][0])
        if left[0][1] < 0:  # so that a - b and b - a are one form, but for the sign
            return self.scaled(-1, self.sum_of([(term, -c) for term, c in left]))
        return self.sum_of(left)

    def flat(self, form: Form, c: Fraction) -> Iterator[tuple[Form, Fraction]]:
        """Yield the terms of a form times a number; a sum times a number is a sum."""
        coefficient, factors = factors_of(form)
        if len(factors) == 1:
            ((only, p),) = factors.items()
            if p == 1 and only.kind == "sum":
                yield from ((term, d * c * coefficient) for term, d in only.parts[0])
                return
        yield (self.product_of(Fraction(1), factors) if factors else self.one), c * coefficient

    def sum_of(self, terms: Collection[tuple[Form, Fraction]]) -> Form:
        """Return the sum of terms that are in order."""
        return self.make(
            "sum", (tuple(terms),), union(form.axes for form, _ in terms), max(form.stage for form, _ in terms)
        )

    # Making, with the rules.

    def function(self, name: str, *args: Form, **params: Any) -> Form:
        """Apply an elementwise function."""
        known = self.identity(name, args)
        if known is not None:
            return known
        found = self.plain_function(name, args, params)
        return self.by_rule(name, found) or found

    def plain_function(self, name: str, args: tuple[Form, ...], params: Mapping[str, Any]) -> Form:
        """Return a function of forms as it stands."""
        parts = (name, args, tuple(sorted(params.items())))
        return self.make(
            "function", parts, union(form.axes for form in args), max((form.stage for form in args), default=0)
        )

    def identity(self, name: str, args: tuple[Form, ...]) -> Form | None:
        """Return what a function is by what is known of it: exp and log undo each other, √ of a square that is seen."""
        inside = args[0] if args else None
        if inside is None or name not in ("exp", "log", "sqrt"):
            return None
        if inside.value in (0, 1):
            return {("exp", 0): self.one, ("log", 1): self.zero, ("sqrt", 0): self.zero, ("sqrt", 1): self.one}.get(
                (name, int(inside.value or 0))
            )
        if name == "log" and inside.kind == "function" and inside.parts[0] == "exp":
            return inside.inputs[0]
        if name == "exp":
            return self.exponential_of_logs(inside)
        return None

    def exponential_of_logs(self, inside: Form) -> Form | None:
        """Return exp(c log u) as u^c; None where there is more in it than logarithms."""
        terms = terms_of(inside) if inside.kind == "sum" else dict([self.scaled_term(inside)])
        logs = {t: c for t, c in terms.items() if is_function(t, "log") and c.denominator == 1}
        if len(logs) < len(terms):
            return None
        return self.product(*(self.power(t.parts[1][0], int(c)) for t, c in logs.items()))

    def scaled_term(self, form: Form) -> tuple[Form, Fraction]:
        """Take a form as a term: return it without its coefficient, and that."""
        coefficient, factors = factors_of(form)
        return (self.product_of(Fraction(1), factors) if factors else self.one), coefficient

    def reduce(self, name: str, form: Form, axes: Iterable[int]) -> Form:
        """Reduce over some loops, by the rules.

        Args:
            name: "sum", "max", "min", "logsumexp" or "first".
            form: what is reduced.
            axes: over which loops.
        """
        over = frozenset(axes)
        if name not in ("sum", "logsumexp"):
            over &= form.axes  # the largest of equal numbers is the number
        if not over:
            return form
        found = self.plain_reduction(name, form, over)
        return self.by_rule(name, found) or found

    def plain_reduction(self, name: str, form: Form, axes: Axes) -> Form:
        """Return a reduction as it stands."""
        stage = form.stage + {"first": 0, "logsumexp": 2}.get(name, 1)  # its maximum comes first
        found = self.make("reduction", (name, form, axes), form.axes - axes, stage)
        if not self.resting:
            self.makers.setdefault(found, set()).add(self.node)
        return found

    def by_rule(self, name: str, form: Form) -> Form | None:
        """Return what the first rule that fits makes of a reduction or a function; None where none does."""
        for rule in self.rules_of.get(name, ()):
            if rule.letter not in self.resting:
                after: Form | None = rule.apply(self, form)
                if after is not None and after is not form:
                    self.log.append(Applied(rule.letter, form, after, self.node))
                    return after
        return None

    def count(self, axes: Iterable[int]) -> int:
        """Return how many elements some loops run over."""
        return math.prod(self.lengths[a] for a in axes)


def is_function(form: Form, name: str) -> bool:
    """Whether a form is a function of this name."""
    return form.kind == "function" and form.parts[0] == name


def union(sets: Iterable[Axes]) -> Axes:
    """Return all that is in some sets."""
    return frozenset().union(*sets)
