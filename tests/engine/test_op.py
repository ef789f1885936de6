"""The call that is generated for an op: it can be seen, and it takes what NumPy and PyTorch users write."""

from __future__ import annotations

import functools
import inspect
import linecache
import traceback

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import check_each
from tests.tensors import X, tensor
from tests.wrong_ops import registry_as_it_was
from tinygraph import Tensor, grad
from tinygraph.engine.op import Op
from tinygraph.engine.registry import OPS
from tinygraph.engine.variadic import Variadic

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


def test_the_call_is_the_code_that_is_shown():
    assert len(OPS) > 100
    check_each(check_code, OPS)
    assert inspect.getsource(tg.mul.op.call.__code__) == tg.mul.op.code


def check_code(name):
    op = OPS[name]
    code = op.call.__code__  # getsource finds the file's lines and where they end, slowly
    assert ("".join(linecache.getlines(code.co_filename)), code.co_firstlineno) == (op.code, 1)
    assert op.code.startswith(f"def {name}(")
    compile(op.code, "shown", "exec")


def test_a_traceback_shows_the_line_of_the_call():
    with pytest.raises(ValueError, match="could not be broadcast") as caught:
        Tensor(ROWS) * np.ones(5)
    shown = "".join(traceback.format_exception(caught.value))
    assert 'File "<op mul>"' in shown
    assert "out = _op.forward(x_array, y_array)" in shown


def test_an_op_is_a_dataclass_that_names_its_parts():
    assert isinstance(tg.mul.op, Op)
    assert (tg.mul.op.name, tg.mul.op.operands, tg.mul.op.family) == ("mul", ("x", "y"), "elementwise")
    assert tg.mean.op.params == {"axis": None, "keepdims": False}
    assert {"function", "forward", "tex", "rules", "says", "onnx", "family", "samples"} <= set(Op.__dataclass_fields__)


def test_the_name_of_a_builtin_op_is_not_taken_silently():
    forward = np.exp
    builtin = OPS["exp"]
    with pytest.raises(ValueError, match="tinygraph has an op exp: choose another name, or pass replace=True"):

        @tg.op("$x", x=("", lambda g: g))
        def exp(x):
            return forward(x)

    assert OPS["exp"] is builtin

    @tg.op("$x", replace=True, x=("", lambda g: g))
    def exp(x):
        return forward(x)

    assert OPS["exp"] is exp.op

    for _ in range(2):  # a cell that is run again

        @tg.op("$x", x=("", lambda g: g))
        def copied_by_user(x):
            return x + 0


@pytest.mark.parametrize("rule", [lambda g: g, (lambda g: g, "d"), "d", ("d",), ["d", lambda g: g]])
def test_a_rule_of_another_form_is_refused_by_name(rule):
    with pytest.raises(TypeError, match=r"op same: x= must be \(LaTeX, derivative line\), or None, not "):

        @tg.op("$x", x=rule)
        def same(x):
            return x + 0


def test_a_decorator_without_arguments_is_refused():
    with pytest.raises(TypeError, match=r"op: the first argument is LaTeX, not <function"):

        @tg.op
        def same(x):
            return x + 0


def test_an_operand_without_a_line_is_refused_unless_it_is_said():
    advice = r"operand y has no derivative line: give y=\(LaTeX, line\), or y=None if no gradient goes there"
    with pytest.raises(TypeError, match=advice):

        @tg.op("$x $y", x=("$y", lambda g, y: g * y))
        def half_a_product(x, y):
            return x * y

    @tg.op("$x $y", x=("$y", lambda g, y: g * y), y=None)
    def product_with_constant(x, y):
        return x * y

    x, y = Tensor(ROWS), Tensor(ROWS + 1)
    z = product_with_constant(x, y)
    z.backward(ROWS)
    np.testing.assert_array_equal(x.grad, ROWS * (ROWS + 1))
    assert y.grad is None


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "logsumexp"])
def test_pytorchs_names_of_parameters(name):
    function, x = getattr(tg, name), Tensor(ROWS)
    expected = function(x, axis=1, keepdims=True)
    np.testing.assert_array_equal(function(x, dim=1, keepdim=True).data, expected.data)
    np.testing.assert_array_equal(getattr(x, name)(dim=1, keepdim=True).data, expected.data)
    np.testing.assert_array_equal(function(ROWS, dim=1, keepdim=True), expected.data)
    assert function(x, dim=0).node.params == {"axis": 0, "keepdims": False}
    with pytest.raises(TypeError, match=f"{name}: give axis= or dim=, which mean the same, and not both"):
        function(x, axis=1, dim=1)


def test_an_op_may_have_a_parameter_of_pytorchs_name():
    @tg.op("$x", x=("", lambda g: g))
    def two_parameters(x, axis=0, dim=1):
        return x + axis + 10 * dim

    np.testing.assert_array_equal(two_parameters(Tensor(ROWS), axis=2, dim=3).data, ROWS + 32)


def test_joining_takes_dim():
    np.testing.assert_array_equal(
        tg.concatenate([Tensor(ROWS), ROWS], dim=1).data, np.concatenate([ROWS, ROWS], axis=1)
    )
    np.testing.assert_array_equal(tg.stack([Tensor(ROWS), ROWS], dim=1).data, np.stack([ROWS, ROWS], axis=1))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x * 1j,
        lambda x: 1j * x,
        lambda x: x + np.array([1j, 2, 3]),
        lambda x: np.power(x, 1j),
        lambda x: x.astype(complex),
        lambda x: x @ np.ones((3, 2), complex),
        lambda x: tg.where(ROWS > 0, x, 1j),
        lambda x: tg.concatenate([x, ROWS * 1j]),
    ],
)
def test_complex_numbers_are_refused(call):
    with pytest.raises(TypeError, match=r"complex numbers have no derivative here.* at test_op\.py"):
        call(Tensor(ROWS + 1, name="x"))


def test_a_complex_leaf_or_seed_is_refused():
    with pytest.raises(TypeError, match="is complex: give its real and its imaginary part apart"):
        Tensor(ROWS * 1j)
    with pytest.raises(TypeError, match="is complex"):
        Tensor(ROWS * 1j, requires_grad=False)
    with pytest.raises(TypeError, match="must be real, and is complex128"):
        (Tensor(ROWS) * 2).backward(ROWS * 1j)
    with pytest.raises(TypeError, match="must be real, and is complex128"):
        tg.grad(Tensor(ROWS) * 2, Tensor(ROWS), ROWS * 1j, allow_unused=True)


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


@pytest.mark.parametrize("name", ["out", "x_array", "x_want", "x_is", "x_node", "type"])
def test_an_argument_of_a_name_that_the_call_uses_is_refused(name):
    namespace = {}
    exec(f"def named(x, {name}=3.0): return x * {name}", namespace)
    with pytest.raises(TypeError, match=f"op named: no argument may be called {name}: its call uses that name"):
        tg.op("$x", x=("1", lambda g: g))(namespace["named"])


def test_an_op_of_any_number_may_bear_the_name_of_a_python_function():
    @tg.op("$xs", kind=Variadic, xs=("1", lambda g: g))
    def any(*xs):  # noqa: A001 - the name is what is tested
        return sum(xs)

    x = Tensor(ROWS)
    any(x, x).backward(ROWS)
    np.testing.assert_array_equal(x.grad, 2 * ROWS)


def test_an_op_of_any_number_without_a_line_needs_no_gradient():
    @tg.op("$xs", kind=Variadic, xs=None)
    def first_of(*xs):
        return xs[0] + 0

    x = Tensor(ROWS)
    y = first_of(x, x)
    assert not y.requires_grad
    (y + x).backward(ROWS)
    np.testing.assert_array_equal(x.grad, ROWS)


def test_a_function_without_a_name_is_refused():
    with pytest.raises(TypeError, match="has no name: define the function with def"):
        tg.op("$x", x=("1", lambda g: g))(lambda x: x + 0)


def test_a_wrapped_function_keeps_its_defaults():
    def inner(x, n=2):
        return x * n

    @functools.wraps(inner)
    def wrapper(*args, **params):
        return inner(*args, **params)

    double = tg.op("$x", x=("n", lambda g, n: g * n))(wrapper)
    np.testing.assert_array_equal(double(Tensor(ROWS)).data, 2 * ROWS)


def test_a_family_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="op double: family='mine' is not known: it is one of elementwise, "):

        @tg.op("2 $x", family="mine", x=("2", lambda g: 2 * g))
        def double(x):
            return 2 * x

    assert "double" not in OPS


def test_a_tensor_that_is_no_operand_is_refused():
    with registry_as_it_was():

        @tg.op("$x $k", x=("$k", lambda g, k: g * k))
        def scaled(x, k=2.0):
            return x * k

        x = Tensor([1.0, 2.0], name="x")
        np.testing.assert_array_equal(scaled(x, k=3.0).data, [3.0, 6.0])
        with pytest.raises(TypeError, match=r"one is used that is no operand, .* in scaled\(x float64\[2\]\) at "):
            scaled(x, k=Tensor([3.0]))


@pytest.mark.parametrize("call", [np.linalg.solve, np.matmul, tg.power, np.arctan2, tg.add, np.cross])
def test_a_list_is_an_array(call):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.5, 1.0, (3, 3)), rng.uniform(0.5, 1.0, (3, 3))
    weights = rng.standard_normal((3, 3))
    x, y, z, w = tg.Tensor(a), tg.Tensor(b), tg.Tensor(a), tg.Tensor(b)
    (weights * call(x, b.tolist()) + weights * call(a.tolist(), y)).sum().backward()
    (weights * call(z, b) + weights * call(a, w)).sum().backward()
    np.testing.assert_array_equal(x.grad, z.grad)
    np.testing.assert_array_equal(y.grad, w.grad)
