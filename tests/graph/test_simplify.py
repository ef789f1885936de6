"""Steps become one node: values and gradients stay, and the chain rule still holds."""

from __future__ import annotations

import numpy as np

from tinygraph import Parameter, Tensor
from tinygraph.graph.data import Graph
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
