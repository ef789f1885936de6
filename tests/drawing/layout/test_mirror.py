"""The mirrored picture: each gradient stands under its value, lanes are reflected, no lines cross."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.overlaps import faults
from tinygraph import Parameter, Tensor, grad, scope, snapshot
from tinygraph.drawing.fitting import MirroredStep, mirrored_drafts, room_for
from tinygraph.drawing.layout.geometry import Layout, segments
from tinygraph.drawing.layout.mirror import Mirrored, is_mirrored, mirror
from tinygraph.drawing.layout.mirror_rows import RULE, finish_columns, lay_out_mirrored, sketch_rows, split_bands
from tinygraph.drawing.layout.sketch import Options
from tinygraph.drawing.style.formula import text_of
from tinygraph.graph.data import Graph
from tinygraph.graph.gradients import passes
from tinygraph.graph.scopes import at_depth, chunks

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).round(2)


def multilayer() -> Graph:
    x = Tensor(normal(6, 4), name="x")
    weights = [Parameter(normal(*s), name=n) for n, s in (("W₁", (4, 5)), ("b₁", (5,)), ("W₂", (5, 3)))]
    with scope("net"):
        h = tg.tanh(x @ weights[0] + weights[1]).named("h")
        o = (h @ weights[2]).named("o")
    loss = tg.cross_entropy(o, np.array([0, 2, 1, 1, 0, 2])).named("L")
    return snapshot(loss, *grad(loss, weights, create_graph=True))


def attention() -> Graph:
    x = Tensor(normal(4, 3), name="x")
    q, k, v = ((x @ Parameter(normal(3, 3), name=f"W_{c}")).named(c) for c in "QKV")
    y = (tg.softmax(q @ k.T).named("P") @ v).named("y")
    return snapshot(y, *grad(y, x, normal(4, 3), create_graph=True))


def physics() -> Graph:
    x, w, v = Tensor(normal(5, 1), name="x"), Parameter(normal(1, 4), name="W"), Parameter(normal(4, 1), name="V")
    u = (tg.tanh((x @ w).named("z")).named("h") @ v).named("u")
    (first,) = grad(u.sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    return snapshot(tg.square(second + u).mean().named("loss"))


def penalty() -> Graph:
    x, w, v = Tensor(normal(4, 3), name="x̃"), Parameter(normal(3, 5), name="W"), Parameter(normal(5, 1), name="V")
    d = (tg.relu((x @ w).named("a")).named("h") @ v).named("D")
    (dx,) = grad(d.sum().named("S"), x, create_graph=True)
    p = tg.square(tg.sqrt(tg.square(dx).sum(axis=1) + 1e-12) - 1.0).mean().named("P")
    return snapshot(*grad(p, [w, v], create_graph=True))


def update() -> Graph:
    w, x = Parameter(normal(3), name="W"), Tensor(normal(4, 3), name="x")
    (g,) = grad(tg.square((x * w).sum(axis=1).named("y")).mean().named("L"), w, create_graph=True)
    m, v = (g * 0.1).named("m"), (g * g * 0.001).named("v")
    return snapshot((w - 0.1 * m / (tg.sqrt(v) + 1e-8)).named("W′"))


def fan_out() -> Graph:
    x = Tensor(normal(3), name="x")
    loss = (tg.exp(x).named("a") + tg.square(x).named("b") * x).named("c").sum().named("L")
    return snapshot(*grad(loss, x, create_graph=True))


def broadcast() -> Graph:
    x, b = Tensor(normal(4, 3), name="x"), Parameter(normal(3), name="b")
    y = (x * b + b).named("y")
    return snapshot(y, *grad(y, [x, b], np.ones((4, 3)), create_graph=True))


def fused() -> Graph:
    x, g, b = Tensor(normal(4, 3), name="x"), Parameter(normal(3), name="γ"), Parameter(normal(3), name="β")
    loss = (tg.fused.batch_norm(x, g, b).named("y") * normal(4, 3)).sum().named("L")
    return snapshot(*grad(loss, [x, g, b], create_graph=True))


def of_an_intermediate() -> Graph:
    h = tg.exp(Tensor(normal(3), name="x")).named("h")
    return snapshot(*grad(tg.square(h).sum().named("L"), h, create_graph=True))


def given_upstream() -> Graph:
    x, v = Tensor(normal(4, 3), name="x"), Tensor(normal(4, 3), name="v")
    return snapshot(*grad(tg.sigmoid(x * 2.0).named("y"), x, v, create_graph=True))


GRAPHS: tuple[Callable[[], Graph], ...] = (
    multilayer, attention, physics, penalty, update, fan_out, broadcast, fused, of_an_intermediate, given_upstream,
)  # fmt: skip


def titles(found: Mirrored) -> dict[str, str]:
    """Return the name of each gradient, and its formula."""
    return {text_of(g.name): text_of(g.below).strip() for g in found.gradients.values()}


def crossings(layout: Layout) -> int:
    """Count the points in which lines of different edges cross."""
    pieces = [
        (route.link.k, a, b)
        for route in layout.routes
        for points in (route.forward, route.backward)
        for a, b in segments(points)
    ]
    count = 0
    for (k, (ax, ay), (bx, by)), (m, (cx, cy), (dx, dy)) in itertools.combinations(pieces, 2):
        if k != m and (ay == by) != (cy == dy):
            if ay != by:
                ax, ay, bx, by, cx, cy, dx, dy = cx, cy, dx, dy, ax, ay, bx, by
            count += min(ax, bx) + 1 < cx < max(ax, bx) - 1 and min(cy, dy) + 1 < ay < max(cy, dy) - 1
    return count


def test_batch_norm_is_as_it_was_drawn_by_hand(graphs: dict[str, Graph]) -> None:
    found = mirror(graphs["gradient_graph"], hold=("constant",))
    layout = lay_out_mirrored(found, 0)
    assert len(layout.cards) == 20
    assert [found.graph.nodes[h.node].name for p in layout.cards for h in p.card.held] == ["w"]
    assert crossings(layout) == 0
    assert titles(found) == {
        "∂L/∂L": "the seed", "∂L/∂s": "× w", "∂L/∂γ": "Σ rows (· x̂)", "∂L/∂x̂": "× γ", "∂L/∂σ": "Σ rows (· −xc/σ2)",
        "∂L/∂v": "÷ (2σ)", "∂L/∂q": "÷ 4, copy ×4", "∂L/∂xc": "2 ways meet", "∂L/∂μ": "−Σ rows", "∂L/∂x": "2 ways meet",
    }  # fmt: skip
    assert [rule.words for rule in layout.rules] == [
        "below each value its gradient, in the same column; lanes mirrored"
    ]


@pytest.mark.parametrize("make", GRAPHS)
def test_each_gradient_stands_under_its_value_and_lanes_are_reflected(make: Callable[[], Graph]) -> None:
    graph = make()
    found = mirror(graph)
    layout = lay_out_mirrored(found, 1)
    middle = {p.card.node: p.middle for p in layout.cards}
    top = {p.card.node: p.y for p in layout.cards}
    values, gradients = found.bands[0], found.bands[1]
    (first, *_) = passes(graph)
    name = {text_of(g.name): i for i, g in found.gradients.items()}
    pairs = [(c, name.get(f"∂{first.name}/∂{found.graph.nodes[c].name}")) for c in values.cards]
    pairs = [(c, g) for c, g in pairs if g in gradients.row]
    assert pairs
    for c, g in pairs:
        assert middle[c] == pytest.approx(middle[g])
        assert top[c] < layout.rules[0].y < top[g]
    for (c, g), (d, h) in itertools.combinations(pairs, 2):  # what is above another value is below its gradient
        if values.row[c] < values.row[d]:
            assert gradients.row[g] > gradients.row[h]
        if values.lane[c] < values.lane[d]:
            assert gradients.lane[g] > gradients.lane[h]


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("make", GRAPHS)
def test_nothing_overlaps(make: Callable[[], Graph], detail: int) -> None:
    for show in ("both", "backward"):
        assert not faults(lay_out_mirrored(mirror(make(), show), detail))


@pytest.mark.parametrize("make", GRAPHS)
def test_the_numbers_are_those_of_the_gradients(make: Callable[[], Graph]) -> None:
    graph = make()
    found = mirror(graph)
    asked = [n for n in graph.nodes if n.id in graph.outputs and n.gradient_of]
    for node in asked:
        for value, number in node.gradient_of:
            if name := graph.nodes[value].name:
                label = f"∂{passes(graph)[number].name}/∂{name}"
                shown = [n for n in found.graph.nodes if n.name == label.replace("_", "")]
                assert [n.value for n in shown] == [node.value] * len(shown)
    held = [g for g in found.gradients.values() if g.graph and g.here]
    for g in held:
        parts = [e.grad for _, e in g.graph.consumers[g.i] if e.grad]
        if parts and all(s.values for s in parts):
            total = sum(np.array(s.values) for s in parts)
            np.testing.assert_allclose(total, g.graph.nodes[g.i].grad.values, atol=1e-9)


def test_no_line_runs_from_a_value_to_a_gradient() -> None:
    for make in GRAPHS:
        found = mirror(make())
        for band in found.bands:
            for line in band.lines:
                assert {line.left, line.right} <= set(band.cards)


def test_a_second_derivative_has_bands_of_its_own() -> None:
    found = mirror(penalty())
    names = titles(found)
    assert {"∂S/∂x̃", "∂P/∂P", "∂P/∂(∂S/∂x̃)", "∂P/∂(∂S/∂a)", "∂P/∂W"} <= names.keys()
    assert names["∂P/∂W"] == "via ∂S/∂x̃"  # ∂S/∂x̃ = ∂S/∂a · Wᵀ
    assert names["∂P/∂(∂S/∂a)"].split() == ["·", "W"]  # the transpose of Wᵀ: shapes (4, 3) and (3, 5)
    assert len(found.bands) == 6


def test_what_is_computed_from_gradients_is_a_band_that_begins_with_them() -> None:
    found = mirror(update())
    last = found.bands[-1]
    nodes = [found.graph.nodes[c] for c in last.cards]
    assert {n.name for n in nodes if n.op is None} == {"∂L/∂W", "W"}
    assert {"m", "v", "W′"} <= {n.name for n in nodes}


def test_gradients_that_were_not_recorded_are_mirrored_when_they_are_asked_for(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    assert not is_mirrored(graph, "both")
    assert is_mirrored(graph, "gradient")
    found = mirror(graph, "gradient")
    assert titles(found)["∂L/∂σ"] == "Σ rows (· −xc/σ2)"
    alone = lay_out_mirrored(mirror(graph, "backward"), 1)
    assert not any(route.forward for route in alone.routes)
    assert all(placed.card.family == "gradient" for placed in alone.cards)


def test_without_gradients_there_is_nothing_to_mirror() -> None:
    graph = snapshot(tg.exp(Tensor([1.0], name="x")).named("y"))
    assert not is_mirrored(graph, "backward")
    with pytest.raises(ValueError, match=r"no gradient: run backward\(\) first"):
        graph.svg(show="gradient")


def test_a_collapsed_scope_has_one_gradient() -> None:
    found = mirror(multilayer(), close=lambda graph: at_depth(graph, 0))
    through = {n.name for n in found.graph.nodes if n.kind == "scope"}
    assert through == {"net", "cross_entropy"}
    assert titles(found) == {"∂L/∂L": "the seed", "∂L/∂o": "through ▸cross_entropy"}
    with pytest.raises(ValueError, match="no scope is 'nowhere'"):
        multilayer().svg(expand=("nowhere",))


def test_contributions_that_stand_in_another_band_are_named_once() -> None:
    x, w = Tensor(normal(5, 1), name="x"), Parameter(normal(1, 4), name="W")
    u = (tg.tanh((x @ w).named("z")).named("h") @ Parameter(normal(4, 1), name="V")).named("u")
    (first,) = grad(u.sum().named("U"), x, create_graph=True)
    loss = tg.square(first + u).mean().named("L")
    loss.backward()
    graph = snapshot(loss)
    names = titles(mirror(graph))
    assert names["∂L/∂(∂U/∂x)"].startswith("∂L/∂#")  # one way: through the square
    assert names["∂L/∂u"] == names["∂L/∂(∂U/∂x)"]
    assert "given" not in names.values()


def test_a_lane_has_one_colour_in_every_band_and_is_named_once() -> None:
    found = mirror(penalty())
    layout = lay_out_mirrored(found, 0)
    names = [lane.words for lane in layout.lanes if lane.words]
    assert len(names) == len(set(names)) == 3
    kind = {c: found.graph.nodes[c].shape == () for band in found.bands for c in band.cards}  # whether it is a scalar
    shades = {(kind[c], band.shades[band.lane[c]]) for band in found.bands for c in band.cards}
    assert {shade for scalar, shade in shades if scalar} == {2}
    assert 2 not in {shade for scalar, shade in shades if not scalar}


def test_a_value_that_stands_in_two_bands_has_no_number_beside_its_name() -> None:
    found = mirror(update())
    texts = [text_of(item.runs) for p in lay_out_mirrored(found, 0).cards for item in p.card.items]
    assert {"∂L/∂W", "W"} <= set(texts)
    assert not any("W#" in text for text in texts)


def size(picture: str) -> tuple[float, float, float]:
    """Return width, height, and the smallest letters of a picture, in its own pixels."""
    found = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', picture)
    assert found
    return float(found[1]), float(found[2]), min(map(float, re.findall(r'font-size="([\d.]+)"', picture)))


@pytest.mark.parametrize("show", ["both", "backward"])
@pytest.mark.parametrize("make", GRAPHS)
def test_letters_have_6_points_in_a_paper(make: Callable[[], Graph], show: str) -> None:
    across, down, letters = size(make().svg(width="506pt", show=show))
    assert letters * 506 / across >= 5.99
    assert down * 506 / across <= 1.3 * 720


@pytest.mark.parametrize("show", ["both", "backward"])
@pytest.mark.parametrize("make", GRAPHS)
def test_letters_have_12_pixels_on_a_slide_and_no_picture_is_a_strip(make: Callable[[], Graph], show: str) -> None:
    across, down, letters = size(make().svg(show=show))
    assert letters * min(1920 / across, 1080 / down) >= 11.95
    assert across <= 3 * down or down <= 300


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("make", GRAPHS)
def test_rows_have_each_gradient_below_its_value_and_lose_nothing(make: Callable[[], Graph], rows: int) -> None:
    found = mirror(make())
    layout = lay_out_mirrored(found, 1, rows=rows)
    assert not faults(layout)
    whole = lay_out_mirrored(found, 1)
    stubs = [p for p in layout.cards if p.card.kind == "stub"]
    cards = {p.card.node: p for p in layout.cards if p.card.kind != "stub"}
    assert cards.keys() == {p.card.node for p in whole.cards}
    assert stubs or layout.width == whole.width
    for c, gradient in found.gradients.items():
        if gradient.of in cards:
            assert cards[c].middle == pytest.approx(cards[gradient.of].middle)
            assert cards[c].y > cards[gradient.of].y
    shown = {text_of(g.name) for g in found.gradients.values()} | {n.name for n in found.graph.nodes}
    said = [[text_of(item.runs) for item in p.card.items] for p in stubs]
    assert all(re.match(r"(from|to) rows? \d", where) for _, where in said)
    assert {name for name, _ in said if name[0] not in "#("} <= shown


def test_a_parameter_that_stands_on_a_card_has_its_gradient_on_the_card_below() -> None:
    found = mirror(multilayer(), hold=("constant", "parameter"))
    name = {i: n.name for i, n in enumerate(found.graph.nodes)}
    pairs = {
        (name[leaf], name[c]): text_of(found.gradients[leaf].below) for c, leaves in found.inside.items()
        if c in found.gradients for leaf in leaves
    }  # fmt: skip
    assert {leaf for leaf, _ in pairs} == {"∂L/∂W₁", "∂L/∂b₁", "∂L/∂W₂"}
    assert pairs["∂L/∂W₂", "∂L/∂o"].split() == ["hT", "∂"]
    assert not any(n in ("W₁", "∂L/∂W₁") for c in found.bands for n in map(name.get, c.cards))
    assert not faults(lay_out_mirrored(found, 1))


def test_a_parameter_whose_gradient_is_used_keeps_its_card() -> None:
    found = mirror(update(), hold=("constant", "parameter"))
    assert "W" in {found.graph.nodes[c].name for c in found.bands[0].cards}


def test_blanks_of_a_mirrored_picture(graphs: dict[str, Graph]) -> None:
    graph = graphs["gradient_graph"]

    def words_of(picture: str) -> str:
        return re.sub(r"<[^>]+>", " ", picture)

    key, sheet = graph.svg(detail=1), graph.svg(detail=1, blank="gradients")
    assert size(key) == size(sheet)
    assert "1.33 ± 3.77" in words_of(key)  # ∂L/∂σ
    assert "1.33 ± 3.77" not in sheet
    assert "2.33 ± 1.25" in sheet  # σ
    one = graph.svg(detail=1, blank=["∂σ", "v"])
    assert "1.33 ± 3.77" not in one
    assert "1 ± 4.04" in one  # ∂L/∂x̂
    assert "[7, 7]" not in one
    assert words_of(one).count("7 ± 6.48") == words_of(key).count("7 ± 6.48") - 1
    assert "−Σ rows" not in words_of(graph.svg(detail=1, blank="derivatives"))
    with pytest.raises(KeyError, match="0 nodes are named 'nothing'"):
        graph.svg(blank="∂nothing")


def test_many_bands_stand_in_columns() -> None:
    picture = physics().svg()
    assert size(picture)[0] > size(picture)[1]
    found = mirror(physics())
    columns = split_bands(found, 2)
    assert [band.cards for part in columns for band in part.bands] == [band.cards for band in found.bands]
    options = Options(1, "forward", True, found.boxes)
    layout = finish_columns([sketch_rows(part, options) for part in columns])
    middle = layout.lanes[-1].left
    assert middle
    for lane in layout.lanes:
        assert (lane.left, lane.right) in {(8.0, middle - 16), (middle, layout.width - 8)}
    assert len(layout.rules) == len(found.bands) - 1
    assert not faults(layout)


@pytest.mark.parametrize(("width", "most"), [("245pt", 1), ("506pt", 2), (None, 3)])
def test_a_page_has_room_for_two_columns_and_a_slide_for_more(width: str | None, most: int) -> None:
    step = MirroredStep(lambda graph: graph, 2, True, (), "all numbers")
    drafts = list(mirrored_drafts(mirror(physics()), step, room_for(width)))
    assert max(len(draft.columns) for draft in drafts) == most


def test_columns_are_of_about_one_height() -> None:
    found = mirror(physics())
    for count in (2, 3, 4):
        rows = [sum(band.rows + RULE for band in part.bands) for part in split_bands(found, count)]
        assert len(rows) <= count
        least = min(max(cut) for cut in cuts_of([band.rows + RULE for band in found.bands], count))
        assert max(rows) == pytest.approx(least)


def cuts_of(heights: list[float], count: int) -> Iterator[list[float]]:
    """Yield the heights of all ways to put bands into so many columns."""
    for cuts in itertools.combinations(range(1, len(heights)), count - 1):
        yield [sum(heights[a:b]) for a, b in itertools.pairwise((0, *cuts, len(heights)))]


def test_no_two_stretches_of_a_picture_have_one_name() -> None:
    found = mirror(physics(), close=lambda graph: chunks(graph, 3))
    names = [n.name or "" for n in found.graph.nodes if n.kind == "scope"]
    ends = [tuple(map(int, re.findall(r"ops (\d+)–(\d+)", name)[0])) for name in names]
    assert len(ends) >= 3
    assert all(a[1] < b[0] for a, b in itertools.pairwise(sorted(ends)))


def test_what_has_no_name_is_called_by_a_letter_that_no_value_has() -> None:
    x = Tensor(normal(3), name="x")
    (dx,) = grad(tg.square(x).sum(), x, create_graph=True)
    graph = snapshot(*grad(dx.sum().named("L"), x, create_graph=True))
    assert [p.name for p in passes(graph)] == ["S", "L"]


def test_what_a_second_derivative_is_multiplied_by_is_the_adjoint() -> None:
    x, w = Tensor(normal(4, 3), name="x"), Parameter(normal(3, 5), name="W")
    loss = tg.square((x @ w).named("a").mean(axis=0).named("m")).sum().named("L")
    (dx,) = grad(loss, x, create_graph=True)
    graph = snapshot(*grad(tg.square(dx).sum().named("P"), [x, w], create_graph=True))
    names = titles(mirror(graph))
    assert names["∂L/∂a"] == "÷ 4, copy ×4"
    assert names["∂P/∂(∂L/∂m)"] == "÷ 4, Σ"
    assert names["∂P/∂(∂L/∂a)"].split() == ["·", "W"]


def test_scopes_have_their_boxes_in_each_band_of_values() -> None:
    x, w = Tensor(normal(4, 3), name="x"), Parameter(normal(3, 3), name="W")
    with scope("net"):
        y = tg.tanh(x @ w).named("y")
    (dx,) = grad(y.sum().named("S"), x, create_graph=True)
    with scope("penalty"):
        p = tg.square(tg.sqrt(tg.square(dx).sum(axis=1) + 1.0) - 1.0).mean().named("P")
    found = mirror(snapshot(p))
    boxes = {box.path: {found.graph.nodes[i].name for i in box.members} for box in found.boxes}
    assert boxes.keys() == {("net",), ("penalty",)}
    assert "y" in boxes["net",]
    assert "P" in boxes["penalty",]
    assert {box.name for box in lay_out_mirrored(found, 0).boxes} == {"net", "penalty"}
