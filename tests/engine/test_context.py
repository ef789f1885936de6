"""Scopes and no_grad, also where generators leave their blocks in another order than they entered them."""

import asyncio

import pytest

from tinygraph import Tensor, no_grad, scope
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
