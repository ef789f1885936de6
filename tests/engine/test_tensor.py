"""A Tensor's data is an array, whatever made it."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import tinygraph as tg
from tests.tensors import X, tensor
from tinygraph import Parameter, Tensor, grad, no_grad

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.sum(),
        lambda x: x.mean(),
        lambda x: x.max(),
        lambda x: x[1, 2],
        lambda x: x[0] @ x[1],
        lambda x: x.sum() * x.mean() + 1.0,
        lambda x: tg.exp(x.sum() * 0.0),
        lambda x: tg.mean(x.sum(), axis=0),
        lambda x: np.einsum("ij,ij->", x, x),
        lambda x: tg.logsumexp(x),
        lambda x: tg.argmax(x),
        lambda x: tg.var(x),
        lambda x: tg.concatenate([x[0], x[1]]).sum(),
        lambda x: Tensor(np.float32(3.0)),
        lambda x: Tensor(3.0),
        lambda x: tg.cross_entropy(x, np.array([0, 1, 2, 0])),
    ],
)
def test_data_is_an_array_also_without_axes(make):
    for y in (make(Tensor(ROWS)), make(Tensor(ROWS, requires_grad=False))):
        assert type(y.data) is np.ndarray and y.shape == ()
    with no_grad():
        assert type(make(Tensor(ROWS)).data) is np.ndarray


def test_gradients_without_axes_are_arrays_however_often_they_are_added_to():
    x = Tensor(3.0)
    for times in (1, 2, 3):
        (x * x).backward()
        assert type(x.grad) is np.ndarray and x.grad.shape == ()
        assert x.grad == 6.0 * times
    x.grad[...] = 0
    x.grad += 1
    assert x.grad == 1.0


def test_parameters_of_a_node_are_its_own():
    y, z = Tensor(ROWS) * 2.0, Tensor(ROWS) + 1.0
    with pytest.raises(TypeError):
        y.node.params["a"] = 1
    assert dict(z.node.params) == {}


def test_requires_grad_can_be_changed_in_a_leaf():
    x = tensor()
    x.requires_grad = False
    assert not (x * x).requires_grad
    x.requires_grad = True
    np.testing.assert_allclose(grad((x * x).sum(), x)[0], 2 * X)


def test_data_can_be_replaced_and_the_graph_keeps_the_old():
    x = tensor()
    y = (x * x).sum().named("L")
    x.data = 2 * X
    np.testing.assert_allclose(grad(y, x)[0], 2 * X)
    np.testing.assert_allclose(grad((x * x).sum(), x)[0], 4 * X)
    x.data = np.ones(5)
    assert x.shape == grad(x.sum(), x)[0].shape == (5,)
    assert tg.snapshot(y).find("L").value.values == ((X * X).sum(),)  # with another shape, it is another leaf
    x.data = Tensor(X)
    assert type(x.data) is np.ndarray


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge", "eq", "ne"])
@pytest.mark.parametrize("other", [0.5, np.float64(0.5), X[0], tensor(X[0])])
def test_comparisons_give_plain_arrays(name, other):
    f, right = getattr(operator, name), getattr(other, "data", other) if isinstance(other, Tensor) else other
    for found, wanted in [(f(tensor(), other), f(X, right)), (f(other, tensor()), f(right, X))]:
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, wanted)


def test_a_tensor_as_python_sees_it():
    x, one = tensor(name="x"), tensor(2.5)
    assert (len(x), x.shape, x.ndim, x.size, x.dtype) == (2, (2, 3), 2, 6, np.float64)
    rows = list(x)
    np.testing.assert_array_equal([r.data for r in rows], X)
    np.testing.assert_allclose(grad(sum(rows).sum(), x)[0], 1 + 0 * X)
    assert (float(one), int(one), bool(one), one.item(), x.tolist()) == (2.5, 2, True, 2.5, X.tolist())
    with pytest.raises(ValueError, match="truth value"):
        bool(x)
    assert {x: 1}[x] == 1  # hashed by identity, as PyTorch's
    assert repr(x[0].named("row")) == "Tensor([ 0.5, -1. ,  2. ], name='row', op=index)"
    assert repr(Tensor(np.float32([1]), requires_grad=False)) == "Tensor([1.], dtype=float32, requires_grad=False)"
    np.testing.assert_array_equal(np.asarray(x.detach()), X)
    assert x.numpy() is x.data


def test_copies_and_pickles_are_leaves_of_their_own():
    x = Parameter(X.copy(), name="x")
    (x * x).sum().backward()
    y, (z, again) = copy.deepcopy(x), pickle.loads(pickle.dumps([x, x]))
    assert z is again
    for t in (y, z):
        assert type(t) is Parameter
        assert (t.name, t.requires_grad, t.node.kind) == ("x", True, "parameter")
        assert t.node.id > x.node.id
        np.testing.assert_array_equal(t.data, x.data)
        np.testing.assert_array_equal(t.grad, x.grad)
        assert not np.shares_memory(t.data, x.data)
    assert not pickle.loads(pickle.dumps(x.detach())).requires_grad


def test_a_gradient_that_is_set_has_the_dtype_of_its_tensor():
    x = Tensor(np.ones(2, np.float32))
    x.grad = np.array([1.0, 2.0])
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [1, 2])
    mine = np.zeros(2, np.float32)
    x.grad = mine
    assert x.grad is mine
    with pytest.raises(TypeError, match="Cannot cast"):
        x.grad = np.ones(2, complex)
