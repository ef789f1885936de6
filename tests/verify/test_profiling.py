"""The profile: what it counts, and that nothing of it is left when it is over."""

import json
import threading

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.engine.registry import OPS


def step():
    x = tg.Tensor(np.ones((64, 8), np.float32), name="x")
    with tg.scope("block"):
        y = tg.batch_norm(x * 2, np.ones(8, np.float32), eps=1e-5)
    (y * np.float32(3)).sum().named("L").backward()


def test_calls_scopes_and_bytes():
    with tg.profile() as p:
        step()
    entries = {(e.op, e.scope, e.phase): e for e in p.entries}
    inner = ("block", "batch_norm")
    assert entries["mean", inner, "forward"].calls == 2
    assert entries["mean", inner, "backward"].calls == 2
    assert entries["div", inner, "backward"].calls == 2  # a line an operand
    assert entries["mul", ("block",), "forward"].nbytes == 64 * 8 * 4
    assert ("greater", inner, "forward") not in entries
    assert 0 < sum(e.seconds for e in p.entries) < p.seconds


@pytest.mark.parametrize("size", ["large"], indirect=True)
def test_each_line_is_charged_for_the_array_it_makes(size):
    """No product waits for the next line; one that is to be summed is no array."""
    x, scale = tg.Tensor(np.ones((64, 8))), tg.Tensor(np.ones(8))
    with tg.profile() as p:
        (x * scale / scale).backward(np.ones((64, 8)))
    found = {e.op: e.nbytes for e in p.entries if e.phase == "backward"}
    assert found == {"mul": x.data.nbytes, "div": x.data.nbytes}


def test_ops_that_a_line_calls_are_the_lines():
    x = tg.Tensor(np.linspace(-1, 1, 5))
    with tg.profile() as p:
        tg.relu(x).sum().backward()
    assert {(e.op, e.phase) for e in p.entries} == {
        ("relu", "forward"), ("sum", "forward"), ("relu", "backward"), ("sum", "backward"),
    }  # fmt: skip


def test_a_fused_op_is_one_call_each_way():
    x = tg.Tensor(np.random.default_rng(0).standard_normal((16, 4)))
    with tg.profile() as p:
        tg.fused.batch_norm(x, np.ones(4), np.zeros(4)).backward(np.ones((16, 4)))
    y, per_channel = 16 * 4 * 8, 4 * 8
    assert [(e.op, e.phase, e.calls, e.nbytes) for e in sorted(p.entries, key=lambda e: e.phase)] == [
        ("batch_norm", "backward", 1, y + 2 * per_channel),  # dx, dγ, dβ
        ("batch_norm", "forward", 1, y + 2 * per_channel),  # y, and what is kept: mean and 1/σ
    ]


def test_nothing_is_left_afterwards():
    before = [(op.forward, dict(vars(op))) for op in OPS.values()]
    with pytest.raises(ZeroDivisionError), tg.profile():
        raise ZeroDivisionError
    assert [(op.forward, dict(vars(op))) for op in OPS.values()] == before


def test_the_gradients_are_the_same():
    x = tg.Tensor(np.random.default_rng(0).standard_normal((16, 4)))
    w = np.random.default_rng(1).standard_normal((16, 4))
    plain = tg.grad(tg.batch_norm(x), x, w)
    with tg.profile():
        np.testing.assert_array_equal(tg.grad(tg.batch_norm(x), x, w), plain)


def test_table_json_and_overlay():
    x = tg.Tensor(np.ones((64, 8)), name="x")
    with tg.profile() as p:
        loss = (tg.batch_norm(x) * 3).sum().named("L")
        loss.backward()
    text = str(p)
    assert "in array functions" in text
    assert "batch_norm" in text
    assert "top level" in text
    assert {e["phase"] for e in json.loads(p.to_json())["entries"]} == {"forward", "backward"}
    drawn = tg.snapshot(loss).text(columns=p.columns(tg.snapshot(loss)))
    assert "forward" in drawn.splitlines()[2]
    assert "µs" in drawn


def test_one_at_a_time():
    with tg.profile(), pytest.raises(RuntimeError, match="one at a time"), tg.profile():
        pass


def test_the_ops_of_every_thread_are_counted():
    """None is lost where two threads are inside an op at once."""
    calls, ready = 40, threading.Barrier(2)

    def work():
        x = tg.Tensor(np.ones(100_000))  # large enough for NumPy to let the other thread run meanwhile
        ready.wait()
        for _ in range(calls):
            (x * x).backward(x.data)

    with tg.profile() as p:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {e.phase: e.calls for e in p.entries} == {"forward": 2 * calls, "backward": 4 * calls}  # a line an operand
