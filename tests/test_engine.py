"""The engine: what is recorded, walked, kept, shared and freed, whatever the ops."""

from __future__ import annotations

import copy
import gc
import operator
import pickle
import threading
import tracemalloc
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import registered
from tinygraph import Parameter, Tensor, grad, no_grad, scope
from tinygraph.autodiff.backward import walk
from tinygraph.engine.registry import OPS
from tinygraph.ops.elementwise import exp, log, maximum, relu, sigmoid, sqrt, square, tanh
from tinygraph.ops.linear import einsum
from tinygraph.ops.shape import broadcast_to, concatenate

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


def tensor(array=X, **about):
    return Tensor(np.array(array, float), **about)


# --- an op ----------------------------------------------------------------------------------------------------------


def test_an_argument_may_bear_any_name_that_the_engine_uses():
    @tg.op(
        "$node",
        node=("$op", lambda g, op, tensor: g * op * tensor),
        op=("$node", lambda g, node, tensor: g * node * tensor),
    )
    def context(node, op, tensor=2.0, constant=0.0):
        return node * op * tensor + constant

    try:
        x, z = tensor(), tensor(X + 1)
        y = context(x, z, tensor=3.0, constant=1.0)
        np.testing.assert_allclose(y.data, 3 * X * (X + 1) + 1)
        assert y.node.params == {"tensor": 3.0, "constant": 1.0}
        for found, wanted in zip(grad(y.sum(), [x, z]), (3 * (X + 1), 3 * X), strict=True):
            np.testing.assert_allclose(found, wanted)
    finally:
        del OPS["context"]


# --- the walk -------------------------------------------------------------------------------------------------------


def test_fan_out_adds_up():
    x = tensor()
    (x * x + exp(x) - 3 * x + x).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * X + np.exp(X) - 2)


def test_an_operand_in_two_places():
    x, square_matrix = tensor(), tensor([[1.0, 2.0], [3.0, 5.0]])
    for y, wanted in [(x - x, 0 * X), (x / x, 0 * X), (maximum(x, x), 1 + 0 * X), (x * x * x, 3 * X**2)]:
        np.testing.assert_allclose(grad(y.sum(), x)[0], wanted, atol=1e-15)
    A, ones = square_matrix.data, np.ones((2, 2))
    np.testing.assert_allclose(grad((square_matrix @ square_matrix).sum(), square_matrix)[0], ones @ A.T + A.T @ ones)
    np.testing.assert_allclose(grad(einsum("ij,ij->", x, x), x)[0], 2 * X)
    np.testing.assert_allclose(grad(concatenate([x, x, 2 * x]).sum(), x)[0], 4 + 0 * X)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_thousand_diamonds_take_linear_time(monkeypatch, create_graph):
    """Each line runs once for each node, however many paths lead through it: 2 to the 1,000 here."""
    calls, op = [0], registered()["add"]
    counted = lambda line: lambda *args: calls.__setitem__(0, calls[0] + 1) or line(*args)
    monkeypatch.setattr(op, "lines", tuple(map(counted, op.lines)))
    x = tensor(1.0)
    y = x
    for _ in range(1000):
        half = y * 0.5
        y = half + half
    (g,) = grad(y, x, create_graph=create_graph)
    assert float(g) == 1.0
    assert calls[0] == 2000


def test_a_chain_of_100_000_needs_no_recursion():
    x = tensor(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    assert x.grad == 1.0
    (g,) = grad(y, x, create_graph=True)
    assert g.data == 1.0
    y.backward(retain_graph=False)
    assert x.grad == 2.0
    del g, y  # 200,000 nodes, freed one by one


@pytest.mark.parametrize(
    ("f", "derivatives"),
    [
        (exp, [np.exp] * 4),
        (lambda x: 1 / x, [lambda x: -(x**-2), lambda x: 2 * x**-3, lambda x: -6 * x**-4, lambda x: 24 * x**-5]),
        (log, [lambda x: 1 / x, lambda x: -(x**-2), lambda x: 2 * x**-3, lambda x: -6 * x**-4]),
        (sqrt, [lambda x: x**-0.5 / 2, lambda x: x**-1.5 / -4, lambda x: 0.375 * x**-2.5, lambda x: -0.9375 * x**-3.5]),
        (lambda x: x**5, [lambda x: 5 * x**4, lambda x: 20 * x**3, lambda x: 60 * x**2, lambda x: 120 * x]),
        (lambda x: x * square(x) * x, [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x, lambda x: 24 * x**0]),
        (
            tanh,
            [
                lambda x: 1 - np.tanh(x) ** 2,
                lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
                lambda x: (1 - np.tanh(x) ** 2) * (6 * np.tanh(x) ** 2 - 2),
                lambda x: (1 - np.tanh(x) ** 2) * (16 * np.tanh(x) - 24 * np.tanh(x) ** 3),
            ],
        ),
    ],
)
def test_derivatives_up_to_the_fourth(f, derivatives):
    x = tensor([0.5, 1.25, 2.0])
    y = f(x)
    for derivative in derivatives:
        (y,) = grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.data, derivative(x.data), rtol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
def test_shapes_at_the_edge(create_graph):
    """Of no axes NumPy takes any axis; of an empty array there is a mean, and an empty gradient."""
    for reduce in (tg.sum, tg.mean, tg.max, tg.min, tg.logsumexp):
        for axis in (0, -1, (), None):
            x = tensor(2.5)
            (g,) = grad(reduce(x, axis), x, create_graph=create_graph)
            assert (g.shape, g.item()) == ((), 1)
    for shape in ((0, 3), (3, 0), (0,)):
        x = tensor(np.ones(shape))
        with np.errstate(invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's: the mean of nothing
            y = tg.mean(x, 0)
        (g,) = grad(y, x, np.ones(y.shape), create_graph=create_graph)
        assert g.shape == shape
    x = tensor()
    (g,) = grad(concatenate([x, x[:1]], axis=None), x, np.arange(9.0), create_graph=create_graph)
    np.testing.assert_array_equal(getattr(g, "data", g), [[6, 8, 10], [3, 4, 5]])
    assert [piece.shape for piece in tg.split(x, np.int64(3), axis=-1)] == [(2, 1)] * 3


# --- grad and backward ----------------------------------------------------------------------------------------------


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


# --- what is not recorded -------------------------------------------------------------------------------------------


def test_no_grad_detach_and_constants():
    x = tensor(name="x")
    with no_grad():
        y = x * x
    assert not y.requires_grad
    assert y.node.op is None
    z = x.detach()
    assert z.data is x.data
    assert (z.requires_grad, z.name) == (False, "x")
    np.testing.assert_allclose(grad((x * z + y).sum(), x)[0], X)
    c = tensor(name="c", requires_grad=False)
    drawn = c * c
    assert not drawn.requires_grad
    assert drawn.node.op.name == "mul"  # a constant is drawn, not differentiated
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert (x * x).requires_grad  # an error leaves no_grad behind


def test_create_graph_records_within_no_grad():
    x = Tensor(np.float32(X))
    y = (x.astype(np.float64) ** 3).sum()
    with no_grad():
        (first,) = grad(y, x, create_graph=True)
        (second,) = grad(first, x, np.ones(X.shape))
        rows = tg.jacobian(lambda x: x**3, Tensor(X[0]), create_graph=True)
    assert first.node.scope[0] == "grad"  # the cast to float32 too
    np.testing.assert_allclose(second, 6 * X)
    assert rows.requires_grad


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


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "keeps"),
    [
        (lambda h, c: h + c, ""),
        (lambda h, c: h - c, ""),
        (lambda h, c: -h, ""),
        (lambda h, c: h * c, "c"),
        (lambda h, c: h / c, "c"),
        (lambda h, c: c / h, "h out"),
        (lambda h, c: h * h, "h"),
        (lambda h, c: square(h), "h"),
        (lambda h, c: exp(h), "out"),
        (lambda h, c: sqrt(h), "out"),
        (lambda h, c: tanh(h), "out"),
        (lambda h, c: sigmoid(h), "out"),
        (lambda h, c: relu(h), "out"),
        (lambda h, c: log(h), "h"),
        (lambda h, c: h.sum(0), ""),
        (lambda h, c: h.mean(), ""),
        (lambda h, c: h.reshape(3, 2), ""),
        (lambda h, c: h.T, ""),
        (lambda h, c: h[0], ""),
        (lambda h, c: concatenate([h, c]), ""),
        (lambda h, c: h @ c.T, "c"),
    ],
)
def test_a_node_keeps_what_its_lines_name(f, keeps):
    x, c = tensor(np.abs(X)), np.abs(X) + 1
    h = x + 1
    y = f(h, c)
    arrays = [a for args in y.node.saved if args for a in args if isinstance(a, np.ndarray)]
    owners = {"h": h.data, "c": c, "out": y.data}
    kept = {name for name, owner in owners.items() if any(np.shares_memory(a, owner) for a in arrays)}
    assert kept == set(keeps.split())
    gone = weakref.ref(h.data)
    del h, owners, arrays, y.node.inputs  # of the graph, only what the node itself keeps is left
    shares_memory_by_nature = y.data.base is not None
    assert (gone() is not None) == ("h" in kept or shares_memory_by_nature)


def network():
    """A small net with batch norm, its parameters, and weak references to everything in its graph."""
    rng = np.random.default_rng(0)
    x, w, gamma, beta = (Tensor(rng.standard_normal(n)) for n in [(8, 3), (3, 4), (4,), (4,)])
    h = relu(tg.batch_norm(x @ w, gamma, beta))
    loss = tg.cross_entropy(h, np.arange(8) % 4)
    return loss, [x, w, gamma, beta], [weakref.ref(h.data), weakref.ref(h), weakref.ref(loss)]


def test_dropping_the_output_frees_the_graph_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        loss, leaves, alive = network()
        loss.backward()
        loss.backward()
        firsts = grad(loss, leaves, create_graph=True)
        seconds = grad([f.sum() for f in firsts], leaves)
        alive += [weakref.ref(f) for f in firsts]
        assert alive[0]() is not None  # the graph holds the array, though the tensor is gone
        del loss, firsts, seconds
        assert [r() for r in alive] == [None] * len(alive)
        loss, leaves, alive = network()
        loss.backward(retain_graph=False)
        assert alive[0]() is None
        del loss, leaves
        assert gc.collect() == 0  # no cycle was made
    finally:
        gc.enable()


def test_a_training_step_of_batch_norm_fits_in_four_and_a_half_inputs():
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((1024, 1024), np.float32) for _ in range(2))
    leaves = [Tensor(x), Tensor(np.ones(1024, np.float32)), Tensor(np.zeros(1024, np.float32))]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        (tg.batch_norm(*leaves) * w).sum().backward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (peak - before) / x.nbytes <= 4.5


# --- scopes ---------------------------------------------------------------------------------------------------------


def test_a_scope_is_where_it_is_entered_not_where_it_was_made():
    @scope("block")
    def double(x):
        return 2 * x

    with scope("net"):
        assert double(tensor()).node.scope == ("net", "block")
        later = scope("inner")
    with later:
        assert (2 * tensor()).node.scope == ("inner",)
    with pytest.raises(ValueError, match="broadcast"), scope("a", "b"):
        tensor() + np.ones(7)
    assert double(tensor()).node.scope == ("block",)


# --- threads --------------------------------------------------------------------------------------------------------


def test_scopes_and_no_grad_belong_to_their_thread():
    entered, done, seen = threading.Event(), threading.Event(), []

    def other():
        entered.wait()
        y = tensor() * 2
        seen.append((y.requires_grad, y.node.scope))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with no_grad(), scope("mine"):
        entered.set()
        assert done.wait(10)
    thread.join()
    assert seen == [(True, ())]


def test_threads_build_and_walk_graphs_at_once():
    shared = tensor([1.0, 2.0, 3.0])

    def work(k):
        y = shared * float(k)
        for _ in range(200):
            y = y * 1.01 + shared
        (first,) = grad((y * y).sum(), shared, create_graph=True)
        return first.data, grad(first.sum(), shared)[0]

    alone = [work(k) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(8)))
    np.testing.assert_array_equal(together, alone)


# --- NumPy and Python ----------------------------------------------------------------------------------------------


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
