"""Stubs: they say where a value goes on, and a leaf that is used far off stands again."""

from __future__ import annotations

import re

import numpy as np

import tinygraph as tg
from tests.drawing.more_graphs import MORE
from tests.drawing.overlaps import faults
from tinygraph import Parameter, Tensor
from tinygraph.drawing.layout.card import Text
from tinygraph.drawing.layout.geometry import Layout
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.formula import text_of
from tinygraph.graph.data import Graph
from tinygraph.graph.simplify import inline


def chain(count: int, weight: bool = False, leaf: bool = False) -> Graph:
    """Return a chain that uses x at its end, an input or a result, and a weight at every step if asked for."""
    x, w = Tensor(np.ones((4, 3)), name="x" if leaf else "z"), Parameter(np.ones(3), name="w")
    x = x if leaf else np.exp(x).named("x")
    h = np.tanh(x)
    for _ in range(count):
        h = np.tanh(h * w) if weight else np.tanh(h)
    loss = (h + x).sum().named("L")
    loss.backward()
    return inline(tg.snapshot(loss))


def stubs(layout: Layout) -> list[list[str]]:
    return [
        [text_of(item.runs) for item in p.card.items if isinstance(item, Text)]
        for p in layout.cards
        if p.card.kind == "stub"
    ]


def plain(lines: list[list[str]]) -> set[str]:
    return {re.sub(r"\s+", " ", " ".join(line)) for line in lines}


def test_a_stub_says_in_which_row_its_value_goes_on() -> None:
    found = lay_out(chain(9), 0, most=600.0)
    last = (
        max(int(n) for line in stubs(found) for n in re.findall(r"from row (\d+)", line[-1].replace("\xa0", " "))) + 1
    )
    assert last > 2
    said = plain(stubs(found))
    assert f"x to row {last}" in said
    assert "x from row 1" in said
    assert sum(line.startswith("x ") for line in said) == 2  # and in no row between
    assert faults(found) == []


def test_an_input_that_is_used_far_off_stands_again() -> None:
    assert plain(stubs(lay_out(chain(2, leaf=True), 0, page=(1e6, 1e6)))) == set()
    found = lay_out(chain(9, leaf=True), 0, page=(1e6, 1e6))
    assert [text[0] for text in stubs(found)] == ["x"]
    assert faults(found) == []


def test_a_weight_that_is_used_far_off_stands_again() -> None:
    found = lay_out(chain(6, weight=True), 0, page=(1e6, 1e6))
    again = [p for p in found.cards if p.card.kind == "stub"]
    assert [text[0] for text in stubs(found)] == ["w"] * 5
    for route in found.routes:  # no line of w is longer than to the card above it
        if route.link.edge.source == next(p.card.node for p in found.cards if p.card.title == "w"):
            assert abs(route.forward[0][0] - route.forward[-1][0]) < 200
    assert len({p.x for p in again}) == 5
    assert faults(found) == []


def test_many_weights_that_a_collapsed_scope_uses_again_share_one_stub() -> None:
    from tinygraph.graph.scopes import at_depth

    found = lay_out(at_depth(inline(MORE["lstm_unrolled8"]()), 0), 1, page=(1e6, 1e6))
    assert len(stubs(found)) == 7
    assert all(line[1].replace("\xa0", " ") == "the same 12 again" for line in stubs(found))
    assert faults(found) == []
