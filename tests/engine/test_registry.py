"""NumPy's functions and Python's operators on Tensors."""

from __future__ import annotations

import operator

import numpy as np
import pytest

from tests.tensors import X
from tinygraph import Tensor, grad


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.sqrt(t) + np.exp(-t) - np.log(t) / np.square(t),
        lambda t: np.add(t, 1) * np.subtract(2, t) * np.multiply(t, t) * np.divide(t, 3) * np.negative(t),
        lambda t: np.abs(t) + np.absolute(t) + np.tanh(t) + np.power(t, 2),
        lambda t: np.maximum(t, 1.0) * np.minimum(1.0, t) + np.clip(t, 0.6, 1.2) + np.where(X > 0, t, 0),
        lambda t: np.mean(t, axis=0) + np.sum(t, axis=(0, 1), keepdims=True) + np.max(t, 0) - np.min(t),
        lambda t: np.amax(t, axis=1, keepdims=True) * np.amin(t, 0) + np.argmax(t, axis=0),
        lambda t: np.var(t, axis=0) + np.std(t, 0, keepdims=True),
        lambda t: np.matmul(t, X.T) + np.einsum("ij,kj->ik", t, t) + X @ np.transpose(t) + t @ X.T,
        lambda t: np.concatenate([t, X]).sum(0) + np.stack([X, t], -1)[..., 1],
        lambda t: np.split(t, 3, axis=1)[1] + np.split(t, [1], 0)[0].reshape(3, 1).swapaxes(0, 1),
        lambda t: np.reshape(t, (3, 2)) + np.swapaxes(t, 0, 1) * np.moveaxis(t, 0, 1),
        lambda t: np.squeeze(np.expand_dims(t, 0)) + np.broadcast_to(t, (2, 2, 3)),
        lambda t: np.pad(t, ((1, 0), (0, 2)), constant_values=4.0) * np.pad(t, ((0, 1), (1, 1))),
        lambda t: np.ravel(t) * t.flatten() + t.ravel(),
        lambda t: t[0] * t[:, 1:][1, 0] + t[..., None][[1, 0], :, 0] + t[X > 0].sum(),
        lambda t: t.sum() + t.mean(1).max() - t.min(0).std() + t.var(0, keepdims=True),
        lambda t: t.transpose() + t.T + t.transpose(1, 0) + t.transpose((1, 0)) + t.swapaxes(0, 1),
        lambda t: t.reshape((3, 2)) * t.reshape(3, -1) + t.reshape(-1).sum(),
        lambda t: t.clip(0.6) * t.squeeze() + abs(-t) ** 3 + 2**t + t**t,
        lambda t: np.float64(2) * t + np.float64(3) / t - np.array(1.0) ** t,
    ],
)
def test_numpy_functions_and_array_methods_mean_ours(f):
    """The same expression on a Tensor and on its array: one value, and the Tensor remembers."""
    array = np.abs(X) + 0.1
    x = Tensor(array)
    y = f(x)
    np.testing.assert_allclose(y.data, f(array), rtol=1e-14)
    assert y.requires_grad
    direction, step = np.arange(6.0).reshape(2, 3) / 5, 1e-6
    slope = (f(array + step * direction) - f(array - step * direction)) / (2 * step)
    assert np.vdot(grad(y.sum(), x)[0], direction) == pytest.approx(slope.sum(), rel=1e-6)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow"])
@pytest.mark.parametrize("other", [3, 2.5, np.float32(1.5), np.array([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]])
def test_operators_and_their_reflections(name, other):
    f, array = getattr(operator, name), np.abs(X) + 0.1
    for y, wanted in [
        (f(Tensor(array), other), f(array, other)),
        (f(other, Tensor(array)), f(other, array)),
        (f(Tensor(array), Tensor(array)), f(array, array)),
    ]:
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.data, wanted)
