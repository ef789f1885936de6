"""The layout keeps things apart: cards, chips and lines of every gallery graph, at every detail."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tinygraph import Parameter, Tensor
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.tikz import tikz
from tinygraph.drawing.layout.batch_axis import batch_axes
from tinygraph.drawing.layout.card import card_of
from tinygraph.drawing.layout.geometry import Layout, meets
from tinygraph.drawing.layout.grid import lane_kinds, links_of, plan_cells
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.layout.ports import find_ports
from tinygraph.drawing.layout.routes import draw_routes, name_lanes, place_chips
from tinygraph.drawing.layout.sketch import Options, sketch_of
from tinygraph.drawing.layout.spacing import assign_tracks, size_grid
from tinygraph.drawing.style.formula import text_of
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import fit, scopes
from tinygraph.graph.simplify import inline
from tinygraph.graph.snapshot import snapshot
from tinygraph.ops.linear import einsum, matmul


def faults(layout: Layout) -> list[str]:
    """Return what overlaps in a layout that must not."""
    found = []
    cards = [(p.card.title or p.card.node, p.rect) for p in layout.cards]
    for (a, ra), (b, rb) in itertools.combinations(cards, 2):
        if meets(ra, rb):
            found.append(f"card {a} on card {b}")
    for chip in layout.chips:
        found += [f"chip {chip.ends} on card {a}" for a, rect in cards if meets(chip.rect, rect)]
        if chip.rect[0] < 0 or chip.rect[2] > layout.width or chip.rect[3] > layout.height:
            found.append(f"chip {chip.ends} outside")
    for a, b in itertools.combinations(layout.chips, 2):
        if meets(a.rect, b.rect):
            found.append(f"chip {a.ends} on chip {b.ends}")
    for r in layout.routes:
        for points in filter(None, (r.forward, r.backward)):
            for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                if x0 != x1 and y0 != y1:
                    found.append(f"edge {r.link.k} is slanted")
                line = min(x0, x1) + 0.01, min(y0, y1) + 0.01, max(x0, x1) - 0.01, max(y0, y1) - 0.01
                line = min(line[0], line[2]), min(line[1], line[3]), max(line[0], line[2]), max(line[1], line[3])
                thick = line[0] - 0.005, line[1] - 0.005, line[2] + 0.005, line[3] + 0.005
                found += [f"edge {r.link.k} ({r.way.kind}) through card {a}" for a, rect in cards if meets(thick, rect)]
    for p in layout.cards:
        for item in p.card.items:
            left, top, right, bottom = item.box
            if left < -p.card.width / 2 or right > p.card.width / 2 or top < -1 or bottom > p.card.height + 0.5:
                found.append(f"{item} sticks out of card {p.card.title}")
    return found


def shared_lines(layout: Layout) -> list[str]:
    """Return lines of different edges that lie on each other."""
    segments = []
    for r in layout.routes:
        for points in filter(None, (r.forward, r.backward)):
            for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
                if (x0, y0) != (x1, y1):
                    segments.append(
                        (r.link.k, x0 == x1, (x0 if x0 == x1 else y0), sorted((y0, y1) if x0 == x1 else (x0, x1)))
                    )
    found = []
    for a, b in itertools.combinations(segments, 2):
        if (
            a[0] != b[0]
            and a[1] == b[1]
            and abs(a[2] - b[2]) < 1.5
            and min(a[3][1], b[3][1]) - max(a[3][0], b[3][0]) > 1
        ):
            found.append(f"edges {a[0]} and {b[0]} on one line")
    return found


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: make() for name, make in gallery.GALLERY.items()}


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_nothing_overlaps(graphs: dict[str, Graph], name: str, detail: int) -> None:
    drawn = fit(inline(graphs[name]), 200)
    layout = lay_out(drawn, detail, boxes=scopes(drawn))
    assert faults(layout) == []
    assert shared_lines(layout) == []
    shown = [p.card.node for p in layout.cards if p.card.kind != "stub"]
    assert sorted(shown) == [n.id for n in drawn.nodes if not drawn.is_number(n.id)]


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
    drawn = inline(graphs["batch_norm"])
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


def anything(seed: int) -> Graph:
    """Return a graph of ops drawn at random: fan-out, skips, reductions, broadcasts, scopes, unnamed steps."""
    rng = np.random.default_rng(seed)
    pool = [Tensor(rng.standard_normal((4, 3)), name="x")]
    for k in range(rng.integers(2, 25)):
        recent = pool[-4:] if rng.random() < 0.7 else pool
        a, b = recent[rng.integers(len(recent))], pool[rng.integers(len(pool))]
        steps = [
            lambda a=a, b=b: a + b,
            lambda a=a, b=b: a * b,
            lambda a=a, k=k: a - Parameter(np.ones(3), name=f"p{k}"),
            lambda a=a: np.tanh(a),
            lambda a=a: a.mean(axis=0),
            lambda a=a: a.sum(axis=-1, keepdims=True),
            lambda a=a: a * a,
            lambda a=a, b=b, k=k: a * Tensor(np.ones(3), name=f"c{k}", requires_grad=False) + b,
            lambda a=a: a * 2 + 1,
        ]
        with tg.scope(*[f"s{k // 4}"] * (rng.random() < 0.5)):
            try:
                y = steps[rng.integers(len(steps))]()
            except (ValueError, IndexError):
                continue  # shapes that do not broadcast, or an axis that is not there
        pool.append(y.named(f"h{k}") if rng.random() < 0.6 else y)
    loss = pool[-1].sum().named("L")
    loss.backward()
    return snapshot(loss)


@pytest.mark.parametrize("seed", range(25))
def test_nothing_overlaps_in_any_graph(seed: int) -> None:
    drawn = fit(inline(anything(seed)), 200)
    for detail in (0, 2):
        layout = lay_out(drawn, detail, boxes=scopes(drawn))
        assert faults(layout) == []
        assert shared_lines(layout) == []


# ------------------------------------------------------------------------------------------------------ batch axes


def carried(t: Tensor) -> set[int]:
    graph = snapshot(t)
    return set(batch_axes(graph)[graph.outputs[0]])


@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (lambda x, w: x * 2, {0}),
        (lambda x, w: x.T, {1}),
        (lambda x, w: matmul(x, w), {0}),
        (lambda x, w: matmul(x, x.T), {0, 1}),
        (lambda x, w: matmul(w.T, x.T), {1}),
        (lambda x, w: x.mean(axis=0), set()),
        (lambda x, w: x.mean(axis=1), {0}),
        (lambda x, w: x.mean(axis=1, keepdims=True), {0}),
        (lambda x, w: x.T.mean(axis=0), {0}),
        (lambda x, w: x.reshape(3, 2, 5), {0}),
        (lambda x, w: x.reshape(30), {0}),
        (lambda x, w: x.T.reshape(5, 2, 3), {1}),
        (lambda x, w: x[None, :, 1], {1}),
        (lambda x, w: x[2], set()),
        (lambda x, w: x[[0, 1, 1], [0, 1, 2]], {0}),
        (lambda x, w: einsum("nd,dk->kn", x, w), {1}),
        (lambda x, w: np.broadcast_to(x, (2, 6, 5)), {1}),
        (lambda x, w: (w * 2).sum(axis=0), set()),
    ],
)
def test_the_batch_axis_is_followed(make, axes: set[int]) -> None:
    x, w = Tensor(np.ones((6, 5)), name="x"), Parameter(np.ones((5, 4)), name="w")
    assert carried(make(x, w)) == axes


def test_the_batch_goes_through_windows_and_back_from_pixels() -> None:
    from tinygraph.ops.convolution import conv2d
    from tinygraph.ops.pooling import avg_pool2d

    x = Tensor(np.ones((3, 2, 8, 8)), name="x")
    c = conv2d(x, Parameter(np.ones((3, 2, 3, 3)), name="k"))
    assert carried(c) == {0}
    assert carried(avg_pool2d(c, 2)) == {0}
    assert carried(tg.batch_norm_spatial(x)) == {0}


# --------------------------------------------------------------------------------------------------------- rewrites


def test_thousands_of_nodes_fit_and_none_is_lost() -> None:
    graph = gallery.huge()
    found = fit(inline(graph), 200)
    assert sum(not found.is_number(n.id) for n in found.nodes) <= 200
    inside = sum(dict(n.params)["ops"] for n in found.nodes if n.kind == "scope")
    outside = sum(len(n.op.split(",")) for n in found.nodes if n.op)
    assert inside + outside == sum(n.op is not None for n in graph.nodes)
    assert faults(lay_out(found, 1, boxes=scopes(found))) == []


def test_a_long_chain_without_scopes_is_cut_into_runs() -> None:
    h = Tensor(np.ones(3), name="x")
    for k in range(900):
        h = np.tanh(h).named(f"h{k}")
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


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("name", list(gallery.GALLERY))
def test_a_number_that_stands_for_a_card_is_on_that_card(graphs: dict[str, Graph], name: str, detail: int) -> None:
    drawn = fit(inline(graphs[name]), 200)
    for node in drawn.nodes if len(drawn) < 200 else ():
        if not drawn.is_number(node.id) and node.kind == "op" and not node.name:
            card = card_of(drawn, node.id, detail)
            subtitle = text_of(card.items[1].runs)
            assert f"#{node.id}" in subtitle


def test_a_scope_that_is_misspelt_is_said(graphs: dict[str, Graph]) -> None:
    for writer in (Graph.text, Graph.to_dot, svg, html, mermaid, tikz):
        with pytest.raises(ValueError, match=r"no scope is 'hiden'; the scopes are hidden, hidden/batch_norm, head"):
            writer(graphs["mlp"], depth=0, expand=["hiden"])
        with pytest.raises(ValueError, match="depth is -1; it must be 0, which collapses every scope, or more"):
            writer(graphs["mlp"], depth=-1)
