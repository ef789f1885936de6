"""Scopes fold, collapse and fit; none of the nodes is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.graphs import anything
from tests.gallery import GALLERY
from tinygraph import Tensor
from tinygraph.graph import scopes as module
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import Scope, at_depth, chunks, collapse, fit, fold, fold_runs, name_row, scopes
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
    assert snapshot(dx).find("w").scope == ("net",)  # of a gradient, what it is the gradient of is there, too
    with tg.scope("grad"):
        alone = snapshot(dx.detach() * w)
    assert alone.find("w").scope == ("grad",)


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


# ---------------------------------------------------------------------------------------------------- true edges


def check_edges(before: Graph, groups: Iterable[Scope], after: Graph) -> None:
    """Check that the arrows between cards are those between the nodes in them, and that no leaf leaves a card."""
    marks = {n.at: n.id for n in after.nodes if n.kind != "scope" or n.at}
    where = {n.id: marks[n.at] for n in before.nodes if n.at in marks}
    cards = iter(n.id for n in after.nodes if n.id not in set(where.values()))
    made = [[i for i in g.members if is_made(before, i)] for g in groups]
    for inside, group in sorted((max(ops), group) for ops, group in zip(made, groups, strict=True) if ops):
        card = next(cards)
        assert inside in group.members
        where |= {i: card for i in group.members if i not in where}
    assert len(where) == len(before), "a node was lost"
    wanted = {(where[e.source], where[n.id]): e.source for n in before.nodes for e in n.inputs}
    drawn = {(e.source, n.id) for n in after.nodes for e in n.inputs}
    assert drawn == {(a, b) for a, b in wanted if a != b}
    for n in before.nodes:
        for e in n.inputs:
            a, b = where[e.source], where[n.id]
            if a != b and after.nodes[a].kind == "scope" and before.nodes[e.source].kind != "scope":
                assert is_made(before, e.source), f"{before.label(e.source)} leaves {after.label(a)}"


def is_made(graph: Graph, i: int) -> bool:
    return graph.nodes[i].op is not None or graph.nodes[i].kind == "scope"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Check every collapse, by the way; what they give is listed."""
    found: list[Graph] = []

    def collapse_and_check(graph: Graph, groups: Iterable[Scope], about: Any = ()) -> Graph:
        groups = list(groups)
        marked = dataclasses.replace(graph, nodes=tuple(dataclasses.replace(n, at=f"node {n.id}") for n in graph.nodes))
        after = collapse(marked, groups, about)
        check_edges(marked, groups, after)
        found.append(after)
        return after

    monkeypatch.setattr(module, "collapse", collapse_and_check)
    return found


def shrink_in_every_way(graph: Graph) -> None:
    for g in (graph, inline(graph)):
        at_depth(g, 0)
        at_depth(g, 1)
        fold(g)
        fold_runs(g)
        chunks(g, 3)
        chunks(g, 40)
        fit(g, 5)


@pytest.mark.parametrize("seed", range(60))
def test_arrows_between_cards_of_random_graphs_are_in_the_graph(seed: int, checked: list[Graph]) -> None:
    shrink_in_every_way(anything(seed))
    assert checked


@pytest.mark.parametrize("name", GALLERY)
def test_arrows_between_cards_of_the_gallery_are_in_the_graph(name: str, checked: list[Graph]) -> None:
    shrink_in_every_way(GALLERY[name]())
    assert checked


def loop(steps: int) -> Tensor:
    h = Tensor([0.1, 0.2], name="x")
    for _ in range(steps):
        h = np.tanh(h * 1.1)
    return h


def recurrent(steps: int, *, in_scopes: bool = False) -> Tensor:
    """Shared weights, a bias that a step's box holds with all others of its name, and steps of one sequence."""
    w, u = tg.Parameter(np.eye(3), name="W"), tg.Parameter(np.eye(3), name="U")
    x, h, total = Tensor(np.ones((steps, 2, 3)), name="x"), Tensor(np.zeros((2, 3)), name="h0"), 0.0
    for t in range(steps):
        with tg.scope(*["cell"] * in_scopes):
            h = np.tanh(x[t] @ w + h @ u)
        total = total + (h * h).mean()
    return total


@pytest.mark.parametrize("in_scopes", [False, True])
def test_what_several_steps_share_is_wired_from_its_own_card(in_scopes: bool, checked: list[Graph]) -> None:
    graph = snapshot(recurrent(20, in_scopes=in_scopes))
    shrink_in_every_way(graph)
    for found in (at_depth(graph, 0), chunks(graph, 8), fold_runs(graph)):
        w = found.find("W")
        assert w.kind == "parameter"
        assert len({c for c, _ in found.consumers[w.id]}) > 1


def test_a_chain_in_chunks_is_a_chain() -> None:
    found = chunks(snapshot(loop(120)), 40)
    cards = [n for n in found.nodes if n.kind == "scope"]
    assert [n.name for n in cards[:2]] == ["ops 1–6: 3 mul, 3 tanh", "ops 7–12: 3 mul, 3 tanh"]
    sources = [[e.source for e in n.inputs if not found.is_number(e.source)] for n in cards]
    assert sources == [[found.find("x").id], *([n.id] for n in cards[:-1])]


def test_a_loop_folds_into_its_first_step_and_a_card() -> None:
    graph = snapshot(loop(120))
    found = fit(inline(graph), 200)
    assert [n.name or n.op for n in found.nodes if not found.is_number(n.id)] == ["x", "mul", "tanh", "mul, tanh"]
    about = dict(found.nodes[-1].params)
    assert (about["repeat"], about["ops"]) == (119, 238)
    ((what, _, course),) = about["courses"]
    assert what == "activation std"
    np.testing.assert_allclose(course, [n.value.std for n in graph.nodes if n.op == "tanh"][1:])


def test_all_steps_of_a_loop_are_one_card_with_the_weights_that_they_share() -> None:
    h, w = Tensor([0.1, 0.2], name="x"), tg.Parameter([1.0, 1.1], name="w")
    for k in range(9):
        h = np.tanh(h * w).named(f"h{k}")
    found = fold_runs(snapshot(np.exp(h).named("y")), all_of_it=True)
    assert [n.name for n in found.nodes] == ["x", "ops 1–18: 9 mul, 9 tanh", "y"]
    about = dict(found.nodes[1].params)
    assert (about["repeat"], about["ops"], about["parameters"], about["results"]) == (9, 18, 2, ["h8"])


def test_between_two_collapsed_cards_there_is_one_arrow() -> None:
    x = Tensor([0.1, 0.2], name="x")
    with tg.scope("first"):
        a, b = np.tanh(x), np.exp(x)
    with tg.scope("second"):
        y = (a * b).sum()
    y.backward()
    found = at_depth(snapshot((y * a.sum()).named("z")), 0)
    first, second = (n for n in found.nodes if n.kind == "scope")
    assert [e.source for e in second.inputs] == [first.id]
    assert [len(n.inputs) for n in found.nodes if n.op] == [1, 2]


def test_blocks_with_ops_between_them_do_not_fold_into_one_card() -> None:
    h = Tensor([0.1, 0.2], name="x")
    for k in range(30):
        with tg.scope(f"block{k}"):
            h = np.tanh(h * tg.Parameter([1.0, 1.0], name="w"))
        h = h + 1.0
    graph = snapshot(h)
    assert fold(graph) == graph
    card = fit(graph, 200).nodes[-1]
    assert (card.name, dict(card.params)["repeat"]) == ("mul, tanh, add", 29)


def test_a_weight_that_the_backward_pass_uses_stands_outside_of_a_collapsed_net(checked: list[Graph]) -> None:
    x, w = Tensor(np.ones((2, 3)), name="x"), tg.Parameter(np.eye(3), name="W")
    with tg.scope("net"):
        y = np.tanh(x @ w).sum()
    (dx,) = tg.grad(y, x, create_graph=True)
    graph = snapshot(y, dx, w)
    shrink_in_every_way(graph)
    found = at_depth(graph, 0)
    assert [n.name for n in found.nodes if n.kind == "scope"] == ["net", "grad"]
    assert {found.nodes[c].name for c, _ in found.consumers[found.find("W").id]} == {"net", "grad"}
    assert found.find("W").id in found.outputs


def test_very_many_leaves_of_one_op_are_one_card():
    xs = [tg.Tensor([1.0 * k], name=f"x{k}") for k in range(300)]
    graph = tg.snapshot(tg.concatenate(xs).named("y"))
    found = fit(graph, limit=200)
    assert found.nodes[0].name == "x0…299: 300 inputs"
    assert len(found.nodes) == 2
    assert len(found.nodes[-1].inputs) == 1
    assert graph.facts(300)["xs"] == "x0, x1, x2, …, x299"
    assert "x0, x1, x2, …, x299" in graph.text()
