"""Reductions of what has no elements, and of single numbers of every kind."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 0), ((0, 3), 1), ((3, 0), -1), ((0,), 0), ((2, 0, 3), (0, 1))])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_over_nothing_is_the_logarithm_of_zero(shape, axis, keepdims):
    x = Tensor(np.zeros(shape))
    y = tg.logsumexp(x, axis, keepdims)
    wanted = np.zeros(shape).sum(axis=axis, keepdims=keepdims)
    assert y.shape == wanted.shape
    np.testing.assert_array_equal(y.data, np.full_like(wanted, -np.inf))
    assert grad(y.sum(), x)[0].shape == shape


NUMBERS = [
    np.array(3.0),
    np.float64(3.0),
    np.float32(3.0),
    np.array(3.0, np.float16),
    np.array(3.0, np.longdouble),
    np.array(3.0).view(Subclass),
]


@pytest.mark.parametrize("x", NUMBERS, ids=[f"{type(x).__name__}-{x.dtype}" for x in NUMBERS])
@pytest.mark.parametrize("axis", [None, 0, -1, ()])
def test_every_reduction_takes_a_single_number(x, axis):
    for function in (tg.sum, tg.mean, tg.max, tg.min, tg.logsumexp, tg.var, tg.std):
        for keepdims in (False, True):
            found = function(x, axis=axis, keepdims=keepdims)
            assert np.shape(found) == ()
            assert found.dtype == x.dtype
            assert found == (0 if function in (tg.var, tg.std) else 3)
    leaf = Tensor(x)
    computed = leaf * 1
    for y in (tg.mean(leaf, axis), tg.mean(computed, axis), tg.logsumexp(computed, axis)):
        assert grad(y, leaf)[0] == 1


def test_the_mean_of_an_integer_is_a_fraction():
    assert tg.mean(np.array(3)).dtype == np.float64


def test_an_axis_that_a_single_number_has_not_is_an_error():
    with pytest.raises(IndexError, match="axis 1 is out of bounds"):
        tg.mean(Tensor(3.0), axis=1)
