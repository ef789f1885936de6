"""Shape ops where an axis is empty."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor, grad


@pytest.mark.parametrize("sections", [1, 2, 3, [0, 0], [1, 5]])
def test_an_axis_of_length_zero_splits_as_numpy_splits_it(sections):
    x = np.zeros((0, 3))
    wanted = [piece.shape for piece in np.split(x, sections)]
    assert [piece.shape for piece in tg.split(x, sections)] == wanted
    leaf = Tensor(x)
    pieces = np.split(leaf, sections)
    assert [piece.shape for piece in pieces] == wanted
    assert tg.grad([p.sum() for p in pieces], leaf)[0].shape == (0, 3)


def count_of_elements(call):
    """How many elements the arrays have that a call makes: its work, without a clock."""
    total = 0

    def counted(function):
        def inner(*args, **params):
            nonlocal total
            out = function(*args, **params)
            total += out.size
            return out

        return inner

    with pytest.MonkeyPatch.context() as patch:
        for name in ("zeros_like", "concatenate"):
            patch.setattr(np, name, counted(getattr(np, name)))
        call()
    return total


TAKEN_APART = {
    "iteration": lambda x: [v * v for v in x],
    "unbind": lambda x: [v * v for v in x.unbind(1)],
    "split": lambda x: [v * v for v in np.split(x, x.shape[0])],
}


@pytest.mark.parametrize("take", TAKEN_APART.values(), ids=TAKEN_APART)
@pytest.mark.parametrize("order", [1, 2])
def test_taking_an_array_apart_takes_linear_time(take, order):
    """Four times as many rows: four times the work, not sixteen."""

    def work(n):
        x = Tensor(np.ones((n, n if take is TAKEN_APART["unbind"] else 3))[:, :n])
        pieces = take(x)
        g = [np.ones(p.shape) for p in pieces]
        if order == 1:
            return count_of_elements(lambda: grad(pieces, x, g)) / x.size
        return count_of_elements(lambda: grad(grad(pieces, x, g, create_graph=True), x, [np.ones(x.shape)])) / x.size

    assert work(80) <= 1.1 * work(20)


@pytest.mark.parametrize("create_graph", [False, True])
def test_joining_takes_linear_time(create_graph):
    """The place of an operand is found from the one before it, not from all: so many calls and steps of generators."""

    def steps(n):
        count, xs = 0, [Tensor(np.ones(1)) for _ in range(n)]
        y = tg.concatenate(xs)

        def counted(frame, event, arg):
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            grad(y, xs, np.ones(n), create_graph=create_graph)
        finally:
            sys.setprofile(None)
        return count

    assert steps(160) <= 4.1 * steps(40)


@pytest.mark.parametrize("n", [1, 3, 8, 9, 20])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_parts_have_the_gradients_of_indexing(rng, device_array, n, axis):
    """By `unbind` and `split`, to second order, with parts that nothing is made of, on arrays of any kind."""
    a = np.moveaxis(rng.standard_normal((n, 3, 2)), 0, axis)
    w = rng.standard_normal((n, 3, 2))

    def derivatives(take, move):
        x, weights = Tensor(move(a)), [Tensor(move(np.ascontiguousarray(v))) for v in w]
        pieces = take(x)
        used = [(p, v) for i, (p, v) in enumerate(zip(pieces, weights, strict=True)) if i % 4 != 1]
        y = sum(((p * p * p * v).sum() for p, v in used), start=Tensor(move(np.array(0.0))))
        (first,) = grad(y, x, create_graph=True)
        plain = grad(y, x)[0]
        second = grad((first * first).sum(), [x, *[v for _, v in used]])
        return [getattr(d, "get", lambda d=d: d)() for d in (first.data, plain, *second)]

    key = lambda i: (slice(None),) * (axis % 3) + (i,)
    wanted = derivatives(lambda x: [x[key(i)] for i in range(n)], np.asarray)
    for take in (lambda x: tg.unbind(x, axis), lambda x: [p.squeeze(axis) for p in np.split(x, n, axis)]):
        for found, right in zip(derivatives(take, device_array), wanted, strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-14, atol=1e-14)


def test_pieces_that_overlap_add_up():
    """As NumPy splits: what goes back comes again."""
    x, places = Tensor(np.arange(12.0)), [3, 1, 2, 2, 5, 4, 7, 6, 9]
    pieces = np.split(x, places)
    np.testing.assert_array_equal(
        grad(pieces, x, [np.ones(p.shape) for p in pieces])[0], [1, 2, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1]
    )


def test_a_loop_over_rows_meets_every_row_once_and_only_as_it_is_needed():
    x = Tensor(np.arange(40.0).reshape(20, 2))
    rows = iter(x)
    np.testing.assert_array_equal(next(rows).data, [0, 1])
    assert len(list(rows)) == 19
    with pytest.raises(TypeError, match="unsized"):
        iter(Tensor(1.0))
    total = sum(row.sum() for row in x)
    total.backward()
    np.testing.assert_array_equal(x.grad, np.ones((20, 2)))
    graph = tg.snapshot(total)
    assert type(graph).from_json(graph.to_json()) == graph
    (node,) = [node for node in graph.nodes if node.op == "whole"]
    np.testing.assert_array_equal(node.grad.values, np.ones(40))
    (gradient,) = grad(sum((row * row).sum() for row in x), x, create_graph=True)
    np.testing.assert_array_equal(tg.run(tg.snapshot(gradient)), 2 * x.data)


def test_mixed_dtypes_come_together_in_the_wider_one():
    x = Tensor(np.ones(20))
    pieces = [p.astype(np.float32) if i % 2 else p for i, p in enumerate(x)]
    total = sum((p * (1 / 3) for p in pieces[1:]), start=pieces[0] / 3)
    np.testing.assert_allclose(grad(total, x)[0][::2], 1 / 3, rtol=1e-16)
