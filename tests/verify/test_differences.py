"""Differences beside gradients: which entries are beyond tolerance, which are kinks, and the words for an error."""

import numpy as np
import pytest

from tinygraph.verify.differences import Check, Comparison, describe_error
from tinygraph.verify.inputs import argument_names, random_numbers


def comparison(analytic, numeric, left=None, right=None):
    rows = [np.atleast_2d(np.asarray(a, float)) for a in (analytic, numeric)]
    sides = [rows[1] if side is None else np.atleast_2d(np.asarray(side, float)) for side in (left, right)]
    return Comparison(0, 0, np.arange(rows[0].shape[1]), 0, *rows, *sides, np.zeros((len(rows[0]), 1)))


@pytest.mark.parametrize(
    ("analytic", "numeric", "words"),
    [
        ([2.0, 4.0], [1.0, 2.0], "is 2 × too large"),
        ([0.5, 1.0], [1.0, 2.0], "is 2 × too small"),
        ([-1.0, -2.0], [1.0, 2.0], "has its sign flipped"),
        ([-3.0, -6.0], [1.0, 2.0], "has its sign flipped and is 3 × too large"),
        ([0.0, 0.0], [1.0, 2.0], "is zero"),
        ([1.0, 0.0], [1.0, 2.0], "is wrong in 1 of 2 elements"),
        ([1.0, 2.0], [0.0, 0.0], "is wrong in 2 of 2 elements"),
        ([np.inf, 2.0], [1.0, 2.0], "is not finite"),
        ([1.0, 2.0], [np.nan, 2.0], "cannot be checked: the function is not finite near the input"),
    ],
)
def test_an_error_is_described(analytic, numeric, words):
    found = comparison(analytic, numeric)
    assert describe_error(found, found.excess(1e-5, 1e-3)) == words


def test_an_error_is_counted_in_tolerances():
    found = comparison([1.0, 2.0, np.nan, 5.0], [1.0, 2.3, 1.0, np.inf])
    np.testing.assert_allclose(found.excess(0.1, 0.5), [[0, 0.3 / (0.1 + 1.15), np.inf, np.inf]])


def test_a_kink_lies_between_two_slopes():
    """The second has a gradient outside of both, and the third has one slope: these are errors."""
    found = comparison([0.5, 3.0, 0.5], [0.5, 0.5, 0.0], left=[0, 0, 0.0], right=[1, 1, 0.0])
    assert found.kinks(1e-5, 1e-3).tolist() == [[True, False, False]]


def test_the_slopes_on_both_sides_are_measured():
    """|x| and x² at 0, each with a gradient of 0 there."""
    check = Check("check", lambda x: np.abs(x) + x * x, [np.array([0.0, 1.0])], ["x"])
    (found,) = check.compare(1e-6, random_numbers(0))
    np.testing.assert_allclose(found.left[:2], [[-1, 0], [0, 3]], atol=1e-5)
    np.testing.assert_allclose(found.right[:2], [[1, 0], [0, 3]], atol=1e-5)
    np.testing.assert_allclose(found.numeric[:2], [[0, 0], [0, 3]], atol=1e-8)
    assert found.units == 2 and len(found.analytic) == 4  # a row an element, and two that are random


def test_some_elements_of_many_are_moved():
    check = Check("check", lambda x: x * x, [np.arange(1.0, 101.0)], ["x"])
    (found,) = check.compare(1e-6, random_numbers(0), at_most=10)
    assert found.elements.shape == (10,) and found.numeric.shape[1] == 10
    np.testing.assert_allclose(found.numeric, found.analytic, rtol=1e-6, atol=1e-6)
    assert len(set(found.elements.tolist())) == 10


def test_arguments_are_called_as_their_function_calls_them():
    assert argument_names(lambda x, gamma, beta: 0, 3) == ["x", "γ", "β"]
    assert argument_names(lambda x, *others: 0, 3) == ["x", "x1", "x2"]
    assert argument_names(max, 2) == ["x0", "x1"]
