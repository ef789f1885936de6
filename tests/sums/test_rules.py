"""Each rule does what it says, and a mutant of each is noticed by the values."""

import numpy as np
import pytest

import tinygraph as tg
from tests.sum_cases import gradients, worst
from tinygraph.sums import rules as table
from tinygraph.sums.form import Former
from tinygraph.sums.lift import lift
from tinygraph.sums.rules import ALL, RULES, rules_of

N, D = 0, 1
LENGTHS = {N: 4, D: 3}


@pytest.fixture
def f():
    return Former(LENGTHS, rules_of(ALL))


def leaves(f):
    return f.leaf("x", "x", (N, D)), f.leaf("g", "g", (N, D)), f.leaf("c", "c", (D,))


def test_a_what_does_not_vary_leaves_the_sum(f):
    x, _, c = leaves(f)
    assert f.reduce("sum", f.product(f.number(3), c, x), [N]) is f.product(f.number(3), c, f.reduce("sum", x, [N]))


def test_b_copies_are_counted(f):
    _, _, c = leaves(f)
    assert f.reduce("sum", c, [N]) is f.scaled(4, c)
    assert f.reduce("sum", c, [N, D]) is f.scaled(4, f.reduce("sum", c, [D]))


def test_c_deviations_add_up_to_0(f):
    x, _, c = leaves(f)
    mean = f.scaled(table.Fraction(1, 4), f.reduce("sum", x, [N]))
    centred = f.total_of([(x, 1), (mean, -1)])
    assert f.reduce("sum", f.product(c, centred), [N]).value == 0
    assert f.reduce("sum", f.power(centred, 2), [N]).value is None
    assert f.reduce("sum", f.total_of([(x, 1), (mean, -2)]), [N]).value is None


def test_d_splits_where_it_is_known_no_later(f):
    x, g, _ = leaves(f)
    late = f.product(g, f.reduce("sum", x, [N, D]))
    assert f.reduce("sum", f.total(x, late), [N]).kind == "sum"
    assert f.reduce("sum", f.total(x, g), [N]).kind == "reduction"  # one sum, not two


def test_no_rule_multiplies_a_square_out(f):
    x, g, _ = leaves(f)
    centred = f.total_of([(x, 1), (f.reduce("sum", x, [N]), table.Fraction(-1, 4))])
    for form in (f.power(centred, 2), f.product(g, centred)):
        assert f.reduce("sum", form, [N]).parts[1] is form


def test_p_takes_a_pivot_away():
    f = Former(LENGTHS, rules_of(ALL + "p"))
    x, g, _ = leaves(f)
    centred = f.total_of([(x, 1), (f.reduce("sum", x, [N]), table.Fraction(-1, 4))])
    for form in (f.power(centred, 2), f.product(g, centred), f.product(f.power(g, 2), f.power(centred, 2))):
        found = f.reduce("sum", form, [N])
        assert found.stage == 1
        assert any(part.parts[0] == "first" for part in all_parts(found) if part.kind == "reduction")


def all_parts(form):
    from tinygraph.sums.form import behind

    return behind([form])


def test_h_a_row_of_one_hot_numbers_has_one_1(f):
    _, _, c = leaves(f)
    t = f.leaf("t", "t", (N, D), unit=(D,))
    row = f.leaf("r", "r", (N,))
    assert f.reduce("sum", t, [D]) is f.one
    assert f.reduce("sum", f.product(t, row), [D]) is row
    assert f.reduce("sum", f.product(t, c), [D]).kind == "reduction"
    assert f.power(t, 2) is t


def test_e_and_f_make_a_softmax_a_quotient(f):
    x, *_ = leaves(f)
    found = f.function("exp", f.total_of([(x, 1), (f.reduce("logsumexp", x, [D]), -1)]))
    below = f.function("exp", f.total_of([(x, 1), (f.reduce("max", x, [D]), -1)]))
    assert found is f.product(below, f.power(f.reduce("sum", below, [D]), -1))


def test_e_needs_the_maximum(f):
    """exp(x + r) = exp(x) exp(r) overflows where x is large."""
    x, *_ = leaves(f)
    assert f.function("exp", f.total(x, f.leaf("r", "r", (N,)))).kind == "function"


def test_s_names_the_sigmoid(f):
    x, *_ = leaves(f)
    small = f.function("exp", f.scaled(-1, x))
    s = f.function("sigmoid", x)
    below = f.total(f.one, small)
    assert f.power(below, -1) is s
    assert f.product(small, f.power(below, -2)) is f.product(s, f.total_of([(f.one, 1), (s, -1)]))


def wrong_a(f, form):
    """Leave a factor out."""
    found = table.take_out_factors(f, form)
    _, inside, axes = form.parts
    return None if found is None else f.reduce("sum", f.product(*(x for x in inside.inputs if x.axes & axes)), axes)


def wrong_p(f, form):
    """Forget to correct for the pivot."""
    found = table.take_pivot(f, form)
    return None if found is None or found.kind != "sum" else max(found.inputs, key=lambda x: x.id)


MUTANTS = {
    "a": wrong_a,
    "b": lambda f, form: f.reduce("sum", form.parts[1], form.parts[2] & form.parts[1].axes)
    if form.parts[2] - form.parts[1].axes else None,
    "c": lambda f, form: f.zero if form.parts[1].kind == "sum" else None,
    "d": lambda f, form: f.reduce("sum", form.parts[1].inputs[-1], form.parts[2])
    if table.split_sum(f, form) is not None else None,
    "e": lambda f, form: f.function("exp", form.parts[1][0].inputs[0]) if table.split_exponential(f, form) else None,
    "f": lambda f, form: f.reduce("max", form.parts[1], form.parts[2]),
    "h": lambda f, form: f.zero if table.sum_one_hot(f, form) is not None else None,
    "p": wrong_p,
    "s": lambda f, form: f.one if table.name_sigmoid(f, form) is not None else None,
}  # fmt: skip
WHERE = {"b": "batch_norm_total", "h": "cross_entropy", "s": "sigmoid_by_exp"}
WHERE |= dict.fromkeys("acdp", "batch_norm") | dict.fromkeys("ef", "softmax")


@pytest.mark.parametrize("letter", [rule.letter for rule in RULES if rule.letter != "m"])
def test_a_mutant_of_each_rule_is_noticed(letter, monkeypatch):
    graph = tg.snapshot(*gradients(WHERE[letter]), values=10**4)
    rules = ALL + "p"
    assert any(a.rule == letter for a in lift(graph, rules).former.log), "the rule is used"
    assert worst(graph, rules) < 1e-13
    mutated = tuple(rule._replace(apply=MUTANTS[letter]) if rule.letter == letter else rule for rule in RULES)
    monkeypatch.setattr(table, "RULES", mutated)
    assert not worst(graph, rules) < 1e-6


def test_m_equal_sums_are_one_object(f):
    x, *_ = leaves(f)
    assert f.reduce("sum", x, [N]) is f.reduce("sum", x, [N])


def test_a_mutant_of_m_that_merges_too_much_is_noticed(monkeypatch):
    """The sum and the largest of one value are different."""
    x = tg.Tensor(np.arange(9.0).reshape(3, 3) ** 2, name="x")
    graph = tg.snapshot(x - x.sum(0) - x.max(0), values=100)
    assert worst(graph, ALL) == 0
    seen, plain = {}, Former.plain_reduction
    monkeypatch.setattr(
        Former, "plain_reduction", lambda f, name, form, axes: seen.setdefault((form, axes), plain(f, name, form, axes))
    )
    assert worst(graph, ALL) > 1


def test_a_rule_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="z: the rules are b, a,"):
        rules_of("az")


def test_the_wrong_rule_passes_algebra_and_fails_in_float32():
    """Why the square is not multiplied out: at a mean of 1e4, float32 leaves nothing of a variance."""
    x = (np.random.default_rng(0).standard_normal((1024, 3)) + 1e4).astype(np.float32)
    true = x.astype(float).var(0)
    multiplied_out = (x * x).mean(0) - x.mean(0) ** 2
    pivoted = ((x - x[0]) ** 2).mean(0) - (x - x[0]).mean(0) ** 2
    assert abs(multiplied_out / true - 1).max() > 1e-3
    assert abs(pivoted / true - 1).max() < 1e-5
