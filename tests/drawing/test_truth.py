"""What a picture says is so: numbers, names, formulas that are cut off, and the colours of lanes."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.more_graphs import MORE
from tests.gallery import GALLERY
from tinygraph import Graph, Tensor, snapshot
from tinygraph.drawing.layout.place import lay_out
from tinygraph.drawing.style.formula import clip_runs, name_runs, text_of, words
from tinygraph.drawing.style.numbers import short_number
from tinygraph.graph.batch import with_batch
from tinygraph.graph.values import summarize


@pytest.mark.parametrize(
    ("x", "largest", "wanted"),
    [
        (-4e8, 0.0, "−4e8"), (4.9e8, 0.0, "4.9e8"), (123456.789, 0.0, "1.23e5"), (123456.789, 1e300, "1e5"),
        (-7.55e12, 0.0, "−7.55e12"), (1234.5, 0.0, "1234"), (4096.0, 0.0, "4096"), (99999.9, 0.0, "1e5"),
        (999.9, 0.0, "1000"), (0.00012345, 1.0, "0.0001"), (12.0, 1e6, "12"), (1e-5, 0.0, "1e−05"), (-0.0, 0.0, "0"),
    ],
)  # fmt: skip
def test_every_digit_is_a_digit_of_the_number(x: float, largest: float, wanted: str) -> None:
    assert short_number(x, largest) == wanted


def masked_scores(size: int) -> Graph:
    q = Tensor(np.arange(size * size, dtype=float).reshape(size, size) / size**2, name="q")
    s = (q + np.triu(np.full((size, size), -1e9), 1)).named("S")
    return snapshot(tg.softmax(s).named("P"))


@pytest.mark.parametrize("size", [4, 12])
def test_a_mask_is_left_out_of_the_statistics_and_counted(size: int) -> None:
    graph = masked_scores(size)
    s = graph.find("S").value
    kept = np.tril(np.ones((size, size), bool))
    q = np.arange(size * size).reshape(size, size)[kept] / size**2
    np.testing.assert_allclose([s.mean, s.std, s.min, s.max], [q.mean(), q.std(), q.min(), q.max()])
    assert (s.masked, s.infs) == (size * (size - 1) // 2, 0)
    assert Graph.from_json(graph.to_json()) == graph
    for picture in (graph.svg(detail=1), graph.text()):
        assert f"{s.masked} masked" in picture.replace("\xa0", " ")
        assert "000000" not in picture


@pytest.mark.parametrize(
    "values",
    [[-1e9, 1.0, 2.0], [-1e9, -3e9, 1.0], [-1e9, -1e9], [-1e9, -1e9, 5e8], [-1e7, -1e7, 1.0]],
    ids=["one alone", "not of one size", "nothing else", "not far off", "not low enough"],
)
def test_what_is_no_mask_is_in_the_statistics(values: list[float]) -> None:
    found = summarize(np.array(values), masks=True)
    assert (found.masked, found.min) == (0, min(values))


def test_a_gradient_that_explodes_is_never_taken_for_a_mask() -> None:
    x = Tensor([1.0, 1.0, 1.0], name="x")
    (x * np.array([-1e9, -1e9, 1.0])).sum().named("L").backward()
    assert snapshot(x).nodes[0].grad is None or snapshot(x).nodes[0].grad.masked == 0


def twins() -> Graph:
    x = Tensor([1.0, 2.0], name="x")
    a, b = (x * 0.5).named("n"), np.tanh(x).named("n")
    loss = (a * b).named("m").sum().named("L")
    loss.backward()
    return snapshot(loss)


def test_a_name_that_occurs_twice_has_its_number() -> None:
    graph = twins()
    a, b = (n.id for n in graph.nodes if n.name == "n")
    assert graph.label(a) == f"n#{a}"
    assert graph.label(graph.find("x").id) == "x"
    assert f"m = n#{a} × n#{b}" in graph.text()
    assert f"∂m·n#{b}" in graph.text()
    picture = "".join(re.sub("<[^>]*>", "", graph.svg(detail=2)).split("\xa0"))
    assert "m=n#" in picture
    assert not re.search(r"n×n(?!#)", picture)
    shown = set(re.findall(r"n#(\d+)", picture))
    assert len(shown) >= 2
    assert "n#" not in "".join(GALLERY["batch_norm"]().svg())


def test_a_formula_that_is_cut_off_says_so() -> None:
    runs = (*name_runs("x_c"), *words(" ÷ ", "roman"), *name_runs("σ_t"), *words(" − something"))
    for room in range(4, 120):
        found = text_of(clip_runs(runs, 12.0, float(room)))
        assert found == text_of(runs) or found.endswith("…"), room


def test_the_derivative_of_a_power_is_worked_out() -> None:
    x = Tensor([1.0, 2.0], name="xmu")
    loss = sum((x**p).sum() for p in (2, 3, 0.5, -1)).named("L")
    loss.backward()
    graph = snapshot(loss)
    found = [graph.local(c, e) for c, e in graph.consumers[graph.find("xmu").id]]
    assert found == ["2xmu", "3xmu^{2}", "0.5xmu^{-0.5}", "-xmu^{-2}"]
    assert "(2 xmu)" in graph.text()


def test_a_number_in_a_formula_is_short() -> None:
    y = (Tensor([1.0, 2.0], name="x") * (1 / np.sqrt(6)) - 1e9).named("y")
    assert "x × 0.4082" in snapshot(y).text()
    assert "1e+09" in snapshot(y).text()


@pytest.mark.parametrize("name", ["batch_norm", "mlp", "attention", "convolution"])
def test_no_sentence_has_a_hole(name: str) -> None:
    svg = GALLERY[name]().svg()
    tips = re.findall(r"<title>([^<]*)</title>", svg)
    assert tips
    assert not [tip for tip in tips if "$" in tip or re.search(r" \.$", tip, re.M)]


def test_a_lane_has_the_colour_of_what_it_holds() -> None:
    shades: dict[str, set[int]] = {}
    for make in (GALLERY["batch_norm"], MORE["vae"], MORE["nested_diamonds"]):
        graph = with_batch(make())
        for lane in (*lay_out(graph, 0, most=500.0).lanes, *lay_out(graph, 0).lanes):
            shades.setdefault(lane.words, set()).add(lane.depth)
    del shades[""]  # where there is no room for words
    assert all(len(found) == 1 for found in shades.values())
    assert shades["one row for each example"] == {0}
    assert shades["shared by all examples"] == {1}
    assert shades["one scalar"] == {2}
