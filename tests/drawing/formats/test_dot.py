"""DOT: a golden, and what another reader makes of it."""

from __future__ import annotations

import dataclasses
import re

import graphviz
import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.golden import check_golden
from tinygraph.drawing.api import run_graphviz


def test_dot_golden():
    check_golden("batchnorm.dot", tg.snapshot(by_hand()[1]).to_dot())


def test_dot_is_read_by_another_reader():
    pygraphviz = pytest.importorskip("pygraphviz")
    graph = tg.snapshot(by_hand()[1])
    read = pygraphviz.AGraph(string=graph.to_dot())
    shown = [n for n in graph.nodes if not graph.is_number(n.id)]
    assert sorted(read.nodes()) == sorted(f"n{n.id}" for n in shown)
    forward = sum(not graph.is_number(e.source) for n in graph.nodes for e in n.inputs)
    both = sum(graph.nodes[e.source].requires_grad for n in graph.nodes for e in n.inputs if n.requires_grad)
    assert len(read.edges()) == forward + both
    assert len(read.subgraphs()) == 1


def test_large_arrays_are_summaries():
    x = tg.Tensor(np.arange(200.0).reshape(20, 10), name="x")
    dot = tg.snapshot((x * 2).named("y")).to_dot()
    assert "99.5 ± 57.7" in dot
    assert "[0, 199]" in dot


def test_graphviz_is_the_one_that_quotes():
    assert graphviz.__version__


def test_dot_tells_the_operands_apart():
    x = tg.Tensor([1.0, 2.0], name="x")
    loss = (x * x).sum()
    loss.backward()
    source = tg.snapshot(loss).to_dot()
    for label in ("x (2,)", "y (2,)", "① × x", "② × x"):
        assert f"label=<{label}>" in source


def test_dot_keeps_scopes_with_the_same_start_apart():
    y = tg.Tensor([1.0], name="x")
    for end in "ab":
        with tg.scope("a very long name of a scope, which goes on and on: " + end):
            y = y * 2
    clusters = re.findall(r'subgraph "?(\w+)"? {', tg.snapshot(y).to_dot())
    assert len(set(clusters)) == 2


def test_dot_collapses_scopes():
    x = tg.Tensor(np.ones((4, 3)), name="x")
    graph = tg.snapshot(tg.batch_norm(x).sum().named("L"))
    assert "1 of them collapsed scopes" in graph.to_dot(depth=0)
    assert "▸ x̂ = batch_norm(x)" in graph.to_dot(depth=0)


def test_empty_arrays_and_labels_are_no_syntax_error():
    pygraphviz = pytest.importorskip("pygraphviz")
    x = tg.Tensor(np.zeros((0, 3)), name="  (")
    with tg.scope(""):
        y = (x * tg.Tensor(np.ones(3), name="\x07")).named("y")
    loss = y.sum()
    loss.backward()
    graph = dataclasses.replace(tg.snapshot(loss), notes=("", "\x1b"))
    read = pygraphviz.AGraph(string=graph.to_dot(title="\x00"))
    assert sorted(read.nodes()) == [f"n{n.id}" for n in graph.nodes]
    assert run_graphviz(graph.to_dot(title="\x00"), "svg").count(b">empty<") > 2


def test_a_scope_of_any_depth_is_written():
    with tg.scope(*(f"s{k}" for k in range(5_000))):
        y = tg.Tensor([1.0], name="x") * 2
    text = tg.snapshot(y).to_dot(depth=5_000)
    assert text.count("subgraph") == 50
    assert "n2 [label" in text


def test_a_gradient_is_a_node_where_gradients_are_asked_for():
    graph = tg.snapshot(by_hand()[1])
    found = {show: graph.to_dot(show=show) for show in ("both", "gradient", "backward")}
    gradients = sum(n.grad is not None for n in graph.nodes)
    assert gradients > 5
    back = r"(n\d+) -> (n\d+) \[.*arrowtail=empty.* dir=back"
    assert not re.findall(back, found["both"])
    for show in ("gradient", "backward"):
        lines = re.findall(back, found[show])
        tables = dict(re.findall(r"(n\d+) \[label=<<table.*?<i><b>(.*?)</b></i>", found[show]))
        named = {node: said for node, said in tables.items() if said.startswith("∂L/∂")}
        assert {end for line in lines for end in line} <= named.keys()
        said = " ".join(named.values())
        assert "∂L/∂σ = Σ₀ ∂x̂·(−x_c/σ²)" in said and "(the seed)" in said
        assert (len(tables) > len(named)) == (show == "gradient")
    assert "∂L/∂" in graph.to_dot(show="gradient", depth=0)
    with pytest.raises(ValueError, match="no scope is 'nowhere'"):
        graph.to_dot(show="gradient", expand=["nowhere"])


def test_memory_health_and_ways_are_marked():
    x = tg.Tensor([[1.0, -1.0], [0.0, 4.0]], name="x")
    with np.errstate(all="ignore"):
        loss = (np.log(x).named("a") * (x * 2.0).named("b")).named("y").sum().named("L")
        loss.backward()
    graph = tg.snapshot(loss)
    tables = {show: nodes_of(graph.to_dot(show=show)) for show in ("memory", "health", ("x", "b", "L"))}
    assert "keeps 64 B" in tables["memory"]["y"]  # the product keeps its two operands of four numbers of eight bytes
    assert "keeps" not in tables["memory"]["L"]
    assert "1 NaN in value, 1 inf in value" in tables["health"]["a"]  # of −1 and of 0
    assert "in value" not in tables["health"]["x"]
    pale = {name for name, table in tables["x", "b", "L"].items() if "#AEB7C1" in table and "#0B5CAD" not in table}
    assert pale == {"a"}
    with pytest.raises(ValueError, match="leads"):
        graph.to_dot(show=("a", "b"))


def nodes_of(dot: str) -> dict[str, str]:
    """Return the table of each node by the name that its definition begins with."""
    tables = re.findall(r"n\d+ \[label=(<<table.*?</table>>)\]", dot)
    return {re.search("<b>(\\w+)", table)[1]: table for table in tables}
