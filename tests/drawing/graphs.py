"""Graphs that many tests draw: drawn at random, and with names that try to break out."""
# ruff: noqa: E501 - tables read best in lines

from __future__ import annotations

import numpy as np

import tinygraph as tg
from tinygraph import Parameter, Tensor, scope
from tinygraph.graph.data import Graph
from tinygraph.graph.snapshot import snapshot


def anything(seed: int) -> Graph:
    """Return a graph of ops drawn at random: fan-out, skips, reductions, broadcasts, scopes, unnamed steps."""
    rng = np.random.default_rng(seed)
    pool = [Tensor(rng.standard_normal((4, 3)), name="x")]
    for k in range(rng.integers(2, 25)):
        recent = pool[-4:] if rng.random() < 0.7 else pool
        a, b = recent[rng.integers(len(recent))], pool[rng.integers(len(pool))]
        steps = [
            lambda a=a, b=b: a + b,
            lambda a=a, b=b: a * b,
            lambda a=a, k=k: a - Parameter(np.ones(3), name=f"p{k}"),
            lambda a=a: np.tanh(a),
            lambda a=a: a.mean(axis=0),
            lambda a=a: a.sum(axis=-1, keepdims=True),
            lambda a=a: a * a,
            lambda a=a, b=b, k=k: a * Tensor(np.ones(3), name=f"c{k}", requires_grad=False) + b,
            lambda a=a: a * 2 + 1,
        ]
        with tg.scope(*[f"s{k // 4}"] * (rng.random() < 0.5)):
            try:
                y = steps[rng.integers(len(steps))]()
            except (ValueError, IndexError):
                continue  # shapes that do not broadcast, or an axis that is not there
        pool.append(y.named(f"h{k}") if rng.random() < 0.6 else y)
    loss = pool[-1].sum().named("L")
    loss.backward()
    return snapshot(loss)


HOSTILE = [
    "<script>alert(1)</script>", "\"'`", "a\nb\tc\r\x00\x07\x1b", "]]>", "x" * 10_000, "\u202eשלום\u202c", "😀🏳️‍🌈", "${x}",
    "&amp;", "--> %% end", r"\input{/etc/passwd}", "a|b[c]{d}", "\ud800", "#1;", "",
]  # fmt: skip


def hostile_graph() -> Graph:
    total = 0.0
    for k, name in enumerate(HOSTILE):
        with scope(name):
            total = (Tensor([1.0 + k, 2.0], name=name) * 2.0).named(name) + total
    loss = total.sum().named(HOSTILE[0])
    loss.backward()
    return snapshot(loss)


def noted() -> Graph:
    """Return a graph after two backward passes: the drawing shows the last, ``x.grad`` holds the sum."""
    x = Tensor([1.0, 2.0], name="x")
    y = (x * x).sum().named("y")
    y.backward()
    y.backward()
    return snapshot(y)
