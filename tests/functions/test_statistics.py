"""Variance and standard deviation against PyTorch's conventions, also where all values are equal."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad


def test_where_all_values_are_equal_std_has_slope_zero():
    """At every order, without a warning; the other columns are not touched."""
    x = np.array([[3.0, 1.0], [3.0, 2.0], [3.0, 6.0]])
    leaf = Tensor(x)
    y = tg.std(leaf, 0)
    np.testing.assert_allclose(y.data, x.std(0), rtol=1e-15)
    (first,) = grad(y.sum(), leaf, create_graph=True)
    np.testing.assert_array_equal(first.data[:, 0], 0)
    np.testing.assert_allclose(first.data[:, 1], (x[:, 1] - 3) / (3 * x[:, 1].std()))
    (second,) = grad(first, leaf, np.array([[1.0, 1], [0, 0], [0, 0]]), create_graph=True)
    np.testing.assert_array_equal(second.data[:, 0], 0)
    assert np.isfinite(grad(second[:, 1].sum(), leaf)[0]).all()
    np.testing.assert_array_equal(tg.hessian(lambda x: tg.std(x), np.ones(4)), np.zeros((4, 4)))
    np.testing.assert_array_equal(grad(tg.std(leaf, 0).sum(), leaf)[0], first.data)


@pytest.mark.parametrize("correction", [0, 1])
def test_std_of_equal_values_as_pytorch(correction):
    torch = pytest.importorskip("torch")
    x = np.array([[1.0, 2.0, 4.0], [5.0, 5.0, 5.0]])
    leaf, theirs = Tensor(x), torch.tensor(x, requires_grad=True)
    tg.std(leaf, 1, correction=correction).sum().backward()
    theirs.std(1, correction=correction).sum().backward()
    np.testing.assert_allclose(leaf.grad, theirs.grad.numpy(), atol=1e-15)


def test_var_and_std_as_numpy(rng):
    x = rng.standard_normal((4, 5))
    np.testing.assert_allclose(tg.var(x), x.var())
    np.testing.assert_allclose(tg.var(x, 0, True, 1), x.var(0, ddof=1, keepdims=True))
    np.testing.assert_allclose(tg.std(x, (0, 1), correction=2), x.std(ddof=2))
