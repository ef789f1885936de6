"""DOT: a golden, and what another reader makes of it."""

from __future__ import annotations

import re

import graphviz
import numpy as np
import pytest

import tinygraph as tg
from tests.batch import by_hand
from tests.golden import check_golden


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
    assert "▸ batch_norm" in graph.to_dot(depth=0)
