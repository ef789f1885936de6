"""Scopes and no_grad, also where generators leave their blocks in another order than they entered them."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import tinygraph as tg
from tests.tensors import X, tensor
from tinygraph import Tensor, grad, no_grad, scope
from tinygraph.engine.context import CONTEXT


@pytest.fixture(autouse=True)
def context_is_left_clean():
    yield
    assert CONTEXT.get().recording and CONTEXT.get().scope == ()


def inside(manager):
    with manager:
        yield


def records() -> bool:
    return (Tensor([1.0]) * 2.0).requires_grad


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_generators_may_leave_in_any_order(order):
    generators = [inside(no_grad()), inside(no_grad())]
    for generator in generators:
        next(generator)
    assert not records()
    generators[order[0]].close()
    assert not records()
    generators[order[1]].close()
    assert records()


def test_what_is_left_out_of_order_is_passed_over():
    first, second = inside(scope("a")), inside(scope("b"))
    next(first)
    next(second)
    with scope("c"):
        first.close()
        assert (Tensor([1.0]) * 2.0).node.scope == ("a", "b", "c")
        second.close()
    assert (Tensor([1.0]) * 2.0).node.scope == ()


def test_a_task_goes_on_in_the_context_it_was_started_in():
    """Its creator may leave the block before the task is done."""

    async def work():
        await asyncio.sleep(0)
        with scope("task"):
            seen = records()
        return seen, records()

    async def main():
        with no_grad():
            task = asyncio.ensure_future(work())
        assert records()
        return await task

    assert asyncio.run(main()) == (False, False)


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


def test_nothing_is_remembered_of_a_generator_that_outlives_a_composite():
    from tinygraph import composite
    from tinygraph.engine.context import LEFT

    @composite
    def start():
        generator = inside(no_grad())
        next(generator)
        return generator

    for _ in range(3):
        start().close()
    assert not LEFT.get() and records()
