r"""The rules about Σ. Each is applied where a reduction is built; each is a small function, a sentence and a formula.

There is one rule that is not here, and must not be: a product is never multiplied out over a centred value.
Σ(x - mean x)² = Σx² - (Σx)²/n passes every check in algebra. In float32 it loses all digits where the mean is far from
0: at a mean of 1e4 and a deviation of 1 it is off by percents. Rule p takes a pivot away first; that is harmless.

Rules a, b and c are the compiler's too. They ask of a maker `factors_of`, `terms_of`, `product`, `product_of`,
`scaled`, `total_of`, `reduce`, `plain_reduction`, `count` and `zero`: `Former` has these for forms, and the compiler's
`Algebra` for expressions that keep the order of rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any, NamedTuple

from tinygraph.sums.form import Form, Former, factors_of, is_function, terms_of

__all__ = ["ALL", "OF_ANY", "RULES", "Rule", "rules_of"]


class Rule(NamedTuple):
    """A rule.

    Attributes:
        letter: its short name, as in ``lift(graph, rules="abc")``.
        name: what it is called.
        says: a sentence for the reader.
        tex: the rule as a formula.
        of: which reduction or function it is about.
        apply: takes the former and the form as it stands; returns what it is by the rule, or None.
    """

    letter: str
    name: str
    says: str
    tex: str
    of: str
    apply: Callable[[Former, Form], Form | None]


def count_copies(f: Any, form: Any) -> Any:
    """b: sum what does not vary along some of the loops by multiplying with their length."""
    _, inside, axes = form.parts
    idle = axes - inside.axes
    return f.scaled(f.count(idle), f.reduce("sum", inside, axes - idle)) if idle else None


def take_out_factors(f: Any, form: Any) -> Any:
    """a: put what does not vary in front of the Σ."""
    _, inside, axes = form.parts
    coefficient, factors = f.factors_of(inside)
    outside = {factor: p for factor, p in factors.items() if not factor.axes & axes}
    if not outside and coefficient == 1:
        return None
    rest = f.product_of(Fraction(1), {factor: p for factor, p in factors.items() if factor not in outside})
    return f.product(f.product_of(coefficient, outside), f.reduce("sum", rest, axes))


def sum_one_hot(f: Former, form: Form) -> Form | None:
    """h: a row of one-hot numbers has a single 1, so it picks one of what is equal along the row."""
    _, inside, axes = form.parts
    coefficient, factors = factors_of(inside)
    for hot, p in factors.items():
        rest = {factor: q for factor, q in factors.items() if factor is not hot}
        along = hot.unit
        if p == 1 and along and along <= axes and not any(factor.axes & along for factor in rest):
            return f.reduce("sum", f.product_of(coefficient, rest), axes - along)
    return None


def drop_deviations(f: Any, form: Any) -> Any:
    """c, of deviations alone: they add up to 0."""
    _, inside, axes = form.parts
    return f.zero if centred_value(f, inside, axes) is not None else None


def drop_centred(f: Former, form: Form) -> Form | None:
    """c: deviations from the mean add up to 0, also where numbers stand before them, and other terms beside them."""
    split = try_split(f, form)
    return split if split is not None and split.value is not None else None


def split_sum(f: Former, form: Form) -> Form | None:
    """d: add up the terms of a sum apart, where that is known no later."""
    split = try_split(f, form)
    _, inside, axes = form.parts
    if split is None or split.value is not None or split.stage > inside.stage:
        return None
    return f.total_of([(f.reduce("sum", term, axes), c) for term, c in inside.parts[0]])


def try_split(f: Former, form: Form) -> Form | None:
    """Return what Σ of a sum is, each term added up apart; None of anything else. It leaves no trace in the log."""
    _, inside, axes = form.parts
    if inside.kind != "sum":
        return None
    resting, mark = f.resting, len(f.log)
    f.resting = "dp"
    total = f.total_of([(f.reduce("sum", term, axes), c) for term, c in inside.parts[0]])
    f.resting = resting
    del f.log[mark:]
    return total


def take_pivot(f: Former, form: Form) -> Form | None:
    """p: x - mean x is (x - p) - (mean x - p), p being the first value; then a square may be multiplied out."""
    _, inside, axes = form.parts
    coefficient, factors = factors_of(inside)
    for centred, k in factors.items():
        x = centred_value(f, centred, axes) if k in (1, 2) else None
        if x is None:
            continue
        pivot = f.reduce("first", x, axes)
        u, m = f.total_of([(x, 1), (pivot, -1)]), f.total_of([(centred, -1), (x, 1), (pivot, -1)])
        rest = f.product_of(coefficient, {factor: p for factor, p in factors.items() if factor is not centred})
        if rest.value is not None:  # Σ(u - m) is 0, so Σu is n m
            square = f.reduce("sum", f.power(u, 2), axes)
            return f.scaled(rest.value, f.total_of([(square, 1), (f.power(m, 2), -f.count(axes))]))
        parts = [f.product(f.power(f.scaled(-1, m), j), f.reduce("sum", f.product(rest, f.power(u, k - j)), axes))
                 for j in range(k + 1)]  # fmt: skip
        found = f.total_of((part, (1, k, 1)[j]) for j, part in enumerate(parts))
        return found if found.stage < form.stage else None
    return None


def centred_value(f: Any, form: Any, axes: frozenset[int]) -> Any:
    """Return x where a form is x - mean x over these loops; None where it is anything else."""
    varying = [(term, c) for term, c in f.terms_of(form).items() if term.axes & axes]
    if len(varying) != 1 or varying[0][1] != 1 or varying[0][0] is form:
        return None
    x = varying[0][0]
    mean = f.scaled(Fraction(1, f.count(axes)), f.plain_reduction("sum", x, axes))
    return x if f.total_of([(x, 1), (mean, -1)]) is form else None


def split_exponential(f: Former, form: Form) -> Form | None:
    """e: exp(a + r) is exp(a) exp(r), r the same along the loops over which a has lost its maximum."""
    inside = form.parts[1][0]
    terms = terms_of(inside)
    for largest, c in terms.items():
        if c != -1 or largest.kind != "reduction" or largest.parts[0] != "max":
            continue
        x, axes = largest.parts[1], largest.parts[2]
        shifted = f.total_of([(x, 1), (largest, -1)])
        rest = f.total_of([(inside, 1), (shifted, -1)])
        if rest.value != 0 and not rest.axes & axes:
            return f.product(f.function("exp", shifted), f.function("exp", rest))
    return None


def lift_maximum(f: Former, form: Form) -> Form | None:
    """f: the logarithm of a sum of exponentials is the maximum, and that of what lies below it."""
    _, x, axes = form.parts
    largest = f.reduce("max", x, axes)
    below = f.function("exp", f.total_of([(x, 1), (largest, -1)]))
    return f.total(largest, f.function("log", f.reduce("sum", below, axes)))


def name_sigmoid(f: Former, form: Form) -> Form | None:
    """s: 1/(1 + e^-u) is s, the sigmoid of u; then e^-u s is 1 - s."""
    coefficient, factors = factors_of(form)
    for below, p in factors.items():
        small = exponential_beside_one(f, below) if p < 0 else None
        if small is not None:
            left = f.product_of(coefficient, {factor: q for factor, q in factors.items() if factor is not below})
            return f.product(left, f.power(f.function("sigmoid", f.scaled(-1, small.parts[1][0])), -p))
        small = f.function("exp", f.scaled(-1, below.parts[1][0])) if is_function(below, "sigmoid") else f.one
        both = min(factors.get(small, 0), p)
        if both > 0:
            left = f.product_of(coefficient, factors | {small: factors[small] - both, below: p - both})
            return f.product(left, f.power(f.total_of([(f.one, 1), (below, -1)]), both))
    return None


def exponential_beside_one(f: Former, form: Form) -> Form | None:
    """Return e^u where a form is 1 + e^u; None where it is anything else."""
    terms = terms_of(form)
    if len(terms) != 2 or terms.get(f.one) != 1:
        return None
    ((other, c),) = ((term, c) for term, c in terms.items() if term is not f.one)
    return other if c == 1 and is_function(other, "exp") else None


def merge(f: Former, form: Form) -> Form | None:
    """m: equal sums are one. `Former` does it: equal forms are one object."""
    return None


RULES = (
    Rule("b", "count the copies", "Σ of what does not vary is n times it.", r"\sum_i c = n\,c", "sum", count_copies),
    Rule("a", "take factors out", "What does not vary along the summed axes leaves the Σ.",
         r"\sum_i c\,x_i = c \sum_i x_i", "sum", take_out_factors),
    Rule("h", "pick by one-hot", "A row of one-hot numbers has a single 1: its Σ is 1.",
         r"\sum_j t_{ij} = 1", "sum", sum_one_hot),
    Rule("c", "deviations add up to 0", "Deviations from the mean add up to 0.",
         r"\sum_i (x_i - \bar x) = 0", "sum", drop_centred),
    Rule("d", "split the sum", "Σ of a sum is the sum of the Σs, where that is known no later.",
         r"\sum_i (x_i + y_i) = \sum_i x_i + \sum_i y_i", "sum", split_sum),
    Rule("p", "pivot", "Deviations are taken from one value p of the channel; then a square may be multiplied out.",
         r"\sum_i (x_i - \bar x)^2 = \sum_i (x_i - p)^2 - n\,(\bar x - p)^2", "sum", take_pivot),
    Rule("e", "split the exponential", "exp(a + r) is exp(a) exp(r), where a is at most 0.",
         r"e^{a_i + r} = e^{a_i}\,e^r", "exp", split_exponential),
    Rule("f", "take the maximum out", "log Σ exp is the maximum, and log Σ exp of what lies below it.",
         r"\ln\sum_i e^{x_i} = m + \ln\sum_i e^{x_i - m}, \quad m = \max_i x_i", "logsumexp", lift_maximum),
    Rule("s", "name the sigmoid", "1/(1 + e^-u) is the sigmoid s of u, and e^-u s is 1 - s.",
         r"\frac{e^{-u}}{1 + e^{-u}} = 1 - \frac{1}{1 + e^{-u}}", "product", name_sigmoid),
    Rule("m", "merge equal sums", "Sums that are equal are computed once.", r"\sum_i x_i + \sum_i x_i = 2\sum_i x_i",
         "", merge),
)  # fmt: skip
OF_ANY = (count_copies, take_out_factors, drop_deviations)  # what holds for any maker
ALL = "bahcdefsm"  # all but the pivot, which is worth it where numbers are wider than the data


def rules_of(letters: Collection[str]) -> list[Rule]:
    """Return the rules of some letters, such as "ab", in the order of the table.

    Raises:
        ValueError: a letter is none of them.
    """
    if unknown := sorted(set(letters) - {rule.letter for rule in RULES}):
        raise ValueError(f"rules: {', '.join(unknown)}: the rules are {', '.join(rule.letter for rule in RULES)}")
    return [rule for rule in RULES if rule.letter in letters]
