"""Mistakes made from a program: each has numbers of its own, and its name is true."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tinygraph as tg
from tests.gallery import GALLERY, W, X
from tinygraph import Parameter, Tensor
from tinygraph.sums.deriving import NAMES
from tinygraph.sums.rules import RULES
from tinygraph.teach.diagnosis import describe, diagnose
from tinygraph.teach.language import language_of, languages
from tinygraph.teach.mutants import mutants_of, questions_of
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling
from tinygraph.teach.workshop import Workshop, draw_values, is_same


class Sheet:
    """Questions, mutants and draws of a graph."""

    def __init__(self, what):
        self.printer = Printer(record_program(what), numpy_spelling(), ascii=True)
        self.questions = questions_of(self.printer)
        self.workshop, self.mutants = mutants_of(self.printer, self.questions)
        self.draws = [draw_values(self.workshop.nodes, seed) for seed in (1, 2, 3)]
        self.forward = {name: i for i, name in self.printer.name.items()}

    def values(self, name: str, draw: int):
        """Value of a forward node or a gradient by its name in the answer key."""
        found = self.forward.get(name)
        if found is None:
            found = next(line.node for line in self.printer.lines if line.name == name)
        return self.draws[draw][found]

    def judge(self, name: str, answer: str):
        """Diagnose an answer, an expression of NumPy over the names of the key."""
        k = next(k for k, q in enumerate(self.questions) if q.name == name)
        names = [n for n in (*self.forward, *(line.name for line in self.printer.lines)) if n in answer]
        answers = []
        for draw in range(3):
            answers.append(eval(answer, {"np": np, **{n: self.values(n, draw) for n in names}}))
        return diagnose(answers, self.draws, self.questions[k].answer, self.mutants[k])


@functools.cache
def sheet_of(name: str) -> Sheet:
    """Return the sheet of a graph of the gallery."""
    return Sheet(GALLERY[name]())


@pytest.fixture(scope="module")
def bn() -> Sheet:
    x, w = Tensor(X, name="x"), Tensor(W, name="w", requires_grad=False)
    gamma, beta = Parameter([1.0, 2.0, -1.0], name="γ"), Parameter([0.0, 1.0, -1.0], name="β")
    return Sheet((w * tg.batch_norm(x, gamma, beta, eps=0.0)).sum().named("L"))


ANSWERS = [  # a wrong answer, and what is wrong with it
    ("dbeta", "dy", "sum_left_out"),
    ("dbeta", "dy.sum(1)", "sum_other_axis"),
    ("dbeta", "dy.mean(0)", "mean_for_sum"),
    ("dbeta", "dy.sum(0, keepdims=True)", "keepdims"),
    ("dgamma", "(ds * x_hat).sum(0, keepdims=True)", "keepdims"),
    ("dgamma", "-(ds * x_hat).sum(0)", "sign"),
    ("dgamma", "(ds * x_c).sum(0)", "other_factor"),
    ("dgamma", "ds.sum(0)", "factor_left_out"),
    ("dx_hat", "ds", "factor_left_out"),
    ("dsigma", "(-dx_hat * x_c / sigma).sum(0)", "other_factor"),
    ("dsigma", "(-ds * x_hat / sigma).sum(0)", "other_upstream"),
    ("dsigma", "-dx_hat * x_hat / sigma", "sum_left_out"),
    ("dsigma", "-(-dx_hat * x_hat / sigma)", "sum_left_out+sign"),
    ("dv", "dsigma / (2 * sigma) * 2", "factor"),
    ("dq", "dv", "upstream_alone"),
    ("dq", "np.broadcast_to(dv, (4, 3))", "share_left_out"),
    ("dx_c_1", "dx_hat * sigma", "inverted"),
    ("dx_c_1", "dx_hat / sigma**2", "squared"),
    ("dx_c_1", "dx_c", "whole_for_part"),
    ("dx_c_2", "dx_c_1", "other_part"),
    ("dx_c", "dx_c_1", "part_left_out"),
    ("dx_c", "dx_c_1 + dx_c_2 + dx_c_2", "part_twice"),
    ("dx", "dx_1", "part_left_out"),
    ("dx", "dx_hat / sigma", "frozen"),
    ("dx", "dx_1 - dx_2", "part_sign"),
    ("dmu", "mu", "value_for_gradient"),
]


@pytest.mark.parametrize(("name", "answer", "kind"), ANSWERS)
def test_a_mistake_has_its_name(bn, name, answer, kind):
    found = bn.judge(name, answer)
    assert found.verdict == "mutant", found
    assert found.mutant.kind == kind


@pytest.mark.parametrize("line", [q.name for q in Sheet(GALLERY["batch_norm"]()).questions])
def test_the_key_is_right(bn, line):
    text = next(q.line.value for q in bn.questions if q.name == line)
    assert bn.judge(line, text).verdict == "right"


def test_what_is_unknown_is_told_by_its_worst_element(bn):
    found = bn.judge("dgamma", "(ds * x_hat).sum(0) + np.array([0, 0.5, 0])")
    assert found.verdict == "values"
    place, mine, theirs = found.worst
    assert place == (1,)
    assert mine - theirs == pytest.approx(0.5)
    assert "[1]" in found.say(language_of("en"))
    assert bn.judge("dgamma", "np.ones((2, 2))").say(language_of("en")) == "the shape is (2, 2), and should be (3,)"


def test_a_statistic_taken_for_a_constant(bn):
    """μ and σ frozen: dx is γ dy / σ alone."""
    found = bn.judge("dx", "dy * gamma / sigma")
    assert found.mutant.kind == "frozen"
    assert "sigma" in found.say(language_of("en")) or "mu" in found.say(language_of("en"))


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "attention", "mlp", "convolution"])
def test_mutants_differ_from_the_answer_on_numbers_that_nobody_has_seen(name):
    sheet = sheet_of(name)
    assert sheet.questions
    for question, mutants in zip(sheet.questions, sheet.mutants, strict=True):
        assert mutants
        for mutant in mutants:
            same = [is_same(draw[mutant.result], draw[question.answer], 1e-9) for draw in sheet.draws]
            assert not all(same), (question.name, mutant)


def test_upstream_of_ones():
    x = Tensor(X, name="x")
    sheet = Sheet((x * Parameter([1.0, 2.0, 3.0], name="w")).named("y"))
    assert sheet.judge("dw", "x.sum(0)").mutant.kind == "upstream_ones"


def test_products_in_another_order():
    x, w = Tensor(np.ones((4, 3)) + np.eye(4, 3), name="x"), Parameter(np.ones((3, 3)), name="W")
    sheet = Sheet((x @ w).named("y"))
    assert sheet.judge("dx", "dy @ W").mutant.kind == "order_of_product"


def test_every_kind_has_its_texts_in_every_language():
    kinds = set()
    for name in ("batch_norm", "layer_norm", "attention", "mlp", "convolution", "residual"):
        sheet = sheet_of(name)
        for mutants in sheet.mutants:
            for mutant in mutants:
                kinds |= {kind for kind, _ in mutant.mistakes}
                for code in languages():
                    for key in ("say", "ask"):
                        text = describe(mutant, language_of(code), key)
                        assert text
                        assert "{" not in text.replace("{" + "}", "") or "[" in text
    assert {"sum_left_out", "frozen", "part_twice", "sign", "factor", "order_of_product"} <= kinds


def test_languages_have_the_same_keys():
    def keys(table, path=()):
        return {
            k for name, t in table.items() for k in (keys(t, (*path, name)) if isinstance(t, dict) else {(*path, name)})
        }

    english = keys(language_of("en").texts)
    rules = {("derivation", rule, key) for rule in [*NAMES, *(r.letter for r in RULES)] for key in ("name", "says")}
    for code in languages():  # the English of the rules of derive stands where they are
        assert keys(language_of(code).texts) == english | (rules if code != "en" else set()), code
    assert language_of("zh-CN") is not None
    with pytest.raises(ValueError, match="lang is 'xx'; it must be one of en, zh"):
        language_of("xx")


def test_workshop_makes_an_op_once_and_substitutes():
    workshop = Workshop(record_program((Tensor([1.0, 2.0], name="x") * 3).sum().named("L")))
    a = workshop.op("neg", 0)
    assert workshop.op("neg", 0) == a
    loss = next(n.id for n in workshop.program.graph.nodes if n.op == "sum")
    changed = workshop.substitute(loss, {0: a})
    assert workshop.values[changed] == -workshop.values[loss]
