"""Whether ops record, asked and set as in PyTorch."""

import asyncio
import threading

import numpy as np
import pytest

import tinygraph as tg


def test_recording_is_known_and_set():
    x = tg.Tensor(np.ones(2))
    assert tg.is_grad_enabled()
    with tg.no_grad():
        assert not tg.is_grad_enabled()
        assert not (x * x).requires_grad
        with tg.enable_grad():
            assert (x * x).requires_grad
    with tg.set_grad_enabled(False):
        assert not (x * x).requires_grad
    with tg.set_grad_enabled(True):
        assert (x * x).requires_grad
    assert tg.is_grad_enabled()


def records() -> bool:
    return (tg.Tensor(np.ones(2)) * 2).requires_grad


def test_one_object_is_entered_again_inside_of_itself_and_by_each_thread_and_task():
    off = tg.no_grad()
    for _ in range(2):
        with off:
            assert not records()
            with tg.enable_grad(), off:
                assert not records()
            assert not records()
        assert records()
    seen = []

    def work():
        seen.append(records())
        with off:
            seen.append(records())
        seen.append(records())

    async def task(first: asyncio.Event, then: asyncio.Event):
        with off:
            first.set()
            await then.wait()
            inside = records()
        return inside, records()

    async def main():
        a, b, c = asyncio.Event(), asyncio.Event(), asyncio.Event()
        c.set()
        return await asyncio.gather(task(a, b), task(b, c))

    with off:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [True, False, True]
    assert asyncio.run(main()) == [(False, True), (False, True)]
    with pytest.raises(ValueError, match="mine"), off:
        raise ValueError("mine")
    assert records()


def test_decorators_and_brackets_that_are_missing():
    @tg.no_grad()
    def one():
        return records()

    @tg.no_grad
    def two():
        """Doc."""
        return records()

    assert not one()
    assert not two()
    assert (two.__name__, two.__doc__) == ("two", "Doc.")
    with tg.no_grad():
        assert tg.set_grad_enabled(True)(records)()
    with pytest.raises(TypeError, match=r"brackets are missing: write with tinygraph\.no_grad\(\): …"), tg.no_grad:
        pass


def test_a_mode_that_is_set_without_a_block_warns_that_it_does_nothing(recwarn):
    with tg.set_grad_enabled(False):
        pass
    assert not recwarn
    with pytest.warns(RuntimeWarning, match=r"write with tinygraph\.set_grad_enabled\(False\): …"):
        tg.set_grad_enabled(False)
    assert records()
