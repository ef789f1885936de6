"""Sheets to fill in: nothing but numbers goes, and nothing moves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

import tinygraph as tg
from tests.drawing.graphs import anything
from tests.drawing.more_graphs import MORE
from tinygraph.drawing.formats.svg import draw_picture, svg
from tinygraph.drawing.layout.blank import Blanks, blank_graph, blank_layout, read_blank
from tinygraph.drawing.layout.card import Table
from tinygraph.drawing.layout.place import lay_out
from tinygraph.graph.data import Graph
from tinygraph.graph.simplify import inline

SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"[−+\d.e±\[\], ]*\d[−+\d.e±\[\], ]*")


def cards_of(text: str) -> dict[str, list[str]]:
    """Return the texts on each card, by id."""
    groups = [g for g in ET.fromstring(text).iter(f"{SVG}g") if "node" in (g.get("class") or "")]
    return {g.get("id", "").partition("-")[2]: ["".join(t.itertext()) for t in g.iter(f"{SVG}text")] for g in groups}


def places_of(text: str) -> list[tuple[str | None, ...]]:
    """Return where every card, arrow, label and lane stands, and the size of the page."""
    root = ET.fromstring(re.sub(r' id="tg\w+-', ' id="', text))  # ids begin with a hash of all that is drawn
    wanted = ("id", "d", "x", "y", "width", "height", "transform", "viewBox")
    shapes = [root, *(g for g in root.iter(f"{SVG}g") if g.get("id"))]
    shapes += [e for e in root.iter() if (e.get("class") or "").split(" ")[0] in {"card", "value-line", "grad-line"}]
    shapes += [e for e in root.iter() if "table" in (e.get("class") or "")]
    return [tuple(e.get(a) for a in wanted) for e in shapes]


@pytest.mark.parametrize("theme", ["light", "print"])
def test_a_sheet_is_its_key_but_for_the_numbers(graphs: dict[str, Graph], theme: str) -> None:
    graph = graphs["batch_norm"]
    key = svg(graph, detail=2, theme=theme)
    sheet = svg(graph, detail=2, theme=theme, blank="gradients")
    scalar = 'class="grad-line table"'  # the number of a scalar gradient becomes a cell of its own
    assert sheet.count(scalar) == key.count(scalar) + 1
    gone = [place for place in places_of(key) if place not in places_of(sheet)]
    assert not gone
    assert "of-grad" in key
    assert "of-grad" not in sheet.split("</style>")[1]
    assert sheet.count("of-value") == key.count("of-value")
    before, after = cards_of(key), cards_of(sheet)
    assert before.keys() == after.keys()
    for name, texts in after.items():
        left = [t for t in before[name] if t not in texts]
        assert all(NUMBER.fullmatch(t.replace("\xa0", " ")) or "=" in t for t in left), (name, left)


@pytest.mark.parametrize("detail", [0, 1, 2])
@pytest.mark.parametrize("seed", range(6))
def test_no_number_is_left_and_the_size_stays(seed: int, detail: int) -> None:
    graph = anything(seed)
    key, sheet = svg(graph, detail=detail), svg(graph, detail=detail, blank=["gradients", "values"])
    assert places_of(key)[0] == places_of(sheet)[0]
    drawn = inline(graph)
    blanks = read_blank(drawn, ["gradients", "values"])
    layout = lay_out(drawn, detail)
    for placed in blank_layout(layout, blanks).cards:
        node = drawn.nodes[placed.card.node] if placed.card.node < len(drawn.nodes) else None
        for item in placed.card.items:
            of = getattr(item, "of", "")
            if of.startswith("grad") or (of == "value" and node is not None and node.op is not None):
                assert isinstance(item, Table)
                assert not any(text for row in item.cells for text, _ in row)
    hidden = blank_graph(drawn, blanks)
    assert all(n.grad is None for n in hidden.nodes)
    assert all(n.value is None for n in hidden.nodes if n.op)


def test_tooltips_keep_the_secret(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    assert "\ngradient " in svg(graph)
    assert "\ngradient " not in svg(graph, blank="gradients")
    assert svg(graph, blank="∂σ").count("\ngradient ") == svg(graph).count("\ngradient ") - 1


def test_derivatives_keep_the_number_of_the_contribution(graphs: dict[str, Graph]) -> None:
    chips = re.findall(r'<g class="chip">.*?</g>', svg(graphs["batch_norm"], blank="derivatives"), re.S)
    empty = [chip for chip in chips if "card box" in chip]
    texts = [re.sub("<[^>]+>", "", chip).strip() for chip in empty]
    assert sorted(texts) == [""] * 9 + ["①"] * 2 + ["②"] * 2
    assert len(chips) > len(empty)  # "copy ×4" stays


def test_names_say_what_goes(graphs: dict[str, Graph]) -> None:
    graph = inline(graphs["batch_norm"])
    sigma, hat = graph.find("σ").id, graph.find("x̂").id
    assert read_blank(graph, ["∂σ", "x̂"]) == Blanks(frozenset({hat}), frozenset({sigma}))
    assert read_blank(graph, "∂L/∂σ") == read_blank(graph, "∂σ")
    assert read_blank(graph, "values").values == {n.id for n in graph.nodes if n.op}
    with pytest.raises(KeyError, match="'nope'"):
        svg(graphs["batch_norm"], blank=["nope"])


@pytest.mark.parametrize(("blank", "width"), [(["u", "∂P/∂(∂S/∂x)"], None), (["L"], "506pt")])
def test_what_is_named_is_shown_below_a_line_too(blank: list[str], width: str | None) -> None:
    """u stands in two bands; on paper, what is computed from gradients is put together, but for L."""
    drawn = draw_picture(MORE["physics_informed"](), blank=blank, width=width)[1].drawn
    for name in blank:
        found = [n for n in drawn.nodes if n.name == name]
        assert found
        assert all(n.value is None for n in found)


def test_derivatives_take_the_product_of_a_parameter_on_a_card(graphs: dict[str, Graph]) -> None:
    def lines(**options: Any) -> list[str]:
        picture = svg(graphs["mlp"], detail=1, depth=2, width=1600, **options)
        found = re.findall(r'<g [^>]*class="held[^"]*">.*?</g>', picture, re.S)
        return [re.sub(r"<title>.*?</title>|<[^>]+>", "", line, flags=re.S) for line in found]

    key, sheet, gradients = lines(), lines(blank="derivatives"), lines(blank="gradients")
    assert len(key) == len(sheet) >= 4
    for a, b, c in zip(key, sheet, gradients, strict=True):
        assert "∂" in a and "∂" in c and "∂" not in b
        assert b.strip().startswith("◆")


@pytest.mark.parametrize("word", ["gradients", "derivatives", "∂y"])
def test_without_a_backward_pass_one_line_says_what_to_do(word: str) -> None:
    graph = tg.snapshot((tg.Tensor([1.0], name="x") * 3).named("y"))
    with pytest.raises(ValueError, match=r"no gradients: call backward\(\) first"):
        svg(graph, blank=word)


@pytest.mark.parametrize("ending", [".svg", ".html"])
def test_pictures_and_pages_take_it(graphs: dict[str, Graph], tmp_path, ending: str) -> None:
    path = tg.draw(graphs["batch_norm"], tmp_path / f"sheet{ending}", blank="gradients")
    assert "of-grad" not in path.read_text(encoding="utf-8").replace("of-grad{", "")
