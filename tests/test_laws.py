"""Laws that hold for all shapes: what copies and what adds up are adjoint, and a vjp is linear in its cotangent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.cases import Case, check_each, close, gradients, inner
from tinygraph import Tensor, grad
from tinygraph.autodiff import backward as walk
from tinygraph.kernels.lazy_product import Summand, undo_broadcast
from tinygraph.ops import elementwise, linear, reduce
from tinygraph.ops.indexing import index, scatter
from tinygraph.ops.shape import broadcast_to, sum_to

law = settings(max_examples=60, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
PAIR = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0)


def normal(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


def gathered(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Add up the copies that a broadcast from ``shape`` made, one by one."""
    places = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), g.shape)
    return np.bincount(places.ravel(), g.ravel(), int(np.prod(shape)))[: int(np.prod(shape))].reshape(shape)


def test_a_vjp_is_linear_in_its_cotangent(op_cases):
    check_each(check_linear, op_cases)


def check_linear(case):
    xs = case.arrays()
    y = case(*xs)
    g, h = normal(1, np.shape(y), np.shape(y))
    both = gradients(case, xs, 2 * g - 3 * h)
    for whole, a, b in zip(both, gradients(case, xs, g), gradients(case, xs, h), strict=True):
        close(whole, 2 * a - 3 * b, 1e-12, case.name)


@law
@given(PAIR, seeds)
def test_sum_to_is_adjoint_to_broadcast_to(shapes, seed):
    small, large = shapes.input_shapes[0], shapes.result_shape
    x, g = normal(seed, small, large)
    np.testing.assert_allclose(sum_to(g, small), gathered(g, small), atol=1e-12)
    assert inner(broadcast_to(x, large), g) == pytest.approx(inner(x, sum_to(g, small)), abs=1e-12)


@law
@given(PAIR, seeds, st.sampled_from(["add", "sub", "mul", "div", "maximum", "power"]))
def test_a_broadcast_operand_gets_the_sum_over_its_copies(shapes, seed, name):
    """As if it had been copied first, and the op had met operands of one shape."""
    x, y, g = normal(seed, *shapes.input_shapes, shapes.result_shape)
    f, x, y = getattr(elementwise, name), np.abs(x) + 0.5, np.abs(y) + 0.5
    full = [Tensor(np.broadcast_to(a, g.shape)) for a in (x, y)]
    leaves = [Tensor(x), Tensor(y)]
    for found, wanted in zip(grad(f(*leaves), leaves, g), grad(f(*full), full, g), strict=True):
        np.testing.assert_allclose(found, gathered(wanted, found.shape), rtol=1e-11, atol=1e-11)


@law
@given(PAIR, seeds, st.data())
def test_a_gradient_of_equal_rows_is_worth_its_copies(shapes, seed, data):
    """The gradient of a mean comes back with rows of length 1; what it meets must count them."""
    shape = shapes.result_shape
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True) if shape else st.just([]))
    assume(all(shape[a] for a in axes))
    function = data.draw(st.sampled_from([reduce.sum, reduce.mean]))
    x, y = normal(seed, *shapes.input_shapes)
    leaves = [Tensor(x), Tensor(y)]
    z = function(elementwise.maximum(leaves[0], 0.3) * leaves[1] - leaves[0], axis=tuple(axes))
    (g,) = normal(seed + 1, z.shape)
    n = int(np.prod([shape[a] for a in axes])) if function is reduce.mean else 1
    rows = np.broadcast_to(np.expand_dims(g, tuple(axes)), shape) / n
    wanted = [gathered(rows * ((x > 0.3) * y - 1), x.shape), gathered(rows * np.maximum(x, 0.3), y.shape)]
    for found, expected in zip(grad(z, leaves, g), wanted, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@law
@given(hnp.mutually_broadcastable_shapes(num_shapes=4, max_dims=4, max_side=4), seeds)
def test_a_summand_is_the_sum_of_its_product(shapes, seed):
    """Whatever a derivative line does with it, and however small a gradient it starts from."""
    small, *others = shapes.input_shapes
    assume(len(small) <= len(shapes.result_shape))
    source = shapes.result_shape
    g, x, y = normal(seed, *others)
    g = g.reshape((1,) * (len(source) - g.ndim) + g.shape)  # a gradient has the axes of its result, some of length 1
    (scale,) = normal(seed + 1, small)
    scale = np.abs(scale) + 0.5
    lines = [
        lambda g: g,
        lambda g: -g,
        lambda g: g * x,
        lambda g: x * g,
        lambda g: -(g * (x * y) / scale),
        lambda g: 2 * g * y * scale / 3.0,
        lambda g: g / (np.abs(x) + 1),
        lambda g: -g / (np.abs(x) + 1),
        lambda g: 3 * g + y,
        lambda g: g - g * x,
        lambda g: (1 - g) ** 2,
        lambda g: np.where(x > 0, -2 * g, 0),
        lambda g: np.where(x > 0, g, 0),
        lambda g: g * x + y,
        lambda g: elementwise.exp(elementwise.mul(g, x)),
    ]
    for i, line in enumerate(lines):
        wanted = gathered(np.broadcast_to(line(np.broadcast_to(g, source)), source), small)
        for start in (g, Summand((g,), small)):
            found = np.broadcast_to(undo_broadcast(line(start), source, small), small)  # it may stay small
            assert found.ndim == len(small)
            found = np.broadcast_to(found, small)
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10, err_msg=f"line {i}")


OPERATIONS = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / (y * y + 1.0),
    lambda x, y: elementwise.where(x.data > 0, x, y),
    elementwise.maximum,
    elementwise.logaddexp,
    lambda x, y: elementwise.tanh(x) * 2.0,
    lambda x, y: x - reduce.mean(x, axis=0),
    lambda x, y: x / elementwise.sqrt(reduce.mean(x * x) + 0.5),
]


@settings(law, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 99), st.integers(0, 99)), min_size=4), seeds)
def test_gradients_summed_as_products_are_those_that_are_recorded(steps, seed):
    """In any net of elementwise ops whose operands copy one another; recorded, no product is put off."""
    leaves = [Tensor(x) for x in normal(seed, (4,), (3, 1), (1, 4), (2, 3, 4), (2, 1, 1), (), (3, 4))]
    values = list(leaves)
    for operation, i, k in steps:
        values.append(operation(values[-1 - i % 2], values[k % len(values)]))
    y = values[-1]
    (g,) = normal(seed + 1, y.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "SMALL", 0)
        y.backward(g)
    wanted = grad(y, leaves, g, create_graph=True, allow_unused=True)
    for x, gx in zip(leaves, wanted, strict=True):
        assert (x.grad is None) == (gx is None)
        if gx is not None:
            np.testing.assert_allclose(x.grad, gx.data, rtol=1e-9, atol=1e-9 * (1 + abs(gx.data).max()))


@law
@given(st.data(), seeds)
def test_scatter_is_adjoint_to_indexing(data, seed):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    key = data.draw(
        hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
        | hnp.integer_array_indices(shape)
        | hnp.arrays(bool, shape)
    )
    (x,) = normal(seed, shape)
    (g,) = normal(seed + 1, np.shape(x[key]))
    np.testing.assert_array_equal(index(x, key), x[key])
    places = np.arange(x.size).reshape(shape)[key]
    added = np.bincount(np.ravel(places), np.ravel(g), x.size).reshape(shape)
    np.testing.assert_allclose(scatter(g, key, shape), added, atol=1e-12)
    leaf = Tensor(x)
    np.testing.assert_allclose(grad(leaf[key], leaf, g)[0], added, atol=1e-12)


def check_multilinear(function, arrays, seed):
    """For a map that is linear in each operand, the gradient in one satisfies <g, f(… d …)> = <gradient, d>."""
    y = function(*arrays)
    g, *directions = normal(seed + 1, np.shape(y), *(x.shape for x in arrays))
    case = Case("multilinear", function, [])
    for recorded in (False, True):
        for i, (found, d) in enumerate(zip(gradients(case, arrays, g, create_graph=recorded), directions, strict=True)):
            moved = function(*(d if k == i else x for k, x in enumerate(arrays)))
            found = getattr(found, "data", found) if recorded else found
            assert found.shape == d.shape
            assert inner(g, moved) == pytest.approx(inner(found, d), rel=1e-10, abs=1e-10)


@law
@given(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3, min_side=0), seeds)
def test_gradients_of_matmul(shapes, seed):
    check_multilinear(linear.matmul, normal(seed, *shapes.input_shapes), seed)


@st.composite
def subscripts(draw):
    """An einsum over letters of length 2 and 3: repeats, axes that only one operand has, copies of length 1, dots."""
    sizes = {"a": 2, "b": 3, "c": 2, "d": 3}
    terms = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    shapes = []
    for i, term in enumerate(terms):
        once = [c for c in term if term.count(c) == 1 and any(c in t for k, t in enumerate(terms) if k != i)]
        copied = draw(st.sampled_from([None, *once]))
        shapes.append(tuple(1 if c == copied else sizes[c] for c in term))
    if draw(st.booleans()):
        dots = [draw(st.sampled_from([(), (2,), (1,), (3, 2)])) for _ in terms]
        terms, shapes = ["..." + t for t in terms], [d + s for d, s in zip(dots, shapes, strict=True)]
    left = ",".join(terms)
    letters = sorted(set(left) & set(sizes))
    right = "".join(draw(st.permutations(letters))[: draw(st.integers(0, len(letters)))])
    explicit = draw(st.booleans())
    return left + ("->" + "..." * ("." in left) + right) * explicit, shapes


@settings(law, max_examples=200)
@given(subscripts(), seeds)
def test_gradients_of_einsum(drawn, seed):
    text, shapes = drawn
    check_multilinear(lambda *xs: linear.einsum(text, *xs), normal(seed, *shapes), seed)
