"""A graph out of JSON is whole, or it is refused in one line that says where; what is accepted can be drawn and run."""
# ruff: noqa: E501 - tables read best in lines

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygraph as tg
from tinygraph.drawing.formats.html import html
from tinygraph.drawing.formats.mermaid import mermaid
from tinygraph.drawing.formats.svg import svg
from tinygraph.drawing.formats.tikz import tikz
from tinygraph.engine.registry import OPS
from tinygraph.graph.data import Edge, Graph, Node, Summary
from tinygraph.graph.schema import EDGE, FAMILIES, GRAPH, NODE, SUMMARY
from tinygraph.graph.scopes import fit

WRITTEN = Path(__file__).with_name("written")


def small_net() -> dict[str, Any]:
    """Return the JSON of a graph with each kind of field, its backward pass included."""
    x = tg.Tensor(np.array([[1.0], [3.0]]), name="x")
    loss = tg.sqrt(x * tg.Parameter(np.array([2.0]), name="γ")).sum(axis=0).sum().named("L")
    loss.backward()
    return json.loads(tg.snapshot(loss).to_json())  # type: ignore[no-any-return]


def nest(depth: int) -> list[Any]:
    """Return lists in each other."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


GONE = object()  # the field is deleted
ODD = [
    None, True, -1, 0, 7, 10**400, 1.5, "inf", "", "x", "\x1b[31m", '"/><script>', "\\sqrt{" * 3000, [], {}, [[1]],
    nest(300), {"a": 1},
]  # fmt: skip


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each field of each object in nested JSON."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from fields_of(inner, (*path, name))
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from fields_of(inner, (*path, k))


def fields_to_change(data: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return of each kind of field the first, one in the middle, and the last."""
    kinds: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    for path in fields_of(data):
        kinds.setdefault(tuple(part for part in path if isinstance(part, str)), []).append(path)
    return [path for found in kinds.values() for path in {found[0], found[len(found) // 2], found[-1]}]


def change(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return data in which one field is another; what does not change is shared."""
    if not path:
        return value
    data = data.copy()
    if path[1:] or value is not GONE:
        data[path[0]] = change(data[path[0]], path[1:], value)
    else:
        del data[path[0]]
    return data


WRITERS: tuple[Callable[[Graph], str], ...] = (
    svg, Graph.text, Graph.to_dot, mermaid, tikz, Graph.to_json, html, lambda graph: svg(graph, detail=0),
)  # fmt: skip


def test_a_tampered_graph_is_refused_in_one_line_or_drawn_and_run() -> None:
    data = small_net()
    whole = Graph.from_json(json.dumps(data))
    drawn = count = 0
    for path in fields_to_change(data):
        for value in (GONE, *ODD):
            count += 1
            try:
                graph = Graph.from_json(json.dumps(change(data, path, value)))
            except ValueError as error:
                said = str(error)
                assert said.startswith("Graph.from_json: "), (path, value)
                assert said.isprintable(), (path, value)
                assert len(said) < 300, (path, value)
                assert path[-1] in said or "node" in said, (path, value, said)
                continue
            if graph == whole:
                continue
            drawn += 1
            for write in WRITERS if value == "x" else (WRITERS[drawn % len(WRITERS)],):
                write(graph).encode()
            try:
                tg.run(graph)
            except (ValueError, TypeError) as error:
                assert "node" in str(error), (path, value, error)
    assert count > 2_831
    assert drawn > 200


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d.update(schema="other"), "the schema must be 'tinygraph/2' or 'tinygraph/1', and is 'other'"),
        (lambda d: d.pop("nodes"), "the field nodes is missing"),
        (lambda d: d.update(outputs=[9]), "outputs is [9]; each must be below the number of nodes, which is 3"),
        (lambda d: d["nodes"][1].update(id=7), "node 1: id is 7; it must be its place, 1"),
        (lambda d: d["nodes"][0].pop("dtype"), "node 0: the field dtype is missing"),
        (lambda d: d["nodes"][0].update(colour="red"), "node 0: 'colour' is no field: they are id, op, kind, "),
        (lambda d: d["nodes"][0].update(kind="op"), "node 0: op is None; of the kind op it must be a word"),
        (lambda d: d["nodes"][2].update(kind="input"), "node 2: op is 'mul'; of the kind input it must be null"),
        (lambda d: d["nodes"][2].update(kind="scope", op=None), "node 2: params: the field ops is missing"),
        (lambda d: d["nodes"][2].update(kind="input", op=None), "node 2: it has inputs, and an input is made from nothing"),
        (lambda d: d["nodes"][2].update(op="\x1b[31m"), "node 2: op is '\\x1b[31m'; it must be a word or null"),
        (lambda d: d["nodes"][2].update(family="mine"), "node 2: family is 'mine'; it must be one of elementwise, "),
        (lambda d: d["nodes"][2].update(grad_state="lost"), "node 2: grad_state is 'lost'; it must be one of computed, "),
        (lambda d: d["nodes"][2].update(grad_state="computed"), 'it must be "computed" where there is a grad'),
        (lambda d: d["nodes"][2].update(shape=[10**400]), "node 2: shape is [1000"),
        (lambda d: d["nodes"][2].update(shape=[2**40, 2**40]), "node 2: shape is [1099511627776, 1099511627776]; it has more"),
        (lambda d: d["nodes"][2].update(tex="x^"), "node 2: tex is 'x^'; it must be LaTeX of up to 2,000 characters"),
        (lambda d: d["nodes"][2].update(tex="{" * 51 + "}" * 51), "node 2: tex is "),
        (lambda d: d["nodes"][2].update(scope=["a"] * 201), "it must be a list of at most 200 names"),
        (lambda d: d["nodes"][2].update(batch=[1, 0]), "node 2: batch is [1, 0]; it must have axes of the shape [1]"),
        (lambda d: d["nodes"][2].update(derives=[3, 0]), "node 2: derives is [3, 0]; there are 3 nodes"),
        (lambda d: d["nodes"][2].update(derives=[1, -2]), "node 2: derives is [1, -2]; it must be [node, input or -1] or null"),
        (lambda d: d["nodes"][2].update(gradient_of=[[3, 0]]), "node 2: gradient_of is [[3, 0]]; there are 3 nodes"),
        (lambda d: d["nodes"][2].update(at="x" * 201), "node 2: at is "),
        (lambda d: d["nodes"][2].update(params=[["a", nest(30)]]), "node 2: params is "),
        (lambda d: d["nodes"][2].update(params=[["a", 1], ["a", 2]]), "each name once"),
        (lambda d: d["nodes"][2]["inputs"][0].update(source=2), "node 2: input 0: source is 2; it must stand before node 2"),
        (lambda d: d["nodes"][2]["inputs"][0].update(copies="x"), "node 2: input 0: copies is 'x'; it must be an integer"),
        (lambda d: d["nodes"][2]["inputs"][0].update(operand="a b"), "node 2: input 0: operand is 'a b'; it must be a word"),
        (lambda d: d["nodes"][2]["value"].update(values=[]), "node 2: value: values is []; it must have 1 elements"),
        (lambda d: d["nodes"][2]["value"].update(values=["x"]), "node 2: value: values is 'x'; an element must be a number"),
        (lambda d: d["nodes"][2]["value"].update(shape=[2]), "node 2: value: shape is [2]; it must have 1 elements"),
        (lambda d: d["nodes"][2]["value"].update(mean=None), "mean, std, min and max must all be numbers, or all be null"),
        (lambda d: d["nodes"][2]["value"].update(zeros=2), "node 2: value: zeros is 2; there are 1 elements"),
        (lambda d: d["nodes"][2]["value"].update(histogram=[5]), "node 2: value: histogram is [5]; there are 1 elements"),
    ],
)  # fmt: skip
def test_each_kind_of_damage_has_its_message(damage: Callable[[Any], object], message: str) -> None:
    data = json.loads(tg.snapshot(tg.Tensor([1.0], name="x") * 2).to_json())
    damage(data)
    with pytest.raises(ValueError, match=r"^Graph\.from_json: ") as caught:
        Graph.from_json(json.dumps(data))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no JSON: Expecting value: line 1 column 1"),
        ("[" * 100_000, "this JSON is nested too deeply for a graph"),
        ("1" * 5_000, "this is no JSON: Exceeds the limit"),
        ('{"schema": NaN}', "this is no JSON: it has no number NaN"),
        ("[]", "the schema must be 'tinygraph/2' or 'tinygraph/1', and is 'list'"),
    ],
)
def test_text_that_is_no_json(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^Graph\.from_json: ") as caught:
        Graph.from_json(text)
    assert message in str(caught.value)


def test_a_graph_of_the_first_version_is_read_and_runs() -> None:
    text = (WRITTEN / "tinygraph-1.json").read_text(encoding="utf-8")
    graph = Graph.from_json(text)
    assert json.loads(text)["schema"] == "tinygraph/1"
    assert json.loads(graph.to_json())["schema"] == "tinygraph/2"
    assert Graph.from_json(graph.to_json()) == graph
    assert {n.at for n in graph.nodes} == {""}
    x = np.array([[1.0, 2.0], [3.0, 5.0], [0.0, -1.0]])
    h = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * [1.0, 2.0] + [0.0, 1.0]
    loss, z = tg.run(graph, x=x, γ=np.array([1.0, 2.0]), β=np.array([0.0, 1.0]))
    assert loss == pytest.approx((h * h).sum())
    np.testing.assert_array_equal(z, np.tanh(h)[::2] * np.inf)
    svg(graph)


def test_every_field_has_a_rule_and_every_rule_a_field() -> None:
    for rules, kind in ((NODE, Node), (EDGE, Edge), (SUMMARY, Summary)):
        assert list(rules) == [f.name for f in dataclasses.fields(kind) if f.compare]
    assert set(GRAPH) == {"schema", *(f.name for f in dataclasses.fields(Graph) if f.compare)}


def test_every_op_is_of_a_family_that_is_known() -> None:
    assert {op.family for op in OPS.values() if op.builtin} <= set(FAMILIES)


def test_collapsed_and_folded_graphs_are_read_back() -> None:
    y = tg.Tensor([1.0, 2.0], name="x")
    for k in range(30):
        with tg.scope(f"block{k}"):
            y = np.tanh(y * tg.Parameter([0.5, 1.0], name="w"))
    loss = y.sum().named("L")
    loss.backward()
    folded = fit(tg.snapshot(loss), limit=20)
    assert any("repeat" in dict(n.params) for n in folded.nodes)
    again = Graph.from_json(folded.to_json())
    numbers = r"#\d+"  # JSON has no number of another graph
    assert re.sub(numbers, "#", again.text()) == re.sub(numbers, "#", folded.text())
    assert again == folded
