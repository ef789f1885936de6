"""Where the batch enters is found, or said; and no lane calls something an example that is none."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tests.drawing.more_graphs import MORE, lstm_step, lstm_weights
from tests.gallery import GALLERY
from tinygraph import Graph, Parameter, Tensor, nn, snapshot
from tinygraph.drawing.layout.grid import lane_kinds
from tinygraph.graph.batch import Batch, find_sources, with_batch
from tinygraph.graph.scopes import at_depth, chunks
from tinygraph.graph.simplify import inline

ROWS = "one row for each example"


def plain(text: str) -> str:
    """Return a picture or a document with plain spaces."""
    return text.replace("\xa0", " ").replace("~", " ")


def ones(*shape: int, name: str | None = None) -> Tensor:
    return Tensor(np.ones(shape), name=name)


def axes(graph: Graph, batch: Batch = None) -> dict[str, tuple[int, ...]]:
    """Return the axes that carry the batch, of all named values."""
    return {n.name: n.batch for n in with_batch(graph, batch).nodes if n.name}


def lanes(graph: Graph, batch: Batch = None) -> set[str]:
    """Return what the lanes of a graph are called."""
    return {title for _, title in lane_kinds(with_batch(graph, batch))}


def test_examples_that_are_joined_along_the_batch_are_examples() -> None:
    found = axes(MORE["siamese"]())
    assert {name: found[name] for name in ("x1", "x2", "z1", "z", "u")} == dict.fromkeys(
        ("x1", "x2", "z1", "z", "u"), (0,)
    )
    assert found["S"] == (0, 1)  # each example beside each
    assert found["W₁"] == ()


def test_a_step_of_an_optimizer_has_no_examples() -> None:
    graph = MORE["adam_step"]()
    assert set(axes(graph).values()) == {()}
    assert lanes(graph) == {"2 axes", "one scalar"}


def test_a_weight_that_is_a_plain_tensor_is_shared() -> None:
    x, a, b = ones(6, 6, name="x"), ones(6, 6, name="A"), ones(6, name="c")
    h = np.tanh(x @ a + b).named("h")
    step = (a * 0.9 - 0.1 * tg.grad(h.sum(), a, create_graph=True)[0]).named("A′")
    found = axes(snapshot(h, step))
    assert (found["x"], found["h"], found["A"], found["c"], found["A′"]) == ((0,), (0,), (), (), ())


def test_rows_that_integers_look_up_are_examples() -> None:
    graph = MORE["embedding_net"]()
    assert lanes(graph) == {"one row for each example", "shared by all examples", "one scalar"}
    assert axes(graph)["mean"] == (0,)
    table = next(n for n in with_batch(graph).nodes if n.kind == "parameter")
    assert table.batch == ()
    looked_up = with_batch(graph).nodes[graph.consumers[table.id][0][0]]
    assert (looked_up.shape, looked_up.batch) == ((4, 3, 4), (0,))


def test_the_batch_is_followed_before_scopes_collapse() -> None:
    graph = MORE["lstm_unrolled8"]()
    for found in (at_depth(inline(with_batch(graph)), 0), chunks(with_batch(graph), 9)):
        cards = [n for n in found.nodes if n.kind == "scope"]
        assert {n.batch for n in cards if len(n.shape) == 2} == {(0,)}
        assert {title for _, title in lane_kinds(found)} == {
            "one row for each example", "shared by all examples", "one scalar"
        }  # fmt: skip
    assert ROWS in plain(graph.svg(depth=0))
    assert "2 axes" not in plain(graph.svg(depth=0))


def test_a_sequence_that_is_read_in_steps_has_its_batch_second() -> None:
    x, h, c = ones(5, 4, 3, name="x"), np.zeros((4, 2)), np.zeros((4, 2))
    for t in range(5):
        h, c = lstm_step(x[t], h, c, lstm_weights(3, 2), str(t))
    found = axes(snapshot(h))
    assert (found["x"], found["h4"], found["c0"], found["U_i"]) == ((1,), (0,), (0,), ())
    steps = sum(ones(5, 3, name="x")[t] @ Parameter(np.ones((3, 2)), name="W") for t in range(5))
    assert set(axes(snapshot(steps)).values()) == {()}  # one sequence: its rows are no examples


def test_labels_and_a_first_state_belong_to_the_examples() -> None:
    x, y = ones(6, 4, name="x"), Tensor(np.ones((6, 2)), name="y", requires_grad=False)
    state = Tensor(np.zeros((6, 2)), name="h0", requires_grad=False) * 0.5
    w, u = Parameter(np.ones((4, 2)), name="W"), Parameter(np.ones((2, 2)), name="U")
    found = axes(snapshot((((x @ w + state @ u) - y) ** 2).mean()))
    assert found == {"x": (0,), "W": (), "h0": (0,), "U": (), "y": (0,)}


def test_columns_can_be_the_examples() -> None:
    w, x, b = Parameter(np.ones((3, 4)), name="W"), ones(4, 6, name="X"), Parameter(np.ones((3, 1)), name="b")
    graph = snapshot(np.tanh(w @ x + b).named("A"))
    assert axes(graph) == {"W": (), "X": (1,), "b": (), "A": (1,)}
    assert "one column for each example" in lanes(graph)


def test_convolutions_and_what_is_fused() -> None:
    images, kernel = ones(2, 2, 6, 6, name="x"), ones(2, 2, 3, 3, name="k")
    h = tg.max_pool2d(tg.conv2d(images, kernel), 2).named("h")
    y = tg.fused.layer_norm(h.reshape((2, -1)), np.ones(8), np.zeros(8)).named("y")
    dk = tg.grad(y.sum(), kernel, create_graph=True)[0].named("dk")
    found = axes(snapshot(y, dk))
    assert {"x": (0,), "k": (), "h": (0,), "y": (0,), "dk": ()}.items() <= found.items()


def test_a_batch_of_one_is_a_batch() -> None:
    found = axes(snapshot((ones(1, 2, 3, name="x").reshape((1, 6)) @ Parameter(np.ones((6, 3)), name="W")).named("y")))
    assert found == {"x": (0,), "W": (), "y": (0,)}


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [
        ("x", {"x": (0,), "y": (0,)}),
        (["x"], {"x": (0,), "y": (0,)}),
        ({"x": 1}, {"x": (1,), "y": (1,)}),
        ({"x": -1}, {"x": (1,), "y": (1,)}),
        ((), {"x": (), "y": ()}),
        ({}, {"x": (), "y": ()}),
        ("y", {"x": (0,), "y": (0,)}),
    ],
)
def test_a_user_can_say_which_axis_is_the_batch(batch: Batch, wanted: dict[str, tuple[int, ...]]) -> None:
    x = ones(4, 3, name="x")
    graph = snapshot(np.tanh(x - x.mean(axis=0)).named("y"))
    assert axes(graph, batch) == wanted
    assert with_batch(with_batch(graph, batch)) == with_batch(graph, batch)


def test_tokens_are_no_examples_if_the_user_says_so() -> None:
    graph = GALLERY["attention"]()
    assert ROWS in plain(graph.svg())
    assert lanes(graph, ()) == {"2 axes", "one scalar"}
    assert "for each example" not in plain(graph.svg(batch=()))
    assert "shared by all examples" not in plain(graph.svg(batch={}))


@pytest.mark.parametrize("batch", ["nobody", ["x", "nobody"], {"x": 2}, {"x": "0"}, {"L": 0}])
def test_a_batch_that_is_not_there_is_refused(batch: Batch) -> None:
    x = ones(4, 3, name="x")
    graph = snapshot((x * Parameter(np.ones(3), name="w")).sum().named("L"))
    with pytest.raises(ValueError, match=r"batch: (no value is named 'nobody'; .* x, w|(x|L) has shape .* no axis)"):
        graph.svg(batch=batch)


def test_each_format_with_lanes_takes_the_batch(tmp_path) -> None:
    graph = GALLERY["attention"]()
    for ending in ("svg", "html", "mmd", "tex"):
        with_rows = tg.draw(graph, tmp_path / f"a.{ending}").read_text()
        without = tg.draw(graph, tmp_path / f"b.{ending}", batch=()).read_text()
        assert ROWS in plain(with_rows), ending
        assert ROWS not in plain(without), ending
    with pytest.raises(ValueError, match="takes no batch"):
        tg.draw(graph, tmp_path / "a.txt", batch="x")


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "mlp", "residual", "convolution", "deep"])
def test_the_nets_of_the_gallery_have_their_examples_on_top(name: str) -> None:
    graph = GALLERY[name]()
    assert {graph.label(i): set(found) for i, found in find_sources(graph).items()} == {"x": {0}}
    assert not any(n.batch for n in with_batch(graph).nodes if n.kind == "parameter")


def test_two_inputs_of_any_length_and_a_layer(tmp_path) -> None:
    net = nn.Linear(3, 2)
    first, second = net(ones(4, 3, name="a")).named("p"), net(ones(5, 3, name="b")).named("q")
    found = axes(snapshot((first @ second.T).named("s")))
    assert (found["a"], found["b"], found["p"], found["q"], found["s"]) == ((0,), (0,), (0,), (0,), (0, 1))
