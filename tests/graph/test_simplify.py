"""Steps become one node: values and gradients stay, and the chain rule still holds."""

from __future__ import annotations

import re

import numpy as np

import tinygraph as tg
from tinygraph import Parameter, Tensor
from tinygraph.drawing.formats.svg import svg
from tinygraph.graph.data import Graph
from tinygraph.graph.scopes import at_depth, fit
from tinygraph.graph.simplify import inline
from tinygraph.graph.snapshot import snapshot
from tinygraph.ops.linear import matmul


def test_inlining_keeps_values_gradients_and_outputs(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    drawn = inline(graph)
    assert len(drawn) == 13
    assert drawn.nodes[drawn.outputs[0]].name == "L"
    for n in drawn.nodes:
        same = graph.find(n.name)
        assert (n.value, n.grad) == (same.value, same.grad)
    sigma = drawn.find("σ")
    assert [drawn.label(e.source) for e in sigma.inputs] == ["v"]
    assert drawn.local(sigma.id, sigma.inputs[0]) == "1/(2σ)"


def test_a_transposed_weight_stands_in_the_product() -> None:
    x, weight = Tensor(np.ones((4, 3)), name="x"), Parameter(np.arange(6.0).reshape(2, 3), name="W")
    y = matmul(x, weight.T)
    y.backward(np.ones((4, 2)))
    graph = snapshot(y)
    drawn = inline(graph)
    assert [n.op for n in drawn.nodes if n.op] == ["transpose, matmul"]
    product = drawn.nodes[-1]
    assert drawn.definition(product.id).replace(" ", "") == r"x\,W^{\mathsfT}"
    (link,) = [e for e in product.inputs if drawn.nodes[e.source].name == "W"]
    assert link.grad == graph.find("W").grad
    assert drawn.local(product.id, link) == r"(x^{\mathsf T}\cdot)^{\mathsf T}"
    other = matmul(x, (weight * 2).T)  # no leaf: the transpose is a step of its own
    assert [n.op for n in inline(snapshot(other)).nodes if n.op] == ["mul, transpose", "matmul"]


def test_a_number_that_a_picture_shows_finds_the_same_value_in_the_graph():
    with tg.scope("net"):
        x = tg.Tensor(np.ones((4, 3)), name="x")
        h = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    for k in range(3):
        with tg.scope(f"block{k}"):
            h = np.tanh(h * 2 + 1) @ tg.Parameter(np.ones((3, 3)))
    loss = (h * h).sum()
    loss.backward()
    (gradient,) = tg.grad(loss, x, create_graph=True)
    for graph in (tg.snapshot(loss), tg.snapshot(gradient)):
        for drawn in (inline(graph), fit(inline(graph), 8), at_depth(graph, 0), inline(at_depth(graph, 0)), graph):
            shown = [node.number for node in drawn.nodes]
            assert len(set(shown)) == len(shown)
            for node in drawn.nodes:
                found = graph.find(f"#{node.number}")
                assert found.value == node.value or node.op == "reshape"
                assert drawn.find(f"#{node.number}") == node
                if not node.name and not drawn.is_number(node.id):
                    assert drawn.label(node.id) == f"#{found.id}"
        for detail in (0, 1):
            for number in re.findall(r">#(\d+)<", svg(graph, detail=detail)):
                assert not graph.find(f"#{number}").name
