"""The graph as data: labels, templates and sentences; JSON and back; what is damaged is told."""

import json

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.cases import Case, check_each
from tinygraph.graph.data import Graph
from tinygraph.graph.simplify import inline


def test_copies_and_labels():
    graph = tg.snapshot(by_hand()[1])
    edge = next(e for e in graph.find("x̂").inputs if graph.label(e.source) == "σ")
    assert edge.copies == 4
    assert graph.local(graph.find("x̂").id, edge) == "-x_c/σ^2"
    assert graph.copied_axes(graph.find("x̂").id, edge) == (0,)
    assert graph.local(graph.find("μ").id, graph.find("μ").inputs[0]) == "1/4"
    assert graph.sentence(graph.find("x̂").id) == "Divides x_c by σ."
    total = tg.snapshot(tg.Tensor([1.0, 2.0], name="x").sum())
    assert total.sentence(1) == "Adds up x over all axes."
    product = inline(tg.snapshot((tg.Tensor([1.0], name="x") * np.array([2.0])).sum().named("L")))
    assert "$" not in product.sentence(product.find("L").id)


def test_round_trip_of_every_op(op_cases: list[Case]):
    check_each(check_round_trip, op_cases)


def check_round_trip(case: Case) -> None:
    tensors = [tg.Tensor(a, requires_grad=a.dtype.kind == "f", name=f"x{i}") for i, a in enumerate(case.arrays())]
    y = case(*tensors)
    if y.requires_grad:
        y.backward(case.cotangent(y).astype(y.dtype))
    graph = tg.snapshot(y, values=1000)
    assert Graph.from_json(graph.to_json()) == graph
    again = tg.run(Graph.from_json(graph.to_json()))
    np.testing.assert_array_equal(again, y.data)
    assert np.asarray(again).dtype == y.dtype
    for i, t in enumerate(tensors):
        if t.grad is not None:
            found = graph.find(f"x{i}").grad
            np.testing.assert_array_equal(np.reshape(found.values, t.shape), t.grad)


def test_json_spells_what_it_has_no_number_for():
    graph = tg.snapshot(tg.Tensor([np.nan, np.inf, -np.inf, 1.0], name="x") * 2)
    json.loads(graph.to_json(), parse_constant=lambda name: pytest.fail(name))
    values = Graph.from_json(graph.to_json()).find("x").value
    np.testing.assert_array_equal(values.values, [np.nan, np.inf, -np.inf, 1.0])
    assert (values.nans, values.infs, values.mean) == (1, 2, 1.0)


def test_half_of_a_pair_is_written_into_a_file_and_read_back():
    graph = tg.snapshot(tg.Tensor([1.0], name="a\ud800b") * 2)
    text = graph.to_json()
    text.encode()
    assert Graph.from_json(text) == graph


def test_equal_graphs_have_one_hash():
    graph = tg.snapshot(tg.Tensor([[1.0, 2.0]], name="x")[0, ::-1].sum())
    again = Graph.from_json(graph.to_json())
    assert {graph: "found"}[again] == "found"
    assert len({graph, again, tg.snapshot(tg.Tensor([1.0]) * 2)}) == 2


def test_find_lists_the_names():
    graph = tg.snapshot(by_hand()[1])
    assert graph.find("batch_norm/μ").name == "μ"
    assert graph.find(f"#{graph.find('μ').id}").name == "μ"
    with pytest.raises(KeyError, match="0 nodes are named 'nu'; the names are: x, γ"):
        graph.find("nu")


def test_find_takes_a_value_before_the_same_in_another_shape():
    x = tg.Tensor([1.0, 2.0], name="x")
    graph = tg.snapshot(x.reshape(2, 1).named("x") * 2)
    assert graph.find("x").id == 0
    with pytest.raises(KeyError, match="2 nodes are named 'x'"):
        tg.snapshot((x * 2).named("x")).find("x")
