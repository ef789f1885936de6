"""Two graphs are compared: every node is in both, or in one alone."""

from __future__ import annotations

import pytest

import tinygraph as tg
from tests import gallery
from tinygraph import Tensor
from tinygraph.graph.data import Graph
from tinygraph.graph.diff import diff
from tinygraph.graph.snapshot import snapshot


def test_diff_of_composed_and_fused() -> None:
    def graph(norm) -> Graph:
        x, gamma, beta = Tensor(gallery.X, name="x"), *gallery.affine(3)
        return snapshot(gallery.weighted(norm(x, gamma, beta).named("y")))

    composed, fused = graph(tg.batch_norm), graph(tg.fused.batch_norm)
    found = diff(composed, fused)
    assert {composed.label(i) for i, _ in found.shared} >= {"x", "γ", "β", "w"}
    assert [fused.nodes[j].family for j in found.only_b if fused.nodes[j].family == "fused"] == ["fused"]
    assert {composed.label(i) for i in found.only_a} >= {"μ", "x_c", "σ", "x̂"}
    everything = sorted([i for i, _ in found.shared] + list(found.only_a))
    assert everything == list(range(len(composed)))
    assert diff(composed, composed).only_a == ()
    assert "L" in {composed.label(i) for i, _ in found.shared}


def test_the_same_op_on_other_operands_is_another_node() -> None:
    x, w = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="w")
    one, other = snapshot(x - w), snapshot(w - x)
    found = diff(one, other)
    assert sorted(one.label(i) for i, _ in found.shared) == ["w", "x"]
    assert (found.only_a, found.only_b) == ((2,), (2,))


def test_a_named_operand_is_equal_however_it_was_computed() -> None:
    x = Tensor([1.0, 2.0], name="x")
    one, other = snapshot((x * x).named("q").sum()), snapshot((x**2).named("q").sum())
    found = diff(one, other)
    assert [(one.nodes[i].op, other.nodes[j].op) for i, j in found.shared] == [(None, None), ("sum", "sum")]


def test_diff_takes_graphs_alone() -> None:
    x = Tensor([1.0], name="x")
    with pytest.raises(TypeError, match="diff takes two Graphs, not Tensor: of a Tensor, take a snapshot"):
        diff(snapshot(x * 2), x)
