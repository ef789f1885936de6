"""Exact numbers: roots, exponentials and logarithms keep their identities."""

from fractions import Fraction

import numpy as np
import pytest

from tinygraph.sums.exact import Exact, Undecided, exact_function, square_parts


def test_roots_multiply_and_leave_denominators():
    a, b = Exact.of(2).sqrt(), Exact.of(3).sqrt()
    assert a * a == 2 and a * b == Exact.of(6).sqrt()
    assert Exact.of(8).sqrt() == 2 * a
    x = 1 / (1 + a + b)
    assert x * (1 + a + b) == 1
    assert float(x) == pytest.approx(1 / (1 + 2**0.5 + 3**0.5), rel=1e-14)


def test_exp_and_log_undo_each_other_in_a_sum():
    s, t = Exact.of(5), Exact.of(Fraction(7, 3))
    assert (Exact.of(2) - s.log()).exp() == Exact.of(2).exp() / 5
    assert (s.log() + 2 * t.log()).exp() == 5 * t * t
    assert Exact.of(1).exp() * Exact.of(-3).exp() == Exact.of(-2).exp()
    assert s.log() != t.log()


def test_tanh_is_a_sigmoid():
    x = Exact.of(Fraction(1, 2))
    assert x.tanh() == 2 * (2 * x).sigmoid() - 1
    assert (-x).tanh() == -x.tanh()


def test_an_unknown_function_is_one_number_for_one_argument():
    x = np.array([Exact.of(2), Exact.of(3)], object)
    first, again = exact_function("erf", x), exact_function("erf", x)
    assert (first == again).all() and first[0] != first[1]


def test_what_is_not_known_is_not_decided():
    with pytest.raises(Undecided):
        Exact.of(-1).sqrt()
    with pytest.raises(ZeroDivisionError):
        1 / Exact.of(0)


@pytest.mark.parametrize("n", [1, 2, 72, 49, 12345, 2 * 3 * 5 * 7 * 121])
def test_square_parts(n):
    whole, free = square_parts(n)
    assert whole * whole * free == n
    assert all(free % (p * p) for p in range(2, 200))
