"""Of a closed form that is wrong, the term is named; nothing is said where nothing is sure."""

import numpy as np
import pytest

import tinygraph as tg


def forward(x, gamma, beta):
    mu = x.mean(axis=0)
    xmu = x - mu
    sigma = np.sqrt((xmu**2).mean(axis=0) + 1e-5)
    xhat = xmu / sigma
    return gamma * xhat + beta, (xhat, gamma, sigma, xmu)


def backward_of(dx):
    """A backward pass whose dx is one line."""

    def backward(dout, cache):
        xhat, gamma, sigma, xmu = cache
        return dx(dout, xhat, gamma, sigma, xmu), (dout * xhat).sum(axis=0), dout.sum(axis=0)

    return backward


CLOSED = [
    (lambda g, xh, ga, s, xc: ga / s * (g - xh * (g * xh).mean(axis=0)), "gamma mean(dout)/sigma is missing"),
    (lambda g, xh, ga, s, xc: ga / s * (g - g.mean(axis=0)), "gamma xhat mean(dout xhat)/sigma is missing"),
    (
        lambda g, xh, ga, s, xc: ga / s * (g - g.mean(axis=0) + xh * (g * xh).mean(axis=0)),
        "gamma xhat mean(dout xhat)/sigma has the wrong sign",
    ),
    (
        lambda g, xh, ga, s, xc: ga / s * (g - g.sum(axis=0) - xh * (g * xh).mean(axis=0)),
        "gamma mean(dout)/sigma is there",
    ),
    (
        lambda g, xh, ga, s, xc: ga / s * (g - g.mean(axis=0) - xc * (g * xh).mean(axis=0)),
        "stands where −gamma xhat mean(dout xhat)/sigma should",
    ),
]
SHAPES = {"x": (5, 3), "gamma": (3,), "beta": (3,)}


def notes(backward):
    report = tg.check_backward(backward, forward, SHAPES)
    return report, [e.text for e in report.entries if e.verdict == "note"]


@pytest.mark.parametrize(("dx", "said"), CLOSED)
def test_the_term_that_differs_is_named(dx, said):
    report, told = notes(backward_of(dx))
    assert not report.passed
    assert len(told) == 1 and told[0].startswith("dx: ") and said in told[0]


def along(a):
    return a.sum(axis=1, keepdims=True)


def mean(a):
    return a.mean(axis=1, keepdims=True)


def layer_norm(x, gamma):
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    s = np.sqrt((xc**2).mean(axis=1, keepdims=True) + 1e-5)
    xhat = xc / s
    return gamma * xhat, (gamma, xhat, s)


def softmax(x):
    e = np.exp(x)
    p = e / e.sum(axis=1, keepdims=True)
    return p, p


def log_softmax(x):
    z = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return z, np.exp(z)


def sigmoid(x):
    s = 1 / (1 + np.exp(-x))
    return s, s


def tanh(x):
    t = np.tanh(x)
    return t, t


def normalized(x):
    n = np.sqrt((x**2).sum(axis=1, keepdims=True))
    y = x / n
    return y, (y, n)


OTHERS = [  # forward, dx of (dout, cache) with one wrong term, what is said
    (layer_norm, lambda g, c: (c[0] * g - c[1] * mean(g * c[0] * c[1])) / c[2],
     "the term −mean(gamma dout)/s is missing"),
    (layer_norm, lambda g, c: (c[0] * g - mean(g * c[0]) + c[1] * mean(g * c[0] * c[1])) / c[2],
     "the term −xhat mean(gamma dout xhat)/s has the wrong sign"),
    (layer_norm, lambda g, c: (c[0] * g - mean(g) - c[1] * mean(g * c[0] * c[1])) / c[2],
     "−mean(dout)/s stands where −mean(gamma dout)/s should"),
    (softmax, lambda g, p: p * g, "the term −p Σ dout p is missing"),
    (softmax, lambda g, p: p * (g - mean(g * p)), "the term −p Σ dout p is there 1/3 times"),
    (log_softmax, lambda g, p: g - along(g), "−Σ dout stands where −p Σ dout should"),
    (sigmoid, lambda g, s: g * s, "the term −dout s² is missing"),
    (sigmoid, lambda g, s: g * s * (1 + s), "the term −dout s² has the wrong sign"),
    (tanh, lambda g, t: g * (1 - t), "−dout t stands where −dout t² should"),
    (tanh, lambda g, t: g * (1 + t**2), "the term −dout t² has the wrong sign"),
    (normalized, lambda g, c: g / c[1], "the term −y Σ dout y/n is missing"),
    (normalized, lambda g, c: (g + c[0] * along(g * c[0])) / c[1], "the term −y Σ dout y/n has the wrong sign"),
]  # fmt: skip


@pytest.mark.parametrize(("forward", "dx", "said"), OTHERS)
def test_of_other_functions_the_term_that_differs_is_named(forward, dx, said):
    def backward(dout, cache):
        return dx(dout, cache)

    shapes = {"x": (4, 3), "gamma": (3,)} if forward is layer_norm else {"x": (4, 3)}
    returns = ["dx", "dgamma"] if forward is layer_norm else None

    def with_gamma(dout, cache):
        return dx(dout, cache), (dout * cache[1]).sum(axis=0)

    report = tg.check_backward(with_gamma if returns else backward, forward, shapes, returns)
    assert [e.text for e in report.entries if e.verdict == "note"] == [f"dx: {said}"]


def test_of_a_right_form_nothing_is_said():
    report, told = notes(backward_of(lambda g, xh, ga, s, xc: ga / s * (g - g.mean(0) - xh * (g * xh).mean(0))))
    assert report.passed and not told


def test_of_another_formula_no_terms_are_told():
    _, told = notes(backward_of(lambda g, xh, ga, s, xc: np.tanh(g * xh) + ga * s + xc))
    assert not told


def test_code_that_does_not_run_on_tensors_is_judged_as_before():
    def in_place(g, xh, ga, s, xc):
        out = np.empty_like(np.asarray(g))
        out[:] = ga / s * g
        return out

    report, told = notes(backward_of(in_place))
    assert not report.passed and not told
