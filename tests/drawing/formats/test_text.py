"""The text chart: goldens, wires, gradients as gradients, numbers where they fit."""

from __future__ import annotations

import inspect
import itertools
import re

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.golden import check_golden
from tinygraph import Graph, Parameter, Tensor, grad, snapshot


def test_text_golden():
    check_golden("batchnorm.txt", tg.snapshot(by_hand()[1]).text() + "\n")


def test_ascii_golden_is_ascii():
    text = tg.snapshot(by_hand()[1]).text(ascii=True)
    assert text.isascii()
    check_golden("batchnorm_ascii.txt", text + "\n")


def test_text_says_what_it_means_in_few_signs():
    x = tg.Tensor([0.5, 2.0], name="été", requires_grad=False)
    y = (tg.exp(-x) * tg.Tensor([1.0, 2.0], name="x\u0304")).named("y")
    chart = tg.snapshot(y).text(ascii=True)
    assert chart.startswith("3 ops * x_bar float64(2,)") and "e^(-ete)" in chart
    assert tg.snapshot((x * 2).named("y")).text().startswith("1 op · → y (2,)")
    b = tg.Parameter([0.3, 0.1], name="b")  # before a batch norm: it is taken off with the mean
    loss = (
        tg.batch_norm(tg.Tensor([[0.1, 2.0], [0.7, 0.3], [0.2, 0.9]]) + b) * [[0.3, 1.0], [2.0, 0.1], [0.7, 5]]
    ).sum()
    loss.backward()
    assert re.search(r"b  \(param\) .* 0, but for rounding ", tg.snapshot(loss).text())


def test_what_a_gradient_comes_from_is_written_as_a_gradient():
    """(∂L/∂s)·x̂, not s·x̂: what is multiplied is the gradient of the consumer."""
    graph = tg.snapshot(by_hand()[1])
    came_from = {line[5:].split()[0]: re.split(r"\s{2,}", line)[-1] for line in wires_of(graph)}
    assert came_from["γ"] == "Σ₀ ∂s·x̂"
    assert came_from["β"] == "Σ₀ ∂y"
    assert came_from["σ"] == "Σ₀ ∂x̂·(−x_c/σ²)"
    assert came_from["q"] == "∂v/4 copied"
    assert graph.text().splitlines()[2].endswith("gradient from (∂· = ∂L/∂·)")
    log_p = tg.Tensor([1.0, 2.0], name="x").sum().named("log p") * 2.0
    assert "∂(log p) copied" in tg.snapshot(log_p.named("y")).text()


def test_arrays_of_up_to_12_elements_are_their_numbers():
    x = tg.Tensor([[1.0, -0.5, 1e-17], [2.0, np.nan, np.inf]], name="x")
    chart = tg.snapshot(x, tg.Tensor(np.arange(12.0), name="z"), tg.Tensor(np.arange(13.0), name="t")).text()
    assert "1 −0.5 0; 2 NaN ∞" in chart
    assert "0 1 2 3 4 5 6 7 8 9 10 11" in chart
    assert "6 ± 3.74" in chart
    assert "numbers or mean ± std" in chart


def test_numbers_give_way_to_summaries_where_the_terminal_is_narrow():
    graph = tg.snapshot(by_hand()[1])
    charts = {width: graph.text(width=width) for width in (None, 160, 100, 40)}
    assert charts[160] == charts[None]
    assert "1 4 16; 1 4 16" in charts[160]
    assert "7 ± 6.48" in charts[100]  # (4, 3) is summarized
    assert "−4 −4 −16" in charts[100]  # (3,) is not
    assert "Σ₀ ∂s·x̂" in charts[100]  # and the last column is whole
    assert "…" in charts[40]


def test_width_cuts_lines_and_color_only_adds_color():
    graph = tg.snapshot(by_hand()[1])
    assert max(map(len, graph.text(width=60).splitlines())) <= 61  # x̂ has a combining mark, which has no width
    assert re.sub("\x1b\\[[0-9]+m", "", graph.text(color=True)) == graph.text()
    assert "\x1b" in graph.text(color=True)


def wires_of(graph):
    return [line for line in graph.text().splitlines()[3:] if "▾" not in line]


def test_every_node_has_a_row_and_wires_join_what_they_should():
    """A value that is used later has a wire, in the column of its mark, on every row in between."""
    graph = tg.snapshot(by_hand()[1])
    lines = wires_of(graph)
    assert len(lines) == len(graph.nodes) - sum(map(graph.is_number, range(len(graph.nodes))))
    marks = [min(line.find(c) for c in "●◆" if c in line) for line in lines]
    order = [next(n.id for n in graph.nodes if line[5:].lstrip().startswith(graph.label(n.id) + " ")) for line in lines]
    place = {node: row for row, node in enumerate(order)}
    for node in graph.nodes:
        for edge in node.inputs:
            if edge.source in place:
                column = marks[place[edge.source]]
                for row in range(place[edge.source] + 1, place[node.id]):
                    assert lines[row][column] in "│├┼┤", (lines[row], column)


def test_a_graph_of_many_columns_still_has_one_row_a_node():
    xs = [tg.Tensor(np.ones(2), name=f"x{i}") for i in range(12)]
    y = tg.stack(xs).sum().named("L")
    lines = wires_of(tg.snapshot(y))
    assert len(lines) == 12 + 12 + 2
    assert all(len(set(map(len, pair))) for pair in itertools.pairwise(lines))


def test_text_collapses_scopes():
    x = tg.Tensor(np.ones((4, 3)), name="x")
    graph = tg.snapshot(tg.batch_norm(x).sum().named("L"))
    chart = graph.text(depth=0)
    assert "■  ▸ x̂ = batch_norm(x)  (7 ops)" in chart
    assert "x_c" not in chart
    assert chart.splitlines()[0].startswith("8 ops")
    assert graph.text(depth=0, ascii=True).isascii()
    assert graph.text(depth=0, expand=["batch_norm"]) == graph.text()


def test_a_recorded_gradient_is_one_row_with_one_formula(graphs: dict[str, Graph]) -> None:
    said = graphs["gradient_graph"].text()
    rows = {row.partition(" = ")[0].split()[-1]: row for row in said.splitlines()[3:] if "∂L/∂" in row}
    assert "∂L/∂σ = Σ₀ ∂x̂·(−x_c/σ²)" in rows["∂L/∂σ"]
    assert "∂L/∂x_c = ∂x̂/σ + ∂q·2x_c" in rows["∂L/∂x_c"]
    assert "dx = ∂L/∂x = ∂x_c + ∂μ/4 copied" in rows["dx"]  # a person named it
    assert len(rows) == 10
    assert "sum_to" not in said
    assert "not computed yet" not in said
    assert "dx = ∂L/∂x = ∂s through ▸ batch_norm" in graphs["gradient_graph"].text(depth=0)


def test_gradients_of_matrix_products_are_products() -> None:
    x, w, v = (
        Tensor(np.ones((4, 3)), name="x"),
        Parameter(np.ones((3, 5)), name="W"),
        Parameter(np.ones((5, 1)), name="V"),
    )
    loss = (tg.relu((x @ w).named("a")).named("h") @ v).named("D").sum().named("L")
    (dx,) = grad(loss, x, create_graph=True)
    penalty = tg.square(dx).sum().named("P")
    said = snapshot(*grad(penalty, [w, v], create_graph=True)).text()
    for row in ("∂L/∂h = ∂D Vᵀ", "∂L/∂x = ∂a Wᵀ", "∂P/∂(∂L/∂a) = ∂P/∂(∂L/∂x) W ", "∂P/∂W = via ∂L/∂x"):
        assert row in said


def test_at_says_where_each_value_was_made():
    with tg.record_places():
        x = tg.Tensor([1.0, 2.0], name="x")
        with tg.scope("net"):
            h = (x * 2).named("h")
            y = (h + 1).named("y")
    here = inspect.currentframe().f_lineno
    graph = tg.snapshot(y)
    lines = graph.text(at=True).splitlines()
    assert [line.split("test_text.py:")[1].split()[0] for line in lines[3:] if "test_text.py" in line] == [
        str(here - k) for k in (4, 2, 1)
    ]
    assert f"test_text.py:{here - 2} …" in graph.text(at=True, depth=0)  # of a collapsed scope, the first
    assert "made at" not in graph.text()
    with pytest.raises(ValueError, match=r"inside of `with tinygraph.record_places\(\):`"):
        tg.snapshot(tg.Tensor([1.0]) * 2).text(at=True)


def test_at_has_a_column_beside_recorded_gradients():
    with tg.record_places():
        x = tg.Tensor([1.0, 2.0], name="x")
        (dx,) = tg.grad((x * x).sum().named("L"), x, create_graph=True)
    text = tg.snapshot(dx).text(at=True)
    assert text.splitlines()[2].endswith("made at")
    assert re.search(r"∂L/∂x = .*test_text\.py:\d+$", text, re.M)
