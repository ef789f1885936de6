"""`grad` and `backward`: what they return, and that nobody else holds it."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import tinygraph as tg
from tests.tensors import X, tensor
from tinygraph import Tensor, grad
from tinygraph.autodiff.backward import walk
from tinygraph.engine.registry import OPS
from tinygraph.ops.elementwise import exp, square
from tinygraph.ops.joining import concatenate
from tinygraph.ops.linear import einsum
from tinygraph.ops.shape import broadcast_to


def test_backward_adds_into_leaves_and_grad_leaves_them_alone():
    x, c = tensor(), tensor(requires_grad=False)
    y = (square(x) * c).sum()
    y.backward()
    first = x.grad
    y.backward()
    np.testing.assert_allclose(x.grad, 4 * X * X)
    np.testing.assert_allclose(first, 2 * X * X)  # an array once given is not changed
    assert c.grad is None
    grad(y, x)
    np.testing.assert_allclose(x.grad, 4 * X * X)
    x.grad = None
    (2 * y).backward()
    np.testing.assert_allclose(x.grad, 4 * X * X)


def test_a_scalar_leaf_is_its_own_output():
    x = Tensor(np.float32(3))
    x.backward()
    assert isinstance(x.grad, np.ndarray)
    assert (x.grad, x.grad.dtype, x.grad.shape) == (1, np.float32, ())
    assert grad(x * 1, x)[0] == 1 == grad(x, x)[0]


def test_gradients_of_intermediate_values():
    x = tensor()
    h = exp(x)
    y = (h * x).sum()
    gx, gh, gy = grad(y, [x, h, y])
    np.testing.assert_allclose(gh, X)
    np.testing.assert_allclose(gx, np.exp(X) * (X + 1))
    assert gy == 1
    assert x.grad is None
    np.testing.assert_allclose(grad(y, h)[0], X)  # without x, the walk stops at h


def test_several_outputs_and_their_gradients():
    x, z = tensor(), tensor()
    a, b = square(x), (x * z).sum()
    gx, gz = grad([a, b], [x, z], [X, None])
    np.testing.assert_allclose(gx, 2 * X * X + X)
    np.testing.assert_allclose(gz, X)
    np.testing.assert_allclose(grad([b, b], x)[0], 2 * X)  # an output named twice counts twice
    np.testing.assert_allclose(grad(a, x, [X])[0], grad(a, x, X)[0])
    np.testing.assert_allclose(grad(a, x, Tensor(X))[0], grad(a, x, X)[0])
    assert grad(b, z, 2)[0][0, 0] == 2 * X[0, 0]


def test_unused_inputs():
    x, z, c = tensor(), tensor(), tensor(requires_grad=False)
    y = (x * c).sum()
    gx, gz, gc = grad(y, [x, z, c], allow_unused=True)
    assert gz is gc is None
    np.testing.assert_allclose(gx, X)
    for create_graph in (False, True):
        gx, gz = grad(y, [x, z], create_graph=create_graph, materialize_grads=True)
        np.testing.assert_array_equal(getattr(gz, "data", gz), 0 * X)
        assert type(gz) is type(gx)


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_gradients_are_arrays_of_their_own(size):
    """Changing one changes no other, no seed, no operand: also where a line hands on the gradient as it came."""
    functions = {
        "add": lambda x, z: x + z,
        "twice": lambda x, z: (x + z) + (z + x),
        "through": lambda x, z: (x + 0.0) + (z - 0.0),
        "views": lambda x, z: x.reshape(3, 2).T.T.reshape(2, 3) + z[:],
        "transposed": lambda x, z: (x.T + z.T).T,
        "joined": lambda x, z: concatenate([x, z])[:2] + concatenate([z, x])[:2],
        "cast": lambda x, z: x.astype(np.float64) + z.astype(np.float64),
        "clipped": lambda x, z: x.clip(None, None) + z,
        "copied": lambda x, z: broadcast_to(x, (1, 2, 3)).reshape(2, 3) + z,
        "einsum": lambda x, z: einsum("ij->ij", x) + einsum("ij->ji", einsum("ij->ji", z)),
        "saved": lambda x, z: x * z,
    }
    for name, f in functions.items():
        x, z, seed = tensor(), tensor(), np.ones((2, 3))
        y = f(x, z)
        gx, gz = grad(y, [x, z], Tensor(seed))
        y.backward(seed)
        arrays = [gx, gz, x.grad, z.grad, seed, x.data, z.data]
        assert all(g.flags.writeable for g in arrays), name
        pairs = [(i, k) for i in range(len(arrays)) for k in range(i)]
        assert not [p for p in pairs if np.shares_memory(arrays[p[0]], arrays[p[1]])], name
    x = tensor()
    for g in (*grad(x.sum(), x), *grad(x.mean(0).sum(), x), *grad([x, x], [x], [seed, seed])):
        g += 1.0  # a gradient that was a row, copied: each element stands for itself


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
@pytest.mark.parametrize("flipped", [0, 1])
def test_totals_in_place_reach_no_other_gradient(size, flipped):
    """A line may hand on g to one operand and a view of it to the other; the first has more to come."""
    lines = [lambda g: g, lambda g: g.T]

    @tg.op("$x + $y", x=("1", lines[1 - flipped]), y=("1", lines[flipped]))
    def mixed(x, y):
        return x + y.T if flipped else x.T + y

    try:
        x, z, w = tensor(np.eye(2)), tensor(np.eye(2)), np.array([[1.0, 2.0], [3.0, 4.0]])
        a, b = x * 1.0, z * 1.0
        c = b * 3.0
        y = ((mixed(b, a) if flipped else mixed(a, b)) * w + c) * w
        y.backward(w)
        np.testing.assert_allclose(x.grad, (w**3).T)
        np.testing.assert_allclose(z.grad, w**3 + 3 * w**2)
    finally:
        del OPS["mixed"]


ROW = np.array([2.0, 3.0, 5.0])


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
@pytest.mark.parametrize("owned", [0, 1])
def test_a_gradient_that_waits_as_a_product_leaves_the_seed_alone(size, owned):
    x, scale, w = tensor(), tensor(ROW), X + 0
    h = x - x.mean(0)
    d = ROW * w / 4 if owned else w / 4
    squared = square(h)  # older, so that its gradient comes to what waits at h
    scaled = h * scale
    y = squared + scaled / (scale * 4.0)
    y = y * scale if owned else y
    seen = grad(y, [x, h, scale, scaled], w)
    y.backward(w)
    np.testing.assert_array_equal(w, X)
    dh = d + 8 * d * h.data
    out = square(h.data) + h.data / 4
    wanted = [dh - dh.mean(0), dh, (w * out).sum(0) if owned else np.zeros(3)]
    for a, b in zip([*seen, x.grad, scale.grad], [*wanted, d / ROW, wanted[0], wanted[2]], strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_allclose(a, b, atol=1e-14)


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_leaf_gets_no_product_that_waits(size):
    x, a, b, c = tensor(), tensor(ROW), tensor(2 * ROW), tensor(3 * ROW)
    ((x - c) * a / b).backward(X)
    assert type(x.grad) is np.ndarray
    np.testing.assert_allclose(x.grad, X / 2)
    np.testing.assert_allclose(c.grad, -X.sum(0) / 2)
    np.testing.assert_allclose(b.grad, -(X * (X - 3 * ROW) / (4 * ROW)).sum(0))


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_float32_gradient_may_wait_for_a_float64_scale(size):
    x, three, ones = tensor(), tensor([3.0, 7.0, 11.0]), np.ones((2, 3), np.float32)
    h = x - ROW
    (square(h) + h / three * ones).backward(2 * ones)
    np.testing.assert_allclose(x.grad, 4 * h.data + 2 / three.data, rtol=1e-14)


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_an_op_that_is_not_elementwise_gets_arrays(size):
    seen = []

    @tg.op("$x", family="shape", x=("1", lambda g, y: seen.append(type(g)) or g), y=("1", lambda g: g))
    def same(x, y):
        return x + 0.0

    try:
        x, a = tensor(), tensor(ROW)
        (same((x + a) * a, X) * a / a).backward(X)
        assert seen == [np.ndarray]
        np.testing.assert_allclose(x.grad, X * ROW)
    finally:
        del OPS["same"]


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_equal_sums_are_arrays_of_their_own(size):
    """Two scales of the same x ask for the same sum; of other shapes, for other sums of the same arrays."""
    x, a, b, row, column = tensor(), tensor(ROW), tensor(ROW), tensor([ROW]), tensor([[2.0], [3.0]])
    (a * x + b * x + row * x + column * x).backward(X)
    np.testing.assert_allclose(a.grad, (X * X).sum(0))
    a.grad += 1
    np.testing.assert_allclose(b.grad, (X * X).sum(0))
    np.testing.assert_allclose(row.grad, (X * X).sum(0, keepdims=True))
    np.testing.assert_allclose(column.grad, (X * X).sum(1, keepdims=True))
    np.testing.assert_allclose(x.grad, X * (3 * ROW + column.data))


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_sum_that_grows_is_nobody_elses(size):
    x, a, b = tensor(), tensor(ROW), tensor(ROW)
    scales = a * 1.0, b * 1.0
    more = scales[1] * 3.0
    (scales[0] * x + scales[1] * x + more).backward(X)
    np.testing.assert_allclose(a.grad, (X * X).sum(0))
    np.testing.assert_allclose(b.grad, (X * X).sum(0) + 3 * X.sum(0))


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_sum_of_another_product_is_another_sum(size):
    x, z, a, b = tensor(), tensor(3 * X), tensor(ROW), tensor(ROW)
    (a * x + b * z).backward(X)
    np.testing.assert_allclose(a.grad, (X * X).sum(0))
    np.testing.assert_allclose(b.grad, 3 * (X * X).sum(0))


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_product_that_waits_is_not_of_what_grows_meanwhile(size):
    """One line hands on g as it is, to an operand that has more to come; the other makes a product of it."""

    @tg.op("$x + $y$z", x=("1", lambda g: g), y=("$z", lambda g, z: g * z), z=("$y", lambda g, y: g * y))
    def multiplied_and_added(x, y, z):
        return x + y * z

    try:
        u, v, scale = tensor(), tensor(2 * X), tensor(ROW)
        y = v * scale
        x = u * scale
        more = x * X
        both = multiplied_and_added(x, y, scale)
        (2.0 * both + more).backward(X)
        dx, dy = 2 * X + X * X, 2 * X * ROW
        wanted = [dx * ROW, dy * ROW, (dx * X + dy * 2 * X + 2 * X * y.data).sum(0)]
        for a, b in zip([u.grad, v.grad, scale.grad], wanted, strict=True):
            np.testing.assert_allclose(a, b)
    finally:
        del OPS["multiplied_and_added"]


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_sum_is_made_again_when_what_it_is_of_has_grown(size):
    """The same two arrays are asked for twice, and one of them was added into in between."""

    @tg.op("$x", forward=lambda x, y: x, x=("1", lambda g: g), y=("$x", lambda g, x: g * x))
    def remembered(x, y):
        pass

    try:
        x, a, b = tensor(), tensor(ROW), tensor(ROW)
        h = remembered(x, a)
        more = h * 1.0
        ((remembered(h, b) + 0.0) * 1.0 + more).backward(X)
        np.testing.assert_allclose(b.grad, (X * X).sum(0))
        np.testing.assert_allclose(a.grad, 2 * (X * X).sum(0))
    finally:
        del OPS["remembered"]


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_divisor_whose_reciprocal_overflows_divides(size):
    """1e-39 has a reciprocal above what float32 holds; the quotients are moderate, or 0."""
    x, tiny = Tensor(X.astype(np.float32)), Tensor(np.full(3, 1e-39, np.float32))
    g = np.array([[1e-38, 0.0, 2e-38], [0.0, 3e-39, 0.0]], np.float32)
    with np.errstate(all="ignore"):
        ((x - x.data.mean(0)) / tiny).backward(g)
    np.testing.assert_allclose(x.grad, g.astype(float) / tiny.data.astype(float), rtol=1e-6)


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_contributions_that_were_watched_stay_as_they_were(size):
    x = tensor()
    h = x * 1.0
    y = h * X + h * (2 * X) + h
    seen = []
    walk({y.node: X + 0}, watch=lambda node, gx: seen.append((gx, gx.copy())))
    assert len(seen) == 7
    walk({(x * tensor(ROW) / tensor(ROW)).node: X + 0}, watch=lambda node, gx: seen.append((gx, gx.copy())))
    for now, then in seen:
        assert type(now) is np.ndarray
        np.testing.assert_array_equal(now, then)


def test_retain_graph_false_frees_the_graph_as_it_walks():
    x = tensor()
    h = exp(x)
    kept = weakref.ref(h.data)
    y = (h * h).sum()
    del h
    assert kept() is not None
    y.backward(retain_graph=False)
    assert kept() is None
    np.testing.assert_allclose(x.grad, 2 * np.exp(2 * X))


def test_a_gradient_through_a_freed_part_is_an_error_and_not_a_part_of_it():
    x = tensor()
    h = x * x
    h.sum().backward(retain_graph=False)
    y = (2 * h + x).sum()
    for options in ({}, {"create_graph": True}, {"allow_unused": True}, {"materialize_grads": True}):
        with pytest.raises(RuntimeError, match=r"the graph behind <op mul> was freed by backward"):
            grad(y, x, **options)


@pytest.mark.parametrize(
    "seed", [np.ones(3, np.uint8), np.ones(3, bool), np.full(3, 100, np.int8), np.full(3, 6e4, "e")]
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_seed_is_no_coarser_than_its_output(seed, create_graph):
    x = tensor(np.ones(3))
    (gradient,) = grad((1.0 - x) * 2.0 + tg.square(x) - x, [x], seed, create_graph=create_graph)
    gradient = gradient.data if create_graph else gradient
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, -1.0 * seed.astype(float))
