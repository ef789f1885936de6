"""The fused ops on every route, against their composites in float64 and against PyTorch, at all orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each, close
from tests.decoy import Decoy
from tests.fused_cases import (
    CASES,
    DEFINED,
    FUSED,
    PACKAGES,
    SMALL,
    TOLERANCE,
    check,
    every_kernel,
    make_batch,
    passes,
    wanted,
)  # fmt: skip
from tinygraph import Tensor, fused, grad


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_value_and_gradients(dtype, way):
    def check_one(case):
        name, shape, axis = case
        check(name, make_batch(name, shape, axis, dtype), TOLERANCE[dtype], axis=axis)

    check_each(check_one, CASES)


def test_value_and_gradients_far_from_0(way):
    def check_one(case):
        name, shape, axis = case
        check(name, make_batch(name, shape, axis, np.float32, 1e4), 3e-6, axis=axis)

    check_each(check_one, CASES)


@pytest.mark.parametrize("given", [(False, False), (True, False), (False, True)])
def test_without_parameters(given, way):
    def check_one(case):
        name, shape, axis = case
        x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
        gamma, beta = (p if there else None for p, there in zip((gamma, beta), given, strict=True))
        check(name, [x, gamma, beta, g], TOLERANCE[np.float32], axis=axis)

    check_each(check_one, CASES)


@pytest.mark.parametrize(("name", "shape", "axis"), [CASES[0], CASES[4], CASES[12], CASES[16]])
def test_pytorch_agrees(name, shape, axis, way):
    torch = pytest.importorskip("torch")
    inputs = make_batch(name, shape, axis)
    x, gamma, beta, g = (torch.tensor(p, requires_grad=i < 3) for i, p in enumerate(inputs))
    F = torch.nn.functional
    if name == "batch_norm":
        y = F.batch_norm(x, None, None, gamma, beta, training=True)
    else:
        y = F.layer_norm(x, gamma.shape, gamma, beta)
    right = [y, *torch.autograd.grad(y, (x, gamma, beta), g)]
    for a, b in zip(passes(FUSED[name], inputs, axis=axis), right, strict=True):
        close(a, b.detach().numpy(), 1e-12)


@SMALL
def test_all_orders_are_the_composites(name, shape, axis, way):
    *inputs, g = make_batch(name, shape, axis)
    rng = np.random.default_rng(1)

    def orders(function: Any) -> list[np.ndarray]:
        leaves = [Tensor(p) for p in inputs]
        outputs, cotangents = [function(*leaves, axis=axis)], [g]
        found = []
        for _ in range(3):
            outputs = list(grad(outputs, leaves, cotangents, create_graph=True, materialize_grads=True))
            found += [t.data for t in outputs]
            outputs = [t for t in outputs if t.requires_grad]
            cotangents = [
                directions.setdefault((len(found), i), rng.standard_normal(t.shape)) for i, t in enumerate(outputs)
            ]
        return found

    directions: dict[Any, np.ndarray] = {}
    for a, b in zip(orders(FUSED[name]), orders(DEFINED[name]), strict=True):
        close(a, b, 1e-9)


def test_a_plain_array_may_stand_beside_tensors():
    """Order 2 with γ an array, and x and β Tensors: none of them is compared with the array by ==."""
    x, w = np.random.default_rng(0).standard_normal((2, 5, 3))
    found = []
    for f in (fused.batch_norm, tg.batch_norm):
        leaves = Tensor(x), Tensor(w[0])
        (first,) = grad(f(leaves[0], w[1], leaves[1]), leaves[0], w, create_graph=True)
        found.append(grad((first * first).sum(), leaves[0])[0])
    close(*found, 1e-9, "second derivative")


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_corners(name, shape, axis, dtype, way):
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    tolerance = 3 * TOLERANCE[dtype]
    check(name, [x, gamma * 0, beta + 1, g], tolerance, axis=axis)
    check(name, [x, gamma, beta, g], tolerance, axis=axis, eps=0.0)
    check(name, [x * dtype(1e-6), gamma, beta, g], tolerance, axis=axis)
    check(name, [x, gamma, beta, g], tolerance, axis=axis, eps=10.0)
    constant = np.copy(x)
    where = (slice(None), 2) if name == "batch_norm" else 2
    constant[where] = 3.0
    check(name, [constant, gamma, beta, g], tolerance, axis=axis)
    with pytest.raises(ValueError, match="eps is 0 and the variance of a channel is 0"):
        FUSED[name](constant, gamma, beta, axis=axis, eps=0.0)
    outlier = np.copy(x)
    outlier[(0,) * x.ndim] = 1e4
    check(name, [outlier, gamma, beta, g], tolerance, axis=axis)


@SMALL
def test_a_nan_stays_in_its_channel(name, shape, axis, way):
    x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
    x[(1,) * x.ndim] = np.nan
    y, dx, *_ = passes(FUSED[name], [x, gamma, beta, g], axis=axis)
    channel = (slice(None), 1) if name == "batch_norm" else 1
    for found in (y, dx):
        assert np.isnan(found[channel]).all()
        assert np.isnan(found).sum() == found[channel].size


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_value_at_the_greatest_of_the_dtype(name, shape, axis, dtype, way):
    """Its squares overflow: in float64 the composite takes the variance as infinite; in float32 we compute on."""
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    x[(1,) * x.ndim] = np.finfo(dtype).max
    g *= 3
    with np.errstate(over="ignore"):
        check(name, [x, gamma, beta, g], 2 * TOLERANCE[dtype], axis=axis)


@SMALL
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layouts_in_memory(name, shape, axis, dtype, way):
    x, gamma, beta, g = make_batch(name, shape, axis, dtype)
    twice = np.repeat(x, 2, axis=-1)[..., ::2]
    row = np.broadcast_to(g[..., :1], shape)  # stride 0
    for a in (x, np.asfortranarray(x), twice, x[::-1], x[..., ::-1]):
        for upstream in (g, np.asfortranarray(g), row):
            check(name, [a, gamma, beta, upstream], 4 * TOLERANCE[dtype], axis=axis)
    y = FUSED[name](np.asfortranarray(x), gamma, beta, axis=axis)
    assert y.shape == shape and y.base is not x
    foreign = x.astype(x.dtype.newbyteorder())
    close(FUSED[name](foreign, gamma, beta, axis=axis), DEFINED[name](x, gamma, beta, axis=axis), 2e-6)


@SMALL
def test_operands_are_left_alone(name, shape, axis, way):
    inputs = make_batch(name, shape, axis, np.float32)
    before = [p.copy() for p in inputs]
    passes(FUSED[name], before, axis=axis)
    for p in inputs:
        p.flags.writeable = False
    passes(FUSED[name], inputs, axis=axis)
    for p, q in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(p, q)
    compiled = [f for kernel in every_kernel(PACKAGES[name]) for f in kernel.compiled.values()]
    assert all(len(f.signatures) == 1 for f in compiled), "compiled once more for read-only arrays"


@SMALL
def test_parameters_of_another_dtype_keep_it(name, shape, axis, way):
    x, gamma, beta, g = make_batch(name, shape, axis, np.float32)
    y, dx, dgamma, dbeta = passes(FUSED[name], [x, gamma.astype(np.float64), beta.astype(np.float16), g], axis=axis)
    assert [a.dtype for a in (y, dx, dgamma, dbeta)] == [np.float32, np.float32, np.float64, np.float16]


@SMALL
def test_what_is_kept_for_backward(name, shape, axis, way):
    x, gamma, beta, _ = make_batch(name, shape, axis, np.float32)
    y = FUSED[name](Tensor(x), Tensor(gamma), Tensor(beta), axis=axis)
    operands, ((mean, rstd), *rest) = next(filter(None, y.node.saved))
    assert operands[0] is x and not any(hasattr(thing, "nbytes") for thing in rest)
    channels = x.size // (x[:, 0].size if name == "batch_norm" else x[0].size)
    assert [(e.size, e.dtype) for e in (mean, rstd)] == 2 * [(channels, np.float64)]


WRONG = [
    (np.ones((4, 3), np.int64), {}), (np.ones((0, 3)), {}), (np.ones((1, 1)), {}), (np.ones((4, 3)), {"axis": 5}),
    (np.ones((4, 3)), {"axis": (0, 0)}), (np.ones((4, 3)), {"axis": ()}), (np.ones((4, 3)), {"eps": -1.0}),
    (np.ones((4, 3)), {"gamma": np.ones(7)}), (np.ones((4, 3)), {"beta": np.ones((3, 1))}),
    (np.ones((4, 3)), {"eps": 0.0}),
    (np.ones((4, 3)), {"eps": float("nan")}),
]  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_errors_are_the_composites(name, way):
    def check_one(case):
        x, params = case
        with pytest.raises((ValueError, TypeError)) as right:
            DEFINED[name](x, **params)
        with pytest.raises(type(right.value)) as found:
            FUSED[name](x, **params)
        first = lambda error: str(error.value).partition(" | in ")[0]
        assert first(found) == first(right)

    check_each(check_one, WRONG)


@SMALL
def test_arrays_of_a_device_stay_there(name, shape, axis, device_array):
    inputs = make_batch(name, shape, axis)
    *operands, g = map(device_array, inputs)
    leaves = [Tensor(p) for p in operands]
    y = FUSED[name](*leaves, axis=axis)
    found = [y.data, *grad(y, leaves, g)]
    for a, b in zip(found, wanted(name, inputs, axis=axis), strict=True):
        assert type(a) is type(operands[0])
        close(a.array if isinstance(a, Decoy) else a.get(), b, 1e-12)


@pytest.mark.parametrize("shape", [(20_000, 100), (4096, 128), (262_139, 2), (8191, 64)])
@pytest.mark.parametrize("name", FUSED)
def test_a_mean_near_the_limit_costs_few_digits(name, shape, monkeypatch):
    """Three standard deviations from 0, and rows that cannot be laid end to end, since their number is prime."""
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    check(name, make_batch(name, shape, {"batch_norm": 0, "layer_norm": -1}[name], np.float32, 3.0), 1e-5,
          axis={"batch_norm": 0, "layer_norm": -1}[name])  # fmt: skip


@pytest.mark.parametrize("name", FUSED)
def test_leaving_the_mean_in_is_caught(name, monkeypatch):
    monkeypatch.setenv("TINYGRAPH_FUSED", "numpy")
    axis = {"batch_norm": 0, "layer_norm": -1}[name]
    monkeypatch.setattr(PACKAGES[name].numpy, {"batch_norm": "FAR", "layer_norm": "NEAR"}[name], np.inf)
    with pytest.raises(AssertionError, match="is off by"), np.errstate(all="ignore"):
        check(name, make_batch(name, (90, 64), axis, np.float32, 1e4), 3e-6, axis=axis)
