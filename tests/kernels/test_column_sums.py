"""Sums of columns by BLAS are sums, whatever the layout and the length."""

from __future__ import annotations

import numpy as np
import pytest

from tinygraph.kernels.column_sums import DEPTH, DOT_LENGTH, LARGE, column_sums, ones


@pytest.mark.parametrize("shape", [(3, 4), (LARGE, 3), (2 * DEPTH + 1, 50), (1, LARGE), (4, 5, 6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_they_are_sums(rng, shape, dtype):
    x = (rng.standard_normal(shape) * 10).astype(dtype)
    exact = x.astype(np.float64).sum(0)
    tolerance = len(x) * (np.finfo(dtype).eps if x.dtype.kind == "f" else 0)
    for a in (x, np.asfortranarray(x)):
        found = column_sums(a)
        assert found.dtype == x.sum(0).dtype and found.shape == exact.shape
        assert abs(found - exact).max() <= tolerance * abs(x).max()


def test_small_sums_are_in_the_order_of_numpy(rng):
    x = rng.standard_normal((100, 7), np.float32)
    assert np.array_equal(column_sums(x), x.sum(0))


@pytest.mark.parametrize("length", [3, DOT_LENGTH + 1])
def test_ones_are_ones(length):
    assert ones(length, np.dtype(np.float32)).tolist() == [1.0] * length
    if length <= DOT_LENGTH:
        with pytest.raises(ValueError, match="read-only"):
            ones(length, np.dtype(np.float32))[0] = 2
