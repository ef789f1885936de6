"""A gradient is split by path, and the parts add up; a route has every way between named nodes."""

from __future__ import annotations

import numpy as np
import pytest

import tinygraph as tg
from tinygraph import Tensor
from tinygraph.graph.data import Graph
from tinygraph.graph.paths import paths, route


def test_route_finds_all_ways_between(graphs: dict[str, Graph]) -> None:
    graph = graphs["batch_norm"]
    nodes, edges = route(graph, "x", "σ", "x̂")
    assert {graph.nodes[i].name or graph.nodes[i].op for i in nodes} == {"x", "μ", "x_c", "q", "v", "add", "σ", "x̂"}
    assert (graph.find("x_c").id, graph.find("x̂").id) not in edges
    with pytest.raises(ValueError, match="no way leads from L to x"):
        route(graph, "L", "x")
    with pytest.raises(KeyError):
        route(graph, "x", "nothing")


def test_paths_of_batch_norm_are_the_terms_of_the_closed_form() -> None:
    rng = np.random.default_rng(5)
    x, g = Tensor(rng.standard_normal((6, 3)), name="x"), rng.standard_normal((6, 3))
    y = tg.batch_norm(x, eps=1e-3)
    found = {p.route: p.gradient for p in paths(x, y, g)}
    sigma = np.sqrt(x.data.var(0) + 1e-3)
    hat = (x.data - x.data.mean(0)) / sigma
    assert len(found) == 4
    by_length = [found[r] for r in sorted(found, key=len)]
    np.testing.assert_allclose(by_length[0], g / sigma, atol=1e-12)
    np.testing.assert_allclose(by_length[1], np.broadcast_to(-g.mean(0) / sigma, g.shape), atol=1e-12)
    np.testing.assert_allclose(by_length[2], -hat * (g * hat).mean(0) / sigma, atol=1e-12)
    np.testing.assert_allclose(by_length[3], 0, atol=1e-12)
    np.testing.assert_allclose(sum(by_length), tg.grad(y, [x], g)[0], atol=1e-12)


def test_paths_refuses_what_has_no_answer() -> None:
    x, z = Tensor([1.0, 2.0], name="x"), Tensor([1.0], name="z")
    with pytest.raises(ValueError, match="upstream gradient"):
        paths(x, x * 2)
    with pytest.raises(ValueError, match="no gradient goes"):
        paths(z, (x * 2).sum())
    h = x
    for _ in range(10):
        h = h + h
    with pytest.raises(ValueError, match="more than 1000"):
        paths(x, h.sum())
