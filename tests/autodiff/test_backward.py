"""The walk: it adds in place where nobody else looks, and lets a user's derivative line return what is natural."""

from __future__ import annotations

import ast
import inspect
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import registered
from tests.tensors import X, tensor
from tests.wrong_ops import registry_as_it_was
from tinygraph import Parameter, Tensor, grad
from tinygraph.autodiff.backward import walk
from tinygraph.ops.elementwise import exp, log, maximum, sqrt, square, tanh
from tinygraph.ops.joining import concatenate
from tinygraph.ops.linear import einsum

ROWS = np.arange(1.0, 13.0).reshape(4, 3)
B = np.array([1.0, 2.0, 3.0])


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


def test_the_walk_is_short_and_simple():
    source = inspect.getsource(walk)
    (function,) = ast.parse(source).body
    statements = function.body[1:]  # without the docstring
    assert function.end_lineno - statements[0].lineno < 40
    branching = (ast.If, ast.For, ast.While, ast.comprehension, ast.ExceptHandler)
    assert 1 + sum(isinstance(node, branching) for node in ast.walk(function)) <= 13


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_seeds_and_kept_gradients_are_never_added_into(size):
    x, seed = Tensor(ROWS), ROWS + 0
    a = x * 2.0
    b = a + x
    c = b + a
    found = grad(c, [x, a, b, c], seed)
    np.testing.assert_array_equal(seed, ROWS)
    for value, factor in zip(found, (5, 2, 1, 1), strict=True):
        np.testing.assert_allclose(value, factor * ROWS)
    c.backward(seed)
    np.testing.assert_array_equal(seed, ROWS)
    np.testing.assert_allclose(x.grad, 5 * ROWS)


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_an_array_that_a_line_hands_out_twice_is_not_added_into(size):
    """A user's line may return an array that it keeps."""
    kept = np.full((4, 3), 2.0)

    @tg.op("2 $x", x=("2", lambda g: kept))
    def twice(x):
        return x * 2

    x = Tensor(ROWS)
    (twice(x) + twice(x) + x * 3.0).backward(np.ones((4, 3)))
    np.testing.assert_array_equal(kept, np.full((4, 3), 2.0))
    np.testing.assert_allclose(x.grad, np.full((4, 3), 7.0))


@pytest.mark.parametrize("size", ["small", "large"], indirect=True)
def test_a_float32_sum_does_not_swallow_a_float64_contribution(size):
    x = Tensor(np.ones((2, 3)))
    a = x.astype(np.float32)
    y = a * np.full((2, 3), 1e-9)  # float64, and older: its contribution comes second
    z = a * np.full((2, 3), 1.0, np.float32)
    (gradient,) = grad([z.sum(), y.sum()], [x])
    np.testing.assert_allclose(gradient, np.full((2, 3), 1 + 1e-9), rtol=1e-15)


# --- where factors once waited in a scale -----------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "w", "true"), [(1e20, 1e-30, 1e10), (1e-25, 1e30, 1e-20)])
def test_factors_neither_overflow_nor_underflow_before_they_meet_the_gradient(k, w, true):
    x = Tensor((np.random.default_rng(0).random((512, 160)) * 1e-10).astype("f4"))
    m = np.full(160, 1e-10, "f4")
    c = np.full(160, k, "f4")
    y = ((x - m) * c) * c
    y.backward(np.full((512, 160), w, "f4"))
    np.testing.assert_allclose(x.grad, true, rtol=1e-5)


def test_a_quotient_by_a_small_divisor_keeps_its_size():
    x = Tensor(np.random.default_rng(0).random((512, 160)).astype("f4"))
    c = np.full(160, 1e-25, "f4")
    y = (x - np.zeros(160, "f4")) / (1 / c) / (1 / c)
    y.backward(np.full((512, 160), 1e30, "f4"))
    np.testing.assert_allclose(x.grad, 1e-20, rtol=1e-5)


def test_a_float32_constant_does_not_round_a_float64_gradient():
    rng = np.random.default_rng(0)
    x, m, w = Tensor(rng.random((512, 160))), Tensor(rng.random(160)), rng.random((512, 160))
    y = (x - m) / np.float32(3.3)
    y.backward(w)
    exact = w / np.float64(np.float32(3.3))
    np.testing.assert_allclose(x.grad, exact, rtol=1e-15)
    np.testing.assert_allclose(m.grad, -exact.sum(0), rtol=1e-13)
    s = Tensor(rng.random(160) + 1)
    (x / s).backward(w)
    np.testing.assert_allclose(s.grad, -(w * x.data / s.data**2).sum(0), rtol=1e-12)


# --- what a user's line may return ------------------------------------------------------------------------------------


def add_op(line, family="elementwise"):
    @tg.op("$x + $b", family=family, x=("1", lambda g: g), b=("1", line))
    def plus(x, b):
        return x + b

    return plus


@pytest.mark.parametrize("family", ["elementwise", "linear", "fused"])
@pytest.mark.parametrize("upstream", [lambda y: y, lambda y: y.mean(0), lambda y: y.mean(0, keepdims=True), tg.sum])
def test_a_gradient_in_the_operands_shape_passes_as_it_is(family, upstream):
    for b, line in ((B, lambda g: g.sum(0)), (B[None], lambda g: g.sum(0, keepdims=True)), (B[0], lambda g: g.sum())):
        plus, x, b = add_op(line, family), Tensor(ROWS), Tensor(b)
        y = upstream(plus(x, b) * 2.0)
        w = np.random.default_rng(0).standard_normal(y.shape)
        _, wanted = grad(upstream((x + b) * 2.0), [x, b], w)
        (found,) = grad(y, [b], w)
        np.testing.assert_allclose(found, wanted, err_msg=str(b.shape))
        (recorded,) = grad(y, [b], w, create_graph=True)
        np.testing.assert_allclose(recorded.data, wanted)


def test_a_gradient_in_the_results_shape_is_summed_to_the_operands():
    x, b = Tensor(ROWS), Tensor(B)
    add_op(lambda g: g)(x, b).backward(ROWS)
    np.testing.assert_array_equal(b.grad, ROWS.sum(0))


def test_a_line_gets_the_whole_gradient():
    seen = []
    plus = add_op(lambda g: seen.append(g.shape) or g[:, :3])
    plus(Tensor(ROWS), Tensor(B)).mean().backward()
    assert seen == [(4, 3)]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_of_a_third_shape_is_an_error_that_names_op_operand_and_line(create_graph):
    plus = add_op(lambda g: g.sum(1))
    x, b = Tensor(ROWS), Tensor(B)
    message = (
        r"a gradient of shape \(4,\) must have \(3,\), as the operand, or \(4, 3\), as the result"
        r" \| in .*the derivative of plus in b \(test_backward\.py:\d+\) of .*float64\[4\]\) at test_backward\.py"
    )
    with pytest.raises(ValueError, match=message):
        grad(plus(x, b), [b], ROWS, create_graph=create_graph)
    with pytest.raises(ValueError, match=r"must have \(3,\), as the operand \|"):
        grad(add_op(lambda g: g, "linear")(x, b), [b], ROWS, create_graph=create_graph)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_in_the_shape_of_a_smaller_result_is_an_error_that_names_the_line(create_graph):
    @tg.op("m $x", x=("1/N", lambda g, x: g / len(x)))
    def mean_of_rows(x):
        return x.mean(0)

    x = Tensor(ROWS)
    message = (
        r"a gradient of shape \(3,\) must have \(4, 3\), as the operand \| in .*the derivative of mean_of_rows in x"
    )
    with pytest.raises(ValueError, match=message):
        grad(mean_of_rows(x), [x], B, create_graph=create_graph)


def test_a_result_that_is_no_broadcast_of_the_operand_takes_the_operands_shape_alone():
    @tg.op(r"\sum $x", x=("1", lambda g: g))
    def sum_of_columns(x):
        return x.sum(1)

    with pytest.raises(ValueError, match=r"have \(4, 3\), as the operand \| in .*the derivative of sum_of_columns"):
        sum_of_columns(Tensor(ROWS)).backward(np.ones(4))


def test_a_line_may_return_a_number_for_a_number():
    @tg.op("2 $x", x=("2", lambda g: 2.0))
    def doubled(x):
        return x * 2

    x = Tensor(3.0)
    y = x * 1.0
    doubled(y).backward()
    assert x.grad == 2.0


def test_an_error_within_a_line_names_op_operand_and_line():
    plus = add_op(lambda g: g[:, :, 0])
    with pytest.raises(IndexError, match=r"too many indices.*the derivative of plus in b \(test_backward\.py:\d+\) of"):
        plus(Tensor(ROWS), Tensor(B)).sum().backward()
    plus = add_op(lambda g: nowhere)  # noqa: F821 - that is the error
    with pytest.raises(RuntimeError, match=r"'nowhere' is not defined .*the derivative of plus in b"):
        plus(Tensor(ROWS), Tensor(B)).sum().backward()


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, 10_000, 300_000])
def test_threads_that_share_a_parameter_lose_no_gradient(n):
    w = Parameter(np.zeros(n))
    start = threading.Barrier(2)

    def run():
        start.wait()
        for _ in range(50):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(w.grad, np.full(n, 100.0))


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


def test_a_chain_of_20_000_needs_no_recursion():
    x = tensor(1.0)
    y = x
    for _ in range(20_000):  # twenty times as deep as Python calls
        y = y * 1.0
    y.backward()
    assert x.grad == 1.0
    (g,) = grad(y, x, create_graph=True)
    assert g.data == 1.0
    y.backward(retain_graph=False)
    assert x.grad == 2.0
    del g, y  # 40,000 nodes, freed one by one


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


# --- what a user's line must not return -------------------------------------------------------------------------------


@pytest.mark.parametrize(("found", "named"), [(None, "None"), (Tensor(ROWS), "Tensor")])
def test_a_line_that_returns_no_array_is_named(found, named):
    @tg.op("$x", x=("1", lambda g: found))
    def same(x):
        return x + 0

    for x in (Tensor(ROWS), Tensor(1.0)):
        with pytest.raises(TypeError, match=f"must return an array here, not {named}.*the derivative of same in x"):
            same(x).backward(np.ones(x.shape))


@pytest.mark.parametrize("n", [10, 20_000])
def test_a_line_may_return_booleans_lists_and_what_may_not_be_written_to(n):
    def read_only(g):
        g = g * 1
        g.flags.writeable = False
        return g

    for line in (lambda g: g > 0, lambda g: [1.0] * n, read_only):

        @tg.op("$x", x=("1", line))
        def same(x):
            return x + 0

        x = Tensor(np.ones(n))
        (same(x) + same(x) + x * 2.0).sum().backward()
        np.testing.assert_array_equal(x.grad, np.full(n, 4.0))


def test_a_fused_kernel_must_give_a_tuple_and_a_gradient_an_operand():
    from tinygraph.fused.fused_op import fused

    @fused("$x $y", definition=lambda x, y: x * y, backward=lambda g, xs, extras: [g * xs[1]])
    def product(x, y):
        return (x * y,)

    with pytest.raises(
        TypeError, match=r"a gradient an operand is wanted, 2, and there are 1 .*kernel of product \(test_b"
    ):
        product(Tensor(ROWS), Tensor(ROWS)).backward(ROWS)

    @fused("2 $x", definition=lambda x: x * 2, backward=lambda g, xs, extras: [2 * g])
    def double(x):
        return x * 2

    with pytest.raises(TypeError, match=r"must return a tuple \(out, \*extras\)"):
        double(Tensor([1.0, 5.0]))
