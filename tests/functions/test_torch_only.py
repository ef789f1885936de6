"""What PyTorch alone has names for: its values, and its derivatives to the second order."""

import inspect

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.functions import torch_only

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
X, Y, Z = RNG.standard_normal((3, 4, 3))
ROW, HIGH = X[0], abs(Z) + 0.5

# name: (arrays that are differentiated, call). The call gets the module and tensors.
CASES = {
    "addcmul": ([X, Y, ROW], lambda m, x, y, z: m.addcmul(x, y, z, value=2)),
    "addcdiv": ([X, Y, HIGH], lambda m, x, y, z: m.addcdiv(x, y, z) + x.addcdiv(y, z, value=-0.5)),
    "lerp": ([X, Y], lambda m, x, y: m.lerp(x, y, 0.3)),
    "lerp, by weights": ([X, Y, ROW], lambda m, x, y, z: x.lerp(y, z)),
    "dist": ([X, ROW], lambda m, x, y: m.dist(x, y)),
    "dist, 3": ([X, Y], lambda m, x, y: x.dist(y, 3.0)),
    "dist, largest": ([X, Y], lambda m, x, y: x.dist(y, float("inf"))),
    "clamp_min": ([X], lambda m, x: m.clamp_min(x, float(X[1, 1]))),
    "clamp_max": ([X], lambda m, x: x.clamp_max(0.9) + m.clamp_max(x, float(X[1, 1]))),
    "clamp_min, of a tensor": ([X, ROW], lambda m, x, y: m.clamp_min(x, y + 0.1)),
    "clamp": ([X], lambda m, x: m.clamp(x, -0.5, 0.5)),
    "aminmax": ([X], lambda m, x: m.aminmax(x, dim=1, keepdim=True).max - x.aminmax().min),
    "var_mean": ([X], lambda m, x: m.var_mean(x, 1)[0] * m.var_mean(x, dim=1)[1]),
    "var_mean, biased": ([X], lambda m, x: m.var_mean(x, False)[0] + 2 * m.var_mean(x, True)[1]),
    "std_mean, no correction given": (
        [X],
        lambda m, x: m.std_mean(x, dim=1, correction=None)[0] * m.std_mean(x, True)[0],
    ),
    "std_mean": ([X], lambda m, x: m.std_mean(x)[0] + m.std_mean(x, dim=0, correction=0, keepdim=True)[0]),
    "msort": ([X], lambda m, x: m.msort(x) * x.msort()),
    "renorm": ([X], lambda m, x: m.renorm(x, 2, 1, 1.5) + x.renorm(1, -2, 2.0)),
    "slice_scatter": ([X, Y[:2]], lambda m, x, y: m.slice_scatter(x, y, 0, 1, None, 2) + x.slice_scatter(y, end=2)),
    "select_scatter": ([X, ROW], lambda m, x, y: m.select_scatter(x, y, 0, -1)),
    "sum_to_size": ([X], lambda m, x: x.sum_to_size(1, 3) + x.sum_to_size((4, 1))),
    "concat": ([X, ROW], lambda m, x, y: m.concat([x, y[None]], dim=0)),
    "divide": ([X, HIGH], lambda m, x, y: m.divide(x, y) + m.divide(x, y, rounding_mode="floor") + m.true_divide(x, y)),
    "subtract": ([X, Y], lambda m, x, y: m.subtract(x, y, alpha=3)),
    "mm": ([X, Y], lambda m, x, y: m.mm(x, y.T) * m.bmm(x[None], y.T[None])[0]),
    "pow": ([HIGH, Y], lambda m, x, y: m.pow(x, y) * m.multiply(x, m.negative(y))),
    "amax": ([X], lambda m, x: m.amax(x, 1) - m.amin(x, dim=1) + m.absolute(x)[:, 0]),
    "permute": ([X], lambda m, x: m.permute(x, (1, 0)) * m.ravel(x)[:4]),
    "sgn": ([X], lambda m, x: m.sgn(x) * x + x.sgn()),
    "double": ([X], lambda m, x: x.double() * x.type_as(x)),
}


def second(module, call, xs, weights, directions):
    """The value, its gradients times weights, and their derivatives along directions."""
    y = call(module, *xs)
    if module is torch:
        dxs = torch.autograd.grad((y * torch.tensor(weights)).sum(), xs, create_graph=True)
        total = sum((g * torch.tensor(v)).sum() + 0 * x.sum() for g, v, x in zip(dxs, directions, xs, strict=True))
        return [part.detach().numpy() for part in (y, *dxs, *torch.autograd.grad(total, xs))]
    dxs = tg.grad((y * weights).sum(), xs, create_graph=True)
    total = sum((g * v).sum() + 0 * x.sum() for g, v, x in zip(dxs, directions, xs, strict=True))
    return [y.data, *(g.data for g in dxs), *tg.grad(total, xs)]


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_those_of_torch(name):
    arrays, call = CASES[name]
    shape = call(tg, *map(tg.Tensor, arrays)).shape
    rng = np.random.default_rng(1)
    weights, directions = rng.standard_normal(shape), [rng.standard_normal(x.shape) for x in arrays]
    theirs = second(torch, call, [torch.tensor(x, requires_grad=True) for x in arrays], weights, directions)
    ours = second(tg, call, [tg.Tensor(x) for x in arrays], weights, directions)
    for found, wanted in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


def test_every_function_is_compared():
    calls = "".join(inspect.getsource(call) for _, call in CASES.values())
    assert {name for name in torch_only.__all__ if f"m.{name}(" not in calls} == {"logspace"}


def test_logspace_is_that_of_torch():
    np.testing.assert_allclose(tg.logspace(-1, 2, 5).data, torch.logspace(-1, 2, 5, dtype=torch.float64).numpy())
    assert tg.logspace(0, 4, 5, base=2, dtype=np.float32).dtype == np.float32
    assert not tg.logspace(0, 1, 2).requires_grad


@pytest.mark.parametrize("name", ["bool", "byte", "char", "double", "float", "half", "int", "long", "short"])
def test_conversions_are_those_of_torch(name):
    found, wanted = getattr(tg.Tensor(3 * HIGH), name)(), getattr(torch.tensor(3 * HIGH), name)()
    assert found.dtype == wanted.numpy().dtype
    np.testing.assert_array_equal(found.data, wanted.numpy())


def test_a_converted_tensor_has_a_gradient():
    x = tg.Tensor(X)
    (x.float(memory_format=None) * 2).sum().backward()
    np.testing.assert_array_equal(x.grad, np.full(X.shape, 2.0))
