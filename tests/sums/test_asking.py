"""A student's closed form is read as mathematics, never run as code; what is said of it is true."""

import numpy as np
import pytest

from tests.sum_cases import verdict_of

RIGHT = [
    "gamma/sigma*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0))",
    "dx = gamma/(N*sigma)*(N*dout - dout.sum(axis=0) - x_hat*np.sum(dout*x_hat, axis=0))",
    "γ/σ*(dy - dy.mean(0) - x_c/σ**2*(dy*x_c).mean(0))",
    "gamma*(v + eps)**-0.5*(dy - np.mean(dy, axis=0) - xhat*np.mean(dy*xhat, 0))",
    "gamma/np.sqrt(x.var(0) + eps)*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0))",
    "dgamma = (dy*xhat).sum(0)",
    "dbeta = dy.sum(0)",
]
WRONG = [  # what is wrong, and what must be said
    ("gamma/sigma*(dy - xhat*(dy*xhat).mean(0))", ["missing"], "γ mean(dy)/σ"),
    ("gamma/sigma*(dy - dy.mean(0) + xhat*(dy*xhat).mean(0))", ["sign"], "γ x̂ mean(dy x̂)/σ"),
    ("gamma/sigma*(dy - dy.sum(0) - xhat*(dy*xhat).mean(0))", ["factor"], "4 times"),
    ("gamma/sigma*(dy - dy.mean(0) - x_c*(dy*xhat).mean(0))", ["instead"], "where −γ x̂ mean(dy x̂)/σ should"),
    ("gamma/sigma*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0) + dy)", ["factor"], "γ dy/σ is there 2 times"),
    ("gamma/sigma*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0)) + beta", ["extra"], "β should not be there"),
    ("-gamma/sigma*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0))", ["sign"], "wrong sign"),
]


def verdict(code, name="batch_norm"):
    return verdict_of(name, code)


@pytest.mark.parametrize("code", RIGHT)
def test_a_right_form_is_right_however_it_is_written(code):
    found = verdict(code)
    assert found and found.right and found.float32 is None, str(found)


@pytest.mark.parametrize(("code", "kinds", "said"), WRONG)
def test_the_term_that_differs_is_named(code, kinds, said):
    found = verdict(code)
    assert not found
    assert [term.kind for term in found.terms] == kinds
    assert said in str(found)


def test_the_tempting_form_passes_algebra_and_is_refused_by_float32():
    found = verdict("gamma/np.sqrt((x**2).mean(0) - x.mean(0)**2 + eps)*(dy - dy.mean(0) - xhat*(dy*xhat).mean(0))")
    assert found.right
    assert found.float32 > 1e-2
    assert "float32 refuses it" in str(found)


def test_a_wrong_shape_is_said():
    assert "its shape is (1, 3), and should be (3,)" in str(verdict("dgamma = (dy*xhat).sum(0, keepdims=True)"))
    assert "its shape is (3,), and should be (4, 3)" in str(verdict("dy.mean(0)"))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("gamma/sigma*(dy", "is no formula"),
        ("__import__('os').system('true')", "is no part of a formula"),
        ("open('x')", "is no part of a formula"),
        ("().__class__", "is no part of a formula"),
        ("[dy for dy in x]", "is no part of a formula"),
        ("lambda: dy", "is no part of a formula"),
        ("dy.tofile('x')", "tofile is none of mean, sum"),
        ("np.load(dy)", "load is none of mean, sum"),
        ("dy.mean(axis=open('x'))", "an axis is a number"),
        ("dy**dy", "the exponent must be a number"),
        ("dy**10**10", "the exponent must be a number"),
        ("foo*dy", "foo is no value here; the values are"),
        ("dz = dy", "dz is none of the gradients: dx, dγ, dβ"),
        ("dy; dy", "write one expression"),
        ("", "write one expression"),
        ("(" * 500 + "dy" + ")" * 500, "is no formula"),
        ("dy.mean(7)", "axis 7 is out of bounds"),
        ("dy*np.ones", "is no part of a formula"),
        ("1+" * 1500 + "dy", "at most 2000 are read"),
    ],
)
def test_what_is_no_formula_is_refused_and_never_run(code, said):
    with pytest.raises(ValueError, match="ask: ") as error:
        verdict(code)
    assert said in str(error.value)


def test_cross_entropy_is_asked_for_by_p_and_t():
    assert verdict("(p - t)/N", "cross_entropy")
    assert "4 times" in str(verdict("p - t", "cross_entropy"))


def test_a_form_with_keepdims_forgotten_names_the_shapes():
    with pytest.raises(ValueError, match=r"shapes \(4,3\) \(4,\)"):
        verdict("y*(dy - (dy*y).sum(1))", "softmax")


def test_division_by_zero_is_wrong_and_no_crash():
    with np.errstate(all="ignore"):
        assert not verdict("dy/(x - x)")
