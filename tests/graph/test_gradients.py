"""Backward passes read from a graph: gradients and contributions, compared with what `backward` and `grad` give."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.gallery import W, X
from tinygraph import Parameter, Tensor, grad, snapshot
from tinygraph.graph.data import Graph
from tinygraph.graph.gradients import Pass, passes, values_of


def recorded_batch_norm() -> tuple[Graph, Graph]:
    """Return one graph with a recorded backward pass, and one on which `backward()` ran."""
    x, gamma = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ")
    loss = (tg.batch_norm(x, gamma, eps=0.0) * W).sum().named("L")
    found = grad(loss, [x, gamma], create_graph=True)
    recorded = snapshot(loss, *found)
    loss.backward()
    return recorded, snapshot(loss)


def values(graph: Graph, found: Pass) -> dict[str, tuple[float, ...]]:
    """Return the gradients of a pass by the names of the values."""
    return {graph.label(i): np.round(s.values, 12).tolist() for i, s in found.gradient.items()}


def test_a_recorded_pass_has_the_gradients_of_backward() -> None:
    recorded, computed = recorded_batch_norm()
    (first,), (second,) = passes(recorded), passes(computed)
    assert first.name == second.name == "L"
    mine, theirs = values(recorded, first), values(computed, second)
    assert {"x", "x_c", "σ", "μ", "v", "q", "x̂", "L"} <= mine.keys()
    for name in mine:
        if not name.startswith("#"):
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-12, err_msg=name)


def test_contributions_add_up_to_the_gradient() -> None:
    recorded, _ = recorded_batch_norm()
    (found,) = passes(recorded)
    several = 0
    for value, parts in found.parts.items():
        if not parts:
            assert value in found.outputs
            continue
        several += len(parts) > 1
        total = sum(np.array(part.grad.values) for part in parts)
        np.testing.assert_allclose(total, found.gradient[value].values, atol=1e-12)
        for part in parts:
            assert recorded.nodes[part.consumer].inputs[part.i].source == value
    assert several == 2  # x and x_c


def test_the_graph_of_the_values_is_as_backward_leaves_it() -> None:
    recorded, computed = recorded_batch_norm()
    (found,) = passes(recorded)
    alone = [n.id for n in recorded.nodes if n.id not in found.made and n.id <= recorded.find("L").id]
    graph, ids = values_of(recorded, found, alone)
    assert [recorded.nodes[i].name for i in ids] == [n.name for n in graph.nodes]
    for name in ("x", "x_c", "σ", "μ", "x̂"):
        node, other = graph.find(name), computed.find(name)
        np.testing.assert_allclose(node.grad.values, other.grad.values, atol=1e-12)
        mine = [e.grad.values for _, e in graph.consumers[node.id] if e.grad]
        theirs = [e.grad.values for _, e in computed.consumers[other.id] if e.grad]
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_every_op_of_a_pass_belongs_to_it_and_no_other_does() -> None:
    recorded, _ = recorded_batch_norm()
    (found,) = passes(recorded)
    ops = {n.id for n in recorded.nodes if n.op and n.scope[:1] == ("grad",)}
    assert {i for i in found.made if recorded.nodes[i].op} == ops


def test_two_operands_that_are_one_tensor_give_two_contributions() -> None:
    x = Tensor([3.0, 5.0], name="x")
    (dx,) = grad((x * x).sum().named("L"), x, create_graph=True)
    graph = snapshot(dx)
    (found,) = passes(graph)
    parts = found.parts[graph.find("x").id]
    assert [(part.i, part.grad.values) for part in parts] == [(0, (3.0, 5.0)), (1, (3.0, 5.0))]


def test_a_derivative_of_1_makes_no_node_and_is_found() -> None:
    a, b = Tensor([1.0, 2.0], name="a"), Tensor([3.0, 4.0], name="b")
    loss = ((a + b).named("s") * [5.0, 6.0]).sum().named("L")
    graph = snapshot(*grad(loss, [a, b], create_graph=True))
    (found,) = passes(graph)
    for name in ("a", "b", "s"):
        assert found.gradient[graph.find(name).id].values == (5.0, 6.0)
    assert [part.consumer for part in found.parts[graph.find("a").id]] == [graph.find("s").id]


def test_a_pass_that_was_run_and_recorded_is_one() -> None:
    x = Tensor([1.0, 2.0], name="x")
    loss = tg.square(x).sum().named("L")
    (dx,) = grad(loss, x, create_graph=True)
    loss.backward()
    assert [len(p.node) for p in passes(snapshot(loss, dx))] == [3]


def test_only_what_was_asked_for_has_a_gradient() -> None:
    a, b = Tensor([1.0, 2.0], name="a"), Tensor([3.0, 4.0], name="b")
    (da,) = grad((a + b).named("s").sum().named("L"), a, create_graph=True)
    graph = snapshot(da)
    (found,) = passes(graph)
    assert graph.find("b").id not in found.gradient


def test_passes_over_one_graph_are_told_apart() -> None:
    x = Tensor([0.5, 1.0], name="x")
    h = tg.exp(x).named("h")
    first, second = h.sum().named("A"), tg.square(h).sum().named("B")
    graph = snapshot(*grad(first, x, create_graph=True), *grad(second, x, create_graph=True))
    found = passes(graph)
    assert [p.name for p in found] == ["A", "B"]
    place = graph.find("x").id
    np.testing.assert_allclose(found[0].gradient[place].values, np.exp([0.5, 1.0]))
    np.testing.assert_allclose(found[1].gradient[place].values, 2 * np.exp([1.0, 2.0]))
    assert not found[0].made.keys() & found[1].made.keys()


def test_a_given_upstream_gradient_is_that_of_the_output() -> None:
    x, v = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="v")
    (dx,) = grad(tg.square(x).named("y"), x, v, create_graph=True)
    graph = snapshot(dx)
    (found,) = passes(graph)
    assert found.name == "y"
    assert found.gradient[graph.find("y").id].values == (3.0, 4.0)
    assert found.node[graph.find("y").id] == graph.find("v").id


@pytest.mark.parametrize("names", [("P", "P"), (None, "P")])
def test_the_second_pass_goes_through_the_gradients(names: tuple[str | None, str]) -> None:
    x, w = Tensor(np.arange(6.0).reshape(2, 3), name="x"), Parameter([1.0, -1.0, 2.0], name="w")
    loss = tg.square((x * w).named("p")).sum().named("L")
    (dx,) = grad(loss, x, create_graph=True)
    penalty = tg.square(dx).sum()
    penalty = penalty.named(names[0]) if names[0] else penalty
    graph = snapshot(*grad(penalty, [x, w], create_graph=True))
    first, second = passes(graph)
    assert (first.name, second.name) == ("L", names[1])
    assert {first.node[graph.find(n).id] for n in "xp"} <= second.gradient.keys()
    size = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(second.gradient[graph.find("x").id].values, (8 * size * w.data**4).ravel())
    np.testing.assert_allclose(second.gradient[graph.find("w").id].values, (16 * size**2 * w.data**3).sum(0))


def test_gradients_are_named_by_themselves_and_names_that_were_given_stay() -> None:
    x, gamma = Tensor(X, name="x"), Parameter([1.0, 2.0, -1.0], name="γ")
    dx, dgamma = grad((tg.batch_norm(x, gamma) * W).sum(), [x, gamma], create_graph=True)
    graph = snapshot(dx.named("mine"), dgamma)
    assert {"∂L/∂s", "∂L/∂x̂", "∂L/∂σ", "∂L/∂v", "∂L/∂x_c", "∂L/∂γ", "mine"} <= {n.name for n in graph.nodes}
    assert graph.outputs == (graph.find("mine").id, graph.find("∂L/∂γ").id)
    assert graph.definition(graph.find("∂L/∂x̂").id).split() == ["(∂L/∂s)", r"\times", "γ"]
    np.testing.assert_array_equal(tg.run(graph)[1], dgamma.data)


def test_the_gradient_of_a_gradient_is_named_with_brackets() -> None:
    x = Tensor([1.0, 2.0], name="x")
    (dx,) = grad((x * x * x).sum().named("L"), x, create_graph=True)
    (ddx,) = grad(dx, x, np.ones(2), create_graph=True)
    assert snapshot(ddx).find("∂(∂L/∂x)/∂x").value.values == (6.0, 12.0)
