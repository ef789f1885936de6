"""Softmax and cross-entropy: on what is empty, on what is no array, and on arrays as on Tensors."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad


@pytest.mark.parametrize("function", [tg.softmax, tg.log_softmax])
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 0), ((0, 3), 1), ((3, 0), -1), ((0,), 0)])
def test_of_nothing_comes_nothing(function, shape, axis):
    x = Tensor(np.zeros(shape))
    y = function(x, axis)
    assert y.shape == shape
    assert tg.grad(y.sum(), x)[0].shape == shape


@pytest.mark.parametrize("axis", [0, -1])
def test_one_number_has_probability_one(axis):
    assert tg.softmax(np.array(2.0), axis) == 1
    assert tg.log_softmax(Tensor(2.0), axis).item() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_arrays_and_tensors_give_the_same_bits(rng, dtype, reduction, label_smoothing):
    for n, classes in ((5, 3), (7, 10), (4, 6), (1, 7), (33, 11)):
        x, indices = rng.standard_normal((n, classes)).astype(dtype), rng.integers(0, classes, n)
        soft = rng.random((n, classes)).astype(dtype)
        for target in (indices, soft):
            options = {"reduction": reduction, "label_smoothing": label_smoothing}
            of_arrays = tg.cross_entropy(x, target, **options)
            of_tensors = tg.cross_entropy(Tensor(x), target, **options).data
            np.testing.assert_array_equal(of_arrays, of_tensors)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cross_entropy"])
def test_a_list_is_no_array(name):
    args = ([1],) if name == "cross_entropy" else ()
    with pytest.raises(TypeError, match=rf"^{name}: x must be an array or a Tensor, not list: convert it with"):
        getattr(tg, name)([[1.0, 2.0]], *args)


def test_softmax_and_cross_entropy_do_not_overflow():
    x = np.array([[1e4, 0.0, -1e4], [-np.inf, 0.0, 0.0]])
    np.testing.assert_allclose(tg.softmax(x), [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(tg.log_softmax(x)[0], [0, -1e4, -2e4])
    leaf = Tensor(x[:1])
    loss = tg.cross_entropy(leaf, np.array([2]))
    assert loss.item() == 2e4
    np.testing.assert_allclose(grad(loss, leaf)[0], [[1, 0, -1]])


def test_cross_entropy_by_its_formula(rng):
    x, labels = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    each = -np.log(p[np.arange(5), labels])
    one_hot = np.eye(3)[labels]
    np.testing.assert_allclose(tg.cross_entropy(x, labels, reduction="none"), each)
    np.testing.assert_allclose(tg.cross_entropy(x, labels, reduction="sum"), each.sum())
    np.testing.assert_allclose(tg.cross_entropy(x, labels), each.mean())
    np.testing.assert_allclose(tg.cross_entropy(x, one_hot), each.mean())
    smooth = -((0.9 * one_hot + 0.1 / 3) * np.log(p)).sum(1)
    np.testing.assert_allclose(tg.cross_entropy(x, labels, label_smoothing=0.1), smooth.mean())
    leaf = Tensor(x)
    np.testing.assert_allclose(grad(tg.cross_entropy(leaf, labels), leaf)[0], (p - one_hot) / 5, atol=1e-15)
    targets = Tensor(one_hot)
    np.testing.assert_allclose(grad(tg.cross_entropy(x, targets), targets)[0], -np.log(p) / 5)
