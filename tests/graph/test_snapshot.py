"""A snapshot: values, gradients and contributions solved by hand, scopes, and what its notes say."""

import json

import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tinygraph.graph.records import behind, kept_arrays
from tinygraph.graph.scopes import at_depth
from tinygraph.graph.simplify import inline


def test_values_and_gradients_are_those_solved_by_hand():
    graph = tg.snapshot(by_hand()[1])
    values = {"μ": (2, 1, 6), "v": (1, 4, 16), "σ": (1, 2, 4), "L": (8,)}
    values["x_c"] = (-1, -2, -4, -1, 2, 4, 1, -2, 4, 1, 2, -4)
    gradients = {"μ": (-4, -4, 0), "v": (2, 1, -0.5), "σ": (4, 4, -4), "γ": (-4, -4, -16), "β": (4, 4, 0), "L": (1,)}
    gradients["x_c"] = (3, -1, 1, -1, 1, 1, 1, 3, -1, 1, 1, -1)
    gradients["x"] = (2, -2, 1, -2, 0, 1, 0, 2, -1, 0, 0, -1)
    for name, wanted in values.items():
        assert graph.find(name).value.values == wanted, name
    for name, wanted in gradients.items():
        assert graph.find(name).grad.values == wanted, name


def test_contributions_add_up():
    graph = tg.snapshot(by_hand()[1])
    x_c = graph.find("x_c")
    parts = {graph.label(c): e.grad.values for c, e in graph.consumers[x_c.id]}
    assert parts["x̂"] == (4, 0, 0, 0, 0, 2, 0, 4, 0, 0, 0, -2)
    assert parts["q"] == (-1, -1, 1, -1, 1, -1, 1, -1, -1, 1, 1, 1)
    assert tuple(map(sum, zip(*parts.values(), strict=True))) == x_c.grad.values


def test_one_operand_twice_gives_two_contributions():
    x = tg.Tensor([3.0], name="x")
    y = x * x
    y.backward(np.array([10.0]))
    edges = tg.snapshot(y).consumers[0]
    assert [e.grad.values for _, e in edges] == [(30.0,), (30.0,)]


def test_states_of_a_gradient():
    x, loss = by_hand(backward=False)
    assert tg.snapshot(loss).find("x").grad_state == "pending"
    loss.backward()
    graph = tg.snapshot(loss, tg.mean(x * 2).named("other"))
    assert [graph.find(n).grad_state for n in ("x", "w", "other")] == ["computed", "none", "unused"]


def test_to_look_at_a_value_that_is_not_finite_warns_no_more():
    x = tg.Tensor([0.0, -1.0], name="x")
    with np.errstate(all="ignore"):
        y = (np.log(x) / x).sum()
        y.backward()
    assert tg.snapshot(y).nodes[-1].value.nans == 1


def test_a_leaf_that_changed_is_noticed():
    x, loss = by_hand()
    x.data[0, 0] += 1
    graph = tg.snapshot(loss)
    assert len(graph.notes) == 1
    assert graph.notes[0].startswith("a leaf has changed since the forward pass (x): ")
    small = tg.Tensor([1.0], name="x")
    y = small * small
    small.data[0] = 2
    assert "(x): 1 value is shown as it was then" in tg.snapshot(y).notes[0]
    assert graph.find("L").value.values == (8.0,)


def test_a_gradient_summed_over_passes_is_noted():
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).sum()
    y.backward()
    assert tg.snapshot(y).notes == ()
    y.backward()
    np.testing.assert_array_equal(x.grad, [4, 8])
    graph = tg.snapshot(y)
    assert graph.find("x").grad.values == (2, 4)
    assert graph.notes == ("x.grad holds the sum of 2 backward passes; the drawing shows the last one alone",)
    x.grad = None
    y.backward()
    assert tg.snapshot(y).notes == ()


def test_passes_from_two_outputs_are_both_drawn():
    x, w = tg.Tensor([1.0, 2.0], name="x"), tg.Tensor([3.0, 4.0])
    first, second = (x * w).sum(), (x * x).sum()
    first.backward()
    second.backward()
    assert tg.snapshot(first, second).notes == ()
    assert tg.snapshot(first, second).find("x").grad.values == (5, 8)
    assert "x.grad holds the sum of 2 backward passes" in tg.snapshot(first).notes[0]
    first.backward()
    (both, alone) = tg.snapshot(first, second).notes
    assert both == "x.grad holds the sum of 3 backward passes; the drawing shows the last one from each output"
    assert alone.startswith("an unnamed leaf.grad holds the sum of 2 backward passes")


def test_of_many_summed_gradients_a_few_are_named():
    xs = [tg.Tensor([1.0], name=f"x{i}") for i in range(9)]
    y = tg.stack(xs).sum()
    y.backward()
    y.backward()
    (note,) = tg.snapshot(y).notes
    assert note.startswith("x0.grad, x1.grad, x2.grad and 6 more hold the sum of 2 backward passes; ")


def test_the_seed_of_a_computed_value_is_not_its_gradient():
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).named("y")
    y.backward(np.array([10.0, 100.0]))
    assert y.grad is None
    assert tg.snapshot(y).find("y").grad.values == (10, 100)


def weights(graph):
    return {(*n.scope, n.name) for n in graph.nodes if n.kind == "parameter"}


def test_a_graph_keeps_its_scopes_when_its_layers_are_called_elsewhere():
    layer = tg.nn.Linear(3, 2, bias=False)
    x = tg.Tensor(np.ones((4, 3), np.float32), name="x")
    with tg.scope("first"):
        y = layer(x)
    before = tg.snapshot(y)
    assert weights(before) == {("first", "weight")}
    with tg.scope("second"):
        other = layer(x)
    assert tg.snapshot(y) == before
    assert weights(tg.snapshot(other)) == {("second", "weight")}


def test_a_layer_that_two_scopes_share_is_in_the_scope_around_both():
    layer = tg.nn.Linear(3, 3, bias=False)
    x = tg.Tensor(np.ones((4, 3), np.float32), name="x")
    with tg.scope("net"):
        with tg.scope("first"):
            h = layer(x)
        with tg.scope("second"):
            y = layer(h)
    assert weights(tg.snapshot(y)) == {("net", "weight")}
    (dw,) = tg.grad(y.sum(), layer.weight, create_graph=True)  # its consumers in the scope "grad" change nothing
    assert weights(tg.snapshot(y, dw)) == {("net", "weight")}


def test_values_that_were_not_kept_are_shown():
    _, loss = by_hand()
    kept = {id(a) for n in behind([loss.node]) for a in kept_arrays(n.saved)}
    assert len(kept) < 8
    assert all(n.value.values is not None for n in tg.snapshot(loss).nodes)


def test_a_freed_graph_cannot_be_drawn():
    _, loss = by_hand(backward=False)
    loss.backward(retain_graph=False)
    with pytest.raises(RuntimeError, match=r"was freed by backward\(retain_graph=False\)"):
        tg.snapshot(loss)


def test_snapshot_wants_tensors():
    with pytest.raises(TypeError, match="snapshot takes one Tensor or more, not ndarray"):
        tg.snapshot(np.ones(2))


def test_the_recorded_backward_of_a_fused_op_is_a_first_derivative():
    rng = np.random.default_rng(0)
    x, w = tg.Tensor(rng.standard_normal((4, 3)), name="x"), rng.standard_normal((4, 3))
    (dx,) = tg.grad((tg.fused.batch_norm(x) * w).sum(), x, create_graph=True)
    scopes = {n.scope for n in tg.snapshot(dx).nodes}
    assert ("grad", "batch_norm") in scopes
    assert not [s for s in scopes if s.count("grad") > 1]


def recorded_gradient():
    """Return the graph of a recorded gradient of L = Σ (x² + x·w), and of the gradient of Σ(∂L/∂x)²."""
    x, w = tg.Tensor([1.0, 2.0, 3.0], name="x"), tg.Parameter([0.5, 1.0, 2.0], name="w")
    loss = (tg.square(x).named("q") + (x * w).named("p")).named("s").sum().named("L")
    (dx,) = tg.grad(loss, x, create_graph=True)
    penalty = tg.square(dx).sum().named("P")
    return tg.snapshot(dx), tg.snapshot(*tg.grad(penalty, [x, w], create_graph=True))


def test_what_a_recorded_backward_pass_made_says_what_it_derives():
    graph, _ = recorded_gradient()
    found = {(graph.label(n.derives[0]), n.derives[1]) for n in graph.nodes if n.derives}
    assert found == {("L", 0), ("q", 0), ("p", 0), ("x", -1)}
    assert all((n.scope[:1] == ("grad",)) == (n.derives is not None) for n in graph.nodes if n.op)
    gradients = {graph.label(i): n.id for n in graph.nodes for i, number in n.gradient_of if number == 0}
    assert gradients.keys() == {"L", "s", "q", "p", "x"}
    assert gradients["s"] == gradients["q"] == gradients["p"]  # a sum passes its gradient on
    assert graph.nodes[gradients["L"]].name == "seed"
    assert graph.nodes[gradients["x"]].value.values == (2.5, 5.0, 8.0)
    assert gradients["x"] == graph.outputs[0]


def test_a_second_derivative_derives_the_first():
    _, graph = recorded_gradient()
    passes = {number for n in graph.nodes for _, number in n.gradient_of}
    assert passes == {0, 1}
    first = {n.id for n in graph.nodes for _, number in n.gradient_of if number == 0}
    of_second = {i for n in graph.nodes for i, number in n.gradient_of if number == 1}
    assert of_second & first  # gradients of gradients
    dw = next(n for n in graph.nodes if (graph.find("w").id, 1) in n.gradient_of)
    np.testing.assert_allclose(dw.value.values, (5.0, 10.0, 16.0))  # P = Σ (2x + w)², so ∂P/∂w = 2 (2x + w)


def test_a_fused_op_makes_its_derivative_as_one():
    x = tg.Tensor(np.arange(6.0).reshape(3, 2), name="x")
    y = tg.fused.batch_norm(x, np.ones(2), np.zeros(2)).named("y")
    (dx,) = tg.grad(y, x, np.ones((3, 2)), create_graph=True)
    graph = tg.snapshot(dx)
    made = {n.derives for n in graph.nodes if n.op and n.scope[:1] == ("grad",)}
    assert {i for i, _ in made} <= {graph.find("y").id, graph.find("x").id}


def test_a_gradient_whose_values_were_freed_is_drawn_without_them():
    x = tg.Tensor([1.0, 2.0], name="x")
    loss = (x * 3.0).sum().named("L")
    (dx,) = tg.grad(loss, x, create_graph=True)
    assert "L" in [n.name for n in tg.snapshot(dx).nodes]
    loss.backward(retain_graph=False)
    graph = tg.snapshot(dx)
    assert "L" not in [n.name for n in graph.nodes]
    assert graph.nodes[graph.outputs[0]].value.values == (3.0, 3.0)


def test_derivatives_keep_their_places_when_nodes_are_numbered_anew():
    graph, _ = recorded_gradient()
    assert tg.Graph.from_json(graph.to_json()) == graph
    raw = json.loads(graph.to_json())
    raw["nodes"] = [{k: v for k, v in n.items() if k not in ("derives", "gradient_of")} for n in raw["nodes"]]
    older = tg.Graph.from_json(json.dumps(raw))
    assert [n.name for n in older.nodes] == [n.name for n in graph.nodes]

    def by_name(found):
        return {(found.label(i), found.nodes[n.id].value.values) for n in found.nodes for i, _ in n.gradient_of}, {
            found.label(n.derives[0]) for n in found.nodes if n.derives
        }

    assert by_name(inline(graph))[0] == by_name(graph)[0]
    with tg.scope("inner"):
        inner = tg.Tensor([1.0, 2.0], name="x").exp().named("e")
    (dx,) = tg.grad((inner * 2).sum().named("L"), inner, create_graph=True)
    small = at_depth(tg.snapshot(dx), 0)
    assert all(n.derives is None or small.nodes[n.derives[0]].kind != "scope" for n in small.nodes)
