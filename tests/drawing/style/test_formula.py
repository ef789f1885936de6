"""Names as mathematics."""

from __future__ import annotations

from tinygraph.drawing.style.formula import formula_runs, name_runs, text_of, to_unicode, words


def test_the_name_of_a_gradient_is_mathematics() -> None:
    runs = name_runs("∂P/∂(∂L/∂x_c)")
    assert text_of(runs) == "∂P/∂(∂L/∂xc)"
    assert [run.face for run in runs if run.text in ("P", "L", "x")] == ["serif"] * 3
    assert text_of(name_runs("∂(∂L/∂x)/∂σ")) == "∂(∂L/∂x)/∂σ"


def test_a_root_of_one_letter_keeps_it() -> None:
    assert to_unicode(r"2/\sqrt\pi", str) == "2/√π"
    assert text_of(formula_runs(r"2/\sqrt\pi", words)) == "2/√π"
