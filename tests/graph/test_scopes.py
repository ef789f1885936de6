"""Scopes fold, collapse and fit; none of the nodes is lost."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import chunks, fit, fold, name_row, scopes
from tinygraph.graph.simplify import inline
from tinygraph.graph.snapshot import snapshot
from tinygraph.nets import fully_connected


def test_folding_shows_the_first_block_and_the_course_of_the_others(graphs: dict[str, Graph]) -> None:
    folded = fold(inline(graphs["deep"]))
    cards = [n for n in folded.nodes if n.kind == "scope"]
    assert [n.name for n in cards] == ["blocks[1…11]"]
    about = dict(cards[0].params)
    assert about["repeat"] == 11
    assert about["parameters"] == 11 * (64 + 8 + 8 + 8)
    course = {name: values for name, _, values in about["courses"]}
    relus = [n for n in graphs["deep"].nodes if n.op == "relu"]
    np.testing.assert_allclose(course["activation std"], [n.value.std for n in relus[1:]])
    assert Graph.from_json(folded.to_json()) is not None


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_collapsing_to_a_depth(graphs: dict[str, Graph], depth: int) -> None:
    found = fit(inline(graphs["deep"]), 200, depth)
    names = {n.name for n in found.nodes if n.kind == "scope"}
    assert ("blocks[3]" in names) == (depth == 0)
    assert ("linear" in names) == (depth == 1)
    opened = fit(inline(graphs["deep"]), 200, 0, ["blocks[3]"])
    inner = {n.scope for n in opened.nodes if n.scope}
    assert inner == {("blocks[3]",)} or all(s[0] == "blocks[3]" for s in inner if depth == 0)


def test_a_net_of_the_texts_is_folded_and_its_data_stand_outside() -> None:
    x = Tensor(np.ones((4, 1, 5, 5), np.float32), name="x", requires_grad=False)
    loss = tg.cross_entropy(fully_connected((25, *[8] * 5, 3), seed=0)(x), np.array([0, 1, 2, 0]))
    found = fit(inline(snapshot(loss)), 200)
    assert [n.name for n in found.nodes if n.kind == "scope"] == ["block3…5"]
    data = found.find("x").id
    assert all(data not in s.members for s in scopes(found))


def test_a_leaf_is_in_the_scope_that_its_consumers_share() -> None:
    w = tg.Parameter([1.0, 2.0], name="w")
    with tg.scope("data"):
        x, c = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="c", requires_grad=False)
    with tg.scope("net"):
        with tg.scope("a"):
            h = x * w * c
        with tg.scope("b"):
            y = h * w + 5.0
    graph = snapshot(y)
    places = {graph.label(n.id): n.scope for n in graph.nodes if n.op is None}
    assert places == {"x": ("data",), "c": ("data",), "w": ("net",), "5": ("net", "b")}
    (dx,) = tg.grad(y, x, np.ones(2), create_graph=True)
    both = snapshot(y, dx)
    w_users = {both.nodes[i].scope[0] for i, _ in both.consumers[both.find("w").id]}
    assert w_users == {"net", "grad"}  # and those in "grad" do not count
    assert both.find("w").scope == ("net",)
    alone = snapshot(dx)
    assert alone.find("w").scope[:1] == ("grad",)


def test_a_scope_that_is_entered_twice_has_two_entries() -> None:
    y = Tensor([1.0, 2.0], name="x")
    for name in ("a", "b", "a"):
        with tg.scope("net", name):
            y = np.tanh(np.exp(y))
    graph = snapshot(y)
    entries = scopes(graph)
    assert [s.path for s in entries] == [("net",), ("net", "a"), ("net", "b"), ("net", "a")]
    inside = [i for s in entries[1:] for i in s.members]
    assert sorted(inside) == sorted(entries[0].members) == [n.id for n in graph.nodes if n.name != "x"]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["blocks[1]", "blocks[2]", "blocks[11]"], "blocks[1…11]"),
        (["block3", "block4"], "block3…4"),
        (["norm", "norm"], "norm"),
        (["left", "right"], "left … right"),
    ],
)
def test_a_row_of_blocks_has_a_name(names: list[str], wanted: str) -> None:
    assert name_row(names) == wanted


@pytest.mark.parametrize("count", [2, 5, 40])
def test_runs_of_ops_stand_for_all_ops(count: int) -> None:
    h = Tensor([0.1, 0.2], name="x")
    for k in range(50):
        h = np.tanh(h * tg.Parameter([1.0, 1.0], name=f"w{k}"))
    found = chunks(snapshot(h), count)
    cards = [dict(n.params) for n in found.nodes if n.kind == "scope"]
    assert len(cards) <= max(count, 50)
    assert sum(card["ops"] for card in cards) == 100
    assert sum(card["parameters"] for card in cards) == 100
    assert found.nodes[-1].value == snapshot(h).nodes[-1].value
