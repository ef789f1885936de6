"""Two graphs are compared: every node is in both, or in one alone."""

from __future__ import annotations

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
