"""Values know the line that made them where that was asked for, and ops are what they were afterwards."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

import tinygraph as tg
from tinygraph import nn
from tinygraph.engine.registry import OPS
from tinygraph.engine.tensor import Leaf, Record

HERE = Path(__file__).name


def line_of(text: str) -> int:
    """Return the number of the one line of this file that has a text, and a mark behind it."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    (found,) = [k for k, line in enumerate(lines, 1) if line.endswith(f"# {text}")]
    return found


def places_of(y: tg.Tensor) -> dict[str | None, str]:
    return {node.name or node.op: node.at for node in tg.snapshot(y).nodes}


def test_a_value_knows_its_line() -> None:
    with tg.record_places():
        x = tg.Tensor([1.0, 2.0], name="x")  # x
        y = tg.softmax(x * x)  # y
    found = places_of(y)
    assert found["x"] == f"{HERE}:{line_of('x')}"
    assert {at for name, at in found.items() if name != "x"} == {f"{HERE}:{line_of('y')}"}
    assert len(found) > 3  # softmax is made of several ops: all are of the line that called it


def test_layers_variadic_and_fused_ops_and_recorded_gradients_know_it_too() -> None:
    net = nn.Linear(3, 3)
    x = tg.Tensor(np.eye(3), name="x")
    with tg.record_places():
        h = tg.stack([net(x), x])[0]
        y = tg.fused.batch_norm(h, np.ones(3), np.zeros(3)).sum()
        (g,) = tg.grad(y, [x], create_graph=True)  # g
    made = [node for node in tg.snapshot(g).nodes if node.op]
    assert all(node.at.startswith(f"{HERE}:") for node in made)
    assert sum(node.at == f"{HERE}:{line_of('g')}" for node in made) > 3
    assert {node.at for node in tg.snapshot(y).nodes if node.kind == "parameter"} == {""}  # made before


def test_nothing_is_noted_unless_asked_for() -> None:
    with tg.record_places(), tg.record_places():
        pass
    assert set(places_of(tg.Tensor([1.0]) * 2).values()) == {""}
    assert "__init__" not in vars(Record)
    assert Leaf.__init__.__module__ == "tinygraph.engine.tensor"
    assert "at" not in vars((tg.Tensor([1.0]) * 2).node)


def test_an_op_that_is_made_inside_of_the_block_is_as_it_was_too() -> None:
    with tg.record_places():

        @tg.op("$x^5", x=("5$x^4", lambda g, x: g * 5 * x**4))
        def fifth_place(x: np.ndarray) -> np.ndarray:
            return x**5

        assert places_of(fifth_place(tg.Tensor([1.0])))["fifth_place"].startswith(HERE)
    try:
        assert places_of(fifth_place(tg.Tensor([1.0])))["fifth_place"] == ""
    finally:
        del OPS["fifth_place"]


def test_only_lines_of_a_folder_count(tmp_path: Path) -> None:
    with tg.record_places(tmp_path):
        y = tg.Tensor([1.0]) * 2
    assert set(places_of(y).values()) == {""}


def test_threads_note_their_own_lines() -> None:
    found: list[str] = []

    def work() -> None:
        found.append(places_of(tg.Tensor([1.0]) * 2)["mul"])  # work

    with tg.record_places():
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(found) == {f"{HERE}:{line_of('work')}"}
