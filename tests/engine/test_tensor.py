"""A Tensor's data is an array, whatever made it."""

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, no_grad

X = np.arange(12.0).reshape(4, 3)


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
    for y in (make(Tensor(X)), make(Tensor(X, requires_grad=False))):
        assert type(y.data) is np.ndarray and y.shape == ()
    with no_grad():
        assert type(make(Tensor(X)).data) is np.ndarray


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
    y, z = Tensor(X) * 2.0, Tensor(X) + 1.0
    with pytest.raises(TypeError):
        y.node.params["a"] = 1
    assert dict(z.node.params) == {}
