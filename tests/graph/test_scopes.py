"""Scopes fold, collapse and fit; none of the nodes is lost."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import fit, fold, scopes
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
