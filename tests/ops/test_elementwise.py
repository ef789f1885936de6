"""Elementwise ops where their lines have a special case: powers of 0 and to the power 0."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad


def power_derivatives(x, y):
    """Derivatives of x ** y, recorded: in x, in y; of those in xx, xy, yx, yy; of xy in x and y."""
    x, y = Tensor(np.array(x)), Tensor(np.array(y))
    dx, dy = grad(x**y, (x, y), create_graph=True)
    xx, xy = grad(dx, (x, y), create_graph=True)
    yx, yy = grad(dy, (x, y), create_graph=True)
    xyx, xyy = grad(xy, (x, y))
    return [d.item() for d in (dx, dy, xx, xy, yx, yy, xyx, xyy)]


@pytest.mark.parametrize("x", [2.0, 0.25, 1.0, 1e-100, 1e30])
def test_a_power_of_zero_is_constant_in_x_and_not_in_y(x):
    """By hand: the derivative y x^(y-1) is 0 at y = 0, its own one in y is 1/x, and so on."""
    log = np.log(x)
    wanted = [0, log, 0, 1 / x, 1 / x, log**2, -1 / x**2, 2 * log / x]
    np.testing.assert_allclose(power_derivatives(x, 0.0), wanted, rtol=1e-14)


@pytest.mark.parametrize("y", [3.0, 2.0, 1.5])
def test_other_powers_have_the_derivatives_of_the_formula(y):
    x, log = 1.7, np.log(1.7)
    p = lambda k: x ** (y - k)
    mixed = p(1) * (1 + y * log)
    third = p(2) * (2 * y - 1 + y * (y - 1) * log), p(1) * log * (2 + y * log)
    wanted = [y * p(1), p(0) * log, y * (y - 1) * p(2), mixed, mixed, p(0) * log**2, *third]
    np.testing.assert_allclose(power_derivatives(x, y), wanted, rtol=1e-13)


def test_zero_to_the_power_zero_is_flat():
    assert power_derivatives(0.0, 0.0)[:6] == [0] * 6


def test_the_hessian_of_a_power_is_symmetric_everywhere():
    """With an exponent of 0 in some places and others elsewhere, and bases of 0 among them."""
    x, y = np.array([0.0, 2.0, 0.5, 3.0, 1.0]), np.array([2.0, 0.0, 0.0, 1.0, 0.0])
    (xx, xy), (yx, yy) = tg.hessian(lambda x, y: (x**y).sum(), (x, y))
    np.testing.assert_allclose(xy, yx.T, rtol=1e-14)
    np.testing.assert_allclose(np.diag(xy), [0, 0.5, 2, 1 + np.log(3), 1], rtol=1e-14)
    np.testing.assert_allclose(np.diag(xx), [2, 0, 0, 0, 0])
    assert np.isfinite(yy).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_higher_derivatives_at_a_constant_power_of_zero_are_zero(dtype):
    x = Tensor(np.array([0.0, 1e-30, 2.0], dtype))
    for exponent in (0, np.zeros(3, dtype), Tensor(np.zeros(3, dtype), requires_grad=False)):
        y = x**exponent
        for _ in range(3):
            (y,) = grad(y.sum(), x, create_graph=True, materialize_grads=True)
            np.testing.assert_array_equal(y.data, 0)
            if not y.requires_grad:
                break


def test_arrays_may_have_more_axes_than_the_alphabet_letters():
    few, many = tg.Tensor(np.ones(3)), np.full((1,) * 28 + (2, 3), 2.0)
    np.testing.assert_array_equal(tg.grad((few * many).sum(), few)[0], [4.0, 4.0, 4.0])
    np.testing.assert_array_equal(tg.grad((few + many).sum(), few)[0], [2.0, 2.0, 2.0])


def test_nan_to_num_of_what_has_no_nan():
    np.testing.assert_array_equal(tg.nan_to_num(np.array([1, 2])), [1, 2])
    assert tg.nan_to_num(0.5) == 0.5 and tg.nan_to_num(float("nan")) == 0
