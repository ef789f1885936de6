"""What the rules make of batch norm can be read in its source; and each rule, when it is wrong, is caught."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests.compiler.test_compiled import CASES, backend, error, results  # noqa: F401 - a fixture
from tinygraph.compiler import algebra, collect, elementary, schedule
from tinygraph.compiler.algebra import Algebra
from tinygraph.compiler.compiled import compile as compile_function
from tinygraph.sums import rules

NORMAL = np.random.default_rng(0).standard_normal
LAST = re.compile(r"start, stop = [^\n]*\n((?:(?!start, stop = ).)*)leave\(", re.DOTALL)


def kernels(function: Callable[..., Any], *shapes: tuple[int, ...], **params: Any) -> list[str]:
    """The sources of the kernels for Numba, in float32."""
    made = compile_function(function, backend="numba")
    made(*[tg.Tensor(np.ones(s, np.float32)) for s in shapes], **params)
    return ["def kernel" + part for part in made.source.split("def kernel")[1:]]


def test_the_last_sweep_of_batch_norm_has_two_numbers_a_channel_and_three_backward(backend):  # noqa: F811 - the fixture
    """y = (x - h) a + b, and dx = dy a + (x - h) b + c: no operation more."""
    if backend != "numba":
        pytest.skip("the other backend")
    for source, operations in zip(kernels(tg.batch_norm, (40, 24), (24,), (24,)), (3, 5), strict=True):
        loop = LAST.findall(source)[-1].split("for i1 in range(n1):")[-1]
        assert len(re.findall(r" [-+*/] ", loop)) == operations, loop
        assert "less(" not in loop


def test_backward_of_batch_norm_reads_what_forward_settled(backend):  # noqa: F811 - the fixture
    _, backward = kernels(tg.batch_norm, (40, 24), (24,), (24,))
    assert "sqrt" not in backward


def test_softmax_takes_each_exponential_once(backend):  # noqa: F811 - the fixture
    forward, backward = kernels(tg.softmax, (40, 24))
    assert [way.count("exp") for way in (forward, backward)] == [1, 0]


def wrong_count(self: Algebra, loops: Any) -> int:
    return 1 + COUNT(self, loops)


def copies_left(f: Any, form: Any) -> Any:
    _, inside, axes = form.parts
    return f.reduce("sum", inside, axes & inside.axes) if axes - inside.axes else None


def factors_lost(f: Any, form: Any) -> Any:
    found = rules.take_out_factors(f, form)
    return None if found is None or found.op != "mul" else next(e for e in found.args if e.op == "sum")


def deviations_kept(f: Any, form: Any) -> Any:
    return None if rules.drop_deviations(f, form) is None else f.const(f.count(form.over))


def wrong_turned_over(self: Algebra, x: Any, y: Any) -> Any:
    return self("mul", x, y) if x.op != "const" else None


def wrong_gathered(self: Algebra, x: Any, y: Any) -> Any:
    found = GATHERED(self, x, y)
    return None if found is None else self("neg", found)


def wrong_polynomial(made: Algebra, clock: Any, r: Any) -> Any:
    found = POLYNOMIAL(made, clock, r)
    return None if found is None else made("mul", found, made.const(1.001))


def wrong_pivots(made: Algebra, order: Any) -> Any:
    """Σ x = Σ (x - p)."""
    return {r: e.args[0] for r, e in PIVOTS(made, order).items()}


def wrong_means(made: Algebra, order: Any) -> Any:
    """Σ f (x - μ) = Σ f (x - h)."""
    return {r: e.args[0] for r, e in MEANS(made, order).items()}


def wrong_maxima(made: Algebra, order: Any) -> Any:
    """exp(a - (m + log Σ)) = exp(a - m)."""
    return {e: next(a for a in found.args if a.op == "exp") for e, found in MAXIMA(made, order).items()}


def wrong_shift(self: collect.Collector, op: str, full: Any, small: Any) -> Any:
    """What float32 cannot hold of a mean is left out."""
    found = SHIFTED(self, op, full, small)
    return found._replace(rest=self.algebra.const(0))


def wrong_scaled(self: collect.Collector, c: Any, found: Any) -> Any:
    return SCALED(self, c, found)._replace(rest=found.rest)


COUNT, GATHERED = Algebra.count, Algebra.gathered
POLYNOMIAL, PIVOTS, MEANS = algebra.multiplied_out, algebra.about_pivots, algebra.about_means
MAXIMA = algebra.about_maxima
SHIFTED, SCALED = collect.Collector.shifted, collect.Collector.scaled
MUTANTS = [
    (Algebra, "count", wrong_count),
    (algebra, "OF_ANY", (copies_left, *rules.OF_ANY[1:])),
    (algebra, "OF_ANY", (rules.count_copies, factors_lost, rules.drop_deviations)),
    (algebra, "OF_ANY", (*rules.OF_ANY[:2], deviations_kept)),
    (Algebra, "turned_over", wrong_turned_over),
    (Algebra, "gathered", wrong_gathered),
    (schedule, "multiplied_out", wrong_polynomial),
    (schedule, "about_pivots", wrong_pivots),
    (schedule, "about_means", wrong_means),
    (schedule, "about_maxima", wrong_maxima),
    (collect.Collector, "shifted", wrong_shift),
    (collect.Collector, "scaled", wrong_scaled),
    (elementary, "median", lambda x, y, z: x),
]


def copied(x):
    return x + tg.broadcast_to(x.mean(0, keepdims=True), x.shape).sum(0)


def is_right(which: str = "numba") -> bool:
    """Whether norms are right in float32, far from 0 and beside an outlier."""
    for function, arrays in [*CASES[:4], (copied, CASES[0][1][:1]), (tg.softmax, CASES[0][1][:1])]:
        given = [a.astype(np.float32) for a in arrays]
        given[0] = given[0] + np.float32(1e4)
        found = results(compile_function(function, backend=which), given, np.float32)
        if not error(found, results(function, given, np.float64)) < 3e-6:
            return False
    x = NORMAL((2, 2000)).astype(np.float32)
    x[:, 0] = 300
    y = compile_function(lambda x: tg.layer_norm(x), backend=which)(x)
    return error([y], [tg.layer_norm(x.astype(np.float64))]) < 3e-6


def test_rules_are_right(backend):  # noqa: F811 - the fixture
    assert is_right(backend)


@pytest.mark.parametrize(("where", "name", "wrong"), MUTANTS, ids=[name for _, name, _ in MUTANTS])
def test_a_wrong_rule_is_caught(where, name, wrong, backend, monkeypatch):  # noqa: F811 - the fixture
    if backend != "numba":
        pytest.skip("the rules are the same")
    monkeypatch.setattr(where, name, wrong)
    try:
        assert not is_right()
    except (AssertionError, RecursionError, KeyError, StopIteration) as error:
        assert not isinstance(error, AssertionError), f"{name} is not caught"
