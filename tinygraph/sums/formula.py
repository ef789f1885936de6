"""Forms as a person writes them: with the names of the values, with means, and what is common in front of a bracket.

A formula is again a `Form`. Its leaves are names: x̂ stands where x_c/σ would, also where its x_c is inside of a Σ and
its σ outside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from tinygraph.graph.data import Graph
from tinygraph.sums.form import Form, Former, behind, factors_of, terms_of
from tinygraph.sums.lift import Lifted

__all__ = ["Page", "Quotient", "names_of"]

LETTERS = {"sqrt": "r", "sigmoid": "s", "exp": "p"}  # of functions that nobody has named
WHOLE = 1000  # the largest number that is put into a bracket to have a small one in front of it


class Quotient(NamedTuple):
    """A named product with a denominator, such as x̂ = x_c/σ.

    Attributes:
        factors: the power of each factor.
        coefficient: the number in front.
        leaf: its name.
        form: what it is.
    """

    factors: dict[Form, int]
    coefficient: Fraction
    leaf: Form
    form: Form


def names_of(graph: Graph) -> dict[int, str]:
    """Return the names of the values of the way forward; of an output without one it is y."""
    named = {n.id: n.name for n in graph.nodes if n.op and n.name and n.derives is None and not n.name.startswith("∂")}
    of = {value for i in graph.outputs for value, _ in graph.nodes[i].gradient_of}
    tops = {e.source for n in graph.nodes for e in n.inputs}
    forward = [n for n in graph.nodes if n.derives is None and n.op and n.id not in named and n.scope[:1] != ("grad",)]
    taken = {*named.values(), *(n.name for n in graph.nodes if n.op is None)}
    used = {e.source for n in forward for e in n.inputs} | {
        e.source for n in graph.nodes if n.derives is None for e in n.inputs
    }
    ends = [n for n in forward if n.id not in used and n.id not in of]
    if len(ends) == 1 and "y" not in taken and (ends[0].id in tops or ends[0].id in graph.outputs):
        named[ends[0].id] = "y"
    return named


class Page:
    """Rewrites the forms of a lifted graph as formulas.

    Args:
        lifted: the forms.
        names: of nodes of the graph, by id; more are made up for functions that have none.
        collects: whether what is common to all terms is put in front of a bracket.
    """

    def __init__(self, lifted: Lifted, names: Mapping[int, str], collects: bool = False) -> None:
        self.lifted, self.collects = lifted, collects
        self.former = Former(lifted.lengths)
        self.named: dict[Form, Form] = {}  # a form, and the leaf that is its name
        self.quotients: list[Quotient] = []
        self.hidden: Form | None = None  # what is being defined does not stand for itself
        self.known: dict[Form, Form] = {}
        for i, name in names.items():
            self.name(lifted.forms[i], name)
        self.name_others()
        self.quotients.sort(key=lambda q: (-len(q.factors), q.form.id))

    def name(self, form: Form, name: str) -> None:
        """Let a name stand for a form, if that is worth one."""
        if form in self.named or form.kind in ("leaf", "number"):
            return
        coefficient, factors = factors_of(form)
        leaf = self.former.leaf(("named", name), name, form.axes)
        if form.kind == "product" and min(factors.values()) < 0 < max(factors.values()):
            if any(fits(q.factors, factors) for q in self.quotients):
                return  # γ x̂ is as short as its name
            self.quotients.append(Quotient(factors, coefficient, leaf, form))
        elif form.kind == "product":
            return
        self.named[form] = leaf

    def name_others(self) -> None:
        """Name the roots, sigmoids and probabilities that have no name."""
        taken = {leaf.parts[1] for leaf in self.named.values()}
        taken |= {n.name for n in self.lifted.graph.nodes if n.op is None}
        forms = behind(self.lifted.outputs)
        made: dict[str, Form] = {}
        for form in forms:
            name = LETTERS.get(form.parts[0]) if form.kind == "function" else None
            if name == "p":
                found = self.probability(form, forms)
                name = "p" if found is not None and found not in self.named else None
                form = found if found is not None else form
            if name and form not in self.named and not is_part_of_named(form, self.quotients):
                if name in made and made[name] is not form:
                    taken.add(name)  # two of them: neither has the letter alone
                made[name] = form
        for name, form in made.items():
            if name not in taken:
                self.name(form, name)

    def probability(self, form: Form, forms: Iterable[Form]) -> Form | None:
        """Return exp(x - log Σ exp x), or exp(x - m)/Σ exp(x - m), of which a form is the exponential."""
        logs = [t for t, c in terms_of(form.parts[1][0]).items() if c == -1 and t.kind in ("function", "reduction")]
        if any(t.parts[0] in ("log", "logsumexp") for t in logs):
            return form
        sums = [s for s in forms if s.kind == "reduction" and s.parts[:2] == ("sum", form)]
        return self.lifted.former.product(form, self.lifted.former.power(sums[0], -1)) if sums else None

    # Rewriting.

    def of(self, form: Form) -> Form:
        """Return a form as a formula."""
        found = self.write(form)
        return self.collect(found) if self.collects else found

    def definition(self, form: Form) -> Form:
        """Return what a named form is, not by its name."""
        self.hidden, known, self.known = form, self.known, {}
        try:
            return self.of(form)
        finally:
            self.hidden, self.known = None, known

    def write(self, form: Form) -> Form:
        """Return a form with names and means."""
        if form not in self.known:
            self.known[form] = self.write_new(form)
        return self.known[form]

    def write_new(self, form: Form) -> Form:
        """Return a form with names and means, which nobody has asked for before."""
        f = self.former
        if form in self.named and form is not self.hidden:
            return self.named[form]
        if form.kind == "leaf":
            return f.leaf(form.parts[0], self.name_of_leaf(form), form.axes, form.unit)
        if form.kind == "number":
            return f.number(form.parts[0])
        if form.kind == "sum":
            return f.total_of([(self.term(term, c), 1) for term, c in form.parts[0]])
        if form.kind == "function":
            name, args, params = form.parts
            return f.plain_function(name, tuple(self.write(a) for a in args), dict(params))
        return self.product(*factors_of(form), {})

    def name_of_leaf(self, form: Form) -> str:
        """Return the name of a leaf: dP of the gradient of P; a call that nobody has named shows what it is of."""
        key, name = form.parts
        graph = self.lifted.graph
        if not isinstance(key, int) or graph.nodes[key].op is None or (graph.nodes[key].name or "∂")[0] != "∂":
            return str(name)
        of = [graph.nodes[i].name for i, _ in graph.nodes[key].gradient_of]
        if form not in self.lifted.outputs and of and of[0]:
            return f"d{of[0]}"
        return f"{graph.nodes[key].op}({', '.join(graph.label(e.source) for e in graph.nodes[key].inputs)})"

    def term(self, form: Form, c: Fraction) -> Form:
        """Return a term of a sum."""
        if form in self.named and form is not self.hidden:
            return self.former.scaled(c, self.named[form])
        coefficient, factors = factors_of(form)
        if form.kind in ("product", "reduction"):
            return self.product(coefficient * c, factors, {})
        return self.former.scaled(c, self.write(form))

    def product(self, c: Fraction, powers: Mapping[Form, int], extra: Mapping[Form, int]) -> Form:
        """Return a product as a formula; ``extra`` are names that are factors already."""
        left, named = dict(powers), dict(extra)
        if self.collects and (spread := self.cancelled(left)) is not None:
            return self.former.product(
                self.former.number(c), self.write(spread), *(self.former.power(x, p) for x, p in named.items())
            )
        for q in self.quotients:
            while q.form is not self.hidden and fits(q.factors, left):
                take(q.factors, left)
                named[q.leaf] = named.get(q.leaf, 0) + 1
                c /= q.coefficient
        written = [self.former.power(leaf, p) for leaf, p in named.items()]
        sums = [x for x in left if x.kind == "reduction" and (x not in self.named or x is self.hidden)]
        for form in sorted(sums, key=lambda form: -form.id):
            if form not in left:
                continue
            p = left.pop(form)
            c, inside = self.inside(c, form, left if p == 1 else {})
            name, axes = form.parts[0], form.parts[2]
            n = Fraction(self.former.count(axes)) ** p
            if name == "sum" and (c * n).denominator < c.denominator:
                name, c = "mean", c * n
            written.append(self.former.power(self.former.plain_reduction(name, inside, axes), p))
        rest = [self.former.power(self.write(form), p) for form, p in left.items()]
        return self.former.product(self.former.number(c), *written, *rest)

    def cancelled(self, powers: Mapping[Form, int]) -> Form | None:
        """Return a product multiplied out where a factor cancels in a bracket; None where none does."""
        f = self.lifted.former
        for bracket, p in powers.items():
            if p != 1 or bracket.kind != "sum" or bracket in self.named:
                continue
            below = {x for term, _ in bracket.parts[0] for x, q in factors_of(term)[1].items() if q < 0}
            into = {x: q for x, q in powers.items() if x in below and q > 0}
            if into:
                inner = f.total_of((f.product(f.product_of(Fraction(1), into), t), c) for t, c in bracket.parts[0])
                rest = {x: q for x, q in powers.items() if x not in into and x is not bracket}
                return f.product(f.product_of(Fraction(1), rest), inner)
        return None

    def inside(self, c: Fraction, form: Form, left: dict[Form, int]) -> tuple[Fraction, Form]:
        """Return what a reduction is of; a denominator outside of it joins what it belongs to, so that it has a name.

        It is taken from ``left``, the factors outside.
        """
        axes = form.parts[2]
        coefficient, factors = factors_of(form.parts[1])
        if form.parts[0] != "sum" or form.parts[1] in self.named:
            return c, self.write(form.parts[1])
        inner, named = dict(factors), dict[Form, int]()
        for q in self.quotients:
            moving = {factor: p for factor, p in q.factors.items() if factor in inner}
            rest = {factor: p for factor, p in q.factors.items() if factor not in inner}
            idle = not any(factor.axes & axes for factor in rest)
            while moving and rest and idle and fits(moving, inner) and fits(rest, left):
                take(moving, inner)
                take(rest, left)
                named[q.leaf] = named.get(q.leaf, 0) + 1
                c /= q.coefficient
        if form.parts[1].kind == "sum" and not named:
            return c, self.write(form.parts[1])
        return c, self.product(coefficient, inner, named)

    # Collecting.

    def collect(self, form: Form) -> Form:
        """Put what all terms have in common in front of a bracket, inside of reductions too."""
        f = self.former
        if form.kind == "reduction":
            name, inside, axes = form.parts
            return f.plain_reduction(name, self.collect(inside), axes)
        if form.kind == "function":
            return f.plain_function(form.parts[0], tuple(map(self.collect, form.parts[1])), dict(form.parts[2]))
        if form.kind == "product":
            return f.product(
                f.number(form.parts[0]), *(f.power(self.collect(factor), p) for factor, p in form.parts[1])
            )
        if form.kind != "sum":
            return form
        terms = [factors_of(f.scaled(c, self.collect(term))) for term, c in form.parts[0]]
        common = dict(terms[0][1])
        for _, factors in terms[1:]:
            common = {factor: nearest(p, factors.get(factor, 0)) for factor, p in common.items()}
        common = {factor: p for factor, p in common.items() if p}
        content = content_of([c for c, _ in terms])
        inner = f.total_of((f.product_of(c / content, less(factors, common)), 1) for c, factors in terms)
        return f.product(f.product_of(content, common), inner)


def less(factors: Mapping[Form, int], common: Mapping[Form, int]) -> dict[Form, int]:
    """Return factors without those in common."""
    return {x: factors.get(x, 0) - common.get(x, 0) for x in [*factors, *common]}


def nearest(p: int, q: int) -> int:
    """Return the power that two powers have in common."""
    return min(p, q) if p > 0 and q > 0 else max(p, q) if p < 0 and q < 0 else 0


def content_of(numbers: list[Fraction]) -> Fraction:
    """Return the number that is common to some coefficients, if that leaves small whole ones."""
    found = Fraction(math.gcd(*(c.numerator for c in numbers)), math.lcm(*(c.denominator for c in numbers)))
    return found if all(abs(c / found) <= WHOLE for c in numbers) else Fraction(1)


def fits(some: Mapping[Form, int], powers: Mapping[Form, int]) -> bool:
    """Whether some factors are all among others, in the numerator and in the denominator."""
    return all(abs(powers.get(form, 0)) >= abs(p) and powers[form] * p > 0 for form, p in some.items())


def take(some: Mapping[Form, int], powers: dict[Form, int]) -> None:
    """Take factors away."""
    for form, p in some.items():
        powers[form] -= p
        if not powers[form]:
            del powers[form]


def is_part_of_named(form: Form, quotients: Iterable[Quotient]) -> bool:
    """Whether a form is the numerator of a quotient that has a name."""
    return any(q.factors.get(form, 0) > 0 for q in quotients)
