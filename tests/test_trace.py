"""The graph as data: values, gradients and contributions solved by hand; the round trip; running it again."""

import json

import numpy as np
import pytest

import tinygraph as tg
from tests.cases import Case
from tinygraph.graph.data import Graph
from tinygraph.graph.records import behind, kept_arrays
from tinygraph.graph.values import summarize

X = [[1.0, -1, 2], [1, 3, 10], [3, -1, 10], [3, 3, 2]]
W = [[4.0, 0, 0], [0, 0, -8], [0, 4, 0], [0, 0, 8]]


def by_hand(backward=True):
    """The batch of which every value and gradient is an integer or ½, ¼, ⅛."""
    x = tg.Tensor(X, name="x")
    y = tg.batch_norm(x, tg.Parameter([1.0, 2, -1], name="γ"), tg.Parameter([0.0, 1, -1], name="β"), eps=0.0)
    loss = (tg.Tensor(W, name="w", requires_grad=False) * y).sum().named("L")
    if backward:
        loss.backward()
    return x, loss


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


def test_copies_and_labels():
    graph = tg.snapshot(by_hand()[1])
    edge = next(e for e in graph.find("x̂").inputs if graph.label(e.source) == "σ")
    assert edge.copies == 4
    assert graph.local(graph.find("x̂").id, edge) == "-x_c/σ^2"
    assert graph.copied_axes(graph.find("x̂").id, edge) == (0,)
    assert graph.local(graph.find("μ").id, graph.find("μ").inputs[0]) == "1/4"
    assert graph.sentence(graph.find("x̂").id) == "Divides x_c by σ."


def test_round_trip_of_every_op(op_case: Case):
    tensors = [tg.Tensor(a, requires_grad=a.dtype.kind == "f", name=f"x{i}") for i, a in enumerate(op_case.arrays())]
    y = op_case(*tensors)
    if y.requires_grad:
        y.backward(op_case.cotangent(y).astype(y.dtype))
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="other"), "the schema must be 'tinygraph/1', and is 'other'"),
        (lambda d: d.pop("nodes"), "not a graph: 'nodes'"),
        (lambda d: d["nodes"][1].update(id=7), "node 1 says that its id is 7"),
        (
            lambda d: d["nodes"][2]["inputs"][0].update(source=2),
            "node 2 takes inputs [2], which do not stand before it",
        ),
        (lambda d: d.update(outputs=[9]), "outputs [9] are none of its 3 nodes"),
        (lambda d: d["nodes"][0].pop("dtype"), "node 0: TypeError"),
    ],
)
def test_a_damaged_graph_says_where(change, message):
    data = json.loads(tg.snapshot(tg.Tensor([1.0], name="x") * 2).to_json())
    change(data)
    with pytest.raises(ValueError, match=r".") as caught:
        Graph.from_json(json.dumps(data))
    assert message in str(caught.value)


def test_text_that_is_no_json():
    with pytest.raises(ValueError, match="this is no JSON: Expecting value: line 1 column 1"):
        Graph.from_json("")


def test_run_computes_on_arrays_and_records_on_tensors():
    graph = tg.snapshot(by_hand()[1])
    moved = np.array(X) * 3 + 1  # batch norm undoes it
    assert tg.run(graph, x=moved) == pytest.approx(8)
    x = tg.Tensor(moved, name="x")
    loss = tg.run(graph, x=x)
    np.testing.assert_allclose(tg.grad(loss, x)[0] * 3, np.reshape(graph.find("x").grad.values, (4, 3)))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.clip(-np.inf, np.inf),
        lambda x: tg.pad(x, 1, constant_values=np.nan),
        lambda x: x.clip(np.array([0.0, -np.inf])),
        lambda x: x.clip(np.float32(-np.inf), np.longdouble(2)),
        lambda x: tg.fused.batch_norm(x),
        lambda x: tg.fused.layer_norm(x, None, np.ones(2)),
        lambda x: tg.Tensor(x.data.astype(np.longdouble)) * 2,
    ],
)
def test_what_json_has_no_word_for_comes_back(make):
    y = make(tg.Tensor([[1.0, -2.0], [3.0, 5.0]], name="x"))
    graph = tg.snapshot(y)
    again = Graph.from_json(graph.to_json())
    assert [n.params for n in again.nodes] == [n.params for n in graph.nodes]
    assert again.to_json() == graph.to_json()
    np.testing.assert_array_equal(tg.run(again), y.data)


def test_to_look_at_a_value_that_is_not_finite_warns_no_more():
    x = tg.Tensor([0.0, -1.0], name="x")
    with np.errstate(all="ignore"):
        y = (np.log(x) / x).sum()
        y.backward()
    assert tg.snapshot(y).nodes[-1].value.nans == 1


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
    with pytest.raises(ValueError, match=r"does not hold the float64\[100\] of x: give it, by name"):
        tg.run(graph)
    with pytest.raises(TypeError, match="run: z: no leaf has that name; the leaves are x"):
        tg.run(graph, z=1)


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


def test_the_seed_of_a_computed_value_is_not_its_gradient():
    x = tg.Tensor([1.0, 2.0], name="x")
    y = (x * x).named("y")
    y.backward(np.array([10.0, 100.0]))
    assert y.grad is None
    assert tg.snapshot(y).find("y").grad.values == (10, 100)


def test_equal_graphs_have_one_hash():
    graph = tg.snapshot(tg.Tensor([[1.0, 2.0]], name="x")[0, ::-1].sum())
    again = Graph.from_json(graph.to_json())
    assert {graph: "found"}[again] == "found"
    assert len({graph, again, tg.snapshot(tg.Tensor([1.0]) * 2)}) == 2


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


def test_find_lists_the_names():
    graph = tg.snapshot(by_hand()[1])
    assert graph.find("batch_norm/μ").name == "μ"
    assert graph.find(f"#{graph.find('μ').id}").name == "μ"
    with pytest.raises(KeyError, match="0 nodes are named 'nu'; the names are: x, γ"):
        graph.find("nu")


def test_summary_counts():
    s = summarize(np.array([0.0, 1.0, np.nan, np.inf, 3.0]), values=2)
    assert (s.zeros, s.nans, s.infs, s.mean, s.min, s.max, s.values) == (1, 1, 1, pytest.approx(4 / 3), 0.0, 3.0, None)
    assert sum(s.histogram) == 3


def test_the_recorded_backward_of_a_fused_op_is_a_first_derivative():
    rng = np.random.default_rng(0)
    x, w = tg.Tensor(rng.standard_normal((4, 3)), name="x"), rng.standard_normal((4, 3))
    (dx,) = tg.grad((tg.fused.batch_norm(x) * w).sum(), x, create_graph=True)
    scopes = {n.scope for n in tg.snapshot(dx).nodes}
    assert ("grad", "batch_norm") in scopes
    assert not [s for s in scopes if s.count("grad") > 1]
