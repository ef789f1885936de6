"""Sums of products keep their digits, however many rows are added up."""

import numpy as np
import pytest

from tinygraph import Tensor


@pytest.mark.parametrize("n", [4097, 2_000_000])
def test_a_sum_over_many_rows_is_as_exact_as_its_dtype(n):
    rng = np.random.default_rng(0)
    x, w = rng.random((n, 2), np.float32), rng.random((n, 2), np.float32)
    gamma = Tensor(np.ones(2, np.float32))
    (Tensor(x, requires_grad=False) * gamma).backward(w)
    exact = (x.astype(float) * w).sum(0)
    np.testing.assert_allclose(gamma.grad, exact, rtol=2e-6)
    assert gamma.grad.dtype == np.float32


def test_longdouble_keeps_its_digits():
    x = np.full((5000, 4), np.longdouble(1) / 3)
    gamma = Tensor(np.ones(4, np.longdouble))
    (Tensor(x, requires_grad=False) * gamma).backward(np.ones((5000, 4), np.longdouble))
    np.testing.assert_allclose(gamma.grad, x.sum(0), rtol=1e-17 if np.finfo(np.longdouble).eps < 1e-18 else 1e-14)


@pytest.mark.parametrize("operation", [lambda x, b: x + b, lambda x, b: x * b])
def test_float16_counts_beyond_its_whole_numbers(operation):
    ones = np.ones((20_000, 4), np.float16)
    b = Tensor(np.ones(4, np.float16))
    operation(ones, b).backward(ones)
    np.testing.assert_array_equal(b.grad, np.full(4, 20_000, np.float16))
