"""What is shown of a graph: as much as is legible, in an order that a reader can foresee."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import numpy as np
import pytest

import tinygraph as tg
from tests import gallery
from tests.drawing.more_graphs import MORE, gated_steps, implicit_derivative
from tinygraph import Graph, Parameter, Tensor, scope, snapshot
from tinygraph.cli import main
from tinygraph.drawing.fitting import pixels, room_for
from tinygraph.drawing.formats.svg import draw_picture, svg
from tinygraph.drawing.layout.distances import COMPACT, NORMAL
from tinygraph.graph.scopes import at_depth, chunks, fold


def measure(text: str) -> tuple[float, float, float, float]:
    """Return width and height of a file in points, its smallest letters in points, and in pixels of a slide."""
    head = text.partition(">")[0]
    width, height = (0.75 * pixels(v) for v in re.findall(r' (?:width|height)="([^"]+)"', head))
    _, _, w, h = (float(v) for v in re.findall(r'viewBox="([^"]+)"', head)[0].split())
    least = min(float(v) for v in re.findall(r'font-size="([\d.]+)"', text))
    return width, height, least * width / w, least * min(1920 / w, 1080 / h)


def words_of(text: str) -> str:
    """Return the words of a picture."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text.partition("</style>")[2]).replace("\xa0", " "))


def test_a_narrow_column_shows_formulas_rather_than_collapsed_cards() -> None:
    drawn = draw_picture(gallery.GALLERY["batch_norm"](), width="245pt")[1].drawn
    assert [n.name for n in drawn.nodes if n.kind == "scope"] == []
    drawn = draw_picture(gallery.GALLERY["mlp"](), width="245pt")[1].drawn
    assert {"W₁", "h", "o"} <= {n.name for n in drawn.nodes}
    _, fitted = draw_picture(gallery.GALLERY["attention"](), width="245pt")
    assert {"Q", "K", "V", "S", "y"} <= {n.name for n in fitted.drawn.nodes}
    assert fitted.layout.chips == ()  # its labels would take a quarter of the width


def test_things_stand_closer_before_ops_are_put_together() -> None:
    cell = draw_picture(MORE["lstm_cell"]())[1]
    assert {"i′", "f′", "o′", "g′", "c′", "h′"} <= {n.name or "" for n in cell.drawn.nodes}
    mlp = draw_picture(gallery.GALLERY["mlp"]())[1]
    assert cell.layout.chips
    assert {chip.size for chip in cell.layout.chips} == {COMPACT.letters}
    assert {chip.size for chip in mlp.layout.chips} == {NORMAL.letters}  # where there is room they do not


def test_a_stretch_that_ends_in_a_collapsed_card_has_the_name_of_its_result() -> None:
    h = np.exp(Tensor([1.0, 2.0], name="x"))
    with scope("inner"):
        y = np.tanh(h * 2.0).named("y")
    (card,) = [n for n in chunks(at_depth(snapshot(y), 0), 1).nodes if n.kind == "scope"]
    assert (card.name, dict(card.params)["results"]) == ("ops 1–3: 1 exp, 1 ▸inner", ["y"])


def test_stretches_of_ops_say_what_they_hold_and_leave_what_is_named_in_show() -> None:
    graph = MORE["random_dag60"]()
    drawn = draw_picture(graph)[1].drawn
    held = [n for n in drawn.nodes if n.kind == "scope"]
    assert held
    assert all(re.match(r"ops \d+–\d+: \d+ ", n.name or "") for n in held)
    for width in (None, "245pt"):
        drawn = draw_picture(graph, show=("x0", "h22", "L"), width=width)[1].drawn
        assert {"x0", "h22", "L"} <= {n.name for n in drawn.nodes}


def test_stretches_are_cut_where_few_values_cross() -> None:
    """Four steps, each of which ends in one value: they are four cards, though some are longer than others."""
    h = Tensor([1.0, 2.0], name="x")
    for k in range(4):
        a, b, c = np.tanh(h), np.tanh(h * 0.3), h * 0.5
        h = (a * b + b * c + a * c * (h if k % 2 else 1.0)).named(f"h{k}")
    drawn = chunks(snapshot(h), 4)
    taken = [[drawn.nodes[e.source].kind for e in n.inputs] for n in drawn.nodes if n.kind == "scope"]
    assert [len([kind for kind in kinds if kind != "constant"]) for kinds in taken] == [1, 1, 1, 1]


def test_the_steps_of_a_loop_are_one_card_before_ops_are_cut_anywhere() -> None:
    (card,) = [n for n in draw_picture(gated_steps())[1].drawn.nodes if n.kind == "scope"]
    about = dict(card.params)
    assert (about["repeat"], about["results"], about["parameters"]) == (3, ["h3"], 3 * 6 + 3 * 9)


def test_a_picture_that_fits_does_not_say_that_it_was_tried_in_vain() -> None:
    """The sketch of the last step seems too high, and its layout is not; a line that says so made it too high."""
    text = svg(implicit_derivative(), width="245pt")
    assert measure(text)[1] <= 1.3 * 245 * 2**0.5
    assert "in vain" not in words_of(text)


def test_small_letters_that_were_asked_for_say_how_to_get_larger_ones() -> None:
    said = "detail 1 and 0, and the closing of scopes by a depth, make larger ones"
    assert said in words_of(svg(MORE["transformer_block"](), detail=2))
    assert said not in words_of(svg(gallery.GALLERY["diamonds"](), detail=0))


def test_batch_norm_in_a_paper() -> None:
    """Its formulas take a quarter of a page, all its numbers one page."""
    graph = gallery.GALLERY["batch_norm"]()
    _, height, letters, _ = measure(svg(graph, width="506pt", detail=0))
    assert height <= 190
    assert letters >= 5.99
    text = svg(graph, width="506pt", detail=2)
    _, height, letters, _ = measure(text)
    assert height <= 720
    assert letters >= 5.99
    assert "▸" not in words_of(text)


def test_a_small_graph_shows_all_its_numbers() -> None:
    graph = gallery.GALLERY["batch_norm"]()
    assert 'class="value-line table"' in svg(graph)
    assert "collapsed" not in words_of(svg(graph))


def test_a_parameter_is_a_line_on_the_card_that_uses_it() -> None:
    text, fitted = draw_picture(gallery.GALLERY["mlp"](), detail=1)
    said = words_of(text)
    names = {fitted.drawn.nodes[h.node].name: p.card.title for p in fitted.layout.cards for h in p.card.held}
    assert names["W₁"].split() == ["x", "W₁"]
    assert set(names) == {"W₁", "b₁", "γ", "β", "W₂", "b₂"}
    assert "Σ rows x̂ ∂" in said
    assert "Σ rows ∂ = 0, but for rounding" in said  # the bias before batch norm
    grad = next(n.grad for n in fitted.drawn.nodes if n.name == "W₂")
    assert grad is not None
    assert f"∂ ‖ {grad.norm:.2f}" in said


def test_a_parameter_that_two_ops_use_has_a_card_of_its_own() -> None:
    w = Parameter([2.0, 3.0], name="w")
    graph = snapshot(((Tensor([1.0, 2.0], name="x") * w).named("a") + w).named("b"))
    layout = draw_picture(graph, detail=1)[1].layout
    assert "w" in {p.card.title for p in layout.cards}
    assert not any(p.card.held for p in layout.cards)


def test_the_scopes_of_the_library_close_before_those_of_a_person() -> None:
    drawn = draw_picture(gallery.GALLERY["mlp"]())[1].drawn
    assert [n.name for n in drawn.nodes if n.kind == "scope"] == ["cross_entropy"]
    assert "inside ▸ cross_entropy" in words_of(svg(gallery.GALLERY["mlp"]()))


def test_what_is_asked_for_stays() -> None:
    graph = gallery.GALLERY["mlp"]()
    asked = draw_picture(graph, expand=("cross_entropy",))[1].drawn
    assert "cross_entropy" not in {n.name for n in asked.nodes}
    closed = draw_picture(graph, depth=0)[1].drawn
    assert {n.name for n in closed.nodes if n.op} == set()
    assert 'class="value-line table"' in svg(graph, detail=2)
    way = draw_picture(graph, show=("x", "σ", "L"))[1]
    assert {"x", "σ", "L"} <= {n.name for n in way.drawn.nodes}


def test_equal_branches_fold_into_one_card() -> None:
    x = Tensor(np.ones((2, 3)), name="x")
    parts = [np.tanh(x @ Parameter(np.full((3, 3), 0.1 * k), name=f"W{k}")).named(f"h{k}") for k in range(30)]
    loss = tg.concatenate(parts, axis=1).sum().named("L")
    loss.backward()
    drawn = draw_picture(snapshot(loss))[1].drawn
    (card,) = [n for n in drawn.nodes if n.kind == "scope"]
    about = dict(card.params)
    assert (card.name, about["repeat"], about["ops"]) == ("h1…29", 29, 58)
    joined = next(n for n in drawn.nodes if n.op == "join")
    assert [drawn.label(e.source) for e in joined.inputs] == ["h0", "h1…29"]


def test_branches_that_differ_do_not_fold() -> None:
    x = Tensor(np.ones((2, 3)), name="x")
    parts = [(np.tanh(x) if k % 2 else np.exp(x)).named(f"h{k}") for k in range(4)]
    graph = snapshot(tg.concatenate(parts, axis=1).named("y"))
    assert fold(graph) == graph


def test_a_width_bounds_the_height_and_both_may_be_given() -> None:
    graph = gallery.GALLERY["mlp"]()
    assert measure(svg(graph, height="200pt"))[1] <= 200.5
    width, height, letters, _ = measure(svg(graph, width="506pt", height="250pt"))
    assert (width, letters >= 5.99) == (506, True)
    assert height <= 250.5


def test_letters_have_the_size_that_is_asked_for() -> None:
    graph = gallery.GALLERY["batch_norm"]()
    assert measure(svg(graph, font_size=9))[2] == pytest.approx(9, abs=0.1)
    assert measure(svg(graph, font_size=8, width="506pt"))[2] >= 7.99
    with pytest.raises(ValueError, match="font_size is 0"):
        svg(graph, font_size=0)


def test_legend_and_caption_can_be_left_out() -> None:
    graph = gallery.GALLERY["batch_norm"]()
    whole = words_of(svg(graph))
    bare = words_of(svg(graph, legend=False, caption=False))
    assert "elementwise" in whole
    assert "16 nodes, 13 shown" in whole
    assert "elementwise" not in bare
    assert "nodes" not in bare
    assert measure(svg(graph, legend=False, caption=False))[1] < measure(svg(graph))[1]


def test_what_cannot_be_legible_says_what_was_tried() -> None:
    said = words_of(svg(MORE["random_dag60"](), detail=1, depth=0))
    assert "tried for larger letters, in vain" in said


def test_a_command_tells_what_is_too_narrow_on_standard_error(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.json"
    path.write_text(gallery.GALLERY["batch_norm"]().to_json(), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["draw", str(path), "-o", str(tmp_path / "g.svg"), "--width", "50", "--no-legend"]) == 0
    assert "50 is too narrow" in capsys.readouterr().err
    assert "narrow" not in (tmp_path / "g.svg").read_text(encoding="utf-8")


def test_rooms() -> None:
    assert room_for()[:2] == (1600, 900)
    room = room_for("506pt")
    assert room.width == pytest.approx(506 / 0.6)
    assert room.height == pytest.approx(room.width * 720 / 506)
    assert room_for(1920).width == pytest.approx(1600)


@pytest.mark.parametrize("make", [gallery.deep, lambda: gallery.huge(1000)])
def test_no_op_is_lost(make: Callable[[], Graph]) -> None:
    graph = make()
    drawn = draw_picture(graph)[1].drawn
    inside = sum(dict(n.params)["ops"] for n in drawn.nodes if n.kind == "scope")
    assert inside + sum(len(n.op.split(",")) for n in drawn.nodes if n.op) == sum(n.op is not None for n in graph.nodes)


def test_equal_scopes_side_by_side_fold() -> None:
    x = Tensor(np.ones((2, 3)), name="x")
    parts = []
    for k in range(8):
        with scope(f"head{k}"):
            parts.append(tg.softmax(x @ Parameter(np.ones((3, 3)), name="W")))
    drawn = draw_picture(snapshot(tg.concatenate(parts, axis=1).sum().named("L")), width="300pt")[1].drawn
    assert [dict(n.params)["repeat"] for n in drawn.nodes if dict(n.params).get("repeat")] == [7]
