"""Layouts: nothing covers anything, in any graph, and each step returns what no later step changes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.graphs import anything
from tests.drawing.overlaps import faults, shared_lines
from tinygraph import Tensor
from tinygraph.drawing.layout.grid import lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.layout.ports import find_ports
from tinygraph.drawing.layout.routes import draw_routes, name_lanes, place_chips
from tinygraph.drawing.layout.sketch import Options, sketch_of
from tinygraph.drawing.layout.spacing import assign_tracks, size_grid
from tinygraph.graph.batch import with_batch
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import at_depth, fit, scopes
from tinygraph.graph.simplify import inline
from tinygraph.graph.snapshot import snapshot


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_nothing_overlaps(graphs: dict[str, Graph], name: str, detail: int) -> None:
    drawn = fit(inline(graphs[name]), 200)
    layout = lay_out(drawn, detail, boxes=scopes(drawn))
    assert faults(layout) == []
    assert shared_lines(layout) == []
    shown = [p.card.node for p in layout.cards if p.card.kind != "stub"]
    assert sorted(shown) == [n.id for n in drawn.nodes if not drawn.is_number(n.id)]


def test_lines_that_run_to_the_left_keep_apart() -> None:
    x, v, w = Tensor(np.ones((3, 4)), name="x"), tg.Parameter(np.eye(4), name="V"), tg.Parameter(np.eye(4), name="W")
    with tg.scope("net"):
        a = tg.relu(x @ v) @ w
    with tg.scope("penalty"):  # its card stands left of both parameters
        b = tg.tanh(v) @ w
    loss = a.sum() + b.sum()
    loss.backward()
    layout = lay_out(at_depth(inline(snapshot(loss)), 0, ["net"]), 0)
    assert sum(route.way.kind == "GG" for route in layout.routes) == 2
    assert shared_lines(layout) == []


@pytest.mark.parametrize("name", ["batch_norm", "mlp", "attention"])
def test_every_line_and_chip_of_the_reference_is_there(graphs: dict[str, Graph], name: str) -> None:
    drawn = inline(graphs[name])
    layout = lay_out(drawn, 0, page=(1e6, 1e6))
    ends = {(r.link.u, r.link.v) for r in layout.routes}
    assert ends == {(e.source, n.id) for n in drawn.nodes for e in n.inputs if not drawn.is_number(e.source)}
    backward = {(r.link.u, r.link.v) for r in layout.routes if r.backward}
    assert backward == {(e.source, n.id) for n in drawn.nodes for e in n.inputs if e.grad is not None}
    labelled = {c.ends for c in layout.chips if c.ink == "grad"}
    assert labelled == backward


def test_batch_norm_stands_as_in_the_textbook(graphs: dict[str, Graph]) -> None:
    drawn = inline(with_batch(graphs["batch_norm"]))
    layout = lay_out(drawn, 2)
    at = {drawn.label(p.card.node): p for p in layout.cards}
    top = ["x", "x_c", "x̂", "s", "y"]
    assert len({at[n].y for n in top}) == 1
    assert [at[n].x for n in top] == sorted(at[n].x for n in top)
    for below, above in (("μ", "x_c"), ("v", "q"), ("σ", "x̂"), ("γ", "s"), ("β", "y")):
        assert at[below].middle == pytest.approx(at[above].middle)
        assert at[below].y > at[above].rect[3]
    assert at["q"].y > at["x_c"].rect[3]
    assert [lane.name for lane in layout.lanes] == ["(4, 3)", "(3,)", "( )"]


def test_each_step_of_a_layout_returns_what_no_later_step_changes(graphs: dict[str, Graph]) -> None:
    drawn = inline(graphs["mlp"])
    nodes, links = links_of(drawn)
    sketch = sketch_of(drawn, plan_cells(drawn, nodes, links, lane_kinds(drawn)), Options(scopes=scopes(drawn)))
    tracks = assign_tracks(sketch)
    grid = size_grid(sketch, tracks)
    ports = find_ports(sketch, grid)
    before = repr((sketch, tracks, grid, ports))
    routes = draw_routes(sketch, tracks, grid, ports)
    place_chips(sketch, grid, name_lanes(grid, routes), routes)
    assert repr((sketch, tracks, grid, ports)) == before
    assert (assign_tracks(sketch), size_grid(sketch, tracks), find_ports(sketch, grid)) == (tracks, grid, ports)
    for step, field in ((sketch, "cards"), (tracks, "count"), (grid, "left"), (ports, "at")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(step, field, None)


@pytest.mark.parametrize("seed", range(25))
def test_nothing_overlaps_in_any_graph(seed: int) -> None:
    drawn = fit(inline(anything(seed)), 200)
    for detail in (0, 2):
        layout = lay_out(drawn, detail, boxes=scopes(drawn))
        assert faults(layout) == []
        assert shared_lines(layout) == []


def test_thousands_of_nodes_fit_and_none_is_lost() -> None:
    graph = gallery.huge()
    found = fit(inline(graph), 200)
    assert sum(not found.is_number(n.id) for n in found.nodes) <= 200
    inside = sum(dict(n.params)["ops"] for n in found.nodes if n.kind == "scope")
    outside = sum(len(n.op.split(",")) for n in found.nodes if n.op)
    assert inside + outside == sum(n.op is not None for n in graph.nodes)
    assert faults(lay_out(found, 1, boxes=scopes(found))) == []


def test_a_long_chain_without_scopes_is_cut_into_runs() -> None:
    h, draw = Tensor(np.ones(3), name="x"), np.random.default_rng(0)
    for k in range(900):
        h = [np.tanh, np.abs, np.negative][draw.integers(3)](h).named(f"h{k}")
    found = fit(inline(snapshot(h)), 200)
    assert 20 <= len(found) <= 60
    assert faults(lay_out(found, 1)) == []


def test_boxes_beside_each_other_take_the_room_of_one() -> None:
    """What stands above the cards is as many headings as boxes hold each other, however many stand in a row."""

    def first_card(blocks: int) -> float:
        h = Tensor(gallery.X, name="x")
        for k in range(blocks):
            with tg.scope(f"block{'abcdefgh'[k]}", "inner"):
                h = np.tanh(h * 2.0) + 1.0
        graph = snapshot(h)
        found = lay_out(graph, 1, boxes=scopes(graph), page=(1e9, 900.0))
        assert len(found.boxes) == 2 * blocks
        assert faults(found) == []
        return min(card.y for card in found.cards)

    assert first_card(1) == first_card(2) == first_card(6)


def test_a_value_that_goes_on_to_many_in_a_later_row_has_room_for_their_lines() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    y = x * 0.0
    for k in range(1, 12):
        y = y + x * float(k)
    loss = y.sum()
    loss.backward()
    found = lay_out(inline(snapshot(loss)), 2, page=(800.0, 900.0))
    assert faults(found) == []
    for placed in found.cards:
        ends = [r.forward[0] for r in found.routes if r.link.u == placed.card.node]
        ends += [r.backward[-1] for r in found.routes if r.link.u == placed.card.node and r.backward]
        apart = np.diff(sorted(y for x, y in ends if x == placed.rect[2]))
        assert placed.card.kind != "stub" or (apart >= 6.0).all()
