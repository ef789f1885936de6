"""A graph is run again from its leaves, on arrays and on Tensors."""

import dataclasses

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import W, X, by_hand
from tinygraph.graph.data import Graph


def test_run_computes_on_arrays_and_records_on_tensors():
    graph = tg.snapshot(by_hand()[1])
    moved = np.array(X) * 3 + 1  # batch norm undoes it
    assert tg.run(graph, x=moved) == pytest.approx(8)
    x = tg.Tensor(moved, name="x")
    loss = tg.run(graph, x=x)
    np.testing.assert_allclose(tg.grad(loss, x)[0] * 3, np.reshape(graph.find("x").grad.values, (4, 3)))


def test_run_takes_any_name():
    graph = tg.snapshot(tg.Tensor([2.0], name="graph") * tg.Tensor([3.0], name="graph"))
    assert tg.run(graph, graph=np.array([5.0])) == 25


def test_run_keeps_the_dtype():
    x = tg.Tensor(np.ones((2, 2), np.float32), name="x")
    assert tg.run(Graph.from_json(tg.snapshot(x * 0.5 + 1).to_json())).dtype == np.float32


def test_run_of_the_gradient_graph():
    x, loss = by_hand()
    graph = tg.snapshot(*tg.grad(loss, [x], create_graph=True))
    np.testing.assert_allclose(tg.run(graph), x.grad)
    other = np.random.default_rng(0).standard_normal((4, 3))
    y = tg.batch_norm(tg.Tensor(other, name="x"), np.array([1.0, 2, -1]), np.array([0.0, 1, -1]), eps=0.0)
    (wanted,) = tg.grad((tg.Tensor(W) * y).sum(), _input_of(y))
    np.testing.assert_allclose(tg.run(graph, x=other), wanted)
    assert {n.scope[0] for n in graph.nodes if n.op and n.scope} == {"batch_norm", "grad"}


def _input_of(y):
    node = y.node
    while node.op:
        node = next(i for i in node.inputs if hasattr(i, "op"))
    from tinygraph.engine.op import tensor_of

    return tensor_of(node.data, node)


def test_run_says_what_is_missing():
    x = tg.Tensor(np.ones(100), name="x")
    graph = tg.snapshot(x * 2)
    with pytest.raises(ValueError, match=r"does not hold the float64\[100\] of x \(node 0\): give it, by name"):
        tg.run(graph)
    with pytest.raises(TypeError, match="run: z: no leaf has that name; the leaves are x"):
        tg.run(graph, z=1)


def test_an_op_that_fails_names_its_node():
    graph = tg.snapshot(tg.Tensor([[1.0, 2.0]], name="x") @ tg.Tensor([[1.0], [2.0]], name="w"))
    with pytest.raises(ValueError, match=r"^run: node 2, matmul: "):
        tg.run(graph, x=np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"^run: node 0 holds no int8\[1, 2\]: "):
        tg.run(
            dataclasses.replace(
                graph,
                nodes=(
                    dataclasses.replace(
                        graph.nodes[0],
                        dtype="int8",
                        value=dataclasses.replace(graph.nodes[0].value, values=(1e9, np.inf)),
                    ),
                    *graph.nodes[1:],
                ),
            )
        )
