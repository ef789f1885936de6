"""Two graphs are compared: every node is in both, or in one alone."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
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


def three_layers(norm: Any, more: Any = lambda h: h) -> Graph:
    """fc1, batch norm, relu, fc2 and cross entropy, nothing named but the leaves."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(5, 3)), name="x")
    sizes = {"W": (4, 3), "b": 4, "γ": 4, "β": 4, "V": (2, 4)}
    w, b, gamma, beta, v = (Tensor(rng.normal(size=size), name=name) for name, size in sizes.items())
    loss = tg.cross_entropy(more(norm(x @ w.T + b, gamma, beta).relu()) @ v.T, np.array([0, 1, 0, 1, 1]))
    loss.backward()
    return snapshot(loss)


def test_what_lies_behind_a_change_is_shared():
    plain = lambda x, g, b: g * (x - x.mean(0)) / ((x - x.mean(0)) ** 2).mean(0) + b
    one, other = three_layers(plain), three_layers(tg.fused.batch_norm)
    found = diff(one, other)
    norm = {"sub", "mean", "power", "div", "mul", "add", "batch_norm", None}
    assert [other.nodes[j].op for j in found.only_b] == ["batch_norm"]
    assert {one.nodes[i].op for i in found.only_a} <= norm
    shared = [(one.nodes[i].op, other.nodes[j].op) for i, j in found.shared]
    assert all(p == q for p, q in shared)
    assert [p for p, _ in shared].count("relu") == 1 and [p for p, _ in shared].count("logsumexp") == 1
    assert [p for p, _ in shared].count("matmul") == 2


def test_what_lies_between_two_changes_is_shared():
    rng = np.random.default_rng(0)
    names = ("γ1", "β1", "γ2", "β2")

    def graph(norm: Any) -> Graph:
        p = {n: Tensor(rng.normal(size=3), name=n) for n in names}
        w, x = Tensor(np.eye(3) + 1, name="W"), Tensor(rng.normal(size=(4, 3)), name="x")
        h = (norm(x, p["γ1"], p["β1"]) @ w.T).tanh()
        return snapshot(norm(h, p["γ2"], p["β2"]).sum())

    one, other = graph(tg.batch_norm), graph(tg.fused.batch_norm)
    found = diff(one, other)
    assert sorted(other.nodes[j].op or "" for j in found.only_b) == ["batch_norm", "batch_norm"]
    assert {"tanh", "matmul", "transpose"} <= {one.nodes[i].op for i, _ in found.shared}


def test_what_lies_behind_an_insertion_is_shared():
    one, other = three_layers(tg.batch_norm), three_layers(tg.batch_norm, lambda h: h * 0.5)
    found = diff(one, other)
    assert found.only_a == () and [other.nodes[j].op for j in found.only_b] == [None, "mul"]


def test_pairs_are_those_of_equal_graphs_in_any_order():
    """Of two graphs that are equal but for the order of their nodes, all is shared; and it is the same both ways."""
    x, w = Tensor([1.0, 2.0], name="x"), Tensor([3.0, 4.0], name="w")
    a, b = x.exp(), w.tanh()
    one = snapshot(a * b)
    b, a = w.tanh(), x.exp()
    other = snapshot(a * b)
    found = diff(one, other)
    assert not found.only_a and not found.only_b
    assert sorted((j, i) for i, j in found.shared) == list(diff(other, one).shared)


def test_a_leaf_of_another_name_or_layout():
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4, 3)), rng.normal(size=(2, 3))

    def graph(weight: Tensor, product: Any, name: str) -> Graph:
        y = product(Tensor(x, name=name), weight).tanh().sum()
        y.backward()
        return snapshot(y)

    one = graph(Tensor(w, name="W"), lambda x, w: x @ w.T, "x")
    other = graph(Tensor(w.T, name="W"), lambda x, w: x @ w, "input")
    found = diff(one, other)
    assert [one.nodes[i].op for i in found.only_a] == ["transpose"] and found.only_b == ()
    gaps = {gap.label: gap for gap in found.gaps}
    assert gaps["W"].value == 0 and gaps["W"].grad < 1e-12 and gaps["x"].grad < 1e-12


def test_the_greatest_difference_of_values_and_gradients():
    def graph(k: float) -> Graph:
        x = Tensor([1.0, -2.0, math.inf], name="x")
        y = (x * Tensor(k, name="k")).named("y")
        y.backward(np.ones(3))
        return snapshot(y)

    found = diff(graph(2.0), graph(2.5))
    assert {gap.label: (gap.value, gap.grad) for gap in found.gaps} == {
        "x": (0, 0.5), "k": (0.5, 0), "y": (1.0, 0)}  # fmt: skip
    assert found.table().splitlines() == [
        "   value  gradient", "x      0       0.5", "k    0.5         0", "y      1         0"]  # fmt: skip
    large = snapshot(Tensor(np.ones(100), name="x") * 2)
    assert diff(large, large).gaps[0].value is None


def test_a_long_chain_and_a_wide_one_take_time_in_proportion():
    """10,000 consumers of one value, and 10,000 in a row: no pair is looked at twice."""
    x = Tensor([1.0], name="x")
    parts = [x * float(k) for k in range(2000)]
    wide = snapshot(tg.concatenate(parts))
    h = x
    for _ in range(2000):
        h = h.tanh()
    found = diff(wide, wide), diff(snapshot(h), snapshot(x.exp().tanh()))
    assert found[0].only_a == () and len(found[1].shared) >= 2


def test_two_processes_find_the_same_pairs():
    code = (
        "import numpy as np, tinygraph as tg\n"
        "x = tg.Tensor(np.ones((2, 2)), name='x')\n"
        "g = [tg.snapshot(f(x).relu() @ x.T) for f in (lambda x: x * x * x, lambda x: x ** 3)]\n"
        "print(tg.diff(*g).shared)"
    )
    outs = []
    for seed in ("0", "1"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        outs.append(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout)
    assert outs[0] == outs[1] != b""
