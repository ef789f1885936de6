"""Every sample of every op, and every composite: derivatives of two orders, dtypes, and arrays that are not NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cases import check_each, check_first, check_second, close, gradients, registered, slopes, tensor
from tinygraph import Tensor, grad, op
from tinygraph.engine.registry import OPS

REQUIRED = """
add sub mul div neg power square sqrt exp log abs clip maximum minimum where tanh sigmoid relu sum mean max min argmax
logsumexp broadcast_to sum_to reshape transpose join pad index astype matmul contract"""


def test_every_op_has_samples_and_says_what_it_is():
    assert registered().keys() >= set(REQUIRED.split())
    for name, about in registered().items():
        assert about.samples, f"{name} has no samples: nothing tests it"
        assert about.tex and about.says.endswith("."), name
        assert ">>>" in about.call.__doc__, name


def test_derivatives(all_cases, each_size):
    """To second order, and of each operand alone."""
    wanted = {case.name: slopes(case) for case in all_cases}  # the same for each size
    for _ in each_size:
        check_each(lambda case: check_first(case, wanted[case.name]), all_cases)
    check_each(check_second, all_cases)
    check_each(check_alone, all_cases)


@pytest.fixture(scope="module")
def probe():
    """An op that changes nothing, and notes the dtype of every gradient that comes by."""
    seen = set()

    @op("$x", x=("1", lambda g: seen.add(g.dtype) or g))
    def probe(x):
        return x.copy()

    yield probe, seen
    del OPS["probe"]


def test_dtypes(all_cases, probe, each_size):
    check_each(check_bits, all_cases)
    for _ in each_size:
        for dtype in (np.float32, np.float16):
            check_each(lambda case, dtype=dtype: check_dtype(case, dtype, *probe), all_cases)


def check_dtype(case, dtype, identity, seen):
    """Float32 in, float32 out: forward, backward and backward of backward, on the way as well as at the end."""
    seen.clear()
    exact, epsilon = case.arrays(), float(np.finfo(dtype).eps)
    xs = [tensor(x.astype(dtype) if x.dtype.kind == "f" else x) for x in exact]
    value, y = case(*exact), case(*map(identity, xs))
    if value.dtype == np.float64 and "dtype" not in case.params:
        assert y.dtype == dtype
        np.testing.assert_allclose(y.data, value, rtol=20 * epsilon, atol=50 * epsilon)
    if not y.requires_grad:
        return
    g = case.cotangent(y)
    leaves = [x for x in xs if x.requires_grad]
    wanted = [w for x, w in zip(xs, gradients(case, exact, g), strict=True) if x.requires_grad]
    for found, expected in zip(grad(y, leaves, g.astype(y.dtype), materialize_grads=True), wanted, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=50 * epsilon, atol=100 * epsilon)
    firsts = grad(y, leaves, g.astype(y.dtype), create_graph=True, materialize_grads=True)
    curved = [identity(t) for t in firsts if t.requires_grad]
    if curved:
        grad(curved, leaves, [np.ones_like(t.data) for t in curved], allow_unused=True)
    assert seen == {np.dtype(dtype)}


def check_alone(case):
    """What a node keeps depends on which operands want a gradient: each alone gets what it gets among all."""
    arrays = case.arrays()
    y = case(*map(tensor, arrays))
    if not y.requires_grad:
        return
    g = case.cotangent(y)
    for i, wanted in enumerate(gradients(case, arrays, g)):
        if arrays[i].dtype.kind != "f":
            continue
        for constant in (lambda x: x, lambda x: Tensor(x, requires_grad=False)):
            xs = [Tensor(x) if k == i else constant(x) for k, x in enumerate(arrays)]
            z = case(*xs)
            np.testing.assert_array_equal(z.data, y.data)
            found = grad(z, xs[i], g, materialize_grads=True)[0] if z.requires_grad else np.zeros_like(wanted)
            close(found, wanted, 1e-13, f"{case.name}: operand {i} alone")


def test_another_array_type(all_cases, device_array, each_size):
    """Forward, backward and its own backward run on arrays that refuse to become NumPy's, to the same values."""
    for _ in each_size:
        check_each(lambda case: check_device(case, device_array), all_cases)


def check_device(case, device_array):
    arrays = case.arrays()
    y = case(*arrays)
    g, kind = case.cotangent(y), type(device_array(np.ones(1)))

    def same(found, wanted, what):
        assert type(found) is kind, f"{case.name}: {what} is {type(found)}"
        close(found.get(), wanted, 1e-12, f"{case.name}: {what}")

    same(case(*map(device_array, arrays)), y, "value of arrays")
    leaves = [tensor(device_array(x)) for x in arrays]
    z = case(*leaves)
    same(z.data, y, "value of tensors")
    if not z.requires_grad:
        return
    firsts = gradients(case, arrays, g)
    for found, wanted in zip(grad(z, leaves, device_array(g), materialize_grads=True), firsts, strict=True):
        same(found, wanted, "gradient")
    z.backward(device_array(g))
    for leaf, wanted in zip(leaves, firsts, strict=True):
        if leaf.grad is not None:
            same(leaf.grad, wanted, "gradient in a leaf")

    def seconds(move):
        xs, upstream = [tensor(move(x)) for x in arrays], tensor(move(g))
        recorded = gradients(case, xs, upstream, create_graph=True)
        ys = [t for t in recorded if getattr(t, "requires_grad", False)]
        return grad(ys, [*xs, upstream], [move(np.ones(t.shape)) for t in ys], materialize_grads=True)

    for found, wanted in zip(seconds(device_array), seconds(np.asarray), strict=True):
        same(found, wanted, "second derivative")


def check_bits(case):
    """Arrays and tensors give the same bits."""
    for dtype in (np.float32, np.float64):
        arrays = case.arrays(dtype)
        np.testing.assert_array_equal(case(*map(tensor, arrays)).data, case(*arrays))
