"""Boxes of scopes: each card in those of its own scopes and in no other, in as few parts as that takes."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.graphs import anything
from tests.drawing.more_graphs import MORE
from tinygraph.drawing.layout.boxes import Cells, join_parts, scope_cells
from tinygraph.drawing.layout.grid import lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.place import lay_out
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import scopes
from tinygraph.graph.simplify import inline


def cell(x: int, y: int, x1: int | None = None, y1: int | None = None) -> Cells:
    return Cells(x, y, x if x1 is None else x1, y if y1 is None else y1, 1, "s", 0)


def test_cells_join_to_one_rectangle_where_nothing_is_between() -> None:
    assert join_parts([cell(0, 0), cell(2, 1)], [cell(3, 0)]) == [cell(0, 0, 2, 1)]


def test_a_card_between_two_makes_two_parts() -> None:
    assert join_parts([cell(0, 0), cell(1, 0), cell(3, 0)], [cell(2, 0)]) == [cell(0, 0, 1, 0), cell(3, 0)]


def test_a_box_inside_is_never_cut() -> None:
    inner = cell(1, 0, 2, 1)
    found = join_parts([inner, cell(1, 0), cell(2, 1), cell(0, 1)], [cell(0, 0)])
    assert all(part.holds(inner) or not part.meets(inner) for part in found)


@pytest.mark.parametrize("graph", [*(anything(seed) for seed in range(12)), MORE["vae"](), MORE["bottleneck"]()])
def test_each_card_is_in_the_boxes_of_its_scopes(graph: Graph) -> None:
    graph = inline(graph)
    nodes, links = links_of(graph)
    plan = plan_cells(graph, nodes, links, lane_kinds(graph))
    found = scope_cells(graph, plan, scopes(graph))
    for entry, scope in enumerate(scopes(graph)):
        mine = [box for box in found if box.entry == entry]
        at = {i: (plan.column[i], plan.row[i]) for i in plan.nodes}
        inside = {i for i, (c, r) in at.items() for b in mine if b.left <= c <= b.right and b.top <= r <= b.bottom}
        drawn = {i for i in scope.members if i in at}
        assert inside == (drawn if len([i for i in scope.members if not graph.is_number(i)]) > 1 else set())


def test_parts_are_numbered() -> None:
    x = tg.Tensor(np.ones((4, 3)), name="x")
    with tg.scope("a"):
        h = np.tanh(x)
    with tg.scope("b"):
        k = np.exp(h)
    with tg.scope("a"):
        y = np.tanh(k) * 2.0
    graph = tg.snapshot(y.named("y"))
    whole = next(scope for scope in scopes(graph) if scope.path == ("a",))
    both = tuple(i for scope in scopes(graph) for i in scope.members if scope.path == ("a",))
    found = lay_out(graph, 0, boxes=[whole._replace(members=both)], page=(1e6, 1e6))
    assert [box.name for box in found.boxes] == ["a (1/2)", "a (2/2)"]
