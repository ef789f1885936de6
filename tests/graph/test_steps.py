"""The steps of a computation are the engine's, and the product of each step backward is what NumPy computes."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.graphs import anything
from tinygraph import Parameter, Tensor
from tinygraph.graph.data import Graph, Summary
from tinygraph.graph.simplify import inline
from tinygraph.graph.steps import Step, product_of, steps


def array(s: Summary | None) -> np.ndarray:
    assert s is not None
    assert s.values is not None
    return np.array(s.values, float).reshape(s.shape)


def square_plus() -> Graph:
    x = Tensor([3.0, 4.0], name="x")
    a = (x * 2).named("a")
    y = (a * a + x).sum().named("y")
    y.backward()
    return tg.snapshot(y)


def test_the_steps_of_a_small_graph_by_hand() -> None:
    graph = inline(square_plus())
    names = [(s.kind, None if s.node is None else graph.label(s.node), s.number) for s in steps(graph)]
    # a * a + x stands in the sum's formula only where the chain rule stays one line, so here it has three ops
    assert names[0] == ("given", None, None)
    forward = [name for kind, name, _ in names if kind == "value"]
    assert forward == ["a", *[f"#{n.number}" for n in graph.nodes if n.op and not n.name], "y"]
    back = [(kind, name, k) for kind, name, k in names if kind in ("seed", "part", "sum")]
    assert back[0] == ("seed", "y", None)
    assert [b for b in back if b[1] == "a"] == [("part", "a", 0), ("part", "a", 1), ("sum", "a", None)]
    assert [b for b in back if b[1] == "x"] == [("part", "x", 1), ("part", "x", 0), ("sum", "x", None)]


def test_batch_norm_has_26_steps(graphs: dict[str, Graph]) -> None:
    kinds = [s.kind for s in steps(inline(graphs["batch_norm"]))]
    assert {kind: kinds.count(kind) for kind in kinds} == {"given": 1, "value": 9, "seed": 1, "part": 13, "sum": 2}


@pytest.mark.parametrize("seed", range(12))
def test_the_order_is_one_in_which_it_can_be_computed(seed: int) -> None:
    graph = anything(seed)
    for drawn in (graph, inline(graph)):
        valued: set[int] = set()
        whole: set[int] = set()
        seen: set[tuple[int, int]] = set()
        for step in steps(drawn):
            if step.kind == "given":
                valued |= {n.id for n in drawn.nodes if n.op is None}
            elif step.kind == "value":
                assert step.node is not None
                assert {e.source for e in drawn.nodes[step.node].inputs} <= valued
                valued.add(step.node)
            elif step.edge is not None:
                assert step.edge[0] in whole, "a gradient goes back before it is whole"
                seen.add(step.edge)
                if step.number is None:
                    whole.add(step.node or 0)
            else:
                whole.add(step.node or 0)
        assert valued == {n.id for n in drawn.nodes}
        assert whole == {n.id for n in drawn.nodes if n.grad is not None}
        assert seen == {(n.id, k) for n in drawn.nodes for k, e in enumerate(n.inputs) if e.grad is not None}


@pytest.mark.parametrize("seed", range(12))
def test_products_give_the_contributions_and_these_the_gradients(seed: int) -> None:
    graph = anything(seed)
    drawn = inline(graph)
    for step in steps(drawn):
        if step.edge is None:
            continue
        edge = drawn.nodes[step.edge[0]].inputs[step.edge[1]]
        product = product_of(graph, drawn, step)
        assert product is not None, drawn.nodes[step.edge[0]].op
        up, local = array(product.upstream), array(product.local)
        made = array(product.product)
        np.testing.assert_allclose(up * local, made)
        if product.then == "sum":
            made = made.sum(axis=product.axes).reshape(edge.grad.shape if edge.grad else ())
        target = array(edge.grad)
        np.testing.assert_allclose(np.broadcast_to(made, target.shape), target, atol=1e-12)
    for node in drawn.nodes:
        parts = [array(e.grad) for _, e in drawn.consumers[node.id] if e.grad is not None]
        if parts and node.grad is not None:
            np.testing.assert_allclose(np.sum(parts, axis=0), array(node.grad), atol=1e-12)


def test_a_product_of_matrices() -> None:
    rng = np.random.default_rng(0)
    x, w = Tensor(rng.standard_normal((4, 3)), name="x"), Parameter(rng.standard_normal((2, 3)), name="W")
    y = (x @ w.T).named("y")
    loss = (y * rng.standard_normal((4, 2))).sum().named("L")
    loss.backward()
    graph = tg.snapshot(loss)
    drawn = inline(graph)
    found = {}
    for step in steps(drawn):
        if step.edge is not None and step.edge[0] == drawn.find("y").id and step.node is not None:
            found[drawn.label(step.node)] = product_of(graph, drawn, step)
    to_x, to_w = found["x"], found["W"]
    assert to_x is not None
    assert to_w is not None
    assert (to_x.sign, to_x.turned, to_x.then) == ("@", False, "")
    np.testing.assert_allclose(array(to_x.upstream) @ array(to_x.local), array(drawn.find("x").grad))
    assert (to_w.sign, to_w.turned, to_w.then) == ("@", True, "transpose")
    np.testing.assert_allclose((array(to_w.local) @ array(to_w.upstream)).T, array(drawn.find("W").grad))


def test_an_output_that_is_used_again_has_a_seed_of_its_own() -> None:
    x = Tensor([1.0, 2.0], name="x")
    a = (x * 2).named("a")
    y = (a * a).named("y")
    a.backward(np.array([10.0, 20.0]))
    y.backward(np.ones(2))
    graph = tg.snapshot(a, y)
    order = steps(graph)
    i = graph.find("a").id
    assert [s.kind for s in order if s.node == i] == ["value", "seed", "part", "part", "sum"]


def test_without_gradients_it_goes_forward_only() -> None:
    graph = tg.snapshot((Tensor([1.0], name="x") * 3).named("y"))
    assert steps(graph) == [Step("given"), Step("value", graph.find("y").id)]


def test_what_is_no_product_or_too_large_has_none() -> None:
    x = Tensor(np.ones((40, 40)), name="x")
    loss = (x * x).sum().named("L")
    loss.backward()
    graph = tg.snapshot(loss)
    assert {product_of(graph, graph, s) for s in steps(graph)} == {None}
    x = Tensor(np.ones((2, 3)), name="x")
    loss = x.reshape(3, 2).sum().named("L")
    loss.backward()
    graph = tg.snapshot(loss)
    parts = [s for s in steps(graph) if s.edge is not None]
    assert [product_of(graph, graph, s) is None for s in parts] == [False, True]
