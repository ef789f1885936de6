"""Names that are mathematics, in every format."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.text import to_ascii
from tinygraph.drawing.style.formula import formula_runs, name_runs, plain_text, text_of
from tinygraph.drawing.style.names import is_latex, name_text, parse_name

SPELLED = {
    r"W^{(1)}": "W⁽¹⁾",
    "a^(1)": "a⁽¹⁾",
    r"\tilde{h}": "h̃",
    r"\mu_B": "μ_B",
    r"\hat{x}_i": "x̂ᵢ",
    r"\hat\mu": "μ̂",
    "h'": "h′",
    "c''": "c′′",
    r"x_{t-1}^{(l)}": "xₜ₋₁⁽ˡ⁾",
    r"\mathbf{W}_q^{(2)}": "W_q⁽²⁾",
    r"\mathcal{L}": "ℒ",
    r"$\alpha$": "α",
    r"\frac{a}{b+c}": "a/(b+c)",
    r"\mathrm{loss}_{val}": "loss_val",
    "x^T": "xᵀ",
    "f'(x)^2": "f′(x)²",
    r"\sqrt{v}": "√v",
    r"\log p": "log p",
}
LITERAL = [
    "x^{", "x^", "^x", "a^b^c", r"\oops", r"\hat{}", "C:\\temp", "\\", "{}", "x_{}", "}", r"\frac{a}", "a_b_c",
    "{" * 5000, r"\sqrt{" * 3000, "x^{" * 3000, "$", "$$", "_", "batch_norm", "fc1.weight",
]  # fmt: skip


@pytest.mark.parametrize("name", SPELLED)
def test_latex_reads_as_mathematics(name):
    assert name_text(name) == SPELLED[name]
    assert not {"\\", "{", "^"} & set(text_of(name_runs(name)))
    assert plain_text(name_runs(name)) == SPELLED[name]


@pytest.mark.parametrize("name", LITERAL)
def test_what_is_no_latex_is_shown_as_it_stands(name):
    assert parse_name(name) is None and not is_latex(name) and name_text(name) == name
    assert text_of(name_runs(name))[:15] == name[:15]


def test_runs_are_raised_lowered_and_in_italics():
    base, above = name_runs("W^{(1)}")
    assert (base.text, base.face, base.rise) == ("W", "serif", 0) and above.text == "(1)" and above.rise > 0
    base, below = name_runs("x_train")
    assert (below.text, below.face) == ("train", "roman") and below.rise < 0
    assert [run.text for run in name_runs("W_μ")] == ["W", "μ"]
    assert text_of(name_runs("h_t'")) == "h′t"
    assert name_runs("fc1.weight")[0].face == "roman"


def test_a_transposed_name_keeps_an_exponent_of_its_own():
    assert text_of(formula_runs(r"$x^{\mathsf T}", lambda _: name_runs("W^T"))) == "W⊤T"


@pytest.fixture(scope="module")
def graph():
    w = tg.Parameter(np.ones((3, 2)), name=r"W^{(1)}")
    x = tg.Tensor(np.ones((4, 3)), name=r"\hat{x}_i")
    h = (x @ w).named("h'")
    loss = (h * h / 1e7).sum().named(r"\mathcal{L}")
    loss.backward()
    return tg.snapshot(loss)


def test_every_format_writes_mathematics(graph):
    picture, page, chart = graph.svg(), html(graph), graph.text()
    for written in (picture, page, chart, graph.to_dot(), mermaid(graph)):
        assert r"\hat" not in written and "^{" not in written and r"\mathcal" not in written
    assert "W⁽¹⁾: parameter" in picture and "<title>x̂ᵢ" in picture  # what a screen reader says
    assert "h′ = x̂ᵢ W⁽¹⁾" in chart.replace("\u2009", " ") and "∂ℒ" in chart
    assert "#8317;" in mermaid(graph)  # ⁽
    assert graph.find(r"W^{(1)}").kind == "parameter" and graph.find("h'").op == "matmul"


def test_exponents_survive_in_one_line():
    assert plain_text(formula_runs(r"e^{$x^2}", lambda _: name_runs("σ"))) == "e^(σ²)"
    assert plain_text(formula_runs(r"(1 - $x) + 10^{-7}", lambda _: name_runs(r"\tilde{x}"))) == "(1 − x̃) + 10⁻⁷"


def test_ascii_spells_exponents_and_indices():
    assert to_ascii("W⁽¹⁾ x̂ᵢ e⁻¹ h′") == "W^(1) x_hat_i e^-1 h'"
